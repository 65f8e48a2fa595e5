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
    let mut used = 0;
    let mut marked = 0;
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
    let mut used = 0;
    let mut marked = 0;
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

/// Escapes for Discord: characters that have a meaning in its markdown, begin a mention or begin a masked link.
/// Links in the text stay whole: Discord takes a link as it is, so an escape would become a part of it.
///
/// The returned function takes the characters of one text, in order.
pub(crate) fn escape_discord() -> impl FnMut(char, &mut String) {
    let mut in_link = false;
    let mut is_line_blank = true;
    move |character, out| {
        // Discord looks for quotes, headings and lists behind blanks too.
        let starts_line = is_line_blank;
        is_line_blank = character == '\n' || is_line_blank && character.is_whitespace();
        in_link = if in_link { is_of_link(character) } else { is_of_link(character) && begins_link(out) };
        if in_link {
            return out.push(character);
        }
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
}

/// Whether the text so far ends with the scheme of a link, at the beginning of a word.
fn begins_link(text: &str) -> bool {
    let before = text.strip_suffix("https://").or_else(|| text.strip_suffix("http://"));
    before.is_some_and(|before| !before.ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

/// Characters that a link may have (RFC 3986), but for brackets, which could end the text of a masked link.
fn is_of_link(character: char) -> bool {
    character.is_ascii_alphanumeric() || "-._~:/?#@!$&'()*+,;=%".contains(character)
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

    fn discord(text: &str) -> String {
        escaped(text, 1000, escape_discord())
    }

    #[test]
    fn links_stay_whole_in_discord() {
        for link in [
            "https://example.com/a_b_c",
            "http://example.com/*a*/~b~?x=_y_&z=1#top_",
            "https://en.wikipedia.org/wiki/Wormhole_(disambiguation)",
            "https://medium.com/@some_user/-x",
            "https://example.com/a%5Fb",
        ] {
            assert_eq!(discord(link), link);
            assert_eq!(
                discord(&format!("see _this_: {link} *and* {link}")),
                format!("see \\_this\\_: {link} \\*and\\* {link}")
            );
            assert_eq!(discord(&format!("({link}\n> x")), format!("({link}\n\\> x"));
        }
    }

    #[test]
    fn what_only_looks_like_a_link_is_escaped_in_discord() {
        for (text, expected) in [
            ("xhttps://a_b", "xhttps://a\\_b"),
            ("_https://a_b", "\\_https://a\\_b"),
            ("https:/a_b", "https:/a\\_b"),
            ("https://a](https://b_c) _d_", "https://a\\](https://b_c) \\_d\\_"),
            ("[x](https://a_b)", "\\[x\\](https://a_b)"),
            ("<https://a|b_c>", "\\<https://a\\|b\\_c>"),
            ("https://a\u{e4}_b", "https://a\u{e4}\\_b"),
            ("https://", "https://"),
            ("https://_a", "https://_a"),
        ] {
            assert_eq!(discord(text), expected, "{text}");
        }
    }

    #[test]
    fn quotes_and_lists_are_escaped_behind_blanks_in_discord() {
        for mark in ["> q", "# h", "- l", "+ l", ">>> q"] {
            for blanks in ["", " ", "   ", "\u{3000}", "a\n", "a\n  "] {
                assert_eq!(discord(&format!("{blanks}{mark}")), format!("{blanks}\\{mark}"), "{blanks:?}");
            }
            assert_eq!(discord(&format!("a {mark}")), format!("a {mark}"));
        }
    }
}
