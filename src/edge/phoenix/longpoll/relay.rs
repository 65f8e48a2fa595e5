//! Long polls whose sessions are on other nodes: their requests are passed on to these nodes.
//!
//! They have a connection of their own between two nodes. A map has a share of the requests that may be under
//! way there, and a session has one waiting poll ([`Relays`](super::Relays)).

use super::token::SessionToken;
use super::{Answer, PollSession, PushSession, ask_here, push_here};
use crate::edge::context::Edge;
use crate::edge::phoenix::state::Phoenix;
use crate::hub::{Lane, PeerError, PeerRequest};
use actix_web::web::Data;
use std::sync::Arc;
use std::time::Duration;

/// Polls of other nodes that a node answers at a time. They wait long, and are small.
const POLLS: usize = 3840;
/// Pushes of other nodes that a node handles at a time. Each may have as many bytes as a request's body.
const PUSHES: usize = 256;
/// How much longer than the session's poll another node may take.
const MARGIN: Duration = Duration::from_secs(5);
/// How long a poll that replaces another one waits before it is passed on. A further one may replace it
/// meanwhile.
const REPLACED_PAUSE: Duration = Duration::from_millis(100);

impl PeerRequest for PollSession {
    type Answer = Answer;
    const KIND: u16 = 101;
    const LANE: Lane = Lane::relay(POLLS, 0);
}

impl PeerRequest for PushSession {
    type Answer = Answer;
    const KIND: u16 = 102;
    const LANE: Lane = Lane::relay(PUSHES, 0);
}

/// Passes a poll on. It ends with nothing when a newer poll of the session comes to this node.
pub(super) async fn poll(edge: &Edge, phoenix: &Phoenix, token: &SessionToken, poll: &PollSession) -> Answer {
    let mut waiting = phoenix.relays.wait_for(token.secret, token.seen);
    let pause = if waiting.replaces { REPLACED_PAUSE } else { Duration::ZERO };
    let passed_on = async {
        tokio::time::sleep(pause).await;
        pass_on(edge, phoenix, token, poll).await
    };
    tokio::select! {
        biased;
        _ = &mut waiting.replaced => Answer::Nothing,
        answer = passed_on => answer,
    }
}

/// Passes messages on.
pub(super) async fn push(edge: &Edge, phoenix: &Phoenix, token: &SessionToken, push: &PushSession) -> Answer {
    pass_on(edge, phoenix, token, push).await
}

/// The answer of a session on another node. The session counts as gone if that node can't be asked. The
/// client has all that was acknowledged, and resumes in a new session.
async fn pass_on<R: PeerRequest<Answer = Answer>>(
    edge: &Edge,
    phoenix: &Phoenix,
    token: &SessionToken,
    request: &R,
) -> Answer {
    let Some(_share) = phoenix.relays.enter::<R>(token.map) else { return Answer::Busy };
    metrics::counter!(crate::metric::LONG_POLLS_RELAYED).increment(1);
    let timeout = phoenix.settings.longpoll.wait + MARGIN;
    match edge.hub.peers().ask(token.node, request, timeout).await {
        Ok(answer) => answer,
        Err(PeerError::Busy | PeerError::NotAsked) => Answer::Busy,
        Err(error) => {
            let node = edge.hub.peers().called(token.node);
            tracing::debug!(node, %error, "a long poll can't be passed on");
            Answer::Gone
        }
    }
}

/// Answers requests that other nodes pass on to this one.
pub(in crate::edge::phoenix) fn serve(edge: &Edge, phoenix: &Data<Phoenix>) {
    let weak = Arc::downgrade(phoenix);
    edge.hub.peers().serve_here(move |_, poll: PollSession| {
        let phoenix = weak.upgrade();
        async move {
            match phoenix {
                Some(phoenix) => ask_here(&phoenix, poll.secret, poll).await,
                None => Answer::Gone,
            }
        }
    });
    let weak = Arc::downgrade(phoenix);
    edge.hub.peers().serve_here(move |_, push: PushSession| {
        let phoenix = weak.upgrade();
        async move {
            match phoenix {
                Some(phoenix) => push_here(&phoenix, push).await,
                None => Answer::Gone,
            }
        }
    });
}
