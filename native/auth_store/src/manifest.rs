//! The manifest of a directory: the backend that wrote it, and the ids that file names cannot
//! express.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::codec::json::SenderKeyForm;
use crate::codec::{Problem, etf};
use crate::error::{Error, Flaw, Result};
use crate::format::Format;
use crate::layout;
use crate::value::Value;

const SENDER_KEYS: &str = "sender_keys";

/// The irregular ids of a directory, by file name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifest {
    version: i128,
    by_name: HashMap<String, (String, String)>,
    /// The form of the sender keys in the JSON directory that they come from or go to, if that is
    /// known. Baileys reads only one form, and a native directory has neither.
    pub sender_keys: Option<SenderKeyForm>,
}

impl Manifest {
    /// Stands for a missing manifest, since Baileys writes none.
    pub fn absent() -> Self {
        Manifest::default()
    }

    pub fn parse(bytes: &[u8], format: Format) -> Result<Self> {
        let value = match format {
            Format::Json => json_value(bytes)?,
            Format::Etf => etf_value(bytes).map_err(|problem| invalid(problem.to_string()))?,
        };
        let backend = text(member(&value, "backend")?, "backend")?;
        if backend != format.backend() {
            return Err(Error::UnexpectedBackend(backend));
        }
        let Value::Int(version) = *member(&value, "version")? else {
            return Err(invalid("version is not an integer"));
        };
        if version > format.version() {
            return Err(Error::UnsupportedVersion(version));
        }
        if version < 1 {
            return Err(invalid("version is not positive"));
        }
        Ok(Manifest {
            version,
            by_name: irregular_ids(member(&value, "key_index")?, format)?,
            sender_keys: member(&value, SENDER_KEYS).ok().and_then(form_of),
        })
    }

    pub fn render(&self, format: Format) -> Result<Vec<u8>> {
        let mut index: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (family, id) in self.by_name.values() {
            index.entry(family).or_default().insert(id);
        }
        match format {
            Format::Json => {
                let mut manifest = serde_json::json!({
                    "backend": format.backend(),
                    "key_index": index,
                    "version": format.version() as i64,
                });
                if let Some(form) = self.sender_keys {
                    manifest[SENDER_KEYS] = name_of(form).into();
                }
                Ok(manifest.to_string().into_bytes())
            }
            Format::Etf => {
                etf::encode(&manifest_value(&index, format, self.sender_keys)).map_err(|problem| {
                    Error::InvalidTerm {
                        member: problem.member,
                        problem: problem.problem,
                    }
                })
            }
        }
    }

    /// Whether the file on disk is as this library would write it.
    pub fn is_current(&self, format: Format) -> bool {
        self.version == format.version()
    }

    pub fn upgrade(&mut self, format: Format) {
        self.version = format.version();
    }

    /// The key of a file whose name alone would mislead.
    pub fn owner(&self, name: &str) -> Option<(&str, &str)> {
        self.by_name
            .get(name)
            .map(|(family, id)| (family.as_str(), id.as_str()))
    }

    pub fn claim(&mut self, name: &str, family: &str, id: &str) {
        self.by_name
            .insert(name.to_owned(), (family.to_owned(), id.to_owned()));
    }

    pub fn release(&mut self, name: &str) {
        self.by_name.remove(name);
    }
}

fn invalid(reason: impl Into<String>) -> Error {
    Error::InvalidManifest(reason.into())
}

fn member<'a>(value: &'a Value, name: &str) -> Result<&'a Value> {
    let Value::Map(pairs) = value else {
        return Err(invalid("it is not a map"));
    };
    pairs
        .iter()
        .find(|(key, _)| matches!(key, Value::Binary(bytes) if bytes == name.as_bytes()))
        .map(|(_, value)| value)
        .ok_or_else(|| invalid(format!("{name} is missing")))
}

fn text(value: &Value, name: &str) -> Result<String> {
    match value {
        Value::Binary(bytes) => String::from_utf8(bytes.clone())
            .map_err(|_| invalid(format!("{name} is not UTF-8 text"))),
        _ => Err(invalid(format!("{name} is not text"))),
    }
}

fn etf_value(bytes: &[u8]) -> Result<Value, Problem> {
    // The keys of a manifest are binaries, so decoding creates no atoms.
    etf::scan(bytes, &mut |_| true)?;
    etf::decode(bytes)
}

fn json_value(bytes: &[u8]) -> Result<Value> {
    serde_json::from_slice(bytes)
        .map(value_of)
        .map_err(|error| invalid(format!("not JSON (line {})", error.line())))
}

fn value_of(json: serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(flag) => Value::Bool(flag),
        serde_json::Value::Number(number) => number
            .as_i64()
            .map_or(Value::Nil, |int| Value::Int(int.into())),
        serde_json::Value::String(text) => Value::text(text),
        serde_json::Value::Array(items) => Value::List(items.into_iter().map(value_of).collect()),
        serde_json::Value::Object(members) => Value::Map(
            members
                .into_iter()
                .map(|(key, value)| (Value::text(key), value_of(value)))
                .collect(),
        ),
    }
}

/// Keeps the irregular ids only. baileys_ex lists every id, this library lists only those.
fn irregular_ids(index: &Value, format: Format) -> Result<HashMap<String, (String, String)>> {
    let Value::Map(families) = index else {
        return Err(invalid("key_index is not a map"));
    };
    let mut by_name = HashMap::new();
    for (family, ids) in families {
        let family = text(family, "a family of key_index")?;
        let Value::List(ids) = ids else {
            return Err(invalid("a family of key_index is not a list"));
        };
        for id in ids {
            let id = text(id, "an id of key_index")?;
            let Ok(name) = layout::key_name(&family, &id, format) else {
                return Err(invalid("an id of key_index cannot name a file"));
            };
            if !layout::is_regular(&family, &id, &name, format) {
                by_name.insert(name, (family.clone(), id));
            }
        }
    }
    Ok(by_name)
}

fn form_of(value: &Value) -> Option<SenderKeyForm> {
    match value {
        Value::Binary(name) if name == b"array" => Some(SenderKeyForm::List),
        Value::Binary(name) if name == b"buffer" => Some(SenderKeyForm::Buffer),
        _ => None,
    }
}

fn name_of(form: SenderKeyForm) -> &'static str {
    if form.is_list() { "array" } else { "buffer" }
}

fn manifest_value(
    index: &BTreeMap<&str, BTreeSet<&str>>,
    format: Format,
    sender_keys: Option<SenderKeyForm>,
) -> Value {
    let families = index
        .iter()
        .map(|(family, ids)| {
            let ids = ids.iter().map(|id| Value::text(*id)).collect();
            (Value::text(*family), Value::List(ids))
        })
        .collect();
    let mut members = vec![
        (Value::text("backend"), Value::text(format.backend())),
        (Value::text("key_index"), Value::Map(families)),
        (Value::text("version"), Value::Int(format.version())),
    ];
    if let Some(form) = sender_keys {
        members.push((Value::text(SENDER_KEYS), Value::text(name_of(form))));
    }
    Value::Map(members)
}

/// The problem, if the error is one that writing a new manifest mends.
pub(crate) fn mendable_problem(error: Error) -> Result<String> {
    match error {
        Error::InvalidManifest(problem) => Ok(problem),
        Error::Corrupt {
            problem,
            flaw: Flaw::Content,
            ..
        } => Ok(problem),
        other => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(directory: &str, format: Format) -> Vec<u8> {
        std::fs::read(format!(
            "{}/../../test/fixtures/{directory}/{}",
            env!("CARGO_MANIFEST_DIR"),
            format.manifest_name()
        ))
        .unwrap()
    }

    #[test]
    fn the_manifests_of_baileys_ex_are_read_and_hold_no_irregular_id() {
        let json =
            Manifest::parse(&fixture("baileys_ex-json", Format::Json), Format::Json).unwrap();
        let etf = Manifest::parse(&fixture("baileys_ex-native", Format::Etf), Format::Etf).unwrap();
        assert!(json.by_name.is_empty() && etf.by_name.is_empty());
        assert!(!json.is_current(Format::Json));
        assert!(etf.is_current(Format::Etf));
    }

    #[test]
    fn irregular_ids_survive_being_written_and_read() {
        for format in [Format::Json, Format::Etf] {
            let mut manifest = Manifest::absent();
            manifest.upgrade(format);
            for (family, id) in [
                ("session", "a__b"),
                ("custom", "zoë/:1"),
                ("session", "x:y"),
            ] {
                let name = layout::key_name(family, id, format).unwrap();
                manifest.claim(&name, family, id);
            }
            let bytes = manifest.render(format).unwrap();
            assert_eq!(Manifest::parse(&bytes, format).unwrap(), manifest);
        }
    }

    #[test]
    fn the_form_of_sender_keys_survives_and_needs_not_be_there() {
        for format in [Format::Json, Format::Etf] {
            for form in [None, Some(SenderKeyForm::List), Some(SenderKeyForm::Buffer)] {
                let mut manifest = Manifest::absent();
                manifest.upgrade(format);
                manifest.sender_keys = form;
                let bytes = manifest.render(format).unwrap();
                assert_eq!(Manifest::parse(&bytes, format).unwrap().sender_keys, form);
            }
        }
    }

    #[test]
    fn a_manifest_of_another_backend_or_a_later_version_is_told_apart() {
        let other = br#"{"backend":"native_file_persistence","version":1,"key_index":{}}"#;
        let error = Manifest::parse(other, Format::Json).unwrap_err();
        assert!(
            matches!(error, Error::UnexpectedBackend(name) if name == "native_file_persistence")
        );

        let later = br#"{"backend":"file_persistence","version":3,"key_index":{}}"#;
        let error = Manifest::parse(later, Format::Json).unwrap_err();
        assert!(matches!(error, Error::UnsupportedVersion(3)));
    }

    #[test]
    fn a_damaged_manifest_is_an_error_and_never_an_empty_one() {
        for bytes in [
            &b""[..],
            b"{",
            b"[]",
            b"null",
            br#"{"backend":"file_persistence","version":1}"#,
            br#"{"backend":"file_persistence","version":"1","key_index":{}}"#,
            br#"{"backend":"file_persistence","version":0,"key_index":{}}"#,
            br#"{"backend":"file_persistence","version":1,"key_index":[]}"#,
            br#"{"backend":"file_persistence","version":1,"key_index":{"session":[1]}}"#,
            br#"{"backend":"file_persistence","version":1,"key_index":{"session":["a\u0000"]}}"#,
        ] {
            let error = Manifest::parse(bytes, Format::Json).unwrap_err();
            assert!(matches!(error, Error::InvalidManifest(_)), "{error}");
        }
        for length in 0..fixture("baileys_ex-native", Format::Etf).len() {
            let bytes = &fixture("baileys_ex-native", Format::Etf)[..length];
            let error = Manifest::parse(bytes, Format::Etf).unwrap_err();
            assert!(matches!(error, Error::InvalidManifest(_)), "{error}");
        }
    }
}
