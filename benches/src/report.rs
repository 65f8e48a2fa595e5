//! The table of results: the bound, the measured value beside the limit's of the same run, their ratio, pass
//! or fail.

use std::fmt::Write as _;

/// One line of the table.
pub(crate) struct Row {
    what: String,
    target: String,
    figure: f64,
    measured: String,
    /// The limit's figure, and the measured one's ratio to it.
    limit: Option<(String, f64)>,
    passed: Option<bool>,
}

impl Row {
    /// The raw limit's figure under the same load in the same run.
    pub(crate) fn beside(&mut self, limit: f64) {
        self.limit = Some((number(limit), self.figure / limit));
    }

    fn limit(&self) -> &str {
        self.limit.as_ref().map_or("–", |(limit, _)| limit.as_str())
    }

    fn ratio(&self) -> String {
        self.limit.as_ref().map_or_else(String::new, |(_, ratio)| format!("{ratio:.2} ×"))
    }
}

/// A figure with as many digits as mean something.
fn number(figure: f64) -> String {
    let digits = if figure.abs() >= 1000.0 { 0 } else { 2 };
    format!("{figure:.digits$}")
}

/// The results in the order of their measurement.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// A figure that has to be at most `bound`.
    pub(crate) fn at_most(&mut self, what: &str, measured: f64, bound: f64, unit: &str) -> &mut Row {
        let passed = measured.is_finite() && measured <= bound;
        self.push(what, format!("≤ {bound:.2} {unit}"), measured, unit, Some(passed))
    }

    /// A figure that has to be at least `bound`.
    pub(crate) fn at_least(&mut self, what: &str, measured: f64, bound: f64, unit: &str) -> &mut Row {
        self.push(what, format!("≥ {bound:.0} {unit}"), measured, unit, Some(measured >= bound))
    }

    /// A figure without a bound.
    pub(crate) fn note(&mut self, what: &str, measured: f64, unit: &str) -> &mut Row {
        self.push(what, String::from("–"), measured, unit, None)
    }

    fn push(
        &mut self,
        what: &str,
        target: String,
        figure: f64,
        unit: &str,
        passed: Option<bool>,
    ) -> &mut Row {
        let measured = format!("{} {unit}", number(figure));
        let at = self.rows.len();
        self.rows.push(Row { what: what.to_owned(), target, figure, measured, limit: None, passed });
        &mut self.rows[at]
    }

    /// A measurement that could not be made; it counts as failed.
    pub(crate) fn broken(&mut self, what: &str, why: &anyhow::Error) {
        let measured = format!("{why:#}");
        self.rows.push(Row {
            what: what.to_owned(),
            target: String::from("runs"),
            figure: f64::NAN,
            measured,
            limit: None,
            passed: Some(false),
        });
    }

    /// What was measured beside the limit, and its ratio to the limit's figure.
    pub(crate) fn ratios(&self) -> impl Iterator<Item = (&str, f64)> {
        self.rows.iter().filter_map(|row| Some((row.what.as_str(), row.limit.as_ref()?.1)))
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
        let d = width(Row::limit, 7);
        let head = format!(
            "{:a$}  {:b$}  {:c$}  {:d$}  {:8}  result",
            "what", "target", "measured", "limit's", "ratio"
        );
        let mut out = head + "\n";
        for row in &self.rows {
            let (Row { what, target, measured, .. }, limit, ratio) = (row, row.limit(), row.ratio());
            let verdict = match row.passed {
                Some(true) => "pass",
                Some(false) => "FAIL",
                None => "",
            };
            // Writing to a String can't fail.
            let _ = writeln!(out, "{what:a$}  {target:b$}  {measured:c$}  {limit:d$}  {ratio:8}  {verdict}");
        }
        out
    }
}
