//! Input that can't be understood is refused with 400 on every route: an unknown name in the query or the
//! body, a header that occurs twice or can't be read. If such input were ignored, a reader could start at the
//! wrong position, or a client that must be refused could get in.

use crate::rust_code::rust_files;
use crate::support::{checked, nodes, publish};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use testkit::Cluster;
use testkit::cluster::{ADMIN, Map};
use testkit::http::text;
use testkit::phoenix::Socket;
use testkit::stream::Stream;
use waypost::edge::strict::{LISTS, OPTIONAL, once};

const OPENAPI: &str = include_str!("../../docs/openapi.yaml");
const GOOD_ORIGIN: &str = "https://good.example";
/// How long to wait for an expected answer.
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn input_that_cannot_be_understood_is_refused() {
    let options = nodes(1)
        .set("WAYPOST_LIMITS_ORIGINS", GOOD_ORIGIN)
        .set("WAYPOST_WEBHOOKS_ALLOW_NETS", "127.0.0.0/8")
        .set("WAYPOST_SESSION_LONGPOLL_SECONDS", 1);
    checked(
        options,
        &[
            ("a name that no route takes, at every route", unknown_names),
            ("a misspelt name, at every route that takes names", misspelt_names),
            ("a member that no body takes, at every route", unknown_members),
            ("misspelt members are answered with the nearest name", misspelt_members),
            ("headers that occur twice or are not ASCII", headers),
            ("an origin that can't be read", origins),
            ("start positions of a stream", starts),
            ("parameters of a join", joins),
            ("preflight requests of browsers", preflights),
        ],
    );
}

/// Returns method and path of every operation of the API reference.
pub(crate) fn operations() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut path = String::new();
    for line in
        OPENAPI.lines().skip_while(|line| *line != "paths:").skip(1).take_while(|line| *line != "components:")
    {
        if let Some(next) = line.strip_prefix("  /").and_then(|rest| rest.strip_suffix(':')) {
            path = format!("/{next}");
        } else if let Some(method) = line.strip_prefix("    ").and_then(|rest| rest.strip_suffix(':'))
            && ["get", "post", "put", "patch", "delete"].contains(&method)
        {
            found.push((method.to_uppercase(), path.clone()));
        }
    }
    found
}

/// Whether requests to the path are signed. They take no token, and their own tests read their bodies.
pub(crate) fn is_signed(path: &str) -> bool {
    path.starts_with("/apps/") || path.starts_with("/webhook")
}

/// The consumer of a [`Fixture`].
const CONSUMER: &str = "jobs";

/// A map with a webhook, an ingest source and a consumer, to fill in the variables of paths.
pub(crate) struct Fixture {
    pub(crate) map: Map,
    webhook: String,
    /// An ingest source that takes whatever is sent.
    source: String,
}

impl Fixture {
    pub(crate) fn new(c: &Cluster, slug: &str) -> Result<Self> {
        let map = c.map(slug)?;
        let hook = json!({"url": format!("http://127.0.0.1:9/{slug}"), "active": false});
        let made = c.api(0, &map).post(&format!("/api/maps/{}/webhooks", map.id), &hook)?.data(201)?;
        let source = json!({"authentication": "none"});
        let source = c.api(0, &map).post(&format!("/api/maps/{}/ingest", map.id), &source)?.data(201)?;
        let jobs = json!({"name": CONSUMER});
        c.api(0, &map).post(&format!("/api/maps/{}/consumers", map.id), &jobs)?.expect(201)?;
        Ok(Self { webhook: text(&made, "id")?, source: text(&source, "id")?, map })
    }

    pub(crate) fn fill(&self, path: &str) -> String {
        let named = [("{map}", &*self.map.id), ("{webhook}", &*self.webhook), ("{id}", &*self.webhook)];
        let path = named.iter().fold(path.to_owned(), |path, (name, value)| path.replace(name, value));
        path.replace("{token}", "00000000-0000-4000-8000-000000000000")
            .replace("{connection}", "1-00000000000000")
            .replace("{source}", &self.source)
            .replace("{consumer}", CONSUMER)
            .replace("{event}", "01JY97R74N0000000000070000")
            .replace("{replay}", "1")
            .replace("{operation}", "snapshot")
            .replace("{session}", "3")
            .replace("{game}", "1")
            .replace("{app}", "1")
            .replace("{key}", "no-such-key")
            .replace("{channel}", "news")
            .replace("{user}", "7")
            .replace("{path:.*}", "a/b")
            .replace("{path}", "api")
            .replace("{policy}", "none")
    }

    /// Returns the token that may call the path: a map's token opens no path of the cluster and none of all
    /// maps.
    pub(crate) fn token(&self, path: &str) -> &str {
        let of_cluster =
            ["/api/cluster", "/api/admin-tokens", "/api/audit"].iter().any(|of| path.starts_with(of));
        let admin = path == "/api/maps" || of_cluster || path == "/api/maps/{map}";
        if admin { ADMIN } else { &self.map.token }
    }
}

/// Sends a head and a body unchanged; returns the status and the text of the answer, as far as it came within
/// `wait`.
fn raw(c: &Cluster, head: &[u8], body: &str, wait: Duration) -> Result<(u16, String)> {
    let upgrades = String::from_utf8_lossy(head).contains("Connection: Upgrade");
    let close = if upgrades { "" } else { "Connection: close\r\n" };
    let end = format!("Content-Length: {}\r\n{close}\r\n{body}", body.len());
    // A stream never ends; what came within `wait` is enough.
    let (answer, _) = testkit::http::raw(c.nodes[0].http, &[head, end.as_bytes()].concat(), wait)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.with_context(|| format!("no answer: {answer:?}"))?, answer))
}

pub(crate) fn call(
    c: &Cluster,
    method: &str,
    path: &str,
    token: &str,
    more: &str,
    body: &str,
) -> Result<(u16, String)> {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{more}");
    raw(c, head.as_bytes(), body, LIMIT)
}

/// Checks for a 400 whose text contains all of `expected`.
fn refused(what: &str, (status, answer): &(u16, String), expected: &[&str]) -> Result<()> {
    ensure!(*status == 400, "{what}: {answer}");
    ensure!(
        expected.iter().all(|expected| answer.contains(expected)),
        "{what}: not {expected:?} in {answer}"
    );
    Ok(())
}

/// phoenix.js reads the status of a long poll in the body: a refusal says 403 there, and only there.
fn check_long_poll_status(path: &str, answer: &str) -> Result<()> {
    let has_status = answer.contains(r#""status":403"#);
    ensure!(has_status == path.starts_with("/socket/events/longpoll"), "{path}: {answer}");
    Ok(())
}

fn unknown_names(c: &Cluster) -> Result<()> {
    let fixture = Fixture::new(c, "unknown-names")?;
    let all = operations();
    ensure!(all.len() > 45, "{all:?}");
    // Links to pages may carry anything: see tests/it/api_documents.rs.
    let pages: Vec<String> =
        waypost::edge::takes().filter(|takes| takes.any).map(|takes| takes.path.replace(":.*", "")).collect();
    let is_page = |path: &String| pages.contains(path);
    for (method, path) in all.into_iter().filter(|(_, path)| !is_page(path)) {
        let target = format!("{}?zzz=1", fixture.fill(&path));
        let answer = call(c, &method, &target, fixture.token(&path), "", "")?;
        refused(&format!("{method} {target}"), &answer, &["invalid_query", "zzz is not a parameter"])?;
        check_long_poll_status(&target, &answer.1)?;
    }
    // An unknown path and an unsupported method have their own statuses.
    ensure!(call(c, "GET", "/api/nothing?zzz=1", ADMIN, "", "")?.0 == 404);
    ensure!(call(c, "PUT", "/api/maps", ADMIN, "", "")?.0 == 405);
    Ok(())
}

fn misspelt_names(c: &Cluster) -> Result<()> {
    let fixture = Fixture::new(c, "misspelt")?;
    let mut routes = 0;
    for takes in waypost::edge::takes() {
        let path = fixture.fill(takes.path);
        for name in takes.names {
            let wrong = format!("{name}x");
            let expected = format!("{wrong} is not a parameter that is known here; did you mean {name}?");
            let answer =
                call(c, takes.method, &format!("{path}?{wrong}=1"), fixture.token(takes.path), "", "")?;
            refused(&format!("{} {path}", takes.method), &answer, &["invalid_query", &expected])?;
            let twice = call(
                c,
                takes.method,
                &format!("{path}?{name}=1&{name}=1"),
                fixture.token(takes.path),
                "",
                "",
            )?;
            if takes.many.contains(name) {
                ensure!(!twice.1.contains("invalid_query"), "{name}: {}", twice.1);
            } else {
                refused(name, &twice, &["invalid_query", "twice"])?;
            }
        }
        // The reference must document every name that the route takes.
        let block = OPENAPI.split(&format!("\n  {}:\n", takes.path.replace("{id}", "{webhook}"))).nth(1);
        let block = block.and_then(|rest| rest.split("\n  /").next()).unwrap_or_default();
        let unsaid = ["token"];
        let documented = |name: &&str| {
            let by_name = [format!("name: {name}, in: query"), format!("parameters/{name}\""), own_map(name)];
            unsaid.contains(name) || by_name.iter().any(|text| block.contains(text.as_str()))
        };
        let missing: Vec<_> = takes.names.iter().filter(|name| !documented(name)).collect();
        ensure!(
            ["/socket", "/app/"].iter().any(|socket| takes.path.starts_with(socket)) || missing.is_empty(),
            "{takes:?}: openapi.yaml lacks {missing:?}"
        );
        routes += 1;
    }
    ensure!(routes > 15, "{routes}");
    Ok(())
}

/// Returns how the reference names the map in a query, which differs from the map in a path.
fn own_map(name: &str) -> String {
    if name == "map" { "parameters/own\"".to_owned() } else { "no such thing".to_owned() }
}

fn unknown_members(c: &Cluster) -> Result<()> {
    let fixture = Fixture::new(c, "unknown-members")?;
    let changes = operations().into_iter().filter(|(method, path)| method != "GET" && !is_signed(path));
    for (method, path) in changes.filter(|(_, path)| !path.contains("longpoll")) {
        let target = fixture.fill(&path);
        let body = if path.ends_with("channel-rules") { r#"[{"zzz":1}]"# } else { r#"{"zzz":1}"# };
        // Pages of other sites cannot send this without asking first, so signing in needs it.
        let json = "Content-Type: application/json\r\n";
        let answer = call(c, &method, &target, fixture.token(&path), json, body)?;
        refused(&format!("{method} {target}"), &answer, &["zzz"])?;
    }
    // Nothing was deleted.
    c.api(0, &fixture.map).get(&fixture.fill("/api/maps/{map}/webhooks/{webhook}"))?.expect(200).map(drop)
}

fn misspelt_members(c: &Cluster) -> Result<()> {
    let fixture = Fixture::new(c, "members")?;
    let table = [
        ("POST", "/api/maps", r#"{"slugg":"a"}"#, "did you mean slug?"),
        (
            "POST",
            "/api/maps",
            r#"{"limits":{"connexions":1}}"#,
            "limits.connexions is not a known field; did you mean connections?",
        ),
        ("POST", "/api/maps", r#"{"retention":{"age":1}}"#, "retention.age"),
        ("POST", "/api/maps", r#"{"slug":"a","slug":"b"}"#, "slug: is given twice"),
        ("PATCH", "/api/maps/{map}", r#"{"nam":"a"}"#, "did you mean name?"),
        ("POST", "/api/maps/{map}/tokens", r#"{"scope":["publish"]}"#, "did you mean scopes?"),
        ("POST", "/api/maps/{map}/tokens", r#"{"name":"a"}"#, "scopes: is required"),
        ("POST", "/api/maps/{map}/events", r#"{"type":"x","paylod":1}"#, "did you mean payload?"),
        ("POST", "/api/maps/{map}/events", r#"{"events":[{"typ":"x","payload":1}]}"#, "did you mean type?"),
        ("POST", "/api/cluster/{operation}", r#"{"nod":1}"#, "did you mean node?"),
        ("POST", "/api/maps/{map}/webhooks/{webhook}/enable", r#"{"form":"skip"}"#, "did you mean from?"),
    ];
    for (method, path, body, expected) in table {
        let expected = expected.replace("limits.connexions is", "limits.connexions: is");
        let answer = call(c, method, &fixture.fill(path), fixture.token(path), "", body)?;
        refused(body, &answer, &[&expected])?;
    }
    Ok(())
}

fn headers(c: &Cluster) -> Result<()> {
    let fixture = Fixture::new(c, "headers")?;
    let events = fixture.map.events();
    let token = &fixture.map.token;
    let body = r#"{"type":"x","payload":1}"#;
    let twice = [
        "Idempotency-Key: a\r\nIdempotency-Key: b\r\n",
        "Idempotency-Key: a\r\nidempotency-key: a\r\n",
        "Content-Type: application/json\r\nContent-Type: application/x-ndjson\r\n",
        "Authorization: Bearer another\r\n",
        "Origin: https://good.example\r\nOrigin: https://evil.example\r\n",
    ];
    for more in twice {
        refused(more, &call(c, "POST", &events, token, more, body)?, &["invalid_header", "twice"])?;
    }
    for name in once() {
        let mut head = format!("POST {events} HTTP/1.1\r\nHost: x\r\n{name}: ").into_bytes();
        head.extend_from_slice(b"a\xff\r\n");
        refused(name, &raw(c, &head, body, LIMIT)?, &["invalid_header", name])?;
    }
    let stored = c.api(0, &fixture.map).get(&events)?.data(200)?;
    ensure!(stored == json!([]), "something was stored: {stored}");
    Ok(())
}

/// Only listed origins may connect, and an unreadable origin is not listed.
fn origins(c: &Cluster) -> Result<()> {
    let fixture = Fixture::new(c, "origins")?;
    let stream = format!("{}/stream", fixture.map.events());
    let token = &fixture.map.token;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let websocket = format!("{}&_csrf_token=x", testkit::phoenix::path(token));
    let longpoll = format!("/socket/events/longpoll?vsn=2.0.0&token={token}");
    for (path, more) in [(&stream, ""), (&websocket, upgrade), (&longpoll, "")] {
        let asked = |origin: &[u8], wait| {
            let head =
                format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{more}Origin: ");
            raw(c, &[head.as_bytes(), origin, b"\r\n"].concat(), "", wait)
        };
        for unreadable in [&b"https://good.example\xff"[..], "https://évil.example".as_bytes()] {
            let answer = asked(unreadable, LIMIT)?;
            refused(path, &answer, &["invalid_header", "origin"])?;
            check_long_poll_status(path, &answer.1)?;
        }
        let (status, answer) = asked(b"https://evil.example", LIMIT)?;
        ensure!(status == 403 || answer.contains(r#""status":403"#), "{path}: {answer}");
        let (status, answer) = asked(GOOD_ORIGIN.as_bytes(), Duration::from_secs(2))?;
        ensure!(matches!(status, 101 | 200) && !answer.contains(r#""status":403"#), "{path}: {answer}");
    }
    Ok(())
}

/// Opens a stream; returns the answer up to `expected`.
fn streamed(c: &Cluster, map: &Map, query: &str, headers: &[(&str, &str)], expected: &str) -> Result<String> {
    let path = format!("{}/stream{query}", map.events());
    let mut stream = Stream::get(c.nodes[0].http, &path, Some(&map.token), headers)?;
    stream.until(expected)?;
    Ok(stream.body().into_owned())
}

fn starts(c: &Cluster) -> Result<()> {
    let map = c.map("starts")?;
    let ids = (0..3)
        .map(|n| text(&publish(c, 0, &map, "x", json!({"n": n}))?, "id"))
        .collect::<Result<Vec<_>>>()?;
    let after = [
        (format!("?last_event_id={}", ids[0]), None),
        // An empty header counts as absent and does not replace the parameter.
        (format!("?last_event_id={}", ids[0]), Some("")),
        (format!("?last_event_id={}", ids[0]), Some(" ")),
        (String::new(), Some(ids[0].as_str())),
        // The header of a reconnecting browser is newer than the parameter in its page's URL.
        (format!("?last_event_id={}", ids[2]), Some(ids[0].as_str())),
        (format!("?last_event_id={}&lastEventId={}", ids[2], ids[0]), None),
    ];
    for (query, last) in after {
        let headers = last.map(|id| ("Last-Event-ID", id));
        let came = streamed(c, &map, &query, headers.as_slice(), &format!("id: {}", ids[2]))?;
        let event = |id: &str| came.contains(&format!("data: {{\"id\":\"{id}\""));
        ensure!(event(&ids[1]) && !event(&ids[0]), "{came}");
    }
    let stream = format!("{}/stream", map.events());
    for (query, headers, expected) in [
        ("?last_event_id=", "", "invalid_last_event_id"),
        ("?last_event_id=x", "", "invalid_last_event_id"),
        ("", "Last-Event-ID: x\r\n", "invalid_last_event_id"),
        ("?since=x", "", "invalid_since"),
        ("?backfill=-1", "", "invalid_backfill"),
        ("?lastEventID=x", "", "did you mean lastEventId?"),
        ("?evnts=a", "", "did you mean events?"),
    ] {
        refused(query, &call(c, "GET", &format!("{stream}{query}"), &map.token, headers, "")?, &[expected])?;
    }
    Ok(())
}

fn joins(c: &Cluster) -> Result<()> {
    let map = c.map("joins")?;
    let mut socket = Socket::connect(c.nodes[0].http, &map.token)?;
    for (params, expected) in [
        (json!({"evnts": ["a"]}), "did you mean events?"),
        (json!({"events": "*", "lastEventId": "x"}), "did you mean last_event_id?"),
        (json!({"zzz": 1}), "zzz is not a parameter"),
    ] {
        let (_, reply) = socket.join(&map.topic(), params)?;
        let message = reply.payload["response"]["message"].as_str().unwrap_or_default();
        ensure!(reply.reason() == "invalid params" && message.contains(expected), "{reply:?}");
    }
    for params in [Value::Null, json!({}), json!({"events": "*"}), json!({"events": ["a"], "backfill": 3})] {
        c.joined(0, &map, params)?;
    }
    Ok(())
}

/// A preflight has the URL of the request that follows, with its query; and a page can read why its request
/// was refused.
fn preflights(c: &Cluster) -> Result<()> {
    let map = c.map("preflights")?;
    let asks = format!("Origin: {GOOD_ORIGIN}\r\nAccess-Control-Request-Method: GET\r\n");
    for path in [format!("{}?since=x&limit=1", map.events()), format!("{}/stream?events=a", map.events())] {
        let (status, answer) = call(c, "OPTIONS", &path, &map.token, &asks, "")?;
        ensure!(status == 200 && answer.contains("access-control-allow-origin"), "{path}: {answer}");
    }
    let origin = format!("Origin: {GOOD_ORIGIN}\r\n");
    let answer = call(c, "GET", &format!("{}?sinc=x", map.events()), &map.token, &origin, "")?;
    refused("a page's request", &answer, &["access-control-allow-origin", "did you mean since?"])
}

/// Every header that a handler reads is checked by `edge::strict` first.
#[test]
fn headers_that_handlers_read_are_checked() {
    let mut read = BTreeSet::new();
    for path in rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/edge")) {
        let text = std::fs::read_to_string(&path).unwrap();
        // Tests read the headers of answers.
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for call in ["headers().get(", "headers().get_all("] {
            let names = code.split(call).skip(1).filter_map(|rest| rest.split(')').next());
            read.extend(names.map(|name| name.trim_matches('"').to_ascii_lowercase().replace('_', "-")));
        }
    }
    assert!(read.contains("authorization") && read.contains("origin") && read.len() > 5, "{read:?}");
    let is_known = |name: &&String| once().iter().chain(&LISTS).chain(&OPTIONAL).any(|known| known == *name);
    let unchecked: Vec<_> = read.iter().filter(|name| !is_known(name)).collect();
    assert!(unchecked.is_empty(), "edge::strict does not check {unchecked:?}");
}
