//! The reports of all members at one moment. A member that does not answer this node may answer another one,
//! which passes the report on.

use super::Health;
use super::info::{AskAbout, NodeInfo};
use crate::core::ids::NodeId;
use futures_util::future::join_all;
use std::collections::BTreeMap;
use std::time::Duration;

/// The report of a member.
#[derive(Clone, Debug)]
pub struct Report {
    /// The report.
    pub info: NodeInfo,
    /// The node that passed it on; `None` if the member itself answered.
    pub via: Option<NodeId>,
}

/// Longest that a node waits for the report that it is to pass on: shorter than the other node waits for it.
const PASS_ON: Duration = Duration::from_millis(400);

/// Answers other nodes that ask for the report of a member: asks that member now.
pub(super) fn serve(health: &Health) {
    let here = health.clone();
    health.peers.serve(move |_, AskAbout(node)| {
        let here = here.clone();
        async move {
            let info = here.node_info(node, PASS_ON).await?;
            Some(serde_json::to_vec(&info).ok()?.into())
        }
    });
}

impl Health {
    /// Asks all members for their reports, and those that answer for the reports of those that do not. Takes
    /// at most twice as long as `within`.
    pub async fn survey(&self, within: Duration) -> BTreeMap<NodeId, Report> {
        let members: Vec<NodeId> = self.status().members.iter().map(|member| member.id).collect();
        let asked = members.iter().map(async |node| (*node, self.node_info(*node, within).await));
        let mut reports = BTreeMap::new();
        for (node, info) in join_all(asked).await {
            if let Some(info) = info {
                reports.insert(node, Report { info, via: None });
            }
        }
        let me = self.cluster.node_id();
        let helpers: Vec<NodeId> = reports.keys().copied().filter(|node| *node != me).collect();
        let silent: Vec<NodeId> = members.into_iter().filter(|node| !reports.contains_key(node)).collect();
        let pairs = silent.iter().flat_map(|node| helpers.iter().map(move |helper| (*node, *helper)));
        let asked = pairs.map(async |(node, via)| Some((node, self.passed_on(node, via, within).await?)));
        reports.extend(join_all(asked).await.into_iter().flatten());
        reports
    }

    /// The report of `node` that `via` has.
    async fn passed_on(&self, node: NodeId, via: NodeId, within: Duration) -> Option<Report> {
        let told = self.peers.ask(via, &AskAbout(node), within).await.ok()??;
        Some(Report { info: serde_json::from_slice(&told).ok()?, via: Some(via) })
    }
}
