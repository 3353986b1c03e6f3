//! The dialects of the JSON files.

/// The program that wrote a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Dialect {
    Baileys,
    /// baileys_ex since alpha.4: run-time names, enums as text.
    Explicit,
    /// baileys_ex before alpha.4: tagged run-time terms.
    Legacy,
}
