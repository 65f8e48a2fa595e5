//! The names of all metrics. Nothing else: each room counts what it does.

/// Topic actors of this node.
pub const TOPICS: &str = "waypost_topics";
/// Open client connections, by `protocol`.
pub const CONNECTIONS: &str = "waypost_connections";
/// Subscriptions of clients to topics.
pub const SUBSCRIPTIONS: &str = "waypost_subscriptions";
/// Actors rebuilt after a panic, by `actor`.
pub const ACTORS_LOST: &str = "waypost_actors_lost_total";
/// Frames written to clients, by `protocol`.
pub const FRAMES_SENT: &str = "waypost_frames_sent_total";
/// Bytes of frames written to clients, by `protocol`.
pub const BYTES_SENT: &str = "waypost_sent_bytes_total";
/// Connections that the server closed, by `reason`.
pub const CLOSED: &str = "waypost_closed_total";
/// Events that publishers were told are stored.
pub const EVENTS_PUBLISHED: &str = "waypost_events_published_total";
/// Publishes refused, by `reason`.
pub const PUBLISH_REFUSED: &str = "waypost_publish_refused_total";
/// Seconds from a publish's arrival to its commit.
pub const PUBLISH_SECONDS: &str = "waypost_publish_seconds";
/// HTTP answers, by `status` class.
pub const HTTP_ANSWERS: &str = "waypost_http_answers_total";
/// Index of the last applied log entry.
pub const APPLIED_INDEX: &str = "waypost_applied_index";
/// The present term.
pub const TERM: &str = "waypost_term";
/// 1 on the node that leads.
pub const IS_LEADER: &str = "waypost_is_leader";
/// 1 while a majority is in reach.
pub const HAS_QUORUM: &str = "waypost_has_quorum";

/// Describes them to the recorder.
pub fn describe() {
    use metrics::{Unit, describe_counter as counter, describe_gauge as gauge, describe_histogram as histogram};
    gauge!(TOPICS, "Topic actors of this node");
    gauge!(CONNECTIONS, "Open client connections");
    gauge!(SUBSCRIPTIONS, "Subscriptions of clients to topics");
    counter!(ACTORS_LOST, "Actors rebuilt after a panic");
    counter!(FRAMES_SENT, "Writes of frames to clients");
    counter!(BYTES_SENT, Unit::Bytes, "Bytes of frames written to clients");
    counter!(CLOSED, "Connections that the server closed");
    counter!(EVENTS_PUBLISHED, "Events that publishers were told are stored");
    counter!(PUBLISH_REFUSED, "Publishes refused");
    histogram!(PUBLISH_SECONDS, Unit::Seconds, "From a publish's arrival to its commit");
    counter!(HTTP_ANSWERS, "HTTP answers");
    gauge!(APPLIED_INDEX, "Index of the last applied log entry");
    gauge!(TERM, "The present term");
    gauge!(IS_LEADER, "1 on the node that leads");
    gauge!(HAS_QUORUM, "1 while a majority is in reach");
}
