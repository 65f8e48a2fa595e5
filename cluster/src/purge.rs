//! Decides how much of the log may be purged: never more than the store has durably. As long as the disk has
//! room, the entries that a member needs after its snapshot are kept beyond the configured limits. On a full
//! disk, entries within the limits go too, those that other nodes still need last.

use crate::config::Config;
use crate::disk_budget::Room;

/// The present content of the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    /// The last entry that the store has durably.
    pub(crate) durable: u64,
    /// The last entry that is purged already.
    pub(crate) purged: u64,
    /// Size of the log (bytes).
    pub(crate) bytes: u64,
    /// A reachable member has everything up to here, and nothing after it yet.
    pub(crate) needed_after: u64,
    /// A member that is brought up to date with a snapshot needs everything after this entry; [`u64::MAX`] if
    /// there is no such member.
    pub(crate) kept_after: u64,
}

impl Held {
    /// The last entry that may be purged, so that what stays is within the limits of entries and bytes, or is
    /// kept for a member.
    pub(crate) fn upto(&self, config: &Config, room: Room) -> u64 {
        if room.is_closed {
            return self.durable;
        }
        let mut upto = self.durable.saturating_sub(config.keep_entries);
        if self.bytes > config.keep_bytes && self.durable > self.purged {
            // This assumes entries of equal size; the next round corrects the error.
            let over = (self.bytes - config.keep_bytes) as f64 / self.bytes as f64;
            upto = upto.max(self.purged + ((self.durable - self.purged) as f64 * over) as u64);
        }
        if room.is_full {
            upto.max(self.durable.min(self.needed_after))
        } else if self.fits(config, room) {
            upto.min(self.kept_after)
        } else {
            upto
        }
    }

    /// Whether the disk has room to keep the log for a member: twice the reserve, and beyond that as much as
    /// the log already takes beyond its limit of bytes. So the log takes at most half of what was left.
    fn fits(&self, config: &Config, room: Room) -> bool {
        let beyond = self.bytes.saturating_sub(config.keep_bytes);
        room.free.checked_sub(room.reserve.saturating_mul(2)).is_some_and(|left| beyond <= left)
    }

    /// Whether the log is clearly larger than it may be, and may be purged.
    pub(crate) fn is_far_beyond(&self, config: &Config) -> bool {
        self.kept_after == u64::MAX && self.bytes > config.keep_bytes.saturating_add(config.keep_bytes / 4)
    }

    /// The last entry that must be purged now, if any.
    pub(crate) fn due(&self, config: &Config, room: Room) -> Option<u64> {
        let upto = self.upto(config, room);
        // In steps, because each purge costs a record and a flush. If space is short, purge at once: few
        // entries may be many bytes.
        let pressed = room.is_full || room.is_closed || self.is_far_beyond(config);
        let step = if pressed { 0 } else { config.keep_entries.min(config.checkpoint_entries) / 4 };
        (upto > self.purged + step).then_some(upto)
    }
}

#[cfg(all(test, not(feature = "sim")))]
mod tests {
    use super::*;

    const LARGE: Held =
        Held { durable: 1000, purged: 0, bytes: 1000 << 20, needed_after: u64::MAX, kept_after: u64::MAX };
    const ROOM: Room =
        Room { total: 0, free: 0, reusable: 0, lent: 0, reserve: 0, is_full: false, is_closed: false };
    const FULL: Room = Room { is_full: true, ..ROOM };
    const CLOSED: Room = Room { is_closed: true, ..FULL };

    #[test]
    fn a_few_large_entries_are_purged_by_bytes() {
        // 1000 entries of 1 MiB: far fewer than `keep_entries`, far more than `keep_bytes`.
        assert_eq!(LARGE.due(&Config::default(), ROOM), Some(744));
        let within = Held { bytes: 256 << 20, purged: 744, ..LARGE };
        assert_eq!(within.due(&Config::default(), ROOM), None);
        let a_little = Held { bytes: 257 << 20, purged: 744, ..LARGE };
        assert_eq!(a_little.due(&Config::default(), ROOM), None, "a small excess is not purged");
    }

    #[test]
    fn many_small_entries_are_purged_by_number_in_steps() {
        let small = Held { durable: 110_000, purged: 9000, bytes: 1 << 20, needed_after: 0, ..LARGE };
        assert_eq!(small.due(&Config::default(), ROOM), None);
        assert_eq!(Held { purged: 7000, ..small }.due(&Config::default(), ROOM), Some(10_000));
    }

    #[test]
    fn a_full_disk_purges_every_durable_entry_that_no_member_needs() {
        let held = Held { bytes: 50 << 20, purged: 100, needed_after: 700, ..LARGE };
        assert_eq!(held.due(&Config::default(), ROOM), None);
        assert_eq!(held.due(&Config::default(), FULL), Some(700), "a follower is at 700");
        assert_eq!(Held { needed_after: u64::MAX, ..held }.due(&Config::default(), FULL), Some(1000));
        assert_eq!(held.due(&Config::default(), CLOSED), Some(1000), "the follower gets a snapshot");
        assert_eq!(Held { purged: 1000, ..held }.due(&Config::default(), CLOSED), None);
    }

    #[test]
    fn entries_are_kept_for_a_member_that_catches_up_as_long_as_the_disk_has_room() {
        let config = Config::default();
        let roomy = Room { free: 10 << 30, reserve: 1 << 30, ..ROOM };
        let kept = Held { kept_after: 300, ..LARGE };
        assert_eq!(kept.upto(&config, roomy), 300);
        assert_eq!(
            Held { kept_after: 900, ..LARGE }.upto(&config, roomy),
            744,
            "it needs less than the log keeps anyway"
        );
        // 744 MiB are beyond the limit.
        let tight = |mib: u64| Room { free: (2 << 30) + (mib << 20), ..roomy };
        assert_eq!(kept.upto(&config, tight(744)), 300);
        assert_eq!(kept.upto(&config, tight(743)), 744);
        let within = Held { bytes: 1 << 20, durable: 200_000, ..kept };
        assert_eq!(within.upto(&config, tight(0)), 300, "the log is not larger than it may be");
        let short = Room { free: 1 << 30, ..roomy };
        assert_eq!(within.upto(&config, short), 100_000, "so little is left for new events");
        assert_eq!(kept.upto(&config, FULL), 1000, "no other member needs it");
        assert_eq!(kept.upto(&config, CLOSED), 1000);
    }
}
