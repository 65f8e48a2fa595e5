//! Redirects: nobody follows one, and an attempt's error says where it leads.

use http::header::{self, HeaderMap};

use crate::core::consumer::progress::clipped;
use crate::core::webhook::mask::{is_of_chat, masked_url, masked_values};

/// The most bytes of a `Location` that are kept.
const LONGEST_LOCATION: usize = 200;
/// Stands for the scheme and the host of a URL that has none.
const ANY_HOST: &str = "http://receiver/";

/// Where an answer leads: the printable characters of its `Location`, at most [`LONGEST_LOCATION`] bytes.
pub(super) fn location(headers: &HeaderMap) -> Option<String> {
    let text = String::from_utf8_lossy(headers.get(header::LOCATION)?.as_bytes());
    let printable: String = text.chars().filter(|c| is_printable(*c)).take(LONGEST_LOCATION).collect();
    let kept = clipped(&printable, LONGEST_LOCATION);
    (!kept.is_empty()).then(|| kept.to_owned())
}

/// Whether a character shows itself and changes nothing around it. An address has no others unescaped.
fn is_printable(c: char) -> bool {
    c.is_ascii_graphic() || c.is_alphanumeric()
}

/// The error of an attempt that `who` answered with this status; `""` stands for the receiver. A redirect's
/// error says that nobody follows it.
pub(super) fn answered(who: &str, status: u16, location: Option<&str>) -> String {
    let said = match who {
        "" => format!("status {status}"),
        who => format!("{who} answered {status}"),
    };
    match (status, location) {
        (300..=399, Some(location)) => {
            format!("{said}; redirects are not followed, and this one leads to {location}")
        }
        (300..=399, None) => format!("{said}; redirects are not followed"),
        _ => said,
    }
}

/// A location as it may be shown. A receiver may repeat the keys of the webhook's URL in it. `is_chat` says
/// that the whole URL is a secret; the form of the location may say so too.
pub(super) fn shown(location: &str, is_chat: bool) -> String {
    let masked = match (without_login(location), is_chat || is_of_chat(location)) {
        (Some(url), true) => masked_url(&url),
        (Some(url), false) => masked_values(&url),
        // Without a host there is only the path, which is the secret.
        (None, true) => "another path".to_owned(),
        (None, false) => masked_path(location),
    };
    clipped(&masked, LONGEST_LOCATION).to_owned()
}

/// A URL with a host, without the name and the password before the host.
fn without_login(location: &str) -> Option<String> {
    let (scheme, rest) = location.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let host = authority.rsplit('@').next().unwrap_or_default();
    Some(format!("{scheme}://{host}{path}"))
}

/// The same as [`masked_values`] for a URL without a host.
fn masked_path(location: &str) -> String {
    let path = location.trim_start_matches('/');
    let slashes = &location[..location.len() - path.len()];
    // After two slashes comes a host, perhaps with a login before it.
    let host = path.find(['/', '?', '#']).unwrap_or(path.len());
    let login = path[..host].rfind('@').filter(|_| slashes.len() > 1);
    let path = login.map_or(path, |at| &path[at + 1..]);
    let masked = masked_values(&format!("{ANY_HOST}{path}"));
    format!("{slashes}{}", masked.strip_prefix(ANY_HOST).unwrap_or_default())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http::header::HeaderValue;

    fn read(value: &[u8]) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, HeaderValue::from_bytes(value).unwrap());
        location(&headers)
    }

    #[test]
    fn a_location_is_printable_and_short() {
        assert_eq!(location(&HeaderMap::new()), None);
        assert_eq!(read(b""), None);
        assert_eq!(read(b" \t "), None);
        assert_eq!(read(b"https://example.com/a b").as_deref(), Some("https://example.com/ab"));
        assert_eq!(read("/a\u{202e}b\u{200b}".as_bytes()).as_deref(), Some("/ab"));
        assert_eq!(read(b"/a\xff\xfeb").as_deref(), Some("/ab"), "no text");
        assert_eq!(read(&[b'a'; 5000]).map(|kept| kept.len()), Some(LONGEST_LOCATION));
        let kept = read("é".repeat(300).as_bytes()).unwrap();
        assert!(kept.len() <= LONGEST_LOCATION && kept.chars().all(|c| c == 'é'), "{kept}");
    }

    #[test]
    fn the_error_says_that_nobody_follows() {
        assert_eq!(answered("", 500, Some("/x")), "status 500");
        assert_eq!(answered("AWS", 500, None), "AWS answered 500");
        assert_eq!(
            answered("the function", 302, None),
            "the function answered 302; redirects are not followed"
        );
        assert_eq!(
            answered("", 301, Some("https://example.com/")),
            "status 301; redirects are not followed, and this one leads to https://example.com/"
        );
    }

    #[test]
    fn keys_in_a_location_are_masked() {
        let key = "aBcDeFgHiJkLmNoPqRsTuVwXyZ0123456789";
        for (location, is_chat, expected) in [
            ("https://example.com/hook", false, "https://example.com/hook"),
            ("https://example.com/KEY?token=KEY", false, "https://example.com/***?token=***"),
            ("https://me:KEY@example.com/", false, "https://example.com/"),
            ("https://me:KEY@example.com?to=@x", false, "https://example.com?to=***"),
            ("/hook/", false, "/hook/"),
            ("/KEY?token=KEY", false, "/***?token=***"),
            ("//example.com/KEY", false, "//example.com/***"),
            ("//me:pw@example.com/KEY", false, "//example.com/***"),
            ("/@me/hook", false, "/@me/hook"),
            ("elsewhere", false, "elsewhere"),
            ("https://discord.com/api/webhooks/1/KEY", true, "https://discord.com/api/webhooks/1/***"),
            ("/api/webhooks/1/KEY", true, "another path"),
            ("/api/webhooks/1/short", false, "another path"),
            ("https://hooks.slack.com/services/T/B/short", false, "https://hooks.slack.com/services/T/B/***"),
        ] {
            assert_eq!(shown(&location.replace("KEY", key), is_chat), expected, "{location}");
        }
    }
}
