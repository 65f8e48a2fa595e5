//! Many seeds on several threads.
//!
//! Owns which seeds are run, the count of what came of them, and keeping the plans of those that failed.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use simulated::sim::Broken;

use crate::plan::Plan;
use crate::run::{Verdict, run};

/// Seeds to run.
pub(crate) struct Batch {
    /// First fresh seed.
    pub(crate) from: u64,
    /// Fresh seeds.
    pub(crate) seeds: u64,
    /// Threads.
    pub(crate) jobs: usize,
    /// A defect that is switched on.
    pub(crate) broken: Option<Broken>,
    /// Stop at the first that fails.
    pub(crate) stop: bool,
}

/// What came of a batch.
#[derive(Debug, Default)]
pub(crate) struct Total {
    pub(crate) seeds: u64,
    pub(crate) failed: u64,
    counts: [u64; 3],
    faults: u64,
    rebuilt: u64,
    simulated_ms: u64,
    took: Duration,
}

impl Total {
    fn add(&mut self, verdict: &Verdict) {
        self.seeds += 1;
        self.failed += u64::from(!verdict.violations.is_empty());
        self.faults += verdict.faults;
        self.rebuilt += verdict.rebuilt;
        self.simulated_ms += verdict.took_ms;
        for (sum, count) in self.counts.iter_mut().zip(verdict.counts) {
            *sum += count;
        }
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        let [proposed, acknowledged, reads] = self.counts;
        writeln!(f, "{} seeds in {seconds:.0} s, {:.0} a minute", self.seeds, self.seeds as f64 * 60.0 / seconds)?;
        writeln!(f, "{} hours of simulated time, {} faults", self.simulated_ms / 3_600_000, self.faults)?;
        writeln!(f, "{proposed} commands proposed, {acknowledged} acknowledged, {reads} reads")?;
        writeln!(f, "{} nodes rebuilt after a crash between a snapshot and its note in the log", self.rebuilt)?;
        write!(f, "{} seeds failed", self.failed)
    }
}

/// The seeds that once failed.
pub(crate) fn once_failed() -> Vec<u64> {
    let lines = include_str!("../seeds.txt").lines();
    lines.filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
}

/// Keeps the plan of a seed and what came of it.
pub(crate) fn keep(dir: &Path, seed: u64, verdict: &Verdict) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    std::fs::write(dir.join(format!("{seed}.txt")), format!("{:#?}\n{verdict:#?}\n", Plan::new(seed)))
}

impl Batch {
    /// Runs all of it; tells of each seed that fails.
    pub(crate) fn run(&self, failed: &mut dyn FnMut(u64, &Verdict)) -> Total {
        let mut seeds = once_failed();
        seeds.extend(self.from..self.from + self.seeds);
        let (begin, next, stopped) = (Instant::now(), AtomicUsize::new(0), AtomicBool::new(false));
        let (sender, verdicts) = mpsc::sync_channel(64);
        let mut total = Total::default();
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                let (sender, seeds, next, stopped) = (sender.clone(), &seeds, &next, &stopped);
                scope.spawn(move || {
                    while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed))
                        && !stopped.load(Ordering::Relaxed)
                        && sender.send((*seed, run(*seed, self.broken))).is_ok()
                    {}
                });
            }
            drop(sender);
            for (seed, verdict) in verdicts {
                total.add(&verdict);
                if !verdict.violations.is_empty() {
                    failed(seed, &verdict);
                    stopped.store(self.stop, Ordering::Relaxed);
                }
            }
        });
        total.took = begin.elapsed();
        total
    }
}
