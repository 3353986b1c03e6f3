//! The engine on a real disk: `cargo bench --bench engine`. Files are written under `TMPDIR`.
//!
//! A flush takes most of the time of a commit. `tests/disk_calls` counts the calls.

#![allow(clippy::expect_used)]

use std::hint::black_box;

use auth_store::engine::{Change, Directory, Policy, RealDisk};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};

/// About the size of a session.
const BYTES: &[u8] = &[7; 1_500];

fn engine(criterion: &mut Criterion) {
    for (policy, name) in [(Policy::Journaled, "journaled"), (Policy::Plain, "plain")] {
        let root = tempfile::tempdir().expect("a directory to work in");
        let directory = Directory::new(RealDisk, root.path().join("auth"), policy);
        directory.open().expect("a directory that can be opened");

        let mut group = criterion.benchmark_group(format!("commit, {name}"));
        group.sample_size(20);
        for keys in [1, 10] {
            let names: Vec<String> = (0..keys).map(|n| format!("session-{n}.0")).collect();
            let changes: Vec<_> = names
                .iter()
                .map(|name| Change {
                    name,
                    bytes: Some(BYTES),
                })
                .collect();
            group.bench_function(BenchmarkId::from_parameter(keys), |bencher| {
                bencher.iter(|| directory.commit(&changes).expect("a commit"));
            });
        }
        group.finish();

        criterion.bench_function(&format!("read, {name}"), |bencher| {
            bencher.iter(|| black_box(directory.read("session-0.0").expect("a readable file")));
        });
    }
}

criterion_group!(benches, engine);
criterion_main!(benches);
