//! The audit log of all nodes, for the admin.

use super::nodes::{self, Heard};
use crate::core::error_code::Code;
use crate::core::ids::{MapId, NodeId};
use crate::core::time::parse_iso;
use crate::edge::audit::search::{AskAudit, FoundLine, MOST_LINES, Place};
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::query::Query;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};
use std::cmp::Reverse;
use waypost_cluster::Status;

const DEFAULT_LIMIT: u64 = 100;
/// One line more than the limit shows whether there are more.
const MAX_LIMIT: u64 = MOST_LINES as u64 - 1;
/// Longest text to look for (bytes).
const MAX_TEXT: usize = 200;

/// Parameters of the list.
pub(super) const NAMES: &[&str] = &["map", "who", "action", "result", "since", "until", "limit", "after"];

/// Reads a place, as `next` of the page before writes it.
fn place(text: &str) -> Option<Place> {
    let mut parts = text.split('-');
    let place = Place {
        time_ms: parts.next()?.parse().ok()?,
        node: parts.next()?.parse().ok()?,
        ordinal: parts.next()?.parse().ok()?,
    };
    (written(place) == text).then_some(place)
}

/// Writes a place.
fn written(place: Place) -> String {
    format!("{}-{}-{}", place.time_ms, place.node, place.ordinal)
}

/// A text to look for.
fn text(query: &Query<'_>, name: &str) -> Result<Option<String>, ApiError> {
    match query.get(name) {
        Some(text) if text.is_empty() || text.len() > MAX_TEXT => {
            let message = format!("{name} must have 1 to {MAX_TEXT} bytes");
            Err(ApiError::bad_request(Code::InvalidQuery, message))
        }
        found => Ok(found.map(str::to_owned)),
    }
}

fn time(query: &Query<'_>, name: &str, code: Code) -> Result<Option<u64>, ApiError> {
    let bad = || {
        let message = format!("{name} must be a time with an offset, as in 2025-06-21T12:34:56Z");
        ApiError::bad_request(code, message)
    };
    query.get(name).map(|text| parse_iso(text).ok_or_else(bad)).transpose()
}

/// The map of that id or slug. The lines of a map that was deleted are found by its id.
async fn map(edge: &Edge, name: Option<&str>) -> Result<Option<MapId>, ApiError> {
    let Some(name) = name else { return Ok(None) };
    if let Ok(id) = name.parse() {
        return Ok(Some(id));
    }
    match edge.hub.access().map(name).await? {
        Some(map) => Ok(Some(map.id)),
        None => Err(ApiError::not_found("the map").hint("a deleted map is named by its id")),
    }
}

async fn read(edge: &Edge, query: &Query<'_>) -> Result<AskAudit, ApiError> {
    let limit = query.number("limit", Code::InvalidLimit, 1..=MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT);
    let bad_after = || ApiError::bad_request(Code::InvalidAfter, "after must be the next of a page");
    let after = query.get("after").map(|after| place(after).ok_or_else(bad_after));
    Ok(AskAudit {
        before: after.transpose()?,
        limit: u32::try_from(limit).unwrap_or(MOST_LINES).saturating_add(1),
        since_ms: time(query, "since", Code::InvalidSince)?,
        until_ms: time(query, "until", Code::InvalidUntil)?,
        who: text(query, "who")?,
        action: text(query, "action")?,
        result: text(query, "result")?,
        map: map(edge, query.get("map")).await?,
    })
}

/// Lists the lines of all nodes, the newest first, a page at a time.
pub(super) async fn list(request: HttpRequest, edge: Data<Edge>) -> Result<HttpResponse, ApiError> {
    edge.admin(&request).await?;
    let ask = read(&edge, &Query::of(&request, NAMES)?).await?;
    let limit = ask.limit as usize - 1;
    let status = edge.hub.health().status();
    let asks: Vec<(NodeId, AskAudit)> =
        status.members.iter().map(|member| (member.id, ask.clone())).collect();
    let mut found: Vec<FoundLine> = Vec::new();
    let mut silent = Vec::new();
    for (node, heard) in nodes::ask_all(&edge, asks).await {
        match heard {
            Heard::Answer(lines) => found.extend(lines),
            Heard::Nothing | Heard::NoProcess => silent.push(node),
        }
    }
    found.sort_unstable_by_key(|found| Reverse(found.place));
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| has_more).map(|found| written(found.place));
    let data: Vec<Value> = found.iter().filter_map(|found| shown(&status, found)).collect();
    let unreachable = nodes::nodes(&status, silent);
    Ok(HttpResponse::Ok().json(json!({"data": data, "next": next, "unreachable": unreachable})))
}

/// A line, with the name of its node.
fn shown(status: &Status, found: &FoundLine) -> Option<Value> {
    let mut line: Value = serde_json::from_str(&found.line).ok()?;
    line.as_object_mut()?.insert("node".to_owned(), nodes::node(status, found.place.node));
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_one_form() {
        let third = Place { time_ms: 1_750_509_296_789, node: 3, ordinal: 2 };
        assert_eq!(written(third), "1750509296789-3-2");
        assert_eq!(place("1750509296789-3-2"), Some(third));
        for other in ["", "1", "1-2", "1-2-3-4", "01-2-3", "1-2-+3", "1--3", "a-2-3"] {
            assert_eq!(place(other), None, "{other}");
        }
    }

    #[test]
    fn a_line_is_shown_with_its_node() {
        let place = Place { time_ms: 1, node: 3, ordinal: 0 };
        let shown = |line: &str| shown(&Status::default(), &FoundLine { place, line: line.to_owned() });
        let line = r#"{"time":"x","node":3,"who":"admin"}"#;
        let expected = json!({"time": "x", "node": {"id": 3, "name": null}, "who": "admin"});
        assert_eq!(shown(line), Some(expected));
        assert_eq!(shown("3"), None);
    }
}
