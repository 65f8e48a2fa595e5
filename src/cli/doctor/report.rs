//! The checks and their results.

use std::io;

use serde_json::{Value, json};

use super::super::output;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is wrong.
    Ok,
    /// Something may become a problem.
    Warn,
    /// Something does not work.
    Fail,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One check.
#[derive(Debug)]
struct Check {
    /// What was looked at, as in `clock`.
    area: &'static str,
    state: State,
    /// What was found: a sentence.
    what: String,
    /// What to do about it: a sentence.
    todo: Option<String>,
}

/// All checks, in the order in which they were done.
#[derive(Debug, Default)]
pub(super) struct Report(Vec<Check>);

impl Report {
    /// Nothing is wrong.
    pub(super) fn ok(&mut self, area: &'static str, what: impl Into<String>) {
        self.add(area, State::Ok, what.into(), None);
    }

    /// Nothing is wrong, and there is something to know.
    pub(super) fn tell(&mut self, area: &'static str, what: impl Into<String>, todo: impl Into<String>) {
        self.add(area, State::Ok, what.into(), Some(todo.into()));
    }

    /// Something may become a problem.
    pub(super) fn warn(&mut self, area: &'static str, what: impl Into<String>, todo: impl Into<String>) {
        self.add(area, State::Warn, what.into(), Some(todo.into()));
    }

    /// Something does not work.
    pub(super) fn fail(&mut self, area: &'static str, what: impl Into<String>, todo: impl Into<String>) {
        self.add(area, State::Fail, what.into(), Some(todo.into()));
    }

    fn add(&mut self, area: &'static str, state: State, what: String, todo: Option<String>) {
        self.0.push(Check { area, state, what, todo });
    }

    /// How many checks failed.
    pub(super) fn failed(&self) -> usize {
        self.0.iter().filter(|check| check.state == State::Fail).count()
    }

    /// How many checks were done.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether a check of that area did not end well.
    pub(super) fn is_bad(&self, area: &str) -> bool {
        self.0.iter().any(|check| check.area == area && check.state != State::Ok)
    }

    /// Writes the report to standard output.
    pub(super) fn print(&self) -> io::Result<()> {
        if output::for_people(false) { output::line(self.table()) } else { output::json(&self.json()) }
    }

    fn table(&self) -> String {
        let mut rows = Vec::new();
        for check in &self.0 {
            let what = output::printable(&check.what);
            rows.push(vec![check.state.name().to_owned(), check.area.to_owned(), what]);
            if let Some(todo) = &check.todo {
                rows.push(vec![String::new(), String::new(), format!("→ {}", output::printable(todo))]);
            }
        }
        output::table(&["STATE", "CHECK", "FOUND"], &rows)
    }

    fn json(&self) -> Value {
        let check = |check: &Check| {
            json!({
                "check": check.area, "state": check.state.name(), "what": check.what, "do": check.todo,
            })
        };
        json!({"failed": self.failed(), "checks": self.0.iter().map(check).collect::<Vec<_>>()})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_shows_each_check_and_what_to_do() {
        let mut report = Report::default();
        report.ok("disk", "there is room");
        report.warn("clock", "it is off", "set it");
        report.fail("reach", "nothing \u{1b}[2J answers", "start it");
        assert_eq!((report.failed(), report.len()), (1, 3));
        assert!(report.is_bad("clock") && !report.is_bad("disk"));
        let table = report.table();
        let lines: Vec<&str> = table.lines().map(str::trim).collect();
        assert_eq!(lines[1], "ok     disk   there is room");
        assert_eq!(lines[2..4], ["warn   clock  it is off", "→ set it"]);
        assert!(lines[4].starts_with("fail") && !table.contains('\u{1b}'), "{table}");
        let json = report.json();
        assert_eq!((&json["failed"], &json["checks"][2]["do"]), (&json!(1), &json!("start it")));
        assert_eq!(json["checks"][0]["do"], Value::Null);
    }
}
