//! The settings of client sessions.

use serde::{Deserialize, Serialize};

/// Client connections.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// A socket that sent nothing for this long is closed, in seconds; so is a long-poll session that was not
    /// polled.
    pub idle_timeout_seconds: u64,
    /// A socket or a long-poll session that has joined nothing for this long is closed, in seconds.
    pub join_seconds: u64,
    /// Messages that a socket or a long-poll session may send in a second. One that sends more is slowed
    /// down.
    pub messages_per_second: u32,
    /// Topics that a socket or a long-poll session may join in a second. One that joins more is refused.
    pub joins_per_second: u32,
    /// A socket is closed (1012) if it took less than `min_bytes_per_second` for this long while data waited,
    /// in seconds.
    pub stall_seconds: u64,
    /// The rate at which a socket must take the data that waits for it, in bytes per second.
    pub min_bytes_per_second: u64,
    /// Most bytes pending for one client.
    pub send_buffer_bytes: usize,
    /// Most bytes of recent events kept in memory per topic.
    pub ring_bytes: usize,
    /// Most recent events kept in memory per topic.
    pub ring_events: usize,
    /// Most bytes of recent events kept in memory for all topics of this node.
    pub rings_bytes: usize,
    /// How long a node may be without a majority before it closes its sockets (1012), so that they resume at
    /// other nodes, in seconds; 0 = for ever.
    pub cut_off_seconds: u64,
    /// Longest drain at shutdown, in seconds.
    pub drain_seconds: u64,
    /// Time between two position messages to a client whose filter matches nothing, in seconds.
    pub position_seconds: u64,
    /// Time between keep-alive comments on an idle SSE stream, in seconds.
    pub sse_keepalive_seconds: u64,
    /// How long a long poll waits for an event, in seconds.
    pub longpoll_seconds: u64,
    /// Whether messages of WebSockets are compressed for clients that offer it, and long answers for those
    /// that accept it.
    pub compression: bool,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            idle_timeout_seconds: 60,
            join_seconds: 20,
            messages_per_second: 100,
            joins_per_second: 50,
            stall_seconds: 60,
            min_bytes_per_second: 1024,
            send_buffer_bytes: 131_072,
            ring_bytes: 4_194_304,
            ring_events: 4096,
            rings_bytes: 268_435_456,
            cut_off_seconds: 15,
            drain_seconds: 8,
            position_seconds: 10,
            sse_keepalive_seconds: 20,
            longpoll_seconds: 10,
            compression: true,
        }
    }
}
