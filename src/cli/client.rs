//! The HTTP client of all commands that speak to a node.
//!
//! Owns addresses, token and what went wrong, in words. Never decides to repeat a request that a node may have taken:
//! that is for callers who send an idempotency key.

use std::{cell::Cell, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    Method,
    header::{self, HeaderName, HeaderValue},
};
use serde_json::Value;
use tokio_rustls::rustls::ClientConfig;

use super::http1::{Answer, Http, HttpError};
use crate::tls::{self, BadTls};

/// Longest wait for an answer; the server itself answers within its publish time-out.
const ANSWER: Duration = Duration::from_secs(30);
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Largest answer that is read, in bytes.
const LARGEST_ANSWER: usize = 512 * 1024 * 1024;

/// Where to connect, and as whom.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Connection {
    /// Address of a node; several with commas, tried in turn
    #[arg(long, env = "WAYPOST_URL", default_value = "http://127.0.0.1:4000")]
    #[arg(value_delimiter = ',', value_parser = base_url)]
    url: Vec<String>,
    /// Token [default: WAYPOST_ADMIN_TOKEN]
    #[arg(long, env = "WAYPOST_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Certificates (PEM) to trust for https, beside those of the system
    #[arg(long, env = "WAYPOST_CA", value_name = "FILE", value_parser = trust)]
    ca: Option<Trust>,
}

/// Whom to trust, read from a file.
#[derive(Debug, Clone)]
struct Trust(Arc<ClientConfig>);

fn trust(file: &str) -> Result<Trust, BadTls> {
    Ok(Trust(Arc::new(tls::trusting(Some(Path::new(file)))?)))
}

/// What went wrong, as a person would say it.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// No connection, or it broke.
    #[error(
        "cannot reach {url}: {reason}; is waypost running there? (`waypost dev` or `waypost serve` starts it, --url names another)"
    )]
    Unreachable {
        /// Which node.
        url: String,
        /// Why.
        reason: String,
        /// Nothing of the request was sent.
        unsent: bool,
    },
    /// The node answered with an error.
    #[error("{message} [{status} {code}]{}", hint_line(.hint.as_deref()))]
    Refused {
        /// HTTP status.
        status: u16,
        /// Stable error code.
        code: String,
        /// What happened.
        message: String,
        /// What to do.
        hint: Option<String>,
        /// Which event of a batch.
        index: Option<usize>,
        /// How many events of a stream were stored before it.
        stored: Option<usize>,
        /// How long to wait, in seconds.
        retry_after: Option<u64>,
    },
    /// Something answers there, but not as Waypost does.
    #[error("{url} answered something that is not from waypost: {what}")]
    Foreign {
        /// Which node.
        url: String,
        /// What was odd.
        what: String,
    },
}

fn hint_line(hint: Option<&str>) -> String {
    hint.map_or_else(String::new, |hint| format!("\nhint: {hint}"))
}

impl ClientError {
    /// Whether it may go better a little later or at another node.
    pub(super) fn passes(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => matches!(status, 429 | 502 | 503 | 504),
            Self::Foreign { .. } => false,
        }
    }

    /// How long the node asked to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => retry_after.map(Duration::from_secs),
            _ => None,
        }
    }

    fn unsent(&self) -> bool {
        matches!(self, Self::Unreachable { unsent: true, .. })
    }
}

/// A request's body with its type.
#[derive(Debug, Clone)]
pub(super) struct Body {
    /// `Content-Type`.
    pub(super) mime: &'static str,
    /// The bytes.
    pub(super) bytes: Bytes,
    /// `Idempotency-Key`.
    pub(super) key: Option<String>,
}

impl From<&Value> for Body {
    fn from(value: &Value) -> Self {
        Self { mime: "application/json", bytes: value.to_string().into(), key: None }
    }
}

/// Speaks to one of several nodes.
pub(super) struct Client {
    http: Http,
    urls: Vec<String>,
    at: Cell<usize>,
    token: Option<String>,
}

impl Client {
    /// A client; connects when it is used.
    pub(super) fn new(connection: Connection) -> Self {
        let admin = || std::env::var("WAYPOST_ADMIN_TOKEN").ok();
        let token = connection.token.or_else(admin).filter(|token| !token.is_empty());
        // Reading the system's authorities takes a moment that plain addresses need not wait for.
        let encrypted = connection.url.iter().any(|url| url.starts_with("https://"));
        let trusted = || tls::trusting(None).ok().map(Arc::new);
        let tls = encrypted.then(|| connection.ca.map(|Trust(config)| config).or_else(trusted)).flatten();
        let http = Http::new(tls);
        Self { http, urls: connection.url, at: Cell::new(0), token }
    }

    /// A client for one node with one token.
    pub(super) fn at(url: String, token: String) -> Self {
        Self::new(Connection { url: vec![url], token: Some(token), ca: None })
    }

    /// The node in use.
    pub(super) fn url(&self) -> &str {
        self.urls.get(self.at.get()).map_or("", String::as_str)
    }

    /// How many nodes are known.
    pub(super) fn nodes(&self) -> usize {
        self.urls.len()
    }

    /// Goes on to the next node.
    pub(super) fn next_node(&self) {
        self.at.set((self.at.get() + 1) % self.urls.len().max(1));
    }

    /// One request and the `data` of its answer. Goes on to the next node only where the request cannot have been
    /// taken, or is a mere question.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ClientError> {
        let mut tried = 1;
        loop {
            let result = self.answer(method.clone(), path, body.map(Body::from)).await;
            match result {
                Err(error)
                    if tried < self.nodes()
                        && (error.unsent() || method == Method::GET && error.passes()) =>
                {
                    tried += 1;
                    self.next_node();
                }
                result => return self.data(&result?),
            }
        }
    }

    /// As [`Client::call`], at the node in use only.
    pub(super) async fn call_here(
        &self,
        method: Method,
        path: &str,
        body: Body,
    ) -> Result<Value, ClientError> {
        let bytes = self.answer(method, path, Some(body)).await?;
        self.data(&bytes)
    }

    async fn answer(&self, method: Method, path: &str, body: Option<Body>) -> Result<Bytes, ClientError> {
        let answer = self.send(method, path, body).await?;
        answer.whole(LARGEST_ANSWER, ANSWER).await.map_err(|error| self.unreachable(error.to_string(), false))
    }

    fn data(&self, answer: &[u8]) -> Result<Value, ClientError> {
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        let mut answer: Value =
            serde_json::from_slice(answer).map_err(|error| self.foreign(error.to_string()))?;
        Ok(answer.get_mut("data").map(Value::take).unwrap_or(answer))
    }

    /// Sends a request and gives the answer's head, if it is a success.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Body>,
    ) -> Result<Answer, ClientError> {
        let mut headers = Vec::new();
        if let Some(token) = &self.token {
            headers.push((header::AUTHORIZATION, self.header(&format!("Bearer {token}"))?));
        }
        let mut bytes = Bytes::new();
        if let Some(body) = body {
            headers.push((header::CONTENT_TYPE, HeaderValue::from_static(body.mime)));
            if let Some(key) = body.key {
                headers.push((IDEMPOTENCY_KEY, self.header(&key)?));
            }
            bytes = body.bytes;
        }
        let sent = self.http.send(method, &format!("{}{path}", self.url()), headers, bytes, ANSWER).await;
        let answer = sent.map_err(|error| self.send_error(error))?;
        if answer.status().is_success() { Ok(answer) } else { Err(self.refusal(answer).await) }
    }

    fn header(&self, value: &str) -> Result<HeaderValue, ClientError> {
        HeaderValue::from_str(value)
            .map_err(|_| self.unreachable("the token can't be sent as it is".to_owned(), true))
    }

    async fn refusal(&self, response: Answer) -> ClientError {
        let status = response.status().as_u16();
        let retry_after =
            response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        let leads = response
            .headers()
            .get(header::LOCATION)
            .and_then(|to| to.to_str().ok())
            .map(super::output::printable);
        let bytes = response.whole(1 << 20, ANSWER).await.unwrap_or_default();
        let answer: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let text = |field: &str| answer.get(field).and_then(Value::as_str).map(super::output::printable);
        // In `error` some answers have a sentence; in `code` all have the code, most of them in capitals.
        let Some(code) = text("code").map(|code| code.to_lowercase()) else {
            let passes = matches!(status, 429 | 502 | 503 | 504);
            if let Some(leads) = leads {
                return self.foreign(format!("status {status}; --url should be where it leads: {leads}"));
            }
            if !passes {
                return self.foreign(format!("status {status} without an error code"));
            }
            // A proxy in front of a node that is away.
            return self.unreachable(format!("status {status}"), false);
        };
        let message = text("message").unwrap_or_else(|| code.clone());
        let missing = status == 401 && self.token.is_none();
        let hint = if missing { Some("set --token or WAYPOST_TOKEN".to_owned()) } else { text("hint") };
        let number = |field: &str| usize::try_from(answer.get(field)?.as_u64()?).ok();
        let (index, stored) = (number("index"), number("stored"));
        ClientError::Refused { status, code, message, hint, index, stored, retry_after }
    }

    fn send_error(&self, error: HttpError) -> ClientError {
        match error {
            HttpError::Foreign(what) => self.foreign(what),
            error => self.unreachable(error.to_string(), error.is_unsent()),
        }
    }

    fn unreachable(&self, reason: String, unsent: bool) -> ClientError {
        ClientError::Unreachable { url: self.url().to_owned(), reason, unsent }
    }

    fn foreign(&self, what: String) -> ClientError {
        ClientError::Foreign { url: self.url().to_owned(), what }
    }
}

/// Text as one segment of a path or one value of a query.
pub(super) fn encoded(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            safe.push(char::from(byte));
        } else {
            safe.push_str(&format!("%{byte:02X}"));
        }
    }
    safe
}

fn base_url(text: &str) -> Result<String, String> {
    let text = text.trim().trim_end_matches('/');
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    match host.filter(|host| !host.is_empty()) {
        Some(_) => Ok(text.to_owned()),
        None => Err("must look like http://host:port or https://host:port".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_and_paths_are_safe() {
        assert_eq!(base_url("http://a:1/").as_deref(), Ok("http://a:1"));
        assert_eq!(base_url("https://a/").as_deref(), Ok("https://a"));
        assert!(base_url("ftp://a").is_err_and(|e| e.contains("https")));
        assert!(base_url("a:1").is_err());
        assert_eq!(encoded("a/b ü"), "a%2Fb%20%C3%BC");
    }
}
