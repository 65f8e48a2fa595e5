//! Counting attempts. Labels are bounded: by class, never by address.

use crate::clock::now_ms;
use crate::core::endpoint::class::Class;
use crate::core::endpoint::progress::DeadLetter;
use crate::core::event::Event;
use crate::metric;

/// An attempt has ended.
pub(super) fn attempt(class: Class, took_ms: u32, events: &[Event]) {
    metrics::counter!(metric::WEBHOOK_ATTEMPTS, "class" => class.name()).increment(1);
    metrics::histogram!(metric::WEBHOOK_ATTEMPT_SECONDS).record(f64::from(took_ms) / 1000.0);
    if class != Class::Delivered {
        return;
    }
    metrics::counter!(metric::WEBHOOK_DELIVERED).increment(events.len() as u64);
    let now_ms = now_ms();
    for event in events {
        let delay_ms = now_ms.saturating_sub(event.id.time_ms());
        metrics::histogram!(metric::WEBHOOK_DELAY_SECONDS).record(delay_ms as f64 / 1000.0);
    }
}

/// Events were given up.
pub(super) fn buried(letters: &[DeadLetter]) {
    for letter in letters {
        metrics::counter!(metric::WEBHOOK_DEAD_LETTERS, "class" => letter.class.name()).increment(1);
    }
}
