//! The errors that the HTTP library answers by itself, before any code of ours runs: requests that are no
//! HTTP. The library answers them without a body. They are found in what it writes, and replaced.

use crate::edge::error::ApiError;
use actix_web::http::StatusCode;
use serde_json::Value;
use std::time::SystemTime;

/// The longest answer without a body that the library writes, in bytes.
const LONGEST: usize = 256;
/// The headers that the library writes by itself.
const OWN: [&str; 3] = ["connection", "content-length", "date"];

/// The headers that are the same in every answer of a server.
#[derive(Clone, Debug)]
pub(super) struct Common {
    /// Whether the port speaks TLS.
    pub(super) secure: bool,
    /// Origins that may read answers. Empty: any.
    pub(super) origins: Vec<String>,
    /// The time for the head of a request: `limits.upgrade_timeout_ms`.
    pub(super) head_ms: u64,
}

/// How long browsers use TLS only for a server that they have reached by TLS: a year.
pub(super) const STRICT_TRANSPORT: &str = "max-age=31536000";

/// Finds an answer of the library's own at the end of `bytes`. Returns where it begins, and its status.
pub(super) fn find(bytes: &[u8]) -> Option<(usize, StatusCode)> {
    if !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let from = bytes.len().saturating_sub(LONGEST);
    let at = from + bytes[from..].windows(7).rposition(|part| part == b"HTTP/1.")?;
    let mut lines = std::str::from_utf8(&bytes[at..]).ok()?.trim_end().split("\r\n");
    let status: StatusCode = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let is_own = |line: &str| line.split_once(':').is_some_and(|(name, _)| OWN.contains(&name));
    let is_error = status.is_client_error() || status.is_server_error();
    (is_error && lines.all(is_own)).then_some((at, status))
}

impl Common {
    /// The whole answer for an error that ends the connection. `origin` is that of the client's page, if it
    /// is known and may read the answer.
    pub(super) fn answer(&self, status: StatusCode, origin: Option<&str>) -> Vec<u8> {
        let mut body = ApiError::of_status(status).body();
        if status == StatusCode::REQUEST_TIMEOUT {
            body["limit"] = self.head_ms.into();
        }
        self.written(status, &body, origin)
    }

    /// As [`Common::answer`], with this body.
    pub(super) fn written(&self, status: StatusCode, body: &Value, origin: Option<&str>) -> Vec<u8> {
        let body = body.to_string();
        let mut head = format!(
            "HTTP/1.1 {} {}\r\ncontent-length: {}\r\nconnection: close\r\ncontent-type: application/json\r\n\
             date: {}\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n",
            status.as_str(),
            status.canonical_reason().unwrap_or_default(),
            body.len(),
            httpdate::fmt_http_date(SystemTime::now()),
        );
        let any = self.origins.is_empty().then_some("*");
        if let Some(origin) = any.or(origin) {
            head += &format!("access-control-allow-origin: {origin}\r\nvary: origin\r\n");
        }
        if self.secure {
            head += &format!("strict-transport-security: {STRICT_TRANSPORT}\r\n");
        }
        (head + "\r\n" + &body).into_bytes()
    }

    /// The origin that part of a request's head names, if it may read answers. For a head that can't be read
    /// as a whole.
    pub(super) fn origin_in(&self, bytes: &[u8]) -> Option<&str> {
        const NAME: &[u8] = b"\norigin:";
        if self.origins.is_empty() {
            return None;
        }
        let at = bytes.windows(NAME.len()).position(|part| part.eq_ignore_ascii_case(NAME))?;
        let line = bytes[at + NAME.len()..].split(|byte| matches!(byte, b'\r' | b'\n')).next()?;
        self.origins.iter().map(String::as_str).find(|origin| origin.as_bytes() == line.trim_ascii())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const BARE: &str = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\
                        date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n";

    fn common(secure: bool, origins: Vec<String>) -> Common {
        Common { secure, origins, head_ms: 5000 }
    }

    #[test]
    fn a_slow_head_is_told_its_limit() {
        let answer = common(false, vec![]).answer(StatusCode::REQUEST_TIMEOUT, None);
        let text = String::from_utf8(answer).unwrap();
        let body: Value = serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap();
        assert_eq!((&body["limit"], &body["setting"]), (&5000.into(), &"limits.upgrade_timeout_ms".into()));
    }

    #[test]
    fn only_answers_of_the_library_are_found() {
        assert_eq!(find(BARE.as_bytes()), Some((0, StatusCode::BAD_REQUEST)));
        let after = format!("5\r\nhello\r\n0\r\n\r\n{BARE}");
        assert_eq!(find(after.as_bytes()).unwrap().0, after.len() - BARE.len());
        for other in [
            "",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 405 Method Not Allowed\r\nallow: GET\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\n{}",
            "data\r\n\r\n",
        ] {
            assert_eq!(find(other.as_bytes()), None, "{other}");
        }
        let own = common(true, vec![]).answer(StatusCode::BAD_REQUEST, None);
        assert_eq!(find(&own), None);
    }

    #[test]
    fn an_origin_is_found_in_half_a_head() {
        let common = common(false, vec!["https://a.example".into()]);
        let found = |head: &str| common.origin_in(head.as_bytes());
        assert_eq!(found("GET / HTTP/1.1\r\nOrigin: https://a.example\r\nX: "), Some("https://a.example"));
        assert_eq!(found("GET / HTTP/1.1\r\norigin:https://a.example\r\n"), Some("https://a.example"));
        assert_eq!(found("GET / HTTP/1.1\r\nOrigin: https://b.example\r\n"), None);
        assert_eq!(found("GET / HTTP/1.1\r\nX-Origin: https://a.example\r\n"), None);
        let text = |origin| String::from_utf8(common.answer(StatusCode::BAD_REQUEST, origin)).unwrap();
        assert!(text(Some("https://a.example")).contains("allow-origin: https://a.example\r\n"));
        assert!(!text(None).contains("allow-origin"));
    }
}
