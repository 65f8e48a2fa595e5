//! The hub's counterpart on a worker thread: it takes what topics deliver, keeps the topic views in use there, and watches
//! the thread's sessions from outside (a stalled session's own timers don't run).

use super::close::End;
use super::rings::Rings;
use super::settings::DispatcherConfig;
use super::socket::Connection;
use super::tally::Tally;
use super::topic_view::TopicView;
use super::watchdog::{Liveness, Session, Watched};
use crate::core::frame::{FormKey, View};
use crate::core::topic::TopicKey;
use crate::hub::{Deliver, Hub};
use actix::{Actor, Addr, AsyncContext, Context, Handler};
use slab::Slab;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Chunks waiting on a worker thread. One that doesn't fit leaves a hole that its readers fill from the archive.
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
    sessions: RefCell<Slab<Watched>>,
    /// Seconds that this thread has run: a clock that costs nothing to read, and that stands still with the process. What
    /// others did meanwhile is read before any of it counts against them.
    now: Cell<u64>,
    /// When the last of these seconds ended.
    ticked: Cell<Instant>,
    /// The last of these seconds was a pause, for which nobody was checked.
    paused: Cell<bool>,
    draining: Cell<bool>,
    subscriptions: metrics::Gauge,
    tallies: RefCell<Vec<Rc<Tally>>>,
}

/// Keeps a topic view in use until somebody listens to it.
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
        self.topic_view.let_go();
        self.dispatcher.release(&self.topic_view);
    }
}

/// The watch over a session; ends when dropped.
pub struct Watch {
    dispatcher: Rc<Dispatcher>,
    place: usize,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.dispatcher.unwatch(self.place);
    }
}

/// Longest wait for a topic to say where it starts.
const START_WITHIN: Duration = Duration::from_secs(5);
/// A second that took longer was a pause of this thread.
const PAUSE: Duration = Duration::from_millis(1500);

impl Dispatcher {
    /// The dispatcher of this worker thread, started at the first call.
    pub fn of_this_thread(hub: &Hub, config: &DispatcherConfig) -> Rc<Self> {
        OF_THIS_THREAD.with(|cell| cell.get_or_init(|| Self::start(hub.clone(), config.clone())).clone())
    }

    fn start(hub: Hub, config: DispatcherConfig) -> Rc<Self> {
        let dispatcher = Rc::new(Self {
            hub,
            rings: Rings::new(config.rings_bytes),
            config,
            actor: OnceCell::new(),
            topic_views: RefCell::default(),
            sessions: RefCell::default(),
            now: Cell::new(0),
            ticked: Cell::new(Instant::now()),
            paused: Cell::new(false),
            draining: Cell::new(false),
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

    /// Seconds between two positions that no event carries.
    pub(super) fn position_seconds(&self) -> u64 {
        self.config.position_seconds
    }

    /// The topic's topic view in that view; subscribes to the topic if it is the first on this thread.
    pub fn topic_view(&self, topic: TopicKey, view: View) -> Rc<TopicView> {
        let key = (topic.clone(), view.key().clone());
        if let Some(topic_view) = self.topic_views.borrow().get(&key) {
            return topic_view.clone();
        }
        let topic_view = Rc::new(TopicView::new(topic, view));
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

    /// As [`Dispatcher::topic_view`], kept while it is held, and with a topic that has said where it starts. `None` where it does not
    /// in time.
    pub async fn hold(self: &Rc<Self>, topic: TopicKey, view: View) -> Option<Held> {
        let topic_view = self.topic_view(topic, view);
        topic_view.hold();
        let held = Held { dispatcher: self.clone(), topic_view };
        timeout(START_WITHIN, held.topic_view.started()).await.ok()?;
        Some(held)
    }

    /// A subscription ended: the topic view goes with its last.
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

    /// Watches a session until [`Dispatcher::unwatch`].
    pub(super) fn watch(
        &self,
        session: Rc<dyn Session>,
        connection: Option<Connection>,
        liveness: Liveness,
    ) -> usize {
        if self.draining.get() {
            session.finish(End::Drain);
        }
        self.hub.health().connection_opened();
        self.sessions.borrow_mut().insert(Watched::new(session, connection, liveness))
    }

    /// The session has said its last words; its connection may serve other requests.
    pub(super) fn let_go(&self, place: usize) {
        if let Some(session) = self.sessions.borrow_mut().get_mut(place) {
            session.rest();
        }
    }

    /// Watches a session without a connection of its own, such as a long poll.
    pub(super) fn watch_silently(self: &Rc<Self>, session: Rc<dyn Session>) -> Watch {
        Watch { place: self.watch(session, None, Liveness::Speak), dispatcher: self.clone() }
    }

    /// The session is over.
    pub(super) fn unwatch(&self, place: usize) {
        if self.sessions.borrow_mut().try_remove(place).is_some() {
            self.hub.health().connection_closed();
        }
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

    /// Changes what the ring of a topic view in use holds.
    fn change(&self, topic: TopicKey, form: FormKey, change: impl FnOnce(&TopicView)) {
        let topic_view = self.topic_views.borrow().get(&(topic, form)).cloned();
        if let Some(topic_view) = topic_view {
            change(&topic_view);
            self.rings.changed(&topic_view);
        }
    }

    fn deliver(&self, news: Deliver) {
        let (ring_bytes, ring_events) = (self.config.ring_bytes, self.config.ring_events);
        match news {
            Deliver::Start { topic, form, next_seq } => {
                self.change(topic, form, |topic_view| topic_view.start(next_seq, ring_bytes, ring_events));
            }
            Deliver::Chunk { topic, form, chunk } => {
                self.change(topic, form, |topic_view| topic_view.push(chunk, ring_bytes, ring_events));
            }
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
                    // What the lost one had still to tell was perhaps that events were removed.
                    topic_view.forget_removed();
                    self.rings.changed(topic_view);
                    self.subscribe(topic_view);
                }
            }
            Deliver::TokenGone(token) => {
                self.end_those(End::Revoked, |session| session.token() == Some(token))
            }
            Deliver::MapGone(map) => self.end_those(End::Revoked, |session| session.is_on(map)),
            Deliver::Rules(map) => self.end_those(End::Rules, |session| session.is_moved_by(&map)),
            Deliver::Drain => {
                self.draining.set(true);
                self.end_those(End::Drain, |_| true);
            }
            Deliver::Stay => self.draining.set(false),
        }
    }

    fn end_those(&self, end: End, which: impl Fn(&dyn Session) -> bool) {
        for (_, watched) in self.sessions.borrow().iter().filter(|(_, watched)| which(watched.session())) {
            watched.session().finish(end);
        }
    }

    /// Once a second: a client that takes too little or says nothing is ended, one that doesn't go is cut off. After a
    /// pause of this thread nobody is checked: what came meanwhile is read first.
    fn watchdog(&self) {
        let now = self.now.get() + 1;
        self.now.set(now);
        self.tallies.borrow().iter().for_each(|tally| tally.flush());
        self.rings.keep_to_share();
        let paused = self.ticked.replace(Instant::now()).elapsed() > PAUSE;
        // On a machine where each second is late somebody has to be checked all the same.
        if paused && !self.paused.replace(paused) {
            return;
        }
        self.paused.set(false);
        for (_, session) in self.sessions.borrow_mut().iter_mut() {
            session.look(now, &self.config);
        }
    }
}

/// The actor's side of a dispatcher.
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
    /// One tick after the other: an interval would make up for those that a pause of the process has swallowed.
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
