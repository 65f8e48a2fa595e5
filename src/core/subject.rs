//! Subjects: the names of channels inside a map, and selectors of subjects.

use super::text::fits;
use bytestring::ByteString;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

/// The longest subject of clients (bytes).
pub const MAX_SUBJECT_LEN: usize = 200;

/// The beginning of the subjects under which the lifecycle events of channels are stored.
pub const CHANNEL_PREFIX: &str = "$channel/";

/// The longest subject of the server (bytes): that of the events about the longest subject of clients.
const MAX_RESERVED_LEN: usize = MAX_SUBJECT_LEN + CHANNEL_PREFIX.len();

/// The largest number of subjects and patterns in one selector.
pub const MAX_SELECTED: usize = 100;

/// The name of a channel inside a map. `""` is the map's own subject; subjects that begin with `$` are the
/// server's.
///
/// A subject has 1–200 bytes of `A-Z a-z 0-9 _ - = @ , . ; : / #`, so it needs no escape in any text form.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(ByteString);

/// Why a text is not a subject.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// A byte that subjects cannot contain, or too many bytes.
    #[error("a subject has 1 to {MAX_SUBJECT_LEN} bytes of A-Z a-z 0-9 _ - = @ , . ; : / #")]
    Malformed,
    /// A client named one of the server's subjects.
    #[error("subjects that begin with $ are the server's own")]
    Reserved,
}

impl Subject {
    /// Returns the map's own subject.
    pub const fn own() -> Self {
        Self(ByteString::from_static(""))
    }

    /// Parses a subject that clients may publish to.
    pub fn parse(text: &str) -> Result<Self, SubjectError> {
        if text.starts_with('$') { Err(SubjectError::Reserved) } else { Self::parse_any(text) }
    }

    /// Parses any subject, the server's own included.
    pub fn parse_any(text: &str) -> Result<Self, SubjectError> {
        Self::check(text).map(|()| Self(text.into()))
    }

    fn check(text: &str) -> Result<(), SubjectError> {
        let name = text.strip_prefix('$').unwrap_or(text);
        let good = text.len() <= longest(text) && name.bytes().all(is_subject_byte) && text != "$";
        if good { Ok(()) } else { Err(SubjectError::Malformed) }
    }

    /// Returns the subject of the lifecycle events of a channel. Connections belong to no channel: their events
    /// have the subject of the channel `""`.
    pub fn of_channel(channel: &Subject) -> Self {
        Self(format!("{CHANNEL_PREFIX}{channel}").into())
    }

    /// Returns the channel that the events of this subject are about, if they are lifecycle events.
    pub fn channel(&self) -> Option<&str> {
        self.0.strip_prefix(CHANNEL_PREFIX)
    }

    /// Makes a subject from stored bytes.
    pub fn from_stored(text: ByteString) -> Option<Self> {
        Self::check(&text).is_ok().then_some(Self(text))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether this is the map's own subject.
    pub fn is_own(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether only the server publishes to it.
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with('$')
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Its bytes become the subject's, without another copy.
        let text = String::deserialize(deserializer)?;
        Self::check(&text).map_err(serde::de::Error::custom)?;
        Ok(Self(text.into()))
    }
}

/// Returns the most bytes that a subject or a pattern with this beginning may have.
fn longest(text: &str) -> usize {
    if text.starts_with('$') { MAX_RESERVED_LEN } else { MAX_SUBJECT_LEN }
}

/// Returns whether a subject may contain this byte. `$` is allowed as the first byte only.
pub fn is_subject_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-=@,.;:/#".contains(&byte)
}

/// Which subjects a reader reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    /// One subject. The cost of reading depends on this subject's events alone.
    One(Subject),
    /// The named subjects, and those that match a pattern.
    Several(Arc<Several>),
    /// All subjects except the server's own.
    All,
}

/// Named subjects and patterns of [`Selector::Several`].
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Several {
    /// Sorted, each once.
    named: Box<[Subject]>,
    /// Sorted, each once.
    patterns: Box<[SubjectPattern]>,
}

/// A pattern of subjects, in which `*` matches any characters, or none. It matches the server's subjects only
/// if it begins with `$` itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectPattern(Box<str>);

impl Serialize for SubjectPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SubjectPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::new(&text).ok_or_else(|| serde::de::Error::custom("not a pattern of subjects"))
    }
}

/// Why a selector is refused. A malformed selector never selects more subjects.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// Neither a subject nor a list.
    #[error("subjects must be a subject, \"*\" or a list of subjects and patterns")]
    Shape,
    /// The list is empty, and would select nothing.
    #[error("subjects must name at least one subject (\"\" is the map's own)")]
    Empty,
    /// The list is too long.
    #[error("subjects may name at most {MAX_SELECTED} subjects and patterns")]
    TooMany,
    /// Neither a subject nor a pattern of subjects.
    #[error(
        "{0:?} is not a subject: {MAX_SUBJECT_LEN} bytes at most of A-Z a-z 0-9 _ - = @ , . ; : / # (and * in a pattern)"
    )]
    Subject(String),
}

impl SubjectPattern {
    /// Returns `None` unless `text` consists of a subject's bytes and `*`.
    pub fn new(text: &str) -> Option<Self> {
        let name = text.strip_prefix('$').unwrap_or(text);
        let good =
            text.len() <= longest(text) && name.bytes().all(|byte| byte == b'*' || is_subject_byte(byte));
        good.then(|| Self(text.into()))
    }

    /// Returns whether the subject matches.
    pub fn fits(&self, subject: &str) -> bool {
        subject.starts_with('$') == self.0.starts_with('$') && fits(&self.0, subject)
    }

    /// Returns the prefix that all matching subjects share.
    pub fn prefix(&self) -> &str {
        self.0.split('*').next().unwrap_or_default()
    }

    /// Returns the text of the pattern.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Selector {
    /// The map's own subject.
    fn default() -> Self {
        Self::One(Subject::own())
    }
}

impl Selector {
    /// Reads a JSON member `subjects`: absent or null (the map's own subject), one subject or pattern, or a
    /// list of them.
    pub fn from_json(subjects: Option<&serde_json::Value>) -> Result<Self, SelectorError> {
        match subjects {
            None | Some(serde_json::Value::Null) => Ok(Self::default()),
            Some(serde_json::Value::String(one)) => Self::from_names([Ok(one.as_str())]),
            Some(serde_json::Value::Array(items)) => {
                Self::from_names(items.iter().map(|item| item.as_str().ok_or(SelectorError::Shape)))
            }
            Some(_) => Err(SelectorError::Shape),
        }
    }

    /// Reads a query parameter `subjects`: absent (the map's own subject), or subjects and patterns separated
    /// by commas. A comma inside a subject is written `\,`; an empty item is the map's own subject.
    pub fn from_query(subjects: Option<&str>) -> Result<Self, SelectorError> {
        let Some(list) = subjects else { return Ok(Self::default()) };
        if !list.contains([',', '\\']) {
            return Self::from_names([Ok(list)]);
        }
        let mut names = vec![String::new()];
        let mut chars = list.chars().peekable();
        while let Some(char) = chars.next() {
            match (char, names.last_mut()) {
                ('\\', Some(name)) if chars.next_if_eq(&',').is_some() => name.push(','),
                (',', _) => names.push(String::new()),
                (char, Some(name)) => name.push(char),
                (_, None) => {}
            }
            if names.len() > MAX_SELECTED {
                return Err(SelectorError::TooMany);
            }
        }
        Self::from_names(names.iter().map(|name| Ok(name.as_str())))
    }

    /// Builds a selector from subjects and patterns.
    pub fn from_names<'a>(
        names: impl IntoIterator<Item = Result<&'a str, SelectorError>>,
    ) -> Result<Self, SelectorError> {
        let mut named = Vec::new();
        let mut patterns = Vec::new();
        for name in names {
            let name = name?;
            let refused = || SelectorError::Subject(name.chars().take(MAX_SUBJECT_LEN).collect());
            if name.contains('*') {
                patterns.push(SubjectPattern::new(name).ok_or_else(refused)?);
            } else {
                named.push(Subject::parse_any(name).map_err(|_| refused())?);
            }
            if named.len() + patterns.len() > MAX_SELECTED {
                return Err(SelectorError::TooMany);
            }
        }
        Self::of(named, patterns)
    }

    fn of(mut named: Vec<Subject>, mut patterns: Vec<SubjectPattern>) -> Result<Self, SelectorError> {
        let is_all = |pattern: &SubjectPattern| pattern.0.bytes().all(|byte| byte == b'*');
        if patterns.iter().any(is_all) {
            // "All" covers everything else that was named, except for the server's own subjects.
            patterns.retain(|pattern| pattern.0.starts_with('$'));
            named.retain(Subject::is_reserved);
            if named.is_empty() && patterns.is_empty() {
                return Ok(Self::All);
            }
            patterns.push(SubjectPattern("*".into()));
        }
        named.sort_unstable();
        named.dedup();
        patterns.sort_unstable();
        patterns.dedup();
        match (&mut named[..], &patterns[..]) {
            ([], []) => Err(SelectorError::Empty),
            ([one], []) => Ok(Self::One(std::mem::take(one))),
            _ => Ok(Self::Several(Arc::new(Several { named: named.into(), patterns: patterns.into() }))),
        }
    }

    /// Returns whether events of that subject are selected.
    pub fn matches(&self, subject: &str) -> bool {
        match self {
            Self::One(one) => one.as_str() == subject,
            Self::All => !subject.starts_with('$'),
            Self::Several(several) => several.matches(subject),
        }
    }
}

impl Several {
    /// Returns whether events of that subject are selected.
    pub fn matches(&self, subject: &str) -> bool {
        self.named.binary_search_by(|probe| probe.as_str().cmp(subject)).is_ok()
            || self.patterns.iter().any(|pattern| pattern.fits(subject))
    }

    /// Returns the named subjects.
    pub fn named(&self) -> &[Subject] {
        &self.named
    }

    /// Returns the patterns.
    pub fn patterns(&self) -> &[SubjectPattern] {
        &self.patterns
    }
}

/// Writes the selector as a query parameter (see [`Selector::from_query`]).
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped = |name: &str| name.replace(',', "\\,");
        match self {
            Self::One(one) if !one.as_str().contains(',') => f.write_str(one.as_str()),
            Self::One(one) => f.write_str(&escaped(one.as_str())),
            Self::All => f.write_str("*"),
            Self::Several(several) => {
                let named = several.named.iter().map(Subject::as_str);
                let all: Vec<String> =
                    named.chain(several.patterns.iter().map(SubjectPattern::as_str)).map(escaped).collect();
                f.write_str(&all.join(","))
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

    fn subject(text: &str) -> Subject {
        Subject::parse_any(text).unwrap()
    }

    #[test]
    fn subjects_are_short_and_need_no_escape() {
        for good in ["", "orders-7", "session:3", "a=b@c,d.e;f:g/h#i", &"a".repeat(200)] {
            assert!(Subject::parse(good).is_ok(), "{good}");
        }
        for bad in ["a b", "é", "a*", "a$", "\"", "a\n", &"a".repeat(201)] {
            assert_eq!(Subject::parse(bad), Err(SubjectError::Malformed), "{bad}");
        }
        assert_eq!(Subject::parse("$sys"), Err(SubjectError::Reserved));
        assert!(Subject::parse_any("$sys").is_ok_and(|subject| subject.is_reserved()));
        for bad in ["$", "$$a", "$a$"] {
            assert_eq!(Subject::parse_any(bad), Err(SubjectError::Malformed), "{bad}");
        }
    }

    #[test]
    fn a_selector_is_read_from_json() {
        let from = |value| Selector::from_json(Some(&value));
        assert_eq!(Selector::from_json(None), Ok(Selector::One(Subject::own())));
        assert_eq!(from(json!(null)), Ok(Selector::One(Subject::own())));
        assert_eq!(from(json!("a")), Ok(Selector::One(subject("a"))));
        assert_eq!(from(json!(["a", "a"])), Ok(Selector::One(subject("a"))));
        assert_eq!(from(json!("*")), Ok(Selector::All));
        assert_eq!(from(json!(["x", "**", "y*"])), Ok(Selector::All));
        assert_eq!(from(json!([])), Err(SelectorError::Empty));
        assert_eq!(from(json!(1)), Err(SelectorError::Shape));
        assert_eq!(from(json!([1])), Err(SelectorError::Shape));
        assert_eq!(from(json!(["a b"])), Err(SelectorError::Subject("a b".into())));
        assert_eq!(from(json!(vec!["a"; 101])), Err(SelectorError::TooMany));
        let several = from(json!(["orders-*", "", "$sys"])).unwrap();
        for (name, wanted) in
            [("", true), ("orders-7", true), ("$sys", true), ("$orders-", false), ("b", false)]
        {
            assert_eq!(several.matches(name), wanted, "{name}");
        }
        assert!(Selector::All.matches("") && Selector::All.matches("a") && !Selector::All.matches("$a"));
        let both = from(json!(["*", "$in*"])).unwrap();
        assert!(both.matches("a") && both.matches("$in.1") && !both.matches("$out"));
    }

    #[test]
    fn a_selector_is_read_from_a_query() {
        let from = |list| Selector::from_query(Some(list)).unwrap();
        assert_eq!(Selector::from_query(None), Ok(Selector::default()));
        assert_eq!(from(""), Selector::One(Subject::own()));
        assert_eq!(from("a\\,b"), Selector::One(subject("a,b")));
        assert_eq!(from(",a"), Selector::from_json(Some(&json!(["", "a"]))).unwrap());
        assert_eq!(Selector::from_query(Some("a\\b")), Err(SelectorError::Subject("a\\b".into())));
        assert_eq!(Selector::from_query(Some(&",".repeat(100))), Err(SelectorError::TooMany));
    }

    proptest! {
        #[test]
        fn a_selector_reads_back_as_it_was_written(
            names in proptest::collection::vec("\\$?[a-c,.*]{0,4}", 1..6),
        ) {
            let Ok(selector) = Selector::from_names(names.iter().map(|name| Ok(name.as_str()))) else { return Ok(()) };
            prop_assert_eq!(&Selector::from_query(Some(&selector.to_string())).unwrap(), &selector);
            for name in &names {
                if Subject::parse_any(name).is_ok() {
                    prop_assert!(selector.matches(name), "{} of {}", name, selector);
                }
            }
        }
    }
}
