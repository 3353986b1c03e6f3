use super::*;
use proptest::prelude::*;

fn fixture_names(directory: &str) -> Vec<String> {
    let path = format!(
        "{}/../../test/fixtures/{directory}",
        env!("CARGO_MANIFEST_DIR")
    );
    std::fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

#[test]
fn every_file_of_the_real_baileys_has_a_regular_id() {
    let names = fixture_names("baileys-7.0.0-rc14");
    assert!(names.len() > 90);
    for name in names {
        match parse(&name, Format::Json) {
            Entry::Creds => assert_eq!(name, "creds.json"),
            Entry::Key { family, id } => {
                assert_eq!(key_name(&family, &id, Format::Json).unwrap(), name);
                assert!(is_regular(&family, &id, &name, Format::Json), "{name}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn the_guess_gives_the_ids_that_whatsapp_made() {
    let cases = [
        (
            "app-state-sync-key-AAAA__+Ab",
            "app-state-sync-key",
            "AAAA/+Ab",
        ),
        ("sender-key-1@g.us--155--7", "sender-key", "1@g.us::155::7"),
        (
            "sender-key-141-139@g.us--155_1--0",
            "sender-key",
            "141-139@g.us::155_1::0",
        ),
        ("sender-key-memory-1@g.us", "sender-key-memory", "1@g.us"),
        ("tctoken-__index", "tctoken", "__index"),
        ("session-900000000001_1.7", "session", "900000000001_1.7"),
        (
            "lid-mapping-800000000_reverse",
            "lid-mapping",
            "800000000_reverse",
        ),
        ("pre-key-1", "pre-key", "1"),
    ];
    for (stem, family, id) in cases {
        let expected = Entry::Key {
            family: family.into(),
            id: id.into(),
        };
        assert_eq!(parse(&format!("{stem}.etf"), Format::Etf), expected);
    }
}

#[test]
fn keys_of_other_families_are_told_from_other_files() {
    for (stem, family, id) in [
        (
            "contacts-tc-token-155@s.whatsapp.net",
            "contacts-tc-token",
            "155@s.whatsapp.net",
        ),
        (
            "news-14156521415-1397622199@g.us",
            "news",
            "14156521415-1397622199@g.us",
        ),
        ("device-index-15558880004", "device-index", "15558880004"),
    ] {
        let expected = Entry::Key {
            family: family.into(),
            id: id.into(),
        };
        let name = format!("{stem}.json");
        assert_eq!(parse(&name, Format::Json), expected);
        assert_eq!(key_name(family, id, Format::Json).unwrap(), name);
    }
    for name in [
        "oauth.json",
        "package-lock.json",
        "baileys_store_multi.json",
        "backup-20240101.json",
        "15558880004@s.whatsapp.net.json",
        "contacts-@.json",
    ] {
        assert_eq!(parse(name, Format::Json), Entry::Unknown, "{name}");
    }
}

/// The name alone cannot show where an unknown family ends.
#[test]
fn a_family_of_its_user_s_own_may_end_anywhere() {
    let name = key_name("contacts", "tc-token-155@lid", Format::Json).unwrap();
    assert!(!is_regular(
        "contacts",
        "tc-token-155@lid",
        &name,
        Format::Json
    ));
}

#[test]
fn irregular_ids_are_seen_as_such() {
    for (family, id) in [
        ("session", "alice/device:0"),
        ("session", "a__b"),
        ("sender-key", "a--b--c"),
        ("tctoken", "/index"),
        ("my-family", "1"),
    ] {
        let name = key_name(family, id, Format::Json).unwrap();
        assert!(
            !is_regular(family, id, &name, Format::Json),
            "{family} {id}"
        );
        assert!(!is_unambiguous(family, id), "{family} {id}");
    }
}

#[test]
fn names_that_no_file_can_have_are_refused() {
    let long = "x".repeat(256);
    for (family, id) in [
        ("session", "a\0b"),
        ("session", long.as_str()),
        (".hidden", "1"),
        ("session", "a.tmp-1"),
        ("sender-key", "memory-1"),
        ("pre", "key-1"),
    ] {
        let error = key_name(family, id, Format::Etf).unwrap_err();
        assert!(matches!(error, Error::InvalidKey { .. }), "{family} {id}");
    }
    let fits = "x".repeat(255 - "session-.json".len());
    assert_eq!(key_name("session", &fits, Format::Json).unwrap().len(), 255);
}

#[test]
fn names_of_before_colons_were_rewritten_are_told_and_lead_to_the_current_one() {
    for (name, family, id, current) in [
        (
            "sender-key-1@g.us::155::7.json",
            "sender-key",
            "1@g.us::155::7",
            "sender-key-1@g.us--155--7.json",
        ),
        (
            "app-state-sync-key-A__:b.json",
            "app-state-sync-key",
            "A/:b",
            "app-state-sync-key-A__-b.json",
        ),
    ] {
        let expected = Entry::Old {
            family: family.into(),
            id: id.into(),
        };
        assert_eq!(parse(name, Format::Json), expected);
        assert_eq!(old_name(family, id, Format::Json).as_deref(), Some(name));
        assert_eq!(key_name(family, id, Format::Json).unwrap(), current);
    }
    assert_eq!(old_name("session", "1.0", Format::Json), None);
    assert_eq!(old_name("sender-key", "a::b::c", Format::Etf), None);
}

#[test]
fn copies_of_key_files_are_no_keys() {
    for name in [
        "pre-key-1.sync-conflict-20240101-120000-ABCDEFG.json",
        "creds (1).json",
        "creds copy.json",
        "creds copy 2.json",
        "creds - Copy.json",
        "creds - Copy (2).json",
        "creds 2.json",
        "session-155.0 (Ada's conflicted copy 2024-01-01).json",
        "session-155.0 (conflicted copy 2024-01-01 120000).json",
    ] {
        assert_eq!(parse(name, Format::Json), Entry::Copy, "{name}");
    }
    assert_eq!(parse("oauth (1).json", Format::Json), Entry::Unknown);
    for id in ["zoe smith", "a (b)", "1.sync-conflict-x", "a copy", "a 2"] {
        assert!(!is_unambiguous("session", id), "{id}");
        let name = key_name("session", id, Format::Json).unwrap();
        assert_ne!(parse(&name, Format::Json), Entry::Unknown, "{id}");
    }
}

#[test]
fn hidden_temporary_and_foreign_files_are_no_keys() {
    for name in [
        ".baileys_ex_file_persistence.json",
        ".baileys_ex.journal",
        "session-1.json.tmp-123",
        "session-1.json.bak",
        "notes.txt",
        "session-1.etf",
    ] {
        assert_eq!(parse(name, Format::Json), Entry::Foreign, "{name}");
    }
    assert_eq!(parse("package-lock.json", Format::Json), Entry::Unknown);
}

proptest! {
    #[test]
    fn a_name_never_leaves_the_directory(family in ".{0,20}", id in ".{0,40}") {
        if let Ok(name) = key_name(&family, &id, Format::Json) {
            prop_assert!(!name.contains('/') && !name.contains('\0'));
            prop_assert!(name != "." && name != "..");
        }
    }

    #[test]
    fn two_unambiguous_ids_never_share_a_file(
        family in 0..FAMILIES.len(),
        a in "[a-z0-9_.@:/-]{1,6}",
        b in "[a-z0-9_.@:/-]{1,6}",
    ) {
        let family = FAMILIES[family];
        prop_assume!(a != b);
        if is_unambiguous(family, &a) {
            let names = (
                key_name(family, &a, Format::Json).unwrap(),
                key_name(family, &b, Format::Json).unwrap(),
            );
            prop_assert_ne!(names.0, names.1);
        }
    }

    #[test]
    fn parsing_any_name_gives_a_key_that_has_this_name(name in "[a-z0-9_.@-]{0,40}\\.json") {
        if let Entry::Key { family, id } = parse(&name, Format::Json) {
            prop_assert_eq!(key_name(&family, &id, Format::Json).unwrap(), name);
        }
    }
}
