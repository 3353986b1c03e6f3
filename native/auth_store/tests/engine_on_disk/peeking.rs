//! Looking into a directory that somebody else may be using, on the disk of this machine.

use auth_store::engine::Happened;

use super::*;

fn directory(path: &Path) -> Directory<RealDisk> {
    super::directory(path, Policy::Journaled)
}

/// Everything in a directory, with its content.
fn image(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(path).unwrap().map(Result::unwrap);
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// Two commits, and files as a power cut may leave them: torn, lost, and restored.
fn crashed(path: &Path) {
    let owner = directory(path);
    owner
        .commit(&[put("a", b"1"), put("b", b"2"), put("c", b"3")])
        .unwrap();
    owner.tidy().unwrap();
    owner
        .commit(&[put("a", b"4"), put("b", b"2"), delete("c")])
        .unwrap();
    fs::write(path.join("a"), "").unwrap();
    fs::remove_file(path.join("b")).unwrap();
    fs::write(path.join("c"), "3").unwrap();
    fs::write(path.join(".baileys_ex.tmp-17"), "half").unwrap();
}

#[test]
fn shows_what_was_committed_and_writes_nothing() {
    let root = TempDir::new().unwrap();
    crashed(root.path());
    let before = image(root.path());

    let visitor = directory(root.path());
    visitor.peek().unwrap();
    assert_eq!(visitor.read("a").unwrap().unwrap(), b"4");
    assert_eq!(visitor.read("b").unwrap().unwrap(), b"2");
    assert_eq!(visitor.read("c").unwrap(), None);
    assert_eq!(listed(&visitor), ["a", "b"]);
    assert_eq!(image(root.path()), before);
}

#[test]
fn shows_what_a_recovery_then_makes_of_it() {
    let root = TempDir::new().unwrap();
    crashed(root.path());
    let visitor = directory(root.path());
    visitor.peek().unwrap();
    let owner = directory(root.path());
    owner.open().unwrap();

    assert_eq!(listed(&visitor), listed(&owner));
    for name in ["a", "b", "c"] {
        assert_eq!(visitor.read(name).unwrap(), owner.read(name).unwrap());
    }
}

#[test]
fn does_not_disturb_an_owner_that_goes_on() {
    let root = TempDir::new().unwrap();
    let owner = directory(root.path());
    owner.commit(&[put("a", b"1")]).unwrap();
    owner.take_happened();
    directory(root.path()).peek().unwrap();
    owner.commit(&[put("b", b"2")]).unwrap();
    // An owner that finds its journal changed would recover first.
    assert_eq!(owner.take_happened(), Happened::default());
}

#[test]
fn is_no_opening() {
    let root = TempDir::new().unwrap();
    crashed(root.path());
    let directory = directory(root.path());
    directory.peek().unwrap();
    assert!(!directory.is_open());
    // A commit opens the directory, and recovers it first.
    directory.commit(&[put("d", b"5")]).unwrap();
    assert!(directory.is_open());
    assert_eq!(directory.read("a").unwrap().unwrap(), b"4");
    assert_eq!(listed(&directory), ["a", "b", "d"]);
}

#[test]
fn refuses_a_journal_that_is_damaged() {
    let root = TempDir::new().unwrap();
    fs::write(root.path().join(".baileys_ex.journal"), "no journal").unwrap();
    let visitor = directory(root.path());
    assert!(matches!(visitor.peek(), Err(Error::Corrupt { .. })));
    assert!(matches!(
        visitor.read("a"),
        Err(Error::RecoveryRequired { .. })
    ));
}

#[test]
fn tells_recoveries_and_checkpoints_once() {
    let root = TempDir::new().unwrap();
    crashed(root.path());
    // As after a crash: what the lock file said about the journal is lost.
    fs::write(root.path().join(".baileys_ex.lock"), "").unwrap();
    let limits = Limits {
        checkpoint: 64,
        ..Limits::default()
    };
    let path = root.path().to_owned();
    let owner = Directory::with_limits(RealDisk, path, Policy::Journaled, limits);
    owner.open().unwrap();
    let happened = owner.take_happened();
    assert_eq!((happened.recoveries, happened.recovered_commits), (1, 1));
    assert_eq!(happened.checkpoints, 0);
    assert_eq!(owner.take_happened(), Happened::default());

    for _ in 0..3 {
        owner.commit(&[put("a", &[7; 64])]).unwrap();
    }
    let happened = owner.take_happened();
    assert_eq!((happened.recoveries, happened.checkpoints), (0, 3));
}
