//! What is checked of a term that is kept as it is: a native file may hold any term that no table
//! knows, and nothing wrong where one does.

use auth_store::Value;
use auth_store::codec::json::check_known;

use crate::support::*;

const GROUP: &str = "sender-key-120363041234567890@g.us--15559990002--0";

/// JSON can hold no tuple.
fn no_json() -> Value {
    Value::Tuple(vec![atom("any")])
}

#[test]
fn a_member_that_the_tables_know_must_be_what_they_say() {
    let mut creds = native("creds");
    assert_eq!(check_known("creds", &creds), Ok(()));
    *member(&mut creds, &["signed_pre_key", "signature"]) = Value::Binary(vec![1]);
    let problem = check_known("creds", &creds).expect_err("a signature of one byte");
    assert_eq!(
        problem.to_string(),
        "creds.signed_pre_key.signature: must be 64 bytes long, but is 1"
    );
    let mut group = native(GROUP);
    *member(
        &mut group,
        &["sender_key_states", "0", "sender_chain_key", "seed"],
    ) = Value::Nil;
    assert!(check_known("sender-key", &group).is_err());
}

#[test]
fn any_term_may_be_where_the_tables_know_none() {
    let mut creds = native("creds");
    *member(&mut creds, &["additional_data"]) = no_json();
    put(
        &mut creds,
        &[],
        atom("unknown_fields"),
        map([(text("x"), no_json())]),
    );
    let device = ["signal_identities", "0", "identifier", "device_id"];
    *member(&mut creds, &device) = no_json();
    assert_eq!(check_known("creds", &creds), Ok(()));
    assert!(encode("creds", &creds).is_err());
    assert_eq!(check_known("a-family-to-come", &no_json()), Ok(()));
    let mut group = native(GROUP);
    put(
        &mut group,
        &["sender_key_states", "0"],
        text("x"),
        no_json(),
    );
    assert_eq!(check_known("sender-key", &group), Ok(()));
    assert!(encode("sender-key", &group).is_err());
}
