//! The metrics of attempts. Labels are bounded: an attempt is counted by its class, never by its address.

use crate::core::event::Event;
use crate::core::webhook::outcome::Class;
use crate::core::webhook::records::DeadLetter;
use crate::metric;
use metrics::{Counter, Histogram};

/// The metrics that nearly every attempt changes. They are looked up once, since a look-up costs more than a
/// change.
pub(super) struct Meters {
    delivered_attempts: Counter,
    delivered_events: Counter,
    attempt_seconds: Histogram,
    delay_seconds: Histogram,
    handed: Counter,
    acknowledged: Counter,
}

impl Meters {
    pub(super) fn new() -> Self {
        Self {
            delivered_attempts: attempts(Class::Delivered),
            delivered_events: metrics::counter!(metric::WEBHOOK_DELIVERED),
            attempt_seconds: metrics::histogram!(metric::WEBHOOK_ATTEMPT_SECONDS),
            delay_seconds: metrics::histogram!(metric::WEBHOOK_DELAY_SECONDS),
            handed: metrics::counter!(metric::CONSUMER_HANDED),
            acknowledged: metrics::counter!(metric::CONSUMER_ACKNOWLEDGED),
        }
    }

    /// Counts an event that was handed to a reader.
    pub(super) fn handed(&self) {
        self.handed.increment(1);
    }

    /// Counts what became of an event that a reader had.
    pub(super) fn read(&self, class: Class) {
        match class {
            Class::Delivered => self.acknowledged.increment(1),
            class => metrics::counter!(metric::CONSUMER_RETURNED, "class" => class.name()).increment(1),
        }
    }

    /// Counts an attempt that ended at `now_ms` by the cluster's time.
    pub(super) fn attempt(&self, class: Class, took_ms: u32, events: &[Event], now_ms: u64) {
        self.attempt_seconds.record(f64::from(took_ms) / 1000.0);
        if class != Class::Delivered {
            attempts(class).increment(1);
            return;
        }
        self.delivered_attempts.increment(1);
        self.delivered_events.increment(events.len() as u64);
        for event in events {
            let delay_ms = now_ms.saturating_sub(event.time_ms);
            self.delay_seconds.record(delay_ms as f64 / 1000.0);
        }
    }
}

fn attempts(class: Class) -> Counter {
    metrics::counter!(metric::WEBHOOK_ATTEMPTS, "class" => class.name())
}

/// Counts events that were given up.
pub(super) fn dead_letters<'a>(dead_letters: impl Iterator<Item = &'a DeadLetter>) {
    for dead_letter in dead_letters {
        metrics::counter!(metric::WEBHOOK_DEAD_LETTERS, "class" => dead_letter.class().name()).increment(1);
    }
}
