//! Converts run-time terms ([`Value`](crate::Value)) to the bytes of a file and back.
//!
//! [`json`] reads and writes the format of Baileys, and reads the two older dialects of baileys_ex.
//! [`etf`] checks, reads and writes Erlang's external term format. Neither touches a file.

pub mod etf;
mod fault;
pub mod json;
mod keys;

pub use fault::is_shown;

use thiserror::Error;

/// What is wrong in a file or term, and where. The caller adds the path.
///
/// Never shows a value: `member` consists of names from the schema, `[]` for an item, and short
/// identifiers of free-form members.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}{problem}", if member.is_empty() { String::new() } else { format!("{member}: ") })]
pub struct Problem {
    /// For example `session.sessions[].chains[].chain_key`; empty for the whole value.
    pub member: String,
    pub problem: String,
}
