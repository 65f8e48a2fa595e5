//! The first start: nodes with the same settings found exactly one cluster, in any order and timing, and a node
//! that waits says why.

use crate::support::{nodes, publish};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::net::TcpListener;
use testkit::cluster::free;
use testkit::dice::Dice;
use testkit::http::Api;
use testkit::{Cluster, wait};

/// Prepares nodes that all have the addresses of all.
fn one_template(count: usize, expect: usize) -> Result<Cluster> {
    let mut cluster = Cluster::prepare(&nodes(count).set("WAYPOST_BOOTSTRAP_EXPECT", expect))?;
    let all: Vec<String> = cluster.nodes.iter().map(|node| node.peer.to_string()).collect();
    for node in &mut cluster.nodes {
        node.env.insert("WAYPOST_JOIN".to_owned(), all.join(","));
    }
    Ok(cluster)
}

/// Runs `body`; a failure prints the state and logs of all nodes.
fn on(mut cluster: Cluster, body: impl FnOnce(&mut Cluster) -> Result<()>) {
    if let Err(error) = body(&mut cluster) {
        panic!("{error:#}\n{}", cluster.dump());
    }
}

/// Checks that all nodes are one cluster that takes events. Returns its id.
fn is_one_cluster(cluster: &mut Cluster, slug: &str) -> Result<Value> {
    cluster.wait_ready()?;
    let ids = (0..cluster.nodes.len()).map(|node| Ok(cluster.status(node)?["cluster_id"].clone()));
    let ids: Vec<Value> = ids.collect::<Result<_>>()?;
    ensure!(ids.iter().all(|id| *id == ids[0]), "different clusters: {ids:?}");
    let map = cluster.map(slug)?;
    publish(cluster, 0, &map, "x", json!({}))?;
    Ok(ids[0].clone())
}

/// Waits until a node that does not serve answers `/readyz` with a reason that contains all of `words`.
fn waits_for(cluster: &Cluster, node: usize, words: &[&str]) -> Result<()> {
    let api = Api::new(&cluster.nodes[node].url(), None);
    wait::until(&format!("node {node} to say {words:?}"), || {
        let answer = api.get("/readyz")?;
        let told = answer.expect(503)?.json()?;
        let reason = told["reason"].as_str().context("no reason")?;
        match words.iter().all(|word| reason.contains(word)) {
            true => Ok(Some(())),
            false => bail!("{reason}"),
        }
    })
}

fn has_identity(cluster: &Cluster, node: usize) -> bool {
    cluster.nodes[node].data.join("identity").exists()
}

#[test]
fn three_nodes_from_one_template_found_one_cluster_in_any_order() {
    for order in [[0, 1, 2], [1, 2, 0], [2, 1, 0]] {
        on(one_template(3, 3).unwrap(), |cluster| {
            for node in order {
                cluster.nodes[node].start()?;
            }
            is_one_cluster(cluster, "first").map(drop)
        });
    }
}

#[test]
fn two_nodes_wait_for_the_third_and_say_so() {
    on(one_template(3, 3).unwrap(), |cluster| {
        let late = cluster.nodes[2].peer.to_string();
        cluster.nodes[0].start()?;
        waits_for(cluster, 0, &["3 nodes", "no other is seen yet", &late])?;
        cluster.nodes[1].start()?;
        for node in 0..2 {
            let other = cluster.nodes[1 - node].peer.to_string();
            waits_for(cluster, node, &["3 nodes", "seen besides this", &other, &late])?;
            let api = Api::new(&cluster.nodes[node].url(), None);
            api.get("/healthz")?.expect(200)?;
            for path in [
                "/api/maps",
                "/api/maps?limit=100",
                "/api/maps/m/events/stream?backfill=10&token=wp_a",
                "/socket/websocket?vsn=2.0.0",
                "/nonsense",
            ] {
                let refused = api.get(path)?.expect(503)?;
                ensure!(refused.header("retry-after").is_some(), "{path}: {}", refused.text());
                ensure!(refused.code() == "unavailable", "{path}: {}", refused.text());
            }
            ensure!(
                cluster.nodes[node].log_tail(40).contains("seen besides this"),
                "the log does not say why"
            );
            ensure!(!has_identity(cluster, node), "a cluster was founded by two");
        }
        cluster.nodes[2].start()?;
        let id = is_one_cluster(cluster, "first")?;

        // Restarted together with the same settings, they remain that cluster.
        for node in &mut cluster.nodes {
            node.kill9()?;
        }
        cluster.start_all()?;
        ensure!(is_one_cluster(cluster, "again")? == id, "another cluster");

        // With an empty disk, a node joins the cluster that it finds.
        cluster.nodes[1].kill9()?;
        cluster.nodes[1].wipe()?;
        cluster.nodes[1].start()?;
        ensure!(is_one_cluster(cluster, "joined")? == id, "another cluster");
        Ok(())
    });
}

#[test]
fn a_founder_that_dies_before_it_tells_the_others_founds_no_second_cluster() {
    on(one_template(3, 3).unwrap(), |cluster| {
        cluster.start_all()?;
        let founder =
            wait::until(
                "a node to found a cluster",
                || Ok((0..3).find(|node| has_identity(cluster, *node))),
            )?;
        cluster.nodes[founder].kill9()?;
        // Another node may have got an id before. Whoever has none waits.
        for node in (0..3).filter(|node| *node != founder) {
            let api = Api::new(&cluster.nodes[node].url(), None);
            wait::until("the others to have an id or to wait", || {
                let told = |reason: &str| reason.contains("waiting for the node at");
                let waits = || {
                    Ok::<_, anyhow::Error>(api.get("/readyz")?.json()?["reason"].as_str().is_some_and(told))
                };
                Ok((has_identity(cluster, node) || waits()?).then_some(()))
            })?;
        }
        cluster.nodes[founder].start()?;
        is_one_cluster(cluster, "first").map(drop)
    });
}

#[test]
fn nodes_that_die_while_they_agree_found_one_cluster() {
    for seed in 0..crate::support::scale("WAYPOST_TEST_ROUNDS", 3) {
        let mut dice = Dice::new(seed, 0xf0);
        on(one_template(3, 3).unwrap(), |cluster| {
            // A node is killed after it was seen to have written as many bytes of its log as the dice say.
            for _ in 0..8 {
                let node = dice.below(3);
                cluster.start_all()?;
                let began = std::fs::metadata(&cluster.nodes[node].log)?.len();
                let more = dice.below(1500) as u64;
                wait::until("the node to log something", || {
                    let length = std::fs::metadata(&cluster.nodes[node].log)?.len();
                    Ok((length >= began + more || has_identity(cluster, node)).then_some(()))
                })?;
                cluster.nodes[node].kill9()?;
            }
            cluster.start_all()?;
            is_one_cluster(cluster, "first").map(drop)
        });
    }
}

#[test]
fn a_join_list_of_oneself_begins_no_cluster() {
    let mut cluster = Cluster::prepare(&nodes(1)).unwrap();
    let own = cluster.nodes[0].peer.to_string();
    cluster.nodes[0].env.insert("WAYPOST_JOIN".to_owned(), own);
    on(cluster, |cluster| {
        cluster.nodes[0].start()?;
        let status = wait::until("the node's end", || cluster.nodes[0].ended())?;
        ensure!(!status.success(), "{status}");
        let log = cluster.nodes[0].log_tail(20);
        ensure!(log.contains("names only this node itself"), "{log}");
        ensure!(!has_identity(cluster, 0), "the node began a cluster");
        // Without the list it begins one, and with its data the list does no harm.
        let own = cluster.nodes[0].env.remove("WAYPOST_JOIN").context("no list")?;
        cluster.bring_back(0)?;
        cluster.nodes[0].kill9()?;
        cluster.nodes[0].env.insert("WAYPOST_JOIN".to_owned(), own);
        cluster.bring_back(0)
    });
}

#[test]
fn nodes_that_can_never_found_a_cluster_say_what_to_set() {
    on(one_template(2, 0).unwrap(), |cluster| {
        cluster.nodes[0].start()?;
        cluster.nodes[1].start()?;
        waits_for(cluster, 0, &["set bootstrap_expect"])?;
        cluster.nodes[1].kill9()?;
        cluster.nodes[1].env.insert("WAYPOST_BOOTSTRAP_EXPECT".to_owned(), "3".to_owned());
        cluster.nodes[1].start()?;
        let other = cluster.nodes[1].peer.to_string();
        waits_for(cluster, 0, &["this node founds none", &other])
    });
}

#[test]
fn addresses_that_do_not_answer_keep_no_node_from_its_cluster() {
    on(Cluster::prepare(&nodes(2)).unwrap(), |cluster| {
        cluster.start(0)?;
        // The kernel accepts connections there, and nobody answers.
        let silent = TcpListener::bind("127.0.0.1:0")?;
        let refused = free("127.0.0.1".parse()?)?;
        let (own, other) = (cluster.nodes[1].peer, cluster.nodes[0].peer);
        let all = format!("{},{refused},no-such-name.invalid:1,{own},{other}", silent.local_addr()?);
        cluster.nodes[1].env.insert("WAYPOST_JOIN".to_owned(), all);
        cluster.bring_back(1)
    });
}
