//! One directory of key files: what is remembered of it, and how it is read.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use super::case::Case;
use super::claim::ClaimState;
use super::disk::{Disk, Kind};
use super::failure::{After, At, Failure, Outcome};
use super::files::{found, link_within, read_file, read_version};
use super::journal::Journal;
use super::limits::Limits;
use super::lock::{Lock, Turn};
use super::memtable::Memtable;
use super::names;
use super::publication::{self, Publication};
use super::record::Change;
use super::stamp::Stamp;
use crate::error::{Error, Result};

/// How commits reach the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// The directory is complete as it stands whenever no call is running.
    Plain,
    /// One flush per commit, of the journal; the files follow.
    Journaled,
}

/// What a journal holds, for inspection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JournalState {
    pub exists: bool,
    /// Which journal of the directory this is, counted from 1.
    pub epoch: u64,
    pub records: u64,
    /// Up to the end of the last record.
    pub bytes: u64,
    /// An append was cut short: the next open drops what is left of it.
    pub torn: bool,
}

/// A directory of key files under one policy.
///
/// [`open`](Self::open), [`commit`](Self::commit), [`checkpoint`](Self::checkpoint),
/// [`recover`](Self::recover), [`snapshot`](Self::snapshot) and [`claim`](Self::claim) hold the
/// [`Lock`] of the directory while they run, or do nothing and answer [`Error::Busy`]. Reads take
/// none. No descriptor is held between calls, unless [`hold`](Self::hold) asks for it.
pub struct Directory<D: Disk> {
    pub(super) disk: D,
    pub(super) path: PathBuf,
    pub(super) policy: Policy,
    pub(super) limits: Limits,
    status: AtomicU8,
    writer: Mutex<Writer>,
    /// The lock of the operation that runs, or of all of them.
    pub(super) lock: Mutex<Option<Lock<D>>>,
    pub(super) keeps_lock: AtomicBool,
    /// The memtable is that of now, and stays so until the lock is given back.
    pub(super) is_current: AtomicBool,
    pub(super) memtable: RwLock<Memtable>,
    pub(super) case: Case,
}

const NEW: u8 = 0;
const OPEN: u8 = 1;
const LATCHED: u8 = 2;
const PEEKED: u8 = 3;

/// What is remembered between commits.
#[derive(Debug, Default)]
pub(super) struct Writer {
    /// The directory whose name is durable, if there is one.
    pub anchored: Option<(u64, u64)>,
    /// Files that a failed plain commit made visible.
    pub touched: Vec<String>,
    /// Since somebody last asked.
    pub happened: Happened,
    /// What stands for this value in the turns of the lock.
    pub who: Option<u64>,
    /// Whose turn it was when this process last looked.
    pub turn: Option<Turn>,
    /// That turn was cut short, and what it left has not been settled.
    pub interrupted: bool,
    /// How often somebody else was found to have changed keys.
    pub changes: u64,
    pub claim: ClaimState,
}

/// What opens and commits did besides, for those who watch a directory.
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
    /// Touches nothing yet.
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

    /// Whether reads are served: this process opened the directory, and no write failed since in a
    /// way that leaves the outcome unknown.
    pub fn is_open(&self) -> bool {
        self.status.load(Ordering::Acquire) == OPEN
    }

    /// Completes what a crash interrupted and removes its leftovers, at the first touch by this
    /// process. A directory that does not exist is fine, and is not made.
    pub fn open(&self) -> Result<()> {
        match self.status.load(Ordering::Acquire) {
            OPEN => Ok(()),
            LATCHED => Err(self.recovery_required()),
            _ => self.run(Self::take_existing_lock, |writer| self.settle(writer)),
        }
    }

    /// As [`open`](Self::open), but also when this process opened the directory before, and also
    /// after a failed write: rewrites whatever may be visible without being durable.
    pub fn recover(&self) -> Result<()> {
        self.exclusive(|writer| self.settle(writer))
    }

    /// Serves reads without writing anything and without a lock: what a recovery would make of the
    /// directory is shown as if it were there. For looking at a directory that another process may
    /// be using; a commit of its, made meanwhile, may be seen for some files and not for others.
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

    /// What a publication that was cut short comes to.
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

    /// The content of a file; `None` if there is none.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.read_version(name)?.map(|(bytes, _)| bytes))
    }

    /// As [`read`](Self::read), with what tells this version of the file from another one.
    pub fn read_version(&self, name: &str) -> Result<Option<(Vec<u8>, Stamp)>> {
        names::check(name)?;
        self.check_served()?;
        if let Some(held) = self.held(name)? {
            let stamp = Stamp::of_held(held.version);
            return Ok(held.bytes.map(|bytes| (bytes.to_vec(), stamp)));
        }
        let read = read_version(&self.disk, &self.path.join(name))?;
        if read.is_some() && self.other_spelling(name)?.is_some() {
            return Ok(None);
        }
        Ok(read.map(|(bytes, metadata)| (bytes, Stamp::new(metadata))))
    }

    /// Whether something has this name, also before the directory is open.
    pub fn has(&self, name: &str) -> Result<bool> {
        if let Some(exists) = self.journal_says(name)? {
            return Ok(exists);
        }
        let path = self.path.join(name);
        match self.disk.metadata(&path) {
            Ok(_) => Ok(true),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(Error::io(&path, error)),
        }
    }

    /// Why a file of somebody else cannot be read.
    pub fn who_may_read(&self, name: &str) -> String {
        let owner = self.disk.metadata(&self.path.join(name));
        let owner = owner.map_or(String::new(), |file| {
            format!("owned by {}, ", user(file.user))
        });
        format!(
            "cannot be read: {owner}this is {}",
            user(rustix::process::geteuid().as_raw())
        )
    }

    /// Refuses a path where no directory is.
    pub fn check_exists(&self) -> Result<()> {
        self.disk.metadata(&self.path.join(".")).at(&self.path)?;
        Ok(())
    }

    /// Refuses a link that leads nowhere, as to a volume that is not mounted: that is no empty directory.
    pub fn check_not_dangling(&self) -> Result<()> {
        let link = found(self.disk.metadata(&self.path)).at(&self.path)?;
        if link.is_some_and(|link| link.kind == Kind::Symlink) {
            self.disk.metadata(&self.path.join(".")).at(&self.path)?;
        }
        Ok(())
    }

    /// What tells one version of a file from another; `None` if there is no file.
    pub fn stamp(&self, name: &str) -> Result<Option<Stamp>> {
        names::check(name)?;
        self.check_served()?;
        if let Some(held) = self.held(name)? {
            return Ok(held.bytes.map(|_| Stamp::of_held(held.version)));
        }
        let path = self.path.join(name);
        let mut metadata = found(self.disk.metadata(&path)).at(&path)?;
        if metadata.is_some_and(|found| found.kind == Kind::Symlink)
            && let Some(real) = link_within(&self.disk, &path)
        {
            metadata = found(self.disk.metadata(&real)).at(&real)?;
        }
        if metadata.is_some() && self.other_spelling(name)?.is_some() {
            return Ok(None);
        }
        Ok(metadata.map(Stamp::new))
    }

    /// The names of regular files, and of links to some within the directory, as they stream from it and
    /// in no order. Left out: the journal, unfinished files (`*.tmp-*`), and names that are not UTF-8, which no key has;
    /// [`entries`](Self::entries) shows all. A missing directory lists as empty.
    pub fn list(&self, each: &mut dyn FnMut(&str)) -> Result<()> {
        self.entries(&mut |name, kind| match name.to_str() {
            Some(name) if names::is_key(name) && self.is_file(name, kind) => each(name),
            _ => {}
        })
    }

    /// Whether an entry can be read as a file.
    pub(super) fn is_file(&self, name: &str, kind: Kind) -> bool {
        match kind {
            Kind::File => true,
            Kind::Symlink => link_within(&self.disk, &self.path.join(name)).is_some(),
            Kind::Directory | Kind::Other => false,
        }
    }

    /// Everything the directory holds, whatever it is.
    pub fn entries(&self, each: &mut dyn FnMut(&OsStr, Kind)) -> Result<()> {
        self.check_served()?;
        // Before the files are listed: what is brought to them meanwhile is held here.
        let changes = self.current()?.changes();
        found(self.disk.entries(&self.path, &mut |name, kind| {
            if !name.to_str().is_some_and(|name| changes.contains_key(name)) {
                each(name, kind);
            }
        }))
        .at(&self.path)?;
        for (name, _) in changes.iter().filter(|(_, held)| held.bytes.is_some()) {
            each(name.as_ref().as_ref(), Kind::File);
        }
        Ok(())
    }

    /// Takes nothing for known of the directory: its content was replaced. A claim stays one, or turns out
    /// to be lost.
    pub fn distrust(&self) {
        let mut writer = self.writer();
        writer.anchored = None;
        writer.touched.clear();
        writer.changes += 1;
        self.forget_journal();
        self.status.store(NEW, Ordering::Release);
    }

    /// What happened since the last call of this function.
    pub fn take_happened(&self) -> Happened {
        std::mem::take(&mut self.writer().happened)
    }

    /// What the journal holds. Only reads, and needs no open directory.
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

    /// Reads before the first open could show what a crash left half done.
    fn check_served(&self) -> Result<()> {
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

    /// Runs one writing operation under the lock, and keeps what its failure says of the directory.
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
            // A panic in the middle of an operation: nothing it remembered of the disk counts.
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

    /// As [`exclusive`](Self::exclusive), for what needs an open directory.
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

/// A user, for messages.
fn user(id: u32) -> String {
    match id {
        0 => "root".to_owned(),
        id => format!("uid {id}"),
    }
}
