//! Many runs, one after the other, each in its own process: a run that fails, hangs or crashes ends only
//! itself.

use anyhow::{Context, Result, bail};
use checker::NAMES;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use testkit::background::Background;

/// The header of the table of runs.
pub const HEAD: &str = "| scenario | faults | operations | acknowledged | violations \
    | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10 | 11 | 12 |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|";

/// The result of a run.
#[derive(Debug)]
pub struct Ran {
    /// Whether all invariants hold; `None` when the run itself could not be done.
    pub holds: Option<bool>,
    /// Its row of the table, if the run printed one.
    pub row: Option<String>,
    /// The invariants that do not hold, each with its first violation.
    pub failed: Vec<(u8, String)>,
    /// How long it took.
    pub took: Duration,
}

/// Starts runs, and ends the present run on a signal.
#[derive(Debug)]
pub struct Series {
    interrupted: Arc<AtomicBool>,
}

impl Series {
    /// From now on SIGINT and SIGTERM end the present run and the series.
    pub fn begin() -> Result<Self> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, interrupted.clone())?;
        }
        Ok(Self { interrupted })
    }

    /// Runs `chaos run` with these arguments and passes each line of its output to `shown`. Returns an error
    /// when it was interrupted.
    pub fn run(&self, arguments: &[&str], shown: bool) -> Result<Ran> {
        let begun = Instant::now();
        let mut child = Command::new(std::env::current_exe()?)
            .arg("run")
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()?;
        let pid = Pid::from_child(&child);
        let interrupted = self.interrupted.clone();
        let watch = Background::start(move |ended| {
            while !ended.load(Ordering::Relaxed) {
                if interrupted.load(Ordering::Relaxed) {
                    // This fails only if the process has ended already.
                    let _ = kill_process(pid, Signal::TERM);
                }
                std::thread::sleep(Duration::from_millis(200));
            }
            Ok(())
        });
        let mut ran = Ran { holds: None, row: None, failed: Vec::new(), took: Duration::ZERO };
        let output = child.stdout.take().context("no output")?;
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            ran.read(&line);
            if shown {
                println!("{line}");
            }
        }
        let status = child.wait()?;
        watch.stop()?;
        if self.interrupted.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        ran.holds = match status.code() {
            Some(0) => Some(true),
            Some(1) => Some(false),
            _ => None,
        };
        ran.took = begun.elapsed();
        Ok(ran)
    }
}

impl Ran {
    /// Takes what is needed from a line of the verdict table. The first violation follows the line of its
    /// invariant.
    fn read(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [number, "FAIL", ..] = words[..]
            && let Ok(number) = number.parse()
        {
            self.failed.push((number, String::new()));
        } else if let Some((_, first)) = self.failed.last_mut().filter(|(_, first)| first.is_empty())
            && line.starts_with("      ")
        {
            *first = line.trim().to_owned();
        } else if line.starts_with("| ") {
            self.row = Some(line.to_owned());
        }
    }
}

/// Rows that are kept in a file, by scenario. A series that was interrupted continues where it stopped.
#[derive(Debug, Default)]
pub struct Rows(BTreeMap<String, String>);

impl Rows {
    /// The rows of runs without a violation.
    pub fn read(path: &Path) -> Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        let rows = text.lines().filter_map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let clean = cells.get(5) == Some(&"0");
            cells.get(1).filter(|_| clean).map(|name| ((*name).to_owned(), line.to_owned()))
        });
        Ok(Self(rows.collect()))
    }

    /// The row of a scenario.
    pub fn of(&self, scenario: &str) -> Option<&str> {
        self.0.get(scenario).map(String::as_str)
    }

    /// Adds a row to the file.
    pub fn append(path: &Path, row: &str) -> Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(writeln!(file, "{row}")?)
    }
}

/// The sums of the rows: the last row of the table.
pub fn total<'a>(rows: impl Iterator<Item = &'a str>) -> String {
    let mut sums = [0; 4];
    for row in rows {
        for (sum, cell) in sums.iter_mut().zip(row.split('|').skip(2)) {
            *sum += cell.trim().parse::<u64>().unwrap_or(0);
        }
    }
    let [faults, operations, acknowledged, violations] = sums;
    format!("| all | {faults} | {operations} | {acknowledged} | {violations} |{}", " |".repeat(NAMES.len()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_table_is_parsed_and_rows_are_kept_and_summed() {
        let mut ran = Ran { holds: None, row: None, failed: Vec::new(), took: Duration::ZERO };
        let good = "| calm | 1 | 20 | 10 | 0 | 5 |";
        let bad = "| mix | 2 | 20 | 10 | 3 | **3 of 5** |";
        for line in
            [" 1  pass  kept  5 checked", " 3  FAIL           one log", "      this", "      and that", bad]
        {
            ran.read(line);
        }
        assert_eq!(ran.failed, [(3, "this".to_owned())]);
        assert_eq!(ran.row.as_deref(), Some(bad));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("rows.md");
        assert!(Rows::read(&path).unwrap().of("calm").is_none());
        Rows::append(&path, good).unwrap();
        Rows::append(&path, bad).unwrap();
        let rows = Rows::read(&path).unwrap();
        assert_eq!(
            (rows.of("calm"), rows.of("mix")),
            (Some(good), None),
            "a scenario that failed runs again"
        );
        assert!(total([good, bad].into_iter()).starts_with("| all | 3 | 40 | 20 | 3 |"));
    }
}
