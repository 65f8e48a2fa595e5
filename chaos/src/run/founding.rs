//! Nodes that might found a second cluster, or take another's identity: empty nodes from one template, and a
//! copied data directory.

use super::Run;
use anyhow::{Context, Result, bail, ensure};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use testkit::cluster::{ADMIN, Cluster, own_ports};
use testkit::http::Api;
use testkit::node::Node;
use testkit::wait;

/// How long nodes from one template may take, once all of them run.
const FOUNDED: Duration = Duration::from_secs(60);
/// How long a copied node is left alone with the cluster.
const COPY_RUNS_MS: (u64, u64) = (3_000, 6_000);

/// Empty nodes with the same settings, as many as the run has, start in a random order, at random times, and
/// some of them are killed meanwhile. Exactly one cluster must come out.
pub fn one_template(run: &mut Run) -> Result<()> {
    run.broken("empty nodes", &[], false, "one template");
    let founded = founded(run);
    run.mended("empty nodes", &[]);
    run.journal.caught_up("nodes from one template", founded);
    Ok(())
}

fn founded(run: &mut Run) -> Result<()> {
    let dir = tempfile::Builder::new().prefix("template-").tempdir_in(run.names.dir())?;
    let mut nodes = Vec::new();
    for n in 0..run.founders {
        let (http, peer) = own_ports()?;
        nodes.push(Node::new(&run.binary, &dir.path().join(format!("node{n}")), http, peer));
    }
    let peers: Vec<String> = nodes.iter().map(|node| node.peer.to_string()).collect();
    for node in &mut nodes {
        node.env.insert("WAYPOST_ADMIN_TOKEN".to_owned(), ADMIN.to_owned());
        node.env.insert("WAYPOST_JOIN".to_owned(), peers.join(","));
        node.env.insert("WAYPOST_BOOTSTRAP_EXPECT".to_owned(), run.founders.to_string());
    }
    let mut cluster = Cluster::of(nodes, dir);
    let mut order: Vec<usize> = (0..run.founders).collect();
    for at in 0..order.len() {
        order.swap(at, at + run.dice.below(run.founders - at));
    }
    for node in order {
        run.rest_between(0, 1500)?;
        cluster.nodes[node].start()?;
        if run.dice.thousandth(500) {
            let victim = run.dice.below(run.founders);
            run.rest_between(0, 800)?;
            if cluster.nodes[victim].is_up() {
                cluster.nodes[victim].kill9()?;
                run.rest_between(0, 500)?;
                cluster.nodes[victim].start()?;
            }
        }
    }
    one_cluster(&mut cluster)
}

/// Waits until all nodes are members of one cluster. No node may ever be a leader of a smaller one.
fn one_cluster(cluster: &mut Cluster) -> Result<()> {
    wait::until_for(FOUNDED, "one cluster of all nodes", || {
        for node in &mut cluster.nodes {
            if let Some(status) = node.ended()? {
                bail!("a node ended: {status}: {}", node.log_tail(5));
            }
        }
        let mut leaders = Vec::new();
        for node in 0..cluster.nodes.len() {
            let status = cluster.status(node)?;
            let members = status["members"].as_array().context("no members")?.len();
            ensure!(members == cluster.nodes.len(), "node {node} has {members} members");
            leaders.push(status["leader_id"].clone());
        }
        leaders.dedup();
        Ok((leaders.len() == 1 && !leaders[0].is_null()).then_some(()))
    })
    .with_context(|| cluster.dump())
}

/// A node's data directory is copied while the node is down, and the copy is started beside it, at another
/// address. The original must remain the member, and the cluster must tell of the two.
pub fn copied_directory(run: &mut Run) -> Result<()> {
    run.settle()?;
    let node = run.any();
    run.broken("kill -9", &[node], true, "");
    run.kill(node)?;
    let home = run.cluster.dir().join(format!("copy-{}", run.dice.next()));
    copy(&run.cluster.nodes[node].data, &home.join("data"))?;
    run.start(node)?;
    run.mended("kill -9", &[node]);
    run.settle()?;

    let (http, peer) = own_ports()?;
    let mut clone = run.cluster.nodes[node].another(&home, http, peer);
    run.broken("copied directory", &[node], false, format!("a copy of node {node} at {peer}"));
    clone.start()?;
    run.rest_between(COPY_RUNS_MS.0, COPY_RUNS_MS.1)?;
    let original = original_stays(run, node);
    // The copy may have ended by itself.
    if clone.ended()?.is_none() {
        clone.kill9()?;
    }
    run.mended("copied directory", &[node]);
    run.journal.caught_up("the original of a copied directory", original);
    run.settle()
}

/// Waits until another node reports the original's address for its id, and that two processes claim the id.
fn original_stays(run: &Run, node: usize) -> Result<()> {
    let address = run.cluster.nodes[node].peer.to_string();
    let other = (node + 1) % run.cluster.nodes.len();
    wait::until_for(Duration::from_secs(20), "the original to be the member", || {
        let url = run.cluster.nodes[other].url();
        let status =
            Api::new(&url, Some(ADMIN)).timeout(Duration::from_secs(5)).get("/api/cluster/status")?;
        let status = status.data(200)?;
        let members = status["members"].as_array().context("no members")?;
        let listed = members.iter().any(|member| member["peer_addr"] == address.as_str());
        ensure!(listed, "no member has the address {address}: {status}");
        let reported = status["problems"].to_string().contains("id_claimed_twice");
        ensure!(reported, "the copy is not reported: {}", status["problems"]);
        Ok(Some(()))
    })
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to.parent().context("no parent")?)?;
    let status = Command::new("cp").arg("-a").arg(from).arg(to).status()?;
    ensure!(status.success(), "cp: {status}");
    Ok(())
}
