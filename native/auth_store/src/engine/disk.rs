//! The file system as the engine sees it: every call of the crate goes through [`Disk`].

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
    /// The id of its owner.
    pub user: u32,
}

/// Why a sync is made. A real disk ignores it; the crash explorer leaves out one at a time and
/// must then find a violation, so each of these is known to be needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SyncPoint {
    /// A plain directory that is opened: whoever changed it last may not have lived to sync it.
    Found,
    /// The parent of a directory that is opened, for the same reason.
    FoundName,
    /// A record appended to the journal: the commit point of a journaled commit.
    Append,
    /// A new journal, before it gets its name.
    JournalFile,
    /// The directory, after a new journal got its name.
    JournalName,
    /// The directory, after a plain commit removed its journal.
    JournalRemoved,
    /// One file of a plain single commit, before it gets its name.
    KeyFile,
    /// The directory, after a plain single commit renamed its file.
    KeyName,
    /// The directory, after a plain single commit removed a file.
    KeyRemoved,
    /// Files rewritten by a recovery, a checkpoint or a plain commit of several.
    AppliedFiles,
    /// The directory, after those files got their names.
    AppliedNames,
    /// The parent of a directory that was just made.
    MadeDirectory,
    /// The parent of the deepest directory that existed, before one is made in it.
    MadeAncestor,
    /// The files of a staging directory.
    StagedFiles,
    /// A staging directory itself.
    StagedNames,
    /// The record of a publication, before it gets its name.
    PublicationFile,
    /// A directory, after such a record got its name: the new content is decided.
    PublicationName,
    /// A directory, after the files of its new content got their names.
    PublishedNames,
    /// A directory, after unfinished names and what is not in its new content went.
    PublishedRemovals,
    /// A directory, after the record of its publication was removed.
    PublicationOver,
    /// A directory, after the record got its name again from whoever carries out what another one decided.
    RepeatedRecord,
    /// A file of a new content, written again by whoever carries out what another one decided.
    RepeatedFiles,
    /// The files of what is kept aside before a directory gets a new content.
    AsideFiles,
    /// The directories of that.
    AsideNames,
    /// The parent of that, after it got its name.
    AsidePublished,
    /// The parent of a published directory. The explorer checks that its scripts reach everything up to
    /// here; `errors.rs` and `claims.rs` beside it visit what follows.
    Published,
    /// The parent of a directory whose publication failed and was undone.
    Unpublished,
    /// The journal, after an append failed and was undone.
    Truncated,
    /// The record of who owns a directory, before it gets its name.
    ClaimFile,
    /// The directory, after that record got its name.
    ClaimName,
}

/// The calls the engine makes, all by path, so that no descriptor outlives one operation.
///
/// Errors are those of the operating system. An implementation must not follow a symbolic link in
/// the last component of a path to a file, must not block on what is not a regular file, and must
/// create files with mode 0600 and directories with mode 0700.
pub trait Disk: Clone + Send + Sync {
    type File;

    fn open_read(&self, path: &Path) -> io::Result<Self::File>;
    /// An existing file, for reading and writing.
    fn open_write(&self, path: &Path) -> io::Result<Self::File>;
    /// A new file; fails if the name is taken.
    fn create(&self, path: &Path) -> io::Result<Self::File>;

    /// For reading and writing; made where it is missing.
    fn open_or_create(&self, path: &Path) -> io::Result<Self::File>;
    /// Takes an advisory lock that excludes every other open file of the same inode, in any process,
    /// and is given back when the file is closed. `false` while another one has it. Where the file
    /// system has no such locks, nobody is excluded.
    fn try_lock(&self, file: &Self::File) -> io::Result<bool>;

    fn file_metadata(&self, file: &Self::File) -> io::Result<Metadata>;
    fn read_at(&self, file: &Self::File, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    fn write_at(&self, file: &Self::File, bytes: &[u8], offset: u64) -> io::Result<usize>;
    fn truncate(&self, file: &Self::File, size: u64) -> io::Result<()>;
    /// Data, and the metadata a later read needs (the size).
    fn sync_data(&self, file: &Self::File, at: SyncPoint) -> io::Result<()>;
    fn sync_file(&self, file: &Self::File, at: SyncPoint) -> io::Result<()>;

    fn sync_directory(&self, path: &Path, at: SyncPoint) -> io::Result<()>;
    /// The file system that holds the directory `path`, if it can be synced as a whole and then
    /// reports every write that failed since this call, whoever else was told of it.
    fn filesystem(&self, path: &Path) -> io::Result<Option<Self::File>>;
    fn sync_filesystem(&self, filesystem: &Self::File, at: SyncPoint) -> io::Result<()>;

    fn metadata(&self, path: &Path) -> io::Result<Metadata>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    fn create_directory(&self, path: &Path) -> io::Result<()>;
    fn remove_directory(&self, path: &Path) -> io::Result<()>;
    /// The entries as they stream, in no order, without `.` and `..`.
    fn entries(&self, path: &Path, each: &mut dyn FnMut(&OsStr, Kind)) -> io::Result<()>;

    /// The path without any link in it. A double without links has nothing to say. Mutants: any answer of a
    /// double will do.
    fn resolve(&self, _path: &Path) -> io::Result<PathBuf> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Bits for names and epochs that must never repeat.
    fn random(&self) -> io::Result<u64>;
}
