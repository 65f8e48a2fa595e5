//! `waypost doctor`: looks for what is wrong with the cluster, with the way to it, and with this host.
//!
//! With the configuration of a node it checks that node's host too: run it there, with the node's
//! environment or file. It changes nothing. What the nodes know of problems comes from their status; the
//! rest is looked at from here.

mod addresses;
mod admission;
mod answering;
mod certificates;
mod cluster;
mod disk;
mod here;
mod host;
mod report;

use std::time::{Duration, Instant};

use http::Method;

use super::{
    client::{Client, Connection},
    healthcheck::own_address,
    settings::ConfigArgs,
};
use crate::{
    clock::now_ms,
    config::{Config, KEYS, Loaded, Source},
    core::{text::counted, time::parse_iso},
    server,
};
use here::Here;
use report::Report;

/// Longest wait for the answer of a node.
const ANSWER: Duration = Duration::from_secs(5);
/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// A clock that is further off is reported, in milliseconds.
const CLOCK_MS: u64 = 2_000;
/// The path of the cluster's status.
const STATUS: &str = "/api/cluster/status";

/// Which cluster to check, and the configuration of the node on this host.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    connection: Connection,
    #[command(flatten)]
    config: ConfigArgs,
}

/// The exit code is 0 if no check failed, and 1 otherwise.
pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let mut report = Report::default();
    let node = node_here(&args.config, &mut report);
    if let Some(loaded) = &node {
        let config = &loaded.config;
        let own = Client::of_admin(args.connection.clone().only_at(own_url(config)));
        let here = Here::look(config, &own).await;
        let peers = addresses::check(config, &here, &mut report).await;
        admission::check(loaded, &peers, &mut report).await;
        disk::check(config, &mut report);
        open_files(config, &mut report);
        certificates::check(config, &mut report);
    }
    let connection = match &node {
        Some(loaded) => args.connection.or_at(own_url(&loaded.config)),
        None => args.connection,
    };
    let client = Client::of_admin(connection);
    let views = client.ask_all(STATUS, ANSWER).await;
    cluster::check(&views, &mut report).await;
    if views.iter().any(|(_, view)| view.is_ok()) {
        clock(&client, node.is_some(), &mut report).await;
    }
    report.print()?;
    let (failed, all) = (report.failed(), report.len());
    anyhow::ensure!(failed == 0, "{failed} of {} failed", counted(all, "check", "checks"));
    Ok(())
}

/// The configuration of the node on this host. `None` if there is none here, or it is not valid.
fn node_here(args: &ConfigArgs, report: &mut Report) -> Option<Loaded> {
    let loaded = match args.load() {
        Ok(loaded) => loaded,
        Err(error) => {
            let todo = "correct it; `waypost config check` shows all settings and where each comes from";
            report.fail("configuration", error.to_string(), todo);
            return None;
        }
    };
    if !is_of_a_node(&loaded) {
        let what = "no configuration of a node is here, so only the cluster is checked; with a node's environment, or \
                    its --config, its host is checked too";
        report.ok("configuration", what);
        return None;
    }
    let config = &loaded.config;
    for warning in config.warnings() {
        report.warn("configuration", warning, "see `waypost config default` for the setting");
    }
    report.ok("configuration", format!("the settings of node {} are valid", config.node.name()));
    Some(loaded)
}

/// Whether somebody has set anything but the admin token, which commands use too.
fn is_of_a_node(loaded: &Loaded) -> bool {
    KEYS.iter().any(|key| key.path != "admin_token" && loaded.source(&key.path) != Source::Default)
}

/// Where clients on this host reach the node.
fn own_url(config: &Config) -> String {
    let own = || own_address(config.http_addr).to_string();
    match config.http.tls() {
        // The certificate is for the name that clients use.
        Some(_) => format!("https://{}", config.advertise_http_addr.clone().unwrap_or_else(own)),
        None => format!("http://{}", own()),
    }
}

/// Whether a node that is started as this command was has enough open files.
fn open_files(config: &Config, report: &mut Report) {
    match server::short_of_files(config) {
        Some(what) => {
            let todo = "raise it (LimitNOFILE= of systemd, ulimit -n), or lower limits.sockets; a unit has a limit of \
                        its own, which the node's problem few_open_files tells of";
            report.warn("open files", what, todo);
        }
        None => report.ok("open files", "as many files may be open as limits.sockets needs"),
    }
}

/// Compares this host's clock with the cluster's time, on which a majority of the voters agrees.
async fn clock(client: &Client, is_node: bool, report: &mut Report) {
    let began = Instant::now();
    let Ok(status) = client.call(Method::GET, STATUS, None).await else { return };
    let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let Some(theirs) = status["time"].as_str().and_then(parse_iso) else { return };
    // The time was read at some moment of the request.
    let here = now_ms().saturating_sub(took / 2);
    let off = here.abs_diff(theirs);
    let way = if here > theirs { "ahead of" } else { "behind" };
    if off <= CLOCK_MS.saturating_add(took) {
        report.ok("clock", "the clock of this host agrees with the cluster's time");
        return;
    }
    let what = format!("the clock of this host is {off} ms {way} the cluster's time");
    let todo = "let NTP set it: docs/runbooks/clock.md";
    if is_node { report.fail("clock", what, todo) } else { report.warn("clock", what, todo) }
}
