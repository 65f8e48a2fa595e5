//! `waypost man`: writes the manual pages that packages install.

use std::{fs, path::PathBuf};

use anyhow::Context;
use clap::CommandFactory;

/// Where the pages go.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The directory for the pages, one for each command, such as waypost-map-create.1; it is made if missing
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let failed = || format!("cannot write manual pages into {}", args.dir.display());
    fs::create_dir_all(&args.dir).with_context(failed)?;
    clap_mangen::generate_to(super::Cli::command(), &args.dir).with_context(failed)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let dir = tempfile::tempdir().unwrap();
        run(&Args { dir: dir.path().join("man1") }).unwrap();
        for name in
            ["waypost", "waypost-serve", "waypost-dev", "waypost-map-create", "waypost-cluster-status"]
        {
            let page = fs::read_to_string(dir.path().join("man1").join(format!("{name}.1"))).unwrap();
            assert!(page.contains(".SH NAME"), "{name}: {page}");
        }
        assert!(!dir.path().join("man1/waypost-man.1").exists(), "a hidden command has a page");
    }
}
