//! The tables: what the files of each family hold. Reading and writing use the same tables.
//!
//! A member has a name in the file of Baileys, a name at run time, and a kind. The explicit dialect
//! of baileys_ex follows the same tables with the run-time names.
//!
//! The tables describe real directories of Baileys 6.7.7 to 7.0.0-rc14 (libsignal 6.0.0) and
//! baileys_ex alpha.7 to alpha.11.

use std::collections::HashSet;
use std::sync::LazyLock;

use crate::Value;

mod creds;
mod keys;

pub(super) use creds::STATE;
pub(super) use keys::{
    KEY_PAIR, SENDER_KEY_RECORD, SENDER_KEY_STATE, SENDER_MESSAGE_KEY, SESSION_RECORD,
};

/// A table of members.
pub(super) struct Record {
    /// The struct at run time; `None` is a plain map.
    pub(super) module: Option<&'static str>,
    /// A struct that is accepted in place of the plain map.
    pub(super) also: Option<&'static str>,
    pub(super) members: &'static [Member],
    pub(super) unknown: Unknown,
}

pub(super) struct Member {
    /// The name in the file of Baileys; empty if the member is not there.
    pub(super) name: &'static str,
    /// The name at run time; empty if the member is not there.
    pub(super) key: &'static str,
    pub(super) kind: Kind,
    pub(super) presence: Presence,
}

/// Where a member goes that the table does not know.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Unknown {
    /// Under its string key in the same map.
    Beside,
    /// Into the map under this member.
    Under(&'static str),
    /// The file has no place for it.
    Nowhere,
}

/// What an absent (or null) member becomes at run time, and what is then written.
pub(super) enum Presence {
    Required,
    /// Becomes nil; nothing is written.
    Optional,
    /// Becomes `[]`; nothing is written.
    OptionalList,
    /// Becomes this value, which is written.
    Default(fn() -> Value),
    /// Stays absent; nothing is written.
    Extra,
    /// Stays absent; the time of writing is written.
    ExtraNow,
}

pub(super) enum Kind {
    /// Bytes of one of these lengths; of any length if the list is empty.
    Bytes(Form, &'static [usize]),
    /// Bytes; empty bytes are nil.
    BytesOrNil(&'static [usize]),
    /// Bytes. A bare string holds the bytes themselves: baileys_ex writes printable tokens that
    /// way.
    Token,
    Text,
    /// Text; empty text is nil.
    TextOrNil,
    Int,
    Bool,
    /// A number, a decimal string or a Long; written as a number or as a string.
    Timestamp(Form),
    /// libsignal counts the last key used (−1 at first), baileys_ex counts the next one.
    Counter,
    /// The time at which a session was closed. −1 in libsignal is nil at run time: the session is
    /// open.
    Closed,
    /// A number in libsignal, an atom at run time.
    Code(&'static [(i64, &'static str)]),
    /// Text in the file, an atom at run time. Text that is not in the list stays text.
    Word(&'static [&'static str]),
    /// Missing in the file of Baileys; taken from the context.
    LocalIdentity,
    /// In the file only: always written, and checked if it is there.
    Constant(&'static str),
    List(&'static Kind),
    Map(Keys, &'static Kind),
    Record(&'static Record),
    /// Bare bytes if the JSON spells bytes, otherwise the other kind.
    BytesOr(&'static [usize], &'static Kind),
    /// A record, or the bare bytes of its first member, as baileys_ex has them. The record is
    /// written, since Baileys can use nothing else.
    RecordOrBytes(&'static Record),
    /// Lists from which elements without a key are left out.
    SenderKeyStates,
    SenderMessageKeys,
    /// The inner kind. A value of another shape is carried unchanged, so that it cannot make an
    /// account unreadable that Baileys can read. The leaves of [`is_lenient`](Kind::is_lenient) are
    /// carried without this.
    Carried(&'static Kind),
    /// An integer that is not negative.
    Id,
    /// Text that an account cannot do without.
    Vital,
    /// Anything that JSON can hold.
    Free,
    /// Anything that JSON can hold, with members that have two names: that of Baileys, and an atom
    /// of baileys_ex. They are read and written under the name of Baileys.
    FreeNamed(&'static [(&'static str, &'static str)]),
}

impl Kind {
    /// Whether a value of another type is carried unchanged and written back so. Kinds that
    /// cryptography and identity depend on are strict: keys, signatures, counters, and ids of keys.
    pub(super) fn is_lenient(&self) -> bool {
        matches!(
            self,
            Kind::Carried(_)
                | Kind::Text
                | Kind::TextOrNil
                | Kind::Bool
                | Kind::Timestamp(_)
                | Kind::Word(_)
        )
    }
}

/// How a leaf is written.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Form {
    /// Bytes as an object, a number as a number.
    Own,
    /// Bytes as base64, a number as decimal digits.
    Text,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Keys {
    Text,
    /// Text, which the explicit dialect writes as base64.
    Chain,
    /// Bytes of one of these lengths; base64 in the file.
    Bytes(&'static [usize]),
    /// Integers; decimal in the file.
    Int,
}

/// A family of files.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) content: Content,
    /// A member that shows the dialect: its name in Baileys and at run time.
    pub(super) marker: Option<(&'static str, &'static str)>,
}

pub(super) enum Content {
    Plain(Kind),
    Session,
    SenderKey,
}

const FAMILIES: &[Family] = &[
    Family {
        name: "creds",
        content: Content::Plain(Kind::Record(&creds::STATE)),
        marker: Some(("noiseKey", "noise_key")),
    },
    Family {
        name: "session",
        content: Content::Session,
        marker: Some(("_sessions", "sessions")),
    },
    Family {
        name: "pre-key",
        content: Content::Plain(Kind::Record(&keys::KEY_PAIR)),
        marker: None,
    },
    Family {
        name: "sender-key",
        content: Content::SenderKey,
        marker: Some(("", "sender_key_states")),
    },
    Family {
        name: "sender-key-memory",
        content: Content::Plain(Kind::Carried(&Kind::Map(Keys::Text, &Kind::Bool))),
        marker: None,
    },
    Family {
        name: "app-state-sync-key",
        content: Content::Plain(Kind::RecordOrBytes(&keys::APP_STATE_SYNC_KEY)),
        marker: Some(("keyData", "key_data")),
    },
    Family {
        name: "app-state-sync-version",
        content: Content::Plain(Kind::Record(&keys::APP_STATE_SYNC_VERSION)),
        marker: Some(("indexValueMap", "index_value_map")),
    },
    Family {
        name: "lid-mapping",
        content: Content::Plain(Kind::Text),
        marker: None,
    },
    Family {
        name: "device-list",
        content: Content::Plain(Kind::Carried(&Kind::List(&Kind::Text))),
        marker: None,
    },
    Family {
        name: "tctoken",
        content: Content::Plain(Kind::Record(&keys::TC_TOKEN)),
        marker: None,
    },
    Family {
        name: "identity-key",
        content: Content::Plain(Kind::BytesOr(
            PUBLIC,
            &Kind::Map(Keys::Text, &Kind::Bytes(Form::Own, &[])),
        )),
        marker: None,
    },
];

const FREE: Family = Family {
    name: "",
    content: Content::Plain(Kind::Free),
    marker: None,
};

/// The table of a family. A family that Baileys does not have is free-form.
pub(super) fn family(name: &str) -> &'static Family {
    FAMILIES
        .iter()
        .find(|family| family.name == name)
        .unwrap_or(&FREE)
}

/// A public key: 32 bytes, or 33 with the type byte 0x05 in front.
const PUBLIC: &[usize] = &[32, 33];
/// A private key, a root, chain or message key, a seed or a MAC.
const SECRET: &[usize] = &[32];
const SIGNATURE: &[usize] = &[64];

const fn required(name: &'static str, key: &'static str, kind: Kind) -> Member {
    member(name, key, kind, Presence::Required)
}

const fn optional(name: &'static str, key: &'static str, kind: Kind) -> Member {
    member(name, key, kind, Presence::Optional)
}

const fn extra(name: &'static str, key: &'static str, kind: Kind) -> Member {
    member(name, key, kind, Presence::Extra)
}

const fn member(name: &'static str, key: &'static str, kind: Kind, presence: Presence) -> Member {
    Member {
        name,
        key,
        kind,
        presence,
    }
}

/// A plain map that keeps unknown members beside the known ones.
const fn map(members: &'static [Member]) -> Record {
    Record {
        module: None,
        also: None,
        members,
        unknown: Unknown::Beside,
    }
}

const fn structure(module: &'static str, members: &'static [Member]) -> Record {
    Record {
        module: Some(module),
        also: None,
        members,
        unknown: Unknown::Beside,
    }
}

/// Whether the tables contain this atom. A file of the legacy dialect may name no others.
pub(super) fn is_known_atom(name: &str) -> bool {
    static KNOWN: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
        let mut atoms = HashSet::new();
        for family in FAMILIES {
            if let Content::Plain(kind) = &family.content {
                collect_kind(kind, &mut atoms);
            }
        }
        collect_record(&SESSION_RECORD, &mut atoms);
        collect_record(&SENDER_KEY_RECORD, &mut atoms);
        atoms.remove("");
        atoms
    });
    KNOWN.contains(name)
}

fn collect_record(record: &'static Record, atoms: &mut HashSet<&'static str>) {
    for member in record.members {
        atoms.insert(member.key);
        collect_kind(&member.kind, atoms);
    }
}

fn collect_kind(kind: &'static Kind, atoms: &mut HashSet<&'static str>) {
    match kind {
        Kind::List(inner)
        | Kind::Map(_, inner)
        | Kind::BytesOr(_, inner)
        | Kind::Carried(inner) => {
            collect_kind(inner, atoms);
        }
        Kind::Record(record) | Kind::RecordOrBytes(record) => collect_record(record, atoms),
        Kind::FreeNamed(names) => atoms.extend(names.iter().map(|(_, atom)| *atom)),
        Kind::SenderKeyStates => collect_record(&keys::SENDER_KEY_STATE, atoms),
        Kind::SenderMessageKeys => collect_record(&keys::SENDER_MESSAGE_KEY, atoms),
        Kind::Code(codes) => atoms.extend(codes.iter().map(|(_, name)| *name)),
        Kind::Word(words) => atoms.extend(words.iter()),
        _ => {}
    }
}
