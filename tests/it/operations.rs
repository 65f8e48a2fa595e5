//! An operator's actions on a running cluster: each operation and each refusal, through any node.

use crate::support::{nodes, prepared, publish, publish_many, scenario};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::Duration;
use testkit::Cluster;
use testkit::checks::{check_clients, check_stream, same_backfill};
use testkit::clients::Js;
use testkit::http::Answer;
use testkit::phoenix::Socket;
use testkit::publisher::Publisher;
use testkit::wait::{self, LIMIT};
use testkit::ws::Message;

/// Requests an operation, and repeats the request when its outcome is unknown: doing it twice has the effect
/// of once.
fn operate(cluster: &Cluster, at: usize, name: &str, body: Value) -> Result<Answer> {
    let api = cluster.admin(at).timeout(LIMIT);
    wait::until(name, || {
        let answer = api.post(&format!("/api/cluster/{name}"), &body)?;
        ensure!(answer.code() != "unknown_outcome", "{}", answer.text());
        Ok(Some(answer))
    })
}

fn done(cluster: &Cluster, at: usize, name: &str, body: Value) -> Result<Value> {
    operate(cluster, at, name, body)?.data(200).with_context(|| name.to_owned())
}

/// Promotes a node; retries, because the node may count as away or behind for a moment.
fn promoted(cluster: &Cluster, at: usize, node: u64) -> Result<()> {
    cluster.wait_until("promote", |c| done(c, at, "promote", json!({"node": node})).map(|_| Some(())))
}

/// Checks that an operation is refused with that status and code, and with a hint.
fn refused(cluster: &Cluster, at: usize, name: &str, body: Value, status: u16, code: &str) -> Result<()> {
    let answer = operate(cluster, at, name, body)?.expect(status)?;
    ensure!(answer.code() == code, "{name}: expected {code}: {}", answer.text());
    ensure!(
        answer.json()?["hint"].as_str().is_some_and(|hint| hint.len() > 10),
        "no hint: {}",
        answer.text()
    );
    Ok(())
}

fn wait_member(cluster: &Cluster, at: usize, id: u64, what: &str, is: impl Fn(&Value) -> bool) -> Result<()> {
    cluster.wait_until(what, |c| Ok(c.member(at, id)?.filter(&is).map(|_| ())))
}

#[test]
fn votes_and_the_lead_can_be_given_and_taken() {
    scenario(nodes(3), |cluster| {
        let map = cluster.map("votes")?;
        for name in ["remove", "promote", "demote", "drain", "undrain", "transfer-leader", "snapshot"] {
            refused(cluster, 1, name, json!({"node": 99}), 404, "unknown_node")?;
        }
        refused(cluster, 0, "demote", json!({}), 400, "invalid_body")?;
        operate(cluster, 0, "make-coffee", json!({}))?.expect(404)?;
        refused(cluster, 0, "restore", json!({}), 409, "restore_offline")?;
        let plain = cluster.api(0, &map).post("/api/cluster/step-down", &json!({}))?;
        ensure!(plain.status == 403, "a map's token operates the cluster: {}", plain.text());

        let leader = cluster.leader()?;
        let follower = cluster.follower()?;
        let target = cluster.id(follower)?;
        done(cluster, leader, "transfer-leader", json!({"node": target}))?;
        cluster.wait_until("the follower to lead", |c| Ok((c.leader()? == follower).then_some(())))?;
        // Also through a node that doesn't lead.
        done(cluster, leader, "step-down", json!({}))?;
        cluster.wait_until("another node to lead", |c| Ok((c.leader()? != follower).then_some(())))?;

        let leader = cluster.leader()?;
        let follower = cluster.follower()?;
        let learner = cluster.id(follower)?;
        done(cluster, follower, "demote", json!({"node": learner}))?;
        wait_member(cluster, leader, learner, "the learner", |m| {
            m["voter"] == false && m["stays_learner"] == true
        })?;
        refused(cluster, leader, "transfer-leader", json!({"node": learner}), 409, "learner")?;
        cluster.wait_problem(leader, "even_voters")?;
        cluster.nodes[follower].stop(LIMIT)?;
        cluster.wait_problem(leader, "unreachable")?;
        refused(cluster, leader, "promote", json!({"node": learner}), 409, "node_unreachable")?;
        cluster.start(follower)?;
        publish_many(cluster, follower, &map, "x", 20)?;
        std::thread::sleep(Duration::from_secs(1));
        wait_member(cluster, leader, learner, "the learner still without a vote", |m| m["voter"] == false)?;
        promoted(cluster, follower, learner)?;
        wait_member(cluster, leader, learner, "the learner to vote", |m| m["voter"] == true)?;

        // The leader itself can be demoted: it hands the lead over first.
        let leader = cluster.leader()?;
        let demoted = cluster.id(leader)?;
        done(cluster, leader, "demote", json!({"node": demoted}))?;
        let elsewhere = cluster.wait_until("another node to lead than the learner", |c| {
            let elsewhere = c.leader()?;
            Ok((elsewhere != leader).then_some(elsewhere))
        })?;
        wait_member(cluster, elsewhere, demoted, "a learner", |m| m["voter"] == false)?;
        let addr = cluster.nodes[leader].peer.to_string();
        let added =
            cluster.wait_until("add", |c| done(c, leader, "add", json!({"address": addr})).map(Some))?;
        ensure!(added["node"] == demoted, "{added}");
        let awaited = done(cluster, leader, "add", json!({"address": "127.0.0.1:9"}))?;
        ensure!(awaited["run"].as_str().is_some_and(|run| run.contains("--join")), "{awaited}");

        let snapshot = done(cluster, leader, "snapshot", json!({}))?;
        let nodes = snapshot["nodes"].as_array().context("no nodes")?;
        ensure!(
            nodes.len() == 3 && nodes.iter().all(|n| n["durable_index"].as_u64() > Some(0)),
            "{snapshot}"
        );
        cluster.wait_ready()
    });
}

#[test]
fn a_node_can_be_drained_and_undrained() {
    scenario(nodes(3), |cluster| {
        let map = cluster.map("drained")?;
        let leader = cluster.leader()?;
        let node = cluster.id(leader)?;
        let other = cluster.follower()?;
        let mut socket = cluster.joined(leader, &map, json!({}))?;
        done(cluster, other, "drain", json!({"node": node}))?;
        match socket.message()? {
            Message::Close(Some(1012), _) => {}
            other => anyhow::bail!("expected close 1012, got {other:?}"),
        }
        let gone = |c: &Cluster| -> Result<Option<()>> {
            let shown = c.member(other, node)?.context("the node is no member")?;
            let ready = c.admin(leader).get("/readyz")?.status;
            let drained =
                shown["state"] == "drained" && shown["connections"] == 0 && shown["role"] == "follower";
            Ok((ready == 503 && drained).then_some(()))
        };
        cluster.wait_until("the node to be drained, and not to lead", gone)?;
        ensure!(
            Socket::connect(cluster.nodes[leader].http, &map.token).is_err(),
            "a drained node accepted a socket"
        );
        cluster.wait_problem(other, "drained")?;
        // It is still a member: it votes, and takes publishes from any client.
        publish(cluster, leader, &map, "x", json!({}))?;

        cluster.nodes[leader].stop(LIMIT)?;
        cluster.nodes[leader].start()?;
        cluster.wait_until("the node to be drained after its restart", gone)?;
        done(cluster, leader, "undrain", json!({"node": node}))?;
        cluster.wait_ready()?;
        let mut socket = cluster.joined(leader, &map, json!({}))?;
        publish(cluster, other, &map, "y", json!({}))?;
        socket.events(1)?;

        // The last serving node is drained only by force.
        let rest: Vec<usize> = (0..3).filter(|n| *n != leader).collect();
        for n in &rest {
            done(cluster, leader, "drain", json!({"node": cluster.id(*n)?}))?;
        }
        refused(cluster, leader, "drain", json!({"node": node}), 409, "last_serving")?;
        done(cluster, leader, "drain", json!({"node": node, "force": true}))?;
        cluster.wait_problem(leader, "none_serves")?;
        for n in 0..3 {
            done(cluster, leader, "undrain", json!({"node": cluster.id(n)?}))?;
        }
        cluster.wait_ready()
    });
}

#[test]
fn members_are_removed_but_never_the_majority() {
    scenario(nodes(3), |cluster| {
        let map = cluster.map("removed")?;
        let client = Js::phoenix(&cluster.urls_from(0), &map, json!({}))?;
        client.wait_joined()?;
        let publisher = Publisher::start(cluster.urls_from(0), &map, "r", &["x"], Duration::from_millis(5));
        client.wait_seq(1)?;

        // Remove the leader, through itself.
        let first = cluster.leader()?;
        let removed = cluster.id(first)?;
        done(cluster, first, "remove", json!({"node": removed}))?;
        let left: Vec<usize> = (0..3).filter(|n| *n != first).collect();
        let at = left[0];
        cluster.wait_until("the node to be no member any more", |c| {
            Ok(c.member(at, removed)?.is_none().then_some(()))
        })?;
        publisher.wait_more(20)?;
        cluster.wait_until("the removed node to know that it is removed", |c| {
            let ready = c.admin(first).get("/readyz")?;
            Ok((ready.status == 503 && c.problem(first, "removed")?.is_some()).then_some(()))
        })?;
        // It hears of no revocations any more, so it serves no client.
        cluster.api(first, &map).hasty().get(&map.events())?.expect(503)?;
        ensure!(
            Socket::connect(cluster.nodes[first].http, &map.token).is_err(),
            "a removed node accepted a socket"
        );
        refused(cluster, at, "remove", json!({"node": removed}), 404, "unknown_node")?;
        // With an empty disk it joins again under a new id: no id is assigned twice.
        cluster.nodes[first].stop(LIMIT)?;
        cluster.nodes[first].wipe()?;
        cluster.bring_back(first)?;
        ensure!(cluster.id(first)? > 3, "an id was assigned twice: {}", cluster.id(first)?);

        // One node is down: the other two are needed, and the one that is down may be removed.
        let leader = cluster.leader()?;
        let third = (leader + 1) % 3;
        let away = (leader + 2) % 3;
        let gone = cluster.id(away)?;
        cluster.nodes[away].kill9()?;
        // The refusal must come at once, although the node was up a moment ago.
        let needed = cluster.id(third)?;
        refused(cluster, third, "demote", json!({"node": needed}), 409, "would_lose_majority")?;
        refused(cluster, leader, "remove", json!({"node": needed}), 409, "would_lose_majority")?;
        // A node whose removal is refused must not stay drained.
        cluster.wait_until("the node whose removal was refused to be ready", |c| {
            c.admin(third).get("/readyz")?.expect(200).map(|_| Some(()))
        })?;
        done(cluster, third, "remove", json!({"node": gone}))?;
        publisher.wait_more(5)?;

        // Down to one node, which stays.
        done(cluster, third, "remove", json!({"node": cluster.id(leader)?}))?;
        cluster.wait_until("the last node to lead", |c| {
            Ok((c.status(third)?["role"] == "leader").then_some(()))
        })?;
        for name in ["remove", "demote"] {
            refused(cluster, third, name, json!({"node": needed}), 409, "last_voter")?;
        }
        refused(cluster, third, "step-down", json!({}), 409, "no_successor")?;
        publisher.wait_more(5)?;
        let acks = publisher.stop()?;
        let page = cluster.api(third, &map).get(&map.events())?.expect(200)?.json()?;
        ensure!(page["data"].as_array().is_some_and(|events| events.len() >= 30), "{page}");
        client.wait_seq(acks.last().map_or(0, |ack| ack.seq))?;
        check_stream("a client that resumes", 0, &client.events()?, &acks)
    });
}

#[test]
fn a_node_can_move_to_another_address_with_its_data() {
    scenario(nodes(3), |cluster| {
        let map = cluster.map("moved")?;
        publish_many(cluster, 0, &map, "x", 10)?;
        let node = cluster.follower()?;
        let before = cluster.id(node)?;
        cluster.nodes[node].stop(LIMIT)?;
        let peer = testkit::cluster::free(cluster.nodes[node].peer.ip())?;
        cluster.nodes[node].peer = peer;
        cluster.nodes[node].env.insert("WAYPOST_PEER_ADDR".to_owned(), peer.to_string());
        cluster.bring_back(node)?;
        ensure!(cluster.id(node)? == before, "the node got another id");
        let at = cluster.leader()?;
        wait_member(cluster, at, before, "the new address", |m| m["peer_addr"] == peer.to_string())?;
        publish_many(cluster, node, &map, "y", 10)?;
        ensure!(same_backfill(cluster, &map)?.len() == 20);
        Ok(())
    });
}

#[test]
fn a_rolling_restart_loses_nothing() {
    scenario(nodes(3), |cluster| {
        let map = cluster.map("rolling")?;
        let clients = (0..3)
            .map(|i| Js::phoenix(&cluster.urls_from(i), &map, json!({})))
            .collect::<Result<Vec<_>>>()?;
        clients.iter().try_for_each(|c| c.wait_joined().map(|_| ()))?;
        let publisher = Publisher::start(cluster.urls_from(0), &map, "u", &["x"], Duration::from_millis(5));
        clients.iter().try_for_each(|c| c.wait_seq(1))?;
        for node in 0..3 {
            publisher.wait_more(20)?;
            let exit = cluster.nodes[node].stop(LIMIT)?;
            ensure!(exit.code() == Some(0), "exit after SIGTERM: {exit}");
            publisher.wait_more(20)?;
            cluster.bring_back(node)?;
        }
        let acks = publisher.stop()?;
        check_clients(cluster, &map, &acks, &clients).map(drop)
    });
}

#[test]
fn a_node_without_a_majority_still_reports_its_problems() {
    scenario(nodes(3), |cluster| {
        let others: Vec<usize> = (1..3).collect();
        for node in &others {
            cluster.nodes[*node].sigstop()?;
        }
        let reported = cluster.wait_until("the problems of a minority", |c| {
            let found = c.problems(0)?;
            let count = |code| found.iter().filter(|problem| problem["code"] == code).count();
            Ok((count("no_majority") >= 1 && count("unreachable") == 2).then_some(found))
        });
        let body = json!({"node": cluster.id(1).unwrap_or(2)});
        let refusal =
            cluster.admin(0).hasty().timeout(Duration::from_secs(60)).post("/api/cluster/demote", &body);
        for node in &others {
            cluster.nodes[*node].sigcont()?;
        }
        println!("{:?}", reported?);
        let refusal = refusal?;
        // A leader that has just lost its followers still knows what it may not do.
        ensure!(matches!(refusal.status, 409 | 503) && !refusal.code().is_empty(), "{}", refusal.text());
        cluster.wait_ready()
    });
}

#[test]
fn a_learner_of_a_leader_without_a_majority_reports_it() {
    scenario(nodes(3), |cluster| {
        let learner = cluster.follower()?;
        let node = cluster.id(learner)?;
        done(cluster, learner, "demote", json!({"node": node}))?;
        wait_member(cluster, learner, node, "a learner", |m| m["voter"] == false)?;
        let leader = cluster.leader()?;
        let voter = (0..3).find(|n| *n != leader && *n != learner).context("no third")?;
        cluster.nodes[voter].kill9()?;
        // The leader can still be reached.
        cluster.wait_until("the learner to report it", |c| {
            let ready = c.admin(learner).get("/readyz")?.status;
            Ok((ready == 503 && c.problem(learner, "no_majority")?.is_some()).then_some(()))
        })?;
        ensure!(cluster.status(learner)?["leader_id"] == cluster.id(leader)?, "the learner lost its leader");
        cluster.start(voter)?;
        promoted(cluster, leader, node)?;
        cluster.wait_ready()
    });
}

#[test]
fn a_node_configured_as_a_learner_votes_once_it_is_promoted() {
    prepared(&nodes(2), learner);
}

fn learner(cluster: &mut Cluster) -> Result<()> {
    cluster.start(0)?;
    let first = cluster.nodes[0].peer.to_string();
    cluster.nodes[1].env.insert("WAYPOST_JOIN".to_owned(), first);
    cluster.nodes[1].env.insert("WAYPOST_ROLE".to_owned(), "learner".to_owned());
    cluster.start(1)?;
    let node = cluster.id(1)?;
    wait_member(cluster, 0, node, "a learner", |m| m["voter"] == false && m["stays_learner"] == true)?;
    std::thread::sleep(Duration::from_secs(1));
    wait_member(cluster, 0, node, "still a learner", |m| m["voter"] == false)?;
    promoted(cluster, 1, node)?;
    wait_member(cluster, 0, node, "a voter", |m| m["voter"] == true)?;
    cluster.restart(1)?;
    cluster.wait_until("the node to be healthy", |c| Ok((c.status(1)?["healthy"] == true).then_some(())))?;
    wait_member(cluster, 0, node, "a voter after its restart", |m| m["voter"] == true)
}

#[test]
fn the_command_line_operates_and_watches_the_cluster() {
    scenario(nodes(1), |cluster| {
        let url = cluster.nodes[0].url();
        let run = |seconds: &str, arguments: &[&str]| {
            let mut command = std::process::Command::new("timeout");
            command
                .args([seconds, &crate::support::binary(), "cluster"])
                .args(arguments)
                .args(["--url", &url]);
            command.env("WAYPOST_TOKEN", testkit::cluster::ADMIN).env("WAYPOST_OUTPUT", "json").output()
        };
        let lines = cluster.wait_until("two status lines within five seconds", |_| {
            let watched = run("5", &["status", "--watch"])?.stdout;
            let lines = watched.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
            let lines: Vec<Value> = lines.collect();
            Ok((lines.len() >= 2).then_some(lines))
        })?;
        ensure!(lines.iter().all(|line| line["members"].is_array()), "{lines:?}");
        let refused = run("60", &["step-down"])?;
        let errors = String::from_utf8_lossy(&refused.stderr).into_owned();
        ensure!(
            refused.status.code() == Some(1) && errors.contains("no_successor") && errors.contains("hint:"),
            "{errors}"
        );
        let done = run("60", &["snapshot"])?;
        let summary: Value = serde_json::from_slice(&done.stdout)?;
        ensure!(summary["nodes"][0]["durable_index"].as_u64() > Some(0), "{summary}");
        let added = run("60", &["add", "127.0.0.1:4009"])?;
        ensure!(String::from_utf8_lossy(&added.stdout).contains("--join"), "{added:?}");
        Ok(())
    });
}
