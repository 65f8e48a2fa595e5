//! Tasks that run as long as the node, also after a panic.

use crate::metric;
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// The pause before work that panicked begins again.
const PAUSE: Duration = Duration::from_secs(1);

/// Does `work`. If it panics, it begins again after a pause. Its argument says whether it begins again: the
/// state that it held is lost then.
pub(super) async fn supervise<F: Future<Output = ()>>(what: &'static str, mut work: impl FnMut(bool) -> F) {
    let mut again = false;
    while AssertUnwindSafe(work(again)).catch_unwind().await.is_err() {
        tracing::error!(what, "a task of the webhooks panicked; it begins again after a pause");
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
    async fn work_that_panics_begins_again() {
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
