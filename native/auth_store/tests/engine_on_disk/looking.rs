//! What a directory answers, whether it is open or not.

use std::sync::atomic::{AtomicUsize, Ordering};

use auth_store::engine::{By, Owner, Planned};

use super::faulty::{Fault, Faulty};
use super::*;

/// In the journal, `b` exists and `a` does not. In the files it is the other way round.
fn ahead(path: &Path) -> Directory<RealDisk> {
    let auth = directory(path, Policy::Journaled);
    auth.commit(&[put("a", b"1"), put("c", b"1")]).unwrap();
    auth.commit(&[delete("a"), put("b", b"2")]).unwrap();
    auth
}

#[test]
fn what_is_there_is_known_before_a_directory_is_opened_and_after() {
    let (root, path) = place();
    let owner = ahead(&path);
    let [unopened, opened, peeked] = [(); 3].map(|()| directory(&path, Policy::Journaled));
    opened.open().unwrap();
    peeked.peek().unwrap();
    for directory in [&owner, &unopened, &opened, &peeked] {
        for (name, there) in [("a", false), ("b", true), ("c", true), ("d", false)] {
            assert_eq!(directory.has(name).unwrap(), there, "{name}");
        }
    }
    assert!(!unopened.is_open());
    let gone = root.path().join("gone");
    fs::rename(&path, gone).unwrap();
    symlink("auth", &path).unwrap();
    assert!(peeked.has("b").unwrap());
    peeked.has("d").unwrap_err();

    let plain = root.path().join("plain");
    let auth = directory(&plain, Policy::Plain);
    auth.commit(&[put("a", b"1")]).unwrap();
    assert!(auth.has("a").unwrap() && !auth.has("b").unwrap());
    fs::write(root.path().join("file"), "").unwrap();
    let below = directory(&root.path().join("file/auth"), Policy::Plain);
    assert!(below.has("a").is_err() || !below.has("a").unwrap());
    symlink("loop", root.path().join("loop")).unwrap();
    directory(&root.path().join("loop/auth"), Policy::Plain)
        .has("a")
        .unwrap_err();
}

#[test]
fn who_looks_at_a_damaged_journal_asks_for_what_is_there_too() {
    let (_root, path) = place();
    let auth = ahead(&path);
    for value in [b"3", b"4"] {
        auth.commit(&[put("c", value)]).unwrap();
    }
    let journal = path.join(".baileys_ex.journal");
    let mut bytes = fs::read(&journal).unwrap();
    let at = bytes.windows(4).rposition(|four| four == b"BXRC").unwrap();
    bytes[at - 1] ^= 1;
    fs::write(&journal, bytes).unwrap();
    let visitor = directory(&path, Policy::Journaled);
    visitor.has("b").unwrap_err();
    assert!(visitor.peek_trusting().unwrap().is_some());
    assert!(visitor.has("b").unwrap() && !visitor.has("a").unwrap());
}

/// Two commits that are made during the read look like damage.
#[test]
fn who_only_looks_looks_again_at_what_seems_damaged() {
    static ZEROS: AtomicUsize = AtomicUsize::new(3);
    let (_root, path) = place();
    ahead(&path);
    let visitor = Directory::new(
        Faulty(Fault::Zeros(&ZEROS)),
        path.clone(),
        Policy::Journaled,
    );
    visitor.peek().unwrap();
    assert_eq!(ZEROS.load(Ordering::SeqCst), 0);
    assert_eq!(visitor.read("b").unwrap().unwrap(), b"2");
}

#[test]
fn a_directory_exists_or_is_refused_and_its_reader_is_named() {
    let (_root, path) = place();
    let auth = directory(&path, Policy::Plain);
    auth.check_exists().unwrap_err();
    auth.commit(&[put("a", b"1")]).unwrap();
    auth.check_exists().unwrap();
    let user = match rustix::process::geteuid().as_raw() {
        0 => "root".to_owned(),
        id => format!("uid {id}"),
    };
    assert_eq!(
        auth.who_may_read("a"),
        format!("cannot be read: owned by {user}, this is {user}")
    );
    assert_eq!(
        auth.who_may_read("missing"),
        format!("cannot be read: this is {user}")
    );
}

/// Secrets and configuration are mounted this way.
#[test]
fn a_link_within_the_directory_is_read_and_tells_its_versions_apart() {
    let (root, path) = place();
    for version in ["one", "two"] {
        fs::create_dir_all(path.join(version)).unwrap();
        fs::write(path.join(version).join("creds"), version).unwrap();
    }
    fs::create_dir(path.join("one/deep")).unwrap();
    symlink("one", path.join("..data")).unwrap();
    symlink("..data/creds", path.join("creds")).unwrap();
    symlink("..data/deep", path.join("directory")).unwrap();
    symlink("gone", path.join("nowhere")).unwrap();
    fs::write(root.path().join("outside"), "precious").unwrap();
    symlink("../outside", path.join("outside")).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(120));
    let auth = directory(&path, Policy::Plain);
    auth.open().unwrap();
    assert_eq!(auth.read("creds").unwrap().unwrap(), b"one");
    for refused in ["directory", "outside", "nowhere"] {
        assert!(matches!(auth.read(refused), Err(Error::Corrupt { .. })));
    }
    let mut names = Vec::new();
    auth.list(&mut |name| names.push(name.to_owned())).unwrap();
    assert_eq!(names, ["creds"]);
    let stamp = auth.stamp("creds").unwrap().unwrap();
    assert_eq!(auth.stamp("creds").unwrap(), Some(stamp));
    assert_eq!(auth.read_version("creds").unwrap().unwrap().1, stamp);
    fs::remove_file(path.join("..data")).unwrap();
    symlink("two", path.join("..data")).unwrap();
    assert_eq!(auth.read("creds").unwrap().unwrap(), b"two");
    assert_ne!(auth.stamp("creds").unwrap(), Some(stamp));
}

#[test]
fn a_file_of_64_mib_is_read_and_a_longer_one_refused() {
    let (_root, path) = place();
    let auth = directory(&path, Policy::Plain);
    auth.commit(&[put("a", b"1")]).unwrap();
    let file = fs::File::options()
        .write(true)
        .open(path.join("a"))
        .unwrap();
    file.set_len(64 << 20).unwrap();
    assert_eq!(auth.read("a").unwrap().unwrap().len(), 64 << 20);
    file.set_len((64 << 20) + 1).unwrap();
    assert!(matches!(auth.read("a"), Err(Error::Corrupt { .. })));
}

#[test]
fn after_a_sync_that_failed_nothing_is_served_before_a_recovery() {
    let (_root, path) = place();
    directory(&path, Policy::Plain)
        .commit(&[put("a", b"1")])
        .unwrap();
    let fails = Fault::Sync(auth_store::engine::SyncPoint::KeyName);
    let auth = Directory::new(Faulty(fails), path, Policy::Plain);
    auth.open().unwrap();
    auth.commit(&[put("a", b"2")]).unwrap_err();
    let refused = |result: Result<(), Error>| {
        assert!(
            matches!(result, Err(Error::RecoveryRequired { .. })),
            "{result:?}"
        );
    };
    refused(auth.open());
    refused(auth.read("a").map(|_| ()));
    refused(auth.commit(&[put("b", b"1")]));
    refused(auth.checkpoint());
    auth.recover().unwrap();
    assert_eq!(auth.read("a").unwrap().unwrap(), b"2");
    assert_eq!(auth.take_happened().recoveries, 1);
}

struct Panics;

impl Planned for Panics {
    fn changes(&mut self) -> Result<Vec<Change<'_>>, Error> {
        panic!("in the middle of a commit")
    }
}

#[test]
fn after_a_panic_a_claim_still_counts_and_what_is_remembered_does_not() {
    let (_root, path) = place();
    let auth = directory(&path, Policy::Journaled);
    let owner = |id: &str| Owner {
        id: id.to_owned(),
        ..Owner::default()
    };
    auth.claim(owner("one")).unwrap();
    auth.commit(&[put("a", b"1")]).unwrap();
    let known = auth.changes().unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        auth.commit_by(By::Anybody, true, &mut Panics)
    }));
    assert!(panicked.is_err());
    assert!(auth.changes().unwrap() > known);
    // The lock is not kept either.
    directory(&path, Policy::Journaled)
        .claim(owner("two"))
        .unwrap();
    assert!(matches!(
        auth.commit(&[put("a", b"2")]),
        Err(Error::NotOwner { .. })
    ));
}

#[test]
fn what_is_distrusted_is_neither_served_nor_remembered() {
    let (_root, path) = place();
    let auth = ahead(&path);
    let known = auth.changes().unwrap();
    assert!(auth.idle().is_some());
    auth.distrust();
    assert_eq!(auth.idle(), None);
    assert_eq!(auth.changes().unwrap(), known + 1);
    assert!(matches!(
        auth.read("a"),
        Err(Error::RecoveryRequired { .. })
    ));
    auth.commit(&[put("d", b"1")]).unwrap();
    assert_eq!(auth.read("a").unwrap(), None);
}

#[test]
fn writes_that_are_interrupted_or_short_go_on_and_names_that_are_taken_are_made_anew() {
    static INTERRUPTED: AtomicUsize = AtomicUsize::new(5);
    static TAKEN: AtomicUsize = AtomicUsize::new(7);
    let root = TempDir::new().unwrap();
    for (at, fault) in [
        ("interrupted", Fault::Interrupted(&INTERRUPTED)),
        ("taken", Fault::Taken(&TAKEN)),
    ] {
        let path = root.path().join(at);
        let auth = Directory::new(Faulty(fault), path.clone(), Policy::Plain);
        auth.commit(&[put("a", b"one"), put("b", b"two")]).unwrap();
        assert_eq!(
            served(&path, Policy::Plain),
            expected(&[("a", "one"), ("b", "two")])
        );
        if at == "taken" {
            assert_eq!(TAKEN.swap(8, Ordering::SeqCst), 0);
            let refused = auth.commit(&[put("a", b"three")]);
            assert!(matches!(refused, Err(Error::Io { path: named, .. }) if named == path));
        }
    }
    assert_eq!(INTERRUPTED.load(Ordering::SeqCst), 0);
}

#[test]
fn a_copy_is_one_as_long_as_both_serve_the_same() {
    for policy in BOTH {
        let (root, path) = place();
        let copy_path = root.path().join("copy");
        let auth = directory(&path, policy);
        auth.commit(&[put("a", b"1"), put("b", b"1")]).unwrap();
        auth.snapshot(&copy_path, false).unwrap();
        let copy = directory(&copy_path, policy);
        copy.peek().unwrap();
        assert!(auth.holds_same(&copy).unwrap());
        // Where what was read before does not count, another one looks.
        let changed = |change| {
            copy.commit(&[change]).unwrap();
            let copy = directory(&copy_path, policy);
            copy.peek().unwrap();
            assert_eq!(
                auth.holds_same(&copy).unwrap(),
                copy.holds_same(&auth).unwrap()
            );
            !auth.holds_same(&copy).unwrap()
        };
        assert!(changed(put("b", b"2")));
        assert!(!changed(put("b", b"1")));
        assert!(changed(put("c", b"1")));
        assert!(!changed(delete("c")));
        assert!(changed(delete("b")));
    }
}
