//! Filters: which events of a topic a subscription receives, by event type.

use super::event::{MAX_KIND_LEN, is_kind, is_kind_char};
use super::text::fits;

/// The largest number of types and patterns in one filter.
pub const MAX_KINDS: usize = 100;

/// A subscription's filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// Every event.
    #[default]
    All,
    /// Events of these types.
    Kinds(Kinds),
}

/// Types by name and by pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    /// Sorted.
    named: Box<[Box<str>]>,
    patterns: Box<[Pattern]>,
}

/// A pattern of types, in which `*` matches any characters, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern(Box<str>);

impl Pattern {
    /// Returns `None` unless `text` consists of a type's characters and `*`, and is no longer than a type can
    /// be.
    fn new(text: &str) -> Option<Self> {
        let good = text.chars().count() <= MAX_KIND_LEN
            && text.chars().all(|char| char == '*' || is_kind_char(char));
        good.then(|| Self(text.into()))
    }

    fn matches(&self, kind: &str) -> bool {
        fits(&self.0, kind)
    }
}

/// Why a filter is refused. A malformed filter never becomes "all events".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Neither a list nor `"*"`.
    #[error("events must be \"*\" or a list of event types")]
    Shape,
    /// The list is empty, and would match nothing.
    #[error("events must name at least one event type")]
    Empty,
    /// The list is too long.
    #[error("events may name at most {MAX_KINDS} event types")]
    TooMany,
    /// Neither an event type nor a pattern of types.
    #[error("{0:?} is not an event type")]
    Kind(String),
}

impl Filter {
    /// Reads the `events` join parameter: absent or null (all events), `"*"`, or a list of types and
    /// patterns.
    pub fn from_json(events: Option<&serde_json::Value>) -> Result<Self, FilterError> {
        match events {
            None | Some(serde_json::Value::Null) => Ok(Self::All),
            Some(serde_json::Value::String(star)) if star == "*" => Ok(Self::All),
            Some(serde_json::Value::Array(items)) => {
                Self::from_kinds(items.iter().map(|item| item.as_str().ok_or(FilterError::Shape)))
            }
            Some(_) => Err(FilterError::Shape),
        }
    }

    /// Reads the `events` query parameter: absent (all events), `*`, or types and patterns separated by
    /// commas.
    pub fn from_query(events: Option<&str>) -> Result<Self, FilterError> {
        match events {
            None => Ok(Self::All),
            Some(list) => Self::from_kinds(list.split(',').map(|kind| Ok(kind.trim()))),
        }
    }

    /// Reads types and patterns literally: a type may begin or end with spaces.
    pub fn from_list(events: &[String]) -> Result<Self, FilterError> {
        Self::from_kinds(events.iter().map(|kind| Ok(kind.as_str())))
    }

    fn from_kinds<'a>(
        kinds: impl Iterator<Item = Result<&'a str, FilterError>>,
    ) -> Result<Self, FilterError> {
        let mut named = Vec::<Box<str>>::new();
        let mut patterns = Vec::new();
        let mut all = false;
        for kind in kinds {
            match kind? {
                "" => return Err(FilterError::Empty),
                stars if stars.bytes().all(|byte| byte == b'*') => all = true,
                kind if is_kind(kind) => named.push(kind.into()),
                other => match Pattern::new(other) {
                    Some(pattern) if other.contains('*') => patterns.push(pattern),
                    _ => return Err(FilterError::Kind(other.chars().take(100).collect())),
                },
            }
            if named.len() + patterns.len() > MAX_KINDS {
                return Err(FilterError::TooMany);
            }
        }
        if all {
            return Ok(Self::All);
        }
        if named.is_empty() && patterns.is_empty() {
            return Err(FilterError::Empty);
        }
        named.sort_unstable();
        named.dedup();
        Ok(Self::Kinds(Kinds { named: named.into(), patterns: patterns.into() }))
    }

    /// Returns whether the filter accepts events of that type.
    pub fn matches(&self, kind: &str) -> bool {
        match self {
            Self::All => true,
            Self::Kinds(kinds) => {
                kinds.named.binary_search_by(|probe| (**probe).cmp(kind)).is_ok()
                    || kinds.patterns.iter().any(|pattern| pattern.matches(kind))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn a_filter_is_absent_a_star_or_a_list() {
        assert_eq!(Filter::from_json(None), Ok(Filter::All));
        assert_eq!(Filter::from_json(Some(&json!("*"))), Ok(Filter::All));
        assert_eq!(Filter::from_json(Some(&json!(["a", "*"]))), Ok(Filter::All));
        for (bad, error) in [
            (json!([]), FilterError::Empty),
            (json!("add_system"), FilterError::Shape),
            (json!([1]), FilterError::Shape),
            (json!({}), FilterError::Shape),
            (json!(["a\n"]), FilterError::Kind("a\n".into())),
            (json!(vec!["a"; 101]), FilterError::TooMany),
        ] {
            assert_eq!(Filter::from_json(Some(&bad)), Err(error), "{bad}");
        }
        assert_eq!(Filter::from_query(Some("")), Err(FilterError::Empty));
        let named = Kinds { named: ["a".into(), "b".into()].into(), patterns: [].into() };
        assert_eq!(Filter::from_query(Some("b, a,b")), Ok(Filter::Kinds(named)));
    }

    #[test]
    fn a_list_keeps_spaces_of_types() {
        let kinds = [" ", "a ", " b*"];
        let filter = Filter::from_list(&kinds.map(str::to_owned)).unwrap();
        assert_eq!(Filter::from_json(Some(&json!(kinds))), Ok(filter.clone()));
        assert!(filter.matches(" ") && filter.matches("a ") && filter.matches(" bc"));
        assert!(!filter.matches("") && !filter.matches("a") && !filter.matches("bc"));
    }

    #[test]
    fn patterns_match_whole_types() {
        for (pattern, kind, matches) in [
            ("signature_*", "signature_added", true),
            ("signature_*", "signature_", true),
            ("signature_*", "a_signature_added", false),
            ("*_added", "signature_added", true),
            ("*_added", "signature_added_", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*a", "a.b.a", true),
            ("a*b*a", "a.a", false),
            ("*b*b*", "abcb", true),
            ("*b*b*", "abc", false),
            ("a**z", "a-z", true),
            ("_*", "a", false),
        ] {
            assert_eq!(Filter::from_query(Some(pattern)).unwrap().matches(kind), matches, "{pattern} {kind}");
        }
        for all in ["*", "**", "a,*"] {
            assert_eq!(Filter::from_query(Some(all)), Ok(Filter::All));
        }
        for bad in ["a\n*", &"a*".repeat(101)] {
            assert!(matches!(Filter::from_query(Some(bad)), Err(FilterError::Kind(_))), "{bad}");
        }
        let mixed = Filter::from_query(Some("exact,sig_*,*_done")).unwrap();
        assert!(mixed.matches("exact") && mixed.matches("sig_x") && mixed.matches("x_done"));
        assert!(!mixed.matches("exact_") && !mixed.matches("sig"));
        assert_eq!(Filter::from_json(Some(&json!(vec!["a*"; 101]))), Err(FilterError::TooMany));
    }

    /// Matches a pattern by trying every possibility.
    fn glob(pattern: &[u8], kind: &[u8]) -> bool {
        match pattern {
            [] => kind.is_empty(),
            [b'*', rest @ ..] => (0..=kind.len()).any(|at| glob(rest, &kind[at..])),
            [byte, rest @ ..] => kind.first() == Some(byte) && glob(rest, &kind[1..]),
        }
    }

    proptest! {
        #[test]
        fn a_filter_matches_the_named_types_and_no_others(
            wanted in prop::collection::vec("[a-c]{1,2}", 1..8), kind in "[a-c]{1,2}",
        ) {
            let filter = Filter::from_json(Some(&json!(wanted))).unwrap();
            prop_assert_eq!(filter.matches(&kind), wanted.contains(&kind));
        }

        #[test]
        fn a_pattern_matches_like_an_exhaustive_search(pattern in "[ab*]{1,7}", kind in "[ab]{1,9}") {
            let filter = Filter::from_query(Some(&pattern)).unwrap();
            prop_assert_eq!(filter.matches(&kind), glob(pattern.as_bytes(), kind.as_bytes()));
        }
    }
}
