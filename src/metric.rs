//! The names and descriptions of all metrics. Each module records its own metrics. Series that belong to one
//! object, such as a webhook, are written from the node's state ([`exposition`]), so that they go with the
//! object.

pub mod exposition;

/// Always 1, by `node` and `name`: which node this is. Joined with it, the metrics of a node have its name.
pub const NODE_INFO: &str = "waypost_node_info";
/// Topic actors of this node.
pub const TOPICS: &str = "waypost_topics";
/// Wake-ups of topic actors. A publish wakes the topics of its subject.
pub const TOPICS_WOKEN: &str = "waypost_topic_wakeups_total";
/// Pages that topics read from the store. A topic that is up to date takes new events from memory instead.
pub const TOPIC_READS: &str = "waypost_topic_reads_total";
/// Open client connections, by `protocol`.
pub const CONNECTIONS: &str = "waypost_connections";
/// Connections that were closed to make room for others.
pub const CONNECTIONS_EVICTED: &str = "waypost_connections_evicted_total";
/// Subscriptions of clients to topics.
pub const SUBSCRIPTIONS: &str = "waypost_subscriptions";
/// Actors that were started again after a panic, by `actor`.
pub const ACTORS_LOST: &str = "waypost_actors_lost_total";
/// Events that were too large for a filter expression and therefore did not match.
pub const EXPRESSIONS_SKIPPED: &str = "waypost_expressions_skipped_total";
/// Frames written to clients, by `protocol`.
pub const FRAMES_SENT: &str = "waypost_frames_sent_total";
/// Bytes of frames written to clients, by `protocol`.
pub const BYTES_SENT: &str = "waypost_sent_bytes_total";
/// Connections that the server closed, by `reason`.
pub const CLOSED: &str = "waypost_closed_total";
/// Requests of long polls that this node passed on to the nodes that hold the sessions.
pub const LONG_POLLS_RELAYED: &str = "waypost_longpoll_relayed_total";
/// Events whose storage was acknowledged to their publishers.
pub const EVENTS_PUBLISHED: &str = "waypost_events_published_total";
/// Publishes refused, by `reason`.
pub const PUBLISH_REFUSED: &str = "waypost_publish_refused_total";
/// Seconds from the proposal of a publish to the answer of the log.
pub const PUBLISH_SECONDS: &str = "waypost_publish_seconds";
/// Ephemeral events published on this node.
pub const EPHEMERAL_PUBLISHED: &str = "waypost_ephemeral_published_total";
/// Ephemeral events that arrived at another node, by `peer`.
pub const EPHEMERAL_SENT: &str = "waypost_ephemeral_sent_events_total";
/// Batches of ephemeral events sent to another node, including repeats, by `peer`.
pub const EPHEMERAL_BATCHES: &str = "waypost_ephemeral_sent_batches_total";
/// Ephemeral events that did not reach another node, by `reason`: overflow, stale, gone.
pub const EPHEMERAL_DROPPED: &str = "waypost_ephemeral_dropped_events_total";
/// Ephemeral events received from other nodes.
pub const EPHEMERAL_RECEIVED: &str = "waypost_ephemeral_received_events_total";
/// Batches of ephemeral events that arrived more than once.
pub const EPHEMERAL_REPEATED: &str = "waypost_ephemeral_repeated_batches_total";
/// Bytes of ephemeral events that wait to be sent to another node, by `peer`.
pub const EPHEMERAL_WAITING: &str = "waypost_ephemeral_waiting_bytes";
/// Subjects and patterns whose ephemeral events this node requests from the other nodes.
pub const EPHEMERAL_INTEREST: &str = "waypost_ephemeral_interest";
/// Subjects and patterns whose ephemeral events another node requests from this one, by `peer`.
pub const EPHEMERAL_PEER_INTEREST: &str = "waypost_ephemeral_peer_interest";
/// What runs: 1, with `version`, `commit` and `rustc` as labels. An executable that was built outside a git
/// checkout has no `commit`.
pub const BUILD_INFO: &str = "waypost_build_info";
/// Times that a subscriber was told that it missed events, by `reason`: history, ephemeral.
pub const MISSED: &str = "waypost_missed_total";
/// Spans that were handed to the collector of traces.
pub const SPANS_SENT: &str = "waypost_spans_sent_total";
/// Spans that did not reach the collector of traces, by `reason`: full, refused, unreachable.
pub const SPANS_DROPPED: &str = "waypost_spans_dropped_total";
/// Seconds from a request's head to the head of its response, by `route`, `method` and `status` class.
pub const HTTP_SECONDS: &str = "waypost_http_request_seconds";
/// HTTP responses, by `status` class.
pub const HTTP_ANSWERS: &str = "waypost_http_answers_total";
/// Lines of the audit log that could not be written.
pub const AUDIT_LOST: &str = "waypost_audit_lost_lines_total";
/// Index of the last applied log entry.
pub const APPLIED_INDEX: &str = "waypost_applied_index";
/// The current term.
pub const TERM: &str = "waypost_term";
/// 1 on the node that leads.
pub const IS_LEADER: &str = "waypost_is_leader";
/// 1 while the node reaches a majority.
pub const HAS_QUORUM: &str = "waypost_has_quorum";
/// Index of the last log entry that this node knows to be committed.
pub const COMMITTED_INDEX: &str = "waypost_committed_index";
/// Index up to which the store is durable.
pub const DURABLE_INDEX: &str = "waypost_durable_index";
/// Seconds since the store was last made durable.
pub const SNAPSHOT_AGE: &str = "waypost_snapshot_age_seconds";
/// Free bytes on the disk of the data directory.
pub const DISK_FREE: &str = "waypost_disk_free_bytes";
/// Size of the disk of the data directory, bytes.
pub const DISK_SIZE: &str = "waypost_disk_size_bytes";
/// 1 while the disk has less free space than the reserve.
pub const DISK_FULL: &str = "waypost_disk_full";
/// 1 while the disk is slow, although those of a majority are not.
pub const DISK_SLOW: &str = "waypost_disk_slow";
/// How long the slowest write to the log of the last minute or two took until it was on disk, seconds.
pub const SYNC_SLOWEST: &str = "waypost_log_sync_slowest_seconds";
/// The age of the oldest write to the log that is not on disk yet, seconds.
pub const SYNC_AGE: &str = "waypost_log_sync_age_seconds";
/// 1 while the node accepts clients.
pub const READY: &str = "waypost_ready";
/// The longest time without a message from the leader in this term; 0 on the leader.
pub const LEADER_SILENCE_SECONDS: &str = "waypost_leader_silence_seconds";
/// A node's clock minus the cluster's time, seconds.
pub const CLOCK_OFFSET: &str = "waypost_clock_offset_seconds";
/// How far event ids are ahead of the cluster's time, seconds.
pub const IDS_AHEAD: &str = "waypost_ids_ahead_seconds";
/// Time that the leader's expiry clock did not count because no node could confirm that it had passed,
/// seconds.
pub const EXPIRY_HELD: &str = "waypost_expiry_held_seconds";
/// Attempts to deliver events to webhooks, by `class` of the result.
pub const WEBHOOK_ATTEMPTS: &str = "waypost_webhook_attempts_total";
/// Events delivered to webhooks.
pub const WEBHOOK_DELIVERED: &str = "waypost_webhook_delivered_events_total";
/// Duration of an attempt, seconds.
pub const WEBHOOK_ATTEMPT_SECONDS: &str = "waypost_webhook_attempt_seconds";
/// Seconds from an event's publication to its delivery to a webhook.
pub const WEBHOOK_DELAY_SECONDS: &str = "waypost_webhook_delay_seconds";
/// Events given up after the last attempt (dead letters), by `class` of that attempt.
pub const WEBHOOK_DEAD_LETTERS: &str = "waypost_webhook_dead_letters_total";
/// Webhooks that were disabled automatically because they failed.
pub const WEBHOOK_DISABLED: &str = "waypost_webhook_disabled_total";
/// Events that retention removed although an active webhook of this node still needed them.
pub const WEBHOOK_LOST: &str = "waypost_webhook_lost_events_total";
/// Webhooks of the cluster that are losing events.
pub const WEBHOOKS_LOSING: &str = "waypost_webhooks_losing";
/// Webhooks that this node owns, by `shard`.
pub const WEBHOOKS_OWNED: &str = "waypost_webhooks_owned";
/// Webhooks of this node that have something to do, by `state`: working, failing.
pub const WEBHOOK_ACTIVE: &str = "waypost_webhook_actors";
/// Events that wait for a webhook, by `webhook`. Beyond a number of webhooks, the rest are summed under
/// `other`.
pub const WEBHOOK_QUEUE: &str = "waypost_webhook_queue_events";
/// Age of the oldest event that waits for a webhook, seconds, by `webhook` as in [`WEBHOOK_QUEUE`].
pub const WEBHOOK_QUEUE_SECONDS: &str = "waypost_webhook_queue_age_seconds";
/// Events that were handed to readers of consumers.
pub const CONSUMER_HANDED: &str = "waypost_consumer_handed_events_total";
/// Events that readers of consumers acknowledged.
pub const CONSUMER_ACKNOWLEDGED: &str = "waypost_consumer_acknowledged_events_total";
/// Events that readers of consumers had and did not acknowledge, by `class`: refused, unacknowledged.
pub const CONSUMER_RETURNED: &str = "waypost_consumer_returned_events_total";
/// Requests of readers that this node passed on to the owners of their consumers.
pub const CONSUMER_RELAYED: &str = "waypost_consumer_relayed_requests_total";
/// Delivered events of a webhook, as a share of those that were delivered or given up, by `webhook`.
pub const WEBHOOK_SUCCESS: &str = "waypost_webhook_success_ratio";

/// Registers the description of each metric with the recorder.
pub fn describe() {
    use metrics::{
        Unit, describe_counter as counter, describe_gauge as gauge, describe_histogram as histogram,
    };
    gauge!(TOPICS, "Topic actors of this node");
    counter!(TOPICS_WOKEN, "Wake-ups of topic actors by new events");
    counter!(TOPIC_READS, "Pages that topics read from the store because they lagged");
    gauge!(CONNECTIONS, "Open client connections");
    counter!(CONNECTIONS_EVICTED, "Connections closed to make room for others");
    gauge!(SUBSCRIPTIONS, "Subscriptions of clients to topics");
    counter!(ACTORS_LOST, "Actors started again after a panic");
    counter!(EXPRESSIONS_SKIPPED, "Events that were too large for a filter expression, and did not match");
    counter!(FRAMES_SENT, "Writes of frames to clients");
    counter!(BYTES_SENT, Unit::Bytes, "Bytes of frames written to clients");
    counter!(CLOSED, "Connections that the server closed");
    counter!(LONG_POLLS_RELAYED, "Requests of long polls that were passed on to other nodes");
    counter!(EVENTS_PUBLISHED, "Events whose storage was acknowledged to their publishers");
    counter!(PUBLISH_REFUSED, "Publishes refused");
    histogram!(PUBLISH_SECONDS, Unit::Seconds, "From the proposal of a publish to the answer of the log");
    counter!(EPHEMERAL_PUBLISHED, "Ephemeral events published on this node");
    counter!(EPHEMERAL_SENT, "Ephemeral events that arrived at another node");
    counter!(EPHEMERAL_BATCHES, "Batches of ephemeral events sent to another node");
    counter!(EPHEMERAL_DROPPED, "Ephemeral events that did not reach another node");
    counter!(EPHEMERAL_RECEIVED, "Ephemeral events received from other nodes");
    counter!(EPHEMERAL_REPEATED, "Batches of ephemeral events that arrived more than once");
    gauge!(EPHEMERAL_WAITING, Unit::Bytes, "Ephemeral events that wait for another node");
    gauge!(EPHEMERAL_INTEREST, "Subjects and patterns whose ephemeral events this node requests");
    gauge!(EPHEMERAL_PEER_INTEREST, "Subjects and patterns whose ephemeral events another node requests");
    gauge!(BUILD_INFO, "What runs: its version, its commit and its compiler");
    counter!(MISSED, "Times that a subscriber was told that it missed events");
    counter!(SPANS_SENT, "Spans handed to the collector of traces");
    counter!(SPANS_DROPPED, "Spans that did not reach the collector of traces");
    histogram!(HTTP_SECONDS, Unit::Seconds, "From the head of an HTTP request to the head of its answer");
    counter!(HTTP_ANSWERS, "HTTP answers");
    counter!(AUDIT_LOST, "Lines of the audit log that could not be written");
    gauge!(APPLIED_INDEX, "Index of the last applied log entry");
    gauge!(TERM, "The current term");
    gauge!(IS_LEADER, "1 on the node that leads");
    gauge!(HAS_QUORUM, "1 while the node reaches a majority");
    gauge!(COMMITTED_INDEX, "Index of the last log entry known to be committed");
    gauge!(DURABLE_INDEX, "Index up to which the store is durable");
    gauge!(SNAPSHOT_AGE, Unit::Seconds, "Since the store was last made durable");
    gauge!(DISK_FREE, Unit::Bytes, "Free on the disk of the data directory");
    gauge!(DISK_SIZE, Unit::Bytes, "Size of the disk of the data directory");
    gauge!(DISK_FULL, "1 while the disk has less free space than the reserve");
    gauge!(READY, "1 while the node accepts clients");
    gauge!(
        LEADER_SILENCE_SECONDS,
        Unit::Seconds,
        "Longest time without a message from the leader in this term"
    );
    gauge!(CLOCK_OFFSET, Unit::Seconds, "The node's clock minus the cluster's time");
    gauge!(IDS_AHEAD, Unit::Seconds, "How far event ids are ahead of the cluster's time");
    gauge!(EXPIRY_HELD, Unit::Seconds, "Time that the leader's expiry clock did not count");
    gauge!(DISK_SLOW, "1 while the disk is slow, although those of a majority are not");
    gauge!(SYNC_SLOWEST, Unit::Seconds, "The slowest write to the log of the last minute or two");
    gauge!(SYNC_AGE, Unit::Seconds, "Age of the oldest write to the log that is not on disk");
    describe_webhooks();
}

/// Describes the metrics of webhooks.
fn describe_webhooks() {
    use metrics::{
        Unit, describe_counter as counter, describe_gauge as gauge, describe_histogram as histogram,
    };
    counter!(WEBHOOK_ATTEMPTS, "Attempts to deliver webhooks");
    counter!(WEBHOOK_DELIVERED, "Events delivered to webhooks");
    histogram!(WEBHOOK_ATTEMPT_SECONDS, Unit::Seconds, "An attempt to deliver a webhook");
    histogram!(
        WEBHOOK_DELAY_SECONDS,
        Unit::Seconds,
        "From an event's publication to its delivery to a webhook"
    );
    counter!(WEBHOOK_DEAD_LETTERS, "Events given up for a webhook");
    counter!(WEBHOOK_DISABLED, "Webhooks disabled because they failed");
    counter!(WEBHOOK_LOST, "Events that retention removed although a webhook needed them");
    gauge!(WEBHOOKS_LOSING, "Webhooks of the cluster that are losing events");
    gauge!(WEBHOOKS_OWNED, "Webhooks that this node delivers to");
    gauge!(WEBHOOK_ACTIVE, "Webhooks with something to do, by state");
    counter!(CONSUMER_HANDED, "Events handed to readers of consumers");
    counter!(CONSUMER_ACKNOWLEDGED, "Events that readers of consumers acknowledged");
    counter!(CONSUMER_RETURNED, "Events that readers of consumers had and did not acknowledge");
    counter!(CONSUMER_RELAYED, "Requests of readers passed on to the owners of consumers");
}
