//! What must always hold, judged from a run's history alone: eleven invariants by their number, each with a figure.
//!
//! - [`log`] has 1, 3, 4 and 8: what was stored; [`streams`] 2 and 5: what clients were given;
//! - [`hooks`] 6 and 9: webhooks; [`access`] 7; [`health`] 10 and 11.
//!
//! Pure: knows no process, no socket and no clock. Never: excuses what it can't judge; it says "not exercised".

mod access;
mod health;
mod hooks;
mod index;
mod log;
mod streams;
#[cfg(test)]
mod tests;

pub use index::Index;

use crate::history::History;
use std::fmt;

/// Violations that are shown; all are counted.
const SHOWN: usize = 5;

/// How an invariant fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was put to the test, and held.
    Pass,
    /// It did not hold.
    Fail,
    /// Nothing happened that could have broken it.
    NotExercised,
}

/// One invariant's judgement.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Its number.
    pub number: u8,
    /// Its name.
    pub name: &'static str,
    /// How many things were checked.
    pub checked: u64,
    /// In words.
    pub figure: String,
    /// How many violations there are.
    pub violations: u64,
    /// The first of them.
    pub shown: Vec<String>,
}

impl Verdict {
    fn new(number: u8, name: &'static str) -> Self {
        Self { number, name, checked: 0, figure: String::new(), violations: 0, shown: Vec::new() }
    }

    /// Counts a check; `fault` says what is wrong where it failed.
    fn check(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        self.checked += 1;
        if !holds {
            self.violations += 1;
            if self.shown.len() < SHOWN {
                self.shown.push(fault());
            }
        }
    }

    /// How it fared.
    pub fn outcome(&self) -> Outcome {
        match (self.violations, self.checked) {
            (0, 0) => Outcome::NotExercised,
            (0, _) => Outcome::Pass,
            _ => Outcome::Fail,
        }
    }
}

/// All eleven, in their order.
pub fn judge(history: &History) -> Vec<Verdict> {
    let index = Index::of(history);
    vec![
        log::kept(&index),
        streams::exactly_once(&index),
        log::one_log(&index),
        log::committed_only(&index),
        streams::gaps_are_told(&index),
        hooks::delivered(&index),
        access::linearizable(&index),
        log::lands_once(&index),
        hooks::one_owner(&index),
        health::catches_up(&index),
        health::damage_is_found(&index),
    ]
}

/// The verdicts as a table.
#[derive(Debug)]
pub struct Table<'a>(pub &'a [Verdict]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for verdict in self.0 {
            let outcome = match verdict.outcome() {
                Outcome::Pass => "pass",
                Outcome::Fail => "FAIL",
                Outcome::NotExercised => "not exercised",
            };
            let Verdict { number, name, checked, figure, violations, .. } = verdict;
            writeln!(f, "{number:>2}  {outcome:<13}  {name:<34}  {checked:>8} checked  {figure}")?;
            for fault in &verdict.shown {
                writeln!(f, "      {fault}")?;
            }
            if *violations > verdict.shown.len() as u64 {
                writeln!(f, "      … {violations} in all")?;
            }
        }
        Ok(())
    }
}

/// What was checked of each, as cells of a Markdown row.
pub fn cells(verdicts: &[Verdict]) -> String {
    let cell = |v: &Verdict| match v.outcome() {
        Outcome::Pass => v.checked.to_string(),
        Outcome::Fail => format!("**{} of {}**", v.violations, v.checked),
        Outcome::NotExercised => "–".to_owned(),
    };
    verdicts.iter().map(cell).collect::<Vec<_>>().join(" | ")
}
