//! The proof of the engine: visits and recovers every state that a crash can leave.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod claims;
mod errors;
mod explorer;
mod images;
mod interleaved;
mod owners;
mod script;
mod sim;
mod sim_disk;
mod turns;
mod world;

use std::collections::BTreeSet;
use std::time::Instant;

use auth_store::engine::{Policy, SyncPoint};

use explorer::Explorer;
use images::Profile;
use script::{Setup, Step, all, chosen, random, restores};

/// As many random scripts as by default, or as by `EXPLORER_SCRIPTS=1000 cargo test -p auth_store
/// --test engine_crashes no_crash -- --nocapture`.
fn random_scripts(default: u64) -> Vec<Vec<Step>> {
    let asked = std::env::var("EXPLORER_SCRIPTS").ok();
    let scripts = asked.map_or(default, |asked| asked.parse().expect("a number of scripts"));
    (0..scripts).map(random).collect()
}

/// Explores scripts, each with the number of times that its recovery is interrupted.
fn explore(policy: Policy, profile: Profile, work: &[(bool, usize, Vec<Vec<Step>>)]) -> usize {
    let begun = Instant::now();
    let (mut states, mut recoveries, mut explored) = (0, 0, 0);
    for (capable, depth, scripts) in work {
        let setup = Setup {
            capable: *capable,
            ..Setup::new(policy)
        };
        let mut explorer = Explorer::new(setup, profile, *depth);
        for script in scripts {
            explorer
                .explore(script)
                .unwrap_or_else(|problem| panic!("{problem}"));
        }
        states += explorer.states();
        recoveries += explorer.recoveries;
        explored += scripts.len();
    }
    eprintln!(
        "{policy:?}, {profile:?} order: {states} distinct states visited, {recoveries} recoveries, \
         {explored} scripts, {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    states
}

#[test]
fn no_crash_loses_or_tears_a_journaled_commit() {
    let states = explore(
        Policy::Journaled,
        Profile::Weak,
        &[
            (true, 1, all()),
            (false, 0, all()),
            (true, 2, vec![chosen().remove(1)]),
            (true, 0, random_scripts(40)),
        ],
    );
    assert!(states >= 100_000, "{states}");
}

#[test]
fn no_crash_loses_or_tears_a_plain_commit() {
    let states = explore(
        Policy::Plain,
        Profile::Weak,
        &[
            (true, 2, chosen()),
            (true, 1, restores()),
            (false, 1, all()),
            (true, 1, random_scripts(40)),
        ],
    );
    assert!(states >= 30_000, "{states}");
}

/// The weak profile contains this one. A violation that is found here too does not depend on the
/// order of names.
#[test]
fn no_crash_loses_or_tears_a_commit_where_names_keep_their_order() {
    for policy in [Policy::Plain, Policy::Journaled] {
        explore(policy, Profile::Ordered, &[(true, 0, all())]);
    }
}

/// Shows that each sync is needed, and that the explorer notices a missing one.
#[test]
fn without_any_one_sync_a_crash_does_harm() {
    let syncs = all_syncs();
    // Every purpose must occur, so that none escapes this test.
    let purposes: BTreeSet<_> = syncs.iter().map(|(_, at)| *at as usize).collect();
    assert_eq!(purposes, (0..=SyncPoint::Published as usize).collect());
    for without in syncs {
        let begun = Instant::now();
        let (policy, problem) = find_violation(without)
            .unwrap_or_else(|| panic!("{without:?} can be left out and nothing is found"));
        let elapsed = begun.elapsed().as_secs_f64();
        let what = problem.lines().rev().nth(1).unwrap_or(&problem);
        eprintln!("without {without:?}: {policy:?}, {elapsed:.1} s: {what:.150}");
    }
}

/// Every sync call with every purpose that the scripts lead to.
fn all_syncs() -> BTreeSet<(&'static str, SyncPoint)> {
    let mut syncs = BTreeSet::new();
    for capable in [true, false] {
        for policy in [Policy::Plain, Policy::Journaled] {
            let setup = Setup {
                capable,
                ..Setup::new(policy)
            };
            let mut explorer = Explorer::new(setup, Profile::Ordered, 0);
            for script in all() {
                explorer
                    .explore(&script)
                    .unwrap_or_else(|problem| panic!("{problem}"));
            }
            syncs.append(&mut explorer.syncs);
        }
    }
    syncs
}

fn find_violation(without: (&'static str, SyncPoint)) -> Option<(Policy, String)> {
    for depth in [0, 1] {
        for capable in [true, false] {
            for policy in [Policy::Plain, Policy::Journaled] {
                let setup = Setup {
                    policy,
                    without: Some(without),
                    capable,
                };
                let mut explorer = Explorer::new(setup, Profile::Weak, depth);
                let scripts = all().into_iter().chain((0..10).map(random));
                for script in scripts {
                    if let Err(problem) = explorer.explore(&script) {
                        return Some((policy, problem));
                    }
                }
            }
        }
    }
    None
}
