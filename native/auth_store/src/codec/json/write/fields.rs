//! Sorts a run-time map into the members that the table of its record knows and the rest.

use super::super::super::fault::{Fault, Outcome};
use super::super::schema::{Record, Unknown};
use super::{map, utf8};
use crate::Value;

/// A map sorted into the members of a table, in the order of the table, and all others.
pub(in super::super) struct Fields<'v> {
    pub(in super::super) known: Vec<Option<&'v Value>>,
    pub(super) unknown: Vec<(&'v str, &'v Value)>,
    /// The problem with a key that the file has no place for.
    pub(super) misplaced: Option<Fault>,
}

pub(super) fn sorted<'v>(record: &Record, value: &'v Value) -> Outcome<Fields<'v>> {
    let mut fields = Fields {
        known: vec![None; record.members.len()],
        unknown: Vec::new(),
        misplaced: None,
    };
    // Members of a later version of the struct. `unknown_fields` takes precedence over them.
    let mut later = Vec::new();
    let mut module = None;
    for (key, value) in map(value)? {
        match key {
            Value::Atom(name) if name == "__struct__" => module = Some(value),
            Value::Atom(name) => match record.members.iter().position(|m| m.key == name) {
                Some(place) => fields.known[place] = Some(value),
                None => match record.unknown {
                    Unknown::Under(key) if key == name => {
                        fields.unknown = named(value).map_err(|fault| fault.key(name))?;
                    }
                    Unknown::Under(_) => later.push((name.as_ref(), value)),
                    Unknown::Beside | Unknown::Nowhere => {
                        fields.misplaced = Some(Fault::new("has no place in the file").key(name));
                    }
                },
            },
            Value::Binary(name) if record.unknown == Unknown::Beside => {
                fields.unknown.push((utf8(name)?, value));
            }
            other => {
                let problem = format!(
                    "has {} as a key that has no place in the file",
                    other.kind()
                );
                fields.misplaced = Some(Fault::new(problem));
            }
        }
    }
    check_module(record, module)?;
    later.retain(|(name, _)| fields.unknown.iter().all(|(known, _)| known != name));
    fields.unknown.append(&mut later);
    fields.unknown.sort_unstable_by_key(|(name, _)| *name);
    Ok(fields)
}

fn check_module(record: &Record, module: Option<&Value>) -> Outcome<()> {
    let name = match module {
        Some(Value::Atom(name)) => Some(name.as_ref()),
        Some(_) => return Err(Fault::new("is a struct whose module is no atom")),
        None => None,
    };
    match (name, record.module) {
        (None, Some(module)) => Err(Fault::expected(&format!("a struct {module}"), "a map")),
        (name, Some(module)) if name == Some(module) => Ok(()),
        (None, None) => Ok(()),
        (name, None) if name == record.also => Ok(()),
        (Some(_), _) => Err(Fault::new("is a struct of another module")),
    }
}

fn named(value: &Value) -> Outcome<Vec<(&str, &Value)>> {
    if matches!(value, Value::Nil) {
        return Ok(Vec::new());
    }
    map(value)?
        .iter()
        .map(|(key, value)| match key {
            Value::Binary(name) => Ok((utf8(name)?, value)),
            other => Err(Fault::expected("string keys", other.kind())),
        })
        .collect()
}
