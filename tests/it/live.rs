//! Live sessions: every request, frame and snippet of the guide that they come from, over three nodes; what a
//! client needs to get in; resuming at another node without a loss or a double; and a page in Chromium.

mod access;
mod frames;
mod page;
mod resume;
mod routes;
mod socket;
mod webhooks;

use crate::support::{checked, nodes, scenario};
use crate::webhooks_support::delivering;
use anyhow::{Result, ensure};
use serde_json::json;
use socket::Socket;
use std::time::Duration;
use testkit::Cluster;

#[test]
fn the_guide_runs_as_printed() {
    checked(
        delivering(3),
        &[
            ("each message and its answer", frames::messages),
            ("events of the guide and of any other type", frames::events),
            ("what a back end says reaches those who follow", routes::said),
            ("sessions without an id, and repeats", routes::repeats),
            ("what a back end may not say", routes::refusals),
            ("ephemeral sessions", routes::ephemeral),
            ("tokens that open no map, or another", access::tokens),
            ("a revoked token ends its sockets, a new one keeps them", access::revoked),
            ("limits of a map and of a socket", access::limits),
            ("clients resume at another node", resume::at_another_node),
            ("a client learns that history is gone", resume::gap),
            ("webhooks of sessions", webhooks::as_printed),
        ],
    );
}

/// A node that goes away sends its clients to others.
#[test]
fn clients_outlive_their_nodes() {
    scenario(nodes(3), |c| {
        resume::through_a_death(c)?;
        let map = c.map("live-drain")?;
        let mut socket = Socket::admitted(c, 2, &map)?;
        let ended = c.nodes[2].stop(Duration::from_secs(60));
        ensure!(socket.closed()? == Some(1012));
        ended.map(drop)
    });
}

#[test]
fn strangers_and_silent_clients_are_closed() {
    let options =
        nodes(1).set("WAYPOST_SESSION_JOIN_SECONDS", 3).set("WAYPOST_SESSION_IDLE_TIMEOUT_SECONDS", 6);
    checked(options, &[("strangers", strangers), ("silent clients", silence)]);
}

/// Pings do not keep a socket of which nobody says who it is.
fn strangers(c: &Cluster) -> Result<()> {
    let mut socket = Socket::connect(c, 0)?;
    // A socket that is closed takes no more.
    while socket.send(&json!({"type": "ping"})).is_ok() {
        std::thread::sleep(Duration::from_millis(200));
        if let Some(code) = socket.closed_by_now()? {
            ensure!(code == 1008, "{code}");
            return Ok(());
        }
    }
    // The connection was reset while this slept. What came before can still be read.
    let code = socket.closed()?;
    ensure!(code == Some(1008), "{code:?}");
    Ok(())
}

fn silence(c: &Cluster) -> Result<()> {
    let map = c.map("live-silence")?;
    // On a busy machine the first may be too late.
    let mut socket = c.wait_until("a client that was in time", |c| Socket::admitted(c, 0, &map).map(Some))?;
    ensure!(socket.closed()? == Some(1001));
    Ok(())
}
