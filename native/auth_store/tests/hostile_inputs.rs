//! Any bytes may be on the disk: every decoder must return, in linear time, and must accept nothing
//! in part.
//!
//! The targets are those that `bin/fuzz` runs for any length of time.

use std::fs;
use std::hint::black_box;
use std::path::PathBuf;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use rustix::time::{ClockId, clock_gettime};

#[path = "../../fuzz/src/memory_disk.rs"]
mod memory_disk;
#[path = "../../fuzz/src/targets.rs"]
mod targets;

use targets::{JSON_FAMILIES, TARGETS, json_family, sealed_journal};

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let directory = format!(
        "{}/../fuzz/regressions/{target}",
        env!("CARGO_MANIFEST_DIR")
    );
    let mut inputs: Vec<(PathBuf, Vec<u8>)> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            (path, bytes)
        })
        .collect();
    inputs.sort();
    inputs
}

/// Runs a target, and names the input if it panics.
fn run(name: &str, target: fn(&[u8]), input: &[u8]) {
    let outcome = std::panic::catch_unwind(|| target(input));
    assert!(
        outcome.is_ok(),
        "{name} failed on {:?}",
        input.escape_ascii()
    );
}

#[test]
fn every_input_of_the_corpus_is_survived() {
    for (name, target) in TARGETS {
        let inputs = corpus(name);
        assert!(inputs.len() >= 7, "the corpus of {name} is not whole");
        for (path, bytes) in inputs {
            println!("{}", path.display());
            run(name, target, &bytes);
            // Also cut off at any length.
            for length in 0..bytes.len().min(200) {
                run(name, target, &bytes[..length]);
            }
        }
    }
}

#[test]
fn a_recovery_stays_inside_of_its_directory() {
    let body = |name: &str| {
        let mut body = vec![1];
        body.extend_from_slice(&(name.len() as u16).to_le_bytes());
        body.extend_from_slice(&1u32.to_le_bytes());
        body.extend_from_slice(name.as_bytes());
        body.push(b'x');
        [&[body.len() as u8, 1], body.as_slice()].concat()
    };
    let replayed = |name: &str| {
        let disk = memory_disk::MemoryDisk::default();
        let directory = PathBuf::from("/auth");
        disk.make(
            directory.join(".baileys_ex.journal"),
            sealed_journal(&body(name)),
        );
        let policy = auth_store::engine::Policy::Journaled;
        let auth = auth_store::engine::Directory::new(disk.clone(), directory, policy);
        auth.open()
            .and_then(|()| auth.checkpoint())
            .map(|()| disk.files())
    };
    // Otherwise the next assertions would hold for a journal that nobody reads.
    let files = replayed("pre-key-1.etf").unwrap();
    assert_eq!(files[&PathBuf::from("/auth/pre-key-1.etf")], b"x");
    for name in [
        "../x",
        "a/b",
        "..",
        ".",
        "",
        "a\0",
        ".baileys_ex.journal",
        "x.tmp-1",
    ] {
        assert!(replayed(name).is_err(), "{name:?} was replayed");
    }
}

/// One kind of damage to bytes.
#[derive(Debug, Clone)]
enum Damage {
    Set(Index, u8),
    Cut(Index),
    Remove(Index, usize),
    Insert(Index, Vec<u8>),
    Repeat(Index, usize, usize),
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let at = |index: &Index, bytes: &[u8]| index.index(bytes.len() + 1);
        match self {
            Damage::Set(index, byte) => {
                let at = at(index, bytes);
                if let Some(old) = bytes.get_mut(at) {
                    *old = *byte;
                }
            }
            Damage::Cut(index) => bytes.truncate(at(index, bytes)),
            Damage::Remove(index, count) => {
                let start = at(index, bytes);
                let end = bytes.len().min(start + count);
                bytes.drain(start..end);
            }
            Damage::Insert(index, new) => {
                let at = at(index, bytes);
                bytes.splice(at..at, new.iter().copied());
            }
            Damage::Repeat(index, count, times) => {
                let start = at(index, bytes);
                let end = bytes.len().min(start + count);
                let part = bytes[start..end].repeat(*times);
                bytes.splice(start..start, part);
            }
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        any::<Index>().prop_map(Damage::Cut),
        (any::<Index>(), 1..40usize).prop_map(|(at, count)| Damage::Remove(at, count)),
        (any::<Index>(), vec(any::<u8>(), 1..12)).prop_map(|(at, new)| Damage::Insert(at, new)),
        (any::<Index>(), 1..40usize, 1..9usize)
            .prop_map(|(at, count, times)| Damage::Repeat(at, count, times)),
    ]
}

/// The corpus and files of the fixtures, each after the byte that decides how to read it.
fn seeds(target: &str) -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = corpus(target).into_iter().map(|(_, bytes)| bytes).collect();
    let fixtures = format!("{}/../../test/fixtures", env!("CARGO_MANIFEST_DIR"));
    for directory in [
        "baileys-7.0.0-rc14",
        "baileys_ex-json",
        "baileys_ex-legacy",
        "baileys_ex-native",
    ] {
        for entry in fs::read_dir(format!("{fixtures}/{directory}")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let bytes = fs::read(&path).unwrap();
            let hidden = name.starts_with('.');
            let choice = match target {
                "json" if name.ends_with(".json") && !hidden => (0..JSON_FAMILIES as u8)
                    .find(|choice| name.starts_with(json_family(*choice)))
                    .map(|choice| vec![choice]),
                "etf" if name.ends_with(".etf") => Some(Vec::new()),
                "manifest" if hidden => Some(vec![u8::from(name.ends_with(".etf"))]),
                _ => None,
            };
            if let Some(choice) = choice {
                seeds.push([choice, bytes].concat());
            } else if target == "names" {
                seeds.push([&[u8::from(name.ends_with(".etf"))], name.as_bytes()].concat());
            }
        }
    }
    seeds
}

fn damaged(name: &str, target: fn(&[u8]), cases: u32) {
    let config = ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").map_or(cases, |cases| cases.parse().unwrap()),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let strategy = (any::<Index>(), vec(damage(), 0..6));
    let seeds = seeds(name);
    proptest!(config, |((seed, damages) in strategy)| {
        let mut bytes = seeds[seed.index(seeds.len())].clone();
        for damage in &damages {
            damage.apply(&mut bytes);
        }
        target(&bytes);
    });
}

#[test]
fn json_that_was_damaged_is_refused_or_read_and_written_alike() {
    damaged("json", targets::json, 20_000);
}

#[test]
fn etf_that_was_damaged_is_refused_or_read_and_written_alike() {
    damaged("etf", targets::etf, 30_000);
}

#[test]
fn names_that_were_damaged_are_refused_or_stay_in_the_directory() {
    damaged("names", targets::names, 50_000);
}

#[test]
fn manifests_that_were_damaged_are_refused_or_read_and_written_alike() {
    damaged("manifest", targets::manifest, 10_000);
}

#[test]
fn journals_that_were_damaged_are_refused_untouched_or_replayed() {
    damaged("journal", targets::journal, 20_000);
}

/// An input with about this many items, in a form that tempts a decoder to look at each item once
/// for every other one.
type Long = (&'static str, fn(&[u8]), fn(usize) -> Vec<u8>);

fn items(count: usize, item: impl Fn(usize) -> String) -> String {
    (0..count).map(item).collect::<Vec<_>>().join(",")
}

fn family(name: &str, text: String) -> Vec<u8> {
    let choice = (0..JSON_FAMILIES as u8).find(|choice| json_family(*choice) == name);
    [&[choice.unwrap()], text.as_bytes()].concat()
}

const LONG: [Long; 21] = [
    ("unknown members of credentials", targets::json, |n| {
        family(
            "creds",
            format!("{{{}}}", items(n, |i| format!("\"m{i}\":1"))),
        )
    }),
    ("one member, again and again", targets::json, |n| {
        family(
            "creds",
            format!("{{{}}}", items(n, |_| "\"noiseKey\":1".to_owned())),
        )
    }),
    ("sessions", targets::json, |n| {
        family(
            "session",
            format!(
                "{{\"_sessions\":{{{}}},\"version\":\"v1\"}}",
                items(n, |i| format!("\"{i}\":{{}}"))
            ),
        )
    }),
    ("sessions of an old record", targets::json, |n| {
        family(
            "session",
            format!(
                "{{\"_sessions\":{{{}}}}}",
                items(n, |i| format!("\"{i}\":1"))
            ),
        )
    }),
    ("members beside a key pair", targets::json, |n| {
        let key = "A".repeat(43);
        family(
            "pre-key",
            format!(
                "{{\"private\":\"{key}=\",\"public\":\"{key}=\",{}}}",
                items(n, |i| format!("\"m{i}\":1"))
            ),
        )
    }),
    ("names of a memory", targets::json, |n| {
        family(
            "sender-key-memory",
            format!("{{{}}}", items(n, |i| format!("\"{i}\":true"))),
        )
    }),
    ("devices", targets::json, |n| {
        family(
            "device-list",
            format!("[{}]", items(n, |i| format!("\"{i}\""))),
        )
    }),
    ("numbers of a Buffer", targets::json, |n| {
        family(
            "identity-key",
            format!(
                "{{\"type\":\"Buffer\",\"data\":[{}]}}",
                items(n, |_| "7".to_owned())
            ),
        )
    }),
    ("indexes of a Uint8Array", targets::json, |n| {
        family(
            "identity-key",
            format!("{{{}}}", items(n, |i| format!("\"{i}\":7"))),
        )
    }),
    ("index values", targets::json, |n| {
        family(
            "app-state-sync-version",
            format!(
                "{{\"version\":1,\"hash\":\"{}\",\"indexValueMap\":{{{}}}}}",
                "A".repeat(171) + "=",
                items(n, |i| format!(
                    "\"{i}\":{{\"valueMac\":\"{}=\"}}",
                    "A".repeat(43)
                ))
            ),
        )
    }),
    ("lost message keys", targets::json, |n| {
        family(
            "sender-key",
            format!(
                "[{{\"senderMessageKeys\":[{}]}}]",
                items(n, |_| "{}".to_owned())
            ),
        )
    }),
    ("free-form members", targets::json, |n| {
        family(
            "to-come",
            format!("{{{}}}", items(n, |i| format!("\"m{i}\":{{\"a\":[]}}"))),
        )
    }),
    ("atom keys of the legacy dialect", targets::json, |n| {
        family(
            "to-come",
            format!(
                "{{\"__atom_keys__\":[{}],{}}}",
                items(n, |i| format!("\"k{i}\"")),
                items(n, |i| format!("\"k{i}\":1"))
            ),
        )
    }),
    ("entries of a legacy map", targets::json, |n| {
        family(
            "to-come",
            format!(
                "{{\"__type__\":\"map\",\"entries\":[{}]}}",
                items(n, |i| format!("[\"k{i}\",1]"))
            ),
        )
    }),
    ("entries of a legacy key pair", targets::json, |n| {
        family(
            "pre-key",
            format!(
                "{{\"__type__\":\"map\",\"entries\":[{}]}}",
                items(n, |i| format!("[\"k{i}\",1]"))
            ),
        )
    }),
    ("history messages", targets::json, |n| {
        family(
            "creds",
            format!(
                "{{\"processedHistoryMessages\":[{}]}}",
                items(n, |_| "{\"key\":{\"id\":\"x\"},\"messageTimestamp\":1}"
                    .to_owned())
            ),
        )
    }),
    ("pairs of an ETF map", targets::etf, |n| {
        let mut bytes = vec![131, 116];
        bytes.extend_from_slice(&(n as u32).to_be_bytes());
        for i in 0..n as u32 {
            bytes.push(98);
            bytes.extend_from_slice(&i.to_be_bytes());
            bytes.extend_from_slice(&[97, 1]);
        }
        bytes
    }),
    ("items of an ETF list", targets::etf, |n| {
        let mut bytes = vec![131, 108];
        bytes.extend_from_slice(&(n as u32).to_be_bytes());
        bytes.extend_from_slice(&[104, 1, 106].repeat(n));
        bytes.push(106);
        bytes
    }),
    ("ids of a manifest", targets::manifest, |n| {
        [b"\0".as_slice(), format!(
            "{{\"backend\":\"file_persistence\",\"version\":1,\"key_index\":{{\"session\":[{}]}}}}",
            items(n, |i| format!("\"a__{i}\""))).as_bytes()].concat()
    }),
    ("records of a journal", targets::journal, |n| {
        let record = [
            13, 1, 1, 5, 0, 1, 0, 0, 0, b'a', b'.', b'e', b't', b'f', b'x',
        ];
        [b"\x01".as_slice(), &record.repeat(n)].concat()
    }),
    ("heads in what follows a journal", targets::journal, |n| {
        [b"\0".as_slice(), &sealed_journal(&[]), &b"BXRC".repeat(n)].concat()
    }),
];

/// The processor time of this thread, which other work on the machine hardly affects.
fn cost(target: fn(&[u8]), input: &[u8]) -> f64 {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
    };
    (0..5)
        .map(|_| {
            let start = now();
            target(black_box(input));
            now() - start
        })
        .fold(f64::INFINITY, f64::min)
}

/// Eight times the input takes eight times the work if linear, and sixty-four times if quadratic.
#[test]
fn no_input_takes_longer_than_linear_time() {
    for (what, target, make) in LONG {
        let (small, large) = (make(2_000), make(16_000));
        let ratio = cost(target, &large) / cost(target, &small);
        println!("{what}: {ratio:.1} times the work for 8 times the input");
        assert!(
            ratio < 26.0,
            "{what}: {ratio:.1} times the work for 8 times the input"
        );
    }
}
