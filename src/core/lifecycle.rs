//! Lifecycle events: what happens to channels, their members and their connections.
//!
//! A fact makes one event, under `$channel/{channel}`, whoever reads it. Facts that the replicated state
//! decides (who is a member, which channels are occupied) are stored by the state machine as it decides them.
//! Facts that one node sees are published by that node. A map stores only the facts that somebody wants
//! ([`Wants`](super::webhook::Wants)).

use super::channel::SERVER_TO_USER;
use super::event::NewEvent;
use super::ids::SocketId;
use super::json::{normalise, write_string};
use super::subject::Subject;
use bytes::Bytes;
use bytestring::ByteString;
use std::fmt::Write;

/// The deepest nesting of JSON that others give for a fact. Deeper JSON is told as text.
const MAX_DEPTH: usize = 32;

/// Returns whether a subject is a channel about which facts are told: not the map's own subject, not the server's
/// subjects, and not the channels that carry the events of one user.
pub fn is_told_of(channel: &Subject) -> bool {
    !channel.is_own() && !channel.is_reserved() && !channel.as_str().starts_with(SERVER_TO_USER)
}

/// What a fact is about; the type of its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LifecycleKind {
    /// See [`Lifecycle::ChannelOccupied`].
    ChannelOccupied,
    /// See [`Lifecycle::ChannelVacated`].
    ChannelVacated,
    /// See [`Lifecycle::MemberAdded`].
    MemberAdded,
    /// See [`Lifecycle::MemberRemoved`].
    MemberRemoved,
    /// See [`Lifecycle::SubscriptionCount`].
    SubscriptionCount,
    /// See [`Lifecycle::ClientEvent`].
    ClientEvent,
    /// See [`Lifecycle::CacheMiss`].
    CacheMiss,
    /// See [`Lifecycle::ConnectionEstablished`].
    ConnectionEstablished,
    /// See [`Lifecycle::ConnectionTerminated`].
    ConnectionTerminated,
    /// See [`Lifecycle::Subscribe`].
    Subscribe,
    /// See [`Lifecycle::Unsubscribe`].
    Unsubscribe,
    /// See [`Lifecycle::Broadcast`].
    Broadcast,
}

impl LifecycleKind {
    /// All kinds with the types of their events.
    pub const NAMES: [(&'static str, Self); 12] = [
        ("channel_occupied", Self::ChannelOccupied),
        ("channel_vacated", Self::ChannelVacated),
        ("member_added", Self::MemberAdded),
        ("member_removed", Self::MemberRemoved),
        ("subscription_count", Self::SubscriptionCount),
        ("client_event", Self::ClientEvent),
        ("cache_miss", Self::CacheMiss),
        ("connection_established", Self::ConnectionEstablished),
        ("connection_terminated", Self::ConnectionTerminated),
        ("subscribe", Self::Subscribe),
        ("unsubscribe", Self::Unsubscribe),
        ("broadcast", Self::Broadcast),
    ];

    /// Returns the kind of an event of that type.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    /// Returns the type of its events.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

/// A fact about a channel, one of its members or a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// A channel without subscriptions got one.
    ChannelOccupied {
        /// The channel.
        channel: Subject,
    },
    /// A channel lost its last subscription and its last member.
    ChannelVacated {
        /// The channel.
        channel: Subject,
    },
    /// A user became a member of a channel.
    MemberAdded {
        /// The channel.
        channel: Subject,
        /// The user.
        user: ByteString,
        /// What is known of the user: JSON, or nothing.
        info: Bytes,
        /// The socket by which the user joined.
        socket: Option<SocketId>,
    },
    /// A user is no longer a member of a channel.
    MemberRemoved {
        /// The channel.
        channel: Subject,
        /// The user.
        user: ByteString,
        /// The socket by which the user had joined.
        socket: Option<SocketId>,
    },
    /// The number of subscriptions of a channel changed.
    SubscriptionCount {
        /// The channel.
        channel: Subject,
        /// The number over all nodes.
        count: u64,
    },
    /// A client sent an event to the other clients of a channel.
    ClientEvent {
        /// The channel.
        channel: Subject,
        /// The event's type.
        event: ByteString,
        /// The event's data as text.
        data: ByteString,
        /// The client's socket.
        socket: SocketId,
        /// The client's user, on a presence channel.
        user: Option<ByteString>,
    },
    /// A client subscribed to a cache channel that has no event.
    CacheMiss {
        /// The channel.
        channel: Subject,
    },
    /// A client connected.
    ConnectionEstablished {
        /// Its socket.
        socket: SocketId,
    },
    /// A client's connection ended.
    ConnectionTerminated {
        /// Its socket.
        socket: SocketId,
    },
    /// A client subscribed to a channel.
    Subscribe {
        /// The channel.
        channel: Subject,
        /// The client's socket.
        socket: SocketId,
        /// What the client's back end signed about it: JSON, or nothing.
        channel_data: Bytes,
    },
    /// A client ended a subscription.
    Unsubscribe {
        /// The channel.
        channel: Subject,
        /// The client's socket.
        socket: SocketId,
    },
    /// A back end published an event to a channel.
    Broadcast {
        /// The channel.
        channel: Subject,
        /// The event's type.
        event: ByteString,
        /// The event's data as text.
        data: ByteString,
        /// The socket that does not get the event.
        socket: Option<SocketId>,
    },
}

impl Lifecycle {
    /// Returns what the fact is about.
    pub fn kind(&self) -> LifecycleKind {
        match self {
            Self::ChannelOccupied { .. } => LifecycleKind::ChannelOccupied,
            Self::ChannelVacated { .. } => LifecycleKind::ChannelVacated,
            Self::MemberAdded { .. } => LifecycleKind::MemberAdded,
            Self::MemberRemoved { .. } => LifecycleKind::MemberRemoved,
            Self::SubscriptionCount { .. } => LifecycleKind::SubscriptionCount,
            Self::ClientEvent { .. } => LifecycleKind::ClientEvent,
            Self::CacheMiss { .. } => LifecycleKind::CacheMiss,
            Self::ConnectionEstablished { .. } => LifecycleKind::ConnectionEstablished,
            Self::ConnectionTerminated { .. } => LifecycleKind::ConnectionTerminated,
            Self::Subscribe { .. } => LifecycleKind::Subscribe,
            Self::Unsubscribe { .. } => LifecycleKind::Unsubscribe,
            Self::Broadcast { .. } => LifecycleKind::Broadcast,
        }
    }

    /// Returns the channel that it is about. Connections belong to no channel.
    pub fn channel(&self) -> Option<&Subject> {
        match self {
            Self::ChannelOccupied { channel }
            | Self::ChannelVacated { channel }
            | Self::MemberAdded { channel, .. }
            | Self::MemberRemoved { channel, .. }
            | Self::SubscriptionCount { channel, .. }
            | Self::ClientEvent { channel, .. }
            | Self::CacheMiss { channel }
            | Self::Subscribe { channel, .. }
            | Self::Unsubscribe { channel, .. }
            | Self::Broadcast { channel, .. } => Some(channel),
            Self::ConnectionEstablished { .. } | Self::ConnectionTerminated { .. } => None,
        }
    }

    /// Returns the event that tells the fact.
    pub fn event(&self) -> NewEvent {
        let own = Subject::own();
        let subject = Subject::of_channel(self.channel().unwrap_or(&own));
        NewEvent::new(subject, self.kind().name(), self.payload())
    }

    /// Writes the payload, in normal form.
    fn payload(&self) -> String {
        let mut payload = Payload::default();
        if let Some(channel) = self.channel() {
            payload.text("channel", channel.as_str());
        }
        match self {
            Self::ChannelOccupied { .. } | Self::ChannelVacated { .. } | Self::CacheMiss { .. } => {}
            Self::MemberAdded { user, info, socket, .. } => {
                payload.text("user_id", user);
                payload.socket(*socket);
                payload.json("user_info", info);
            }
            Self::MemberRemoved { user, socket, .. } => {
                payload.text("user_id", user);
                payload.socket(*socket);
            }
            Self::SubscriptionCount { count, .. } => {
                payload.json("subscription_count", count.to_string().as_bytes())
            }
            Self::ClientEvent { event, data, socket, user, .. } => {
                payload.text("event", event);
                payload.text("data", data);
                payload.socket(Some(*socket));
                if let Some(user) = user {
                    payload.text("user_id", user);
                }
            }
            Self::ConnectionEstablished { socket }
            | Self::ConnectionTerminated { socket }
            | Self::Unsubscribe { socket, .. } => payload.socket(Some(*socket)),
            Self::Subscribe { socket, channel_data, .. } => {
                payload.socket(Some(*socket));
                payload.json("channel_data", channel_data);
            }
            Self::Broadcast { event, data, socket, .. } => {
                payload.text("event", event);
                payload.text("data", data);
                payload.socket(*socket);
            }
        }
        payload.end()
    }
}

/// A JSON object that is being written. A formatter never fails on a string.
#[derive(Default)]
struct Payload(String);

impl Payload {
    fn name(&mut self, name: &str) {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        let _ = write!(self.0, "\"{name}\":");
    }

    fn text(&mut self, name: &str, value: &str) {
        self.name(name);
        write_string(value, &mut self.0);
    }

    /// Adds JSON that somebody gave, as text if it is not JSON after all. Nothing stays nothing.
    fn json(&mut self, name: &str, value: &[u8]) {
        if value.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(value);
        match normalise(&text, MAX_DEPTH) {
            Ok(json) => {
                self.name(name);
                self.0.push_str(&json);
            }
            Err(_) => self.text(name, &text),
        }
    }

    fn socket(&mut self, socket: Option<SocketId>) {
        if let Some(socket) = socket {
            self.text("socket_id", &socket.to_string());
        }
    }

    fn end(mut self) -> String {
        if self.0.is_empty() {
            self.0.push('{');
        }
        self.0.push('}');
        self.0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn told(fact: &Lifecycle) -> (String, String, String) {
        let event = fact.event();
        (event.subject.to_string(), event.kind, String::from_utf8(event.payload.to_vec()).unwrap())
    }

    #[test]
    fn a_fact_is_told_under_its_channel_with_what_it_has() {
        let channel = Subject::parse("presence-a").unwrap();
        let socket = SocketId { a: 1, b: 2 };
        let added = Lifecycle::MemberAdded {
            channel: channel.clone(),
            user: "u".into(),
            info: Bytes::from_static(br#"{ "name": "\u0041" }"#),
            socket: Some(socket),
        };
        let payload = r#"{"channel":"presence-a","user_id":"u","socket_id":"1.2","user_info":{"name":"A"}}"#;
        assert_eq!(told(&added), ("$channel/presence-a".into(), "member_added".into(), payload.into()));
        let count = Lifecycle::SubscriptionCount { channel: channel.clone(), count: 7 };
        assert_eq!(told(&count).2, r#"{"channel":"presence-a","subscription_count":7}"#);
        let sent = Lifecycle::ClientEvent {
            channel: channel.clone(),
            event: "client-move".into(),
            data: r#"{"x":1}"#.into(),
            socket,
            user: None,
        };
        let payload =
            r#"{"channel":"presence-a","event":"client-move","data":"{\"x\":1}","socket_id":"1.2"}"#;
        assert_eq!(told(&sent).2, payload);
        let connected = Lifecycle::ConnectionEstablished { socket };
        assert_eq!(
            told(&connected),
            ("$channel/".into(), "connection_established".into(), r#"{"socket_id":"1.2"}"#.into())
        );
        let subscribed =
            Lifecycle::Subscribe { channel, socket, channel_data: Bytes::from_static(b"not json") };
        assert!(told(&subscribed).2.ends_with(r#","channel_data":"not json"}"#));
    }

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        for (name, kind) in LifecycleKind::NAMES {
            assert_eq!((LifecycleKind::from_name(name), kind.name()), (Some(kind), name));
        }
    }
}
