//! What nodes ask each other about the connections of clients, and what they answer.

use crate::core::ids::{MapId, TokenId};
use crate::core::subject::Subject;
use crate::hub::peers::{Lane, PeerRequest};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;

/// Most connections of one answer. With the longest names of subjects it has less than a mebibyte.
pub const MOST_CONNECTIONS: u32 = 201;

/// Asks a node for its connections of a map, those with the lowest numbers first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskConnections {
    /// The map.
    pub map: MapId,
    /// Only connections with a higher number.
    pub after: Option<u64>,
    /// Most connections; more than [`MOST_CONNECTIONS`] are never told.
    pub limit: u32,
    /// Only connections of this protocol.
    pub protocol: Option<String>,
    /// Only connections that get the events of this subject.
    pub subject: Option<Subject>,
}

/// A connection of a client, or the session of a client without one, such as a long poll.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientConnection {
    /// Names it on its node. It has 56 bits, and nobody can guess it.
    pub number: u64,
    /// The name of the protocol, as in metrics.
    pub protocol: String,
    /// The address of the client. `None` if the connection has just ended.
    pub address: Option<IpAddr>,
    /// The client's port. `None` if it has no connection of its own, or if that has just ended.
    pub port: Option<u16>,
    /// The beginning of what the client calls itself, if it says so.
    pub agent: Option<String>,
    /// The token that opened it. `None` if the admin opened it.
    pub token: Option<TokenId>,
    /// Whom the client token is about, or the user that has signed in.
    pub user: Option<String>,
    /// Seconds since it was opened in which its worker thread has run.
    pub age_seconds: u64,
    /// The first of its subjects and patterns, by name.
    pub subjects: Vec<String>,
    /// How many subjects and patterns there are.
    pub subjects_total: u64,
    /// Events that the client was not sent yet. Those that are no longer in memory are counted by the
    /// positions of the map's log, of which other subjects may have some.
    pub lag_events: u64,
    /// Bytes of these events in memory, and bytes of the connection that the client has not taken.
    pub lag_bytes: u64,
    /// The bytes of the connection alone.
    pub unsent_bytes: u64,
    /// For how many seconds something has waited for the client to take it; 0 if nothing waits.
    pub waiting_seconds: u64,
}

/// A connection that was closed because its client read too slowly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedConnection {
    /// When (Unix milliseconds), by the node's clock.
    pub at_ms: u64,
    /// Why, as in metrics.
    pub reason: String,
    /// The connection as it was then.
    pub connection: ClientConnection,
}

/// Asks a node for the connections of a map that it closed lately because their clients read too slowly, the
/// newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskClosed {
    /// The map.
    pub map: MapId,
    /// Most connections; more than [`MOST_CONNECTIONS`] are never told.
    pub limit: u32,
}

/// Asks a node to end a connection of a map, so that the client connects again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndConnection {
    /// The map.
    pub map: MapId,
    /// The number of the connection.
    pub number: u64,
}

/// What a dispatcher is asked about the connections of its thread.
#[derive(Clone, Debug)]
pub enum AskThread {
    /// Which there are.
    List(Arc<AskConnections>, UnboundedSender<Vec<ClientConnection>>),
    /// Which were closed lately because their clients read too slowly.
    Closed(Arc<AskClosed>, UnboundedSender<Vec<ClosedConnection>>),
    /// To end one. It says so if the connection is there.
    End(EndConnection, UnboundedSender<()>),
}

impl PeerRequest for AskConnections {
    /// `None` if a worker thread of the node did not answer in time.
    type Answer = Option<Vec<ClientConnection>>;
    const KIND: u16 = 40;
    const LANE: Lane = Lane::patient(4, 28);
}

impl PeerRequest for AskClosed {
    /// `None` if a worker thread of the node did not answer in time.
    type Answer = Option<Vec<ClosedConnection>>;
    const KIND: u16 = 43;
    const LANE: Lane = Lane::patient(2, 14);
}

impl PeerRequest for EndConnection {
    /// Whether the map had that connection there. `None` if a worker thread of the node did not answer in
    /// time.
    type Answer = Option<bool>;
    const KIND: u16 = 41;
    const LANE: Lane = Lane::quick(4, 28);
}
