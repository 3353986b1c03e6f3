//! What the BEAM calls: converts terms, maps errors, picks schedulers. Nothing else lives here.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod curve;
mod error;
mod migration;
mod store;
mod term;

rustler::init!("Elixir.BaileysEx.Auth.Native");
