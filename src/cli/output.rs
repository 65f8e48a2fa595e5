//! The output of all commands: lines, tables, colours and JSON.
//!
//! All commands follow one rule: on a terminal they write for people, otherwise they write JSON. A closed
//! pipe is an error, never a panic.

use std::{
    fmt::{Display, Write as _},
    io::{self, IsTerminal, Write as _},
};

use anstyle::{AnsiColor, Style};
use console::Term;
use serde_json::Value;

use crate::core::text::is_hidden;

/// Style of a bad state.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
/// Style of a good state.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// Style of a text that stands out.
pub(super) const STRONG: Style = Style::new().bold();
/// Style of a text that is less important.
pub(super) const FAINT: Style = Style::new().dimmed();
/// Style of a name.
pub(super) const NAME: Style = AnsiColor::Cyan.on_default();

/// Writes a line to standard output.
pub(super) fn line(text: impl Display) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

/// Writes a line for people to standard error. A closed pipe is ignored.
pub(super) fn note(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Whether to write for people: standard output is a terminal, and JSON was not asked for.
pub(super) fn for_people(json: bool) -> bool {
    !json && io::stdout().is_terminal()
}

/// Columns of the terminal that standard output is; 80 if it is not a terminal.
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

/// Writes JSON for programs: a list as one line for each element.
pub(super) fn json(data: &Value) -> io::Result<()> {
    match data {
        Value::Array(items) => items.iter().try_for_each(|item| json_line(&item.to_string())),
        other => json_line(&other.to_string()),
    }
}

/// Writes a line of JSON. On a terminal, characters that control it or are invisible are written as escapes.
pub(super) fn json_line(text: &str) -> io::Result<()> {
    if io::stdout().is_terminal() { line(escaped(text)) } else { line(text) }
}

/// Only strings can have such characters, so each may be written as its JSON escape.
fn escaped(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if is_shown(character) {
            text.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}

fn is_shown(character: char) -> bool {
    !character.is_control() && !is_hidden(character)
}

/// A table of aligned columns under headings.
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

/// Text from elsewhere, without characters that control a terminal, are invisible or change the direction of
/// writing.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|c| if is_shown(c) { c } else { char::REPLACEMENT_CHARACTER }).collect()
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

    #[test]
    fn control_and_invisible_characters_are_not_printed() {
        let text = "a\u{9b}2J\u{202e}b\u{2066}c\u{200b}d\u{e0041}é😀";
        assert_eq!(printable(text), "a\u{fffd}2J\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}é😀");
        let json = serde_json::json!({"type": text, "line": "x\ny"});
        let shown = escaped(&json.to_string());
        assert!(shown.chars().all(is_shown), "{shown}");
        assert_eq!(serde_json::from_str::<Value>(&shown).ok(), Some(json), "{shown}");
    }
}
