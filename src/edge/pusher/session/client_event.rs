//! Events that clients send to the other clients of a channel.

use super::PusherSession;
use crate::core::access::{Map, Scopes};
use crate::core::channel::Kind;
use crate::core::client_kind::is_client_kind;
use crate::core::data::payload_of;
use crate::core::event::{NewEvent, Sender};
use crate::core::lifecycle::Lifecycle;
use crate::core::rate::Rate;
use crate::delivery::{Link, Next, Resume};
use crate::edge::pusher::frame;
use crate::hub::{Grant, Hub, HubError};
use bytestring::ByteString;
use std::sync::Arc;
use std::time::Instant;

/// The code of the error for a client that sends more events than it may.
const TOO_MANY: u16 = 4301;

/// How many events one client may still send.
pub(super) struct ClientRate {
    rate: Rate,
    began: Instant,
    /// The number of the rate.
    full_at_us: u64,
}

impl ClientRate {
    /// The allowance of a new client.
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, began: Instant::now(), full_at_us: 0 }
    }

    /// Counts one event. Whether the client may send it.
    fn take(&mut self) -> bool {
        let now_ms = self.began.elapsed().as_millis() as u64;
        match self.rate.charge(self.full_at_us, 1, now_ms) {
            Ok(full_at_us) => {
                self.full_at_us = full_at_us;
                true
            }
            Err(_) => false,
        }
    }
}

/// Why a client's event is refused.
#[derive(Debug, thiserror::Error)]
enum EventError {
    #[error("Client event rejected: a client may send {0} events a second")]
    TooFast(u32),
    #[error("Client event rejected: the client has not subscribed to the channel {0}")]
    NotSubscribed(String),
    #[error("Client event rejected - only supported on private and presence channels")]
    Kind,
    #[error("Client event rejected: client events are not enabled for this app")]
    Disabled,
    #[error("Client event rejected: the app was deleted")]
    Deleted,
    #[error(
        "Client event rejected: the event's name has 1 to 200 characters, and no comma, * or control characters"
    )]
    Name,
    #[error("Client event rejected: its data may have {0} bytes")]
    Size(usize),
    #[error("Client event rejected: {0}")]
    Unpublished(#[from] HubError),
}

impl EventError {
    fn text(&self) -> String {
        let code = matches!(self, Self::TooFast(_)).then_some(TOO_MANY);
        frame::error(code, &self.to_string())
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
        if !self.client_rate.take() {
            return Err(EventError::TooFast(settings.client_events.permits));
        }
        if event.data.len() > settings.event_bytes {
            return Err(EventError::Size(settings.event_bytes));
        }
        if !is_client_kind(&event.name) {
            return Err(EventError::Name);
        }
        let not_subscribed = || EventError::NotSubscribed(event.channel.chars().take(200).collect());
        let channel = self.channels.get(event.channel.as_str()).ok_or_else(not_subscribed)?;
        if !matches!(channel.kind, Kind::Private | Kind::Presence) {
            return Err(EventError::Kind);
        }
        let access = self.hub().access().known();
        let map = access.map(self.app.map).cloned().ok_or(EventError::Disabled)?;
        let facts = map.rules.facts_of(channel.subject.as_str());
        // The setting as it is now, not as it was when the client connected.
        let app = access.apps().get(self.app.token.id).is_some_and(|app| app.client_events);
        if !facts.allows_client_events(app) {
            return Err(EventError::Disabled);
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
    hub.publisher().publish_channel(&grant.map, grant.who.by(), vec![event]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_may_send_a_few_events_at_once_and_then_waits() {
        let mut rate = ClientRate::new(Rate { permits: 10, period_ms: 3_600_000 });
        let taken: Vec<bool> = (0..12).map(|_| rate.take()).collect();
        assert_eq!(taken.iter().filter(|taken| **taken).count(), 10);
        assert!(taken[..10].iter().all(|taken| *taken));
    }
}
