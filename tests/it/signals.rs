//! Signals other than those that stop a node: SIGHUP has it read its files again, and others do no harm.

use crate::certificates::{Authority, FAR};
use crate::support::binary;
use anyhow::{Result, ensure};
use std::net::TcpStream;
use std::path::Path;
use testkit::cluster::own_ports;
use testkit::http::Api;
use testkit::node::Node;
use testkit::wait;

const HUP: u8 = 1;

fn logs(node: &Node, what: &str) -> Result<()> {
    wait::until(what, || Ok(node.log_tail(500).contains(what).then_some(())))
        .map_err(|error| error.context(node.log_tail(40)))
}

/// Sends a signal by its number, with the command that operators use.
fn send(node: &Node, signal: u8) -> Result<()> {
    let pid = node.pid()?.as_raw_nonzero().to_string();
    let sent = std::process::Command::new("kill").args([&format!("-{signal}"), &pid]).status()?;
    ensure!(sent.success(), "kill -{signal}: {sent}");
    Ok(())
}

#[test]
fn signals_that_do_not_stop_a_node_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let (http, peer) = own_ports().unwrap();
    let home = dir.path().join("node");
    let mut node = Node::new(Path::new(&binary()), &home, http, peer);
    survives(&mut node, dir.path()).unwrap_or_else(|error| panic!("{error:#}\n{}", node.log_tail(40)));
}

fn survives(node: &mut Node, dir: &Path) -> Result<()> {
    let settings = dir.join("waypost.toml");
    let authority = Authority::new("peers")?;
    let files = authority.issue(dir, "peer", FAR)?;
    std::fs::write(&settings, "log = \"info\"\n")?;
    node.env.insert("WAYPOST_CONFIG".to_owned(), settings.display().to_string());
    for (name, path) in [("CA", &files.ca), ("CERT", &files.cert), ("KEY", &files.key)] {
        node.env.insert(format!("WAYPOST_PEER_TLS_{name}"), path.display().to_string());
    }
    node.start()?;
    let api = Api::new(&node.url(), None);
    wait::until("the node to be ready", || api.get("/readyz")?.expect(200).map(Some))?;

    let harmless =
        [(10, "USR1"), (12, "USR2"), (14, "ALRM"), (26, "VTALRM"), (27, "PROF"), (29, "IO"), (30, "PWR")];
    for (signal, name) in harmless {
        send(node, signal)?;
        logs(node, &format!("SIG{name} does nothing"))?;
    }
    ensure!(!node.log_tail(500).contains("DEBUG"), "debug lines before the filter was changed");

    std::fs::write(&settings, "log = \"debug\"\nworkers = 3\n")?;
    authority.replace(&files, FAR)?;
    send(node, HUP)?;
    logs(node, "the log filter is set log=\"debug\"")?;
    logs(node, "changed settings that take effect at the next start: workers")?;
    logs(node, "took new peer certificates")?;
    // A peer that hangs up is worth a debug line.
    drop(TcpStream::connect(node.peer)?);
    logs(node, "DEBUG")?;

    std::fs::write(&settings, "log = 7\n")?;
    send(node, HUP)?;
    logs(node, "the configuration can't be used; nothing was changed")?;
    ensure!(node.ended()?.is_none(), "the node ended");
    api.get("/readyz")?.expect(200).map(drop)
}
