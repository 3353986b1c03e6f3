//! Times the engine and SQLite side by side: `bench_engine DIRECTORY ROUNDS` prints a line for each
//! piece of work and round, `work<TAB>engine's nanoseconds<TAB>SQLite's`.
//!
//! SQLite as a careful user would set it up: WAL, `synchronous=FULL`, prepared statements. Values are
//! of 1 kB; each side has 10,000 keys when it starts.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use auth_store::engine::RealDisk;
use auth_store::layout::Format;
use auth_store::store::{Key, KeyChange, Store};
use rusqlite::{Connection, params};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const KEYS: usize = 10_000;
const VALUE: usize = 1024;

/// What is measured of either side.
trait Side {
    fn commit(&mut self, ids: &[String], value: &[u8]) -> Outcome<()>;
    fn load(&mut self, id: &str) -> Outcome<usize>;
    /// Until nothing is left that a later start would have to do.
    fn write_out(&mut self) -> Outcome<()>;
}

struct Engine(Store<RealDisk>);

impl Engine {
    fn new(path: PathBuf) -> Outcome<Self> {
        let store = Store::new(RealDisk, path, Format::Etf);
        store.open()?;
        Ok(Engine(store))
    }
}

fn key(id: &str) -> Key<'_> {
    Key::Of {
        family: "pre-key",
        id,
    }
}

impl Side for Engine {
    fn commit(&mut self, ids: &[String], value: &[u8]) -> Outcome<()> {
        let change = |id| KeyChange {
            key: key(id),
            bytes: Some(value),
        };
        let changes: Vec<_> = ids.iter().map(|id| change(id)).collect();
        Ok(self.0.commit(&changes)?)
    }

    fn load(&mut self, id: &str) -> Outcome<usize> {
        Ok(self.0.load(key(id))?.len())
    }

    fn write_out(&mut self) -> Outcome<()> {
        Ok(self.0.tidy()?)
    }
}

struct Sqlite(Connection);

impl Sqlite {
    fn new(path: &Path) -> Outcome<Self> {
        let connection = Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
             CREATE TABLE keys (family TEXT, id TEXT, value BLOB, PRIMARY KEY (family, id)) WITHOUT ROWID;",
        )?;
        Ok(Sqlite(connection))
    }
}

const UPSERT: &str = "INSERT INTO keys VALUES ('pre-key', ?1, ?2)
    ON CONFLICT (family, id) DO UPDATE SET value = excluded.value";

impl Side for Sqlite {
    fn commit(&mut self, ids: &[String], value: &[u8]) -> Outcome<()> {
        if let [id] = ids {
            self.0.prepare_cached(UPSERT)?.execute(params![id, value])?;
            return Ok(());
        }
        let transaction = self.0.transaction()?;
        {
            let mut upsert = transaction.prepare_cached(UPSERT)?;
            for id in ids {
                upsert.execute(params![id, value])?;
            }
        }
        Ok(transaction.commit()?)
    }

    fn load(&mut self, id: &str) -> Outcome<usize> {
        let select = "SELECT value FROM keys WHERE family = 'pre-key' AND id = ?1";
        let mut select = self.0.prepare_cached(select)?;
        let value: Vec<u8> = select.query_row(params![id], |row| row.get(0))?;
        Ok(black_box(value).len())
    }

    fn write_out(&mut self) -> Outcome<()> {
        let checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)";
        Ok(self.0.query_row(checkpoint, [], |_| Ok(()))?)
    }
}

fn ids(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|n| n.to_string()).collect()
}

/// A value that is never met twice.
fn value(n: usize) -> Vec<u8> {
    let mut value = vec![(n % 251) as u8; VALUE];
    value[..8].copy_from_slice(&(n as u64).to_le_bytes());
    value
}

/// Work of one kind, done by either side in turn: nanoseconds of one piece.
struct Work {
    name: &'static str,
    pieces: usize,
    run: fn(&mut dyn Side, usize) -> Outcome<()>,
}

const WORKS: [Work; 5] = [
    Work {
        name: "commit of 1 key",
        pieces: 300,
        run: |side, n| side.commit(&ids(n * 37 % KEYS..n * 37 % KEYS + 1), &value(n)),
    },
    Work {
        name: "commit of 10 keys",
        pieces: 100,
        run: |side, n| {
            let first = n * 37 % (KEYS - 10);
            side.commit(&ids(first..first + 10), &value(n))
        },
    },
    Work {
        name: "load of 1 key",
        pieces: 5_000,
        run: |side, n| {
            let length = side.load(&(n * 7_919 % KEYS).to_string())?;
            assert_eq!(length, VALUE);
            Ok(())
        },
    },
    Work {
        name: "commit of 812 new keys",
        pieces: 1,
        run: |side, n| side.commit(&ids(KEYS + n * 812..KEYS + (n + 1) * 812), &value(n)),
    },
    Work {
        name: "ten commits of 812 new keys, until they are written out",
        pieces: 1,
        run: |side, n| {
            for m in 0..10 {
                let first = 10_000_000 + (n * 10 + m) * 812;
                side.commit(&ids(first..first + 812), &value(n))?;
            }
            side.write_out()
        },
    },
];

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, directory, rounds] = arguments.as_slice() else {
        return Err("usage: bench_engine DIRECTORY ROUNDS".into());
    };
    let directory = Path::new(directory);
    std::fs::create_dir_all(directory)?;
    let mut engine = Engine::new(directory.join("engine"))?;
    let mut sqlite = Sqlite::new(&directory.join("sqlite"))?;
    let mut sides: [&mut dyn Side; 2] = [&mut engine, &mut sqlite];
    for side in &mut sides {
        for first in (0..KEYS).step_by(500) {
            side.commit(&ids(first..first + 500), &value(first))?;
        }
        side.write_out()?;
    }

    let mut done = 1;
    // One more round comes before, which warms up and does not count.
    for round in 0..=rounds.parse::<usize>()? {
        for work in &WORKS {
            let mut times = [0; 2];
            for turn in [round % 2, (round + 1) % 2] {
                let start = Instant::now();
                for n in 0..work.pieces {
                    (work.run)(sides[turn], done + n)?;
                }
                times[turn] = start.elapsed().as_nanos() / work.pieces as u128;
                // What a round leaves to be written out is not the next one's.
                sides[turn].write_out()?;
            }
            done += work.pieces;
            if round > 0 {
                println!("{}\t{}\t{}", work.name, times[0], times[1]);
            }
        }
    }
    Ok(())
}
