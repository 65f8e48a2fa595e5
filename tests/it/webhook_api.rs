//! The webhook API: shapes, refusals, both ways to the same webhooks, those of the configuration file; and that what is
//! secret of them is nowhere but in the answers that show it.

use crate::support::{Check, checked, nodes, publish, publish_many, scenario};
use anyhow::{Context, Result, ensure};
use chaos::cluster::Map;
use chaos::http::{Answer, Api, text};
use chaos::{Cluster, Options};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

const SECRET: &str = "a-secret-that-nobody-guesses";
const TOKEN: &str = "tOkEn-of-a-chat-0123456789-abcdef";

/// Nodes whose webhooks may go to this machine.
fn local(n: usize) -> Options {
    nodes(n).set("WAYPOST_WEBHOOKS_ALLOW_NETS", "127.0.0.0/8")
}

#[test]
fn the_api_of_a_map() {
    const CHECKS: &[Check] = &[
        ("a webhook's life", life),
        ("what is not asked for is by profile", defaults),
        ("a wrong body is told whole", wrong_bodies),
        ("one target once, and no more than the limit", refusals),
        ("other maps' webhooks are not there", foreign),
        ("what is absent stays, masks too", changes),
        ("chats and functions", chats_and_functions),
        ("rotation", rotation),
        ("stopped and started", stopped_and_started),
        ("a test is delivered at once", tests_are_sent),
        ("dead letters and replays", letters_and_replays),
        ("what was given up is told everywhere", given_up),
    ];
    checked(local(1), CHECKS);
}

#[test]
fn the_api_of_a_session_service() {
    const CHECKS: &[Check] =
        &[("life with its names", picker_life), ("refusals", picker_refusals), ("its test and its logs", picker_test)];
    checked(local(1), CHECKS);
}

fn hooks(map: &Map) -> String {
    format!("/api/maps/{}/webhooks", map.id)
}

fn url(path: &str) -> String {
    format!("http://127.0.0.1:9/{path}")
}

/// A webhook that is not delivered to, so that nothing but the API moves it.
fn paused(path: &str) -> Value {
    json!({"url": url(path), "active": false, "secret": SECRET})
}

fn create(c: &Cluster, map: &Map, body: &Value) -> Result<(String, Value)> {
    let made = c.api(0, map).post(&hooks(map), body)?.data(201)?;
    Ok((format!("{}/{}", hooks(map), text(&made, "id")?), made))
}

fn put(api: &Api, path: &str, body: &Value) -> Result<Answer> {
    api.call("PUT", path, &[("content-type", "application/json")], Some(body.to_string().as_bytes()))
}

/// The details of a refusal of a body.
fn details(answer: Answer) -> Result<Vec<String>> {
    let body = answer.expect(400)?.json()?;
    ensure!(body["error"] == "Validation failed" && body["code"] == "validation_failed", "{body}");
    let details = body["details"].as_array().with_context(|| format!("no details in {body}"))?;
    Ok(details.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

fn not_found(answer: Answer) -> Result<()> {
    let body = answer.expect(404)?.json()?;
    ensure!(body["error"] == "Webhook not found" && body["code"] == "webhook_not_found", "{body}");
    Ok(())
}

fn life(c: &Cluster) -> Result<()> {
    let map = c.map("life-of-a-webhook")?;
    let api = c.api(0, &map);
    ensure!(api.get(&hooks(&map))?.data(200)? == json!([]));
    let asked = json!({"url": url("life"), "events": ["map_kill", "add_system"], "active": true});
    let (path, made) = create(c, &map, &asked)?;
    for (field, value) in [
        ("map_id", json!(map.id)),
        ("url", json!(url("life"))),
        ("target", json!({"type": "http", "url": url("life")})),
        ("events", json!(["add_system", "map_kill"])),
        ("active", json!(true)),
        ("state", json!("healthy")),
        ("consecutive_failures", json!(0)),
        ("last_delivery_at", json!(null)),
        ("last_error", json!(null)),
        ("queue_depth", json!(0)),
        ("oldest_at", json!(null)),
        ("success_rate", json!(null)),
        ("dead_letters", json!(0)),
        ("origin", json!("api")),
    ] {
        ensure!(made[field] == value, "{field} is not {value} in {made}");
    }
    ensure!(text(&made, "secret")?.starts_with("whsec_") && text(&made, "secret")?.len() == 50, "{made}");
    ensure!(text(&made, "inserted_at")?.ends_with('Z') && made["inserted_at"] == made["updated_at"], "{made}");
    let (_, second) = create(c, &map, &paused("second"))?;
    ensure!(second["secret"] == SECRET && second["state"] == "paused", "{second}");
    let listed = api.get(&hooks(&map))?.data(200)?;
    ensure!(listed[0]["id"] == second["id"] && listed[1]["id"] == made["id"], "not the newest first: {listed}");
    ensure!(listed[0].get("secret").is_none() && listed[1].get("secret").is_none(), "{listed}");
    let shown = api.get(&path)?.data(200)?;
    ensure!(shown["id"] == made["id"] && shown.get("secret").is_none(), "{shown}");
    let by_slug = path.replace(&map.id, &map.slug);
    ensure!(c.admin(0).get(&by_slug)?.data(200)?["id"] == made["id"]);
    ensure!(api.delete(&path)?.expect(204)?.body.is_empty());
    not_found(api.get(&path)?)?;
    not_found(api.delete(&path)?)?;
    ensure!(api.call("PUT", &hooks(&map), &[], None)?.status == 405);
    Ok(())
}

fn defaults(c: &Cluster) -> Result<()> {
    let none = json!({"webhooks": null, "requests_per_minute": null});
    let map = c.map_with("defaults-by-profile", json!({"limits": none}))?;
    let retry = |attempts, factor: f64, jitter: f64, on_timeout| {
        json!({"max_attempts": attempts, "delay_ms": 1000, "factor": factor, "max_delay_ms": 3_600_000,
               "jitter": jitter, "on_timeout": on_timeout})
    };
    let ten = json!({"max": 10, "duration_ms": 0});
    let discord = json!({"requests": 5, "period_ms": 2000});
    let slack = json!({"requests": 1, "period_ms": 1000});
    for (profile, timeout, retry, rate, batch) in [
        ("wanderer", 10_000, retry(16, 2.0, 0.25, true), json!(null), json!(null)),
        ("envelope", 10_000, retry(16, 2.0, 0.25, true), json!(null), json!(null)),
        ("broadcasting", 5000, retry(4, 1.0, 0.25, true), json!(null), json!(null)),
        ("pusher", 10_000, retry(6, 2.0, 0.1, true), json!(null), json!(null)),
        ("standard", 10_000, retry(16, 2.0, 0.25, true), json!(null), json!(null)),
        ("discord", 10_000, retry(16, 2.0, 0.25, false), discord, ten.clone()),
        ("slack", 10_000, retry(16, 2.0, 0.25, false), slack, ten),
    ] {
        let (_, made) = create(c, &map, &json!({"url": url(profile), "profile": profile, "active": false}))?;
        ensure!(made["profile"] == profile && made["timeout_ms"] == timeout && made["retry"] == retry, "{made}");
        ensure!(made["rate_limit"] == rate && made["batch"] == batch, "{made}");
        ensure!(made["ordering"] == "none" && made["events"] == json!(["*"]) && made["method"] == "POST", "{made}");
        ensure!(made["auto_disable_seconds"] == 432_000 && made["filter"].is_null() && made["headers"] == json!({}));
    }
    let (_, made) = create(c, &map, &json!({"url": url("x"), "active": false}))?;
    ensure!(made["profile"] == "wanderer", "{made}");
    let all = json!({
        "url": url("all"), "active": false, "name": "All", "profile": "pusher", "method": "PUT", "events": "*",
        "headers": {"X-One": "1"}, "ordering": "key", "ordering_key": "payload.id", "rate_limit": 7,
        "batch": {"max": 5, "duration_ms": 50}, "filter": {"channel_type": "map", "channel_prefix": "events:"},
        "retry": {"max_attempts": 3, "delay_ms": 20, "factor": 1.5, "max_delay_ms": 100, "jitter": 0, "on_timeout": false},
        "timeout_ms": 500, "auto_disable": 60, "secret": SECRET, "key": "app-key"
    });
    let (_, made) = create(c, &map, &all)?;
    for field in ["name", "profile", "method", "ordering", "ordering_key", "batch", "timeout_ms", "key"] {
        ensure!(made[field] == all[field], "{field} of {made}");
    }
    ensure!(made["rate_limit"] == json!({"requests": 7, "period_ms": 1000}) && made["auto_disable_seconds"] == 60);
    ensure!(made["filter"]["channel_type"] == "map" && made["filter"]["expression"].is_null(), "{made}");
    ensure!(made["retry"]["factor"] == 1.5 && made["retry"]["max_attempts"] == 3, "{made}");
    let body = json!({"url": url("t"), "active": false, "profile": "template", "template": "{{ event.id }}",
                      "content_type": "text/plain", "auto_disable": false, "filter": "payload.value > 1e9"});
    let (_, made) = create(c, &map, &body)?;
    ensure!(made["template"] == "{{ event.id }}" && made["content_type"] == "text/plain", "{made}");
    ensure!(made["auto_disable_seconds"].is_null() && made["filter"]["expression"] == "payload.value > 1e9", "{made}");
    Ok(())
}

fn wrong_bodies(c: &Cluster) -> Result<()> {
    let map = c.map("wrong-bodies")?;
    let api = c.api(0, &map);
    let everything = json!({
        "url": 5, "events": [], "active": "yes", "profile": "fax", "method": "GET", "headers": {"Host": "x", "X-A": "a\r\nb"},
        "ordering": "maybe", "rate_limit": {"requests": 0}, "batch": {"max": 1}, "filter": {"channel_type": "radio"},
        "retry": {"max_attempts": 0, "jitter": 2, "delay_ms": 1, "factor": 0.5, "max_delay_ms": 90_000_000, "x": 1},
        "timeout_ms": 50, "auto_disable": true, "secret": "short", "name": "x".repeat(201), "key": "", "colour": "red",
        "template": "x"
    });
    let told = details(api.post(&hooks(&map), &everything)?)?;
    for field in [
        "url",
        "events",
        "active",
        "profile",
        "method",
        "headers",
        "ordering",
        "rate_limit",
        "batch.max",
        "filter.channel_type",
        "retry.max_attempts",
        "retry.jitter",
        "retry.delay_ms",
        "retry.factor",
        "retry.max_delay_ms",
        "retry.x",
        "timeout_ms",
        "auto_disable",
        "secret",
        "name",
        "key",
        "colour",
        "template",
    ] {
        ensure!(told.iter().any(|detail| detail.starts_with(&format!("{field}: "))), "nothing of {field}: {told:?}");
    }
    ensure!(told.iter().filter(|detail| detail.starts_with("headers: ")).count() == 2, "{told:?}");
    for (body, field) in [
        (json!({}), "url"),
        (json!([]), "body"),
        (json!("x"), "body"),
        (json!({"url": "ftp://127.0.0.1/"}), "url"),
        (json!({"url": "nonsense"}), "url"),
        (json!({"url": "http://10.0.0.1/x"}), "url"),
        (json!({"url": null}), "url"),
        (json!({"url": url("x"), "lambda": {"function_name": "f", "region": "r"}}), "url"),
        (json!({"lambda": {"region": "us-east-1"}}), "lambda.function_name"),
        (json!({"lambda": {"function_name": "f f", "region": "us-east-1"}}), "lambda.function_name"),
        (json!({"lambda": {"function_name": "f", "region": "us-east-1"}, "profile": "slack"}), "profile"),
        (json!({"url": url("x"), "events": ["a b"]}), "events"),
        (json!({"url": url("x"), "events": vec!["a"; 101]}), "events"),
        (json!({"url": url("x"), "ordering": "key"}), "ordering_key"),
        (json!({"url": url("x"), "ordering_key": "payload.id"}), "ordering_key"),
        (json!({"url": url("x"), "ordering": "key", "ordering_key": " "}), "ordering_key"),
        (json!({"url": url("x"), "filter": ""}), "filter.expression"),
        (json!({"url": url("x"), "profile": "envelope", "batch": {"max": 5}}), "batch"),
        (json!({"url": url("x"), "profile": "discord", "batch": {"max": 11}}), "batch.max"),
        (json!({"url": url("x"), "profile": "template"}), "template"),
        (json!({"url": url("x"), "profile": "template", "template": "{{ x"}), "template"),
        (json!({"url": url("x"), "headers": {"X-A": "***"}}), "headers"),
        (json!({"url": url("x"), "headers": {"X-A": "1", "x-a": "2"}}), "headers"),
        (json!({"url": url("x"), "headers": {"X-A": "x".repeat(9000)}}), "headers"),
        (json!({"url": url("x"), "timeout_ms": 1.5}), "timeout_ms"),
        (json!({"url": url("x"), "timeout_ms": -1}), "timeout_ms"),
        (json!({"url": url("x"), "$serde_json::private::RawValue": "1"}), "$serde_json::private::RawValue"),
    ] {
        let told = details(api.post(&hooks(&map), &body)?).with_context(|| body.to_string())?;
        ensure!(told.iter().any(|detail| detail.starts_with(&format!("{field}: "))), "{body}: {told:?}");
    }
    let twice = format!(r#"{{"url":"{0}","url":"{0}"}}"#, url("x"));
    ensure!(details(api.send(&hooks(&map), twice.as_bytes())?)?.iter().any(|detail| detail.starts_with("url: ")));
    for broken in ["{", "nul", "{\"url\":}", "\u{0}"] {
        details(api.send(&hooks(&map), broken.as_bytes())?)?;
    }
    let deep = format!("{{\"filter\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    details(api.send(&hooks(&map), deep.as_bytes())?)?;
    ensure!(api.get(&hooks(&map))?.data(200)? == json!([]), "something was made");
    Ok(())
}

fn refusals(c: &Cluster) -> Result<()> {
    let map = c.map("limit-of-webhooks")?;
    let api = c.api(0, &map);
    let (first, _) = create(c, &map, &paused("0"))?;
    let again = api.post(&hooks(&map), &paused("0"))?;
    ensure!(again.code() == "url_taken" && again.status == 409, "{}", again.text());
    for n in 1..5 {
        create(c, &map, &paused(&n.to_string()))?;
    }
    let more = api.post(&hooks(&map), &paused("5"))?;
    ensure!(more.code() == "limit_reached" && more.status == 422, "{}", more.text());
    let onto = api.patch(&first, &json!({"url": url("1")}))?;
    ensure!(onto.status == 409, "{}", onto.text());
    api.delete(&first)?.expect(204)?;
    create(c, &map, &paused("5"))?;
    Ok(())
}

fn foreign(c: &Cluster) -> Result<()> {
    let (map, other) = (c.map("owner-of-a-webhook")?, c.map("other-map")?);
    let (path, made) = create(c, &map, &paused("mine"))?;
    let id = text(&made, "id")?;
    let theirs = c.api(0, &other);
    ensure!(theirs.get(&path)?.status == 404);
    for rest in ["", "/attempts", "/dead-letters", "/replays"] {
        not_found(theirs.get(&format!("{}/{id}{rest}", hooks(&other)))?)?;
    }
    for rest in ["/rotate-secret", "/enable", "/disable", "/test", "/replay", "/dead-letters/retry"] {
        not_found(theirs.post(&format!("{}/{id}{rest}", hooks(&other)), &json!({}))?)?;
    }
    not_found(theirs.patch(&format!("{}/{id}", hooks(&other)), &json!({"active": true}))?)?;
    not_found(theirs.delete(&format!("{}/{id}", hooks(&other)))?)?;
    not_found(c.api(0, &map).get(&format!("{}/nonsense", hooks(&map)))?)?;
    Api::new(&c.nodes[0].url(), None).get(&hooks(&map))?.expect(401)?;
    let weak = json!({"scopes": ["subscribe", "publish"]});
    let weak = c.api(0, &map).post(&format!("/api/maps/{}/tokens", map.id), &weak)?.data(201)?;
    let weak = Api::new(&c.nodes[0].url(), Some(&text(&weak, "token")?));
    ensure!(weak.get(&hooks(&map))?.status == 403 && weak.post(&hooks(&map), &paused("x"))?.status == 403);
    ensure!(weak.get("/api/webhooks")?.status == 403);
    ensure!(c.api(0, &map).get(&path)?.data(200)?["active"] == false, "a stranger changed it");
    Ok(())
}

fn changes(c: &Cluster) -> Result<()> {
    let map = c.map("changes-of-webhooks")?;
    let api = c.api(0, &map);
    let mut body = paused("changes");
    body["headers"] = json!({"Authorization": "Bearer hidden-value", "X-Plain": "p"});
    body["name"] = json!("First");
    let (path, made) = create(c, &map, &body)?;
    ensure!(made["headers"] == json!({"Authorization": "***", "X-Plain": "***"}), "{made}");
    for (n, change) in [
        json!({"name": "Second"}),
        json!({"events": ["map_kill", "map_kill", "add_system"]}),
        json!({"event_types": ["x"]}),
        json!({"headers": {"authorization": "***", "X-New": "n"}}),
        json!({"timeout_ms": 2000, "retry": {"max_attempts": 2}}),
        json!({"rate_limit": 3}),
        json!({"rate_limit": null}),
        json!({"ordering": "strict"}),
        json!({"ordering": "key", "ordering_key": "payload.id"}),
        json!({"filter": "payload.a == 1"}),
        json!({"filter": null, "name": null}),
        json!({}),
    ]
    .iter()
    .enumerate()
    {
        let before = api.get(&path)?.data(200)?;
        let after = if n % 2 == 0 { api.patch(&path, change)? } else { put(&api, &path, change)? }.data(200)?;
        ensure!(after.get("secret").is_none(), "{after}");
        for field in ["name", "events", "timeout_ms", "rate_limit", "ordering", "filter", "headers", "url", "active"] {
            let alias = (field == "events").then_some("event_types");
            let asked = change.get(field).is_some() || alias.is_some_and(|alias| change.get(alias).is_some());
            ensure!(asked || after[field] == before[field], "{change} changed {field}: {before} {after}");
        }
    }
    let last = api.get(&path)?.data(200)?;
    ensure!(last["name"] == "" && last["events"] == json!(["x"]) && last["retry"]["max_attempts"] == 2, "{last}");
    ensure!(last["headers"] == json!({"authorization": "***", "X-New": "***"}), "{last}");
    ensure!(last["ordering"] == "key" && last["ordering_key"] == "payload.id" && last["rate_limit"].is_null());
    ensure!(details(api.patch(&path, &json!({"timeout_ms": 1, "nothing": 1}))?)?.len() == 2);
    ensure!(details(api.patch(&path, &json!({"headers": {"X-Other": "***"}}))?)?.len() == 1);
    ensure!(api.get(&path)?.data(200)? == last, "a refused change changed something");
    Ok(())
}

fn chats_and_functions(c: &Cluster) -> Result<()> {
    let map = c.map("chats")?;
    let api = c.api(0, &map);
    let chat = url(&format!("api/webhooks/1/{TOKEN}"));
    let (path, made) = create(c, &map, &json!({"url": chat, "profile": "discord", "active": false}))?;
    let masked = url("api/webhooks/1/***");
    ensure!(made["url"] == masked.as_str() && made["target"]["url"] == masked.as_str(), "{made}");
    let same = api.patch(&path, &json!({"url": masked, "name": "Still there"}))?.data(200)?;
    ensure!(same["url"] == masked.as_str() && same["name"] == "Still there", "{same}");
    let again = api.post(&hooks(&map), &json!({"url": chat, "profile": "discord"}))?;
    ensure!(again.status == 409, "the mask took the target's place: {}", again.text());
    ensure!(details(api.patch(&path, &json!({"profile": "wanderer", "batch": null}))?)?[0].starts_with("url: "));
    for path in [hooks(&map), path] {
        ensure!(!api.get(&path)?.text().contains(TOKEN), "{path} shows what opens the chat");
    }
    let function = json!({"function_name": "handler", "region": "us-east-1", "qualifier": "PROD"});
    let (path, made) = create(c, &map, &json!({"lambda": function, "active": false, "profile": "pusher"}))?;
    let expected = json!({"type": "lambda", "function_name": "handler", "region": "us-east-1", "qualifier": "PROD",
                          "invocation_type": "Event", "endpoint": null});
    ensure!(made["target"] == expected && made["url"].is_null(), "{made}");
    let again = api.post(&hooks(&map), &json!({"lambda": function}))?;
    ensure!(again.status == 409, "{}", again.text());
    let moved = api.patch(&path, &json!({"url": url("instead")}))?.data(200)?;
    ensure!(moved["target"] == json!({"type": "http", "url": url("instead")}), "{moved}");
    Ok(())
}

fn rotation(c: &Cluster) -> Result<()> {
    let map = c.map("rotation")?;
    let api = c.api(0, &map);
    let (path, made) = create(c, &map, &paused("rotation"))?;
    ensure!(made["secret_previous_until"].is_null(), "{made}");
    let rotate = format!("{path}/rotate-secret");
    let rotated = api.post(&rotate, &json!({}))?.data(200)?;
    ensure!(text(&rotated, "secret")?.starts_with("whsec_") && rotated["id"] == made["id"], "{rotated}");
    ensure!(rotated["secret_previous_until"].is_string(), "{rotated}");
    let given = api.post(&rotate, &json!({"secret": "another-secret", "overlap_seconds": 0}))?.data(200)?;
    ensure!(given["secret"] == "another-secret" && given["secret_previous_until"].is_null(), "{given}");
    let wrong = details(api.post(&rotate, &json!({"secret": "x", "overlap_seconds": -1, "more": 1}))?)?;
    ensure!(wrong.len() == 3, "{wrong:?}");
    let shown = api.get(&path)?.data(200)?;
    ensure!(shown.get("secret").is_none() && shown["url"] == made["url"], "{shown}");
    Ok(())
}

fn stopped_and_started(c: &Cluster) -> Result<()> {
    let map = c.map("stopped-and-started")?;
    let api = c.api(0, &map);
    let (path, _) = create(c, &map, &paused("stopped"))?;
    publish_many(c, 0, &map, "x", 4)?;
    let behind = api.get(&path)?.data(200)?;
    ensure!(behind["queue_depth"] == 4 && behind["oldest_at"].is_string() && behind["active"] == false, "{behind}");
    let enable = format!("{path}/enable");
    for body in [
        json!({"from": "elsewhere"}),
        json!({"from": "since"}),
        json!({"from": "since", "since": "yesterday"}),
        json!({"from": "skip", "since": "2025-06-21T12:34:56Z"}),
        json!({"form": "skip"}),
    ] {
        details(api.post(&enable, &body)?).with_context(|| body.to_string())?;
    }
    let event = publish(c, 0, &map, "x", json!({}))?;
    for body in [
        json!({}),
        json!({"from": "resume"}),
        json!({"from": "skip"}),
        json!({"from": "since", "since": "2025-06-21T12:34:56+02:00"}),
        json!({"from": "since", "since": event["id"]}),
    ] {
        let on = api.post(&enable, &body)?.data(200)?;
        ensure!(on["active"] == true && on["state"] != "paused", "{on}");
        let off = api.post(&format!("{path}/disable"), &json!({}))?.data(200)?;
        ensure!(off["active"] == false && off["state"] == "paused" && off["disabled_reason"].is_null(), "{off}");
    }
    let on = api.patch(&path, &json!({"active": true}))?.data(200)?;
    ensure!(on["active"] == true, "{on}");
    Ok(())
}

/// Takes one request, answers it with that status, and gives back what it was.
fn receiver(status: u16) -> Result<(String, JoinHandle<String>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let at = format!("http://{}/hook", listener.local_addr()?);
    let thread = std::thread::spawn(move || {
        let Ok((mut stream, _)) = listener.accept() else { return String::new() };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(20)));
        let (mut taken, mut buffer) = (Vec::new(), [0; 4096]);
        while !is_whole(&taken) {
            match stream.read(&mut buffer) {
                Ok(n) if n > 0 => taken.extend_from_slice(&buffer[..n]),
                _ => break,
            }
        }
        let _ = write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
        String::from_utf8_lossy(&taken).into_owned()
    });
    Ok((at, thread))
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0)
}

fn tests_are_sent(c: &Cluster) -> Result<()> {
    let map = c.map("tests")?;
    let api = c.api(0, &map);
    let (at, taken) = receiver(200)?;
    let (path, _) = create(c, &map, &json!({"url": at, "active": false}))?;
    ensure!(api.get(&format!("{path}/attempts"))?.data(200)? == json!([]));
    let body = json!({"type": "map_kill", "payload": {"value": 9.0}});
    let attempt = api.post(&format!("{path}/test"), &body)?.data(200)?;
    ensure!(attempt["class"] == "delivered" && attempt["status"] == 200 && attempt["type"] == "map_kill", "{attempt}");
    ensure!(attempt["seq"].is_null() && attempt["event_id"].is_null() && attempt["number"] == 0, "{attempt}");
    let taken = taken.join().unwrap_or_default();
    ensure!(taken.contains("\"value\":9}"), "not in normal form: {taken}");
    let kept = api.get(&format!("{path}/attempts"))?.data(200)?;
    ensure!(kept[0] == attempt, "{kept} is not {attempt}");
    ensure!(api.get(&format!("{path}/attempts?after=0"))?.data(200)? == json!([]), "tests have no number");
    ensure!(api.get(&format!("{path}/attempts?after=x"))?.status == 400);
    // Nobody listens there any more.
    let failed = api.post(&format!("{path}/test"), &json!({}))?.data(200)?;
    ensure!(failed["class"] == "connect" && failed["type"] == "webhook.test", "{failed}");
    ensure!(failed["error"].is_string() && failed["status"].is_null(), "{failed}");
    for (body, field) in [
        (r#"{"type":"a b"}"#.to_owned(), "type"),
        (r#"{"payload":9007199254740993}"#.to_owned(), "payload"),
        (format!("{{\"payload\":{}{}}}", "[".repeat(100), "]".repeat(100)), "payload"),
        (format!("{{\"payload\":\"{}\"}}", "x".repeat(300_000)), "payload"),
        (r#"{"kind":"x"}"#.to_owned(), "kind"),
    ] {
        let told = details(api.send(&format!("{path}/test"), body.as_bytes())?)?;
        ensure!(told.len() == 1 && told[0].starts_with(&format!("{field}: ")), "{told:?}");
    }
    Ok(())
}

fn letters_and_replays(c: &Cluster) -> Result<()> {
    let map = c.map("letters")?;
    let api = c.api(0, &map);
    let (path, _) = create(c, &map, &paused("letters"))?;
    let events = publish_many(c, 0, &map, "x", 10)?;
    let empty = json!({"data": [], "cursor": null, "has_more": false, "total": 0});
    let letters = format!("{path}/dead-letters");
    ensure!(api.get(&letters)?.expect(200)?.json()? == empty);
    ensure!(api.get(&format!("{letters}?limit=0"))?.status == 400);
    ensure!(api.get(&format!("{letters}?after=x"))?.status == 400);
    let id = text(&events[0], "id")?;
    for missing in ["nonsense", id.as_str()] {
        ensure!(api.get(&format!("{letters}/{missing}"))?.code() == "not_found");
        ensure!(api.delete(&format!("{letters}/{missing}"))?.status == 404);
        ensure!(api.post(&format!("{letters}/{missing}/retry"), &json!({}))?.status == 404);
    }
    ensure!(api.delete(&letters)?.data(200)? == json!({"removed": 0}));
    let replay = format!("{path}/replay");
    for body in [
        json!({}),
        json!({"since": "yesterday"}),
        json!({"after": "x"}),
        json!({"since": "2025-06-21T12:34:56Z", "after": id}),
        json!({"event_ids": []}),
        json!({"event_ids": ["01J00000000000000000000000"]}),
        json!({"event_ids": [id], "failed_only": true}),
        json!({"since": "2025-06-21T12:34:56Z", "until": "then"}),
        json!({"all": true}),
    ] {
        details(api.post(&replay, &body)?).with_context(|| body.to_string())?;
    }
    for (body, from, until) in [
        (json!({"since": "2025-06-21T12:34:56Z"}), 1, 11),
        (json!({"after": events[3]["id"]}), 5, 11),
        (json!({"after": events[3]["id"], "until": "2025-06-21T12:34:56Z"}), 5, 1),
        (json!({"since": "2025-06-21T12:34:56Z", "failed_only": true}), 1, 11),
    ] {
        let made = api.post(&replay, &body)?.data(202)?;
        ensure!(made["from_seq"] == from && made["until_seq"] == until, "{body}: {made}");
        let one = api.get(&format!("{path}/replays/{}", made["id"]))?.data(200)?;
        ensure!(one["id"] == made["id"] && one["failed_only"] == made["failed_only"], "{one}");
        ensure!(["waiting", "running", "done"].contains(&one["state"].as_str().unwrap_or("")), "{one}");
        api.delete(&format!("{path}/replays/{}", made["id"]))?.expect(204)?;
    }
    let some = api.post(&replay, &json!({"event_ids": [events[1]["id"], events[4]["id"]]}))?.data(202)?;
    ensure!(some["events"] == 2 && some["from_seq"] == 2 && some["until_seq"] == 6, "{some}");
    let retried = api.post(&format!("{letters}/retry"), &json!({}))?.data(202)?;
    ensure!(retried["failed_only"] == true, "{retried}");
    details(api.post(&format!("{letters}/retry"), &json!({"since": "x"}))?)?;
    let all = api.get(&format!("{path}/replays"))?.data(200)?;
    ensure!(all[0]["id"] == retried["id"], "not the newest first: {all}");
    ensure!(api.get(&format!("{path}/replays/1"))?.code() == "not_found");
    Ok(())
}

fn given_up(c: &Cluster) -> Result<()> {
    let map = c.map("given-up")?;
    let api = c.api(0, &map);
    let nobody = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let body = json!({"url": format!("http://{nobody}/"), "retry": {"max_attempts": 1}, "events": ["lost_*"]});
    let (path, _) = create(c, &map, &body)?;
    publish(c, 0, &map, "other", json!({}))?;
    let lost = publish_many(c, 0, &map, "lost_one", 3)?;
    let letters = format!("{path}/dead-letters");
    let first = c.wait_until("three dead letters", |_| {
        let page = api.get(&format!("{letters}?limit=2"))?.expect(200)?.json()?;
        Ok((page["total"] == 3).then_some(page))
    })?;
    ensure!(first["has_more"] == true && first["data"].as_array().map(Vec::len) == Some(2), "{first}");
    let letter = &first["data"][0];
    ensure!(letter["id"] == lost[0]["id"] && letter["seq"] == 2 && letter["type"] == "lost_one", "{letter}");
    ensure!(letter["event"] == lost[0] && letter["attempts"] == 1 && letter["class"] == "connect", "{letter}");
    let rest = api.get(&format!("{letters}?after={}", first["cursor"]))?.expect(200)?.json()?;
    ensure!(rest["has_more"] == false && rest["data"].as_array().map(Vec::len) == Some(1), "{rest}");
    let one = format!("{letters}/{}", text(&lost[1], "id")?);
    ensure!(api.get(&one)?.data(200)?["event"] == lost[1]);
    let shown = c.wait_until("its state", |_| {
        let shown = api.get(&path)?.data(200)?;
        Ok((shown["given_up"] == 3 && shown["queue_depth"] == 0).then_some(shown))
    })?;
    ensure!(shown["state"] == "failing" && shown["dead_letters"] == 3 && shown["failed_attempts"] == 3, "{shown}");
    ensure!(shown["success_rate"] == 0.0 && shown["last_error"].is_string() && shown["owner"] == 1, "{shown}");
    let attempts = api.get(&format!("{path}/attempts?after=1"))?.data(200)?;
    ensure!(attempts.as_array().map(Vec::len) == Some(2), "{attempts}");
    let known = lost.iter().find(|event| event["id"] == attempts[0]["event_id"]);
    ensure!(known.is_some_and(|event| event["seq"] == attempts[0]["seq"]), "{attempts}");
    let logs = path.replace(&hooks(&map), "/api/webhooks") + "/logs";
    let logs = api.get(&logs)?.expect(200)?.json()?;
    ensure!(logs.as_array().map(Vec::len) == Some(3) && logs[0]["status"] == "failed", "{logs}");
    ensure!(logs[0]["payload"]["i"].is_u64() && logs[0]["error_message"].is_string(), "{logs}");
    ensure!(api.post(&format!("{one}/retry"), &json!({}))?.data(202)?["id"] == lost[1]["id"]);
    api.delete(&format!("{letters}/{}", text(&lost[0], "id")?))?.expect(204)?;
    let all = api.post(&format!("{letters}/retry"), &json!({}))?.data(202)?;
    ensure!(all["failed_only"] == true && all["until_seq"] == 5, "{all}");
    c.wait_until("the end of the replay", |_| {
        let replay = api.get(&format!("{path}/replays/{}", all["id"]))?.data(200)?;
        Ok((replay["state"] == "done").then_some(()))
    })?;
    ensure!(api.delete(&letters)?.data(200)?["removed"] == 2);
    ensure!(api.get(&letters)?.expect(200)?.json()?["total"] == 0);
    Ok(())
}

fn picker_life(c: &Cluster) -> Result<()> {
    let map = c.map("picker-life")?;
    let api = c.api(0, &map);
    ensure!(api.get("/api/webhooks")?.expect(200)?.json()? == json!([]));
    let body = json!({"name": "Discord Bot", "url": url("jackbox"), "secret": "mysecret123", "events": ["game.added"]});
    let made = api.post("/api/webhooks", &body)?.expect(201)?.json()?;
    for (field, value) in
        [("name", &body["name"]), ("url", &body["url"]), ("events", &body["events"]), ("enabled", &json!(true))]
    {
        ensure!(made[field] == *value, "{field} of {made}");
    }
    ensure!(made["profile"] == "envelope" && made["created_at"].is_string() && made["updated_at"].is_string());
    for absent in ["secret", "active", "inserted_at"] {
        ensure!(made.get(absent).is_none(), "{absent} in {made}");
    }
    let path = format!("/api/webhooks/{}", text(&made, "id")?);
    ensure!(api.get(&path)?.expect(200)?.json()?["id"] == made["id"]);
    let off = api.patch(&path, &json!({"enabled": false, "name": "Other"}))?.expect(200)?.json()?;
    ensure!(off["enabled"] == false && off["name"] == "Other" && off["events"] == made["events"], "{off}");
    ensure!(put(&api, &path, &json!({"secret": "anothersecret"}))?.expect(200)?.json()?.get("secret").is_none());
    let listed = api.get("/api/webhooks")?.expect(200)?.json()?;
    ensure!(listed[0]["id"] == made["id"] && listed[0]["enabled"] == false, "{listed}");
    // The same webhook, by its other way.
    let same = api.get(&format!("{}/{}", hooks(&map), text(&made, "id")?))?.data(200)?;
    ensure!(same["active"] == false && same["profile"] == "envelope", "{same}");
    let admin = c.admin(0);
    ensure!(admin.get("/api/webhooks")?.code() == "map_needed");
    ensure!(admin.get(&format!("/api/webhooks?map={}", map.slug))?.expect(200)?.json()? == listed);
    api.delete(&path)?.expect(204)?;
    not_found(api.get(&path)?)
}

fn picker_refusals(c: &Cluster) -> Result<()> {
    let (map, other) = (c.map("picker-refusals")?, c.map("picker-other")?);
    let api = c.api(0, &map);
    let told = details(api.post("/api/webhooks", &json!({"name": "x"}))?)?;
    ensure!(told.iter().any(|d| d.starts_with("secret: ")) && told.iter().any(|d| d.starts_with("url: ")), "{told:?}");
    let chat = json!({"url": url(&format!("x/{TOKEN}")), "profile": "discord"});
    let chat = c.api(0, &other).post("/api/webhooks", &chat)?.expect(201)?.json()?;
    let path = format!("/api/webhooks/{}", text(&chat, "id")?);
    for answer in [api.get(&path)?, api.get(&format!("{path}/logs"))?, api.delete(&path)?] {
        not_found(answer)?;
    }
    not_found(api.post(&format!("/api/webhooks/test/{}", text(&chat, "id")?), &json!({}))?)?;
    not_found(api.patch(&path, &json!({"enabled": false}))?)?;
    Api::new(&c.nodes[0].url(), None).get("/api/webhooks")?.expect(401)?;
    Ok(())
}

fn picker_test(c: &Cluster) -> Result<()> {
    let map = c.map("picker-test")?;
    let api = c.api(0, &map);
    let (at, taken) = receiver(500)?;
    let body = json!({"name": "x", "url": at, "secret": "mysecret123", "events": ["game.added"], "enabled": false});
    let made = api.post("/api/webhooks", &body)?.expect(201)?.json()?;
    let id = text(&made, "id")?;
    let sent = api.post(&format!("/api/webhooks/test/{id}"), &json!({}))?.expect(202)?.json()?;
    ensure!(sent["message"] == "Test webhook sent", "{sent}");
    ensure!(taken.join().unwrap_or_default().contains("Quiplash 3"));
    let logs = c.wait_until("the test's log", |_| {
        let logs = api.get(&format!("/api/webhooks/{id}/logs"))?.expect(200)?.json()?;
        Ok((logs.as_array().map(Vec::len) == Some(1)).then_some(logs))
    })?;
    ensure!(logs[0]["event_type"] == "game.added" && logs[0]["webhook_id"] == id.as_str(), "{logs}");
    ensure!(logs[0]["status"] == "failed" && logs[0]["response_status"] == 500 && logs[0]["attempt"] == 1, "{logs}");
    Ok(())
}

#[test]
fn targets_inside_are_refused_unless_allowed() {
    scenario(nodes(1), |c| {
        let map = c.map("inside")?;
        let told = details(c.api(0, &map).post(&hooks(&map), &paused("x"))?)?;
        ensure!(told.len() == 1 && told[0].starts_with("url: "), "{told:?}");
        Ok(())
    });
}

#[test]
fn changes_at_once_through_all_nodes_undo_nothing() {
    scenario(local(3), |c| {
        let map = c.map("at-once")?;
        let (path, _) = create(c, &map, &paused("at-once"))?;
        let fields: [(&str, Value); 3] =
            [("name", json!("Named")), ("timeout_ms", json!(777)), ("rate_limit", json!(5))];
        std::thread::scope(|scope| -> Result<()> {
            let mut running = Vec::new();
            for (node, (field, value)) in fields.iter().enumerate() {
                let (api, path) = (c.api(node, &map), &path);
                running.push(scope.spawn(move || api.patch(path, &json!({*field: value}))?.data(200).map(drop)));
            }
            running.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| anyhow::bail!("panicked")))
        })?;
        for node in 0..3 {
            let seen = c.api(node, &map).get(&path)?.data(200)?;
            ensure!(seen["name"] == "Named" && seen["timeout_ms"] == 777, "{seen}");
            ensure!(seen["rate_limit"]["requests"] == 5 && seen["url"] == url("at-once"), "{seen}");
        }
        Ok(())
    });
}

#[test]
fn a_restart_keeps_all_and_tells_no_secret() {
    scenario(local(1).set("WAYPOST_LOG", "debug"), |c| {
        let map = c.map("restart")?;
        let mut hidden = vec![SECRET.to_owned(), TOKEN.to_owned(), "hidden-header-value".to_owned()];
        let chat = json!({"url": url(&format!("hook/{TOKEN}")), "profile": "discord", "name": "a name in the clear"});
        create(c, &map, &chat)?;
        let mut body = paused("restart");
        body["headers"] = json!({"Authorization": "Bearer hidden-header-value"});
        let (path, _) = create(c, &map, &body)?;
        let rotated = c.api(0, &map).post(&format!("{path}/rotate-secret"), &json!({}))?.data(200)?;
        hidden.push(text(&rotated, "secret")?);
        // A refused body says nothing of it in the log either.
        c.api(0, &map)
            .post(&hooks(&map), &json!({"url": url(TOKEN), "secret": SECRET, "timeout_ms": 1}))?
            .expect(400)?;
        publish(c, 0, &map, "x", json!({}))?;
        let before = c.api(0, &map).get(&hooks(&map))?.data(200)?;
        ensure!(c.nodes[0].stop(Duration::from_secs(20))?.code() == Some(0));
        let everything = bytes_below(&c.nodes[0].data)?;
        ensure!(holds(&everything, "a name in the clear"), "the search finds nothing at all");
        let log = std::fs::read(&c.nodes[0].log)?;
        for secret in &hidden {
            ensure!(!holds(&everything, secret), "{secret} is in the data directory");
            ensure!(!holds(&log, secret), "{secret} is in the log");
        }
        c.nodes[0].start()?;
        c.wait_node(0)?;
        let after = c.api(0, &map).get(&hooks(&map))?.data(200)?;
        for place in 0..2 {
            for field in ["id", "url", "name", "headers", "profile", "secret_previous_until", "inserted_at", "active"] {
                ensure!(before[place][field] == after[place][field], "{field}: {before} became {after}");
            }
        }
        Ok(())
    });
}

fn bytes_below(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        bytes.extend(if path.is_dir() { bytes_below(&path)? } else { std::fs::read(&path)? });
    }
    Ok(bytes)
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn webhooks_of_the_configuration_file() {
    scenario(local(1), |c| {
        let file = c.dir().join("webhooks.toml");
        let endpoint = |name: &str, more: &str| {
            let url = url(name);
            format!(
                "[[webhooks.endpoints]]\nmap = \"filed\"\nname = \"{name}\"\nurl = \"{url}\"\nsecret = \"{SECRET}\"\n{more}\n"
            )
        };
        std::fs::write(
            &file,
            endpoint("one", "event_types = [\"x\"]") + &endpoint("two", "profile = \"pusher\"\nenabled = false"),
        )?;
        c.nodes[0].env.insert("WAYPOST_CONFIG".into(), file.display().to_string());
        restart(c)?;
        // They come when their map does.
        let map = c.map("filed")?;
        let both = wait_for(c, &map, |list| list.as_array().is_some_and(|list| list.len() == 2))?;
        let one = named(&both, "one")?;
        ensure!(one["origin"] == "config" && one["events"] == json!(["x"]) && one["active"] == true, "{one}");
        ensure!(named(&both, "two")?["profile"] == "pusher" && named(&both, "two")?["active"] == false, "{both}");
        let (api, path) = (c.api(0, &map), format!("{}/{}", hooks(&map), text(&one, "id")?));
        for answer in [
            api.patch(&path, &json!({"name": "x"}))?,
            api.patch(&path, &json!({"active": false, "timeout_ms": 500}))?,
            api.post(&format!("{path}/rotate-secret"), &json!({}))?,
            api.delete(&path)?,
            api.patch(&format!("/api/webhooks/{}", text(&one, "id")?), &json!({"events": ["y"]}))?,
        ] {
            ensure!(answer.status == 409 && answer.code() == "configured", "{}", answer.text());
        }
        ensure!(api.patch(&path, &json!({"active": false}))?.data(200)?["active"] == false);
        ensure!(api.post(&format!("{path}/enable"), &json!({}))?.data(200)?["active"] == true);
        ensure!(api.post(&format!("{path}/disable"), &json!({}))?.data(200)?["active"] == false);
        let (_, own) = create(c, &map, &paused("own"))?;
        let before = api.get(&path)?.data(200)?;
        // Nothing changes where nothing is different, and operators' stops stay.
        restart(c)?;
        create(c, &map, &paused("after-the-restart"))?;
        std::thread::sleep(Duration::from_secs(2));
        ensure!(c.api(0, &map).get(&path)?.data(200)? == before);
        // What stands there no more goes; what changed is changed; what the API made stays.
        std::fs::write(&file, endpoint("one", "timeout_ms = 1234\nenabled = true").replace(SECRET, "a-new-secret"))?;
        restart(c)?;
        let list = wait_for(c, &map, |list| named(list, "one").is_ok_and(|one| one["timeout_ms"] == 1234))?;
        let one = named(&list, "one")?;
        ensure!(one["id"] == before["id"] && one["events"] == json!(["*"]) && one["active"] == true, "{one}");
        ensure!(one["secret_previous_until"].is_string() && named(&list, "two").is_err(), "{list}");
        ensure!(list.as_array().is_some_and(|list| list.iter().any(|webhook| webhook["id"] == own["id"])), "{list}");
        ensure!(c.admin(0).delete(&path)?.status == 204);
        Ok(())
    });
}

fn restart(c: &mut Cluster) -> Result<()> {
    ensure!(c.nodes[0].stop(Duration::from_secs(20))?.code() == Some(0));
    c.nodes[0].start()?;
    c.wait_node(0)
}

fn wait_for(c: &Cluster, map: &Map, good: impl Fn(&Value) -> bool) -> Result<Value> {
    c.wait_until("the webhooks of the file", |c| {
        let list = c.api(0, map).get(&hooks(map))?.data(200)?;
        Ok(good(&list).then_some(list))
    })
}

fn named(list: &Value, name: &str) -> Result<Value> {
    let found = list.as_array().into_iter().flatten().find(|webhook| webhook["name"] == name);
    found.cloned().with_context(|| format!("no {name} in {list}"))
}
