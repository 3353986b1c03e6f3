//! Visits every state that a crash can leave, and crashes again while it is recovered.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::Arc;

use auth_store::engine::{Disk, JOURNAL, Policy, sweep_staging};

use crate::images::{Profile, hash, images};
use crate::script::{AUTH, COPY, Process, Setup, State, Step, fresh_world, read_all};
use crate::sim::{Mark, Moment};
use crate::world::World;

/// How often a recovery is interrupted by a crash and begun again.
const DEPTH: usize = 2;

/// Subsets are tried in full for fewer effects while a recovery runs: there are many more of them.
const SUBSETS: [usize; DEPTH + 1] = [8, 5, 5];

/// What may be found: the states from the last acknowledged to the last started commit.
#[derive(Clone)]
struct Expect {
    states: Arc<Vec<State>>,
    mark: Mark,
    targets: Arc<Vec<Option<State>>>,
    target: Mark,
}

impl Expect {
    fn allowed(&self) -> &[State] {
        &self.states[self.mark.acknowledged..=self.mark.started]
    }

    fn allowed_targets(&self) -> &[Option<State>] {
        &self.targets[self.target.acknowledged..=self.target.started]
    }

    fn at(&self, moment: &Moment) -> Self {
        Expect {
            mark: moment.mark,
            target: moment.target,
            ..self.clone()
        }
    }
}

pub struct Explorer {
    setup: Setup,
    profile: Profile,
    /// Images together with what was expected of them.
    visited: HashSet<u64>,
    /// Images alone.
    pub states: HashSet<u64>,
    pub recoveries: usize,
}

type Check = Result<(), String>;

impl Explorer {
    pub fn new(setup: Setup, profile: Profile) -> Self {
        Explorer {
            setup,
            profile,
            visited: HashSet::new(),
            states: HashSet::new(),
            recoveries: 0,
        }
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
        self.crash(&process, &moments, 0, true)
            .map_err(|problem| format!("{:?}, script {script:?}:\n{problem}", self.setup))
    }

    /// Crashes at every given moment: the power fails, or the process dies and another goes on.
    pub fn crash(
        &mut self,
        process: &Process,
        moments: &[Moment],
        depth: usize,
        kill: bool,
    ) -> Check {
        let expect = Expect {
            states: Arc::new(process.states.clone()),
            mark: Mark::default(),
            targets: Arc::new(process.targets.clone()),
            target: Mark::default(),
        };
        for (index, moment) in moments.iter().enumerate() {
            let expect = expect.at(moment);
            let mut found = Vec::new();
            images(
                &moment.world,
                self.profile,
                SUBSETS[depth],
                &mut |image, hash| {
                    found.push((image, hash));
                },
            );
            for (image, hash) in found {
                self.visit_image(image, hash, &expect, depth)
                    .map_err(|problem| format!("power cut at moment {index}: {problem}"))?;
            }
            if kill {
                self.recover(moment.world.clone(), &expect, depth)
                    .map_err(|problem| format!("killed at moment {index}: {problem}"))?;
            }
        }
        Ok(())
    }

    fn visit_image(&mut self, image: World, hash: u64, expect: &Expect, depth: usize) -> Check {
        let mut hasher = DefaultHasher::new();
        (hash, expect.allowed(), expect.allowed_targets()).hash(&mut hasher);
        if !self.visited.insert(hasher.finish()) {
            return Ok(());
        }
        self.states.insert(hash);
        self.check_raw(&image, expect)
            .and_then(|()| self.recover(image.clone(), expect, depth))
            .map_err(|problem| format!("{problem}\nimage: {}", describe(&image)))
    }

    /// What must hold before anything is recovered.
    fn check_raw(&self, image: &World, expect: &Expect) -> Check {
        let mut files = image.files(AUTH).unwrap_or_default();
        let journal = files.remove(JOURNAL);
        files.retain(|name, _| !name.contains(".tmp-"));
        // Without a record to replay, the files are all there is.
        let unrecorded = journal.is_none_or(|bytes| bytes.iter().skip(36).all(|byte| *byte == 0));
        if unrecorded && image.lookup(AUTH).is_some() && !expect.allowed().contains(&files) {
            return Err("without its journal the directory is no state".to_owned());
        }
        if self.setup.policy == Policy::Plain {
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

    /// A new process opens what there is, and goes on.
    fn recover(&mut self, mut world: World, expect: &Expect, depth: usize) -> Check {
        self.recoveries += 1;
        // The same random numbers whatever came before, but never one that was used.
        world.random = (depth as u64 + 1) << 32;
        let mut process = Process::new(self.setup, world, State::new());
        let (disk, deeper) = (process.disk.clone(), depth < DEPTH);
        {
            let mut sim = disk.sim();
            sim.recording = deeper;
            (sim.mark, sim.target) = (expect.mark, expect.target);
        }
        sweep_staging(&disk, Path::new(AUTH)).map_err(|error| format!("sweep: {error}"))?;
        process
            .auth
            .open()
            .map_err(|error| format!("open: {error}"))?;
        let state = read_all(&process.auth).map_err(|error| format!("read: {error}"))?;
        if !expect.allowed().contains(&state) {
            return Err(format!(
                "{} is served, not one of {:?}",
                show(&state),
                expect.allowed().iter().map(show).collect::<Vec<_>>()
            ));
        }
        check_clean(&disk.world(), &state)?;
        let target = self.check_target(&process, expect)?;

        let opening = process.moments();
        if deeper {
            self.crash(&self.expecting(expect), &opening, depth + 1, false)
                .map_err(|problem| format!("while opening: {problem}"))?;
        }

        // What was served stays, and commits work again.
        process.states = vec![state];
        process.targets = vec![target];
        disk.sim().target = Mark::default();
        process.begin();
        let probe = if self.recoveries % 2 == 0 {
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
            let moments = process.moments();
            self.crash(&process, &moments, depth + 1, false)
                .map_err(|problem| format!("after opening: {problem}"))?;
        }
        Ok(())
    }

    fn check_target(&self, process: &Process, expect: &Expect) -> Result<Option<State>, String> {
        if expect.targets.len() == 1 {
            return Ok(None);
        }
        let (disk, path) = (&process.disk, Path::new(COPY));
        sweep_staging(disk, path).map_err(|error| format!("sweep: {error}"))?;
        let copy = self.setup.directory(disk, COPY);
        copy.open().map_err(|error| format!("the copy: {error}"))?;
        let found = match disk.metadata(path) {
            Ok(_) => Some(read_all(&copy).map_err(|error| format!("the copy: {error}"))?),
            Err(_) => None,
        };
        if !expect.allowed_targets().contains(&found) {
            return Err(format!("the copy is {:?}", found.as_ref().map(show)));
        }
        Ok(found)
    }

    /// The process, held to what was expected when it began.
    fn expecting(&self, expect: &Expect) -> Process {
        let mut held = Process::new(self.setup, World::new(), State::new());
        held.states = expect.states.as_ref().clone();
        held.targets = expect.targets.as_ref().clone();
        held
    }
}

/// Nothing but the keys and a journal, and nothing beside the directory.
fn check_clean(world: &World, state: &State) -> Check {
    let mut files = world.files(AUTH).unwrap_or_default();
    files.remove(JOURNAL);
    if &files != state {
        return Err(format!(
            "after opening, the directory holds {:?}",
            files.keys()
        ));
    }
    let beside = world
        .lookup("/data/deep")
        .and_then(|inode| world.dir(inode));
    match beside.and_then(|dir| dir.visible.keys().find(|name| name.starts_with(".auth"))) {
        Some(name) => Err(format!("{name} stays beside the directory")),
        None => Ok(()),
    }
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
        "{:016x} auth {:?} copy {:?}",
        hash(world),
        files(AUTH),
        files(COPY)
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
