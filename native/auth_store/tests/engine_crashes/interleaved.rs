//! Several processes with engines on one disk, interleaved at every call of the file system. Every
//! run is one of the orders in which processes can meet, and can be repeated.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use auth_store::Error;
use auth_store::engine::{By, Change, Directory, Owner, Policy};
use auth_store::format::Format;
use auth_store::store::{Key, KeyChange, Store};

use crate::script::{AUTH, Setup, fresh_world};
use crate::sim_disk::SimDisk;
use crate::turns::{Killed, Shared, Turns};

/// The events in order. Only the process with the baton adds one.
type Told = Arc<Mutex<Vec<Event>>>;

#[derive(Clone, Debug, PartialEq)]
enum Event {
    Claiming(usize),
    Claimed(usize),
    Acknowledged(usize, usize),
    Fenced(usize, usize),
    Failed(String),
    Killed,
}

/// What the processes do.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Work {
    /// Each process commits its own values, several files at a time.
    Commits,
    /// Each process increments what it reads: two files, which must be equal whenever somebody
    /// reads them.
    Increments,
    /// Each process saves ids that only the manifest knows.
    Irregular,
}

#[derive(Clone, Copy)]
struct Run {
    policy: Policy,
    work: Work,
    processes: usize,
    commits: usize,
    /// The number of processes that are killed at some call.
    deaths: usize,
    /// Whether processes claim the directory before their commits, and check the claim.
    claims: bool,
    /// Whether the first process ignores that it has lost its claim, or that others increment too.
    unchecked: bool,
    locks: bool,
}

const PATIENCE: usize = 2_000;

fn process(run: Run, shared: Shared, told: &Told) {
    shared.turns.clone().wait(shared.me);
    match run.work {
        Work::Commits => commits(run, shared, told),
        Work::Increments => increments(run, shared, told),
        Work::Irregular => irregular(run, shared, told),
    }
}

fn directory(run: Run, shared: Shared) -> Directory<Shared> {
    Directory::with_limits(shared, PathBuf::from(AUTH), run.policy, Setup::limits())
}

fn say(told: &Told, event: Event) {
    told.lock().unwrap().push(event);
}

fn commits(run: Run, shared: Shared, told: &Told) {
    let me = shared.me;
    let auth = directory(run, shared);
    if run.claims && !(run.unchecked && me == 0) {
        say(told, Event::Claiming(me));
        match patiently(|| auth.claim(owner(me))) {
            Ok(()) => say(told, Event::Claimed(me)),
            Err(error) => say(told, Event::Failed(error.to_string())),
        }
    }
    for n in 1..=run.commits {
        let value = format!("{me}:{n}");
        let own = format!("own-{me}");
        let changes: Vec<_> = ["a", "b", own.as_str()]
            .map(|name| put(name, &value))
            .into();
        match patiently(|| auth.commit(&changes)) {
            Ok(()) => say(told, Event::Acknowledged(me, n)),
            Err(Error::NotOwner { .. }) => say(told, Event::Fenced(me, n)),
            Err(error) => say(told, Event::Failed(error.to_string())),
        }
    }
}

fn increments(run: Run, shared: Shared, told: &Told) {
    let me = shared.me;
    let auth = directory(run, shared);
    for _ in 0..run.commits {
        match patiently(|| auth.open()).and_then(|()| patiently(|| increment(run, me, &auth, told)))
        {
            Ok(()) => {}
            Err(error) => say(told, Event::Failed(error.to_string())),
        }
    }
}

fn increment(run: Run, me: usize, auth: &Directory<Shared>, told: &Told) -> auth_store::Result<()> {
    let known = auth.changes()?;
    let read = |name: &str| -> auth_store::Result<usize> {
        let bytes = auth.read(name)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).parse().unwrap_or(0))
    };
    let (a, b) = (read("a")?, read("b")?);
    let next = (a + 1).to_string();
    let by = By::Keeper {
        unless_changed: (!(run.unchecked && me == 0)).then_some(known),
    };
    let changes = [put("a", &next), put("b", &next)];
    auth.commit_by(by, true, &mut &changes[..])?;
    if a != b {
        say(told, Event::Failed(format!("counted on from {a} and {b}")));
    }
    say(told, Event::Acknowledged(me, a + 1));
    Ok(())
}

fn irregular(run: Run, shared: Shared, told: &Told) {
    let me = shared.me;
    let store = Store::new(shared, PathBuf::from(AUTH), format_of(run.policy));
    if let Err(error) = patiently(|| store.open()) {
        return say(told, Event::Failed(error.to_string()));
    }
    for n in 1..=run.commits {
        let id = irregular_id(me, n);
        let change = KeyChange {
            key: irregular_key(&id),
            bytes: Some(id.as_bytes()),
        };
        match patiently(|| store.commit(std::slice::from_ref(&change))) {
            Ok(()) => say(told, Event::Acknowledged(me, n)),
            Err(error) => say(told, Event::Failed(error.to_string())),
        }
    }
}

/// An id whose file name reads as another id of the JSON layout.
fn irregular_id(me: usize, n: usize) -> String {
    format!("{me}/{n}:x")
}

fn irregular_key(id: &str) -> Key<'_> {
    Key::Of {
        family: "session",
        id,
    }
}

fn format_of(policy: Policy) -> Format {
    match policy {
        Policy::Plain => Format::Json,
        Policy::Journaled => Format::Etf,
    }
}

fn put<'a>(name: &'a str, value: &'a str) -> Change<'a> {
    Change {
        name,
        bytes: Some(value.as_bytes()),
    }
}

/// Tries again while another process has the lock, or if another one was faster, as callers do.
fn patiently(run: impl Fn() -> auth_store::Result<()>) -> auth_store::Result<()> {
    for _ in 0..PATIENCE {
        match run() {
            Err(Error::Busy { .. } | Error::Changed { .. }) => {}
            other => return other,
        }
    }
    run()
}

fn owner(me: usize) -> Owner {
    Owner {
        id: format!("{me:032}"),
        node: format!("node-{me}"),
        ..Owner::default()
    }
}

/// Runs one order; an error says what went wrong.
fn explore(run: Run, seed: u64) -> Result<(), String> {
    let setup = Setup::new(run.policy);
    let disk = setup.disk(fresh_world());
    disk.sim().without_locks = !run.locks;
    let told = run_on(run, seed, &disk);
    check(run, &setup, &disk, &told)
}

fn run_on(run: Run, seed: u64, disk: &SimDisk) -> Vec<Event> {
    let turns = Turns::new(run.processes, run.deaths, seed);
    let told = Told::default();
    let threads: Vec<_> = (0..run.processes)
        .map(|me| {
            let shared = Shared {
                disk: disk.clone(),
                turns: turns.clone(),
                me,
            };
            let (told, turns) = (told.clone(), turns.clone());
            std::thread::spawn(move || {
                let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    process(run, shared, &told);
                }));
                if let Err(panic) = done {
                    let event = match panic.downcast_ref() {
                        Some(Killed) => Event::Killed,
                        None => Event::Failed("panicked".to_owned()),
                    };
                    say(&told, event);
                }
                turns.leave(me);
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    std::mem::take(&mut told.lock().unwrap())
}

fn check(run: Run, setup: &Setup, disk: &SimDisk, told: &[Event]) -> Result<(), String> {
    for event in told {
        if let Event::Failed(error) = event {
            return Err(error.clone());
        }
    }
    // There was no crash. This is what a process that comes now is served.
    disk.sim().without_locks = false;
    match run.work {
        Work::Irregular => return check_irregular(run, disk, told),
        Work::Commits => check_owners(run, told)?,
        Work::Increments => {}
    }
    let auth = setup.directory(disk, AUTH);
    auth.open().map_err(|error| error.to_string())?;
    let read = |name: &str| -> Result<Option<String>, String> {
        let bytes = auth.read(name).map_err(|error| error.to_string())?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    };
    let (a, b) = (read("a")?, read("b")?);
    if a != b {
        return Err(format!("torn: {a:?} and {b:?}"));
    }
    match run.work {
        Work::Increments => check_count(run, told, a.as_deref()),
        _ => check_own(run, told, read),
    }
}

fn check_owners(run: Run, told: &[Event]) -> Result<(), String> {
    let (mut owner, mut claiming) = (None, Vec::new());
    for event in told {
        match event {
            Event::Claiming(me) => claiming.push(*me),
            Event::Claimed(me) => {
                claiming.retain(|other| other != me);
                owner = Some(*me);
            }
            Event::Acknowledged(me, n) if run.claims && owner.is_some_and(|owner| owner != *me) => {
                return Err(format!("{me} wrote {n} after {owner:?} had claimed"));
            }
            // A process that was killed while claiming may have taken the directory over without an
            // answer.
            Event::Fenced(me, n) if owner == Some(*me) && claiming.is_empty() => {
                return Err(format!("{me} was refused {n}, and owns the directory"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The acknowledged commits, in order.
fn acknowledged(told: &[Event]) -> impl Iterator<Item = (usize, usize)> {
    told.iter().filter_map(|event| match event {
        Event::Acknowledged(me, n) => Some((*me, *n)),
        _ => None,
    })
}

fn check_own(
    run: Run,
    told: &[Event],
    read: impl Fn(&str) -> Result<Option<String>, String>,
) -> Result<(), String> {
    let last: BTreeMap<_, _> = acknowledged(told).collect();
    for (me, n) in &last {
        let found = read(&format!("own-{me}"))?;
        // A process that was killed may have written one more.
        let most = if *me < run.deaths { n + 1 } else { *n };
        if !(*n..=most).any(|n| found == Some(format!("{me}:{n}"))) {
            return Err(format!("{me} was told of {n}, and finds {found:?}"));
        }
    }
    Ok(())
}

fn check_count(run: Run, told: &[Event], found: Option<&str>) -> Result<(), String> {
    let mut counted: Vec<_> = acknowledged(told).map(|(_, n)| n).collect();
    let last: usize = found.and_then(|text| text.parse().ok()).unwrap_or(0);
    let acknowledged = counted.len();
    counted.sort_unstable();
    counted.dedup();
    if counted.len() < acknowledged {
        return Err(format!("two counted to the same number: {told:?}"));
    }
    if last < acknowledged || last > acknowledged + run.deaths {
        return Err(format!("{acknowledged} counted to {last}"));
    }
    Ok(())
}

fn check_irregular(run: Run, disk: &SimDisk, told: &[Event]) -> Result<(), String> {
    let store = Store::new(disk.clone(), PathBuf::from(AUTH), format_of(run.policy));
    store.open().map_err(|error| error.to_string())?;
    let listed = store.list().map_err(|error| error.to_string())?;
    let listed = listed.get("session").cloned().unwrap_or_default();
    for (me, n) in acknowledged(told) {
        let id = irregular_id(me, n);
        let found = store.load(irregular_key(&id)).ok();
        if found.as_deref() != Some(id.as_bytes()) || !listed.contains(&id) {
            return Err(format!("{me} was told of {id:?}: {found:?} in {listed:?}"));
        }
    }
    Ok(())
}

fn runs(policy: Policy, work: Work) -> Run {
    Run {
        policy,
        work,
        processes: 2,
        commits: 3,
        deaths: 0,
        claims: false,
        unchecked: false,
        locks: true,
    }
}

const BOTH: [Policy; 2] = [Policy::Plain, Policy::Journaled];

/// The default number of orders, multiplied by `INTERLEAVINGS` if that is set.
fn seeds(number: u64) -> std::ops::RangeInclusive<u64> {
    let factor = std::env::var("INTERLEAVINGS").map_or(1, |factor| factor.parse().unwrap());
    1..=number * factor
}

fn explore_all(run: Run, number: u64) {
    for seed in seeds(number) {
        explore(run, seed).unwrap_or_else(|problem| {
            let (policy, work, deaths) = (run.policy, run.work, run.deaths);
            panic!("{policy:?}, {work:?}, {deaths} killed, seed {seed}: {problem}")
        });
    }
}

/// Shows that a test notices what is missing.
fn find_harm(run: Run, missing: &str) {
    let harm = (1..=400).find(|seed| explore(run, *seed).is_err());
    let policy = run.policy;
    assert!(
        harm.is_some(),
        "{policy:?}: nobody notices that {missing} is missing"
    );
}

#[test]
fn no_interleaving_of_processes_loses_or_tears_a_commit() {
    for policy in BOTH {
        for (processes, deaths, number) in [(2, 0, 400), (3, 0, 150), (3, 2, 300)] {
            let run = Run {
                processes,
                deaths,
                ..runs(policy, Work::Commits)
            };
            explore_all(run, number);
        }
    }
}

#[test]
fn no_interleaving_overwrites_unseen_what_another_process_changed() {
    for policy in BOTH {
        for (processes, deaths, number) in [(2, 0, 300), (3, 2, 300)] {
            let run = Run {
                processes,
                deaths,
                ..runs(policy, Work::Increments)
            };
            explore_all(run, number);
        }
    }
}

/// Even a reader that never writes must not be served half of a commit.
#[test]
fn who_looks_after_a_writer_was_killed_reads_whole_commits() {
    for policy in BOTH {
        for seed in seeds(300) {
            let run = Run {
                processes: 1,
                deaths: 1,
                ..runs(policy, Work::Commits)
            };
            let setup = Setup::new(policy);
            let disk = setup.disk(fresh_world());
            let reader = setup.directory(&disk, AUTH);
            reader.commit(&[put("a", "0"), put("b", "0")]).unwrap();
            run_on(run, seed, &disk);
            reader.changes().unwrap();
            let (a, b) = (reader.read("a").unwrap(), reader.read("b").unwrap());
            assert_eq!(a, b, "{policy:?}, seed {seed}");
        }
    }
}

#[test]
fn no_interleaving_loses_a_key_that_only_the_manifest_knows() {
    for policy in BOTH {
        for (processes, deaths) in [(2, 0), (3, 2)] {
            let run = Run {
                processes,
                deaths,
                ..runs(policy, Work::Irregular)
            };
            explore_all(run, 150);
        }
    }
}

#[test]
fn no_interleaving_lets_a_fenced_owner_write() {
    for policy in BOTH {
        for deaths in [0, 1] {
            let run = Run {
                claims: true,
                deaths,
                ..runs(policy, Work::Commits)
            };
            explore_all(run, 400);
        }
    }
}

#[test]
fn without_the_lock_an_interleaving_does_harm() {
    for policy in BOTH {
        for work in [Work::Commits, Work::Increments, Work::Irregular] {
            let run = Run {
                locks: false,
                ..runs(policy, work)
            };
            find_harm(run, "the lock");
        }
    }
}

#[test]
fn without_the_check_of_the_claim_an_old_owner_writes_on() {
    for policy in BOTH {
        let run = Run {
            claims: true,
            unchecked: true,
            ..runs(policy, Work::Commits)
        };
        find_harm(run, "the check of the claim");
    }
}

#[test]
fn without_the_look_at_the_turn_a_change_is_overwritten_unseen() {
    for policy in BOTH {
        let run = Run {
            unchecked: true,
            ..runs(policy, Work::Increments)
        };
        find_harm(run, "the look at the turn");
    }
}
