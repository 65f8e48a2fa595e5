//! The limit of a token to some subjects: which ones its holder may read and publish to.

use super::subject::{Selector, Subject, SubjectPattern};
use serde::{Deserialize, Serialize};

/// The most patterns of one limit.
pub const MAX_LIMIT_PATTERNS: usize = 100;

/// The subjects that a holder may read and publish to: those that match one of the patterns. The pattern `""`
/// matches the map's own subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectLimit(Vec<SubjectPattern>);

impl SubjectLimit {
    /// Returns `None` unless there are 1 to [`MAX_LIMIT_PATTERNS`] patterns of subjects.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Option<Self> {
        if !(1..=MAX_LIMIT_PATTERNS).contains(&patterns.len()) {
            return None;
        }
        let read: Option<Vec<SubjectPattern>> =
            patterns.iter().map(|pattern| SubjectPattern::new(pattern.as_ref())).collect();
        read.map(Self)
    }

    /// Returns the texts of the patterns.
    pub fn patterns(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(SubjectPattern::as_str)
    }

    /// Returns whether the holder may use the subject.
    pub fn allows(&self, subject: &Subject) -> bool {
        self.0.iter().any(|pattern| pattern.fits(subject.as_str()))
    }

    /// Returns whether the holder may use every subject that is selected, whichever there will be.
    pub fn covers(&self, selector: &Selector) -> bool {
        match selector {
            Selector::One(subject) => self.allows(subject),
            Selector::All => self.covers_pattern("*"),
            Selector::Several(several) => {
                several.named().iter().all(|subject| self.allows(subject))
                    && several.patterns().iter().all(|pattern| self.covers_pattern(pattern.as_str()))
            }
        }
    }

    /// Whether one of the patterns matches everything that another pattern matches. The literal parts of a
    /// pattern have no star, so a pattern that matches the other one's text matches its stars by stars of its
    /// own, and with them all that they stand for.
    fn covers_pattern(&self, wanted: &str) -> bool {
        self.0.iter().any(|pattern| pattern.fits(wanted))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limit(patterns: &[&str]) -> SubjectLimit {
        SubjectLimit::new(patterns).unwrap()
    }

    fn selector(names: &[&str]) -> Selector {
        Selector::from_names(names.iter().map(|name| Ok(*name))).unwrap()
    }

    #[test]
    fn a_limit_covers_what_it_allows_wholly() {
        for (patterns, names, covered) in [
            (&["chat-*"][..], &["chat-1"][..], true),
            (&["chat-*"], &["chat-*"], true),
            (&["chat-*"], &["chat-a*"], true),
            (&["chat-*"], &["chat*"], false),
            (&["chat-*"], &["*"], false),
            (&["chat-*"], &[""], false),
            (&["chat-*", ""], &["", "chat-1"], true),
            (&["*"], &["*"], true),
            (&["*"], &["$sys"], false),
            (&["*-x"], &["a-*"], false),
            (&["a*b*c"], &["a*b*c", "abc"], true),
            (&["a*b*c"], &["a*c"], false),
            (&["$channel/chat-*"], &["$channel/chat-1"], true),
        ] {
            assert_eq!(limit(patterns).covers(&selector(names)), covered, "{patterns:?} {names:?}");
        }
        assert!(SubjectLimit::new::<&str>(&[]).is_none() && SubjectLimit::new(&["a b"]).is_none());
        assert!(SubjectLimit::new(&vec!["a"; MAX_LIMIT_PATTERNS + 1]).is_none());
    }

    proptest! {
        #[test]
        fn what_a_covered_pattern_matches_is_allowed(
            pattern in "[ab*]{0,6}", wanted in "[ab*]{0,6}", fill in "[ab]{0,3}",
        ) {
            let limit = SubjectLimit::new(&[&pattern]).unwrap();
            if limit.covers_pattern(&wanted) {
                let subject = Subject::parse(&wanted.replace('*', &fill)).unwrap();
                prop_assert!(limit.allows(&subject));
            }
        }
    }
}
