//! Nodes that only some others reach, nodes that hang, and no majority: what an operator is told about them,
//! and how soon.

use crate::network::Network;
use crate::support::{binary, nodes, prepared, publish_many, scenario};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use testkit::Cluster;
use testkit::cluster::{ADMIN, Map};

/// How long a command may take when a node hangs.
const AT_ONCE: Duration = Duration::from_secs(3);

/// Runs the program with a token; returns what it printed and how long it took.
fn waypost(token: &str, arguments: &[&str]) -> Result<(Output, Duration)> {
    let began = Instant::now();
    let mut command = Command::new("timeout");
    command.args(["100", &binary()]).args(arguments).env("WAYPOST_TOKEN", token);
    command.env("WAYPOST_OUTPUT", "json");
    Ok((command.output()?, began.elapsed()))
}

fn problem(status: &Value, code: &str) -> Option<(String, String)> {
    let found = status["problems"].as_array()?.iter().find(|problem| problem["code"] == code)?;
    Some((found["what"].as_str()?.to_owned(), found["do"].as_str()?.to_owned()))
}

/// A cluster whose network can be cut.
fn with_network(body: impl FnOnce(&mut Cluster, &Network) -> Result<()>) {
    prepared(&nodes(3), |cluster| {
        let network = Network::of(cluster)?;
        cluster.launch()?;
        body(cluster, &network)
    });
}

#[test]
fn every_node_says_who_does_not_reach_whom_and_which_port_to_look_at() {
    with_network(|cluster, network| {
        let map = cluster.map("half-open")?;
        let leader = cluster.leader()?;
        let silent = cluster.follower()?;
        let third = (0..3).find(|node| *node != leader && *node != silent).context("no third")?;
        let (leads, cut, other) = (cluster.id(leader)?, cluster.id(silent)?, cluster.id(third)?);
        let address = cluster.nodes[silent].peer.to_string();
        let [leader_called, cut_called, other_called] =
            [(leader, leads), (silent, cut), (third, other)].map(|(node, id)| format!("{id} (node{node})"));
        network.cut_way(leader, silent);
        let half = |c: &Cluster, at: usize| -> Result<Option<(Value, String, String)>> {
            let status = c.status(at)?;
            let found = problem(&status, "half_reachable");
            Ok(found.map(|(what, hint)| (status, what, hint)))
        };
        // The node's own view and the leader's agree, and neither sends the operator to start what runs.
        for at in [leader, third, silent] {
            let (status, what, hint) =
                cluster.wait_until("the blocked direction to be named", |c| half(c, at))?;
            println!("as node {} sees it: {what} -> {hint}", status["node_id"]);
            ensure!(
                what.contains(&format!("node {leader_called} does not reach node {cut_called} at {address}")),
                "{what}"
            );
            ensure!(what.contains(&format!("node {other_called} reaches it")), "{what}");
            ensure!(hint.contains(&format!("from node {leader_called} to {address}")), "{hint}");
            ensure!(problem(&status, "unreachable").is_none(), "it runs: {status}");
        }
        let row = cluster.member(leader, cut)?.context("no row")?;
        ensure!(row["state"] == "up" && row["reachable"] == false && row["reported_by"] == other, "{row}");

        let status = cluster.wait_until("the node to say that it hears no leader", |c| {
            let status = c.status(silent)?;
            Ok(problem(&status, "cut_off").map(|_| status))
        })?;
        let (what, _) = problem(&status, "cut_off").context("no problem")?;
        println!("{what}");
        ensure!(what.contains(&format!("node {leader_called} leads with a majority")), "{what}");
        ensure!(problem(&status, "no_majority").is_none() && status["healthy"] == false, "{status}");
        publish_many(cluster, leader, &map, "x", 30)?;
        let lag = cluster.wait_until("the node to know how far it is behind", |c| {
            Ok(c.member(silent, cut)?.and_then(|own| own["lag"].as_u64()).filter(|lag| *lag > 0))
        })?;
        println!("the node that is cut off is {lag} entries behind, as it says itself");

        let urls = cluster.urls_from(silent).join(",");
        let (output, _) = waypost(ADMIN, &["cluster", "status", "--url", &urls])?;
        let shown: Value = serde_json::from_slice(&output.stdout)?;
        ensure!(shown["healthy"] == true, "another node's view is the one to show: {shown}");
        let asked = shown["asked"].as_array().context("no list of nodes")?;
        let of_cut = asked.iter().find(|asked| asked["node_id"] == cut).context("not asked")?;
        ensure!(of_cut["problems"].to_string().contains("cut_off"), "{shown}");

        network.heal();
        cluster.wait_ready()?;
        cluster.wait_until("the problems to go away", |c| {
            let status = c.status(silent)?;
            let gone = ["half_reachable", "cut_off"].iter().all(|code| problem(&status, code).is_none());
            Ok(gone.then_some(()))
        })
    });
}

#[test]
fn one_node_that_hangs_delays_no_command_that_reads() {
    scenario(nodes(3), |cluster| {
        let map = cluster.map("hangs")?;
        let hangs = cluster.follower()?;
        let urls = cluster.urls_from(hangs).join(",");
        cluster.nodes[hangs].suspended(|| commands(cluster, &map, &urls))?;
        cluster.wait_ready()
    });
}

fn commands(cluster: &Cluster, map: &Map, urls: &str) -> Result<()> {
    cluster.leader()?;
    let reads: [&[&str]; 5] = [
        &["cluster", "status"],
        &["map", "list"],
        &["map", "show", &map.slug],
        &["token", "list", &map.slug],
        &["webhook", "list", &map.slug],
    ];
    for read in reads {
        // A busy machine may delay a try, so one of several has to be quick.
        let took = cluster.wait_until("a quick answer", |_| {
            let (output, took) = waypost(ADMIN, &[read, &["--url", urls]].concat())?;
            ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            ensure!(took < AT_ONCE, "{read:?} took {took:?}");
            Ok(Some(took))
        })?;
        println!("{read:?} with a node that hangs: {took:?}");
    }
    Ok(())
}

#[test]
fn publishing_without_a_majority_fails_at_once_and_waits_if_told_to() {
    scenario(nodes(3), |cluster| {
        let map = cluster.map("minority")?;
        let stays = cluster.leader()?;
        for node in (0..3).filter(|node| *node != stays) {
            cluster.nodes[node].kill9()?;
        }
        let urls = cluster.urls_from(0).join(",");
        let publish = |more: &[&str]| {
            waypost(&map.token, &[&["publish", &*map.slug, "x", "{}", "--url", &*urls], more].concat())
        };
        let took = cluster.wait_until("a refusal at once", |_| {
            let (output, took) = publish(&[])?;
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            ensure!(output.status.code() == Some(1), "{errors}");
            ensure!(errors.contains("majority") && errors.contains("--wait"), "{errors}");
            ensure!(took < AT_ONCE, "it took {took:?}");
            Ok(Some(took))
        })?;
        println!("refused after {took:?}");
        let waits = std::thread::scope(|scope| {
            let waits = scope.spawn(|| publish(&["--wait", "90"]));
            for node in (0..3).filter(|node| *node != stays) {
                cluster.nodes[node].start()?;
            }
            waits.join().map_err(|_| anyhow::anyhow!("the publisher panicked"))?
        })?;
        ensure!(waits.0.status.success(), "{}", String::from_utf8_lossy(&waits.0.stderr));
        let stored: Value = serde_json::from_slice(&waits.0.stdout)?;
        ensure!(stored["seq"].as_u64() > Some(0), "{stored}");
        cluster.wait_ready()
    });
}

#[test]
fn a_node_with_other_settings_is_named() {
    scenario(nodes(3), |cluster| {
        let node = cluster.follower()?;
        let named = cluster.id(node)?;
        let at = (node + 1) % 3;
        let told = |c: &Cluster| Ok(problem(&c.status(at)?, "settings_differ").map(|(what, _)| what));
        cluster.nodes[node].stop(testkit::wait::LIMIT)?;
        let settings = [
            ("WAYPOST_ADMIN_TOKEN", "another-token-than-the-others"),
            ("WAYPOST_LIMITS_EVENT_BYTES", "300000"),
        ];
        for (name, value) in settings {
            cluster.nodes[node].env.insert(name.to_owned(), value.to_owned());
        }
        cluster.start(node)?;
        let what = cluster.wait_until("the difference to be told", told)?;
        println!("{what}");
        ensure!(
            what == format!(
                "node {named} (node{node}) has another value than the other nodes of: admin_token, limits.event_bytes"
            ),
            "{what}"
        );
        // What a node reports about its settings goes to its peers only.
        let status = cluster.status(at)?.to_string();
        ensure!(!status.contains("another-token") && !status.contains("\"settings\""), "{status}");
        cluster.nodes[node].stop(testkit::wait::LIMIT)?;
        cluster.nodes[node].env.insert("WAYPOST_ADMIN_TOKEN".to_owned(), ADMIN.to_owned());
        cluster.nodes[node].env.remove("WAYPOST_LIMITS_EVENT_BYTES");
        cluster.bring_back(node)?;
        cluster.wait_until("the difference to be gone", |c| Ok(told(c)?.is_none().then_some(())))
    });
}

#[test]
fn a_wrong_advertised_address_is_not_entered() {
    prepared(&nodes(2), advertises_wrongly);
}

fn advertises_wrongly(cluster: &mut Cluster) -> Result<()> {
    cluster.start(0)?;
    let wrong = testkit::cluster::free(cluster.nodes[1].peer.ip())?.to_string();
    let first = cluster.nodes[0].peer.to_string();
    cluster.nodes[1].env.insert("WAYPOST_JOIN".to_owned(), first);
    cluster.nodes[1].env.insert("WAYPOST_ADVERTISE_PEER_ADDR".to_owned(), wrong.clone());
    cluster.nodes[1].start()?;
    let line = cluster.wait_until("the node to say why it is not taken", |c| {
        let log = c.nodes[1].log_tail(200);
        let line = log.lines().find(|line| line.contains("does not answer at")).map(str::to_owned);
        Ok(line)
    })?;
    println!("{line}");
    ensure!(line.contains(&wrong) && line.contains("WAYPOST_ADVERTISE_PEER_ADDR"), "{line}");
    ensure!(cluster.members(0)?.len() == 1, "the node was entered");
    cluster.nodes[1].stop(testkit::wait::LIMIT)?;
    cluster.nodes[1].env.remove("WAYPOST_ADVERTISE_PEER_ADDR");
    cluster.bring_back(1)?;
    ensure!(cluster.members(0)?.len() == 2);
    // A member that moves to an address where nobody finds it keeps the one at which it is found.
    let (node, before) = (cluster.id(1)?, cluster.nodes[1].peer.to_string());
    cluster.nodes[1].stop(testkit::wait::LIMIT)?;
    cluster.nodes[1].env.insert("WAYPOST_ADVERTISE_PEER_ADDR".to_owned(), wrong.clone());
    cluster.nodes[1].start()?;
    cluster.wait_until("the node to say why it is not moved", |c| {
        Ok(c.nodes[1].log_tail(20).contains("does not answer at").then_some(()))
    })?;
    let entered = cluster.member(0, node)?.context("no member")?;
    ensure!(entered["peer_addr"] == before, "{entered}");
    Ok(())
}

#[test]
fn a_removed_node_that_starts_with_its_old_disk_says_what_to_do() {
    scenario(nodes(3), |cluster| {
        let node = cluster.follower()?;
        let at = cluster.leader()?;
        let removed = cluster.id(node)?;
        cluster.nodes[node].stop(testkit::wait::LIMIT)?;
        cluster.wait_until("the node to be removed", |c| {
            let body = json!({"node": removed, "force": true});
            let answer = c.admin(at).post("/api/cluster/remove", &body)?;
            ensure!(answer.status == 200 || answer.code() == "unknown_node", "{}", answer.text());
            Ok(Some(()))
        })?;
        cluster.nodes[node].start()?;
        let log = cluster.wait_until("the log to say what to do", |c| {
            let log = c.nodes[node].log_tail(100);
            Ok(log.lines().find(|line| line.contains("was removed from the cluster")).map(str::to_owned))
        })?;
        println!("{log}");
        ensure!(log.contains("empty its data directory") && log.contains("WAYPOST_JOIN"), "{log}");
        let ready = cluster.admin(node).hasty().get("/readyz")?.expect(503)?;
        ensure!(ready.text().contains("empty its data directory"), "{}", ready.text());
        Ok(())
    });
}

#[test]
fn data_files_are_private_in_a_directory_that_existed() {
    prepared(&nodes(1), kept_private);
}

fn kept_private(cluster: &mut Cluster) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let data = cluster.nodes[0].data.clone();
    std::fs::create_dir_all(&data)?;
    let set = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap()
    };
    set(&data, 0o755);
    let open = || -> Vec<String> {
        let mut open = Vec::new();
        let mut folders = vec![data.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let Ok(meta) = entry.metadata() else { continue };
                if meta.permissions().mode() & 0o077 != 0 {
                    open.push(entry.path().display().to_string());
                }
                if meta.is_dir() {
                    folders.push(entry.path());
                }
            }
        }
        open
    };
    cluster.start(0)?;
    ensure!(data.join("state.redb").exists() && open().is_empty(), "others can read: {:?}", open());
    cluster.nodes[0].stop(testkit::wait::LIMIT)?;
    set(&data.join("state.redb"), 0o644);
    set(&data.join("webhooks.key"), 0o644);
    cluster.start(0)?;
    ensure!(open().is_empty(), "others can still read: {:?}", open());
    Ok(())
}
