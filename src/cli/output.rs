//! The output of all commands: lines, tables, colours and JSON.
//!
//! All commands follow one rule: they write for people, on a terminal with colours, unless `-o json` asks for
//! JSON. A closed pipe is an error, never a panic.

mod form;
mod table;

pub(super) use form::{Output, for_people, is_wide};
pub(super) use table::{list, table, width};

use std::{
    fmt::{Display, Write as _},
    io::{self, IsTerminal, Write as _},
};

use anstyle::{AnsiColor, Style};
use serde_json::Value;

use crate::core::text::{counted, is_hidden};

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

/// What stands for the empty subject, which is the map's own.
pub(super) const OWN_SUBJECT: &str = "(the map's own)";

/// Writes a line to standard output. On a terminal it is [`safe`].
pub(super) fn line(text: impl Display) -> io::Result<()> {
    screen("", &text)
}

/// Writes a line to standard output, after a sequence that controls the terminal.
pub(super) fn screen(control: &str, text: &impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if out.is_terminal() {
        writeln!(out, "{control}{}", safe(&text.to_string()))
    } else {
        writeln!(out, "{text}")
    }
}

/// Writes a line for people to standard error. On a terminal it is [`safe`]. A closed pipe is ignored.
pub(super) fn note(text: impl Display) {
    let mut out = io::stderr().lock();
    let text = text.to_string();
    let text = if out.is_terminal() { safe(&text) } else { text };
    let _ = writeln!(out, "{text}");
}

/// A text in which nothing controls the terminal but the styles of [`paint`] and the ends of lines, whatever
/// was put into it. Parts that come from a server or an event are made [`printable`] where they are put in;
/// so not even a style of theirs gets here.
fn safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let length = match style_at(rest) {
            Some(length) => {
                safe.push_str(&rest[..length]);
                length
            }
            None => {
                let shown = character == '\n' || is_shown(character);
                safe.push(if shown { character } else { char::REPLACEMENT_CHARACTER });
                character.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    safe
}

/// The length of the style that the text begins with, if it begins with one: `ESC [ digits ; digits m`.
fn style_at(text: &str) -> Option<usize> {
    let code = text.strip_prefix("\u{1b}[")?;
    let end = code.find(|c: char| !c.is_ascii_digit() && c != ';')?;
    code[end..].starts_with('m').then_some(2 + end + 1)
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

/// A number of a JSON object with what it counts, as in `1 event` and `2 events`.
pub(super) fn counted_cell(object: &Value, field: &str, one: &str, several: &str) -> String {
    match object[field].as_u64() {
        Some(number) => counted(number, one, several),
        None => format!("{} {several}", cell(object, field)),
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
    fn cells_are_plain() {
        let object = serde_json::json!({"a": null, "b": ["x", 1], "c": {"d": "e\u{1b}[2J"}});
        assert_eq!(cell(&object, "a"), "-");
        assert_eq!(cell(&object, "b"), "x,1");
        assert_eq!(cell(&object, "c.d"), "e\u{fffd}[2J");
    }

    #[test]
    fn numbers_have_the_word_for_what_they_count() {
        let object = serde_json::json!({"one": 1, "two": 2, "unknown": null});
        let shown = |field| counted_cell(&object, field, "event", "events");
        assert_eq!(["one", "two", "unknown"].map(shown), ["1 event", "2 events", "- events"]);
    }

    #[test]
    fn nothing_but_styles_and_ends_of_lines_controls_the_terminal() {
        let painted = format!("{BAD}bad{BAD:#}\n{STRONG}x{STRONG:#}");
        assert_eq!(safe(&painted), painted);
        for (attack, shown) in [
            ("\u{1b}[2J", "\u{fffd}[2J"),
            ("\u{1b}]0;title\u{7}", "\u{fffd}]0;title\u{fffd}"),
            ("\u{9b}2J", "\u{fffd}2J"),
            ("a\rb\u{8}", "a\u{fffd}b\u{fffd}"),
            ("\u{1b}[1;2", "\u{fffd}[1;2"),
            ("\u{202e}gpj.exe", "\u{fffd}gpj.exe"),
            ("a\u{2028}b", "a\u{fffd}b"),
        ] {
            assert_eq!(safe(attack), shown, "{attack:?}");
        }
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
