//! What messages of chats have in common: text that is counted and cut as it is escaped, and JSON that is written.
//!
//! Never knows a chat's own escapes.

use crate::core::event::push_json_string;
use crate::core::text::is_hidden;

/// Stands where a text was cut.
const CUT: char = '…';

/// Escapes `text` with `escape` (which appends one character's escaped form, given what stands before) until `max`
/// UTF-16 units are used; then it ends in `…`. Chats count code points: counted this way a text is never too long.
pub(super) fn escaped(text: &str, max: usize, mut escape: impl FnMut(char, &mut String)) -> String {
    let mut out = String::with_capacity(text.len().min(max) + 8);
    // `marked` is the longest part with room for the mark of a cut behind it.
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

/// How long a text is, in UTF-16 units.
pub(super) fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// Whether anything of `text` can be seen: chats refuse what they take for empty.
pub(super) fn is_visible(text: &str) -> bool {
    text.chars().filter_map(plain).any(|c| !c.is_whitespace() && !is_blank(c))
}

/// A character as people may see it: controls become spaces, and what turns the direction of writing or hides is left
/// out.
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

/// A JSON object in the making.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

impl<'a> Object<'a> {
    /// Begins one.
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    /// Adds a member that is text.
    pub(super) fn text(self, name: &str, value: &str) -> Self {
        self.with(name, |out| push_json_string(value, out))
    }

    /// Adds a member that is JSON already.
    pub(super) fn json(self, name: &str, value: &str) -> Self {
        self.with(name, |out| out.extend_from_slice(value.as_bytes()))
    }

    /// Adds a member that `value` writes.
    pub(super) fn with(mut self, name: &str, value: impl FnOnce(&mut Vec<u8>)) -> Self {
        if !std::mem::take(&mut self.empty) {
            self.out.push(b',');
        }
        push_json_string(name, self.out);
        self.out.push(b':');
        value(self.out);
        self
    }

    /// Adds a list, each item written by `item`; leaves it out when there is none.
    pub(super) fn list<T>(self, name: &str, items: &[T], mut item: impl FnMut(&T, &mut Vec<u8>)) -> Self {
        if items.is_empty() {
            return self;
        }
        self.with(name, |out| {
            for (place, one) in items.iter().enumerate() {
                out.push(if place == 0 { b'[' } else { b',' });
                item(one, out);
            }
            out.push(b']');
        })
    }

    /// Ends it.
    pub(super) fn end(self) {
        self.out.push(b'}');
    }
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
    }

    #[test]
    fn what_is_visible() {
        for visible in ["a", " .", "😀", "\u{200b}-"] {
            assert!(is_visible(visible), "{visible:?}");
        }
        for blank in ["", " \n\t", "\u{200b}\u{feff}", "\u{3000}\u{2800}\u{3164}", "\u{0}", "\u{200d}"] {
            assert!(!is_visible(blank), "{blank:?}");
        }
    }
}
