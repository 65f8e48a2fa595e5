//! The connections of clients on this thread, for those who ask for them, and the end of one of them; and those
//! that were closed because their clients read too slowly.
//!
//! All of it comes from what the sessions hold anyway. It is looked up when somebody asks.

use super::Dispatcher;
use crate::clock::now_ms;
use crate::core::ids::MapId;
use crate::delivery::close::End;
use crate::delivery::watchdog::{Name, Session, Watched};
use crate::hub::{AskConnections, AskThread, ClientConnection, ClosedConnection, EndConnection};
use std::collections::BTreeSet;
use std::hash::BuildHasher;

/// Most subjects that are told of a connection.
const MOST_SUBJECTS: usize = 20;
/// Frames that are looked at for one answer to find out which of them clients want. It takes about a
/// millisecond.
const MOST_FRAMES: usize = 1 << 16;
/// The same for a client that is closed: many may be closed at once.
const FRAMES_OF_CLOSED: usize = 1 << 10;

impl Dispatcher {
    /// The name of a session that begins. Its number is a keyed hash of 56 bits, so nobody can guess it, and
    /// it tells nothing of others.
    pub(super) fn new_name(&self, protocol: &'static str, agent: Option<&str>) -> Name {
        let (hasher, count) = &self.numbers;
        count.set(count.get() + 1);
        let agent = agent.map(|agent| self.agents.shared(agent));
        Name { number: hasher.hash_one(count.get()) >> 8, protocol, agent, since: self.now() }
    }

    /// Answers from the sessions of this thread. Nothing is looked up for those who have given up waiting: a
    /// thread that stood still finds their questions in a row.
    pub(in crate::delivery) fn answer(&self, asked: AskThread) {
        match asked {
            AskThread::List(_, answer) if answer.is_closed() => {}
            AskThread::List(ask, answer) => {
                let _ = answer.send(self.connections(&ask));
            }
            AskThread::Closed(_, answer) if answer.is_closed() => {}
            AskThread::Closed(ask, answer) => {
                let _ = answer.send(self.slow.of_map(ask.map, ask.limit as usize));
            }
            AskThread::End(ask, answer) => {
                if self.end_connection(&ask) {
                    let _ = answer.send(());
                }
            }
        }
    }

    fn connections(&self, ask: &AskConnections) -> Vec<ClientConnection> {
        let sessions = self.sessions.borrow();
        let all = sessions.iter().map(|(_, watched)| watched);
        let mut found: Vec<&Watched> = all.filter(|watched| self.is_asked_for(watched, ask)).collect();
        found.sort_unstable_by_key(|watched| watched.name().number);
        found.truncate(ask.limit as usize);
        let mut frames = MOST_FRAMES;
        found.into_iter().map(|watched| self.shown(watched, ask.map, &mut frames)).collect()
    }

    fn is_asked_for(&self, watched: &Watched, ask: &AskConnections) -> bool {
        let name = watched.name();
        let session = watched.session();
        ask.after.is_none_or(|after| name.number > after)
            && ask.protocol.as_ref().is_none_or(|protocol| protocol == name.protocol)
            && self.is_of(session, ask.map)
            && ask.subject.as_ref().is_none_or(|subject| session.reads(ask.map, subject))
    }

    /// Whether the session goes on, and belongs to the map: its token does, or a subscription.
    fn is_of(&self, session: &dyn Session, map: MapId) -> bool {
        let opened = session.token();
        let by_token =
            || opened.is_some_and(|id| self.hub.access().known().token(id).is_some_and(|t| t.map == map));
        session.ending().is_none() && (session.is_on(map) || by_token())
    }

    fn shown(&self, watched: &Watched, map: MapId, frames: &mut usize) -> ClientConnection {
        let name = watched.name();
        let session = watched.session();
        let mut subjects = BTreeSet::new();
        let lag = session.lag(map, &mut subjects, frames);
        let seen = watched.client();
        ClientConnection {
            number: name.number,
            protocol: name.protocol.to_owned(),
            address: seen.address,
            port: seen.port,
            agent: name.agent.as_deref().map(str::to_owned),
            token: session.token(),
            user: session.user(),
            age_seconds: self.now().saturating_sub(name.since),
            subjects_total: subjects.len() as u64,
            subjects: subjects.into_iter().take(MOST_SUBJECTS).collect(),
            lag_events: lag.events,
            lag_bytes: lag.bytes.saturating_add(seen.unsent),
            unsent_bytes: seen.unsent,
            waiting_seconds: watched.waits(self.now()),
        }
    }

    /// A connection of a map that is closed now.
    pub(super) fn closed(&self, watched: &Watched, map: MapId, end: End) -> ClosedConnection {
        let mut frames = FRAMES_OF_CLOSED;
        let connection = self.shown(watched, map, &mut frames);
        ClosedConnection { at_ms: now_ms(), reason: end.label().to_owned(), connection }
    }

    /// Ends a connection of the map. Whether it is on this thread.
    fn end_connection(&self, end: &EndConnection) -> bool {
        let sessions = self.sessions.borrow();
        let is_meant = |watched: &&Watched| {
            watched.name().number == end.number && self.is_of(watched.session(), end.map)
        };
        let found = sessions.iter().map(|(_, watched)| watched).find(is_meant);
        if let Some(watched) = found {
            watched.session().finish(End::Closed);
        }
        found.is_some()
    }
}
