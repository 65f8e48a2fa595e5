//! Tasks of the leader: it advances time for retention, and reports nodes that are gone to the cluster, which
//! then takes their leases back.

use super::bridge::Bridge;
use super::replica::ViewStore;
use crate::core::codec;
use crate::core::command::{Command, Reply};
use crate::core::ids::NodeId;
use crate::core::state::keys;
use crate::core::store::ReadStore;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use waypost_cluster::{Cluster, Flow, Status};

/// How often the leader checks.
const ROUND: Duration = Duration::from_secs(1);
/// A round that began this late follows a pause of this node: the others were not silent, this node did not
/// listen.
const PAUSE: Duration = Duration::from_secs(2);
/// How many rounds pass between two runs of retention by age.
const ROUNDS_PER_TICK: u32 = 10;
/// A node that was silent for this long loses its leases.
const GONE_AFTER_MS: u64 = 5_000;
/// Most pieces of retention in one tick; the rest waits for the next tick.
const TICK_PIECES: u32 = 16;

/// Starts the janitor; it ends with the node.
pub(super) fn spawn(cluster: Cluster, bridge: Arc<Bridge>) {
    actix_rt::spawn(async move {
        let mut gone = BTreeSet::new();
        for round in 0u32.. {
            let slept = tokio::time::Instant::now();
            tokio::time::sleep(ROUND).await;
            let status = cluster.status();
            if !status.is_leader() {
                gone.clear();
                continue;
            }
            if slept.elapsed() < ROUND + PAUSE {
                strike_off(&cluster, &status, &mut gone).await;
            }
            strike_off_former(&cluster, &bridge, &status).await;
            end_graces(&cluster).await;
            if round % ROUNDS_PER_TICK == 0 {
                tick(&cluster).await;
            }
        }
    });
}

/// Reports every node that went silent to the cluster, once until the node is heard from again.
async fn strike_off(cluster: &Cluster, status: &Status, gone: &mut BTreeSet<NodeId>) {
    for member in status.members.iter().filter(|member| member.id != status.node_id) {
        let silent = !member.reachable && member.heard_ms.is_none_or(|ms| ms >= GONE_AFTER_MS);
        let told = silent
            && (gone.contains(&member.id) || propose(cluster, &Command::NodeGone(member.id)).await.is_some());
        if told {
            gone.insert(member.id);
        } else {
            gone.remove(&member.id);
        }
    }
}

/// Takes the leases of former members back, such as a node that was replaced after its disk was lost.
async fn strike_off_former(cluster: &Cluster, bridge: &Bridge, status: &Status) {
    let mut counted: BTreeSet<NodeId> = bridge.webhooks().owners().nodes.keys().copied().collect();
    let Ok(view) = cluster.reader().view() else { return };
    let (from, to) = keys::all(keys::HOLDERS);
    let scanned = ViewStore(&view).scan(&from, &to, &mut |key, _| {
        counted.extend(keys::node_of(key));
        true
    });
    drop(view);
    if let Err(error) = scanned {
        tracing::error!(%error, "the leases of the nodes can't be read");
    }
    for node in counted.into_iter().filter(|node| status.member(*node).is_none()) {
        propose(cluster, &Command::NodeGone(node)).await;
    }
}

/// Ends the grace periods of presence members that are over, while there are any.
async fn end_graces(cluster: &Cluster) {
    let Ok(view) = cluster.reader().view() else { return };
    let mut are_some = false;
    let (from, to) = keys::all(keys::PARTING);
    let scanned = ViewStore(&view).scan(&from, &to, &mut |_, _| {
        are_some = true;
        false
    });
    drop(view);
    if let Err(error) = scanned {
        tracing::error!(%error, "the grace periods of presence members can't be read");
    }
    for _ in 0..TICK_PIECES {
        if !are_some || !matches!(propose(cluster, &Command::EndGraces).await, Some(Reply::Ticked(true))) {
            return;
        }
    }
}

async fn tick(cluster: &Cluster) {
    for _ in 0..TICK_PIECES {
        if !matches!(propose(cluster, &Command::Tick).await, Some(Reply::Ticked(true))) {
            return;
        }
    }
}

async fn propose(cluster: &Cluster, command: &Command) -> Option<Reply> {
    let proposed = cluster.propose(Flow::NONE, codec::encode(command).ok()?).await.ok()?;
    codec::decode(&proposed.reply).ok()
}
