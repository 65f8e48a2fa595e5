//! The watch over one session: who takes too little of what waits for it or says nothing is ended, who doesn't go then is
//! cut off.

use super::close::End;
use super::reading::Reading;
use super::settings::{DispatcherConfig, LOOK_AFTER};
use super::socket::Connection;
use crate::core::access::Map;
use crate::core::ids::{MapId, TokenId};
use std::rc::Rc;

/// Seconds that an ending session has to take its last words.
const FAREWELL_SECONDS: u64 = 3;

/// What the watch and the dispatcher see of a session. Times are the dispatcher's seconds.
pub(super) trait Session {
    /// Why it ends, if it does.
    fn ending(&self) -> Option<End>;
    /// Ends it.
    fn finish(&self, end: End);
    /// Something may be there to send.
    fn wake(&self);
    /// Since when something waits for the client to take it.
    fn waiting_since(&self) -> Option<u64>;
    /// When the client is to be told its position.
    fn position_due(&self) -> Option<u64>;
    /// When the client was heard last.
    fn heard_at(&self) -> u64;
    /// The token that opened it; `None` for the admin's.
    fn token(&self) -> Option<TokenId>;
    /// Whether it has a subscription of the map.
    fn is_on(&self, map: MapId) -> bool;
    /// Whether one of its subscriptions has to be opened in another way by the map's channel rules.
    fn is_moved_by(&self, map: &Map) -> bool;
}

/// What shows that a client is alive, by the nature of its transport. Who doesn't show it is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Liveness {
    /// Read what waits, and be heard from: a WebSocket, which has heartbeats.
    ReadAndSpeak,
    /// Read what waits: an event stream.
    Read,
    /// Be heard from: a long poll. Between its polls it reads nothing, and that means nothing.
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

/// A session as the watchdog sees it.
pub(super) struct Watched {
    session: Rc<dyn Session>,
    reading: Option<Reading>,
    liveness: Liveness,
    /// Second at which an ending session is cut off.
    cut_at: Option<u64>,
}

impl Watched {
    pub(super) fn new(session: Rc<dyn Session>, connection: Option<Connection>, liveness: Liveness) -> Self {
        Self { session, reading: connection.map(Reading::new), liveness, cut_at: None }
    }

    pub(super) fn session(&self) -> &dyn Session {
        &*self.session
    }

    /// The session has said its last words; its connection may serve other requests.
    pub(super) fn rest(&mut self) {
        if let Some(reading) = &mut self.reading {
            reading.rest();
        }
    }

    /// Once a second: ends a session that shows no life, and cuts off one that doesn't go.
    pub(super) fn look(&mut self, now: u64, config: &DispatcherConfig) {
        if self.session.ending().is_some() {
            let cut_at = *self.cut_at.get_or_insert(now + FAREWELL_SECONDS);
            if now >= cut_at
                && let Some(reading) = &self.reading
            {
                reading.cut();
            }
        } else if self.liveness.must_read() && self.is_too_slow(now, config) {
            self.session.finish(End::TooSlow);
        } else if self.is_silent(now, config) {
            self.session.finish(End::Idle);
        } else if self.session.position_due().is_some_and(|due| now >= due) {
            self.session.wake();
        }
    }

    /// While a write waits for the client its session is not polled: what the client says lies unread, and its pace alone
    /// is checked.
    fn is_silent(&self, now: u64, config: &DispatcherConfig) -> bool {
        let since = self.session.waiting_since().filter(|_| self.liveness.must_read());
        let is_held_up = since.is_some_and(|since| now.saturating_sub(since) >= LOOK_AFTER);
        let silent = now.saturating_sub(self.session.heard_at()) > config.idle_seconds;
        self.liveness.must_speak() && silent && !is_held_up
    }

    fn is_too_slow(&mut self, now: u64, config: &DispatcherConfig) -> bool {
        let since = self.session.waiting_since();
        self.reading.as_mut().is_some_and(|reading| reading.is_too_slow(now, since, config))
    }
}
