//! Channel rules: what a map keeps of its subjects.
//!
//! The first rule whose pattern fits a subject counts. Without one a subject is durable and kept as long as the map keeps
//! its events. The map's own subject is always durable.

use super::subject::{Selector, Subject, SubjectPattern};
use serde::{Deserialize, Serialize};

/// Rules of one map at most.
pub const MAX_RULES: usize = 64;

/// Whether events of a subject are in the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// In the replicated stream, with a seq.
    #[default]
    Durable,
    /// Passed on from node to node, at most once; never stored.
    Ephemeral,
}

/// What a reader of some subjects follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// The stream alone.
    Durable,
    /// Ephemeral events alone.
    Ephemeral,
    /// Both.
    Both,
}

impl Coverage {
    /// Whether there are ephemeral events.
    pub fn has_ephemeral(self) -> bool {
        self != Self::Durable
    }

    /// Whether there are stored events.
    pub fn has_durable(self) -> bool {
        self != Self::Ephemeral
    }
}

/// How much of one subject readers can get, where that is less than the map keeps. `None` is no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectHistory {
    /// Newest events kept, at least 1.
    pub events: Option<u64>,
    /// Seconds that an event is kept, at least 1.
    pub seconds: Option<u64>,
    /// Bytes of stored events kept, the newest event always.
    pub bytes: Option<u64>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelRule {
    /// Which subjects it is for.
    #[serde(rename = "match")]
    pub matches: SubjectPattern,
    /// Whether their events are stored.
    pub durability: Durability,
    /// How much is kept of each of them.
    pub history: SubjectHistory,
}

/// The rules of a map, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelRules(Vec<ChannelRule>);

/// Why rules are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// Too many.
    #[error("a map has at most {MAX_RULES} channel rules")]
    TooMany,
    /// A bound of 0 would keep nothing.
    #[error(
        "history keeps at least 1 event, 1 second and 1 byte; leave a bound out to keep what the map keeps"
    )]
    Zero,
}

impl ChannelRules {
    /// Rules that a map can have.
    pub fn new(rules: Vec<ChannelRule>) -> Result<Self, RulesError> {
        let rules = Self(rules);
        rules.check().map(|()| rules)
    }

    /// Whether a map can have them: they may come from another node.
    pub fn check(&self) -> Result<(), RulesError> {
        if self.0.len() > MAX_RULES {
            return Err(RulesError::TooMany);
        }
        let zero = |rule: &ChannelRule| {
            let SubjectHistory { events, seconds, bytes } = rule.history;
            [events, seconds, bytes].contains(&Some(0))
        };
        if self.0.iter().any(zero) { Err(RulesError::Zero) } else { Ok(()) }
    }

    /// In order.
    pub fn all(&self) -> &[ChannelRule] {
        &self.0
    }

    /// The place of the rule that counts for the subject.
    pub fn place_of(&self, subject: &str) -> Option<usize> {
        self.0.iter().position(|rule| rule.matches.fits(subject))
    }

    /// How much is kept of the subject.
    pub fn history_of(&self, subject: &str) -> SubjectHistory {
        let any = self.0.first().filter(|_| crate::failpoint!("rule-of-another"));
        any.or_else(|| self.place_of(subject).and_then(|place| self.0.get(place)))
            .map_or_else(Default::default, |rule| rule.history)
    }

    /// Whether there may be ephemeral subjects.
    pub fn have_ephemeral(&self) -> bool {
        self.0.iter().any(|rule| rule.durability == Durability::Ephemeral)
    }

    /// What events there may be of the subjects that a reader wants.
    pub fn coverage_of(&self, selector: &Selector) -> Coverage {
        let of = |subject: &Subject| self.durability_of(subject.as_str());
        match selector {
            _ if !self.have_ephemeral() => Coverage::Durable,
            Selector::One(subject) if of(subject) == Durability::Ephemeral => Coverage::Ephemeral,
            Selector::One(_) => Coverage::Durable,
            Selector::Several(several) if several.patterns().is_empty() => {
                let ephemeral =
                    several.named().iter().filter(|subject| of(subject) == Durability::Ephemeral).count();
                match ephemeral {
                    0 => Coverage::Durable,
                    all if all == several.named().len() => Coverage::Ephemeral,
                    _ => Coverage::Both,
                }
            }
            Selector::Several(_) | Selector::All => Coverage::Both,
        }
    }

    /// Whether events of the subject are stored.
    pub fn durability_of(&self, subject: &str) -> Durability {
        if subject.is_empty() {
            return Durability::Durable;
        }
        self.place_of(subject).map(|place| self.0[place].durability).unwrap_or_default()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn rule(pattern: &str, durability: Durability, events: Option<u64>) -> ChannelRule {
        let history = SubjectHistory { events, ..SubjectHistory::default() };
        ChannelRule { matches: SubjectPattern::new(pattern).unwrap(), durability, history }
    }

    #[test]
    fn the_first_that_fits_counts_and_the_map_s_own_is_durable() {
        let rules = ChannelRules::new(vec![
            rule("a-1", Durability::Durable, Some(3)),
            rule("a-*", Durability::Ephemeral, None),
            rule("*", Durability::Ephemeral, Some(9)),
        ])
        .unwrap();
        assert_eq!((rules.place_of("a-1"), rules.history_of("a-1").events), (Some(0), Some(3)));
        assert_eq!(
            (rules.durability_of("a-2"), rules.durability_of("b")),
            (Durability::Ephemeral, Durability::Ephemeral)
        );
        assert_eq!((rules.durability_of(""), rules.history_of("").events), (Durability::Durable, Some(9)));
        assert_eq!((rules.place_of("$sys"), rules.durability_of("$sys")), (None, Durability::Durable));
    }

    #[test]
    fn a_reader_follows_what_its_subjects_may_be() {
        let of = |rules: &ChannelRules, names: &[&str]| {
            rules.coverage_of(&Selector::from_names(names.iter().map(|name| Ok(*name))).unwrap())
        };
        let rules = ChannelRules::new(vec![rule("live-*", Durability::Ephemeral, None)]).unwrap();
        for (names, expected) in [
            (&[""][..], Coverage::Durable),
            (&["live-1"], Coverage::Ephemeral),
            (&["live-1", "live-2"], Coverage::Ephemeral),
            (&["live-1", "a"], Coverage::Both),
            (&["a", "b"], Coverage::Durable),
            (&["a*"], Coverage::Both),
            (&["*"], Coverage::Both),
        ] {
            assert_eq!(of(&rules, names), expected, "{names:?}");
            assert_eq!(of(&ChannelRules::default(), names), Coverage::Durable, "{names:?} without rules");
        }
    }

    #[test]
    fn rules_are_bounded() {
        assert_eq!(ChannelRules::new(vec![rule("a", Durability::Durable, Some(0))]), Err(RulesError::Zero));
        let many = vec![rule("a", Durability::Durable, None); MAX_RULES + 1];
        assert_eq!(ChannelRules::new(many), Err(RulesError::TooMany));
    }
}
