//! Tables: aligned columns under headings. On a terminal they are as wide as it is; elsewhere as wide as their
//! cells, of which nothing is cut.

use std::io::{self, IsTerminal};

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use console::Term;
use serde_json::Value;

use super::{cell, for_people, is_wide, json, line};

/// Blanks between two columns.
const GAP: u16 = 2;
/// A column with cells of at most so many characters is never broken into lines: ids and names stay whole.
const WHOLE: u16 = 40;
/// The least width of any other column.
const NARROWEST: u16 = 20;

/// A column of a list: its heading, and the path of the field that it shows.
pub(in crate::cli) type Column = (&'static str, &'static str);

/// Prints a list: as a table with the columns of `always`, and with `-o wide` those of `more` behind them.
pub(in crate::cli) fn list(
    items: &Value,
    is_json: bool,
    always: &[Column],
    more: &[Column],
) -> io::Result<()> {
    if !for_people(is_json) {
        return json(items);
    }
    let more = if is_wide() { more } else { &[] };
    let columns: Vec<&Column> = always.iter().chain(more).collect();
    let headings: Vec<&str> = columns.iter().map(|(heading, _)| *heading).collect();
    let row = |item: &Value| -> Vec<String> { columns.iter().map(|(_, field)| cell(item, field)).collect() };
    let rows: Vec<Vec<String>> = items.as_array().into_iter().flatten().map(row).collect();
    line(table(&headings, &rows))
}

/// A table of aligned columns under headings, which fits the terminal if standard output is one.
pub(in crate::cli) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    fitted(headings, rows, width())
}

/// Columns of the terminal that standard output is, or what `COLUMNS` says of it; `None` if it is no terminal.
pub(in crate::cli) fn width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let set: Option<usize> = std::env::var("COLUMNS").ok().and_then(|columns| columns.trim().parse().ok());
    Some(set.filter(|columns| *columns > 0).unwrap_or_else(|| Term::stdout().size().1.into()))
}

/// A table that is at most `columns` wide, if its short columns are not wider by themselves.
fn fitted(headings: &[&str], rows: &[Vec<String>], columns: Option<usize>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(headings.to_vec());
    table.add_rows(rows.iter().map(Vec::as_slice));
    if let Some(columns) = columns {
        table.set_width(u16::try_from(columns).unwrap_or(u16::MAX));
        let widths = table.column_max_content_widths();
        for (column, width) in table.column_iter_mut().zip(widths) {
            column.set_constraint(if width <= WHOLE {
                ColumnConstraint::ContentWidth
            } else {
                ColumnConstraint::LowerBoundary(Width::Fixed(NARROWEST))
            });
        }
    }
    let last = headings.len().saturating_sub(1);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index == last { 0 } else { GAP }));
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[[&str; 2]]) -> Vec<Vec<String>> {
        rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect()
    }

    #[test]
    fn columns_align() {
        let rows = rows(&[["1", "ok"], ["22", "fine"]]);
        assert_eq!(fitted(&["ID", "STATE"], &rows, None), "ID  STATE\n1   ok\n22  fine");
        assert_eq!(fitted(&["ID", "STATE"], &rows, Some(80)), "ID  STATE\n1   ok\n22  fine");
        assert_eq!(fitted(&["ID", "STATE"], &[], None), "ID  STATE");
    }

    #[test]
    fn a_table_fits_its_terminal_and_is_whole_without_one() {
        let id = "0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
        let long = "word ".repeat(40);
        let rows = rows(&[[id, long.trim_end()]]);
        let whole = fitted(&["ID", "WHY"], &rows, None);
        assert_eq!(whole.lines().count(), 2, "{whole}");
        assert!(whole.contains(long.trim_end()), "{whole}");
        for columns in [80, 120] {
            let table = fitted(&["ID", "WHY"], &rows, Some(columns));
            assert!(table.lines().all(|line| line.chars().count() <= columns), "{columns}: {table}");
            assert!(table.contains(id), "an id stays whole: {table}");
            assert_eq!(table.matches("word").count(), 40, "nothing is cut: {table}");
        }
    }
}
