//! The HTTP client of all commands that speak to a node.
//!
//! It has the nodes' addresses, the token, and the texts of the errors. It never repeats a request that a
//! node may have taken. Only a caller that sends an idempotency key may do so.

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

/// Longest wait for an answer. The server itself answers within its publish timeout.
const ANSWER: Duration = Duration::from_secs(30);
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Largest answer that is read, in bytes.
const LARGEST_ANSWER: usize = 512 * 1024 * 1024;

/// The nodes to connect to, and the token.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Connection {
    /// Address of a node, or several with commas, which are tried in turn
    #[arg(long, env = "WAYPOST_URL", default_value = "http://127.0.0.1:4000")]
    #[arg(value_delimiter = ',', value_parser = base_url)]
    url: Vec<String>,
    /// Token [default: WAYPOST_ADMIN_TOKEN]
    #[arg(long, env = "WAYPOST_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// File of certificates (PEM) to trust for https, in addition to those of the system
    #[arg(long, env = "WAYPOST_CA", value_name = "FILE", value_parser = trust)]
    ca: Option<Trust>,
}

/// Trusted certificates, read from a file.
#[derive(Debug, Clone)]
struct Trust(Arc<ClientConfig>);

fn trust(file: &str) -> Result<Trust, BadTls> {
    Ok(Trust(Arc::new(tls::trusting(Some(Path::new(file)))?)))
}

/// Why a request failed. The texts are for people.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// There is no connection, or it broke.
    #[error(
        "cannot reach {url}: {reason}; is waypost running there? (`waypost dev` or `waypost serve` starts it, --url names another)"
    )]
    Unreachable {
        /// The node's address.
        url: String,
        /// The reason as a text.
        reason: String,
        /// Whether nothing of the request was sent.
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
        /// The index of the refused event in its batch.
        index: Option<usize>,
        /// How many events of the request were stored before it.
        stored: Option<usize>,
        /// The wait that the node asks for, in seconds.
        retry_after: Option<u64>,
    },
    /// The answer is not one of Waypost's.
    #[error("{url} answered something that is not from waypost: {what}")]
    Foreign {
        /// The address that answered.
        url: String,
        /// What is wrong with the answer.
        what: String,
    },
}

fn hint_line(hint: Option<&str>) -> String {
    hint.map_or_else(String::new, |hint| format!("\nhint: {hint}"))
}

impl ClientError {
    /// Whether the request may succeed a little later, or at another node.
    pub(super) fn passes(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => matches!(status, 429 | 502 | 503 | 504),
            Self::Foreign { .. } => false,
        }
    }

    /// The wait that the node asked for.
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

/// A request's body with its headers.
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

/// A client of one node out of several. It lives as long as the command.
pub(super) struct Client {
    http: Http,
    urls: Vec<String>,
    at: Cell<usize>,
    token: Option<String>,
}

impl Client {
    /// A client. It connects when the first request is sent.
    pub(super) fn new(connection: Connection) -> Self {
        let admin = || std::env::var("WAYPOST_ADMIN_TOKEN").ok();
        let token = connection.token.or_else(admin).filter(|token| !token.is_empty());
        // Reading the system's certificates takes time, and plain HTTP does not need them.
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

    /// The number of nodes that were given.
    pub(super) fn nodes(&self) -> usize {
        self.urls.len()
    }

    /// Uses the next node from now on.
    pub(super) fn next_node(&self) {
        self.at.set((self.at.get() + 1) % self.urls.len().max(1));
    }

    /// Sends a request and returns the `data` of its answer. It tries the next node only if the failed node
    /// cannot have taken the request, or if the request is a GET.
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

    /// As [`Client::call`], but only at the node in use.
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

    /// Sends a request to the node in use. Returns the answer with its body unread, if its status is a
    /// success.
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
        // Every answer has its code in `code`, mostly in capitals. In `error`, some have a sentence instead.
        let Some(code) = text("code").map(|code| code.to_lowercase()) else {
            let passes = matches!(status, 429 | 502 | 503 | 504);
            if let Some(leads) = leads {
                return self
                    .foreign(format!("status {status}; set --url to the address it leads to: {leads}"));
            }
            if !passes {
                return self.foreign(format!("status {status} without an error code"));
            }
            // A proxy answers for a node that it can't reach.
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

/// A text encoded as one segment of a path or one value of a query.
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
