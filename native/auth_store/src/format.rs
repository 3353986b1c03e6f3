//! The two formats of an auth directory, and what differs between them besides the bytes of a file.

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

    /// The name a manifest gives to the backend of this format.
    pub fn backend(self) -> &'static str {
        match self {
            Format::Json => "file_persistence",
            Format::Etf => "native_file_persistence",
        }
    }

    /// The manifest version that is written; earlier ones are read. JSON is at 2 since it is
    /// written in Baileys' own shape, which baileys_ex (1) would misread.
    pub fn version(self) -> i128 {
        match self {
            Format::Json => 2,
            Format::Etf => 1,
        }
    }

    /// Node reads the JSON files as they stand, so their commits leave nothing in a journal.
    pub fn policy(self) -> Policy {
        match self {
            Format::Json => Policy::Plain,
            Format::Etf => Policy::Journaled,
        }
    }
}
