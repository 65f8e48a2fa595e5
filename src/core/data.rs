//! Published data: a text that its subscribers get byte for byte, and the JSON payload that everybody else
//! sees.

use super::json::{normalise, write_string};
use bytestring::ByteString;
use std::borrow::Cow;

/// Levels of nested JSON up to which a text is read as JSON. Deeper text is a string.
const MAX_DEPTH: usize = 64;

/// Returns the payload of a published text, in normal form, and the text itself if the payload does not give
/// it back. Text that is no valid JSON, or that JavaScript would change, becomes a JSON string.
pub fn payload_of(text: &str) -> (Vec<u8>, Option<ByteString>) {
    let payload = normalise(text, MAX_DEPTH).unwrap_or_else(|_| {
        let mut string = String::with_capacity(text.len() + 2);
        write_string(text, &mut string);
        string
    });
    let kept = (text_of(payload.as_bytes()) != text).then(|| text.into());
    (payload.into_bytes(), kept)
}

/// Returns the text of a payload: the content of a JSON string, and any other JSON as it is written.
pub fn text_of(payload: &[u8]) -> Cow<'_, str> {
    let whole = String::from_utf8_lossy(payload);
    if !whole.starts_with('"') {
        return whole;
    }
    match whole {
        Cow::Borrowed(json) => match json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
            Some(content) if !content.contains('\\') => Cow::Borrowed(content),
            _ => serde_json::from_str(json).map_or(Cow::Borrowed(json), Cow::Owned),
        },
        Cow::Owned(_) => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn given_back(text: &str) -> String {
        let (payload, kept) = payload_of(text);
        kept.map_or_else(|| text_of(&payload).into_owned(), |kept| kept.to_string())
    }

    #[test]
    fn a_text_is_kept_only_where_the_payload_does_not_give_it_back() {
        for (text, payload, is_kept) in [
            (r#"{"a":1}"#, r#"{"a":1}"#, false),
            (r#"{ "a": 1.0 }"#, r#"{"a":1}"#, true),
            ("hello \"you\"", r#""hello \"you\"""#, false),
            (r#""hello""#, r#""hello""#, true),
            ("", r#""""#, false),
            (r#""""#, r#""""#, true),
            ("12", "12", false),
            ("012", r#""012""#, false),
            ("9007199254740993", r#""9007199254740993""#, false),
            ("null", "null", false),
            ("é\u{2028}\u{0}", "\"é\u{2028}\\u0000\"", false),
            ("\"", r#""\"""#, false),
        ] {
            let (found, kept) = payload_of(text);
            assert_eq!((&*String::from_utf8_lossy(&found), kept.is_some()), (payload, is_kept), "{text}");
            assert_eq!(given_back(text), text);
        }
    }

    #[test]
    fn deeply_nested_text_is_a_string() {
        let text = "[".repeat(100_000) + &"]".repeat(100_000);
        let (payload, kept) = payload_of(&text);
        assert_eq!((payload.first(), kept), (Some(&b'"'), None));
        assert_eq!(given_back(&text), text);
    }

    proptest! {
        #[test]
        fn every_text_is_given_back(text in any::<String>()) {
            prop_assert_eq!(given_back(&text), text);
        }

        #[test]
        fn texts_that_look_like_json_are_given_back(text in r#"[\[\]{}:," \\u0-9a-eE.+\-ntrl]{0,40}"#) {
            prop_assert_eq!(given_back(&text), text);
        }

        #[test]
        fn a_payload_is_json_in_normal_form(text in r#"[\[\]{}:," \\0-9ae.\-]{0,40}"#) {
            let (payload, _) = payload_of(&text);
            let payload = String::from_utf8(payload).unwrap_or_default();
            prop_assert_eq!(normalise(&payload, MAX_DEPTH), Ok(payload));
        }
    }
}
