//! An error on its way up: each level adds its name, so that the path costs nothing on success.

use std::borrow::Cow;

use super::Problem;

/// A longer name, or one with other characters than those of an identifier, may be data.
const LONGEST_SHOWN_KEY: usize = 32;

/// Whether the key of a free-form map can only be a name. Keys that may belong to an account, such
/// as a telephone number or base64, are never taken for names.
pub fn is_shown(key: &str) -> bool {
    key.len() <= LONGEST_SHOWN_KEY
        && key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

pub(super) type Outcome<T> = Result<T, Fault>;

// Boxed, so that results on the hot path stay small.
#[derive(Debug)]
pub(super) struct Fault(Box<Inner>);

#[derive(Debug)]
struct Inner {
    problem: Cow<'static, str>,
    /// Innermost name first.
    path: Vec<Cow<'static, str>>,
    /// Whether something is missing, rather than wrong.
    is_absence: bool,
}

impl Fault {
    pub(super) fn new(problem: impl Into<Cow<'static, str>>) -> Fault {
        Fault(Box::new(Inner {
            problem: problem.into(),
            path: Vec::new(),
            is_absence: false,
        }))
    }

    pub(super) fn missing() -> Fault {
        Fault::new("is missing").absence()
    }

    /// Marks the fault as an absence. An element of a list with such a fault holds nothing.
    pub(super) fn absence(mut self) -> Fault {
        self.0.is_absence = true;
        self
    }

    pub(super) fn is_absence(&self) -> bool {
        self.0.is_absence
    }

    pub(super) fn expected(what: &str, found: &str) -> Fault {
        Fault::new(format!("expected {what}, found {found}"))
    }

    /// Adds the member of this name, which the schema knows.
    pub(super) fn member(mut self, name: &'static str) -> Fault {
        self.0.path.push(Cow::Borrowed(name));
        self
    }

    /// Adds an item of a list, or of a map whose keys may be secret.
    pub(super) fn item(self) -> Fault {
        self.member("[]")
    }

    /// Adds a free-form member, by its name only if that cannot be mistaken for data.
    pub(super) fn key(mut self, key: &str) -> Fault {
        let segment = if is_shown(key) {
            Cow::Owned(key.to_owned())
        } else {
            Cow::Borrowed("[]")
        };
        self.0.path.push(segment);
        self
    }

    pub(super) fn into_problem(self, root: &str) -> Problem {
        let Inner { problem, path, .. } = *self.0;
        let mut member = String::new();
        if !path.is_empty() {
            member.push_str(root);
        }
        for segment in path.iter().rev() {
            if segment != "[]" && !member.is_empty() {
                member.push('.');
            }
            member.push_str(segment);
        }
        Problem {
            member,
            problem: problem.into_owned(),
        }
    }
}
