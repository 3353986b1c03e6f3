//! The claim of a directory is as durable and as whole as a commit, and commits beside it lose
//! nothing.

use auth_store::engine::{Owner, Policy, SyncPoint};

use crate::images::{Effort, Profile, images};
use crate::script::{AUTH, Process, Setup, State, Step, fresh_world, read_all};

const EFFORT: Effort = Effort {
    all_subsets: 12,
    pairs: true,
    samples: 10,
};

const NEW: &str = "00000000000000000000000000000002";
const OLD: &str = "00000000000000000000000000000001";

fn owner(id: &str) -> Owner {
    Owner {
        id: id.to_owned(),
        node: "a@b".to_owned(),
        ..Owner::default()
    }
}

/// Crashes at every moment of a claim and a release, and checks that one of the owners who are
/// allowed at that moment is found. Returns the number of images.
fn crash_everywhere(setup: Setup, profile: Profile) -> Result<usize, String> {
    let mut process = Process::new(setup, fresh_world(), State::new());
    let fail = |error: auth_store::Error| error.to_string();
    process.auth.claim(owner(OLD)).map_err(fail)?;
    process
        .run(&Step::Commit(vec![("a", Some(20))]))
        .map_err(fail)?;
    let state = process.last().clone();
    process.disk.sim().recording = true;
    process.disk.sim().moments.clear();
    let steps: [(&str, &[Option<&str>]); 3] = [
        ("claim", &[Some(OLD), Some(NEW)]),
        ("release", &[Some(NEW), None]),
        ("claim again", &[None, Some(OLD)]),
    ];
    let mut visited = 0;
    for (step, allowed) in steps {
        match step {
            "claim" => process.auth.claim(owner(NEW)),
            "release" => process.auth.release(NEW),
            _ => process.auth.claim(owner(OLD)),
        }
        .map_err(fail)?;
        process.disk.sim().record();
        let moments = process.moments();
        let last = moments.len() - 1;
        for (at, moment) in moments.iter().enumerate() {
            // The last moment is after the answer.
            let allowed = if at == last { &allowed[1..] } else { allowed };
            for (image, _) in images(&moment.world, None, profile, EFFORT) {
                visited += 1;
                check(setup, image, allowed, &state)
                    .map_err(|problem| format!("{step}, moment {at} of {last}: {problem}"))?;
            }
        }
    }
    Ok(visited)
}

fn check(
    setup: Setup,
    image: crate::world::World,
    allowed: &[Option<&str>],
    state: &State,
) -> Result<(), String> {
    let disk = Setup {
        without: None,
        ..setup
    }
    .disk(image);
    let auth = setup.directory(&disk, AUTH);
    auth.open().map_err(|error| error.to_string())?;
    let found = auth.owner().map_err(|error| error.to_string())?;
    let found = found.map(|owner| owner.id);
    if !allowed.contains(&found.as_deref()) {
        return Err(format!("owned by {found:?}, not by one of {allowed:?}"));
    }
    if &read_all(&auth).map_err(|error| error.to_string())? != state {
        return Err("the keys are others".to_owned());
    }
    // The next claim gets a higher counter, and it works.
    auth.claim(owner("3")).map_err(|error| error.to_string())
}

#[test]
fn a_crash_leaves_the_old_claim_or_the_new_one() {
    for policy in [Policy::Plain, Policy::Journaled] {
        for profile in [Profile::Weak, Profile::Ordered] {
            let visited = crash_everywhere(Setup::new(policy), profile)
                .unwrap_or_else(|problem| panic!("{policy:?}: {problem}"));
            assert!(visited > 20, "{visited}");
        }
    }
}

/// Shows that the exploration notices a missing sync.
#[test]
fn without_a_sync_of_the_claim_a_crash_does_harm() {
    for without in [
        ("fsync", SyncPoint::ClaimFile),
        ("fsync dir", SyncPoint::ClaimName),
    ] {
        let setup = Setup {
            without: Some(without),
            ..Setup::new(Policy::Journaled)
        };
        assert!(
            crash_everywhere(setup, Profile::Weak).is_err(),
            "{without:?} can be left out"
        );
    }
}
