//! Origins of pages that may show a portal link in a frame.
//!
//! An origin goes into a header, so its form is strict: nothing but a scheme, a host name and a port.

use serde::{Deserialize, Serialize};

/// Origins of one link, at most.
pub const MAX_ORIGINS: usize = 10;
/// What an origin looks like, for messages.
pub const FORM: &str =
    "https://host or https://host:port in small letters, or http://localhost for development";
/// Longest name of a host, and longest part of it (bytes).
const MAX_HOST: usize = 253;
const MAX_LABEL: usize = 63;

/// The origin of a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin(Box<str>);

impl Origin {
    /// Returns `None` unless the text is an origin of the form [`FORM`].
    pub fn new(text: &str) -> Option<Self> {
        let (rest, is_plain) = match text.strip_prefix("https://") {
            Some(rest) => (rest, false),
            None => (text.strip_prefix("http://")?, true),
        };
        let (host, port) = match rest.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        };
        let is_good = is_host(host) && port.is_none_or(is_port) && (!is_plain || host == "localhost");
        is_good.then(|| Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_host(host: &str) -> bool {
    let is_inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    let is_label = |label: &str| {
        let bytes = label.as_bytes();
        (1..=MAX_LABEL).contains(&bytes.len())
            && bytes.iter().all(is_inner)
            && bytes.first() != Some(&b'-')
            && bytes.last() != Some(&b'-')
    };
    host.len() <= MAX_HOST && host.split('.').all(is_label)
}

fn is_port(port: &str) -> bool {
    (1..=5).contains(&port.len())
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok_and(|port| port > 0)
}
