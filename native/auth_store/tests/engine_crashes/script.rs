//! What a process does to a directory, and the states that the directory goes through.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use auth_store::engine::{
    Change, CopyError, Directory, Disk, Limits, Policy, Staging, SyncPoint, sweep_staging,
};
use auth_store::{Error, Result};

use crate::sim::{Mark, Moment, mix};
use crate::sim_disk::SimDisk;
use crate::world::World;

pub const AUTH: &str = "/data/deep/auth";
pub const COPY: &str = "/data/deep/copy";
pub const ASIDE: &str = "/data/kept/aside";

pub type State = BTreeMap<String, Vec<u8>>;

#[derive(Clone, Debug)]
pub enum Step {
    /// Names with the size of their new value; `None` deletes.
    Commit(Vec<(&'static str, Option<usize>)>),
    Checkpoint,
    /// Another process takes over.
    Restart,
    Snapshot,
    /// The snapshot replaces the content of the directory, which is kept aside. At most once in a
    /// script.
    Restore,
    /// New content replaces that of the directory, as in a migration.
    Replace(Vec<(&'static str, usize)>),
}

#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub policy: Policy,
    /// A sync that does nothing: its call and its purpose.
    pub without: Option<(&'static str, SyncPoint)>,
    /// Whether the file system can be synced as a whole and has hard links.
    pub capable: bool,
}

impl Setup {
    pub fn new(policy: Policy) -> Self {
        Setup {
            policy,
            without: None,
            capable: true,
        }
    }

    /// So small that three commits fill a journal, and that three files count as many.
    pub fn limits() -> Limits {
        Limits {
            checkpoint: 150,
            chunk: 128,
            together: 3,
            held: u64::MAX,
            // One thread, so that every run meets the same states in the same order.
            threads: 1,
        }
    }

    pub fn disk(&self, world: World) -> SimDisk {
        let disk = SimDisk::new(world);
        let mut sim = disk.sim();
        sim.without = self.without;
        sim.no_syncfs = !self.capable;
        sim.no_links = !self.capable;
        drop(sim);
        disk
    }

    pub fn directory(&self, disk: &SimDisk, path: &str) -> Directory<SimDisk> {
        Directory::with_limits(
            disk.clone(),
            PathBuf::from(path),
            self.policy,
            Self::limits(),
        )
    }
}

/// A durable, empty `/data`.
pub fn fresh_world() -> World {
    let disk = SimDisk::new(World::new());
    disk.create_directory(Path::new("/data")).unwrap();
    disk.sync_directory(Path::new("/"), SyncPoint::Published)
        .unwrap();
    disk.world()
}

/// A process at work, and the states that it may be held to.
pub struct Process {
    setup: Setup,
    pub disk: SimDisk,
    pub auth: Directory<SimDisk>,
    /// The content of the directory after each commit.
    pub states: Vec<State>,
    /// The possible contents of the snapshot's target.
    pub targets: Vec<Option<State>>,
    pub aside: Option<Aside>,
    /// Whether the last failure concerned the snapshot that was to be restored.
    pub failed_in_copy: bool,
    step: usize,
}

/// The copy that was set aside, and the state of the directory from which on it must exist.
#[derive(Clone)]
pub struct Aside {
    pub state: State,
    pub needed_from: usize,
}

impl Process {
    pub fn new(setup: Setup, world: World, state: State) -> Self {
        let disk = setup.disk(world);
        let auth = setup.directory(&disk, AUTH);
        Process {
            setup,
            disk,
            auth,
            states: vec![state],
            targets: vec![None],
            aside: None,
            failed_in_copy: false,
            step: 0,
        }
    }

    pub fn run(&mut self, step: &Step) -> Result<()> {
        self.step += 1;
        match step {
            Step::Commit(changes) => self.commit(changes),
            Step::Checkpoint => self.auth.checkpoint(),
            Step::Restart => {
                self.auth = self.setup.directory(&self.disk, AUTH);
                self.auth.open()
            }
            Step::Snapshot => self.snapshot(),
            Step::Restore => self.restore(),
            Step::Replace(files) => self.replace(files),
        }
    }

    pub fn last(&self) -> &State {
        self.states.last().unwrap()
    }

    fn commit(&mut self, changes: &[(&'static str, Option<usize>)]) -> Result<()> {
        let values: Vec<_> = changes
            .iter()
            .map(|(name, size)| (*name, size.map(|size| value(name, self.step, size))))
            .collect();
        let mut state = self.last().clone();
        for (name, bytes) in &values {
            match bytes {
                Some(bytes) => state.insert((*name).to_owned(), bytes.clone()),
                None => state.remove(*name),
            };
        }
        self.start(state);
        let changes: Vec<_> = values
            .iter()
            .map(|(name, bytes)| Change {
                name,
                bytes: bytes.as_deref(),
            })
            .collect();
        self.auth.commit(&changes)?;
        self.acknowledge();
        Ok(())
    }

    fn replace(&mut self, files: &[(&'static str, usize)]) -> Result<()> {
        let state: State = files
            .iter()
            .map(|(name, size)| ((*name).to_owned(), value(name, self.step, *size)))
            .collect();
        self.start(state.clone());
        sweep_staging(&self.disk, Path::new(AUTH))?;
        let mut staging =
            Staging::with_limits(self.disk.clone(), Path::new(AUTH), Setup::limits())?;
        for (name, bytes) in &state {
            staging.write(name, bytes)?;
        }
        staging.publish(true)?;
        self.acknowledge();
        Ok(())
    }

    fn snapshot(&mut self) -> Result<()> {
        if self.disk.world().lookup(AUTH).is_none() {
            return Ok(());
        }
        self.targets.push(Some(self.last().clone()));
        self.disk.sim().target.started += 1;
        sweep_staging(&self.disk, Path::new(COPY))?;
        self.auth
            .snapshot(Path::new(COPY), true)
            .map_err(CopyError::into_error)?;
        let mut sim = self.disk.sim();
        sim.target.acknowledged = sim.target.started;
        sim.record();
        Ok(())
    }

    fn restore(&mut self) -> Result<()> {
        let world = self.disk.world();
        let Some(Some(copied)) = self.targets.last().cloned() else {
            return Ok(());
        };
        if world.lookup(COPY).is_none() || world.lookup(ASIDE).is_some() {
            return Ok(());
        }
        self.aside = Some(Aside {
            state: self.last().clone(),
            needed_from: self.states.len(),
        });
        self.start(copied);
        let copy = self.setup.directory(&self.disk, COPY);
        let restored = copy
            .open()
            .map_err(CopyError::Source)
            .and_then(|()| copy.restore(Path::new(AUTH), Path::new(ASIDE)));
        self.failed_in_copy = matches!(restored, Err(CopyError::Source(_)));
        let kept = restored.map_err(|error| {
            check_side(&error);
            error.into_error()
        })?;
        assert!(kept, "nothing was set aside");
        self.acknowledge();
        Ok(())
    }

    fn start(&mut self, state: State) {
        self.states.push(state);
        self.disk.sim().mark.started = self.states.len() - 1;
    }

    fn acknowledge(&mut self) {
        let mut sim = self.disk.sim();
        sim.mark.acknowledged = sim.mark.started;
        sim.record();
    }

    /// Starts counting from this state, with these possible contents of the copy.
    pub fn begin(&mut self, state: &State, targets: Vec<Option<State>>, recording: bool) {
        self.states = vec![state.clone()];
        self.targets = targets;
        // The copy is whole if it exists, but its name may not be durable.
        let is_there = self.disk.world().lookup(ASIDE).is_some();
        self.aside = self.aside.take().filter(|_| is_there).map(|aside| Aside {
            needed_from: usize::MAX,
            ..aside
        });
        let mut sim = self.disk.sim();
        sim.mark = Mark::default();
        sim.target = Mark {
            acknowledged: 0,
            started: self.targets.len() - 1,
        };
        sim.moments.clear();
        sim.recording = recording;
        sim.record();
    }

    pub fn moments(&self) -> Vec<Moment> {
        std::mem::take(&mut self.disk.sim().moments)
    }
}

/// Checks that the type of an error fits the directory of its path. The parent of two directories
/// may belong to either.
fn check_side(error: &CopyError) {
    let of_side = match error {
        CopyError::Source(Error::Io { path, .. }) => {
            path == Path::new("/data/deep") || path.starts_with(COPY)
        }
        CopyError::Target(Error::Io { path, .. }) => {
            path.starts_with("/data/deep") && !path.starts_with(COPY)
        }
        CopyError::Aside(Error::Io { path, .. }) => !path.starts_with("/data/deep"),
        _ => true,
    };
    assert!(of_side, "{error}");
}

/// A value that shows the name and the step, so that nothing torn or old can pass for it.
pub fn value(name: &str, step: usize, size: usize) -> Vec<u8> {
    format!("<{name}:{step}>")
        .bytes()
        .cycle()
        .take(size)
        .collect()
}

/// Everything that a directory serves.
pub fn read_all(auth: &Directory<SimDisk>) -> Result<State> {
    let mut names = Vec::new();
    auth.list(&mut |name| names.push(name.to_owned()))?;
    let mut state = State::new();
    for name in names {
        if let Some(bytes) = auth.read(&name)? {
            state.insert(name, bytes);
        }
    }
    Ok(state)
}

/// Scripts that take every path through the engine at least once.
pub fn chosen() -> Vec<Vec<Step>> {
    use Step::{Checkpoint, Commit, Replace, Restart, Snapshot};
    let put = |name, size| Commit(vec![(name, Some(size))]);
    let delete = |name| Commit(vec![(name, None)]);
    vec![
        vec![put("a", 5), put("a", 70), put("a", 20)],
        vec![put("a", 40), delete("a"), put("a", 8)],
        vec![
            put("a", 0),
            put("b", 33),
            Commit(vec![("a", None), ("b", None)]),
        ],
        vec![
            Commit(vec![("a", Some(10)), ("b", Some(40))]),
            Commit(vec![("a", Some(50)), ("b", None), ("c", Some(9))]),
        ],
        vec![put("a", 60), put("b", 60), put("a", 10), put("c", 30)],
        vec![put("a", 30), Checkpoint, put("a", 50), Checkpoint],
        vec![put("a", 20), Restart, put("b", 20), Restart, delete("a")],
        vec![
            Commit(vec![("a", Some(40)), ("b", Some(40)), ("c", Some(40))]),
            Checkpoint,
            Commit(vec![("a", None), ("b", None), ("c", None)]),
        ],
        vec![put("a", 20), Snapshot, put("a", 40), Snapshot],
        vec![
            Commit(vec![("a", Some(9)), ("b", Some(40)), ("c", Some(3))]),
            Snapshot,
            delete("b"),
        ],
        vec![
            put("a", 20),
            put("b", 20),
            Replace(vec![("a", 30), ("c", 5)]),
            put("a", 7),
        ],
        vec![
            Replace(vec![("a", 10), ("b", 10), ("c", 50)]),
            put("b", 40),
            Restart,
        ],
        // If the record of the publication came back, it would remove what was saved since.
        vec![
            Commit(vec![("a", Some(20)), ("b", Some(40))]),
            Replace(vec![("a", 30)]),
            put("b", 7),
            put("a", 3),
        ],
    ]
}

/// Scripts with a restore, which takes so many calls that its recovery is interrupted only once.
pub fn restores() -> Vec<Vec<Step>> {
    use Step::{Commit, Restart, Restore, Snapshot};
    let put = |name, size| Commit(vec![(name, Some(size))]);
    vec![
        vec![
            Commit(vec![("a", Some(20)), ("b", Some(40))]),
            Snapshot,
            Commit(vec![("a", Some(50)), ("c", Some(9))]),
            Restore,
            put("b", 7),
        ],
        vec![put("a", 20), Snapshot, put("a", 40), Restore, Restart],
    ]
}

/// Scripts of both kinds.
pub fn all() -> Vec<Vec<Step>> {
    [chosen(), restores()].concat()
}

/// Up to three changes of up to three keys, with something in between.
pub fn random(seed: u64) -> Vec<Step> {
    let mut state = seed;
    let mut pick = |below: u64| {
        state = state.wrapping_add(1);
        mix(mix(seed) ^ mix(state)) % below
    };
    let size = |pick: &mut dyn FnMut(u64) -> u64| [1, 12, 31, 45, 70][pick(5) as usize];
    let mut steps = Vec::new();
    for _ in 0..=pick(3) {
        if pick(10) == 0 {
            let files = ["a", "b"]
                .into_iter()
                .map(|name| (name, size(&mut pick)))
                .collect();
            steps.push(Step::Replace(files));
        } else {
            let mut changes = Vec::new();
            for name in ["a", "b", "c"] {
                match pick(4) {
                    0 => changes.push((name, None)),
                    1 | 2 => changes.push((name, Some(size(&mut pick)))),
                    _ => {}
                }
            }
            if pick(3) == 0 {
                changes.truncate(1);
            }
            steps.push(Step::Commit(changes));
        }
        match pick(8) {
            0 => steps.push(Step::Checkpoint),
            1 => steps.push(Step::Restart),
            2 => steps.push(Step::Snapshot),
            _ => {}
        }
    }
    steps
}
