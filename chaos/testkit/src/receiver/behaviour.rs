//! The ways in which a path answers. Each is asked once a request, in the order of arrival.

use super::{Body, Reply, Request};
use crate::dice::Dice;
use std::time::{Duration, SystemTime};

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
            RetryAfter::Date(seconds) => {
                let then = SystemTime::now() + Duration::from_secs(seconds);
                Reply::new(429).header("retry-after", httpdate::fmt_http_date(then))
            }
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
    let mut dice = Dice::new(seed, 0);
    Box::new(move |_| Reply::new(if dice.next() % 100 < percent { 500 } else { 200 }))
}
