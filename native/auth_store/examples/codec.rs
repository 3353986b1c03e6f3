//! Runs one operation of the codec on one family a given number of times, for `bin/instructions`,
//! which counts the instructions. Without arguments it lists the operations and families.

#[path = "../benches/support/mod.rs"]
mod support;

use std::hint::black_box;

use support::{OPERATIONS, SAMPLES, Sample};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [operation, family, count] = &args[..] else {
        for operation in OPERATIONS {
            for (family, _) in SAMPLES {
                println!("{operation}\t{family}");
            }
        }
        return;
    };
    let (family, file) = SAMPLES
        .into_iter()
        .find(|(name, _)| name == family)
        .unwrap_or(SAMPLES[0]);
    let sample = Sample::new(family, file);
    for _ in 0..count.parse().unwrap_or(0) {
        black_box(sample.run(operation));
    }
}
