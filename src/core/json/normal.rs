//! Recognises JSON that is in normal form already, as most payloads are: it need not be parsed.

use super::array_index;

/// Most keys of an object that is recognised.
const KEYS: usize = 16;
/// Deepest nesting that is recognised.
const DEPTH: usize = 32;
/// Most digits of a number that is recognised. JavaScript represents each such integer exactly.
const DIGITS: usize = 15;

/// Returns whether `text` is certainly in normal form. It says no of some texts that are: those with escapes,
/// with other numbers than small integers, with many keys in one object or with keys that are integers.
pub(super) fn is_normal(text: &str, max_depth: usize) -> bool {
    let mut scan = Scan { text, at: 0 };
    scan.value(max_depth.min(DEPTH)) && scan.at == text.len()
}

/// A text that is read from its beginning. Each method returns whether what it is named after is next, in
/// normal form, and goes behind it.
struct Scan<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Scan<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn byte(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// `depth` is how deep the value may be nested.
    fn value(&mut self, depth: usize) -> bool {
        match self.peek() {
            Some(b'"') => self.string().is_some(),
            Some(b'{') => depth > 0 && self.object(depth - 1),
            Some(b'[') => depth > 0 && self.list(depth - 1),
            Some(b'-' | b'0'..=b'9') => self.integer(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => false,
        }
    }

    fn word(&mut self, word: &str) -> bool {
        let is_next = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        self.at += if is_next { word.len() } else { 0 };
        is_next
    }

    /// What follows an integer is checked by whoever reads on: a point or an exponent is neither a separator
    /// nor the end.
    fn integer(&mut self) -> bool {
        let is_negative = self.byte(b'-');
        if self.byte(b'0') {
            return !is_negative && !matches!(self.peek(), Some(b'0'..=b'9'));
        }
        let digits = self.text.as_bytes()[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        (1..=DIGITS).contains(&digits)
    }

    /// Returns the content of a string without escapes.
    fn string(&mut self) -> Option<&'t str> {
        if !self.byte(b'"') {
            return None;
        }
        let rest = &self.text.as_bytes()[self.at..];
        let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20))?;
        let content = self.text.get(self.at..self.at + end)?;
        self.at += end;
        self.byte(b'"').then_some(content)
    }

    fn list(&mut self, depth: usize) -> bool {
        if !self.byte(b'[') {
            return false;
        }
        if self.byte(b']') {
            return true;
        }
        loop {
            if !self.value(depth) {
                return false;
            }
            if !self.byte(b',') {
                return self.byte(b']');
            }
        }
    }

    fn object(&mut self, depth: usize) -> bool {
        if !self.byte(b'{') {
            return false;
        }
        if self.byte(b'}') {
            return true;
        }
        let mut keys = [""; KEYS];
        let mut count = 0;
        while count < KEYS {
            let Some(key) = self.string() else { return false };
            if array_index(key).is_some() || keys[..count].contains(&key) {
                return false;
            }
            keys[count] = key;
            count += 1;
            if !self.byte(b':') || !self.value(depth) {
                return false;
            }
            if !self.byte(b',') {
                return self.byte(b'}');
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::parsed;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn usual_payloads_are_recognised() {
        let many = |count: usize| {
            let keys: Vec<String> = (0..count).map(|n| format!(r#""k{n}":{n}"#)).collect();
            format!("{{{}}}", keys.join(","))
        };
        for text in [
            "{}",
            "[]",
            "0",
            "-7",
            "999999999999999",
            "null",
            r#""""#,
            r#"{"text":"é 😀","n":-12,"list":[1,true,false,null,[],{}],"":{"a":{"a":0}}}"#,
            &many(KEYS),
            "[[[]]]",
            "\"é\u{7f}\u{2028}\"",
        ] {
            assert!(is_normal(text, 3), "{text}");
        }
        for text in [
            "",
            " 1",
            "1 ",
            "-0",
            "01",
            "-",
            "1.0",
            "1.5",
            "1e3",
            "9999999999999999",
            "tru",
            "nullx",
            "\"",
            "{",
            "[1,]",
            "[,]",
            "[1 ,2]",
            "{\"a\":1,}",
            "{\"a\":1 }",
            "{\"a\"}",
            "{1:1}",
            "{\"1\":1}",
            "[[[[]]]]",
            "{\"a\":1,\"a\":2}",
            "\"\\n\"",
            "\"\n\"",
            "\"\\u00e9\"",
            "{}{}",
            "[1]]",
            &many(KEYS + 1),
        ] {
            assert!(!is_normal(text, 3), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_recognised_is_its_own_normal_form(text in r#"[\[\]{}:," \\0-9a-beflnrstu.\-]{0,24}"#) {
            if is_normal(&text, 4) {
                prop_assert_eq!(parsed(&text, 4), Ok(text));
            }
        }

        #[test]
        fn pieces_of_json_are_recognised_only_in_normal_form(
            pieces in prop::collection::vec(
                prop::sample::select(vec![
                    "{", "}", "[", "]", ",", ":", "\"a\"", "\"b\"", "\"1\"", "\"\"", "0", "-1", "-0", "10",
                    "01", "1.5", "null", "true", "\"\u{e9}\"", "\"\\n\"",
                ]),
                0..12,
            ),
        ) {
            let text = pieces.concat();
            if is_normal(&text, 4) {
                prop_assert_eq!(parsed(&text, 4), Ok(text));
            }
        }
    }
}
