//! Keys of the store: one byte for the kind, then big-endian numbers, so that keys sort in the order in which
//! they are read. Each kind belongs to one of the two machines, which alone writes it: [`DIRECTORY`] and
//! [`STREAMS`].

mod presence;
mod usage;

pub use presence::*;
pub use usage::*;

use crate::core::ids::{MapId, NodeId, SourceId, TokenId, TopicId, WebhookId};

/// The kinds of keys that the directory writes.
pub const DIRECTORY: &[u8] = b"ABCFJLMNPQRSUWZacfkmnswy";
/// The kinds of keys that the streams write.
pub const STREAMS: &[u8] = b"DEGHIKOYbdeghijlopqrtuvxz";

/// Prefix of map records.
pub const MAPS: u8 = b'm';
/// Prefix of token records.
pub const TOKENS: u8 = b'k';
/// Prefix of app records.
pub const APPS: u8 = b'A';
/// Prefix of issuer records.
pub const ISSUERS: u8 = b'J';
/// Prefix of the revocations of client tokens.
pub const REVOCATIONS: u8 = b'N';
/// Prefix of the tokens of the cluster.
pub const ADMIN_TOKENS: u8 = b'U';
/// Prefix of ingest sources.
pub const SOURCES: u8 = b'W';
/// Prefix of the counts of ingest sources.
pub const SOURCE_COUNTS: u8 = b'Y';
/// Prefix of the maps whose limit on connections is no longer the one that new maps get by themselves.
pub const LIMITED: u8 = b'L';
/// Prefix of stream records.
pub const TOPICS: u8 = b't';
/// Prefix of the nodes that hold leases.
pub const HOLDERS: u8 = b's';
/// Prefix of the connections that nodes hold.
pub const CONNECTIONS: u8 = b'C';
/// Prefix of the nodes that hold presence members or subscriptions.
pub const PRESENCE_HOLDERS: u8 = b'S';
/// Prefix of the presence members.
pub const PRESENT: u8 = b'B';
/// Prefix of the presence members that nodes hold.
pub const MEMBERS: u8 = b'M';
/// Prefix of presence members that no longer have the connection that began their grace period.
pub const PARTING: u8 = b'P';
/// Prefix of the numbers of subscriptions that nodes hold.
pub const SUBSCRIPTIONS: u8 = b'Q';
/// Prefix of the nodes of which earlier incarnations hold members or subscriptions that are still to be ended.
pub const ENDINGS: u8 = b'F';
/// Prefix of the channels of which it was told that they are occupied.
pub const OCCUPIED: u8 = b'R';
/// Prefix of tombstones of deleted streams, whose events are still to be removed.
pub const TOMBSTONE: u8 = b'd';
/// Prefix of how often operators were told about the webhooks of a map.
pub const TOLD_OF_MAPS: u8 = b'K';
/// Key of the counters.
pub const COUNTERS: &[u8] = b"c";
/// Key of the generated admin token's hash.
pub const ADMIN: &[u8] = b"a";

/// Prefix of webhooks.
pub const WEBHOOKS: u8 = b'w';
/// Prefix of webhooks' progress.
pub const PROGRESS: u8 = b'p';
/// Prefix of webhooks' attempt histories.
pub const SHELVES: u8 = b'h';
/// Prefix of webhooks' backlogs.
pub const BACKLOGS: u8 = b'b';
/// Prefix of webhooks' waiting deliveries.
pub const WAITING: u8 = b'r';
/// Prefix of tombstones of deleted webhooks, whose dead letters and owner commands are still to be removed.
pub const TOMBSTONE_WEBHOOKS: u8 = b'z';
/// Prefix of the ids of deleted webhooks that are not free yet.
pub const LEAVING: u8 = b'f';
/// Key of the nodes that deliver.
pub const OWNERS: &[u8] = b"n";
/// Key of what operators were told.
pub const OPERATORS: &[u8] = b"Z";
/// Key of the fingerprint of the key that encrypts webhook secrets.
pub const KEY_FINGERPRINT: &[u8] = b"y";

/// Returns the range of the keys that start with `prefix`.
pub fn all(prefix: u8) -> ([u8; 1], [u8; 1]) {
    ([prefix], [prefix + 1])
}

/// The key of a map's record.
pub fn map(id: MapId) -> [u8; 17] {
    join(MAPS, id.as_bytes())
}

/// The key of how often operators were told about the webhooks of a map.
pub fn told_of_map(id: MapId) -> [u8; 17] {
    join(TOLD_OF_MAPS, id.as_bytes())
}

/// The key that says that somebody has set a map's limit on connections.
pub fn limited(id: MapId) -> [u8; 17] {
    join(LIMITED, id.as_bytes())
}

/// The key of a token's record.
pub fn token(id: TokenId) -> [u8; 17] {
    join(TOKENS, id.as_bytes())
}

/// The key of an app's record.
pub fn app(token: TokenId) -> [u8; 17] {
    join(APPS, token.as_bytes())
}

/// The key of the record of a token of the cluster.
pub fn admin_token(id: TokenId) -> [u8; 17] {
    join(ADMIN_TOKENS, id.as_bytes())
}

/// The key of an issuer's record.
pub fn issuer(token: TokenId) -> [u8; 17] {
    join(ISSUERS, token.as_bytes())
}

/// The key of a revocation of a map's client tokens. `what` is the hash of which ones.
pub fn revocation(map: MapId, what: &[u8; 16]) -> [u8; 33] {
    join(REVOCATIONS, &[*map.as_bytes(), *what].concat())
}

/// The key of an ingest source's record.
pub fn source(id: SourceId) -> [u8; 17] {
    join(SOURCES, id.as_bytes())
}

/// The key of the counts of an ingest source.
pub fn source_counts(id: SourceId) -> [u8; 17] {
    join(SOURCE_COUNTS, id.as_bytes())
}

/// The key of a stream's record.
pub fn topic(id: TopicId) -> [u8; 9] {
    join(TOPICS, &id.0.to_be_bytes())
}

/// The key of the tombstone of a deleted stream.
pub fn tombstone(id: TopicId) -> [u8; 9] {
    join(TOMBSTONE, &id.0.to_be_bytes())
}

/// Returns the stream of a [`topic`], [`tombstone`] or [`usage`] key.
pub fn topic_of(key: &[u8]) -> Option<TopicId> {
    Some(TopicId(u64::from_be_bytes(key.get(1..9)?.try_into().ok()?)))
}

/// The key of a node's present incarnation.
pub fn holder(node: NodeId) -> [u8; 9] {
    join(HOLDERS, &node.to_be_bytes())
}

/// The key of the connections of a map that a node holds for a token; the admin's have zeros instead of a
/// token id.
pub fn connections(node: NodeId, map: MapId, token: Option<TokenId>) -> [u8; 41] {
    let mut key = [CONNECTIONS; 41];
    key[1..9].copy_from_slice(&node.to_be_bytes());
    key[9..25].copy_from_slice(map.as_bytes());
    key[25..].copy_from_slice(token.as_ref().map_or(&[0; 16], |token| token.as_bytes()));
    key
}

/// Decodes a [`connections`] key.
pub fn connections_of(key: &[u8]) -> Option<(NodeId, MapId, Option<TokenId>)> {
    let map = MapId::from_bytes(key.get(9..25)?.try_into().ok()?);
    let token: [u8; 16] = key.get(25..41)?.try_into().ok()?;
    Some((node_of(key)?, map, (token != [0; 16]).then(|| TokenId::from_bytes(token))))
}

/// Returns the node of a [`holder`], [`connections`], [`presence_holder`], [`ending`], [`member`] or
/// [`subscriptions`] key.
pub fn node_of(key: &[u8]) -> Option<NodeId> {
    Some(u64::from_be_bytes(key.get(1..9)?.try_into().ok()?))
}

/// The key of an event.
pub fn event(topic: TopicId, seq: u64) -> [u8; 17] {
    let mut key = [b'e'; 17];
    key[1..9].copy_from_slice(&topic.0.to_be_bytes());
    key[9..].copy_from_slice(&seq.to_be_bytes());
    key
}

/// Returns the seq of an event's key.
pub fn event_seq(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(9..17)?.try_into().ok()?))
}

/// Prefix of subjects' records.
pub const SUBJECTS: u8 = b'j';
/// Prefix of runs.
pub const RUNS: u8 = b'u';
/// Prefix of withheld events: rules took them from readers, and webhooks still need them.
pub const WITHHELD: u8 = b'q';
/// Prefix of subjects without events.
pub const EMPTIES: u8 = b'E';
/// Prefix of subjects of lifecycle events without events.
pub const LIFECYCLE_EMPTIES: u8 = b'D';
/// Prefix of subjects that have more events than their rule keeps.
pub const THINNING: u8 = b'O';
/// Prefix of holes.
pub const HOLES: u8 = b'g';

/// The key of a subject's record. The records of a stream sort by the subject's name.
pub fn subject(stream: TopicId, subject: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(9 + subject.len());
    key.push(SUBJECTS);
    key.extend_from_slice(&stream.0.to_be_bytes());
    key.extend_from_slice(subject.as_bytes());
    key
}

/// Returns the range of the records of a stream's subjects whose names begin with `prefix`.
pub fn subjects_from(stream: TopicId, prefix: &str) -> (Vec<u8>, Vec<u8>) {
    let from = subject(stream, prefix);
    // No subject contains the byte 255.
    let to = [&from[..], &[u8::MAX]].concat();
    (from, to)
}

/// Returns the name in a [`subject`] key.
pub fn subject_name(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key.get(9..)?).ok()
}

/// The key of a run of a subject, by its last seq. No subject contains the byte 0.
pub fn run(stream: TopicId, subject: &str, end_seq: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(18 + subject.len());
    key.push(RUNS);
    key.extend_from_slice(&stream.0.to_be_bytes());
    key.extend_from_slice(subject.as_bytes());
    key.push(0);
    key.extend_from_slice(&end_seq.to_be_bytes());
    key
}

/// Returns the range of a subject's runs that end in `from_seq..to_seq`.
pub fn runs(stream: TopicId, subject: &str, from_seq: u64, to_seq: u64) -> (Vec<u8>, Vec<u8>) {
    (run(stream, subject, from_seq), run(stream, subject, to_seq))
}

/// Returns the last seq in a [`run`] key.
pub fn run_end(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.last_chunk().copied()?))
}

/// Decodes the first seq of a run or a hole from its value.
pub fn run_start(value: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(value.try_into().ok()?))
}

/// Returns the range of all keys of a stream under a prefix.
pub fn of_stream(prefix: u8, stream: TopicId) -> ([u8; 9], [u8; 9]) {
    (join(prefix, &stream.0.to_be_bytes()), join(prefix, &stream.0.saturating_add(1).to_be_bytes()))
}

/// The key of a withheld event: a rule took it from readers, and webhooks still need it.
pub fn withheld(stream: TopicId, seq: u64) -> [u8; 17] {
    let mut key = event(stream, seq);
    key[0] = WITHHELD;
    key
}

/// The key of a subject without events, by the seq of its newest removed event. `prefix` is [`EMPTIES`] or
/// [`LIFECYCLE_EMPTIES`].
pub fn empty(prefix: u8, stream: TopicId, trimmed_seq: u64) -> [u8; 17] {
    let mut key = event(stream, trimmed_seq);
    key[0] = prefix;
    key
}

/// The key of a subject that has more events than its rule keeps, by the time when a tick trims it
/// (milliseconds of the expiry clock).
pub fn thinning(stream: TopicId, due_ms: u64, subject: &str) -> Vec<u8> {
    let mut key = event(stream, due_ms).to_vec();
    key[0] = THINNING;
    key.extend_from_slice(subject.as_bytes());
    key
}

/// Returns the subject's name in a [`thinning`] key.
pub fn thinning_name(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key.get(17..)?).ok()
}

/// The key of a hole of a stream, by its last seq.
pub fn hole(stream: TopicId, end_seq: u64) -> [u8; 17] {
    let mut key = [HOLES; 17];
    key[1..9].copy_from_slice(&stream.0.to_be_bytes());
    key[9..].copy_from_slice(&end_seq.to_be_bytes());
    key
}

/// Returns the last seq in a [`hole`] key.
pub fn hole_end(key: &[u8]) -> Option<u64> {
    event_seq(key)
}

/// The key of an idempotency key's record. It contains the stream and not the map: a map's id may be used
/// again, a stream's never.
pub fn idempotency(topic: TopicId, key: &[u8; 16]) -> [u8; 25] {
    let mut out = [IDEMPOTENCY; 25];
    out[1..9].copy_from_slice(&topic.0.to_be_bytes());
    out[9..].copy_from_slice(key);
    out
}

/// Prefix of idempotency keys.
pub const IDEMPOTENCY: u8 = b'i';
/// Prefix of the times at which idempotency keys expire.
pub const EXPIRIES: u8 = b'x';

/// The key by which an idempotency key expires; those of a stream sort by time.
pub fn expiry(topic: TopicId, at_ms: u64, key: &[u8; 16]) -> [u8; 33] {
    let mut out = [EXPIRIES; 33];
    out[1..9].copy_from_slice(&topic.0.to_be_bytes());
    out[9..17].copy_from_slice(&at_ms.to_be_bytes());
    out[17..].copy_from_slice(key);
    out
}

/// Decodes an [`expiry`] key: the time, and the idempotency key.
pub fn expiry_of(key: &[u8]) -> Option<(u64, [u8; 16])> {
    let at_ms = u64::from_be_bytes(key.get(9..17)?.try_into().ok()?);
    Some((at_ms, key.get(17..33)?.try_into().ok()?))
}

/// The key of a webhook's record.
pub fn webhook(id: WebhookId) -> [u8; 17] {
    join(WEBHOOKS, id.as_bytes())
}

/// The key of a webhook's progress.
pub fn progress(id: WebhookId) -> [u8; 17] {
    join(PROGRESS, id.as_bytes())
}

/// The key of a webhook's attempt history.
pub fn attempt_history(id: WebhookId) -> [u8; 17] {
    join(SHELVES, id.as_bytes())
}

/// The key of a webhook's backlog.
pub fn backlog(id: WebhookId) -> [u8; 17] {
    join(BACKLOGS, id.as_bytes())
}

/// The key of the tombstone of a deleted webhook.
pub fn tombstone_webhook(id: WebhookId) -> [u8; 17] {
    join(TOMBSTONE_WEBHOOKS, id.as_bytes())
}

/// The key of a deleted webhook's id that is not free yet.
pub fn leaving(id: WebhookId) -> [u8; 17] {
    join(LEAVING, id.as_bytes())
}

/// Returns the webhook of an [`webhook`], [`progress`], [`attempt_history`], [`backlog`], [`waiting`], [`leaving`] or
/// [`tombstone_webhook`] key.
pub fn webhook_of(key: &[u8]) -> Option<WebhookId> {
    Some(WebhookId::from_bytes(key.get(1..17)?.try_into().ok()?))
}

/// The key of a dead letter.
pub fn dead_letter(webhook: WebhookId, seq: u64) -> [u8; 25] {
    numbered(b'l', webhook, seq)
}

/// The key of an owner command that the webhook's owner has not carried out yet.
pub fn owner_command(webhook: WebhookId, number: u64) -> [u8; 25] {
    numbered(b'o', webhook, number)
}

/// The key of a waiting delivery of a webhook.
pub fn waiting(webhook: WebhookId, number: u64) -> [u8; 25] {
    numbered(WAITING, webhook, number)
}

/// The key of a copied event: retention removed it from its stream, and a webhook's retry or dead letter
/// still needs it.
pub fn kept_event(webhook: WebhookId, seq: u64) -> [u8; 25] {
    numbered(b'v', webhook, seq)
}

/// Returns the number of a [`dead_letter`], [`order`], [`waiting`] or [`kept_event`] key.
pub fn number_of(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(17..25)?.try_into().ok()?))
}

fn numbered(prefix: u8, webhook: WebhookId, number: u64) -> [u8; 25] {
    let mut key = [prefix; 25];
    key[1..17].copy_from_slice(webhook.as_bytes());
    key[17..].copy_from_slice(&number.to_be_bytes());
    key
}

fn join<const N: usize>(prefix: u8, rest: &[u8]) -> [u8; N] {
    let mut key = [prefix; N];
    key[1..].copy_from_slice(rest);
    key
}
