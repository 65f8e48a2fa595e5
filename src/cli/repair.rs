//! `waypost repair`: the operator's part in the repair of a node whose data is damaged.

use std::path::{Path, PathBuf};

use super::{confirm::Confirm, output};
use crate::core::text::counted;

/// What to repair, and how.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("how").required(true).args(["from", "go_on"])))]
pub(super) struct Args {
    /// The data directory of the node
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Put back the files of the stopped node that a release before this one set aside in a folder damaged-*;
    /// the next start repairs what is damaged of them, under the id that the node had
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Let the node, which waits at its start for damaged entries of its log, go on without them and everything
    /// after them; what was acknowledged in these is lost where no other node has it
    #[arg(long)]
    go_on: bool,
    #[command(flatten)]
    confirm: Confirm,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    match &args.from {
        Some(from) if !args.go_on => put_back(args, from),
        _ => go_on(args),
    }
}

fn go_on(args: &Args) -> anyhow::Result<()> {
    let dir = args.data_dir.display();
    args.confirm.ask(&format!(
        "the node of {dir} goes on without the damaged entries of its log that it waits for, and without \
         everything after them; what was acknowledged in these is lost where no other node has it"
    ))?;
    waypost_cluster::go_on(&args.data_dir)?;
    Ok(output::line(format_args!("the node of {dir} goes on now, or at its next start if it is down"))?)
}

fn put_back(args: &Args, from: &Path) -> anyhow::Result<()> {
    let dir = args.data_dir.display();
    args.confirm.ask(&format!(
        "this puts the files in {} back into {dir}; never do it for a node that has joined again under a new \
         id, or whose id was removed",
        from.display()
    ))?;
    let moved = waypost_cluster::put_back(&args.data_dir, from)?;
    let are_back = counted(moved.len(), "file or folder is", "files and folders are");
    Ok(output::line(format_args!(
        "{are_back} back in {dir}; start the node: it repairs what is damaged there"
    ))?)
}
