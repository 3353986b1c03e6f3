//! Engines of several processes on one disk, interleaved at every call of the file system.
//!
//! Each engine runs in a thread of its own and makes a call only when it has the baton; a seed decides
//! who gets it next. So every run is one of the orders in which processes can meet, and can be
//! repeated.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};

use auth_store::Error;
use auth_store::engine::{Change, Directory, Disk, Kind, Metadata, Owner, Policy, SyncPoint};

use crate::script::{AUTH, Setup, fresh_world};
use crate::sim::{SimDisk, SimFile, mix};

struct Baton {
    holder: usize,
    live: Vec<bool>,
    seed: u64,
}

/// Hands the baton from one thread to the next.
#[derive(Clone)]
struct Turns(Arc<(Mutex<Baton>, Condvar)>);

impl Turns {
    fn new(threads: usize, seed: u64) -> Self {
        let live = vec![true; threads];
        let holder = 0;
        let baton = Baton { holder, live, seed };
        Turns(Arc::new((Mutex::new(baton), Condvar::new())))
    }

    fn wait(&self, me: usize) {
        let (baton, changed) = &*self.0;
        let mut baton = baton.lock().unwrap();
        while baton.holder != me {
            baton = changed.wait(baton).unwrap();
        }
    }

    fn pass_on(&self) {
        let (baton, changed) = &*self.0;
        let mut baton = baton.lock().unwrap();
        baton.seed = mix(baton.seed);
        let live: Vec<usize> = (0..baton.live.len()).filter(|n| baton.live[*n]).collect();
        if !live.is_empty() {
            baton.holder = live[baton.seed as usize % live.len()];
        }
        changed.notify_all();
    }

    fn step(&self, me: usize) {
        self.pass_on();
        self.wait(me);
    }

    fn leave(&self, me: usize) {
        self.0.0.lock().unwrap().live[me] = false;
        self.pass_on();
    }
}

/// The disk as one of the processes sees it.
#[derive(Clone)]
struct Shared {
    disk: SimDisk,
    turns: Turns,
    me: usize,
}

impl Shared {
    fn turn(&self) -> &SimDisk {
        self.turns.step(self.me);
        &self.disk
    }
}

impl Disk for Shared {
    type File = SimFile;

    fn open_read(&self, path: &Path) -> io::Result<SimFile> {
        self.turn().open_read(path)
    }
    fn open_write(&self, path: &Path) -> io::Result<SimFile> {
        self.turn().open_write(path)
    }
    fn create(&self, path: &Path) -> io::Result<SimFile> {
        self.turn().create(path)
    }
    fn open_or_create(&self, path: &Path) -> io::Result<SimFile> {
        self.turn().open_or_create(path)
    }
    fn try_lock(&self, file: &SimFile) -> io::Result<bool> {
        self.turn().try_lock(file)
    }
    fn file_metadata(&self, file: &SimFile) -> io::Result<Metadata> {
        self.turn().file_metadata(file)
    }
    fn read_at(&self, file: &SimFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.turn().read_at(file, buffer, offset)
    }
    fn write_at(&self, file: &SimFile, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.turn().write_at(file, bytes, offset)
    }
    fn truncate(&self, file: &SimFile, size: u64) -> io::Result<()> {
        self.turn().truncate(file, size)
    }
    fn sync_data(&self, file: &SimFile, at: SyncPoint) -> io::Result<()> {
        self.turn().sync_data(file, at)
    }
    fn sync_file(&self, file: &SimFile, at: SyncPoint) -> io::Result<()> {
        self.turn().sync_file(file, at)
    }
    fn sync_directory(&self, path: &Path, at: SyncPoint) -> io::Result<()> {
        // Whoever does not heed the lock may have removed it.
        let disk = self.turn();
        disk.metadata(path)?;
        disk.sync_directory(path, at)
    }
    fn filesystem(&self, path: &Path) -> io::Result<Option<SimFile>> {
        self.turn().filesystem(path)
    }
    fn sync_filesystem(&self, filesystem: &SimFile, at: SyncPoint) -> io::Result<()> {
        self.turn().sync_filesystem(filesystem, at)
    }
    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.turn().metadata(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.turn().rename(from, to)
    }
    fn exchange(&self, one: &Path, other: &Path) -> io::Result<()> {
        self.turn().exchange(one, other)
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.turn().link(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.turn().remove_file(path)
    }
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.turn().create_directory(path)
    }
    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.turn().remove_directory(path)
    }
    fn entries(&self, path: &Path, each: &mut dyn FnMut(&OsStr, Kind)) -> io::Result<()> {
        self.turn().entries(path, each)
    }
    fn random(&self) -> io::Result<u64> {
        self.turn().random()
    }
}

/// What was answered, in the order in which it was: only who has the baton writes.
type Told = Arc<Mutex<Vec<Event>>>;

#[derive(Clone, Debug, PartialEq)]
enum Event {
    Claimed(usize),
    Acknowledged(usize, usize),
    Fenced(usize, usize),
    Failed(String),
}

#[derive(Clone, Copy)]
struct Run {
    policy: Policy,
    processes: usize,
    commits: usize,
    /// Claim before the commits, and check it.
    claims: bool,
    /// The first process does not heed that it has lost its claim.
    unchecked: bool,
    locks: bool,
}

const PATIENCE: usize = 2_000;

fn process(run: Run, shared: Shared, told: Told) {
    let me = shared.me;
    let turns = shared.turns.clone();
    turns.wait(me);
    let auth = Directory::with_limits(shared, PathBuf::from(AUTH), run.policy, Setup::limits());
    let say = |event| told.lock().unwrap().push(event);
    if run.claims && !(run.unchecked && me == 0) {
        match patiently(|| auth.claim(owner(me))) {
            Ok(()) => say(Event::Claimed(me)),
            Err(error) => say(Event::Failed(error.to_string())),
        }
    }
    for n in 1..=run.commits {
        let value = format!("{me}:{n}");
        let own = format!("own-{me}");
        let changes: Vec<_> = ["a", "b", own.as_str()]
            .map(|name| Change {
                name,
                bytes: Some(value.as_bytes()),
            })
            .into();
        match patiently(|| auth.commit(&changes)) {
            Ok(()) => say(Event::Acknowledged(me, n)),
            Err(Error::NotOwner { .. }) => say(Event::Fenced(me, n)),
            Err(error) => say(Event::Failed(error.to_string())),
        }
    }
    turns.leave(me);
}

/// Tries again while another process has the lock, as callers do.
fn patiently(run: impl Fn() -> auth_store::Result<()>) -> auth_store::Result<()> {
    for _ in 0..PATIENCE {
        match run() {
            Err(Error::Busy { .. }) => {}
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

/// What went wrong, if anything did.
fn explore(run: Run, seed: u64) -> Result<(), String> {
    let setup = Setup::new(run.policy);
    let disk = setup.disk(fresh_world());
    disk.sim().without_locks = !run.locks;
    let turns = Turns::new(run.processes, seed);
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
                    process(run, shared, told.clone());
                }));
                if done.is_err() {
                    told.lock()
                        .unwrap()
                        .push(Event::Failed("panicked".to_owned()));
                    turns.leave(me);
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    check(run, &setup, &disk, &told.lock().unwrap())
}

fn check(run: Run, setup: &Setup, disk: &SimDisk, told: &[Event]) -> Result<(), String> {
    let mut last: BTreeMap<usize, usize> = BTreeMap::new();
    let mut owner = None;
    for event in told {
        match event {
            Event::Claimed(me) => owner = Some(*me),
            Event::Acknowledged(me, n) => {
                if run.claims && owner.is_some_and(|owner| owner != *me) {
                    return Err(format!("{me} wrote {n} after {owner:?} had claimed"));
                }
                last.insert(*me, *n);
            }
            Event::Fenced(me, n) => {
                if owner == Some(*me) {
                    return Err(format!("{me} was refused {n}, and owns the directory"));
                }
            }
            Event::Failed(error) => return Err(error.clone()),
        }
    }
    // The world without a crash: what a process that comes now is served.
    disk.sim().without_locks = false;
    let auth = setup.directory(disk, AUTH);
    auth.open().map_err(|error| error.to_string())?;
    let read = |name: &str| -> Result<Option<String>, String> {
        let bytes = auth.read(name).map_err(|error| error.to_string())?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    };
    for (me, n) in &last {
        let found = read(&format!("own-{me}"))?;
        if found != Some(format!("{me}:{n}")) {
            return Err(format!("{me} was told of {n}, and finds {found:?}"));
        }
    }
    let (a, b) = (read("a")?, read("b")?);
    if a != b {
        return Err(format!("torn: {a:?} and {b:?}"));
    }
    Ok(())
}

fn runs(policy: Policy) -> Run {
    Run {
        policy,
        processes: 2,
        commits: 3,
        claims: false,
        unchecked: false,
        locks: true,
    }
}

const BOTH: [Policy; 2] = [Policy::Plain, Policy::Journaled];

#[test]
fn no_interleaving_of_processes_loses_or_tears_a_commit() {
    for policy in BOTH {
        for (processes, seeds) in [(2, 400), (3, 150)] {
            let run = Run {
                processes,
                ..runs(policy)
            };
            for seed in 1..=seeds {
                explore(run, seed).unwrap_or_else(|problem| {
                    panic!("{policy:?}, {processes} processes, seed {seed}: {problem}")
                });
            }
        }
    }
}

#[test]
fn no_interleaving_lets_a_fenced_owner_write() {
    for policy in BOTH {
        let run = Run {
            claims: true,
            ..runs(policy)
        };
        for seed in 1..=400 {
            explore(run, seed)
                .unwrap_or_else(|problem| panic!("{policy:?}, seed {seed}: {problem}"));
        }
    }
}

/// The test of the test.
#[test]
fn without_the_lock_an_interleaving_does_harm() {
    for policy in BOTH {
        let run = Run {
            locks: false,
            ..runs(policy)
        };
        let harm = (1..=400).find(|seed| explore(run, *seed).is_err());
        assert!(
            harm.is_some(),
            "{policy:?}: nobody notices that the lock is missing"
        );
    }
}

/// Likewise.
#[test]
fn without_the_check_of_the_claim_an_old_owner_writes_on() {
    for policy in BOTH {
        let run = Run {
            claims: true,
            unchecked: true,
            ..runs(policy)
        };
        let harm = (1..=400).find(|seed| explore(run, *seed).is_err());
        assert!(
            harm.is_some(),
            "{policy:?}: nobody notices that the check is missing"
        );
    }
}
