//! Subscriptions that begin: each waits until the other nodes have confirmed its version.

use std::collections::VecDeque;
use tokio::sync::oneshot;

/// Tells a subscription that it is live.
pub(super) type Live = oneshot::Sender<()>;

/// Those who wait, with their versions, which rise: whoever began first waits for the lowest one.
#[derive(Debug, Default)]
pub(super) struct Waiting(VecDeque<(u64, Live)>);

impl Waiting {
    /// Adds a subscription that waits for this version, which is higher than all before.
    pub(super) fn add(&mut self, version: u64) -> oneshot::Receiver<()> {
        // All wait equally long, so those who gave up stand in front.
        while self.0.front().is_some_and(|(_, live)| live.is_closed()) {
            self.0.pop_front();
        }
        let (live, is_live) = oneshot::channel();
        self.0.push_back((version, live));
        is_live
    }

    /// How many wait, about: some of them may have given up.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes those who wait for this version or a lower one, in the order of their versions. Those who gave up
    /// are not among them.
    pub(super) fn take(&mut self, version: u64) -> Vec<(u64, Live)> {
        let confirmed = self.0.partition_point(|(waits_for, _)| *waits_for <= version);
        self.0.drain(..confirmed).filter(|(_, live)| !live.is_closed()).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn versions(taken: &[(u64, Live)]) -> Vec<u64> {
        taken.iter().map(|(version, _)| *version).collect()
    }

    #[test]
    fn only_those_are_taken_whose_version_is_reached() {
        let mut waiting = Waiting::default();
        let [_one, two, _four] = [1, 2, 4].map(|version| waiting.add(version));
        assert!(waiting.take(0).is_empty());
        drop(two);
        assert_eq!(versions(&waiting.take(3)), [1], "the second gave up");
        assert!(waiting.take(3).is_empty(), "nobody is taken twice");
        assert_eq!(versions(&waiting.take(u64::MAX)), [4]);
    }

    #[test]
    fn those_who_gave_up_are_forgotten_when_the_next_one_comes() {
        let mut waiting = Waiting::default();
        for version in 1..100 {
            drop(waiting.add(version));
        }
        let _last = waiting.add(100);
        assert_eq!(waiting.len(), 1);
    }
}
