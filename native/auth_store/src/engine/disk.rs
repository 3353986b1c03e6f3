//! The file system as the engine sees it: every call of this crate goes through [`Disk`].

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// What a directory entry is, without following symbolic links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    File,
    Directory,
    Symlink,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    pub kind: Kind,
    pub device: u64,
    pub inode: u64,
    pub size: u64,
    /// Nanoseconds since 1970.
    pub modified: i128,
    /// The user id of the owner.
    pub user: u32,
}

/// Why a sync is made. A real disk ignores this. The crash explorer leaves out one sync point at a
/// time and must then find a violation, which proves that each of them is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SyncPoint {
    /// A plain directory that is being opened: its last writer may have died before syncing it.
    Found,
    /// The parent of a directory that is being opened, for the same reason.
    FoundName,
    /// A record appended to the journal: the commit point of a journaled commit.
    Append,
    /// A new journal, before it gets its name.
    JournalFile,
    /// The directory, after a new journal got its name.
    JournalName,
    /// The directory, after a plain commit removed its journal.
    JournalRemoved,
    /// The file of a plain commit of one change, before it gets its name.
    KeyFile,
    /// The directory, after a plain commit of one change renamed its file.
    KeyName,
    /// The directory, after a plain commit of one change removed its file.
    KeyRemoved,
    /// Files that a recovery, a checkpoint or a plain commit of several changes has written anew.
    AppliedFiles,
    /// The directory, after those files got their names.
    AppliedNames,
    /// The parent of a directory that was just created.
    MadeDirectory,
    /// The parent of the deepest existing directory, before another one is created in it or its
    /// content is replaced.
    MadeAncestor,
    /// The files of a staging directory, or copies that a repair sets aside.
    StagedFiles,
    /// The directory that holds those files.
    StagedNames,
    /// The record of a publication, before it gets its name.
    PublicationFile,
    /// The directory, after that record got its name: the commit point of a publication.
    PublicationName,
    /// The directory, after the files of the new content got their names.
    PublishedNames,
    /// The directory, after unfinished names and everything outside the new content were removed.
    PublishedRemovals,
    /// The directory, after the record of its publication was removed.
    PublicationOver,
    /// The directory, after a process that completes the publication of another one has renamed the
    /// record to its own name again.
    RepeatedRecord,
    /// A file of the new content, or the record, written again because its durability is unknown or
    /// because the file system has no hard links.
    RepeatedFiles,
    /// The files of a copy that is set aside before a directory gets new content.
    AsideFiles,
    /// The directories of that copy.
    AsideNames,
    /// The parent of that copy, after it got its name.
    AsidePublished,
    /// The parent of a published directory. The explorer checks that its scripts reach every sync
    /// point up to this one; `errors.rs` and `claims.rs` beside it visit the rest.
    Published,
    /// The parent of a directory, or the directory itself, after a publication failed and was
    /// undone, or after the copy that was set aside for it was withdrawn.
    Unpublished,
    /// The journal, after an append failed and was cut off again.
    Truncated,
    /// The claim record of a directory, before it gets its name.
    ClaimFile,
    /// The directory, after its claim record got its name.
    ClaimName,
}

/// The calls that the engine makes. All take paths, so that no descriptor outlives an operation.
///
/// Errors are those of the operating system. An implementation must not follow a symbolic link in
/// the last component of a file's path, must not block on anything but a regular file, and must
/// create files with mode 0600 and directories with mode 0700.
pub trait Disk: Clone + Send + Sync {
    type File;

    fn open_read(&self, path: &Path) -> io::Result<Self::File>;
    /// Opens an existing file for reading and writing.
    fn open_write(&self, path: &Path) -> io::Result<Self::File>;
    /// Creates a file; fails if the name is taken.
    fn create(&self, path: &Path) -> io::Result<Self::File>;

    /// Opens a file for reading and writing, and creates it if it is missing.
    fn open_or_create(&self, path: &Path) -> io::Result<Self::File>;
    /// Takes an advisory lock that excludes every other open file of the same inode, in any
    /// process, until the file is closed. Returns `false` while another file holds it. On a file
    /// system without such locks the call succeeds and excludes nobody.
    fn try_lock(&self, file: &Self::File) -> io::Result<bool>;

    fn file_metadata(&self, file: &Self::File) -> io::Result<Metadata>;
    fn read_at(&self, file: &Self::File, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    fn write_at(&self, file: &Self::File, bytes: &[u8], offset: u64) -> io::Result<usize>;
    fn truncate(&self, file: &Self::File, size: u64) -> io::Result<()>;
    /// Syncs the data, and the metadata that a later read needs (the size).
    fn sync_data(&self, file: &Self::File, at: SyncPoint) -> io::Result<()>;
    fn sync_file(&self, file: &Self::File, at: SyncPoint) -> io::Result<()>;

    fn sync_directory(&self, path: &Path, at: SyncPoint) -> io::Result<()>;
    /// The file system that holds the directory `path`, if it can be synced as a whole and a sync
    /// then reports every write that failed since this call, even one that was already reported to
    /// somebody else.
    fn filesystem(&self, path: &Path) -> io::Result<Option<Self::File>>;
    fn sync_filesystem(&self, filesystem: &Self::File, at: SyncPoint) -> io::Result<()>;

    fn metadata(&self, path: &Path) -> io::Result<Metadata>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    fn create_directory(&self, path: &Path) -> io::Result<()>;
    fn remove_directory(&self, path: &Path) -> io::Result<()>;
    /// Streams the entries in no particular order, without `.` and `..`.
    fn entries(&self, path: &Path, each: &mut dyn FnMut(&OsStr, Kind)) -> io::Result<()>;

    /// The path with all symbolic links resolved. A double that has no links need not implement
    /// this. Mutants: any answer of a double will do.
    fn resolve(&self, _path: &Path) -> io::Result<PathBuf> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Random bits for names and epochs, which must never repeat.
    fn random(&self) -> io::Result<u64>;
}
