//! The disk of the machine.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::disk::{Disk, Kind, Metadata, SyncPoint};

/// The file system of the machine. Syncs are those of `std`, which uses `F_FULLFSYNC` on macOS.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

// Mutants: no two flags share a bit, so `^` joins them as `|` does.
impl RealDisk {
    fn open(path: &Path, flags: OFlags, mode: Mode) -> io::Result<File> {
        // NONBLOCK: opening a FIFO must not wait for its other end.
        let always = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        Ok(rustix::fs::open(path, flags | always, mode)?.into())
    }
}

impl Disk for RealDisk {
    type File = File;

    fn open_read(&self, path: &Path) -> io::Result<File> {
        Self::open(path, OFlags::RDONLY, Mode::empty())
    }

    fn open_write(&self, path: &Path) -> io::Result<File> {
        Self::open(path, OFlags::RDWR, Mode::empty())
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let file = Self::open(path, flags, Mode::RUSR | Mode::WUSR)?;
        give_to_owner_of_place(&file, path);
        Ok(file)
    }

    fn open_or_create(&self, path: &Path) -> io::Result<File> {
        // Mutants: the second attempt meets any other error again.
        match self.open_write(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => return result,
        }
        let flags = OFlags::RDWR | OFlags::CREATE;
        let file = Self::open(path, flags, Mode::RUSR | Mode::WUSR)?;
        give_to_owner_of_place(&file, path);
        Ok(file)
    }

    fn try_lock(&self, file: &File) -> io::Result<bool> {
        is_had(file.try_lock())
    }

    fn file_metadata(&self, file: &File) -> io::Result<Metadata> {
        Ok(metadata(&file.metadata()?))
    }

    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(buffer, offset)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        file.write_at(bytes, offset)
    }

    fn truncate(&self, file: &File, size: u64) -> io::Result<()> {
        file.set_len(size)
    }

    fn sync_data(&self, file: &File, _at: SyncPoint) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_file(&self, file: &File, _at: SyncPoint) -> io::Result<()> {
        file.sync_all()
    }

    fn sync_directory(&self, path: &Path, _at: SyncPoint) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        File::from(rustix::fs::open(path, flags, Mode::empty())?).sync_all()
    }

    fn filesystem(&self, path: &Path) -> io::Result<Option<File>> {
        filesystem(path)
    }

    fn sync_filesystem(&self, filesystem: &File, _at: SyncPoint) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        return Ok(rustix::fs::syncfs(filesystem)?);
        #[cfg(not(target_os = "linux"))]
        return filesystem.sync_all();
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        Ok(metadata(&fs::symlink_metadata(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        fs::DirBuilder::new().mode(0o700).create(path)?;
        if is_root() {
            // Mutants: the flags matter only if somebody puts a link in the place of the new
            // directory.
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let directory = rustix::fs::open(path, flags, Mode::empty())?;
            give_to_owner_of_place(&directory.into(), path);
        }
        Ok(())
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn entries(&self, path: &Path, each: &mut dyn FnMut(&OsStr, Kind)) -> io::Result<()> {
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            match entry.file_type() {
                Ok(file_type) => each(&entry.file_name(), kind(file_type)),
                // Removed since it was listed, on a file system that needs a stat for the type.
                // Mutants: the file systems that tests run on need none.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        fs::canonicalize(path)
    }

    fn random(&self) -> io::Result<u64> {
        getrandom::u64().map_err(|_| io::Error::other("no randomness from the operating system"))
    }
}

/// Mutants: only root can give a file away, so this merely spares others the attempt.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Gives what root creates in another user's directory to that user: an application that runs as
/// the user could not even read it otherwise. If that fails (a server may distrust root),
/// inspection reports it.
fn give_to_owner_of_place(file: &File, path: &Path) {
    if !is_root() {
        return;
    }
    if let Ok(place) = fs::metadata(super::names::parent(path))
        // Most directories of root's files belong to root.
        && (place.uid(), place.gid()) != (0, 0)
        && let Ok(made) = file.metadata()
        && (place.uid(), place.gid()) != (made.uid(), made.gid())
    {
        let (uid, gid) = (Some(place.uid()), Some(place.gid()));
        let _ = std::os::unix::fs::fchown(file, uid, gid);
    }
}

/// Whether an attempt at a lock succeeded, or the file system has no locks and there is nobody to
/// exclude.
fn is_had(tried: Result<(), fs::TryLockError>) -> io::Result<bool> {
    match tried {
        Ok(()) => Ok(true),
        Err(fs::TryLockError::WouldBlock) => Ok(false),
        Err(fs::TryLockError::Error(error)) if has_no_locks(&error) => Ok(true),
        Err(fs::TryLockError::Error(error)) => Err(error),
    }
}

fn has_no_locks(error: &io::Error) -> bool {
    use rustix::io::Errno;
    error.kind() == io::ErrorKind::Unsupported
        || error
            .raw_os_error()
            .map(Errno::from_raw_os_error)
            .is_some_and(|errno| [Errno::NOLCK, Errno::NOTSUP, Errno::NOSYS].contains(&errno))
}

fn metadata(of: &fs::Metadata) -> Metadata {
    Metadata {
        kind: kind(of.file_type()),
        device: of.dev(),
        inode: of.ino(),
        size: of.size(),
        modified: i128::from(of.mtime()) * 1_000_000_000 + i128::from(of.mtime_nsec()),
        user: of.uid(),
    }
}

fn kind(of: fs::FileType) -> Kind {
    if of.is_file() {
        Kind::File
    } else if of.is_dir() {
        Kind::Directory
    } else if of.is_symlink() {
        Kind::Symlink
    } else {
        Kind::Other
    }
}

/// A descriptor for `syncfs`, where a sync of the whole file system can be trusted. Since Linux
/// 5.17 it reports failed write-back (all of it since the descriptor was opened) and a failed
/// commit of the file system's own journal. On the file systems listed here it reaches the disk,
/// whereas FUSE and network file systems stop at the server.
#[cfg(target_os = "linux")]
fn filesystem(path: &Path) -> io::Result<Option<File>> {
    const EXT: u64 = 0xEF53;
    const XFS: u64 = 0x5846_5342;
    const BTRFS: u64 = 0x9123_683E;
    const F2FS: u64 = 0xF2F5_2010;

    if !kernel_at_least(5, 17) {
        return Ok(None);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, flags, Mode::empty())?;
    // The type of the field differs between architectures; the magic numbers fit 32 bits.
    let magic = rustix::fs::fstatfs(&directory)?.f_type as u64 & 0xFFFF_FFFF;
    let trusted = [EXT, XFS, BTRFS, F2FS].contains(&magic);
    Ok(trusted.then(|| directory.into()))
}

#[cfg(not(target_os = "linux"))]
fn filesystem(_path: &Path) -> io::Result<Option<File>> {
    Ok(None)
}

#[cfg(target_os = "linux")]
fn kernel_at_least(major: u32, minor: u32) -> bool {
    let uname = rustix::system::uname();
    let release = uname.release().to_string_lossy();
    let mut numbers = release
        .split(['.', '-'])
        .map_while(|part| part.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(major), Some(minor))
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn a_file_system_without_locks_excludes_nobody_and_other_errors_are_told() {
        let tried = |error: io::Error| is_had(Err(fs::TryLockError::Error(error)));
        for without in [Errno::NOLCK, Errno::NOTSUP, Errno::NOSYS] {
            let error = io::Error::from_raw_os_error(without.raw_os_error());
            assert!(tried(error).unwrap(), "{without}");
        }
        assert!(tried(io::ErrorKind::Unsupported.into()).unwrap());
        for other in [Errno::BADF, Errno::IO, Errno::INTR] {
            tried(io::Error::from_raw_os_error(other.raw_os_error())).unwrap_err();
        }
        assert!(!is_had(Err(fs::TryLockError::WouldBlock)).unwrap());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn kernels_are_compared_by_number() {
        assert!(kernel_at_least(1, 0) && !kernel_at_least(1_000, 0));
        let release = rustix::system::uname();
        let release = release.release().to_str().unwrap();
        let mut numbers = release.split(['.', '-']).map(|part| part.parse().unwrap());
        let (major, minor): (u32, u32) = (numbers.next().unwrap(), numbers.next().unwrap());
        assert!(kernel_at_least(major, minor) && !kernel_at_least(major, minor + 1));
    }
}
