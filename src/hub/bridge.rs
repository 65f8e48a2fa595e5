//! From the log to this node's actors: reports the changes of applied commands without ever waiting for an
//! actor.
//!
//! Owns the node's read copy of access and the list of the actors to notify. Runs on the thread that applies
//! the log, so nothing here blocks: topics get the new events with a nudge (one waiting nudge stands for
//! everything that happens meanwhile), and dispatchers get messages.

use super::connections::AskThread;
use super::news::{News, Watch};
use super::nudges::{Bell, Nudges, TopicLost};
use super::presence::state::PresenceState;
use super::presence::terminations::Termination;
use super::timeline::notes::Notes;
use crate::core::access::{Access, AccessChange, Map};
use crate::core::command::{Appended, Change};
use crate::core::frame::FormKey;
use crate::core::ids::{MapId, NodeId, TokenId};
use crate::core::lease::{Incarnation, Present};
use crate::core::reached::{Asked, Reached};
use crate::core::ring::Chunk;
use crate::core::subject::Subject;
use crate::core::topic::TopicKey;
use crate::core::webhook::Wants;
use crate::core::webhook::directory::{WebhookChange, WebhookDirectory};
use actix::{Message, Recipient};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use tokio::sync::mpsc;

/// The messages from the hub to dispatchers.
#[derive(Clone, Debug, Message)]
#[rtype(result = "()")]
pub enum Deliver {
    /// A subscription begins: chunks of that form follow, from `next_seq` on.
    Start {
        /// The topic.
        topic: TopicKey,
        /// The form.
        form: FormKey,
        /// Future events have this seq or a higher one.
        next_seq: u64,
    },
    /// New events, encoded.
    Chunk {
        /// The topic.
        topic: TopicKey,
        /// The form.
        form: FormKey,
        /// The frames.
        chunk: Arc<Chunk>,
    },
    /// An event that is not stored yet.
    #[cfg(feature = "failpoints")]
    Early(crate::core::ids::TopicId, crate::core::event::Event),
    /// Events of the topic were removed by request: readers must not get them any more. Later chunks contain
    /// none of them.
    Removed {
        /// The topic.
        topic: TopicKey,
        /// The form.
        form: FormKey,
    },
    /// The topic's actor was lost, or its history was replaced: subscribe again.
    Lost(TopicKey),
    /// A token was revoked, or the app or issuer was removed whose clients act as that token: the connections
    /// that it opened must close.
    TokenGone(TokenId),
    /// Client tokens were revoked: the sessions that live by them must end.
    ClientsRevoked,
    /// A map was deleted.
    MapGone(MapId),
    /// A map's channel rules changed.
    Rules(Arc<Map>),
    /// The node is about to stop serving.
    Drain,
    /// The node serves again.
    Stay,
    /// Whether the node is cut off from the cluster.
    CutOff(bool),
    /// Somebody asks for the connections of the thread's clients, or to end one.
    Connections(AskThread),
    /// Tell how far an event has come to this thread's sockets.
    Reached(Arc<Asked>, mpsc::UnboundedSender<Reached>),
}

/// The changes that the keeper of this node's leases must react to.
#[derive(Debug)]
pub(super) enum LeaseNews {
    /// The cluster took back the leases of that node.
    NodeGone(NodeId),
    /// The node's incarnation began.
    Begun(NodeId, Incarnation),
    /// The map has another limit of connections, or no limit any more.
    Limit(Arc<Map>),
    /// The set of nodes that deliver webhooks has changed, or one of them has a new incarnation.
    Owners,
    /// A snapshot replaced a part of the log: everything may have changed.
    Skipped,
}

/// This node's copy of the replicated state, and the actors that are notified when it changes. It lives as
/// long as the node.
#[derive(Default)]
pub(super) struct Bridge {
    access: RwLock<Access>,
    webhooks: RwLock<WebhookDirectory>,
    watches: Mutex<Vec<Watch>>,
    topics: RwLock<Nudges>,
    dispatchers: Mutex<Vec<Recipient<Deliver>>>,
    registries: Mutex<Vec<Recipient<TopicLost>>>,
    lease_news: Mutex<Option<mpsc::UnboundedSender<LeaseNews>>>,
    /// Who is there on which channels.
    pub(super) presence: PresenceState,
    /// What is noted of events on their way.
    pub(super) notes: Notes,
}

impl Bridge {
    pub(super) fn access(&self) -> RwLockReadGuard<'_, Access> {
        self.access.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn webhooks(&self) -> RwLockReadGuard<'_, WebhookDirectory> {
        self.webhooks.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many connections the map may have in the cluster; `None` means no limit.
    pub(super) fn connection_limit(&self, map: MapId) -> Option<u32> {
        self.access().map(map).and_then(|map| map.limits.connections)
    }

    pub(super) fn attach_watch(&self, watch: Watch) {
        lock(&self.watches).push(watch);
    }

    fn tell_watches(&self, tell: impl Fn(&mut News)) {
        lock(&self.watches).iter().for_each(|watch| watch.tell(&tell));
    }

    pub(super) fn attach_registries(&self, registries: Vec<Recipient<TopicLost>>) {
        *lock(&self.registries) = registries;
    }

    pub(super) fn attach_leases(&self, news: mpsc::UnboundedSender<LeaseNews>) {
        *lock(&self.lease_news) = Some(news);
    }

    pub(super) fn register_dispatcher(&self, dispatcher: Recipient<Deliver>) {
        lock(&self.dispatchers).push(dispatcher);
    }

    pub(super) fn watch_topic(&self, topic: TopicKey, bell: Bell) {
        self.topics.write().unwrap_or_else(PoisonError::into_inner).watch(topic, bell);
    }

    /// How many topics have an actor.
    pub(super) fn topic_count(&self) -> usize {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(super) fn unwatch_topic(&self, topic: &TopicKey) {
        self.topics.write().unwrap_or_else(PoisonError::into_inner).unwatch(topic);
    }

    /// Sends a message to every dispatcher. Dispatchers are few and these messages are rare, so they may
    /// always be queued.
    pub(super) fn broadcast(&self, news: impl Fn() -> Deliver) {
        lock(&self.dispatchers).retain(|dispatcher| {
            dispatcher.do_send(news());
            dispatcher.connected()
        });
    }

    /// The state was loaded again. After a snapshot, every topic may have jumped and may lack events that
    /// readers hold in memory, and this node may have missed that connections of users are to end. Whoever
    /// resets presence afterwards ([`Bridge::reset_presence`]) then reports [`LeaseNews::Skipped`].
    pub(super) fn reset(&self, access: Access, webhooks: WebhookDirectory, from_snapshot: bool) {
        let old = {
            let mut current = self.access.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *current, access)
        };
        *self.webhooks.write().unwrap_or_else(PoisonError::into_inner) = webhooks;
        self.tell_watches(|news| news.all = true);
        if !from_snapshot {
            return;
        }
        self.end_what_is_gone(&old);
        let gone = self.topics.read().unwrap_or_else(PoisonError::into_inner).wake_all();
        self.report_lost(gone);
        self.presence.terminations.tell(&Termination::Missed);
    }

    fn end_what_is_gone(&self, old: &Access) {
        let (maps, tokens): (Vec<MapId>, Vec<TokenId>) = {
            let new = self.access();
            let gone = |map: &&Arc<Map>| new.map(map.id).is_none();
            let tokens = old.maps().flat_map(|map| old.tokens_of(map.id)).map(|token| token.id);
            let of_apps = old.apps().all().map(|app| app.token);
            let of_issuers = old.issuers().all().map(|issuer| issuer.token);
            (
                old.maps().filter(gone).map(|map| map.id).collect(),
                tokens.chain(of_apps).chain(of_issuers).filter(|token| new.token(*token).is_none()).collect(),
            )
        };
        maps.into_iter().for_each(|map| self.broadcast(|| Deliver::MapGone(map)));
        let changed: Vec<Arc<Map>> = {
            let new = self.access();
            let maps = old.maps().filter_map(|map| new.map(map.id).filter(|new| new.rules != map.rules));
            maps.cloned().collect()
        };
        changed.iter().for_each(|map| self.broadcast(|| Deliver::Rules(map.clone())));
        tokens.into_iter().for_each(|token| self.broadcast(|| Deliver::TokenGone(token)));
        self.broadcast(|| Deliver::ClientsRevoked);
    }

    /// Reports changes. Changes of access come first, so that a revoked client gets nothing of the changes
    /// after them.
    pub(super) fn publish(&self, changes: Vec<Change>) {
        for change in &changes {
            match change {
                Change::Access(change) => self.change_access(change),
                Change::Webhook(change) => self.change_webhooks(change),
                Change::NodeGone(node) => {
                    self.presence.node_gone(*node);
                    self.lease_news(LeaseNews::NodeGone(*node));
                }
                Change::Lost(webhook, events) => self.tell_watches(|news| news.lost(*webhook, *events)),
                Change::Removed(stream, _) => self.tell_watches(|news| news.removed(*stream)),
                Change::Begun(node, incarnation) => {
                    self.presence.node_is_back(*node);
                    self.lease_news(LeaseNews::Begun(*node, *incarnation));
                }
                Change::Joined(map, subject, present) => {
                    self.presence.board.joined(*map, subject, present.clone())
                }
                Change::Left(map, subject, present) => self.presence.board.left(*map, subject, present),
                Change::UserTerminated(map, user) => {
                    self.presence.terminations.tell(&Termination::User(*map, user.clone()));
                }
                Change::Events(..) | Change::Traced(_) => {}
            }
        }
        for change in changes {
            match change {
                Change::Events(appended) => self.hand_over(appended),
                Change::Removed(stream, subjects) => {
                    let gone =
                        self.topics.read().unwrap_or_else(PoisonError::into_inner).removed(stream, &subjects);
                    self.report_lost(gone);
                }
                _ => {}
            }
        }
    }

    fn change_access(&self, change: &AccessChange) {
        let served = crate::failpoint!("revoked-served")
            && matches!(
                change,
                AccessChange::TokenGone(_) | AccessChange::AppGone(_) | AccessChange::IssuerGone(_)
            );
        let known = matches!(change, AccessChange::Map(map) if self.access().map(map.id).is_some());
        if served || known && crate::failpoint!("settings-stale", 3) {
            return;
        }
        let rules_change = matches!(change, AccessChange::Map(map)
            if self.access().map(map.id).is_some_and(|old| old.rules != map.rules));
        let limit_changes = matches!(change, AccessChange::Map(map) if self.has_other_limit(map));
        self.access.write().unwrap_or_else(PoisonError::into_inner).change(change);
        match change {
            AccessChange::TokenGone(token)
            | AccessChange::AppGone(token)
            | AccessChange::IssuerGone(token) => {
                self.broadcast(|| Deliver::TokenGone(*token));
            }
            AccessChange::ClientsRevoked(_) => self.broadcast(|| Deliver::ClientsRevoked),
            AccessChange::MapGone(map) => {
                self.presence.set_wants(*map, Wants::NOTHING);
                self.presence.board.map_gone(*map);
                self.broadcast(|| Deliver::MapGone(*map));
            }
            AccessChange::Map(map) => {
                self.look_at_wants(map.id);
                if rules_change {
                    self.broadcast(|| Deliver::Rules(map.clone()));
                }
                if limit_changes {
                    self.lease_news(LeaseNews::Limit(map.clone()));
                }
            }
            AccessChange::Token(_)
            | AccessChange::App(_)
            | AccessChange::Source(_)
            | AccessChange::SourceGone(_)
            | AccessChange::Admin(_)
            | AccessChange::AdminToken(_)
            | AccessChange::AdminTokenGone(_)
            | AccessChange::Issuer(_)
            | AccessChange::RevocationOver(_) => {}
        }
    }

    /// Whether the map's limit of connections differs from the one known so far.
    fn has_other_limit(&self, map: &Map) -> bool {
        self.access().map(map.id).is_none_or(|old| old.limits.connections != map.limits.connections)
    }

    fn change_webhooks(&self, change: &WebhookChange) {
        let map = self.webhooks.write().unwrap_or_else(PoisonError::into_inner).change(change);
        map.into_iter().for_each(|map| self.look_at_wants(map));
        if let WebhookChange::Owners(_) = change {
            self.lease_news(LeaseNews::Owners);
        }
        self.tell_watches(|news| match change {
            WebhookChange::Put(webhook) => news.changed(webhook.id),
            WebhookChange::Gone(id) | WebhookChange::Commanded(id) => news.changed(*id),
            WebhookChange::Owners(owners) => news.owned(owners),
        });
    }

    /// The map's rules or webhooks may want other lifecycle events.
    fn look_at_wants(&self, map: MapId) {
        let wants = Wants::of(self.access().map(map).map(|map| &**map), self.webhooks().of_map(map));
        self.presence.set_wants(map, wants);
    }

    /// Everything may have changed: who is there, and which lifecycle events somebody wants. What the cluster
    /// knows of this node's own does not matter after a snapshot: the node begins another incarnation then
    /// ([`LeaseNews::Skipped`]), which states everything again.
    pub(super) fn reset_presence(&self, members: impl Iterator<Item = (MapId, Subject, Arc<Present>)>) {
        self.presence.board.reset(members);
        let maps: Vec<MapId> = self.access().maps().map(|map| map.id).collect();
        maps.into_iter().chain(self.presence.wanted_maps()).for_each(|map| self.look_at_wants(map));
    }

    /// Hands new events to the topics that read their subjects, and to no others. Webhooks are told only
    /// where the map has some: otherwise each publish would wake every worker thread.
    fn hand_over(&self, appended: Appended) {
        if self.webhooks().of_map(appended.map).next().is_some() {
            self.tell_watches(|news| news.stored(appended.stream));
        }
        let gone = self.topics.read().unwrap_or_else(PoisonError::into_inner).wake(appended);
        self.report_lost(gone);
    }

    fn report_lost(&self, topics: Vec<TopicKey>) {
        if topics.is_empty() {
            return;
        }
        for registry in &*lock(&self.registries) {
            topics.iter().for_each(|topic| registry.do_send(TopicLost(topic.clone())));
        }
    }

    pub(super) fn lease_news(&self, news: LeaseNews) {
        if let Some(leases) = &*lock(&self.lease_news) {
            // The receiver lives as long as the node.
            let _ = leases.send(news);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::access::{Limits, Retention};
    use crate::core::ids::TopicId;

    #[test]
    fn no_incarnation_begins_before_it_is_known_again_what_is_wanted() {
        let bridge = Bridge::default();
        let (news, mut heard) = mpsc::unbounded_channel();
        bridge.attach_leases(news);
        bridge.reset(Access::default(), WebhookDirectory::default(), true);
        assert!(heard.try_recv().is_err());
    }

    #[test]
    fn the_leases_are_notified_of_a_map_only_if_its_limit_changes() {
        let bridge = Bridge::default();
        let (news, mut heard) = mpsc::unbounded_channel();
        bridge.attach_leases(news);
        let limits = Limits::NONE;
        let map = Map {
            id: MapId::from_bytes([1; 16]),
            slug: None,
            name: "a".into(),
            topic: TopicId(1),
            limits,
            retention: Retention {
                events: None,
                age_seconds: None,
                bytes: None,
                webhook_backlog: Default::default(),
            },
            rules: Default::default(),
            inserted_ms: 1,
            updated_ms: 1,
        };
        let limited = Map { limits: Limits { connections: Some(5), ..map.limits.clone() }, ..map.clone() };
        let renamed = |map: &Map| Map { name: "b".into(), ..map.clone() };
        let changes = [
            (map.clone(), true),
            (renamed(&map), false),
            (limited.clone(), true),
            (renamed(&limited), false),
            (map, true),
        ];
        for (index, (map, is_reported)) in changes.into_iter().enumerate() {
            bridge.publish(vec![Change::Access(AccessChange::Map(Arc::new(map)))]);
            let reported = matches!(heard.try_recv(), Ok(LeaseNews::Limit(_)));
            assert_eq!(reported, is_reported, "change {index}");
        }
    }
}
