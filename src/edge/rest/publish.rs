//! Publishing: one event, a batch that is stored as a whole or not at all, or a stream of lines.
//!
//! The payload is parsed here, once, and brought into normal form. From then on it is bytes. The map's
//! channel rules say which subjects are ephemeral. Ephemeral events are passed on and not stored, and the
//! answer is 202.

use super::new_events::{read_body, read_event, too_large_event};
use super::pauses::Pauses;
use super::published::Form;
use crate::core::access::{Map, Scopes};
use crate::core::channel_rules::Durability;
use crate::core::command::{IdempotencyKey, Publish};
use crate::core::digest::Parts;
use crate::core::error_code::Code;
use crate::core::event::{Event, NewEvent};
use crate::core::ids::EventId;
use crate::core::trace::TraceContext;
use crate::edge::auth::bearer;
use crate::edge::body::Body;
use crate::edge::context::Edge;
use crate::edge::error::{ApiError, forbidden_subject};
use crate::edge::media::Media;
use crate::edge::refused::Refused;
use crate::edge::traces::{add_to_trace, trace_of};
use crate::hub::{Grant, Via};
use actix_web::web::{BytesMut, Data, Path};
use actix_web::{HttpRequest, HttpResponse};

/// Longest `Idempotency-Key`.
const MAX_KEY: usize = 255;
/// Bytes of events gathered from a stream before they are stored.
const STREAM_BATCH_BYTES: usize = 256 * 1024;
/// Number of a stream's first batch, and the number that a request without a stream uses.
const FIRST_BATCH: u64 = 0;

pub(super) async fn publish(
    request: HttpRequest,
    edge: Data<Edge>,
    map: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let grant = edge.grant_limited(&request, bearer(&request), &map, Scopes::PUBLISH).await?;
    let key = key_of(&request)?;
    if body.media() == Media::Lines {
        return Stream::new(&edge, &grant, key, trace_of(&request)).run(body).await;
    }
    // A body is longer than its events. What exceeds the map's rate is refused before it is read.
    let length = body.length().filter(|length| *length <= edge.config.body_bytes as u64);
    let reserved = edge.hub.publisher().reserve(&grant.map, grant.who.by(), length.unwrap_or_default())?;
    let text = body.text().await?;
    let (mut events, is_batch) = read_body(&text, &edge.config).await?;
    add_to_trace(&request, &mut events);
    drop(reserved);
    for (place, event) in events.iter().enumerate() {
        check_subject(&grant, event).map_err(|error| if is_batch { error.at(place) } else { error })?;
    }
    let durability = durability_of(&grant.map, &events)?;
    check_still(&edge, &grant, durability)?;
    let form = Form::of(&request, is_batch);
    if durability == Durability::Ephemeral {
        refuse_key(key.as_ref())?;
        let events = edge.hub.publisher().publish_ephemeral(&grant.map, events).await?;
        return Ok(form.passed_on(grant.map.id, &events));
    }
    let key = match key {
        Some(key) => Some(identity(&edge, &key, FIRST_BATCH, &events).await),
        None => None,
    };
    // Unless the answer has ids alone, it shows the events, so their bytes are needed once more.
    let shown = if form.ids_alone { Vec::new() } else { events.clone() };
    let command = Publish { map: grant.map.id, by: grant.who.by(), events, key };
    let published = edge.hub.publisher().publish(&grant.map, command, Via::Rest).await?;
    Ok(form.stored(grant.map.id, shown, published))
}

/// Checks that the caller may publish to the event's subject.
fn check_subject(grant: &Grant, event: &NewEvent) -> Result<(), ApiError> {
    if grant.who.allows(&event.subject) { Ok(()) } else { Err(forbidden_subject(&event.subject)) }
}

/// Checks that the caller may still publish: its token may have ended while the body came. For events that
/// are stored, the cluster checks a map's token once more; it knows no client tokens.
pub(in crate::edge) fn check_still(
    edge: &Edge,
    grant: &Grant,
    durability: Durability,
) -> Result<(), ApiError> {
    let is_checked_later = durability == Durability::Durable && grant.who.client().is_none();
    if is_checked_later || edge.hub.access().still_granted(grant, Scopes::PUBLISH) {
        return Ok(());
    }
    Err(Refused::Unauthorized.into())
}

/// Whether the map's rules make these events durable or ephemeral. All of them must be the same.
fn durability_of(map: &Map, events: &[NewEvent]) -> Result<Durability, ApiError> {
    let mut all = events.iter().map(|event| map.rules.durability_of(event.subject.as_str()));
    let first = all.next().unwrap_or_default();
    match all.position(|other| other != first) {
        Some(place) => Err(mixed(place + 1)),
        None => Ok(first),
    }
}

fn mixed(index: usize) -> ApiError {
    ApiError::bad_request(
        Code::MixedDurability,
        "some of the events are stored and others ephemeral, by the map's channel rules",
    )
    .hint("send stored and ephemeral events in separate requests")
    .at(index)
}

/// Refuses the key of a request whose events are ephemeral.
pub(in crate::edge) fn refuse_key(key: Option<&String>) -> Result<(), ApiError> {
    match key {
        None => Ok(()),
        Some(_) => Err(ApiError::bad_request(
            Code::IdempotencyOfEphemeral,
            "ephemeral events take no Idempotency-Key: nothing of them is remembered",
        )),
    }
}

/// The `Idempotency-Key` of a request.
pub(in crate::edge) fn key_of(request: &HttpRequest) -> Result<Option<String>, ApiError> {
    let Some(key) = request.headers().get("idempotency-key") else { return Ok(None) };
    match key.to_str() {
        Ok(key) if (1..=MAX_KEY).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Ok(Some(key.to_owned()))
        }
        _ => Err(ApiError::bad_request(
            Code::InvalidIdempotencyKey,
            format!("an Idempotency-Key has 1 to {MAX_KEY} visible ASCII characters"),
        )),
    }
}

/// The identity of a request, or of one batch of a stream, under the caller's key. The same events are the
/// same request in whatever form they were sent, as long as they fit into one batch of a stream.
async fn identity(edge: &Edge, key: &str, batch: u64, events: &[NewEvent]) -> IdempotencyKey {
    let mut parts = Parts::default();
    let mut pauses = Pauses::default();
    for event in events {
        parts = parts.with(event.subject.as_str().as_bytes()).with(event.kind.as_bytes());
        parts = parts.with(&event.payload);
        pauses.after(event.payload.len()).await;
    }
    IdempotencyKey {
        key: Parts::default().with(key.as_bytes()).with(&batch.to_be_bytes()).half(),
        fingerprint: parts.half(),
        ttl_ms: edge.hub.publisher().idempotency().as_millis() as u64,
    }
}

/// A stream of lines, stored in batches as they come. The batches stored before an error stay, and the error
/// says so.
struct Stream<'e> {
    edge: &'e Edge,
    grant: &'e Grant,
    key: Option<String>,
    /// The trace of the request.
    trace: Option<TraceContext>,
    /// The durability of the first event. All others must have the same.
    durability: Option<Durability>,
    pauses: Pauses,
    /// Lines read so far: the index of the next line.
    lines: usize,
    batch: Vec<NewEvent>,
    batch_bytes: usize,
    batches: u64,
    stored: u64,
    first: Option<(EventId, u64)>,
    last: Option<(EventId, u64)>,
}

impl<'e> Stream<'e> {
    fn new(edge: &'e Edge, grant: &'e Grant, key: Option<String>, trace: Option<TraceContext>) -> Self {
        let batch = Vec::new();
        Self {
            edge,
            grant,
            key,
            trace,
            durability: None,
            pauses: Pauses::default(),
            lines: 0,
            batch,
            batch_bytes: 0,
            batches: FIRST_BATCH,
            stored: 0,
            first: None,
            last: None,
        }
    }

    async fn run(mut self, body: Body) -> Result<HttpResponse, ApiError> {
        match self.read(body).await {
            Ok(()) => Ok(self.answer()),
            Err(error) => Err(error.with("stored", self.stored.into())),
        }
    }

    async fn read(&mut self, mut body: Body) -> Result<(), ApiError> {
        let mut rest = BytesMut::new();
        while let Some(piece) = body.next().await? {
            // The bytes that were there before this piece have no line break.
            let mut scanned = rest.len();
            rest.extend_from_slice(&piece);
            while let Some(end) = rest[scanned..].iter().position(|byte| *byte == b'\n') {
                let line = rest.split_to(scanned + end + 1);
                self.line(&line[..line.len() - 1]).await?;
                scanned = 0;
            }
            if rest.len() > self.edge.config.event_bytes {
                return Err(too_large_event("a line", self.edge.config.event_bytes).at(self.lines));
            }
        }
        self.line(&rest).await?;
        self.store().await?;
        if self.stored == 0 {
            return Err(ApiError::bad_request(Code::EmptyBatch, "a stream needs at least one event"));
        }
        Ok(())
    }

    async fn line(&mut self, line: &[u8]) -> Result<(), ApiError> {
        let index = self.lines;
        let text = std::str::from_utf8(line)
            .map_err(|_| ApiError::bad_request(Code::InvalidJson, "the line is not UTF-8").at(index))?
            .trim();
        self.lines += 1;
        if text.is_empty() {
            return Ok(());
        }
        let mut event = read_event(text, &self.edge.config).map_err(|error| error.at(index))?;
        event.trace = event.trace.or(self.trace);
        check_subject(self.grant, &event).map_err(|error| error.at(index))?;
        self.pauses.after(text.len()).await;
        let durability = self.grant.map.rules.durability_of(event.subject.as_str());
        if *self.durability.get_or_insert(durability) != durability {
            return Err(mixed(index));
        }
        if durability == Durability::Ephemeral {
            refuse_key(self.key.as_ref()).map_err(|error| error.at(index))?;
        }
        // Counted in normal form, so that a stream that is repeated with other white space is cut in the same
        // places.
        self.batch_bytes += event.len_bytes();
        self.batch.push(event);
        if self.batch.len() >= self.edge.config.batch_events || self.batch_bytes >= STREAM_BATCH_BYTES {
            self.store().await?;
        }
        Ok(())
    }

    async fn store(&mut self) -> Result<(), ApiError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let events = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        check_still(self.edge, self.grant, self.durability.unwrap_or_default())?;
        let count = events.len() as u64;
        if self.durability == Some(Durability::Ephemeral) {
            let events = self.edge.hub.publisher().publish_ephemeral(&self.grant.map, events).await?;
            self.stored += count;
            let end = |event: Option<&Event>| event.map(|event| (event.id, 0));
            self.first = self.first.or(end(events.first()));
            self.last = end(events.last());
            return Ok(());
        }
        let key = match &self.key {
            Some(key) => Some(identity(self.edge, key, self.batches, &events).await),
            None => None,
        };
        self.batches += 1;
        let command = Publish { map: self.grant.map.id, by: self.grant.who.by(), events, key };
        let published = self.edge.hub.publisher().publish(&self.grant.map, command, Via::Rest).await?;
        self.stored += count;
        let last = published.count.saturating_sub(1);
        self.first.get_or_insert((published.first_id, published.first_seq));
        self.last = Some((published.id(last), published.first_seq + u64::from(last)));
        Ok(())
    }

    fn answer(&self) -> HttpResponse {
        let id = |end: Option<(EventId, u64)>| end.map(|(id, _)| id.to_string());
        if self.durability == Some(Durability::Ephemeral) {
            return HttpResponse::Accepted().json(serde_json::json!({"data": {
                "count": self.stored,
                "first_id": id(self.first),
                "last_id": id(self.last),
            }}));
        }
        let seq = |end: Option<(EventId, u64)>| end.map(|(_, seq)| seq);
        HttpResponse::Created().json(serde_json::json!({"data": {
            "count": self.stored,
            "first_id": id(self.first),
            "last_id": id(self.last),
            "first_seq": seq(self.first),
            "last_seq": seq(self.last),
        }}))
    }
}
