//! Phoenix over long poll: a session that lives between requests, on whatever node the requests arrive.
//!
//! HTTP is always 200; the status is in the JSON. A session's token names the node that holds it, and a request that
//! comes to another node is passed on. A session that is gone is 410: the client opens a new one and resumes.

use super::form::Transport;
use super::routes::{admit, all, token_id, version_of};
use super::session::PhoenixSession;
use crate::core::codec;
use crate::core::ids::NodeId;
use crate::delivery::{Incoming, Link, Next, Outbox, Outlet, Protocol, Watch};
use crate::edge::context::Edge;
use actix::prelude::{ActorFutureExt, WrapFuture};
use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message, ResponseFuture};
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll as TaskPoll, Waker};
use std::time::Duration;

/// Open long polls of a node at most.
const MAX_SESSIONS: usize = 20_000;
/// Replies that wait for the next poll; a client that never polls gets no more.
const MAX_REPLIES: usize = 1024;
/// Messages of one POST; phoenix.js sends a hundred at most.
const MAX_PUSHES: usize = 1024;

/// The sessions of a node, by their secret.
#[derive(Default)]
pub struct LongPolls(Mutex<FxHashMap<String, Addr<Session>>>);

impl LongPolls {
    fn get(&self, secret: &str) -> Option<Addr<Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(secret).cloned()
    }

    fn insert(&self, secret: &str, session: Addr<Session>) -> bool {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| session.connected());
        let room = sessions.len() < MAX_SESSIONS;
        if room {
            sessions.insert(secret.to_owned(), session);
        }
        room
    }
}

/// What a request asks of a session, also from node to node.
#[derive(Clone, Debug, Message, Serialize, Deserialize)]
#[rtype(result = "Answer")]
struct Ask {
    secret: String,
    /// Messages to push; `None` polls.
    pushes: Option<Vec<Push>>,
}

/// A message of the client.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Push {
    Text(String),
    Binary(#[serde(with = "serde_bytes")] Vec<u8>),
}

/// The session's answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Answer {
    /// JSON strings, separated by commas.
    Messages(String),
    /// Nothing came in time, or the pushes were taken.
    Nothing,
    /// There is no such session.
    Gone,
}

/// `GET`: the first opens a session, the others wait for messages.
pub(super) async fn poll(request: HttpRequest, edge: Data<Edge>) -> HttpResponse {
    let token = session_token(&request);
    if let Some((node, secret)) = token.as_deref().and_then(parse_token) {
        let ask = Ask { secret: secret.to_owned(), pushes: None };
        match ask_session(&edge, node, ask).await {
            Answer::Messages(messages) => return answer(200, token.as_deref(), &messages),
            Answer::Nothing => return answer(204, token.as_deref(), ""),
            Answer::Gone => {}
        }
    }
    open(&request, &edge).await
}

/// `POST`: messages of the client, one a line.
pub(super) async fn push(request: HttpRequest, edge: Data<Edge>, body: Bytes) -> HttpResponse {
    let token = session_token(&request);
    let Some((node, secret)) = token.as_deref().and_then(parse_token) else { return answer(410, None, "") };
    let Ok(body) = std::str::from_utf8(&body) else { return answer(400, None, "") };
    let lines = body.lines().filter(|line| !line.is_empty());
    let Some(pushes) = lines.map(read_push).collect::<Option<Vec<_>>>().filter(|all| all.len() <= MAX_PUSHES) else {
        return answer(400, None, "");
    };
    match ask_session(&edge, node, Ask { secret: secret.to_owned(), pushes: Some(pushes) }).await {
        Answer::Gone => answer(410, None, ""),
        _ => answer(200, token.as_deref(), ""),
    }
}

/// A line is a JSON message, or a binary one in base64.
fn read_push(line: &str) -> Option<Push> {
    if line.starts_with(['[', '{']) {
        return Some(Push::Text(line.to_owned()));
    }
    STANDARD.decode(line).ok().map(Push::Binary)
}

fn answer(status: u16, token: Option<&str>, messages: &str) -> HttpResponse {
    let token = token.map_or(json!(null), |token| json!(token));
    let body = format!(r#"{{"status":{status},"token":{token},"messages":[{messages}]}}"#);
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/json"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(body)
}

/// The session's token: in the newer header, or the last of the query's (the first is the one that opens maps).
fn session_token(request: &HttpRequest) -> Option<String> {
    let header = request.headers().get("x-phoenix-longpoll-token").and_then(|value| value.to_str().ok());
    header.map(str::to_owned).or_else(|| all(request, "token").last())
}

fn parse_token(token: &str) -> Option<(NodeId, &str)> {
    let (node, secret) = token.strip_prefix("lp.")?.split_once('.')?;
    Some((node.parse().ok()?, secret))
}

async fn open(request: &HttpRequest, edge: &Data<Edge>) -> HttpResponse {
    let (who, version) = match (admit(request, edge).await, version_of(request)) {
        (Ok(who), Ok(version)) => (who, version),
        (Err(error), _) | (_, Err(error)) => {
            tracing::debug!(%error, "a long poll was refused");
            return answer(403, None, "");
        }
    };
    let outlet = Outlet::of_this_thread(&edge.hub, &edge.config.outlet);
    let Ok(random) = getrandom::u64().and_then(|high| Ok((high, getrandom::u64()?))) else {
        return answer(500, None, "");
    };
    let secret = format!("{:016x}{:016x}", random.0, random.1);
    // Not 403, which clients take for the last word: they come back.
    let Ok(address) = edge.take_address(request) else { return answer(500, None, "") };
    let outbox = Outbox::new(&outlet, token_id(&who), edge.config.write_bytes);
    outbox.hold(address);
    let session = PhoenixSession::new(&outlet, outbox, who, version, Transport::LongPoll, &edge.config.phoenix);
    let session = Session::start_on(&outlet, session, edge.config.longpoll);
    if edge.is_draining() || !edge.longpolls.insert(&secret, session.clone()) {
        session.do_send(Stop);
        return answer(500, None, "");
    }
    answer(410, Some(&format!("lp.{}.{secret}", edge.hub.node_id())), "")
}

/// Asks the session, on the node that holds it.
async fn ask_session(edge: &Data<Edge>, node: NodeId, ask: Ask) -> Answer {
    if node == edge.hub.node_id() {
        return ask_here(edge, ask).await;
    }
    let timeout = edge.config.longpoll + Duration::from_secs(5);
    let Ok(body) = codec::encode(&ask) else { return Answer::Gone };
    match edge.hub.relay(node, body, timeout).await.map(|body| codec::decode(&body)) {
        Some(Ok(answer)) => answer,
        _ => Answer::Gone,
    }
}

async fn ask_here(edge: &Edge, ask: Ask) -> Answer {
    match edge.longpolls.get(&ask.secret) {
        Some(session) => session.send(ask).await.unwrap_or(Answer::Gone),
        None => Answer::Gone,
    }
}

/// Answers requests that came to another node.
pub fn serve_relay(edge: &Data<Edge>) {
    let weak = Arc::downgrade(edge);
    edge.hub.on_relay(move |body| {
        let edge = weak.upgrade();
        Box::pin(async move {
            let answer = match (edge, codec::decode::<Ask>(&body)) {
                (Some(edge), Ok(ask)) => ask_here(&edge, ask).await,
                _ => Answer::Gone,
            };
            codec::encode(&answer).unwrap_or_default()
        })
    });
}

/// The actor of one session.
pub(super) struct Session {
    session: PhoenixSession,
    replies: Rc<Replies>,
    watch: Option<Watch>,
    longpoll: Duration,
}

/// What the session said since the last poll.
#[derive(Default)]
struct Replies {
    texts: RefCell<Vec<String>>,
    waker: RefCell<Option<Waker>>,
}

impl Link for Rc<Replies> {
    fn text(&mut self, text: String) {
        let mut texts = self.texts.borrow_mut();
        if texts.len() < MAX_REPLIES {
            texts.push(text);
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Stop;

#[derive(Message)]
#[rtype(result = "()")]
struct One(Push);

impl Session {
    fn start_on(outlet: &Rc<Outlet>, session: PhoenixSession, longpoll: Duration) -> Addr<Self> {
        let watch = Some(outlet.watch_silently(session.outbox().clone()));
        Self { session, replies: Rc::default(), watch, longpoll }.start()
    }
}

impl Actor for Session {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(Duration::from_secs(1), |actor, ctx| {
            if actor.session.outbox().ending().is_some() {
                ctx.stop();
            }
        });
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        self.session.outbox().clear();
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

    /// One message after another: while one awaits something the mailbox waits.
    fn handle(&mut self, One(push): One, ctx: &mut Self::Context) {
        let message = match push {
            Push::Text(text) => Incoming::Text(text.into()),
            Push::Binary(bytes) => Incoming::Binary(bytes.into()),
        };
        match self.session.message(message, &mut self.replies.clone()) {
            Next::Done => {}
            Next::Close(_, _) => ctx.stop(),
            Next::Await(pending) => {
                let resumed = pending.into_actor(self);
                ctx.wait(resumed.map(|resume, actor, _| resume(&mut actor.session, &mut actor.replies.clone())));
            }
        }
    }
}

impl Handler<Ask> for Session {
    type Result = ResponseFuture<Answer>;

    fn handle(&mut self, ask: Ask, ctx: &mut Self::Context) -> Self::Result {
        self.session.outbox().heard();
        if let Some(pushes) = ask.pushes {
            if self.session.outbox().ending().is_some() {
                return Box::pin(std::future::ready(Answer::Gone));
            }
            let address = ctx.address();
            return Box::pin(async move {
                for push in pushes {
                    if address.send(One(push)).await.is_err() {
                        return Answer::Gone;
                    }
                }
                Answer::Nothing
            });
        }
        let (replies, outbox, wait) = (self.replies.clone(), self.session.outbox().clone(), self.longpoll);
        Box::pin(async move {
            let came =
                tokio::time::timeout(wait, std::future::poll_fn(|cx| next_messages(&replies, &outbox, cx))).await;
            outbox.heard();
            came.unwrap_or(Answer::Nothing)
        })
    }
}

/// Replies first, then events, as on a socket. One answer has both: where there always is a reply, events would
/// otherwise never be asked for, and the client would be taken for one that reads nothing.
fn next_messages(replies: &Replies, outbox: &Outbox, cx: &mut std::task::Context<'_>) -> TaskPoll<Answer> {
    let mut messages: Vec<String> = replies.texts.take().iter().map(|text| json!(text).to_string()).collect();
    let mut gone = outbox.ending().is_some();
    if !gone {
        match outbox.poll_frames(cx) {
            TaskPoll::Ready(Ok(bytes)) => {
                messages.push(String::from_utf8_lossy(&bytes).trim_end_matches(',').to_owned());
            }
            TaskPoll::Ready(Err(end)) => {
                outbox.finish(end);
                gone = true;
            }
            TaskPoll::Pending => {}
        }
    }
    if !messages.is_empty() {
        return TaskPoll::Ready(Answer::Messages(messages.join(",")));
    }
    if gone {
        return TaskPoll::Ready(Answer::Gone);
    }
    *replies.waker.borrow_mut() = Some(cx.waker().clone());
    TaskPoll::Pending
}
