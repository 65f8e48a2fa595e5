//! `waypost doctor` against real nodes: what is sound, and each thing that is not.

use crate::certificates::{Authority, FAR};
use crate::support::{nodes, printed, scenario, waypost};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use testkit::Cluster;
use testkit::cluster::{ADMIN, own_ports};

/// Settings by the names of environment variables.
type Env<'a> = &'a [(&'a str, &'a str)];

/// Runs the doctor. Returns whether no check failed, and its report.
fn doctor(arguments: &[&str], env: Env<'_>) -> Result<(bool, Value)> {
    let away = tempfile::tempdir()?;
    let mut command = waypost(&[&["doctor", "-o", "json"][..], arguments].concat());
    let output = command.envs(env.iter().copied()).current_dir(away.path()).stdin(Stdio::null()).output()?;
    let report = serde_json::from_slice(&output.stdout).with_context(|| printed(&output))?;
    Ok((output.status.success(), report))
}

/// The checks of an area that ended so.
fn of<'r>(report: &'r Value, area: &str, state: &str) -> Vec<&'r Value> {
    let checks = report["checks"].as_array().into_iter().flatten();
    checks.filter(|check| check["check"] == area && check["state"] == state).collect()
}

fn has(report: &Value, area: &str, state: &str, text: &str) -> Result<()> {
    let found = of(report, area, state);
    let told = found.iter().any(|check| check["what"].as_str().is_some_and(|what| what.contains(text)));
    ensure!(told, "no {state} of {area} says {text:?}: {report:#}");
    let what_to_do = found.iter().all(|check| state == "ok" || check["do"].is_string());
    ensure!(what_to_do, "a check does not say what to do: {report:#}");
    Ok(())
}

fn urls(cluster: &Cluster) -> String {
    cluster.urls_from(0).join(",")
}

/// The report has a good word for each area of the cluster.
fn all_is_well(cluster: &Cluster, report: &Value) -> Result<()> {
    has(report, "configuration", "ok", "no configuration of a node is here")?;
    for node in 0..3 {
        has(report, "reach", "ok", &format!("(node{node}) answers at {}", cluster.nodes[node].url()))?;
    }
    for (area, text) in [
        ("token", "may read"),
        ("cluster", "leads with a majority"),
        ("peers", "all 3 nodes reach each other"),
        ("reach", "client ports of 3 nodes"),
        ("versions", env!("CARGO_PKG_VERSION")),
        ("settings", "no setting"),
        ("names", "each of 3 nodes"),
        ("clock", "the clocks of 3 nodes agree"),
        ("clock", "the clock of this host agrees"),
    ] {
        has(report, area, "ok", text)?;
    }
    Ok(())
}

#[test]
fn a_sound_cluster_and_the_host_of_a_node_are_checked() {
    scenario(nodes(3), |cluster| {
        cluster.wait_ready()?;
        let urls = urls(cluster);
        cluster.wait_until("a report without a failure", |cluster| {
            let (sound, report) = doctor(&["--url", &urls], &[("WAYPOST_TOKEN", ADMIN)])?;
            ensure!(sound, "{report:#}");
            all_is_well(cluster, &report)?;
            Ok(Some(()))
        })?;
        // With the environment of a node.
        let report = cluster.wait_until("a report of the node's host", |cluster| {
            let own = cluster.nodes[1].env.iter();
            let own: Vec<(&str, &str)> = own.map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let (sound, report) = doctor(&[], &own)?;
            ensure!(sound, "{report:#}");
            Ok(Some(report))
        })?;
        has(&report, "configuration", "ok", "settings of node node1 are valid")?;
        has(&report, "addresses", "ok", "in use, and a node runs here")?;
        has(&report, "addresses", "ok", "of join is reached from here")?;
        has(&report, "reach", "ok", &format!("(node1) answers at {}", cluster.nodes[1].url()))?;
        let write = report["checks"].to_string().contains("a durable write of 4 KiB");
        ensure!(write, "{report:#}");
        let left = std::fs::read_dir(&cluster.nodes[1].data)?.flatten();
        let left = left.filter(|file| file.file_name().to_string_lossy().contains("doctor")).count();
        ensure!(left == 0, "the doctor left a file behind");
        // The same for people.
        let output =
            waypost(&["doctor", "--url", &urls, "-o", "table"]).env("WAYPOST_TOKEN", ADMIN).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(text.starts_with("STATE") && text.contains("leads with a majority"), "{text}");
        Ok(())
    });
}

#[test]
fn a_node_that_is_away_and_a_wrong_token_fail() {
    scenario(nodes(3), |cluster| {
        let urls = urls(cluster);
        let (sound, report) = doctor(&["--url", &urls], &[("WAYPOST_TOKEN", "wrong-token-0123456789")])?;
        ensure!(!sound, "{report:#}");
        has(&report, "token", "fail", "refuses the token")?;
        let node = cluster.follower()?;
        cluster.nodes[node].kill9()?;
        let asked = (node + 1) % 3;
        cluster.wait_problem(asked, "unreachable")?;
        let (sound, report) = doctor(&["--url", &urls], &[("WAYPOST_TOKEN", ADMIN)])?;
        ensure!(!sound, "{report:#}");
        has(&report, "reach", "fail", &cluster.nodes[node].http.to_string())?;
        has(&report, "peers", "fail", &format!("(node{node})"))?;
        // Of that node nothing is known, and nothing is said.
        has(&report, "clock", "ok", "the clocks of the 2 nodes that answer agree")?;
        has(&report, "settings", "ok", "no setting that the 2 nodes that answer share")?;
        has(&report, "versions", "ok", "the 2 nodes that answer and this program")?;
        cluster.bring_back(node)
    });
}

#[test]
fn settings_and_names_that_differ_are_told() {
    scenario(nodes(3), |cluster| {
        let node = cluster.follower()?;
        let other = format!("node{}", (node + 1) % 3);
        cluster.nodes[node].env.insert("WAYPOST_LIMITS_EVENT_BYTES".to_owned(), "300000".to_owned());
        cluster.nodes[node].env.insert("WAYPOST_NODE_NAME".to_owned(), other);
        cluster.restart(node)?;
        let url = cluster.nodes[(node + 2) % 3].url();
        cluster.wait_until("both to be told", |_| {
            let (_, report) = doctor(&["--url", &url], &[("WAYPOST_TOKEN", ADMIN)])?;
            has(&report, "settings", "warn", "limits.event_bytes")?;
            has(&report, "names", "warn", "the same name")?;
            Ok(Some(()))
        })
    });
}

#[test]
fn ports_of_another_configuration_are_told() {
    scenario(nodes(1), |cluster| {
        cluster.wait_ready()?;
        let node = &cluster.nodes[0];
        let http = node.http.to_string();
        let (_, peer) = own_ports()?;
        let mut other = node.env.clone();
        other.insert("WAYPOST_NODE_NAME".to_owned(), "other".to_owned());
        other.insert("WAYPOST_PEER_ADDR".to_owned(), peer.to_string());
        // A client port where a peer port belongs.
        other.insert("WAYPOST_JOIN".to_owned(), http.clone());
        let of_other = |other: &BTreeMap<String, String>| {
            let other: Vec<(&str, &str)> = other.iter().map(|(name, value)| (&**name, &**value)).collect();
            doctor(&[], &other)
        };
        let (sound, report) = of_other(&other)?;
        ensure!(!sound, "{report:#}");
        let what = format!(
            "node0 (peer address {}) listens at http_addr {http}; this configuration is other (peer address {peer})",
            node.peer
        );
        has(&report, "addresses", "fail", &what)?;
        has(&report, "addresses", "fail", &format!("{http} of join is a client port"))?;
        // Without a token it is not known whose node runs there.
        other.remove("WAYPOST_ADMIN_TOKEN");
        let (_, report) = of_other(&other)?;
        has(&report, "addresses", "ok", "is in use, and a node runs here")
    });
}

#[test]
fn the_key_of_a_configuration_is_compared_with_that_of_the_nodes() {
    const KEY: &str = "the key that the nodes share";
    const OTHER: &str = "the key of another cluster";
    scenario(nodes(1).set("WAYPOST_PEER_KEY", KEY), |cluster| {
        cluster.wait_ready()?;
        let peer = cluster.nodes[0].peer.to_string();
        let dir = tempfile::tempdir()?;
        let with =
            |key: &str, join: &str| alone(dir.path(), &[("WAYPOST_PEER_KEY", key), ("WAYPOST_JOIN", join)]);
        let named = "peer.key (environment WAYPOST_PEER_KEY)";
        let report = with(KEY, &peer)?;
        has(&report, "admission", "ok", &format!("{peer} of join admits a newcomer with {named}"))?;
        let report = with(OTHER, &peer)?;
        let what = format!("{peer} of join does not admit a newcomer with {named}: {peer}: refused");
        has(&report, "admission", "fail", &what)?;
        has(&report, "admission", "fail", "has another key")?;
        let told = report.to_string();
        ensure!(told.contains(&format!("{named} is not the cluster's")), "{report:#}");
        ensure!(!told.contains(OTHER), "the doctor prints the key");
        // Nobody who could be asked.
        has(&with(KEY, "")?, "admission", "ok", "could not be checked")?;
        // The node is alone as before.
        let members = cluster.status(0)?["members"].as_array().map(Vec::len);
        ensure!(members == Some(1), "{members:?} members");
        Ok(())
    });
}

/// Runs the doctor on a host without a running node, with these settings; the ports are free.
fn alone(dir: &Path, more: Env<'_>) -> Result<Value> {
    let (http, peer) = own_ports()?;
    let (http, peer) = (http.to_string(), peer.to_string());
    let data = dir.join("data").display().to_string();
    let mut env = vec![
        ("WAYPOST_HTTP_ADDR", http.as_str()),
        ("WAYPOST_PEER_ADDR", peer.as_str()),
        ("WAYPOST_DATA_DIR", data.as_str()),
    ];
    env.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    env.extend(more);
    // No node answers, so the report as a whole fails.
    let (sound, report) = doctor(&[], &env)?;
    ensure!(!sound, "{report:#}");
    has(&report, "reach", "fail", "cannot reach")?;
    Ok(report)
}

#[test]
fn the_host_is_checked_before_the_first_start() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let report = alone(dir.path(), &[])?;
    ensure!(of(&report, "addresses", "fail").is_empty(), "{report:#}");
    has(&report, "addresses", "ok", "is free")?;
    ensure!(!dir.path().join("data").exists(), "the doctor made the data directory");

    let taken = TcpListener::bind("127.0.0.1:0")?;
    let addr = taken.local_addr()?.to_string();
    let report = alone(dir.path(), &[("WAYPOST_PEER_ADDR", &addr)])?;
    has(&report, "addresses", "fail", &format!("another process listens at peer_addr {addr}"))?;

    let report = alone(
        dir.path(),
        &[
            ("WAYPOST_JOIN", "no-such-host.invalid:4001"),
            ("WAYPOST_HTTP_ADDR", "192.0.2.1:1"),
            ("WAYPOST_DATA_DIR", "/dev/null"),
        ],
    )?;
    has(&report, "addresses", "fail", "join no-such-host.invalid:4001 leads nowhere")?;
    has(&report, "addresses", "fail", "no interface of this host")?;
    has(&report, "disk", "fail", "is no directory")?;

    let (sound, report) = doctor(&[], &[("WAYPOST_LIMITS_MAPS", "none")])?;
    ensure!(!sound, "{report:#}");
    has(&report, "configuration", "fail", "limits.maps")
}

#[test]
fn certificates_are_read_and_compared_with_names_and_the_date() -> Result<()> {
    /// A year far in the past.
    const PAST: i32 = 2000;
    let dir = tempfile::tempdir()?;
    let authority = Authority::new("clients")?;
    let files = authority.issue(dir.path(), "node", FAR)?;
    let [cert, key] = [&files.cert, &files.key].map(|path| path.display().to_string());
    let tls = [("WAYPOST_HTTP_TLS_CERT", cert.as_str()), ("WAYPOST_HTTP_TLS_KEY", key.as_str())];
    let with = |addr: &str| -> Result<Value> {
        alone(dir.path(), &[&tls[..], &[("WAYPOST_ADVERTISE_HTTP_ADDR", addr)]].concat())
    };
    let report = with("localhost:1")?;
    has(&report, "certificates", "ok", "is valid for")?;
    has(&report, "certificates", "ok", "is for localhost")?;
    has(&with("other.example:1")?, "certificates", "fail", "is not for other.example")?;
    authority.replace(&files, PAST)?;
    has(&with("localhost:1")?, "certificates", "fail", "has ended")?;
    std::fs::write(&files.key, "no key")?;
    has(&with("localhost:1")?, "certificates", "fail", "can't be used")
}
