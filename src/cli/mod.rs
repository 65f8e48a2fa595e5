//! The command line: one file for each subcommand.
//!
//! It has everything that people type and read. `serve` starts the server. The other commands reach a running
//! server only over HTTP.

mod audit;
mod channel;
mod client;
mod cluster;
mod cluster_certs;
mod common;
mod completions;
mod config;
mod confirm;
mod connection;
mod consumer;
mod dev;
mod doctor;
mod given_secret;
mod healthcheck;
mod http1;
mod ingest;
mod logging;
mod man;
mod map;
mod named_lines;
mod output;
mod pick;
mod portal;
mod publish;
mod pusher;
mod relay;
mod repair;
mod replayed;
mod serve;
mod settings;
mod signals;
mod since;
mod sse;
mod tail;
mod token;
mod trace;
mod unverified;
mod usage;
mod webhook;

#[cfg(test)]
mod runbooks;

use std::{io, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::config::ConfigError;
use usage::Usage;

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("BUILD_COMMIT"), ")");

/// Publish an event once; every subscriber gets it, over WebSocket, long poll, Server-Sent Events and
/// webhooks.
#[derive(Debug, Parser)]
#[command(name = "waypost", version = VERSION, arg_required_else_help = true)]
#[command(after_help = "Start with `waypost dev`: three nodes, a demo map, lines to copy.")]
struct Cli {
    #[command(flatten)]
    output: output::Output,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node
    Serve(Box<serve::Args>),
    /// Run three nodes on this machine, with a demo map
    ///
    /// The nodes take the settings of WAYPOST_* variables as `waypost serve` does, such as WAYPOST_PUSHER_EVENT_BYTES
    /// and WAYPOST_ADMIN_TOKEN. Variables of addresses, directories, joining, keys of peers and certificates don't count:
    /// the nodes are a cluster of their own.
    Dev(dev::Args),
    /// Create, list, show, change and delete maps
    #[command(subcommand)]
    Map(map::Command),
    /// Create, list and revoke tokens of a map
    #[command(subcommand)]
    Token(token::Command),
    /// Create, list, replace and delete the credentials of a map's Pusher clients
    #[command(subcommand)]
    Pusher(pusher::Command),
    /// Publish one event, or NDJSON from standard input
    Publish(publish::Args),
    /// Publish what an application wrote into a table or a file, in order, each event once
    #[command(subcommand)]
    Relay(relay::Command),
    /// Print the events of a map as they are published
    Tail(tail::Args),
    /// Show what became of an event, from its publish to every webhook and consumer
    Trace(trace::Args),
    /// List and follow the channels of a map, show their members, and publish to them
    #[command(subcommand)]
    Channel(channel::Command),
    /// List the connections of a map's clients, and close one
    #[command(subcommand)]
    Connection(connection::Command),
    /// Create, change, watch and repair the webhooks of a map
    #[command(subcommand)]
    Webhook(webhook::Command),
    /// Create, change, try and watch the addresses at which other services post events into a map
    #[command(subcommand)]
    Ingest(ingest::Command),
    /// Create and watch the consumers of a map, and read them
    #[command(subcommand)]
    Consumer(consumer::Command),
    /// Make links to the portal, for the users of a tenant
    #[command(subcommand)]
    Portal(portal::Command),
    /// Show the cluster, and operate it
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// Show who changed what, and who was refused
    Audit(audit::Args),
    /// Make the first node of a new cluster from a backup
    Restore(cluster::Restore),
    /// Put back what an older release set aside as damaged, or let a node go on without what is lost
    Repair(repair::Args),
    /// Look for what is wrong with the cluster, with the way to it, and with a node's host
    Doctor(Box<doctor::Args>),
    /// Check the health of the node with this configuration
    Healthcheck(Box<healthcheck::Args>),
    /// Check the configuration, or print the default one
    #[command(subcommand)]
    Config(config::Command),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// Write the manual pages of all commands
    #[command(hide = true)]
    Man(man::Args),
}

/// Parses the command line and runs it. Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.
pub fn main() -> ExitCode {
    let Cli { output, command } = Cli::parse();
    output.choose();
    let result = match command {
        Command::Serve(args) => serve::run(*args),
        Command::Dev(args) => block_on(dev::run(args)),
        Command::Map(command) => block_on(map::run(command)),
        Command::Token(command) => block_on(token::run(command)),
        Command::Pusher(command) => block_on(pusher::run(command)),
        Command::Publish(args) => block_on(publish::run(args)),
        Command::Relay(command) => block_on(relay::run(command)),
        Command::Tail(args) => block_on(tail::run(args)),
        Command::Trace(args) => block_on(trace::run(args)),
        Command::Channel(command) => block_on(channel::run(command)),
        Command::Connection(command) => block_on(connection::run(command)),
        Command::Webhook(command) => block_on(webhook::run(command)),
        Command::Ingest(command) => block_on(ingest::run(command)),
        Command::Consumer(command) => block_on(consumer::run(command)),
        Command::Portal(command) => block_on(portal::run(command)),
        Command::Cluster(command) => block_on(cluster::run(command)),
        Command::Audit(args) => block_on(audit::run(args)),
        Command::Restore(args) => {
            make_private_files();
            cluster::restore(&args)
        }
        Command::Repair(args) => {
            make_private_files();
            repair::run(&args)
        }
        Command::Doctor(args) => block_on(doctor::run(*args)),
        Command::Healthcheck(args) => block_on(healthcheck::run(*args)),
        Command::Config(command) => config::run(command),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(&args),
    };
    result.map_or_else(|error| report(&error), |()| ExitCode::SUCCESS)
}

/// Makes sure that only this user can access the files that this process makes from now on: data files hold
/// events and secrets, whatever the rights of the directory are.
fn make_private_files() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    actix_rt::System::new().block_on(work)
}

fn report(error: &anyhow::Error) -> ExitCode {
    // A reader that closes the pipe, as in `waypost tail demo | head -1`, is no failure.
    let pipe_closed =
        error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
    if pipe_closed {
        return ExitCode::SUCCESS;
    }
    output::note(format_args!("{} {}", output::paint_err(output::BAD, "error:"), with_causes(error)));
    if error.is::<Usage>() || error.is::<ConfigError>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}

/// An error with its causes. A cause whose text the error has already is left out.
fn with_causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;
    use clap::CommandFactory;

    #[test]
    fn each_cause_is_shown_once() {
        let error = anyhow!("port 1 is taken").context("port 1 is taken; choose another").context("no node");
        assert_eq!(super::with_causes(&error), "no node: port 1 is taken; choose another");
    }

    #[test]
    fn the_command_tree_is_valid() {
        super::Cli::command().debug_assert();
    }
}
