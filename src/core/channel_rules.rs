//! Channel rules: how a map keeps the events of its subjects.
//!
//! The first rule whose pattern matches a subject applies. A subject that matches no rule is durable, and its
//! events are kept as long as the map keeps events. The map's own subject is always durable.

use super::subject::{Selector, Subject, SubjectPattern};
use serde::{Deserialize, Serialize};

/// The largest number of rules of one map.
pub const MAX_RULES: usize = 64;

/// Whether the stream stores the events of a subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Stored in the replicated stream, with a seq.
    #[default]
    Durable,
    /// Sent from node to node, at most once, and never stored.
    Ephemeral,
}

/// Which kinds of events a reader of some subjects can receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// Durable events only.
    Durable,
    /// Ephemeral events only.
    Ephemeral,
    /// Both.
    Both,
}

impl Coverage {
    /// Returns whether there can be ephemeral events.
    pub fn has_ephemeral(self) -> bool {
        self != Self::Durable
    }

    /// Returns whether there can be durable events.
    pub fn has_durable(self) -> bool {
        self != Self::Ephemeral
    }
}

/// How much of one subject readers can read, where that is less than the map keeps. `None` means no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectHistory {
    /// The number of newest events kept, at least 1.
    pub events: Option<u64>,
    /// Seconds for which an event is kept, at least 1.
    pub seconds: Option<u64>,
    /// Bytes of stored events kept. The newest event is always kept.
    pub bytes: Option<u64>,
}

/// A channel rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelRule {
    /// The subjects that it applies to.
    #[serde(rename = "match")]
    pub matches: SubjectPattern,
    /// Whether the stream stores their events.
    pub durability: Durability,
    /// How much of each subject is kept.
    pub history: SubjectHistory,
}

/// The rules of a map, in the order in which they are tried.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelRules(Vec<ChannelRule>);

/// Why rules are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// Too many rules.
    #[error("a map has at most {MAX_RULES} channel rules")]
    TooMany,
    /// A bound of 0 would keep nothing.
    #[error(
        "history keeps at least 1 event, 1 second and 1 byte; leave a bound out to keep what the map keeps"
    )]
    Zero,
}

impl ChannelRules {
    /// Checks the rules and wraps them.
    pub fn new(rules: Vec<ChannelRule>) -> Result<Self, RulesError> {
        let rules = Self(rules);
        rules.check().map(|()| rules)
    }

    /// Checks rules that may come from another node.
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

    /// Returns the rules in order.
    pub fn all(&self) -> &[ChannelRule] {
        &self.0
    }

    /// Returns the index of the rule that applies to the subject.
    pub fn index_for(&self, subject: &str) -> Option<usize> {
        self.0.iter().position(|rule| rule.matches.fits(subject))
    }

    /// Returns how much of the subject is kept.
    pub fn history_of(&self, subject: &str) -> SubjectHistory {
        let any = self.0.first().filter(|_| crate::failpoint!("rule-of-another"));
        any.or_else(|| self.index_for(subject).and_then(|index| self.0.get(index)))
            .map_or_else(Default::default, |rule| rule.history)
    }

    /// Returns whether a rule makes subjects ephemeral.
    pub fn have_ephemeral(&self) -> bool {
        self.0.iter().any(|rule| rule.durability == Durability::Ephemeral)
    }

    /// Returns which kinds of events the selected subjects can have.
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

    /// Returns whether the stream stores the subject's events.
    pub fn durability_of(&self, subject: &str) -> Durability {
        if subject.is_empty() {
            return Durability::Durable;
        }
        self.index_for(subject).map(|index| self.0[index].durability).unwrap_or_default()
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
    fn the_first_matching_rule_applies_and_the_own_subject_is_durable() {
        let rules = ChannelRules::new(vec![
            rule("a-1", Durability::Durable, Some(3)),
            rule("a-*", Durability::Ephemeral, None),
            rule("*", Durability::Ephemeral, Some(9)),
        ])
        .unwrap();
        assert_eq!((rules.index_for("a-1"), rules.history_of("a-1").events), (Some(0), Some(3)));
        assert_eq!(
            (rules.durability_of("a-2"), rules.durability_of("b")),
            (Durability::Ephemeral, Durability::Ephemeral)
        );
        assert_eq!((rules.durability_of(""), rules.history_of("").events), (Durability::Durable, Some(9)));
        assert_eq!((rules.index_for("$sys"), rules.durability_of("$sys")), (None, Durability::Durable));
    }

    #[test]
    fn a_selector_covers_what_its_subjects_can_be() {
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
    fn rules_are_bounded_in_number_and_never_zero() {
        assert_eq!(ChannelRules::new(vec![rule("a", Durability::Durable, Some(0))]), Err(RulesError::Zero));
        let many = vec![rule("a", Durability::Durable, None); MAX_RULES + 1];
        assert_eq!(ChannelRules::new(many), Err(RulesError::TooMany));
    }
}
