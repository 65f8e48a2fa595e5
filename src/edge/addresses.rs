//! Counts per client address: refused tokens and open sockets.

use super::refused::{Quota, Refused};
use actix_web::HttpRequest;
use rustc_hash::FxHashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Addresses that are remembered, at most.
const MAX_ADDRESSES: usize = 65_536;
const MINUTE: Duration = Duration::from_secs(60);

/// Refused tokens of the last minute, by address. A client that guesses tokens gets 429 before the leader is
/// asked.
pub struct Failures {
    per_minute: u32,
    addresses: Mutex<FxHashMap<IpAddr, (Instant, u32)>>,
}

impl Failures {
    /// Allows at most `per_minute` from one address; 0 is no limit.
    pub fn new(per_minute: u32) -> Self {
        Self { per_minute, addresses: Mutex::default() }
    }

    /// Refuses an address that has guessed too often.
    pub(super) fn check(&self, address: IpAddr) -> Result<(), Refused> {
        if self.per_minute == 0 {
            return Ok(());
        }
        let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        match addresses.get(&address) {
            Some((since, count)) if *count >= self.per_minute && since.elapsed() < MINUTE => {
                Err(Refused::TooManyFailures {
                    wait_ms: MINUTE.saturating_sub(since.elapsed()).as_millis() as u64,
                })
            }
            _ => Ok(()),
        }
    }

    /// Counts a refused token.
    pub(super) fn count(&self, address: IpAddr) {
        if self.per_minute == 0 {
            return;
        }
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if addresses.len() >= MAX_ADDRESSES {
            addresses.retain(|_, (since, _)| since.elapsed() < MINUTE);
        }
        if addresses.len() < MAX_ADDRESSES || addresses.contains_key(&address) {
            let entry = addresses.entry(address).or_insert_with(|| (Instant::now(), 0));
            if entry.0.elapsed() >= MINUTE {
                *entry = (Instant::now(), 0);
            }
            entry.1 += 1;
        }
    }
}

/// Open sockets by address.
#[derive(Default)]
pub struct Addresses(Mutex<FxHashMap<IpAddr, usize>>);

/// A socket that is counted for its address until this is dropped.
pub struct AddressShare {
    addresses: Arc<Addresses>,
    address: IpAddr,
}

impl Addresses {
    /// Counts one more socket of `address`, unless the address has `max` already. With `max` 0 there is no
    /// limit, and nothing is counted.
    pub fn take(self: &Arc<Self>, address: IpAddr, max: usize) -> Result<Option<AddressShare>, Quota> {
        if max == 0 {
            return Ok(None);
        }
        let mut addresses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = addresses.entry(address).or_default();
        if *count >= max {
            return Err(Quota::Sockets { limit: max });
        }
        *count += 1;
        Ok(Some(AddressShare { addresses: self.clone(), address }))
    }
}

impl Drop for AddressShare {
    fn drop(&mut self) {
        let mut addresses = self.addresses.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = addresses.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                addresses.remove(&self.address);
            }
        }
    }
}

/// The address that a request came from.
pub fn address_of(request: &HttpRequest) -> IpAddr {
    request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip())
}
