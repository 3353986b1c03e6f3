//! Two processes own one directory in turn, under a lock that is released when its holder dies.

use auth_store::engine::{Directory, Policy};

use crate::explorer::{Expect, Explorer};
use crate::images::Profile;
use crate::script::{AUTH, Process, Setup, State, Step, all, fresh_world, read_all};
use crate::sim::{Fault, FaultPlan};
use crate::sim_disk::SimDisk;

/// The survivor has opened the directory and committed before the other process did, so the journal
/// that it remembers is out of date.
#[test]
fn a_process_goes_on_where_another_was_killed_in_the_middle_of_a_commit() {
    for policy in [Policy::Plain, Policy::Journaled] {
        let setup = Setup::new(policy);
        let mut explorer = Explorer::new(setup, Profile::Weak, 0);
        let mut deaths = 0;
        for script in all() {
            for at in 0.. {
                let died =
                    die_and_go_on(setup, &script, at, &mut explorer).unwrap_or_else(|problem| {
                        panic!("{policy:?}, {script:?}, call {at}: {problem}")
                    });
                if !died {
                    break;
                }
                deaths += 1;
            }
        }
        eprintln!("{policy:?}: survived {deaths} deaths of another owner");
        assert!(deaths > 100);
    }
}

fn die_and_go_on(
    setup: Setup,
    script: &[Step],
    at: usize,
    explorer: &mut Explorer,
) -> Result<bool, String> {
    let mut process = Process::new(setup, fresh_world(), State::new());
    let first = Step::Commit(vec![("z", Some(10))]);
    process.run(&first).map_err(|error| error.to_string())?;
    let survivor = std::mem::replace(&mut process.auth, setup.directory(&process.disk, AUTH));

    let begun = process.disk.sim().calls;
    process.disk.sim().plan = Some(FaultPlan {
        at: begun + at,
        fault: Fault::Dead,
        for_good: true,
    });
    let died = script.iter().any(|step| process.run(step).is_err());
    process.disk.sim().plan = None;

    go_on(&mut process, survivor, explorer)?;
    Ok(died)
}

fn go_on(
    process: &mut Process,
    survivor: Directory<SimDisk>,
    explorer: &mut Explorer,
) -> Result<(), String> {
    // The same key as in the interrupted commit, so that an old journal would undo it.
    let mark = process.disk.sim().mark;
    let allowed = process.states[mark.acknowledged..=mark.started].to_vec();
    process.auth = survivor;
    let change = Step::Commit(vec![("a", Some(18))]);
    process.disk.sim().recording = true;
    process
        .run(&change)
        .map_err(|error| format!("the survivor's commit: {error}"))?;
    let served = read_all(&process.auth).map_err(|error| error.to_string())?;
    let value = process.last()["a"].clone();
    let whole = allowed.into_iter().any(|mut state| {
        state.insert("a".to_owned(), value.clone());
        state == served
    });
    if !whole {
        return Err(format!("the survivor serves {:?}", served.keys()));
    }
    let targets = process.targets.clone();
    process.begin(&served, targets, true);
    explorer.crash(&Expect::of(process), &process.moments(), 1, true)
}
