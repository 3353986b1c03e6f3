//! Turns and claims: who may write in a directory right now, and who owns it.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::claim::{self, Claim, ClaimState, Owner};
use super::directory::{Directory, Policy, Writer};
use super::disk::Disk;
use super::failure::{Failure, Outcome};
use super::lock::{self, Lock, Turn};
use crate::error::{Error, Result};

/// On whose behalf a commit is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum By {
    /// A caller who remembers nothing of the directory. Whoever does remember finds the change with
    /// [`Directory::changes`].
    #[default]
    Anybody,
    /// A caller who remembers what the directory holds and knows of its own changes. With a number
    /// from [`Directory::changes`], the commit is made only if nobody else has changed anything
    /// since.
    Keeper { unless_changed: Option<u64> },
}

impl<D: Disk> Directory<D> {
    /// Keeps the lock until the directory is dropped, for callers who must see one state of it over
    /// several operations and change nothing. If nobody has ever locked the directory there is no
    /// lock to take, and [`undisturbed`](Self::undisturbed) tells whether somebody has locked it
    /// since.
    pub fn hold(&self) -> Result<()> {
        self.run(Self::take_existing_lock, |_| {
            self.keeps_lock.store(true, Ordering::Release);
            Ok(())
        })
    }

    /// Whether no process that respects the lock can have written since [`hold`](Self::hold).
    pub fn undisturbed(&self) -> Result<bool> {
        Ok(self.is_locked() || lock::identity(&self.disk, &self.path)?.is_none())
    }

    /// Claims the directory durably, and creates it if it is missing. From now on each commit of
    /// this value checks that the claim still stands. The previous holder has lost its claim.
    pub fn claim(&self, owner: Owner) -> Result<()> {
        self.exclusive_open(|writer| {
            if writer.anchored.is_none() {
                self.make(writer)?;
            }
            self.require_lock()?;
            let counter = claim::read(&self.disk, &self.path)?.counter.wrapping_add(1);
            let id = owner.id.clone();
            let owner = Some(owner);
            claim::write(&self.disk, &self.path, &Claim { counter, owner })?;
            writer.claim = ClaimState::Held(id);
            Ok(())
        })
    }

    /// Gives a claim back if it still stands, and writes to the files what the journal holds. A
    /// claim that was lost stays lost.
    pub fn release(&self, id: &str) -> Result<()> {
        self.exclusive(|writer| {
            if writer.claim != ClaimState::Held(id.to_owned()) {
                return Ok(());
            }
            let found = claim::read(&self.disk, &self.path)?;
            if found.owner.is_some_and(|owner| owner.id == id) {
                if self.is_open() && !writer.interrupted {
                    // The next owner then finds little to recover. If this checkpoint fails, that
                    // owner does the work.
                    self.checkpoint_locked(writer)
                        .or_else(Failure::unless_latched)?;
                }
                let counter = found.counter;
                let owner = None;
                claim::write(&self.disk, &self.path, &Claim { counter, owner })?;
                writer.claim = ClaimState::None;
            } else {
                writer.claim = ClaimState::Lost;
            }
            Ok(())
        })
    }

    /// Forgets that a claim was lost, after a person has settled whose the directory is.
    pub fn forget_claim(&self) {
        let mut writer = self.writer();
        if writer.claim == ClaimState::Lost {
            writer.claim = ClaimState::None;
        }
    }

    /// The holder of the claim. Takes no lock.
    pub fn owner(&self) -> Result<Option<Owner>> {
        Ok(claim::read(&self.disk, &self.path)?.owner)
    }

    /// Checks that the claim of this process, if it has one, still stands. Takes no lock.
    pub fn check_owned(&self) -> Result<()> {
        self.check_claim(&mut self.writer())
    }

    /// Identifies the directory: all paths to it give the same answer, and no other existing
    /// directory does. `None` if nobody has written in it yet.
    pub fn identity_of_lock(&self) -> Result<Option<(u64, u64)>> {
        lock::identity(&self.disk, &self.path)
    }

    /// How many times this process has noticed that somebody other than the [keeper](By::Keeper)
    /// changed keys. Looks again now, and completes a commit whose writer has died. A commit that
    /// another process is writing at the moment counts as a change, because what is read meanwhile
    /// may still change.
    pub fn changes(&self) -> Result<u64> {
        // A missing lock file counts as the default turn, so the first writer is noticed too.
        let look = || Ok(lock::look(&self.disk, &self.path)?.unwrap_or_default());
        let mut writer = self.writer();
        let mut turn = look()?;
        if turn.is_under_way() && self.is_open() {
            drop(writer);
            match self.exclusive_open(|_| Ok(())) {
                // Its writer is alive.
                Err(Error::Busy { .. }) => {}
                other => other?,
            }
            writer = self.writer();
            turn = look()?;
        }
        writer.notice(turn);
        Ok(writer.changes)
    }

    /// Locks the directory for one operation, unless it is locked already.
    pub(super) fn take_lock(&self, writer: &mut Writer) -> Result<()> {
        self.take_lock_by(writer, Lock::take)
    }

    /// As [`take_lock`](Self::take_lock), for operations that write only if they must: a directory
    /// in which nobody has written stays without a lock file.
    pub(super) fn take_existing_lock(&self, writer: &mut Writer) -> Result<()> {
        self.take_lock_by(writer, Lock::take_existing)
    }

    fn take_lock_by(
        &self,
        writer: &mut Writer,
        take: impl Fn(&D, &std::path::Path) -> Result<Option<Lock<D>>>,
    ) -> Result<()> {
        let mut slot = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_some() {
            return Ok(());
        }
        match take(&self.disk, &self.path) {
            Ok(lock) => *slot = lock,
            // A process that cannot write need not exclude others: reads are served without the
            // lock.
            Err(error) if lock::is_read_only(&error) => return Ok(()),
            Err(error) => return Err(error),
        }
        let Some(lock) = &*slot else {
            return Ok(());
        };
        let turn = lock.turn()?;
        drop(slot);
        // We hold the lock, so the writer of a turn that is under way must have died.
        writer.interrupted = turn.is_under_way();
        let known = writer.changes;
        writer.notice(turn);
        if writer.changes != known {
            self.case.forget();
        }
        if self.policy == Policy::Journaled && self.is_open() {
            if self.read_memtable().seen != Some(turn.journal) {
                self.catch_up()?;
            }
            self.is_current.store(true, Ordering::Release);
        }
        Ok(())
    }

    pub(super) fn give_lock_back(&self) {
        if !self.keeps_lock.load(Ordering::Acquire) {
            self.is_current.store(false, Ordering::Release);
            *self.lock.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    pub(super) fn is_locked(&self) -> bool {
        let slot = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        slot.is_some()
    }

    /// Refuses to change anything without the lock, and says why it could not be taken.
    pub(super) fn require_lock(&self) -> Result<()> {
        if self.is_locked() {
            return Ok(());
        }
        match Lock::take(&self.disk, &self.path)? {
            // The directory could not be written to a moment ago.
            Some(_) => Err(Error::Busy {
                path: self.path.clone(),
                holder: None,
            }),
            // For example a link that leads nowhere.
            None => Err(Error::io(&self.path, std::io::ErrorKind::NotFound.into())),
        }
    }

    /// Refuses a commit that depends on nobody else having changed anything, if somebody has.
    pub(super) fn check_unchanged(&self, writer: &Writer, by: By) -> Result<()> {
        match by {
            By::Keeper {
                unless_changed: Some(known),
            } if known != writer.changes => Err(Error::Changed {
                path: self.path.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Records the beginning of a turn before the first change of a commit.
    pub(super) fn begin_turn(&self, writer: &mut Writer, by: By, keys: bool) -> Result<()> {
        if by == By::Anybody && keys {
            writer.changes += 1;
        }
        let who = match writer.who {
            Some(who) => who,
            None => {
                let random = self.disk.random();
                *writer
                    .who
                    .insert(random.map_err(|error| Error::io(&self.path, error))?)
            }
        };
        let turn = writer.turn.unwrap_or_default().begun(who);
        let slot = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = &*slot {
            lock.begin_turn(turn)?;
            writer.turn = Some(turn);
        }
        Ok(())
    }

    /// Records the end of a turn after an operation, before the lock is given back. A turn whose
    /// outcome is unknown stays under way, so that the next process settles the directory.
    pub(super) fn end_turn(&self, writer: &mut Writer) {
        if let Some(turn) = writer.turn.filter(|turn| turn.is_under_way())
            && !writer.interrupted
        {
            // If this fails, the turn stays under way, and the next process has to look at the
            // directory.
            let _ = self.tell(writer, turn.ended());
        }
    }

    /// Records the state of the turn and of the journal, which readers rely on.
    pub(super) fn tell(&self, writer: &mut Writer, turn: Turn) -> Outcome<()> {
        let slot = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = &*slot {
            lock.tell(turn).map_err(Failure::latch)?;
            writer.turn = Some(turn);
        }
        Ok(())
    }

    pub(super) fn check_claim(&self, writer: &mut Writer) -> Result<()> {
        let id = match &writer.claim {
            ClaimState::None => return Ok(()),
            ClaimState::Held(id) => Some(id.clone()),
            ClaimState::Lost => None,
        };
        let owner = claim::read(&self.disk, &self.path)?.owner;
        match (id, owner) {
            (Some(id), Some(owner)) if owner.id == id => Ok(()),
            (_, owner) => {
                writer.claim = ClaimState::Lost;
                Err(Error::NotOwner {
                    path: self.path.clone(),
                    owner: owner.map(Box::new),
                })
            }
        }
    }
}

impl Writer {
    /// Counts a change if the turn is not the last known one, because somebody else has written. A
    /// turn under way counts too: what is read now may still change.
    fn notice(&mut self, turn: Turn) {
        if turn.is_under_way() || self.turn.is_some_and(|known| !turn.is_of(known)) {
            self.changes += 1;
        }
        self.turn = Some(turn);
    }
}
