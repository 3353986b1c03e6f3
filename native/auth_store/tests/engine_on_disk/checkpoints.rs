//! What happens twice, in one commit or by a checkpoint.

use super::*;

#[test]
fn what_is_empty_is_neither_checkpointed_again_nor_recovered() {
    let (_root, path) = place();
    let auth = directory(&path, Policy::Journaled);
    auth.checkpoint().unwrap();
    assert!(!path.exists());
    auth.commit(&[put("a", b"1")]).unwrap();
    auth.commit(&[put("a", b"2")]).unwrap();
    // Only a directory whose files lag is tidied.
    auth.tidy().unwrap();
    let tidied = auth.journal_state().unwrap();
    auth.tidy().unwrap();
    assert_eq!(auth.journal_state().unwrap(), tidied);
    auth.checkpoint().unwrap();
    let checkpointed = auth.journal_state().unwrap();
    assert_eq!(checkpointed.epoch, tidied.epoch + 1);
    auth.checkpoint().unwrap();
    assert_eq!(auth.journal_state().unwrap(), checkpointed);
    assert_eq!(auth.take_happened().checkpoints, 2);

    // As after a crash, which the content of the lock file need not survive.
    fs::remove_file(path.join(".baileys_ex.lock")).unwrap();
    let next = directory(&path, Policy::Journaled);
    next.open().unwrap();
    assert_eq!(next.read("a").unwrap().unwrap(), b"2");
    assert_eq!(next.take_happened().recoveries, 0);
    assert_eq!(next.journal_state().unwrap(), checkpointed);
}

#[test]
fn of_two_changes_of_one_name_the_last_counts() {
    for policy in BOTH {
        let (_root, path) = place();
        let auth = directory(&path, policy);
        auth.commit(&[put("a", b"1")]).unwrap();
        auth.commit(&[put("a", b"2"), put("a", b"3")]).unwrap();
        auth.commit(&[put("b", b"1"), delete("b")]).unwrap();
        assert_eq!(served(&path, policy), expected(&[("a", "3")]));
        auth.commit(&[delete("a"), put("a", b"4")]).unwrap();
        assert_eq!(served(&path, policy), expected(&[("a", "4")]));
    }
}

#[test]
fn a_journal_that_holds_nothing_but_a_torn_append_is_recovered_and_not_tidied() {
    let (_root, path) = place();
    directory(&path, Policy::Journaled)
        .commit(&[put("a", b"1")])
        .unwrap();
    let journal = path.join(".baileys_ex.journal");
    let mut bytes = fs::read(&journal).unwrap();
    bytes.extend_from_slice(b"half of a record");
    fs::write(&journal, bytes).unwrap();
    let auth = directory(&path, Policy::Journaled);
    auth.open().unwrap();
    assert_eq!(auth.take_happened().recoveries, 1);
    let state = auth.journal_state().unwrap();
    assert!(!state.torn);
    auth.tidy().unwrap();
    assert_eq!(auth.journal_state().unwrap(), state);
}

#[test]
fn the_files_of_a_journaled_directory_follow_with_a_checkpoint() {
    let (_root, path) = place();
    let auth = directory(&path, Policy::Journaled);
    let version = || fs::read(path.join(".baileys_ex.journal")).unwrap()[8];
    auth.commit(&[put("a", b"1"), put("b", b"1")]).unwrap();
    auth.checkpoint().unwrap();
    // Every version of this library can read this one.
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
    let (_root, path) = place();
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
