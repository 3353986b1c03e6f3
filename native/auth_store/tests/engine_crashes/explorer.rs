//! Visits every state that a crash can leave, and crashes again during the recovery.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use auth_store::engine::{JOURNAL, PUBLICATION, Policy, SyncPoint, sweep_staging};

use crate::images::{Effort, Profile, hash, images};
use crate::script::{ASIDE, AUTH, Aside, COPY, Process, Setup, State, Step, fresh_world, read_all};
use crate::sim::{Mark, Moment};
use crate::sim_disk::SimDisk;
use crate::world::World;

/// The effort for crashes of the script, of a recovery, and of a recovery's recovery.
const EFFORTS: [Effort; 3] = [
    Effort {
        all_subsets: 8,
        pairs: true,
        samples: 24,
    },
    Effort {
        all_subsets: 5,
        pairs: false,
        samples: 6,
    },
    Effort {
        all_subsets: 3,
        pairs: false,
        samples: 2,
    },
];

/// The states that may be found: from the last acknowledged to the last started commit.
#[derive(Clone)]
pub struct Expect {
    states: Arc<Vec<State>>,
    mark: Mark,
    targets: Arc<Vec<Option<State>>>,
    target: Mark,
    aside: Option<Aside>,
}

impl Expect {
    pub fn of(process: &Process) -> Self {
        Expect {
            states: Arc::new(process.states.clone()),
            mark: Mark::default(),
            targets: Arc::new(process.targets.clone()),
            target: Mark::default(),
            aside: process.aside.clone(),
        }
    }

    /// Allows only what was found before. A copy that was set aside may be visible without being
    /// durable.
    fn only(recovered: &Recovered, aside_is_durable: bool) -> Self {
        let aside = recovered.aside.as_deref().map(|state| Aside {
            state: state.clone(),
            needed_from: if aside_is_durable { 0 } else { usize::MAX },
        });
        Expect {
            states: Arc::new(vec![recovered.state.as_ref().clone()]),
            mark: Mark::default(),
            targets: Arc::new(vec![recovered.target.as_deref().cloned()]),
            target: Mark::default(),
            aside,
        }
    }

    fn at(&self, moment: &Moment) -> Self {
        Expect {
            mark: moment.mark,
            target: moment.target,
            ..self.clone()
        }
    }

    fn allowed(&self) -> &[State] {
        &self.states[self.mark.acknowledged..=self.mark.started]
    }

    fn check(&self, recovered: &Recovered) -> Check {
        if !self.allowed().contains(&recovered.state) {
            let allowed: Vec<_> = self.allowed().iter().map(show).collect();
            return Err(format!(
                "{} is served, not one of {allowed:?}",
                show(&recovered.state)
            ));
        }
        let targets = &self.targets[self.target.acknowledged..=self.target.started];
        if !targets
            .iter()
            .any(|target| target.as_ref() == recovered.target.as_deref())
        {
            let target = recovered.target.as_deref().map(show);
            return Err(format!("the copy is {target:?}"));
        }
        self.check_aside(recovered)
    }

    /// A copy that was set aside is whole if it exists, and it exists if the directory has its new
    /// content.
    fn check_aside(&self, recovered: &Recovered) -> Check {
        match (&self.aside, recovered.aside.as_deref()) {
            (None, None) => Ok(()),
            (Some(aside), Some(found)) if *found == aside.state => Ok(()),
            (_, Some(found)) => Err(format!("set aside is {}", show(found))),
            (Some(_), None) if self.needs_aside(&recovered.state) => {
                Err("what the directory held is nowhere".to_owned())
            }
            (Some(_), None) => Ok(()),
        }
    }

    fn needs_aside(&self, state: &State) -> bool {
        let Some(aside) = &self.aside else {
            return false;
        };
        let old = self.mark.acknowledged..aside.needed_from.min(self.mark.started + 1);
        !self.states.get(old).is_some_and(|old| old.contains(state))
    }
}

pub struct Explorer {
    setup: Setup,
    profile: Profile,
    /// How many times a recovery is interrupted by a crash and started again.
    depth: usize,
    /// Every image that was recovered, with the result.
    visited: HashMap<u64, Recovered>,
    /// Opened directories from which the next commit was interrupted.
    probed: HashSet<(u64, bool, usize)>,
    pub recoveries: usize,
    /// All kinds of syncs that were called.
    pub syncs: BTreeSet<(&'static str, SyncPoint)>,
}

/// The result of recovering an image, which is the same however many times the recovery is
/// interrupted.
#[derive(Clone)]
struct Recovered {
    state: Arc<State>,
    target: Option<Arc<State>>,
    aside: Option<Arc<State>>,
    depth: usize,
}

type Check = Result<(), String>;

impl Explorer {
    pub fn new(setup: Setup, profile: Profile, depth: usize) -> Self {
        Explorer {
            setup,
            profile,
            depth,
            visited: HashMap::new(),
            probed: HashSet::new(),
            recoveries: 0,
            syncs: BTreeSet::new(),
        }
    }

    /// The number of distinct images that were recovered.
    pub fn states(&self) -> usize {
        self.visited.len()
    }

    /// Crashes at every moment of the script.
    pub fn explore(&mut self, script: &[Step]) -> Check {
        let mut process = Process::new(self.setup, fresh_world(), State::new());
        process.disk.sim().recording = true;
        process.auth.open().map_err(|error| error.to_string())?;
        for step in script {
            process
                .run(step)
                .map_err(|error| format!("{step:?} failed: {error}"))?;
        }
        let served = read_all(&process.auth).map_err(|error| error.to_string())?;
        if &served != process.last() {
            return Err(format!("without a crash, {served:?} is served"));
        }
        let moments = process.moments();
        self.syncs.append(&mut process.disk.sim().syncs);
        self.crash(&Expect::of(&process), &moments, 0, true)
            .map_err(|problem| format!("{:?}, script {script:?}:\n{problem}", self.setup))
    }

    /// Crashes at every given moment: either the power fails, or the process dies and another one
    /// goes on.
    pub fn crash(
        &mut self,
        expect: &Expect,
        moments: &[Moment],
        depth: usize,
        kill: bool,
    ) -> Check {
        let mut before: Option<&Moment> = None;
        for (index, moment) in moments.iter().enumerate() {
            let expect = expect.at(moment);
            let same = before
                .filter(|before| (before.mark, before.target) == (moment.mark, moment.target));
            before = Some(moment);
            let before = same.map(|same| &same.world);
            for (image, hash) in images(&moment.world, before, self.profile, EFFORTS[depth]) {
                self.visit_image(image, hash, &expect, depth)
                    .map_err(|problem| format!("power cut at moment {index}: {problem}"))?;
            }
            if kill {
                self.recover(moment.world.clone(), Some(&expect), depth)
                    .map_err(|problem| format!("killed at moment {index}: {problem}"))?;
            }
        }
        Ok(())
    }

    fn visit_image(&mut self, image: World, hash: u64, expect: &Expect, depth: usize) -> Check {
        let told = describe(&image);
        self.check_raw(&image, expect, depth)
            .and_then(|()| {
                let known = self.visited.get(&hash).filter(|known| known.depth <= depth);
                let recovered = match known {
                    Some(known) => known.clone(),
                    None => self.recover(image, None, depth)?,
                };
                expect.check(&recovered)?;
                self.visited.insert(hash, recovered);
                Ok(())
            })
            .map_err(|problem| format!("{problem}\nimage: {told}"))
    }

    /// Checks what must hold before anything is recovered.
    fn check_raw(&self, image: &World, expect: &Expect, depth: usize) -> Check {
        let mut files = image.files(AUTH).unwrap_or_default();
        let journal = files.remove(JOURNAL);
        let publishing = files.remove(PUBLICATION).is_some();
        let journaled = journal.is_some() || publishing;
        files.retain(|name, _| !name.contains(".tmp-"));
        // Without a record to replay, the files alone are the state.
        let unrecorded = journal.is_none_or(|bytes| bytes.iter().skip(36).all(|byte| *byte == 0));
        if unrecorded
            && !publishing
            && image.lookup(AUTH).is_some()
            && !expect.allowed().contains(&files)
        {
            return Err("without its journal the directory is no state".to_owned());
        }
        // While a recovery runs, only its outcome is expected.
        if self.setup.policy == Policy::Plain && depth == 0 {
            if journaled && expect.mark.acknowledged == expect.mark.started {
                // Node may use this directory now, and a replay would undo what it writes.
                return Err("a plain directory holds a journal while no commit runs".to_owned());
            }
            for (name, bytes) in &files {
                if !expect
                    .allowed()
                    .iter()
                    .any(|state| state.get(name) == Some(bytes))
                {
                    return Err(format!(
                        "{name} is neither old nor new, before any recovery"
                    ));
                }
            }
        }
        Ok(())
    }

    /// Lets a new process open the image and go on. After a power cut there is one outcome, however
    /// many times the recovery is interrupted. After a kill, `killed` says what to expect: what is
    /// visible but not durable may still be lost until the open returns.
    fn recover(
        &mut self,
        mut world: World,
        killed: Option<&Expect>,
        depth: usize,
    ) -> Result<Recovered, String> {
        self.recoveries += 1;
        // The same random numbers whatever came before, but never one that was already used.
        world.random = (depth as u64 + 1) << 32;
        let mut process = Process::new(self.setup, world, State::new());
        let (disk, deeper) = (process.disk.clone(), depth < self.depth);
        {
            let mut sim = disk.sim();
            sim.recording = deeper;
            if let Some(expect) = killed {
                (sim.mark, sim.target) = (expect.mark, expect.target);
            }
        }
        for path in [AUTH, "/data/kept/auth"] {
            sweep_staging(&disk, Path::new(path)).map_err(|error| format!("sweep: {error}"))?;
        }
        process
            .auth
            .open()
            .map_err(|error| format!("open: {error}"))?;
        let state = read_all(&process.auth).map_err(|error| format!("read: {error}"))?;
        check_clean(self.setup, &disk.world(), &state)?;
        let recovered = Recovered {
            state: Arc::new(state),
            target: self.open_other(&disk, COPY)?.map(Arc::new),
            aside: self.open_other(&disk, ASIDE)?.map(Arc::new),
            depth,
        };
        let aside_is_durable = killed.is_none_or(|expect| expect.needs_aside(&recovered.state));
        if let Some(expect) = killed {
            expect.check(&recovered)?;
        }
        let opening = process.moments();
        if deeper {
            let expect = killed
                .cloned()
                .unwrap_or_else(|| Expect::only(&recovered, true));
            self.crash(&expect, &opening, depth + 1, false)
                .map_err(|problem| format!("while opening: {problem}"))?;
        }

        // What was served stays, and commits work again. Directories that differ only in the
        // journal that they once had behave alike.
        let opened = disk.world();
        let known = (without_journal(&opened), opening.is_empty(), depth);
        let deeper = deeper && (killed.is_some() || self.probed.insert(known));
        process.begin(
            &recovered.state,
            vec![recovered.target.as_deref().cloned()],
            deeper,
        );
        let probe = if self.recoveries.is_multiple_of(2) {
            Step::Commit(vec![("a", Some(24))])
        } else {
            Step::Commit(vec![("a", Some(24)), ("b", None), ("d", Some(6))])
        };
        process
            .run(&probe)
            .map_err(|error| format!("the next commit: {error}"))?;
        let served = read_all(&process.auth).map_err(|error| format!("read: {error}"))?;
        if &served != process.last() {
            return Err("the next commit is not served".to_owned());
        }
        if deeper {
            let expect = Expect {
                states: Arc::new(process.states.clone()),
                ..Expect::only(&recovered, aside_is_durable)
            };
            self.crash(&expect, &process.moments(), depth + 1, false)
                .map_err(|problem| format!("after opening: {problem}"))?;
        }
        self.syncs.append(&mut disk.sim().syncs);
        Ok(recovered)
    }

    /// The state of another directory, if it exists.
    fn open_other(&self, disk: &SimDisk, path: &str) -> Result<Option<State>, String> {
        let problem = |error| format!("{path}: {error}");
        sweep_staging(disk, Path::new(path)).map_err(problem)?;
        let other = self.setup.directory(disk, path);
        other.open().map_err(problem)?;
        if disk.world().lookup(path).is_none() {
            return Ok(None);
        }
        read_all(&other).map(Some).map_err(problem)
    }
}

/// Checks that there is nothing but the keys and a journal, that these say no more than what is
/// served, and that nothing is left beside the directory.
fn check_clean(setup: Setup, world: &World, state: &State) -> Check {
    let mut files = world.files(AUTH).unwrap_or_default();
    let journal = files.remove(JOURNAL);
    if setup.policy == Policy::Journaled {
        let visitor = setup.directory(&setup.disk(world.clone()), AUTH);
        visitor.peek().map_err(|error| format!("peek: {error}"))?;
        let shown = read_all(&visitor).map_err(|error| format!("peek: {error}"))?;
        if &shown != state {
            return Err(format!("who peeks is shown {}", show(&shown)));
        }
        files.retain(|name, _| name.contains(".tmp-"));
        if !files.is_empty() {
            return Err(format!("after opening, there is {:?}", files.keys()));
        }
    } else if &files != state || journal.is_some() {
        return Err(format!(
            "after opening, the directory holds {:?}",
            files.keys()
        ));
    }
    for (place, unfinished) in [("/data/deep", ".auth"), ("/data/kept", ".")] {
        let beside = world.lookup(place).and_then(|inode| world.dir(inode));
        let name =
            beside.and_then(|dir| dir.visible.keys().find(|name| name.starts_with(unfinished)));
        if let Some(name) = name {
            return Err(format!("{name} stays in {place}"));
        }
    }
    Ok(())
}

fn without_journal(world: &World) -> u64 {
    let mut world = world.clone();
    if let Some(journal) = world.lookup(&format!("{AUTH}/{JOURNAL}")) {
        world.file_mut(journal).visible.truncate(0);
    }
    hash(&world)
}

pub fn describe(world: &World) -> String {
    let files = |path| {
        let files = world.files(path).unwrap_or_default();
        files
            .iter()
            .map(|(name, bytes)| format!("{name}: {} bytes", bytes.len()))
            .collect::<Vec<_>>()
    };
    format!(
        "{:016x} auth {:?} copy {:?} aside {:?}",
        hash(world),
        files(AUTH),
        files(COPY),
        files(ASIDE)
    )
}

fn show(state: &State) -> String {
    let files: Vec<_> = state
        .iter()
        .map(|(name, bytes)| {
            format!(
                "{name}={:.12}({})",
                String::from_utf8_lossy(bytes),
                bytes.len()
            )
        })
        .collect();
    format!("{{{}}}", files.join(" "))
}
