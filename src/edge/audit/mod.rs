//! The audit log: one line of JSON for each change through the admin and manage APIs, and for each request
//! that they refuse. A line says who asked from where for what, and the result. It never has a body, a query
//! or a header, so no secret gets into it.
//!
//! [`record`] stands before all routes, so a new route is recorded without doing anything for it. Publishing
//! and reading events are not recorded: they are the data, not its administration.

pub mod facts;
pub mod log;

use crate::clock::now_ms;
use crate::core::error_code::Code;
use crate::core::ids::NodeId;
use crate::core::time::iso_millis;
use crate::edge::addresses::address_of;
use crate::edge::context::Edge;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode};
use actix_web::web::Data;
use actix_web::{Error, HttpMessage};
use facts::{Caller, ErrorCode, Notes};
use log::AuditLog;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Longest path in a line, in bytes.
const PATH: usize = 512;
/// What readers of consumers do: they take events.
const READING: [&str; 5] = [
    "/consumers/{consumer}/pull",
    "/consumers/{consumer}/stream",
    "/consumers/{consumer}/ack",
    "/consumers/{consumer}/nack",
    "/consumers/{consumer}/extend",
];
/// How the secrets that the cluster makes begin, and client tokens (JWTs). A path that has one by mistake is
/// not written with it.
const SECRETS: [&str; 3] = ["wp_", "wpa_", "eyj"];

/// Which results of a request are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recorded {
    /// All of them.
    All,
    /// Only refusals.
    Refusals,
    None,
}

/// Has `service` handle a request, and records it, whatever handles it. Most requests are not recorded, and
/// are handled as if this were not there.
pub fn record<S, B>(
    service: &S,
    request: ServiceRequest,
) -> impl Future<Output = Result<ServiceResponse<B>, Error>> + use<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
{
    let entry = Entry::of(&request);
    if let Some(entry) = &entry {
        request.extensions_mut().insert(entry.notes.clone());
    }
    let answer = service.call(request);
    async move {
        let answer = answer.await;
        if let Some(mut entry) = entry {
            entry.end_with(&answer);
        }
        answer
    }
}

fn recorded(method: &Method, route: &str) -> Recorded {
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    let is_data = match route.strip_prefix("/api/maps/{map}") {
        Some("/events") => is_read || *method == Method::POST,
        Some(rest) if READING.contains(&rest) => true,
        Some(rest) => is_read && (rest.starts_with("/events/") || rest == "/subjects"),
        // What happens in live sessions is published by these routes.
        None => route.starts_with("/api/sessions") || route == "/api/votes/live",
    };
    match route {
        _ if is_data || !route.starts_with("/api/") || *method == Method::OPTIONS => Recorded::None,
        // It gives everything away.
        "/api/cluster/backup" => Recorded::All,
        _ if is_read => Recorded::Refusals,
        _ => Recorded::All,
    }
}

/// A line before its request has ended. If the request is dropped, because its caller has left, its result is
/// written as unknown.
struct Entry {
    log: Arc<AuditLog>,
    recorded: Recorded,
    notes: Notes,
    node: NodeId,
    address: IpAddr,
    method: Method,
    route: String,
    path: String,
    ended: bool,
}

/// A line of the log.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    node: NodeId,
    /// `admin`, `token`, or `unknown`: no token, or a wrong one.
    who: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    address: IpAddr,
    method: &'a str,
    route: &'a str,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    map: Option<String>,
    #[serde(flatten)]
    thing: BTreeMap<&'static str, String>,
    status: Option<u16>,
    /// `done`, `unknown`, or the code of the error.
    result: &'a str,
}

impl Entry {
    fn of(request: &ServiceRequest) -> Option<Self> {
        let edge = request.app_data::<Data<Edge>>()?;
        let log = edge.audit.clone()?;
        let route = request.match_pattern()?;
        let recorded = recorded(request.method(), &route);
        (recorded != Recorded::None).then(|| Self {
            log,
            recorded,
            notes: Notes::default(),
            node: edge.hub.node_id(),
            address: address_of(request.request()),
            method: request.method().clone(),
            path: shown(request.path()),
            route,
            ended: false,
        })
    }

    fn end_with<B>(&mut self, answer: &Result<ServiceResponse<B>, Error>) {
        match answer {
            Ok(answer) => {
                let code = answer.response().extensions().get::<ErrorCode>().map(|ErrorCode(code)| *code);
                self.end(answer.status(), code);
            }
            Err(error) => self.end(error.as_response_error().status_code(), None),
        }
    }

    fn end(&mut self, status: StatusCode, code: Option<Code>) {
        self.ended = true;
        let refused = status.is_client_error() && status != StatusCode::BAD_REQUEST;
        if self.recorded == Recorded::All || refused {
            let result = if status.is_success() { "done" } else { code.map_or("failed", Code::as_str) };
            self.write(Some(status), result);
        }
    }

    fn write(&self, status: Option<StatusCode>, result: &str) {
        let facts = self.notes.0.borrow();
        let (who, token) = match facts.caller {
            Some(Caller::Admin) => ("admin", None),
            Some(Caller::Token(token)) => ("token", Some(token.to_string())),
            None => ("unknown", None),
        };
        let line = Line {
            time: iso_millis(now_ms()),
            node: self.node,
            who,
            token,
            address: self.address,
            method: self.method.as_str(),
            route: &self.route,
            path: &self.path,
            map: facts.map.map(|map| map.to_string()),
            thing: facts.thing.iter().cloned().collect(),
            status: status.map(|status| status.as_u16()),
            result,
        };
        match serde_json::to_string(&line) {
            Ok(line) => self.log.write(line),
            Err(error) => tracing::error!(%error, "a line of the audit log can't be made"),
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if !self.ended && self.recorded == Recorded::All {
            self.write(None, "unknown");
        }
    }
}

/// A path as it is written: bounded, and without a secret that somebody put there by mistake.
fn shown(path: &str) -> String {
    let part = |part: &str| {
        let lower = part.to_ascii_lowercase().replace("%5f", "_");
        if SECRETS.iter().any(|secret| lower.starts_with(secret)) {
            "********".to_owned()
        } else {
            part.to_owned()
        }
    };
    let mut shown = path.split('/').map(part).collect::<Vec<_>>().join("/");
    if let Some((end, _)) = shown.char_indices().find(|(at, c)| at + c.len_utf8() > PATH) {
        shown.truncate(end);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_and_refusals_are_recorded_and_the_data_is_not() {
        for (method, route, expected) in [
            (Method::POST, "/api/maps", Recorded::All),
            (Method::GET, "/api/maps", Recorded::Refusals),
            (Method::HEAD, "/api/maps/{map}", Recorded::Refusals),
            (Method::POST, "/api/maps/{map}/events", Recorded::None),
            (Method::GET, "/api/maps/{map}/events", Recorded::None),
            (Method::GET, "/api/maps/{map}/events/stream", Recorded::None),
            (Method::DELETE, "/api/maps/{map}/events/{event:[0-9A-Za-z]{26}}", Recorded::All),
            (Method::GET, "/api/maps/{map}/subjects", Recorded::None),
            (Method::DELETE, "/api/maps/{map}/subjects/{subject:.*}", Recorded::All),
            (Method::PUT, "/api/maps/{map}/channel-rules", Recorded::All),
            (Method::GET, "/api/cluster/backup", Recorded::All),
            (Method::POST, "/api/cluster/{operation}", Recorded::All),
            (Method::POST, "/api/sessions/{session}/games", Recorded::None),
            (Method::POST, "/api/votes/live", Recorded::None),
            (Method::OPTIONS, "/api/maps", Recorded::None),
            (Method::GET, "/healthz", Recorded::None),
            // A route that nobody has thought of yet.
            (Method::POST, "/api/anything", Recorded::All),
        ] {
            assert_eq!(recorded(&method, route), expected, "{method} {route}");
        }
    }

    #[test]
    fn a_path_is_bounded_and_has_no_secret() {
        assert_eq!(shown("/api/maps/demo/tokens/7"), "/api/maps/demo/tokens/7");
        assert_eq!(shown("/api/maps/wp_abc/tokens/WPA%5Fxyz"), "/api/maps/********/tokens/********");
        assert_eq!(shown(&"é".repeat(PATH)).len(), PATH);
    }
}
