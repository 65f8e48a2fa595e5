//! The actor of one long poll's session. It holds the session's messages between the polls that fetch them.
//!
//! One poll waits at a time, and a newer poll ends it at once. The session drops messages only when a poll
//! shows that the client has them ([`Batches`]).

use super::super::session::PhoenixSession;
use super::super::settings::LongPollConfig;
use super::batch::{Batch, Batches, Due};
use super::{Answer, PollSession, Push, PushSession};
use crate::delivery::{Allowance, End, FLOOD, Incoming, Link, Next, Note, Protocol, Subscriber, Watch};
use crate::edge::sessions::MOST_LONG_POLLS;
use actix::prelude::{ActorFutureExt, WrapFuture};
use actix::{
    Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message, ResponseFuture, StreamHandler,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream;
use rustc_hash::FxHashMap;
use serde_json::json;
use std::cell::{Cell, RefCell};
use std::future::{poll_fn, ready};
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::task::{Poll as TaskPoll, Waker};
use std::time::Duration;
use tokio::sync::oneshot;

/// The name of the protocol.
const PROTOCOL: &str = "longpoll";
/// Messages of one POST that are handled in a turn of the worker thread.
const PUSHES_PER_TURN: usize = 16;

/// The sessions of a node by their secrets.
#[derive(Default)]
pub(in crate::edge::phoenix) struct LongPolls(Mutex<Known>);

#[derive(Default)]
struct Known {
    sessions: FxHashMap<u128, Addr<Session>>,
    /// When this many sessions are known, those that have ended are removed.
    sweep_at: usize,
}

impl LongPolls {
    pub(super) fn get(&self, secret: u128) -> Option<Addr<Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).sessions.get(&secret).cloned()
    }

    /// Adds a session. `false` if there is no room for one more.
    pub(super) fn insert(&self, secret: u128, session: Addr<Session>) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.sessions.len() >= known.sweep_at {
            known.sessions.retain(|_, session| session.connected());
            known.sweep_at = (2 * known.sessions.len() + 64).min(MOST_LONG_POLLS);
        }
        let room = known.sessions.len() < MOST_LONG_POLLS;
        if room {
            known.sessions.insert(secret, session);
        }
        room
    }
}

/// The actor of one long poll's session. It lives from the first poll until it ends itself or the client is
/// silent for too long.
pub(super) struct Session {
    session: PhoenixSession,
    replies: Rc<Replies>,
    batches: Rc<RefCell<Batches>>,
    allowance: Allowance,
    /// Dropping this ends the waiting poll.
    waiting: Option<oneshot::Sender<()>>,
    watch: Option<Watch>,
    wait: Duration,
    /// Whether the session takes what comes into its mailbox.
    takes_notes: bool,
}

/// The session's messages since the last batch.
struct Replies {
    subscriber: Rc<Subscriber>,
    texts: RefCell<Vec<String>>,
    bytes: Cell<usize>,
    max_bytes: usize,
    waker: RefCell<Option<Waker>>,
}

impl Link for Rc<Replies> {
    /// Ends a client that lets too many bytes wait. The client then knows that it has to resume.
    fn text(&mut self, text: String) {
        self.bytes.set(self.bytes.get() + text.len());
        if self.bytes.get() > self.max_bytes {
            return self.subscriber.finish(End::TooSlow);
        }
        self.texts.borrow_mut().push(text);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Base64, as a client pushes binary messages.
    fn binary(&mut self, bytes: Bytes) {
        self.text(STANDARD.encode(bytes));
    }
}

impl Replies {
    fn take(&self) -> Vec<String> {
        self.bytes.set(0);
        self.texts.take()
    }
}

/// Ends the session.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Stop;

/// One message of the client.
#[derive(Message)]
#[rtype(result = "()")]
struct One(Push);

impl Session {
    /// Starts a session, which a client at that address has opened that calls itself so.
    pub(super) fn start_on(
        session: PhoenixSession,
        config: LongPollConfig,
        (address, agent): (IpAddr, Option<&str>),
    ) -> Addr<Self> {
        let subscriber = session.subscriber().clone();
        let watch = Some(subscriber.watch_silently((PROTOCOL, agent), address));
        let replies = Rc::new(Replies {
            subscriber,
            texts: RefCell::default(),
            bytes: Cell::new(0),
            max_bytes: config.reply_bytes,
            waker: RefCell::default(),
        });
        Self {
            session,
            replies,
            batches: Rc::default(),
            allowance: Allowance::new(config.rate),
            waiting: None,
            watch,
            wait: config.wait,
            takes_notes: false,
        }
        .start()
    }

    /// Whether the session has ended. If not, the client was heard.
    fn is_over(&self) -> bool {
        let subscriber = self.session.subscriber();
        let is_over = subscriber.ending().is_some();
        if !is_over {
            subscriber.heard();
        }
        is_over
    }

    fn poll(&mut self, seen: u64) -> ResponseFuture<Answer> {
        let due = self.batches.borrow_mut().poll(seen);
        match due {
            Due::Gone => Box::pin(ready(Answer::Gone)),
            Due::Again(batch) => Box::pin(ready(batch.into())),
            Due::Next => {
                let (waiting, superseded) = oneshot::channel();
                self.waiting = Some(waiting);
                let replies = self.replies.clone();
                let batches = self.batches.clone();
                let wait = self.wait;
                Box::pin(async move {
                    let answer = tokio::select! {
                        biased;
                        _ = superseded => Answer::Nothing,
                        answer = poll_fn(|cx| next_batch(&replies, &batches, cx)) => answer,
                        () = tokio::time::sleep(wait) => Answer::Nothing,
                    };
                    replies.subscriber.heard();
                    answer
                })
            }
        }
    }

    /// Continues after a message or a note.
    fn go_on(&mut self, next: Next<PhoenixSession>, ctx: &mut Context<Self>) {
        match next {
            Next::Done => self.take_notes(ctx),
            Next::Close(_, _) => ctx.stop(),
            Next::Await(pending) => {
                let resumed = pending.into_actor(self).map(|resume, actor, ctx| {
                    resume(&mut actor.session, &mut actor.replies.clone());
                    actor.take_notes(ctx);
                });
                ctx.wait(resumed);
            }
        }
    }

    /// Takes what comes into the mailbox, once there is one.
    fn take_notes(&mut self, ctx: &mut Context<Self>) {
        if self.takes_notes {
            return;
        }
        if let Some(mailbox) = self.session.mailbox().cloned() {
            self.takes_notes = true;
            ctx.add_stream(stream::poll_fn(move |cx| mailbox.poll_next(cx).map(Some)));
        }
    }

    /// Counts the messages, and handles them one after the other. The answer says how long the client must
    /// wait, so that it sends no more than it may.
    fn push(&mut self, pushes: Vec<Push>, address: Addr<Self>) -> ResponseFuture<Answer> {
        pushes.iter().for_each(|push| self.allowance.count(push.len()));
        let wait = self.allowance.wait().unwrap_or_default();
        if wait.is_zero() {
            self.allowance.rest();
        } else if wait > FLOOD || self.allowance.is_flooded() {
            self.session.subscriber().finish(End::Flood);
            return Box::pin(ready(Answer::Gone));
        }
        let wait_ms = wait.as_millis() as u64;
        Box::pin(async move {
            for (place, push) in pushes.into_iter().enumerate() {
                if place % PUSHES_PER_TURN == PUSHES_PER_TURN - 1 {
                    tokio::task::yield_now().await;
                }
                if address.send(One(push)).await.is_err() {
                    return Answer::Gone;
                }
            }
            Answer::Accepted { wait_ms }
        })
    }
}

impl Push {
    fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }
}

impl From<Batch> for Answer {
    fn from(batch: Batch) -> Self {
        Self::Batch { number: batch.number, messages: batch.messages.to_string() }
    }
}

impl Actor for Session {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(Duration::from_secs(1), |actor, ctx| {
            let subscriber = actor.session.subscriber();
            if subscriber.ending().is_some() {
                ctx.stop();
            } else if actor.waiting.as_ref().is_some_and(|waiting| !waiting.is_closed()) {
                // A client that waits for an answer can't send anything meanwhile.
                subscriber.heard();
            }
        });
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.session.subscriber().clear();
        self.waiting = None;
        self.watch = None;
    }
}

impl Handler<Stop> for Session {
    type Result = ();
    fn handle(&mut self, _: Stop, ctx: &mut Self::Context) {
        ctx.stop();
    }
}

impl Handler<One> for Session {
    type Result = ();

    /// Handles one message after another: while one awaits something, the mailbox waits.
    fn handle(&mut self, One(push): One, ctx: &mut Self::Context) {
        let message = match push {
            Push::Text(text) => Incoming::Text(text.into()),
            Push::Binary(bytes) => Incoming::Binary(bytes.into()),
        };
        let next = self.session.message(message, &mut self.replies.clone());
        self.go_on(next, ctx);
    }
}

impl StreamHandler<Note<<PhoenixSession as Protocol>::Note>> for Session {
    fn handle(&mut self, note: Note<<PhoenixSession as Protocol>::Note>, ctx: &mut Self::Context) {
        match note {
            Note::Next(note) => {
                let next = self.session.delivered(note, &mut self.replies.clone());
                self.go_on(next, ctx);
            }
            Note::Overfull => self.session.subscriber().finish(End::TooSlow),
        }
    }
}

impl Handler<PollSession> for Session {
    type Result = ResponseFuture<Answer>;

    fn handle(&mut self, PollSession { seen, .. }: PollSession, _: &mut Self::Context) -> Self::Result {
        if self.is_over() { Box::pin(ready(Answer::Gone)) } else { self.poll(seen) }
    }
}

impl Handler<PushSession> for Session {
    type Result = ResponseFuture<Answer>;

    fn handle(&mut self, push: PushSession, ctx: &mut Self::Context) -> Self::Result {
        if self.is_over() { Box::pin(ready(Answer::Gone)) } else { self.push(push.pushes, ctx.address()) }
    }
}

/// Puts replies first, then events, as on a socket. One batch has both: if there were always a reply, the
/// session would otherwise never send events.
fn next_batch(
    replies: &Replies,
    batches: &RefCell<Batches>,
    cx: &mut std::task::Context<'_>,
) -> TaskPoll<Answer> {
    let subscriber = &replies.subscriber;
    if subscriber.ending().is_some() {
        return TaskPoll::Ready(Answer::Gone);
    }
    let events = match subscriber.poll_frames(cx) {
        TaskPoll::Ready(Ok(bytes)) => Some(String::from_utf8_lossy(&bytes).trim_end_matches(',').to_owned()),
        TaskPoll::Ready(Err(end)) => {
            subscriber.finish(end);
            return TaskPoll::Ready(Answer::Gone);
        }
        TaskPoll::Pending => None,
    };
    let texts = replies.take();
    let messages: Vec<String> = texts.iter().map(|text| json!(text).to_string()).chain(events).collect();
    if messages.is_empty() {
        *replies.waker.borrow_mut() = Some(cx.waker().clone());
        return TaskPoll::Pending;
    }
    TaskPoll::Ready(batches.borrow_mut().answer(messages.join(",")).into())
}
