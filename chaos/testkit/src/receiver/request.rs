//! One request: the events in its body, for any profile, and whether its signatures hold.
//!
//! Wire sources: Standard Webhooks; the receivers in Wanderer's post.

use super::now_ms;
use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use std::io::{BufRead, Read};

/// The size of the longest head, in bytes.
const HEAD_LIMIT: usize = 64 << 10;
/// The size of the longest body, in bytes.
const BODY_LIMIT: usize = 64 << 20;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Request {
    /// When its last byte was read, Unix milliseconds.
    pub at_ms: u64,
    /// When its answer was sent or its connection ended, Unix milliseconds.
    pub done_ms: Option<u64>,
    /// The method, such as `POST`.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query, without the question mark.
    pub query: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The bytes of the body.
    pub body: Vec<u8>,
    /// The events in the body, if its form is known.
    pub events: Vec<Got>,
    /// The status of the answer; 0 if the answer was not sent to its end.
    pub status: u16,
}

/// An event in a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Got {
    /// Its position in the map's stream, if the profile reports it.
    pub seq: Option<u64>,
    /// Its id.
    pub id: String,
    /// The `key` of its payload, empty when it has none.
    pub key: String,
}

impl Got {
    /// When it was published, Unix milliseconds: the first 48 bits of its id.
    pub fn published_ms(&self) -> Option<u64> {
        let digit = |c: u8| b"0123456789ABCDEFGHJKMNPQRSTVWXYZ".iter().position(|d| *d == c);
        let time = self.id.as_bytes().get(..10)?;
        time.iter().try_fold(0, |ms, c| Some(ms << 5 | digit(*c)? as u64))
    }
}

impl Request {
    /// Reads one request; `None` if the connection ended before it.
    pub(super) fn read(input: &mut impl BufRead, mut now: impl FnMut() -> u64) -> Result<Option<Self>> {
        let Some(first) = line(input)? else { return Ok(None) };
        let mut parts = first.split(' ');
        let method = parts.next().unwrap_or_default();
        let target = parts.next().context("no target")?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = Vec::new();
        loop {
            let header = line(input)?.context("the connection ended within the head")?;
            let Some((name, value)) = header.split_once(':') else {
                ensure!(header.is_empty(), "not a header: {header}");
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            ensure!(headers.len() < 200, "too many headers");
        }
        let mut request =
            Self { path: path.to_owned(), query: query.to_owned(), ..Self::of(method, headers) };
        let length: usize = request.header("content-length").context("no content-length")?.parse()?;
        ensure!(length <= BODY_LIMIT, "a body of {length} bytes is too long");
        request.body.resize(length, 0);
        input.read_exact(&mut request.body)?;
        request.at_ms = now();
        request.events = request.find_events();
        Ok(Some(request))
    }

    /// A request that arrived now in another way: its headers as JSON, and its body.
    pub fn carried(headers: &Value, body: &str) -> Self {
        let members = headers.as_object().into_iter().flatten();
        let headers =
            members.map(|(n, v)| (n.to_ascii_lowercase(), v.as_str().unwrap_or_default().to_owned()));
        let mut request = Self { at_ms: now_ms(), body: body.into(), ..Self::of("POST", headers.collect()) };
        request.events = request.find_events();
        request
    }

    fn of(method: &str, headers: Vec<(String, String)>) -> Self {
        Self {
            at_ms: 0,
            done_ms: None,
            method: method.to_owned(),
            path: String::new(),
            query: String::new(),
            headers,
            body: Vec::new(),
            events: Vec::new(),
            status: 0,
        }
    }

    /// The header of that name; `None` when there is none or more than one.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(n, _)| n == name).map(|(_, v)| v.as_str());
        found.next().filter(|_| found.next().is_none())
    }

    /// The header `webhook-id`, empty when there is none.
    pub fn id(&self) -> &str {
        self.header("webhook-id").unwrap_or_default()
    }

    /// Whether it was answered 2xx.
    pub fn is_accepted(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as JSON; null when it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Whether `X-Wanderer-Signature` holds under `secret`, checked as by the receivers in Wanderer's guides.
    pub fn wanderer(&self, secret: &str) -> bool {
        let Some(time) = self.header("x-wanderer-timestamp") else { return false };
        let expected =
            format!("sha256={}", hex(&hmac(secret.as_bytes(), &[time.as_bytes(), b".", &self.body])));
        self.header("x-wanderer-version") == Some("1")
            && self.header("x-wanderer-signature") == Some(&expected)
    }

    /// Whether one of the Standard Webhooks signatures holds under `secret`, and its time is less than a
    /// minute off.
    pub fn standard(&self, secret: &str) -> bool {
        let decoded = secret.strip_prefix("whsec_").and_then(|s| BASE64_STANDARD.decode(s).ok());
        let key = decoded.unwrap_or_else(|| secret.as_bytes().to_vec());
        let time = self.header("webhook-timestamp").unwrap_or_default();
        let head = format!("{}.{time}.", self.id());
        let expected = format!("v1,{}", BASE64_STANDARD.encode(hmac(&key, &[head.as_bytes(), &self.body])));
        let signatures = self.header("webhook-signature").unwrap_or_default();
        let fresh = time.parse::<u64>().is_ok_and(|s| s.abs_diff(self.at_ms / 1000) <= 60);
        fresh && !self.id().is_empty() && signatures.split(' ').any(|s| s == expected)
    }

    fn find_events(&self) -> Vec<Got> {
        let json = self.json();
        let key = |payload: &Value| payload["key"].as_str().unwrap_or_default().to_owned();
        let one = |event: &Value| {
            let id = event["id"].as_str().or(event["event_id"].as_str()).unwrap_or(self.id()).to_owned();
            let key = match (&event["payload"], &event["data"]) {
                (Value::Null, Value::String(text)) => key(&serde_json::from_str(text).unwrap_or_default()),
                (Value::Null, data) => key(data),
                (payload, _) => key(payload),
            };
            Got { seq: event["seq"].as_u64(), id, key }
        };
        match &json["events"] {
            Value::Array(events) => events.iter().map(one).collect(),
            _ if json["type"].is_string() || json["event"].is_string() => vec![one(&json)],
            _ => Vec::new(),
        }
    }
}

fn line(input: &mut impl BufRead) -> Result<Option<String>> {
    let mut line = Vec::new();
    input.by_ref().take(HEAD_LIMIT as u64).read_until(b'\n', &mut line)?;
    match line.strip_suffix(b"\r\n") {
        Some(line) => Ok(Some(String::from_utf8(line.to_vec())?)),
        None if line.is_empty() => Ok(None),
        None => bail!("a line without an end"),
    }
}

/// The HMAC-SHA256 of these parts together.
pub(crate) fn hmac(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().to_vec()
}

/// The bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn request(headers: &str, body: &str, at_ms: u64) -> Request {
        let text =
            format!("POST /x?wait=true HTTP/1.1\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len());
        Request::read(&mut text.as_bytes(), || at_ms).unwrap().unwrap()
    }

    /// The example of the Standard Webhooks specification.
    #[test]
    fn the_signature_of_standard_webhooks_is_checked() {
        let headers = "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek\r\nwebhook-timestamp: 1614265330\r\n\
             webhook-signature: v1,bm9ldHUK v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=\r\n";
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let at = 1_614_265_330_000;
        assert!(request(headers, r#"{"test": 2432232314}"#, at).standard(secret));
        assert!(!request(headers, r#"{"test": 2432232315}"#, at).standard(secret));
        assert!(!request(headers, r#"{"test": 2432232314}"#, at + 3_600_000).standard(secret), "an old one");
        assert!(
            !request(headers, r#"{"test": 2432232314}"#, at)
                .standard("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSv")
        );
    }

    /// The expected value comes from `printf 1700000000.{} | openssl dgst -sha256 -hmac whsec_secret`.
    #[test]
    fn the_signature_of_wanderer_is_checked() {
        let headers = "X-Wanderer-Timestamp: 1700000000\r\nX-Wanderer-Version: 1\r\nX-Wanderer-Signature: \
             sha256=3e08babf353bf36fe24d7738f729ef0fa09b68fded89576d3982e9cd8624aec7\r\n";
        let request = request(headers, "{}", 0);
        assert!(request.wanderer("whsec_secret"));
        assert!(!request.wanderer("whsec_secreT"));
    }

    #[test]
    fn events_of_every_profile_are_found() {
        let of = |body: &str| request("webhook-id: I\r\n", body, 0).events;
        let got = |id: &str, seq| Got { id: id.into(), seq, key: "k".into() };
        let envelope = r#"{"id":"A","seq":3,"type":"t","payload":{"key":"k"}}"#;
        assert_eq!(of(envelope), [got("A", Some(3))]);
        assert_eq!(of(&format!(r#"{{"events":[{envelope},{envelope}]}}"#)).len(), 2);
        assert_eq!(of(r#"{"event":"t","timestamp":"…","data":{"key":"k"}}"#), [got("I", None)]);
        let pusher =
            r#"{"time_ms":1,"events":[{"name":"t","channel":"c","data":"{\"key\":\"k\"}","event_id":"B"}]}"#;
        assert_eq!(of(pusher), [got("B", None)]);
        assert!(of(r#"{"embeds":[]}"#).is_empty());
    }

    #[test]
    fn an_id_contains_its_time() {
        let got = Got { seq: None, id: "01ARYZ6S41TSV4RRFFQ69G5FAV".into(), key: String::new() };
        assert_eq!(got.published_ms(), Some(1_469_918_176_385));
    }
}
