//! Counts per client address: refused tokens and open sockets. An IPv6 client has at least a network of 64 bits
//! for itself, so all addresses of such a network count as one.

use super::refused::{Quota, Refused};
use actix_web::HttpRequest;
use rustc_hash::FxHashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
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
                    limit: self.per_minute,
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

/// The address that a request is counted for: the one that it came from, or the network of 64 bits around it.
pub fn address_of(request: &HttpRequest) -> IpAddr {
    request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| counted(address.ip()))
}

fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_64_bits_counts_as_one_address() {
        let counted = |text: &str| counted(text.parse().unwrap()).to_string();
        assert_eq!(counted("2001:db8:1:2::1"), "2001:db8:1:2::");
        assert_eq!(counted("2001:db8:1:2:ffff:ffff:ffff:ffff"), "2001:db8:1:2::");
        assert_eq!(counted("2001:db8:1:3::1"), "2001:db8:1:3::");
        assert_eq!(counted("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(counted("192.0.2.2"), "192.0.2.2");
    }

    #[test]
    fn guesses_from_one_network_are_counted_together() {
        let failures = Failures::new(3);
        for end in 1..=3 {
            let address = counted(format!("2001:db8:1:2::{end}").parse().unwrap());
            assert!(failures.check(address).is_ok());
            failures.count(address);
        }
        assert!(failures.check(counted("2001:db8:1:2::99".parse().unwrap())).is_err());
        assert!(failures.check(counted("2001:db8:1:99::1".parse().unwrap())).is_ok());
    }
}
