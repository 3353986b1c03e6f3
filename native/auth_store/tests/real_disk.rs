//! The calls of this machine's disk, one by one.

#![allow(clippy::unwrap_used)]

use std::ffi::CString;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use auth_store::engine::{Disk, Kind, RealDisk, SyncPoint};
use rustix::fs::{FileType, Mode, OFlags};
use tempfile::TempDir;

/// A descriptor that only names a file: it cannot be synced, locked or written to.
fn unusable(path: &Path) -> File {
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .unwrap()
        .into()
}

#[test]
fn a_sync_that_fails_says_so() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("a");
    fs::write(&path, "1").unwrap();
    let file = unusable(&path);
    RealDisk.sync_data(&file, SyncPoint::Append).unwrap_err();
    RealDisk.sync_file(&file, SyncPoint::KeyFile).unwrap_err();
    RealDisk
        .sync_filesystem(&unusable(root.path()), SyncPoint::StagedFiles)
        .unwrap_err();
    RealDisk.truncate(&file, 0).unwrap_err();

    let sync = |path: &Path| RealDisk.sync_directory(path, SyncPoint::KeyName);
    sync(root.path()).unwrap();
    let missing = sync(&root.path().join("missing")).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert_eq!(sync(&path).unwrap_err().kind(), ErrorKind::NotADirectory);
}

#[test]
fn a_lock_excludes_every_other_open_file_until_it_is_closed() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("lock");
    let first = RealDisk.open_or_create(&path).unwrap();
    let second = RealDisk.open_or_create(&path).unwrap();
    assert!(RealDisk.try_lock(&first).unwrap());
    assert!(!RealDisk.try_lock(&second).unwrap());
    drop(first);
    assert!(RealDisk.try_lock(&second).unwrap());
    RealDisk.try_lock(&unusable(&path)).unwrap_err();
}

#[test]
fn files_are_made_for_their_owner_once_and_pass_to_no_program_that_is_started() {
    let root = TempDir::new().unwrap();
    let made = RealDisk.create(&root.path().join("made")).unwrap();
    let opened = RealDisk
        .open_or_create(&root.path().join("opened"))
        .unwrap();
    for file in [&made, &opened] {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let flags = rustix::io::fcntl_getfd(file).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    }
    let again = RealDisk.create(&root.path().join("made")).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::AlreadyExists);
    // An existing file is opened as it is, for reading and writing.
    RealDisk.write_at(&made, b"12", 0).unwrap();
    let file = RealDisk.open_or_create(&root.path().join("made")).unwrap();
    RealDisk.write_at(&file, b"3", 1).unwrap();
    let mut bytes = [0; 4];
    assert_eq!(RealDisk.read_at(&file, &mut bytes, 0).unwrap(), 2);
    assert_eq!(&bytes[..2], b"13");
    RealDisk.truncate(&file, 1).unwrap();
    assert_eq!(fs::read(root.path().join("made")).unwrap(), b"1");
}

#[test]
fn each_kind_of_entry_is_told_and_links_are_not_followed() {
    let root = TempDir::new().unwrap();
    let at = |name: &str| root.path().join(name);
    fs::write(at("file"), "").unwrap();
    fs::create_dir(at("directory")).unwrap();
    symlink("file", at("link")).unwrap();
    let fifo = CString::new(at("fifo").into_os_string().into_encoded_bytes()).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, Mode::RWXU, 0).unwrap();
    let expected = [
        ("directory", Kind::Directory),
        ("fifo", Kind::Other),
        ("file", Kind::File),
        ("link", Kind::Symlink),
    ];
    let mut entries = Vec::new();
    RealDisk
        .entries(root.path(), &mut |name, kind| {
            entries.push((name.to_str().unwrap().to_owned(), kind));
        })
        .unwrap();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(
        entries,
        expected.map(|(name, kind)| (name.to_owned(), kind))
    );
    for (name, kind) in expected {
        assert_eq!(RealDisk.metadata(&at(name)).unwrap().kind, kind);
    }
    RealDisk.open_read(&at("link")).unwrap_err();
    // Does not wait for a writer.
    RealDisk.open_read(&at("fifo")).unwrap();
    assert_eq!(
        RealDisk.resolve(&at("link")).unwrap(),
        at("file").canonicalize().unwrap()
    );
    RealDisk.remove_directory(&at("directory")).unwrap();
    assert!(!at("directory").exists());
}

#[test]
fn metadata_is_that_of_the_file_to_the_nanosecond() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("a");
    fs::write(&path, "123").unwrap();
    let time = UNIX_EPOCH + Duration::new(1_700_000_001, 23_456_700);
    let file = File::options().write(true).open(&path).unwrap();
    file.set_modified(time).unwrap();
    let found = RealDisk.metadata(&path).unwrap();
    assert_eq!(found.modified, 1_700_000_001_023_456_700);
    assert_eq!(found.size, 3);
    let real = fs::metadata(&path).unwrap();
    assert_eq!(
        (found.device, found.inode, found.user),
        (real.dev(), real.ino(), real.uid())
    );
    assert_eq!(RealDisk.file_metadata(&file).unwrap(), found);
}

/// The names that Linux gives to these file systems.
#[cfg(target_os = "linux")]
#[test]
fn a_whole_file_system_is_synced_where_that_is_known_to_report_errors() {
    let trusted = ["ext2/ext3", "xfs", "btrfs", "f2fs"];
    for place in [std::env::temp_dir(), "/dev/shm".into(), "/proc".into()] {
        let Ok(told) = std::process::Command::new("stat")
            .args(["--file-system", "--format=%T"])
            .arg(&place)
            .output()
        else {
            return;
        };
        if !told.status.success() {
            continue;
        }
        let name = String::from_utf8(told.stdout).unwrap();
        let filesystem = RealDisk.filesystem(&place).unwrap();
        assert_eq!(
            filesystem.is_some(),
            trusted.contains(&name.trim()),
            "{place:?} is {name}"
        );
        if let Some(filesystem) = filesystem {
            RealDisk
                .sync_filesystem(&filesystem, SyncPoint::StagedFiles)
                .unwrap();
            let flags = rustix::io::fcntl_getfd(&filesystem).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        }
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    RealDisk.filesystem(file.path()).unwrap_err();
}

#[test]
fn what_is_random_does_not_repeat() {
    let first = RealDisk.random().unwrap();
    assert_ne!(first, RealDisk.random().unwrap());
}

/// A user other than root owns all files that it creates.
#[test]
fn what_root_makes_belongs_to_whom_the_place_belongs_to() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("not run: only root may give a file away");
        return;
    }
    const SOMEBODY: (u32, u32) = (12_345, 23_456);
    let root = TempDir::new().unwrap();
    let of = |path: &Path| {
        let made = fs::metadata(path).unwrap();
        (made.uid(), made.gid())
    };
    let at = |name: &str| root.path().join(name);
    RealDisk.create(&at("of-root")).unwrap();
    assert_eq!(of(&at("of-root")), (0, 0));
    std::os::unix::fs::chown(root.path(), Some(SOMEBODY.0), Some(SOMEBODY.1)).unwrap();
    RealDisk.create(&at("file")).unwrap();
    RealDisk.open_or_create(&at("lock")).unwrap();
    RealDisk.create_directory(&at("directory")).unwrap();
    for name in ["file", "lock", "directory"] {
        assert_eq!(of(&at(name)), SOMEBODY, "{name}");
    }
    // A directory of root's with another group.
    std::os::unix::fs::chown(root.path(), Some(0), Some(SOMEBODY.1)).unwrap();
    RealDisk.create(&at("of-group")).unwrap();
    assert_eq!(of(&at("of-group")), (0, SOMEBODY.1));
}
