//! The watch over one session. It ends a session whose client takes too little of its waiting bytes, is
//! silent, or has no subscription for long. It cuts off a session that does not end then.

use super::close::End;
use super::reading::Reading;
use super::settings::{DispatcherConfig, LOOK_AFTER};
use super::silence::Silence;
use super::socket::Connection;
use crate::core::access::Map;
use crate::core::ids::{MapId, TokenId};
use crate::core::issuer::Client;
use crate::core::ring::Lag;
use crate::core::subject::Subject;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

/// Seconds that an ending session has to send its last bytes.
const FAREWELL_SECONDS: u64 = 3;

/// A session as the dispatcher and its watchdog see it. Times are the dispatcher's seconds.
pub(super) trait Session {
    /// Why the session ends, if it does.
    fn ending(&self) -> Option<End>;
    /// Ends the session.
    fn finish(&self, end: End);
    /// There may be something to send, such as a position, of any subscription.
    fn wake(&self);
    /// Since when something waits for the client. `None` if nothing waits.
    fn waiting_since(&self) -> Option<u64>;
    /// When a position for the client is due. `None` if none is.
    fn position_due(&self) -> Option<u64>;
    /// The client's silence.
    fn silence(&self) -> &Silence;
    /// Whether something for the client had no room.
    fn is_overfull(&self) -> bool;
    /// Since when the session has had no subscription. `None` if it has one.
    fn unused_since(&self) -> Option<u64>;
    /// The token that opened the session. `None` if the admin opened it.
    fn token(&self) -> Option<TokenId>;
    /// The client whose client token the session lives by, if it has one.
    fn client(&self) -> Option<Arc<Client>>;
    /// The map of a subscription of the session. `None` if it has none.
    fn map(&self) -> Option<MapId>;
    /// Whether the session has a subscription of the map.
    fn is_on(&self, map: MapId) -> bool;
    /// Whether the map's channel rules require that one of its subscriptions be opened in another way.
    fn is_moved_by(&self, map: &Map) -> bool;
    /// Whether a subscription of the map gets the events of that subject.
    fn reads(&self, map: MapId, subject: &Subject) -> bool;
    /// The user that has signed in, or whom the client token is about.
    fn user(&self) -> Option<String>;
    /// Adds the subjects and patterns of the session's subscriptions of the map to `subjects`. Returns what
    /// these have yet to send. `frames` as in [`Ring::lag`](crate::core::ring::Ring::lag).
    fn lag(&self, map: MapId, subjects: &mut BTreeSet<String>, frames: &mut usize) -> Lag;
}

/// What shows that a client is alive. It depends on the transport. The session of a client that does not show
/// it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Liveness {
    /// The client reads its waiting bytes and sends something: a WebSocket, which has heartbeats.
    ReadAndSpeak,
    /// The client reads its waiting bytes: an event stream.
    Read,
    /// The client sends something: a long poll. Between its polls a client reads nothing, and that means
    /// nothing.
    Speak,
}

impl Liveness {
    fn must_read(self) -> bool {
        self != Self::Speak
    }

    fn must_speak(self) -> bool {
        self != Self::Read
    }
}

/// The way to the client.
pub(super) enum Way {
    /// A connection of its own.
    Connection(Reading),
    /// Requests that come from that address, as those of a long poll.
    Requests(IpAddr),
    /// It is not known.
    Unknown,
}

impl From<Option<Connection>> for Way {
    fn from(connection: Option<Connection>) -> Self {
        connection.map_or(Self::Unknown, |connection| Self::Connection(Reading::new(connection)))
    }
}

/// What is seen of the connection of a client.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// The address of the client.
    pub(super) address: Option<IpAddr>,
    /// The client's port, if it has a connection of its own.
    pub(super) port: Option<u16>,
    /// Bytes of the connection that the client has not taken.
    pub(super) unsent: u64,
}

/// What a session is called, for those who ask for the connections of a map.
#[derive(Clone, Debug)]
pub(super) struct Name {
    /// Names it on the node.
    pub(super) number: u64,
    /// The protocol.
    pub(super) protocol: &'static str,
    /// What the client calls itself, if it says so.
    pub(super) agent: Option<Rc<str>>,
    /// The second in which it began.
    pub(super) since: u64,
}

/// A session as the watchdog sees it.
pub(super) struct Watched {
    session: Rc<dyn Session>,
    way: Way,
    liveness: Liveness,
    /// The second at which an ending session is cut off.
    cut_at: Option<u64>,
    /// The log was told of the session's end.
    is_told: bool,
    name: Name,
}

impl Watched {
    pub(super) fn new(session: Rc<dyn Session>, way: Way, liveness: Liveness, name: Name) -> Self {
        Self { session, way, liveness, cut_at: None, is_told: false, name }
    }

    pub(super) fn session(&self) -> &dyn Session {
        &*self.session
    }

    pub(super) fn name(&self) -> &Name {
        &self.name
    }

    /// What is seen of the client's connection.
    pub(super) fn client(&self) -> Seen {
        match &self.way {
            Way::Connection(reading) => {
                let connection = reading.connection();
                let peer = connection.peer();
                Seen {
                    address: peer.map(|peer| peer.ip()),
                    port: peer.map(|peer| peer.port()),
                    unsent: connection.sent().unsent.into(),
                }
            }
            Way::Requests(address) => Seen { address: Some(*address), ..Seen::default() },
            Way::Unknown => Seen::default(),
        }
    }

    /// For how many seconds something has waited for the client to take it. Between its polls, a client that
    /// polls takes nothing.
    pub(super) fn waits(&self, now: u64) -> u64 {
        let since = self.session.waiting_since().filter(|_| self.liveness.must_read());
        since.map_or(0, |since| now.saturating_sub(since))
    }

    /// Why the session ends, if its client read too slowly. It is told once.
    pub(super) fn take_slow_end(&mut self) -> Option<End> {
        let end = self.session.ending().filter(|end| matches!(end, End::TooSlow | End::FellOut))?;
        (!std::mem::replace(&mut self.is_told, true)).then_some(end)
    }

    /// The session has sent its last bytes. Its connection may serve other requests.
    pub(super) fn rest(&mut self) {
        if let Way::Connection(reading) = &mut self.way {
            reading.rest();
        }
    }

    /// Runs once a second: ends a session that shows no life, and cuts off one that does not end.
    pub(super) fn look(&mut self, now: u64, config: &DispatcherConfig) {
        if self.session.ending().is_some() {
            let cut_at = *self.cut_at.get_or_insert(now + FAREWELL_SECONDS);
            if now >= cut_at
                && let Way::Connection(reading) = &self.way
            {
                reading.cut();
            }
        } else if self.session.is_overfull() || self.liveness.must_read() && self.is_too_slow(now, config) {
            self.session.finish(End::TooSlow);
        } else if self.is_silent(now, config) {
            self.session.finish(End::Idle);
        } else if self.is_unused(now, config) {
            self.session.finish(End::Unused);
        } else {
            self.session.silence().look(now);
            if self.session.position_due().is_some_and(|due| now >= due) {
                self.session.wake();
            }
        }
    }

    /// While a write waits for the client, its session is not polled and the client's messages stay unread.
    /// Then only its pace is checked.
    fn is_silent(&self, now: u64, config: &DispatcherConfig) -> bool {
        let since = self.session.waiting_since().filter(|_| self.liveness.must_read());
        let is_held_up = since.is_some_and(|since| now.saturating_sub(since) >= LOOK_AFTER);
        let is_silent = self.session.silence().is_too_long(now, config.idle_seconds);
        self.liveness.must_speak() && is_silent && !is_held_up
    }

    fn is_unused(&self, now: u64, config: &DispatcherConfig) -> bool {
        self.session.unused_since().is_some_and(|since| now.saturating_sub(since) > config.join_seconds)
    }

    fn is_too_slow(&mut self, now: u64, config: &DispatcherConfig) -> bool {
        let since = self.session.waiting_since();
        match &mut self.way {
            Way::Connection(reading) => reading.is_too_slow(now, since, config),
            Way::Requests(_) | Way::Unknown => false,
        }
    }
}
