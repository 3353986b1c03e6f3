//! Turns and claims on the disk of this machine.

use std::os::unix::fs::MetadataExt;

use auth_store::engine::{By, Owner};

use super::*;

fn owner(id: &str) -> Owner {
    Owner {
        id: id.to_owned(),
        ..Owner::default()
    }
}

fn owner_of<T: std::fmt::Debug>(refused: Result<T, Error>) -> Option<String> {
    match refused {
        Err(Error::NotOwner { owner, .. }) => owner.map(|owner| owner.id),
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_holds_a_directory_keeps_others_out_and_is_named() {
    for policy in BOTH {
        let (_root, path) = place();
        let other = directory(&path, policy);
        other.commit(&[put("a", b"1")]).unwrap();
        let holder = directory(&path, policy);
        holder.hold().unwrap();
        assert!(holder.undisturbed().unwrap());
        let this = format!("process {} on ", std::process::id());
        let fresh = directory(&path, policy);
        for refused in [other.commit(&[put("a", b"2")]), fresh.open()] {
            assert!(
                matches!(&refused, Err(Error::Busy { holder: Some(by), .. }) if by.starts_with(&this)),
                "{refused:?}"
            );
        }
        assert!(!fresh.is_open());
        drop(holder);
        other.commit(&[put("a", b"2")]).unwrap();
    }
}

#[test]
fn who_holds_what_nobody_has_locked_is_told_of_the_first_writer() {
    let (_root, path) = place();
    fs::create_dir(&path).unwrap();
    let holder = directory(&path, Policy::Plain);
    holder.hold().unwrap();
    assert!(holder.undisturbed().unwrap());
    assert_eq!(holder.identity_of_lock().unwrap(), None);
    directory(&path, Policy::Plain)
        .commit(&[put("a", b"1")])
        .unwrap();
    assert!(!holder.undisturbed().unwrap());
    let lock = fs::metadata(path.join(".baileys_ex.lock")).unwrap();
    let identity = Some((lock.dev(), lock.ino()));
    assert_eq!(holder.identity_of_lock().unwrap(), identity);
}

#[test]
fn the_newest_claim_wins_and_a_lost_one_stays_lost_until_it_is_forgotten() {
    for policy in BOTH {
        let (_root, path) = place();
        let [old, new] = [(); 2].map(|()| directory(&path, policy));
        old.claim(owner("old")).unwrap();
        old.commit(&[put("a", b"1")]).unwrap();
        old.check_owned().unwrap();
        assert_eq!(old.owner().unwrap().unwrap().counter, 1);
        new.claim(owner("new")).unwrap();
        assert_eq!(new.owner().unwrap().unwrap().counter, 2);
        assert_eq!(owner_of(old.check_owned()).as_deref(), Some("new"));
        let refused = old.commit(&[put("a", b"2")]);
        assert_eq!(owner_of(refused).as_deref(), Some("new"));

        // A claim of somebody else is not given back.
        old.release("old").unwrap();
        assert_eq!(new.owner().unwrap().unwrap().id, "new");
        new.check_owned().unwrap();

        // A claim that stands is not forgotten either.
        new.forget_claim();
        old.forget_claim();
        old.commit(&[put("a", b"3")]).unwrap();
        directory(&path, policy).claim(owner("third")).unwrap();
        let refused = new.commit(&[put("a", b"4")]);
        assert_eq!(owner_of(refused).as_deref(), Some("third"));
    }
}

#[test]
fn a_claim_that_is_given_back_leaves_short_work_for_the_next_owner() {
    let (_root, path) = place();
    let auth = directory(&path, Policy::Journaled);
    auth.claim(owner("one")).unwrap();
    for value in [b"1", b"2"] {
        auth.commit(&[put("a", value)]).unwrap();
    }
    assert_eq!(fs::read(path.join("a")).unwrap(), b"1");
    auth.release("another").unwrap();
    auth.check_owned().unwrap();
    assert!(auth.owner().unwrap().is_some());
    auth.release("one").unwrap();
    assert_eq!(auth.owner().unwrap(), None);
    assert_eq!(fs::read(path.join("a")).unwrap(), b"2");
    assert_eq!(auth.journal_state().unwrap().records, 0);
    auth.commit(&[put("a", b"3")]).unwrap();
}

/// The content was replaced by a restore or a migration.
#[test]
fn a_claim_of_what_is_not_known_any_more_is_given_back_without_a_touch() {
    let (_root, path) = place();
    let auth = directory(&path, Policy::Journaled);
    auth.claim(owner("one")).unwrap();
    for value in [b"1", b"2"] {
        auth.commit(&[put("a", value)]).unwrap();
    }
    let before = auth.journal_state().unwrap();
    auth.distrust();
    auth.release("one").unwrap();
    assert_eq!(auth.owner().unwrap(), None);
    assert_eq!(auth.journal_state().unwrap(), before);
    assert_eq!(fs::read(path.join("a")).unwrap(), b"1");
}

#[test]
fn changes_of_others_are_counted_and_the_keepers_own_are_not() {
    for policy in BOTH {
        let (_root, path) = place();
        let [keeper, other] = [(); 2].map(|()| directory(&path, policy));
        let commit = |by: By, keys: bool| {
            let changes = [put("a", b"1")];
            keeper.commit_by(by, keys, &mut &changes[..])
        };
        let his = By::Keeper {
            unless_changed: None,
        };
        commit(his, true).unwrap();
        let known = keeper.changes().unwrap();
        let same = || keeper.changes().unwrap() == known;
        commit(his, true).unwrap();
        assert!(same(), "his own");
        commit(By::Anybody, false).unwrap();
        assert!(same(), "no key");
        keeper.checkpoint().unwrap();
        assert!(same(), "a checkpoint");
        let only_if = By::Keeper {
            unless_changed: Some(known),
        };
        commit(only_if, true).unwrap();
        commit(By::Anybody, true).unwrap();
        assert!(!same(), "of somebody in this process");
        assert!(matches!(commit(only_if, true), Err(Error::Changed { .. })));
        let known = keeper.changes().unwrap();
        other.commit(&[put("b", b"1")]).unwrap();
        assert!(keeper.changes().unwrap() > known, "of another process");
    }
}

#[test]
fn owners_who_take_turns_go_on_in_one_journal() {
    let (_root, path) = place();
    let owners = [(); 2].map(|()| directory(&path, Policy::Journaled));
    owners[0].commit(&[put("a", b"first")]).unwrap();
    let epoch = owners[0].journal_state().unwrap().epoch;
    for round in 0..10_u8 {
        let owner = &owners[usize::from(round % 2)];
        owner.commit(&[put("a", &[round])]).unwrap();
        for owner in &owners {
            owner.open().unwrap();
            assert_eq!(owner.read("a").unwrap().unwrap(), [round]);
        }
    }
    let state = owners[0].journal_state().unwrap();
    assert_eq!((state.epoch, state.records), (epoch, 10));
    for owner in &owners {
        assert_eq!(owner.take_happened().recoveries, 0);
    }
}

#[test]
fn two_owners_of_one_directory_see_each_others_commits() {
    for policy in BOTH {
        let (_root, path) = place();
        let owners = [directory(&path, policy), directory(&path, policy)];
        for round in 0..20 {
            let value = format!("{round}");
            let own = format!("own-{}", round % 2);
            owners[round % 2]
                .commit(&[put("shared", value.as_bytes()), put(&own, value.as_bytes())])
                .unwrap();
            for owner in &owners {
                owner.open().unwrap();
                assert_eq!(owner.read("shared").unwrap().unwrap(), value.as_bytes());
            }
        }
        assert_eq!(
            served(&path, policy),
            expected(&[("own-0", "18"), ("own-1", "19"), ("shared", "19")])
        );
    }
}

/// As on a file system that ignores case, or through a link.
#[test]
fn two_spellings_of_one_directory_are_two_owners_that_know_of_each_other() {
    for policy in BOTH {
        let root = TempDir::new().unwrap();
        fs::create_dir(root.path().join("data")).unwrap();
        std::os::unix::fs::symlink("data", root.path().join("DATA")).unwrap();
        let spellings = ["data/auth", "DATA/auth"].map(|path| root.path().join(path));
        let owners = spellings.each_ref().map(|path| directory(path, policy));
        for round in 0..20 {
            let value = format!("{round}");
            let (me, other) = (&owners[round % 2], &owners[(round + 1) % 2]);
            other.open().unwrap();
            let known = other.changes().unwrap();
            me.commit(&[put("a", value.as_bytes()), put("b", value.as_bytes())])
                .unwrap();
            assert_ne!(other.changes().unwrap(), known);
        }
        assert_eq!(
            served(&spellings[0], policy),
            expected(&[("a", "19"), ("b", "19")])
        );
        let identities = owners
            .each_ref()
            .map(|owner| owner.identity_of_lock().unwrap());
        assert_eq!(identities[0], identities[1]);
    }
}

/// As on a node of a cluster that only reads what another node writes.
#[test]
fn who_has_a_directory_open_reads_what_another_one_commits_at_once() {
    let (root, path) = place();
    let owner = directory(&path, Policy::Journaled);
    let reader = directory(&path, Policy::Journaled);
    reader.open().unwrap();
    for round in 0..50 {
        let value = format!("{round}");
        let name = format!("key-{}", round % 7);
        owner.commit(&[put(&name, value.as_bytes())]).unwrap();
        assert_eq!(reader.read(&name).unwrap().unwrap(), value.as_bytes());
        match round % 10 {
            3 => owner.checkpoint().unwrap(),
            5 => owner.tidy().unwrap(),
            7 => owner.commit(&[delete(&name)]).unwrap(),
            9 => owner.snapshot(&root.path().join("copy"), true).unwrap(),
            _ => {}
        }
        assert_eq!(reader.read(&name).unwrap(), owner.read(&name).unwrap());
        assert_eq!(listed(&reader), listed(&owner));
    }
    // Nobody recovered anything, since nothing was broken.
    assert_eq!(owner.take_happened().recoveries, 0);
    assert_eq!(reader.take_happened().recoveries, 0);
}

/// As the source of a migration, which must see one state from then on.
#[test]
fn who_holds_the_lock_reads_what_was_committed_before() {
    let (_root, path) = place();
    let owner = directory(&path, Policy::Journaled);
    let holder = directory(&path, Policy::Journaled);
    for value in [b"1", b"2"] {
        owner.commit(&[put("a", value)]).unwrap();
        holder.open().unwrap();
    }
    owner.commit(&[put("a", b"3")]).unwrap();
    holder.hold().unwrap();
    assert_eq!(holder.read("a").unwrap().unwrap(), b"3");
}
