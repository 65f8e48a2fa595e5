//! Replays: delivering events again, as a range of the stream with its own progress, or as single events.
//!
//! How they are shown is in [`super::replayed`].

use super::error::Problem;
use super::managed::Managed;
use super::position;
use super::replayed::{Wanted, all, waiting};
use super::{object, order};
use crate::core::consumer::progress::{OwnerCommand, Track};
use crate::core::field_error::{FieldCode, FieldErrors};
use crate::core::history::Start;
use crate::core::ids::{EventId, TopicId};
use crate::core::json::Members;
use crate::core::webhook::Webhook;
use crate::edge::body::Body;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::query::Query;
use crate::edge::start::{Form, Named};
use crate::hub::Grant;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Events that a request may name by their ids.
const MAX_EVENTS: usize = 100;

/// Parameters of the question how many events a replay would have.
pub(super) const NAMES: &[&str] = &["since", "after", "until", "failed_only"];

/// A replay in the path.
#[derive(Deserialize)]
pub(super) struct OfReplay {
    replay: String,
}

/// What the request asks for.
#[derive(Debug)]
struct Asked {
    from: Option<From>,
    until_ms: Option<u64>,
    failed_only: bool,
}

/// Which events the request names.
#[derive(Debug)]
enum From {
    Since(Named),
    After(EventId),
    Events(Vec<EventId>),
}

pub(super) async fn start(
    edge: Data<Edge>,
    Managed { grant, webhook }: Managed,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let asked = read(&object(body).await?)?;
    if let Some(From::Events(ids)) = &asked.from {
        return redeliver(&edge, &grant, &webhook, ids).await;
    }
    let wanted = wanted(&edge, grant.map.topic, asked).await?;
    begin(&edge, &grant, &webhook, wanted).await
}

/// Says which events a replay with these parameters would have now. Nothing is begun.
pub(super) async fn plan(
    request: HttpRequest,
    edge: Data<Edge>,
    Managed { grant, webhook }: Managed,
) -> Result<HttpResponse, Problem> {
    let asked = read(&as_body(&Query::of(&request, NAMES)?))?;
    let topic = grant.map.topic;
    let Wanted { from_seq, until_seq, failed_only } = wanted(&edge, topic, asked).await?;
    let head_seq = edge.hub.archive().locate(topic, Start::Live).await?.head_seq;
    let until_seq = until_seq.min(head_seq + 1).max(from_seq);
    let events = match failed_only {
        true => edge.hub.webhooks().dead_left(webhook.id, Track::new(from_seq), until_seq).await?,
        false => until_seq - from_seq,
    };
    Ok(HttpResponse::Ok().json(json!({"data": {
        "from_seq": from_seq, "until_seq": until_seq, "failed_only": failed_only, "events": events,
    }})))
}

/// The parameters of a query as the members of a body, so that both are read, and refused, alike.
fn as_body(query: &Query<'_>) -> String {
    let value = |name: &str, text: &str| match (name, text) {
        ("failed_only", "true") => Value::Bool(true),
        ("failed_only", "false") => Value::Bool(false),
        _ => text.into(),
    };
    let given = |name: &&str| Some(((*name).to_owned(), value(name, query.get(name)?)));
    Value::Object(NAMES.iter().filter_map(given).collect::<Map<String, Value>>()).to_string()
}

/// The range that a request asks for.
async fn wanted(edge: &Edge, topic: TopicId, asked: Asked) -> Result<Wanted, Problem> {
    let from_seq = match asked.from {
        Some(From::Since(position)) => position::first(edge, topic, position).await?,
        Some(From::After(id)) => position::after(edge, topic, "after", id).await?,
        Some(From::Events(_)) | None => 1,
    };
    let until_seq = match asked.until_ms {
        Some(ms) => edge.hub.archive().locate(topic, Start::Since(ms)).await?.next_seq,
        None => u64::MAX,
    };
    Ok(Wanted { from_seq, until_seq, failed_only: asked.failed_only })
}

fn read(text: &str) -> Result<Asked, Problem> {
    let mut body = Members::of(text);
    let since: Option<String> = body.take(&["since"], "a time");
    let after: Option<String> = body.take(&["after"], "the id of an event");
    let ids: Option<Vec<String>> = body.take(&["event_ids"], "a list of ids of events");
    let until: Option<String> = body.take(&["until"], "a time");
    let failed_only = body.take(&["failed_only"], "true or false").unwrap_or(false);
    let has_until = until.is_some();
    let until_ms = until.and_then(|until| position::read(&mut body, "until", Form::Time, &until)?.time_ms());
    let from = match (&since, &after, &ids) {
        (Some(text), None, None) => position::read(&mut body, "since", Form::IdOrTime, text).map(From::Since),
        (None, Some(text), None) => {
            let named = position::read(&mut body, "after", Form::Id, text);
            named.and_then(Named::event).map(From::After)
        }
        (None, None, Some(ids)) => events(ids, &mut body),
        (None, None, None) => {
            if !failed_only {
                body.fault(
                    "since",
                    FieldCode::Required,
                    "is required, or after, or event_ids, or failed_only",
                );
            }
            None
        }
        _ => {
            body.fault("since", FieldCode::Conflict, "give one of since, after and event_ids");
            None
        }
    };
    if let (Some(From::Since(Named::Time(since))), Some(until)) = (&from, until_ms)
        && until < *since
    {
        body.fault("until", FieldCode::Conflict, "must not be before since");
    }
    if ids.is_some() && (has_until || failed_only) {
        body.fault("event_ids", FieldCode::Conflict, "can't be narrowed by until or failed_only");
    }
    Ok(body.finish().into_result(Asked { from, until_ms, failed_only })?)
}

fn events(ids: &[String], body: &mut Members<'_>) -> Option<From> {
    if ids.is_empty() || ids.len() > MAX_EVENTS {
        body.fault("event_ids", FieldCode::OutOfRange, format_args!("must be 1 to {MAX_EVENTS} ids"));
        return None;
    }
    let read: Result<Vec<EventId>, _> = ids.iter().map(|id| id.parse()).collect();
    match read {
        Ok(mut ids) => {
            ids.sort_unstable();
            ids.dedup();
            Some(From::Events(ids))
        }
        Err(error) => {
            body.fault("event_ids", FieldCode::Invalid, error);
            None
        }
    }
}

async fn redeliver(
    edge: &Edge,
    grant: &Grant,
    webhook: &Webhook,
    ids: &[EventId],
) -> Result<HttpResponse, Problem> {
    let mut seqs = Vec::new();
    let mut gone = FieldErrors::default();
    for id in ids {
        match position::seq_of(edge, grant.map.topic, *id).await? {
            Some(seq) => seqs.push(seq),
            None => {
                let message = format_args!("{id} is not an event of the map, or no longer kept");
                gone.add("event_ids", FieldCode::Conflict, message);
            }
        }
    }
    let (Some(first), Some(last), true) = (seqs.first(), seqs.last(), gone.is_empty()) else {
        return Err(Problem::Invalid(gone));
    };
    let wanted = Wanted { from_seq: *first, until_seq: last + 1, failed_only: false };
    let events = seqs.len();
    let number = order(edge, grant, webhook, OwnerCommand::Redeliver(seqs)).await?;
    let mut shown = waiting(number, edge.hub.clock().time_ms(), wanted, Some(events as u64));
    shown["events"] = events.into();
    Ok(HttpResponse::Accepted().json(json!({ "data": shown })))
}

/// Gives the webhook's owner the command to replay, and answers with the replay's state.
pub(super) async fn begin(
    edge: &Edge,
    grant: &Grant,
    webhook: &Webhook,
    wanted: Wanted,
) -> Result<HttpResponse, Problem> {
    let Wanted { from_seq, until_seq, failed_only } = wanted;
    let number =
        order(edge, grant, webhook, OwnerCommand::Replay { from_seq, until_seq, failed_only }).await?;
    // The command is in the log, but this node may not have applied it yet.
    edge.catch_up().await;
    let known = find(edge, grant.map.topic, webhook, number).await?;
    let shown = known.unwrap_or_else(|| {
        let total = wanted.events();
        waiting(number, edge.hub.clock().time_ms(), wanted, total)
    });
    Ok(HttpResponse::Accepted().json(json!({ "data": shown })))
}

pub(super) async fn list(
    edge: Data<Edge>,
    Managed { grant, webhook }: Managed,
) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(json!({"data": all(&edge, grant.map.topic, &webhook).await?})))
}

pub(super) async fn show(
    edge: Data<Edge>,
    Managed { grant, webhook }: Managed,
    path: Path<OfReplay>,
) -> Result<HttpResponse, Problem> {
    let (_, shown) = named(&edge, grant.map.topic, &webhook, &path.replay).await?;
    Ok(HttpResponse::Ok().json(json!({ "data": shown })))
}

pub(super) async fn cancel(
    edge: Data<Edge>,
    Managed { grant, webhook }: Managed,
    path: Path<OfReplay>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    body.none().await?;
    let (number, shown) = named(&edge, grant.map.topic, &webhook, &path.replay).await?;
    if matches!(shown["state"].as_str(), Some("waiting" | "running")) {
        order(&edge, &grant, &webhook, OwnerCommand::Cancel(number)).await?;
    }
    Ok(HttpResponse::NoContent().finish())
}

async fn named(
    edge: &Edge,
    topic: TopicId,
    webhook: &Webhook,
    number: &str,
) -> Result<(u64, Value), Problem> {
    if let Ok(number) = number.parse()
        && let Some(shown) = find(edge, topic, webhook, number).await?
    {
        return Ok((number, shown));
    }
    Err(ApiError::not_found("the replay").into())
}

async fn find(edge: &Edge, topic: TopicId, webhook: &Webhook, number: u64) -> Result<Option<Value>, Problem> {
    Ok(all(edge, topic, webhook).await?.into_iter().find(|shown| shown["id"] == number))
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_range_ends_after_its_beginning() {
        let asked = |since: &str, until: &str| read(&json!({"since": since, "until": until}).to_string());
        assert!(asked("2025-06-21T12:00:00Z", "2025-06-21T14:00:00+02:00").is_ok(), "empty, but no mistake");
        let Err(Problem::Invalid(problems)) = asked("2025-06-21T12:00:00Z", "2025-06-21T13:00:00+02:00")
        else {
            panic!("taken");
        };
        assert_eq!(problems.messages(), ["until: must not be before since"]);
    }

    #[test]
    fn a_query_is_read_as_a_body_is() {
        use actix_web::test::TestRequest;
        let read_of = |query: &str| {
            let request = TestRequest::with_uri(&format!("/?{query}")).to_http_request();
            let Ok(query) = Query::of(&request, NAMES) else { panic!("{query} is refused") };
            read(&as_body(&query))
        };
        let Ok(asked) = read_of("since=2025-06-21T12:00:00Z&failed_only=true") else { panic!("refused") };
        assert!(asked.failed_only && matches!(asked.from, Some(From::Since(Named::Time(_)))));
        for (query, expected) in [
            ("failed_only=yes", "failed_only: must be true or false"),
            ("", "since: is required, or after, or event_ids, or failed_only"),
            ("since=yesterday", "since: must be a time"),
        ] {
            let Err(Problem::Invalid(problems)) = read_of(query) else { panic!("{query} is taken") };
            assert!(problems.messages()[0].starts_with(expected), "{:?}", problems.messages());
        }
    }
}
