//! What somebody meant who misspelt a name.

/// How alike two names must be for one to be told in place of the other, from 0 to 1.
const ALIKE: f64 = 0.75;

/// The known name that is most like `wrong`, if any is near enough to be meant.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A long name is compared for long, and means nothing.
    let wrong = wrong.char_indices().nth(100).map_or(wrong, |(end, _)| &wrong[..end]);
    known
        .into_iter()
        .map(|name| (strsim::jaro_winkler(wrong, name), name))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness > ALIKE)
        .map(|(_, name)| name)
}

/// The end of a refusal of `wrong`: `; is … meant?`, or nothing where no known name is like it.
pub fn meant<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(wrong, known).map_or_else(String::new, |name| format!("; is {name} meant?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant() {
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
        assert_eq!(meant("tokn", NAMES), "; is token meant?");
        assert_eq!(meant("zzz", NAMES), "");
    }
}
