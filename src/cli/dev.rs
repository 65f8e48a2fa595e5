//! `waypost dev`: runs three nodes of this program on this machine, with a demo map.
//!
//! It starts the three processes, watches them and ends them. It starts nothing before it has found all ports
//! free. It leaves no process behind: the nodes watch their standard input, which ends when this process
//! ends, in whatever way.

mod demo;
mod home;
mod nodes;
mod ports;
mod welcome;

use std::path::PathBuf;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::{home::Home, nodes::Nodes, ports::Ports};
use super::output;

/// The ports and the directory of the three nodes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// First of six ports: HTTP uses this one, the third and the fifth, and the nodes use the others between
    /// them
    #[arg(long, value_name = "PORT", default_value_t = 4000, value_parser = clap::value_parser!(u16).range(i64::from(ports::FIRST_BASE)..=i64::from(ports::LAST_BASE)))]
    base_port: u16,
    /// Keep data, logs and tokens here [default: a temporary directory, removed at the end]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    let ports = Ports::from(args.base_port);
    ports.check()?;
    let home = Home::open(args.data_dir)?;
    let admin = demo::admin_token(&home)?;
    let mut nodes = Nodes::new(&home, ports, &admin)?;
    let result = tokio::select! {
        result = live(&mut nodes, &admin, &home) => result,
        () = signals.next() => Ok(()),
    };
    output::note("stopping three nodes");
    // A second signal ends the nodes at once.
    tokio::select! {
        () = nodes.stop() => {}
        () = signals.next() => nodes.kill().await,
    }
    match &result {
        Ok(()) => home.leave(),
        Err(_) => output::note(format_args!("logs stay in {}", home.path().display())),
    }
    result
}

async fn live(nodes: &mut Nodes, admin: &str, home: &Home) -> anyhow::Result<()> {
    // The first node founds the cluster, so it must run before the others ask to join. Ids are given in the
    // order in which nodes join: new nodes wait for each other, so that a node's id is the number in its
    // name. Nodes of an earlier run have their ids, and none of them is ready without another one.
    let first = if nodes.are_new() { "/readyz" } else { "/healthz" };
    for node in 0..nodes.count() {
        nodes.start(node)?;
        nodes.wait(node, first).await?;
    }
    for node in 0..nodes.count() {
        nodes.wait(node, "/readyz").await?;
    }
    let demo = demo::prepare(&nodes.url(0), admin, home).await.context("cannot create the demo map")?;
    welcome::print(nodes, admin, &demo)?;
    nodes.watch().await
}

/// The signals of Ctrl-C and SIGTERM.
struct Signals(Signal, Signal);

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self(signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}
