//! Names of nodes: where they stand, what they stand for, and what happens if two nodes have the same.

use crate::support::{nodes, printed, scenario, waypost};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::process::{Output, Stdio};
use testkit::Cluster;
use testkit::cluster::ADMIN;
use testkit::http::Answer;
use testkit::wait::{self, LIMIT};

/// Requests an operation, and repeats the request when its outcome is unknown.
fn operate(cluster: &Cluster, at: usize, name: &str, node: impl Into<Value>) -> Result<Answer> {
    let body = json!({"node": node.into()});
    let api = cluster.admin(at).timeout(LIMIT);
    wait::until(name, || {
        let answer = api.post(&format!("/api/cluster/{name}"), &body)?;
        ensure!(answer.code() != "unknown_outcome", "{}", answer.text());
        Ok(Some(answer))
    })
}

/// The names of the members as a node knows them, by id.
fn names_at(cluster: &Cluster, at: usize) -> Result<Vec<(u64, String)>> {
    let members = cluster.members(at)?;
    let mut names: Vec<(u64, String)> = members
        .iter()
        .map(|member| {
            (
                member["id"].as_u64().unwrap_or_default(),
                member["name"].as_str().unwrap_or_default().to_owned(),
            )
        })
        .collect();
    names.sort();
    Ok(names)
}

/// Runs the program beside the cluster, without a terminal.
fn run(cluster: &Cluster, arguments: &[&str]) -> Result<Output> {
    let mut command = waypost(&[&["cluster"][..], arguments, &["--url", &cluster.nodes[0].url()]].concat());
    Ok(command.env("WAYPOST_TOKEN", ADMIN).stdin(Stdio::null()).output()?)
}

#[test]
fn every_node_knows_the_name_of_every_node() {
    scenario(nodes(3), |cluster| {
        for at in 0..3 {
            cluster.wait_until("all names", |c| {
                let names: Vec<String> = names_at(c, at)?.into_iter().map(|(_, name)| name).collect();
                let all = ["node0", "node1", "node2"].iter().all(|name| names.iter().any(|n| n == name));
                Ok(all.then_some(()))
            })?;
            let status = cluster.status(at)?;
            ensure!(status["node_name"] == format!("node{at}"), "{status}");
            let leads = cluster.member(at, status["leader_id"].as_u64().context("no leader")?)?;
            ensure!(leads.context("no row")?["name"] == status["leader_name"], "{status}");
            let reaches = status["members"][0]["reaches"].as_array().cloned().unwrap_or_default();
            ensure!(reaches.iter().all(|sight| sight["node_name"].is_string()), "{status}");
            let named = cluster.metric(at, "waypost_node_info", &format!("name=\"node{at}\""))?;
            ensure!(named == 1, "no metric has the name of node {at}");
            let log = cluster.nodes[at].log_tail(usize::MAX);
            let own = format!("node{at} ");
            let line = log.lines().find(|line| line.contains("the node serves")).context("no line")?;
            ensure!(line.starts_with(&own) && line.contains(&format!("(node{at})")), "{line}");
        }
        Ok(())
    });
}

#[test]
fn a_node_is_meant_by_its_id_its_name_or_its_address() {
    scenario(nodes(3), |cluster| {
        let node = cluster.follower()?;
        let id = cluster.id(node)?;
        let name = format!("node{node}");
        let peer = cluster.nodes[node].peer.to_string();
        let http = cluster.nodes[node].http.to_string();
        let ways = [json!(id), json!(id.to_string()), json!(name), json!(peer), json!(http)];
        for (n, way) in ways.into_iter().enumerate() {
            for operation in ["drain", "undrain"] {
                let done = operate(cluster, n % 3, operation, way.clone())?.data(200)?;
                ensure!(done["node"] == id && done["name"] == *name && done["address"] == *peer, "{done}");
            }
        }
        cluster.wait_ready()?;
        let unknown = operate(cluster, 0, "drain", "nobody")?;
        ensure!(unknown.status == 404 && unknown.code() == "unknown_node", "{}", unknown.text());
        let led = cluster.wait_until("the lead to be handed over", |c| {
            operate(c, 0, "transfer-leader", name.as_str())?.data(200).map(Some)
        })?;
        ensure!(led["name"] == *name, "{led}");
        let refused = operate(cluster, 1, "snapshot", json!({}))?;
        ensure!(refused.status == 400, "{}", refused.text());
        Ok(())
    });
}

#[test]
fn a_name_that_two_nodes_have_is_a_problem_and_no_argument() {
    scenario(nodes(3), |cluster| {
        let node = cluster.follower()?;
        let id = cluster.id(node)?;
        let at = (node + 1) % 3;
        let other = (node + 2) % 3;
        let taken = format!("node{other}");
        cluster.nodes[node].env.insert("WAYPOST_NODE_NAME".to_owned(), taken.clone());
        cluster.restart(node)?;
        let problem = cluster.wait_until("the problem to be told", |c| c.problem(at, "same_name"))?;
        ensure!(problem["what"].as_str().is_some_and(|what| what.contains(&taken)), "{problem}");
        ensure!(names_at(cluster, at)?.contains(&(id, taken.clone())), "the restarted node has its old name");
        let refused = operate(cluster, at, "drain", taken.as_str())?;
        ensure!(refused.status == 409 && refused.code() == "ambiguous_node", "{}", refused.text());
        let candidates = refused.json()?["candidates"].as_array().map(Vec::len);
        ensure!(candidates == Some(2), "{}", refused.text());
        let told = run(cluster, &["drain", &taken])?;
        let said = printed(&told);
        ensure!(!told.status.success() && said.contains(&cluster.nodes[node].peer.to_string()), "{said}");
        // A name of its own again.
        cluster.nodes[node].env.insert("WAYPOST_NODE_NAME".to_owned(), "fresh.example-1".to_owned());
        cluster.restart(node)?;
        cluster.wait_until("the problem to go away", |c| {
            let known = names_at(c, at)?.contains(&(id, "fresh.example-1".to_owned()));
            Ok((known && c.problem(at, "same_name")?.is_none()).then_some(()))
        })?;
        let done = operate(cluster, at, "drain", "fresh.example-1")?.data(200)?;
        ensure!(done["node"] == id, "{done}");
        operate(cluster, at, "undrain", id)?.data(200).map(drop)
    });
}

#[test]
fn a_node_is_removed_from_a_script_only_with_yes() {
    scenario(nodes(3), |cluster| {
        let node = (0..3).find(|node| *node != 0 && cluster.leader().is_ok_and(|l| l != *node));
        let node = node.context("no other follower")?;
        let id = cluster.id(node)?;
        let name = format!("node{node}");
        let asked = run(cluster, &["remove", &name])?;
        let said = printed(&asked);
        ensure!(asked.status.code() == Some(2) && said.contains("--yes") && said.contains(&name), "{said}");
        ensure!(cluster.member(0, id)?.is_some(), "the node was removed");
        cluster.wait_until("the removal", |c| {
            let removed = run(c, &["remove", &name, "--yes"])?;
            let gone = c.member(0, id)?.is_none();
            ensure!(removed.status.success() || gone, "{}", printed(&removed));
            if removed.status.success() {
                let told: Value = serde_json::from_slice(&removed.stdout)?;
                ensure!(told["node"] == id && told["name"] == *name, "{told}");
            }
            Ok(Some(()))
        })
    });
}
