//! How long the codec takes. Not a test: prints, with
//! `cargo test --release -p auth_store --test codec speed -- --ignored --nocapture`.

use std::hint::black_box;
use std::time::Instant;

use auth_store::Value;
use auth_store::codec::etf;

use crate::support::*;

/// A session record of about 40 kB: one open session and forty closed ones, as a long
/// acquaintance has.
fn large_session() -> Value {
    let mut record = native("session-15559990002.0");
    let Value::Map(sessions) = member(&mut record, &["sessions"]) else {
        panic!("no sessions");
    };
    let (key, session) = sessions[0].clone();
    for i in 1..=40u8 {
        let mut key = key.clone();
        if let Value::Binary(bytes) = &mut key {
            bytes[32] ^= i;
        }
        let mut session = session.clone();
        put(
            &mut session,
            &["index_info"],
            atom("closed"),
            Value::Int(1_710_000_000_000 + i128::from(i)),
        );
        // Two chains are left when a session is closed.
        if let Value::Map(chains) = member(&mut session, &["chains"]) {
            chains.truncate(2);
        }
        sessions.push((key, session));
    }
    record
}

fn per_run(what: &str, bytes: usize, mut run: impl FnMut()) {
    let rounds = 200;
    let mut best = f64::MAX;
    for _ in 0..20 {
        let start = Instant::now();
        for _ in 0..rounds {
            run();
        }
        best = best.min(start.elapsed().as_secs_f64() / f64::from(rounds));
    }
    println!("{what:42} {bytes:>7} bytes {:>10.0} ns", best * 1e9);
}

#[test]
#[ignore = "prints timings"]
fn speed() {
    let creds = file("baileys-7.0.0-rc14", "creds.json");
    per_run("local_identity of creds", creds.len(), || {
        black_box(auth_store::codec::json::local_identity(black_box(&creds)).expect("creds"));
    });
    let identity = identity();
    let decode_ctx = auth_store::codec::json::DecodeContext {
        local_identity: Some(&identity),
    };
    let encode_ctx = auth_store::codec::json::EncodeContext {
        local_identity: Some(&identity),
        now_ms: NOW_MS,
    };
    for (what, family, value) in [
        ("session, 41 entries", "session", large_session()),
        ("session", "session", native("session-15557770003.0")),
        ("creds", "creds", native("creds")),
        ("pre-key", "pre-key", native("pre-key-1")),
        (
            "sender-key",
            "sender-key",
            native("sender-key-120363041234567890@g.us--15559990002--0"),
        ),
        (
            "app-state-sync-version",
            "app-state-sync-version",
            native("app-state-sync-version-regular_high"),
        ),
        (
            "lid-mapping",
            "lid-mapping",
            native("lid-mapping-15557770003"),
        ),
    ] {
        let json = auth_store::codec::json::encode(family, &value, &encode_ctx).expect("JSON");
        let term = etf::encode(&value).expect("ETF");
        per_run(&format!("{what}: JSON decode"), json.len(), || {
            let value = auth_store::codec::json::decode(family, black_box(&json), &decode_ctx);
            black_box(value.expect("JSON"));
        });
        per_run(&format!("{what}: JSON encode"), json.len(), || {
            let json = auth_store::codec::json::encode(family, black_box(&value), &encode_ctx);
            black_box(json.expect("JSON"));
        });
        per_run(&format!("{what}: ETF scan"), term.len(), || {
            etf::scan(black_box(&term), &mut |_| true).expect("ETF");
        });
        per_run(&format!("{what}: ETF decode"), term.len(), || {
            black_box(etf::decode(black_box(&term)).expect("ETF"));
        });
        per_run(&format!("{what}: ETF encode"), term.len(), || {
            black_box(etf::encode(black_box(&value)).expect("ETF"));
        });
    }
}
