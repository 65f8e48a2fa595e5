//! Suggestions for misspelt names.

/// How similar two names must be for a suggestion, from 0 to 1.
const ALIKE: f64 = 0.75;

/// Returns the known name that is most similar to `wrong`, if one is similar enough.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Comparing a long name is slow, and no suggestion comes of it.
    let wrong = wrong.char_indices().nth(100).map_or(wrong, |(end, _)| &wrong[..end]);
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(wrong, name), name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > ALIKE)
        .map(|(_, name)| name)
}

/// Returns the end of an error message about `wrong`: `; did you mean …?`, or nothing if no known name is
/// similar.
pub fn suggestion<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(wrong, known).map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_similar_name_is_suggested() {
        const NAMES: [&str; 7] = ["token", "events", "filter", "last_event_id", "since", "backfill", "limit"];
        for (wrong, right) in [
            ("evnts", Some("events")),
            ("event", Some("events")),
            ("lastEventId", Some("last_event_id")),
            ("last-event-id", Some("last_event_id")),
            ("sinc", Some("since")),
            ("Since", Some("since")),
            ("back_fill", Some("backfill")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, NAMES), right, "{wrong}");
        }
        assert_eq!(nearest(&"x".repeat(1 << 20), NAMES), None);
        assert_eq!(suggestion("tokn", NAMES), "; did you mean token?");
        assert_eq!(suggestion("zzz", NAMES), "");
    }
}
