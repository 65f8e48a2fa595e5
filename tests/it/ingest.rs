//! Ingest sources on three nodes: what senders are answered, how each of them proves itself, what its events
//! become, who may manage and listen, and that no event of an acknowledged request is lost or comes twice.

use crate::support::{nodes, printed, python, scenario, waypost};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;
use testkit::Cluster;
use testkit::clients::Js;
use testkit::cluster::Map;
use testkit::http::{Answer, Api, text};
use testkit::receiver::now_ms;
use testkit::stream::Stream;
use waypost::core::ingest::{Authentication, signed_headers};

/// Where the addresses of sources begin, as Twilio signs them.
const PUBLIC: &str = "https://events.example.com";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const JSON: (&str, &str) = ("content-type", "application/json");
/// How long to wait for an event.
const LIMIT: Duration = Duration::from_secs(60);

/// A source of a map.
struct Source {
    id: String,
    path: String,
}

fn create(c: &Cluster, map: &Map, body: &Value) -> Result<Source> {
    let made = c.api(0, map).post(&map.path("/ingest"), body)?.data(201)?;
    let id = text(&made, "id")?;
    ensure!(text(&made, "url")?.ends_with(&format!("/webhooks/{id}")), "{made}");
    // Every node knows the source from its first request on.
    Ok(Source { path: format!("/webhooks/{id}"), id })
}

/// Posts to a source through a node, without a token.
fn post(c: &Cluster, node: usize, path: &str, headers: &[(&str, &str)], body: &str) -> Result<Answer> {
    Api::new(&c.nodes[node].url(), None).patient().call("POST", path, headers, Some(body.as_bytes()))
}

fn refused(what: &str, answer: &Answer, status: u16, code: &str) -> Result<()> {
    ensure!(answer.status == status && answer.code() == code, "{what}: {} {}", answer.status, answer.text());
    Ok(())
}

/// All stored events of a map.
fn stored(c: &Cluster, map: &Map) -> Result<Vec<Value>> {
    // Requests went to any node.
    c.wait_same_applied()?;
    let page = c.api(0, map).get(&format!("{}?limit=1000&subjects=*", map.events()))?.data(200)?;
    Ok(page.as_array().cloned().unwrap_or_default())
}

#[test]
fn senders_prove_themselves_and_their_events_are_stored_once() {
    let options = nodes(3).set("WAYPOST_HTTP_PUBLIC_URL", PUBLIC).set("WAYPOST_LIMITS_EVENT_BYTES", 2000);
    scenario(options, |c| {
        the_seed(c).context("the seed's requests and codes")?;
        the_seeds_command(c).context("the seed's command")?;
        every_authentication(c).context("every authentication")?;
        slack_sdk(c).context("PyPI slack_sdk")?;
        other_services(c).context("mapping, schema and limits")?;
        managing(c).context("managing")?;
        command_line(c).context("the command line")?;
        listening(c).context("listening")
    });
}

/// The curl of the seed, and each status.
fn the_seed(c: &Cluster) -> Result<()> {
    let map = c.map("seed")?;
    let settings =
        json!({"name": "Game Server Events", "authentication": "api_key", "apiKey": "your-api-key"});
    let source = create(c, &map, &settings)?;
    let key = ("x-api-key", "your-api-key");
    let event = r#"{"event_type": "test", "user_id": "test_user"}"#;
    let answer = post(c, 1, &source.path, &[JSON, key], event)?.data(200)?;
    ensure!(answer["received"] == 1 && answer["ids"].as_array().map(Vec::len) == Some(1), "{answer}");
    // The other name of the address.
    post(c, 2, &format!("/webhook/{}", source.id), &[JSON, key], event)?.expect(200)?;
    let batch = r#"{"events":[{"event_type":"level_complete","user_id":"user_123"},
        {"event_type":"level_start","user_id":"user_123","timestamp":"2024-01-15T10:30:00Z","properties":{"level":2}}]}"#;
    let answer = post(c, 0, &source.path, &[JSON, key], batch)?.data(200)?;
    ensure!(answer["received"] == 2, "{answer}");
    let events = stored(c, &map)?;
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    ensure!(kinds == ["test", "test", "level_complete", "level_start"], "{kinds:?}");
    let expected =
        json!({"timestamp": "2024-01-15T10:30:00Z", "user_id": "user_123", "properties": {"level": 2}});
    ensure!(events[3]["payload"] == expected, "{}", events[3]);
    // A batch is all or nothing, and the answer names the bad event.
    let bad = r#"{"events":[{"event_type":"a"},{"event_type":"b"},{"event_typ":"c"}]}"#;
    let answer = post(c, 0, &source.path, &[JSON, key], bad)?;
    refused("a bad event", &answer, 400, "invalid_event")?;
    ensure!(answer.json()?["index"] == 2, "{}", answer.text());
    let large = json!({"event_type": "a", "properties": {"text": "x".repeat(3000)}}).to_string();
    for (what, headers, body, status, code) in [
        ("no JSON", vec![JSON, key], "{", 400, "invalid_json"),
        ("no key", vec![JSON], event, 401, "signature_missing"),
        ("another key", vec![JSON, ("x-api-key", "another-key")], event, 401, "invalid_key"),
        ("a key twice", vec![JSON, key, key], event, 401, "header_given_twice"),
        ("XML", vec![("content-type", "application/xml"), key], event, 415, "unsupported_media_type"),
        ("a coding", vec![JSON, key, ("content-encoding", "gzip")], event, 415, "unsupported_media_type"),
        ("a large event", vec![JSON, key], large.as_str(), 413, "too_large"),
    ] {
        refused(what, &post(c, 0, &source.path, &headers, body)?, status, code)?;
    }
    for unknown in ["/webhooks/wh_abc123", "/webhooks/wh_00000000000000000000000000000000"] {
        refused(unknown, &post(c, 0, unknown, &[JSON, key], event)?, 404, "not_found")?;
    }
    ensure!(stored(c, &map)?.len() == 4, "something refused was stored");
    let shown = c.api(2, &map).get(&map.path(&format!("/ingest/{}", source.id)))?.data(200)?;
    ensure!(shown["eventsReceived"] == 4 && shown["lastEventAt"].is_string(), "{shown}");
    Ok(())
}

/// The seed, "Testing", but for the host and the id of the address.
const CURL: &str = r#"curl -X POST https://api.gameinsights.io/webhooks/wh_abc123 \
  -H "Content-Type: application/json" \
  -H "X-API-Key: your-api-key" \
  -d '{"event_type": "test", "user_id": "test_user"}'"#;

/// The seed's command is run by a shell, with the right key and with another one, and over the other name of
/// the address.
fn the_seeds_command(c: &Cluster) -> Result<()> {
    let map = c.map("seeds-command")?;
    let settings =
        json!({"name": "Game Server Events", "authentication": "api_key", "apiKey": "your-api-key"});
    let source = create(c, &map, &settings)?;
    let printed_as = CURL.replace("https://api.gameinsights.io/webhooks/wh_abc123", &source_url(c, &source));
    let run = |command: &str| -> Result<Option<Value>> {
        let output = match Command::new("sh").args(["-c", command]).env("NO_PROXY", "*").output() {
            Ok(output) if output.status.code() != Some(127) => output,
            other => {
                println!("SKIPPED: the printed command, because it did not run: {other:?}");
                return Ok(None);
            }
        };
        ensure!(output.status.success(), "{command}: {}", printed(&output));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok(Some(serde_json::from_str(&said).context(said)?))
    };
    let Some(taken) = run(&printed_as)? else { return Ok(()) };
    ensure!(taken["data"]["received"] == 1, "{taken}");
    let other = run(&printed_as.replace("/webhooks/", "/webhook/"))?.context("it ran before")?;
    ensure!(other["data"]["received"] == 1, "{other}");
    let refused = run(&printed_as.replace("your-api-key", "another-key"))?.context("it ran before")?;
    ensure!(refused["error"] == "invalid_key", "{refused}");
    let events = stored(c, &map)?;
    ensure!(events.len() == 2 && events[0]["payload"]["user_id"] == "test_user", "{events:?}");
    ensure!(events.iter().all(|event| event["type"] == "test"), "{events:?}");
    Ok(())
}

fn source_url(c: &Cluster, source: &Source) -> String {
    format!("{}{}", c.nodes[1].url(), source.path)
}

/// The seed's 500. No request and no setting leads there, only a defect of the program, so one is planted.
#[test]
fn a_defect_of_the_server_is_answered_500_and_stores_nothing() {
    if !cfg!(feature = "failpoints") {
        println!("SKIPPED: no defect can be planted; run it with `cargo test --features failpoints`");
        return;
    }
    scenario(nodes(1).set("WAYPOST_FAILPOINT", "source-broken"), |c| {
        let map = c.map("broken")?;
        let source = create(c, &map, &json!({"authentication": "none"}))?;
        let answer = post(c, 0, &source.path, &[JSON], r#"{"event_type":"test"}"#)?;
        refused("a defect", &answer, 500, "internal")?;
        ensure!(stored(c, &map)?.is_empty(), "something was stored");
        Ok(())
    });
}

/// Each preset: good, another secret, a stale time, a changed body, a header twice, a replay at another node.
fn every_authentication(c: &Cluster) -> Result<()> {
    let map = c.map("presets")?;
    let mut accepted = 0;
    for (name, way) in Authentication::NAMES {
        if matches!(way, Authentication::Jwt | Authentication::None) {
            continue;
        }
        let mut settings = json!({"name": name, "authentication": name, "secretKey": SECRET});
        // One mapping for all of them, so that one body fits.
        settings["mapping"] = json!({"type": "sent", "payload": "${payload}"});
        let source = create(c, &map, &settings)?;
        let body = format!(r#"{{"from":"{name}"}}"#);
        let url = format!("{PUBLIC}{}", source.path);
        let send = |node: usize, secret: &str, at_ms: u64, sent: &str, delivery: &str| -> Result<Answer> {
            let signed = signed_headers(way, secret, (&url, body.as_bytes()), at_ms, delivery);
            let headers: Vec<(&str, &str)> =
                signed.iter().map(|(name, value)| (*name, value.as_str())).chain([JSON]).collect();
            post(c, node, &source.path, &headers, sent)
        };
        let now = now_ms();
        let first = send(0, SECRET, now, &body, "d1")?.data(200).context(name)?;
        accepted += 1;
        let wrong = send(1, OTHER, now, &body, "d2")?;
        ensure!(wrong.status == 401, "{name}, another secret: {}", wrong.text());
        let is_signed = !matches!(way, Authentication::ApiKey | Authentication::GitLab);
        if is_signed {
            let changed = send(1, SECRET, now, r#"{"from":"another"}"#, "d3")?;
            refused(&format!("{name}, a changed body"), &changed, 401, "invalid_signature")?;
            let replay = send(2, SECRET, now, &body, "d1")?;
            ensure!(replay.header("idempotency-replayed") == Some("true"), "{name}: {}", replay.text());
            ensure!(replay.data(200)? == first, "{name}: a replay is answered as the first was");
        }
        let has_time = is_signed
            && !matches!(way, Authentication::GitHub | Authentication::Shopify | Authentication::Twilio);
        if has_time {
            let stale = send(1, SECRET, now - 301_000, &body, "d4")?;
            refused(&format!("{name}, a stale time"), &stale, 401, "timestamp_expired")?;
        }
        let signed = signed_headers(way, SECRET, (&url, body.as_bytes()), now, "d5");
        let twice: Vec<(&str, &str)> =
            signed.iter().chain(&signed).map(|(name, value)| (*name, value.as_str())).chain([JSON]).collect();
        refused(name, &post(c, 1, &source.path, &twice, &body)?, 401, "header_given_twice")?;
    }
    let events = stored(c, &map)?;
    ensure!(events.len() == accepted, "{} events of {accepted} deliveries", events.len());
    real_senders(c)
}

/// The signers of other people.
fn real_senders(c: &Cluster) -> Result<()> {
    let map = c.map("senders")?;
    let mut sources = BTreeMap::new();
    for (name, way) in [
        ("seed", "hmac"),
        ("github", "github"),
        ("stripe", "stripe"),
        ("standard", "standard"),
        ("svix", "standard"),
    ] {
        let source = create(c, &map, &json!({"name": name, "authentication": way, "secretKey": SECRET}))?;
        sources
            .insert(name, json!({"url": format!("{}{}", c.nodes[1].url(), source.path), "secret": SECRET}));
    }
    let senders = Js::ingest_senders(json!({"sources": sources_with_twilio(c, &map, sources)?}))?;
    senders.wait("the last answer", |client| Ok(client.of("done").into_iter().next()))?;
    let answers = senders.of("answer");
    ensure!(answers.len() == 14, "{answers:?}");
    for answer in &answers {
        let expected = match (answer["kind"].as_str(), answer["name"].as_str()) {
            (_, Some("twilio" | "twilio json")) => 401,
            (Some("good"), _) => 200,
            _ => 401,
        };
        ensure!(answer["status"] == expected, "{answer}");
    }
    let events = stored(c, &map)?;
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    ensure!(kinds == ["purchase", "push", "charge.succeeded", "user.created", "invoice.paid"], "{kinds:?}");
    Ok(())
}

/// A source of Twilio beside the others. Its sender posts to the node's own address, which is not the public
/// one, so its signatures are refused.
fn sources_with_twilio(c: &Cluster, map: &Map, mut sources: BTreeMap<&str, Value>) -> Result<Value> {
    let settings = json!({"name": "twilio", "authentication": "twilio", "secretKey": SECRET});
    let source = create(c, map, &settings)?;
    sources
        .insert("twilio", json!({"url": format!("{}{}", c.nodes[1].url(), source.path), "secret": SECRET}));
    Ok(json!(sources))
}

#[test]
fn twilio_signs_the_address_that_it_posts_to() {
    scenario(nodes(1), |c| {
        let map = c.map("twilio")?;
        let node = c.nodes[0].url();
        let mut sources = BTreeMap::new();
        for name in ["seed", "github", "stripe", "standard", "svix", "twilio"] {
            let way = match name {
                "seed" => "hmac",
                "svix" => "standard",
                other => other,
            };
            let source = create(c, &map, &json!({"authentication": way, "secretKey": SECRET}))?;
            sources.insert(name, json!({"url": format!("{node}{}", source.path), "secret": SECRET}));
        }
        let senders = Js::ingest_senders(json!({"sources": sources}))?;
        senders.wait("the last answer", |client| Ok(client.of("done").into_iter().next()))?;
        for answer in senders.of("answer") {
            let expected = if answer["kind"] == "good" { 200 } else { 401 };
            ensure!(answer["status"] == expected, "{answer}");
        }
        let kinds: Vec<String> =
            stored(c, &map)?.iter().map(|event| text(event, "type")).collect::<Result<_>>()?;
        ensure!(kinds.ends_with(&["delivered".to_owned(), "onMessageAdded".to_owned()]), "{kinds:?}");
        Ok(())
    });
}

/// PyPI `slack_sdk` signs.
fn slack_sdk(c: &Cluster) -> Result<()> {
    let map = c.map("slack")?;
    let source = create(c, &map, &json!({"authentication": "slack", "secretKey": SECRET}))?;
    let url = format!("{}{}", c.nodes[2].url(), source.path);
    let options = json!({"url": url, "secret": SECRET, "other": OTHER}).to_string();
    let output = python("slack_sender.py")?.arg(options).output()?;
    ensure!(output.status.success(), "{}", printed(&output));
    let statuses: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(statuses == json!([200, 200, 401]), "{statuses}");
    let events = stored(c, &map)?;
    ensure!(events.len() == 1 && events[0]["type"] == "app_mention", "{events:?}");
    Ok(())
}

/// Anything else by a mapping; a schema; limits; a challenge.
fn other_services(c: &Cluster) -> Result<()> {
    let map = c.map("others")?;
    let settings = json!({
        "authentication": "none",
        "mapping": {"events": "${payload.orders}", "type": "order.${payload.state}", "subject": "orders-${payload.id}",
            "id": "${payload.id}-${payload.state}", "payload": {"id": "${payload.id}"}},
        "schema": {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]},
    });
    let source = create(c, &map, &settings)?;
    let orders = r#"{"orders":[{"id":7,"state":"placed"},{"id":8,"state":"paid"}]}"#;
    let first = post(c, 0, &source.path, &[JSON], orders)?.data(200)?;
    ensure!(first["validated"] == true && first["received"] == 2, "{first}");
    // The same ids are the same delivery, at any node.
    let again = post(c, 1, &source.path, &[JSON], orders)?;
    ensure!(again.header("idempotency-replayed") == Some("true") && again.data(200)? == first);
    let events = stored(c, &map)?;
    ensure!(events.len() == 2 && events[1]["type"] == "order.paid" && events[1]["subject"] == "orders-8");
    let bad = r#"{"orders":[{"id":9,"state":"placed"},{"id":"x","state":"paid"}]}"#;
    let answer = post(c, 0, &source.path, &[JSON], bad)?;
    refused("the schema", &answer, 400, "invalid_payload")?;
    ensure!(answer.json()?["index"] == 1, "{}", answer.text());
    // Marked, and not refused.
    let path = map.path(&format!("/ingest/{}", source.id));
    c.api(0, &map)
        .patch(&path, &json!({"onInvalid": "mark", "limits": {"requestsPerMinute": 2}}))?
        .expect(200)?;
    let answer = post(c, 2, &source.path, &[JSON], bad)?.data(200)?;
    ensure!(answer["validated"] == false, "{answer}");
    post(c, 2, &source.path, &[JSON], orders)?.expect(200)?;
    // The third one of a minute, unless these took long.
    let limited = c.wait_until("a request too many", |c| {
        let answer = post(c, 2, &source.path, &[JSON], orders)?;
        Ok((answer.status == 429).then_some(answer))
    })?;
    refused("one request too many", &limited, 429, "source_rate")?;
    ensure!(limited.header("retry-after").is_some(), "{:?}", limited.headers);
    // CloudEvents need no mapping.
    let source = create(c, &map, &json!({"authentication": "none"}))?;
    let headers =
        [JSON, ("ce-specversion", "1.0"), ("ce-type", "com.example"), ("ce-source", "/s"), ("ce-id", "1")];
    post(c, 0, &source.path, &headers, r#"{"n":1}"#)?.expect(200)?;
    ensure!(stored(c, &map)?.last().is_some_and(|event| event["type"] == "com.example"));
    let source = create(c, &map, &json!({"authentication": "slack", "secretKey": SECRET}))?;
    let body = r#"{"type":"url_verification","challenge":"3eZbrw1aB"}"#;
    let signed = signed_headers(Authentication::Slack, SECRET, ("", body.as_bytes()), now_ms(), "");
    let headers: Vec<(&str, &str)> =
        signed.iter().map(|(name, value)| (*name, value.as_str())).chain([JSON]).collect();
    let answer = post(c, 0, &source.path, &headers, body)?.expect(200)?.json()?;
    ensure!(answer == json!({"challenge": "3eZbrw1aB"}), "{answer}");
    Ok(())
}

/// Create, show, list, change, rotate, delete; who may, and what is shown.
fn managing(c: &Cluster) -> Result<()> {
    let (map, other) = (c.map("managed")?, c.map("another")?);
    let api = c.api(1, &map);
    let made =
        api.post(&map.path("/ingest"), &json!({"name": "a", "authentication": "github"}))?.data(201)?;
    let (id, secret) = (text(&made, "id")?, text(&made, "secretKey")?);
    let path = map.path(&format!("/ingest/{id}"));
    let shown = api.get(&path)?.expect(200)?;
    ensure!(!shown.text().contains(&secret), "a secret is shown again: {}", shown.text());
    ensure!(shown.json()?["data"]["status"] == "active", "{}", shown.text());
    ensure!(api.get(&map.path("/ingest"))?.data(200)?.as_array().map(Vec::len) == Some(1));
    // Nobody else sees it.
    refused("another map", &c.api(0, &other).get(&other.path(&format!("/ingest/{id}")))?, 404, "not_found")?;
    refused("another token", &c.api(0, &other).get(&path)?, 404, "not_found")?;
    let faults =
        api.patch(&path, &json!({"mapping": {"subject": "a"}, "limits": {"requestsPerMinute": 0}}))?;
    refused("faults", &faults, 400, "invalid_body")?;
    ensure!(faults.json()?["errors"].as_array().map(Vec::len) == Some(2), "{}", faults.text());
    let send = |secret: &str, n: u32| -> Result<u16> {
        let body = format!(r#"{{"n":{n}}}"#);
        let signed = signed_headers(Authentication::GitHub, secret, ("", body.as_bytes()), now_ms(), "");
        let headers: Vec<(&str, &str)> =
            signed.iter().map(|(name, value)| (*name, value.as_str())).chain([JSON]).collect();
        Ok(post(c, 2, &format!("/webhooks/{id}"), &headers, &body)?.status)
    };
    // Both secrets are valid until the rotation is ended.
    let rotated = api.post(&format!("{path}/rotate"), &json!({"overlapSeconds": 3600}))?.data(200)?;
    let next = text(&rotated, "secretKey")?;
    ensure!(rotated["previousSecretUntil"].is_string() && next != secret, "{rotated}");
    ensure!((send(&secret, 1)?, send(&next, 2)?) == (200, 200), "both secrets are valid");
    api.delete(&format!("{path}/rotate"))?.expect(200)?;
    ensure!((send(&secret, 3)?, send(&next, 4)?) == (401, 200), "one secret is valid");
    // A node that is asked for its deliveries, and is too busy to answer in time, is left out.
    let deliveries = c.wait_until("all deliveries", |c| {
        let deliveries = c.api(0, &map).get(&format!("{path}/deliveries"))?.data(200)?;
        let verdicts = deliveries.as_array().into_iter().flatten().filter_map(|one| one["verdict"].as_str());
        let verdicts: Vec<&str> = verdicts.filter(|verdict| *verdict != "unavailable").collect();
        let expected = ["accepted", "invalid_signature", "accepted", "accepted"];
        ensure!(verdicts == expected, "{deliveries}");
        Ok(Some(deliveries))
    })?;
    ensure!(!deliveries.to_string().contains(&next), "a secret is among the deliveries");
    // A source that is not active, and one that is gone.
    api.patch(&path, &json!({"active": false}))?.expect(200)?;
    ensure!(api.get(&path)?.data(200)?["status"] == "inactive" && send(&next, 5)? == 404);
    api.patch(&path, &json!({"active": true}))?.expect(200)?;
    api.delete(&path)?.expect(204)?;
    ensure!(send(&next, 6)? == 404 && api.get(&path)?.status == 404);
    Ok(())
}

/// `waypost ingest`, of which each command prints JSON where nobody watches.
fn command_line(c: &Cluster) -> Result<()> {
    let map = c.map("typed")?;
    let url = c.nodes[0].url();
    // A list is printed as one line of JSON for each element.
    let lines = |arguments: &[&str]| -> Result<Vec<Value>> {
        let mut command = waypost(&[&["ingest"][..], arguments].concat());
        command.env("WAYPOST_URL", &url).env("WAYPOST_TOKEN", &map.token).env("SENDERS_SECRET", SECRET);
        let output = command.output()?;
        ensure!(output.status.success(), "{arguments:?}: {}", printed(&output));
        let text = String::from_utf8(output.stdout)?;
        text.lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
    };
    let run = |arguments: &[&str]| -> Result<Value> { Ok(lines(arguments)?.pop().unwrap_or_default()) };
    let secret = ["--authentication", "standard", "--secret-env", "SENDERS_SECRET"];
    let made = run(&[&["create", &map.slug, "--name", "typed"][..], &secret].concat())?;
    let id = text(&made, "id")?;
    let address = format!("{url}/webhooks/{id}");
    let sent = run(&[&["send", &address, r#"{"type":"user.created"}"#][..], &secret].concat())?;
    ensure!(sent["received"] == 1, "{sent}");
    c.wait_until("the delivery in the list", |_| {
        let deliveries = lines(&["deliveries", &map.slug, &id])?;
        Ok(deliveries.first().is_some_and(|one| one["verdict"] == "accepted").then_some(()))
    })?;
    ensure!(run(&["rotate", &map.slug, &id, "--overlap", "60"])?["previousSecretUntil"].is_string());
    ensure!(run(&["rotate", &map.slug, &id, "--end"])?["previousSecretUntil"].is_null());
    ensure!(run(&["update", &map.slug, &id, "--active", "false"])?["status"] == "inactive");
    ensure!(run(&["show", &map.slug, &id])?["eventsReceived"] == 1);
    ensure!(lines(&["list", &map.slug])?.len() == 1);
    run(&["delete", &map.slug, &id, "--yes"])?;
    ensure!(lines(&["list", &map.slug])?.is_empty());
    Ok(())
}

/// The event stream of a source, which resumes.
fn listening(c: &Cluster) -> Result<()> {
    let (map, other) = (c.map("listened")?, c.map("deaf")?);
    let source = create(c, &map, &json!({"authentication": "none"}))?;
    let beside = create(c, &map, &json!({"authentication": "none"}))?;
    let path = format!("/api/webhooks/{}/events", source.id);
    let api = Api::new(&c.nodes[2].url(), None);
    ensure!(api.get(&path)?.status == 401 && c.api(2, &other).get(&path)?.status == 404);
    let mut stream = Stream::get(c.nodes[2].http, &path, Some(&map.token), &[])?;
    stream.until("event: connected")?;
    post(c, 0, &beside.path, &[JSON], r#"{"event_type":"beside"}"#)?.expect(200)?;
    let sent = r#"{"event_type":"purchase","timestamp":"2024-01-15T10:30:00Z","user_id":"u"}"#;
    let first = post(c, 1, &source.path, &[JSON], sent)?.data(200)?;
    let id = first["ids"][0].as_str().context("no id")?.to_owned();
    stream.until("\"eventType\":\"purchase\"")?;
    stream.until("\"validated\":false}")?;
    let body = stream.body().into_owned();
    ensure!(!body.contains("beside"), "{body}");
    let expected = format!(
        r#"data: {{"id":"{id}","timestamp":"2024-01-15T10:30:00.000Z","source":"{}","eventType":"purchase","payload":"#,
        source.id
    );
    ensure!(body.contains(&expected), "{body}");
    drop(stream);
    post(c, 1, &source.path, &[JSON], r#"{"event_type":"later"}"#)?.expect(200)?;
    let headers = [("Last-Event-ID", id.as_str())];
    let mut stream = Stream::get(c.nodes[0].http, &path, Some(&map.token), &headers)?;
    stream.until("\"eventType\":\"later\"")?;
    ensure!(!stream.body().contains("purchase"), "{}", stream.body());
    Ok(())
}

#[test]
fn every_acknowledged_delivery_reaches_a_subscriber_once_through_a_kill() {
    scenario(nodes(3), |c| {
        let map = c.map_with("killed", json!({"limits": testkit::cluster::unlimited()}))?;
        let settings = json!({"authentication": "hmac", "secretKey": SECRET, "mapping":
            {"type": "sent", "id": "${payload.n}", "payload": "${payload}"}});
        let source = create(c, &map, &settings)?;
        let stream = Js::sse(&c.urls_from(2), &map, json!({}), &["sent"])?;
        stream.wait("the stream to stand", |client| Ok(client.of("open").into_iter().next()))?;
        let mut acknowledged = Vec::new();
        for n in 0..300u64 {
            if n == 100 {
                c.nodes[0].kill9()?;
            }
            if n == 200 {
                c.bring_back(0)?;
            }
            acknowledged.push(deliver(c, &source, n)?);
        }
        let all = stored(c, &map)?;
        let ids: Vec<&str> = all.iter().filter_map(|event| event["id"].as_str()).collect();
        ensure!(all.len() == 300, "{} events of 300 deliveries", all.len());
        for id in &acknowledged {
            ensure!(
                ids.iter().filter(|known| **known == id.as_str()).count() == 1,
                "{id} is not stored once"
            );
        }
        let seen = stream.wait("all events", |client| {
            let seen: Vec<String> =
                client.of("event").iter().filter_map(|line| line["id"].as_str().map(str::to_owned)).collect();
            Ok((seen.len() >= 300).then_some(seen))
        })?;
        ensure!(seen == ids, "the subscriber got other events, or some twice");
        // Without a majority nothing is acknowledged, and the sender is told to come back.
        c.nodes[0].kill9()?;
        c.nodes[1].kill9()?;
        let body = r#"{"n":300}"#;
        let signed = signed_headers(Authentication::Hmac, SECRET, ("", body.as_bytes()), now_ms(), "");
        let headers: Vec<(&str, &str)> =
            signed.iter().map(|(name, value)| (*name, value.as_str())).chain([JSON]).collect();
        let api = Api::new(&c.nodes[2].url(), None).timeout(LIMIT);
        let answer = api.call("POST", &source.path, &headers, Some(body.as_bytes()))?;
        ensure!(answer.status == 503, "{} {}", answer.status, answer.text());
        ensure!(answer.header("retry-after").is_some(), "{:?}", answer.headers);
        Ok(())
    });
}

/// Sends one delivery, again and again as senders do, until a node that is up acknowledges it. Returns the id
/// of its event.
fn deliver(c: &Cluster, source: &Source, n: u64) -> Result<String> {
    let body = format!(r#"{{"n":{n}}}"#);
    let start = std::time::Instant::now();
    loop {
        let node = c.nodes.iter().enumerate().cycle().skip(n as usize % 3).find(|(_, node)| node.is_up());
        let (node, _) = node.context("no node is up")?;
        let signed = signed_headers(Authentication::Hmac, SECRET, ("", body.as_bytes()), now_ms(), "");
        let headers: Vec<(&str, &str)> =
            signed.iter().map(|(name, value)| (*name, value.as_str())).chain([JSON]).collect();
        if let Ok(answer) = post(c, node, &source.path, &headers, &body) {
            if answer.status == 200 {
                let data = answer.data(200)?;
                return data["ids"][0].as_str().map(str::to_owned).context("no id");
            }
            ensure!(answer.status == 503, "{n}: {} {}", answer.status, answer.text());
            ensure!(answer.header("retry-after").is_some(), "{:?}", answer.headers);
        }
        ensure!(start.elapsed() < LIMIT, "{n} is not acknowledged");
        std::thread::sleep(Duration::from_millis(100));
    }
}
