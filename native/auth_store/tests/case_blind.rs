//! A disk that ignores case, as macOS formats it by default: ids that differ only in case must
//! never share a file unnoticed.

#![allow(clippy::unwrap_used)]

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use auth_store::Error;
use auth_store::engine::{Disk, Kind, Metadata, RealDisk, SyncPoint};
use auth_store::format::Format;
use auth_store::migrate::{Migration, MigrationError, Options};
use auth_store::store::{Key, KeyChange, Store};
use tempfile::TempDir;

/// The disk of this machine, except that it finds names whatever their case. Names keep the case in
/// which they were created. A directory `source` is on another disk, which respects case.
#[derive(Clone, Copy)]
struct CaseBlind;

impl CaseBlind {
    /// The path as it is spelled on the disk below.
    fn at(path: &Path) -> PathBuf {
        if path.components().any(|part| part.as_os_str() == "source") {
            return path.to_owned();
        }
        let mut real = PathBuf::new();
        for part in path.components() {
            let wanted = part.as_os_str().to_string_lossy().to_lowercase();
            let spelled = std::fs::read_dir(&real).ok().and_then(|entries| {
                entries
                    .filter_map(|entry| Some(entry.ok()?.file_name()))
                    .find(|name| name.to_string_lossy().to_lowercase() == wanted)
            });
            real.push(spelled.as_deref().unwrap_or(part.as_os_str()));
        }
        real
    }
}

impl Disk for CaseBlind {
    type File = <RealDisk as Disk>::File;

    fn open_read(&self, path: &Path) -> io::Result<Self::File> {
        RealDisk.open_read(&Self::at(path))
    }

    fn open_write(&self, path: &Path) -> io::Result<Self::File> {
        RealDisk.open_write(&Self::at(path))
    }

    fn create(&self, path: &Path) -> io::Result<Self::File> {
        RealDisk.create(&Self::at(path))
    }

    fn open_or_create(&self, path: &Path) -> io::Result<Self::File> {
        RealDisk.open_or_create(&Self::at(path))
    }

    fn try_lock(&self, file: &Self::File) -> io::Result<bool> {
        RealDisk.try_lock(file)
    }

    fn file_metadata(&self, file: &Self::File) -> io::Result<Metadata> {
        RealDisk.file_metadata(file)
    }

    fn read_at(&self, file: &Self::File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        RealDisk.read_at(file, buffer, offset)
    }

    fn write_at(&self, file: &Self::File, bytes: &[u8], offset: u64) -> io::Result<usize> {
        RealDisk.write_at(file, bytes, offset)
    }

    fn truncate(&self, file: &Self::File, size: u64) -> io::Result<()> {
        RealDisk.truncate(file, size)
    }

    fn sync_data(&self, file: &Self::File, at: SyncPoint) -> io::Result<()> {
        RealDisk.sync_data(file, at)
    }

    fn sync_file(&self, file: &Self::File, at: SyncPoint) -> io::Result<()> {
        RealDisk.sync_file(file, at)
    }

    fn sync_directory(&self, path: &Path, at: SyncPoint) -> io::Result<()> {
        RealDisk.sync_directory(&Self::at(path), at)
    }

    fn filesystem(&self, _path: &Path) -> io::Result<Option<Self::File>> {
        Ok(None)
    }

    fn sync_filesystem(&self, file: &Self::File, at: SyncPoint) -> io::Result<()> {
        RealDisk.sync_filesystem(file, at)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        RealDisk.metadata(&Self::at(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(&Self::at(from), &Self::at(to))
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.link(&Self::at(from), &Self::at(to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_file(&Self::at(path))
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        RealDisk.create_directory(&Self::at(path))
    }

    fn remove_directory(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_directory(&Self::at(path))
    }

    fn entries(&self, path: &Path, each: &mut dyn FnMut(&OsStr, Kind)) -> io::Result<()> {
        RealDisk.entries(&Self::at(path), each)
    }

    fn random(&self) -> io::Result<u64> {
        RealDisk.random()
    }
}

const FAMILY: &str = "app-state-sync-key";
const FORMATS: [Format; 2] = [Format::Json, Format::Etf];

fn key(id: &str) -> Key<'_> {
    Key::Of { family: FAMILY, id }
}

fn put<'a>(id: &'a str, bytes: &'a [u8]) -> KeyChange<'a> {
    let bytes = Some(bytes);
    KeyChange {
        key: key(id),
        bytes,
    }
}

fn delete(id: &str) -> KeyChange<'_> {
    KeyChange {
        key: key(id),
        bytes: None,
    }
}

fn names_both(error: &Error) -> bool {
    matches!(error, Error::InvalidKey { id, problem, .. }
        if id.contains("AAAb") && problem.contains("AAAB") && problem.contains("same file name"))
}

#[test]
fn a_second_id_that_differs_in_case_alone_is_refused_and_never_served_the_first_one_s_key() {
    for format in FORMATS {
        let root = TempDir::new().unwrap();
        let open = || {
            let store = Store::new(CaseBlind, root.path().join("auth"), format);
            store.open().unwrap();
            store
        };
        let store = open();
        store.commit(&[put("AAAB", b"first")]).unwrap();
        for store in [&store, &open()] {
            let error = store.commit(&[put("AAAb", b"second")]).unwrap_err();
            assert!(names_both(&error), "{format:?}: {error}");
            assert!(matches!(store.load(key("AAAb")), Err(Error::NotFound)));
            store.commit(&[delete("AAAb")]).unwrap();
            assert_eq!(store.load(key("AAAB")).unwrap(), b"first");
        }
        // The file of the first spelling can still be saved, by any process.
        open().commit(&[put("AAAB", b"again")]).unwrap();
        assert_eq!(open().load(key("AAAB")).unwrap(), b"again");
        store.checkpoint().unwrap();
        assert!(names_both(
            &open().commit(&[put("AAAb", b"2")]).unwrap_err()
        ));
        assert!(matches!(open().load(key("AAAb")), Err(Error::NotFound)));

        // The name is free once the other spelling is deleted.
        let store = open();
        store.commit(&[delete("AAAB")]).unwrap();
        store.commit(&[put("AAAb", b"second")]).unwrap();
        assert_eq!(store.load(key("AAAb")).unwrap(), b"second");
        assert!(matches!(store.load(key("AAAB")), Err(Error::NotFound)));
    }
}

#[test]
fn who_writes_after_somebody_else_has_spelled_a_key_otherwise_is_not_served_the_other_one() {
    for format in FORMATS {
        let root = TempDir::new().unwrap();
        let [store, other] = [(); 2].map(|()| {
            let store = Store::new(CaseBlind, root.path().join("auth"), format);
            store.open().unwrap();
            store
        });
        store.commit(&[put("AAAb", b"first")]).unwrap();
        store.checkpoint().unwrap();
        assert_eq!(store.load(key("AAAb")).unwrap(), b"first");
        other.commit(&[delete("AAAb")]).unwrap();
        other.commit(&[put("AAAB", b"second")]).unwrap();
        other.checkpoint().unwrap();
        store.commit(&[put("1", b"another")]).unwrap();
        for checkpointed in [false, true] {
            if checkpointed {
                store.checkpoint().unwrap();
            }
            assert!(matches!(store.load(key("AAAb")), Err(Error::NotFound)));
            assert_eq!(store.load(key("AAAB")).unwrap(), b"second");
        }
    }
}

#[test]
fn a_key_that_takes_the_place_of_one_spelled_otherwise_stays_when_files_follow() {
    for format in FORMATS {
        for (old, new) in [("AAAB", "AAAb"), ("AAAb", "AAAB")] {
            let root = TempDir::new().unwrap();
            let open = || {
                let store = Store::new(CaseBlind, root.path().join("auth"), format);
                store.open().unwrap();
                store
            };
            let store = open();
            store.commit(&[put(old, b"old"), put("1", b"1")]).unwrap();
            store.checkpoint().unwrap();
            store.commit(&[delete(old)]).unwrap();
            store.commit(&[put(new, b"new")]).unwrap();
            store.checkpoint().unwrap();
            assert_eq!(open().load(key(new)).unwrap(), b"new");
            assert!(matches!(open().load(key(old)), Err(Error::NotFound)));
        }
    }
}

#[test]
fn two_in_one_commit_are_refused_and_nothing_of_it_is_written() {
    for format in FORMATS {
        let root = TempDir::new().unwrap();
        let store = Store::new(CaseBlind, root.path().join("auth"), format);
        store.open().unwrap();
        let both = [put("AAAB", b"1"), put("AAAb", b"2")];
        for _ in 0..2 {
            let error = store.commit(&both).unwrap_err();
            assert!(names_both(&error), "{format:?}: {error}");
            assert!(matches!(store.load(key("AAAB")), Err(Error::NotFound)));
        }
        // In one commit, one spelling is deleted and another one added.
        store.commit(&[put("AAAB", b"1")]).unwrap();
        store
            .commit(&[put("1", b"other"), put("2", b"other")])
            .unwrap();
        assert_eq!(store.list().unwrap()[FAMILY].len(), 3);
    }
}

/// A source on a disk that respects case, where both spellings are fine.
fn source(format: Format, root: &Path, content: &[u8]) -> PathBuf {
    let path = root.join("source");
    let store = Store::new(RealDisk, path.clone(), format);
    store.open().unwrap();
    store
        .commit(&[put("AAAB", content), put("AAAb", content)])
        .unwrap();
    store.checkpoint().unwrap();
    path
}

#[test]
fn a_migration_onto_it_names_both_files_whether_the_target_exists_or_not() {
    for exists in [false, true] {
        let root = TempDir::new().unwrap();
        let content = br#"{"keyData":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}"#;
        let source = source(Format::Json, root.path(), content);
        let target = root.path().join("target");
        if exists {
            std::fs::create_dir(&target).unwrap();
        }
        let options = Options {
            without_credentials: true,
            ..Options::default()
        };
        // A native source is read by exact names, so it must be on a disk that respects case.
        let mut migration =
            Migration::begin(CaseBlind, source, &target, Format::Json, options, 0).unwrap();
        let Err(MigrationError::Target(error)) = migration.step(10) else {
            panic!("two keys went into one file");
        };
        assert!(names_both(&error), "{error}");
        drop(migration);
        assert_eq!(target.exists(), exists);
    }
}

#[test]
fn a_migration_over_a_key_that_is_spelled_otherwise_leaves_the_new_one() {
    const CONTENT: &[u8] = br#"{"keyData":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}"#;
    for (old, new) in [("AAAB", "AAAb"), ("AAAb", "AAAB")] {
        let root = TempDir::new().unwrap();
        let source = Store::new(RealDisk, root.path().join("source"), Format::Json);
        source.open().unwrap();
        source.commit(&[put(new, CONTENT)]).unwrap();
        let path = root.path().join("target");
        let target = Store::new(CaseBlind, path.clone(), Format::Etf);
        target.open().unwrap();
        target
            .commit(&[put(old, b"old"), put("1", b"old")])
            .unwrap();
        drop(target);

        let options = Options {
            without_credentials: true,
            overwrite: true,
            ..Options::default()
        };
        let source = root.path().join("source");
        let mut migration =
            Migration::begin(CaseBlind, source, &path, Format::Json, options, 0).unwrap();
        while migration.done() < migration.total() {
            migration.step(10).unwrap();
        }
        migration.publish().unwrap();

        let target = Store::new(CaseBlind, path, Format::Etf);
        target.open().unwrap();
        assert!(target.load(key(new)).is_ok(), "{old} hid {new}");
        assert!(matches!(target.load(key(old)), Err(Error::NotFound)));
        assert!(matches!(target.load(key("1")), Err(Error::NotFound)));
    }
}

#[test]
fn a_snapshot_onto_it_names_both_files() {
    let root = TempDir::new().unwrap();
    let source = source(Format::Etf, root.path(), b"content");
    let store = Store::new(CaseBlind, source, Format::Etf);
    store.open().unwrap();
    let target = root.path().join("target");
    let error = store.snapshot(&target).unwrap_err();
    let told = error.to_string();
    assert!(told.contains("AAAB") && told.contains("AAAb"), "{told}");
    assert!(!target.exists());
}
