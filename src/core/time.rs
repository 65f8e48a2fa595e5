//! Instants as text: written as ISO-8601 in UTC with milliseconds, read as ISO-8601 with an offset.
//!
//! This module never reads a clock: callers pass the time as Unix milliseconds.

use time::OffsetDateTime;
use time::format_description::well_known::Iso8601;

/// The number of characters of `2025-06-21T12:34:56.789Z`.
pub const ISO_LEN: usize = 24;
/// `9999-12-31T23:59:59.999Z`, the last instant with a year of four digits.
const LAST_MS: u64 = 253_402_300_799_999;

/// Formats Unix milliseconds as `2025-06-21T12:34:56.789Z`.
pub fn iso_millis(unix_ms: u64) -> String {
    let mut text = String::with_capacity(ISO_LEN);
    push_iso_millis(unix_ms, &mut |part| text.push_str(part));
    text
}

/// Formats Unix microseconds as `2025-06-21T12:34:56.789012Z`.
pub fn iso_micros(unix_us: u64) -> String {
    let mut text = iso_millis(unix_us / 1000);
    text.truncate(ISO_LEN - 1);
    format!("{text}{:03}Z", unix_us % 1000)
}

/// Formats Unix milliseconds like [`iso_millis`] and passes the text to `put`, without an allocation.
pub fn push_iso_millis(unix_ms: u64, put: &mut dyn FnMut(&str)) {
    let unix_ms = unix_ms.min(LAST_MS);
    let at =
        OffsetDateTime::from_unix_timestamp((unix_ms / 1000) as i64).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let mut text = *b"0000-00-00T00:00:00.000Z";
    let mut digits = |at: usize, width: usize, mut value: u64| {
        for index in (at..at + width).rev() {
            text[index] = b'0' + (value % 10) as u8;
            value /= 10;
        }
    };
    digits(0, 4, at.year().unsigned_abs().into());
    digits(5, 2, u8::from(at.month()).into());
    digits(8, 2, at.day().into());
    digits(11, 2, at.hour().into());
    digits(14, 2, at.minute().into());
    digits(17, 2, at.second().into());
    digits(20, 3, unix_ms % 1000);
    put(std::str::from_utf8(&text).unwrap_or_default());
}

/// Writes an instant in the form `form`, in UTC: `YYYY`, `MM`, `DD`, `HH`, `mm`, `ss` and `SSS` stand for its parts, `X`
/// for Unix seconds. Everything else is written as it is.
pub fn format_utc(unix_ms: u64, form: &str) -> String {
    let unix_ms = unix_ms.min(LAST_MS);
    let iso = iso_millis(unix_ms);
    let parts = [
        ("YYYY", &iso[..4]),
        ("MM", &iso[5..7]),
        ("DD", &iso[8..10]),
        ("HH", &iso[11..13]),
        ("mm", &iso[14..16]),
        ("SSS", &iso[20..23]),
        ("ss", &iso[17..19]),
        ("X", &(unix_ms / 1000).to_string()),
    ];
    let mut out = String::with_capacity(form.len() + 8);
    let mut rest = form;
    while let Some(character) = rest.chars().next() {
        rest = match parts.iter().find_map(|(sign, part)| Some((rest.strip_prefix(sign)?, part))) {
            Some((behind, part)) => {
                out.push_str(part);
                behind
            }
            None => {
                out.push(character);
                &rest[character.len_utf8()..]
            }
        };
    }
    out
}

/// Reads a date with a time and an offset as Unix milliseconds, rounded down.
///
/// An unescaped `+` in a query arrives as a space, so a space before the offset is read as `+`. Returns
/// `None` for anything else: a date without a time, no offset, month 13, an instant before 1970.
pub fn parse_iso(text: &str) -> Option<u64> {
    // The longest sensible form has nanoseconds and an offset.
    if text.len() > 40 || !text.contains(['T', 't']) {
        return None;
    }
    let at = match text.rfind(' ') {
        Some(space) => {
            OffsetDateTime::parse(&format!("{}+{}", &text[..space], &text[space + 1..]), &Iso8601::DEFAULT)
        }
        None => OffsetDateTime::parse(text, &Iso8601::DEFAULT),
    }
    .ok()?;
    u64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_instants_are_written_and_read() {
        assert_eq!(iso_millis(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso_millis(1_750_509_296_789), "2025-06-21T12:34:56.789Z");
        assert_eq!(iso_millis(u64::MAX), "9999-12-31T23:59:59.999Z");
        assert_eq!(iso_micros(1_750_509_296_789_012), "2025-06-21T12:34:56.789012Z");
    }

    #[test]
    fn instants_in_any_form() {
        let at = 1_750_509_296_789;
        assert_eq!(format_utc(at, "DD.MM.YYYY, HH:mm:ss.SSS é"), "21.06.2025, 12:34:56.789 é");
        assert_eq!(format_utc(at, "<!date^X^{date}|YYYY>"), "<!date^1750509296^{date}|2025>");
        assert_eq!(format_utc(u64::MAX, "YYYY"), "9999");
    }

    #[test]
    fn offsets_are_understood() {
        let noon = Some(1_750_509_296_000);
        for text in [
            "2025-06-21T12:34:56Z",
            "2025-06-21T12:34:56.000Z",
            "2025-06-21T12:34:56+00:00",
            "2025-06-21T12:34:56 00:00",
            "2025-06-21T14:34:56+02:00",
            "2025-06-21T05:34:56-07:00",
        ] {
            assert_eq!(parse_iso(text), noon, "{text}");
        }
    }

    #[test]
    fn every_wrong_form_is_refused() {
        for text in [
            "",
            " ",
            "now",
            "2025-06-21",
            "2025-13-01T00:00:00Z",
            "2025-02-30T00:00:00Z",
            "2025-06-21T12:34:56",
            "1750509296",
            "2025-06-21T25:00:00Z",
            "2025-06-21 12:34:56Z",
            "1969-12-31T23:59:59Z",
            "T",
            "2025-06-21T12:34:56Zx",
        ] {
            assert_eq!(parse_iso(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_written_instant_reads_back(ms in 0..=LAST_MS) {
            prop_assert_eq!(parse_iso(&iso_millis(ms)), Some(ms));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in ".*") {
            let _ = parse_iso(&text);
        }
    }
}
