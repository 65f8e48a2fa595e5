//! Times as arguments: an instant, or how long ago.
//!
//! The clock of this machine is read once, when the arguments are parsed. From then on there is an instant, which
//! the node turns into a position once; a command that resumes goes on from positions.

use serde_json::Value;

use crate::{
    clock::now_ms,
    core::time::{iso_millis, parse_iso},
};

/// The units of a duration, in milliseconds.
const UNITS: [(&str, u64); 6] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];
const FORM: &str = "must be a duration like 30s, 15m, 1h, 2d or 1h30m, or a time with an offset like \
    2026-01-31T12:00:00Z";

/// Reads `1h` as the instant an hour ago, and takes an instant as it is.
pub(super) fn time(text: &str) -> Result<String, String> {
    if let Some(ago) = duration(text) {
        return Ok(before(ago));
    }
    match parse_iso(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err(FORM.to_owned()),
    }
}

/// As [`time`], where the id of an event may stand too: what is neither a duration nor an instant is left to the
/// node.
pub(super) fn time_or_id(text: &str) -> Result<String, String> {
    match duration(text) {
        Some(ago) => Ok(before(ago)),
        None if text.is_empty() => Err(format!("{FORM}, or the id of an event")),
        None => Ok(text.to_owned()),
    }
}

/// Whether the time in this field of an answer is not before that instant. Without one, all times are.
pub(super) fn is_since(object: &Value, field: &str, since: Option<&str>) -> bool {
    let Some(since) = since.and_then(parse_iso) else { return true };
    object[field].as_str().and_then(parse_iso).is_some_and(|at| at >= since)
}

/// Leaves those elements of a list whose time in this field is not before that instant.
pub(super) fn keep(list: &mut Value, field: &str, since: Option<&str>) {
    if let Some(items) = list.as_array_mut() {
        items.retain(|item| is_since(item, field, since));
    }
}

fn before(ago: u64) -> String {
    iso_millis(now_ms().saturating_sub(ago))
}

/// A duration in milliseconds: numbers with units, as in `1h30m`.
fn duration(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut sum = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit())?;
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        let behind = rest.get(digits..)?;
        let letters = behind.find(|character: char| !character.is_ascii_alphabetic()).unwrap_or(behind.len());
        let (unit, next) = behind.split_at(letters);
        let (_, ms) = UNITS.iter().find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(number.checked_mul(*ms)?)?;
        rest = next;
    }
    (!text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_units() {
        for (text, ms) in [
            ("1h", 3_600_000),
            ("30m", 1_800_000),
            ("2d", 172_800_000),
            ("1h30m", 5_400_000),
            ("1w", 604_800_000),
            ("90s", 90_000),
            ("250ms", 250),
            ("0s", 0),
        ] {
            assert_eq!(duration(text), Some(ms), "{text}");
        }
        for text in ["", "1", "h", "1x", "-1h", "1.5h", "1h ", "1 h", "99999999999999999999w", "1wh", "é"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn answers_are_compared_as_instants() {
        let attempt = serde_json::json!({"at": "2026-01-31T12:00:00.000Z"});
        assert!(is_since(&attempt, "at", None));
        assert!(is_since(&attempt, "at", Some("2026-01-31T13:00:00+01:00")));
        assert!(!is_since(&attempt, "at", Some("2026-01-31T12:00:01Z")));
        assert!(!is_since(&attempt, "ended_at", Some("2026-01-31T12:00:00Z")), "it has no such time");
    }

    #[test]
    fn a_duration_is_an_instant_and_an_instant_stays_as_it_is() {
        let instant = "2026-01-31T12:00:00+01:00";
        assert_eq!(time(instant).as_deref(), Ok(instant));
        assert_eq!(time_or_id(instant).as_deref(), Ok(instant));
        for read in [time("1h"), time_or_id("1h")] {
            let ago = now_ms() - read.ok().and_then(|text| parse_iso(&text)).unwrap_or(0);
            assert!((3_600_000..7_200_000).contains(&ago), "{ago}");
        }
        assert_eq!(time_or_id("01JZ0000000000000000000000").as_deref(), Ok("01JZ0000000000000000000000"));
        assert!(time("yesterday").is_err_and(|why| why.contains("1h30m")));
        assert!(time("2026-01-31").is_err() && time_or_id("").is_err());
    }
}
