//! A blocking HTTP client for the REST API. It never hides a status: every answer is an [`Answer`], whatever
//! its status; only a broken connection or a time-out is an error. It repeats a request only if it was made
//! patient.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// How long a patient client repeats a request.
const PATIENCE: Duration = Duration::from_secs(20);
/// The time-out of one request.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The largest answer that is read, in bytes.
const ANSWER_LIMIT: u64 = 256 << 20;

/// The client keeps no idle connections: a connection to a node that was killed would fail the next call.
static AGENT: LazyLock<ureq::Agent> = LazyLock::new(|| {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_idle_connections(0)
        .timeout_connect(Some(Duration::from_secs(5)))
        .build()
        .into()
});

/// A whole HTTP answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Its headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body's bytes.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("status {}: not JSON: {}", self.status, self.text()))
    }

    /// The body as text, for messages.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(2000).collect()
    }

    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The stable code of an error answer, empty when there is none.
    pub fn code(&self) -> String {
        let code = |v: Value| v.get("code").and_then(Value::as_str).map(str::to_owned);
        self.json().ok().and_then(code).unwrap_or_default()
    }

    /// This answer if it has that status, else an error.
    pub fn expect(self, status: u16) -> Result<Answer> {
        ensure!(self.status == status, "expected {status}, got {}: {}", self.status, self.text());
        Ok(self)
    }

    /// The member `data` of an answer with that status, else an error.
    pub fn data(self, status: u16) -> Result<Value> {
        let mut json = self.expect(status)?.json()?;
        Ok(json.get_mut("data").context("an answer without `data`")?.take())
    }
}

/// A node's API with a token.
#[derive(Debug, Clone)]
pub struct Api {
    base: String,
    token: Option<String>,
    timeout: Duration,
    patient: bool,
}

impl Api {
    /// An API at `base`, such as `http://127.0.0.1:4000`.
    pub fn new(base: &str, token: Option<&str>) -> Self {
        Self { base: base.to_owned(), token: token.map(str::to_owned), timeout: TIMEOUT, patient: false }
    }

    /// The same API with another time-out.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same API, made patient: a request that was refused because there is no leader changed nothing, and
    /// is repeated for a while. A busy machine may delay heartbeats at any time. A request that may have been
    /// carried out is repeated if it has a key, so that it is carried out once.
    pub fn patient(mut self) -> Self {
        self.patient = true;
        self
    }

    /// The same API, which never repeats a request.
    pub fn hasty(mut self) -> Self {
        self.patient = false;
        self
    }

    /// GET.
    pub fn get(&self, path: &str) -> Result<Answer> {
        self.call("GET", path, &[], None)
    }

    /// POST of JSON.
    pub fn post(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send(path, body.to_string().as_bytes())
    }

    /// POST of bytes that are sent as JSON.
    pub fn send(&self, path: &str, body: &[u8]) -> Result<Answer> {
        self.send_as("POST", path, body)
    }

    fn send_as(&self, method: &str, path: &str, body: &[u8]) -> Result<Answer> {
        self.call(method, path, &[("content-type", "application/json")], Some(body))
    }

    /// POST of JSON with an `Idempotency-Key`.
    pub fn post_once(&self, path: &str, key: &str, body: &Value) -> Result<Answer> {
        let headers = [("content-type", "application/json"), ("idempotency-key", key)];
        self.call("POST", path, &headers, Some(body.to_string().as_bytes()))
    }

    /// POST of something that is created once, repeated as long as its outcome is unknown. Returns what was
    /// created, or `None` if a lost attempt created it: the caller then finds it by its name.
    pub fn create(&self, path: &str, body: &Value) -> Result<Option<Value>> {
        let start = Instant::now();
        let mut repeated = false;
        loop {
            let answer = self.post(path, body)?;
            match (answer.status, answer.code().as_str()) {
                (503, "unknown_outcome") if start.elapsed() < PATIENCE => repeated = true,
                (409, _) if repeated => return Ok(None),
                _ => return answer.data(201).map(Some),
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// PATCH of JSON.
    pub fn patch(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send_as("PATCH", path, body.to_string().as_bytes())
    }

    /// PUT of JSON.
    pub fn put(&self, path: &str, body: &Value) -> Result<Answer> {
        self.send_as("PUT", path, body.to_string().as_bytes())
    }

    /// DELETE.
    pub fn delete(&self, path: &str) -> Result<Answer> {
        self.call("DELETE", path, &[], None)
    }

    /// Any request.
    pub fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Answer> {
        let start = Instant::now();
        let keyed = headers.iter().any(|(name, _)| *name == "idempotency-key");
        loop {
            let answer = self.once(method, path, headers, body)?;
            let code = answer.code();
            let passing =
                answer.status == 503 && (code == "unavailable" || keyed && code == "unknown_outcome");
            if !self.patient || !passing || start.elapsed() > PATIENCE {
                return Ok(answer);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn once(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Answer> {
        let what = || format!("{method} {}{path}", self.base);
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = match body {
            Some(body) => self.run(request.body(body).with_context(what)?),
            None => self.run(request.body(()).with_context(what)?),
        };
        let mut response = response.with_context(what)?;
        let headers = response.headers().iter();
        let headers = headers
            .map(|(n, v)| (n.to_string(), String::from_utf8_lossy(v.as_bytes()).into_owned()))
            .collect();
        let body = response.body_mut().with_config().limit(ANSWER_LIMIT).read_to_vec();
        let body = body.with_context(what)?;
        Ok(Answer { status: response.status().as_u16(), headers, body })
    }

    fn run(
        &self,
        request: ureq::http::Request<impl ureq::AsSendBody>,
    ) -> Result<ureq::http::Response<ureq::Body>, ureq::Error> {
        let request = AGENT.configure_request(request).timeout_global(Some(self.timeout)).build();
        AGENT.run(request)
    }
}

/// Sends bytes that may not be a request, and reads until the connection ends, or until nothing arrives for
/// `limit`. Returns what arrived, and whether the connection ended.
pub fn raw(addr: SocketAddr, bytes: &[u8], limit: Duration) -> Result<(String, bool)> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(limit))?;
    stream.set_write_timeout(Some(limit))?;
    // The server may close while this writes: its answer is still there to be read.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let ended = match stream.read_to_end(&mut answer) {
        Ok(_) => true,
        Err(e) => e.kind() == ErrorKind::ConnectionReset,
    };
    Ok((String::from_utf8_lossy(&answer).into_owned(), ended))
}

/// The value of a JSON member, which must be a string.
pub fn text(value: &Value, member: &str) -> Result<String> {
    let found = value.get(member).and_then(Value::as_str).map(str::to_owned);
    found.with_context(|| format!("no string `{member}` in {value}"))
}
