//! From the body of a proved sender to stored events: all of them, or none.

use super::open_source::OpenSource;
use super::opened::not_found;
use crate::core::access::Map;
use crate::core::command::{IdempotencyKey, Ingest, Published, Refusal};
use crate::core::digest::Parts;
use crate::core::error_code::Code;
use crate::core::event::{Ingested, NewEvent};
use crate::core::ids::SourceId;
use crate::core::ingest::{Authentication, Bad, Headers, Mapped, OnInvalid, Proof, TOLERANCE_MS};
use crate::core::limits::{Limit, LimitName};
use crate::core::trace::TraceContext;
use crate::edge::context::Edge;
use crate::edge::error::{ApiError, many_subjects};
use crate::hub::HubError;
use actix_web::HttpResponse;
use serde_json::json;

/// A signature that names its time is refused when it is older. Until then, and a minute longer, it is remembered.
const REPLAY_MS: u64 = 2 * TOLERANCE_MS + 60_000;
/// The header in which GitLab names a delivery where it does not send `Idempotency-Key`.
const GITLAB_DELIVERY: &str = "x-gitlab-event-uuid";

/// Events that are checked before the work pauses.
const EVENTS_PER_PAUSE: usize = 16;

/// Events that a source has taken.
pub(super) struct Taken {
    pub(super) published: Published,
    /// Whether all payloads met the source's schema.
    validated: bool,
}

impl Taken {
    /// What is shown of the request.
    pub(super) fn verdict(&self) -> &'static str {
        if self.published.replayed { "repeated" } else { "accepted" }
    }

    /// The answer to the sender: a repeated request is answered as the first one was.
    pub(super) fn answer(&self) -> HttpResponse {
        let ids: Vec<String> =
            (0..self.published.count).map(|index| self.published.id(index).to_string()).collect();
        let mut answer = HttpResponse::Ok();
        if self.published.replayed {
            answer.insert_header(("idempotency-replayed", "true"));
        }
        answer.json(json!({"data": {"received": ids.len(), "ids": ids, "validated": self.validated}}))
    }
}

/// Reads the events of a body and stores them, in the trace of their request.
pub(super) async fn take(
    edge: &Edge,
    open: &OpenSource,
    map: &Map,
    (headers, body): (&Headers, &[u8]),
    (proof, trace): (&Proof, Option<TraceContext>),
) -> Result<Taken, ApiError> {
    let source = &open.source;
    let mapped = open.reader.read(headers, body).map_err(bad)?;
    let is_batch = mapped.len() != 1;
    let keys = keys(edge, open, &mapped, (headers, body), proof);
    let mut validated = open.schema.is_some();
    let mut events = Vec::with_capacity(mapped.len());
    let mut done = 0;
    for (index, one) in mapped.into_iter().enumerate() {
        if index % EVENTS_PER_PAUSE == EVENTS_PER_PAUSE - 1 {
            // The other clients of this thread go on.
            tokio::task::yield_now().await;
        }
        let mut event = event(edge, open, one, &mut done)
            .map_err(|error| if is_batch { error.at(index) } else { error })?;
        event.trace = trace;
        validated &= event.ingested.is_some_and(|ingested| ingested.validated);
        events.push(event);
    }
    let ingest = Ingest { source: source.id, map: source.map, events, keys };
    let published = edge.hub.publisher().ingest(map, ingest).await.map_err(refused)?;
    Ok(Taken { published, validated })
}

/// Checks one event. `done` is the work that the checks of its request have made.
fn event(edge: &Edge, open: &OpenSource, mapped: Mapped, done: &mut u64) -> Result<NewEvent, ApiError> {
    let most = edge.config.event_bytes;
    if mapped.payload.len() > most {
        return Err(ApiError::too_large(format!("an event may have at most {most} bytes"))
            .of_limit(LimitName::Setting("limits.event_bytes"), most as u64));
    }
    let checked = open.schema.as_ref().map(|schema| schema.check(&mapped.payload, done));
    if let Some(Err(why)) = &checked
        && open.source.settings.on_invalid == OnInvalid::Refuse
    {
        return Err(ApiError::bad_request(
            Code::InvalidPayload,
            format!("the schema does not allow it: {why}"),
        ));
    }
    let ingested = Ingested {
        source: open.source.id,
        validated: matches!(checked, Some(Ok(()))),
        time_ms: mapped.time_ms,
    };
    Ok(NewEvent { ingested: Some(ingested), ..NewEvent::new(mapped.subject, mapped.kind, mapped.payload) })
}

/// What makes the request one delivery: what its signature covers, and the ids of its events. A sender without
/// signatures and ids may name its delivery in a header.
fn keys(
    edge: &Edge,
    open: &OpenSource,
    mapped: &[Mapped],
    (headers, body): (&Headers, &[u8]),
    proof: &Proof,
) -> Vec<IdempotencyKey> {
    let ttl_ms = (edge.hub.publisher().idempotency().as_millis() as u64).max(REPLAY_MS);
    let settings = &open.source.settings;
    let id = open.source.id;
    let mut keys = Vec::new();
    if let Some(delivery) = &proof.delivery {
        let ttl_ms = if names_its_time(settings.authentication) { REPLAY_MS } else { ttl_ms };
        keys.push(key(id, (b"delivery", delivery), None, ttl_ms));
    }
    if mapped.iter().all(|event| event.id.is_some()) {
        let ids = mapped.iter().filter_map(|event| event.id.as_ref());
        let ids = ids.fold(Parts::default(), |parts, id| parts.with(id.as_bytes())).half();
        keys.push(key(id, (b"ids", &ids), None, ttl_ms));
    } else if keys.is_empty() {
        let is_gitlab = settings.authentication == Authentication::GitLab;
        let named = headers.only(&settings.dedupe_header);
        let named = named.or_else(|| headers.only(GITLAB_DELIVERY).filter(|_| is_gitlab));
        if let Some(named) = named.filter(|named| !named.is_empty()) {
            keys.push(key(id, (b"header", named.as_bytes()), Some(body), ttl_ms));
        }
    }
    keys
}

/// Whether a signature of that sender is good for a few minutes only, so that it need not be remembered for longer.
fn names_its_time(authentication: Authentication) -> bool {
    matches!(authentication, Authentication::Hmac | Authentication::Stripe | Authentication::Slack)
}

/// The key of a delivery to a source. With a body, another body under the same key is refused.
fn key(source: SourceId, (what, name): (&[u8], &[u8]), body: Option<&[u8]>, ttl_ms: u64) -> IdempotencyKey {
    let key = Parts::default().with(b"source").with(source.as_bytes()).with(what).with(name).half();
    let fingerprint = body.map_or(key, |body| Parts::default().with(body).half());
    IdempotencyKey { key, fingerprint, ttl_ms }
}

/// 400, or 415.
fn bad(bad: Bad) -> ApiError {
    if bad.is_media {
        return ApiError::unsupported_media(bad.message);
    }
    let error = ApiError::bad_request(bad.code, bad.message);
    let error = match bad.most {
        Some(most) => error.of_limit(LimitName::Setting("limits.batch_events"), most as u64),
        None => error,
    };
    match bad.index {
        Some(index) => error.at(index),
        None => error,
    }
}

/// Senders know few statuses: a request that can never be stored is 400.
fn refused(error: HubError) -> ApiError {
    match error {
        HubError::Refused(Refusal::UnknownMap | Refusal::UnknownSource) => not_found(),
        HubError::Refused(Refusal::Ephemeral) => ApiError::bad_request(
            Code::EphemeralSubject,
            "the map's channel rules make the subject ephemeral, and an ingest source stores its events",
        ),
        HubError::Refused(Refusal::Malformed) => {
            ApiError::bad_request(Code::InvalidSubject, "only the server publishes to this subject")
        }
        HubError::Refused(Refusal::KeyReused) => ApiError::bad_request(
            Code::IdempotencyKeyReused,
            "the header that names the delivery was used for another body",
        ),
        HubError::Refused(Refusal::TooManySubjects(limit)) => {
            ApiError::bad_request(Code::LimitReached, many_subjects(limit))
                .of_limit(LimitName::OfMap(&Limit::SUBJECTS), limit.into())
        }
        other => other.into(),
    }
}
