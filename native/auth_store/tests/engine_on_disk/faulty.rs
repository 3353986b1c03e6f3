//! The disk of this machine with one fault.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use auth_store::engine::{Disk, Kind, Metadata, RealDisk, SyncPoint};

#[derive(Clone, Copy)]
pub enum Fault {
    None,
    /// No file can be created or opened for writing.
    ReadOnly,
    /// The sync of a directory fails, for one purpose.
    Sync(SyncPoint),
    /// The same, with the error of a directory that may not be listed.
    Denied(SyncPoint),
    /// Every rename fails.
    Rename,
    /// No file can be removed.
    Removal,
    /// Renames and removals succeed but report an error, as on a network file system that sends a
    /// request twice.
    Reported,
    /// There are no hard links.
    Links,
    /// Somebody else creates each directory at the same moment.
    Raced,
    /// This many reads return nothing but zeros.
    Zeros(&'static AtomicUsize),
    /// This many writes are interrupted, and the others write one byte.
    Interrupted(&'static AtomicUsize),
    /// This many names for unfinished files are taken.
    Taken(&'static AtomicUsize),
}

/// Whether this is still one of that many.
fn is_one_of(left: &AtomicUsize) -> bool {
    let less = |left: usize| left.checked_sub(1);
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
        .is_ok()
}

#[derive(Clone, Copy)]
pub struct Faulty(pub Fault);

type File = <RealDisk as Disk>::File;

impl Faulty {
    fn written(&self) -> io::Result<RealDisk> {
        match self.0 {
            Fault::ReadOnly => Err(io::ErrorKind::PermissionDenied.into()),
            _ => Ok(RealDisk),
        }
    }
}

impl Disk for Faulty {
    type File = File;

    fn open_read(&self, path: &Path) -> io::Result<File> {
        RealDisk.open_read(path)
    }

    fn open_write(&self, path: &Path) -> io::Result<File> {
        self.written()?.open_write(path)
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        match self.0 {
            Fault::Taken(left) if is_one_of(left) => Err(io::ErrorKind::AlreadyExists.into()),
            _ => self.written()?.create(path),
        }
    }

    fn open_or_create(&self, path: &Path) -> io::Result<File> {
        self.written()?.open_or_create(path)
    }

    fn try_lock(&self, file: &File) -> io::Result<bool> {
        RealDisk.try_lock(file)
    }

    fn file_metadata(&self, file: &File) -> io::Result<Metadata> {
        RealDisk.file_metadata(file)
    }

    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let read = RealDisk.read_at(file, buffer, offset)?;
        match self.0 {
            Fault::Zeros(left) if is_one_of(left) => buffer.fill(0),
            _ => {}
        }
        Ok(read)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        match self.0 {
            Fault::Interrupted(left) if is_one_of(left) => Err(io::ErrorKind::Interrupted.into()),
            Fault::Interrupted(_) => RealDisk.write_at(file, &bytes[..1], offset),
            _ => RealDisk.write_at(file, bytes, offset),
        }
    }

    fn truncate(&self, file: &File, size: u64) -> io::Result<()> {
        RealDisk.truncate(file, size)
    }

    fn sync_data(&self, file: &File, at: SyncPoint) -> io::Result<()> {
        RealDisk.sync_data(file, at)
    }

    fn sync_file(&self, file: &File, at: SyncPoint) -> io::Result<()> {
        RealDisk.sync_file(file, at)
    }

    fn sync_directory(&self, path: &Path, at: SyncPoint) -> io::Result<()> {
        match self.0 {
            Fault::Sync(fails) if fails == at => Err(io::Error::other("the sync failed")),
            Fault::Denied(fails) if fails == at => Err(io::ErrorKind::PermissionDenied.into()),
            _ => RealDisk.sync_directory(path, at),
        }
    }

    fn filesystem(&self, path: &Path) -> io::Result<Option<File>> {
        RealDisk.filesystem(path)
    }

    fn sync_filesystem(&self, filesystem: &File, at: SyncPoint) -> io::Result<()> {
        RealDisk.sync_filesystem(filesystem, at)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        RealDisk.metadata(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self.0 {
            Fault::Rename => Err(io::Error::other("the rename failed")),
            Fault::Reported => {
                RealDisk.rename(from, to)?;
                Err(io::Error::other("reported"))
            }
            _ => self.written()?.rename(from, to),
        }
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        match self.0 {
            Fault::Links => Err(io::ErrorKind::Unsupported.into()),
            _ => self.written()?.link(from, to),
        }
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        match self.0 {
            Fault::Removal => Err(io::Error::other("the removal failed")),
            Fault::Reported => {
                RealDisk.remove_file(path)?;
                Err(io::Error::other("reported"))
            }
            _ => self.written()?.remove_file(path),
        }
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.written()?.create_directory(path)?;
        match self.0 {
            Fault::Raced => Err(io::ErrorKind::AlreadyExists.into()),
            _ => Ok(()),
        }
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.written()?.remove_directory(path)
    }

    fn entries(&self, path: &Path, each: &mut dyn FnMut(&OsStr, Kind)) -> io::Result<()> {
        RealDisk.entries(path, each)
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        RealDisk.resolve(path)
    }

    fn random(&self) -> io::Result<u64> {
        RealDisk.random()
    }
}
