//! The HTTP client of all commands that speak to a node.
//!
//! It has the nodes' addresses, the token, and the texts of the errors. It never repeats a request that a
//! node may have taken. Only a caller that sends an idempotency key may do so. A read goes to several nodes,
//! so that one that hangs delays nobody.

mod error;
mod gathered;
mod token;

pub(super) use error::ClientError;

use std::{cell::Cell, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, future::join_all, stream::FuturesUnordered};
use http::{
    Method,
    header::{self, HeaderName, HeaderValue},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{sleep, timeout};
use tokio_rustls::rustls::ClientConfig;

use self::token::{Needs, Token};
use super::http1::{Answer, Http};
use crate::tls::{self, BadTls};

/// Longest wait for an answer. The server itself answers within its publish timeout.
pub(super) const ANSWER: Duration = Duration::from_secs(30);
/// Longest wait for the answer to a read to begin. A node waits less for a leader before it answers from what
/// it knows.
const READ: Duration = Duration::from_secs(10);
/// A read goes to the next node too when it has no answer after this time. Every node at once would charge
/// the token's limit of requests several times for each command.
const NEXT: Duration = Duration::from_millis(200);
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Largest answer that is read, in bytes.
const LARGEST_ANSWER: usize = 512 * 1024 * 1024;

/// The nodes to connect to, and the token.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Connection {
    /// Address of a node, or several with commas: a node that fails or hangs is passed over
    #[arg(long, env = "WAYPOST_URL", default_value = USUAL_URL)]
    #[arg(value_delimiter = ',', value_parser = base_url)]
    url: Vec<String>,
    /// Token [default: WAYPOST_TOKEN, or WAYPOST_ADMIN_TOKEN; a command of the admin takes that one first]
    #[arg(long)]
    token: Option<String>,
    /// File of certificates (PEM) to trust for https, in addition to those of the system
    #[arg(long, env = "WAYPOST_CA", value_name = "FILE", value_parser = trust)]
    ca: Option<Trust>,
}

/// The address that is used if no other is named.
const USUAL_URL: &str = "http://127.0.0.1:4000";

impl Connection {
    /// With that address, if no other was named.
    pub(super) fn or_at(mut self, url: String) -> Self {
        if self.url == [USUAL_URL] {
            self.url = vec![url];
        }
        self
    }

    /// With that address, whatever others were named.
    pub(super) fn only_at(mut self, url: String) -> Self {
        self.url = vec![url];
        self
    }
}

/// Trusted certificates, read from a file.
#[derive(Debug, Clone)]
struct Trust(Arc<ClientConfig>);

fn trust(file: &str) -> Result<Trust, BadTls> {
    Ok(Trust(Arc::new(tls::trusting(Some(Path::new(file)))?)))
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

/// A node, and the connection to it.
struct Node {
    url: String,
    http: Http,
}

/// A client of several nodes, of which one is in use. It lives as long as the command.
pub(super) struct Client {
    nodes: Vec<Node>,
    at: Cell<usize>,
    token: Option<Token>,
    needs: Needs,
}

impl Client {
    /// A client. It connects when the first request is sent.
    pub(super) fn new(connection: Connection) -> Self {
        Self::that(connection, Needs::Map)
    }

    /// A client for a command that needs the admin token: it takes the admin token's variable first.
    pub(super) fn of_admin(connection: Connection) -> Self {
        Self::that(connection, Needs::Admin)
    }

    fn that(connection: Connection, needs: Needs) -> Self {
        let token = Token::choose(connection.token, needs);
        // Reading the system's certificates takes time, and plain HTTP does not need them.
        let encrypted = connection.url.iter().any(|url| url.starts_with("https://"));
        let trusted = || tls::trusting(None).ok().map(Arc::new);
        let tls = encrypted.then(|| connection.ca.map(|Trust(config)| config).or_else(trusted)).flatten();
        let node = |url| Node { url, http: Http::new(tls.clone()) };
        Self { nodes: connection.url.into_iter().map(node).collect(), at: Cell::new(0), token, needs }
    }

    /// A client for one node with one token.
    pub(super) fn at(url: String, token: String) -> Self {
        Self::new(Connection { url: vec![url], token: Some(token), ca: None })
    }

    /// The address of the node in use.
    pub(super) fn url(&self) -> &str {
        self.nodes.get(self.at.get()).map_or("", |node| &node.url)
    }

    /// The token, if there is one.
    pub(super) fn token(&self) -> Option<&str> {
        self.token.as_ref().map(|token| &*token.text)
    }

    /// The number of nodes that were given.
    pub(super) fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Uses the next node from now on.
    pub(super) fn next_node(&self) {
        self.at.set((self.at.get() + 1) % self.nodes.len().max(1));
    }

    /// Sends a request and returns the `data` of its answer. A GET is a [`Client::read`]. For any other
    /// method it tries the next node only if the failed node cannot have taken the request.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ClientError> {
        let answer = match method {
            Method::GET => self.read(path).await?,
            _ => self.send_to_some(method, path, body, ANSWER).await?,
        };
        self.whole(self.at.get(), answer).await
    }

    /// As [`Client::call`], but not for GET, and for an answer that may begin as late as the limit.
    pub(super) async fn call_within(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        limit: Duration,
    ) -> Result<Value, ClientError> {
        let answer = self.send_to_some(method, path, body, limit).await?;
        self.whole(self.at.get(), answer).await
    }

    /// Reads all pages of a list, as many entries of each answer as `page` says. The path may have a query.
    pub(super) async fn pages(&self, path: &str, page: usize) -> Result<Vec<Value>, ClientError> {
        let mut all = Vec::new();
        let and = if path.contains('?') { '&' } else { '?' };
        let path = format!("{path}{and}limit={page}");
        let mut next = path.clone();
        loop {
            let answer = self.read(&next).await?;
            let mut answer = self.document(self.at.get(), answer).await?;
            let Some(Value::Array(data)) = answer.get_mut("data").map(Value::take) else {
                return Err(self.foreign(self.at.get(), "an answer without a list".to_owned()));
            };
            all.extend(data);
            match answer["cursor"].as_str() {
                Some(cursor) if answer["has_more"] == true => {
                    next = format!("{path}&after={}", encoded(cursor));
                }
                _ => return Ok(all),
            }
        }
    }

    /// Sends a request to the node in use, and to the next one only if the failed node cannot have taken it.
    async fn send_to_some(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        limit: Duration,
    ) -> Result<Answer, ClientError> {
        let mut tried = 1;
        loop {
            match self.send(method.clone(), path, body.map(Body::from), limit).await {
                Err(error) if tried < self.nodes() && error.unsent() => {
                    tried += 1;
                    self.next_node();
                }
                result => return result,
            }
        }
    }

    /// As [`Client::call`], but only at the node in use, whose answer must begin within the limit.
    pub(super) async fn call_here(
        &self,
        method: Method,
        path: &str,
        body: Body,
        limit: Duration,
    ) -> Result<Value, ClientError> {
        let answer = self.send(method, path, Some(body), limit).await?;
        self.whole(self.at.get(), answer).await
    }

    /// Asks for something by GET and returns the first answer that is a success, with its body unread. The
    /// node in use is asked first. As long as there is no answer, the next node is asked too, each a moment
    /// after the one before it, or at once when that one fails. The node that answered is in use from then
    /// on.
    pub(super) async fn read(&self, path: &str) -> Result<Answer, ClientError> {
        let first = self.at.get();
        let count = self.nodes.len();
        let mut others = (0..count).map(|n| (first + n) % count);
        let mut asked = FuturesUnordered::new();
        let ask = async |at| (at, self.send_to(at, Method::GET, path, None, READ).await);
        let mut failure = None;
        asked.extend(others.next().map(ask));
        loop {
            let next = tokio::select! {
                biased;
                Some((at, answer)) = asked.next() => match answer {
                    Ok(answer) => {
                        self.at.set(at);
                        return Ok(answer);
                    }
                    Err(error) if error.passes() => {
                        failure.get_or_insert(error);
                        others.next()
                    }
                    Err(error) => return Err(error),
                },
                () = sleep(NEXT) => others.next(),
            };
            if next.is_none() && asked.is_empty() {
                let none = || self.unreachable(first, "no node was given".to_owned(), true);
                return Err(failure.unwrap_or_else(none));
            }
            asked.extend(next.map(ask));
        }
    }

    /// Asks every node at once by GET, and returns the `data` of each answer that is complete within the
    /// limit, with the node's address.
    pub(super) async fn ask_all(
        &self,
        path: &str,
        limit: Duration,
    ) -> Vec<(&str, Result<Value, ClientError>)> {
        let ask = async |at| {
            let answer = self.send_to(at, Method::GET, path, None, limit).await?;
            self.whole(at, answer).await
        };
        let asked = (0..self.nodes.len()).map(async |at| {
            let late = |_| Err(self.unreachable(at, "no answer in time".to_owned(), false));
            (&*self.nodes[at].url, timeout(limit, ask(at)).await.unwrap_or_else(late))
        });
        join_all(asked).await
    }

    /// The `data` of an answer from that node.
    async fn whole(&self, at: usize, answer: Answer) -> Result<Value, ClientError> {
        let mut answer = self.document(at, answer).await?;
        Ok(answer.get_mut("data").map(Value::take).unwrap_or(answer))
    }

    /// A [`Client::read`] of the whole answer, as it came.
    pub(super) async fn bytes(&self, path: &str) -> Result<Bytes, ClientError> {
        let answer = self.read(path).await?;
        self.all_of(self.at.get(), answer).await
    }

    /// What the node in use has answered, as JSON of that form.
    pub(super) fn understood<'a, T: Deserialize<'a>>(&self, bytes: &'a [u8]) -> Result<T, ClientError> {
        serde_json::from_slice(bytes).map_err(|error| self.foreign(self.at.get(), error.to_string()))
    }

    async fn all_of(&self, at: usize, answer: Answer) -> Result<Bytes, ClientError> {
        let bytes = answer.whole(LARGEST_ANSWER, ANSWER).await;
        bytes.map_err(|error| self.unreachable(at, error.to_string(), false))
    }

    /// The whole answer from that node; null if it is empty.
    async fn document(&self, at: usize, answer: Answer) -> Result<Value, ClientError> {
        let bytes = self.all_of(at, answer).await?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|error| self.foreign(at, error.to_string()))
    }

    /// Sends a request to the node in use. Returns the answer with its body unread, if its status is a
    /// success. It must begin within the limit.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Body>,
        limit: Duration,
    ) -> Result<Answer, ClientError> {
        self.send_to(self.at.get(), method, path, body, limit).await
    }

    async fn send_to(
        &self,
        at: usize,
        method: Method,
        path: &str,
        body: Option<Body>,
        limit: Duration,
    ) -> Result<Answer, ClientError> {
        let mut headers = Vec::new();
        if let Some(token) = &self.token {
            let value = HeaderValue::from_str(&format!("Bearer {}", token.text))
                .map_err(|_| self.unreachable(at, error::unsendable(token), true))?;
            headers.push((header::AUTHORIZATION, value));
        }
        let mut bytes = Bytes::new();
        if let Some(body) = body {
            headers.push((header::CONTENT_TYPE, HeaderValue::from_static(body.mime)));
            if let Some(key) = body.key {
                let value = HeaderValue::from_str(&key).map_err(|_| {
                    let why = "the idempotency key has characters that no header can carry";
                    self.unreachable(at, why.to_owned(), true)
                })?;
                headers.push((IDEMPOTENCY_KEY, value));
            }
            bytes = body.bytes;
        }
        let Some(node) = self.nodes.get(at) else {
            return Err(self.unreachable(at, "no node was given".to_owned(), true));
        };
        let sent = node.http.send(method, &format!("{}{path}", node.url), headers, bytes, limit).await;
        let answer = sent.map_err(|error| ClientError::of(error, self.url_of(at)))?;
        if answer.status().is_success() { Ok(answer) } else { Err(self.refusal(at, answer).await) }
    }

    async fn refusal(&self, at: usize, response: Answer) -> ClientError {
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
                    .foreign(at, format!("status {status}; set --url to the address it leads to: {leads}"));
            }
            if !passes {
                return self.foreign(at, format!("status {status} without an error code"));
            }
            // A proxy answers for a node that it can't reach.
            return self.unreachable(at, format!("status {status}"), false);
        };
        let message = text("message").unwrap_or_else(|| code.clone());
        let own = error::hint_of(&code, self.token.as_ref(), self.needs);
        // The server's hint on tokens is about a header, which the command line sends by itself.
        let hint = if status == 401 { own.or_else(|| text("hint")) } else { text("hint").or(own) };
        let number = |field: &str| usize::try_from(answer.get(field)?.as_u64()?).ok();
        let index = number("index");
        let stored = number("stored");
        ClientError::Refused { status, code, message, hint, index, stored, retry_after }
    }

    fn url_of(&self, at: usize) -> String {
        self.nodes.get(at).map_or_else(String::new, |node| node.url.clone())
    }

    fn unreachable(&self, at: usize, reason: String, unsent: bool) -> ClientError {
        ClientError::Unreachable { url: self.url_of(at), reason, unsent }
    }

    fn foreign(&self, at: usize, what: String) -> ClientError {
        ClientError::Foreign { url: self.url_of(at), what }
    }
}

/// Bytes that are encoded: all but those that mean only themselves in every part of a URL (RFC 3986).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A text encoded as one segment of a path or one value of a query.
pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
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
