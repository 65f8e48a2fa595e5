//! What senders may use on a node: requests a minute, wrong signatures a minute, and bodies that are read before
//! the sender is proved.

use crate::core::error_code::Code;
use crate::core::ids::{MapId, SourceId};
use crate::core::ingest::SourceLimits;
use crate::core::rate::Rate;
use crate::core::text::counted;
use crate::edge::error::ApiError;
use rustc_hash::FxHashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

const MINUTE_MS: u64 = 60_000;
/// Senders that are remembered, at most. Beyond that, those with a full allowance are forgotten.
const MOST_SENDERS: usize = 65_536;
/// Requests with wrong signatures in a minute, from one address to one source.
const FAILURES_PER_MINUTE: u32 = 60;
/// Bodies that are read at a time of senders that are not proved yet: of one map, and of all.
pub(super) const MOST_READINGS: (usize, usize) = (128, 512);

/// What was charged, on this node.
pub(super) struct Charges {
    began: Instant,
    sources: Mutex<FxHashMap<SourceId, u64>>,
    addresses: Mutex<FxHashMap<(SourceId, IpAddr), u64>>,
    failures: Mutex<FxHashMap<(SourceId, IpAddr), u64>>,
}

impl Default for Charges {
    fn default() -> Self {
        let (sources, addresses, failures) = Default::default();
        Self { began: Instant::now(), sources, addresses, failures }
    }
}

impl Charges {
    /// Refuses an address whose signatures were wrong too often, before its next one is looked at.
    pub(super) fn check_failures(&self, who: (SourceId, IpAddr)) -> Result<(), ApiError> {
        self.check_failures_at(who, self.now_ms())
    }

    fn check_failures_at(&self, who: (SourceId, IpAddr), now_ms: u64) -> Result<(), ApiError> {
        let rate = per_minute(FAILURES_PER_MINUTE);
        let full_at_us = lock(&self.failures).get(&who).copied().unwrap_or_default();
        match rate.charge(full_at_us, 1, now_ms) {
            Ok(_) => Ok(()),
            Err(wait_ms) => {
                let message =
                    format!("{FAILURES_PER_MINUTE} requests of a minute from this address were not proved");
                Err(ApiError::too_fast(Code::TooManyFailures, message, wait_ms)
                    .with("limit", FAILURES_PER_MINUTE.into()))
            }
        }
    }

    /// Counts a wrong signature.
    pub(super) fn count_failure(&self, who: (SourceId, IpAddr)) {
        self.count_failure_at(who, self.now_ms());
    }

    fn count_failure_at(&self, who: (SourceId, IpAddr), now_ms: u64) {
        // The check came first. Requests that were under way since may exceed the rate a little.
        let _ = charge(&self.failures, who, FAILURES_PER_MINUTE, now_ms);
    }

    /// Charges a request of a proved sender to its address and to the source.
    pub(super) fn charge(&self, limits: &SourceLimits, who: (SourceId, IpAddr)) -> Result<(), ApiError> {
        self.charge_at(limits, who, self.now_ms())
    }

    fn charge_at(&self, limits: &SourceLimits, who: (SourceId, IpAddr), now_ms: u64) -> Result<(), ApiError> {
        if let Some(permits) = limits.per_minute_per_address {
            charge(&self.addresses, who, permits, now_ms)
                .map_err(|wait_ms| too_fast("requestsPerMinutePerAddress", permits, wait_ms))?;
        }
        if let Some(permits) = limits.per_minute {
            charge(&self.sources, who.0, permits, now_ms)
                .map_err(|wait_ms| too_fast("requestsPerMinute", permits, wait_ms))?;
        }
        Ok(())
    }

    fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }
}

fn too_fast(name: &str, permits: u32, wait_ms: u64) -> ApiError {
    let message =
        format!("the source takes {} a minute on each node", counted(permits, "request", "requests"));
    ApiError::too_fast(Code::SourceRate, message, wait_ms)
        .hint(format!("the limit is `limits.{name}` of the source"))
        .with("limit", permits.into())
}

fn per_minute(permits: u32) -> Rate {
    Rate { permits, period_ms: MINUTE_MS }
}

/// Charges one request; `Err` is the wait in milliseconds.
fn charge<K: Eq + Hash>(
    kept: &Mutex<FxHashMap<K, u64>>,
    who: K,
    permits: u32,
    now_ms: u64,
) -> Result<(), u64> {
    let mut kept = lock(kept);
    if kept.len() >= MOST_SENDERS {
        kept.retain(|_, full_at_us| *full_at_us > now_ms * 1000);
    }
    let known = kept.get(&who).copied();
    let next = per_minute(permits).charge(known.unwrap_or_default(), 1, now_ms)?;
    if known.is_some() || kept.len() < MOST_SENDERS {
        kept.insert(who, next);
    }
    Ok(())
}

/// The bodies that are being read of senders that are not proved yet, by map.
#[derive(Clone, Default)]
pub(super) struct Readings(Arc<Mutex<FxHashMap<MapId, usize>>>);

/// A body that is being read until this is dropped.
pub(super) struct Reading {
    all: Readings,
    map: MapId,
}

impl Readings {
    /// Takes a place for a body.
    ///
    /// # Errors
    /// How many the map or the node reads, if that is as many as it may.
    pub(super) fn take(&self, map: MapId) -> Result<Reading, usize> {
        let mut counts = lock(&self.0);
        let (of_one, of_all) = MOST_READINGS;
        if counts.get(&map).is_some_and(|count| *count >= of_one) {
            return Err(of_one);
        }
        if counts.values().sum::<usize>() >= of_all {
            return Err(of_all);
        }
        *counts.entry(map).or_default() += 1;
        Ok(Reading { all: self.clone(), map })
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut counts = lock(&self.all.0);
        if let Some(count) = counts.get_mut(&self.map) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.map);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// The time of all requests: a rate gives nothing back meanwhile, however slow the machine is.
    const NOW_MS: u64 = 1000;

    fn who(source: u8, address: u8) -> (SourceId, IpAddr) {
        (SourceId::from_bytes([source; 16]), IpAddr::from([192, 0, 2, address]))
    }

    #[test]
    fn a_source_and_each_address_have_a_rate() {
        let charges = Charges::default();
        let limits = SourceLimits { per_minute: Some(30), per_minute_per_address: Some(20) };
        let charge = |who| charges.charge_at(&limits, who, NOW_MS);
        (0..20).for_each(|_| charge(who(1, 1)).unwrap());
        let refused = charge(who(1, 1)).unwrap_err().body();
        assert_eq!((&refused["status"], &refused["limit"]), (&429.into(), &20.into()));
        (0..10).for_each(|_| charge(who(1, 2)).unwrap());
        assert_eq!(charge(who(1, 2)).unwrap_err().body()["limit"], 30);
        charge(who(2, 1)).unwrap();
        let none = SourceLimits { per_minute: None, per_minute_per_address: None };
        charges.charge_at(&none, who(1, 1), NOW_MS).unwrap();
    }

    #[test]
    fn wrong_signatures_hold_up_their_address_at_their_source_alone() {
        let charges = Charges::default();
        for _ in 0..FAILURES_PER_MINUTE {
            charges.check_failures_at(who(1, 1), NOW_MS).unwrap();
            charges.count_failure_at(who(1, 1), NOW_MS);
        }
        assert!(charges.check_failures_at(who(1, 1), NOW_MS).is_err());
        charges.check_failures_at(who(1, 2), NOW_MS).unwrap();
        charges.check_failures_at(who(2, 1), NOW_MS).unwrap();
    }

    #[test]
    fn a_map_leaves_places_to_others() {
        let (readings, map) = (Readings::default(), |n| MapId::from_bytes([n; 16]));
        let held: Vec<Reading> = (0..MOST_READINGS.0).map(|_| readings.take(map(1)).unwrap()).collect();
        assert_eq!(readings.take(map(1)).err(), Some(MOST_READINGS.0));
        assert!(readings.take(map(2)).is_ok());
        drop(held);
        assert!(readings.take(map(1)).is_ok());
    }
}
