//! Waypost beside its peers: nchan, NATS and etcd, as far as they are installed, in turns with Waypost and
//! the raw limit, under the same load, on the same machine, in one run. Only ratios of one run mean
//! something.

mod durable;
mod etcd;
mod fanout;
mod installed;
mod nats;
mod nchan;
mod process;
mod table;

use std::path::Path;

use anyhow::Result;
use tempfile::TempDir;

use self::{
    installed::{Installed, Programs},
    table::Table,
};

/// The sizes of the comparison.
#[derive(Clone, clap::Args)]
pub(crate) struct Size {
    /// Subscribers of one topic
    #[arg(long, default_value_t = 1_000)]
    connections: usize,
    /// Bytes of one broadcast frame
    #[arg(long, default_value_t = 300)]
    frame: usize,
    /// Events a second in the paced runs
    #[arg(long, default_value_t = 40.0)]
    rate: f64,
    #[arg(long, default_value_t = 50)]
    batch: usize,
    #[arg(long, default_value_t = 200)]
    window: u64,
    /// Idle sockets whose memory is measured
    #[arg(long, default_value_t = 5_000)]
    idle: usize,
    /// Seconds of each run
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Runs of each server under each load
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    #[command(flatten)]
    programs: Programs,
}

/// What all measurements share.
struct Bench<'a> {
    binary: &'a Path,
    dir: &'a Path,
    /// Where peers keep their data.
    home: TempDir,
    installed: Installed,
    size: Size,
}

impl Bench<'_> {
    fn home(&self) -> &Path {
        self.home.path()
    }
}

/// Measures all servers, and prints the table and what is missing.
///
/// # Errors
/// The limit or Waypost can't be measured.
pub(crate) async fn run(binary: &Path, dir: &Path, size: Size) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    // Peers run in a folder of their own.
    let dir = &dir.canonicalize()?;
    let home = tempfile::Builder::new().prefix("peers-").tempdir_in(dir)?;
    let bench = Bench { binary, dir, home, installed: Installed::of(&size.programs), size };
    let mut table = Table::default();
    fanout::run(&bench, &mut table).await?;
    durable::run(&bench, &mut table).await?;
    println!("\nIn brackets: of the limit's figure, or of the best peer's where there is no limit.");
    print!("{}", table.text());
    for hint in bench.installed.missing() {
        println!("not installed: {hint}");
    }
    Ok(())
}
