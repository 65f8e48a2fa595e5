//! The result of an invariant: what was checked, which violations were found, and how both are printed.

use crate::NAMES;
use std::fmt;

/// How many violations are shown; all of them are counted.
const SHOWN: usize = 5;

/// Counts the checks of invariants.
pub trait Checker {
    /// Counts a check of the invariant with that number; `fault` describes the violation if `holds` is false.
    fn check(&mut self, invariant: u8, holds: bool, fault: impl FnOnce() -> String);
}

/// The outcome of an invariant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was tested, and held.
    Pass,
    /// It did not hold.
    Fail,
    /// Nothing happened that could have broken it.
    NotExercised,
}

/// The result of one invariant.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Its number.
    pub number: u8,
    /// Its name.
    pub name: &'static str,
    /// How many checks were made.
    pub checked: u64,
    /// What was checked, in words.
    pub figure: String,
    /// How many violations there are.
    pub violations: u64,
    /// The first violations.
    pub shown: Vec<String>,
}

impl Verdict {
    /// A verdict for the invariant with that number, without any check yet.
    pub fn new(number: u8) -> Self {
        let name = NAMES.get(usize::from(number).wrapping_sub(1)).copied().unwrap_or("no such invariant");
        Self { number, name, checked: 0, figure: String::new(), violations: 0, shown: Vec::new() }
    }

    /// Counts a check; `fault` describes the violation.
    pub fn check(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        self.checked += 1;
        if !holds {
            self.violations += 1;
            if self.shown.len() < SHOWN {
                self.shown.push(fault());
            }
        }
    }

    /// An error with the first violations, if there are any.
    pub fn result(&self) -> Result<(), String> {
        if self.violations == 0 { Ok(()) } else { Err(self.shown.join("\n")) }
    }

    /// The outcome so far.
    pub fn outcome(&self) -> Outcome {
        match (self.violations, self.checked) {
            (0, 0) => Outcome::NotExercised,
            (0, _) => Outcome::Pass,
            _ => Outcome::Fail,
        }
    }
}

/// One verdict for each invariant, in the order of their numbers.
#[derive(Debug, Clone)]
pub struct Verdicts(Vec<Verdict>);

impl Verdicts {
    /// The verdict with that number.
    pub fn of(&mut self, invariant: u8) -> Option<&mut Verdict> {
        self.0.get_mut(usize::from(invariant).wrapping_sub(1))
    }

    /// Replaces the verdict of the same invariant.
    pub fn put(&mut self, verdict: Verdict) {
        if let Some(known) = self.of(verdict.number) {
            *known = verdict;
        }
    }

    /// All verdicts.
    pub fn into_vec(self) -> Vec<Verdict> {
        self.0
    }
}

impl Default for Verdicts {
    fn default() -> Self {
        Self((1..=NAMES.len() as u8).map(Verdict::new).collect())
    }
}

impl Checker for Verdicts {
    fn check(&mut self, invariant: u8, holds: bool, fault: impl FnOnce() -> String) {
        if let Some(verdict) = self.of(invariant) {
            verdict.check(holds, fault);
        }
    }
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

/// How many checks were made of each invariant, as cells of a Markdown row.
pub fn cells(verdicts: &[Verdict]) -> String {
    let cell = |v: &Verdict| match v.outcome() {
        Outcome::Pass => v.checked.to_string(),
        Outcome::Fail => format!("**{} of {}**", v.violations, v.checked),
        Outcome::NotExercised => "–".to_owned(),
    };
    verdicts.iter().map(cell).collect::<Vec<_>>().join(" | ")
}
