//! A deadline that is fair to others: where this process was itself held up past it, by a pause of the machine or of the
//! process, what came meanwhile may be read first.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, error::Elapsed, timeout};

/// A deadline that is noticed so late was missed by this process itself.
const LATE: Duration = Duration::from_millis(100);
/// What is read by then had come in time.
const GRACE: Duration = Duration::from_millis(500);

/// Waits for `future` until `deadline`, and a little longer where this process woke too late to tell.
pub(crate) async fn timeout_at<F: Future>(deadline: Instant, future: F) -> Result<F::Output, Elapsed> {
    let mut future = pin!(future);
    match tokio::time::timeout_at(deadline, future.as_mut()).await {
        Err(_) if deadline.elapsed() > LATE => timeout(GRACE, future).await,
        result => result,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::sync::oneshot;

    /// Something waits for an answer for 20 ms while the process stands still for 300 ms; the answer is on the way, and
    /// passed on by another task after `pass_on`.
    async fn paused(pass_on: Duration) -> Result<u8, Elapsed> {
        let (answer, answered) = oneshot::channel();
        let waiting = timeout_at(Instant::now() + Duration::from_millis(20), answered);
        let reading = tokio::spawn(async move {
            std::thread::sleep(Duration::from_millis(300));
            tokio::time::sleep(pass_on).await;
            let _ = answer.send(7);
        });
        let result = waiting.await.map(|answer| answer.unwrap_or(0));
        reading.abort();
        result
    }

    #[tokio::test]
    async fn what_came_during_a_pause_counts() {
        assert_eq!(paused(Duration::from_millis(20)).await.unwrap(), 7);
        assert!(paused(Duration::from_secs(60)).await.is_err(), "it ends all the same");
    }

    #[tokio::test]
    async fn a_deadline_ends_what_never_comes() {
        let soon = Instant::now() + Duration::from_millis(20);
        assert!(timeout_at(soon, std::future::pending::<()>()).await.is_err());
        assert!(Instant::now() >= soon);
    }
}
