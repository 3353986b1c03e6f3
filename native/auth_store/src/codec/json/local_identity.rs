//! Reads the account's identity key from its creds, which every load of a session needs.

use std::cell::Cell;
use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::Value;

use super::super::Problem;
use super::super::fault::{Fault, Outcome};
use super::dialect::Dialect;
use super::legacy::{self, Name};
use super::mark::without_mark;
use super::or_mended;
use super::read::Reader;
use super::schema::{KEY_PAIR, STATE};
use super::tree::{self, Json, Tree};

const BAILEYS: &str = "signedIdentityKey";
const RUN_TIME: &str = "signed_identity_key";
/// The members that the legacy dialect needs to find the key inside its tags.
const LEGACY: [&str; 4] = ["__type__", "__atom_keys__", "module", "value"];

/// `<<5>> <> signedIdentityKey.public` of a creds file in any dialect.
///
/// Other members are skipped. Only [`decode`](super::decode) of the whole file checks them.
pub fn local_identity(creds: &[u8]) -> Result<Vec<u8>, Problem> {
    or_mended(creds, |creds| {
        parse(creds).and_then(|json| public_key(&json))
    })
    .map(with_type)
    .map_err(|fault| fault.into_problem("creds"))
}

fn parse(creds: &[u8]) -> Outcome<Json<'_>> {
    let mut deserializer = serde_json::Deserializer::from_slice(without_mark(creds));
    let json = deserializer
        .deserialize_map(Members)
        .and_then(|json| deserializer.end().map(|()| json));
    match json {
        Ok(json) => Ok(json),
        // Parsing everything costs more, but says exactly what is wrong.
        Err(_) => {
            tree::parse(creds)?.object()?;
            Err(Fault::new("is not JSON"))
        }
    }
}

fn public_key(json: &Json<'_>) -> Outcome<Vec<u8>> {
    let (dialect, pair) = find(json)?.ok_or_else(|| Fault::new("is missing").member(RUN_TIME))?;
    let reader = Reader {
        dialect,
        local_identity: None,
        dropped: Cell::default(),
    };
    let pair = reader
        .record(&KEY_PAIR, pair)
        .map_err(|fault| fault.member(RUN_TIME))?;
    match pair.get("public") {
        Some(Value::Binary(public)) => Ok(public.clone()),
        _ => Err(Fault::new("is missing").member("public").member(RUN_TIME)),
    }
}

fn find<'j, 'a>(json: &'j Json<'a>) -> Outcome<Option<(Dialect, &'j Json<'a>)>> {
    if legacy::recognises(json) {
        let members = legacy::members(json, &STATE)?;
        let is_it = |name: &Name<'_>| matches!(name, Name::Atom(name) if *name == RUN_TIME);
        let pair = members.into_iter().find(|(name, _)| is_it(name));
        return Ok(pair.map(|(_, pair)| (Dialect::Legacy, pair)));
    }
    let baileys = json.get(BAILEYS).map(|pair| (Dialect::Baileys, pair));
    Ok(baileys.or_else(|| json.get(RUN_TIME).map(|pair| (Dialect::Explicit, pair))))
}

/// Puts Signal's type byte in front of a bare Curve25519 key.
fn with_type(mut public: Vec<u8>) -> Vec<u8> {
    if public.len() == 32 {
        public.insert(0, 5);
    }
    public
}

/// Keeps only the members that are needed.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Json<'de>;

    // Mutants: our errors replace those of serde, so this text is never shown.
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json<'de>, A::Error> {
        let mut pairs = Vec::new();
        while let Some(name) = access.next_key_seed(tree::Name)? {
            let name_matters =
                [BAILEYS, RUN_TIME].contains(&name.as_ref()) || LEGACY.contains(&name.as_ref());
            if name_matters {
                pairs.push((name, access.next_value_seed(Tree { depth: 1 })?));
            } else {
                access.next_value::<IgnoredAny>()?;
            }
        }
        Ok(Json::Object(tree::last_wins(pairs)))
    }
}
