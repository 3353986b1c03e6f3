//! The bare cost of durable writes: the floor against which the benchmarks measure the library.
//! `bench/support/peer.exs` starts it and sends one command per line:
//!
//! ```text
//! append DIRECTORY PAYLOAD COUNT    append the bytes of PAYLOAD to one file, fdatasync each
//! replace DIRECTORY PAYLOAD COUNT   temp file, write, fsync, rename, fsync of the directory
//! many DIRECTORY PAYLOAD COUNT      append to 64 files in turn from ten threads, fdatasync each
//! ```
//!
//! The answer is the time of all COUNT operations in nanoseconds, or `error TEXT`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::thread;
use std::time::Instant;

/// As many files as there are accounts on the other side, and as many threads as the VM has for
/// files.
const FILES: usize = 64;
const THREADS: usize = 10;

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
        "many" => many(directory, &payload, count),
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

fn many(directory: &Path, payload: &[u8], count: u64) -> io::Result<u128> {
    let open = |n| {
        let path = directory.join(format!("floor-{n}.log"));
        OpenOptions::new().create(true).append(true).open(path)
    };
    let mut threads: Vec<Vec<File>> = (0..THREADS).map(|_| Vec::new()).collect();
    for n in 0..FILES {
        threads[n % THREADS].push(open(n)?);
    }
    let rounds = count / FILES as u64;
    let start = Instant::now();
    thread::scope(|scope| {
        let work = |mut files: Vec<File>| {
            for _ in 0..rounds {
                for file in &mut files {
                    file.write_all(payload)?;
                    file.sync_data()?;
                }
            }
            Ok(())
        };
        let running: Vec<_> = threads
            .into_iter()
            .map(|files| scope.spawn(move || work(files)))
            .collect();
        running.into_iter().try_for_each(|thread| {
            thread
                .join()
                .unwrap_or_else(|_| Err(io::Error::other("a panic")))
        })
    })?;
    Ok(start.elapsed().as_nanos())
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
