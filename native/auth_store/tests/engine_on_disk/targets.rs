//! Places where a directory is created or published, and what may be in the way there.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;

use auth_store::engine::{CopyError, Staging, SyncPoint, sweep_staging};

use super::faulty::{Fault, Faulty};
use super::*;

fn on(fault: Fault, path: &Path, policy: Policy) -> Directory<Faulty> {
    Directory::new(Faulty(fault), path.to_owned(), policy)
}

/// Publishes new content for an existing directory, in which a directory is in the way of a file.
fn publish(fault: Fault, path: &Path) -> Result<(), Error> {
    let mut staging = Staging::create(Faulty(fault), path).unwrap();
    staging.write("a", b"1").unwrap();
    staging.write("b", b"2").unwrap();
    staging.publish(true)
}

fn occupied(path: &Path) {
    fs::create_dir_all(path.join("a/in the way")).unwrap();
    fs::create_dir_all(path.join("goes/too")).unwrap();
    fs::write(path.join("old"), "3").unwrap();
}

#[test]
fn what_is_in_the_way_of_a_publication_goes_with_links_and_without() {
    for fault in [Fault::None, Fault::Links] {
        let (_root, path) = place();
        occupied(&path);
        publish(fault, &path).unwrap();
        assert_eq!(files(&path), expected(&[("a", "1"), ("b", "2")]));

        occupied_again_and_cut_short(&path);
        directory(&path, Policy::Plain).open().unwrap();
        assert_eq!(files(&path), expected(&[("a", "1"), ("b", "2")]));
    }
}

fn occupied_again_and_cut_short(path: &Path) {
    fs::remove_file(path.join("a")).unwrap();
    occupied(path);
    publish(Fault::Sync(SyncPoint::PublishedNames), path).unwrap_err();
    // The process that completes the publication finds the name taken.
    fs::remove_file(path.join("a")).unwrap();
    fs::create_dir_all(path.join("a/in the way")).unwrap();
}

#[test]
fn a_file_that_is_published_is_not_written_a_second_time() {
    let (_root, path) = place();
    fs::create_dir(&path).unwrap();
    let mut staging = Staging::create(RealDisk, &path).unwrap();
    staging.write("a", b"1").unwrap();
    let unfinished = fs::read_dir(&path)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|entry| !entry.ends_with(".baileys_ex.lock"))
        .unwrap();
    let inode = fs::metadata(unfinished).unwrap().ino();
    staging.publish(false).unwrap();
    assert_eq!(fs::metadata(path.join("a")).unwrap().ino(), inode);
}

#[test]
fn a_publication_that_is_not_decided_leaves_what_was_there() {
    for fault in [
        Fault::Rename,
        Fault::Sync(SyncPoint::PublicationName),
        Fault::Sync(SyncPoint::StagedNames),
    ] {
        let (root, path) = place();
        let auth = directory(&path, Policy::Plain);
        auth.commit(&[put("old", b"3")]).unwrap();
        publish(fault, &path).unwrap_err();
        assert_eq!(files(&path), expected(&[("old", "3")]));
        auth.commit(&[put("old", b"4")]).unwrap();
        assert_eq!(served(&path, Policy::Plain), expected(&[("old", "4")]));

        let fresh = root.path().join("fresh");
        let published = publish(fault, &fresh);
        let decides_by_that = matches!(fault, Fault::Sync(SyncPoint::PublicationName));
        assert_eq!(published.is_ok(), decides_by_that);
        assert_eq!(fresh.exists(), decides_by_that);
    }
}

#[test]
fn a_snapshot_shares_files_that_are_only_ever_replaced() {
    for (policy, fault, links) in [
        (Policy::Journaled, Fault::None, 2),
        (Policy::Journaled, Fault::Links, 1),
        (Policy::Plain, Fault::None, 1),
    ] {
        let root = TempDir::new().unwrap();
        let (path, copy) = (root.path().join("auth"), root.path().join("copy"));
        let auth = on(fault, &path, policy);
        auth.commit(&[put("a", b"1")]).unwrap();
        fs::write(path.join("b.tmp-1"), "unfinished").unwrap();
        fs::create_dir(path.join("notes")).unwrap();
        auth.snapshot(&copy, false).unwrap();
        assert_eq!(files(&copy), expected(&[("a", "1")]));
        assert_eq!(fs::metadata(copy.join("a")).unwrap().nlink(), links);
    }
}

#[test]
fn a_directory_is_no_copy_of_itself_however_it_is_spelled() {
    let (root, path) = place();
    let auth = directory(&path, Policy::Plain);
    auth.commit(&[put("a", b"1")]).unwrap();
    symlink("auth", root.path().join("link")).unwrap();
    for target in ["auth", "link"] {
        auth.snapshot(&root.path().join(target), true).unwrap_err();
        let aside = root.path().join("aside");
        auth.restore(&root.path().join(target), &aside).unwrap_err();
        assert!(!aside.exists());
        assert_eq!(files(&path), expected(&[("a", "1")]));
    }
}

#[test]
fn what_is_linked_or_copied_must_be_there() {
    let root = TempDir::new().unwrap();
    let (from, missing) = (root.path().join("from"), root.path().join("missing"));
    fs::write(&from, "1").unwrap();
    for fault in [Fault::None, Fault::Links] {
        let target = root.path().join("target");
        let mut staging = Staging::create(Faulty(fault), &target).unwrap();
        staging.link_or_copy(&from, "a").unwrap();
        staging.copy(&from, "b").unwrap();
        for refused in [
            staging.link_or_copy(&missing, "c"),
            staging.copy(&missing, "d"),
        ] {
            assert!(
                matches!(&refused, Err(CopyError::Source(Error::Io { path, source }))
                    if *path == missing && source.kind() == ErrorKind::NotFound),
                "{refused:?}"
            );
        }
    }
}

/// With the additions of its unfinished directory, a long name would be too long.
#[test]
fn a_target_may_have_the_longest_name_there_is() {
    let root = TempDir::new().unwrap();
    let besides = ".".len() + ".baileys_ex.tmp-".len() + 16;
    for length in 255 - besides - 3..=255 {
        let name = "n".repeat(length);
        let target = root.path().join(&name);
        let mut staging = Staging::create(RealDisk, &target).unwrap();
        let unfinished = staging.path().file_name().unwrap().to_str().unwrap();
        assert_eq!(
            unfinished.contains(&name),
            length + besides <= 255,
            "{length}"
        );
        staging.write("a", b"1").unwrap();
        staging.publish(false).unwrap();
        assert_eq!(files(&target), expected(&[("a", "1")]));
    }
}

#[test]
fn a_place_that_cannot_be_listed_is_told_and_one_that_is_missing_has_nothing_to_sweep() {
    let root = TempDir::new().unwrap();
    sweep_staging(&RealDisk, &root.path().join("missing/auth")).unwrap();
    fs::write(root.path().join("file"), "").unwrap();
    sweep_staging(&RealDisk, &root.path().join("file/auth")).unwrap();
    symlink("loop", root.path().join("loop")).unwrap();
    let looped = root.path().join("loop/auth");
    sweep_staging(&RealDisk, &looped).unwrap_err();
    directory(&looped, Policy::Plain)
        .finish_publication()
        .unwrap_err();
    directory(&root.path().join("file/auth"), Policy::Plain)
        .finish_publication()
        .unwrap();
}

#[test]
fn a_directory_that_cannot_be_made_is_named_and_one_that_somebody_else_makes_is_used() {
    for policy in BOTH {
        let root = TempDir::new().unwrap();
        let path = root.path().join("deep/auth");
        let refused = on(Fault::ReadOnly, &path, policy).commit(&[put("a", b"1")]);
        assert!(
            matches!(&refused, Err(Error::Io { path, source })
                if path.ends_with("deep") && source.kind() == ErrorKind::PermissionDenied),
            "{refused:?}"
        );
        on(Fault::Raced, &path, policy)
            .commit(&[put("a", b"1")])
            .unwrap();
        assert_eq!(served(&path, policy), expected(&[("a", "1")]));
    }
}

#[test]
fn a_parent_that_is_not_ours_to_sync_is_no_hindrance_and_one_that_fails_is() {
    for policy in BOTH {
        let (_root, path) = place();
        directory(&path, policy).commit(&[put("a", b"1")]).unwrap();
        on(Fault::Denied(SyncPoint::FoundName), &path, policy)
            .open()
            .unwrap();
        let auth = on(Fault::Sync(SyncPoint::FoundName), &path, policy);
        auth.open().unwrap_err();
        assert!(matches!(
            auth.read("a"),
            Err(Error::RecoveryRequired { .. })
        ));
    }
}

#[test]
fn who_only_looks_keeps_what_he_saw_and_who_only_read_tidies_nothing() {
    let (_root, path) = place();
    let owner = directory(&path, Policy::Journaled);
    for value in [b"1", b"2"] {
        owner.commit(&[put("a", value)]).unwrap();
    }
    let (held, _) = owner.idle().unwrap();
    assert_eq!(held, 160 + 1 + 1);
    let state = owner.journal_state().unwrap();
    let visitor = directory(&path, Policy::Journaled);
    visitor.peek().unwrap();
    visitor.tidy().unwrap();
    assert_eq!(visitor.read("a").unwrap().unwrap(), b"2");
    let reader = directory(&path, Policy::Journaled);
    reader.open().unwrap();
    assert_eq!(reader.idle().unwrap().0, held);
    reader.tidy().unwrap();
    assert_eq!(reader.idle(), None);
    assert_eq!(owner.journal_state().unwrap(), state);
    assert_eq!(reader.read("a").unwrap().unwrap(), b"2");
    owner.tidy().unwrap();
    assert_eq!(owner.idle(), None);
    assert_eq!(fs::read(path.join("a")).unwrap(), b"2");
}

#[test]
fn a_reader_of_a_directory_that_gets_a_new_content_reads_it_at_once() {
    let (_root, path) = place();
    let owner = directory(&path, Policy::Journaled);
    for value in [b"0", b"9"] {
        owner.commit(&[put("a", value), put("c", value)]).unwrap();
    }
    let reader = directory(&path, Policy::Journaled);
    reader.open().unwrap();
    assert_eq!(reader.read("a").unwrap().unwrap(), b"9");
    publish(Fault::None, &path).unwrap();
    for directory in [&reader, &owner] {
        assert_eq!(directory.read("a").unwrap().unwrap(), b"1");
        assert_eq!(directory.read("c").unwrap(), None);
    }
}

#[test]
fn a_commit_that_cannot_name_its_file_leaves_nothing_unfinished() {
    let (_root, path) = place();
    directory(&path, Policy::Plain)
        .commit(&[put("a", b"1")])
        .unwrap();
    let auth = on(Fault::Rename, &path, Policy::Plain);
    auth.commit(&[put("a", b"2")]).unwrap_err();
    assert_eq!(files(&path), expected(&[("a", "1")]));
}

#[test]
fn what_was_done_counts_and_not_what_is_reported_of_it() {
    for policy in BOTH {
        let (_root, path) = place();
        let auth = on(Fault::Reported, &path, policy);
        auth.commit(&[put("a", b"1")]).unwrap();
        auth.commit(&[put("a", b"2"), put("b", b"2")]).unwrap();
        auth.commit(&[delete("b")]).unwrap();
        auth.commit(&[delete("never")]).unwrap();
        auth.checkpoint().unwrap();
        assert_eq!(files(&path), expected(&[("a", "2")]));

        let auth = on(Fault::Removal, &path, policy);
        auth.commit(&[delete("never")]).unwrap();
        let removed = auth.commit(&[delete("a")]).and_then(|()| auth.checkpoint());
        assert!(matches!(removed, Err(Error::Io { .. })), "{removed:?}");
        assert_eq!(files(&path), expected(&[("a", "2")]));
    }
}
