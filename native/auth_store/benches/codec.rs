//! The codec, by family: `cargo bench --bench codec`.

mod support;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use support::{OPERATIONS, SAMPLES, Sample};

fn codec(criterion: &mut Criterion) {
    for operation in OPERATIONS {
        let mut group = criterion.benchmark_group(operation);
        for (family, file) in SAMPLES {
            let sample = Sample::new(family, file);
            group.bench_function(family, |bencher| {
                bencher.iter(|| black_box(sample.run(operation)));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, codec);
criterion_main!(benches);
