//! What of the log may go: never beyond what the store has durably, and what others still need only where
//! there is no room.

use crate::config::Config;
use crate::disk::Room;

/// What the log holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    /// Last entry that the store has durably.
    pub(crate) durable: u64,
    /// Last entry that is gone already.
    pub(crate) purged: u64,
    /// Size of the log (bytes).
    pub(crate) bytes: u64,
    /// A member that is reached has everything up to here, and not yet more.
    pub(crate) needed_after: u64,
}

impl Held {
    /// The last entry that may go, so that what stays is within the limits of entries and bytes.
    pub(crate) fn upto(&self, config: &Config, room: Room) -> u64 {
        if room.is_closed {
            return self.durable;
        }
        let mut upto = self.durable.saturating_sub(config.keep_entries);
        if self.bytes > config.keep_bytes && self.durable > self.purged {
            // Entries are taken as equally large; the next round corrects what that gets wrong.
            let over = (self.bytes - config.keep_bytes) as f64 / self.bytes as f64;
            upto = upto.max(self.purged + ((self.durable - self.purged) as f64 * over) as u64);
        }
        if room.is_full { upto.max(self.durable.min(self.needed_after)) } else { upto }
    }

    /// The last entry that is to go now, if any is.
    pub(crate) fn due(&self, config: &Config, room: Room) -> Option<u64> {
        let upto = self.upto(config, room);
        // In steps: each purge costs a record and a flush. Where it is about room, few entries may be many
        // bytes.
        let pressed = room.is_full || room.is_closed || self.bytes > far_beyond(config);
        let step = if pressed { 0 } else { config.keep_entries.min(config.checkpoint_entries) / 4 };
        (upto > self.purged + step).then_some(upto)
    }
}

/// Size of the log (bytes) that is clearly beyond its limit.
pub(crate) fn far_beyond(config: &Config) -> u64 {
    config.keep_bytes.saturating_add(config.keep_bytes / 4)
}

#[cfg(all(test, not(feature = "sim")))]
mod tests {
    use super::*;

    const LARGE: Held = Held { durable: 1000, purged: 0, bytes: 1000 << 20, needed_after: u64::MAX };
    const ROOM: Room = Room { total: 0, free: 0, reserve: 0, is_full: false, is_closed: false };
    const FULL: Room = Room { is_full: true, ..ROOM };
    const CLOSED: Room = Room { is_closed: true, ..FULL };

    #[test]
    fn a_few_large_entries_go_by_their_bytes() {
        // 1000 entries of 1 MiB: far fewer than `keep_entries`, far more than `keep_bytes`.
        assert_eq!(LARGE.due(&Config::default(), ROOM), Some(744));
        let within = Held { bytes: 256 << 20, purged: 744, ..LARGE };
        assert_eq!(within.due(&Config::default(), ROOM), None);
        let a_little = Held { bytes: 257 << 20, purged: 744, ..LARGE };
        assert_eq!(a_little.due(&Config::default(), ROOM), None, "not for every entry");
    }

    #[test]
    fn many_small_entries_go_by_their_number_in_steps() {
        let small = Held { durable: 110_000, purged: 9000, bytes: 1 << 20, needed_after: 0 };
        assert_eq!(small.due(&Config::default(), ROOM), None);
        assert_eq!(Held { purged: 7000, ..small }.due(&Config::default(), ROOM), Some(10_000));
    }

    #[test]
    fn a_full_disk_lets_everything_durable_go_that_nobody_needs() {
        let held = Held { bytes: 50 << 20, purged: 100, needed_after: 700, ..LARGE };
        assert_eq!(held.due(&Config::default(), ROOM), None);
        assert_eq!(held.due(&Config::default(), FULL), Some(700), "a follower is at 700");
        assert_eq!(Held { needed_after: u64::MAX, ..held }.due(&Config::default(), FULL), Some(1000));
        assert_eq!(held.due(&Config::default(), CLOSED), Some(1000), "it gets a snapshot");
        assert_eq!(Held { purged: 1000, ..held }.due(&Config::default(), CLOSED), None);
    }
}
