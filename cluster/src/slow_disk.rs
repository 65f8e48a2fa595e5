//! Finds out whether this node's disk is slow: far behind, while a majority of the nodes is not.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::log::Log;
use crate::syncs::{Lag, SyncTimes, Worst};

/// A write that is not on disk after this long is late.
const LATE: Duration = Duration::from_secs(2);
/// A disk is slow if it is this many times as far behind as the others were …
const TIMES: u32 = 4;
/// … in the last ten or twenty seconds.
const LATELY: Duration = Duration::from_secs(10);
/// A disk that was slow is trusted again once it was not slow for this long.
const CALM: Duration = Duration::from_secs(30);

/// What the disk is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum DiskSpeed {
    /// As usual.
    #[default]
    Usual,
    /// A write is late, but perhaps the other nodes are no faster.
    Late,
    /// A write is late that a majority of the nodes had long ago.
    Slow,
    /// It was slow a moment ago.
    WasSlow,
}

/// How far the disks were behind until now.
#[derive(Debug)]
struct Course {
    speed: DiskSpeed,
    /// How far the others were behind lately.
    others: Worst,
    /// When the disk was last slow.
    slow: Option<Instant>,
}

impl Course {
    fn new() -> Self {
        Self { speed: DiskSpeed::Usual, others: Worst::new(LATELY), slow: None }
    }

    fn note(&mut self, lag: Lag, now: Instant) -> DiskSpeed {
        self.others.note(lag.others, now);
        let is_slow = lag.alone >= LATE.max(self.others.get(now) * TIMES);
        if is_slow {
            self.slow = Some(now);
        }
        let was_slow = self.slow.is_some_and(|at| now.saturating_duration_since(at) < CALM);
        self.speed = match lag.own >= LATE {
            true if is_slow => DiskSpeed::Slow,
            true => DiskSpeed::Late,
            false if was_slow => DiskSpeed::WasSlow,
            false => DiskSpeed::Usual,
        };
        self.speed
    }
}

/// How fast the disk of this node's log is, beside those of the others.
pub(crate) struct SlowDisk {
    log: Log,
    course: Mutex<Course>,
}

impl SlowDisk {
    pub(crate) fn new(log: Log) -> Arc<Self> {
        Arc::new(Self { log, course: Mutex::new(Course::new()) })
    }

    /// Looks at the disk; called several times a second. Everything up to `committed` is committed.
    pub(crate) fn look(&self, committed: u64) -> DiskSpeed {
        let lag = self.log.syncs().lag(committed);
        self.course.lock().unwrap_or_else(PoisonError::into_inner).note(lag, Instant::now())
    }

    /// What the disk was like when it was last looked at.
    pub(crate) fn speed(&self) -> DiskSpeed {
        self.course.lock().unwrap_or_else(PoisonError::into_inner).speed
    }

    /// How long the disk takes.
    pub(crate) fn times(&self) -> SyncTimes {
        self.log.syncs().times()
    }
}

#[cfg(all(test, not(feature = "sim")))]
mod tests {
    use super::*;

    /// What a disk is like with these lags (ms, of this node and of the others) that are noted every 100 ms.
    fn speeds_of(lags: impl IntoIterator<Item = (u64, u64)>) -> Vec<DiskSpeed> {
        let mut course = Course::new();
        let began = Instant::now();
        let ms = Duration::from_millis;
        let note = |(n, (own, others)): (u32, (u64, u64))| {
            // The oldest write is committed unless the others have not got it either.
            let alone = if others < own { own } else { 0 };
            let lag = Lag { own: ms(own), alone: ms(alone), others: ms(others) };
            course.note(lag, began + ms(100) * n)
        };
        (0..).zip(lags).map(note).collect()
    }

    #[test]
    fn a_disk_that_hangs_is_slow_soon() {
        let speeds = speeds_of((0..40).map(|n| (n * 100, 300)));
        let first = speeds.iter().position(|speed| *speed == DiskSpeed::Slow);
        assert!(first.is_some_and(|n| n <= 25), "{speeds:?}");
        assert_eq!(speeds.last(), Some(&DiskSpeed::Slow));
    }

    #[test]
    fn no_disk_is_slow_that_is_as_slow_as_the_others() {
        // All syncs take about two seconds, those of the others half a second earlier or later.
        let lags = (0..200_u64).map(|n| (n * 100 % 2000 + 500, (n * 100 + 700) % 2000));
        let speeds = speeds_of(lags);
        assert!(!speeds.contains(&DiskSpeed::Slow), "{speeds:?}");
        assert!(speeds.contains(&DiskSpeed::Late));
    }

    #[test]
    fn a_disk_that_was_slow_is_not_trusted_at_once() {
        let slow = (0..30).map(|n| (n * 100, 0));
        let speeds = speeds_of(slow.chain((0..310).map(|_| (1, 1))));
        assert_eq!(speeds.get(30), Some(&DiskSpeed::WasSlow));
        assert_eq!(speeds.last(), Some(&DiskSpeed::Usual));
    }
}
