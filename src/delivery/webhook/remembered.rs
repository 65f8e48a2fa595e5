//! The record of an attempt, the same for deliveries and tests.
//!
//! A record is short, whatever the receiver answers.

use super::sender::Ended;
use crate::core::event::Event;
use crate::core::ids::NodeId;
use crate::core::webhook::records::Attempt;

/// The record of an attempt that has ended. The caller sets its `number` and its `seq`.
pub(super) fn attempt(ended: &Ended, events: &[Event], attempt: u32, at_ms: u64, node: NodeId) -> Attempt {
    let mut attempt = Attempt {
        number: 0,
        seq: None,
        message_id: ended.message_id.clone(),
        events: events.len() as u32,
        kind: events.first().map(|event| event.kind.to_string()).unwrap_or_default(),
        attempt,
        at_ms,
        took_ms: ended.took_ms,
        class: ended.outcome.class,
        sent: ended.outcome.sent,
        stage: ended.stage,
        status: ended.outcome.status,
        error: ended.error.clone(),
        answer: ended.answer.clone(),
        node,
    };
    attempt.clip();
    attempt
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::codec;
    use crate::core::event::NewEvent;
    use crate::core::ids::EventId;
    use crate::core::webhook::outcome::{Class, Outcome};

    #[test]
    fn a_record_is_short_whatever_the_receiver_answers() {
        let ended = Ended {
            outcome: Outcome::failed(Class::Function),
            error: Some("ü".repeat(125_000)),
            stage: None,
            answer: "\u{fffd}".repeat(125_000),
            took_ms: 1,
            message_id: "m".repeat(125_000),
        };
        let id = EventId::new(1, 1, 0);
        let event = NewEvent::new(Default::default(), "k".repeat(125_000), "{}").placed(id, 1, 1);
        let remembered = attempt(&ended, &[event], 1, 1, 1);
        assert!(codec::encode(&remembered).unwrap().len() < 1500);
    }
}
