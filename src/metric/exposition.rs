//! The text format of Prometheus, for metrics whose values are read from state when somebody asks for them. A
//! series is there as long as the thing that it tells of. The metrics recorder forgets no series.

use std::fmt::Write;

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows while the process lives.
    Counter,
    /// It goes up and down.
    Gauge,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// A text in the format of Prometheus that is being written.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

impl Exposition {
    /// Goes on behind a text that has whole metrics.
    pub fn behind(text: String) -> Self {
        Self { text }
    }

    /// The text.
    pub fn into_text(self) -> String {
        self.text
    }

    /// Writes a metric that has one series and no label.
    pub fn one(&mut self, kind: Kind, name: &str, help: &str, value: f64) {
        self.head(kind, name, help);
        // A write into a string does not fail. Here and below.
        let _ = writeln!(self.text, "{name} {value}");
    }

    /// Writes a gauge that has a series for each value of `label`. Without series nothing is written.
    pub fn gauges<'v>(
        &mut self,
        (name, help): (&str, &str),
        label: &str,
        series: impl IntoIterator<Item = (&'v str, f64)>,
    ) {
        let mut series = series.into_iter().peekable();
        if series.peek().is_none() {
            return;
        }
        self.head(Kind::Gauge, name, help);
        for (labelled, value) in series {
            let _ = writeln!(self.text, "{name}{{{label}=\"{}\"}} {value}", escaped(labelled));
        }
    }

    /// Writes a gauge that is always 1 and whose labels say something.
    pub fn info(&mut self, name: &str, help: &str, labels: &[(&str, &str)]) {
        self.head(Kind::Gauge, name, help);
        let labels: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        let _ = writeln!(self.text, "{name}{{{}}} 1", labels.join(","));
    }

    fn head(&mut self, kind: Kind, name: &str, help: &str) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        let _ = writeln!(self.text, "# HELP {name} {help}");
        let _ = writeln!(self.text, "# TYPE {name} {}", kind.name());
    }
}

/// A label's value between its quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_written_with_their_help_and_type() {
        let mut out = Exposition::behind("a 1".to_owned());
        out.one(Kind::Counter, "process_cpu_seconds_total", "CPU time", 1.5);
        out.gauges(("waiting", "Events that wait"), "webhook", [("a\"\\\n", 3.0), ("other", 0.25)]);
        out.gauges(("nothing", "No series"), "webhook", []);
        out.info("node_info", "Which node", &[("node", "2"), ("name", "a\"b")]);
        let expected = [
            "a 1",
            "# HELP process_cpu_seconds_total CPU time",
            "# TYPE process_cpu_seconds_total counter",
            "process_cpu_seconds_total 1.5",
            "# HELP waiting Events that wait",
            "# TYPE waiting gauge",
            "waiting{webhook=\"a\\\"\\\\\\n\"} 3",
            "waiting{webhook=\"other\"} 0.25",
            "# HELP node_info Which node",
            "# TYPE node_info gauge",
            "node_info{node=\"2\",name=\"a\\\"b\"} 1",
            "",
        ];
        assert_eq!(out.into_text(), expected.join("\n"));
    }
}
