//! Erlang's external term format, as far as plain data needs it.
//!
//! The BEAM reads and writes terms itself, once [`scan`] has found that this is safe. [`decode`] and
//! [`encode`] are for bulk work that does without it.
//!
//! Format: <https://www.erlang.org/doc/apps/erts/erl_ext_dist.html>.

mod decode;
mod encode;
mod scan;

pub use decode::{decode, outline};
pub use encode::encode;
pub use scan::scan;

/// Tags of the format. A tag that is not listed is refused. Funs, pids, ports, references, bit
/// strings, and tags that only occur between nodes are left out on purpose.
mod tag {
    pub(super) const VERSION: u8 = 131;
    pub(super) const COMPRESSED: u8 = 80;
    pub(super) const NEW_FLOAT: u8 = 70;
    pub(super) const SMALL_INTEGER: u8 = 97;
    pub(super) const INTEGER: u8 = 98;
    pub(super) const ATOM_LATIN1: u8 = 100;
    pub(super) const SMALL_TUPLE: u8 = 104;
    pub(super) const LARGE_TUPLE: u8 = 105;
    pub(super) const NIL: u8 = 106;
    pub(super) const STRING: u8 = 107;
    pub(super) const LIST: u8 = 108;
    pub(super) const BINARY: u8 = 109;
    pub(super) const SMALL_BIG: u8 = 110;
    pub(super) const LARGE_BIG: u8 = 111;
    pub(super) const SMALL_ATOM_LATIN1: u8 = 115;
    pub(super) const MAP: u8 = 116;
    pub(super) const ATOM_UTF8: u8 = 118;
    pub(super) const SMALL_ATOM_UTF8: u8 = 119;
}
