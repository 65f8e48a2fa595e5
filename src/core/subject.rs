//! Subjects: the names of channels inside a map, and which of them a reader wants.

use super::text::fits;
use bytestring::ByteString;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::sync::Arc;

/// Longest subject (bytes).
pub const MAX_SUBJECT_LEN: usize = 200;

/// More subjects and patterns than this in one selector are refused.
pub const MAX_SELECTED: usize = 100;

/// The name of a channel inside a map. `""` is the map's own; those that begin with `$` are the server's.
///
/// 1–200 bytes of `A-Z a-z 0-9 _ - = @ , . ; : / #`, so that no form in which a subject is written needs an escape.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(ByteString);

/// Why a text is no subject.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectError {
    /// A byte that no subject has, or too many.
    #[error("a subject has 1 to {MAX_SUBJECT_LEN} bytes of A-Z a-z 0-9 _ - = @ , . ; : / #")]
    Malformed,
    /// A client named a subject of the server.
    #[error("subjects that begin with $ are the server's own")]
    Reserved,
}

impl Subject {
    /// The map's own subject.
    pub const fn own() -> Self {
        Self(ByteString::from_static(""))
    }

    /// A subject that a client may publish to.
    pub fn parse(text: &str) -> Result<Self, SubjectError> {
        if text.starts_with('$') { Err(SubjectError::Reserved) } else { Self::parse_any(text) }
    }

    /// Any subject, the server's own too.
    pub fn parse_any(text: &str) -> Result<Self, SubjectError> {
        let name = text.strip_prefix('$').unwrap_or(text);
        let good = text.len() <= MAX_SUBJECT_LEN && name.bytes().all(is_subject_byte) && text != "$";
        if good { Ok(Self(text.into())) } else { Err(SubjectError::Malformed) }
    }

    /// From bytes that were a subject when they were stored.
    pub fn from_stored(text: ByteString) -> Option<Self> {
        Self::parse_any(&text).is_ok().then_some(Self(text))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the map's own subject.
    pub fn is_own(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether only the server publishes to it.
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
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Self::parse_any(&text).map_err(serde::de::Error::custom)
    }
}

/// Whether a subject may contain this byte. `$` is allowed only in front.
pub fn is_subject_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-=@,.;:/#".contains(&byte)
}

/// Which subjects a reader wants.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Selector {
    /// One subject: reading it costs what the subject holds.
    One(Subject),
    /// Those named and those that fit a pattern.
    Several(Arc<Several>),
    /// All but the server's own.
    All,
}

/// See [`Selector::Several`].
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Several {
    /// Sorted, each once.
    named: Box<[Subject]>,
    /// Sorted, each once.
    patterns: Box<[SubjectPattern]>,
}

/// A subject in which `*` stands for any characters, or none. It fits a subject of the server only where it begins with
/// `$` itself.
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

/// Why a selector is refused. A malformed selector never opens up to more subjects.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// Neither a subject nor a list.
    #[error("subjects must be a subject, \"*\" or a list of subjects and patterns")]
    Shape,
    /// An empty list would match nothing.
    #[error("subjects must name at least one subject (\"\" is the map's own)")]
    Empty,
    /// Too many.
    #[error("subjects may name at most {MAX_SELECTED} subjects and patterns")]
    TooMany,
    /// Not a subject, nor a pattern of subjects.
    #[error(
        "{0:?} is not a subject: {MAX_SUBJECT_LEN} bytes at most of A-Z a-z 0-9 _ - = @ , . ; : / # (and * in a pattern)"
    )]
    Subject(String),
}

impl SubjectPattern {
    /// `None` unless `text` is made of a subject's bytes and `*`.
    pub fn new(text: &str) -> Option<Self> {
        let name = text.strip_prefix('$').unwrap_or(text);
        let good =
            text.len() <= MAX_SUBJECT_LEN && name.bytes().all(|byte| byte == b'*' || is_subject_byte(byte));
        good.then(|| Self(text.into()))
    }

    /// Whether the subject fits.
    pub fn fits(&self, subject: &str) -> bool {
        subject.starts_with('$') == self.0.starts_with('$') && fits(&self.0, subject)
    }

    /// What every subject that fits begins with.
    pub fn prefix(&self) -> &str {
        self.0.split('*').next().unwrap_or_default()
    }

    /// The pattern.
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
    /// From a JSON member `subjects`: absent or null (the map's own), one subject or pattern, or a list of them.
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

    /// From a query parameter `subjects`: absent (the map's own), or subjects and patterns separated by commas. A comma
    /// that belongs to a subject is written `\,`; an empty item is the map's own subject.
    pub fn from_query(subjects: Option<&str>) -> Result<Self, SelectorError> {
        let Some(list) = subjects else { return Ok(Self::default()) };
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

    /// From subjects and patterns.
    pub fn from_names<'a>(
        names: impl IntoIterator<Item = Result<&'a str, SelectorError>>,
    ) -> Result<Self, SelectorError> {
        let (mut named, mut patterns) = (Vec::new(), Vec::new());
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
            // Of what else was named only the server's own subjects add to that.
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

    /// Whether events of that subject are wanted.
    pub fn matches(&self, subject: &str) -> bool {
        match self {
            Self::One(one) => one.as_str() == subject,
            Self::All => !subject.starts_with('$'),
            Self::Several(several) => several.matches(subject),
        }
    }
}

impl Several {
    /// Whether events of that subject are wanted.
    pub fn matches(&self, subject: &str) -> bool {
        self.named.binary_search_by(|probe| probe.as_str().cmp(subject)).is_ok()
            || self.patterns.iter().any(|pattern| pattern.fits(subject))
    }

    /// The subjects named.
    pub fn named(&self) -> &[Subject] {
        &self.named
    }

    /// The patterns.
    pub fn patterns(&self) -> &[SubjectPattern] {
        &self.patterns
    }
}

/// The selector as a query parameter has it (see [`Selector::from_query`]).
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escaped = |name: &str| name.replace(',', "\\,");
        match self {
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
    fn names() {
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
    fn selectors() {
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
    fn queries() {
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
        fn a_selector_reads_back_as_written(names in proptest::collection::vec("\\$?[a-c,.*]{0,4}", 1..6)) {
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
