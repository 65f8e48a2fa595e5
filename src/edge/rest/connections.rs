//! The connections of a map's clients, on whichever nodes they are: a list, those that were closed as too slow, and
//! closing one.
//!
//! Holders of the manage scope may do all of it. The id of a connection of another map answers as an unknown one.

use super::nodes::{self, Heard};
use crate::core::access::Access;
use crate::core::app::App;
use crate::core::error_code::Code;
use crate::core::ids::{MapId, NodeId};
use crate::core::nearest::suggestion;
use crate::core::subject::Subject;
use crate::core::time::iso_millis;
use crate::edge::CONNECTIONS;
use crate::edge::body::Body;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::query::Query;
use crate::hub::{
    AskClosed, AskConnections, ClientConnection, ClosedConnection, EndConnection, MOST_CONNECTIONS,
};
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::fmt;
use waypost_cluster::Status;

const DEFAULT_LIMIT: u64 = 100;
/// One connection more than the limit shows whether there are more.
const MAX_LIMIT: u64 = MOST_CONNECTIONS as u64 - 1;

/// Parameters of the list.
pub(super) const NAMES: &[&str] = &["limit", "after", "protocol", "subject"];
/// Parameters of the list of those that were closed.
pub(super) const NAMES_OF_CLOSED: &[&str] = &["limit"];

/// Names a connection: its node, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ConnectionId {
    node: NodeId,
    number: u64,
}

impl ConnectionId {
    /// Reads an id in the only form in which it is written.
    fn read(text: &str) -> Option<Self> {
        let (node, number) = text.split_once('-')?;
        let id = Self { node: node.parse().ok()?, number: u64::from_str_radix(number, 16).ok()? };
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:014x}", self.node, self.number)
    }
}

/// Which connections a caller asks for.
struct Wanted {
    limit: usize,
    after: Option<ConnectionId>,
    protocol: Option<String>,
    subject: Option<Subject>,
}

impl Wanted {
    fn read(query: &Query<'_>) -> Result<Self, ApiError> {
        let limit = query.number("limit", Code::InvalidLimit, 1..=MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT);
        let bad_after = || ApiError::bad_request(Code::InvalidAfter, "after must be the id of a connection");
        let after = query.get("after").map(|after| ConnectionId::read(after).ok_or_else(bad_after));
        let subject = query.get("subject").map(Subject::parse_any).transpose();
        let protocol = query.get("protocol").map(protocol).transpose()?;
        Ok(Self {
            limit: limit as usize,
            after: after.transpose()?,
            protocol,
            subject: subject
                .map_err(|error| ApiError::bad_request(Code::InvalidSubject, error.to_string()))?,
        })
    }

    /// What that node is asked. `None` if all of its connections come before those that are asked for.
    fn of(&self, map: MapId, node: NodeId) -> Option<AskConnections> {
        let after = match self.after {
            Some(after) if after.node > node => return None,
            Some(after) if after.node == node => Some(after.number),
            _ => None,
        };
        let limit = u32::try_from(self.limit).unwrap_or(u32::MAX).saturating_add(1);
        Some(AskConnections {
            map,
            after,
            limit,
            protocol: self.protocol.clone(),
            subject: self.subject.clone(),
        })
    }
}

fn protocol(name: &str) -> Result<String, ApiError> {
    if CONNECTIONS.contains(&name) {
        return Ok(name.to_owned());
    }
    let shown: String = name.chars().take(100).collect();
    let suggestion = suggestion(&shown, CONNECTIONS.iter().copied());
    let message = format!("{shown} is no protocol of connections{suggestion}");
    Err(ApiError::bad_request(Code::InvalidProtocol, message)
        .hint(format!("the protocols: {}", CONNECTIONS.join(", "))))
}

/// Lists the connections by id, a page at a time.
pub(super) async fn list(
    request: HttpRequest,
    edge: Data<Edge>,
    map: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let grant = edge.managed(&request, &map).await?;
    let wanted = Wanted::read(&Query::of(&request, NAMES)?)?;
    let status = edge.hub.health().status();
    let ask = |node| Some((node, wanted.of(grant.map.id, node)?));
    let asks: Vec<(NodeId, AskConnections)> =
        status.members.iter().filter_map(|member| ask(member.id)).collect();
    let mut found: Vec<(ConnectionId, ClientConnection)> = Vec::new();
    let mut silent = Vec::new();
    for (node, heard) in nodes::ask_all(&edge, asks).await {
        match heard {
            Heard::Answer(connections) => found.extend(connections.into_iter().map(|connection| {
                let id = ConnectionId { node, number: connection.number };
                (id, connection)
            })),
            Heard::Nothing => silent.push(node),
            Heard::NoProcess => {}
        }
    }
    found.sort_unstable_by_key(|(id, _)| *id);
    let has_more = found.len() > wanted.limit;
    found.truncate(wanted.limit);
    let next = found.last().filter(|_| has_more).map(|(id, _)| id.to_string());
    let known = edge.hub.access().known();
    let data: Vec<Value> =
        found.iter().map(|(id, connection)| shown(&status, &known, *id, connection)).collect();
    let unreachable = nodes::nodes(&status, silent);
    Ok(HttpResponse::Ok().json(json!({"data": data, "next": next, "unreachable": unreachable})))
}

/// A connection, by the app that opened it or by its token. No list has the tokens of apps.
fn shown(status: &Status, known: &Access, id: ConnectionId, connection: &ClientConnection) -> Value {
    let app = connection.token.and_then(|token| known.apps().get(token));
    let token = connection.token.filter(|_| app.is_none());
    json!({
        "id": id.to_string(),
        "node": nodes::node(status, id.node),
        "protocol": connection.protocol,
        "address": connection.address,
        "port": connection.port,
        "user_agent": connection.agent,
        "token": token.map(|token| token.to_string()),
        "app": app.map(|app| app_shown(app)),
        "user": connection.user,
        "age_seconds": connection.age_seconds,
        "subjects": connection.subjects,
        "subjects_total": connection.subjects_total,
        "lag_events": connection.lag_events,
        "lag_bytes": connection.lag_bytes,
        "unsent_bytes": connection.unsent_bytes,
        "waiting_seconds": connection.waiting_seconds,
    })
}

/// Lists the connections that nodes closed lately because their clients read too slowly, the newest first.
pub(super) async fn closed(
    request: HttpRequest,
    edge: Data<Edge>,
    map: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let grant = edge.managed(&request, &map).await?;
    let query = Query::of(&request, NAMES_OF_CLOSED)?;
    let limit = query.number("limit", Code::InvalidLimit, 1..=MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT);
    let ask = AskClosed { map: grant.map.id, limit: u32::try_from(limit).unwrap_or(MOST_CONNECTIONS) };
    let status = edge.hub.health().status();
    let asks: Vec<(NodeId, AskClosed)> =
        status.members.iter().map(|member| (member.id, ask.clone())).collect();
    let mut found: Vec<(NodeId, ClosedConnection)> = Vec::new();
    let mut silent = Vec::new();
    for (node, heard) in nodes::ask_all(&edge, asks).await {
        match heard {
            Heard::Answer(closed) => found.extend(closed.into_iter().map(|closed| (node, closed))),
            // What a process has closed is forgotten with it.
            Heard::NoProcess => {}
            Heard::Nothing => silent.push(node),
        }
    }
    found.sort_by_key(|(_, closed)| Reverse(closed.at_ms));
    found.truncate(limit as usize);
    let known = edge.hub.access().known();
    let data: Vec<Value> =
        found.iter().map(|(node, closed)| closed_shown(&status, &known, *node, closed)).collect();
    let unreachable = nodes::nodes(&status, silent);
    Ok(HttpResponse::Ok().json(json!({"data": data, "unreachable": unreachable})))
}

/// A connection as it was when it was closed.
fn closed_shown(status: &Status, known: &Access, node: NodeId, closed: &ClosedConnection) -> Value {
    let id = ConnectionId { node, number: closed.connection.number };
    let mut was = shown(status, known, id, &closed.connection);
    was["closed_at"] = iso_millis(closed.at_ms).into();
    was["reason"] = closed.reason.as_str().into();
    was
}

/// An app by its names, as the list of a map's apps has them.
fn app_shown(app: &App) -> Value {
    json!({"app_id": app.id, "key": app.key})
}

/// Closes a connection of the map, so that its client connects again.
pub(super) async fn close(
    request: HttpRequest,
    edge: Data<Edge>,
    path: Path<(String, String)>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let (map, id) = path.into_inner();
    let grant = edge.managed(&request, &map).await?;
    body.none().await?;
    let id = ConnectionId::read(&id).ok_or_else(unknown)?;
    if edge.hub.health().status().member(id.node).is_none() {
        return Err(unknown());
    }
    let end = EndConnection { map: grant.map.id, number: id.number };
    match nodes::ask(&edge, id.node, &end).await {
        Heard::Answer(true) => Ok(HttpResponse::NoContent().finish()),
        Heard::Answer(false) | Heard::NoProcess => Err(unknown()),
        Heard::Nothing => {
            let node = edge.hub.peers().called(id.node);
            let message = format!("node {node} did not answer: the connection may be closed, or not");
            let error = ApiError::new(StatusCode::SERVICE_UNAVAILABLE, Code::UnknownOutcome, message);
            Err(error.hint("list the connections again, or repeat the request: that does no harm"))
        }
    }
}

fn unknown() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, Code::UnknownConnection, "the map has no such connection")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_form() {
        let id = ConnectionId { node: 3, number: 0xa7 };
        assert_eq!(id.to_string(), "3-000000000000a7");
        assert_eq!(ConnectionId::read("3-000000000000a7"), Some(id));
        let largest = ConnectionId { node: 12, number: (1 << 56) - 1 };
        assert_eq!(ConnectionId::read(&largest.to_string()), Some(largest));
        for other in ["", "3", "3-", "3-a7", "3-000000000000A7", "03-000000000000a7", "+3-000000000000a7"] {
            assert_eq!(ConnectionId::read(other), None, "{other}");
        }
    }

    #[test]
    fn pages_go_from_node_to_node() {
        let id = ConnectionId { node: 3, number: 7 };
        let wanted = Wanted { limit: 2, after: Some(id), protocol: None, subject: None };
        let map = MapId::from_bytes([1; 16]);
        let after = |node| wanted.of(map, node).map(|ask| (ask.after, ask.limit));
        assert_eq!(after(2), None, "these were listed");
        assert_eq!(after(3), Some((Some(7), 3)));
        assert_eq!(after(4), Some((None, 3)));
    }

    #[test]
    fn a_misspelt_protocol_is_told_the_right_one() {
        assert_eq!(protocol("live").unwrap(), "live");
        let told = protocol("lives").unwrap_err().body();
        assert_eq!(told["code"], "invalid_protocol");
        assert!(told["message"].as_str().unwrap().contains("did you mean live?"), "{told}");
    }
}
