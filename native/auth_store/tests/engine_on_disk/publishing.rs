//! Directories that get their whole content in one step: snapshots, restores, and staging.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use auth_store::Error;
use auth_store::engine::{Directory, Policy, RealDisk, Staging, SyncPoint, sweep_staging};
use tempfile::TempDir;

use super::faulty::{Fault, Faulty};
use super::{BOTH, delete, directory, expected, files, place, put, served};

#[test]
fn a_snapshot_is_a_directory_of_its_own() {
    for policy in BOTH {
        let (root, path) = place();
        let copy = root.path().join("backups/copy");
        let auth = directory(&path, policy);
        auth.commit(&[put("a", b"1"), put("b", b"1")]).unwrap();
        auth.snapshot(&copy, false).unwrap();
        auth.commit(&[put("a", b"2"), delete("b")]).unwrap();
        assert_eq!(files(&copy), expected(&[("a", "1"), ("b", "1")]));
        assert!(auth.snapshot(&copy, false).is_err());

        let second = directory(&copy, policy);
        second.commit(&[put("a", b"3")]).unwrap();
        assert_eq!(served(&path, policy), expected(&[("a", "2")]));
        assert_eq!(served(&copy, policy), expected(&[("a", "3"), ("b", "1")]));

        auth.snapshot(&copy, true).unwrap();
        assert_eq!(files(&copy), expected(&[("a", "2")]));
        let beside: Vec<_> = fs::read_dir(copy.parent().unwrap()).unwrap().collect();
        assert_eq!(beside.len(), 1, "{beside:?}");
    }
}

#[test]
fn a_restored_directory_stays_what_it_is_and_what_it_held_is_kept_whole() {
    for policy in BOTH {
        let root = TempDir::new().unwrap();
        let (backup, path) = (root.path().join("backup"), root.path().join("auth"));
        let aside = root.path().join("kept/aside");
        directory(&backup, policy)
            .commit(&[put("a", b"1")])
            .unwrap();
        directory(&path, policy)
            .commit(&[put("a", b"2"), put("b", b"2")])
            .unwrap();
        fs::create_dir_all(path.join("deep/er")).unwrap();
        fs::write(path.join("deep/er/note"), vec![7; 200_000]).unwrap();
        fs::write(path.join(".baileys_ex.owner"), "damaged").unwrap();
        let inode = fs::metadata(&path).unwrap().ino();
        let held = everything(&path);

        let auth = directory(&backup, policy);
        assert!(auth.restore(&path, &aside).unwrap());
        assert_eq!(everything(&aside), held);
        assert_eq!(files(&path), expected(&[("a", "1")]));
        assert!(!path.join("deep").exists());
        assert_eq!(fs::metadata(&path).unwrap().ino(), inode);
        let beside: Vec<_> = fs::read_dir(aside.parent().unwrap()).unwrap().collect();
        assert_eq!(beside.len(), 1, "{beside:?}");
        assert_eq!(served(&path, policy), expected(&[("a", "1")]));
    }
}

#[test]
fn a_restore_that_cannot_keep_what_is_there_changes_nothing() {
    for policy in BOTH {
        let root = TempDir::new().unwrap();
        let (backup, path) = (root.path().join("backup"), root.path().join("auth"));
        let aside = root.path().join("aside");
        let auth = directory(&backup, policy);
        auth.commit(&[put("a", b"1")]).unwrap();
        directory(&path, policy).commit(&[put("a", b"2")]).unwrap();
        let held = everything(&path);

        fs::create_dir(&aside).unwrap();
        assert!(auth.restore(&path, &aside).is_err());
        fs::remove_dir(&aside).unwrap();
        symlink("/etc/hostname", path.join("link")).unwrap();
        assert!(auth.restore(&path, &aside).is_err());
        assert!(!aside.exists());
        fs::remove_file(path.join("link")).unwrap();
        assert_eq!(everything(&path), held);

        // There is nothing to keep.
        let fresh = root.path().join("fresh");
        assert!(!auth.restore(&fresh, &aside).unwrap());
        assert_eq!(files(&fresh), expected(&[("a", "1")]));
        assert!(!aside.exists());
    }
}

#[test]
fn a_restore_that_is_not_published_leaves_nothing_aside_and_can_be_done_again() {
    for policy in BOTH {
        let root = TempDir::new().unwrap();
        let (backup, path) = (root.path().join("backup"), root.path().join("auth"));
        let (kept, aside) = (root.path().join("kept"), root.path().join("kept/aside"));
        let auth = directory(&backup, policy);
        auth.commit(&[put("a", b"1")]).unwrap();
        directory(&path, policy).commit(&[put("a", b"2")]).unwrap();
        let held = everything(&path);

        for fails in [
            SyncPoint::AsidePublished,
            SyncPoint::StagedNames,
            SyncPoint::PublicationName,
        ] {
            let failing = Directory::new(Faulty(Fault::Sync(fails)), backup.clone(), policy);
            failing.open().unwrap();
            assert!(failing.restore(&path, &aside).is_err(), "{fails:?}");
            assert_eq!(everything(&path), held, "{fails:?}");
            assert_eq!(fs::read_dir(&kept).unwrap().count(), 0, "{fails:?}");
        }
        assert!(auth.restore(&path, &aside).unwrap());
        assert_eq!(everything(&aside), held);
        assert_eq!(files(&path), expected(&[("a", "1")]));
    }
}

#[test]
fn what_was_set_aside_stays_where_the_new_content_was_decided_on() {
    for policy in BOTH {
        let root = TempDir::new().unwrap();
        let (backup, path) = (root.path().join("backup"), root.path().join("auth"));
        let aside = root.path().join("aside");
        directory(&backup, policy)
            .commit(&[put("a", b"1")])
            .unwrap();
        directory(&path, policy).commit(&[put("a", b"2")]).unwrap();
        let held = everything(&path);

        let fails = Fault::Sync(SyncPoint::PublishedNames);
        let failing = Directory::new(Faulty(fails), backup, policy);
        failing.open().unwrap();
        let error = failing.restore(&path, &aside).unwrap_err();
        assert!(matches!(error.into_error(), Error::RecoveryRequired { .. }));
        assert_eq!(everything(&aside), held);
        directory(&path, policy).open().unwrap();
        assert_eq!(files(&path), expected(&[("a", "1")]));
    }
}

#[test]
fn what_was_set_aside_stays_where_the_directory_was_replaced_meanwhile() {
    let root = TempDir::new().unwrap();
    let (path, aside) = (root.path().join("auth"), root.path().join("aside"));
    let auth = directory(&path, Policy::Plain);
    auth.commit(&[put("a", b"1")]).unwrap();
    let held = everything(&path);

    let mut staging = Staging::create(RealDisk, &path).unwrap();
    staging.write("a", b"2").unwrap();
    assert!(staging.keep_aside(&aside).unwrap());
    fs::remove_dir_all(&path).unwrap();
    fs::create_dir(&path).unwrap();
    assert!(staging.publish(true).is_err());
    assert_eq!(everything(&aside), held);
}

/// All files of a directory and its subdirectories except its lock, by path.
fn everything(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut pending = vec![path.to_owned()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap().path();
            if entry.is_dir() {
                pending.push(entry);
            } else if !entry.ends_with(".baileys_ex.lock") {
                let name = entry.strip_prefix(path).unwrap().to_owned();
                found.insert(name, fs::read(&entry).unwrap());
            }
        }
    }
    found
}

#[test]
fn a_snapshot_of_a_plain_directory_survives_writes_in_place() {
    let (root, path) = place();
    let copy = root.path().join("copy");
    let auth = directory(&path, Policy::Plain);
    auth.commit(&[put("a", b"1")]).unwrap();
    auth.snapshot(&copy, false).unwrap();
    fs::write(path.join("a"), "by Node").unwrap();
    assert_eq!(files(&copy), expected(&[("a", "1")]));
}

#[test]
fn staging_publishes_all_or_leaves_nothing() {
    let root = TempDir::new().unwrap();
    let target = root.path().join("deep/target");
    let mut staging = Staging::create(RealDisk, &target).unwrap();
    staging.write("a", b"1").unwrap();
    assert!(!target.exists());
    drop(staging);
    assert_eq!(fs::read_dir(target.parent().unwrap()).unwrap().count(), 0);

    let mut inode = None;
    for round in 0..3 {
        if round > 0 {
            fs::create_dir_all(target.join("sub/dir")).unwrap();
            fs::create_dir_all(target.join("key-3/in the way")).unwrap_or_default();
        }
        let mut staging = Staging::create(RealDisk, &target).unwrap();
        for key in 0..100 {
            staging
                .write(&format!("key-{key}"), format!("{round}").as_bytes())
                .unwrap();
        }
        assert!(staging.write("key-1", b"twice").is_err());
        staging.publish(true).unwrap();
        assert_eq!(files(&target).len(), 100);
        // It must stay the same directory, for a mount or a shell in it.
        let now = fs::metadata(&target).unwrap().ino();
        assert_eq!(*inode.get_or_insert(now), now);
        assert!(!target.join("sub").exists());
        assert_eq!(
            fs::read(target.join("key-7")).unwrap(),
            format!("{round}").as_bytes()
        );
        assert_eq!(fs::read_dir(target.parent().unwrap()).unwrap().count(), 1);
    }
    let staging = Staging::create(RealDisk, &target).unwrap();
    assert!(staging.publish(false).is_err());
    assert_eq!(files(&target).len(), 100);
    assert_eq!(fs::read_dir(target.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn leftovers_beside_a_target_and_in_it_are_swept() {
    let root = TempDir::new().unwrap();
    let target = root.path().join("auth");
    let staged = root.path().join(".auth.baileys_ex.tmp-1");
    let others = root.path().join(".other.baileys_ex.tmp-1");
    for path in [&staged, &others, &target] {
        fs::create_dir(path).unwrap();
        fs::write(path.join("creds"), path.to_str().unwrap()).unwrap();
    }
    fs::write(target.join(".baileys_ex.tmp-1-0"), "unfinished").unwrap();
    sweep_staging(&RealDisk, &target).unwrap();
    assert!(!staged.exists() && others.exists() && target.exists());
    let staging = Staging::create(RealDisk, &target).unwrap();
    assert!(!target.join(".baileys_ex.tmp-1-0").exists());
    drop(staging);
    assert_eq!(files(&target).len(), 1);
}

#[test]
fn a_directory_that_is_replaced_keeps_owner_group_and_mode_and_what_is_the_file_system_s() {
    let root = TempDir::new().unwrap();
    let target = root.path().join("auth");
    fs::create_dir(&target).unwrap();
    fs::set_permissions(&target, fs::Permissions::from_mode(0o2750)).unwrap();
    let is_root = fs::metadata(root.path()).unwrap().uid() == 0;
    if is_root {
        std::os::unix::fs::chown(&target, Some(1000), Some(1001)).unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o2750)).unwrap();
    }
    fs::create_dir(target.join("lost+found")).unwrap();
    let before = fs::metadata(&target).unwrap();
    for link in [false, true] {
        let path = if link {
            root.path().join("link")
        } else {
            target.clone()
        };
        if link {
            symlink("auth", &path).unwrap();
        }
        let mut staging = Staging::create(RealDisk, &path).unwrap();
        staging.write("a", b"1").unwrap();
        staging.publish(link).unwrap();
        let after = fs::metadata(&target).unwrap();
        assert_eq!(
            (after.ino(), after.uid(), after.gid(), after.mode()),
            (before.ino(), before.uid(), before.gid(), before.mode())
        );
        assert!(target.join("lost+found").is_dir());
        assert_eq!(fs::read(target.join("a")).unwrap(), b"1");
        if is_root {
            let file = fs::metadata(target.join("a")).unwrap();
            assert_eq!((file.uid(), file.gid()), (1000, 1001));
        }
    }
}
