//! How a journal grows, which determines the cost of a flush.

use super::*;

const CHUNK: u64 = 1_024;
/// The size of a record without its content, for a name of one byte.
const RECORD: u64 = 48 + 7 + 1;

fn sizes(checkpoint: u64, commits: &[u64]) -> Vec<(u64, u64)> {
    let (_root, path) = place();
    let limits = Limits {
        checkpoint,
        chunk: CHUNK,
        ..Limits::default()
    };
    let auth = Directory::with_limits(RealDisk, path.clone(), Policy::Journaled, limits);
    // This commit is followed by a checkpoint, which leaves a journal without records.
    auth.commit(&[put("a", b"")]).unwrap();
    commits
        .iter()
        .map(|record| {
            auth.commit(&[put("a", &vec![7; (record - RECORD) as usize])])
                .unwrap();
            let size = fs::metadata(path.join(".baileys_ex.journal"))
                .unwrap()
                .len();
            (auth.journal_state().unwrap().bytes, size)
        })
        .collect()
}

#[test]
fn a_journal_grows_by_about_what_it_holds_and_not_while_there_is_room() {
    let header = 36;
    assert_eq!(
        sizes(
            1 << 30,
            &[CHUNK - header, 100, 924, 1, 1].map(|n| n + RECORD)
        ),
        [
            (CHUNK + RECORD, 2 * CHUNK),
            (CHUNK + 2 * RECORD + 100, 2 * CHUNK),
            (2 * CHUNK + 3 * RECORD, 4 * CHUNK),
            (2 * CHUNK + 4 * RECORD + 1, 4 * CHUNK),
            (2 * CHUNK + 5 * RECORD + 2, 4 * CHUNK),
        ]
    );
    // A record that fills the journal to the last byte.
    assert_eq!(
        sizes(1 << 30, &[100 + RECORD, CHUNK - header - 100 - RECORD]),
        [(header + 100 + RECORD, CHUNK), (CHUNK, CHUNK)]
    );
}

#[test]
fn a_journal_grows_by_fifteen_chunks_at_most_beyond_a_record() {
    let record = 100 * CHUNK;
    let held = 36 + record;
    assert_eq!(
        sizes(1 << 30, &[record, record])[1],
        (
            held + record,
            (held + record + 15 * CHUNK).next_multiple_of(CHUNK)
        )
    );
}

#[test]
fn a_journal_has_no_room_behind_the_limit_where_no_record_begins() {
    let record = 3 * CHUNK;
    let grown = sizes(5 * CHUNK, &[record, record, record]);
    assert_eq!(grown[0], (36 + record, 4 * CHUNK));
    // Room for more would never be used.
    assert_eq!(grown[1], (36 + 2 * record, 7 * CHUNK));
    // Past the limit, so the next record begins a new journal.
    assert_eq!(grown[2], (36 + record, 4 * CHUNK));
}
