//! The chaos suite: it runs real nodes, breaks them by a scenario, and checks what clients saw.
//! `docs/CHAOS.md` explains its output.

use anyhow::{Context, Result, bail};
use chaos::environment::leftovers::{Names, clean_dead_runs};
use chaos::history::{History, Journal, Record};
use chaos::invariants::{self, Outcome, Table};
use chaos::load::hostile;
use chaos::prove::{self, Proof};
use chaos::run::Plan;
use chaos::scenario::{Need, SCENARIOS, Scenario};
use chaos::series::{self, Ran, Rows, Series};
use clap::{Args, Parser, Subcommand};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The most time for booting, healing and checking together, beside the scenario's own time. After that the
/// run is ended.
const BESIDE: Duration = Duration::from_secs(600);
/// How long an interrupted run may take to end by itself.
const LEAVES: Duration = Duration::from_secs(5);
/// How many nodes a run has unless it is told another number.
const USUAL: usize = 3;

#[derive(Parser)]
#[command(about = "Breaks a real Waypost cluster and checks what its clients saw")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the scenarios and what each needs
    List,
    /// Run one scenario
    Run(Run),
    /// Run every scenario that this machine can, one after the other, and print the table
    All(All),
    /// Show that the checks can fail, with a server that was built with `--features failpoints`
    Prove(Prove),
    /// Check the history of an earlier run again
    Check {
        /// The run's `history.jsonl`
        history: PathBuf,
    },
    /// Do what a hostile tenant does, for a run that starts this beside itself
    #[command(hide = true)]
    Attack,
}

/// How a scenario is run.
#[derive(Args)]
struct How {
    /// How long things are broken in a scenario, in seconds
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Seed of all random choices; the same seed gives the same schedule
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many nodes, all of them voters: 3, 5 or 7
    #[arg(long, default_value_t = USUAL, value_parser = nodes)]
    nodes: usize,
    /// The built server executable
    #[arg(long, default_value = "target/release/waypost")]
    waypost: PathBuf,
    /// Keep history and logs in this folder, with `all` in one folder a scenario; those of a failed run are
    /// always kept
    #[arg(long)]
    keep: Option<PathBuf>,
}

#[derive(Args)]
struct Run {
    /// A name from `chaos list`
    #[arg(long)]
    scenario: String,
    #[command(flatten)]
    how: How,
    /// A library that the nodes must load: with libeatmydata.so, which ignores syncs, `power-cut` has to fail
    #[arg(long)]
    preload: Option<PathBuf>,
    /// A planted defect of a server that was built with the feature `failpoints`: see `chaos prove`
    #[arg(long)]
    failpoint: Option<String>,
}

#[derive(Args)]
struct All {
    /// Run only these scenarios, separated by commas
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    #[command(flatten)]
    how: How,
    /// Keep the table rows in this file, and skip scenarios that have a row without a violation there
    #[arg(long)]
    table: Option<PathBuf>,
}

#[derive(Args)]
struct Prove {
    /// Run only these defects, separated by commas
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The server executable, built with `--features failpoints`
    #[arg(long, default_value = "target/debug/waypost")]
    waypost: PathBuf,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::List => Ok(list()),
        Command::Run(run) => run.run(),
        Command::All(all) => all.run(),
        Command::Prove(prove) => prove.run(),
        Command::Check { history } => History::read(&history).map(|mut history| {
            history.0.sort_by_key(|entry| entry.at_ms);
            print_verdicts(&history)
        }),
        Command::Attack => hostile::attack().map(|()| true),
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
                Need::Clients => "the clients of tests/js",
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

/// Reads a number of nodes.
fn nodes(text: &str) -> Result<usize, String> {
    match text {
        "3" => Ok(3),
        "5" => Ok(5),
        "7" => Ok(7),
        _ => Err("3, 5 or 7".to_owned()),
    }
}

impl How {
    /// The name of a scenario's row in the table.
    fn row(&self, scenario: &Scenario) -> String {
        match self.nodes {
            USUAL => scenario.name.to_owned(),
            nodes => format!("{}, {nodes} nodes", scenario.name),
        }
    }
}

impl Run {
    fn run(&self) -> Result<bool> {
        let scenario = Scenario::named(&self.scenario)
            .with_context(|| format!("there is no scenario `{}`; `chaos list` has them", self.scenario))?;
        if let Some(refusal) = scenario.refusal() {
            bail!("{refusal}");
        }
        let binary = built(&self.how.waypost)?;
        // A run opens thousands of sockets and needs as many file descriptors.
        testkit::proc::raise_open_files()?;
        clean_dead_runs()?;
        let names = Names::own();
        names.clean();
        std::fs::create_dir_all(names.dir())?;
        let interrupted = watch(&names, Duration::from_secs(self.how.seconds) + BESIDE)?;
        let time = Duration::from_secs(self.how.seconds);
        let preload = self.preload.clone();
        let failpoint = self.failpoint.clone();
        let seed = self.how.seed;
        let nodes = self.how.nodes;
        let plan = Plan { binary, time, seed, nodes, environment: scenario.environment, preload, failpoint };
        let journal = Journal::create(&names.dir().join("history.jsonl"))?;
        println!("{}: {} s, seed {seed}, {nodes} nodes", scenario.name, self.how.seconds);
        let carried_out = carry_out(scenario, &plan, &names, &journal, interrupted);
        let kept = |failed: bool| self.keep(&names, &journal, failed);
        let checked = carried_out.and_then(|()| Ok(print_run(&self.how.row(scenario), &journal.history()?)));
        let kept = kept(!matches!(checked, Ok(true)));
        names.clean();
        if let Some(at) = kept? {
            println!("history and logs: {}", at.display());
        }
        checked
    }

    /// Copies history and logs to the folder where they are kept.
    fn keep(&self, names: &Names, journal: &Journal, failed: bool) -> Result<Option<PathBuf>> {
        let at = match (&self.how.keep, failed) {
            (Some(at), _) => at.clone(),
            (None, true) => {
                std::env::temp_dir().join(names.of(&format!("{}-{}", self.scenario, self.how.seed)))
            }
            (None, false) => return Ok(None),
        };
        std::fs::create_dir_all(&at)?;
        std::fs::copy(journal.path(), at.join("history.jsonl"))?;
        for log in logs(&names.dir())? {
            let node =
                log.parent().and_then(Path::file_name).context("a log file that belongs to no node")?;
            std::fs::copy(&log, at.join(node).with_extension("log"))?;
        }
        Ok(Some(at))
    }
}

impl All {
    /// Runs the scenarios. Returns whether all invariants held in all of them.
    fn run(&self) -> Result<bool> {
        let scenarios = named(&self.only, SCENARIOS, |scenario| scenario.name)?;
        let kept = self.table.as_deref().map(Rows::read).transpose()?.unwrap_or_default();
        let series = Series::begin()?;
        let mut rows = Vec::new();
        let mut failed = Vec::new();
        let mut left_out = Vec::new();
        for scenario in scenarios {
            if let Some(row) = kept.of(&self.how.row(scenario)) {
                rows.push(row.to_owned());
                continue;
            }
            if let Some(refusal) = scenario.refusal() {
                left_out.push(refusal);
                continue;
            }
            let ran = self.one(&series, scenario)?;
            if ran.holds != Some(true) {
                failed.push(scenario.name);
            }
            let broken = || format!("| {} | it could not be done |", self.how.row(scenario));
            let row = ran.row.unwrap_or_else(broken);
            if let Some(table) = &self.table {
                Rows::append(table, &row)?;
            }
            rows.push(row);
        }
        println!("\n{}", series::HEAD);
        rows.iter().for_each(|row| println!("{row}"));
        println!("{}\n", series::total(rows.iter().map(String::as_str)));
        left_out.iter().for_each(|refusal| println!("left out: {refusal}"));
        println!("{} scenarios, failed: {failed:?}", rows.len());
        Ok(failed.is_empty())
    }

    fn one(&self, series: &Series, scenario: &Scenario) -> Result<Ran> {
        let seconds = self.how.seconds.to_string();
        let seed = self.how.seed.to_string();
        let nodes = self.how.nodes.to_string();
        let waypost = self.how.waypost.display().to_string();
        let mut arguments = vec!["--scenario", scenario.name, "--seconds", &seconds, "--seed", &seed];
        arguments.extend(["--nodes", &nodes, "--waypost", &waypost]);
        let keep = self.how.keep.as_ref().map(|keep| keep.join(scenario.name).display().to_string());
        if let Some(keep) = &keep {
            arguments.extend(["--keep", keep]);
        }
        series.run(&arguments, true)
    }
}

impl Prove {
    /// Runs the defects. Returns whether every one was found.
    fn run(&self) -> Result<bool> {
        let binary = built(&self.waypost)?;
        let series = Series::begin()?;
        let mut proofs = Vec::new();
        for defect in named(&self.only, prove::DEFECTS, |defect| defect.name)? {
            let proof = Proof::run(&series, *defect, &binary)?;
            println!("{}", proof.row());
            if let Some((_, ran)) = &proof.caught {
                ran.failed.iter().for_each(|(number, first)| println!("    {number}: {first}"));
            }
            proofs.push(proof);
        }
        println!("\n{}", prove::HEAD);
        proofs.iter().for_each(|proof| println!("{}", proof.row()));
        Ok(proofs.iter().all(|proof| proof.caught.is_some()))
    }
}

fn built(waypost: &Path) -> Result<PathBuf> {
    waypost.canonicalize().with_context(|| format!("{}: build it first", waypost.display()))
}

/// The items with these names, or all items if no name is given.
fn named<'a, T>(names: &[String], all: &'a [T], name: impl Fn(&T) -> &str) -> Result<Vec<&'a T>> {
    if let Some(unknown) = names.iter().find(|wanted| all.iter().all(|one| name(one) != **wanted)) {
        bail!("there is no `{unknown}`");
    }
    Ok(all.iter().filter(|one| names.is_empty() || names.iter().any(|wanted| wanted == name(one))).collect())
}

/// The log files of the nodes below a run's directory.
fn logs(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut logs = Vec::new();
    for nodes in std::fs::read_dir(dir)?.flatten().filter(|entry| entry.path().is_dir()) {
        let homes = std::fs::read_dir(nodes.path())?.flatten();
        logs.extend(homes.map(|home| home.path().join("node.log")).filter(|log| log.exists()));
    }
    Ok(logs)
}

fn carry_out(
    scenario: &Scenario,
    plan: &Plan,
    names: &Names,
    journal: &Journal,
    interrupted: Arc<AtomicBool>,
) -> Result<()> {
    let mut run = chaos::run::Run::begin(plan, names, journal, interrupted)?;
    run.inject(scenario.actions)?;
    run.heal()
}

/// Prints the verdicts. Returns whether all invariants hold.
fn print_verdicts(history: &History) -> bool {
    print_run("", history)
}

/// As [`print_verdicts`], and also prints a row for the table in the documents under that name.
fn print_run(name: &str, history: &History) -> bool {
    let verdicts = invariants::check(history);
    print!("{}", Table(&verdicts));
    let count = |is: &dyn Fn(&Record) -> bool| history.records().filter(|record| is(record)).count();
    let operations = count(&|r| {
        matches!(
            r,
            Record::Asked { .. } | Record::TokenUsed { .. } | Record::Wrote { .. } | Record::Read { .. }
        )
    });
    let acknowledged = count(&|r| matches!(r, Record::Acked { .. }));
    let faults = count(&|r| matches!(r, Record::Fault { .. }));
    let violations = verdicts.iter().map(|v| v.violations).sum::<u64>();
    println!(
        "operations {operations}, acknowledged {acknowledged}, unknown {}, delivered {}, delivered by webhook {}, faults {faults}, violations {violations}",
        count(&|r| matches!(r, Record::Unknown { .. })),
        count(&|r| matches!(r, Record::Seen { .. })),
        count(&|r| matches!(r, Record::Got { accepted: true, .. })),
    );
    if !name.is_empty() {
        let cells = invariants::cells(&verdicts);
        println!("| {name} | {faults} | {operations} | {acknowledged} | {violations} | {cells} |");
    }
    verdicts.iter().all(|v| v.outcome() != Outcome::Fail)
}

/// Ends the run on SIGINT, on SIGTERM and when its time limit is over. If the run does not end by itself,
/// this removes everything that it made and ends the process.
fn watch(names: &Names, limit: Duration) -> Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, interrupted.clone())?;
    }
    let flag = interrupted.clone();
    let names = names.clone();
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
