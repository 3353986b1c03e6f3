//! What durable writes cost with nothing around them: the floor that the benchmarks hold the
//! library against. `bench/support/peer.exs` starts it and sends one command per line:
//!
//! ```text
//! append DIRECTORY PAYLOAD COUNT    append the bytes of PAYLOAD to one file, fdatasync each
//! replace DIRECTORY PAYLOAD COUNT   temp file, write, fsync, rename, fsync of the directory
//! ```
//!
//! The answer is the nanoseconds of all COUNT together, or `error TEXT`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::time::Instant;

/// As many names as the other side of the comparison replaces in turn.
const NAMES: u64 = 10;

fn main() -> io::Result<()> {
    let mut answers = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        match run(&line?) {
            Ok(nanoseconds) => writeln!(answers, "{nanoseconds}")?,
            Err(error) => writeln!(answers, "error {error}")?,
        }
        answers.flush()?;
    }
    Ok(())
}

fn run(line: &str) -> io::Result<u128> {
    let [command, directory, payload, count] = line.split(' ').collect::<Vec<_>>()[..] else {
        return Err(io::Error::other("expected a command and three arguments"));
    };
    let directory = Path::new(directory);
    let payload = fs::read(payload)?;
    let count = count.parse().map_err(io::Error::other)?;
    match command {
        "append" => append(directory, &payload, count),
        "replace" => replace(directory, &payload, count),
        _ => Err(io::Error::other("no such command")),
    }
}

fn append(directory: &Path, payload: &[u8], count: u64) -> io::Result<u128> {
    let path = directory.join("floor.log");
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    let start = Instant::now();
    for _ in 0..count {
        file.write_all(payload)?;
        file.sync_data()?;
    }
    let taken = start.elapsed().as_nanos();
    fs::remove_file(path)?;
    Ok(taken)
}

fn replace(directory: &Path, payload: &[u8], count: u64) -> io::Result<u128> {
    let start = Instant::now();
    for n in 0..count {
        let temp = directory.join("floor.tmp");
        let mut file = File::create_new(&temp)?;
        file.write_all(payload)?;
        file.sync_all()?;
        drop(file);
        fs::rename(&temp, directory.join(format!("floor-{}", n % NAMES)))?;
        File::open(directory)?.sync_all()?;
    }
    Ok(start.elapsed().as_nanos())
}
