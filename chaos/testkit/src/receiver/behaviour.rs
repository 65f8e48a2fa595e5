//! The ways in which a path answers. Each is asked once a request, in the order of arrival.

use super::{Body, Reply, Request, now_ms};
use std::time::Duration;

/// What a path answers.
pub type Behaviour = Box<dyn FnMut(&Request) -> Reply + Send>;

/// 200, at once.
pub fn healthy() -> Behaviour {
    status(200)
}

/// 200, after that time.
pub fn slow(after: Duration) -> Behaviour {
    Box::new(move |_| Reply::new(200).after(after))
}

/// Always that status.
pub fn status(status: u16) -> Behaviour {
    Box::new(move |_| Reply::new(status))
}

/// How `Retry-After` is written.
#[derive(Debug, Clone, Copy)]
pub enum RetryAfter {
    /// Seconds.
    Seconds(u64),
    /// The time at so many seconds from now.
    Date(u64),
}

/// The first `times` requests are answered 429 and a wish for a pause, all others 200.
pub fn busy(times: usize, wish: RetryAfter) -> Behaviour {
    let mut count = 0;
    Box::new(move |_| {
        count += 1;
        if count > times {
            return Reply::new(200);
        }
        match wish {
            RetryAfter::Seconds(seconds) => Reply::new(429).header("retry-after", seconds),
            RetryAfter::Date(seconds) => Reply::new(429).header("retry-after", http_date(now_ms() / 1000 + seconds)),
        }
    })
}

/// The first `times` requests fail with that status, all others are taken.
pub fn recovering(times: usize, status: u16) -> Behaviour {
    let mut count = 0;
    Box::new(move |_| {
        count += 1;
        Reply::new(if count > times { 200 } else { status })
    })
}

/// A 200 that comes byte by byte, one a second.
pub fn dripping() -> Behaviour {
    Box::new(|_| Reply::new(200).body(Body::Drip(Duration::from_secs(1))))
}

/// 302 to `location`.
pub fn redirecting(location: &str) -> Behaviour {
    let location = location.to_owned();
    Box::new(move |_| Reply::new(302).header("location", &location))
}

/// Takes the request and never answers.
pub fn silent() -> Behaviour {
    Box::new(|_| Reply::new(200).body(Body::Never))
}

/// 200 with a body of so many bytes.
pub fn huge(bytes: u64) -> Behaviour {
    Box::new(move |_| Reply::new(200).body(Body::Huge(bytes)))
}

/// 400 to whatever holds an event whose key begins with `poison`.
pub fn poisoned_by(poison: &str) -> Behaviour {
    let poison = poison.to_owned();
    Box::new(move |request| {
        let sick = request.events.iter().any(|e| e.key.starts_with(&poison));
        Reply::new(if sick { 400 } else { 200 })
    })
}

/// 413 to more than `most` events at once.
pub fn at_most(most: usize) -> Behaviour {
    Box::new(move |request| Reply::new(if request.events.len() > most { 413 } else { 200 }))
}

/// 401 to whatever isn't signed as the guides' receivers of Wanderer check it under `secret`.
pub fn wanderer_with(secret: &str) -> Behaviour {
    let secret = secret.to_owned();
    Box::new(move |request| Reply::new(if request.wanderer(&secret) { 200 } else { 401 }))
}

/// 500 to so many of a hundred, by a seed.
pub fn flaky(percent: u64, seed: u64) -> Behaviour {
    let mut state = seed;
    Box::new(move |_| Reply::new(if next(&mut state) % 100 < percent { 500 } else { 200 }))
}

/// splitmix64.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// A time as HTTP writes it (RFC 9110, IMF-fixdate); `seconds` since 1970.
fn http_date(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days since 1 March of the year 0, in eras of 400 years (Howard Hinnant's civil_from_days).
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let (day, month) = (day_of_year - (153 * from_march + 2) / 5 + 1, (from_march + 2) % 12);
    let year = era * 400 + year_of_era + u64::from(month < 2);
    let (week_day, month) = (DAYS[(days % 7) as usize], MONTHS[month as usize]);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{week_day}, {day:02} {month} {year} {hour:02}:{minute:02}:{second:02} GMT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_http() {
        for (seconds, date) in [
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (1_709_164_800, "Thu, 29 Feb 2024 00:00:00 GMT"),
            (1_767_225_599, "Wed, 31 Dec 2025 23:59:59 GMT"),
        ] {
            assert_eq!(http_date(seconds), date);
        }
    }
}
