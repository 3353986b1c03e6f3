//! What is fuzzed, apart from how. [`targets`] and [`memory_disk`] are also compiled into the tests
//! of `auth_store`, which replay the corpus and mutate it at random.

pub mod memory_disk;
pub mod targets;
