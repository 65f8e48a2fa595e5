//! How an invariant fared: what was checked, what was found, and how both are printed.

use crate::NAMES;
use std::fmt;

/// Violations that are shown; all are counted.
const SHOWN: usize = 5;

/// Takes what was checked.
pub trait Checker {
    /// Counts a check of the invariant with that number; `fault` says what is wrong where it failed.
    fn check(&mut self, invariant: u8, holds: bool, fault: impl FnOnce() -> String);
}

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

/// One invariant's verdict.
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
    /// Of the invariant with that number; nothing is checked yet.
    pub fn new(number: u8) -> Self {
        let name = NAMES.get(usize::from(number).wrapping_sub(1)).copied().unwrap_or("no such invariant");
        Self { number, name, checked: 0, figure: String::new(), violations: 0, shown: Vec::new() }
    }

    /// Counts a check; `fault` says what is wrong where it failed.
    pub fn check(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        self.checked += 1;
        if !holds {
            self.violations += 1;
            if self.shown.len() < SHOWN {
                self.shown.push(fault());
            }
        }
    }

    /// The first violations, if there is one.
    pub fn result(&self) -> Result<(), String> {
        if self.violations == 0 { Ok(()) } else { Err(self.shown.join("\n")) }
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

/// A verdict for each invariant, in their order.
#[derive(Debug, Clone)]
pub struct Verdicts(Vec<Verdict>);

impl Verdicts {
    /// Of a number.
    pub fn of(&mut self, invariant: u8) -> Option<&mut Verdict> {
        self.0.get_mut(usize::from(invariant).wrapping_sub(1))
    }

    /// Another verdict of an invariant takes the place of this one.
    pub fn put(&mut self, verdict: Verdict) {
        if let Some(place) = self.of(verdict.number) {
            *place = verdict;
        }
    }

    /// All of them.
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

/// What was checked of each, as cells of a Markdown row.
pub fn cells(verdicts: &[Verdict]) -> String {
    let cell = |v: &Verdict| match v.outcome() {
        Outcome::Pass => v.checked.to_string(),
        Outcome::Fail => format!("**{} of {}**", v.violations, v.checked),
        Outcome::NotExercised => "–".to_owned(),
    };
    verdicts.iter().map(cell).collect::<Vec<_>>().join(" | ")
}
