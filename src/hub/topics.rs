//! This node's topics, and the dispatchers that deliver their events.
//!
//! One actor finds, starts and ends the topics' actors. It starts an actor again that was lost to a panic.

use super::archive::Archive;
use super::bridge::{Bridge, Deliver};
use super::ephemeral::{Ephemeral, EphemeralTopic};
use super::evaluators::Evaluators;
use super::nudges::{Bell, Pending, TopicLost};
use super::topic::{Attach, Detach, Topic};
use crate::core::frame::{FormKey, View};
use crate::core::topic::TopicKey;
use actix::prelude::{ActorFutureExt, WrapFuture};
use actix::{Actor, Addr, Arbiter, AsyncContext, Context, Handler, MailboxError, Message, Recipient};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// The interface by which dispatchers subscribe to topics and learn what ends; cheap to clone.
#[derive(Clone)]
pub struct Topics {
    registry: Addr<Registry>,
    bridge: Arc<Bridge>,
}

impl Topics {
    /// Starts the thread that the topics share.
    pub(super) fn start(
        bridge: Arc<Bridge>,
        ephemeral: Ephemeral,
        archive: Archive,
        evaluators: Evaluators,
    ) -> Self {
        let registry = Registry::start_on_own_thread(bridge.clone(), ephemeral.clone(), archive, evaluators);
        bridge.attach_registry(registry.clone().recipient());
        ephemeral.attach_registry(registry.clone().recipient());
        Self { registry, bridge }
    }

    /// Subscribes a dispatcher to a view of a topic. The answer arrives as [`Deliver::Start`]; chunks follow
    /// it.
    pub fn subscribe(&self, topic: TopicKey, view: View, dispatcher: Recipient<Deliver>) {
        self.registry.do_send(Subscribe { topic, view, dispatcher });
    }

    /// Ends a subscription.
    pub fn unsubscribe(&self, topic: TopicKey, form: FormKey, dispatcher: Recipient<Deliver>) {
        self.registry.do_send(Unsubscribe { topic, form, dispatcher });
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

    /// How many topics have an actor.
    pub(super) fn count(&self) -> usize {
        self.bridge.topic_count()
    }

    /// Waits until the thread of the topics answers.
    pub(super) async fn answers(&self) -> bool {
        self.registry.send(Ping).await.is_ok()
    }
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

/// The actor that knows all topic actors of this node. It lives as long as the node.
struct Registry {
    bridge: Arc<Bridge>,
    ephemeral: Ephemeral,
    archive: Archive,
    evaluators: Evaluators,
    topics: FxHashMap<TopicKey, TopicActor>,
    /// Counts the wake-ups of all topics.
    woken: metrics::Counter,
}

impl Registry {
    /// Topics and registry share one thread, so that encoding runs beside the workers that write to clients.
    /// Expressions have a thread of their own.
    fn start_on_own_thread(
        bridge: Arc<Bridge>,
        ephemeral: Ephemeral,
        archive: Archive,
        evaluators: Evaluators,
    ) -> Addr<Self> {
        let woken = metrics::counter!(crate::metric::TOPICS_WOKEN);
        let registry = Self { bridge, ephemeral, archive, evaluators, topics: FxHashMap::default(), woken };
        Self::start_in_arbiter(&Arbiter::new().handle(), move |_| registry)
    }

    fn topic(&mut self, topic: TopicKey) -> TopicActor {
        match self.topics.get(&topic) {
            Some(known) if known.connected() => return known.clone(),
            Some(_) => self.lost(&topic),
            None => {}
        }
        let evaluators = self.evaluators.clone();
        let woken = self.woken.clone();
        let actor = if topic.is_ephemeral() {
            TopicActor::Ephemeral(EphemeralTopic::start_on(&self.ephemeral, topic.clone(), evaluators, woken))
        } else {
            let key = topic.clone();
            let pending = Pending::default();
            let actor = Topic::new(key, self.archive.clone(), evaluators, woken, pending.clone()).start();
            // The topic is watched before it reads its position, so that no nudge is lost in between.
            self.bridge.watch_topic(topic.clone(), Bell::new(actor.clone().recipient(), pending));
            TopicActor::Durable(actor)
        };
        self.topics.insert(topic, actor.clone());
        metrics::gauge!(crate::metric::TOPICS).set(self.topics.len() as f64);
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
        self.topics.remove(topic);
        metrics::gauge!(crate::metric::TOPICS).set(self.topics.len() as f64);
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
