//! The checks of facts about channels and their members (12): occupied and vacated take turns, and so do
//! added and removed of one member.

use std::collections::{BTreeMap, BTreeSet};

/// A fact about a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact<'a> {
    /// The channel got its first subscription.
    Occupied,
    /// The channel lost its last subscription and its last member.
    Vacated,
    /// A user became a member.
    Added(&'a str),
    /// A user is no longer a member.
    Removed(&'a str),
}

impl<'a> Fact<'a> {
    /// The fact of that name, about that user if it is about one; `None` if it is not about who is there.
    pub fn named(name: &str, user: &'a str) -> Option<Self> {
        match name {
            "channel_occupied" => Some(Self::Occupied),
            "channel_vacated" => Some(Self::Vacated),
            "member_added" => Some(Self::Added(user)),
            "member_removed" => Some(Self::Removed(user)),
            _ => None,
        }
    }
}

/// What facts say of one channel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Channel<'a> {
    /// Whether it is occupied.
    pub is_occupied: bool,
    /// Its members.
    pub members: BTreeSet<&'a str>,
}

impl<'a> Channel<'a> {
    /// Takes in the next fact. An error says why it can't follow on the facts before.
    pub fn apply(&mut self, fact: Fact<'a>) -> Result<(), String> {
        match fact {
            Fact::Occupied if std::mem::replace(&mut self.is_occupied, true) => {
                Err("occupied again, and not vacated before".to_owned())
            }
            Fact::Vacated if !std::mem::replace(&mut self.is_occupied, false) => {
                Err("vacated again, and not occupied before".to_owned())
            }
            Fact::Vacated if !self.members.is_empty() => {
                Err(format!("vacated with members: {:?}", self.members))
            }
            Fact::Added(user) if !self.members.insert(user) => {
                Err(format!("{user} was added again, and not removed before"))
            }
            Fact::Added(user) if !self.is_occupied => Err(format!("{user} was added before it was occupied")),
            Fact::Removed(user) if !self.members.remove(user) => {
                Err(format!("{user} was removed again, and not added before"))
            }
            Fact::Occupied | Fact::Vacated | Fact::Added(_) | Fact::Removed(_) => Ok(()),
        }
    }
}

/// What facts say of all channels, by name.
pub type Channels<'a> = BTreeMap<&'a str, Channel<'a>>;

#[cfg(test)]
mod tests {
    use super::*;
    use Fact::{Added, Occupied, Removed, Vacated};

    /// The places of the facts that can't follow on those before.
    fn wrong(facts: &[Fact<'static>]) -> Vec<usize> {
        let mut channel = Channel::default();
        (0..).zip(facts).filter(|(_, fact)| channel.apply(**fact).is_err()).map(|(place, _)| place).collect()
    }

    #[test]
    fn facts_take_turns() {
        let life =
            [Occupied, Added("a"), Added("b"), Removed("a"), Added("a"), Removed("b"), Removed("a"), Vacated];
        assert_eq!(wrong(&[life, life].concat()), Vec::<usize>::new());
        for (facts, places) in [
            (&[Vacated][..], &[0][..]),
            (&[Occupied, Occupied, Vacated], &[1]),
            (&[Occupied, Vacated, Vacated, Occupied], &[2]),
            (&[Occupied, Added("a"), Added("a")], &[2]),
            (&[Occupied, Removed("a"), Added("a"), Removed("a"), Removed("a")], &[1, 4]),
            (&[Added("a"), Occupied], &[0]),
            (&[Occupied, Added("a"), Vacated], &[2]),
        ] {
            assert_eq!(wrong(facts), places, "{facts:?}");
        }
    }

    #[test]
    fn facts_have_the_names_of_lifecycle_events() {
        assert_eq!(Fact::named("member_added", "a"), Some(Added("a")));
        assert_eq!(Fact::named("channel_vacated", ""), Some(Vacated));
        assert_eq!(Fact::named("subscription_count", ""), None);
    }
}
