//! The chaos suite: runs real nodes, breaks them by a scenario, and judges what clients saw. `docs/CHAOS.md` says how
//! to read it.

use anyhow::{Context, Result, bail};
use chaos::fire::{Fire, Plan};
use chaos::ground::leftovers::{Names, clean_dead_runs};
use chaos::history::{History, Journal, Record};
use chaos::invariants::{self, Outcome, Table, Verdict};
use chaos::scenario::{Need, SCENARIOS, Scenario};
use clap::{Args, Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Booting, healing and judging may take so long beside the scenario's own time; then the run is given up.
const BESIDE: Duration = Duration::from_secs(600);
/// How long an interrupted run may take to end by itself.
const LEAVES: Duration = Duration::from_secs(5);

#[derive(Parser)]
#[command(about = "Breaks a real Waypost cluster and judges what its clients saw")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The scenarios, and what each needs
    List,
    /// Run one
    Run(Run),
    /// Judge the history of an earlier run again
    Judge {
        /// Its `history.jsonl`
        history: PathBuf,
    },
}

#[derive(Args)]
struct Run {
    /// One of `chaos list`
    #[arg(long)]
    scenario: String,
    /// For how long things are broken
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Of all chance; the same seed gives the same schedule
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The built server
    #[arg(long, default_value = "target/release/waypost")]
    waypost: PathBuf,
    /// Keep history and logs there; those of a failure are always kept
    #[arg(long)]
    keep: Option<PathBuf>,
    /// A library that the nodes must load: with libeatmydata.so, which forgets to sync, `power-cut` has to fail
    #[arg(long)]
    preload: Option<PathBuf>,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::List => Ok(list()),
        Command::Run(run) => run.run(),
        Command::Judge { history } => History::read(&history).map(|mut history| {
            history.0.sort_by_key(|entry| entry.at_ms);
            tell(&history)
        }),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}

fn list() -> bool {
    for scenario in SCENARIOS {
        let needs: Vec<&str> = scenario
            .needs()
            .into_iter()
            .map(|need| match need {
                Need::Root => "root",
                Need::Program(name) => name,
                Need::Faketime => "libfaketime",
            })
            .collect();
        let needs = if needs.is_empty() { String::new() } else { format!("  (needs {})", needs.join(", ")) };
        println!("{:<26} {}{needs}", scenario.name, scenario.about);
        if let Some(refusal) = scenario.refusal() {
            println!("{:<26} {refusal}", "");
        }
    }
    true
}

impl Run {
    fn run(&self) -> Result<bool> {
        let scenario = Scenario::named(&self.scenario)
            .with_context(|| format!("there is no scenario `{}`; `chaos list` has them", self.scenario))?;
        if let Some(refusal) = scenario.refusal() {
            bail!("{refusal}");
        }
        let binary =
            self.waypost.canonicalize().with_context(|| format!("{}: build it first", self.waypost.display()))?;
        raise_open_files()?;
        clean_dead_runs()?;
        let names = Names::own();
        names.clean();
        std::fs::create_dir_all(names.dir())?;
        let interrupted = watch(&names, Duration::from_secs(self.seconds) + BESIDE)?;
        let time = Duration::from_secs(self.seconds);
        let preload = self.preload.clone();
        let plan = Plan { binary, time, seed: self.seed, ground: scenario.ground, preload };
        let journal = Journal::create(&names.dir().join("history.jsonl"))?;
        println!("{}: {} s, seed {}", scenario.name, self.seconds, self.seed);
        let burned = burn(scenario, &plan, &names, &journal, interrupted);
        let kept = |failed: bool| self.keep(&names, &journal, failed);
        let judged = burned.and_then(|()| Ok(tell_row(scenario, &journal.history()?)));
        let kept = kept(!matches!(judged, Ok(true)));
        names.clean();
        if let Some(at) = kept? {
            println!("history and logs: {}", at.display());
        }
        judged
    }

    /// Copies history and logs to where they stay.
    fn keep(&self, names: &Names, journal: &Journal, failed: bool) -> Result<Option<PathBuf>> {
        let at = match (&self.keep, failed) {
            (Some(at), _) => at.clone(),
            (None, true) => std::env::temp_dir().join(names.of(&format!("{}-{}", self.scenario, self.seed))),
            (None, false) => return Ok(None),
        };
        std::fs::create_dir_all(&at)?;
        std::fs::copy(journal.path(), at.join("history.jsonl"))?;
        for log in logs(&names.dir())? {
            let node = log.parent().and_then(Path::file_name).context("a log without a node")?;
            std::fs::copy(&log, at.join(node).with_extension("log"))?;
        }
        Ok(Some(at))
    }
}

/// The nodes' logs below a run's directory.
fn logs(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut logs = Vec::new();
    for nodes in std::fs::read_dir(dir)?.flatten().filter(|entry| entry.path().is_dir()) {
        let homes = std::fs::read_dir(nodes.path())?.flatten();
        logs.extend(homes.map(|home| home.path().join("node.log")).filter(|log| log.exists()));
    }
    Ok(logs)
}

fn burn(
    scenario: &Scenario,
    plan: &Plan,
    names: &Names,
    journal: &Journal,
    interrupted: Arc<AtomicBool>,
) -> Result<()> {
    let mut fire = Fire::light(plan, names, journal, interrupted)?;
    fire.burn(scenario.actions)?;
    fire.put_out()
}

/// Prints the verdicts; whether all hold.
fn tell(history: &History) -> bool {
    let verdicts = invariants::judge(history);
    print!("{}", Table(&verdicts));
    let count = |is: &dyn Fn(&Record) -> bool| history.records().filter(|record| is(record)).count();
    println!(
        "operations {}, acknowledged {}, unknown {}, delivered {}, delivered by webhook {}, faults {}, violations {}",
        count(&|r| matches!(
            r,
            Record::Asked { .. } | Record::TokenUsed { .. } | Record::Wrote { .. } | Record::Read { .. }
        )),
        count(&|r| matches!(r, Record::Acked { .. })),
        count(&|r| matches!(r, Record::Unknown { .. })),
        count(&|r| matches!(r, Record::Seen { .. })),
        count(&|r| matches!(r, Record::Got { accepted: true, .. })),
        count(&|r| matches!(r, Record::Fault { .. })),
        verdicts.iter().map(|v| v.violations).sum::<u64>(),
    );
    verdicts.iter().all(|v| v.outcome() != Outcome::Fail)
}

/// The same, and a row for the documents' table.
fn tell_row(scenario: &Scenario, history: &History) -> bool {
    let holds = tell(history);
    let verdicts: Vec<Verdict> = invariants::judge(history);
    let faults = history.records().filter(|record| matches!(record, Record::Fault { .. })).count();
    println!("| {} | {faults} | {} |", scenario.name, invariants::cells(&verdicts));
    holds
}

/// SIGINT and SIGTERM end the run, and so does its last minute. If it doesn't end by itself, all it made is removed
/// from here.
fn watch(names: &Names, limit: Duration) -> Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, interrupted.clone())?;
    }
    let (flag, names) = (interrupted.clone(), names.clone());
    std::thread::spawn(move || {
        let started = std::time::Instant::now();
        while !flag.load(Ordering::Relaxed) && started.elapsed() < limit {
            std::thread::sleep(Duration::from_millis(100));
        }
        let late = !flag.swap(true, Ordering::Relaxed);
        std::thread::sleep(LEAVES);
        names.clean();
        eprintln!("{}", if late { "the run took too long" } else { "interrupted" });
        std::process::exit(130);
    });
    Ok(interrupted)
}

/// Thousands of sockets need as many open files.
fn raise_open_files() -> Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}
