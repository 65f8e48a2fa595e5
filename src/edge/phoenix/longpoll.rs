//! Phoenix over long poll: a session that lives between requests, whichever nodes the requests reach.
//!
//! The status is in the JSON of the answer. The HTTP status is 200, except where a client may try again later:
//! then it is 429 or 503 with `Retry-After`, and the JSON has the 500 after which clients of Phoenix come back.
//!
//! A session's token names the node that holds the session, and a request that reaches another node is passed
//! on there ([`relay`]), once this node has seen that the token is genuine. The token also counts the batches
//! of messages that the client has. Each answer to a poll brings a new token, and a poll with the token
//! before it gets the same batch again. So a lost answer loses nothing, whether the client hung up, a proxy
//! asked again, or a relaying node died; and a repeated poll acknowledges nothing. A session that is gone
//! answers 410: the client opens a new one and resumes.

mod batch;
mod relay;
mod session;
mod shares;
mod token;

pub(super) use relay::serve as serve_relay;
pub(super) use session::LongPolls;
pub(super) use shares::Relays;
pub(super) use token::is_session_token;

use super::form::Transport;
use super::frame::Version;
use super::reply;
use super::request::{X_PHOENIX_LONGPOLL_TOKEN, admit, all, new_socket, text_of, version_of};
use super::session::{Client, PhoenixSession};
use super::state::Phoenix;
use crate::core::error_code::Code;
use crate::core::limits::LimitName;
use crate::delivery::{Dispatcher, Subscriber, agent_of};
use crate::edge::auth::know;
use crate::edge::body::Body;
use crate::edge::consumers::ConsumerReading;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::refused::{Refused, Unavailable};
use crate::edge::sessions::SessionKind;
use crate::hub::Who;
use actix::Message;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use session::{Session, Stop};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use token::SessionToken;

/// Messages of one POST. phoenix.js sends at most a hundred.
const MAX_PUSHES: usize = 1024;
/// Bytes of one POST.
const MAX_PUSH_BYTES: usize = 256 * 1024;
/// How long a client of a node that has just started waits for the cluster's key.
const KEY_WAIT: Duration = Duration::from_secs(3);
/// Pause before the empty answer to a poll that another node can't take now. The client then asks again.
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// Asks a session for the batch that follows batch `seen`. Nodes send it to each other too.
#[derive(Clone, Debug, Message, Serialize, Deserialize)]
#[rtype(result = "Answer")]
struct PollSession {
    secret: u128,
    seen: u64,
}

/// Has a session handle messages. Nodes send it to each other too.
#[derive(Clone, Debug, Message, Serialize, Deserialize)]
#[rtype(result = "Answer")]
struct PushSession {
    secret: u128,
    pushes: Vec<Push>,
}

/// A message that the client sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Push {
    Text(String),
    Binary(#[serde(with = "serde_bytes")] Vec<u8>),
}

/// The session's answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Answer {
    /// The batch with this number: JSON strings, separated by commas.
    Batch { number: u64, messages: String },
    /// Nothing came in time, or a newer poll replaced this one.
    Nothing,
    /// The messages were handled. The client is answered after this time, because it sent more than it may.
    Accepted { wait_ms: u64 },
    /// There is no such session.
    Gone,
    /// The node that holds the session can't be asked now. The client is answered as if nothing had been
    /// sent.
    Busy,
}

/// Which node holds a session.
enum Holder {
    /// This node.
    Here,
    /// Another node. The session's token is genuine.
    There,
}

/// Which node holds the session of a token. `Err` is the answer if none does, or if this node can't know.
async fn holder_of(edge: &Edge, phoenix: &Phoenix, token: &SessionToken) -> Result<Holder, Answer> {
    if token.node == edge.hub.node_id() {
        return if phoenix.longpolls.get(token.secret).is_some() {
            Ok(Holder::Here)
        } else {
            Err(Answer::Gone)
        };
    }
    match edge.hub.vault().encryption_within(KEY_WAIT).await {
        Ok(key) if token.is_genuine(&key) => Ok(Holder::There),
        Ok(_) => Err(Answer::Gone),
        Err(error) => {
            tracing::debug!(%error, "a long poll can't be passed on");
            Err(Answer::Busy)
        }
    }
}

/// `GET`: the first one opens a session, the others wait for messages.
pub(super) async fn poll(request: HttpRequest, edge: Data<Edge>, phoenix: Data<Phoenix>) -> HttpResponse {
    if let Some(token) = session_token(&request) {
        let poll = PollSession { secret: token.secret, seen: token.seen };
        let answered = match holder_of(&edge, &phoenix, &token).await {
            Ok(holder) => {
                know(&request);
                match holder {
                    Holder::Here => ask_here(&phoenix, token.secret, poll).await,
                    Holder::There => relay::poll(&edge, &phoenix, &token, &poll).await,
                }
            }
            Err(answer) => answer,
        };
        match answered {
            Answer::Batch { number, messages } => return answer(200, Some(&token.having(number)), &messages),
            Answer::Nothing | Answer::Accepted { .. } => return answer(204, Some(&token), ""),
            Answer::Busy => {
                tokio::time::sleep(BUSY_PAUSE).await;
                return answer(204, Some(&token), "");
            }
            Answer::Gone => {}
        }
    }
    let Ok(version) = version_of(&request) else { return answer(403, None, "") };
    let opened = async {
        let who = admit(&request, &edge).await?;
        open(&request, (&edge, &phoenix), who, version).await
    };
    match opened.await {
        Ok(token) => answer(410, Some(&token), ""),
        Err(error) => refusal(error),
    }
}

/// `HEAD`: opens no session and takes no messages.
pub(super) async fn head() -> HttpResponse {
    answer(410, None, "")
}

/// `POST`: messages of the client, one per line. The body is read once the session is known.
pub(super) async fn push(
    request: HttpRequest,
    edge: Data<Edge>,
    phoenix: Data<Phoenix>,
    mut body: Body,
) -> HttpResponse {
    let Some(token) = session_token(&request) else { return answer(410, None, "") };
    let holder = match holder_of(&edge, &phoenix, &token).await {
        Ok(holder) => holder,
        Err(answered) => return pushed(&answered, &token).await,
    };
    know(&request);
    let pushes = match body.bytes(MAX_PUSH_BYTES, LimitName::Fixed).await.and_then(|body| read_pushes(&body))
    {
        Ok(pushes) => pushes,
        Err(error) => return HttpResponse::Ok().json(with_error(&error, error.status_code().as_u16())),
    };
    let push = PushSession { secret: token.secret, pushes };
    let answered = match holder {
        Holder::Here => push_here(&phoenix, push).await,
        Holder::There => relay::push(&edge, &phoenix, &token, &push).await,
    };
    pushed(&answered, &token).await
}

/// Answers a POST. A client that sent more than it may is answered later.
async fn pushed(answered: &Answer, token: &SessionToken) -> HttpResponse {
    match answered {
        Answer::Gone => return answer(410, None, ""),
        // The client opens a new session and resumes.
        Answer::Busy => return refusal(Unavailable::Slow.into()),
        Answer::Accepted { wait_ms } => tokio::time::sleep(Duration::from_millis(*wait_ms)).await,
        Answer::Batch { .. } | Answer::Nothing => {}
    }
    answer(200, Some(token), "")
}

/// Reads the messages of a POST. An error if there are too many, or one is no message.
fn read_pushes(body: &[u8]) -> Result<Vec<Push>, ApiError> {
    let bad = || ApiError::bad_request(Code::InvalidMessage, "each line is a message: JSON, or base64");
    let lines = std::str::from_utf8(body).map_err(|_| bad())?.lines().filter(|line| !line.is_empty());
    let pushes: Vec<Push> =
        lines.take(MAX_PUSHES + 1).map(read_push).collect::<Option<_>>().ok_or_else(bad)?;
    if pushes.len() > MAX_PUSHES {
        let message = format!("a request may have at most {MAX_PUSHES} messages");
        let error = ApiError::bad_request(Code::TooManyMessages, message);
        return Err(error.of_limit(LimitName::Fixed, MAX_PUSHES as u64));
    }
    Ok(pushes)
}

/// Reads a line: a JSON message, or a binary one in base64.
fn read_push(line: &str) -> Option<Push> {
    if line.starts_with(['[', '{']) {
        return Some(Push::Text(line.to_owned()));
    }
    STANDARD.decode(line).ok().map(Push::Binary)
}

fn answer(status: u16, token: Option<&SessionToken>, messages: &str) -> HttpResponse {
    let token = token.map_or(json!(null), |token| json!(token.to_string()));
    let body = format!(r#"{{"status":{status},"token":{token},"messages":[{messages}]}}"#);
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "application/json"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(body)
}

/// The answer to a client that gets no session, or whose messages are not taken.
fn refusal(refused: Refused) -> HttpResponse {
    tracing::debug!(error = %refused, "a long poll was refused");
    let status = reply::status(&refused);
    if refused.retry_ms().is_none() {
        return answer(status, None, "");
    }
    let error = ApiError::from(refused);
    let mut answer = error.answer(&with_error(&error, status));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// The JSON of an answer that says what is wrong.
fn with_error(error: &ApiError, status: u16) -> Value {
    let mut body = error.body();
    body["status"] = status.into();
    body["token"] = Value::Null;
    body["messages"] = json!([]);
    body
}

/// The session's token: in the newer header, or the last token of the query (the first one is the token that
/// opens maps).
fn session_token(request: &HttpRequest) -> Option<SessionToken> {
    let token =
        text_of(request.headers().get(X_PHOENIX_LONGPOLL_TOKEN)).or_else(|| all(request, "token").last());
    token?.parse().ok()
}

/// Opens a session on this node.
async fn open(
    request: &HttpRequest,
    (edge, phoenix): (&Edge, &Phoenix),
    who: Who,
    version: Version,
) -> Result<SessionToken, Refused> {
    if let Some(unavailable) = edge.turns_away() {
        return Err(unavailable.into());
    }
    let counted = edge.count_session(request, &who, SessionKind::LongPoll).await?;
    let map = match &who {
        Who::Admin => None,
        Who::Token(token) => Some(token.map),
    };
    let key = edge.hub.vault().encryption_within(KEY_WAIT).await.map_err(|_| Unavailable::NoKey)?;
    let token = SessionToken::new(edge.hub.node_id(), map, &key).ok_or(Unavailable::Slow)?;
    let dispatcher = Dispatcher::of_this_thread(&edge.hub, &edge.config.dispatcher);
    let subscriber = Subscriber::new(&dispatcher, &who, edge.config.write_bytes);
    subscriber.hold(counted);
    let (socket, consumers) = (new_socket(&edge.hub)?, ConsumerReading::of(request));
    let client = Client { who, socket, version, transport: Transport::LongPoll, consumers };
    let session = PhoenixSession::new(&dispatcher, subscriber, client, &phoenix.settings);
    let address = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip());
    let from = (address.to_canonical(), agent_of(request.headers()));
    let session = Session::start_on(session, phoenix.settings.longpoll, from);
    if !phoenix.longpolls.insert(token.secret, session.clone()) {
        session.do_send(Stop);
        return Err(Unavailable::Full.into());
    }
    Ok(token)
}

/// The answer of a session on this node.
async fn ask_here<M>(phoenix: &Phoenix, secret: u128, ask: M) -> Answer
where
    M: Message<Result = Answer> + Send + 'static,
    Session: actix::Handler<M>,
{
    match phoenix.longpolls.get(secret) {
        Some(session) => session.send(ask).await.unwrap_or(Answer::Gone),
        None => Answer::Gone,
    }
}

/// Has a session on this node handle messages.
async fn push_here(phoenix: &Phoenix, push: PushSession) -> Answer {
    ask_here(phoenix, push.secret, push).await
}
