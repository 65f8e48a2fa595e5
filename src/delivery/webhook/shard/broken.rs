//! Webhooks that can't be delivered to now: their settings are bad, the store is unreadable, or a panic ended
//! their actor.
//!
//! Owns the length of the pause before each of them is tried again. Each pause is longer than the last one.

use crate::core::ids::WebhookId;
use rustc_hash::FxHashMap;
use std::cell::RefCell;
use std::time::{Duration, Instant};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A failure longer ago than this does not lengthen the next pause.
const FORGIVEN: Duration = Duration::from_secs(600);

/// The failures, by webhook.
#[derive(Default)]
pub(super) struct Broken(RefCell<FxHashMap<WebhookId, Trouble>>);

struct Trouble {
    times: u32,
    last: Instant,
    rests: bool,
    /// The reason that was reported to the cluster last.
    reported: Option<String>,
}

impl Broken {
    /// Notes a failure: the webhook pauses from now on. Returns the length of the pause, and a number for
    /// [`Broken::is_over`].
    pub(super) fn note(&self, id: WebhookId) -> (Duration, u32) {
        let mut troubles = self.0.borrow_mut();
        let now = Instant::now();
        let trouble =
            troubles.entry(id).or_insert(Trouble { times: 0, last: now, rests: true, reported: None });
        // The number goes on counting, so that the end of an earlier pause does not end this one.
        let recent = trouble.last.elapsed() < FORGIVEN;
        let doublings = if recent { trouble.times.min(16) } else { 0 };
        trouble.times = if recent { trouble.times + 1 } else { 1 };
        (trouble.last, trouble.rests) = (now, true);
        ((FIRST_PAUSE * (1 << doublings)).min(LONGEST_PAUSE), trouble.times)
    }

    /// Whether this reason is to be reported to the cluster: it is not the one that was reported last.
    pub(super) fn is_news(&self, id: WebhookId, why: &str) -> bool {
        let mut troubles = self.0.borrow_mut();
        let Some(trouble) = troubles.get_mut(&id) else { return true };
        trouble.reported.replace(why.to_owned()).is_none_or(|reported| reported != why)
    }

    /// The webhook can be delivered to again.
    pub(super) fn works(&self, id: WebhookId) {
        if let Some(trouble) = self.0.borrow_mut().get_mut(&id) {
            trouble.reported = None;
        }
    }

    /// Whether the webhook pauses now.
    pub(super) fn rests(&self, id: WebhookId) -> bool {
        self.0.borrow().get(&id).is_some_and(|trouble| trouble.rests)
    }

    /// The time of the pause with that number has passed. Returns whether that ends the webhook's pause:
    /// another pause may have begun meanwhile.
    pub(super) fn is_over(&self, id: WebhookId, number: u32) -> bool {
        let mut troubles = self.0.borrow_mut();
        let Some(trouble) = troubles.get_mut(&id) else { return false };
        trouble.times == number && std::mem::take(&mut trouble.rests)
    }

    /// Something changed that may have removed the fault: the webhook may be tried at once.
    pub(super) fn wake(&self, id: WebhookId) {
        if let Some(trouble) = self.0.borrow_mut().get_mut(&id) {
            trouble.rests = false;
        }
    }

    /// This node does not own the webhook any more.
    pub(super) fn forget(&self, id: WebhookId) {
        self.0.borrow_mut().remove(&id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pause_is_longer_and_has_one_end() {
        let broken = Broken::default();
        let id = WebhookId::from_bytes([1; 16]);
        assert!(!broken.rests(id));
        let (first, number) = broken.note(id);
        assert!(broken.rests(id));
        broken.wake(id);
        assert!(!broken.rests(id), "a change is tried at once");
        let (second, later) = broken.note(id);
        assert!(second == first * 2 && !broken.is_over(id, number) && broken.rests(id));
        assert!(broken.is_over(id, later) && !broken.rests(id) && !broken.is_over(id, later));
        let longest = (0..100).map(|_| broken.note(id).0).max();
        assert_eq!(longest, Some(LONGEST_PAUSE));
        broken.forget(id);
        assert_eq!(broken.note(id).0, first);
    }

    #[test]
    fn a_reason_is_reported_once_until_it_changes_or_the_webhook_works() {
        let broken = Broken::default();
        let id = WebhookId::from_bytes([1; 16]);
        broken.note(id);
        assert!(broken.is_news(id, "a") && !broken.is_news(id, "a"));
        broken.note(id);
        assert!(!broken.is_news(id, "a") && broken.is_news(id, "b"));
        broken.works(id);
        assert!(broken.is_news(id, "b"));
    }
}
