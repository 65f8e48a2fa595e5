//! Commands that nodes propose to the log, the replies, and the changes that applying a command makes on a
//! node.
//!
//! The enums are part of the log's format: new variants go at the end only.

mod of_log;

use super::access::{AccessChange, Limits, Map, Retention, Scopes, Token, TokenHash};
use super::admin_token::AdminToken;
use super::app::{App, DeleteApp, Prepared, PutApp, TerminateUser, UpdateApp};
pub use super::appended::Appended;
use super::channel_rules::ChannelRules;
use super::consumer::progress::OwnerCommand;
use super::event::NewEvent;
use super::ids::{EventId, MapId, NodeId, SourceId, TokenId, TopicId, WebhookId};
use super::ingest::{DeleteSource, PutSource, Source};
use super::issuer::{RevokeClients, SetIssuers};
use super::lease::{Incarnation, LeaseBatch, PresenceBatch, Present};
pub use super::limits::LimitsPatch;
use super::operators::OperatorReport;
use super::rate::Exceeded;
pub use super::retention::RetentionPatch;
use super::subject::Subject;
use super::subject_limit::SubjectLimit;
pub use super::touched::{MAX_TOUCHED, Touched};
use super::trace::TraceContext;
use super::usage::UsageReport;
use super::webhook::directory::WebhookChange;
use super::webhook::records::{Attempt, ProgressReport};
use super::webhook::{OnWebhook, Origin, PutWebhook, Webhook};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// On whose behalf a command is proposed. The token of a map is checked again when the command is applied;
/// `None` is the admin.
pub type By = Option<TokenId>;

/// A command: one change of the replicated state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Append events to a map's stream, all or none.
    Publish(Publish),
    /// Create a map and its first token.
    CreateMap(CreateMap),
    /// Change some settings of a map.
    UpdateMap(UpdateMap),
    /// Delete a map, its tokens and events.
    DeleteMap(MapId),
    /// Create a token.
    CreateToken(CreateToken),
    /// Revoke a token.
    RevokeToken(RevokeToken),
    /// Store the hash of the generated admin token, unless there is one already.
    SetAdmin(TokenHash),
    /// Change the leases of a node.
    Lease(LeaseBatch),
    /// Take back everything that the node's incarnation holds: the node is gone.
    NodeGone(NodeId),
    /// Remove a bounded number of expired records and events.
    Tick,
    /// Create or change a webhook.
    PutWebhook(Box<PutWebhook>),
    /// Delete a webhook, its progress and its dead letters.
    DeleteWebhook(OnWebhook<Origin>),
    /// Start or stop deliveries to a webhook, and optionally move its cursor.
    ActivateWebhook(OnWebhook<Activate>),
    /// Give the owner of a webhook a command.
    OwnerCommand(OnWebhook<OwnerCommand>),
    /// Remove dead letters: those of the named seqs, or all.
    PurgeDead(OnWebhook<Option<Vec<u64>>>),
    /// Store the progress that an owner reports for its webhooks.
    Progress(ProgressReport),
    /// Store an attempt that delivered no event: a test request.
    NoteAttempt(WebhookId, Box<Attempt>),
    /// State that a node, in that incarnation, has ended its requests to all webhooks that are moving to
    /// other nodes, except for the listed ones.
    HandOver(NodeId, Incarnation, BTreeSet<WebhookId>),
    /// Store the fingerprint of the key that encrypts webhook secrets, unless there is one already.
    SetKeyFingerprint([u8; 16]),
    /// Replace a map's channel rules.
    SetChannelRules(SetChannelRules),
    /// Remove one event from a map's stream.
    DeleteEvent(DeleteEvent),
    /// Remove all events of a subject from a map's stream.
    DeleteSubject(DeleteSubject),
    /// Create an app, or change one of a configuration file.
    PutApp(Box<PutApp>),
    /// Delete an app.
    DeleteApp(DeleteApp),
    /// Change who is there through a node.
    Presence(PresenceBatch),
    /// Remove a bounded number of presence members whose grace period is over.
    EndGraces,
    /// End the connections of a user, also at nodes that can't be asked.
    TerminateUser(TerminateUser),
    /// Replace the issuers of a map's client tokens.
    SetIssuers(Box<SetIssuers>),
    /// Revoke client tokens of a map.
    RevokeClients(RevokeClients),
    /// Make a token of the cluster.
    MakeAdminToken(Box<AdminToken>),
    /// Revoke a token of the cluster.
    RevokeAdminToken(TokenId),
    /// Create or change an ingest source.
    PutSource(Box<PutSource>),
    /// Delete an ingest source and its counts.
    DeleteSource(DeleteSource),
    /// Append the events that came in through an ingest source, all or none.
    Ingest(Ingest),
    /// Count what a node has counted of its maps' usage.
    Usage(UsageReport),
    /// Tell operators what a leader observed, and make the system map if there is none.
    TellOperators(Box<OperatorReport>),
    /// Change settings of an app.
    UpdateApp(UpdateApp),
}

/// The parameters of [`Command::Ingest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ingest {
    /// The source. It is checked again when the command is applied.
    pub source: SourceId,
    /// The map.
    pub map: MapId,
    /// The events, in order.
    pub events: Vec<NewEvent>,
    /// What makes the request one delivery. A request with one of these keys stores its events once.
    pub keys: Vec<IdempotencyKey>,
}

/// The parameters of [`Command::SetChannelRules`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetChannelRules {
    /// The map.
    pub map: MapId,
    /// The caller.
    pub by: By,
    /// The complete new rules.
    pub rules: ChannelRules,
}

/// The parameters of [`Command::DeleteEvent`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteEvent {
    /// The map.
    pub map: MapId,
    /// The caller.
    pub by: By,
    /// The event to remove.
    pub id: EventId,
}

/// The parameters of [`Command::DeleteSubject`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteSubject {
    /// The map.
    pub map: MapId,
    /// The caller.
    pub by: By,
    /// The subject; it can be the map's own.
    pub subject: Subject,
}

/// The parameters of [`Command::ActivateWebhook`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activate {
    /// Whether events are delivered to the webhook from now on.
    pub active: bool,
    /// Continue from this seq (see [`OwnerCommand::Seek`]); `None` continues where deliveries stopped.
    pub seek: Option<u64>,
}

/// The parameters of [`Command::Publish`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    /// The map.
    pub map: MapId,
    /// The publisher.
    pub by: By,
    /// The events, in order.
    pub events: Vec<NewEvent>,
    /// With a key, a repeated request stores its events once.
    pub key: Option<IdempotencyKey>,
}

/// The identity of a publish request that a client may repeat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyKey {
    /// Hash of the header's value.
    pub key: [u8; 16],
    /// Hash of the request's body. A request with the same key and another body is refused.
    pub fingerprint: [u8; 16],
    /// For how long the key is remembered, in milliseconds.
    pub ttl_ms: u64,
}

/// The parameters of [`Command::CreateMap`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateMap {
    /// The id: the caller chose it, or the node generated it at random.
    pub id: MapId,
    /// Unique short name.
    pub slug: Option<String>,
    /// Name for people.
    pub name: String,
    /// Limits.
    pub limits: Limits,
    /// Retention.
    pub retention: Retention,
    /// The first token.
    pub token: NewToken,
    /// The largest number of maps in the cluster. A map beyond it is refused.
    pub max_maps: u32,
}

/// A token to create.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewToken {
    /// Public id.
    pub id: TokenId,
    /// Name for people.
    pub name: String,
    /// Hash of the secret.
    pub hash: TokenHash,
    /// What it permits.
    pub scopes: Scopes,
    /// When it ends (Unix milliseconds), if it does.
    pub expires_ms: Option<u64>,
    /// The subjects that its holder may use; `None`: all.
    pub subjects: Option<SubjectLimit>,
}

/// The parameters of [`Command::UpdateMap`]. `None` leaves a setting as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateMap {
    /// The map.
    pub map: MapId,
    /// The caller.
    pub by: By,
    /// The new slug; `Some(None)` removes it.
    pub slug: Option<Option<String>>,
    /// The new name.
    pub name: Option<String>,
    /// Changes of limits.
    pub limits: LimitsPatch,
    /// Changes of retention.
    pub retention: RetentionPatch,
}

/// The parameters of [`Command::CreateToken`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateToken {
    /// The map.
    pub map: MapId,
    /// The caller.
    pub by: By,
    /// The token.
    pub token: NewToken,
    /// The largest number of tokens of the map. A token beyond it is refused.
    pub max_tokens: u32,
}

/// The parameters of [`Command::RevokeToken`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokeToken {
    /// The map.
    pub map: MapId,
    /// The caller.
    pub by: By,
    /// The token.
    pub token: TokenId,
}

/// The reply to a command; it is the same on every node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The events are stored.
    Published(Published),
    /// The map as it is now.
    Map(Map),
    /// The token as it is now.
    Token(Token),
    /// Done; there is nothing to return.
    Done,
    /// What has expired was removed; `true` if there is more to remove.
    Ticked(bool),
    /// The command changed nothing.
    Refused(Refusal),
    /// The webhook as it is now.
    Webhook(Box<Webhook>),
    /// The number of the accepted owner command.
    CommandAccepted(u64),
    /// This many records were removed.
    Removed(u32),
    /// The progress is stored, except for these webhooks, which no longer exist.
    Progressed(Vec<WebhookId>),
    /// The leases are changed as requested, except for these.
    Leased(Vec<Denied>),
    /// The app as it is now, and how its map was prepared for it.
    App(Box<App>, Prepared),
    /// The ingest source as it is now.
    Source(Box<Source>),
}

/// Where the events of a publish were stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Seq of the first event.
    pub first_seq: u64,
    /// How many.
    pub count: u32,
    /// Id of the first event. The ids of the others have the next positions in the log entry.
    pub first_id: EventId,
    /// Time of the events (Unix milliseconds).
    pub time_ms: u64,
    /// Whether an earlier request with the same key stored them.
    pub replayed: bool,
}

impl Published {
    /// Returns the id of the event with that index in the batch.
    pub fn id(&self, index: u32) -> EventId {
        self.first_id.plus_slots(index)
    }
}

/// A change of a batch of leases that was refused, wholly or in part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denied {
    /// The index of the change in its batch.
    pub index: u32,
    /// The number of connections that were granted in spite of the refusal.
    pub granted: u32,
    /// Why the rest was refused.
    pub why: Refusal,
}

/// Why a command changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// There is no such map.
    UnknownMap,
    /// There is no such token.
    UnknownToken,
    /// The caller's token was revoked or lacks the scope.
    Forbidden,
    /// Another map has the slug.
    SlugTaken,
    /// Another map has the id.
    IdTaken,
    /// There are as many of these as there may be.
    Limit(Counted, u32),
    /// The limit on subjects that have events is reached.
    TooManySubjects(u32),
    /// The publish rate is exceeded.
    Rate(Exceeded),
    /// The idempotency key was used with another body.
    KeyReused,
    /// This release does not understand the command.
    Malformed,
    /// There is no such webhook.
    UnknownWebhook,
    /// Another webhook of the map has the same target.
    TargetTaken(WebhookId),
    /// The webhook was changed after the caller read it. Read it again.
    Changed,
    /// The node does not own the webhooks of its report, or no longer does; the value is the present epoch.
    /// For a change of leases: the incarnation is not the node's present one; the value is 0.
    Stale(u64),
    /// The webhook is defined in the configuration file and can only be changed there.
    Configured,
    /// Too many commands wait for the webhook's owner.
    Busy,
    /// The webhook is not active.
    Inactive,
    /// The map's channel rules make the subject ephemeral, so its events are not stored.
    Ephemeral,
    /// The map has no such event, or no longer has it.
    UnknownEvent,
    /// The map remembers as many idempotency keys as it may.
    TooManyKeys {
        /// The limit.
        limit: u32,
        /// Milliseconds until the oldest of them expires.
        wait_ms: u64,
    },
    /// Another map has an app with that id.
    AppIdTaken,
    /// There is an app with that key.
    AppKeyTaken,
    /// There is no such app.
    UnknownApp,
    /// The app is defined in the configuration file and can only be changed and deleted there.
    ConfiguredApp,
    /// There is no such ingest source, or it takes no events.
    UnknownSource,
    /// The system map does not allow it: only the server publishes to it, and it stays as it is.
    SystemMap,
}

/// What a [`Refusal::Limit`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Counted {
    /// Maps of the cluster.
    Maps,
    /// Tokens of the map.
    Tokens,
    /// Connections to the map.
    Connections,
    /// Webhooks of the map.
    Webhooks,
    /// Replays of the webhook that have not ended.
    Replays,
    /// Apps of the map.
    Apps,
    /// Presence members of the subject.
    Members,
    /// Revocations of the map's client tokens that are remembered.
    Revocations,
    /// Issuers of the map.
    Issuers,
    /// Tokens of the cluster beside the admin token.
    AdminTokens,
    /// Ingest sources of the map.
    Sources,
    /// Consumers of the map that clients read.
    Consumers,
}

/// What applying commands changed. The hub passes it on to the actors of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A stream has new events.
    Events(Appended),
    /// An event of a trace that is recorded was stored.
    Traced(TraceContext),
    /// Access changed.
    Access(AccessChange),
    /// A node's leases were taken back. If the node lives, it begins another incarnation.
    NodeGone(NodeId),
    /// Webhooks or their owners changed.
    Webhook(WebhookChange),
    /// Events of these subjects were deleted from inside a stream.
    Removed(TopicId, Touched),
    /// Retention removed this many events that the webhook still needed: they were beyond the map's backlog
    /// bound.
    Lost(WebhookId, u64),
    /// The node's incarnation began. Nothing of its presence is held any more.
    Begun(NodeId, Incarnation),
    /// Somebody became a presence member of the map's subject.
    Joined(MapId, Subject, Arc<Present>),
    /// A presence member of the map's subject is gone.
    Left(MapId, Subject, Arc<Present>),
    /// The connections of the map's user are to end.
    UserTerminated(MapId, Arc<str>),
}
