//! The lifecycle events of a client: that it connected and subscribed, and the ends of both.

use crate::core::ids::{MapId, SocketId};
use crate::core::lifecycle::Lifecycle;
use crate::core::subject::Subject;
use crate::hub::{Hub, Presence, Who};
use bytes::Bytes;

/// A client that is connected. When this is dropped, its connection has ended.
pub struct Connected {
    presence: Presence,
    map: MapId,
    socket: SocketId,
}

impl Connected {
    /// A client of the token's map has connected. `None` for the admin, whose connection belongs to no map.
    pub fn new(hub: &Hub, who: &Who, socket: SocketId) -> Option<Self> {
        let map = match who {
            Who::Token(token) => token.map,
            Who::Admin => return None,
        };
        let presence = hub.presence().clone();
        presence.note(map, Lifecycle::ConnectionEstablished { socket });
        Some(Self { presence, map, socket })
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.presence.note(self.map, Lifecycle::ConnectionTerminated { socket: self.socket });
    }
}

/// A client that is subscribed to a subject. When this is dropped, it is so no longer.
pub struct Subscribed {
    presence: Presence,
    map: MapId,
    channel: Subject,
    socket: SocketId,
}

impl Subscribed {
    /// A client has subscribed to the subject.
    pub fn new(hub: &Hub, (map, channel): (MapId, Subject), socket: SocketId) -> Self {
        let presence = hub.presence().clone();
        presence
            .note(map, Lifecycle::Subscribe { channel: channel.clone(), socket, channel_data: Bytes::new() });
        Self { presence, map, channel, socket }
    }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        let fact = Lifecycle::Unsubscribe { channel: self.channel.clone(), socket: self.socket };
        self.presence.note(self.map, fact);
    }
}
