//! Run-time terms ([`Value`](crate::Value)) to bytes on disk and back.
//!
//! [`json`] speaks the shape of Baileys and reads the two older dialects of baileys_ex; [`etf`]
//! checks, reads and writes Erlang's external term format. Neither touches a file.

pub mod etf;
mod fault;
pub mod json;
mod keys;

pub use fault::is_shown;

use thiserror::Error;

/// What is wrong in a file or term, and where; the caller adds the path.
///
/// Never shows a value: `member` is made of names that the schema knows, `[]` for an item, and
/// short identifiers of free-form members.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}{problem}", if member.is_empty() { String::new() } else { format!("{member}: ") })]
pub struct Problem {
    /// Such as `session.sessions[].chains[].chain_key`; empty for the whole.
    pub member: String,
    pub problem: String,
}
