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
/// The most commands in a row that end grace periods and what earlier incarnations hold.
const END_PIECES: u32 = 64;

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
            let holders = holders(&cluster);
            if slept.elapsed() < ROUND + PAUSE {
                strike_off(&cluster, &status, &holders, &mut gone).await;
            }
            strike_off_former(&cluster, &bridge, &status, holders).await;
            end_graces(&cluster).await;
            // A token ends within a round, not only with the next tick.
            let ended = !bridge.access().ended_tokens(cluster.expiry_ms(), 1).is_empty();
            if ended || round % ROUNDS_PER_TICK == 0 {
                tick(&cluster).await;
            }
        }
    });
}

/// The nodes that hold leases.
fn holders(cluster: &Cluster) -> BTreeSet<NodeId> {
    let mut holders = BTreeSet::new();
    let Ok(view) = cluster.reader().view() else { return holders };
    let (from, to) = keys::all(keys::HOLDERS);
    let scanned = ViewStore(&view).scan(&from, &to, &mut |key, _| {
        holders.extend(keys::node_of(key));
        true
    });
    if let Err(error) = scanned {
        tracing::error!(%error, "the leases of the nodes can't be read");
    }
    holders
}

/// Whether the cluster knows that a silent node is gone. A batch of the node that is applied after its report
/// makes it a holder once more.
fn is_struck_off(node: NodeId, holders: &BTreeSet<NodeId>, gone: &BTreeSet<NodeId>) -> bool {
    gone.contains(&node) && !holders.contains(&node)
}

/// Reports every node that went silent to the cluster: once until the node is heard from again, and once more
/// for each time that it holds leases again.
async fn strike_off(
    cluster: &Cluster,
    status: &Status,
    holders: &BTreeSet<NodeId>,
    gone: &mut BTreeSet<NodeId>,
) {
    for member in status.members.iter().filter(|member| member.id != status.node_id) {
        let silent = !member.reachable && member.heard_ms.is_none_or(|ms| ms >= GONE_AFTER_MS);
        let told = silent
            && (is_struck_off(member.id, holders, gone)
                || propose(cluster, &Command::NodeGone(member.id)).await.is_some());
        if told {
            gone.insert(member.id);
        } else {
            gone.remove(&member.id);
        }
    }
}

/// Takes the leases of former members back, such as a node that was replaced after its disk was lost.
async fn strike_off_former(cluster: &Cluster, bridge: &Bridge, status: &Status, holders: BTreeSet<NodeId>) {
    let mut counted = holders;
    counted.extend(bridge.webhooks().owners().nodes.keys().copied());
    for node in counted.into_iter().filter(|node| status.member(*node).is_none()) {
        propose(cluster, &Command::NodeGone(node)).await;
    }
}

/// Ends the grace periods of presence members that are over, and what earlier incarnations of nodes hold, while
/// there is any.
async fn end_graces(cluster: &Cluster) {
    let Ok(view) = cluster.reader().view() else { return };
    let mut are_some = false;
    for prefix in [keys::PARTING, keys::ENDINGS] {
        let (from, to) = keys::all(prefix);
        let scanned = ViewStore(&view).scan(&from, &to, &mut |_, _| {
            are_some = true;
            false
        });
        if let Err(error) = scanned {
            tracing::error!(%error, "what is to end of presence can't be read");
        }
    }
    drop(view);
    for _ in 0..END_PIECES {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_node_that_holds_leases_again_is_reported_once_more() {
        let (none, one) = (BTreeSet::new(), BTreeSet::from([1]));
        assert!(!is_struck_off(1, &one, &none), "it just went silent");
        assert!(!is_struck_off(1, &none, &none), "it may hold something that is no lease");
        assert!(is_struck_off(1, &none, &one));
        assert!(!is_struck_off(1, &one, &one), "a late batch of it was applied");
    }
}
