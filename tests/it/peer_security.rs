//! Peers with certificates or with a key: the cluster works and fails over, keys and certificates can be
//! replaced at run time, no other process gets in or does harm, and a removed node gets nothing.

use crate::certificates::{Authority, FAR};
use crate::support::{binary, nodes, publish, scenario, unharmed};
use anyhow::{Context, Result, ensure};
use rcgen::date_time_ymd;
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;
use testkit::checks::{check_acks, check_stream, same_backfill};
use testkit::cluster::own_ports;
use testkit::node::Node;
use testkit::publisher::Publisher;
use testkit::{Cluster, Options, wait};

const KEY: &str = "the key that all nodes of a test share";
const STOP: Duration = Duration::from_secs(60);
const PACE: Duration = Duration::from_millis(10);

type Env = Vec<(String, String)>;

const OTHER: &str = "the key that others share among them";

fn key(text: &str) -> Env {
    vec![("WAYPOST_PEER_KEY".to_owned(), text.to_owned())]
}

/// A key, and the one before it.
fn keys(text: &str, previous: &str) -> Env {
    [key(text), vec![("WAYPOST_PEER_PREVIOUS_KEY".to_owned(), previous.to_owned())]].concat()
}

fn three(env: Env) -> Options {
    let mut options = nodes(3);
    options.env.extend(env);
    options
}

/// The leader is killed under load and starts again.
fn fails_over(cluster: &mut Cluster) -> Result<()> {
    let map = cluster.map("failover")?;
    let publisher = Publisher::start(cluster.urls_from(0), &map, "p", &["x"], PACE);
    publisher.wait_more(20)?;
    let leader = cluster.leader()?;
    cluster.nodes[leader].kill9()?;
    publisher.wait_more(20)?;
    cluster.bring_back(leader)?;
    publisher.wait_more(20)?;
    let acks = publisher.stop()?;
    check_acks(std::slice::from_ref(&acks))?;
    check_stream("backfill", 0, &same_backfill(cluster, &map)?, &acks)
}

/// A node with other settings asks to join and is refused. Its own log says `own_line`, the log of the node
/// that it asked says `peer_line`.
fn check_refused(cluster: &Cluster, at: usize, env: Env, own_line: &str, peer_line: &str) -> Result<()> {
    let dir = cluster.dir().join(format!("stranger-{at}-{}", env.len()));
    let (http, peer) = own_ports()?;
    let mut stranger = Node::new(Path::new(&binary()), &dir, http, peer);
    stranger.env.extend(env);
    stranger.env.insert("WAYPOST_JOIN".to_owned(), cluster.nodes[at].peer.to_string());
    let seen = cluster.nodes[at].log_tail(usize::MAX).len();
    stranger.start()?;
    let waited = wait::until(&format!("`{own_line}` and `{peer_line}`"), || {
        let own = stranger.log_tail(usize::MAX);
        let node = cluster.nodes[at].log_tail(usize::MAX);
        ensure!(own.contains(own_line), "the stranger's log: {own}");
        ensure!(node.get(seen..).is_some_and(|new| new.contains(peer_line)), "the node's log: {node}");
        Ok(Some(()))
    });
    stranger.kill9().context("the stranger ended by itself")?;
    waited?;
    let members = cluster.status(at)?["members"].as_array().map(Vec::len);
    ensure!(members == Some(3), "{members:?} members");
    Ok(())
}

/// Replaces the settings of the peer port on one node after another, under load. Each restart must leave the
/// others publishing while the node is down, and must bring the node back.
fn change_each(cluster: &mut Cluster, publisher: &Publisher, env: &Env) -> Result<()> {
    for at in 0..cluster.nodes.len() {
        cluster.nodes[at].stop(STOP)?;
        cluster.nodes[at]
            .env
            .retain(|name, _| !name.starts_with("WAYPOST_PEER_") || name == "WAYPOST_PEER_ADDR");
        cluster.nodes[at].env.extend(env.iter().cloned());
        publisher.wait_more(20)?;
        cluster.bring_back(at)?;
        publisher.wait_more(20)?;
    }
    Ok(())
}

/// Sends bytes that no peer sends, and opens silent connections.
fn garbage(cluster: &Cluster) -> Result<()> {
    let client_hello = [&[22, 3, 1, 1, 0, 1, 0, 0, 252, 3, 3][..], &[7; 300]].concat();
    let mut kept = Vec::new();
    for node in &cluster.nodes {
        for bytes in
            [&client_hello[..], b"GET / HTTP/1.1\r\n\r\n", &[0; 5000], b"WPST\x03\x01\xff\xff", &[22; 70_000]]
        {
            let mut socket = TcpStream::connect(node.peer)?;
            socket.set_read_timeout(Some(Duration::from_secs(30)))?;
            // The node may close the connection before all of it was sent.
            let _ = socket.write_all(bytes);
            let mut answer = [0; 1024];
            while matches!(socket.read(&mut answer), Ok(n) if n > 0) {}
        }
        // These connections stay silent.
        kept.extend((0..20).map(|_| TcpStream::connect(node.peer)).collect::<std::io::Result<Vec<_>>>()?);
    }
    let map = cluster.map("garbage")?;
    for node in 0..3 {
        publish(cluster, node, &map, "x", json!({}))?;
    }
    unharmed(cluster)
}

#[test]
fn nodes_with_certificates_refuse_all_other_nodes() {
    let dir = tempfile::tempdir().unwrap();
    let own = Authority::new("own").unwrap();
    let foreign = Authority::new("foreign").unwrap();
    let files = own.issue(dir.path(), "node", FAR).unwrap();
    let strangers = foreign.issue(dir.path(), "stranger", FAR).unwrap();
    let ended = own.issue(dir.path(), "ended", 2020).unwrap();
    scenario(three(files.peer()), |cluster| {
        let status = cluster.status(1)?;
        let until = date_time_ymd(FAR, 12, 31).unix_timestamp();
        ensure!(status["peer_security"] == "tls" && status["peer_certificate_until"] == until, "{status}");
        check_refused(cluster, 0, Env::new(), "there is none", "shows no certificate")?;
        check_refused(
            cluster,
            1,
            strangers.peer(),
            "of another authority",
            "closed a connection to the peer port",
        )?;
        check_refused(
            cluster,
            2,
            ended.peer(),
            "this node's certificate: it has ended",
            "the certificate has ended",
        )?;
        check_refused(cluster, 0, key(KEY), "there is none", "shows no certificate")?;
        garbage(cluster)?;
        fails_over(cluster)
    });
}

#[test]
fn nodes_with_a_key_refuse_all_other_nodes() {
    let dir = tempfile::tempdir().unwrap();
    let files = Authority::new("own").unwrap().issue(dir.path(), "node", FAR).unwrap();
    scenario(three(key(KEY)), |cluster| {
        ensure!(cluster.status(0)?["peer_security"] == "key", "{}", cluster.status(0)?);
        check_refused(cluster, 0, Env::new(), "has no key", "has no key")?;
        check_refused(cluster, 1, key(OTHER), "has another key", "has another key")?;
        check_refused(cluster, 2, files.peer(), "of another authority", "of another authority")?;
        garbage(cluster)?;
        fails_over(cluster)
    });
}

#[test]
fn certificates_and_their_authority_are_replaced_without_a_failed_publish() {
    let dir = tempfile::tempdir().unwrap();
    let old = Authority::new("old").unwrap();
    let new = Authority::new("new").unwrap();
    let files = old.issue(dir.path(), "node", FAR - 1).unwrap();
    scenario(three(files.peer()), |cluster| {
        let map = cluster.map("renewed")?;
        let leader = cluster.leader()?;
        let follower = cluster.follower()?;
        let taken = |cluster: &Cluster| -> Vec<usize> {
            let log = |node: &Node| node.log_tail(usize::MAX).matches("took new peer certificates").count();
            cluster.nodes.iter().map(log).collect()
        };
        // During each step the test publishes at the node that stays up, without a key: a failed publish
        // could not be repeated.
        let event = json!({"type": "x", "payload": {}});
        let mut published = 0;
        let mut publish_until = |cluster: &Cluster, what: &str, done: &dyn Fn(&Cluster) -> Result<bool>| {
            cluster.wait_until(what, |cluster| {
                let answer = cluster.api(leader, &map).post(&map.events(), &event);
                if let Err(error) = answer.and_then(|answer| answer.expect(201)) {
                    return Ok(Some(Err(error.context(format!("publishing failed, waiting for {what}")))));
                }
                published += 1;
                Ok(done(cluster)?.then_some(Ok(())))
            })??;
            anyhow::Ok(published)
        };
        let all_took =
            |times: usize| move |cluster: &Cluster| Ok(taken(cluster).iter().all(|taken| *taken == times));

        std::fs::write(&files.ca, old.pem() + &new.pem())?;
        publish_until(cluster, "both authorities to be trusted", &all_took(1))?;
        new.replace(&files, FAR)?;
        publish_until(cluster, "certificates of the new authority", &all_took(2))?;
        std::fs::write(&files.ca, new.pem())?;
        publish_until(cluster, "the old authority to be no longer trusted", &all_took(3))?;

        // A node that starts now has seen only the new certificates, and all its connections are new.
        cluster.nodes[follower].kill9()?;
        cluster.nodes[follower].start()?;
        let count = publish_until(cluster, "the node to be back", &|cluster| {
            Ok(cluster.admin(follower).get("/readyz").is_ok_and(|answer| answer.status == 200))
        })?;
        let all = same_backfill(cluster, &map)?;
        ensure!(all.len() == count, "{} events of {count} publishes", all.len());
        let old_one = old.issue(cluster.dir(), "old", FAR)?;
        check_refused(
            cluster,
            leader,
            old_one.peer(),
            "another authority",
            "closed a connection to the peer port",
        )
    });
}

#[test]
fn a_key_is_replaced_by_another_and_by_certificates_without_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    let files = Authority::new("own").unwrap().issue(dir.path(), "node", FAR).unwrap();
    scenario(three(key(KEY)), |cluster| {
        let map = cluster.map("rolling")?;
        let publisher = Publisher::start(cluster.urls_from(0), &map, "p", &["x"], PACE);
        publisher.wait_more(20)?;
        change_each(cluster, &publisher, &keys(OTHER, KEY))?;
        change_each(cluster, &publisher, &key(OTHER))?;
        check_refused(cluster, 0, key(KEY), "has another key", "has another key")?;
        change_each(cluster, &publisher, &[key(OTHER), files.peer()].concat())?;
        ensure!(cluster.status(0)?["peer_security"] == "key_or_tls", "{}", cluster.status(0)?);
        change_each(cluster, &publisher, &files.peer())?;
        ensure!(cluster.status(0)?["peer_security"] == "tls", "{}", cluster.status(0)?);
        check_refused(cluster, 1, key(OTHER), "there is none", "shows no certificate")?;
        let acks = publisher.stop()?;
        check_acks(std::slice::from_ref(&acks))?;
        check_stream("backfill", 0, &same_backfill(cluster, &map)?, &acks)
    });
}

/// A removed node has its data, its identity and the cluster's key. It may ask to join again under a new id,
/// and for nothing else; once the key is replaced, not even that.
#[test]
fn a_removed_node_gets_nothing_although_it_knows_the_key() {
    let mut options = nodes(4);
    options.env.extend(key(KEY));
    scenario(options, |cluster| {
        let map = cluster.map("removed")?;
        let at = cluster.follower()?;
        let id = cluster.status(at)?["node_id"].clone();
        let leader = cluster.leader()?;
        let identity = |cluster: &Cluster| -> Result<serde_json::Value> {
            let members = cluster.status(leader)?["members"].take();
            let members = members.as_array().cloned().unwrap_or_default();
            Ok(members.into_iter().find(|member| member["id"] == id).unwrap_or_default()["identity"].take())
        };
        ensure!(
            identity(cluster)?.as_str().is_some_and(|identity| identity.len() == 16),
            "no identity is shown"
        );
        let secret = cluster.nodes[at].data.join("webhooks.key");
        cluster.wait_until("the key that encrypts webhooks", |_| Ok(secret.exists().then_some(())))?;
        cluster.admin(leader).post("/api/cluster/remove", &json!({"node": id}))?.expect(200)?;
        let mut removed = cluster.nodes.remove(at);
        removed.stop(STOP)?;
        // It has lost that key, and asks the others for it.
        std::fs::remove_file(&secret)?;
        removed.start()?;
        let refused = |what: &str| {
            let seen = |node: &Node| node.log_tail(usize::MAX).contains(what);
            wait::until(&format!("`{what}` in the log of the removed node"), || {
                Ok(seen(&removed).then_some(()))
            })
        };
        refused("is no longer a member of this cluster")?;
        for node in 0..3 {
            publish(cluster, node, &map, "x", json!({}))?;
            let status = cluster.status(node)?;
            ensure!(status["members"].as_array().map(Vec::len) == Some(3), "{status}");
        }

        // With another key it is not even told that.
        for node in &mut cluster.nodes {
            node.stop(STOP)?;
            node.env.extend(key(OTHER));
            node.start()?;
        }
        cluster.wait_ready()?;
        refused("has another key")?;
        ensure!(!secret.exists(), "a removed node got the key that encrypts webhooks");
        unharmed(cluster)
    });
}
