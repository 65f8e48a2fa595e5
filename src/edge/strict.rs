//! Checks of every request before its handler runs. A header that handlers read occurs once and is readable,
//! and the query has only names that the route takes (pages take every query). A request that can't be
//! understood gets 400. If an unreadable value were taken for absent, it could let a caller in that must be
//! kept out, or start a reader in the wrong place. A path that does not exist, and a method that the path does
//! not take, are refused for themselves, whatever the query.

use crate::core::error_code::Code;
use crate::edge;
use crate::edge::error::ApiError;
use crate::edge::paths::{self, Methods};
use crate::edge::query::{Query, Takes};
use actix_web::HttpRequest;
use actix_web::http::Method;
use rustc_hash::FxHashMap;
use std::borrow::Cow;
use std::sync::LazyLock;

/// Headers that handlers of more than one protocol read. A request may have each of them once.
const COMMON: [&str; 4] = ["authorization", "content-type", "idempotency-key", "origin"];
/// The common headers, and those that only one protocol reads.
static ONCE: LazyLock<Vec<&str>> = LazyLock::new(|| COMMON.into_iter().chain(edge::headers()).collect());
/// The query parameters of each route, by its path.
static TAKES: LazyLock<FxHashMap<&str, Vec<&Takes>>> = LazyLock::new(|| {
    edge::takes().fold(FxHashMap::default(), |mut routes: FxHashMap<_, Vec<_>>, takes| {
        routes.entry(takes.path).or_default().push(takes);
        routes
    })
});
/// The paths that are recognised without a look at all routes: the words before their variable, those behind
/// it, and the whole.
static ALONE: LazyLock<Vec<(&str, &str, &str)>> = LazyLock::new(|| {
    let alone = edge::takes().filter(|takes| takes.alone).filter_map(|takes| {
        let (before, rest) = takes.path.split_once('{')?;
        Some((before, rest.split_once('}')?.1, takes.path))
    });
    alone.collect()
});
/// Headers that handlers read and that are lists. They may occur more than once.
pub const LISTS: [&str; 5] =
    ["accept", "content-encoding", "if-none-match", "prefer", "sec-websocket-protocol"];

/// Headers that handlers read and that are as good as absent where they can't be understood, as their
/// standards say. Cookies of other programs on the same host come too.
pub const OPTIONAL: [&str; 2] = ["cookie", "traceparent"];

/// Headers that handlers read and that may occur once.
pub fn once() -> &'static [&'static str] {
    &ONCE
}

/// Refuses a request that can't be understood.
pub fn check(request: &HttpRequest) -> Result<(), ApiError> {
    if request.query_string().is_empty() {
        return check_headers(request).map_err(|error| told(error, takes_of(request)));
    }
    let path = route_of(request);
    let takes = path.as_deref().and_then(|path| takes_at(request, path));
    let query = || path.as_deref().map_or(Ok(()), |path| check_query(request, path, takes));
    check_headers(request).and_then(|()| query()).map_err(|error| told(error, takes))
}

/// The refusal, with the status in its body where the route's clients read nothing else.
fn told(error: ApiError, takes: Option<&Takes>) -> ApiError {
    match takes.and_then(|takes| takes.told) {
        Some(status) => error.with("status", status.into()),
        None => error,
    }
}

fn takes_of(request: &HttpRequest) -> Option<&'static Takes> {
    takes_at(request, &route_of(request)?)
}

/// The path of the request's route, as it is registered. A comparison with all routes is slow.
fn route_of(request: &HttpRequest) -> Option<Cow<'static, str>> {
    let path = request.path();
    let is_alone = |(before, behind, _): &&(&str, &str, &str)| {
        let variable = path.strip_prefix(*before).and_then(|rest| rest.strip_suffix(*behind));
        variable.is_some_and(|variable| !variable.is_empty() && !variable.contains('/'))
    };
    match ALONE.iter().find(is_alone) {
        Some((.., whole)) => Some(Cow::Borrowed(*whole)),
        None => request.match_pattern().map(Cow::Owned),
    }
}

/// The query parameters of the route with that path and the request's method.
fn takes_at(request: &HttpRequest, path: &str) -> Option<&'static Takes> {
    let method = request.method();
    // HEAD asks for what GET would answer.
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    TAKES.get(path)?.iter().copied().find(|takes| takes.method == method)
}

fn check_headers(request: &HttpRequest) -> Result<(), ApiError> {
    let invalid = |message: String| ApiError::bad_request(Code::InvalidHeader, message);
    // A bit for each of `ONCE`.
    let mut seen = 0u64;
    for (name, value) in request.headers() {
        let bit = ONCE.iter().position(|known| *known == name.as_str()).map_or(0, |place| 1 << place);
        if bit == 0 && !LISTS.contains(&name.as_str()) {
            continue;
        }
        if value.to_str().is_err() {
            let error = invalid(format!("the header {name} has characters that are not visible ASCII"));
            // The documentation has wp_… where the reader's token belongs.
            let is_placeholder =
                name.as_str() == "authorization" && value.as_bytes().ends_with("…".as_bytes());
            return Err(match is_placeholder {
                true => error.hint("put the token that `waypost dev` printed in place of wp_…"),
                false => error,
            });
        }
        if seen & bit != 0 {
            return Err(invalid(format!("the header {name} is given twice")).hint("send it once"));
        }
        seen |= bit;
    }
    Ok(())
}

/// Checks the query against the route of the request. Other code answers unknown paths, preflight requests
/// and methods that the path does not take. A page takes every query.
fn check_query(request: &HttpRequest, path: &str, takes: Option<&Takes>) -> Result<(), ApiError> {
    let method = request.method();
    if method == Method::OPTIONS || !paths::is_taken(method) || takes.is_some_and(|takes| takes.any) {
        return Ok(());
    }
    let (names, many) = takes.map_or((&[][..], &[][..]), |takes| (takes.names, takes.many));
    let is_taken = || request.app_data::<Methods>().is_none_or(|methods| methods.take(path, method));
    match Query::check(request.query_string(), names, many) {
        Err(error) if is_taken() => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::edge::paths::at;
    use actix_web::http::header::{HeaderName, HeaderValue};
    use actix_web::test::{TestRequest, call_and_read_body, init_service};
    use actix_web::{App, web};

    fn with(headers: &[(&'static str, &[u8])]) -> Result<(), ApiError> {
        let add = |request: TestRequest, (name, value): &(&'static str, &[u8])| {
            request.append_header((HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap()))
        };
        check(&headers.iter().fold(TestRequest::default(), add).to_http_request())
    }

    #[actix_web::test]
    async fn a_path_of_a_form_of_its_own_is_recognised_as_its_route() {
        let pattern = |request: HttpRequest| async move {
            format!("{:?} {:?}", route_of(&request).as_deref(), request.match_pattern().as_deref())
        };
        let paths = edge::takes().map(|takes| takes.path).filter(|path| path.starts_with("/apps/"));
        let app = paths.fold(App::new(), |app, path| app.route(path, web::to(pattern)));
        let app = init_service(app.default_service(web::to(pattern))).await;
        assert_eq!(ALONE.len(), 2);
        for (path, expected) in [
            ("/apps/7/events", Some("/apps/{app}/events")),
            ("/apps/%37/events", Some("/apps/{app}/events")),
            ("/apps/7/batch_events", Some("/apps/{app}/batch_events")),
            ("/apps/7/channels", Some("/apps/{app}/channels")),
            ("/apps//events", None),
            ("/apps/7/8/events", None),
            ("/apps/events", None),
            ("/apps/7/events/", None),
        ] {
            let told = call_and_read_body(&app, TestRequest::with_uri(path).to_request()).await;
            assert_eq!(told, format!("{expected:?} {expected:?}"), "{path}");
        }
    }

    #[test]
    fn a_method_that_the_path_does_not_take_is_refused_for_itself_and_not_for_its_query() {
        const PATH: &str = "/apps/{app}/events";
        let asked = |method: Method, path: &str| {
            let mut methods = Methods::default();
            methods.add(&at(PATH).post(|| async { "" }));
            let request = TestRequest::with_uri("/apps/7/events?colour=1").method(method).app_data(methods);
            check_query(&request.to_http_request(), path, None).is_ok()
        };
        assert!(!asked(Method::POST, PATH));
        for other in [Method::GET, Method::HEAD, Method::DELETE, Method::TRACE, Method::OPTIONS] {
            assert!(asked(other.clone(), PATH), "{other}");
        }
        assert!(asked(Method::POST, "/apps/{app}/batch_events"), "a path that this node does not serve");
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
        let placeholder = with(&[("authorization", "Bearer wp_…".as_bytes())]).unwrap_err().body();
        assert!(placeholder["hint"].as_str().is_some_and(|hint| hint.contains("in place of wp_…")));
        let other = with(&[("authorization", "Bearer é".as_bytes())]).unwrap_err().body();
        assert_eq!((&other["code"], other.get("hint")), (&"invalid_header".into(), None));
        assert!(with(&[("x-forwarded-for", b"\xff"), ("cookie", b"a"), ("cookie", b"b")]).is_ok());
        assert!(with(&[("origin", b""), ("last-event-id", b"")]).is_ok());
    }
}
