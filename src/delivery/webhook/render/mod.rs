//! Makes the request to a webhook: body, headers and signatures, by profile.
//!
//! Pure: no clock, no I/O. The bytes that are signed are the bytes that are sent. Payloads in the log are in
//! normal form ([`crate::core::json`]), and so is every JSON body made here:
//! `JSON.stringify(JSON.parse(body))` gives the same bytes. The callers decide when and where a request is
//! sent; the sender adds a webhook's own headers.

mod broadcasting;
mod card;
mod chat;
mod discord;
mod envelope;
mod lifecycle;
mod pusher;
pub mod sign;
mod slack;
mod standard;
mod template;
mod wanderer;

pub use sign::Secrets;
pub use template::{BadTemplate, CompiledTemplate};

use crate::core::digest::Parts;
use crate::core::event::{Event, MapText, push_json_string};
use crate::core::ids::EventId;
use crate::core::webhook::{MAX_BATCH, Profile};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use std::borrow::Cow;

/// The id of the delivery, the same at every attempt (Standard Webhooks).
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
/// The last event that was given up before this one, on webhooks that keep the order.
const WEBHOOK_GAP: HeaderName = HeaderName::from_static("webhook-gap");
/// The number of the attempt, from 1.
const WEBHOOK_ATTEMPT: HeaderName = HeaderName::from_static("webhook-attempt");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const AGENT: HeaderValue = HeaderValue::from_static(concat!("Waypost/", env!("CARGO_PKG_VERSION")));

/// What all requests to one webhook have in common. It is borrowed from the sender, and used for every
/// attempt.
#[derive(Clone, Copy, Debug)]
pub struct Rendering<'a> {
    /// The format of bodies and signatures.
    pub profile: Profile,
    /// The map's id.
    pub map: &'a MapText,
    /// The topic's name. Pusher receivers get it as the channel.
    pub topic: &'a str,
    /// The value of `X-Pusher-Key`.
    pub key: &'a str,
    /// The template, for [`Profile::Template`].
    pub template: Option<&'a CompiledTemplate>,
    /// The secrets that sign.
    pub secrets: &'a Secrets,
}

/// A request without its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// Headers, each name once.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
}

/// Why there is no request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// There is no event, or there are more than a request of the profile can carry.
    #[error("{profile} carries 1 to {max} events in a request, not {given}", profile = profile.name())]
    Count {
        /// The profile.
        profile: Profile,
        /// The most events that it can carry.
        max: usize,
        /// The events that it was given.
        given: usize,
    },
    /// A payload is not in the form in which the log keeps payloads.
    #[error("the payload of {0} is not JSON")]
    Payload(EventId),
    /// The webhook's template fails. The event is not at fault.
    #[error("template: {0}")]
    Template(String),
    /// The body exceeds a limit. Fewer events in one request may help.
    #[error("{0}")]
    TooLarge(&'static str),
    /// A value of the webhook can't be used in a header.
    #[error("{0} can't be sent as a header")]
    Header(&'static str),
}

/// The most events that one request of that profile can carry.
pub fn max_events(profile: Profile) -> usize {
    match profile {
        Profile::Envelope | Profile::Broadcasting => 1,
        Profile::Discord => discord::MAX_EVENTS,
        Profile::Slack => slack::MAX_EVENTS,
        _ => MAX_BATCH as usize,
    }
}

/// The URL that requests of that profile go to.
pub fn dialled(profile: Profile, url: &str) -> Cow<'_, str> {
    match profile {
        // Without it Discord answers before it has stored the message, and reports no error when it loses the
        // message.
        Profile::Discord => with_pair(url, "wait=true").into(),
        _ => url.into(),
    }
}

/// The URL with the pair at the end of its query. It replaces any pair of the same name.
fn with_pair(url: &str, pair: &str) -> String {
    let name = |pair: &str| pair.split('=').next().map(str::to_owned);
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let kept = query.split('&').filter(|other| !other.is_empty() && name(other) != name(pair));
    format!("{path}?{}", kept.chain([pair]).collect::<Vec<_>>().join("&"))
}

/// The id of a delivery. For one event it is the event's id. For several it has the first event's id, the
/// number of events, and a hash of all ids. Two batches with the same id carry the same events. So a receiver
/// that has seen one of them may skip the other.
pub fn delivery_id(events: &[Event]) -> Option<String> {
    match events {
        [] => None,
        [event] => Some(event.id.to_string()),
        [first, ..] => {
            let all = events
                .iter()
                .fold(Parts::default(), |parts, event| parts.with(event.id.to_string().as_bytes()));
            let half = all.half();
            Some(format!("{}-{}-{}", first.id, events.len(), hex::encode(&half[..8])))
        }
    }
}

/// Adds the event's id as a member of an object that is not empty.
fn push_id(name: &str, event: &Event, out: &mut Vec<u8>) {
    out.push(b',');
    push_json_string(name, out);
    out.extend_from_slice(b":\"");
    out.extend_from_slice(event.id.to_string().as_bytes());
    out.push(b'"');
}

/// Adds the event's subject as a member of an object that is not empty. The map's own subject is left out.
fn push_subject(event: &Event, out: &mut Vec<u8>) {
    if !event.subject.is_own() {
        out.extend_from_slice(b",\"subject\":");
        push_json_string(event.subject.as_str(), out);
    }
}

/// Makes the request that carries `events`, in the order of the log. `gap` is the last event that was given
/// up before them. `attempt` counts from 1. `now_ms` (Unix milliseconds) is signed.
pub fn render(
    rendering: &Rendering<'_>,
    events: &[Event],
    gap: Option<EventId>,
    attempt: u32,
    now_ms: u64,
) -> Result<Rendered, RenderError> {
    let profile = rendering.profile;
    let max = max_events(rendering.profile);
    let Some(id) = delivery_id(events).filter(|_| events.len() <= max) else {
        return Err(RenderError::Count { profile, max, given: events.len() });
    };
    let mut request = Request { now_ms, secrets: rendering.secrets, headers: vec![(USER_AGENT, AGENT)] };
    let (body, content_type) = body(rendering, events, &mut request)?;
    let mut headers = request.headers;
    if !profile.is_chat() {
        headers.push((WEBHOOK_ATTEMPT, HeaderValue::from(attempt)));
        if let Some(gap) = gap {
            headers.push((WEBHOOK_GAP, text(&gap.to_string(), "the gap")?));
        }
        standard::sign(&id, now_ms, &body, rendering.secrets, &mut headers)?;
        headers.push((WEBHOOK_ID, text(&id, "the id")?));
    }
    headers.push((CONTENT_TYPE, content_type));
    Ok(Rendered { headers, body: body.into() })
}

/// Makes the body and its content type. Headers that only the profile has are added to `request`.
fn body(
    rendering: &Rendering<'_>,
    events: &[Event],
    request: &mut Request<'_>,
) -> Result<(Vec<u8>, HeaderValue), RenderError> {
    let body = match (rendering.profile, rendering.template) {
        (Profile::Wanderer, _) => wanderer::render(rendering.map, events, request)?,
        (Profile::Standard, _) => standard::body(rendering.map, events),
        (Profile::Envelope, _) => envelope::render(&events[0], request)?,
        (Profile::Broadcasting, _) => broadcasting::render(&events[0], request)?,
        (Profile::Pusher, _) => pusher::render(rendering.topic, rendering.key, events, request)?,
        (Profile::Discord, _) => discord::render(rendering.map, events)?,
        (Profile::Slack, _) => slack::render(rendering.map, events)?,
        (Profile::Template, Some(template)) => {
            return Ok((template.render(rendering.map, events)?, template.content_type().clone()));
        }
        (Profile::Template, None) => return Err(RenderError::Template("the webhook has none".into())),
    };
    Ok((body, JSON))
}

/// The parts of a request that profiles add to.
struct Request<'a> {
    now_ms: u64,
    secrets: &'a Secrets,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Request<'_> {
    fn header(&mut self, name: &'static str, value: &str) -> Result<(), RenderError> {
        self.headers.push((HeaderName::from_static(name), text(value, name)?));
        Ok(())
    }
}

/// What is encoded in a header: what is not visible ASCII, and `%` itself.
const OF_HEADERS: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// An event's type in a header.
fn header_of_kind(kind: &str) -> Cow<'_, str> {
    utf8_percent_encode(kind, OF_HEADERS).into()
}

fn text(value: &str, what: &'static str) -> Result<HeaderValue, RenderError> {
    HeaderValue::from_str(value).map_err(|_| RenderError::Header(what))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
