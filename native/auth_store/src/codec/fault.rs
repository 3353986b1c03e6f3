//! An error on its way up: each level adds its name, so that the path costs nothing on success.

use std::borrow::Cow;

use super::Problem;

/// A name longer than this, or with other characters than an identifier's, may be data.
const LONGEST_SHOWN_KEY: usize = 32;

/// Whether the key of a free-form map can only be a name: one of an account's, such as a telephone
/// number or a key in base64, is never taken for one.
pub fn is_shown(key: &str) -> bool {
    key.len() <= LONGEST_SHOWN_KEY
        && key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

pub(super) type Outcome<T> = Result<T, Fault>;

// Boxed: results of the hot path stay small.
#[derive(Debug)]
pub(super) struct Fault(Box<Inner>);

#[derive(Debug)]
struct Inner {
    problem: Cow<'static, str>,
    /// From the inside out.
    path: Vec<Cow<'static, str>>,
    /// Nothing is there, rather than something wrong.
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

    /// What was needed is empty: an element of a list that has this fault holds nothing.
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

    /// In the member of this name, which the schema knows.
    pub(super) fn member(mut self, name: &'static str) -> Fault {
        self.0.path.push(Cow::Borrowed(name));
        self
    }

    /// In an item of a list or a map whose keys may be secret.
    pub(super) fn item(self) -> Fault {
        self.member("[]")
    }

    /// In a free-form member, named only where the name cannot be mistaken for data.
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
