//! This node's topics, and the dispatchers that deliver their events.
//!
//! Topics are spread over a few threads by a hash of their names. On each thread, one actor finds, starts and
//! ends the topics' actors. It starts an actor again that was lost to a panic.

use super::archive::Archive;
use super::bridge::{Bridge, Deliver};
use super::ephemeral::{Ephemeral, EphemeralTopic};
use super::evaluators::Evaluators;
use super::nudges::{Bell, Pending, TopicLost};
use super::topic::{Attach, Detach, Meters, Topic};
use super::wakes::Wakes;
use crate::core::frame::{FormKey, View};
use crate::core::reached::{Asked, Reached};
use crate::core::topic::TopicKey;
use actix::prelude::{ActorFutureExt, WrapFuture};
use actix::{Actor, Addr, Arbiter, AsyncContext, Context, Handler, MailboxError, Message, Recipient};
use rustc_hash::FxHashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long the dispatchers have to tell how far an event has come.
const TOLD_WITHIN: Duration = Duration::from_secs(1);
/// A thread of topics for so many processors: most of the work is that of the workers that write to clients.
const PROCESSORS_PER_THREAD: usize = 4;
/// Most threads of topics.
const MOST_THREADS: usize = 8;

/// The interface by which dispatchers subscribe to topics and learn what ends; cheap to clone.
#[derive(Clone)]
pub struct Topics {
    /// One for each thread.
    registries: Arc<[Addr<Registry>]>,
    /// Clients choose the names of topics, so the hash has a random key.
    hasher: RandomState,
    bridge: Arc<Bridge>,
}

impl Topics {
    /// Starts the threads that the topics share.
    pub(super) fn start(
        bridge: Arc<Bridge>,
        ephemeral: Ephemeral,
        archive: Archive,
        evaluators: Evaluators,
    ) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = (processors / PROCESSORS_PER_THREAD).clamp(1, MOST_THREADS);
        let registry = |_| Registry {
            bridge: bridge.clone(),
            ephemeral: ephemeral.clone(),
            archive: archive.clone(),
            evaluators: evaluators.clone(),
            topics: FxHashMap::default(),
            wakes: Wakes::default(),
            meters: Meters::new(),
            count: metrics::gauge!(crate::metric::TOPICS),
        };
        let registries: Arc<[_]> = (0..threads).map(registry).map(Registry::start_on_own_thread).collect();
        bridge.attach_registries(recipients(&registries));
        ephemeral.attach_registries(recipients(&registries));
        Self { registries, hasher: RandomState::new(), bridge }
    }

    /// The registry that has the topic.
    fn registry(&self, topic: &TopicKey) -> &Addr<Registry> {
        // The remainder is less than the number of registries.
        let index = self.hasher.hash_one(topic) % self.registries.len() as u64;
        &self.registries[index as usize]
    }

    /// Subscribes a dispatcher to a view of a topic. The answer arrives as [`Deliver::Start`]; chunks follow
    /// it.
    pub fn subscribe(&self, topic: TopicKey, view: View, dispatcher: Recipient<Deliver>) {
        self.registry(&topic).do_send(Subscribe { topic, view, dispatcher });
    }

    /// Ends a subscription.
    pub fn unsubscribe(&self, topic: TopicKey, form: FormKey, dispatcher: Recipient<Deliver>) {
        self.registry(&topic).do_send(Unsubscribe { topic, form, dispatcher });
    }

    /// Reports to `dispatcher` when a topic, a token, a map or the node goes away.
    pub fn register_dispatcher(&self, dispatcher: Recipient<Deliver>) {
        self.bridge.register_dispatcher(dispatcher);
    }

    /// Tells every dispatcher that the node is about to stop serving.
    pub fn announce_drain(&self) {
        self.bridge.broadcast(|| Deliver::Drain);
    }

    /// Tells every dispatcher that the node serves again.
    pub fn announce_return(&self) {
        self.bridge.broadcast(|| Deliver::Stay);
    }

    /// Tells every dispatcher whether the node is cut off from the cluster.
    pub(super) fn announce_cut_off(&self, is_cut_off: bool) {
        self.bridge.broadcast(|| Deliver::CutOff(is_cut_off));
    }

    /// How far an event has come to the sockets of this node. `None` if a dispatcher does not tell in time.
    pub(super) async fn reached(&self, asked: Asked) -> Option<Reached> {
        let asked = Arc::new(asked);
        let (tell, mut told) = mpsc::unbounded_channel();
        self.bridge.broadcast(|| Deliver::Reached(asked.clone(), tell.clone()));
        drop(tell);
        let gather = async {
            let mut all = Reached::default();
            while let Some(reached) = told.recv().await {
                all.add(&reached);
            }
            all
        };
        timeout(TOLD_WITHIN, gather).await.ok()
    }

    /// How many topics have an actor.
    pub(super) fn count(&self) -> usize {
        self.bridge.topic_count()
    }

    /// Waits until the threads of the topics answer.
    pub(super) async fn answers(&self) -> bool {
        for registry in &*self.registries {
            if registry.send(Ping).await.is_err() {
                return false;
            }
        }
        true
    }
}

/// Those who are told of topics whose actor is gone. Only one of them has such a topic; the others ignore it.
fn recipients(registries: &[Addr<Registry>]) -> Vec<Recipient<TopicLost>> {
    registries.iter().map(|registry| registry.clone().recipient()).collect()
}

/// Subscribes a dispatcher to a view of a topic. The answer arrives as [`Deliver::Start`]; chunks follow it.
#[derive(Message)]
#[rtype(result = "()")]
struct Subscribe {
    topic: TopicKey,
    view: View,
    dispatcher: Recipient<Deliver>,
}

/// Ends a subscription.
#[derive(Message)]
#[rtype(result = "()")]
struct Unsubscribe {
    topic: TopicKey,
    form: FormKey,
    dispatcher: Recipient<Deliver>,
}

/// A request that an actor answers if its thread works.
#[derive(Message)]
#[rtype(result = "()")]
struct Ping;

/// The actor of a topic of stored events or of ephemeral ones.
#[derive(Clone)]
enum TopicActor {
    Durable(Addr<Topic>),
    Ephemeral(Addr<EphemeralTopic>),
}

impl TopicActor {
    fn connected(&self) -> bool {
        match self {
            Self::Durable(actor) => actor.connected(),
            Self::Ephemeral(actor) => actor.connected(),
        }
    }

    fn attach(&self, attach: Attach) {
        match self {
            Self::Durable(actor) => actor.do_send(attach),
            Self::Ephemeral(actor) => actor.do_send(attach),
        }
    }

    async fn detach(self, detach: Detach) -> Result<usize, MailboxError> {
        match self {
            Self::Durable(actor) => actor.send(detach).await,
            Self::Ephemeral(actor) => actor.send(detach).await,
        }
    }
}

/// The actor that knows all topic actors of its thread. It lives as long as the node.
struct Registry {
    bridge: Arc<Bridge>,
    ephemeral: Ephemeral,
    archive: Archive,
    evaluators: Evaluators,
    topics: FxHashMap<TopicKey, TopicActor>,
    /// The way to the topics of the thread.
    wakes: Wakes,
    meters: Meters,
    /// How many topics there are, over all threads.
    count: metrics::Gauge,
}

impl Registry {
    /// Its topics and it share one thread, so that encoding runs beside the workers that write to clients.
    /// Expressions have a thread of their own.
    fn start_on_own_thread(self) -> Addr<Self> {
        let thread = Arbiter::new();
        thread.spawn(self.wakes.clone().pass_on());
        Self::start_in_arbiter(&thread.handle(), move |_| self)
    }

    fn topic(&mut self, topic: TopicKey) -> TopicActor {
        match self.topics.get(&topic) {
            Some(known) if known.connected() => return known.clone(),
            Some(_) => self.lost(&topic),
            None => {}
        }
        let evaluators = self.evaluators.clone();
        let meters = self.meters.clone();
        let actor = if topic.is_ephemeral() {
            let key = topic.clone();
            TopicActor::Ephemeral(EphemeralTopic::start_on(&self.ephemeral, key, evaluators, meters.woken))
        } else {
            let key = topic.clone();
            let pending = Pending::default();
            let actor = Topic::new(key, self.archive.clone(), evaluators, meters, pending.clone()).start();
            // The topic is watched before it reads its position, so that no nudge is lost in between.
            let bell = Bell::new(actor.clone().recipient(), pending, self.wakes.clone());
            self.bridge.watch_topic(topic.clone(), bell);
            TopicActor::Durable(actor)
        };
        self.topics.insert(topic, actor.clone());
        self.count.increment(1.0);
        actor
    }

    /// A topic's actor is gone. Its subscribers must subscribe again, which starts another actor.
    fn lost(&mut self, topic: &TopicKey) {
        tracing::error!(%topic, "the topic's actor was lost; it is started again");
        metrics::counter!(crate::metric::ACTORS_LOST, "actor" => "topic").increment(1);
        self.forget(topic);
        self.bridge.broadcast(|| Deliver::Lost(topic.clone()));
    }

    fn forget(&mut self, topic: &TopicKey) {
        match topic.is_ephemeral() {
            true => self.ephemeral.unwatch(topic),
            false => self.bridge.unwatch_topic(topic),
        }
        if self.topics.remove(topic).is_some() {
            self.count.decrement(1.0);
        }
    }
}

impl Actor for Registry {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // Every subscription passes through this mailbox. A worker that subscribes or unsubscribes must not
        // be refused.
        ctx.set_mailbox_capacity(1 << 16);
    }
}

impl Handler<Subscribe> for Registry {
    type Result = ();

    fn handle(&mut self, Subscribe { topic, view, dispatcher }: Subscribe, _: &mut Self::Context) {
        self.topic(topic).attach(Attach { view, dispatcher });
    }
}

impl Handler<Unsubscribe> for Registry {
    type Result = ();

    fn handle(&mut self, Unsubscribe { topic, form, dispatcher }: Unsubscribe, ctx: &mut Self::Context) {
        let Some(actor) = self.topics.get(&topic).cloned() else { return };
        let left = actor.detach(Detach { form, dispatcher }).into_actor(self);
        // This blocks the registry: a Subscribe that arrives meanwhile waits, and never finds a topic that is
        // half removed.
        ctx.wait(left.map(move |left, registry, _| match left {
            Ok(0) => registry.forget(&topic),
            Ok(_) => {}
            Err(_) => registry.lost(&topic),
        }));
    }
}

impl Handler<Ping> for Registry {
    type Result = ();

    fn handle(&mut self, Ping: Ping, _: &mut Self::Context) {}
}

impl Handler<TopicLost> for Registry {
    type Result = ();

    fn handle(&mut self, TopicLost(topic): TopicLost, _: &mut Self::Context) {
        if self.topics.get(&topic).is_none_or(TopicActor::connected) {
            return;
        }
        self.lost(&topic);
    }
}
