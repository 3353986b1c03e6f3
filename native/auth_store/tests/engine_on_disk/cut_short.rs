//! Work that somebody did not live to finish, and directories that cannot be written to.

use auth_store::engine::{Staging, SyncPoint};

use super::faulty::{Fault, Faulty};
use super::*;

const LOCK: &str = ".baileys_ex.lock";
const PUBLICATION: &str = ".baileys_ex.publication";
const LEFTOVER: &str = ".baileys_ex.tmp-0123456789abcdef";

/// A directory with 2 in the journal and 1 in the files, which is about to hold nothing but 3.
fn published_until(path: &Path, fails: SyncPoint) -> Directory<RealDisk> {
    let auth = directory(path, Policy::Journaled);
    for value in [b"1", b"2"] {
        auth.commit(&[put("a", value), put("b", value)]).unwrap();
    }
    let reader = directory(path, Policy::Journaled);
    reader.open().unwrap();
    assert_eq!(reader.read("a").unwrap().unwrap(), b"2");
    let mut staging = Staging::create(Faulty(Fault::Sync(fails)), path).unwrap();
    staging.write("a", b"3").unwrap();
    let published = staging.publish(true);
    assert!(
        matches!(published, Err(Error::RecoveryRequired { .. })),
        "{published:?}"
    );
    assert!(path.join(PUBLICATION).exists());
    reader
}

#[test]
fn a_publication_that_was_cut_short_is_completed_and_every_reader_sees_it() {
    for fails in [SyncPoint::PublishedNames, SyncPoint::PublishedRemovals] {
        let (_root, path) = place();
        let reader = published_until(&path, fails);

        let visitor = directory(&path, Policy::Journaled);
        visitor.peek().unwrap();
        assert_eq!(visitor.read("a").unwrap().unwrap(), b"3");
        assert_eq!(visitor.read("b").unwrap(), None);
        assert!(path.join(PUBLICATION).exists(), "who only looks");

        directory(&path, Policy::Journaled)
            .finish_publication()
            .unwrap();
        assert!(!path.join(PUBLICATION).exists());
        assert_eq!(files(&path), expected(&[("a", "3")]));
        assert_eq!(reader.read("a").unwrap().unwrap(), b"3");
        assert_eq!(reader.read("b").unwrap(), None);
    }
}

#[test]
fn who_remembers_a_journal_that_went_forgets_it_when_the_directory_is_opened_again() {
    let (_root, path) = place();
    let auth = directory(&path, Policy::Journaled);
    for value in [b"1", b"2"] {
        auth.commit(&[put("a", value)]).unwrap();
    }
    fs::remove_file(path.join(".baileys_ex.journal")).unwrap();
    directory(&path, Policy::Journaled).open().unwrap();
    assert_eq!(auth.read("a").unwrap().unwrap(), b"1");
}

#[test]
fn leftovers_are_swept_under_the_lock_only() {
    for policy in BOTH {
        let (_root, path) = place();
        fs::create_dir(&path).unwrap();
        fs::write(path.join(LEFTOVER), "half").unwrap();
        directory(&path, policy).open().unwrap();
        assert!(!path.join(LEFTOVER).exists() && path.join(LOCK).exists());

        fs::remove_file(path.join(LOCK)).unwrap();
        directory(&path, policy).open().unwrap();
        assert!(!path.join(LOCK).exists(), "nothing to sweep");
    }
}

#[test]
fn what_cannot_be_written_to_is_read_and_says_so_when_it_is_written_to() {
    for policy in BOTH {
        let (_root, path) = place();
        let writer = directory(&path, policy);
        for value in [b"1", b"2"] {
            writer.commit(&[put("a", value)]).unwrap();
        }
        fs::write(path.join(LEFTOVER), "half").unwrap();
        let limits = Limits::default();
        let disk = Faulty(Fault::ReadOnly);
        let auth = Directory::with_limits(disk, path.clone(), policy, limits);
        auth.open().unwrap();
        assert_eq!(auth.read("a").unwrap().unwrap(), b"2");
        writer.commit(&[put("a", b"3")]).unwrap();
        assert_eq!(auth.read("a").unwrap().unwrap(), b"3");
        for change in [put("a", b"4"), delete("a"), delete("never")] {
            let refused = auth.commit(&[change]).unwrap_err();
            assert!(
                matches!(&refused, Error::Io { source, .. }
                    if source.kind() == std::io::ErrorKind::PermissionDenied),
                "{refused:?}"
            );
        }
        assert_eq!(auth.read("a").unwrap().unwrap(), b"3");
        assert!(path.join(LEFTOVER).exists());
    }
}
