//! `waypost completions SHELL`.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;

/// The shell to print a script for.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell, as in `source <(waypost completions bash)`
    shell: Shell,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    // The script is made in memory first, because the generator panics on a closed pipe.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "waypost", &mut script);
    io::stdout().write_all(&script)?;
    Ok(())
}
