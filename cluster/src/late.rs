//! A deadline that is fair to other nodes: if a pause of the machine or of this process delayed the process
//! itself past the deadline, answers that arrived meanwhile may still be read.

use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, error::Elapsed, timeout};

/// If a deadline is noticed later than this, this process itself was delayed.
const LATE: Duration = Duration::from_millis(100);
/// Answers that are read within this time are assumed to have arrived in time.
const GRACE: Duration = Duration::from_millis(500);

/// Waits for `future` until `deadline`; a little longer if this process woke too late to know whether it was
/// ready.
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

    /// A task waits for an answer for 20 ms while the process stands still for 300 ms. The answer has arrived
    /// meanwhile, and another task passes it on after `pass_on`.
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
    async fn an_answer_that_arrives_during_a_pause_counts() {
        assert_eq!(paused(Duration::from_millis(20)).await.unwrap(), 7);
        assert!(paused(Duration::from_secs(60)).await.is_err(), "the deadline still ends the wait");
    }

    #[tokio::test]
    async fn a_deadline_ends_a_wait_without_an_answer() {
        let soon = Instant::now() + Duration::from_millis(20);
        assert!(timeout_at(soon, std::future::pending::<()>()).await.is_err());
        assert!(Instant::now() >= soon);
    }
}
