//! Configuration errors and other reasons not to start: the program reports them clearly before it changes
//! anything.

use crate::support::{nodes, scenario, waypost};
use anyhow::{Context, Result, ensure};
use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};
use testkit::wait::LIMIT;

/// Runs the program until it ends; returns whether it succeeded and all its output.
fn run(arguments: &[&str], env: &[(&str, &str)]) -> Result<(bool, String)> {
    let dir = tempfile::tempdir()?;
    let out = std::fs::File::create(dir.path().join("out"))?;
    let mut child = waypost(arguments)
        .current_dir(dir.path())
        .env("WAYPOST_HTTP_ADDR", "127.0.0.1:0")
        .env("WAYPOST_PEER_ADDR", "127.0.0.1:0")
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out)
        .spawn()?;
    let deadline = Instant::now() + LIMIT;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            let text = std::fs::read_to_string(dir.path().join("out"))?;
            anyhow::bail!("the program still runs: {text}");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    Ok((status.success(), std::fs::read_to_string(dir.path().join("out"))?))
}

#[test]
fn wrong_settings_are_named() {
    let table: &[(&str, &str, &[&str])] = &[
        ("WAYPOST_DATA_DRI", "x", &["WAYPOST_DATA_DRI", "WAYPOST_DATA_DIR"]),
        ("WAYPOST_LIMITS_EVENT_BITES", "1", &["WAYPOST_LIMITS_EVENT_BYTES"]),
        ("WAYPOST_HTTP_ADDR", "nowhere", &["WAYPOST_HTTP_ADDR", "nowhere"]),
        ("WAYPOST_LIMITS_EVENT_BYTES", "many", &["WAYPOST_LIMITS_EVENT_BYTES", "many"]),
        ("WAYPOST_RAFT_HEARTBEAT_MS", "0", &["heartbeat_ms"]),
        ("WAYPOST_WEBHOOKS_ALLOW_NETS", "10.0.0.0/99", &["10.0.0.0/99"]),
        ("WAYPOST_JOIN", "not-an-address", &["not-an-address"]),
    ];
    for (name, value, expected) in table {
        let (ok, text) = run(&["serve"], &[(name, value)]).expect(name);
        assert!(!ok, "{name}={value} was accepted: {text}");
        for part in *expected {
            assert!(text.to_lowercase().contains(&part.to_lowercase()), "{name}: no {part}: {text}");
        }
    }
}

#[test]
fn an_unknown_key_in_a_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("waypost.toml");
    std::fs::write(&file, "[limits]\nevnt_bytes = 5\n").unwrap();
    let path = file.display().to_string();
    let (ok, text) = run(&["serve", "--config", &path], &[]).unwrap();
    assert!(!ok && text.contains("evnt_bytes") && text.contains("event_bytes"), "{text}");
}

#[test]
fn a_taken_port_is_named() {
    for name in ["WAYPOST_HTTP_ADDR", "WAYPOST_PEER_ADDR"] {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = taken.local_addr().unwrap().to_string();
        let (ok, text) = run(&["serve"], &[(name, &addr)]).unwrap();
        assert!(!ok && text.contains(&addr), "{name}: {text}");
        assert!(!text.contains("panicked"), "{text}");
    }
}

#[test]
fn a_data_directory_in_use_is_named() {
    scenario(nodes(1), |cluster| {
        let data = cluster.nodes[0].data.display().to_string();
        let (ok, text) = run(&["serve"], &[("WAYPOST_DATA_DIR", &data)])?;
        ensure!(!ok && text.contains(&data), "{text}");
        cluster.wait_ready().context("the first node was affected")
    });
}

#[test]
fn the_admin_token_is_printed_once_and_kept() {
    let mut cluster = testkit::Cluster::prepare(&nodes(1)).unwrap();
    cluster.nodes[0].env.remove("WAYPOST_ADMIN_TOKEN");
    cluster.nodes[0].start().unwrap();
    cluster.wait_node(0).unwrap();
    let token = cluster
        .wait_until("the admin token to be printed", |c| Ok(printed_token(&c.nodes[0].log_tail(1000))));
    let token = token.unwrap();
    let api = testkit::http::Api::new(&cluster.nodes[0].url(), Some(&token));
    api.get("/api/maps").unwrap().expect(200).unwrap();
    assert_eq!(cluster.nodes[0].stop(LIMIT).unwrap().code(), Some(0));
    cluster.nodes[0].start().unwrap();
    cluster.wait_node(0).unwrap();
    api.get("/api/maps").unwrap().expect(200).unwrap();
    let both = cluster.nodes[0].log_tail(1000);
    assert_eq!(both.matches("admin token").count(), 1, "printed again: {both}");
}

/// Returns the last word of the line that prints the admin token.
fn printed_token(log: &str) -> Option<String> {
    let line = log.lines().find(|line| line.contains("admin token"))?;
    line.split_whitespace().last().filter(|word| word.len() >= 32).map(str::to_owned)
}
