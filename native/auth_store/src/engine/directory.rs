//! One directory of key files: what this process knows of it, and whether it is open.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use super::case::Case;
use super::claim::ClaimState;
use super::disk::{Disk, Kind};
use super::failure::{After, At, Failure, Outcome};
use super::files::{found, read_file};
use super::journal::Journal;
use super::limits::Limits;
use super::lock::{Lock, Turn};
use super::memtable::Memtable;
use super::publication::{self, Publication};
use super::record::Change;
use crate::error::{Error, Result};

/// How commits reach the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The files are complete whenever no call is running.
    Plain,
    /// A commit costs one flush of the journal. The files are written later.
    Journaled,
}

/// The content of a journal, for inspection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JournalState {
    pub exists: bool,
    /// The number of this journal among those of the directory, counted from 1.
    pub epoch: u64,
    pub records: u64,
    /// The length up to the end of the last record.
    pub bytes: u64,
    /// Whether an append was cut short. The next open drops what is left of it.
    pub torn: bool,
}

/// A directory of key files under one policy.
///
/// [`open`](Self::open), [`commit`](Self::commit), [`checkpoint`](Self::checkpoint),
/// [`recover`](Self::recover), [`snapshot`](Self::snapshot) and [`claim`](Self::claim) hold the
/// [`Lock`] of the directory while they run. If somebody else has it, they do nothing and return
/// [`Error::Busy`]. Reads take no lock. No descriptor stays open between calls, except after
/// [`hold`](Self::hold).
pub struct Directory<D: Disk> {
    pub(super) disk: D,
    pub(super) path: PathBuf,
    pub(super) policy: Policy,
    pub(super) limits: Limits,
    status: AtomicU8,
    writer: Mutex<Writer>,
    /// The lock of the running operation, or of all operations after [`hold`](Self::hold).
    pub(super) lock: Mutex<Option<Lock<D>>>,
    pub(super) keeps_lock: AtomicBool,
    /// Whether the memtable is up to date, and stays so until the lock is given back.
    pub(super) is_current: AtomicBool,
    pub(super) memtable: RwLock<Memtable>,
    pub(super) case: Case,
}

const NEW: u8 = 0;
const OPEN: u8 = 1;
const LATCHED: u8 = 2;
const PEEKED: u8 = 3;

/// What this process remembers between commits.
#[derive(Debug, Default)]
pub(super) struct Writer {
    /// The identity of the directory whose name is known to be durable.
    pub anchored: Option<(u64, u64)>,
    /// Files that a failed plain commit made visible.
    pub touched: Vec<String>,
    /// Counted since somebody last asked.
    pub happened: Happened,
    /// The random number of this value in the turns of the lock file.
    pub who: Option<u64>,
    /// The last turn that this process knows of.
    pub turn: Option<Turn>,
    /// Whether that turn was cut short and what it left has not been settled yet.
    pub interrupted: bool,
    /// How many times other writers were found to have changed keys.
    pub changes: u64,
    pub claim: ClaimState,
}

/// Checkpoints and recoveries that opens and commits brought about, for those who monitor a
/// directory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Happened {
    pub checkpoints: u64,
    pub checkpoint_time: Duration,
    pub recoveries: u64,
    pub recovery_time: Duration,
    /// How many commits the recoveries found in journals.
    pub recovered_commits: u64,
}

impl<D: Disk> Directory<D> {
    /// Does no I/O.
    pub fn new(disk: D, path: PathBuf, policy: Policy) -> Self {
        Self::with_limits(disk, path, policy, Limits::default())
    }

    pub fn with_limits(disk: D, path: PathBuf, policy: Policy, limits: Limits) -> Self {
        Directory {
            disk,
            path,
            policy,
            limits,
            status: AtomicU8::new(NEW),
            writer: Mutex::new(Writer::default()),
            lock: Mutex::new(None),
            keeps_lock: AtomicBool::new(false),
            is_current: AtomicBool::new(false),
            memtable: RwLock::default(),
            case: Case::default(),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this process has opened the directory, and no write has failed since in a way that
    /// leaves the outcome unknown.
    pub fn is_open(&self) -> bool {
        self.status.load(Ordering::Acquire) == OPEN
    }

    /// Completes what a crash interrupted and removes its leftovers, the first time that this
    /// process uses the directory. A directory that does not exist is no error, and is not created.
    pub fn open(&self) -> Result<()> {
        match self.status.load(Ordering::Acquire) {
            OPEN => Ok(()),
            LATCHED => Err(self.recovery_required()),
            _ => self.run(Self::take_existing_lock, |writer| self.settle(writer)),
        }
    }

    /// As [`open`](Self::open), but also if this process has opened the directory before, and after
    /// a failed write. Rewrites everything that may be visible without being durable.
    pub fn recover(&self) -> Result<()> {
        self.exclusive(|writer| self.settle(writer))
    }

    /// Serves reads without writing anything and without a lock, and shows the directory as a
    /// recovery would leave it. This is for looking at a directory that another process may be
    /// using: a commit that is made meanwhile may be visible in some files and not in others.
    pub fn peek(&self) -> Result<()> {
        if self.is_open() {
            return Ok(());
        }
        match publication::load(&self.disk, &self.path)? {
            Some(publication) => self.peek_into_publication(&publication)?,
            None => self.peek_into_journal()?,
        }
        self.status.store(PEEKED, Ordering::Release);
        Ok(())
    }

    /// Shows an interrupted publication as if it were complete.
    fn peek_into_publication(&self, publication: &Publication) -> Result<()> {
        let mut memtable = self.write_memtable();
        memtable.forget();
        for (index, name) in publication.files.iter().enumerate() {
            let path = publication::staged(&self.path, publication.token, index);
            if let Some(bytes) = read_file(&self.disk, &path)? {
                let bytes = Some(bytes.as_slice());
                memtable.add(Change { name, bytes });
            }
        }
        for name in publication.removed.iter().filter_map(|name| name.to_str()) {
            memtable.add(Change { name, bytes: None });
        }
        Ok(())
    }

    /// Refuses a path that leads to no directory.
    pub fn check_exists(&self) -> Result<()> {
        self.disk.metadata(&self.path.join(".")).at(&self.path)?;
        Ok(())
    }

    /// Refuses a link that leads nowhere, for example to a volume that is not mounted: that must
    /// not pass for an empty directory.
    pub fn check_not_dangling(&self) -> Result<()> {
        let link = found(self.disk.metadata(&self.path)).at(&self.path)?;
        if link.is_some_and(|link| link.kind == Kind::Symlink) {
            self.disk.metadata(&self.path.join(".")).at(&self.path)?;
        }
        Ok(())
    }

    /// Forgets everything about the directory, because its content was replaced. A claim is kept:
    /// it still stands, or the next check finds that it is lost.
    pub fn distrust(&self) {
        let mut writer = self.writer();
        writer.anchored = None;
        writer.touched.clear();
        writer.changes += 1;
        self.forget_journal();
        self.status.store(NEW, Ordering::Release);
    }

    /// What has happened since the last call of this function.
    pub fn take_happened(&self) -> Happened {
        std::mem::take(&mut self.writer().happened)
    }

    /// The state of the journal. Only reads, and works before the directory is open.
    pub fn journal_state(&self) -> Result<JournalState> {
        let journal = Journal::new(&self.disk, &self.path);
        let loaded = journal.load(&mut |_| {})?;
        Ok(
            loaded.map_or_else(JournalState::default, |loaded| JournalState {
                exists: true,
                epoch: loaded.position.epoch.counter,
                records: loaded.position.link.sequence,
                bytes: loaded.position.end,
                torn: loaded.torn,
            }),
        )
    }

    /// Refuses reads before the first open, which could show what a crash left half done.
    pub(super) fn check_served(&self) -> Result<()> {
        match self.status.load(Ordering::Acquire) {
            OPEN | PEEKED => Ok(()),
            _ => Err(self.recovery_required()),
        }
    }

    fn recovery_required(&self) -> Error {
        Error::RecoveryRequired {
            path: self.path.clone(),
        }
    }

    /// Runs one writing operation under the lock, and records what its failure means for the
    /// directory.
    pub(super) fn exclusive<T>(&self, run: impl FnOnce(&mut Writer) -> Outcome<T>) -> Result<T> {
        self.run(Self::take_lock, run)
    }

    pub(super) fn run<T>(
        &self,
        lock: impl FnOnce(&Self, &mut Writer) -> Result<()>,
        run: impl FnOnce(&mut Writer) -> Outcome<T>,
    ) -> Result<T> {
        let mut writer = self.writer();
        let outcome = match lock(self, &mut writer) {
            Ok(()) => run(&mut writer),
            Err(error) => Err(error.into()),
        };
        let result = outcome.map_err(|Failure { error, after }| {
            match after {
                After::Unchanged => {}
                After::Forget => self.forget_journal(),
                After::Latch => {
                    self.forget_journal();
                    writer.interrupted = true;
                    self.status.store(LATCHED, Ordering::Release);
                }
            }
            error
        });
        self.end_turn(&mut writer);
        self.give_lock_back();
        result
    }

    pub(super) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(|poisoned| {
            // An operation has panicked. Nothing that it knew about the disk can be trusted.
            self.writer.clear_poison();
            self.give_lock_back();
            self.forget_journal();
            let mut writer = PoisonError::into_inner(poisoned);
            let claim = std::mem::take(&mut writer.claim);
            let changes = writer.changes + 1;
            *writer = Writer {
                claim,
                changes,
                ..Writer::default()
            };
            writer
        })
    }

    /// As [`exclusive`](Self::exclusive), but opens or settles the directory first.
    pub(super) fn exclusive_open<T>(
        &self,
        run: impl FnOnce(&mut Writer) -> Outcome<T>,
    ) -> Result<T> {
        self.exclusive(|writer| {
            match self.status.load(Ordering::Acquire) {
                OPEN if !writer.interrupted => {}
                LATCHED => return Err(self.recovery_required().into()),
                _ => self.settle(writer)?,
            }
            run(writer)
        })
    }

    pub(super) fn serve_peeked(&self) {
        self.status.store(PEEKED, Ordering::Release);
    }

    pub(super) fn is_peeked(&self) -> bool {
        self.status.load(Ordering::Acquire) == PEEKED
    }

    pub(super) fn is_latched(&self) -> bool {
        self.status.load(Ordering::Acquire) == LATCHED
    }

    pub(super) fn serve(&self) {
        self.status.store(OPEN, Ordering::Release);
    }
}
