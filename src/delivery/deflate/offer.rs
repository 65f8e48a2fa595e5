//! What a client offers in `Sec-WebSocket-Extensions`, by RFC 7692, section 7.1. A client may make several
//! offers; the first that the server understands in every part counts.

use super::{Agreed, Window};

const NAME: &str = "permessage-deflate";

/// What comes of the lines of the header: nothing if no offer can be taken.
pub(in crate::delivery) fn offered<'h>(lines: impl Iterator<Item = &'h str>) -> Option<Agreed> {
    lines.flat_map(|line| line.split(',')).find_map(agreed)
}

/// What comes of one offer.
fn agreed(offer: &str) -> Option<Agreed> {
    let mut parts = offer.split(';').map(str::trim);
    if parts.next() != Some(NAME) {
        return None;
    }
    let mut seen = Vec::new();
    let mut named = None;
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(unquoted(value.trim_start()))),
            None => (part, None),
        };
        if seen.contains(&name) {
            return None;
        }
        seen.push(name);
        match (name, value) {
            // Both are answered, whether they were asked for or not.
            ("server_no_context_takeover" | "client_no_context_takeover", None) => {}
            ("server_max_window_bits", Some(bits)) => named = Some(window(bits)?),
            // The client's window may have any size: the server inflates with the largest.
            ("client_max_window_bits", None) => {}
            ("client_max_window_bits", Some(bits)) => {
                window(bits)?;
            }
            _ => return None,
        }
    }
    Some(Agreed { window: named.unwrap_or(Window::LARGEST), is_named: named.is_some() })
}

/// A value may stand in quotes.
fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

fn window(bits: &str) -> Option<Window> {
    // Zeros before the number are not allowed, nor is a sign.
    let is_plain = bits.bytes().all(|byte| byte.is_ascii_digit()) && !bits.starts_with('0');
    let bits = bits.parse::<u8>().ok().filter(|bits| is_plain && (8..=15).contains(bits))?;
    Some(Window(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

    fn answer(lines: &[&str]) -> Option<String> {
        offered(lines.iter().copied()).map(Agreed::answer)
    }

    #[test]
    fn golden_answers() {
        for (offer, named) in [
            // Chromium, Firefox and the package `ws` of npm.
            ("permessage-deflate; client_max_window_bits", ""),
            ("permessage-deflate", ""),
            ("permessage-deflate; server_no_context_takeover; client_no_context_takeover", ""),
            // The package `websockets` of Python.
            (
                "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
                "; server_max_window_bits=12",
            ),
            ("permessage-deflate;server_max_window_bits = \"8\"", "; server_max_window_bits=8"),
            ("permessage-deflate; client_max_window_bits=8", ""),
            ("x-webkit-deflate-frame, permessage-deflate", ""),
            // The second offer is for servers that can't take the first one.
            ("permessage-deflate; server_max_window_bits=7, permessage-deflate", ""),
        ] {
            assert_eq!(answer(&[offer]), Some(format!("{ANSWER}{named}")), "{offer}");
        }
        assert_eq!(answer(&["x-other; a=b", "permessage-deflate"]), Some(ANSWER.to_owned()));
    }

    #[test]
    fn offers_that_are_not_understood_are_declined() {
        for offer in [
            "",
            "deflate",
            "permessage-deflate; x",
            "permessage-deflate; ",
            "permessage-deflate; server_no_context_takeover=1",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=08",
            "permessage-deflate; server_max_window_bits=+9",
            "permessage-deflate; server_max_window_bits=",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; client_max_window_bits; client_max_window_bits",
        ] {
            assert_eq!(answer(&[offer]), None, "{offer}");
        }
        assert_eq!(answer(&[]), None);
    }
}
