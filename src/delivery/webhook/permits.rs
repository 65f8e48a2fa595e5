//! The permits for requests under way on a node, for all its threads.
//!
//! Owns who holds one and who waits for one; [`Shares`] decides who is next. So, however many webhooks hang,
//! there is room for the others.

use super::guard::Receiver;
use crate::core::consumer::shares::{Claim, Shares, Speed};
use crate::core::ids::WebhookId;
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// The permits. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Permits(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    shares: Shares<Receiver>,
    /// How the requests that wait are woken.
    waiting: FxHashMap<u64, oneshot::Sender<()>>,
}

/// A permit, or the wait for one. Dropping it gives it back, or ends the wait.
#[derive(Debug)]
pub(super) struct Permit {
    permits: Permits,
    number: u64,
}

impl Permits {
    /// Allows `total` requests at once.
    pub(super) fn new(total: usize) -> Self {
        let inner = Inner { shares: Shares::new(total), waiting: FxHashMap::default() };
        Self(Arc::new(Mutex::new(inner)))
    }

    /// Whether no request is under way.
    pub(super) fn all_back(&self) -> bool {
        self.lock().shares.held() == 0
    }

    /// Waits for a permit. `speed` is what is known of the webhook's receiver.
    pub(super) async fn take(&self, claim: Claim<Receiver>, speed: Speed) -> Permit {
        let (permit, turn) = self.ask(claim, speed);
        if let Some(turn) = turn {
            // The sender is kept as long as the permit.
            let _ = turn.await;
        }
        permit
    }

    fn ask(&self, claim: Claim<Receiver>, speed: Speed) -> (Permit, Option<oneshot::Receiver<()>>) {
        let mut inner = self.lock();
        let (number, begins) = inner.shares.ask(claim, speed);
        let turn = (!begins).then(|| {
            let (wake, turn) = oneshot::channel();
            inner.waiting.insert(number, wake);
            turn
        });
        (Permit { permits: self.clone(), number }, turn)
    }

    /// Records the speed of a webhook's receiver, also for its requests that wait.
    pub(super) fn set_speed(&self, webhook: WebhookId, speed: Speed) {
        let mut inner = self.lock();
        let begun = inner.shares.set_speed(webhook, speed);
        inner.wake(begun);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// The request has been under way for long. From now on it counts as a slow one.
    pub(super) fn turned_slow(&self) {
        self.permits.lock().shares.turned_slow(self.number);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut inner = self.permits.lock();
        inner.waiting.remove(&self.number);
        let begun = inner.shares.end(self.number);
        inner.wake(begun);
    }
}

impl Inner {
    fn wake(&mut self, begun: Vec<u64>) {
        for turn in begun.into_iter().filter_map(|number| self.waiting.remove(&number)) {
            // Whoever does not wait any more gives the permit back.
            let _ = turn.send(());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::ids::MapId;
    use crate::delivery::webhook::guard::Target;
    use futures_util::FutureExt;

    fn claim(map: u8) -> Claim<Receiver> {
        let receiver = Target::parse(&format!("http://{map}.example/")).unwrap().receiver();
        Claim { map: MapId::from_bytes([map; 16]), consumer: WebhookId::from_bytes([map; 16]), receiver }
    }

    #[actix_web::test]
    async fn a_permit_that_is_given_back_wakes_the_next() {
        let permits = Permits::new(1);
        let first = permits.take(claim(1), Speed::Quick).await;
        let mut second = Box::pin(permits.take(claim(2), Speed::Quick));
        let mut third = Box::pin(permits.take(claim(3), Speed::Quick));
        assert!((&mut second).now_or_never().is_none() && (&mut third).now_or_never().is_none());
        drop(second);
        drop(first);
        let third = third.now_or_never().unwrap();
        assert!(!permits.all_back());
        drop(third);
        assert!(permits.all_back());
    }

    #[actix_web::test]
    async fn a_permit_is_not_lost_by_a_request_that_is_dropped_in_its_turn() {
        let permits = Permits::new(1);
        let first = permits.take(claim(1), Speed::Quick).await;
        let mut second = Box::pin(permits.take(claim(2), Speed::Quick));
        let mut third = Box::pin(permits.take(claim(3), Speed::Slow));
        assert!((&mut second).now_or_never().is_none() && (&mut third).now_or_never().is_none());
        drop(first);
        // The second has its turn, and has not heard of it yet.
        drop(second);
        assert!(third.now_or_never().is_some());
        assert!(permits.all_back());
    }
}
