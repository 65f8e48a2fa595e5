//! The audit log: one line of JSON for each change through the admin and manage APIs, and for each request
//! that they refuse. A line says who asked from where for what, and the result; and of some changes, which
//! settings they changed. It never has a body, a query or a header, so no secret gets into it. Names are those
//! that tokens, webhooks and maps have.
//!
//! [`record`] stands before all routes, so a new route is recorded without doing anything for it. Publishing
//! and reading events are not recorded: they are the data, not its administration.
//!
//! Every node keeps its own log: in a file if one is set, and the newest lines in memory. [`search`] finds
//! lines in it.

pub mod changes;
pub mod facts;
mod files;
pub mod log;
mod names;
mod recent;
pub mod search;
mod words;

use crate::clock::now_ms;
use crate::core::error_code::Code;
use crate::core::ids::NodeId;
use crate::core::time::iso_millis;
use crate::edge::addresses::address_of;
use crate::edge::context::Edge;
use crate::hub::Hub;
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::{Method, StatusCode};
use actix_web::web::Data;
use actix_web::{Error, HttpMessage};
use changes::Change;
use facts::{Caller, ErrorCode, Facts, Notes};
use log::AuditLog;
use names::Names;
use search::MOST_LINE_BYTES;
use serde::Serialize;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Longest path in a line, in bytes.
const PATH: usize = 512;
/// The result of what was done.
const DONE: &str = "done";
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
const SECRETS: [&str; 4] = ["wp_", "wpa_", "wpl_", "eyj"];

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

/// Whether the path itself shows that the request is not recorded: most requests are such, and need no look
/// at their routes. A path with escapes shows nothing.
fn is_plain_data(method: &Method, path: &str) -> bool {
    if path.contains('%') {
        return false;
    }
    let Some(below) = path.strip_prefix("/api/") else { return !path.starts_with("/console/") };
    let mut parts = below.split('/');
    let mut next = || parts.next().unwrap_or_default();
    match (next(), next(), next(), next(), next(), next()) {
        ("maps", _, "events", "", "", "") => matches!(*method, Method::GET | Method::HEAD | Method::POST),
        ("maps", _, "consumers", _, "pull" | "stream" | "ack" | "nack" | "extend", "") => true,
        _ => false,
    }
}

fn recorded(method: &Method, route: &str) -> Recorded {
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    let is_data = match route.strip_prefix("/api/maps/{map}") {
        Some("/events") => is_read || *method == Method::POST,
        Some(rest) if READING.contains(&rest) => true,
        Some("/events/{event:[0-9A-Za-z]{26}}/trace") => false,
        Some(rest) => is_read && (rest.starts_with("/events/") || rest == "/subjects"),
        // What happens in live sessions is published by these routes.
        None => route.starts_with("/api/sessions") || route == "/api/votes/live",
    };
    match route {
        _ if is_data || *method == Method::OPTIONS => Recorded::None,
        // Who signs in to the console, and out of it.
        "/console/session" if !is_read => Recorded::All,
        "/console/oidc/callback" => Recorded::All,
        // It gives everything away.
        "/api/cluster/backup" => Recorded::All,
        _ if !route.starts_with("/api/") => Recorded::None,
        // It changes nothing.
        "/api/maps/{map}/webhooks/preview" => Recorded::Refusals,
        _ if is_read => Recorded::Refusals,
        _ => Recorded::All,
    }
}

/// A line before its request has ended. If the request is dropped, because its caller has left, its result is
/// written as unknown.
struct Entry {
    log: Arc<AuditLog>,
    hub: Hub,
    recorded: Recorded,
    notes: Notes,
    /// The names of what the request removes.
    removed: Option<Names>,
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
    /// `admin`, `token`, `portal` (a portal link; the token is its maker's), or `unknown`: no token, or a
    /// wrong one.
    who: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_name: Option<String>,
    address: IpAddr,
    method: &'a str,
    route: &'a str,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    map: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    map_name: Option<String>,
    #[serde(flatten)]
    thing: BTreeMap<&'static str, String>,
    /// The name of what the request makes or acts upon.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changed: Vec<Change>,
    status: Option<u16>,
    /// `done`, `unknown`, or the code of the error.
    result: &'a str,
}

impl Entry {
    fn of(request: &ServiceRequest) -> Option<Self> {
        if is_plain_data(request.method(), request.path()) {
            return None;
        }
        let edge = request.app_data::<Data<Edge>>()?;
        let log = edge.audit.clone();
        let route = request.match_pattern()?;
        let recorded = recorded(request.method(), &route);
        if recorded == Recorded::None {
            return None;
        }
        let path = shown(request.path());
        let (map, thing) = (names::named_in(&route, &path, true), names::named_in(&route, &path, false));
        let removed = (*request.method() == Method::DELETE).then(|| Names::of(&edge.hub, map, thing));
        Some(Self {
            log,
            hub: edge.hub.clone(),
            recorded,
            notes: Notes::default(),
            removed,
            node: edge.hub.node_id(),
            address: address_of(request.request()),
            method: request.method().clone(),
            path,
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
            let is_done = status.is_success() || status.is_redirection();
            let result = if is_done { DONE } else { code.map_or("failed", Code::as_str) };
            self.write(Some(status), result);
        }
    }

    fn write(&self, status: Option<StatusCode>, result: &str) {
        let facts = self.notes.0.borrow();
        let (who, token) = match facts.caller {
            Some(Caller::Admin) => ("admin", None),
            Some(Caller::Token(token)) => ("token", Some(token.to_string())),
            Some(Caller::Link(maker)) => ("portal", maker.map(|token| token.to_string())),
            None => ("unknown", None),
        };
        let Names { map: map_name, thing: name } = self.names(&facts);
        let is_done = result == DONE;
        let line = Line {
            time: iso_millis(now_ms()),
            node: self.node,
            who,
            token,
            token_name: names::of_caller(&self.hub, facts.caller),
            address: self.address,
            method: self.method.as_str(),
            route: &self.route,
            path: &self.path,
            map: facts.map.map(|map| map.to_string()),
            map_name,
            thing: facts.thing.iter().cloned().collect(),
            name,
            changed: if is_done { changes::bounded(&facts.changes) } else { Vec::new() },
            status: status.map(|status| status.as_u16()),
            result,
        };
        match text_of(line) {
            Ok(line) => self.log.write(line),
            Err(error) => tracing::error!(%error, "a line of the audit log can't be made"),
        }
    }

    /// The names of what the request is about: as they were, if it removes something.
    fn names(&self, facts: &Facts) -> Names {
        if let Some(removed) = &self.removed {
            return removed.clone();
        }
        let map = names::map_of(facts.map, &self.route, &self.path);
        let made = facts.thing.as_ref().map(|(_, id)| id.as_str());
        let thing = made.or_else(|| names::named_in(&self.route, &self.path, false));
        Names::of(&self.hub, map.as_deref(), thing)
    }
}

/// A line as it is written. One that would be too long to be found again has no changes.
fn text_of(mut line: Line<'_>) -> serde_json::Result<String> {
    let text = serde_json::to_string(&line)?;
    if text.len() <= MOST_LINE_BYTES {
        return Ok(text);
    }
    line.changed.clear();
    serde_json::to_string(&line)
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
            (Method::POST, "/api/maps/{map}/webhooks/preview", Recorded::Refusals),
            (Method::GET, "/api/cluster/backup", Recorded::All),
            (Method::POST, "/api/cluster/{operation}", Recorded::All),
            (Method::POST, "/api/sessions/{session}/games", Recorded::None),
            (Method::POST, "/api/votes/live", Recorded::None),
            (Method::OPTIONS, "/api/maps", Recorded::None),
            (Method::GET, "/healthz", Recorded::None),
            (Method::POST, "/console/session", Recorded::All),
            (Method::GET, "/console/session", Recorded::None),
            (Method::GET, "/console/oidc/callback", Recorded::All),
            // A route that nobody has thought of yet.
            (Method::POST, "/api/anything", Recorded::All),
        ] {
            assert_eq!(recorded(&method, route), expected, "{method} {route}");
            let is_plain = is_plain_data(&method, route);
            assert!(!is_plain || expected == Recorded::None, "{method} {route}");
        }
    }

    #[test]
    fn data_is_seen_without_a_look_at_the_routes() {
        for (method, path, is_plain) in [
            (Method::POST, "/api/maps/demo/events", true),
            (Method::GET, "/api/maps/demo/events", true),
            (Method::DELETE, "/api/maps/demo/events", false),
            (Method::DELETE, "/api/maps/demo/events/01JY97R74N0000000000070000", false),
            (Method::POST, "/api/maps/demo/consumers/a/ack", true),
            (Method::POST, "/api/maps/demo/consumers/a", false),
            (Method::POST, "/api/maps", false),
            (Method::POST, "/%61pi/maps", false),
            (Method::POST, "/apps/1/events", true),
            (Method::GET, "/socket/events/websocket", true),
        ] {
            assert_eq!(is_plain_data(&method, path), is_plain, "{method} {path}");
        }
    }

    #[test]
    fn a_path_is_bounded_and_has_no_secret() {
        assert_eq!(shown("/api/maps/demo/tokens/7"), "/api/maps/demo/tokens/7");
        assert_eq!(shown("/api/maps/wp_abc/tokens/WPA%5Fxyz"), "/api/maps/********/tokens/********");
        assert_eq!(shown(&"é".repeat(PATH)).len(), PATH);
    }
}
