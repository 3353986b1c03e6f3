//! What a simulated disk records of a run: every moment at which a crash could come, and the calls
//! that were made. It also decides which calls fail.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use auth_store::engine::SyncPoint;
use rustix::io::Errno;

use crate::world::{Inode, World};

/// What may be found after a crash at one moment: from the acknowledged to the started commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub struct Mark {
    pub acknowledged: usize,
    pub started: usize,
}

#[derive(Clone)]
pub struct Moment {
    pub world: World,
    pub mark: Mark,
    /// The mark of the snapshot's target.
    pub target: Mark,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The call does nothing and fails, except that a write first writes half.
    Error(Errno),
    /// The call takes effect but reports an error.
    AfterEffect(Errno),
    /// A read or write of half the bytes, as the system may do at any time.
    Short,
    /// The process is dead: this call and all later ones do nothing.
    Dead,
}

#[derive(Clone, Copy, Debug)]
pub struct FaultPlan {
    /// The call that fails, counted from the start.
    pub at: usize,
    pub fault: Fault,
    /// Whether all later calls that need space fail too.
    pub for_good: bool,
}

#[derive(Default)]
pub struct Sim {
    pub world: Option<World>,
    pub recording: bool,
    pub moments: Vec<Moment>,
    pub mark: Mark,
    pub target: Mark,
    pub without: Option<(&'static str, SyncPoint)>,
    /// All kinds of syncs that were called.
    pub syncs: BTreeSet<(&'static str, SyncPoint)>,
    pub no_syncfs: bool,
    pub no_links: bool,
    pub plan: Option<FaultPlan>,
    pub calls: usize,
    pub counts: BTreeMap<&'static str, usize>,
    pub failed: Option<(&'static str, Option<SyncPoint>)>,
    pub descriptors: usize,
    /// The inodes that an open file has locked.
    pub locked: BTreeSet<Inode>,
    /// Every attempt at a lock succeeds.
    pub without_locks: bool,
    /// Files that are never synced. A crash may change their content at will.
    pub unsynced: BTreeSet<Inode>,
}

impl Sim {
    pub fn world(&mut self) -> &mut World {
        self.world.as_mut().unwrap()
    }

    /// Records a moment at which the power may fail or the process die.
    pub fn record(&mut self) {
        if self.recording {
            let (mark, target) = (self.mark, self.target);
            let world = self.world().clone();
            self.moments.push(Moment {
                world,
                mark,
                target,
            });
        }
    }

    /// Counts a call. Fails as planned, or returns the error to report after the effect.
    pub fn call(
        &mut self,
        name: &'static str,
        at: Option<SyncPoint>,
    ) -> io::Result<Option<io::Error>> {
        let index = self.calls;
        self.calls += 1;
        *self.counts.entry(name).or_default() += 1;
        let Some(plan) = self.plan else {
            return Ok(None);
        };
        let needs_space = matches!(
            name,
            "create" | "write" | "create_directory" | "link" | "rename"
        );
        if plan.fault == Fault::Dead && index >= plan.at {
            return Err(Errno::IO.into());
        }
        if index != plan.at && !(plan.for_good && index > plan.at && needs_space) {
            return Ok(None);
        }
        match plan.fault {
            Fault::Error(errno) => {
                self.failed.get_or_insert((name, at));
                Err(errno.into())
            }
            // A sync that reports an error has failed.
            Fault::AfterEffect(errno) if at.is_some() => {
                self.failed.get_or_insert((name, at));
                Err(errno.into())
            }
            Fault::AfterEffect(errno) => {
                self.failed.get_or_insert((name, at));
                Ok(Some(errno.into()))
            }
            Fault::Short | Fault::Dead => Ok(None),
        }
    }

    pub fn is_dead(&self) -> bool {
        self.plan.is_some_and(|plan| plan.fault == Fault::Dead)
    }

    pub fn is_short(&self) -> bool {
        self.plan
            .is_some_and(|plan| plan.fault == Fault::Short && plan.at + 1 == self.calls)
    }
}

/// SplitMix64.
pub fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
