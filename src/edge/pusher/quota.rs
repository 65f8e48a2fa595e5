//! The places of sockets among the connections of their app.
//!
//! An app may have a limit on its sockets over the cluster. Only for such an app, a new socket asks the other
//! nodes how many they have. It counts before it asks, so there are never more than the limit allows. A node
//! that does not answer counts with what it told last. At the limit it waits a moment for another socket to
//! end, because a client that is refused stays away.

use super::close::Close;
use super::sockets::{AppSockets, CountedSocket, Heard};
use super::state::Pusher;
use crate::core::ids::{NodeId, TokenId};
use crate::edge::context::Edge;
use crate::edge::refused::Quota;
use crate::edge::subscribe::SessionQuota;
use crate::hub::{Connection, FULL_WAIT, Lane, OpenApp, PeerRequest};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Longest wait for the other nodes' numbers.
const ASK_WITHIN: Duration = Duration::from_secs(1);
/// Shortest pause between two tries at the limit.
const FULL_PAUSE: Duration = Duration::from_millis(50);

/// Asks a node how many sockets it has of an app.
#[derive(Debug, Serialize, Deserialize)]
struct CountSockets(TokenId);

impl PeerRequest for CountSockets {
    type Answer = u64;
    const KIND: u16 = 105;
    const LANE: Lane = Lane::quick(64, 1024);
}

/// The place of a socket, until this is dropped.
pub(super) struct Place {
    quota: Rc<SessionQuota>,
    _connection: Rc<Connection>,
    _counted: CountedSocket,
}

impl Place {
    /// What the socket counts for in the quotas of maps.
    pub(super) fn quota(&self) -> &Rc<SessionQuota> {
        &self.quota
    }

    /// Takes a place for a new socket of the app.
    pub(super) async fn take(edge: &Edge, pusher: &Pusher, app: &OpenApp) -> Result<Self, Close> {
        let counted = count(edge, &pusher.sockets, app).await.ok_or(Close::OverQuota)?;
        let map = edge.hub.access().known().map(app.map).cloned().ok_or(Close::UnknownApp)?;
        edge.hub.presence().admit_connection(map.id).map_err(|_| Close::OverCapacity)?;
        let quota = Rc::new(SessionQuota::default());
        let connection = quota.take(&edge.hub, &map, Some(app.token.id)).await.map_err(of_quota)?;
        Ok(Self { quota, _connection: connection, _counted: counted })
    }
}

/// Counts one more socket of the app. `None` if the app has as many as it may have.
async fn count(edge: &Edge, sockets: &Arc<AppSockets>, app: &OpenApp) -> Option<CountedSocket> {
    let until = Instant::now() + FULL_WAIT;
    loop {
        let counted = sockets.add(app.token.id);
        let Some(most) = app.max_connections else { return Some(counted) };
        if everywhere(edge, sockets, app.token.id).await <= u64::from(most) {
            return Some(counted);
        }
        // While it waits it does not count: else two that come at once would keep each other out.
        drop(counted);
        if Instant::now() >= until {
            return None;
        }
        tokio::time::sleep(pause()).await;
    }
}

/// The pause between two tries. It differs each time, so that those that come at once try one after the other.
fn pause() -> Duration {
    FULL_PAUSE + Duration::from_millis(getrandom::u64().unwrap_or_default() % 100)
}

/// How a limit that is reached is told.
pub(super) fn of_quota(quota: Quota) -> Close {
    match quota {
        Quota::Connections { .. } => Close::OverQuota,
        Quota::Joins(_)
        | Quota::ChannelJoins(_)
        | Quota::ClientJoins(_)
        | Quota::Filters(_)
        | Quota::Patterns(_)
        | Quota::Sessions(_)
        | Quota::Sockets { .. } => Close::OverCapacity,
    }
}

/// Answers the other nodes.
pub(super) fn serve(edge: &Edge, sockets: Arc<AppSockets>) {
    edge.hub.peers().serve(move |_, CountSockets(app)| std::future::ready(sockets.of(app)));
}

/// The sockets of an app on all nodes. A node that does not answer has as many as it told last, until the
/// cluster gives it up.
async fn everywhere(edge: &Edge, sockets: &AppSockets, app: TokenId) -> u64 {
    let status = edge.hub.health().status();
    let others = status.members.iter().map(|member| member.id).filter(|id| *id != status.node_id);
    let asked = others.map(async |node: NodeId| {
        let heard = match edge.hub.peers().ask(node, &CountSockets(app), ASK_WITHIN).await {
            Ok(count) => Heard::Told(count),
            Err(error) if error.shows_end() || edge.hub.presence().is_gone(node) => Heard::Gone,
            Err(_) => Heard::Nothing,
        };
        (node, heard)
    });
    let heard = join_all(asked).await;
    let access = edge.hub.access().known();
    let apps = access.apps();
    sockets.everywhere(app, heard, (apps.len(), |app| apps.get(app).is_some()))
}
