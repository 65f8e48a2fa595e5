//! From the bytes of a body to events.

pub(super) mod bodies;
mod native;

use super::Headers;
use super::mapped::{Bad, Mapped};
use super::mapping::{Mapping, Surroundings};
use super::settings::{Authentication, Settings};
use crate::core::error_code::Code;
use crate::core::event::MapText;
use crate::core::field_error::FieldErrors;
use crate::core::ids::{MapId, SourceId};
pub use bodies::Form;
use std::cell::Cell;

/// What a CloudEvent becomes without a mapping.
const OF_CLOUD_EVENTS: &str = r#"{"type":"${type}","time":"${ts}","id":"${id}","payload":"${payload}"}"#;

/// What the bodies of known senders become without a mapping.
fn usual(authentication: Authentication) -> Option<&'static str> {
    match authentication {
        Authentication::ApiKey | Authentication::Hmac | Authentication::Jwt | Authentication::None => None,
        Authentication::GitHub => Some(r#"{"type":"${event.headers['x-github-event']}"}"#),
        Authentication::GitLab => {
            Some(r#"{"type":"${default(payload.object_kind, payload.event_name, 'event')}"}"#)
        }
        Authentication::Stripe => {
            Some(r#"{"type":"${payload.type}","id":"${payload.id}","time":"${payload.created}"}"#)
        }
        Authentication::Shopify => Some(r#"{"type":"${event.headers['x-shopify-topic']}"}"#),
        Authentication::Slack => Some(
            r#"{"type":"${default(payload.event.type, payload.type, payload.command, 'message')}","id":"${payload.event_id}"}"#,
        ),
        Authentication::Twilio => Some(
            r#"{"type":"${default(payload.EventType, payload.MessageStatus, payload.CallStatus, payload.SmsStatus, 'message')}"}"#,
        ),
        Authentication::Standard => {
            Some(r#"{"type":"${default(payload.type, payload.event_type, 'event')}"}"#)
        }
        Authentication::Waypost => Some(
            r#"{"events":"${has(payload.events) ? payload.events : [payload]}","type":"${payload.type}","subject":"${payload.subject}","time":"${payload.ts}","id":"${payload.id}","payload":"${payload.payload}"}"#,
        ),
    }
}

/// Turns the bodies of a source into events.
#[derive(Debug)]
pub struct Reader {
    source: SourceId,
    map: MapText,
    /// The mapping of the source's owner.
    own: Option<Mapping>,
    /// What a known sender's bodies become.
    usual: Option<Mapping>,
    cloud_events: Mapping,
    /// Deepest nesting of JSON.
    depth: usize,
    /// Events of one request, at most.
    most: usize,
}

impl Reader {
    /// The reader of a source.
    ///
    /// # Errors
    /// Its mapping can't be used.
    pub fn new(
        (source, map): (SourceId, MapId),
        settings: &Settings,
        depth: usize,
        most: usize,
    ) -> Result<Self, FieldErrors> {
        let parse = |text: &str| Mapping::parse("mapping", text);
        Ok(Self {
            source,
            map: map.into(),
            own: settings.mapping.as_deref().map(parse).transpose()?,
            usual: usual(settings.authentication).map(parse).transpose()?,
            cloud_events: parse(OF_CLOUD_EVENTS)?,
            depth,
            most,
        })
    }

    /// Reads the events of a body, all of them or none.
    ///
    /// # Errors
    /// Why there are none, with the index of the bad event.
    pub fn read(&self, headers: &Headers, body: &[u8]) -> Result<Vec<Mapped>, Bad> {
        let form = Form::of(headers)?;
        let items = form.items(headers, body, self.depth)?;
        if items.len() > self.most {
            return Err(Bad::too_many(self.most));
        }
        let is_batch = items.len() != 1;
        let work = Cell::new(0);
        let mut events = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let read = self.events_of(form, item, (headers, &work));
            events.extend(read.map_err(|bad| if is_batch { bad.at(index) } else { bad })?);
            if events.len() > self.most {
                return Err(Bad::too_many(self.most));
            }
        }
        if events.is_empty() {
            return Err(Bad::new(Code::EmptyBatch, "a batch needs at least one event"));
        }
        Ok(events)
    }

    fn events_of(
        &self,
        form: Form,
        item: &bodies::Item,
        (headers, work): (&Headers, &Cell<u64>),
    ) -> Result<Vec<Mapped>, Bad> {
        let around = Surroundings { map: &self.map, source: self.source, headers, most: self.most, work };
        if let Some(own) = &self.own {
            return own.read(item, around);
        }
        if form.is_cloud_events() {
            return self.cloud_events.read(item, around);
        }
        match &self.usual {
            Some(usual) => usual.read(item, around),
            None => native::read(&item.payload, self.most),
        }
    }
}

#[cfg(test)]
mod tests;
