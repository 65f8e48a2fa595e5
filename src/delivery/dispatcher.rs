//! The dispatcher of a worker thread. It receives what topics deliver, keeps the topic views that are in use
//! on the thread, has events written to the sockets of sessions that sleep, and watches the thread's sessions
//! from outside (the timers of a stalled session do not run).

mod connections;

use super::agent::Agents;
use super::close::End;
use super::handouts::Handouts;
use super::lull::{self, Lull};
use super::meters::Meters;
use super::rings::Rings;
use super::serving::{Served, Serving};
use super::settings::DispatcherConfig;
use super::slow::SlowClients;
use super::tally::Tally;
use super::topic_view::TopicView;
use super::watchdog::{Liveness, Session, Watched, Way};
use crate::core::frame::{FormKey, View};
use crate::core::reached::{Asked, Reached};
use crate::core::ring::Chunk;
use crate::core::topic::TopicKey;
use crate::hub::{Deliver, Hub};
use actix::{Actor, Addr, AsyncContext, Context, Handler};
use slab::Slab;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::hash::RandomState;
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::timeout;

/// Chunks that may wait on a worker thread. A chunk that doesn't fit leaves a hole, and readers fill the hole
/// from the archive.
const MAILBOX: usize = 4096;

thread_local! {
    static OF_THIS_THREAD: OnceCell<Rc<Dispatcher>> = const { OnceCell::new() };
}

/// The dispatcher of one worker thread: its topic views and its sessions. It lives as long as the thread.
pub struct Dispatcher {
    hub: Hub,
    config: DispatcherConfig,
    actor: OnceCell<Addr<DispatcherActor>>,
    topic_views: RefCell<HashMap<(TopicKey, FormKey), Rc<TopicView>>>,
    rings: Rings,
    meters: Meters,
    serving: Rc<Serving>,
    handouts: Rc<Handouts>,
    sessions: RefCell<Slab<Watched>>,
    /// Makes the numbers of the sessions from how many there were.
    numbers: (RandomState, Cell<u64>),
    /// What the clients call themselves.
    agents: Agents,
    /// Remembers clients that read too slowly, and tells the log of them.
    slow: SlowClients,
    /// Since sessions ended.
    lull: Lull,
    /// Seconds that this thread has run. Reading this clock costs nothing, and it stands still while the
    /// process does. What clients sent during a pause is read before any of the pause counts against them.
    now: Cell<u64>,
    /// When the last of these seconds ended.
    ticked: Cell<Instant>,
    /// The last of these seconds was a pause, and the watchdog checked no session.
    paused: Cell<bool>,
    draining: Cell<bool>,
    cut_off: Cell<bool>,
    subscriptions: metrics::Gauge,
    tallies: RefCell<Vec<Rc<Tally>>>,
}

/// Keeps a topic view in use until a reader listens to it.
pub struct Held {
    dispatcher: Rc<Dispatcher>,
    topic_view: Rc<TopicView>,
}

impl Held {
    /// The topic view.
    pub fn topic_view(&self) -> &Rc<TopicView> {
        &self.topic_view
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.topic_view.release();
        self.dispatcher.release(&self.topic_view);
    }
}

/// Has the dispatcher watch a session until this is dropped.
pub struct Watch {
    dispatcher: Rc<Dispatcher>,
    slot: usize,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.dispatcher.unwatch(self.slot);
    }
}

/// Longest wait for a topic to report its first position.
const START_WITHIN: Duration = Duration::from_secs(5);
/// A second that took longer than this was a pause of this thread.
const PAUSE: Duration = Duration::from_millis(1500);

impl Dispatcher {
    /// The dispatcher of this worker thread. The first call starts it.
    pub fn of_this_thread(hub: &Hub, config: &DispatcherConfig) -> Rc<Self> {
        OF_THIS_THREAD.with(|cell| cell.get_or_init(|| Self::start(hub.clone(), config.clone())).clone())
    }

    fn start(hub: Hub, config: DispatcherConfig) -> Rc<Self> {
        let handouts = Rc::<Handouts>::default();
        let dispatcher = Rc::new(Self {
            meters: Meters::new(hub.quota().usage().clone()),
            hub,
            rings: Rings::new(config.rings_bytes),
            config,
            actor: OnceCell::new(),
            topic_views: RefCell::default(),
            serving: Serving::start(handouts.clone()),
            handouts,
            sessions: RefCell::default(),
            numbers: (RandomState::new(), Cell::new(0)),
            agents: Agents::default(),
            slow: SlowClients::default(),
            lull: Lull::default(),
            now: Cell::new(0),
            ticked: Cell::new(Instant::now()),
            paused: Cell::new(false),
            draining: Cell::new(false),
            cut_off: Cell::new(false),
            subscriptions: metrics::gauge!(crate::metric::SUBSCRIPTIONS),
            tallies: RefCell::default(),
        });
        let actor = DispatcherActor { dispatcher: Rc::downgrade(&dispatcher) }.start();
        dispatcher.hub.topics().register_dispatcher(actor.clone().recipient());
        let _ = dispatcher.actor.set(actor);
        dispatcher
    }

    /// The hub.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Seconds that this thread has run.
    pub fn now(&self) -> u64 {
        self.now.get()
    }

    /// Counts how far frames have come to the sockets of this thread.
    pub(super) fn handouts(&self) -> &Handouts {
        &self.handouts
    }

    /// Seconds between two positions that no event carries.
    pub(super) fn position_seconds(&self) -> u64 {
        self.config.position_seconds
    }

    /// The topic view of `topic` in `view`. Subscribes to the topic if the view is the first of its kind on
    /// this thread.
    pub fn topic_view(&self, topic: TopicKey, view: View) -> Rc<TopicView> {
        let key = (topic.clone(), view.key().clone());
        if let Some(topic_view) = self.topic_views.borrow().get(&key) {
            return topic_view.clone();
        }
        let meter = self.meters.of(topic.stream);
        let topic_view = Rc::new(TopicView::new(topic, view, meter));
        self.topic_views.borrow_mut().insert(key, topic_view.clone());
        self.subscribe(&topic_view);
        topic_view
    }

    fn subscribe(&self, topic_view: &TopicView) {
        if let Some(actor) = self.actor.get() {
            let dispatcher = actor.clone().recipient();
            self.hub.topics().subscribe(topic_view.topic().clone(), topic_view.view().clone(), dispatcher);
        }
    }

    /// Like [`Dispatcher::topic_view`], but keeps the topic view in use and waits until the topic has
    /// reported its first position. `None` if the topic does not do so within [`START_WITHIN`].
    pub async fn hold(self: &Rc<Self>, topic: TopicKey, view: View) -> Option<Held> {
        let topic_view = self.topic_view(topic, view);
        topic_view.hold();
        let held = Held { dispatcher: self.clone(), topic_view };
        timeout(START_WITHIN, held.topic_view.started()).await.ok()?;
        Some(held)
    }

    /// A subscription ended. The topic view goes with its last subscription.
    pub(super) fn release(&self, topic_view: &Rc<TopicView>) {
        if !topic_view.is_unused() || self.topic_views.borrow_mut().remove(&topic_view.key()).is_none() {
            return;
        }
        self.rings.drop_topic_view(topic_view);
        if let Some(actor) = self.actor.get() {
            let (topic, form) = topic_view.key();
            self.hub.topics().unsubscribe(topic, form, actor.clone().recipient());
        }
    }

    /// Watches a session until [`Dispatcher::unwatch`]. It ends the session at once if this node drains or is
    /// cut off, or if the session's token was revoked before this thread could tell the session so. With the
    /// protocol comes what the client calls itself.
    pub(super) fn watch(
        &self,
        session: Rc<dyn Session>,
        way: Way,
        liveness: Liveness,
        (protocol, agent): (&'static str, Option<&str>),
    ) -> usize {
        if self.draining.get() {
            session.finish(End::Drain);
        } else if self.cut_off.get() {
            session.finish(End::CutOff);
        } else if !self.may_stay(&*session) {
            session.finish(End::Revoked);
        }
        self.hub.health().connection_opened();
        let name = self.new_name(protocol, agent);
        self.sessions.borrow_mut().insert(Watched::new(session, way, liveness, name))
    }

    /// Whether the session's token still exists, and its client token, if it has one, is still valid.
    fn may_stay(&self, session: &dyn Session) -> bool {
        let Some(id) = session.token() else { return true };
        let map = self.hub.access().known().token(id).map(|token| token.map);
        let is_live = |map| session.client().is_none_or(|client| self.hub.access().is_live(map, &client));
        map.is_some_and(is_live)
    }

    /// Writes to the client of a session when all that has come from the topics is taken.
    pub(super) fn serve(&self, session: Rc<dyn Served>) {
        self.serving.add(session);
    }

    /// The session has sent its last bytes. Its connection may serve other requests.
    pub(super) fn rest(&self, slot: usize) {
        if let Some(session) = self.sessions.borrow_mut().get_mut(slot) {
            session.rest();
        }
    }

    /// Watches a session that has no connection of its own, such as a long poll, whose requests come from
    /// that address.
    pub(super) fn watch_silently(
        self: &Rc<Self>,
        session: Rc<dyn Session>,
        (protocol, agent): (&'static str, Option<&str>),
        address: IpAddr,
    ) -> Watch {
        let slot = self.watch(session, Way::Requests(address), Liveness::Speak, (protocol, agent));
        Watch { slot, dispatcher: self.clone() }
    }

    /// The session is over.
    pub(super) fn unwatch(&self, slot: usize) {
        let removed = self.sessions.borrow_mut().try_remove(slot);
        if let Some(mut watched) = removed {
            self.tell_slow(&mut watched);
            self.hub.health().connection_closed();
            self.lull.ended(self.now.get());
        }
    }

    /// Remembers a session that ends because its client read too slowly, and tells the log of it.
    fn tell_slow(&self, watched: &mut Watched) {
        let Some(end) = watched.take_slow_end() else { return };
        let session = watched.session();
        let by_token = || Some(self.hub.access().known().token(session.token()?)?.map);
        let map = session.map().or_else(by_token);
        if let Some(map) = map.filter(|_| self.slow.may_remember(self.now())) {
            self.slow.remember(map, self.closed(watched, map, end));
        }
        self.slow.closed(self.now(), end, watched, map);
    }

    pub(super) fn count_subscription(&self, by: f64) {
        self.subscriptions.increment(by);
    }

    /// The counts of a protocol on this thread.
    pub(super) fn tally(&self, protocol: &'static str) -> Rc<Tally> {
        let mut tallies = self.tallies.borrow_mut();
        if let Some(known) = tallies.iter().find(|tally| tally.protocol == protocol) {
            return known.clone();
        }
        let tally = Rc::new(Tally::new(protocol));
        tallies.push(tally.clone());
        tally
    }

    /// Changes the contents of the ring of a topic view in use.
    fn change(&self, topic: TopicKey, form: FormKey, change: impl FnOnce(&TopicView)) {
        let topic_view = self.topic_views.borrow().get(&(topic, form)).cloned();
        if let Some(topic_view) = topic_view {
            change(&topic_view);
            self.rings.changed(&topic_view);
        }
    }

    /// Appends new frames to a topic view in use, whose readers are told.
    fn hand_out(&self, topic: TopicKey, form: FormKey, chunk: Arc<Chunk>) {
        self.change(topic, form, |topic_view| {
            self.handouts.begin(topic_view.subscribed(), topic_view.topic(), &chunk);
            topic_view.push(chunk, self.config.ring_bytes, self.config.ring_events);
        });
    }

    fn deliver(&self, news: Deliver) {
        let ring_bytes = self.config.ring_bytes;
        let ring_events = self.config.ring_events;
        match news {
            Deliver::Start { topic, form, next_seq } => {
                self.change(topic, form, |topic_view| topic_view.start(next_seq, ring_bytes, ring_events));
            }
            Deliver::Chunk { topic, form, chunk } => self.hand_out(topic, form, chunk),
            #[cfg(feature = "failpoints")]
            Deliver::Early(topic, event) => {
                for topic_view in self.topic_views.borrow().values().filter(|topic_view| {
                    topic_view.topic().stream == topic
                        && topic_view.topic().selector.matches(event.subject.as_str())
                }) {
                    topic_view.push_early(event.clone(), ring_bytes, ring_events);
                }
            }
            Deliver::Removed { topic, form } => self.change(topic, form, TopicView::forget_removed),
            Deliver::Lost(topic) => {
                let topic_views: Vec<_> = self
                    .topic_views
                    .borrow()
                    .values()
                    .filter(|topic_view| *topic_view.topic() == topic)
                    .cloned()
                    .collect();
                for topic_view in &topic_views {
                    // The lost topic may have had to report that events were removed.
                    topic_view.forget_removed();
                    self.rings.changed(topic_view);
                    self.subscribe(topic_view);
                }
            }
            Deliver::TokenGone(token) => {
                self.end_those(End::Revoked, |session| session.token() == Some(token))
            }
            Deliver::ClientsRevoked => {
                let is_over = |session: &dyn Session| session.client().is_some() && !self.may_stay(session);
                self.end_those(End::Revoked, is_over);
            }
            Deliver::MapGone(map) => self.end_those(End::Revoked, |session| session.is_on(map)),
            Deliver::Rules(map) => self.end_those(End::Rules, |session| session.is_moved_by(&map)),
            Deliver::Connections(asked) => self.answer(asked),
            Deliver::Drain => {
                self.draining.set(true);
                self.end_those(End::Drain, |_| true);
            }
            Deliver::Stay => self.draining.set(false),
            Deliver::CutOff(is_cut_off) => {
                self.cut_off.set(is_cut_off);
                if is_cut_off {
                    self.end_those(End::CutOff, |_| true);
                }
            }
            Deliver::Reached(asked, tell) => self.tell_reached(&asked, &tell),
        }
    }

    /// Nothing is looked up for those who have given up waiting: a thread that stood still finds their
    /// questions in a row.
    fn tell_reached(&self, asked: &Asked, tell: &UnboundedSender<Reached>) {
        if !tell.is_closed() {
            let _ = tell.send(self.reached(asked));
        }
    }

    /// How far an event has come to the sockets of this thread.
    fn reached(&self, asked: &Asked) -> Reached {
        let mut reached = self.handouts.reached(asked);
        let topic_views = self.topic_views.borrow();
        let having = topic_views.values().filter(|topic_view| {
            let topic = topic_view.topic();
            topic.stream == asked.stream
                && !topic.is_ephemeral()
                && topic.selector.matches(asked.subject.as_str())
        });
        reached.waiting = having.map(|topic_view| topic_view.waiting_for(&asked.kind, asked.seq)).sum();
        reached
    }

    fn end_those(&self, end: End, which: impl Fn(&dyn Session) -> bool) {
        for (_, watched) in self.sessions.borrow().iter().filter(|(_, watched)| which(watched.session())) {
            watched.session().finish(end);
        }
    }

    /// Ends the sessions whose client tokens have ended, by this node's clock.
    fn end_expired(&self) {
        let now_ms = crate::clock::now_ms();
        let is_over = |session: &dyn Session| {
            session.ending().is_none() && session.client().is_some_and(|client| client.exp_ms <= now_ms)
        };
        self.end_those(End::Revoked, is_over);
    }

    /// Runs once a second. It ends a client that takes too little or is silent, and cuts off a session that
    /// does not end. After a pause of this thread it checks no client: what the clients sent meanwhile is
    /// read first.
    fn watchdog(&self) {
        let now = self.now.get() + 1;
        self.now.set(now);
        self.end_expired();
        self.tallies.borrow().iter().for_each(|tally| tally.flush());
        self.meters.forget_unused();
        self.rings.keep_to_share();
        if self.lull.is_over(now) {
            self.give_memory_back();
        }
        let paused = self.ticked.replace(Instant::now()).elapsed() > PAUSE;
        // On a machine where every second is late, the sessions must be checked all the same.
        if paused && !self.paused.replace(paused) {
            return;
        }
        self.paused.set(false);
        for (_, session) in self.sessions.borrow_mut().iter_mut() {
            session.look(now, &self.config);
            self.tell_slow(session);
        }
    }

    /// Lets go of the room for sessions that have ended.
    fn give_memory_back(&self) {
        let mut sessions = self.sessions.borrow_mut();
        if sessions.len() < sessions.capacity() / 2 {
            sessions.shrink_to_fit();
        }
        drop(sessions);
        self.serving.give_memory_back();
        lull::purge();
    }
}

/// The actor that receives the dispatcher's messages.
struct DispatcherActor {
    dispatcher: Weak<Dispatcher>,
}

impl Actor for DispatcherActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        Self::tick_later(ctx);
    }
}

impl DispatcherActor {
    /// Schedules one tick after the other. An interval would make up for the ticks that a pause of the
    /// process has swallowed.
    fn tick_later(ctx: &mut Context<Self>) {
        ctx.run_later(Duration::from_secs(1), |actor, ctx| {
            if let Some(dispatcher) = actor.dispatcher.upgrade() {
                dispatcher.watchdog();
                Self::tick_later(ctx);
            }
        });
    }
}

impl Handler<Deliver> for DispatcherActor {
    type Result = ();

    fn handle(&mut self, news: Deliver, _: &mut Self::Context) {
        if let Some(dispatcher) = self.dispatcher.upgrade() {
            dispatcher.deliver(news);
        }
    }
}
