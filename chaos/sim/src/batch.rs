//! Many seeds on several threads.
//!
//! The module chooses the seeds, adds up their results, and keeps the plans of seeds that failed.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use checker::NAMES;

use crate::history::Checks;
use crate::plan::Plan;
use crate::run::{Verdict, run};

/// The seeds to run, and how.
pub(crate) struct Batch {
    /// The first fresh seed.
    pub(crate) from: u64,
    /// How many fresh seeds are run.
    pub(crate) seeds: u64,
    /// How many threads run them.
    pub(crate) jobs: usize,
    /// The failpoint that is switched on.
    pub(crate) failpoint: Option<&'static str>,
    /// Whether the batch stops at the first seed that fails.
    pub(crate) stop: bool,
    /// After this time no more seeds are started, except the plans that failed once and the first fresh seed.
    pub(crate) limit: Duration,
}

/// The results of a batch, added up.
#[derive(Debug, Default)]
pub(crate) struct Total {
    pub(crate) seeds: u64,
    pub(crate) failed: u64,
    counts: [u64; 4],
    checks: Checks,
    faults: u64,
    simulated_ms: u64,
    took: Duration,
}

impl Total {
    /// How many answers replicas gave to proposals that they had applied before.
    #[cfg(test)]
    pub(crate) fn repeated(&self) -> u64 {
        self.counts[3]
    }

    fn add(&mut self, verdict: &Verdict) {
        self.seeds += 1;
        self.failed += u64::from(!verdict.violations.is_empty());
        self.faults += verdict.faults;
        self.simulated_ms += verdict.took_ms;
        let counts = self.counts.iter_mut().chain(&mut self.checks);
        for (sum, count) in counts.zip(verdict.counts.into_iter().chain(verdict.checks)) {
            *sum += count;
        }
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64();
        let [proposed, acknowledged, reads, repeated] = self.counts;
        writeln!(
            f,
            "{} seeds in {seconds:.0} s, {:.0} a minute",
            self.seeds,
            self.seeds as f64 * 60.0 / seconds
        )?;
        writeln!(f, "{} hours of simulated time, {} faults", self.simulated_ms / 3_600_000, self.faults)?;
        writeln!(f, "{proposed} commands proposed, {acknowledged} acknowledged, {reads} reads")?;
        writeln!(f, "{repeated} answers to proposals that were sent again")?;
        for ((number, name), checks) in (1..).zip(NAMES).zip(self.checks).filter(|(_, checks)| *checks > 0) {
            writeln!(f, "{number:>2}  {name:<34}  {checks:>10} checked")?;
        }
        write!(f, "{} seeds failed", self.failed)
    }
}

/// Plans that failed once; they run first. Each file is named after the defect that it found.
const ONCE_FAILED: [&str; 13] = [
    include_str!("../plans/restart-without-checkpoint.json"),
    include_str!("../plans/member-with-an-empty-log.json"),
    include_str!("../plans/store-ahead-of-log.json"),
    include_str!("../plans/answer-to-an-older-append.json"),
    include_str!("../plans/newcomer-asks-a-former-leader.json"),
    include_str!("../plans/write-that-lands-late.json"),
    include_str!("../plans/vote-never-written.json"),
    include_str!("../plans/clock-that-answers-now-and-then.json"),
    include_str!("../plans/leader-that-hears-no-clocks.json"),
    include_str!("../plans/snapshot-skips-the-end-of-an-incarnation.json"),
    include_str!("../plans/leader-without-introduction.json"),
    include_str!("../plans/member-that-has-not-heard.json"),
    include_str!("../plans/holes-beside-each-other.json"),
];

/// The plans that failed once.
pub(crate) fn once_failed() -> anyhow::Result<Vec<Plan>> {
    ONCE_FAILED.iter().map(|json| Ok(Plan::read(json)?)).collect()
}

/// Keeps a plan and its verdict.
pub(crate) fn keep(dir: &Path, plan: &Plan, verdict: &Verdict) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir)?;
    std::fs::write(dir.join(format!("{}.json", plan.seed)), plan.write()?)?;
    std::fs::write(dir.join(format!("{}.txt", plan.seed)), format!("{verdict:#?}\n"))?;
    Ok(())
}

impl Batch {
    /// Runs the whole batch and calls `failed` for each seed that fails.
    pub(crate) fn run(&self, failed: &mut dyn FnMut(&Plan, &Verdict)) -> anyhow::Result<Total> {
        let kept = once_failed()?;
        let plan = |at: u64| match kept.get(at as usize) {
            Some(plan) => Some(plan.clone()),
            None => {
                Some(at - kept.len() as u64).filter(|n| *n < self.seeds).map(|n| Plan::new(self.from + n))
            }
        };
        let always = kept.len() as u64;
        let begin = Instant::now();
        let next = AtomicU64::new(0);
        let stopped = AtomicBool::new(false);
        let (sender, verdicts) = mpsc::sync_channel(64);
        let mut total = Total::default();
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                let sender = sender.clone();
                let plan = &plan;
                let next = &next;
                let stopped = &stopped;
                scope.spawn(move || {
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let is_late = at > always && begin.elapsed() >= self.limit;
                        let ends = is_late || stopped.load(Ordering::Relaxed);
                        let Some(plan) = plan(at).filter(|_| !ends) else { return };
                        if sender.send((plan.clone(), run(plan, self.failpoint))).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            for (plan, verdict) in verdicts {
                total.add(&verdict);
                if !verdict.violations.is_empty() {
                    failed(&plan, &verdict);
                    stopped.store(self.stop, Ordering::Relaxed);
                }
            }
        });
        total.took = begin.elapsed();
        Ok(total)
    }
}
