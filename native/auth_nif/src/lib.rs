//! The functions that the BEAM calls. This crate converts terms, maps errors and picks schedulers,
//! and does nothing else.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answer;
mod codec;
mod curve;
mod directory;
mod error;
mod etf;
mod json;
mod migration;
mod process;
mod repair;
mod rows;
mod stores;
mod term;

rustler::init!("Elixir.BaileysEx.Auth.Native");
