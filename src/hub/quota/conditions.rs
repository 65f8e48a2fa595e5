//! The conditions of this node's subscriptions. Each is kept once, and each map may have a limited number.
//!
//! A condition is evaluated for every event of the map's stream that its topics contain, so the number of
//! conditions limits the cost of an event. The limit is checked when a subscription begins, never when events
//! are delivered.

use crate::core::expression::{Condition, Expression};
use crate::core::ids::{MapId, TopicId};
use crate::core::text::counted;
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The map has as many distinct conditions as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the map's subscribers have {} on this node, the most there may be",
    counted(*.0, "filter", "different filters")
)]
pub struct TooManyConditions(pub usize);

/// The conditions in use, by stream.
#[derive(Default)]
pub(super) struct Conditions(Mutex<Known>);

#[derive(Default)]
struct Known {
    of_topics: FxHashMap<TopicId, Vec<Weak<Condition>>>,
    /// When this many topics are known, those without conditions are removed.
    sweep_at: usize,
}

impl Conditions {
    /// The condition for a subscription to the map, whatever its subjects. It counts towards the map's limit
    /// until all its holders have dropped it.
    pub(super) fn take(
        &self,
        of: (TopicId, MapId),
        expression: Expression,
        most: usize,
    ) -> Result<Arc<Condition>, TooManyConditions> {
        let (topic, map) = of;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.of_topics.len() >= known.sweep_at {
            known
                .of_topics
                .retain(|_, of_topic| of_topic.iter().any(|condition| condition.strong_count() > 0));
            known.sweep_at = 2 * known.of_topics.len() + 16;
        }
        let of_topic = known.of_topics.entry(topic).or_default();
        of_topic.retain(|condition| condition.strong_count() > 0);
        let same = of_topic.iter().filter_map(Weak::upgrade).find(|known| known.text() == expression.text());
        if let Some(same) = same {
            return Ok(same);
        }
        if of_topic.len() >= most {
            return Err(TooManyConditions(most));
        }
        let condition = Arc::new(Condition::new(expression, map));
        of_topic.push(Arc::downgrade(&condition));
        Ok(condition)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_counts_once_and_only_while_it_is_held() {
        let conditions = Conditions::default();
        let of = |n: u8| (TopicId(n.into()), MapId::from_bytes([n; 16]));
        let take = |n: u8, text: &str| conditions.take(of(n), Expression::condition(text).unwrap(), 2);
        let first = take(1, "seq > 1").unwrap();
        assert!(Arc::ptr_eq(&first, &take(1, "seq > 1").unwrap()));
        let second = take(1, "seq > 2").unwrap();
        assert_eq!(take(1, "seq > 3").unwrap_err(), TooManyConditions(2));
        assert!(take(2, "seq > 3").is_ok(), "another topic");
        assert!(
            Arc::ptr_eq(&first, &take(1, "seq > 1").unwrap()),
            "an existing condition is always available"
        );
        drop(second);
        assert!(take(1, "seq > 3").is_ok());
        for n in 0..200 {
            take(n, "seq > 1").unwrap();
        }
        assert!(conditions.0.lock().unwrap().of_topics.len() < 40, "topics without conditions are forgotten");
    }
}
