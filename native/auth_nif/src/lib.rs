//! What the BEAM calls: converts terms, maps errors, picks schedulers. Nothing else lives here.

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
