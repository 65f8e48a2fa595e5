//! How an empty data directory becomes a node: it starts a cluster of its own, or asks a cluster for an id.
//! The node becomes a member once it runs and announces itself.

use std::time::Duration;

use tokio::time::sleep;

use crate::error::StartError;
use crate::identity::{fresh_cluster_id, shown};
use crate::net::{Secure, ask_guest};
use crate::types::Member;
use crate::wire::{Answer, IdentityV1, JoinReply, Request};

/// Longest that one request may take.
const ASK: Duration = Duration::from_secs(10);

/// The identity of the first node of a new cluster.
pub(crate) fn alone() -> std::io::Result<IdentityV1> {
    let cluster_id = fresh_cluster_id()?;
    tracing::info!(cluster = shown(&cluster_id), "a new cluster");
    Ok(IdentityV1 { cluster_id, node_id: 1, joined: false, peers: Vec::new() })
}

/// Asks the members at `addrs` for an id until one answers.
pub(crate) async fn ask(
    secure: &Secure,
    addrs: &[String],
    member: &Member,
) -> Result<IdentityV1, StartError> {
    let mut pause = Duration::from_millis(100);
    let request = Request::NewIdV1 { member: member.into() };
    loop {
        for addr in addrs {
            match ask_following(secure, addr, member, &request).await? {
                Some(identity) => return Ok(identity),
                None => tracing::warn!(addr, "no answer to the wish to join; asking again"),
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}

/// Asks at `addr`, and at the leader's address if `addr` is not the leader.
async fn ask_following(
    secure: &Secure,
    addr: &str,
    member: &Member,
    request: &Request,
) -> Result<Option<IdentityV1>, StartError> {
    let mut addr = addr.to_owned();
    for _ in 0..3 {
        let answer = match ask_guest(secure, &addr, [0; 16], &member.peer_addr, request, ASK).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::info!(addr, %error, "cannot reach this member");
                return Ok(None);
            }
        };
        match answer {
            Answer::JoinV1(JoinReply::Id { cluster_id, id, peers }) => {
                tracing::info!(cluster = shown(&cluster_id), id, "got a node id");
                return Ok(Some(IdentityV1 { cluster_id, node_id: id, joined: false, peers }));
            }
            Answer::JoinV1(JoinReply::Elsewhere { addr: leader }) if !leader.is_empty() => addr = leader,
            Answer::JoinV1(JoinReply::Refused { reason }) => {
                return Err(StartError::Refused(reason));
            }
            _ => return Ok(None),
        }
    }
    Ok(None)
}
