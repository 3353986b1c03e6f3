//! Processes that share one disk. Each runs in a thread of its own and makes a call only while it
//! has the baton. A seed decides who gets the baton next.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

use auth_store::engine::{Disk, Kind, Metadata, SyncPoint};

use crate::sim::mix;
use crate::sim_disk::{SimDisk, SimFile};

struct Baton {
    holder: usize,
    live: Vec<bool>,
    seed: u64,
    /// The number of calls after which each process is killed.
    killed_in: Vec<Option<usize>>,
}

/// The panic payload of a killed process.
pub struct Killed;

/// Hands the baton from one thread to the next.
#[derive(Clone)]
pub struct Turns(Arc<(Mutex<Baton>, Condvar)>);

impl Turns {
    /// The first `deaths` of the processes are killed at some call.
    pub fn new(processes: usize, deaths: usize, seed: u64) -> Self {
        let death = |me: usize| mix(seed ^ mix(me as u64 + 99)) as usize % 160 + 1;
        let baton = Baton {
            holder: 0,
            live: vec![true; processes],
            seed,
            killed_in: (0..processes)
                .map(|me| (me < deaths).then(|| death(me)))
                .collect(),
        };
        Turns(Arc::new((Mutex::new(baton), Condvar::new())))
    }

    pub fn wait(&self, me: usize) {
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

    /// Whether the process dies at this call. The calls of a dead process have no effect.
    fn kills(&self, me: usize) -> Option<Death> {
        let mut baton = self.0.0.lock().unwrap();
        let left = baton.killed_in[me].as_mut()?;
        *left = left.saturating_sub(1);
        match *left {
            0 if std::thread::panicking() => Some(Death::Past),
            0 => Some(Death::Now),
            _ => None,
        }
    }

    pub fn leave(&self, me: usize) {
        self.0.0.lock().unwrap().live[me] = false;
        self.pass_on();
    }
}

enum Death {
    Now,
    Past,
}

/// The disk as one of the processes sees it.
#[derive(Clone)]
pub struct Shared {
    pub disk: SimDisk,
    pub turns: Turns,
    pub me: usize,
}

impl Shared {
    fn turn(&self) -> io::Result<&SimDisk> {
        match self.turns.kills(self.me) {
            None => self.turns.step(self.me),
            Some(Death::Now) => std::panic::resume_unwind(Box::new(Killed)),
            // What the process drops on its way out has no effect any more.
            Some(Death::Past) => return Err(io::ErrorKind::Other.into()),
        }
        Ok(&self.disk)
    }
}

impl Disk for Shared {
    type File = SimFile;

    fn open_read(&self, path: &Path) -> io::Result<SimFile> {
        self.turn()?.open_read(path)
    }
    fn open_write(&self, path: &Path) -> io::Result<SimFile> {
        self.turn()?.open_write(path)
    }
    fn create(&self, path: &Path) -> io::Result<SimFile> {
        self.turn()?.create(path)
    }
    fn open_or_create(&self, path: &Path) -> io::Result<SimFile> {
        self.turn()?.open_or_create(path)
    }
    fn try_lock(&self, file: &SimFile) -> io::Result<bool> {
        self.turn()?.try_lock(file)
    }
    fn file_metadata(&self, file: &SimFile) -> io::Result<Metadata> {
        self.turn()?.file_metadata(file)
    }
    fn read_at(&self, file: &SimFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.turn()?.read_at(file, buffer, offset)
    }
    fn write_at(&self, file: &SimFile, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.turn()?.write_at(file, bytes, offset)
    }
    fn truncate(&self, file: &SimFile, size: u64) -> io::Result<()> {
        self.turn()?.truncate(file, size)
    }
    fn sync_data(&self, file: &SimFile, at: SyncPoint) -> io::Result<()> {
        self.turn()?.sync_data(file, at)
    }
    fn sync_file(&self, file: &SimFile, at: SyncPoint) -> io::Result<()> {
        self.turn()?.sync_file(file, at)
    }
    fn sync_directory(&self, path: &Path, at: SyncPoint) -> io::Result<()> {
        // A process that ignores the lock may have removed the directory.
        let disk = self.turn()?;
        disk.metadata(path)?;
        disk.sync_directory(path, at)
    }
    fn filesystem(&self, path: &Path) -> io::Result<Option<SimFile>> {
        self.turn()?.filesystem(path)
    }
    fn sync_filesystem(&self, filesystem: &SimFile, at: SyncPoint) -> io::Result<()> {
        self.turn()?.sync_filesystem(filesystem, at)
    }
    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.turn()?.metadata(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.turn()?.rename(from, to)
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.turn()?.link(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.turn()?.remove_file(path)
    }
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.turn()?.create_directory(path)
    }
    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.turn()?.remove_directory(path)
    }
    fn entries(&self, path: &Path, each: &mut dyn FnMut(&OsStr, Kind)) -> io::Result<()> {
        self.turn()?.entries(path, each)
    }
    fn random(&self) -> io::Result<u64> {
        self.turn()?.random()
    }
}
