//! Replays: delivering events again, as a range of the stream with its own progress, or as single events.

use super::error::Problem;
use super::managed::Managed;
use super::position;
use super::{object, order, state_of};
use crate::core::consumer::progress::{NumberedCommand, OwnerCommand, Replay};
use crate::core::field_error::{FieldCode, FieldErrors};
use crate::core::history::Start;
use crate::core::ids::EventId;
use crate::core::json::Members;
use crate::core::time::iso_millis;
use crate::core::webhook::Webhook;
use crate::edge::body::Body;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::start::{Form, Named};
use crate::hub::{Grant, WebhookState};
use actix_web::HttpResponse;
use actix_web::web::{Data, Path};
use serde::Deserialize;
use serde_json::{Value, json};

/// Events that a request may name by their ids.
const MAX_EVENTS: usize = 100;

/// A range of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) from_seq: u64,
    /// One past the last seq. `u64::MAX` means the end of the stream.
    pub(super) until_seq: u64,
    pub(super) failed_only: bool,
}

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
    let topic = grant.map.topic;
    let from_seq = match asked.from {
        Some(From::Events(ids)) => return redeliver(&edge, &grant, &webhook, &ids).await,
        Some(From::Since(position)) => position::first(&edge, topic, position).await?,
        Some(From::After(id)) => position::after(&edge, topic, "after", id).await?,
        None => 1,
    };
    let until_seq = match asked.until_ms {
        Some(ms) => edge.hub.archive().locate(topic, Start::Since(ms)).await?.next_seq,
        None => u64::MAX,
    };
    begin(&edge, &grant, &webhook, Wanted { from_seq, until_seq, failed_only: asked.failed_only }).await
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
    let mut shown = waiting(number, edge.hub.clock().time_ms(), wanted);
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
    let known = find(edge, webhook, number).await?;
    let shown = known.unwrap_or_else(|| waiting(number, edge.hub.clock().time_ms(), wanted));
    Ok(HttpResponse::Accepted().json(json!({ "data": shown })))
}

pub(super) async fn list(
    edge: Data<Edge>,
    Managed { webhook, .. }: Managed,
) -> Result<HttpResponse, Problem> {
    Ok(HttpResponse::Ok().json(json!({"data": all(&edge, &webhook).await?})))
}

pub(super) async fn show(
    edge: Data<Edge>,
    Managed { webhook, .. }: Managed,
    path: Path<OfReplay>,
) -> Result<HttpResponse, Problem> {
    let (_, shown) = named(&edge, &webhook, &path.replay).await?;
    Ok(HttpResponse::Ok().json(json!({ "data": shown })))
}

pub(super) async fn cancel(
    edge: Data<Edge>,
    Managed { grant, webhook }: Managed,
    path: Path<OfReplay>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    body.none().await?;
    let (number, shown) = named(&edge, &webhook, &path.replay).await?;
    if matches!(shown["state"].as_str(), Some("waiting" | "running")) {
        order(&edge, &grant, &webhook, OwnerCommand::Cancel(number)).await?;
    }
    Ok(HttpResponse::NoContent().finish())
}

async fn named(edge: &Edge, webhook: &Webhook, number: &str) -> Result<(u64, Value), Problem> {
    if let Ok(number) = number.parse()
        && let Some(shown) = find(edge, webhook, number).await?
    {
        return Ok((number, shown));
    }
    Err(ApiError::not_found("the replay").into())
}

async fn find(edge: &Edge, webhook: &Webhook, number: u64) -> Result<Option<Value>, Problem> {
    Ok(all(edge, webhook).await?.into_iter().find(|shown| shown["id"] == number))
}

/// All replays that are remembered or that the owner has not taken up yet, newest first.
async fn all(edge: &Edge, webhook: &Webhook) -> Result<Vec<Value>, Problem> {
    let state = state_of(edge, webhook)?;
    let running = state.progress.replays.iter().find(|replay| replay.ended_ms.is_none());
    let running = running.map(|replay| replay.id).filter(|_| state.progress.waiting.events > 0);
    let retrying = match running {
        Some(id) => edge.hub.webhooks().replay_waits(webhook.id, id).await?,
        None => 0,
    };
    Ok(listed(&state, retrying))
}

/// The same. `retrying` events of the running replay wait for another attempt.
fn listed(state: &WebhookState, retrying: u64) -> Vec<Value> {
    let waits = |order: &&NumberedCommand| order.number > state.progress.commands_done;
    let waiting = state.commands.iter().filter(waits).filter_map(|order| match order.command {
        OwnerCommand::Replay { from_seq, until_seq, failed_only } => {
            Some(waiting(order.number, order.at_ms, Wanted { from_seq, until_seq, failed_only }))
        }
        _ => None,
    });
    let replays = &state.progress.replays;
    let running = replays.iter().find(|replay| replay.ended_ms.is_none()).map(|replay| replay.id);
    let taken_up = replays.iter().map(|shown| {
        let retrying = (running == Some(shown.id)).then_some(retrying);
        replay(shown, retrying)
    });
    let mut all: Vec<Value> = taken_up.chain(waiting).collect();
    all.reverse();
    all
}

/// A replay that the owner has taken up. Replays run one after the other; `retrying` is `None` for one that
/// does not run. An event that waits for another attempt is read, and not finished.
fn replay(replay: &Replay, retrying: Option<u64>) -> Value {
    let total = replay.until_seq.saturating_sub(replay.from_seq);
    let above: u64 = replay.track.above.iter().map(|(from, to)| to - from).sum();
    let read = replay.track.next.saturating_sub(replay.from_seq) + above;
    let done = read.saturating_sub(retrying.unwrap_or(0));
    let progress = if total == 0 { 1.0 } else { done.min(total) as f64 / total as f64 };
    let state = match (replay.cancelled, replay.ended_ms) {
        (true, _) => "cancelled",
        (_, Some(_)) => "done",
        _ if retrying.is_some() => "running",
        _ => "waiting",
    };
    json!({
        "id": replay.id,
        "state": state,
        "failed_only": replay.failed_only,
        "from_seq": replay.from_seq,
        "until_seq": replay.until_seq,
        "next_seq": replay.track.next,
        "progress": if state == "done" { 1.0 } else { progress },
        "delivered": replay.delivered,
        "failed": replay.failed,
        "retrying": retrying.unwrap_or(0),
        "missed": replay.missed,
        "started_at": iso_millis(replay.started_ms),
        "ended_at": replay.ended_ms.map(iso_millis),
    })
}

/// A replay that the owner has not taken up yet.
fn waiting(number: u64, at_ms: u64, wanted: Wanted) -> Value {
    json!({
        "id": number,
        "state": "waiting",
        "failed_only": wanted.failed_only,
        "from_seq": wanted.from_seq,
        "until_seq": (wanted.until_seq < u64::MAX).then_some(wanted.until_seq),
        "next_seq": wanted.from_seq,
        "progress": 0.0,
        "delivered": 0,
        "failed": 0,
        "retrying": 0,
        "missed": 0,
        "started_at": iso_millis(at_ms),
        "ended_at": null,
    })
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;
    use crate::core::consumer::progress::Track;

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
    fn what_waits_for_another_attempt_is_not_finished() {
        let mut track = Track::new(1);
        track.settle_range(1..9);
        let mut known = Replay {
            id: 7,
            failed_only: false,
            from_seq: 1,
            until_seq: 11,
            track,
            delivered: 2,
            failed: 1,
            missed: 0,
            started_ms: 1,
            ended_ms: None,
            cancelled: false,
        };
        let shown = replay(&known, Some(5));
        assert_eq!((&shown["state"], &shown["retrying"]), (&json!("running"), &json!(5)));
        assert_eq!(shown["progress"], json!(0.3));
        assert_eq!(replay(&known, None)["state"], "waiting");
        known.ended_ms = Some(2);
        assert_eq!(replay(&known, None)["progress"], json!(1.0));
    }
}
