//! The signed HTTP API of the Pusher protocol: signatures, bodies, and what a published event becomes.

use crate::pusher_support::{App, Socket, set_rules};
use crate::support::{checked, nodes, scenario};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use testkit::Cluster;
use testkit::cluster::Map;
use testkit::http::{Answer, Api, text};
use testkit::phoenix::Socket as Channels;
use testkit::receiver::now_ms;

/// The most bytes of an event's data in these tests.
const MAX_DATA: usize = 1000;

#[test]
fn the_signed_api_keeps_to_its_documentation() {
    let options = nodes(1)
        .set("WAYPOST_PUSHER_EVENT_BYTES", MAX_DATA)
        .set("WAYPOST_LIMITS_AUTH_FAILURES_PER_MINUTE", 0);
    checked(
        options,
        &[
            ("a signature covers the method, the path and the query", signatures),
            ("a signature covers the body", signed_bodies),
            ("a request is good for ten minutes", times),
            ("a foreign key looks like an unknown one", foreign_keys),
            ("credentials are replaced while both work", rotation),
            ("nothing of an unsigned body is read", unread_bodies),
            ("a connection takes one request after the other", keep_alive),
            ("bodies that make no sense", bodies),
            ("data over the limit", too_large),
            ("data reaches clients byte for byte", data),
            ("data that parses reaches others parsed", parsed),
            ("the named socket does not get the event", exclusion),
            ("a batch is in order", batch),
            ("durable channels are stored", durable),
            ("the map's own subject", own_subject),
        ],
    );
}

/// A map with credentials.
pub(crate) fn app(c: &Cluster, slug: &str) -> Result<(Map, App)> {
    let map = c.map(slug)?;
    let app = App::of(c, &map)?;
    Ok((map, app))
}

/// Checks that a request was refused with that status and code.
pub(crate) fn refused(what: &str, answer: &Answer, status: u16, code: &str) -> Result<()> {
    ensure!(answer.status == status && answer.code() == code, "{what}: {} {}", answer.status, answer.text());
    Ok(())
}

fn get(c: &Cluster, target: &str) -> Result<Answer> {
    Api::new(&c.nodes[0].url(), None).get(target)
}

/// The parameters with another value of one of them.
fn with(params: &[(String, String)], name: &str, value: &str) -> Vec<(String, String)> {
    let changed = |(known, old): &(String, String)| {
        (known.clone(), if known == name { value.to_owned() } else { old.clone() })
    };
    params.iter().map(changed).collect()
}

fn signatures(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "signatures")?;
    let path = app.path("channels");
    let good = app.params(&[("info", "subscription_count")], None);
    get(c, &app.target("GET", &path, &good))?.expect(200)?;
    // Capital digits are digits.
    let target = app.target("GET", &path, &good);
    let (start, signature) = target.rsplit_once('=').context("no signature")?;
    get(c, &format!("{start}={}", signature.to_uppercase()))?.expect(200)?;
    // Each part is needed.
    for name in ["auth_key", "auth_timestamp", "auth_version"] {
        let fewer: Vec<_> = good.iter().filter(|(other, _)| other != name).cloned().collect();
        refused(name, &get(c, &app.target("GET", &path, &fewer))?, 401, "signature_missing")?;
    }
    refused("no signature", &get(c, &path)?, 401, "signature_missing")?;
    refused("half", &get(c, &target[..target.len() - 32])?, 401, "invalid_signature")?;
    // Another method, path, query or secret was signed.
    let posted = app.target("POST", &path, &good);
    refused("another method", &get(c, &posted)?, 401, "invalid_signature")?;
    let elsewhere = target.replace("/channels?", "/channels/news?");
    refused("another path", &get(c, &elsewhere)?, 401, "invalid_signature")?;
    let more = format!("{target}&filter_by_prefix=presence-");
    refused("another query", &get(c, &more)?, 401, "invalid_signature")?;
    let other = App { secret: "another".to_owned(), ..app.clone() };
    let answer = get(c, &other.target("GET", &path, &good))?;
    refused("another secret", &answer, 401, "invalid_signature")?;
    // The answer says what is to be signed and compared, and no secret.
    ensure!(answer.text().contains("auth_version=1.0"), "{}", answer.text());
    ensure!(answer.text().contains("compare the back end's secret"), "{}", answer.text());
    ensure!(!answer.text().contains(&app.secret), "the answer has the secret");
    let version = with(&good, "auth_version", "2.0");
    refused("another version", &get(c, &app.target("GET", &path, &version))?, 401, "signature_version")?;
    // The method comes before the query, signed or not.
    let events = app.path("events");
    let wrong = get(c, &app.target("GET", &events, &app.params(&[], None)))?;
    refused("a wrong method", &wrong, 405, "method_not_allowed")?;
    ensure!(wrong.header("allow") == Some("POST, OPTIONS"), "{:?}", wrong.header("allow"));
    refused(
        "a path that is not there",
        &get(c, &app.target("GET", &app.path("event"), &good))?,
        404,
        "not_found",
    )?;
    // A client may sign a path before it escapes it.
    let plain = app.target("GET", &app.path("channels/a@b"), &good);
    get(c, &plain.replace("a@b", "a%40b"))?.expect(200).map(drop)
}

fn signed_bodies(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "signed-bodies")?;
    let path = app.path("events");
    let body = r#"{"name":"n","channel":"c","data":"d"}"#;
    let api = Api::new(&c.nodes[0].url(), None);
    let target = app.target("POST", &path, &app.params(&[], Some(body)));
    refused("another body", &api.send(&target, b"{}")?, 401, "body_changed")?;
    refused("no body", &api.send(&target, b"")?, 401, "body_changed")?;
    api.send(&target, body.as_bytes())?.expect(200)?;
    let unsigned = app.target("POST", &path, &app.params(&[], None));
    refused("no body_md5", &api.send(&unsigned, body.as_bytes())?, 401, "signature_missing")?;
    // PyPI pusher signs a GET with the hash of no body.
    let list = app.path("channels");
    get(c, &app.target("GET", &list, &app.params(&[], Some(""))))?.expect(200)?;
    let other = get(c, &app.target("GET", &list, &app.params(&[], Some("x"))))?;
    refused("a body that a GET does not have", &other, 401, "body_changed")
}

fn times(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "times")?;
    let path = app.path("channels");
    let now = now_ms() / 1000;
    let at = |time: String| {
        let params = with(&app.params(&[], None), "auth_timestamp", &time);
        get(c, &app.target("GET", &path, &params))
    };
    for good in [now - 500, now + 500] {
        at(good.to_string())?.expect(200)?;
    }
    for late in [now - 700, now + 700, 0] {
        refused("expired", &at(late.to_string())?, 401, "timestamp_expired")?;
    }
    let milliseconds = at((now * 1000).to_string())?;
    refused("in milliseconds", &milliseconds, 401, "timestamp_expired")?;
    ensure!(milliseconds.text().contains("not milliseconds"), "{}", milliseconds.text());
    for wrong in ["soon", "-1", "1.5"] {
        refused(wrong, &at(wrong.to_owned())?, 401, "invalid_timestamp")?;
    }
    Ok(())
}

fn foreign_keys(c: &Cluster) -> Result<()> {
    let (_, mine) = app(c, "mine")?;
    let (_, foreign) = app(c, "foreign")?;
    let unknown = App { key: "nobodys".to_owned(), ..mine.clone() };
    let asked = |app: &App, id: &str| {
        let path = format!("/apps/{id}/channels");
        get(c, &app.target("GET", &path, &app.params(&[], None)))
    };
    let answers = [asked(&foreign, &mine.id)?, asked(&unknown, &mine.id)?, asked(&mine, "0")?];
    for answer in &answers {
        refused("an unknown key", answer, 401, "unknown_key")?;
        ensure!(answer.text() == answers[0].text(), "{} {}", answer.text(), answers[0].text());
    }
    asked(&mine, &mine.id)?.expect(200).map(drop)
}

fn rotation(c: &Cluster) -> Result<()> {
    let (map, old) = app(c, "rotation")?;
    let new = App::with(c, &map, &json!({"app_id": old.id}))?;
    ensure!(new.id == old.id && new.key != old.key && new.secret != old.secret, "{new:?}");
    for app in [&old, &new] {
        app.get(c, 0, "channels", &[])?.expect(200)?;
    }
    c.api(0, &map).delete(&format!("/api/maps/{}/pusher/{}", map.id, old.key))?.expect(204)?;
    refused("a deleted key", &old.get(c, 0, "channels", &[])?, 401, "unknown_key")?;
    new.get(c, 0, "channels", &[])?.expect(200).map(drop)
}

/// The head of a request with a body of that many bytes.
fn head(target: &str, bytes: usize) -> String {
    let kind = "Content-Type: application/json";
    format!("POST {target} HTTP/1.1\r\nHost: x\r\n{kind}\r\nContent-Length: {bytes}\r\n\r\n")
}

fn unread_bodies(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "unread")?;
    let wrong = App { secret: "another".to_owned(), ..app.clone() };
    let target = wrong.target("POST", &app.path("events"), &app.params(&[], Some("{}")));
    let head = head(&target, 1_000_000);
    // The body never comes, and the answer comes all the same.
    let (answer, _) = testkit::http::raw(c.nodes[0].http, head.as_bytes(), Duration::from_secs(10))?;
    ensure!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("invalid_signature"), "{answer}");
    Ok(())
}

fn keep_alive(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "keep-alive")?;
    let body = r#"{"name":"n","channel":"c","data":"d"}"#;
    let mut stream = TcpStream::connect(c.nodes[0].http)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    for _ in 0..3 {
        let target = app.target("POST", &app.path("events"), &app.params(&[], Some(body)));
        stream.write_all(format!("{}{body}", head(&target, body.len())).as_bytes())?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n{}") {
            let mut byte = [0];
            stream.read_exact(&mut byte).with_context(|| String::from_utf8_lossy(&answer).into_owned())?;
            answer.push(byte[0]);
        }
        let answer = String::from_utf8_lossy(&answer).to_lowercase();
        ensure!(answer.starts_with("http/1.1 200 ") && !answer.contains("connection: close"), "{answer}");
    }
    Ok(())
}

fn bodies(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "bodies")?;
    let many: Vec<String> = (0..101).map(|n| format!("c{n}")).collect();
    let event = json!({"name": "n", "channel": "c", "data": "d"});
    for (path, body, field) in [
        ("events", json!({"name": "n", "data": "d"}), "channels"),
        ("events", json!({"name": "n", "data": "d", "channels": many}), "channels"),
        ("events", json!({"name": "n", "data": "d", "channel": "a b"}), "channel"),
        ("events", json!({"name": "n", "data": "d", "channel": "x".repeat(201)}), "channel"),
        ("events", json!({"name": "x".repeat(201), "data": "d", "channel": "c"}), "name"),
        ("events", json!({"name": "pusher:pong", "data": "d", "channel": "c"}), "name"),
        ("events", json!({"name": "n", "channel": "c"}), "data"),
        ("events", json!({"name": "n", "data": "d", "channel": "c", "socket_id": "1"}), "socket_id"),
        ("events", json!({"name": "n", "data": "d", "channel": "c", "info": "members"}), "info"),
        ("events", json!({"name": "n", "data": "d", "channel": "c", "chanel": "c"}), "chanel"),
        ("batch_events", json!({"batch": []}), "batch"),
        ("batch_events", json!({"batch": vec![event.clone(); 11]}), "batch"),
        ("batch_events", json!({"batch": [event, {"name": "n", "data": "d"}]}), "batch.1.channel"),
        ("users/7/terminate_connections", json!({"user": "7"}), "user"),
    ] {
        let answer = app.post(c, 0, path, &body)?;
        refused(&format!("{path} {body}"), &answer, 400, "invalid_body")?;
        ensure!(answer.json()?["errors"][0]["field"] == field, "{field}: {}", answer.text());
    }
    let long = format!("users/{}/terminate_connections", "u".repeat(129));
    refused("an id that no user has", &app.post(c, 0, &long, &json!({}))?, 400, "invalid_user")?;
    refused("no JSON", &app.send(c, 0, "events", "{")?, 400, "invalid_body")?;
    let body = "name=n";
    let target = app.target("POST", &app.path("events"), &app.params(&[], Some(body)));
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let answer = Api::new(&c.nodes[0].url(), None).call("POST", &target, &headers, Some(body.as_bytes()))?;
    refused("a form", &answer, 415, "unsupported_media_type")
}

fn too_large(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "too-large")?;
    let event = |bytes| json!({"name": "n", "channel": "c", "data": "x".repeat(bytes)});
    app.post(c, 0, "events", &event(MAX_DATA))?.expect(200)?;
    refused("one", &app.post(c, 0, "events", &event(MAX_DATA + 1))?, 413, "too_large")?;
    let batch = json!({"batch": [event(1), event(MAX_DATA + 1)]});
    let answer = app.post(c, 0, "batch_events", &batch)?;
    refused("a batch", &answer, 413, "too_large")?;
    ensure!(answer.json()?["index"] == 1, "{}", answer.text());
    Ok(())
}

fn data(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "data")?;
    let mut socket = Socket::connect(c, 0, &app)?;
    socket.subscribe("data")?;
    let texts =
        [r#"{"a":1}"#, " {\"b\" : 1.0 } ", "plain", "\"quoted\"", "[1, 2]", "null", "", "\u{1F600}\n\u{1}"];
    for text in texts {
        app.publish(c, 0, "data", "n", text)?;
        let frame = socket.event("data")?;
        ensure!(frame["event"] == "n" && frame["data"] == text, "{text:?}: {frame}");
    }
    // Other servers also take JSON that is no string.
    app.send(c, 0, "events", r#"{"name":"n","channel":"data","data":{ "c" : [1.0] }}"#)?.expect(200)?;
    let frame = socket.event("data")?;
    ensure!(frame["data"] == r#"{ "c" : [1.0] }"#, "{frame}");
    Ok(())
}

fn parsed(c: &Cluster) -> Result<()> {
    let (map, app) = app(c, "parsed")?;
    let mut socket = Channels::connect(c.nodes[0].http, &map.token)?;
    socket.join_ok(&map.topic(), json!({"subjects": ["news"]}))?;
    for (text, payload) in [(r#"{"a" : 1.0}"#, json!({"a": 1})), ("plain", json!("plain"))] {
        app.publish(c, 0, "news", "n", text)?;
        let envelope = socket.events(1)?.remove(0);
        ensure!(envelope["payload"] == payload, "{text}: {envelope}");
    }
    Ok(())
}

fn exclusion(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "exclusion")?;
    let mut sender = Socket::connect(c, 0, &app)?;
    let mut other = Socket::connect(c, 0, &app)?;
    sender.subscribe("chat")?;
    other.subscribe("chat")?;
    let event = json!({"name": "said", "channel": "chat", "data": "1", "socket_id": sender.id});
    app.post(c, 0, "events", &event)?.expect(200)?;
    app.publish(c, 0, "chat", "said", "2")?;
    ensure!(sender.event("chat")?["data"] == "2", "the sender got its own event");
    for expected in ["1", "2"] {
        let frame = other.event("chat")?;
        ensure!(frame["data"] == expected && frame.get("user_id").is_none(), "{frame}");
    }
    Ok(())
}

fn batch(c: &Cluster) -> Result<()> {
    let (_, app) = app(c, "batch")?;
    let mut socket = Socket::connect(c, 0, &app)?;
    socket.subscribe("batch")?;
    let event = |n: usize| json!({"name": "n", "channel": "batch", "data": n.to_string()});
    let batch: Vec<Value> = (0..10).map(event).collect();
    let answer = app.post(c, 0, "batch_events", &json!({"batch": batch}))?.expect(200)?.json()?;
    ensure!(answer == json!({}), "{answer}");
    for n in 0..10 {
        let frame = socket.event("batch")?;
        ensure!(frame["data"].as_str() == Some(&*n.to_string()), "{n}: {frame}");
    }
    Ok(())
}

/// The stored events of a map's own subject, or of those that `more` asks for.
fn stored(c: &Cluster, map: &Map, more: &str) -> Result<Vec<Value>> {
    let path = format!("{}?since=2000-01-01T00:00:00Z{more}", map.events());
    let data = c.api(0, map).get(&path)?.data(200)?;
    data.as_array().cloned().context("no list")
}

fn durable(c: &Cluster) -> Result<()> {
    let (map, app) = app(c, "durable")?;
    let rules = json!([
        {"match": "orders-*", "durability": "durable"},
        {"match": "*", "durability": "ephemeral"},
    ]);
    set_rules(c, &map, &rules)?;
    let mut socket = Socket::connect(c, 0, &app)?;
    socket.subscribe("orders-1")?;
    let event = json!({"name": "placed", "channels": ["orders-1", "orders-2", "live"], "data": "{\"n\": 1}"});
    app.post(c, 0, "events", &event)?.expect(200)?;
    let frame = socket.event("orders-1")?;
    ensure!(frame["data"] == "{\"n\": 1}", "{frame}");
    for subject in ["orders-1", "orders-2"] {
        let events = stored(c, &map, &format!("&subjects={subject}"))?;
        ensure!(events.len() == 1 && events[0]["payload"] == json!({"n": 1}), "{subject}: {events:?}");
        ensure!(events[0]["type"] == "placed", "{events:?}");
    }
    let events = stored(c, &map, "&subjects=orders-1")?;
    ensure!(frame["id"] == events[0]["id"] && frame["seq"] == events[0]["seq"], "{frame} {events:?}");
    Ok(())
}

fn own_subject(c: &Cluster) -> Result<()> {
    let (map, app) = app(c, "own-subject")?;
    let channel = format!("private-map-{}", map.id);
    let mut socket = Socket::connect(c, 0, &app)?;
    socket.subscribe(&channel)?;
    app.publish(c, 0, &channel, "placed", "7")?;
    let frame = socket.event(&channel)?;
    let events = stored(c, &map, "")?;
    ensure!(events.len() == 1 && events[0]["payload"] == 7, "{events:?}");
    ensure!(frame["id"].as_str() == Some(&text(&events[0], "id")?), "{frame}");
    Ok(())
}

/// Whoever guesses secrets is held up; the back end behind the same address is not.
#[test]
fn wrong_signatures_are_counted() {
    scenario(nodes(1).set("WAYPOST_LIMITS_AUTH_FAILURES_PER_MINUTE", 3), |c| {
        let (_, app) = app(c, "guesses")?;
        let wrong = App { secret: "guessed".to_owned(), ..app.clone() };
        for _ in 0..3 {
            refused("a guess", &wrong.get(c, 0, "channels", &[])?, 401, "invalid_signature")?;
        }
        refused("one more", &wrong.get(c, 0, "channels", &[])?, 429, "too_many_failures")?;
        app.get(c, 0, "channels", &[])?.expect(200).map(drop)
    });
}
