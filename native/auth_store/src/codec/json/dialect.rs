//! The dialects of the files.

/// Who wrote a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Dialect {
    Baileys,
    /// baileys_ex from alpha.4: run-time names, enums as text.
    Explicit,
    /// baileys_ex before: run-time terms under tags.
    Legacy,
}
