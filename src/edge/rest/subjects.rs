//! The subjects of a map: listing those in use (subscribe scope), and removing their events (manage scope).

use super::maps::unexpected;
use crate::core::access::Scopes;
use crate::core::command::{Command, DeleteEvent, DeleteSubject, Reply};
use crate::core::error_code::Code;
use crate::core::history::StoredSubject;
use crate::core::subject::Subject;
use crate::edge::auth::bearer;
use crate::edge::body::Body;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::query::Query;
use crate::hub::{Counted, Counts};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::future;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 1000;

pub(super) const NAMES: &[&str] = &["prefix", "after", "limit"];

/// Lists the subjects that have stored events, subscriptions or members, by name. The map's own subject is the
/// first.
pub(super) async fn list(
    request: HttpRequest,
    edge: Data<Edge>,
    map: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let grant = edge.grant(&request, bearer(&request), &map, Scopes::SUBSCRIBE).await?;
    edge.charge(&grant).await?;
    let query = Query::of(&request, NAMES)?;
    let limit = query.number("limit", Code::InvalidLimit, 1..=MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT) as usize;
    let subject = |name, code| {
        let given = query.get(name).map(Subject::parse).transpose();
        given.map_err(|error| ApiError::bad_request(code, error.to_string()))
    };
    let after = subject("after", Code::InvalidAfter)?;
    let prefix = subject("prefix", Code::InvalidPrefix)?.unwrap_or_else(Subject::own);
    // One subject more than the limit shows whether there are more.
    let from = (prefix.to_string(), after.clone());
    let stored = edge.hub.archive().subjects(grant.map.topic, from, limit + 1);
    let prefix = Some(prefix.as_str()).filter(|prefix| !prefix.is_empty());
    let presence = edge.hub.presence();
    let counted = presence.count_everywhere(grant.map.id, prefix, after.as_ref(), limit + 1);
    let (stored, counted) = future::join(stored, counted).await;
    Ok(HttpResponse::Ok().json(page(stored?, counted, limit)))
}

/// A page of the first subjects by name. Both lists have one subject more than the limit if there are more, so
/// the page misses none.
fn page(stored: Vec<StoredSubject>, counted: Counted, limit: usize) -> Value {
    let mut found: BTreeMap<Subject, (Option<StoredSubject>, Counts)> =
        counted.counts.into_iter().map(|(subject, counts)| (subject, (None, counts))).collect();
    for stored in stored {
        let subject = stored.subject.clone();
        found.entry(subject).or_default().0 = Some(stored);
    }
    let has_more = found.len() > limit;
    let cursor = found.keys().take(limit).last().map(Subject::to_string);
    let shown =
        found.iter().take(limit).map(|(subject, (stored, counts))| shown(subject, stored.as_ref(), *counts));
    let mut page = json!({"data": shown.collect::<Vec<_>>(), "cursor": cursor, "has_more": has_more});
    if !counted.silent.is_empty() {
        page["silent_nodes"] = counted.silent.into();
    }
    page
}

fn shown(subject: &Subject, stored: Option<&StoredSubject>, counts: Counts) -> Value {
    json!({
        "subject": subject,
        "first_seq": stored.map(|stored| stored.first_seq),
        "last_seq": stored.map(|stored| stored.last_seq),
        "count": stored.map_or(0, |stored| stored.count),
        "bytes": stored.map_or(0, |stored| stored.bytes),
        "subscriptions": counts.subscriptions,
        "users": counts.users,
    })
}

/// Removes all stored events of a subject.
pub(super) async fn remove(
    request: HttpRequest,
    edge: Data<Edge>,
    path: Path<(String, String)>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let (map, subject) = path.into_inner();
    let grant = edge.managed(&request, &map).await?;
    body.none().await?;
    let subject = Subject::parse(&subject)
        .map_err(|error| ApiError::bad_request(Code::InvalidSubject, error.to_string()))?;
    let delete = DeleteSubject { map: grant.map.id, by: grant.who.by(), subject };
    match edge.hub.log().propose_everywhere(&Command::DeleteSubject(delete)).await? {
        Reply::Removed(0) => Err(ApiError::not_found("the subject's history")),
        Reply::Removed(count) => Ok(HttpResponse::Ok().json(json!({"data": {"removed": count}}))),
        _ => Err(unexpected()),
    }
}

/// Removes one event.
pub(super) async fn remove_event(
    request: HttpRequest,
    edge: Data<Edge>,
    path: Path<(String, String)>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let (map, event) = path.into_inner();
    let grant = edge.managed(&request, &map).await?;
    body.none().await?;
    let id = event.parse().map_err(|_| ApiError::not_found("the event"))?;
    let delete = DeleteEvent { map: grant.map.id, by: grant.who.by(), id };
    match edge.hub.log().propose_everywhere(&Command::DeleteEvent(delete)).await? {
        Reply::Removed(_) => Ok(HttpResponse::NoContent().finish()),
        _ => Err(unexpected()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn stored(name: &str) -> StoredSubject {
        let subject = Subject::parse(name).unwrap();
        StoredSubject { subject, first_seq: 3, last_seq: 9, count: 2, bytes: 40 }
    }

    fn counted(names: &[&str], silent: Vec<u64>) -> Counted {
        let counts = |name: &&str| (Subject::parse(name).unwrap(), Counts { subscriptions: 2, users: 1 });
        Counted { counts: names.iter().map(counts).collect(), silent, more: false }
    }

    fn names(page: &Value) -> Vec<&str> {
        page["data"].as_array().unwrap().iter().filter_map(|entry| entry["subject"].as_str()).collect()
    }

    #[test]
    fn a_page_has_stored_and_occupied_subjects_by_name() {
        let lists = || (["", "b"].map(stored).to_vec(), counted(&["a", "b", "c"], Vec::new()));
        let (stored, counts) = lists();
        let whole = page(stored, counts, 4);
        assert_eq!((names(&whole), &whole["has_more"]), (vec!["", "a", "b", "c"], &json!(false)));
        assert_eq!(
            whole["data"][1],
            json!({
                "subject": "a", "first_seq": null, "last_seq": null, "count": 0, "bytes": 0,
                "subscriptions": 2, "users": 1,
            })
        );
        assert_eq!(
            whole["data"][2],
            json!({
                "subject": "b", "first_seq": 3, "last_seq": 9, "count": 2, "bytes": 40,
                "subscriptions": 2, "users": 1,
            })
        );
        assert!(whole.get("silent_nodes").is_none());
        let (stored, counts) = lists();
        let part = page(stored, counts, 2);
        assert_eq!(
            (names(&part), &part["has_more"], &part["cursor"]),
            (vec!["", "a"], &json!(true), &json!("a"))
        );
        let empty = page(Vec::new(), counted(&[], vec![3]), 2);
        assert_eq!(empty, json!({"data": [], "cursor": null, "has_more": false, "silent_nodes": [3]}));
    }
}
