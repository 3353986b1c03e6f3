//! Lets every call of every operation fail once, and then fail for good.

use std::path::Path;

use auth_store::Error;
use auth_store::engine::{
    Change, CopyError, JOURNAL, PUBLICATION, Policy, SyncPoint, sweep_staging,
};
use rustix::io::Errno;

use crate::explorer::{Expect, Explorer};
use crate::images::Profile;
use crate::script::{ASIDE, AUTH, COPY, Process, Setup, State, Step, all, fresh_world, read_all};
use crate::sim::{Fault, FaultPlan};

type Check = Result<(), String>;

/// Counts over all scripts and calls.
#[derive(Default)]
struct Tally {
    failures: usize,
    latched: usize,
    images: usize,
}

const FAULTS: [(Fault, bool); 7] = [
    (Fault::Error(Errno::IO), false),
    (Fault::Error(Errno::ACCESS), false),
    (Fault::Error(Errno::MFILE), false),
    (Fault::Error(Errno::NOSPC), false),
    (Fault::Error(Errno::NOSPC), true),
    (Fault::AfterEffect(Errno::IO), false),
    (Fault::Short, false),
];

#[test]
fn every_error_leaves_the_old_or_the_new_state_and_nothing_else() {
    for policy in [Policy::Plain, Policy::Journaled] {
        let mut tally = Tally::default();
        for capable in [true, false] {
            let setup = Setup {
                capable,
                ..Setup::new(policy)
            };
            inject_everywhere(setup, &mut tally).unwrap_or_else(|problem| panic!("{problem}"));
        }
        eprintln!(
            "{policy:?}: {} injected errors, {} asked for recovery, {} crashes after them visited",
            tally.failures, tally.latched, tally.images
        );
        assert!(tally.latched > 0);
    }
}

/// The syncs that only follow an error are needed, too.
#[test]
fn without_a_sync_that_follows_an_error_a_crash_does_harm() {
    for without in [
        ("fdatasync", SyncPoint::Truncated),
        ("fsync dir", SyncPoint::Unpublished),
    ] {
        let found = [Policy::Plain, Policy::Journaled]
            .into_iter()
            .find_map(|policy| {
                let setup = Setup {
                    without: Some(without),
                    ..Setup::new(policy)
                };
                inject_everywhere(setup, &mut Tally::default()).err()
            });
        assert!(
            found.is_some(),
            "{without:?} can be left out and nothing is found"
        );
    }
}

/// Injects every kind of error at every call of every script.
fn inject_everywhere(setup: Setup, tally: &mut Tally) -> Check {
    let mut explorer = Explorer::new(setup, Profile::Weak, 0);
    for script in all() {
        for (fault, for_good) in FAULTS {
            for at in 0.. {
                let plan = FaultPlan {
                    at,
                    fault,
                    for_good,
                };
                let run = Run {
                    setup,
                    plan,
                    script: &script,
                };
                let hit = run
                    .go(&mut explorer, tally)
                    .map_err(|problem| format!("{setup:?} {plan:?} in {script:?}:\n{problem}"))?;
                if !hit {
                    break;
                }
            }
        }
    }
    tally.images += explorer.states();
    Ok(())
}

struct Run<'a> {
    setup: Setup,
    plan: FaultPlan,
    script: &'a [Step],
}

impl Run<'_> {
    /// Runs the script, and returns whether it was long enough for the fault to occur.
    fn go(&self, explorer: &mut Explorer, tally: &mut Tally) -> Result<bool, String> {
        let mut process = Process::new(self.setup, fresh_world(), State::new());
        process.disk.sim().plan = Some(self.plan);
        let mut failed = process.auth.open().is_err();
        if failed {
            self.after_failure(&mut process, explorer, tally, false)?;
        }
        for step in self.script {
            match process.run(step) {
                Ok(()) => {}
                Err(error) if failed => return Err(format!("{step:?} still fails: {error}")),
                Err(error) => {
                    failed = true;
                    tally.failures += 1;
                    let asks = matches!(error, Error::RecoveryRequired { .. });
                    self.after_failure(&mut process, explorer, tally, asks)
                        .map_err(|problem| format!("{step:?}: {problem}"))?;
                }
            }
            no_descriptors(&process)?;
        }
        let hit = process.disk.sim().calls > self.plan.at;
        process.disk.sim().plan = None;
        self.check_end(&process)?;
        if failed {
            // What was acknowledged after the error must survive a crash.
            let moments = process.moments();
            let after = moments.len().saturating_sub(2);
            explorer.crash(&Expect::of(&process), &moments[after..], 2, false)?;
        }
        Ok(hit)
    }

    fn after_failure(
        &self,
        process: &mut Process,
        explorer: &mut Explorer,
        tally: &mut Tally,
        asks: bool,
    ) -> Check {
        no_descriptors(process)?;
        let failed = {
            let mut sim = process.disk.sim();
            sim.plan = None;
            sim.recording = true;
            sim.record();
            sim.failed
        };
        let Some((call, at)) = failed else {
            return Err("an error that was not injected".to_owned());
        };
        self.check_leftovers(process, call, at)?;
        let latched = is_latched(process)?;
        let synced =
            !process.failed_in_copy && at.is_some_and(|at| must_latch(at, self.setup.policy));
        if synced && !latched {
            return Err(format!("a failed sync ({at:?}) does not latch"));
        }
        tally.latched += usize::from(latched);
        // Either the process recovers, or it ends and another one goes on. After a failed plain
        // commit only the process that made it knows what it wrote, so that one recovers itself.
        let ends = self.setup.policy == Policy::Journaled && self.plan.at % 2 == 1;
        if latched && ends {
            process.auth = self.setup.directory(&process.disk, AUTH);
            process
                .auth
                .open()
                .map_err(|error| format!("another process: {error}"))?;
        } else if latched || asks {
            // Also if a publication was decided on and not carried out.
            process
                .auth
                .recover()
                .map_err(|error| format!("recovery: {error}"))?;
        } else {
            process
                .auth
                .open()
                .map_err(|error| format!("open: {error}"))?;
        }
        let state = read_all(&process.auth).map_err(|error| format!("read: {error}"))?;
        let mark = process.disk.sim().mark;
        if !process.states[mark.acknowledged..=mark.started].contains(&state) {
            return Err(format!("{:?} is served", state.keys()));
        }
        let moments = process.moments();
        explorer
            .crash(&Expect::of(process), &moments, 2, false)
            .map_err(|problem| format!("after {call} failed: {problem}"))?;
        self.check_aside(process)?;
        let targets = self.check_copy(process)?;
        process.begin(&state, targets, true);
        Ok(())
    }

    /// Nothing unfinished stays, unless the failed call was meant to remove it.
    fn check_leftovers(&self, process: &Process, call: &str, at: Option<SyncPoint>) -> Check {
        let undone = matches!(self.plan.fault, Fault::AfterEffect(_));
        let removal = matches!(call, "unlink" | "rmdir" | "readdir" | "open");
        // If a publication can be neither finished nor undone, nothing may be removed.
        let unknown = match at {
            Some(SyncPoint::Unpublished) => true,
            Some(SyncPoint::Published) => self.plan.for_good,
            _ => is_decided(process),
        };
        if undone || removal || unknown {
            return Ok(());
        }
        let world = process.disk.world();
        for path in [AUTH, "/data/deep", "/data/kept"] {
            let dir = world.lookup(path).and_then(|inode| world.dir(inode));
            let names = dir.map(|dir| dir.visible.keys()).into_iter().flatten();
            for name in names {
                if name.contains(".baileys_ex.tmp-") {
                    return Err(format!("{call} {at:?} failed and leaves {path}/{name}"));
                }
            }
        }
        Ok(())
    }

    /// What the snapshot's target may hold from here on: after a failed publication, the old or the
    /// new content until the next one.
    fn check_copy(&self, process: &Process) -> Result<Vec<Option<State>>, String> {
        sweep_staging(&process.disk, Path::new(COPY)).map_err(|error| format!("sweep: {error}"))?;
        let copy = self.setup.directory(&process.disk, COPY);
        copy.open().map_err(|error| format!("the copy: {error}"))?;
        let found = match process.disk.world().lookup(COPY) {
            None => None,
            Some(_) => Some(read_all(&copy).map_err(|error| format!("the copy: {error}"))?),
        };
        let mark = process.disk.sim().target;
        let allowed = process.targets[mark.acknowledged..=mark.started].to_vec();
        if allowed.contains(&found) {
            Ok(allowed)
        } else {
            Err("the copy is neither old nor new".to_owned())
        }
    }

    /// The copy that was set aside is whole.
    fn check_aside(&self, process: &Process) -> Check {
        if process.disk.world().lookup(ASIDE).is_none() {
            return Ok(());
        }
        let aside = self.setup.directory(&process.disk, ASIDE);
        aside.open().map_err(|error| format!("aside: {error}"))?;
        let found = read_all(&aside).map_err(|error| format!("aside: {error}"))?;
        match &process.aside {
            Some(aside) if aside.state == found => Ok(()),
            _ => Err(format!("set aside is {:?}", found.keys())),
        }
    }

    fn check_end(&self, process: &Process) -> Check {
        let served = read_all(&process.auth).map_err(|error| format!("read: {error}"))?;
        if &served != process.last() {
            return Err("the last state is not served".to_owned());
        }
        // The next open removes a leftover that could not be removed.
        sweep_staging(&process.disk, Path::new(AUTH)).map_err(|error| error.to_string())?;
        let auth = self.setup.directory(&process.disk, AUTH);
        auth.open()
            .map_err(|error| format!("opened again: {error}"))?;
        auth.checkpoint()
            .map_err(|error| format!("the last checkpoint: {error}"))?;
        let mut files = process.disk.world().files(AUTH).unwrap_or_default();
        files.remove(JOURNAL);
        if &files != process.last() {
            return Err(format!("in the end there is {:?}", files.keys()));
        }
        Ok(())
    }
}

/// Whether a publication in one of the directories was decided on and not carried out.
fn is_decided(process: &Process) -> bool {
    let world = process.disk.world();
    [AUTH, COPY]
        .iter()
        .any(|path| world.lookup(&format!("{path}/{PUBLICATION}")).is_some())
}

fn no_descriptors(process: &Process) -> Check {
    match process.disk.sim().descriptors {
        0 => Ok(()),
        open => Err(format!("{open} descriptors stay open")),
    }
}

/// Whether the directory is latched. If so, every call must answer that recovery is required.
fn is_latched(process: &Process) -> Result<bool, String> {
    let auth = &process.auth;
    if auth.is_open() {
        return Ok(false);
    }
    let asks = |result: Result<(), Error>| matches!(result, Err(Error::RecoveryRequired { .. }));
    if !asks(auth.open()) {
        // The directory was never opened, and this call has tried again.
        return Ok(false);
    }
    let change = Change {
        name: "a",
        bytes: None,
    };
    let all = [
        auth.read("a").map(drop),
        auth.stamp("a").map(drop),
        auth.list(&mut |_| {}),
        auth.commit(&[change]),
        auth.checkpoint(),
        auth.snapshot(Path::new("/data/deep/other"), false)
            .map_err(CopyError::into_error),
    ];
    if all.into_iter().all(asks) {
        Ok(true)
    } else {
        Err("a latched directory answers".to_owned())
    }
}

/// Whether a failed sync must latch the directory. A failed sync of a staging directory only fails
/// the publication, and one of a checkpoint leaves the journal as it was.
fn must_latch(at: SyncPoint, policy: Policy) -> bool {
    let of_checkpoint = matches!(at, SyncPoint::AppliedFiles | SyncPoint::AppliedNames);
    if of_checkpoint && policy == Policy::Journaled {
        return false;
    }
    !matches!(
        at,
        SyncPoint::StagedFiles
            | SyncPoint::StagedNames
            | SyncPoint::Published
            | SyncPoint::AsideFiles
            | SyncPoint::AsideNames
            | SyncPoint::AsidePublished
            | SyncPoint::Unpublished
            | SyncPoint::PublicationFile
            | SyncPoint::PublicationName
            | SyncPoint::PublishedNames
            | SyncPoint::PublishedRemovals
            | SyncPoint::RepeatedFiles
            | SyncPoint::PublicationOver
            | SyncPoint::MadeDirectory
            | SyncPoint::MadeAncestor
    )
}
