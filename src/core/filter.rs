//! Which events of a topic a subscription wants.

use super::event::is_kind;

/// More types than this in one filter are refused.
pub const MAX_KINDS: usize = 100;

/// A subscription's filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Filter {
    /// Every event.
    #[default]
    All,
    /// Events of one of these types, sorted.
    Kinds(Box<[Box<str>]>),
}

/// Why a filter is refused. A malformed filter never opens up to "all".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterError {
    /// Neither a list nor `"*"`.
    #[error("events must be \"*\" or a list of event types")]
    Shape,
    /// An empty list would match nothing.
    #[error("events must name at least one event type")]
    Empty,
    /// Too many types.
    #[error("events may name at most {MAX_KINDS} event types")]
    TooMany,
    /// Not an event type.
    #[error("{0:?} is not an event type")]
    Kind(String),
}

impl Filter {
    /// From the `events` join parameter: absent or null (all), `"*"`, or a list of types.
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

    /// From the `events` query parameter: absent (all), `*`, or types separated by commas.
    pub fn from_query(events: Option<&str>) -> Result<Self, FilterError> {
        match events {
            None => Ok(Self::All),
            Some(list) => Self::from_kinds(list.split(',').map(|kind| Ok(kind.trim()))),
        }
    }

    fn from_kinds<'a>(kinds: impl Iterator<Item = Result<&'a str, FilterError>>) -> Result<Self, FilterError> {
        let mut wanted: Vec<Box<str>> = Vec::new();
        let mut all = false;
        for kind in kinds {
            match kind? {
                "*" => all = true,
                kind if is_kind(kind) => wanted.push(kind.into()),
                "" => return Err(FilterError::Empty),
                other => return Err(FilterError::Kind(other.chars().take(100).collect())),
            }
            if wanted.len() > MAX_KINDS {
                return Err(FilterError::TooMany);
            }
        }
        if all {
            return Ok(Self::All);
        }
        if wanted.is_empty() {
            return Err(FilterError::Empty);
        }
        wanted.sort_unstable();
        wanted.dedup();
        Ok(Self::Kinds(wanted.into()))
    }

    /// Whether an event of that type is wanted.
    pub fn matches(&self, kind: &str) -> bool {
        match self {
            Self::All => true,
            Self::Kinds(wanted) => wanted.binary_search_by(|probe| (**probe).cmp(kind)).is_ok(),
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
    fn shapes() {
        assert_eq!(Filter::from_json(None), Ok(Filter::All));
        assert_eq!(Filter::from_json(Some(&json!("*"))), Ok(Filter::All));
        assert_eq!(Filter::from_json(Some(&json!(["a", "*"]))), Ok(Filter::All));
        for (bad, error) in [
            (json!([]), FilterError::Empty),
            (json!("add_system"), FilterError::Shape),
            (json!([1]), FilterError::Shape),
            (json!({}), FilterError::Shape),
            (json!(["a b"]), FilterError::Kind("a b".into())),
            (json!(vec!["a"; 101]), FilterError::TooMany),
        ] {
            assert_eq!(Filter::from_json(Some(&bad)), Err(error), "{bad}");
        }
        assert_eq!(Filter::from_query(Some("")), Err(FilterError::Empty));
        assert_eq!(Filter::from_query(Some("b, a,b")), Ok(Filter::Kinds(["a".into(), "b".into()].into())));
    }

    proptest! {
        #[test]
        fn matches_what_was_named_and_nothing_else(wanted in prop::collection::vec("[a-c]{1,2}", 1..8), kind in "[a-c]{1,2}") {
            let filter = Filter::from_json(Some(&json!(wanted))).unwrap();
            prop_assert_eq!(filter.matches(&kind), wanted.contains(&kind));
        }
    }
}
