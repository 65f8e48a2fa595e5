//! Checks of every request before its handler runs. A header that handlers read occurs once and is readable,
//! and the query has only names that the route takes. A request that can't be understood gets 400. If an
//! unreadable value were taken for absent, it could let a caller in that must be kept out, or start a reader
//! in the wrong place.

use crate::edge;
use crate::edge::error::ApiError;
use crate::edge::query::{Query, Takes};
use actix_web::HttpRequest;
use actix_web::http::Method;
use std::sync::LazyLock;

/// Headers that handlers of more than one protocol read. A request may have each of them once.
const COMMON: [&str; 4] = ["authorization", "content-type", "idempotency-key", "origin"];
/// The common headers, and those that only one protocol reads.
static ONCE: LazyLock<Vec<&str>> = LazyLock::new(|| COMMON.into_iter().chain(edge::headers()).collect());
/// Headers that handlers read and that are lists. They may occur more than once.
pub const LISTS: [&str; 3] = ["accept", "content-encoding", "sec-websocket-protocol"];

/// Headers that handlers read and that may occur once.
pub fn once() -> &'static [&'static str] {
    &ONCE
}

/// Refuses a request that can't be understood.
pub fn check(request: &HttpRequest) -> Result<(), ApiError> {
    let query = || if request.query_string().is_empty() { Ok(()) } else { check_query(request) };
    check_headers(request).and_then(|()| query()).map_err(|error| {
        match takes_of(request).and_then(|takes| takes.told) {
            Some(status) => error.with("status", status.into()),
            None => error,
        }
    })
}

fn takes_of(request: &HttpRequest) -> Option<&'static Takes> {
    let path = request.match_pattern()?;
    let method = request.method();
    // HEAD asks for what GET would answer.
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    edge::takes().find(|takes| takes.method == method && takes.path == path)
}

fn check_headers(request: &HttpRequest) -> Result<(), ApiError> {
    let invalid = |message: String| ApiError::bad_request("invalid_header", message);
    // A bit for each of `ONCE`.
    let mut seen = 0u64;
    for (name, value) in request.headers() {
        let bit = ONCE.iter().position(|known| *known == name.as_str()).map_or(0, |place| 1 << place);
        if bit == 0 && !LISTS.contains(&name.as_str()) {
            continue;
        }
        if value.to_str().is_err() {
            return Err(invalid(format!("the header {name} has characters that are not visible ASCII")));
        }
        if seen & bit != 0 {
            return Err(invalid(format!("the header {name} is given twice")).hint("send it once"));
        }
        seen |= bit;
    }
    Ok(())
}

/// Checks the query against the route of the request. Other code answers unknown paths and preflight
/// requests.
fn check_query(request: &HttpRequest) -> Result<(), ApiError> {
    if request.match_pattern().is_none() || request.method() == Method::OPTIONS {
        return Ok(());
    }
    let (names, many) = takes_of(request).map_or((&[][..], &[][..]), |takes| (takes.names, takes.many));
    Query::read(request.query_string(), names, many).map(drop)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};
    use actix_web::test::TestRequest;

    fn with(headers: &[(&'static str, &[u8])]) -> Result<(), ApiError> {
        let add = |request: TestRequest, (name, value): &(&'static str, &[u8])| {
            request.append_header((HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap()))
        };
        check(&headers.iter().fold(TestRequest::default(), add).to_http_request())
    }

    #[test]
    fn headers_that_are_read_occur_once_and_are_readable() {
        for name in once() {
            assert!(with(&[(name, b"a")]).is_ok(), "{name}");
            assert!(with(&[(name, b"a"), (name, b"a")]).unwrap_err().to_string().contains("twice"), "{name}");
            assert!(with(&[(name, "é".as_bytes())]).unwrap_err().to_string().contains("ASCII"), "{name}");
        }
        for name in LISTS {
            assert!(with(&[(name, b"a"), (name, b"b")]).is_ok(), "{name}");
            assert!(with(&[(name, b"a"), (name, b"\xff")]).is_err(), "{name}");
        }
        assert!(with(&[("x-forwarded-for", b"\xff"), ("cookie", b"a"), ("cookie", b"b")]).is_ok());
        assert!(with(&[("origin", b""), ("last-event-id", b"")]).is_ok());
    }
}
