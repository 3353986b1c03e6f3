//! What can be saved of a directory whose journal is damaged.

use super::*;

const JOURNAL: &str = ".baileys_ex.journal";

/// Makes a commit that a checkpoint follows, and four that stay in the journal, of which the third
/// is damaged. Returns the end of the two before it.
fn damaged(path: &Path) -> u64 {
    let auth = directory(path, Policy::Journaled);
    // A checkpoint follows the first commit.
    auth.commit(&[put("a", b"1"), put("b", b"1")]).unwrap();
    auth.commit(&[put("a", b"2")]).unwrap();
    auth.commit(&[put("c", b"3"), delete("b")]).unwrap();
    let trusted = auth.journal_state().unwrap().bytes;
    for value in [b"4", b"5"] {
        auth.commit(&[put("a", value)]).unwrap();
    }
    let mut bytes = fs::read(path.join(JOURNAL)).unwrap();
    bytes[trusted as usize + 50] ^= 1;
    fs::write(path.join(JOURNAL), bytes).unwrap();
    trusted
}

#[test]
fn of_a_damaged_journal_the_commits_before_the_damage_are_shown_and_kept() {
    let (_root, path) = place();
    let trusted = damaged(&path);
    let auth = directory(&path, Policy::Journaled);
    assert!(matches!(auth.open(), Err(Error::Corrupt { .. })));

    let damage = auth.peek_trusting().unwrap().unwrap();
    let size = fs::metadata(path.join(JOURNAL)).unwrap().len();
    assert_eq!(
        (damage.commits, damage.trusted_bytes, damage.bytes),
        (2, trusted, size)
    );
    assert!(damage.problem.contains("later ones follow"), "{damage:?}");
    assert_eq!(auth.read("a").unwrap().unwrap(), b"2");
    assert_eq!(auth.read("b").unwrap(), None);

    let mender = directory(&path, Policy::Journaled);
    mender.salvage(&[put("d", b"6")]).unwrap();
    let state = expected(&[("a", "2"), ("c", "3"), ("d", "6")]);
    assert_eq!(served(&path, Policy::Journaled), state);
    assert_eq!(
        directory(&path, Policy::Journaled).peek_trusting().unwrap(),
        None
    );
}

#[test]
fn of_a_journal_whose_header_is_damaged_the_files_are_all_there_is() {
    for policy in BOTH {
        let (_root, path) = place();
        damaged(&path);
        let mut bytes = fs::read(path.join(JOURNAL)).unwrap();
        bytes[20] ^= 1;
        fs::write(path.join(JOURNAL), &bytes).unwrap();
        let auth = directory(&path, policy);
        let damage = auth.peek_trusting().unwrap().unwrap();
        assert_eq!(
            (damage.commits, damage.trusted_bytes, damage.bytes),
            (0, 0, bytes.len() as u64)
        );
        assert_eq!(auth.read("a").unwrap().unwrap(), b"1");
        let mender = directory(&path, policy);
        mender.salvage(&[delete("b")]).unwrap();
        assert_eq!(served(&path, policy), expected(&[("a", "1")]));
        assert_eq!(path.join(JOURNAL).exists(), policy == Policy::Journaled);
        directory(&path, policy).open().unwrap();
    }
}

#[test]
fn what_is_wrong_elsewhere_is_no_damage_of_the_journal() {
    let (_root, path) = place();
    directory(&path, Policy::Journaled)
        .commit(&[put("a", b"1")])
        .unwrap();
    fs::write(path.join(".baileys_ex.publication"), "no record").unwrap();
    let auth = directory(&path, Policy::Journaled);
    assert!(matches!(auth.peek_trusting(), Err(Error::Corrupt { .. })));
    assert!(auth.read("a").is_err());
}

#[test]
fn files_are_set_aside_as_they_are_and_what_is_not_there_is_left_out() {
    let (_root, path) = place();
    let auth = directory(&path, Policy::Plain);
    auth.commit(&[put("a", b"1"), put("b", b"2")]).unwrap();
    auth.set_aside("aside", &["a", "missing"]).unwrap();
    assert_eq!(files(&path.join("aside")), expected(&[("a", "1")]));
    // Nothing that was set aside before is overwritten.
    auth.set_aside("aside", &["b"]).unwrap_err();
    assert_eq!(auth.read_leftover("a".as_ref()).unwrap().unwrap(), b"1");
    assert_eq!(auth.read_leftover("missing".as_ref()).unwrap(), None);
    let file = fs::File::options()
        .write(true)
        .open(path.join("a"))
        .unwrap();
    let time = std::time::UNIX_EPOCH + std::time::Duration::new(1_700_000_001, 234_999_999);
    file.set_modified(time).unwrap();
    assert_eq!(auth.modified_ms("a".as_ref()), Some(1_700_000_001_234));
    assert_eq!(auth.modified_ms("missing".as_ref()), None);
}
