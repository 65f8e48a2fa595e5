//! The patterns of subjects of this node's subscriptions. Each map may have a limited number of distinct
//! ones.
//!
//! Every pattern is matched against every subject that is published to, so the number of patterns limits the
//! cost of publishing. The limit is checked when a subscription begins, never when events are delivered.

use crate::core::ids::TopicId;
use crate::core::subject::{Several, SubjectPattern};
use crate::core::text::counted;
use rustc_hash::FxHashMap;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The map has as many distinct patterns as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the map's subscribers have {} on this node, the most there may be",
    counted(*.0, "pattern of subjects", "different patterns of subjects")
)]
pub struct TooManyPatterns(pub usize);

/// How many subscriptions use each pattern, by stream.
#[derive(Clone, Default)]
pub(super) struct Patterns(Arc<Mutex<FxHashMap<TopicId, HashMap<SubjectPattern, usize>>>>);

/// The patterns of a subscription. They count until this is dropped.
pub struct PatternsInUse {
    all: Patterns,
    stream: TopicId,
    selector: Arc<Several>,
}

impl Patterns {
    /// Counts the patterns of a subscription to the stream.
    pub(super) fn take(
        &self,
        stream: TopicId,
        selector: Arc<Several>,
        most: usize,
    ) -> Result<PatternsInUse, TooManyPatterns> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.entry(stream).or_default();
        let new = selector.patterns().iter().filter(|pattern| !known.contains_key(*pattern)).count();
        if new > 0 && known.len() + new > most {
            if known.is_empty() {
                all.remove(&stream);
            }
            return Err(TooManyPatterns(most));
        }
        for pattern in selector.patterns() {
            *known.entry(pattern.clone()).or_default() += 1;
        }
        Ok(PatternsInUse { all: self.clone(), stream, selector })
    }
}

impl Drop for PatternsInUse {
    fn drop(&mut self) {
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(known) = all.get_mut(&self.stream) else { return };
        for pattern in self.selector.patterns() {
            if let Some(count) = known.get_mut(pattern) {
                *count -= 1;
                if *count == 0 {
                    known.remove(pattern);
                }
            }
        }
        if known.is_empty() {
            all.remove(&self.stream);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::subject::Selector;

    #[test]
    fn a_pattern_counts_once_and_only_while_it_is_in_use() {
        let patterns = Patterns::default();
        let take = |stream: u64, names: &[&str]| {
            let selector = Selector::from_names(names.iter().map(|name| Ok(*name))).unwrap();
            let Selector::Several(several) = selector else { return Err(TooManyPatterns(0)) };
            patterns.take(TopicId(stream), several, 2)
        };
        let first = take(1, &["a*", "user-1"]).unwrap();
        let same = take(1, &["a*", "user-2"]).unwrap();
        let second = take(1, &["b*", "a*"]).unwrap();
        assert_eq!(take(1, &["c*"]).err(), Some(TooManyPatterns(2)));
        assert!(take(2, &["c*"]).is_ok(), "another stream");
        assert_eq!(take(3, &["c*", "d*", "e*"]).err(), Some(TooManyPatterns(2)));
        drop(first);
        drop(second);
        let third = take(1, &["c*"]).unwrap();
        assert!(take(1, &["d*"]).is_err(), "a* is in use");
        drop((same, third));
        assert!(patterns.0.lock().unwrap().is_empty());
    }
}
