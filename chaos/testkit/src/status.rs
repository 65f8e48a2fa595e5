//! What nodes report about the cluster: the leader, the members, the problems and the applied index.

use crate::cluster::Cluster;
use crate::wait;
use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;
use std::time::Duration;

impl Cluster {
    /// A node's answer about the status of the cluster.
    pub fn status(&self, node: usize) -> Result<Value> {
        let api = self.admin(node).hasty().timeout(Duration::from_secs(5));
        api.get("/api/cluster/status")?.data(200)
    }

    /// The id that a node reports of itself.
    pub fn id(&self, node: usize) -> Result<u64> {
        self.status(node)?["node_id"].as_u64().context("no node_id")
    }

    /// The members, as a node reports them.
    pub fn members(&self, node: usize) -> Result<Vec<Value>> {
        list(&self.status(node)?, "members").cloned()
    }

    /// The member with that id, as a node reports it.
    pub fn member(&self, node: usize, id: u64) -> Result<Option<Value>> {
        Ok(self.members(node)?.into_iter().find(|member| member["id"] == id))
    }

    /// The problems that a node reports.
    pub fn problems(&self, node: usize) -> Result<Vec<Value>> {
        list(&self.status(node)?, "problems").cloned()
    }

    /// The problem with that code, if a node reports one.
    pub fn problem(&self, node: usize, code: &str) -> Result<Option<Value>> {
        Ok(self.problems(node)?.into_iter().find(|problem| problem["code"] == code))
    }

    /// Waits until a node reports a problem with that code. Returns the problem.
    pub fn wait_problem(&self, node: usize, code: &str) -> Result<Value> {
        self.wait_until(&format!("the problem {code} at node {node}"), |c| c.problem(node, code))
    }

    /// The node that reports itself as leader; of several, the one with the latest term.
    pub fn leader(&self) -> Result<usize> {
        wait::until("a leader", || {
            let up = (0..self.nodes.len()).filter(|i| self.nodes[*i].is_up());
            let says = up.filter_map(|i| self.status(i).ok().map(|status| (status, i)));
            let leads = says.filter(|(s, _)| s["role"] == "leader" && s["leader_id"] == s["node_id"]);
            Ok(leads.max_by_key(|(s, _)| s["term"].as_u64()).map(|(_, i)| i))
        })
    }

    /// A running node that is not the leader.
    pub fn follower(&self) -> Result<usize> {
        let leader = self.leader()?;
        (0..self.nodes.len()).rev().find(|i| *i != leader && self.nodes[*i].is_up()).context("no follower")
    }

    /// Whether every running node reports the same leader, with as many voters as there are nodes, all of
    /// them reachable.
    pub(crate) fn agree(&self) -> Result<bool> {
        let mut leaders = Vec::new();
        for i in (0..self.nodes.len()).filter(|i| self.nodes[*i].is_up()) {
            let status = self.status(i)?;
            let members = list(&status, "members")?;
            let voters = members.iter().filter(|m| m["role"] != "learner").count();
            let has_all = voters == self.nodes.len() && members.len() == self.nodes.len();
            ensure!(
                status["healthy"] == true && status["changing"] == false && has_all,
                "node {i}: {status}"
            );
            leaders.push(status["leader_id"].clone());
        }
        leaders.dedup();
        Ok(leaders.len() == 1 && !leaders[0].is_null())
    }

    /// Waits until every running node has applied the same index.
    pub fn wait_same_applied(&self) -> Result<u64> {
        self.wait_until("the same applied index on all nodes", |c| {
            let up = (0..c.nodes.len()).filter(|i| c.nodes[*i].is_up());
            let applied = up.map(|i| c.applied(i)).collect::<Result<Vec<_>>>()?;
            let first = *applied.first().context("no node is up")?;
            Ok(applied.iter().all(|a| *a == first).then_some(first))
        })
    }

    /// The applied index that a node reports.
    pub fn applied(&self, node: usize) -> Result<u64> {
        let status = self.status(node)?;
        let me = list(&status, "members")?.iter().find(|m| m["id"] == status["node_id"]);
        me.and_then(|m| m["applied_index"].as_u64())
            .with_context(|| format!("the node's own applied_index is missing in {status}"))
    }
}

fn list<'a>(status: &'a Value, name: &str) -> Result<&'a Vec<Value>> {
    status[name].as_array().ok_or_else(|| anyhow!("no {name} in {status}"))
}
