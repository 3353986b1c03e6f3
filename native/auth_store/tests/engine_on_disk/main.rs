//! The engine on the disk of this machine.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use auth_store::Error;
use auth_store::engine::{Change, Directory, Limits, Policy, RealDisk};
use tempfile::TempDir;

mod checkpoints;
mod cut_short;
mod faulty;
mod growth;
mod links;
mod looking;
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

/// Everything of a directory but the engine's own files, by name.
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

/// What is there for who looks: in the files alone under the plain policy, and with what the journal
/// says of them under the other one.
fn served(path: &Path, policy: Policy) -> BTreeMap<String, Vec<u8>> {
    if policy == Policy::Plain {
        return files(path);
    }
    let visitor = directory(path, policy);
    visitor.peek().unwrap();
    let mut names = Vec::new();
    visitor
        .list(&mut |name| names.push(name.to_owned()))
        .unwrap();
    let read = |name: String| {
        let bytes = visitor.read(&name).unwrap().unwrap();
        (name, bytes)
    };
    names.into_iter().map(read).collect()
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
    let root = TempDir::new().unwrap();
    let path = root.path().join("auth");
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
fn two_owners_of_one_directory_see_each_others_commits() {
    for policy in BOTH {
        let root = TempDir::new().unwrap();
        let path = root.path().join("auth");
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

#[test]
fn a_directory_removed_or_made_anew_behind_its_back_gives_no_old_value() {
    for policy in BOTH {
        let root = TempDir::new().unwrap();
        let path = root.path().join("auth");
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
fn the_files_of_a_journaled_directory_follow_with_a_checkpoint() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("auth");
    let auth = directory(&path, Policy::Journaled);
    let version = || fs::read(path.join(".baileys_ex.journal")).unwrap()[8];
    auth.commit(&[put("a", b"1"), put("b", b"1")]).unwrap();
    auth.checkpoint().unwrap();
    // What every version of this library reads.
    assert_eq!(version(), 1);
    auth.commit(&[put("a", b"2"), delete("b"), put("c", b"2")])
        .unwrap();
    assert_eq!(files(&path), expected(&[("a", "1"), ("b", "1")]));
    assert_eq!(version(), 2);
    assert_eq!(
        served(&path, Policy::Journaled),
        expected(&[("a", "2"), ("c", "2")])
    );
    auth.tidy().unwrap();
    assert_eq!(files(&path), expected(&[("a", "2"), ("c", "2")]));
    assert_eq!(version(), 2);
    auth.checkpoint().unwrap();
    assert_eq!(version(), 1);
}

/// As on a node of a cluster that only reads what another one writes.
#[test]
fn who_has_a_directory_open_reads_what_another_one_commits_at_once() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("auth");
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
        let listed = |directory: &Directory<RealDisk>| {
            let mut names = Vec::new();
            directory
                .list(&mut |name| names.push(name.to_owned()))
                .unwrap();
            names.sort();
            names
        };
        assert_eq!(listed(&reader), listed(&owner));
    }
    // Nobody recovered what was not broken.
    assert_eq!(owner.take_happened().recoveries, 0);
    assert_eq!(reader.take_happened().recoveries, 0);
}

/// As the source of a migration, which sees one state from then on.
#[test]
fn who_holds_the_lock_reads_what_was_committed_before() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("auth");
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

#[test]
fn what_is_left_of_an_append_that_was_cut_short_goes_with_the_next_opening() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("auth");
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
fn what_may_be_held_in_memory_is_limited_for_the_process() {
    let root = TempDir::new().unwrap();
    let limits = Limits {
        held: 0,
        ..Limits::default()
    };
    let path = root.path().join("auth");
    let auth = Directory::with_limits(RealDisk, path.clone(), Policy::Journaled, limits);
    for round in 0..5 {
        auth.commit(&[put("a", &[round; 64])]).unwrap();
        let held = auth.idle().map_or(0, |(held, _)| held);
        assert!(held < 1_000, "{held}");
        auth.commit(&[put(&format!("b-{round}"), &[round; 64])])
            .unwrap();
        assert!(files(&path).contains_key("a"));
    }
}

#[test]
fn a_journal_past_its_limit_is_checkpointed() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("auth");
    let limits = Limits {
        checkpoint: 4096,
        chunk: 1024,
        ..Limits::default()
    };
    let auth = Directory::with_limits(RealDisk, path.clone(), Policy::Journaled, limits);
    let value = [7; 500];
    for round in 0..100 {
        auth.commit(&[put(&format!("key-{}", round % 7), &value)])
            .unwrap();
        let journal = fs::metadata(path.join(".baileys_ex.journal"))
            .unwrap()
            .len();
        assert!(journal <= 4096 + 2048, "{journal}");
    }
    let state = auth.journal_state().unwrap();
    assert!(state.epoch > 5 && state.records > 0, "{state:?}");
    auth.checkpoint().unwrap();
    let state = auth.journal_state().unwrap();
    assert_eq!((state.records, state.torn), (0, false));
    assert_eq!(files(&path).len(), 7);
}

#[test]
fn what_is_no_regular_file_is_neither_followed_nor_replaced_nor_waited_for() {
    for policy in BOTH {
        let root = TempDir::new().unwrap();
        let path = root.path().join("auth");
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
        let root = TempDir::new().unwrap();
        let path = root.path().join("auth");
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
        let root = TempDir::new().unwrap();
        let path = root.path().join("auth");
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
    let root = TempDir::new().unwrap();
    let path = root.path().join("auth");
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
    // Of the file that follows, which is asked for anew.
    auth.checkpoint().unwrap();
    let of_file = auth.stamp("a").unwrap().unwrap();
    assert!(!stamps.contains(&of_file) && Some(of_file) != old);
}

#[test]
fn no_error_shows_what_a_file_holds() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("auth");
    let auth = directory(&path, Policy::Journaled);
    // The first one is brought to the files at once.
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

/// A few bytes on the disk may claim any length, and what a journal holds is kept in memory.
#[test]
fn a_journal_longer_than_any_is_refused_unread() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("auth");
    directory(&path, Policy::Journaled)
        .commit(&[put("a", b"1")])
        .unwrap();
    let journal = path.join(".baileys_ex.journal");
    let file = fs::File::options().write(true).open(&journal).unwrap();
    let fresh = || directory(&path, Policy::Journaled);
    // A record of 512 MiB behind the last place where one begins.
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
