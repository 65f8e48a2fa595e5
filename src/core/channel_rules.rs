//! Channel rules: how a map keeps the events of its subjects, and what clients may do on them.
//!
//! The first rule whose pattern matches a subject applies. What it leaves open, the subject's name decides:
//! subjects with a prefix of the Pusher protocol ([`super::channel`]) are ephemeral, all others durable. The
//! map's own subject is always durable. Without a bound, events are kept as long as the map keeps events.

use super::channel::{Kind, Prefix};
use super::subject::{CHANNEL_PREFIX, Selector, Subject, SubjectPattern};
use serde::{Deserialize, Serialize};

/// The largest number of rules of one map.
pub const MAX_RULES: usize = 64;
/// The members of a presence subject at once, where no rule says it.
pub const USUAL_MEMBERS: u32 = 100;
/// The largest number of members that a rule may allow.
pub const MAX_MEMBERS: u32 = 100_000;

/// How much is kept of the lifecycle events of a channel, where no rule of the map says otherwise.
pub const LIFECYCLE_HISTORY: SubjectHistory =
    SubjectHistory { events: Some(1000), seconds: Some(3600), bytes: None };

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

/// What a client must show to join a subject over a protocol that knows clients by a public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Join {
    /// Nothing but the key.
    Anyone,
    /// A token of the map. So nobody joins by a key.
    Token,
    /// The signature of the map's back end.
    Signature,
}

/// A channel rule. `None` leaves a decision to the subject's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelRule {
    /// The subjects that it applies to.
    #[serde(rename = "match")]
    pub matches: SubjectPattern,
    /// Whether the stream stores their events.
    pub durability: Option<Durability>,
    /// How much of each subject is kept.
    pub history: SubjectHistory,
    /// Whether clients that joined may publish.
    pub client_events: Option<bool>,
    /// Whether the subject has members that see each other.
    pub presence: Option<bool>,
    /// The largest number of members at once, 1 to [`MAX_MEMBERS`].
    pub members_max: Option<u32>,
    /// Who may join.
    pub join: Option<Join>,
}

impl ChannelRule {
    /// Returns a rule that leaves everything open.
    pub fn of(matches: SubjectPattern) -> Self {
        Self {
            matches,
            durability: None,
            history: SubjectHistory::default(),
            client_events: None,
            presence: None,
            members_max: None,
            join: None,
        }
    }
}

/// What applies to a subject: the rule's decisions, and those that follow from the subject's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelFacts {
    /// Whether the stream stores its events.
    pub durability: Durability,
    /// How much of it is kept.
    pub history: SubjectHistory,
    /// Whether clients that joined may publish, as the rule says; off where it says nothing.
    pub client_events: bool,
    /// Whether it has members that see each other.
    pub presence: bool,
    /// The largest number of members at once.
    pub members_max: u32,
    /// Who may join.
    pub join: Join,
    /// Whether a rule decides [`ChannelFacts::client_events`].
    decides_client_events: bool,
}

impl ChannelFacts {
    /// Returns whether clients may publish that use an app with that setting. The rule comes first.
    pub fn allows_client_events(&self, app: bool) -> bool {
        if self.decides_client_events { self.client_events } else { app }
    }
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
    /// Nobody could join, or more members than the server can have.
    #[error("members_max is 1 to {MAX_MEMBERS}")]
    Members,
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
        if self.0.iter().any(zero) {
            return Err(RulesError::Zero);
        }
        let bad = |most: u32| !(1..=MAX_MEMBERS).contains(&most);
        if self.0.iter().filter_map(|rule| rule.members_max).any(bad) {
            return Err(RulesError::Members);
        }
        Ok(())
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
        match any.or_else(|| self.rule_for(subject)) {
            Some(rule) => rule.history,
            None if subject.starts_with(CHANNEL_PREFIX) => LIFECYCLE_HISTORY,
            None => SubjectHistory::default(),
        }
    }

    /// Returns the index of the rule that says how much of the subject is kept. The built-in rule for lifecycle
    /// events comes after the map's own.
    pub fn history_index(&self, subject: &str) -> Option<usize> {
        let built_in = || subject.starts_with(CHANNEL_PREFIX).then_some(self.0.len());
        self.index_for(subject).or_else(built_in)
    }

    /// Returns the rule that applies to the subject.
    pub fn rule_for(&self, subject: &str) -> Option<&ChannelRule> {
        self.index_for(subject).and_then(|index| self.0.get(index))
    }

    /// Returns how many members the subject may have.
    pub fn members_max_of(&self, subject: &str) -> u32 {
        members_max(self.rule_for(subject))
    }

    /// Returns what applies to the subject.
    pub fn facts_of(&self, subject: &str) -> ChannelFacts {
        let rule = self.rule_for(subject);
        let kind = Kind::of(subject);
        let usual_join = match kind {
            Kind::Public => Join::Anyone,
            Kind::Private | Kind::Presence | Kind::Encrypted | Kind::ServerToUser => Join::Signature,
        };
        let client_events = rule.and_then(|rule| rule.client_events);
        ChannelFacts {
            durability: self.durability_of(subject),
            history: self.history_of(subject),
            client_events: client_events.unwrap_or(false),
            // Who is a member of a user's own channel has signed in. Nobody else becomes one.
            presence: kind != Kind::ServerToUser
                && rule.and_then(|rule| rule.presence).unwrap_or(kind == Kind::Presence),
            members_max: members_max(rule),
            join: rule.and_then(|rule| rule.join).unwrap_or(usual_join),
            decides_client_events: client_events.is_some(),
        }
    }

    /// Returns whether a subject that the pattern selects can be ephemeral.
    fn may_be_ephemeral(&self, pattern: &SubjectPattern) -> bool {
        let start = pattern.prefix();
        let overlaps = |rule: &ChannelRule| {
            let other = rule.matches.prefix();
            rule.durability == Some(Durability::Ephemeral)
                && (other.starts_with(start) || start.starts_with(other))
        };
        Prefix::may_follow(start) || self.0.iter().any(overlaps)
    }

    /// Returns which kinds of events the selected subjects can have.
    pub fn coverage_of(&self, selector: &Selector) -> Coverage {
        let is_ephemeral = |subject: &Subject| self.durability_of(subject.as_str()) == Durability::Ephemeral;
        match selector {
            Selector::One(subject) if is_ephemeral(subject) => Coverage::Ephemeral,
            Selector::One(_) => Coverage::Durable,
            Selector::Several(several) => {
                let ephemeral = several.named().iter().filter(|subject| is_ephemeral(subject)).count();
                let open = several.patterns().iter().any(|pattern| self.may_be_ephemeral(pattern));
                match ephemeral {
                    0 if !open => Coverage::Durable,
                    all if several.patterns().is_empty() && all == several.named().len() => {
                        Coverage::Ephemeral
                    }
                    _ => Coverage::Both,
                }
            }
            Selector::All => Coverage::Both,
        }
    }

    /// Returns whether the stream stores the subject's events.
    pub fn durability_of(&self, subject: &str) -> Durability {
        if subject.is_empty() || subject.starts_with(CHANNEL_PREFIX) {
            return Durability::Durable;
        }
        let usual = match Prefix::of(subject) {
            Some(_) => Durability::Ephemeral,
            None => Durability::Durable,
        };
        self.rule_for(subject).and_then(|rule| rule.durability).unwrap_or(usual)
    }
}

/// The members that a subject may have to which the rule applies, if any does.
fn members_max(rule: Option<&ChannelRule>) -> u32 {
    rule.and_then(|rule| rule.members_max).unwrap_or(USUAL_MEMBERS)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn rule(pattern: &str, durability: Durability, events: Option<u64>) -> ChannelRule {
        let history = SubjectHistory { events, ..SubjectHistory::default() };
        ChannelRule {
            durability: Some(durability),
            history,
            ..ChannelRule::of(SubjectPattern::new(pattern).unwrap())
        }
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
            (&["a*"], Coverage::Durable),
            (&["l*"], Coverage::Both),
            (&["live-1*"], Coverage::Both),
            (&["live-1", "a*"], Coverage::Both),
            (&["pri*"], Coverage::Both),
            (&["private-a"], Coverage::Ephemeral),
            (&["private-a", "cache-b", "live-1"], Coverage::Ephemeral),
            (&["private-a", "a"], Coverage::Both),
            (&["*"], Coverage::Both),
        ] {
            assert_eq!(of(&rules, names), expected, "{names:?}");
        }
        for (names, expected) in [
            (&["live-*"][..], Coverage::Durable),
            (&["presence-*"], Coverage::Both),
            (&["*"], Coverage::Both),
        ] {
            assert_eq!(of(&ChannelRules::default(), names), expected, "{names:?} without rules");
        }
    }

    #[test]
    fn a_subject_may_have_the_members_of_its_rule() {
        let few = ChannelRule { members_max: Some(3), ..rule("presence-a*", Durability::Ephemeral, None) };
        let rules = ChannelRules::new(vec![few]).unwrap();
        for (subject, most) in [("presence-a1", 3), ("presence-b", USUAL_MEMBERS)] {
            assert_eq!(rules.members_max_of(subject), most);
            assert_eq!(rules.facts_of(subject).members_max, most);
        }
    }

    #[test]
    fn the_name_decides_what_no_rule_decides() {
        let none = ChannelRules::default();
        let facts = |subject| {
            let facts = none.facts_of(subject);
            (facts.durability, facts.presence, facts.join)
        };
        use Durability::{Durable, Ephemeral};
        for (subject, expected) in [
            ("", (Durable, false, Join::Anyone)),
            ("orders-7", (Durable, false, Join::Anyone)),
            ("cache-a", (Ephemeral, false, Join::Anyone)),
            ("private-a", (Ephemeral, false, Join::Signature)),
            ("private-encrypted-a", (Ephemeral, false, Join::Signature)),
            ("presence-a", (Ephemeral, true, Join::Signature)),
            ("#server-to-user-7", (Ephemeral, false, Join::Signature)),
            ("$sys", (Durable, false, Join::Anyone)),
        ] {
            assert_eq!(facts(subject), expected, "{subject}");
        }
        let facts = none.facts_of("private-a");
        assert_eq!((facts.client_events, facts.members_max), (false, USUAL_MEMBERS));
        assert!(facts.allows_client_events(true) && !facts.allows_client_events(false));
    }

    #[test]
    fn a_rule_decides_what_it_states() {
        let of = |pattern: &str| ChannelRule::of(SubjectPattern::new(pattern).unwrap());
        let rules = ChannelRules::new(vec![
            ChannelRule { client_events: Some(false), ..of("private-quiet*") },
            ChannelRule { client_events: Some(true), members_max: Some(7), ..of("private-*") },
            ChannelRule { durability: Some(Durability::Durable), presence: Some(true), ..of("cache-*") },
            ChannelRule { join: Some(Join::Token), presence: Some(true), ..of("*") },
        ])
        .unwrap();
        assert!(!rules.facts_of("private-quiet").allows_client_events(true));
        let open = rules.facts_of("private-a");
        assert!(open.client_events && open.allows_client_events(false));
        assert_eq!(
            (open.durability, open.members_max, open.join),
            (Durability::Ephemeral, 7, Join::Signature)
        );
        let cache = rules.facts_of("cache-a");
        assert_eq!((cache.durability, cache.presence), (Durability::Durable, true));
        let orders = rules.facts_of("orders");
        assert_eq!((orders.join, orders.presence), (Join::Token, true));
        assert_eq!(rules.facts_of("").join, Join::Token);
        assert!(!rules.facts_of("#server-to-user-7").presence);
    }

    proptest::proptest! {
        /// A selector covers every kind of event that one of its subjects has.
        #[test]
        fn no_selected_subject_has_events_of_a_kind_that_is_not_covered(
            rules in proptest::collection::vec(("[a*p-]{0,4}|private-[a*]?|[*]", 0_usize..3), 0..4),
            pattern in "[ap*-]{0,4}|p*|private-[a*]?|[*]",
            subject in "[ap-]{1,4}|private-a?|presence-a|cache-p",
        ) {
            let decide = [None, Some(Durability::Durable), Some(Durability::Ephemeral)];
            let rule = |(pattern, which): &(String, usize)| {
                let matches = SubjectPattern::new(pattern)?;
                Some(ChannelRule { durability: decide[*which], ..ChannelRule::of(matches) })
            };
            let rules = ChannelRules::new(rules.iter().filter_map(rule).collect()).unwrap();
            let Ok(selector) = Selector::from_names([Ok(pattern.as_str())]) else { return Ok(()) };
            let durability = rules.durability_of(&subject);
            proptest::prop_assert_eq!(rules.facts_of(&subject).durability, durability);
            if selector.matches(&subject) {
                let coverage = rules.coverage_of(&selector);
                let is_covered = match durability {
                    Durability::Durable => coverage.has_durable(),
                    Durability::Ephemeral => coverage.has_ephemeral(),
                };
                proptest::prop_assert!(is_covered, "{:?} covers {:?} not", coverage, subject);
            }
        }
    }

    #[test]
    fn rules_are_bounded_in_number_and_never_zero() {
        assert_eq!(ChannelRules::new(vec![rule("a", Durability::Durable, Some(0))]), Err(RulesError::Zero));
        for most in [0, MAX_MEMBERS + 1] {
            let one = ChannelRule { members_max: Some(most), ..rule("a", Durability::Durable, None) };
            assert_eq!(ChannelRules::new(vec![one]), Err(RulesError::Members));
        }
        let many = vec![rule("a", Durability::Durable, None); MAX_RULES + 1];
        assert_eq!(ChannelRules::new(many), Err(RulesError::TooMany));
    }
}
