//! The pace of work that costs less when more of it is done at once.

use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Keeps the beginnings of pieces of work apart: what comes close together shares a piece. After a pause the next
/// piece begins at once.
#[derive(Debug)]
pub(super) struct Pace {
    apart: Duration,
    /// When the next piece may begin; `None` before the first one.
    due: Option<Instant>,
}

impl Pace {
    /// Pieces that begin `apart` from each other, about.
    pub(super) fn new(apart: Duration) -> Self {
        Self { apart, due: None }
    }

    /// Waits until the next piece may begin.
    pub(super) async fn wait(&self) {
        if let Some(due) = self.after(Instant::now()) {
            sleep_until(due).await;
        }
    }

    /// A piece begins.
    pub(super) fn begin(&mut self) {
        self.begin_at(Instant::now());
    }

    /// When the next piece may begin; `None` if it may begin now.
    fn after(&self, now: Instant) -> Option<Instant> {
        self.due.filter(|due| *due > now)
    }

    fn begin_at(&mut self, now: Instant) {
        self.due = Some(now + self.apart);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_begins_at_once_after_a_pause_and_else_waits_for_its_time() {
        let (zero, apart) = (Instant::now(), Duration::from_millis(10));
        let at = |millis| zero + Duration::from_millis(millis);
        let mut pace = Pace::new(apart);
        assert_eq!(pace.after(zero), None, "the first one");
        pace.begin_at(zero);
        assert_eq!(pace.after(at(3)), Some(at(10)));
        assert_eq!(pace.after(at(10)), None);
        pace.begin_at(at(12));
        assert_eq!(pace.after(at(12)), Some(at(22)), "the time counts from the beginning of the last one");
        assert_eq!(pace.after(at(500)), None, "after a pause");
    }
}
