//! How many calls of the file system an operation makes. The README states these numbers.

mod counting;

use auth_store::engine::{Change, Directory, Disk, Limits, Owner, Policy, RealDisk, Staging};
use auth_store::format::Format;
use auth_store::store::{Key, KeyChange, Store};

use counting::{Counting, Counts};

struct Account {
    disk: Counting,
    store: Store<Counting>,
    _directory: tempfile::TempDir,
}

/// An open directory in which the keys 0 to `keys` have been saved.
fn account(format: Format, keys: usize) -> Account {
    let directory = tempfile::tempdir().unwrap();
    let disk = Counting::default();
    let store = Store::new(disk.clone(), directory.path().join("auth"), format);
    store.open().unwrap();
    let account = Account {
        disk,
        store,
        _directory: directory,
    };
    account.save(0..keys);
    // The first commit wrote the manifest, and this one reads it for the last time.
    account.save(0..1);
    account
}

impl Account {
    fn save(&self, keys: std::ops::Range<usize>) -> Counts {
        self.commit(keys, Some(&[7; 64]))
    }

    fn commit(&self, keys: std::ops::Range<usize>, bytes: Option<&[u8]>) -> Counts {
        let ids: Vec<String> = keys.map(|n| n.to_string()).collect();
        let changes: Vec<_> = ids
            .iter()
            .map(|id| KeyChange {
                key: pre_key(id),
                bytes,
            })
            .collect();
        let (result, calls) = self.disk.calls_of(|| self.store.commit(&changes));
        result.unwrap();
        calls
    }

    fn load(&self, id: &str) -> Counts {
        let (result, calls) = self.disk.calls_of(|| self.store.load(pre_key(id)));
        assert_eq!(result.unwrap().len(), 64);
        calls
    }
}

fn pre_key(id: &str) -> Key<'_> {
    Key::Of {
        family: "pre-key",
        id,
    }
}

fn counts<const N: usize>(counts: [(&'static str, usize); N]) -> Counts {
    counts.into_iter().filter(|(_, n)| *n > 0).collect()
}

/// Adds the calls that the lock costs each operation that writes: it is opened, taken and checked
/// to be the directory's still, and the turn is read, begun and ended.
fn locked<const N: usize>(calls: [(&'static str, usize); N]) -> Counts {
    let mut calls = counts(calls);
    for (call, n) in [
        ("open", 1),
        ("lock", 1),
        ("stat", 2),
        ("read", 1),
        ("write", 2),
    ] {
        *calls.entry(call).or_default() += n;
    }
    calls
}

fn total(calls: &Counts) -> usize {
    calls.values().sum()
}

#[test]
fn a_native_commit_is_one_record_and_one_flush() {
    for keys in [1, 3, 50] {
        let account = account(Format::Etf, keys);
        account.save(0..keys);
        let replaced = account.save(0..keys);
        println!("native commit of {keys} existing keys: {replaced:?}");
        let expected = locked([
            // Is the journal still the one that this process knows?
            ("open", 1),
            ("stat", 1),
            ("read", 1),
            // The record, and the flush.
            ("write", 1),
            ("sync", 1),
        ]);
        assert_eq!(replaced, expected);
        assert_eq!(total(&replaced), 12);
    }
}

#[test]
fn a_native_commit_of_keys_that_are_not_held_looks_at_each_name() {
    for keys in [1, 3, 50] {
        let account = account(Format::Etf, 1);
        let new = account.save(100..100 + keys);
        println!("native commit of {keys} new keys: {new:?}");
        let expected = locked([
            ("open", 1),
            ("stat", 1 + keys),
            ("read", 1),
            ("write", 1),
            ("sync", 1),
        ]);
        assert_eq!(new, expected);
    }
}

#[test]
fn a_native_deletion_is_one_flush_and_of_nothing_none() {
    let account = account(Format::Etf, 3);
    account.save(0..3);
    let expected = locked([
        ("open", 1),
        ("stat", 1),
        ("read", 1),
        ("write", 1),
        ("sync", 1),
    ]);
    assert_eq!(account.commit(0..3, None), expected);
    let mut nothing = locked([("open", 1), ("stat", 1), ("read", 1)]);
    // No turn begins.
    nothing.remove("write");
    assert_eq!(account.commit(0..3, None), nothing);
}

#[test]
fn a_checkpoint_writes_each_file_that_changed_once() {
    for keys in [3, 50] {
        let account = account(Format::Etf, keys);
        for _ in 0..5 {
            account.save(0..keys);
        }
        let (result, calls) = account.disk.calls_of(|| account.store.checkpoint());
        result.unwrap();
        println!("checkpoint of {keys} keys: {calls:?}");
        // Each file, and the new journal after them. The names of both are synced.
        for (call, n) in [
            ("create", 1 + keys),
            ("sync", 1 + keys),
            ("rename", 1 + keys),
            ("sync directory", 2),
        ] {
            assert_eq!(calls[call], n, "{call}");
        }
        assert_eq!(calls.get("sync file system"), None);
    }
}

#[test]
fn under_a_claim_a_commit_reads_the_record_of_the_owner_and_no_more() {
    for format in [Format::Etf, Format::Json] {
        let account = account(format, 1);
        let without = account.save(0..1);
        account
            .store
            .claim(Owner {
                id: "1".to_owned(),
                ..Owner::default()
            })
            .unwrap();
        let mut with = account.save(0..1);
        for call in ["open", "stat", "read"] {
            *with.get_mut(call).unwrap() -= 1;
        }
        assert_eq!(with, without);
    }
}

#[test]
fn a_json_save_is_two_flushes() {
    let account = account(Format::Json, 1);
    let saved = account.save(0..1);
    println!("JSON save of 1 key: {saved:?}");
    let expected = locked([
        // The journal of an interrupted commit, the directory, and the key.
        ("stat", 3),
        ("random", 1),
        ("create", 1),
        ("write", 1),
        ("sync", 1),
        ("rename", 1),
        ("sync directory", 1),
    ]);
    assert_eq!(saved, expected);
}

#[test]
fn a_json_commit_of_several_goes_through_a_journal() {
    for keys in [3, 50] {
        let account = account(Format::Json, keys);
        let saved = account.save(0..keys);
        println!("JSON commit of {keys} keys: {saved:?}");
        let expected = locked([
            // The journal, the directory, the new journal, and the keys.
            ("stat", 3 + keys),
            // A salt, and names.
            ("random", 2 + keys),
            ("create", 1 + keys),
            ("write", 1 + keys),
            ("sync", 1 + keys),
            ("rename", 1 + keys),
            // After the journal got its name, after the keys got theirs, and after the journal was
            // removed.
            ("sync directory", 3),
            ("remove", 1),
        ]);
        assert_eq!(saved, expected);
    }
}

#[test]
fn a_load_opens_looks_and_reads() {
    let account = account(Format::Json, 1);
    let of_file = counts([("open", 1), ("stat", 1), ("read", 1)]);
    assert_eq!(account.load("0"), of_file);
}

#[test]
fn opening_what_is_open_costs_nothing() {
    for policy in [Policy::Journaled, Policy::Plain] {
        let place = tempfile::tempdir().unwrap();
        let disk = Counting::default();
        let directory = Directory::new(disk.clone(), place.path().join("auth"), policy);
        let bytes = Some(&b"1"[..]);
        directory.commit(&[Change { name: "a", bytes }]).unwrap();
        let (opened, calls) = disk.calls_of(|| directory.open());
        opened.unwrap();
        assert_eq!(calls, counts([]));
    }
}

#[test]
fn an_opening_that_finds_nothing_to_mend_and_a_look_for_changes_write_nothing() {
    for policies in [
        [Policy::Plain, Policy::Journaled],
        [Policy::Journaled, Policy::Journaled],
    ] {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("auth");
        let disk = Counting::default();
        let [before, directory] =
            policies.map(|policy| Directory::new(disk.clone(), path.clone(), policy));
        let bytes = Some(&b"1"[..]);
        before.commit(&[Change { name: "a", bytes }]).unwrap();
        before.commit(&[Change { name: "a", bytes }]).unwrap();
        let (opened, calls) = disk.calls_of(|| directory.open());
        opened.unwrap();
        assert_eq!(calls.get("write"), None, "{calls:?}");
        let (looked, calls) = disk.calls_of(|| directory.changes());
        looked.unwrap();
        assert_eq!(calls, counts([("open", 1), ("read", 1)]));
    }
}

#[test]
fn many_files_are_published_with_one_sync_of_the_file_system_where_that_can_be_trusted() {
    let place = tempfile::tempdir().unwrap();
    let trusted = RealDisk.filesystem(place.path()).unwrap().is_some();
    let limits = Limits {
        together: 3,
        ..Limits::default()
    };
    for (files, together) in [(2, false), (3, trusted), (4, trusted)] {
        let disk = Counting::default();
        let target = place.path().join(files.to_string());
        let mut staging = Staging::with_limits(disk.clone(), &target, limits).unwrap();
        for file in 0..files {
            staging.write(&file.to_string(), b"1").unwrap();
        }
        let (published, calls) = disk.calls_of(|| staging.publish(false));
        published.unwrap();
        let synced = |call: &str| calls.get(call).copied().unwrap_or_default();
        let expected = if together { (1, 0) } else { (0, files) };
        assert_eq!((synced("sync file system"), synced("sync")), expected);
    }
}

#[test]
fn many_files_are_set_aside_with_one_sync_of_the_file_system_where_that_can_be_trusted() {
    let place = tempfile::tempdir().unwrap();
    let trusted = RealDisk.filesystem(place.path()).unwrap().is_some();
    let limits = Limits {
        together: 3,
        ..Limits::default()
    };
    for (files, together) in [(2, false), (3, trusted), (4, trusted)] {
        let disk = Counting::default();
        let target = place.path().join(files.to_string());
        // One of them deeper.
        std::fs::create_dir_all(target.join("deep")).unwrap();
        std::fs::write(target.join("deep/er"), "1").unwrap();
        for file in 1..files {
            std::fs::write(target.join(file.to_string()), "1").unwrap();
        }
        let mut staging = Staging::with_limits(disk.clone(), &target, limits).unwrap();
        let aside = place.path().join(format!("{files}-aside"));
        let (kept, calls) = disk.calls_of(|| staging.keep_aside(&aside));
        assert!(kept.unwrap());
        let synced = |call: &str| calls.get(call).copied().unwrap_or_default();
        let expected = if together { (1, 0) } else { (0, files) };
        assert_eq!((synced("sync file system"), synced("sync")), expected);
    }
}

#[test]
fn a_directory_is_made_with_one_sync_of_each_name_on_the_way_to_it() {
    let place = tempfile::tempdir().unwrap();
    for (path, made) in [("auth", 1), ("deep/er/auth", 3)] {
        let disk = Counting::default();
        let directory = Directory::new(disk.clone(), place.path().join(path), Policy::Journaled);
        directory.open().unwrap();
        let bytes = Some(&b"1"[..]);
        let (committed, calls) = disk.calls_of(|| directory.commit(&[Change { name: "a", bytes }]));
        committed.unwrap();
        assert_eq!(calls.get("create directory"), Some(&made), "{calls:?}");
    }
}

#[test]
fn what_others_have_committed_is_read_from_where_one_was() {
    let cost_after = |commits: usize| {
        let place = tempfile::tempdir().unwrap();
        let disk = Counting::default();
        let [owner, reader] = [(); 2]
            .map(|()| Directory::new(disk.clone(), place.path().join("auth"), Policy::Journaled));
        let bytes = Some(&b"1"[..]);
        let commit = || owner.commit(&[Change { name: "a", bytes }]).unwrap();
        (0..commits).for_each(|_| commit());
        reader.open().unwrap();
        commit();
        let (read, of_read) = disk.calls_of(|| reader.read("a"));
        assert_eq!(read.unwrap().unwrap(), b"1");
        commit();
        let (committed, of_commit) =
            disk.calls_of(|| reader.commit(&[Change { name: "b", bytes }]));
        committed.unwrap();
        (of_read, of_commit)
    };
    assert_eq!(cost_after(2), cost_after(30));
}

#[test]
fn a_native_load_looks_whether_anybody_has_committed() {
    let account = account(Format::Etf, 1);
    let look = [("open", 1), ("read", 1)];
    assert_eq!(account.load("0"), counts(look));
    account.store.checkpoint().unwrap();
    assert_eq!(
        account.load("0"),
        counts([("open", 2), ("stat", 1), ("read", 2)])
    );
}

#[test]
fn the_identity_for_sessions_is_looked_at_each_time_and_read_when_the_credentials_change() {
    let account = account(Format::Json, 1);
    let save = |public: u8| {
        let key = format!(r#"{{"type":"Buffer","data":{:?}}}"#, [public; 32]);
        let creds = format!(r#"{{"signedIdentityKey":{{"public":{key},"private":{key}}}}}"#);
        let change = KeyChange {
            key: Key::Creds,
            bytes: Some(creds.as_bytes()),
        };
        account.store.commit(&[change]).unwrap();
    };
    let identity = || {
        let (identity, calls) = account.disk.calls_of(|| account.store.local_identity());
        (identity.unwrap().unwrap(), calls)
    };
    // Another process may replace the file at any time, even with one of the same size.
    for public in [1, 2] {
        save(public);
        assert_eq!(identity().0[..], [&[5][..], &[public; 32]].concat());
    }
    // File times are too coarse to distinguish versions that were just written.
    std::thread::sleep(std::time::Duration::from_millis(200));
    identity();
    assert_eq!(identity().1, counts([("stat", 1)]));
    save(3);
    assert_eq!(identity().0[1], 3);
}

#[test]
fn what_a_save_and_a_load_cost_does_not_depend_on_the_other_keys() {
    for format in [Format::Etf, Format::Json] {
        let few = account(format, 1);
        let many = account(format, 300);
        assert_eq!(few.save(0..1), many.save(0..1));
        assert_eq!(few.load("0"), many.load("0"));
    }
}
