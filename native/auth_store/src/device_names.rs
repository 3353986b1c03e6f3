//! The names of device addresses in Baileys before 6.4.
//!
//! Those versions (4.2 to 6.3.1, `baileys` 4.5.8 to 6.0.9, and whaileys) take `15558880004:3`, the
//! part of a JID before the `@`, for a user with device 0. So their files are
//! `session-15558880004-3.0.json` and `sender-key-<group>--15558880004-3--0.json`. Since 6.4 it is
//! device 3 of 15558880004: `session-15558880004.3.json` and
//! `sender-key-<group>--15558880004--3.json`.

/// The id that a current client looks for; `None` if it is this one.
pub fn current(family: &str, id: &str) -> Option<String> {
    match family {
        "session" => {
            let (user, device) = old_address(id.strip_suffix(".0")?)?;
            Some(format!("{user}.{device}"))
        }
        "sender-key" => {
            let (group, address) = id.strip_suffix("::0")?.rsplit_once("::")?;
            let (user, device) = old_address(address)?;
            Some(format!("{group}::{user}::{device}"))
        }
        _ => None,
    }
}

/// The id that a version before 6.4 looks for, as its file name shows it; `None` if it is this one.
pub fn old(family: &str, id: &str) -> Option<String> {
    match family {
        "session" => {
            let (user, device) = id.split_once('.')?;
            is_other_device(user, device).then(|| format!("{user}-{device}.0"))
        }
        "sender-key" => {
            let mut parts = id.rsplitn(3, "::");
            let (device, user, group) = (parts.next()?, parts.next()?, parts.next()?);
            is_other_device(user, device).then(|| format!("{group}::{user}-{device}::0"))
        }
        _ => None,
    }
}

/// File names have a dash in place of the colon. Ids in other stores still have the colon.
fn old_address(address: &str) -> Option<(&str, &str)> {
    let (user, device) = address.split_once(['-', ':'])?;
    (is_number(user) && is_number(device)).then_some((user, device))
}

fn is_other_device(user: &str, device: &str) -> bool {
    is_number(user) && is_number(device) && device != "0"
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_and_current_ids_lead_to_each_other() {
        for (family, before, now) in [
            ("session", "15558880004-3.0", "15558880004.3"),
            (
                "sender-key",
                "120363041234567890@g.us::15558880004-3::0",
                "120363041234567890@g.us::15558880004::3",
            ),
            (
                "sender-key",
                "1415652-1397622@g.us::155-12::0",
                "1415652-1397622@g.us::155::12",
            ),
        ] {
            assert_eq!(current(family, before).as_deref(), Some(now));
            assert_eq!(old(family, now).as_deref(), Some(before));
        }
        for (family, raw, now) in [
            ("session", "15558880004:3.0", "15558880004.3"),
            (
                "sender-key",
                "1@g.us::15558880004:3::0",
                "1@g.us::15558880004::3",
            ),
        ] {
            assert_eq!(current(family, raw).as_deref(), Some(now));
        }
    }

    #[test]
    fn other_ids_stay() {
        for (family, id) in [
            ("session", "15558880004.0"),
            ("session", "900_1.0"),
            ("session", "a-3.0"),
            ("session", "155-.0"),
            ("session", "155-3.1"),
            ("sender-key", "1@g.us::155::0"),
            ("sender-key", "1@g.us::155-3::1"),
            ("sender-key", "155-3::0"),
            ("lid-mapping", "155-3.0"),
        ] {
            assert_eq!(current(family, id), None, "{id}");
        }
        for (family, id) in [
            ("session", "15558880004.0"),
            ("session", "900_1.2"),
            ("sender-key", "1@g.us::155::0"),
            ("pre-key", "155.3"),
        ] {
            assert_eq!(old(family, id), None, "{id}");
        }
    }
}
