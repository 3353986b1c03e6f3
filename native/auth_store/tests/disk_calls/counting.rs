//! The real disk, with its calls counted.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use auth_store::engine::{Disk, Kind, Metadata, RealDisk, SyncPoint};

pub type Counts = BTreeMap<&'static str, usize>;

#[derive(Clone, Default)]
pub struct Counting(Arc<Mutex<Counts>>);

impl Counting {
    fn count(&self, call: &'static str) -> RealDisk {
        *self.0.lock().unwrap().entry(call).or_default() += 1;
        RealDisk
    }

    /// The calls that `run` makes, and its result.
    pub fn calls_of<T>(&self, run: impl FnOnce() -> T) -> (T, Counts) {
        self.0.lock().unwrap().clear();
        let result = run();
        (result, std::mem::take(&mut *self.0.lock().unwrap()))
    }
}

impl Disk for Counting {
    type File = <RealDisk as Disk>::File;

    fn open_read(&self, path: &Path) -> io::Result<Self::File> {
        self.count("open").open_read(path)
    }

    fn open_write(&self, path: &Path) -> io::Result<Self::File> {
        self.count("open").open_write(path)
    }

    fn create(&self, path: &Path) -> io::Result<Self::File> {
        self.count("create").create(path)
    }

    fn open_or_create(&self, path: &Path) -> io::Result<Self::File> {
        self.count("open").open_or_create(path)
    }

    fn try_lock(&self, file: &Self::File) -> io::Result<bool> {
        self.count("lock").try_lock(file)
    }

    fn file_metadata(&self, file: &Self::File) -> io::Result<Metadata> {
        self.count("stat").file_metadata(file)
    }

    fn read_at(&self, file: &Self::File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.count("read").read_at(file, buffer, offset)
    }

    fn write_at(&self, file: &Self::File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.count("write").write_at(file, bytes, offset)
    }

    fn truncate(&self, file: &Self::File, size: u64) -> io::Result<()> {
        self.count("truncate").truncate(file, size)
    }

    fn sync_data(&self, file: &Self::File, at: SyncPoint) -> io::Result<()> {
        self.count("sync").sync_data(file, at)
    }

    fn sync_file(&self, file: &Self::File, at: SyncPoint) -> io::Result<()> {
        self.count("sync").sync_file(file, at)
    }

    /// This opens the directory, too.
    fn sync_directory(&self, path: &Path, at: SyncPoint) -> io::Result<()> {
        self.count("sync directory").sync_directory(path, at)
    }

    fn filesystem(&self, path: &Path) -> io::Result<Option<Self::File>> {
        self.count("file system").filesystem(path)
    }

    fn sync_filesystem(&self, filesystem: &Self::File, at: SyncPoint) -> io::Result<()> {
        self.count("sync file system")
            .sync_filesystem(filesystem, at)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.count("stat").metadata(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.count("rename").rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.count("link").link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.count("remove").remove_file(path)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.count("create directory").create_directory(path)
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.count("remove directory").remove_directory(path)
    }

    fn entries(&self, path: &Path, each: &mut dyn FnMut(&OsStr, Kind)) -> io::Result<()> {
        self.count("list").entries(path, each)
    }

    fn random(&self) -> io::Result<u64> {
        self.count("random").random()
    }
}
