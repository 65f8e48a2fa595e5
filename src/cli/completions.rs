//! `waypost completions SHELL`.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;

/// Which shell.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// As in `source <(waypost completions bash)`
    shell: Shell,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    // Into memory first: the generator panics where a pipe is closed.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "waypost", &mut script);
    io::stdout().write_all(&script)?;
    Ok(())
}
