//! Thousands of simulated clusters a minute, each from a seed, and each checked.
//!
//! The parts:
//! - `plan` makes a plan from a seed; `faults` carries it out; `clients` write and read meanwhile;
//! - `hosts` has the simulated machines and the nodes on them; `ledger` is the state machine that the nodes
//!   replicate;
//! - `presence` has users who come and go on all hosts, over Waypost's own state machine (in every fifth fresh
//!   seed);
//! - `history` checks the invariants as things happen; `run` runs one seed from its beginning to its verdict;
//! - `batch` runs many seeds on several threads; `failpoints` lists the defects that can be switched on, to
//!   show that the checks find them.
//!
//! `cluster/src/sim` simulates the network, the disks, the clocks and the runtime.

mod batch;
mod clients;
mod failpoints;
mod faults;
mod history;
mod hosts;
mod ledger;
mod plan;
mod presence;
mod run;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::batch::Batch;
use crate::plan::Plan;

/// Runs simulated clusters under faults and checks them.
#[derive(Debug, Parser)]
#[command(name = "sim")]
struct Args {
    /// How many fresh seeds to run.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first fresh seed; by default it comes from the clock.
    #[arg(long)]
    from: Option<u64>,
    /// Start no more seeds after so many minutes.
    #[arg(long)]
    minutes: Option<u64>,
    /// How many threads to use.
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Replay this one seed with a trace (RUST_LOG selects its parts).
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Replay a plan from this file.
    #[arg(long, conflicts_with_all = ["seeds", "from", "seed"])]
    plan: Option<PathBuf>,
    /// Switch on a planted defect, to see that it is found.
    #[arg(long, value_parser = failpoints::named)]
    failpoint: Option<&'static str>,
    /// Stop at the first seed that fails.
    #[arg(long)]
    stop: bool,
    /// The folder for the plans of seeds that failed.
    #[arg(long, default_value = "sim-failed")]
    out: PathBuf,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    if let Some(seed) = args.seed {
        return replay(Plan::new(seed), args.failpoint);
    }
    if let Some(file) = args.plan {
        return replay(Plan::read(&std::fs::read_to_string(file)?)?, args.failpoint);
    }
    let from = args.from.unwrap_or_else(fresh);
    let limit = args.minutes.map_or(Duration::MAX, |m| Duration::from_secs(m * 60));
    let batch =
        Batch { from, seeds: args.seeds, jobs: args.jobs, failpoint: args.failpoint, stop: args.stop, limit };
    println!(
        "seeds {from} to {}, after {} plans that failed once",
        from + args.seeds - 1,
        batch::once_failed()?.len()
    );
    let total = batch.run(&mut |plan, verdict| {
        println!("seed {0} FAILED; replay it with --seed {0}", plan.seed);
        for (at, what) in &verdict.violations {
            println!("  {at:>6} ms  {what}");
        }
        if let Err(error) = batch::keep(&args.out, plan, verdict) {
            println!("  its plan was not kept: {error}");
        }
    })?;
    println!("{total}");
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A seed that most likely was not run before.
fn fresh() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |d| d.as_secs() * 1000)
}

fn replay(plan: Plan, failpoint: Option<&'static str>) -> anyhow::Result<ExitCode> {
    let filter =
        EnvFilter::try_from_default_env().or_else(|_| EnvFilter::try_new("sim=debug,simulated=info"))?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time().init();
    println!("{plan:#?}");
    let verdict = run::run(plan, failpoint);
    println!("{verdict:#?}");
    Ok(if verdict.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
