//! Spans that found the queue full, for the log: how many there were since it was told of some.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// Counts spans of which the log has not been told yet.
#[derive(Default)]
pub struct Missed {
    count: AtomicU64,
    some: Notify,
}

impl Missed {
    /// Counts one. Never waits.
    pub(super) fn add(&self) {
        if self.count.fetch_add(1, Ordering::Relaxed) == 0 {
            self.some.notify_one();
        }
    }

    /// Waits for the first one, and then for `gather`, because one seldom comes alone. Returns how many there are,
    /// and counts anew.
    pub async fn next(&self, gather: Duration) -> u64 {
        while self.count.load(Ordering::Relaxed) == 0 {
            self.some.notified().await;
        }
        tokio::time::sleep(gather).await;
        self.count.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn each_is_counted_once() {
        let missed = Missed::default();
        assert_eq!(missed.next(Duration::ZERO).now_or_never(), None, "there is none");
        (0..3).for_each(|_| missed.add());
        assert_eq!(missed.next(Duration::ZERO).await, 3);
        assert_eq!(missed.next(Duration::ZERO).now_or_never(), None, "all were told of");
        // Whoever was woken and waited no longer leaves them to the next one.
        missed.add();
        let _ = missed.next(Duration::from_secs(3600)).now_or_never();
        missed.add();
        assert_eq!(missed.next(Duration::ZERO).await, 2);
    }

    #[tokio::test]
    async fn who_waits_is_woken_by_the_first_one() {
        let missed = Missed::default();
        let (told, ()) = tokio::join!(missed.next(Duration::ZERO), async { missed.add() });
        assert_eq!(told, 1);
    }
}
