//! The HTTP client of webhooks: one request, one deadline, one answer.
//!
//! - [`pool`]: idle connections, each kept for another request of the same webhook.
//! - [`line`]: a connection with its codec.
//! - [`exchange`]: one request and its answer over one connection, and whether the connection can be used
//!   again.
//! - [`fetch`]: a document, such as the keys of an issuer of client tokens.
//! - [`failure`]: why there is no answer. [`headers`]: what an answer says about waiting.
//!
//! It never follows a redirect, uses a proxy, decompresses a body or interprets a status: the caller decides
//! what an answer means. It speaks HTTP/1.1 only.

use std::{
    cell::RefCell,
    rc::Rc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use tokio::time::timeout_at;

use crate::core::ids::WebhookId;
use crate::core::webhook::{Method, outcome::Class};
use crate::tls::BadTls;

use super::{
    dial::{Dial, Dialer, Network, NoTarget, Tls, Trip},
    guard::{Forbidden, Guard, Target},
    resolve::{Resolve, SystemResolver},
};

mod exchange;
mod failure;
mod fetch;
mod headers;
mod line;
mod pool;
#[cfg(test)]
mod tests;

pub use exchange::Rest;
pub use failure::Failure;
pub use fetch::FetchError;
pub use headers::{RateLimit, rate_limit, retry_after_ms};

use exchange::Exchange;
use failure::{Cause, no_answer, timed_out};
use line::Line;
use pool::{Kept, Pool};

/// The most bytes of an answer's body that are read.
pub const LARGEST_HEAD: usize = 20_000;
/// The most idle connections of one client.
const MOST_IDLE: usize = 1024;
/// The longest time for the resolution of a name in a check.
const CHECK: Duration = Duration::from_secs(3);

/// A request.
#[derive(Debug, Clone)]
pub struct Outgoing<'a> {
    /// POST or PUT.
    pub method: Method,
    /// The target.
    pub url: &'a Target,
    /// The headers. Those of the connection are left out.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
    /// The time limit for everything: name, connection, TLS, and the head and the body of the answer.
    pub timeout: Duration,
}

/// The webhook that a request is for.
#[derive(Debug, Clone, Copy)]
pub struct Requester {
    /// The webhook's id. A connection never carries requests of two webhooks.
    pub id: WebhookId,
    /// Whether the webhook repeats a request that the receiver may have taken.
    pub ambiguous: bool,
}

/// An answer, whatever its status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status, 200 to 999.
    pub status: u16,
    /// `Retry-After`, in milliseconds from now.
    pub retry_after_ms: Option<u64>,
    /// `X-RateLimit-*`.
    pub ratelimit: Option<RateLimit>,
    /// `X-Amz-Function-Error`: with this header AWS Lambda reports that the function failed; the status is
    /// 200.
    pub function_error: Option<String>,
    /// `Location`: where a redirect leads.
    pub location: Option<String>,
    /// The body's first bytes, at most [`LARGEST_HEAD`].
    pub head: Bytes,
    /// The state of the rest of the body.
    pub rest: Rest,
    /// Milliseconds from the call to the last byte that was read.
    pub ms: u32,
}

/// The parts that all clients of a node share: the guard, and the authorities that TLS trusts.
#[derive(Clone)]
pub struct Outside {
    guard: Guard,
    tls: Tls,
    most_idle: usize,
}

impl Outside {
    /// Reads the certificate authorities: the system's, and those of `ca_file`.
    pub fn new(guard: Guard, ca_file: Option<&std::path::Path>) -> Result<Self, BadTls> {
        Ok(Self { guard, tls: Tls::load(ca_file)?, most_idle: MOST_IDLE })
    }

    /// Limits the idle connections of each client to `idle`, if that is less than the default.
    pub fn keeping(self, idle: usize) -> Self {
        Self { most_idle: idle.clamp(1, MOST_IDLE), ..self }
    }

    /// The guard, for the check when a webhook is created or updated.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }
}

/// The client of one thread. Lives as long as the thread.
pub struct Client {
    dialer: Dialer,
    pool: RefCell<Pool>,
}

impl Client {
    /// A client for this thread, on the real network.
    pub fn new(outside: &Outside) -> Self {
        Self::through(outside, Rc::new(SystemResolver::new()), Rc::new(Network))
    }

    /// A client that resolves and connects through these.
    pub fn through(outside: &Outside, resolve: Rc<dyn Resolve>, dial: Rc<dyn Dial>) -> Self {
        let dialer = Dialer::new(outside.guard.clone(), &outside.tls, resolve, dial);
        Self { dialer, pool: RefCell::new(Pool::new(outside.most_idle)) }
    }

    /// Checks the present addresses of `target` without connecting. A name that has no address yet is
    /// accepted: it is checked again whenever it is dialled.
    pub async fn check(&self, target: &Target) -> Result<(), Forbidden> {
        match tokio::time::timeout(CHECK, self.dialer.check(target)).await {
            Ok(Err(NoTarget::Forbidden(forbidden))) => Err(forbidden),
            Ok(Ok(()) | Err(NoTarget::Dns(_))) | Err(_) => Ok(()),
        }
    }

    /// Closes connections that have been idle for long. [`Client::send`] does so too; this is for times
    /// without requests.
    pub fn tidy(&self) {
        self.pool.borrow_mut().tidy(Instant::now());
    }

    /// Sends a request and reads its answer, all of it before the deadline.
    ///
    /// The answer's head decides. If the body breaks off or outlasts the deadline, the answer stays valid,
    /// and [`Answer::rest`] says so.
    pub async fn send(&self, request: Outgoing<'_>, webhook: Requester) -> Result<Answer, Failure> {
        let start = Instant::now();
        let deadline = tokio::time::Instant::from_std(start + request.timeout);
        let trip = Rc::new(Trip::new());
        let kept = self.pool.borrow_mut().take(webhook, request.url, start);
        let begun = timeout_at(deadline, self.begin(&request, &trip, webhook, kept)).await;
        let ended = match begun.unwrap_or_else(|_| Err(timed_out(trip.stage.get()))) {
            Ok(exchange) => Ok(exchange.end(deadline).await),
            Err(cause) => Err(cause),
        };
        let now = Instant::now();
        let ms = u32::try_from((now - start).as_millis()).unwrap_or(u32::MAX);
        let (answer, kept) = ended.map_err(|cause| Failure::of(cause, &trip, ms))?;
        if let Some((line, idle)) = kept {
            self.pool.borrow_mut().put(webhook.id, line, idle, now);
        }
        Ok(Answer { ms, ..answer })
    }

    /// Sends the request and reads the head of its answer.
    ///
    /// A kept connection may have ended just now. Then the request is sent once more on a new connection,
    /// within the same deadline, in two cases: nothing of it was sent; or no byte came back, and the webhook
    /// repeats requests that may have been taken.
    async fn begin(
        &self,
        request: &Outgoing<'_>,
        trip: &Rc<Trip>,
        webhook: Requester,
        kept: Option<Kept>,
    ) -> Result<Exchange, Cause> {
        // The rare case is boxed, since it would make every exchange larger.
        let kept = match kept {
            Some(Kept::Wire(wire)) => {
                Some(Box::pin(Line::new(wire)).await.map_err(|error| no_answer(&error, trip))?)
            }
            Some(Kept::Line(line)) => Some(line),
            None => None,
        };
        if let Some(line) = kept {
            match Exchange::begin(line, request, trip).await {
                Err((class, _)) if may_go_again(trip, class, webhook) => trip.heard.set(0),
                begun => return begun,
            }
        }
        let line = Box::pin(self.open(request.url, trip)).await?;
        Exchange::begin(line, request, trip).await
    }

    async fn open(&self, target: &Target, trip: &Rc<Trip>) -> Result<Line, Cause> {
        let wire = self.dialer.open(target, trip).await?;
        Line::new(wire).await.map_err(|error| no_answer(&error, trip))
    }
}

fn may_go_again(trip: &Trip, class: Class, webhook: Requester) -> bool {
    let ended = class == Class::Closed && trip.heard.get() == 0;
    !trip.sent.get() || ended && webhook.ambiguous
}
