//! HTTP by its standards, at every path: HEAD, OPTIONS and wrong methods, media types and codings of bodies,
//! errors that a page can read, and headers that protect answers.

use crate::strict::{Fixture, is_signed, operations};
use crate::support::{binary, checked, nodes, publish, trickle};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;
use testkit::Cluster;
use testkit::cluster::ADMIN;
use testkit::phoenix::Socket;
use testkit::stream::Stream;

/// How long to wait for an expected answer.
const LIMIT: Duration = Duration::from_secs(60);
const ORIGIN: &str = "https://page.example";

#[test]
fn http_is_spoken_by_its_standards() {
    let options = nodes(1)
        .set("WAYPOST_WEBHOOKS_ALLOW_NETS", "127.0.0.0/8")
        .set("WAYPOST_SESSION_LONGPOLL_SECONDS", 1)
        .set("WAYPOST_LIMITS_ORIGINS", format!("{ORIGIN},https://other.example"))
        .set("WAYPOST_LIMITS_UPGRADE_TIMEOUT_MS", 2000)
        // A token with a line break, as a file may have it.
        .set("WAYPOST_ADMIN_TOKEN", format!("{ADMIN}\n"));
    checked(
        options,
        &[
            ("HEAD is answered wherever GET is", heads),
            ("OPTIONS and 405 name the methods of a path", methods),
            ("bodies in another coding or of another type are refused with 415", bodies),
            ("types of bodies are read by the standard", media_types),
            ("requests that are no HTTP get errors in JSON that a page can read", no_http),
            ("a head that never ends is answered with 408", slow_heads),
            ("a stream for a client of HTTP/1.0 has no chunks", old_clients),
            ("answers are not stored and not guessed at", protected),
            ("ids in any case", ids),
            ("tokens with a line break", tokens),
        ],
    );
}

/// An answer as it came over the wire.
struct Raw {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Raw {
    fn parse(text: &str) -> Result<Self> {
        let (head, body) = text.split_once("\r\n\r\n").with_context(|| format!("no answer: {text:?}"))?;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let header = |line: &str| {
            line.split_once(": ").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        };
        Ok(Self {
            status: status.with_context(|| head.to_owned())?,
            headers: lines.filter_map(header).collect(),
            body: body.to_owned(),
        })
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    /// Checks for an error of ours: JSON with a code, a message and the headers that every answer has.
    fn is_error(&self, what: &str, status: u16, code: &str) -> Result<()> {
        let told = || format!("{what}: {} {:?} {:?}", self.status, self.headers, self.body);
        ensure!(self.status == status, "{}", told());
        ensure!(self.header("content-type").starts_with("application/json"), "{}", told());
        ensure!(self.header("x-content-type-options") == "nosniff", "{}", told());
        let json: Value = serde_json::from_str(&self.body).with_context(told)?;
        ensure!(json["code"] == code && json["message"].is_string(), "{}", told());
        Ok(())
    }
}

/// Sends a request on a connection of its own, and reads the answer to its end.
fn ask(c: &Cluster, method: &str, target: &str, token: &str, more: &str, body: &str) -> Result<Raw> {
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: {}\r\n{more}\r\n{body}",
        body.len()
    );
    let (answer, ended) = testkit::http::raw(c.nodes[0].http, request.as_bytes(), LIMIT)?;
    ensure!(ended, "{method} {target}: the answer did not end: {answer:?}");
    Raw::parse(&answer).with_context(|| format!("{method} {target}"))
}

fn heads(c: &Cluster) -> Result<()> {
    let fixture = Fixture::new(c, "heads")?;
    publish(c, 0, &fixture.map, "x", json!({}))?;
    let paths: Vec<String> =
        operations().into_iter().filter(|(method, _)| method == "GET").map(|(_, path)| path).collect();
    ensure!(paths.len() > 15, "{paths:?}");
    for path in paths {
        let (target, token) = (fixture.fill(&path), fixture.token(&path));
        let head = ask(c, "HEAD", &target, token, "", "")?;
        ensure!(head.body.is_empty(), "HEAD {target} has a body: {}", head.body);
        // A stream does not end, a long poll opens a session, and one backup is made at a time.
        if ["stream", "{source}/events", "longpoll", "backup"].iter().any(|end| path.ends_with(end)) {
            ensure!(head.status == 200, "HEAD {target}: {}", head.status);
            continue;
        }
        let get = ask(c, "GET", &target, token, "", "")?;
        ensure!(head.status == get.status, "{target}: HEAD {}, GET {}", head.status, get.status);
        let kinds = (head.header("content-type"), get.header("content-type"));
        ensure!(kinds.0 == kinds.1, "{target}: {kinds:?}");
    }
    // The query of HEAD is that of GET.
    let target = format!("{}?limit=1&sinc=x", fixture.map.events());
    ensure!(ask(c, "HEAD", &target, &fixture.map.token, "", "")?.status == 400);
    Ok(())
}

fn methods(c: &Cluster) -> Result<()> {
    let fixture = Fixture::new(c, "methods")?;
    let mut allowed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (method, path) in operations() {
        allowed.entry(path).or_default().push(method);
    }
    for (path, mut methods) in allowed {
        let (target, token) = (fixture.fill(&path), fixture.token(&path));
        if methods.iter().any(|method| method == "GET") {
            methods.push("HEAD".to_owned());
        }
        methods.push("OPTIONS".to_owned());
        methods.sort();
        let told = |answer: &Raw| {
            let mut told: Vec<String> = answer.header("allow").split(", ").map(str::to_owned).collect();
            told.sort();
            told
        };
        let options = ask(c, "OPTIONS", &target, token, "", "")?;
        ensure!(options.status == 204 && told(&options) == methods, "{path}: {:?}", options.headers);
        let every = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"];
        for wrong in every.iter().filter(|every| !methods.iter().any(|method| method == *every)) {
            let answer = ask(c, wrong, &target, token, "", "")?;
            ensure!(told(&answer) == methods, "{wrong} {path}: {} {:?}", answer.status, answer.headers);
            if *wrong == "HEAD" {
                ensure!(answer.status == 405, "{wrong} {path}: {}", answer.status);
            } else {
                answer.is_error(&format!("{wrong} {path}"), 405, "method_not_allowed")?;
            }
            // The method comes before the query.
            let answer = ask(c, wrong, &format!("{target}?zzz=1"), token, "", "")?;
            ensure!(answer.status == 405 && told(&answer) == methods, "{wrong} {path}?: {}", answer.status);
        }
    }
    let options = ask(c, "OPTIONS", "*", "none", "", "")?;
    ensure!(options.status == 204 && options.header("allow").contains("PATCH"), "{:?}", options.headers);
    ask(c, "OPTIONS", "/nothing", "none", "", "")?.is_error("/nothing", 404, "not_found")
}

fn bodies(c: &Cluster) -> Result<()> {
    let fixture = Fixture::new(c, "bodies")?;
    let with_body = operations().into_iter().filter(|(method, path)| method != "GET" && !is_signed(path));
    let mut asked = 0;
    for (method, path) in with_body.filter(|(_, path)| !path.contains("longpoll")) {
        let (target, token) = (fixture.fill(&path), fixture.token(&path));
        for more in [
            "Content-Encoding: gzip\r\nContent-Type: application/json\r\n",
            "Content-Encoding: identity\r\nContent-Encoding: br\r\n",
            "Content-Type: text/plain; charset=utf-8\r\n",
            "Content-Type: application/json; charset=iso-8859-1\r\n",
        ] {
            let what = format!("{method} {target} {more:?}");
            let answer = ask(c, &method, &target, token, more, "{\"zzz\":1}")?;
            answer.is_error(&what, 415, "unsupported_media_type")?;
        }
        asked += 1;
    }
    ensure!(asked > 20, "{asked}");
    let longpoll = format!("/socket/events/longpoll?vsn=2.0.0&token={}", fixture.map.token);
    let gone = ask(c, "POST", &longpoll, "", "Content-Encoding: gzip\r\n", "x")?;
    ensure!(gone.status == 200 && gone.body.contains("\"status\":410"), "{}", gone.body);
    Ok(())
}

fn media_types(c: &Cluster) -> Result<()> {
    let map = c.map("media-types")?;
    let event = r#"{"type":"x","payload":1}"#;
    let lines = format!("{event}\n{event}\n");
    for (kind, body, count) in [
        ("", event, 1),
        ("Content-Type: Application/JSON;charset=\"UTF-8\"\r\n", event, 1),
        ("Content-Type: application/vnd.example+json\r\n", event, 1),
        ("Content-Type: application/json\r\nContent-Encoding: identity\r\n", event, 1),
        ("Content-Type: APPLICATION/x-NDJSON ; charset=utf-8\r\n", &lines, 2),
    ] {
        let answer = ask(c, "POST", &map.events(), &map.token, kind, body)?;
        ensure!(answer.status == 201, "{kind}: {}", answer.body);
        let stored: Value = serde_json::from_str(&answer.body)?;
        ensure!(stored["data"]["count"].as_u64().unwrap_or(1) == count, "{kind}: {stored}");
    }
    Ok(())
}

fn old_clients(c: &Cluster) -> Result<()> {
    let map = c.map("old-clients")?;
    let mut socket = TcpStream::connect(c.nodes[0].http)?;
    socket.set_read_timeout(Some(LIMIT))?;
    let path = format!("/api/maps/{}/events/stream?token={}", map.id, map.token);
    socket.write_all(format!("GET {path} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").as_bytes())?;
    let (mut text, mut piece) = (String::new(), [0; 1024]);
    // The first event of a stream is `connected`.
    while !text.contains("event: connected\n") {
        let read = socket.read(&mut piece)?;
        ensure!(read > 0, "the stream ended: {text}");
        text.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    let (head, body) = text.split_once("\r\n\r\n").context("no head")?;
    ensure!(!head.to_ascii_lowercase().contains("transfer-encoding"), "{head}");
    ensure!(!body.contains('\r'), "the stream has chunks: {body}");
    Ok(())
}

fn no_http(c: &Cluster) -> Result<()> {
    let page = format!("Host: x\r\nOrigin: {ORIGIN}\r\n");
    let long = format!("GET /healthz HTTP/1.1\r\n{page}Long: {}\r\n\r\n", "x".repeat(1 << 18));
    let many = format!("GET /healthz HTTP/1.1\r\n{page}{}\r\n", "a: b\r\n".repeat(200));
    let table: [(String, u16, &str); 8] = [
        (format!("GET /healthz HTTP/1.1\r\n{page}no colon\r\n\r\n"), 400, "invalid_request"),
        (format!("GET /healthz HTTP/7.1\r\n{page}\r\n"), 400, "invalid_request"),
        (format!("POST /api/maps HTTP/1.1\r\n{page}Content-Length: -5\r\n\r\n"), 400, "invalid_request"),
        (
            format!(
                "POST /api/maps HTTP/1.1\r\n{page}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
            ),
            400,
            "invalid_request",
        ),
        (format!("GET /healthz HTTP/1.1\r\nOrigin: {ORIGIN}\r\n\r\n"), 400, "invalid_request"),
        (many, 431, "headers_too_large"),
        (long, 431, "headers_too_large"),
        (
            format!("GET /healthz HTTP/1.1\r\n{page}Long: {}\r\n\r\n", "x".repeat(17_000)),
            431,
            "headers_too_large",
        ),
    ];
    for (request, status, code) in table {
        let what: String = request.chars().take(80).collect();
        let (answer, ended) = testkit::http::raw(c.nodes[0].http, request.as_bytes(), LIMIT)?;
        ensure!(ended || status == 431, "{what}: the connection is kept");
        let answer = Raw::parse(&answer).with_context(|| what.clone())?;
        answer.is_error(&what, status, code)?;
        let allowed = answer.header("access-control-allow-origin");
        // A parser that gives up at the first line has seen no origin.
        ensure!(allowed == ORIGIN, "{what}: {:?}", answer.headers);
    }
    let foreign = "GET /healthz HTTP/1.1\r\nOrigin: https://evil.example\r\n\r\n";
    let (answer, _) = testkit::http::raw(c.nodes[0].http, foreign.as_bytes(), LIMIT)?;
    ensure!(!answer.contains("access-control-allow-origin"), "{answer}");
    // After an answer, what is no HTTP is answered in the same way.
    let twice = format!("GET /healthz HTTP/1.1\r\n{page}\r\nnonsense\r\n\r\n");
    let (answers, _) = testkit::http::raw(c.nodes[0].http, twice.as_bytes(), LIMIT)?;
    let second = answers.rfind("HTTP/1.1 ").context("no answer")?;
    ensure!(second > 0 && answers.contains("{\"status\":\"ok\"}"), "{answers}");
    Raw::parse(&answers[second..])?.is_error("the second request", 400, "invalid_request")
}

fn slow_heads(c: &Cluster) -> Result<()> {
    let start = "GET /healthz HTTP/1.1\r\nHost: x\r\nX: ";
    for before in ["", "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let mut stream = TcpStream::connect(c.nodes[0].http)?;
        stream.write_all(before.as_bytes())?;
        stream.write_all(start.as_bytes())?;
        let came = trickle(&mut stream, b"x", LIMIT)?;
        let last = came.rfind("HTTP/1.1 ").with_context(|| format!("no answer: {came:?}"))?;
        Raw::parse(&came[last..])?.is_error("a slow head", 408, "timeout")?;
    }
    // Who asks nothing more is told nothing.
    let mut stream = TcpStream::connect(c.nodes[0].http)?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")?;
    let came = trickle(&mut stream, b"", LIMIT)?;
    ensure!(came.matches("HTTP/1.1").count() == 1, "{came}");
    Ok(())
}

fn protected(c: &Cluster) -> Result<()> {
    let fixture = Fixture::new(c, "protected")?;
    for (method, path) in operations() {
        if path.contains("longpoll") || path.contains("/stream") || path.ends_with("{source}/events") {
            continue;
        }
        let answer = ask(c, &method, &fixture.fill(&path), fixture.token(&path), "", "")?;
        let headers = &answer.headers;
        ensure!(answer.header("x-content-type-options") == "nosniff", "{method} {path}: {headers:?}");
        // Pages are the same for everybody until the next release.
        let kept = if path == "/docs/{path}" { "public, max-age=300" } else { "no-store" };
        ensure!(answer.header("cache-control") == kept, "{method} {path}: {headers:?}");
        ensure!(!headers.contains_key("strict-transport-security"), "{method} {path}: {headers:?}");
    }
    Ok(())
}

fn ids(c: &Cluster) -> Result<()> {
    let map = c.map("ids")?;
    let capitals = map.id.to_uppercase();
    let mixed: String = map
        .id
        .chars()
        .enumerate()
        .map(|(n, c)| if n % 2 == 0 { c.to_ascii_uppercase() } else { c })
        .collect();
    for id in [&capitals, &mixed] {
        let shown = c.api(0, &map).get(&format!("/api/maps/{id}"))?.data(200)?;
        ensure!(shown["id"] == map.id.as_str(), "{shown}");
        let path = format!("/api/maps/{id}/events/stream?backfill=1");
        let mut stream = Stream::get(c.nodes[0].http, &path, Some(&map.token), &[])?;
        stream.until("connected")?;
        ensure!(stream.body().contains(&map.id), "{}", stream.body());
    }
    // Events come under the topic that the client joined.
    let mut socket = Socket::connect(c.nodes[0].http, &map.token)?;
    let topic = format!("events:map:{capitals}");
    socket.join_ok(&topic, json!({}))?;
    publish(c, 0, &map, "x", json!({}))?;
    socket.events(1)?;
    Ok(())
}

fn tokens(c: &Cluster) -> Result<()> {
    let map = c.map("tokens")?;
    // The admin token of the node has a line break, and opens the API without it.
    c.admin(0).get("/api/maps")?.expect(200)?;
    let path = format!("{}/stream?token={}%0A", map.events(), map.token);
    let mut stream = Stream::get(c.nodes[0].http, &path, None, &[])?;
    stream.until("connected")?;
    let told = ask(c, "GET", &map.events(), &format!("{} \t", map.token), "", "")?;
    ensure!(told.status == 200, "{}", told.body);
    let shown = Command::new(binary())
        .args(["map", "show", "tokens", "--url", &c.nodes[0].url()])
        .env("WAYPOST_TOKEN", format!("{}\r\n", map.token))
        .output()?;
    let text = String::from_utf8_lossy(&shown.stdout);
    ensure!(shown.status.success() && text.contains(&map.id), "{shown:?}");
    Ok(())
}
