//! What is proposed to the log, what is answered, and what applying changes on a node.
//!
//! The enums are part of the log's format: variants are only ever added at the end.

use super::access::{AccessChange, Limits, Map, Retention, Scopes, Token, TokenHash};
use super::channel_rules::ChannelRules;
use super::consumer::progress::Order;
use super::event::NewEvent;
use super::ids::{EventId, MapId, NodeId, TokenId, TopicId, WebhookId};
use super::lease::{Incarnation, LeaseBatch};
pub use super::limits::LimitsPatch;
pub use super::retention::RetentionPatch;
use super::subject::{Selector, Subject};
use super::webhook::directory::WebhookChange;
use super::webhook::records::{Attempt, ProgressReport};
use super::webhook::{OnWebhook, Origin, PutWebhook, Webhook};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// On whose behalf: a map's token, checked again when the command is applied; `None` is the admin.
pub type By = Option<TokenId>;

/// A change of the replicated state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// Append events to a map's topic, all or none.
    Publish(Publish),
    /// Create a map and its first token.
    CreateMap(CreateMap),
    /// Change a map; `None` leaves as is.
    UpdateMap(UpdateMap),
    /// Delete a map, its tokens and events.
    DeleteMap(MapId),
    /// Create a token.
    CreateToken(CreateToken),
    /// Revoke a token.
    RevokeToken(RevokeToken),
    /// Keep the hash of the generated admin token, if there is none yet.
    SetAdmin(TokenHash),
    /// A node changes what it holds.
    Lease(LeaseBatch),
    /// A node is gone: what its incarnation holds is taken back.
    NodeGone(NodeId),
    /// Time passes: drop what is too old, a bounded piece at a time.
    Tick,
    /// Make or change a webhook.
    PutWebhook(Box<PutWebhook>),
    /// Delete a webhook, its progress and its dead letters.
    DeleteWebhook(OnWebhook<Origin>),
    /// Deliver to a webhook, or stop; with where to go on.
    ActivateWebhook(OnWebhook<Activate>),
    /// Ask something of a webhook's owner.
    OwnerCommand(OnWebhook<Order>),
    /// Remove dead letters: those of the seqs named, or all.
    PurgeDead(OnWebhook<Option<Vec<u64>>>),
    /// An owner tells how far its webhooks are.
    Progress(ProgressReport),
    /// An attempt that was no delivery of an event: a test.
    NoteAttempt(WebhookId, Box<Attempt>),
    /// A node in that incarnation has ended its requests to all webhooks that are to leave it, but for these.
    HandOver(NodeId, Incarnation, BTreeSet<WebhookId>),
    /// Keep the mark of the key that encrypts webhooks, if there is none yet.
    SetKeyFingerprint([u8; 16]),
    /// Give a map these channel rules in the place of those it has.
    SetChannelRules(SetChannelRules),
    /// Remove one event of a map from its stream.
    DeleteEvent(DeleteEvent),
    /// Remove all events of a subject from the map's stream.
    DeleteSubject(DeleteSubject),
}

/// See [`Command::SetChannelRules`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetChannelRules {
    /// The map.
    pub map: MapId,
    /// Who asks.
    pub by: By,
    /// All of them.
    pub rules: ChannelRules,
}

/// See [`Command::DeleteEvent`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteEvent {
    /// The map.
    pub map: MapId,
    /// Who asks.
    pub by: By,
    /// The event.
    pub id: EventId,
}

/// See [`Command::DeleteSubject`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteSubject {
    /// The map.
    pub map: MapId,
    /// Who asks.
    pub by: By,
    /// The subject; the map's own is one.
    pub subject: Subject,
}

/// See [`Command::ActivateWebhook`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activate {
    /// Whether it is delivered to from now on.
    pub active: bool,
    /// Go on from this seq (see [`Order::Seek`]); `None` goes on where it stopped.
    pub seek: Option<u64>,
}

/// See [`Command::Publish`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    /// The map.
    pub map: MapId,
    /// Who publishes.
    pub by: By,
    /// What, in order.
    pub events: Vec<NewEvent>,
    /// Makes a repeat of the same request land once.
    pub key: Option<IdempotencyKey>,
}

/// A request's identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyKey {
    /// Hash of the header's value.
    pub key: [u8; 16],
    /// Hash of the request's body: the same key with another body is refused.
    pub fingerprint: [u8; 16],
    /// For how long it is remembered.
    pub ttl_ms: u64,
}

/// See [`Command::CreateMap`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateMap {
    /// Chosen by the caller or made at random by the node.
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
    /// More maps than this are refused.
    pub max_maps: u32,
}

/// A token to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewToken {
    /// Public id.
    pub id: TokenId,
    /// Name for people.
    pub name: String,
    /// Hash of the secret.
    pub hash: TokenHash,
    /// What it opens.
    pub scopes: Scopes,
}

/// See [`Command::UpdateMap`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateMap {
    /// The map.
    pub map: MapId,
    /// Who asks.
    pub by: By,
    /// A new slug, or none from now on.
    pub slug: Option<Option<String>>,
    /// A new name.
    pub name: Option<String>,
    /// Changes of limits.
    pub limits: LimitsPatch,
    /// Changes of retention.
    pub retention: RetentionPatch,
}

/// See [`Command::CreateToken`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateToken {
    /// The map.
    pub map: MapId,
    /// Who asks.
    pub by: By,
    /// The token.
    pub token: NewToken,
    /// More tokens of the map than this are refused.
    pub max_tokens: u32,
}

/// See [`Command::RevokeToken`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokeToken {
    /// The map.
    pub map: MapId,
    /// Who asks.
    pub by: By,
    /// The token.
    pub token: TokenId,
}

/// The answer to a command; the same on every node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// The events are stored.
    Published(Published),
    /// The map as it is now.
    Map(Map),
    /// The token as it is now.
    Token(Token),
    /// Done, nothing to tell.
    Done,
    /// Time passed; `true` when more is waiting to be dropped.
    Ticked(bool),
    /// Nothing was changed.
    Refused(Refusal),
    /// The webhook as it is now.
    Webhook(Box<Webhook>),
    /// The number under which an order stands.
    Ordered(u64),
    /// So many were removed.
    Removed(u32),
    /// Progress is kept, but of these webhooks: they are gone.
    Progressed(Vec<WebhookId>),
    /// The leases are changed as asked, but for these.
    Leased(Vec<Denied>),
}

/// Where events were stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Seq of the first.
    pub first_seq: u64,
    /// How many.
    pub count: u32,
    /// Id of the first; the others follow by place.
    pub first_id: EventId,
    /// Their time (Unix milliseconds).
    pub time_ms: u64,
    /// An earlier request with the same key stored them.
    pub replayed: bool,
}

impl Published {
    /// Id of the event at `place` of the batch.
    pub fn id(&self, place: u32) -> EventId {
        self.first_id.plus_place(place)
    }
}

/// What of a batch of leases was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denied {
    /// The place of the change in its batch.
    pub place: u32,
    /// So many of the connections were taken all the same.
    pub granted: u32,
    /// Why not (all).
    pub why: Refusal,
}

/// Why a command changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// No such map.
    UnknownMap,
    /// No such token.
    UnknownToken,
    /// The caller's token was revoked or lacks the scope.
    Forbidden,
    /// Another map has the slug.
    SlugTaken,
    /// Another map has the id.
    IdTaken,
    /// The limit on maps, tokens or sockets is reached.
    Limit(u32),
    /// The limit on subjects of a map that have events is reached.
    TooManySubjects(u32),
    /// Too fast: come back in so many milliseconds.
    Rate(u64),
    /// The idempotency key was used for another body.
    KeyReused,
    /// The command is not one that this release understands.
    Malformed,
    /// No such webhook.
    UnknownWebhook,
    /// Another webhook of the map has the same target.
    TargetTaken(WebhookId),
    /// The webhook was changed since it was read: read it again.
    Changed,
    /// The node does not own what it tells of, or no longer: the present epoch. Or the incarnation whose leases it
    /// changes is not its present one: 0.
    Stale(u64),
    /// The webhook stands in the configuration file, and is changed there.
    Configured,
    /// Too much waits for the webhook's owner.
    Busy,
    /// The webhook is not active.
    Inactive,
    /// The map's channel rules make a subject ephemeral: its events are not stored.
    Ephemeral,
    /// The map has no such event, or no longer.
    UnknownEvent,
}

/// What applying commands changed, for the actors of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A stream has new events from that seq on, of those subjects.
    Events(TopicId, u64, Touched),
    /// Access changed.
    Access(AccessChange),
    /// A node's leases were taken back: if it lives, it comes back as another incarnation.
    NodeGone(NodeId),
    /// Webhooks, or who owns them, changed.
    Webhook(WebhookChange),
    /// Somebody removed events of those subjects from inside a stream.
    Removed(TopicId, Touched),
    /// Retention removed so many events that the webhook needed, beyond the bound up to which it waits.
    Lost(WebhookId, u64),
}

/// Most subjects in one change. What concerns more is several changes.
pub const MAX_TOUCHED: usize = 64;

/// Subjects that a change of a stream concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touched {
    /// These, each once.
    These(Vec<Subject>),
    /// Any of the stream may be concerned.
    Many,
}

impl Touched {
    /// Whether a reader of these subjects may be concerned.
    pub fn concerns(&self, selector: &Selector) -> bool {
        match self {
            Self::These(subjects) => subjects.iter().any(|subject| selector.matches(subject.as_str())),
            Self::Many => true,
        }
    }

    /// One more, unless that are too many: the answer says whether it is among them.
    pub fn add(&mut self, subject: &Subject) -> bool {
        let Self::These(subjects) = self else { return true };
        // Often it is the one before.
        if subjects.last() == Some(subject) || subjects.contains(subject) {
            return true;
        }
        let has_room = subjects.len() < MAX_TOUCHED;
        if has_room {
            subjects.push(subject.clone());
        }
        has_room
    }
}

impl Default for Touched {
    /// None so far.
    fn default() -> Self {
        Self::These(Vec::new())
    }
}
