//! What people and programs read: lines, tables, colours.
//!
//! One rule for all commands: on a terminal for people, else JSON. Never panics on a closed pipe.

use std::{
    fmt::{Display, Write as _},
    io::{self, IsTerminal, Write as _},
};

use anstyle::{AnsiColor, Style};
use console::Term;
use serde_json::Value;

/// Something is wrong.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
/// Something is as it should be.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// What stands out.
pub(super) const STRONG: Style = Style::new().bold();
/// What steps back.
pub(super) const FAINT: Style = Style::new().dimmed();
/// A name.
pub(super) const NAME: Style = AnsiColor::Cyan.on_default();

/// One line on standard output.
pub(super) fn line(text: impl Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// One line on standard error, for people; nobody reading is no failure.
pub(super) fn note(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Whether standard output is to be read by people.
pub(super) fn for_people(json: bool) -> bool {
    !json && io::stdout().is_terminal()
}

/// Columns of the terminal that standard output is; 80 where it is none.
pub(super) fn width() -> usize {
    Term::stdout().size().1.into()
}

/// `text` in a style, if standard output is a terminal that wants colours.
pub(super) fn paint(style: Style, text: impl Display) -> String {
    styled(style, text, io::stdout().is_terminal())
}

/// As [`paint`], for standard error.
pub(super) fn paint_err(style: Style, text: impl Display) -> String {
    styled(style, text, io::stderr().is_terminal())
}

fn styled(style: Style, text: impl Display, terminal: bool) -> String {
    // https://no-color.org
    if terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) {
        format!("{style}{text}{style:#}")
    } else {
        text.to_string()
    }
}

/// JSON as programs like it: a list gives an object a line.
pub(super) fn json(data: &Value) -> io::Result<()> {
    match data {
        Value::Array(items) => items.iter().try_for_each(line),
        other => line(other),
    }
}

/// Columns under headings.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(headings.get(column).map(|h| h.len())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let mut text = String::new();
    let heading: Vec<String> = headings.iter().map(|h| (*h).to_owned()).collect();
    for row in std::iter::once(&heading).chain(rows) {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    text.truncate(text.trim_end().len());
    text
}

/// A field of a JSON object as a cell: null as a dash, a list with commas.
pub(super) fn cell(object: &Value, field: &str) -> String {
    match object.pointer(&format!("/{}", field.replace('.', "/"))) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => printable(text),
        Some(Value::Array(items)) => {
            let texts = items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), printable));
            texts.collect::<Vec<_>>().join(",")
        }
        Some(other) => other.to_string(),
    }
}

/// Text from elsewhere, without characters that steer a terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_align_and_cells_are_plain() {
        let rows = vec![vec!["1".to_owned(), "ok".to_owned()], vec!["22".to_owned(), "fine".to_owned()]];
        assert_eq!(table(&["ID", "STATE"], &rows), "ID  STATE\n1   ok\n22  fine");
        let object = serde_json::json!({"a": null, "b": ["x", 1], "c": {"d": "e\u{1b}[2J"}});
        assert_eq!(cell(&object, "a"), "-");
        assert_eq!(cell(&object, "b"), "x,1");
        assert_eq!(cell(&object, "c.d"), "e\u{fffd}[2J");
    }
}
