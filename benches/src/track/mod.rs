//! What each commit costs: measures ratios to the raw limit, adds them as a line to a file, and plots all
//! lines of the file. Ratios of two machines, or of two days, are not the same: a step between neighbours of
//! one machine is what to look for.

mod day;
mod plot;

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::report::Report;

/// The benchmarks of a whole run.
const WHOLE: [&[&str]; 4] = [
    &["compare", "--seconds=4", "--rounds=3"],
    &["idle"],
    &["publish", "--seconds=5"],
    &["webhooks", "--deliveries=30000", "--rounds=3"],
];

/// The benchmarks of a run of about a minute.
const SHORT: [&[&str]; 3] =
    [&["compare", "--seconds=2", "--rounds=2"], &["idle", "--connections=2000"], &["publish", "--seconds=2"]];

/// What to measure, and where the lines are.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Measure for about a minute, print the line, and write nothing: such a line is too coarse to keep
    #[arg(long)]
    short: bool,
    /// The file of all runs; the plot is written beside it
    #[arg(long, default_value = "docs/benchmarks/track.jsonl")]
    file: PathBuf,
    /// Measure nothing, and plot the file as it is
    #[arg(long, conflicts_with = "short")]
    plot: bool,
}

/// One run.
#[derive(Serialize, Deserialize)]
struct Line {
    /// The commit; `+` behind it says that files differed from it.
    commit: String,
    date: String,
    machine: String,
    /// The ratio of Waypost's figure to the limit's, by what was measured.
    ratios: BTreeMap<String, f64>,
}

/// Measures, prints the line, and keeps it.
///
/// # Errors
/// Nothing can be measured, or the file is not readable or writable.
pub(crate) async fn run(waypost: &Path, dir: &Path, options: &Options) -> Result<()> {
    if !options.plot {
        let benchmarks: &[&[&str]] = if options.short { &SHORT } else { &WHOLE };
        let line = serde_json::to_string(&measured(waypost, dir, benchmarks).await?)?;
        println!("{line}");
        if options.short {
            return Ok(());
        }
        append(&options.file, &line)?;
    }
    let lines = read(&options.file)?;
    let plot = options.file.with_extension("svg");
    fs::write(&plot, plot::svg(&lines)).with_context(|| plot.display().to_string())
}

/// One that can't be measured is left out, and the reason is printed.
async fn measured(waypost: &Path, dir: &Path, benchmarks: &[&[&str]]) -> Result<Line> {
    let mut report = Report::default();
    for options in benchmarks {
        if let Err(error) = crate::parsed(options)?.run(waypost, dir, &mut report).await {
            report.broken(options[0], &error);
        }
    }
    print!("{}", report.table());
    let ratios: BTreeMap<String, f64> = report
        .ratios()
        .filter(|(_, ratio)| ratio.is_finite())
        .map(|(what, ratio)| (what.to_owned(), rounded(ratio)))
        .collect();
    ensure!(!ratios.is_empty(), "nothing was measured");
    Ok(Line { commit: commit(), date: day::today(), machine: machine(), ratios })
}

/// Three digits behind the point: the rest is noise.
fn rounded(ratio: f64) -> f64 {
    (ratio * 1000.0).round() / 1000.0
}

fn append(file: &Path, line: &str) -> Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    Ok(file.write_all(format!("{line}\n").as_bytes())?)
}

fn read(file: &Path) -> Result<Vec<Line>> {
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        text => text.with_context(|| file.display().to_string())?,
    };
    let numbered = text.lines().enumerate();
    numbered
        .map(|(number, line)| {
            serde_json::from_str(line).with_context(|| format!("{}, line {}", file.display(), number + 1))
        })
        .collect()
}

/// The commit of the working copy, as far as git knows it.
fn commit() -> String {
    let git = |words: &[&str]| {
        let output = Command::new("git").args(words).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(head) = git(&["rev-parse", "--short=10", "HEAD"]) else { return String::from("unknown") };
    // What a run of this command itself writes is no difference.
    let is_clean =
        git(&["status", "--porcelain", "--", ".", ":!docs/benchmarks"]).is_some_and(|s| s.is_empty());
    if is_clean { head } else { head + "+" }
}

/// The processor and how many cores there are.
fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        info.lines().find_map(|line| Some(line.strip_prefix("model name")?.split_once(':')?.1.trim()));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{}, {cores} cores", model.unwrap_or("unknown processor"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_benchmark_of_a_run_is_parsed() {
        for options in WHOLE.iter().chain(&SHORT) {
            crate::parsed(options).unwrap();
        }
    }

    #[test]
    fn lines_are_kept_and_a_broken_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("below").join("track.jsonl");
        assert!(read(&file).unwrap().is_empty());
        for ratio in [1.5, 1.25] {
            let ratios = BTreeMap::from([("paced: waypost".to_owned(), ratio)]);
            let line = Line { commit: commit(), date: day::today(), machine: machine(), ratios };
            append(&file, &serde_json::to_string(&line).unwrap()).unwrap();
        }
        let lines = read(&file).unwrap();
        assert_eq!(lines.iter().map(|line| line.ratios["paced: waypost"]).collect::<Vec<_>>(), [1.5, 1.25]);
        append(&file, "{").unwrap();
        assert!(read(&file).err().unwrap().to_string().contains("line 3"));
    }
}
