//! The HTTP client of webhooks: one request, one deadline, one answer.
//!
//! Owns the pool of connections and the reading of answers. Never follows a redirect, never uses a proxy, never
//! decompresses, never judges a status: what an answer means is the caller's business. HTTP/1.1 only.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use awc::{
    ClientRequest, ClientResponse, Connector,
    error::SendRequestError,
    http::{
        Method as HttpMethod,
        header::{self, HeaderName, HeaderValue},
    },
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;

use crate::core::endpoint::{Method, class::Class};
use crate::tls::BadTls;

use super::{
    dial::{Dial, Dialer, Network, Stage, TRIP, Tls, Trip},
    guard::{Guard, Target},
    resolve::{Resolve, SystemResolver},
};

mod failure;
mod headers;
#[cfg(test)]
mod tests;

pub use failure::Failure;
pub use headers::{RateLimit, rate_limit, retry_after_ms};

use failure::{Cause, not_sent, timed_out, was_stale};

/// Most of an answer's body that is read, in bytes.
pub const LARGEST_HEAD: usize = 20_000;
/// Most of a function's kind of error that is kept, in bytes; AWS knows `Handled` and `Unhandled`.
const LONGEST_KIND: usize = 100;
/// Longest that a connection without requests is used again.
const IDLE: Duration = Duration::from_secs(30);
/// Longest life of a connection: its receiver's addresses may change, and it is judged again only when dialled.
const LIFE: Duration = Duration::from_secs(300);
/// Longest life of a pool. awc's pool closes an idle connection only when it meets it, so the pool as a whole goes.
const POOL_LIFE: Duration = Duration::from_secs(120);
/// Most connections that one pool makes before a new one takes over: the bound on those that lie idle.
const POOL_DIALS: u32 = 1024;
/// Longest that a name is looked up for a check.
const CHECK: Duration = Duration::from_secs(3);
/// awc's own time limit for connecting, out of the way of the one deadline.
const NEVER: Duration = Duration::from_secs(3600);

/// Headers that belong to the connection or the message itself: an endpoint's own can't set them.
pub const RESERVED: [HeaderName; 11] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
    header::PROXY_AUTHORIZATION,
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("keep-alive"),
];

/// A request.
#[derive(Debug, Clone)]
pub struct Outgoing<'a> {
    /// POST or PUT.
    pub method: Method,
    /// Where to.
    pub url: &'a Target,
    /// Its headers; [`RESERVED`] ones are left out.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Its body.
    pub body: Bytes,
    /// The deadline over all of it: name, connection, TLS, head and body of the answer.
    pub timeout: Duration,
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
    /// `X-Amz-Function-Error`: AWS Lambda says so that the function failed, with status 200.
    pub function_error: Option<String>,
    /// The body's first bytes, at most [`LARGEST_HEAD`].
    pub head: Bytes,
    /// Milliseconds from the call to the last byte that was read.
    pub ms: u32,
}

/// What all clients of a node share: the guard and whom TLS trusts.
#[derive(Clone)]
pub struct Outside {
    guard: Guard,
    tls: Tls,
    pool_dials: u32,
}

impl Outside {
    /// Reads the authorities: the system's, and those of `ca_file`.
    pub fn new(guard: Guard, ca_file: Option<&std::path::Path>) -> Result<Self, BadTls> {
        Ok(Self { guard, tls: Tls::load(ca_file)?, pool_dials: POOL_DIALS })
    }

    /// With so many idle connections of each client at most, where that is less than usual.
    pub fn keeping(self, idle: usize) -> Self {
        Self { pool_dials: u32::try_from(idle).unwrap_or(POOL_DIALS).clamp(1, POOL_DIALS), ..self }
    }

    /// The guard, for the check at create and update.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }
}

/// The client of one arbiter.
pub struct Client {
    dialer: Dialer,
    pool: RefCell<Rc<Pool>>,
    pool_dials: u32,
    /// Makes connections that are used once.
    once: awc::Client,
}

/// Connections that are kept. awc keeps them by host and port alone, so TLS has its own.
struct Pool {
    plain: awc::Client,
    tls: awc::Client,
    born: Instant,
    dials: Cell<u32>,
}

impl Pool {
    fn new(dialer: &Dialer) -> Rc<Self> {
        Rc::new(Self { plain: http(dialer), tls: http(dialer), born: Instant::now(), dials: Cell::new(0) })
    }

    fn is_spent(&self, most_dials: u32) -> bool {
        self.born.elapsed() > POOL_LIFE || self.dials.get() >= most_dials
    }
}

fn http(dialer: &Dialer) -> awc::Client {
    let connector = Connector::new()
        .connector(dialer.clone())
        .timeout(NEVER)
        // How many requests are under way is bounded by who sends them.
        .limit(0)
        .conn_keep_alive(IDLE)
        .conn_lifetime(LIFE);
    awc::Client::builder().connector(connector).disable_timeout().disable_redirects().finish()
}

impl Client {
    /// A client for this thread, on the real network.
    pub fn new(outside: &Outside) -> Self {
        Self::through(outside, Rc::new(SystemResolver::new()), Rc::new(Network))
    }

    /// A client that resolves and connects through these.
    pub fn through(outside: &Outside, resolve: Rc<dyn Resolve>, dial: Rc<dyn Dial>) -> Self {
        let dialer = Dialer::new(outside.guard.clone(), &outside.tls, resolve, dial);
        let pool = RefCell::new(Pool::new(&dialer));
        Self { pool, pool_dials: outside.pool_dials, once: http(&dialer), dialer }
    }

    /// Judges where `target` leads to now, without going there. A name that has no address yet is no fault: it is judged
    /// again whenever it is dialled.
    pub async fn check(&self, target: &Target) -> Result<(), String> {
        let trip = Trip::new(target.clone());
        match tokio::time::timeout(CHECK, self.dialer.judge(&trip)).await {
            Ok(Err((Class::Blocked, why))) => Err(why),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Closes connections that have lain idle for long. Sending does so by itself; this is for quiet times.
    pub fn tidy(&self) {
        drop(self.pool());
    }

    /// Sends a request and reads its answer, all of it before the deadline.
    ///
    /// A request that a kept connection swallowed by ending is sent once more on a new one, within the same deadline.
    pub async fn send(&self, request: Outgoing<'_>) -> Result<Answer, Failure> {
        let start = Instant::now();
        let trip = Rc::new(Trip::new(request.url.clone()));
        let exchange = TRIP.scope(trip.clone(), self.exchange(&request, &trip));
        let result = tokio::time::timeout(request.timeout, exchange).await;
        let ms = u32::try_from(start.elapsed().as_millis()).unwrap_or(u32::MAX);
        match result.unwrap_or_else(|_| Err(timed_out(trip.stage.get()))) {
            Ok(answer) => Ok(Answer { ms, ..answer }),
            Err((class, message)) => Err(Failure { class, message, ms }),
        }
    }

    async fn exchange(&self, request: &Outgoing<'_>, trip: &Trip) -> Result<Answer, Cause> {
        let pool = self.pool();
        let kept = if request.url.tls() { &pool.tls } else { &pool.plain };
        let mut sent = post(build(kept, request), request).await;
        if sent.as_ref().is_err_and(|error| was_stale(error, trip)) {
            sent = post(build(&self.once, request).force_close(), request).await;
        } else if trip.dialled.get() {
            pool.dials.set(pool.dials.get() + 1);
        }
        let response = sent.map_err(|error| not_sent(error, trip))?;
        read(response, trip).await
    }

    /// The present pool. A spent one lives on only until its last request has its answer.
    fn pool(&self) -> Rc<Pool> {
        let mut pool = self.pool.borrow_mut();
        if pool.is_spent(self.pool_dials) {
            *pool = Pool::new(&self.dialer);
        }
        pool.clone()
    }
}

fn build(http: &awc::Client, request: &Outgoing<'_>) -> ClientRequest {
    let method = match request.method {
        Method::Post => HttpMethod::POST,
        Method::Put => HttpMethod::PUT,
    };
    let mut built = http.request(method, request.url.uri()).no_decompress();
    let headers = built.headers_mut();
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("waypost/", env!("CARGO_PKG_VERSION"))));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    for (name, value) in request.headers.iter().filter(|(name, _)| !RESERVED.contains(name)) {
        headers.insert(name.clone(), value.clone());
    }
    // Said here, not by awc: it leaves out 80 and 443 whatever the scheme.
    headers.insert(header::HOST, request.url.authority().clone());
    built
}

async fn post(built: ClientRequest, request: &Outgoing<'_>) -> Result<ClientResponse, SendRequestError> {
    built.send_body(request.body.clone()).await
}

/// Reads the answer. Of a long body only the beginning: its connection is dropped with the rest. A body that breaks off
/// leaves the answer as it is: the status was said.
async fn read(mut response: ClientResponse, trip: &Trip) -> Result<Answer, Cause> {
    let status = response.status().as_u16();
    if status < 200 {
        return Err((Class::Protocol, format!("status {status} instead of an answer")));
    }
    trip.stage.set(Stage::Body);
    let mut head = BytesMut::new();
    while let Some(Ok(piece)) = response.next().await {
        head.extend_from_slice(&piece[..piece.len().min(LARGEST_HEAD - head.len())]);
        if head.len() == LARGEST_HEAD {
            break;
        }
    }
    if !is_delimited(&response) {
        trip.spend_connection();
    }
    let headers = response.headers();
    let retry_after_ms = retry_after_ms(headers, crate::clock::now_ms());
    let function_error = headers.get("x-amz-function-error").map(|kind| {
        let kind = kind.as_bytes();
        String::from_utf8_lossy(&kind[..kind.len().min(LONGEST_KIND)]).into()
    });
    Ok(Answer { status, retry_after_ms, ratelimit: rate_limit(headers), function_error, head: head.freeze(), ms: 0 })
}

/// Whether the end of the body is known without the end of the connection. awc takes a body of HTTP/1.1 without a
/// length for none, and would take its bytes for the next answer.
fn is_delimited(response: &ClientResponse) -> bool {
    let headers = response.headers();
    headers.contains_key(header::CONTENT_LENGTH)
        || headers.contains_key(header::TRANSFER_ENCODING)
        || matches!(response.status().as_u16(), 204 | 304)
}
