//! What the webhooks of a thread have used up of their rates.
//!
//! An actor counts the requests of its webhook. This keeps the count while the webhook has no actor.

use crate::core::consumer::used::Used;
use crate::core::ids::WebhookId;
use rustc_hash::FxHashMap;
use std::cell::RefCell;

/// The counts, by webhook. A webhook without an entry has used up nothing.
#[derive(Default)]
pub(super) struct UsedRates(RefCell<FxHashMap<WebhookId, Used>>);

impl UsedRates {
    /// Keeps what a webhook has used up.
    pub(super) fn keep(&self, id: WebhookId, used: Used) {
        match used {
            Used::Nothing => self.forget(id),
            used => drop(self.0.borrow_mut().insert(id, used)),
        }
    }

    /// What the webhook has used up.
    pub(super) fn of(&self, id: WebhookId) -> Used {
        self.0.borrow().get(&id).cloned().unwrap_or_default()
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
    fn a_webhook_that_has_used_up_nothing_takes_no_room() {
        let (rates, id) = (UsedRates::default(), WebhookId::from_bytes([1; 16]));
        assert_eq!(rates.of(id), Used::Nothing);
        rates.keep(id, Used::Unknown { until_ms: 5 });
        assert_eq!(rates.of(id), Used::Unknown { until_ms: 5 });
        rates.keep(id, Used::Nothing);
        assert!(rates.0.borrow().is_empty());
        rates.keep(id, Used::Unknown { until_ms: 6 });
        rates.forget(id);
        assert_eq!(rates.of(id), Used::Nothing);
    }
}
