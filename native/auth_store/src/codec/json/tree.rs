//! JSON text parsed into a tree that borrows from the text, with bounded depth.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use super::super::fault::{Fault, Outcome};
use super::damage;
use super::mark::without_mark;

/// How deep JSON may nest, both when reading and when writing.
///
/// Less than [`MAX_DEPTH`](crate::value::MAX_DEPTH), because a value may nest one level deeper than
/// its JSON (`unknown_fields`), and less than serde_json's own limit of 128.
pub(super) const MAX_JSON_DEPTH: usize = 90;

/// In objects with more members than this, duplicates are searched by sorting.
const SMALL_OBJECT: usize = 8;

pub(super) enum Json<'a> {
    Null,
    Bool(bool),
    Int(i64),
    /// Above `i64::MAX`.
    Unsigned(u64),
    Float(f64),
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    /// Names are unique.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'a> Json<'a> {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "a boolean",
            Json::Int(_) | Json::Unsigned(_) | Json::Float(_) => "a number",
            Json::Text(_) => "a string",
            Json::List(_) => "a list",
            Json::Object(_) => "an object",
        }
    }

    pub(super) fn object(&self) -> Outcome<&[(Cow<'a, str>, Json<'a>)]> {
        match self {
            Json::Object(pairs) => Ok(pairs),
            other => Err(Fault::expected("an object", other.kind())),
        }
    }

    pub(super) fn list(&self) -> Outcome<&[Json<'a>]> {
        match self {
            Json::List(items) => Ok(items),
            other => Err(Fault::expected("a list", other.kind())),
        }
    }

    /// The member of an object; `None` for anything else.
    pub(super) fn get(&self, name: &str) -> Option<&Json<'a>> {
        let Json::Object(pairs) = self else {
            return None;
        };
        pairs.iter().find(|(key, _)| key == name).map(|(_, v)| v)
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }

    /// An integer, or a float that JavaScript can only have meant as an integer.
    pub(super) fn int(&self) -> Option<i128> {
        const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_992.0;
        match self {
            Json::Int(int) => Some(i128::from(*int)),
            Json::Unsigned(int) => Some(i128::from(*int)),
            Json::Float(float) if float.fract() == 0.0 && float.abs() <= MAX_SAFE_INTEGER => {
                Some(*float as i128)
            }
            _ => None,
        }
    }
}

pub(super) fn parse(bytes: &[u8]) -> Outcome<Json<'_>> {
    let bytes = without_mark(bytes);
    // One check covers all strings of the file.
    let text = std::str::from_utf8(bytes)
        .map_err(|_| damage::explain(bytes).unwrap_or_else(|| Fault::new("is not UTF-8")))?;
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Tree { depth: 0 }
        .deserialize(&mut deserializer)
        .and_then(|json| deserializer.end().map(|()| json))
        .map_err(|error| syntax(bytes, &error))
}

/// Says where the text breaks, in our own words: the message of the parser might show part of the
/// text.
pub(super) fn syntax(bytes: &[u8], error: &serde_json::Error) -> Fault {
    use serde_json::error::Category;
    if error.classify() != Category::Data
        && let Some(fault) = damage::explain(bytes)
    {
        return fault;
    }
    match error.classify() {
        Category::Eof => Fault::new("is cut off: the JSON ends too early"),
        Category::Data => Fault::new(format!("is nested deeper than {MAX_JSON_DEPTH} levels")),
        Category::Syntax | Category::Io => Fault::new(format!(
            "is not JSON, at line {} column {}",
            error.line(),
            error.column()
        )),
    }
}

#[derive(Clone, Copy)]
pub(super) struct Tree {
    pub(super) depth: usize,
}

impl Tree {
    fn deeper<E: serde::de::Error>(self) -> Result<Tree, E> {
        if self.depth < MAX_JSON_DEPTH {
            Ok(Tree {
                depth: self.depth + 1,
            })
        } else {
            Err(E::custom("too deep"))
        }
    }
}

impl<'de> DeserializeSeed<'de> for Tree {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree {
    type Value = Json<'de>;

    // Mutants: a tree accepts any JSON, so this text is never shown.
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, bool: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(bool))
    }

    fn visit_i64<E>(self, int: i64) -> Result<Json<'de>, E> {
        Ok(Json::Int(int))
    }

    fn visit_u64<E>(self, int: u64) -> Result<Json<'de>, E> {
        Ok(i64::try_from(int).map_or(Json::Unsigned(int), Json::Int))
    }

    fn visit_f64<E>(self, float: f64) -> Result<Json<'de>, E> {
        Ok(Json::Float(float))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json<'de>, A::Error> {
        let inner = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(inner)? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json<'de>, A::Error> {
        let inner = self.deeper()?;
        let mut pairs = Vec::new();
        while let Some(name) = access.next_key_seed(Name)? {
            pairs.push((name, access.next_value_seed(inner)?));
        }
        Ok(Json::Object(last_wins(pairs)))
    }
}

/// Reads the name of a member.
pub(super) struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Cow<'de, str>, D::Error> {
        match (Tree { depth: 0 }).deserialize(deserializer)? {
            Json::Text(text) => Ok(text),
            _ => Err(D::Error::custom("a name that is not a string")),
        }
    }
}

/// If a name occurs more than once, the last value counts, in the place of the first, as in
/// `JSON.parse`.
pub(super) fn last_wins<'a>(
    mut pairs: Vec<(Cow<'a, str>, Json<'a>)>,
) -> Vec<(Cow<'a, str>, Json<'a>)> {
    let duplicates = if pairs.len() <= SMALL_OBJECT {
        (1..pairs.len()).any(|i| pairs[..i].iter().any(|(name, _)| *name == pairs[i].0))
    } else {
        let mut names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_ref()).collect();
        names.sort_unstable();
        names.windows(2).any(|pair| pair[0] == pair[1])
    };
    if !duplicates {
        return pairs;
    }
    let mut places: HashMap<Cow<'a, str>, usize> = HashMap::new();
    let mut unique: Vec<(Cow<'a, str>, Json<'a>)> = Vec::new();
    for (name, json) in pairs.drain(..) {
        match places.get(&name) {
            Some(&place) => unique[place].1 = json,
            None => {
                places.insert(name.clone(), unique.len());
                unique.push((name, json));
            }
        }
    }
    unique
}
