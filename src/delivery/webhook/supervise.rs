//! Work that goes on for as long as the node runs, through panics.

use crate::metric;
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// Pause before work that panicked begins again.
const PAUSE: Duration = Duration::from_secs(1);

/// Does `work`; where it panics, again after a pause. It is told whether it does so again: what it held is lost.
pub(super) async fn supervise<F: Future<Output = ()>>(what: &'static str, mut work: impl FnMut(bool) -> F) {
    let mut again = false;
    while AssertUnwindSafe(work(again)).catch_unwind().await.is_err() {
        tracing::error!(what, "a task of the webhooks panicked; it is begun anew");
        metrics::counter!(metric::ACTORS_LOST, "actor" => what).increment(1);
        again = true;
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[actix_web::test]
    async fn work_that_panics_begins_anew() {
        let rounds = RefCell::new(Vec::new());
        let work = |again| {
            rounds.borrow_mut().push(again);
            let last = rounds.borrow().len() == 3;
            async move {
                if last {
                } else {
                    panic!("as it should")
                }
            }
        };
        supervise("webhook_test", work).await;
        assert_eq!(*rounds.borrow(), [false, true, true]);
    }
}
