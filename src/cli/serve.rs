//! `waypost serve`: runs one node until a signal ends it.

use std::{io::Read, thread};

use anyhow::Context;
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{mpsc, oneshot},
};

use super::{logging, settings::ConfigArgs, signals::Signals};
use crate::server;

/// Settings of the node.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// End when standard input ends, so that the nodes of `waypost dev` end with it, even if it is killed
    #[arg(long, hide = true)]
    exit_with_parent: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    super::make_private_files();
    let loaded = args.config.load()?;
    let filter = logging::start(&loaded.config)?;
    loaded.config.warnings().iter().for_each(|warning| tracing::warn!("settings: {warning}"));
    for (setting, by) in loaded.overridden() {
        tracing::info!(setting, %by, "the configuration file sets another value, which does not count");
    }
    actix_rt::System::new().block_on(async {
        let stop = stop_asked(args.exit_with_parent)?;
        let (reload, reloads) = mpsc::channel(1);
        let handled = Signals::take()?.handle(args.config, loaded.config.clone(), filter, reload);
        actix_rt::spawn(handled);
        server::run(loaded.config, stop, reloads).await?;
        Ok(())
    })
}

/// A future that resolves at SIGTERM, at SIGINT or, with `with_stdin`, at the end of standard input.
fn stop_asked(with_stdin: bool) -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let (parent_alive, parent_gone) = oneshot::channel::<()>();
    let held = if with_stdin {
        // This needs a thread of its own: when the runtime ends, it would wait for a blocked read.
        thread::Builder::new().name("parent-watch".into()).spawn(move || {
            while matches!(std::io::stdin().read(&mut [0; 64]), Ok(n) if n > 0) {}
            drop(parent_alive);
        })?;
        None
    } else {
        Some(parent_alive)
    };
    Ok(async move {
        // Without a parent to watch, the channel must stay open, because a closed one means that the parent
        // ended.
        let _held = held;
        let reason = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
            _ = parent_gone => "the parent process ended",
        };
        tracing::info!(reason, "stopping");
    })
}
