//! Events that clients send to the other clients of a channel.

use super::PusherSession;
use crate::core::access::{Map, Scopes};
use crate::core::channel::{Kind, MAX_CHANNEL_LEN};
use crate::core::client_kind::is_client_kind;
use crate::core::data::payload_of;
use crate::core::event::{NewEvent, Sender};
use crate::core::lifecycle::Lifecycle;
use crate::core::limits::LimitName;
use crate::core::text::counted;
use crate::delivery::{Link, Next, Resume};
use crate::edge::error::ApiError;
use crate::edge::pusher::frame;
use crate::hub::{Grant, Hub, HubError, Via};
use actix_web::ResponseError;
use actix_web::http::StatusCode;
use bytestring::ByteString;
use std::sync::Arc;

/// The code of the error for a client that sends more events than it or its map may.
const TOO_MANY: u16 = 4301;
/// The limit of the events of one client.
const RATE: LimitName = LimitName::Setting("pusher.client_events_per_second");

/// The limit of the data of one event.
const SIZE: LimitName = LimitName::Setting("pusher.event_bytes");

/// Why a client's event is refused.
#[derive(Debug, thiserror::Error)]
enum EventError {
    #[error(
        "Client event rejected: a client may send {} a second; {RATE}",
        counted(*.0, "event", "events")
    )]
    TooFast(u32),
    #[error("Client event rejected: the client has not subscribed to the channel {0}")]
    NotSubscribed(String),
    #[error(
        "Client event rejected - only supported on private and presence channels, whatever a channel rule says, and \
         {0} is neither"
    )]
    Kind(String),
    #[error(
        "Client event rejected: client events are not enabled for this app; `waypost pusher update MAP KEY \
         --client-events` enables them"
    )]
    Disabled,
    #[error("Client event rejected: a channel rule says that clients may not publish to {0}")]
    Rule(String),
    #[error("Client event rejected: the key was deleted")]
    Deleted,
    #[error(
        "Client event rejected: the event's name has 1 to 200 characters, and no comma, * or control characters"
    )]
    Name,
    #[error("Client event rejected: its data may have {0} bytes; {SIZE}")]
    Size(usize),
    #[error("Client event rejected: {}", .0.text())]
    Unpublished(ApiError),
}

impl From<HubError> for EventError {
    fn from(error: HubError) -> Self {
        Self::Unpublished(error.into())
    }
}

impl EventError {
    /// The code for errors that pass when the client sends less.
    fn code(&self) -> Option<u16> {
        let is_too_fast = match self {
            Self::TooFast(_) => true,
            Self::Unpublished(error) => error.status_code() == StatusCode::TOO_MANY_REQUESTS,
            _ => false,
        };
        is_too_fast.then_some(TOO_MANY)
    }

    fn text(&self) -> String {
        frame::error(self.code(), &self.to_string())
    }
}

impl PusherSession {
    /// Publishes a client's event.
    pub(super) fn client_event(&mut self, event: frame::ClientEvent, link: &mut dyn Link) -> Next<Self> {
        let (map, new) = match self.checked(&event) {
            Ok(checked) => checked,
            Err(error) => {
                link.text(error.text());
                return Next::Done;
            }
        };
        let dispatcher = self.dispatcher.clone();
        let grant = Grant { map, who: self.app.who() };
        let user = new.sender.as_ref().and_then(|sender| sender.user.clone());
        let fact = Lifecycle::ClientEvent {
            channel: new.subject.clone(),
            event: event.name.into(),
            data: event.data.into(),
            socket: self.socket,
            user,
        };
        Next::Await(Box::pin(async move {
            let published = publish(dispatcher.hub(), &grant, new).await;
            let resume: Resume<Self> = Box::new(move |session, link| match published {
                Ok(()) => session.note(fact),
                Err(error) => link.text(error.text()),
            });
            resume
        }))
    }

    /// Checks that the client may send the event.
    fn checked(&mut self, event: &frame::ClientEvent) -> Result<(Arc<Map>, NewEvent), EventError> {
        let settings = &self.pusher.settings;
        if self.client_rate.take().is_err() {
            return Err(EventError::TooFast(settings.client_events.permits));
        }
        if event.data.len() > settings.event_bytes {
            return Err(EventError::Size(settings.event_bytes));
        }
        if !is_client_kind(&event.name) {
            return Err(EventError::Name);
        }
        let named = || -> String { event.channel.chars().take(MAX_CHANNEL_LEN).collect() };
        let channel = self.channels.get(event.channel.as_str());
        let channel = channel.ok_or_else(|| EventError::NotSubscribed(named()))?;
        if !matches!(channel.kind, Kind::Private | Kind::Presence) {
            return Err(EventError::Kind(named()));
        }
        let access = self.hub().access().known();
        let map = access.map(self.app.map).cloned().ok_or(EventError::Deleted)?;
        let facts = map.rules.facts_of(channel.subject.as_str());
        // The setting as it is now, not as it was when the client connected.
        let app = access.apps().get(self.app.token.id).ok_or(EventError::Deleted)?;
        if !facts.allows_client_events(app.client_events) {
            // A rule comes first, so only a rule forbids what an app with the setting may do.
            let is_by_rule = !facts.allows_client_events(true);
            return Err(if is_by_rule { EventError::Rule(named()) } else { EventError::Disabled });
        }
        let user: Option<ByteString> = channel.member.as_ref().map(|member| member.user.clone());
        let (payload, text) = payload_of(&event.data);
        let new = NewEvent {
            text,
            sender: Some(Sender { socket: self.socket, user }),
            ..NewEvent::new(channel.subject.clone(), event.name.as_str(), payload)
        };
        Ok((map, new))
    }
}

/// Publishes the event with the right of the app, as it is now: it may have been deleted on another node.
async fn publish(hub: &Hub, grant: &Grant, event: NewEvent) -> Result<(), EventError> {
    hub.access().know_revokes().await;
    if !hub.access().still_granted(grant, Scopes::PUBLISH) {
        return Err(EventError::Deleted);
    }
    hub.publisher().publish_channel(&grant.map, grant.who.by(), vec![event], Via::Pusher).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::command::Refusal;
    use crate::core::rate::Exceeded;

    #[test]
    fn an_event_that_is_refused_by_a_rate_has_the_code_of_pusher_and_names_the_limit() {
        let refused = |refusal| EventError::from(HubError::Refused(refusal));
        for (error, code, told) in [
            (EventError::TooFast(10), Some(4301), "pusher.client_events_per_second"),
            (refused(Refusal::Rate(Exceeded::Events(20))), Some(4301), "`publishes_per_second`"),
            (refused(Refusal::Rate(Exceeded::Bytes(20))), Some(4301), "`publish_bytes_per_second`"),
            (HubError::MapQueueFull.into(), Some(4301), "publish.queue_bytes"),
            (HubError::Unavailable("no leader").into(), None, "no leader"),
            (EventError::Size(10_240), None, "10240 bytes; the limit is the setting pusher.event_bytes"),
            (EventError::Kind("news".into()), None, "only supported on private and presence channels"),
            (EventError::Kind("news".into()), None, "news is neither"),
            (EventError::Rule("private-a".into()), None, "may not publish to private-a"),
            (EventError::Disabled, None, "not enabled for this app; `waypost pusher update"),
        ] {
            assert_eq!(error.code(), code, "{error}");
            assert!(error.to_string().contains(told), "{error}");
        }
        let internal = EventError::from(HubError::Internal("a secret".into()));
        assert!(!internal.to_string().contains("a secret"), "{internal}");
    }
}
