//! What is done twice: in one commit, and by a checkpoint.

use super::*;

#[test]
fn what_is_empty_is_neither_checkpointed_again_nor_recovered() {
    let root = TempDir::new().unwrap();
    let path = root.path().join("auth");
    let auth = directory(&path, Policy::Journaled);
    auth.checkpoint().unwrap();
    assert!(!path.exists());
    auth.commit(&[put("a", b"1")]).unwrap();
    auth.commit(&[put("a", b"2")]).unwrap();
    // Only what has something to bring to the files.
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

    // As after a crash, which nothing of the lock's file need survive.
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
        let root = TempDir::new().unwrap();
        let path = root.path().join("auth");
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
    let root = TempDir::new().unwrap();
    let path = root.path().join("auth");
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
