//! The hub's counterpart on a worker thread: it takes what topics deliver, keeps the feeds in use there, and watches
//! the thread's sessions from outside (a stalled session's own timers don't run).

use super::close::End;
use super::feed::Feed;
use super::outbox::Outbox;
use super::reading::Reading;
use super::rings::Rings;
use super::socket::Connection;
use super::tally::Tally;
use crate::core::frame::{FormKey, View};
use crate::core::topic::TopicKey;
use crate::hub::{Deliver, Hub, Subscribe, Unsubscribe};
use actix::{Actor, Addr, AsyncContext, Context, Handler};
use slab::Slab;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Chunks waiting on a worker thread. One that doesn't fit leaves a hole that its readers fill from the archive.
const MAILBOX: usize = 4096;

/// Settings of all outlets.
#[derive(Clone, Debug)]
pub struct OutletConfig {
    /// Bytes of one ring.
    pub ring_bytes: usize,
    /// Events of one ring.
    pub ring_events: usize,
    /// Bytes of all rings of the node.
    pub rings_bytes: usize,
    /// Seconds for which a client may take less than `least_bytes` a second while something waits.
    pub stall_seconds: u64,
    /// Bytes a second that a client must take while something waits.
    pub least_bytes: u64,
    /// Seconds for which a socket may be silent.
    pub idle_seconds: u64,
    /// Seconds between two positions that no event carries.
    pub position_seconds: u64,
}

thread_local! {
    static OF_THIS_THREAD: OnceCell<Rc<Outlet>> = const { OnceCell::new() };
}

/// See the module.
pub struct Outlet {
    hub: Hub,
    config: OutletConfig,
    actor: OnceCell<Addr<OutletActor>>,
    feeds: RefCell<HashMap<(TopicKey, FormKey), Rc<Feed>>>,
    rings: Rings,
    sessions: RefCell<Slab<Watched>>,
    /// Seconds that this thread has run: a clock that costs nothing to read, and that stands still with the process. What
    /// others did meanwhile is read before any of it counts against them.
    now: Cell<u64>,
    /// When the last of these seconds ended.
    ticked: Cell<Instant>,
    /// The last of these seconds was a pause, for which nobody was judged.
    paused: Cell<bool>,
    draining: Cell<bool>,
    subscriptions: metrics::Gauge,
    tallies: RefCell<Vec<Rc<Tally>>>,
}

/// Keeps a feed in use until somebody listens to it.
pub struct Held {
    outlet: Rc<Outlet>,
    feed: Rc<Feed>,
}

impl Held {
    /// The feed.
    pub fn feed(&self) -> &Rc<Feed> {
        &self.feed
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.feed.let_go();
        self.outlet.release(&self.feed);
    }
}

/// The watch over a session; ends when dropped.
pub struct Watch {
    outlet: Rc<Outlet>,
    place: usize,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.outlet.unwatch(self.place);
    }
}

/// What shows that a client is alive, by the nature of its transport. Who doesn't show it is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Liveness {
    /// Read what waits, and be heard from: a WebSocket, which has heartbeats.
    ReadAndSpeak,
    /// Read what waits: an event stream.
    Read,
    /// Be heard from: a long poll. Between its polls it reads nothing, and that means nothing.
    Speak,
}

impl Liveness {
    fn must_read(self) -> bool {
        self != Self::Speak
    }

    fn must_speak(self) -> bool {
        self != Self::Read
    }
}

/// A session as the watchdog sees it.
struct Watched {
    outbox: Rc<Outbox>,
    reading: Option<Reading>,
    liveness: Liveness,
    /// Second at which an ending session is cut off.
    cut_at: Option<u64>,
}

/// Seconds that an ending session has to take its last words.
const FAREWELL_SECONDS: u64 = 3;
/// Seconds for which something has to wait before it is asked how much the client takes.
pub(super) const LOOK_AFTER: u64 = 2;
/// Longest wait for a topic to say where it starts.
const START_WITHIN: Duration = Duration::from_secs(5);
/// A second that took longer was a pause of this thread.
const PAUSE: Duration = Duration::from_millis(1500);

impl Outlet {
    /// The outlet of this worker thread, started at the first call.
    pub fn of_this_thread(hub: &Hub, config: &OutletConfig) -> Rc<Self> {
        OF_THIS_THREAD.with(|cell| cell.get_or_init(|| Self::start(hub.clone(), config.clone())).clone())
    }

    fn start(hub: Hub, config: OutletConfig) -> Rc<Self> {
        let outlet = Rc::new(Self {
            hub,
            rings: Rings::new(config.rings_bytes),
            config,
            actor: OnceCell::new(),
            feeds: RefCell::default(),
            sessions: RefCell::default(),
            now: Cell::new(0),
            ticked: Cell::new(Instant::now()),
            paused: Cell::new(false),
            draining: Cell::new(false),
            subscriptions: metrics::gauge!(crate::metric::SUBSCRIPTIONS),
            tallies: RefCell::default(),
        });
        let actor = OutletActor { outlet: Rc::downgrade(&outlet) }.start();
        outlet.hub.register_outlet(actor.clone().recipient());
        let _ = outlet.actor.set(actor);
        outlet
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

    /// The topic's feed in that view; subscribes to the topic if it is the first on this thread.
    pub fn feed(&self, topic: TopicKey, view: View) -> Rc<Feed> {
        let key = (topic.clone(), view.key().clone());
        if let Some(feed) = self.feeds.borrow().get(&key) {
            return feed.clone();
        }
        let feed = Rc::new(Feed::new(topic, view));
        self.feeds.borrow_mut().insert(key, feed.clone());
        self.subscribe(&feed);
        feed
    }

    fn subscribe(&self, feed: &Feed) {
        if let Some(actor) = self.actor.get() {
            let outlet = actor.clone().recipient();
            self.hub.registry().do_send(Subscribe { topic: feed.topic().clone(), view: feed.view().clone(), outlet });
        }
    }

    /// As [`Outlet::feed`], kept while it is held, and with a topic that has said where it starts. `None` where it does not
    /// in time.
    pub async fn hold(self: &Rc<Self>, topic: TopicKey, view: View) -> Option<Held> {
        let feed = self.feed(topic, view);
        feed.hold();
        let held = Held { outlet: self.clone(), feed };
        timeout(START_WITHIN, held.feed.started()).await.ok()?;
        Some(held)
    }

    /// A subscription ended: the feed goes with its last.
    pub(super) fn release(&self, feed: &Rc<Feed>) {
        if !feed.is_unused() || self.feeds.borrow_mut().remove(&feed.key()).is_none() {
            return;
        }
        self.rings.drop_feed(feed);
        if let Some(actor) = self.actor.get() {
            let (topic, form) = feed.key();
            self.hub.registry().do_send(Unsubscribe { topic, form, outlet: actor.clone().recipient() });
        }
    }

    /// Watches a session until [`Outlet::unwatch`].
    pub(super) fn watch(&self, outbox: Rc<Outbox>, connection: Option<Connection>, liveness: Liveness) -> usize {
        if self.draining.get() {
            outbox.finish(End::Drain);
        }
        self.hub.info().connections.fetch_add(1, Ordering::Relaxed);
        let reading = connection.map(Reading::new);
        self.sessions.borrow_mut().insert(Watched { outbox, reading, liveness, cut_at: None })
    }

    /// The session has said its last words; its connection may serve other requests.
    pub(super) fn let_go(&self, place: usize) {
        if let Some(reading) = self.sessions.borrow_mut().get_mut(place).and_then(|session| session.reading.as_mut()) {
            reading.rest();
        }
    }

    /// Watches a session without a connection of its own, such as a long poll.
    pub fn watch_silently(self: &Rc<Self>, outbox: Rc<Outbox>) -> Watch {
        Watch { place: self.watch(outbox, None, Liveness::Speak), outlet: self.clone() }
    }

    /// The session is over.
    pub(super) fn unwatch(&self, place: usize) {
        if self.sessions.borrow_mut().try_remove(place).is_some() {
            self.hub.info().connections.fetch_sub(1, Ordering::Relaxed);
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

    /// Changes what the ring of a feed in use holds.
    fn change(&self, topic: TopicKey, form: FormKey, change: impl FnOnce(&Feed)) {
        let feed = self.feeds.borrow().get(&(topic, form)).cloned();
        if let Some(feed) = feed {
            change(&feed);
            self.rings.changed(&feed);
        }
    }

    fn deliver(&self, news: Deliver) {
        let (ring_bytes, ring_events) = (self.config.ring_bytes, self.config.ring_events);
        match news {
            Deliver::Start { topic, form, next_seq } => {
                self.change(topic, form, |feed| feed.start(next_seq, ring_bytes, ring_events));
            }
            Deliver::Chunk { topic, form, chunk } => {
                self.change(topic, form, |feed| feed.push(chunk, ring_bytes, ring_events));
            }
            #[cfg(feature = "failpoints")]
            Deliver::Early(topic, event) => {
                for feed in self.feeds.borrow().values().filter(|feed| {
                    feed.topic().stream == topic && feed.topic().selector.matches(event.subject.as_str())
                }) {
                    feed.push_early(event.clone(), ring_bytes, ring_events);
                }
            }
            Deliver::Removed { topic, form } => self.change(topic, form, Feed::forget_removed),
            Deliver::Lost(topic) => {
                let feeds: Vec<_> =
                    self.feeds.borrow().values().filter(|feed| *feed.topic() == topic).cloned().collect();
                for feed in &feeds {
                    // What the lost one had still to tell was perhaps that events were removed.
                    feed.forget_removed();
                    self.rings.changed(feed);
                    self.subscribe(feed);
                }
            }
            Deliver::TokenGone(token) => self.end_those(End::Revoked, |outbox| outbox.token() == Some(token)),
            Deliver::MapGone(map) => self.end_those(End::Revoked, |outbox| outbox.is_on(map)),
            Deliver::Rules(map) => self.end_those(End::Rules, |outbox| outbox.is_moved_by(&map)),
            Deliver::Drain => {
                self.draining.set(true);
                self.end_those(End::Drain, |_| true);
            }
            Deliver::Stay => self.draining.set(false),
        }
    }

    fn end_those(&self, end: End, which: impl Fn(&Outbox) -> bool) {
        for (_, session) in self.sessions.borrow().iter().filter(|(_, session)| which(&session.outbox)) {
            session.outbox.finish(end);
        }
    }

    /// Once a second: a client that takes too little or says nothing is ended, one that doesn't go is cut off. After a
    /// pause of this thread nobody is judged: what came meanwhile is read first.
    fn watchdog(&self) {
        let now = self.now.get() + 1;
        self.now.set(now);
        self.tallies.borrow().iter().for_each(|tally| tally.flush());
        self.rings.keep_to_share();
        let paused = self.ticked.replace(Instant::now()).elapsed() > PAUSE;
        // On a machine where each second is late somebody has to be judged all the same.
        if paused && !self.paused.replace(paused) {
            return;
        }
        self.paused.set(false);
        for (_, session) in self.sessions.borrow_mut().iter_mut() {
            session.look(now, &self.config);
        }
    }
}

impl Watched {
    fn look(&mut self, now: u64, config: &OutletConfig) {
        let outbox = &self.outbox;
        if outbox.ending().is_some() {
            let cut_at = *self.cut_at.get_or_insert(now + FAREWELL_SECONDS);
            if now >= cut_at
                && let Some(reading) = &self.reading
            {
                reading.cut();
            }
        } else if self.liveness.must_read() && self.is_too_slow(now, config) {
            self.outbox.finish(End::TooSlow);
        } else if self.is_silent(now, config) {
            self.outbox.finish(End::Idle);
        } else if self.outbox.position_due().is_some_and(|due| now >= due) {
            self.outbox.wake();
        }
    }

    /// While a write waits for the client its session is not polled: what the client says lies unread, and its pace alone
    /// is judged.
    fn is_silent(&self, now: u64, config: &OutletConfig) -> bool {
        let since = self.outbox.waiting_since().filter(|_| self.liveness.must_read());
        let is_held_up = since.is_some_and(|since| now.saturating_sub(since) >= LOOK_AFTER);
        let silent = now.saturating_sub(self.outbox.heard_at()) > config.idle_seconds;
        self.liveness.must_speak() && silent && !is_held_up
    }

    fn is_too_slow(&mut self, now: u64, config: &OutletConfig) -> bool {
        let since = self.outbox.waiting_since();
        self.reading.as_mut().is_some_and(|reading| reading.is_too_slow(now, since, config))
    }
}

/// The actor's side of an outlet.
struct OutletActor {
    outlet: Weak<Outlet>,
}

impl Actor for OutletActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        Self::tick_later(ctx);
    }
}

impl OutletActor {
    /// One tick after the other: an interval would make up for those that a pause of the process has swallowed.
    fn tick_later(ctx: &mut Context<Self>) {
        ctx.run_later(Duration::from_secs(1), |actor, ctx| {
            if let Some(outlet) = actor.outlet.upgrade() {
                outlet.watchdog();
                Self::tick_later(ctx);
            }
        });
    }
}

impl Handler<Deliver> for OutletActor {
    type Result = ();

    fn handle(&mut self, news: Deliver, _: &mut Self::Context) {
        if let Some(outlet) = self.outlet.upgrade() {
            outlet.deliver(news);
        }
    }
}
