//! Phoenix over long poll: a session that lives between requests, whichever nodes the requests reach.
//!
//! The HTTP status is always 200. The real status is in the JSON. A session's token names the node that holds
//! the session, and a request that reaches another node is relayed there. The token also counts the batches
//! of messages that the client has. Each answer to a poll brings a new token, and a poll with the token
//! before it gets the same batch again. So a lost answer loses nothing, whether the client hung up, a proxy
//! asked again, or a relaying node died; and a repeated poll acknowledges nothing. A session that is gone
//! answers 410: the client opens a new one and resumes.

mod batch;
mod session;
mod token;

pub(super) use session::LongPolls;
pub(super) use token::is_session_token;

use super::form::Transport;
use super::reply;
use super::request::{X_PHOENIX_LONGPOLL_TOKEN, admit, all, text_of, version_of};
use super::session::PhoenixSession;
use super::state::Phoenix;
use crate::core::ids::NodeId;
use crate::delivery::{Dispatcher, Subscriber};
use crate::edge::context::Edge;
use crate::hub::{Lane, PeerError, PeerRequest};
use actix::Message;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::{Bytes, Data};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::json;
use session::{Session, Stop};
use std::sync::Arc;
use std::time::Duration;
use token::SessionToken;

/// Messages of one POST. phoenix.js sends at most a hundred.
const MAX_PUSHES: usize = 1024;
/// Pause before the empty answer to a poll that another node can't take now. The client then asks again.
const BUSY_PAUSE: Duration = Duration::from_secs(1);
/// Requests from other nodes that this node answers at a time.
const RELAYED: usize = 2048;
/// How much longer than the session's poll another node may take.
const RELAY_MARGIN: Duration = Duration::from_secs(5);

/// What a request asks of a session. Nodes send it to each other too.
#[derive(Clone, Debug, Message, Serialize, Deserialize)]
#[rtype(result = "Answer")]
struct Ask {
    secret: String,
    request: Request,
}

/// What a poll or a push asks of its session.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Request {
    /// Fetch the batch that follows batch `seen`.
    Poll { seen: u64 },
    /// Handle these messages.
    Push(Vec<Push>),
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
    /// Nothing came in time, a newer poll replaced this one, or the messages were accepted.
    Nothing,
    /// There is no such session.
    Gone,
    /// The node that holds the session can't be asked now. The client is answered as if nothing had been
    /// sent.
    Busy,
}

impl PeerRequest for Ask {
    type Answer = Answer;
    const KIND: u16 = 100;
    const LANE: Lane = Lane::patient(RELAYED, 0);
}

/// `GET`: the first one opens a session, the others wait for messages.
pub(super) async fn poll(request: HttpRequest, edge: Data<Edge>, phoenix: Data<Phoenix>) -> HttpResponse {
    if let Some(token) = session_token(&request) {
        match ask_session(&edge, &phoenix, &token, Request::Poll { seen: token.seen }).await {
            Answer::Batch { number, messages } => return answer(200, Some(&token.having(number)), &messages),
            Answer::Nothing => return answer(204, Some(&token), ""),
            Answer::Busy => {
                tokio::time::sleep(BUSY_PAUSE).await;
                return answer(204, Some(&token), "");
            }
            Answer::Gone => {}
        }
    }
    open(&request, &edge, &phoenix).await
}

/// `POST`: messages of the client, one per line.
pub(super) async fn push(
    request: HttpRequest,
    edge: Data<Edge>,
    phoenix: Data<Phoenix>,
    body: Bytes,
) -> HttpResponse {
    let Some(token) = session_token(&request) else { return answer(410, None, "") };
    let Ok(body) = std::str::from_utf8(&body) else { return answer(400, None, "") };
    let lines = body.lines().filter(|line| !line.is_empty());
    let Some(pushes) = lines.map(read_push).collect::<Option<Vec<_>>>().filter(|all| all.len() <= MAX_PUSHES)
    else {
        return answer(400, None, "");
    };
    match ask_session(&edge, &phoenix, &token, Request::Push(pushes)).await {
        Answer::Gone => answer(410, None, ""),
        // The client opens a new session and resumes.
        Answer::Busy => answer(500, None, ""),
        Answer::Batch { .. } | Answer::Nothing => answer(200, Some(&token), ""),
    }
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

/// The session's token: in the newer header, or the last token of the query (the first one is the token that
/// opens maps).
fn session_token(request: &HttpRequest) -> Option<SessionToken> {
    let token =
        text_of(request.headers().get(X_PHOENIX_LONGPOLL_TOKEN)).or_else(|| all(request, "token").last());
    token?.parse().ok()
}

async fn open(request: &HttpRequest, edge: &Edge, phoenix: &Phoenix) -> HttpResponse {
    let who = match admit(request, edge).await {
        Ok(who) => who,
        Err(error) => {
            tracing::debug!(%error, "a long poll was refused");
            return answer(reply::status(&error), None, "");
        }
    };
    let Ok(version) = version_of(request) else { return answer(403, None, "") };
    let dispatcher = Dispatcher::of_this_thread(&edge.hub, &edge.config.dispatcher);
    let Some(token) = SessionToken::new(edge.hub.node_id()) else { return answer(500, None, "") };
    // Not 403, which clients take as final. After 500 they come back.
    let Ok(address) = edge.take_address(request) else { return answer(500, None, "") };
    let subscriber = Subscriber::new(&dispatcher, who.by(), edge.config.write_bytes);
    subscriber.hold(address);
    let session =
        PhoenixSession::new(&dispatcher, subscriber, who, version, Transport::LongPoll, &phoenix.settings);
    let session = Session::start_on(session, phoenix.settings.longpoll);
    if edge.turns_away().is_some() || !phoenix.longpolls.insert(&token.secret, session.clone()) {
        session.do_send(Stop);
        return answer(500, None, "");
    }
    answer(410, Some(&token), "")
}

/// Asks the session on the node that holds it.
async fn ask_session(edge: &Edge, phoenix: &Phoenix, token: &SessionToken, request: Request) -> Answer {
    let ask = Ask { secret: token.secret.clone(), request };
    if token.node == edge.hub.node_id() {
        return ask_here(phoenix, ask).await;
    }
    relayed(edge, phoenix, token.node, &ask).await
}

/// The answer of a session on another node. The session counts as gone if that node can't be asked. The
/// client has all that was acknowledged, and resumes in a new session.
async fn relayed(edge: &Edge, phoenix: &Phoenix, node: NodeId, ask: &Ask) -> Answer {
    let timeout = phoenix.settings.longpoll.wait + RELAY_MARGIN;
    match edge.hub.peers().ask(node, ask, timeout).await {
        Ok(answer) => answer,
        Err(PeerError::Busy) => Answer::Busy,
        Err(error) => {
            tracing::debug!(node, %error, "a long poll can't be passed on");
            Answer::Gone
        }
    }
}

async fn ask_here(phoenix: &Phoenix, ask: Ask) -> Answer {
    match phoenix.longpolls.get(&ask.secret) {
        Some(session) => session.send(ask).await.unwrap_or(Answer::Gone),
        None => Answer::Gone,
    }
}

/// Answers requests that other nodes relay to this one.
pub(super) fn serve_relay(edge: &Edge, phoenix: &Data<Phoenix>) {
    let weak = Arc::downgrade(phoenix);
    edge.hub.peers().serve_here(move |_, ask: Ask| {
        let phoenix = weak.upgrade();
        async move {
            match phoenix {
                Some(phoenix) => ask_here(&phoenix, ask).await,
                None => Answer::Gone,
            }
        }
    });
}
