//! Previews: the request that settings, stored or not, would make of an event. Nothing is changed or sent.

use super::error::Problem;
use super::managed::{Manager, webhook_of};
use super::{answer, object, position, settings};
use crate::core::command::Refusal;
use crate::core::event::{Event, KIND_FORM, NewEvent, is_kind};
use crate::core::field_error::FieldCode;
use crate::core::history::Start;
use crate::core::ids::{EventId, TopicId};
use crate::core::json::{self, Members};
use crate::core::subject::Subject;
use crate::core::webhook::{Plain, Private, Webhook};
use crate::delivery::webhook::{AsAttempt, ShownRequest};
use crate::edge::body::Body;
use crate::edge::context::Edge;
use crate::edge::start::Form;
use crate::hub::Grant;
use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::ops::Range;

/// How many of the newest events are looked at for one that the settings choose.
const LOOK: u64 = 500;
/// How many of them are looked at together. The newest of them is usually found in the first row.
const ROW: u64 = 50;
/// Bytes of events that are read at once.
const PAGE_BYTES: usize = 1 << 20;

/// What the request asks for.
struct Asked<'t> {
    webhook: Option<String>,
    settings: Option<&'t RawValue>,
    event: Option<String>,
    sample: Option<NewEvent>,
    attempt: AsAttempt,
}

/// What an event may be at most.
#[derive(Clone, Copy)]
struct Bounds {
    bytes: usize,
    depth: usize,
}

/// The answer.
#[derive(Serialize)]
struct Answer {
    data: Preview,
}

/// What would happen to an event.
#[derive(Default, Serialize)]
struct Preview {
    event: Option<Box<RawValue>>,
    chosen: bool,
    why: Option<String>,
    request: Option<Request>,
    error: Option<String>,
}

/// The request as it is shown.
#[derive(Serialize)]
pub(super) struct Request {
    method: &'static str,
    url: Option<String>,
    headers: BTreeMap<String, String>,
    body: String,
    body_cut: bool,
}

impl From<ShownRequest> for Request {
    fn from(shown: ShownRequest) -> Self {
        let ShownRequest { method, url, headers, body, is_cut } = shown;
        Self { method, url, headers: headers.into_iter().collect(), body, body_cut: is_cut }
    }
}

pub(super) async fn preview(
    edge: Data<Edge>,
    Manager(grant): Manager,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let text = object(body).await?;
    let asked = read(&text, Bounds { bytes: edge.config.event_bytes, depth: edge.config.json_depth })?;
    let plain = tried(&edge, &grant, &asked).await?;
    let topic = grant.map.topic;
    let event = match (asked.sample, &asked.event) {
        (Some(sample), _) => Some(made(&edge, topic, sample)?),
        (None, Some(id)) => Some(named(&edge, topic, id).await?),
        (None, None) => newest(&edge, topic, &plain.webhook).await?,
    };
    let data = match event {
        Some(event) => of_event(&edge, &grant, plain, &event, asked.attempt).await?,
        None => Preview::default(),
    };
    Ok(HttpResponse::Ok().json(Answer { data }))
}

/// Reads `{"webhook", "settings", "event", "sample", "attempt", "at"}`. The faults inside the settings are found where
/// they are applied.
fn read(text: &str, bounds: Bounds) -> Result<Asked<'_>, Problem> {
    let mut body = Members::of(text);
    let webhook: Option<Option<String>> = body.nullable("webhook", "the id of a webhook");
    let event: Option<Option<String>> = body.nullable("event", "the id of an event");
    body.skip_null("settings");
    let settings = body.raw(&["settings"]);
    if settings.is_some_and(|settings| !settings.get().starts_with('{')) {
        body.fault("settings", FieldCode::WrongType, "must be an object");
    }
    let event = event.flatten();
    body.skip_null("sample");
    let sample = body.object("sample", |sample| read_sample(sample, bounds));
    if sample.is_some() && event.is_some() {
        body.fault("sample", FieldCode::Conflict, "can't be given with event");
    }
    let attempt = read_attempt(&mut body);
    let asked = Asked { webhook: webhook.flatten(), settings, event, sample, attempt };
    Ok(body.finish().into_result(asked)?)
}

/// Reads an event that nobody has published. Its members are those of one that is published.
fn read_sample(sample: &mut Members<'_>, bounds: Bounds) -> NewEvent {
    let kind: Option<String> = sample.required("type", "a string");
    if kind.as_deref().is_some_and(|kind| !is_kind(kind)) {
        sample.fault("type", FieldCode::Invalid, format_args!("must have {KIND_FORM}"));
    }
    let kind = kind.unwrap_or_default();
    let subject: String = sample.nullable("subject", "a string").flatten().unwrap_or_default();
    let subject = Subject::parse(&subject).unwrap_or_else(|error| {
        sample.fault("subject", FieldCode::Invalid, error);
        Subject::own()
    });
    let Some(payload) = sample.raw(&["payload"]) else {
        sample.fault("payload", FieldCode::Required, "is required");
        return NewEvent::new(subject, kind, "null");
    };
    let Bounds { bytes, depth } = bounds;
    if payload.get().len() > bytes {
        sample.fault("payload", FieldCode::OutOfRange, format_args!("may have at most {bytes} bytes"));
    }
    let payload = json::normalise(payload.get(), depth).unwrap_or_else(|error| {
        sample.fault("payload", FieldCode::Invalid, error);
        "null".to_owned()
    });
    NewEvent::new(subject, kind, payload)
}

fn read_attempt(body: &mut Members<'_>) -> AsAttempt {
    let number: Option<u32> = body.nullable("attempt", "a whole number").flatten();
    if number == Some(0) {
        body.fault("attempt", FieldCode::OutOfRange, "must be at least 1");
    }
    let at: Option<String> = body.nullable("at", "a time").flatten();
    let at_ms = at.and_then(|at| position::read(body, "at", Form::Time, &at)?.time_ms());
    AsAttempt { number: number.unwrap_or(1), at_ms }
}

/// The settings that are tried.
async fn tried(edge: &Edge, grant: &Grant, asked: &Asked<'_>) -> Result<Plain, Problem> {
    let base = match &asked.webhook {
        Some(id) => Some(webhook_of(edge, grant, id)?.id),
        None => None,
    };
    let text = asked.settings.map_or("{}", RawValue::get);
    settings::tried(edge, grant.map.id, base, text).await
}

/// The event that the sample would be if it were published next.
fn made(edge: &Edge, topic: TopicId, sample: NewEvent) -> Result<Event, Problem> {
    let seq = edge.hub.webhooks().head_seq(topic)? + 1;
    let time_ms = edge.hub.clock().time_ms();
    Ok(sample.placed(EventId::new(time_ms, 0, 0), seq, time_ms))
}

/// The event that the request names.
async fn named(edge: &Edge, topic: TopicId, id: &str) -> Result<Event, Problem> {
    let unknown = || Problem::from(Refusal::UnknownEvent);
    let id: EventId = id.parse().map_err(|_| unknown())?;
    if id.is_ephemeral() {
        return Err(unknown());
    }
    position::event_of(edge, topic, id).await?.ok_or_else(unknown)
}

/// The newest event that the webhook wants. If it wants none of those that are looked at, the newest of all.
async fn newest(edge: &Edge, topic: TopicId, webhook: &Webhook) -> Result<Option<Event>, Problem> {
    let mut end = edge.hub.archive().locate(topic, Start::Live).await?.head_seq + 1;
    let first = end.saturating_sub(LOOK).max(1);
    let mut newest = None;
    while end > first {
        let start = end.saturating_sub(ROW).max(first);
        let (last, wanted) = last_of(edge, topic, webhook, start..end).await?;
        if wanted.is_some() {
            return Ok(wanted);
        }
        newest = newest.or(last);
        end = start;
    }
    Ok(newest)
}

/// The last event with a seq in the range, and the last of them that the webhook wants.
async fn last_of(
    edge: &Edge,
    topic: TopicId,
    webhook: &Webhook,
    range: Range<u64>,
) -> Result<(Option<Event>, Option<Event>), Problem> {
    let (mut last, mut wanted) = (None, None);
    let mut next = range.start;
    while next < range.end {
        let count = (range.end - next) as usize;
        let page = edge.hub.archive().read(topic, next, count, PAGE_BYTES, None).await?;
        let mut events = page.events;
        events.retain(|event| event.seq < range.end);
        let verdicts = edge.webhooks.wanted(webhook, &events).await?;
        let found = events.iter().zip(verdicts).rfind(|(_, is_wanted)| *is_wanted);
        wanted = found.map(|(event, _)| event.clone()).or(wanted);
        last = events.pop().or(last);
        if page.next_seq <= next {
            break;
        }
        next = page.next_seq;
    }
    Ok((last, wanted))
}

async fn of_event(
    edge: &Edge,
    grant: &Grant,
    plain: Plain,
    event: &Event,
    attempt: AsAttempt,
) -> Result<Preview, Problem> {
    let Plain { webhook, private } = plain;
    let why = edge.webhooks.why_unwanted(&webhook, event).await?;
    let (request, error) = match request_of(edge, webhook, private, event, attempt).await {
        Ok(request) => (Some(request), None),
        Err(error) => (None, Some(error)),
    };
    let chosen = why.is_none();
    Ok(Preview { event: answer::envelope(grant.map.id, event), chosen, why, request, error })
}

/// The request that a webhook makes of an event at that attempt, without its secrets. `Err` says why there is
/// none.
pub(super) async fn request_of(
    edge: &Edge,
    webhook: Webhook,
    private: Private,
    event: &Event,
    attempt: AsAttempt,
) -> Result<Request, String> {
    edge.webhooks.shown_request(webhook, private, event, attempt).await.map(Request::from)
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { bytes: 40, depth: 4 };

    #[test]
    fn what_is_absent_may_be_null() {
        for text in ["{}", r#"{"webhook":null,"settings":null,"event":null,"sample":null}"#] {
            let Ok(asked) = read(text, BOUNDS) else { panic!("{text} is refused") };
            assert_eq!(asked.attempt, AsAttempt::default(), "{text}");
            let Asked { webhook, settings, event, sample, .. } = asked;
            assert!(webhook.is_none() && settings.is_none() && event.is_none() && sample.is_none(), "{text}");
        }
        let given =
            r#"{"webhook":"w","settings":{"name":"n"},"event":"e","attempt":3,"at":"1970-01-01T00:00:02Z"}"#;
        let Ok(asked) = read(given, BOUNDS) else { panic!("it is refused") };
        assert_eq!((asked.webhook.as_deref(), asked.event.as_deref()), (Some("w"), Some("e")));
        assert_eq!(asked.attempt, AsAttempt { number: 3, at_ms: Some(2000) });
        assert_eq!(asked.settings.map(RawValue::get), Some(r#"{"name":"n"}"#));
    }

    #[test]
    fn a_sample_is_an_event_as_it_is_published() {
        let given = r#"{"sample":{"type":"order_paid","subject":"orders-7","payload": {"n": 7}}}"#;
        let Ok(Asked { sample: Some(sample), .. }) = read(given, BOUNDS) else { panic!("it is refused") };
        assert_eq!((sample.kind.as_str(), sample.subject.as_str()), ("order_paid", "orders-7"));
        assert_eq!(&sample.payload[..], br#"{"n":7}"#);
        let Ok(Asked { sample: Some(own), .. }) = read(r#"{"sample":{"type":"a","payload":1}}"#, BOUNDS)
        else {
            panic!("a subject is needed")
        };
        assert!(own.subject.is_own());
    }

    #[test]
    fn faults_have_their_fields() {
        let long = format!(r#"{{"sample":{{"type":"a","payload":"{}"}}}}"#, "x".repeat(50));
        for (text, expected) in [
            (r#"{"settings":[]}"#, "settings: must be an object"),
            (r#"{"webhook":7}"#, "webhook: must be the id of a webhook or null"),
            (r#"{"attempt":0}"#, "attempt: must be at least 1"),
            (r#"{"at":"noon"}"#, "at: must be a time with an offset, as in 2025-06-21T12:34:56Z"),
            (r#"{"setting":{}}"#, "setting: is not a known field; did you mean settings?"),
            (r#"{"event":"e","sample":{"type":"a","payload":1}}"#, "sample: can't be given with event"),
            (r#"{"sample":{"payload":1}}"#, "sample.type: is required"),
            (r#"{"sample":{"type":"a"}}"#, "sample.payload: is required"),
            (long.as_str(), "sample.payload: may have at most 40 bytes"),
        ] {
            let Err(Problem::Invalid(errors)) = read(text, BOUNDS) else { panic!("{text} is taken") };
            assert_eq!(errors.messages(), [expected]);
        }
    }
}
