//! Why an event waits for a webhook or a consumer, from what is stored of that.

use crate::core::consumer::progress::{Progress, Retry, Source};
use crate::core::time::iso_millis;
use crate::core::webhook::Webhook;
use crate::hub::Clock;
use serde_json::Value;

/// What says why an event waits. Times are readings of the expiry clock (milliseconds).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Waits {
    /// The delivery that waits, if the receiver is past the event.
    delivery: Option<Delivery>,
    /// How many events before it are not settled, if the receiver has yet to come to it.
    ahead: u64,
    /// At the receiver's request nothing is sent before this time; 0 if it did not ask.
    hold_until_ms: u64,
}

/// A delivery that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Delivery {
    /// Attempts so far.
    attempts: u32,
    /// Whether it is one of the stream's own events, in their order.
    is_live: bool,
    due_ms: u64,
}

impl Waits {
    /// What the stored progress says of an event with that seq, whose delivery may wait.
    pub(super) fn of(progress: &Progress, waiting: Option<&Retry>, seq: Option<u64>) -> Self {
        let delivery = waiting.map(|retry| Delivery {
            attempts: retry.attempts,
            is_live: retry.source == Source::Live,
            // A failing receiver gets a pause. The first attempt of all comes after it.
            due_ms: retry.due_ms.max(progress.waiting.due_ms.unwrap_or(0)),
        });
        let ahead = seq.filter(|_| delivery.is_none()).map_or(0, |seq| progress.track.unsettled(0, seq));
        Self { delivery, ahead, hold_until_ms: progress.hold_until_ms }
    }

    /// Adds to `what`, an object, the reason, when the next attempt is due, and how many events come before.
    pub(super) fn tell(&self, webhook: &Webhook, clock: &Clock, what: &mut Value) {
        let inactive = (!webhook.active).then_some(webhook.disabled.is_some());
        let (reason, at_ms) = self.reason(inactive, webhook.is_read(), clock.expiry_ms());
        what["reason"] = reason.into();
        what["next_attempt_at"] = at_ms.map(|ms| iso_millis(clock.shown_ms(ms))).into();
        what["ahead"] = self.ahead.into();
    }

    /// The reason, and when the next attempt is due, if that is known. `inactive` says of a receiver that is not
    /// active whether the server disabled it.
    fn reason(&self, inactive: Option<bool>, is_read: bool, now_ms: u64) -> (&'static str, Option<u64>) {
        let held = Some(self.hold_until_ms).filter(|until_ms| *until_ms > now_ms);
        match (inactive, self.delivery) {
            (Some(true), _) => ("disabled", None),
            (Some(false), _) => ("paused", None),
            (None, Some(Delivery { attempts: 1.., due_ms, .. })) => {
                ("retry", Some(due_ms.max(self.hold_until_ms)))
            }
            (None, Some(Delivery { is_live: true, .. })) => ("order", None),
            _ if held.is_some() => ("pause", held),
            _ if is_read => ("unread", None),
            _ if self.ahead > 0 => ("behind", None),
            _ => ("next", None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::consumer::progress::{EventRef, WaitingSummary};
    use crate::core::ids::EventId;

    const NOW: u64 = 1_000;

    fn retry(attempts: u32, source: Source) -> Retry {
        let event = EventRef { seq: 3, id: EventId::new(1, 1, 0) };
        Retry { events: vec![event], attempts, due_ms: NOW + 50, first_ms: 0, lanes: Vec::new(), source }
    }

    #[test]
    fn an_event_that_the_receiver_has_yet_to_come_to_is_behind_others() {
        let progress = Progress::new(11);
        let behind = Waits::of(&progress, None, Some(31));
        assert_eq!((behind.ahead, behind.reason(None, false, NOW)), (20, ("behind", None)));
        assert_eq!(Waits::of(&progress, None, Some(11)).reason(None, false, NOW), ("next", None));
        assert_eq!(behind.reason(None, true, NOW), ("unread", None), "readers have not acknowledged it");
        assert_eq!(behind.reason(Some(false), false, NOW), ("paused", None));
        assert_eq!(behind.reason(Some(true), false, NOW), ("disabled", None));
        let held = Waits { hold_until_ms: NOW + 1, ..behind };
        assert_eq!(held.reason(None, false, NOW), ("pause", Some(NOW + 1)));
        assert_eq!(held.reason(None, false, NOW + 1), ("behind", None), "the pause is over");
    }

    #[test]
    fn a_delivery_that_waits_was_tried_or_waits_for_its_turn() {
        let mut progress = Progress::new(11);
        let reason = |progress: &Progress, retry: &Retry| {
            Waits::of(progress, Some(retry), Some(3)).reason(None, false, NOW)
        };
        let tried = retry(2, Source::Live);
        assert_eq!(reason(&progress, &tried), ("retry", Some(NOW + 50)));
        assert_eq!(reason(&progress, &retry(0, Source::Live)), ("order", None), "it waits in its lane");
        assert_eq!(reason(&progress, &retry(0, Source::Asked)), ("next", None));
        progress.waiting = WaitingSummary { due_ms: Some(NOW + 90), ..WaitingSummary::default() };
        assert_eq!(reason(&progress, &tried), ("retry", Some(NOW + 90)), "after the receiver's pause");
    }
}
