//! The subscriptions of one client, each with a cursor into a topic view, and the client's farewell.
//!
//! A subscriber holds no events. It reads them from the topic view's ring, or in pages from the archive if
//! the subscription is behind the ring. It lives on one worker thread, where the session, the body that
//! writes and the dispatcher that watches and writes share it.

mod direct;
mod reader;
mod subscription;
mod subscriptions;
mod watched;

pub(super) use direct::Direct;

use super::close::End;
use super::deflate::Compression;
use super::dispatcher::{Dispatcher, Watch};
use super::position::Unseen;
use super::silence::Silence;
use super::topic_view::TopicView;
use crate::core::channel_rules::Coverage;
use crate::core::filter::Filter;
use crate::core::frame::FormKey;
use crate::core::history::Position;
use crate::core::ids::{MapId, SocketId, TokenId};
use crate::core::issuer::Client;
use crate::core::ring::Cursor;
use crate::core::topic::TopicKey;
use crate::hub::Who;
use bytes::Bytes;
use std::any::Any;
use std::cell::{Cell, OnceCell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use subscription::{Behind, Subscription, Take};
use subscriptions::Subscriptions;

/// Names a subscription within its subscriber.
pub type SubscriptionId = u64;

/// The subscriptions of one client. It lives as long as the client's session.
pub struct Subscriber {
    dispatcher: Rc<Dispatcher>,
    /// The token that opened the session. `None` if the admin opened it, or if nobody has authenticated yet.
    token: Cell<Option<TokenId>>,
    /// The client whose client token opened the session, or replaced the one that did.
    client: RefCell<Option<Arc<Client>>>,
    /// The user that the client has signed in as, in a protocol that has users.
    user: OnceCell<Arc<str>>,
    /// The client's socket, if its protocol names one, and its former ones. It gets none of the events that one
    /// of them sent.
    sockets: RefCell<Vec<SocketId>>,
    /// How the client's events are compressed.
    compression: Cell<Compression>,
    /// Wakes the session's task.
    waker: RefCell<Option<Waker>>,
    /// The session's task runs the session's own part. It looks for events before it sleeps.
    is_in_its_task: Cell<bool>,
    subscriptions: RefCell<Subscriptions>,
    next_id: Cell<SubscriptionId>,
    /// The dispatcher's second since which something waits for the client.
    waiting_since: Cell<Option<u64>>,
    /// Whether a subscription wants positions that no event carries.
    wants_positions: Cell<bool>,
    /// The dispatcher's way to the client's socket, if it has one.
    direct: OnceCell<Direct>,
    /// The dispatcher is about to write to the client's socket.
    is_about_to_be_served: Cell<bool>,
    silence: Silence,
    /// The dispatcher's second in which the session began or lost its last subscription.
    unused_at: Cell<u64>,
    /// Whether the session may be without a subscription for as long as it likes.
    may_be_unused: Cell<bool>,
    /// Why the session ends. `None` as long as it goes on.
    end: Cell<Option<End>>,
    farewell: RefCell<Option<Farewell>>,
    /// About how many bytes are handed to the connection at once, at most.
    max_write_bytes: usize,
    /// A value that lives as long as the session.
    held: RefCell<Option<Box<dyn Any>>>,
    /// Whether something for the client had no room.
    overfull: RefCell<Option<Overfull>>,
}

/// Makes the last bytes that the protocol sends.
type Farewell = Box<dyn Fn(End) -> Bytes>;

/// Tells whether something for the client had no room, so that its session must end.
type Overfull = Box<dyn Fn() -> bool>;

/// What a subscription covers.
pub struct Of {
    /// The map.
    pub map: MapId,
    /// What the map's channel rules said when the subscription was opened.
    pub coverage: Coverage,
    /// Which types of events.
    pub filter: Filter,
    /// Counts against the map's limits as long as the subscription lives.
    pub held: Option<Rc<dyn Any>>,
}

impl Subscriber {
    /// A subscriber for a session that `who` opened. It hands over at most about `max_write_bytes` at once.
    pub fn new(dispatcher: &Rc<Dispatcher>, who: &Who, max_write_bytes: usize) -> Rc<Self> {
        let subscriber = Self::of_stranger(dispatcher, max_write_bytes);
        subscriber.set_opener(who);
        subscriber
    }

    /// A subscriber for a session of which nobody has said yet who opens it.
    pub fn of_stranger(dispatcher: &Rc<Dispatcher>, max_write_bytes: usize) -> Rc<Self> {
        Rc::new(Self {
            dispatcher: dispatcher.clone(),
            token: Cell::new(None),
            client: RefCell::default(),
            user: OnceCell::new(),
            sockets: RefCell::default(),
            compression: Cell::default(),
            waker: RefCell::default(),
            is_in_its_task: Cell::new(false),
            subscriptions: RefCell::default(),
            next_id: Cell::new(0),
            waiting_since: Cell::new(None),
            wants_positions: Cell::new(false),
            direct: OnceCell::new(),
            is_about_to_be_served: Cell::new(false),
            silence: Silence::new(dispatcher.now()),
            unused_at: Cell::new(dispatcher.now()),
            may_be_unused: Cell::new(false),
            end: Cell::new(None),
            farewell: RefCell::default(),
            max_write_bytes,
            held: RefCell::default(),
            overfull: RefCell::default(),
        })
    }

    /// The client has said who it is, or has done so anew: from now on, the session ends when that token does.
    pub fn set_opener(&self, who: &Who) {
        self.token.set(who.by());
        self.set_client(who.client().cloned());
    }

    /// Names the client's socket, and those that it had before. From now on, no subscription hands over an event
    /// that one of them sent.
    pub fn set_sockets(&self, own: SocketId, former: &[SocketId]) {
        *self.sockets.borrow_mut() = [&[own], former].concat();
    }

    /// The client has signed in as that user. It does so once.
    pub(crate) fn set_user(&self, user: Arc<str>) {
        let _ = self.user.set(user);
    }

    /// The client has presented a newer client token: the session ends when that one does.
    pub fn set_client(&self, client: Option<Arc<Client>>) {
        *self.client.borrow_mut() = client;
    }

    /// From now on, the session may be without a subscription for as long as it likes.
    pub fn keep_unused(&self) {
        self.may_be_unused.set(true);
    }

    /// Keeps a value until the session is over.
    pub fn hold(&self, held: impl Any) {
        *self.held.borrow_mut() = Some(Box::new(held));
    }

    /// Sets the function that makes the session's last bytes when the server ends it.
    pub fn set_farewell(&self, farewell: impl Fn(End) -> Bytes + 'static) {
        *self.farewell.borrow_mut() = Some(Box::new(farewell));
    }

    /// The client has agreed to this in its handshake.
    pub(super) fn set_compression(&self, compression: Compression) {
        self.compression.set(compression);
    }

    /// How the client's events are compressed.
    pub(crate) fn compression(&self) -> Compression {
        self.compression.get()
    }

    /// From now on, the session ends when `overfull` says that something for the client had no room.
    pub(super) fn end_when_overfull(&self, overfull: impl Fn() -> bool + 'static) {
        *self.overfull.borrow_mut() = Some(Box::new(overfull));
    }

    /// From now on, the session asks a silent client for a sign of life (see [`Subscriber::poll_ask`]).
    pub(super) fn ask_after(&self, after: Duration) {
        self.silence.ask_after(after);
    }

    /// Ready when the session is to ask its client for a sign of life.
    pub(super) fn poll_ask(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.silence.poll_ask(self.dispatcher.now(), cx)
    }

    /// The id of a subscription that is about to be opened.
    pub fn new_subscription(&self) -> SubscriptionId {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        id
    }

    /// Sends the topic view's matching events from the position on. With `positions` it also sends the
    /// subscription's position where the filter lets nothing through.
    pub fn subscribe(
        self: &Rc<Self>,
        id: SubscriptionId,
        topic_view: Rc<TopicView>,
        of: Of,
        position: &Position,
        positions: bool,
    ) {
        let next_seq = position.next_seq + u64::from(crate::failpoint!("event-dropped", 5));
        let next_seq = next_seq - u64::from(next_seq > 1 && crate::failpoint!("event-doubled", 5));
        self.add(id, topic_view, of, (next_seq, position.gone_seq), self.position_every(positions));
    }

    /// Sends the topic view's matching ephemeral events from `next_seq` on, a position of this node.
    pub fn follow(self: &Rc<Self>, id: SubscriptionId, topic_view: Rc<TopicView>, of: Of, next_seq: u64) {
        self.add(id, topic_view, of, (next_seq, 0), None);
    }

    fn add(
        self: &Rc<Self>,
        id: SubscriptionId,
        topic_view: Rc<TopicView>,
        of: Of,
        (next_seq, gone_seq): (u64, u64),
        position_every: Option<u64>,
    ) {
        let Of { map, coverage, filter, held } = of;
        let place = self.subscriptions.borrow().next_place();
        let (audience, slot) = topic_view.listen(filter, self.clone(), place);
        let handout = topic_view.subscribed().newest();
        self.subscriptions.borrow_mut().add(Subscription {
            id,
            map,
            coverage,
            topic_view,
            audience,
            slot,
            first_seq: next_seq,
            gone_seq,
            cursor: Cursor::at(next_seq),
            handout,
            behind: Behind::No,
            unseen: Unseen::new(position_every),
            is_held: false,
            is_waiting: false,
            _held: held,
        });
        self.dispatcher.count_subscription(1.0);
        self.wake();
    }

    /// Seconds between two positions of a subscription that wants some.
    fn position_every(&self, positions: bool) -> Option<u64> {
        if positions {
            self.wants_positions.set(true);
        }
        positions.then(|| self.dispatcher.position_seconds())
    }

    /// Continues a subscription in place of a new one that would begin at `next_seq`. This works if the
    /// subscription has the same topic view and filter, began no later, and has handed over everything before
    /// `next_seq` to the client. Returns the seq at which it goes on: everything from `next_seq` up to there
    /// was handed over already. The subscription hands over nothing more until [`Subscriber::go_on`].
    pub fn hold_at(
        &self,
        id: SubscriptionId,
        shows: &(TopicKey, FormKey),
        filter: &Filter,
        next_seq: u64,
        positions: bool,
    ) -> Option<u64> {
        let every = self.position_every(positions);
        let mut subscriptions = self.subscriptions.borrow_mut();
        let (topic, form) = shows;
        // One that has ephemeral events, too, has a second one of that id.
        let mut of_topic = subscriptions.iter_mut().filter(|known| known.topic_view.topic() == topic);
        let known = of_topic.find(|known| known.id == id)?;
        known.pass(known.audience.quiet());
        let same = known.topic_view.view().key() == form && known.audience.filter() == filter;
        let handed_over = (known.first_seq..=known.cursor.next_seq).contains(&next_seq);
        if !same || !handed_over {
            return None;
        }
        known.unseen.set_every(every);
        known.is_held = true;
        Some(known.cursor.next_seq)
    }

    /// Lets a held subscription go on.
    pub fn go_on(&self, id: SubscriptionId) {
        self.subscriptions.borrow_mut().stir_those(|known| {
            let goes_on = known.id == id;
            known.is_held &= !goes_on;
            goes_on
        });
        self.wake();
    }

    /// Ends a subscription.
    pub fn unsubscribe(&self, id: SubscriptionId) {
        let remove = || self.subscriptions.borrow_mut().remove(id);
        while let Some(gone) = remove() {
            self.release(&gone);
        }
        self.unused_at.set(self.dispatcher.now());
    }

    /// Ends all subscriptions, because the session is over.
    pub fn clear(&self) {
        for gone in self.subscriptions.take().into_all() {
            self.release(&gone);
        }
        self.held.take();
    }

    fn release(&self, gone: &Subscription) {
        gone.topic_view.unlisten(&gone.audience, gone.slot);
        self.dispatcher.release(&gone.topic_view);
        self.dispatcher.count_subscription(-1.0);
    }

    /// Notes that the client sent something.
    pub fn heard(&self) {
        self.silence.heard(self.dispatcher.now());
    }

    /// Ends the session. The farewell is the last thing that it sends.
    pub fn finish(&self, end: End) {
        if self.end.get().is_none() {
            self.end.set(Some(end));
            metrics::counter!(crate::metric::CLOSED, "reason" => end.label()).increment(1);
            if end == End::FellOut {
                metrics::counter!(crate::metric::MISSED, "reason" => "ephemeral").increment(1);
            }
        }
        self.wake();
    }

    /// Why the session ends, if it does.
    pub fn ending(&self) -> Option<End> {
        self.end.get()
    }

    /// The last bytes of an ending session.
    pub(super) fn last_words(&self, end: End) -> Bytes {
        self.farewell.borrow().as_ref().map(|farewell| farewell(end)).unwrap_or_default()
    }

    /// Makes the dispatcher watch a session that has no connection of its own, such as a long poll, whose
    /// requests come from that address. With the protocol comes what the client calls itself.
    pub fn watch_silently(
        self: &Rc<Self>,
        (protocol, agent): (&'static str, Option<&str>),
        address: IpAddr,
    ) -> Watch {
        self.dispatcher.watch_silently(self.clone(), (protocol, agent), address)
    }

    /// Polls the session's own part, in the session's task. What that does to the subscriptions does not wake the
    /// task: whoever polls looks for the session's end and for events before the task sleeps.
    pub(super) fn in_its_task<T>(&self, poll: impl FnOnce() -> T) -> T {
        self.is_in_its_task.set(true);
        let polled = poll();
        self.is_in_its_task.set(false);
        polled
    }

    /// There may be something to send, or the session ends: wakes the session's task. A subscription that may have
    /// something is stirred before ([`Subscriptions::stir`]).
    pub(super) fn wake(&self) {
        if self.waiting_since.get().is_none() {
            self.waiting_since.set(Some(self.dispatcher.now()));
        }
        if self.is_in_its_task.get() {
            return;
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Bytes were handed to the connection. Until it has room again, they wait for the client.
    pub(super) fn handed_over(&self) {
        self.waiting_since.set(Some(self.dispatcher.now()));
    }

    /// The next bytes for the client. A call means that the connection has room.
    pub fn poll_frames(&self, cx: &mut Context<'_>) -> Poll<Result<Bytes, End>> {
        let taken = self.take(Some(cx));
        match taken {
            Take::Frames(bytes) => {
                self.handed_over();
                self.dispatcher.handouts().settle();
                Poll::Ready(Ok(bytes))
            }
            Take::End(end) => Poll::Ready(Err(end)),
            Take::Nothing | Take::Reading | Take::Behind => {
                self.waiting_since.set(None);
                let mut waker = self.waker.borrow_mut();
                if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
                    *waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    /// Takes what a subscription can send now. `cx` as in [`Subscription::take`].
    fn take(&self, mut cx: Option<&mut Context<'_>>) -> Take {
        let sockets = self.sockets.borrow();
        let most = (&sockets[..], self.max_write_bytes);
        let ask = |asked: &mut Subscription| asked.take(&self.dispatcher, most, cx.as_deref_mut());
        self.subscriptions.borrow_mut().take(ask)
    }
}

#[cfg(test)]
mod tests;
