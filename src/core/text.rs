//! Texts: patterns that they match, characters that people do not see, and numbers with what they count.

use std::fmt::Display;

/// A number with what it counts, for people: `1 event`, `2 events`.
pub fn counted<N>(number: N, one: &str, several: &str) -> String
where
    N: Copy + Display + PartialEq + From<u8>,
{
    format!("{number} {}", if number == N::from(1_u8) { one } else { several })
}

/// Returns whether a character is invisible or changes the direction of writing, so that a reader does not
/// see what the text contains.
pub fn is_hidden(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// Returns whether `text` matches `pattern`, in which `*` matches any characters, or none. The parts between
/// the stars are searched from left to right, each at its first occurrence. The search never goes back, so
/// the work is linear.
pub fn fits(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_no_several() {
        assert_eq!(counted(0_usize, "entry", "entries"), "0 entries");
        assert_eq!(counted(1_u32, "entry", "entries"), "1 entry");
        assert_eq!(counted(21_u64, "entry", "entries"), "21 entries");
    }
}
