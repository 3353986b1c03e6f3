//! A run-time term in the neutral form that the codec and the NIF share.

use std::borrow::Cow;

/// How deep a [`Value`] may nest.
///
/// This bounds every recursion over values, JSON or ETF, so that no input overflows a stack. Real
/// auth state nests less than ten levels deep; only free-form members come near the limit.
pub const MAX_DEPTH: usize = 96;

/// One run-time term as plain data.
///
/// Structs are maps with the atom key `__struct__`, as on the BEAM.
#[derive(Clone, PartialEq)]
pub enum Value {
    Nil,
    Bool(bool),
    Int(i128),
    Float(f64),
    /// An atom other than `nil`, `true` and `false`. Atoms of a schema cost no copy.
    Atom(Cow<'static, str>),
    Binary(Vec<u8>),
    List(Vec<Value>),
    Tuple(Vec<Value>),
    /// Pairs in no particular order, with unique keys.
    Map(Vec<(Value, Value)>),
}

impl Value {
    pub fn atom(name: impl Into<Cow<'static, str>>) -> Value {
        let name = name.into();
        match name.as_ref() {
            "nil" => Value::Nil,
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => Value::Atom(name),
        }
    }

    pub fn text(text: impl Into<String>) -> Value {
        Value::Binary(text.into().into_bytes())
    }

    /// The member of a map under an atom key.
    pub fn get(&self, atom: &str) -> Option<&Value> {
        let Value::Map(pairs) = self else { return None };
        pairs
            .iter()
            .find(|(key, _)| matches!(key, Value::Atom(name) if name == atom))
            .map(|(_, value)| value)
    }

    /// The kind of this term, for messages. A kind never shows a value.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Nil => "nil",
            Value::Bool(_) => "a boolean",
            Value::Int(_) => "an integer",
            Value::Float(_) => "a float",
            Value::Atom(_) => "an atom",
            Value::Binary(_) => "a binary",
            Value::List(_) => "a list",
            Value::Tuple(_) => "a tuple",
            Value::Map(_) => "a map",
        }
    }
}

/// Shows only the shape, since values may be key material.
impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Binary(bytes) => write!(f, "#Binary<{} bytes>", bytes.len()),
            Value::List(items) => f.debug_list().entries(items).finish(),
            Value::Tuple(items) => f.debug_list().entries(items).finish(),
            Value::Map(pairs) => write!(f, "#Map<{} members>", pairs.len()),
            Value::Atom(name) => write!(f, ":{name}"),
            other => f.write_str(other.kind()),
        }
    }
}
