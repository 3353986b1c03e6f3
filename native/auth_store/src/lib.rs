//! Crash-safe storage of a WhatsApp account's auth state, without the BEAM.
//!
//! ```text
//! format   what differs between JSON and ETF directories
//! layout   file name <-> (family, id); manifest
//! codec    Value <-> JSON, one schema table per family; Value <-> ETF
//! engine   open, load, commit, list, checkpoint, recover, over the Disk trait
//! store    one directory: keys by family and id
//! survey   reads a whole directory, in steps
//! migrate  moves a whole account, in steps
//! repair   mends a damaged directory
//! ```
//!
//! [`Value`] is the only type that the codec and the NIF share.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

pub mod codec;
pub mod curve;
pub mod device_names;
pub mod disk_use;
pub mod engine;
pub mod error;
pub mod format;
pub mod layout;
pub mod manifest;
pub mod migrate;
pub mod repair;
pub mod store;
pub mod survey;
pub mod value;

pub use error::{Error, Result};
pub use value::Value;
