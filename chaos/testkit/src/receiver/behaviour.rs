//! The ways in which a path answers. A behaviour is called once for each request, in the order of arrival.

use super::{Body, Reply, Request};
use crate::dice::Dice;
use std::time::{Duration, SystemTime};

/// Chooses the answer to a request.
pub type Behaviour = Box<dyn FnMut(&Request) -> Reply + Send>;

/// Answers 200 at once.
pub fn healthy() -> Behaviour {
    status(200)
}

/// Answers 200 after that time.
pub fn slow(after: Duration) -> Behaviour {
    Box::new(move |_| Reply::new(200).after(after))
}

/// Always answers with that status.
pub fn status(status: u16) -> Behaviour {
    Box::new(move |_| Reply::new(status))
}

/// How a `Retry-After` header is written.
#[derive(Debug, Clone, Copy)]
pub enum RetryAfter {
    /// As seconds.
    Seconds(u64),
    /// As the date that is this number of seconds from now.
    Date(u64),
}

/// Answers the first `times` requests with 429 and a `Retry-After`, all others with 200.
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

/// Answers the first `times` requests with that status, all others with 200.
pub fn recovering(times: usize, status: u16) -> Behaviour {
    let mut count = 0;
    Box::new(move |_| {
        count += 1;
        Reply::new(if count > times { 200 } else { status })
    })
}

/// Answers 200 byte by byte, one byte a second.
pub fn dripping() -> Behaviour {
    Box::new(|_| Reply::new(200).body(Body::Drip(Duration::from_secs(1))))
}

/// Answers 302 to `location`.
pub fn redirecting(location: &str) -> Behaviour {
    let location = location.to_owned();
    Box::new(move |_| Reply::new(302).header("location", &location))
}

/// Takes the request and never answers.
pub fn silent() -> Behaviour {
    Box::new(|_| Reply::new(200).body(Body::Never))
}

/// Answers 200 with a body of `bytes` bytes.
pub fn huge(bytes: u64) -> Behaviour {
    Box::new(move |_| Reply::new(200).body(Body::Huge(bytes)))
}

/// Answers 400 to each request with an event whose key begins with `poison`.
pub fn poisoned_by(poison: &str) -> Behaviour {
    let poison = poison.to_owned();
    Box::new(move |request| {
        let sick = request.events.iter().any(|e| e.key.starts_with(&poison));
        Reply::new(if sick { 400 } else { 200 })
    })
}

/// Answers 413 to a request with more than `most` events.
pub fn at_most(most: usize) -> Behaviour {
    Box::new(move |request| Reply::new(if request.events.len() > most { 413 } else { 200 }))
}

/// Answers 401 to a request whose signature does not hold under `secret`, as the receivers in Wanderer's
/// guides check it.
pub fn wanderer_with(secret: &str) -> Behaviour {
    let secret = secret.to_owned();
    Box::new(move |request| Reply::new(if request.wanderer(&secret) { 200 } else { 401 }))
}

/// Answers 500 to `percent` percent of the requests, chosen by a seed.
pub fn flaky(percent: u64, seed: u64) -> Behaviour {
    let mut dice = Dice::new(seed, 0);
    Box::new(move |_| Reply::new(if dice.next() % 100 < percent { 500 } else { 200 }))
}
