//! The proof of the engine: every state that a crash can leave is visited and recovered.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod explorer;
mod images;
mod script;
mod sim;
mod world;

use std::time::Instant;

use auth_store::engine::Policy;

use explorer::Explorer;
use images::Profile;
use script::{Setup, chosen, random};

/// `EXPLORER_SCRIPTS=5000 cargo test -p auth_store --test engine_crashes` looks longer.
fn random_scripts(default: u64) -> u64 {
    let asked = std::env::var("EXPLORER_SCRIPTS").ok();
    asked.map_or(default, |asked| asked.parse().expect("a number of scripts"))
}

fn explore(policy: Policy, scripts: u64) -> usize {
    let begun = Instant::now();
    let mut states = 0;
    let mut recoveries = 0;
    for capable in [true, false] {
        let setup = Setup {
            capable,
            ..Setup::new(policy)
        };
        let mut explorer = Explorer::new(setup, Profile::Weak);
        for script in chosen().into_iter().chain((0..scripts).map(random)) {
            explorer
                .explore(&script)
                .unwrap_or_else(|problem| panic!("{problem}"));
        }
        states += explorer.states.len();
        recoveries += explorer.recoveries;
    }
    eprintln!(
        "{policy:?}: {states} distinct states visited, {recoveries} recoveries, in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    states
}

#[test]
fn no_crash_loses_or_tears_a_journaled_commit() {
    explore(Policy::Journaled, random_scripts(0));
}

#[test]
fn no_crash_loses_or_tears_a_plain_commit() {
    explore(Policy::Plain, random_scripts(0));
}
