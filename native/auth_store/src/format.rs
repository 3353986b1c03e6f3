//! The two formats of an auth directory, and what differs between them apart from the bytes of the
//! files.

use crate::engine::Policy;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// The JSON directory of Baileys.
    Json,
    /// Erlang's external term format.
    Etf,
}

impl Format {
    pub fn other(self) -> Format {
        match self {
            Format::Json => Format::Etf,
            Format::Etf => Format::Json,
        }
    }

    pub fn extension(self) -> &'static str {
        match self {
            Format::Json => ".json",
            Format::Etf => ".etf",
        }
    }

    pub fn manifest_name(self) -> &'static str {
        match self {
            Format::Json => ".baileys_ex_file_persistence.json",
            Format::Etf => ".baileys_ex_native_file_persistence.etf",
        }
    }

    /// The name of this format's backend in the manifest.
    pub fn backend(self) -> &'static str {
        match self {
            Format::Json => "file_persistence",
            Format::Etf => "native_file_persistence",
        }
    }

    /// The manifest version that is written. Earlier versions can be read. JSON is at version 2
    /// because it is written in the format of Baileys, which baileys_ex (version 1) would misread.
    pub fn version(self) -> i128 {
        match self {
            Format::Json => 2,
            Format::Etf => 1,
        }
    }

    /// Node reads the JSON files as they are, so commits must leave nothing in a journal.
    pub fn policy(self) -> Policy {
        match self {
            Format::Json => Policy::Plain,
            Format::Etf => Policy::Journaled,
        }
    }
}
