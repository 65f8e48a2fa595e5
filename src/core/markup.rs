//! Text for chats. It is escaped and cut, so that no text of a payload is read as markup or is too long.

use super::text::is_hidden;

/// Marks the end of a text that was cut.
const CUT: char = '…';

/// Escapes `text` and cuts the result to `max` UTF-16 units; a cut text ends in `…`. `escape` appends the
/// escaped form of one character to the text before it. Chats count code points, of which a text never has
/// more than UTF-16 units.
pub(crate) fn escaped(text: &str, max: usize, mut escape: impl FnMut(char, &mut String)) -> String {
    let mut out = String::with_capacity(text.len().min(max) + 8);
    // `marked` is the length of the longest part that leaves room for `CUT`.
    let (mut used, mut marked) = (0, 0);
    for character in text.chars().filter_map(plain) {
        let before = out.len();
        escape(character, &mut out);
        used += units(&out[before..]);
        if used > max {
            out.truncate(marked);
            out.extend((max > 0).then_some(CUT));
            return out;
        }
        if used < max {
            marked = out.len();
        }
    }
    out
}

/// `text` cut to at most `max` UTF-16 units, with `…` at the end; `None` if it need not be cut.
pub(crate) fn cut(text: &str, max: usize) -> Option<String> {
    let (mut used, mut marked) = (0, 0);
    for (at, character) in text.char_indices() {
        if used < max {
            marked = at;
        }
        used += character.len_utf16();
        if used > max {
            let mark = if max > 0 { CUT.encode_utf8(&mut [0; 4]).to_owned() } else { String::new() };
            return Some(text[..marked].to_owned() + &mark);
        }
    }
    None
}

/// The length of a text, in UTF-16 units.
pub(crate) fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// Whether `text` has a visible character. Chats refuse a text that has none as empty.
pub(crate) fn is_visible(text: &str) -> bool {
    text.chars().filter_map(plain).any(|c| !c.is_whitespace() && !is_blank(c))
}

/// Escapes a character that has a meaning in Discord's markdown, begins a mention or begins a link.
pub(crate) fn escape_discord(character: char, out: &mut String) {
    let starts_line = out.is_empty() || out.ends_with('\n');
    match character {
        '\\' | '*' | '_' | '~' | '`' | '|' | '[' | ']' | '<' => out.push('\\'),
        '#' | '>' | '-' | '+' if starts_line => out.push('\\'),
        _ => {}
    }
    out.push(character);
    if character == '@' {
        // The inserted space is invisible, and `@everyone` is no longer one word.
        out.push('\u{200b}');
    }
}

/// Escapes a character of Slack's mrkdwn as an entity, if there is one. Slack has no escape for `*` and `_`.
pub(crate) fn escape_slack(character: char, out: &mut String) {
    match character {
        '&' => out.push_str("&amp;"),
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        other => out.push(other),
    }
}

/// A character as people may see it. Control characters become spaces. Characters that are invisible or
/// change the direction of writing are left out.
fn plain(character: char) -> Option<char> {
    match character {
        '\n' => Some('\n'),
        c if c.is_control() => Some(' '),
        c => Some(c).filter(|c| !is_hidden(*c)),
    }
}

/// Characters without a shape of their own.
fn is_blank(character: char) -> bool {
    matches!(character,
        '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200c}' | '\u{200d}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An escape that makes two units of each star.
    fn star(c: char, out: &mut String) {
        if c == '*' {
            out.push('\\');
        }
        out.push(c);
    }

    #[test]
    fn texts_are_cut_between_characters() {
        for (text, max, expected) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("ab*", 4, "ab\\*"),
            ("ab*", 3, "ab…"),
            ("a*b", 3, "a…"),
            ("a😀", 3, "a😀"),
            ("a😀b", 3, "a…"),
            ("😀", 1, "…"),
            ("a", 0, ""),
            ("", 0, ""),
            ("a\u{202e}b\tc\u{200b}", 9, "ab c"),
        ] {
            let cut = escaped(text, max, star);
            assert_eq!(cut, expected, "{text} to {max}");
            assert!(units(&cut) <= max);
        }
        for (text, max, expected) in [
            ("abc", 3, None),
            ("abcd", 3, Some("ab…")),
            ("a😀b", 3, Some("a…")),
            ("😀", 1, Some("…")),
            ("a", 0, Some("")),
        ] {
            assert_eq!(cut(text, max).as_deref(), expected, "{text} to {max}");
        }
    }

    #[test]
    fn visible_and_blank_texts() {
        for visible in ["a", " .", "😀", "\u{200b}-"] {
            assert!(is_visible(visible), "{visible:?}");
        }
        for blank in ["", " \n\t", "\u{200b}\u{feff}", "\u{3000}\u{2800}\u{3164}", "\u{0}", "\u{200d}"] {
            assert!(!is_visible(blank), "{blank:?}");
        }
    }
}
