//! What the BEAM calls: converts terms, maps errors, picks schedulers. Nothing else lives here.

mod curve;

rustler::init!("Elixir.BaileysEx.Auth.Native");
