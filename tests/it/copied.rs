//! A data directory that was copied makes a second process with the same id. It takes nothing over while the
//! first one answers, and both are named.

use crate::support::{nodes, publish, scenario};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::path::Path;
use testkit::Cluster;
use testkit::cluster::own_ports;
use testkit::http::Api;
use testkit::node::Node;
use testkit::wait;

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false => std::fs::copy(entry.path(), target).map(drop)?,
        }
    }
    Ok(())
}

/// The address of the member with that id, as a node reports it.
fn peer_of(cluster: &Cluster, through: usize, id: u64) -> Result<Value> {
    Ok(cluster.member(through, id)?.with_context(|| format!("no member {id}"))?["peer_addr"].take())
}

/// Waits until the status names two processes with that id and both of their addresses.
fn names_both(cluster: &Cluster, id: u64, addrs: [&str; 2]) -> Result<()> {
    let through = cluster.leader()?;
    cluster.wait_until("the status to name both processes", |cluster| {
        let problems = cluster.problems(through)?;
        let named = problems.iter().find(|p| p["code"] == "id_claimed_twice" && p["node"] == id);
        let what = named.and_then(|problem| problem["what"].as_str()).unwrap_or_default();
        Ok(addrs.iter().all(|addr| what.contains(addr)).then_some(()))
    })
}

/// Waits until a process says that it is not ready because it is a copy.
fn is_excluded(node: &Node) -> Result<()> {
    let api = Api::new(&node.url(), None);
    let excluded = wait::until("the copy to be excluded", || {
        let told = api.get("/readyz")?.expect(503)?.json()?;
        match told["reason"].as_str().is_some_and(|reason| reason.contains("is a copy")) {
            true => Ok(Some(())),
            false => bail!("{told}"),
        }
    });
    excluded.map_err(|error| error.context(node.log_tail(40)))
}

/// A node on a copy of the data directory of a stopped node, at another address; not started yet.
fn copy_of(cluster: &Cluster, node: usize, name: &str) -> Result<Node> {
    let (http, peer) = own_ports()?;
    let clone = cluster.nodes[node].another(&cluster.dir().join(name), http, peer);
    copy(&cluster.nodes[node].data, &clone.data)?;
    Ok(clone)
}

#[test]
fn a_copied_directory_takes_nothing_over() {
    scenario(nodes(3), |cluster| {
        let map = cluster.map("copied")?;
        let original = cluster.follower()?;
        let id = cluster.id(original)?;
        let at = cluster.nodes[original].peer.to_string();
        cluster.nodes[original].kill9()?;
        let mut clone = copy_of(cluster, original, "copy")?;
        cluster.bring_back(original)?;

        clone.start()?;
        is_excluded(&clone)?;
        names_both(cluster, id, [&at, &clone.peer.to_string()])?;
        let through = (original + 1) % 3;
        ensure!(peer_of(cluster, through, id)? == at, "the copy took over the address");
        let api = Api::new(&clone.url(), Some(&map.token)).hasty();
        let event = json!({"type": "x", "payload": {}});
        ensure!(api.post(&map.events(), &event)?.status == 503, "the copy published");
        cluster.wait_ready()?;
        publish(cluster, original, &map, "x", json!({})).map(drop)
    });
}

#[test]
fn an_original_that_finds_a_copy_in_its_place_is_the_one_that_is_excluded() {
    scenario(nodes(3), |cluster| {
        let map = cluster.map("copied")?;
        let original = cluster.follower()?;
        let through = (original + 1) % 3;
        let id = cluster.id(original)?;
        let at = cluster.nodes[original].peer.to_string();

        // While nobody answers at the old address, the copy looks like a node that has moved.
        cluster.nodes[original].kill9()?;
        let mut clone = copy_of(cluster, original, "copy")?;
        clone.start()?;
        let elsewhere = clone.peer.to_string();
        cluster.wait_until("the member to be at its new address", |cluster| {
            Ok((peer_of(cluster, through, id)? == elsewhere).then_some(()))
        })?;
        let api = Api::new(&clone.url(), Some(&map.token)).patient();
        api.post(&map.events(), &json!({"type": "x", "payload": {}}))?.expect(201)?;

        cluster.nodes[original].start()?;
        is_excluded(&cluster.nodes[original])?;
        names_both(cluster, id, [&at, &elsewhere])?;
        ensure!(peer_of(cluster, through, id)? == elsewhere, "the original took the address back");
        ensure!(clone.ended()?.is_none(), "the copy ended");
        Ok(())
    });
}
