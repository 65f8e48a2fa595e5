//! The table of results: the bound, the measured value, pass or fail.

use std::fmt::Write as _;

/// One line of the table.
struct Row {
    what: String,
    target: String,
    measured: String,
    passed: Option<bool>,
}

/// The results in the order of their measurement.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// A figure that has to be at most `bound`.
    pub(crate) fn at_most(&mut self, what: &str, measured: f64, bound: f64, unit: &str) {
        let passed = measured.is_finite() && measured <= bound;
        self.push(what, format!("≤ {bound:.2} {unit}"), measured, unit, Some(passed));
    }

    /// A figure that has to be at least `bound`.
    pub(crate) fn at_least(&mut self, what: &str, measured: f64, bound: f64, unit: &str) {
        self.push(what, format!("≥ {bound:.0} {unit}"), measured, unit, Some(measured >= bound));
    }

    /// A figure without a bound.
    pub(crate) fn note(&mut self, what: &str, measured: f64, unit: &str) {
        self.push(what, String::from("–"), measured, unit, None);
    }

    fn push(&mut self, what: &str, target: String, got: f64, unit: &str, passed: Option<bool>) {
        let digits = if got.abs() >= 1000.0 { 0 } else { 2 };
        let measured = format!("{got:.digits$} {unit}");
        self.rows.push(Row { what: what.to_owned(), target, measured, passed });
    }

    /// A measurement that could not be made; it counts as failed.
    pub(crate) fn broken(&mut self, what: &str, why: &anyhow::Error) {
        let measured = format!("{why:#}");
        self.rows.push(Row {
            what: what.to_owned(),
            target: String::from("runs"),
            measured,
            passed: Some(false),
        });
    }

    /// Whether no line failed.
    pub(crate) fn passed(&self) -> bool {
        self.rows.iter().all(|row| row.passed != Some(false))
    }

    /// The table as text.
    pub(crate) fn table(&self) -> String {
        let width = |f: fn(&Row) -> &str, least: usize| {
            self.rows.iter().map(|r| f(r).chars().count()).max().unwrap_or(0).max(least)
        };
        let a = width(|r| &r.what, 4);
        let b = width(|r| &r.target, 6);
        let c = width(|r| &r.measured, 8);
        let mut out = format!("{:a$}  {:b$}  {:c$}  result\n", "what", "target", "measured");
        for Row { what, target, measured, passed } in &self.rows {
            let verdict = match passed {
                Some(true) => "pass",
                Some(false) => "FAIL",
                None => "",
            };
            // Writing to a String can't fail.
            let _ = writeln!(out, "{what:a$}  {target:b$}  {measured:c$}  {verdict}");
        }
        out
    }
}
