//! The engine on the disk of this machine.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use auth_store::Error;
use auth_store::engine::{Change, Directory, Limits, Policy, RealDisk};
use tempfile::TempDir;

mod checkpoints;
mod cut_short;
mod faulty;
mod growth;
mod links;
mod looking;
mod owners;
mod peeking;
mod publishing;
mod salvage;
mod targets;

const BOTH: [Policy; 2] = [Policy::Plain, Policy::Journaled];

fn directory(path: &Path, policy: Policy) -> Directory<RealDisk> {
    Directory::new(RealDisk, path.to_owned(), policy)
}

fn put<'a>(name: &'a str, bytes: &'a [u8]) -> Change<'a> {
    Change {
        name,
        bytes: Some(bytes),
    }
}

fn delete(name: &str) -> Change<'_> {
    Change { name, bytes: None }
}

/// All files of a directory except the engine's own, by name.
fn files(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if !auth_store::engine::is_own(&name) {
            files.insert(name, fs::read(entry.path()).unwrap());
        }
    }
    files
}

/// What a reader is served: the files alone under the plain policy, and otherwise with the content
/// of the journal.
fn served(path: &Path, policy: Policy) -> BTreeMap<String, Vec<u8>> {
    if policy == Policy::Plain {
        return files(path);
    }
    let visitor = directory(path, policy);
    visitor.peek().unwrap();
    let read = |name: String| {
        let bytes = visitor.read(&name).unwrap().unwrap();
        (name, bytes)
    };
    listed(&visitor).into_iter().map(read).collect()
}

/// The path for a directory, and the temporary directory around it, which is removed when it is
/// dropped.
fn place() -> (TempDir, PathBuf) {
    let root = TempDir::new().unwrap();
    let path = root.path().join("auth");
    (root, path)
}

fn listed(directory: &Directory<RealDisk>) -> Vec<String> {
    let mut names = Vec::new();
    directory
        .list(&mut |name| names.push(name.to_owned()))
        .unwrap();
    names.sort_unstable();
    names
}

fn expected(files: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
    files
        .iter()
        .map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()))
        .collect()
}

#[test]
fn what_is_committed_is_read_and_listed_now_and_after_a_restart() {
    for policy in BOTH {
        let root = TempDir::new().unwrap();
        let path = root.path().join("a/b/auth");
        let auth = directory(&path, policy);
        auth.open().unwrap();
        assert!(!path.exists(), "opening made the directory");
        assert_eq!(auth.read("creds").unwrap(), None);
        auth.commit(&[delete("creds")]).unwrap();
        assert!(!path.exists(), "deleting made the directory");

        auth.commit(&[put("creds", b"1")]).unwrap();
        auth.commit(&[
            put("creds", b"2"),
            put("key-1", b"one"),
            put("key-2", b"two"),
        ])
        .unwrap();
        auth.commit(&[delete("key-2"), delete("never"), put("key-3", b"")])
            .unwrap();
        auth.commit(&[
            put("key-4", b"x"),
            delete("key-4"),
            delete("key-5"),
            put("key-5", b"y"),
        ])
        .unwrap();
        let state = expected(&[
            ("creds", "2"),
            ("key-1", "one"),
            ("key-3", ""),
            ("key-5", "y"),
        ]);
        assert_eq!(served(&path, policy), state);

        let again = directory(&path, policy);
        assert!(matches!(
            again.read("creds"),
            Err(Error::RecoveryRequired { .. })
        ));
        again.open().unwrap();
        let mut names = Vec::new();
        again.list(&mut |name| names.push(name.to_owned())).unwrap();
        names.sort();
        assert_eq!(names, state.keys().cloned().collect::<Vec<_>>());
        for (name, bytes) in &state {
            assert_eq!(again.read(name).unwrap().as_ref(), Some(bytes));
        }
        assert_eq!(again.read("key-2").unwrap(), None);
        assert_eq!(served(&path, policy), state);
    }
}

#[test]
fn a_plain_directory_holds_nothing_but_its_keys_and_the_lock() {
    let (_root, path) = place();
    let auth = directory(&path, Policy::Plain);
    auth.commit(&[put("a", b"1"), put("b", b"2")]).unwrap();
    auth.commit(&[put("a", b"3")]).unwrap();
    let names: Vec<_> = fs::read_dir(&path)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names.iter().any(|name| name == ".baileys_ex.lock"));
}

#[test]
fn files_are_0600_and_made_directories_0700() {
    for policy in BOTH {
        let root = TempDir::new().unwrap();
        let path = root.path().join("parent/auth");
        directory(&path, policy)
            .commit(&[put("a", b"1"), put("b", b"2")])
            .unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        for entry in fs::read_dir(&path).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(mode(&entry.path()), 0o600, "{:?}", entry.file_name());
        }
    }
}

#[test]
fn a_directory_removed_or_made_anew_behind_its_back_gives_no_old_value() {
    for policy in BOTH {
        let (_root, path) = place();
        let auth = directory(&path, policy);
        for made_anew in [false, true] {
            auth.commit(&[put("a", b"old"), put("b", b"old")]).unwrap();
            fs::remove_dir_all(&path).unwrap();
            if made_anew {
                fs::create_dir(&path).unwrap();
            }
            assert_eq!(auth.read("a").unwrap(), None);
            auth.commit(&[put("a", b"new")]).unwrap();
            assert_eq!(served(&path, policy), expected(&[("a", "new")]));
            let again = directory(&path, policy);
            again.open().unwrap();
            assert_eq!(served(&path, policy), expected(&[("a", "new")]));
        }
    }
}

#[test]
fn what_is_left_of_an_append_that_was_cut_short_goes_with_the_next_opening() {
    let (_root, path) = place();
    let auth = directory(&path, Policy::Journaled);
    for value in [b"1", b"2"] {
        auth.commit(&[put("a", value)]).unwrap();
    }
    let journal = path.join(".baileys_ex.journal");
    let mut bytes = fs::read(&journal).unwrap();
    let end = auth.journal_state().unwrap().bytes as usize;
    bytes[end + 5] = 7;
    fs::write(&journal, bytes).unwrap();
    let next = directory(&path, Policy::Journaled);
    assert!(next.journal_state().unwrap().torn);
    next.open().unwrap();
    assert!(!next.journal_state().unwrap().torn);
    assert_eq!(next.read("a").unwrap().unwrap(), b"2");
}

#[test]
fn what_is_no_regular_file_is_neither_followed_nor_replaced_nor_waited_for() {
    for policy in BOTH {
        let (root, path) = place();
        let auth = directory(&path, policy);
        auth.commit(&[put("a", b"1")]).unwrap();
        let outside = root.path().join("outside");
        fs::write(&outside, "precious").unwrap();
        symlink(&outside, path.join("link")).unwrap();
        fs::create_dir(path.join("dir")).unwrap();
        let fifo = path.join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        let socket = std::os::unix::net::UnixListener::bind(path.join("socket")).unwrap();

        for name in ["link", "dir", "fifo", "socket"] {
            assert!(
                matches!(auth.read(name), Err(Error::Corrupt { .. })),
                "{name}"
            );
            for changes in [vec![put(name, b"2")], vec![put("a", b"2"), delete(name)]] {
                let result = auth.commit(&changes);
                assert!(
                    matches!(result, Err(Error::Corrupt { .. })),
                    "{name}: {result:?}"
                );
                assert_eq!(auth.read("a").unwrap().unwrap(), b"1");
            }
        }
        drop(socket);
        assert_eq!(fs::read(&outside).unwrap(), b"precious");
        let mut names = Vec::new();
        auth.list(&mut |name| names.push(name.to_owned())).unwrap();
        assert_eq!(names, ["a"]);
        auth.commit(&[put("a", b"2")]).unwrap();
    }
}

#[test]
fn names_cannot_leave_the_directory_or_touch_the_engines_own_files() {
    let root = TempDir::new().unwrap();
    let auth = directory(&root.path().join("auth"), Policy::Journaled);
    auth.open().unwrap();
    let long = "x".repeat(256);
    for name in [
        "",
        ".",
        "..",
        "../a",
        "a/b",
        "/a",
        "a\0b",
        ".baileys_ex.journal",
        "a.tmp-1",
        &long,
    ] {
        assert!(
            matches!(
                auth.commit(&[put(name, b"")]),
                Err(Error::InvalidTerm { .. })
            ),
            "{name}"
        );
        assert!(
            matches!(auth.read(name), Err(Error::InvalidTerm { .. })),
            "{name}"
        );
    }
    let longest = "x".repeat(255);
    auth.commit(&[put(&longest, b"1")]).unwrap();
    assert_eq!(auth.read(&longest).unwrap().unwrap(), b"1");
}

#[test]
fn leftovers_are_swept_and_others_unfinished_files_are_left_alone() {
    for policy in BOTH {
        let (_root, path) = place();
        let before = directory(&path, policy);
        before.commit(&[put("a", b"1")]).unwrap();
        before.checkpoint().unwrap();
        fs::write(path.join(".baileys_ex.tmp-0123456789abcdef"), "half").unwrap();
        fs::write(path.join("creds.json.tmp-7"), "foreign").unwrap();
        let auth = directory(&path, policy);
        auth.open().unwrap();
        assert_eq!(
            files(&path),
            expected(&[("a", "1"), ("creds.json.tmp-7", "foreign")])
        );
        let mut names = Vec::new();
        auth.list(&mut |name| names.push(name.to_owned())).unwrap();
        assert_eq!(names, ["a"]);
    }
}

#[test]
fn a_journal_of_a_later_version_is_refused_and_nothing_is_touched() {
    for policy in BOTH {
        let (_root, path) = place();
        directory(&path, Policy::Journaled)
            .commit(&[put("a", b"1")])
            .unwrap();
        let journal = path.join(".baileys_ex.journal");
        let mut bytes = fs::read(&journal).unwrap();
        bytes[8] = 3;
        fs::write(&journal, &bytes).unwrap();
        fs::write(path.join(".baileys_ex.tmp-1"), "theirs").unwrap();
        let before = files(&path);
        let auth = directory(&path, policy);
        assert!(matches!(auth.open(), Err(Error::UnsupportedJournal(3))));
        assert!(matches!(
            auth.commit(&[put("a", b"2")]),
            Err(Error::UnsupportedJournal(3))
        ));
        assert!(matches!(auth.recover(), Err(Error::UnsupportedJournal(3))));
        assert!(!auth.is_open());
        assert_eq!(files(&path), before);
        assert_eq!(fs::read(&journal).unwrap(), bytes);
    }
}

#[test]
fn stamps_change_with_every_replacement() {
    let (_root, path) = place();
    let auth = directory(&path, Policy::Journaled);
    auth.open().unwrap();
    assert_eq!(auth.stamp("a").unwrap(), None);
    auth.commit(&[put("a", b"1")]).unwrap();
    let mut stamps = Vec::new();
    for round in 0..200_u32 {
        auth.commit(&[put("a", &round.to_le_bytes())]).unwrap();
        let stamp = auth.stamp("a").unwrap().unwrap();
        assert!(!stamps.contains(&stamp));
        stamps.push(stamp);
    }
    std::thread::sleep(std::time::Duration::from_millis(120));
    let old = auth.stamp("a").unwrap();
    assert_eq!(old, auth.stamp("a").unwrap());
    assert_eq!(old, stamps.pop());
    // The stamp of the file that the checkpoint wrote, which differs from that of the held content.
    auth.checkpoint().unwrap();
    let of_file = auth.stamp("a").unwrap().unwrap();
    assert!(!stamps.contains(&of_file) && Some(of_file) != old);
}

#[test]
fn no_error_shows_what_a_file_holds() {
    let (_root, path) = place();
    let auth = directory(&path, Policy::Journaled);
    // A checkpoint follows the first commit, so the others are in the journal.
    for _ in 0..3 {
        auth.commit(&[put("a", b"SECRET-MARK")]).unwrap();
    }
    let journal = path.join(".baileys_ex.journal");
    let mut bytes = fs::read(&journal).unwrap();
    bytes[100] ^= 1;
    fs::write(&journal, bytes).unwrap();
    let error = directory(&path, Policy::Journaled).open().unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains("MARK"));
}

/// A sparse file can claim any length, and the content of a journal is kept in memory.
#[test]
fn a_journal_longer_than_any_is_refused_unread() {
    let (_root, path) = place();
    directory(&path, Policy::Journaled)
        .commit(&[put("a", b"1")])
        .unwrap();
    let journal = path.join(".baileys_ex.journal");
    let file = fs::File::options().write(true).open(&journal).unwrap();
    let fresh = || directory(&path, Policy::Journaled);
    // A record of 512 MiB after the last offset at which one may begin.
    let longest = 516 << 20;
    file.set_len(longest).unwrap();
    fresh().peek().unwrap();
    file.set_len(longest + 1).unwrap();
    fresh().peek().unwrap_err();
    file.set_len(1 << 40).unwrap();
    for result in [fresh().open(), fresh().peek()] {
        let message = result.unwrap_err().to_string();
        assert!(
            message.contains("longer than this library writes"),
            "{message}"
        );
    }
    assert_eq!(fs::metadata(&journal).unwrap().len(), 1 << 40);
}
