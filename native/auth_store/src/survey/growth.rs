//! Data that show how a directory grows: when its keys were written, and when its sessions were
//! last used.

use std::collections::BTreeMap;

use crate::value::Value;

/// Times of files are in seconds since 1970, times in sessions in milliseconds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Growth {
    /// When each key was written, by family; `None` for a key that only the journal holds yet.
    pub written: BTreeMap<String, Vec<Option<i64>>>,
    /// When each pre-key was written, with its id: the ids show how many there were.
    pub pre_keys: Vec<(String, Option<i64>)>,
    /// The last use of each session that records it.
    pub sessions: Vec<i64>,
}

impl Growth {
    /// Records a key. A key that could not be read has no value.
    pub fn note(&mut self, family: &str, id: &str, written: Option<i64>, value: Option<&Value>) {
        match self.written.get_mut(family) {
            Some(times) => times.push(written),
            None => {
                self.written.insert(family.to_owned(), vec![written]);
            }
        }
        match family {
            "pre-key" => self.pre_keys.push((id.to_owned(), written)),
            "session" => self.sessions.extend(value.and_then(last_use)),
            _ => (),
        }
    }
}

/// When a session of the record was last created, used to receive, or closed, as far as the record
/// says. libsignal does not record the time of sending.
pub fn last_use(record: &Value) -> Option<i64> {
    let Some(Value::Map(sessions)) = record.get("sessions") else {
        return None;
    };
    let infos = sessions
        .iter()
        .filter_map(|(_, session)| session.get("index_info"));
    let times = infos.flat_map(|info| ["created", "used", "closed"].map(|name| info.get(name)));
    times
        .filter_map(|time| match time {
            Some(Value::Int(time)) => i64::try_from(*time).ok().filter(|time| *time > 0),
            _ => None,
        })
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: Vec<(&'static str, Value)>) -> Value {
        let pairs = pairs.into_iter();
        Value::Map(
            pairs
                .map(|(key, value)| (Value::atom(key), value))
                .collect(),
        )
    }

    fn record(infos: Vec<Value>) -> Value {
        let sessions = infos.into_iter().enumerate().map(|(index, info)| {
            let key = Value::text(index.to_string());
            (key, map(vec![("index_info", info)]))
        });
        map(vec![("sessions", Value::Map(sessions.collect()))])
    }

    #[test]
    fn the_last_use_is_the_latest_time_of_any_session() {
        let info = |created, used, closed| {
            map(vec![
                ("created", Value::Int(created)),
                ("used", Value::Int(used)),
                ("closed", closed),
            ])
        };
        let open = info(5, 7, Value::Nil);
        let closed = info(2, 3, Value::Int(6));
        assert_eq!(last_use(&record(vec![closed.clone(), open])), Some(7));
        assert_eq!(last_use(&record(vec![closed])), Some(6));
        assert_eq!(last_use(&record(vec![info(9, 8, Value::Int(-1))])), Some(9));
    }

    #[test]
    fn what_says_nothing_or_nonsense_has_none() {
        let odd = map(vec![
            ("used", Value::Int(i128::MAX)),
            ("created", Value::Int(0)),
            ("closed", Value::text("9")),
        ]);
        for value in [
            record(vec![]),
            record(vec![odd, Value::Nil]),
            map(vec![("sessions", Value::Int(1))]),
            Value::Nil,
        ] {
            assert_eq!(last_use(&value), None);
        }
    }

    #[test]
    fn keys_are_noted_by_family_also_where_they_cannot_be_read() {
        let mut growth = Growth::default();
        growth.note("pre-key", "7", Some(3), None);
        growth.note("pre-key", "8", None, Some(&Value::Nil));
        growth.note("session", "a.0", Some(4), None);
        assert_eq!(growth.written["pre-key"], [Some(3), None]);
        assert_eq!(growth.written["session"], [Some(4)]);
        assert_eq!(
            growth.pre_keys,
            [("7".to_owned(), Some(3)), ("8".to_owned(), None)]
        );
        assert!(growth.sessions.is_empty());
    }
}
