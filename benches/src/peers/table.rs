//! The table of ratios.

use std::fmt::Write as _;

use crate::stats::median;

/// The servers, in the order of the columns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Who {
    Limit,
    Waypost,
    Nchan,
    Nats,
    Etcd,
}

impl Who {
    const ALL: [Self; 5] = [Self::Limit, Self::Waypost, Self::Nchan, Self::Nats, Self::Etcd];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Waypost => "Waypost",
            Self::Nchan => "nchan",
            Self::Nats => "NATS",
            Self::Etcd => "etcd",
        }
    }
}

/// Which of two figures is the better one.
#[derive(Clone, Copy)]
pub(super) enum Better {
    Less,
    More,
}

/// What one measurement gave each server, a figure a round.
pub(super) struct Row {
    what: String,
    unit: &'static str,
    better: Better,
    figures: Vec<(Who, Vec<f64>)>,
}

impl Row {
    pub(super) fn new(what: &str, unit: &'static str, better: Better) -> Self {
        Self { what: what.to_owned(), unit, better, figures: Vec::new() }
    }

    /// Adds the figure of one round.
    pub(super) fn add(&mut self, who: Who, figure: f64) {
        match self.figures.iter_mut().find(|(of, _)| *of == who) {
            Some((_, figures)) => figures.push(figure),
            None => self.figures.push((who, vec![figure])),
        }
    }

    fn median(&self, who: Who) -> Option<f64> {
        let figures = &self.figures.iter().find(|(of, _)| *of == who)?.1;
        Some(median(figures.iter().copied()))
    }

    fn best_peer(&self) -> Option<f64> {
        let peers = [Who::Nchan, Who::Nats, Who::Etcd].into_iter().filter_map(|who| self.median(who));
        match self.better {
            Better::Less => peers.min_by(f64::total_cmp),
            Better::More => peers.max_by(f64::total_cmp),
        }
    }

    /// What all figures are compared with: the limit's, or the best peer's where there is no limit.
    fn base(&self) -> Option<f64> {
        self.median(Who::Limit).or_else(|| self.best_peer())
    }

    fn cells(&self) -> Vec<String> {
        let base = self.base();
        let figures = Who::ALL.into_iter().map(|who| match (self.median(who), base) {
            (None, _) => String::from("–"),
            (Some(figure), None) => number(figure),
            (Some(figure), Some(base)) => format!("{} ({:.2} ×)", number(figure), figure / base),
        });
        let beside_best = self.median(Who::Waypost).zip(self.best_peer());
        let last =
            beside_best.map_or_else(|| String::from("–"), |(own, peer)| format!("{:.2} ×", own / peer));
        let what = format!("{}, {}", self.what, self.unit);
        [what].into_iter().chain(figures).chain([last]).collect()
    }
}

fn number(figure: f64) -> String {
    let digits = if figure.abs() >= 1000.0 { 0 } else { 2 };
    format!("{figure:.digits$}")
}

/// All rows.
#[derive(Default)]
pub(super) struct Table {
    rows: Vec<Row>,
}

impl Table {
    pub(super) fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// The table as text.
    pub(super) fn text(&self) -> String {
        let names = Who::ALL.map(|who| who.name().to_owned());
        let head: Vec<String> = [String::from("what")]
            .into_iter()
            .chain(names)
            .chain([String::from("Waypost / best peer")])
            .collect();
        let lines: Vec<Vec<String>> = [head].into_iter().chain(self.rows.iter().map(Row::cells)).collect();
        let columns = lines[0].len();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut out = String::new();
        for line in &lines {
            for (cell, width) in line.iter().zip(&widths) {
                // Writing to a String can't fail.
                let _ = write!(out, "{cell:width$}  ");
            }
            out.truncate(out.trim_end().len());
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_compared_with_the_limit_or_the_best_peer() {
        let mut fanout = Row::new("fan-out", "CPU-s/M", Better::Less);
        for (who, figure) in
            [(Who::Limit, 5.0), (Who::Waypost, 7.5), (Who::Nchan, 6.0), (Who::Nats, 10.0), (Who::Limit, 5.0)]
        {
            fanout.add(who, figure);
        }
        let want = [
            "fan-out, CPU-s/M",
            "5.00 (1.00 ×)",
            "7.50 (1.50 ×)",
            "6.00 (1.20 ×)",
            "10.00 (2.00 ×)",
            "–",
            "1.25 ×",
        ];
        assert_eq!(fanout.cells(), want);
        let mut durable = Row::new("singles", "events/s", Better::More);
        for (who, figure) in [(Who::Waypost, 5_000.0), (Who::Nats, 10_000.0), (Who::Etcd, 2_000.0)] {
            durable.add(who, figure);
        }
        let want =
            ["singles, events/s", "–", "5000 (0.50 ×)", "–", "10000 (1.00 ×)", "2000 (0.20 ×)", "0.50 ×"];
        assert_eq!(durable.cells(), want);
        let mut alone = Row::new("alone", "ms", Better::Less);
        alone.add(Who::Waypost, 1.0);
        assert_eq!(alone.cells(), ["alone, ms", "–", "1.00", "–", "–", "–", "–"]);
        let mut table = Table::default();
        table.push(fanout);
        table.push(durable);
        assert_eq!(table.text().lines().count(), 3);
    }
}
