//! How many calls a commit takes.

use std::collections::BTreeMap;

use auth_store::engine::{Change, Policy};

use crate::script::{AUTH, Setup, fresh_world, value};
use crate::sim::SimDisk;

type Calls = BTreeMap<&'static str, usize>;

/// The calls of `run` alone.
fn calls_of(disk: &SimDisk, run: impl FnOnce()) -> Calls {
    disk.sim().counts.clear();
    run();
    disk.sim().counts.clone()
}

fn of(calls: &Calls, names: &[&str]) -> usize {
    names.iter().filter_map(|name| calls.get(name)).sum()
}

const SYNCS: [&str; 4] = ["fsync", "fdatasync", "fsync dir", "syncfs"];

/// A later commit of `keys` keys in a directory that already holds `before`.
fn commit(policy: Policy, before: usize, keys: usize) -> Calls {
    let setup = Setup::new(policy);
    let disk = setup.disk(fresh_world());
    let path = std::path::PathBuf::from(AUTH);
    // With the limits that users have.
    let auth = auth_store::engine::Directory::new(disk.clone(), path, policy);
    let names: Vec<_> = (0..before.max(keys))
        .map(|key| format!("key-{key}"))
        .collect();
    let bytes = value("key", 1, 300);
    let changes: Vec<_> = names
        .iter()
        .map(|name| Change {
            name,
            bytes: Some(&bytes),
        })
        .collect();
    auth.commit(&changes).unwrap();
    auth.commit(&changes[..1]).unwrap();
    calls_of(&disk, || auth.commit(&changes[..keys]).unwrap())
}

#[test]
fn a_journaled_commit_is_one_flush_and_a_plain_one_is_complete_as_it_stands() {
    eprintln!("| policy | keys | flushes | fsync | fdatasync | fsync dir | syncfs | other calls |");
    eprintln!("|---|---|---|---|---|---|---|---|");
    for policy in [Policy::Journaled, Policy::Plain] {
        for keys in [1, 3, 50] {
            let calls = commit(policy, 100, keys);
            let flushes = of(&calls, &SYNCS);
            let others = calls.values().sum::<usize>() - flushes;
            let each = SYNCS
                .map(|name| of(&calls, &[name]).to_string())
                .join(" | ");
            eprintln!("| {policy:?} | {keys} | {flushes} | {each} | {others} |");
            match policy {
                Policy::Journaled => {
                    assert_eq!(of(&calls, &["fdatasync"]), 1);
                    assert_eq!(flushes, 1);
                    // Look at the journal (open, fstat, two reads), append; of each key:
                    // look, create, write, rename.
                    assert_eq!(others, 5 + 4 * keys, "{calls:?}");
                }
                Policy::Plain if keys == 1 => {
                    assert_eq!(of(&calls, &["fsync"]), 1);
                    assert_eq!(flushes, 2);
                    // Is there a journal, is there a directory; look, create, write, rename.
                    assert_eq!(others, 6, "{calls:?}");
                }
                Policy::Plain => {
                    // The files and a journal; the names of the journal, of the files, and the
                    // journal's removal.
                    assert_eq!(of(&calls, &["fsync"]), keys + 1);
                    assert_eq!(of(&calls, &["fsync dir"]), 3);
                    assert_eq!(flushes, keys + 4);
                }
            }
        }
    }
}

#[test]
fn a_commit_takes_the_same_calls_however_many_keys_there_are() {
    for policy in [Policy::Journaled, Policy::Plain] {
        for keys in [1, 3] {
            assert_eq!(
                commit(policy, 10, keys),
                commit(policy, 1000, keys),
                "{policy:?}"
            );
        }
    }
}

#[test]
fn a_read_is_open_look_read_and_an_open_directory_is_opened_for_nothing() {
    for policy in [Policy::Journaled, Policy::Plain] {
        let setup = Setup::new(policy);
        let disk = setup.disk(fresh_world());
        let auth = setup.directory(&disk, AUTH);
        auth.commit(&[Change {
            name: "a",
            bytes: Some(b"1"),
        }])
        .unwrap();
        let read = calls_of(&disk, || {
            auth.open().unwrap();
            auth.read("a").unwrap();
        });
        assert_eq!(read, Calls::from([("open", 1), ("fstat", 1), ("read", 1)]));
        let stamp = calls_of(&disk, || {
            auth.stamp("a").unwrap();
        });
        assert_eq!(stamp, Calls::from([("stat", 1)]));
        let nothing = calls_of(&disk, || auth.commit(&[]).unwrap());
        assert!(of(&nothing, &SYNCS) == 0);
    }
}

#[test]
fn deleting_what_is_not_there_costs_a_journaled_directory_no_flush() {
    let setup = Setup::new(Policy::Journaled);
    let disk = setup.disk(fresh_world());
    let auth = setup.directory(&disk, AUTH);
    auth.commit(&[Change {
        name: "a",
        bytes: Some(b"1"),
    }])
    .unwrap();
    let calls = calls_of(&disk, || {
        auth.commit(&[Change {
            name: "b",
            bytes: None,
        }])
        .unwrap()
    });
    assert_eq!(of(&calls, &SYNCS), 0);
}
