//! The webhook API: shapes, refusals, both APIs for the same webhooks, and webhooks of the configuration
//! file. Secrets appear only in the answers that are meant to show them.

mod compat;
mod files;
mod kept;
mod operated;
mod refused;

use crate::support::{Check, checked, nodes, publish, publish_many, scenario};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use testkit::cluster::Map;
use testkit::http::{Answer, Api, text};
use testkit::receiver::{Receiver, behaviour};
use testkit::wait::LIMIT;
use testkit::{Cluster, Options};

const SECRET: &str = "a-secret-that-nobody-guesses";

const TOKEN: &str = "tOkEn-of-a-chat-0123456789-abcdef";

/// Options for `n` nodes whose webhooks may deliver to this machine and invoke two functions.
fn local(n: usize) -> Options {
    nodes(n)
        .set("WAYPOST_WEBHOOKS_ALLOW_NETS", "127.0.0.0/8")
        .set("WAYPOST_WEBHOOKS_AWS_FUNCTIONS", "handler,f")
}

#[test]
fn the_webhook_api_of_a_map_works() {
    const CHECKS: &[Check] = &[
        ("a webhook's lifecycle", life),
        ("defaults depend on the profile", defaults),
        ("every error of a wrong body is reported", refused::wrong_bodies),
        ("one webhook per target, and no more than the limit", refused::refusals),
        ("webhooks of other maps look absent", refused::foreign),
        ("absent and masked settings stay unchanged", changes),
        ("a shown webhook can be sent back", sent_back),
        ("chats and functions", chats_and_functions),
        ("rotation", operated::rotation),
        ("stopped and started", operated::stopped_and_started),
        ("a test is delivered at once", operated::tests_are_sent),
        ("dead letters and replays", operated::dead_letters_and_replays),
        ("an event that was given up is reported everywhere", operated::given_up),
    ];
    checked(local(1), CHECKS);
}

#[test]
fn the_compatibility_api_works() {
    const CHECKS: &[Check] = &[
        ("a webhook's lifecycle with the names of that API", compat::compat_life),
        ("refusals", compat::compat_refusals),
        ("test and logs", compat::compat_test),
    ];
    checked(local(1), CHECKS);
}

fn hooks(map: &Map) -> String {
    format!("/api/maps/{}/webhooks", map.id)
}

fn url(path: &str) -> String {
    format!("http://127.0.0.1:9/{path}")
}

/// A webhook without deliveries, so that only the API changes its state.
fn paused(path: &str) -> Value {
    json!({"url": url(path), "active": false, "secret": SECRET})
}

fn create(c: &Cluster, map: &Map, body: &Value) -> Result<(String, Value)> {
    let made = c.api(0, map).post(&hooks(map), body)?.data(201)?;
    Ok((format!("{}/{}", hooks(map), text(&made, "id")?), made))
}

/// Returns the details of a refused body.
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
    ensure!(
        text(&made, "inserted_at")?.ends_with('Z') && made["inserted_at"] == made["updated_at"],
        "{made}"
    );
    let (_, second) = create(c, &map, &paused("second"))?;
    ensure!(second["secret"] == SECRET && second["state"] == "paused", "{second}");
    let listed = api.get(&hooks(&map))?.data(200)?;
    ensure!(
        listed[0]["id"] == second["id"] && listed[1]["id"] == made["id"],
        "the newest is not the first: {listed}"
    );
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
    let retry = |attempts, factor: f64, jitter: f64, ambiguous| {
        json!({"max_attempts": attempts, "delay_ms": 1000, "factor": factor, "max_delay_ms": 3_600_000,
               "jitter": jitter, "ambiguous": ambiguous})
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
        ensure!(
            made["profile"] == profile && made["timeout_ms"] == timeout && made["retry"] == retry,
            "{made}"
        );
        ensure!(made["rate_limit"] == rate && made["batch"] == batch, "{made}");
        ensure!(
            made["ordering"] == "none" && made["events"] == json!(["*"]) && made["method"] == "POST",
            "{made}"
        );
        ensure!(
            made["auto_disable_seconds"] == 432_000
                && made["filter"].is_null()
                && made["headers"] == json!({})
        );
    }
    let (_, made) = create(c, &map, &json!({"url": url("x"), "active": false}))?;
    ensure!(made["profile"] == "wanderer", "{made}");
    let all = json!({
        "url": url("all"), "active": false, "name": "All", "profile": "pusher", "method": "PUT", "events": "*",
        "headers": {"X-One": "1"}, "ordering": "key", "ordering_key": "payload.id", "rate_limit": 7,
        "batch": {"max": 5, "duration_ms": 50}, "filter": {"channel_type": "map", "channel_prefix": "events:"},
        "retry": {"max_attempts": 3, "delay_ms": 20, "factor": 1.5, "max_delay_ms": 100, "jitter": 0, "ambiguous": false},
        "timeout_ms": 500, "auto_disable": 60, "secret": SECRET, "key": "app-key"
    });
    let (_, made) = create(c, &map, &all)?;
    for field in ["name", "profile", "method", "ordering", "ordering_key", "batch", "timeout_ms", "key"] {
        ensure!(made[field] == all[field], "{field} of {made}");
    }
    ensure!(
        made["rate_limit"] == json!({"requests": 7, "period_ms": 1000}) && made["auto_disable_seconds"] == 60
    );
    ensure!(made["filter"]["channel_type"] == "map" && made["filter"]["expression"].is_null(), "{made}");
    ensure!(made["retry"]["factor"] == 1.5 && made["retry"]["max_attempts"] == 3, "{made}");
    let body = json!({"url": url("t"), "active": false, "profile": "template", "template": "${event.id}",
                      "content_type": "text/plain", "auto_disable": false, "filter": "payload.value > 1e9"});
    let (_, made) = create(c, &map, &body)?;
    ensure!(made["template"] == "${event.id}" && made["content_type"] == "text/plain", "{made}");
    ensure!(
        made["auto_disable_seconds"].is_null() && made["filter"]["expression"] == "payload.value > 1e9",
        "{made}"
    );
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
        let after = if n % 2 == 0 { api.patch(&path, change)? } else { api.put(&path, change)? }.data(200)?;
        ensure!(after.get("secret").is_none(), "{after}");
        for field in
            ["name", "events", "timeout_ms", "rate_limit", "ordering", "filter", "headers", "url", "active"]
        {
            let alias = (field == "events").then_some("event_types");
            let asked = change.get(field).is_some() || alias.is_some_and(|alias| change.get(alias).is_some());
            ensure!(asked || after[field] == before[field], "{change} changed {field}: {before} {after}");
        }
    }
    let shown = api.patch(&path, &json!({"filter": "payload.a == 1"}))?.data(200)?["filter"].clone();
    let same = api.patch(&path, &json!({"filter": shown}))?.data(200)?;
    ensure!(same["filter"] == shown && shown["expression"] == "payload.a == 1", "{same}");
    let last = api.get(&path)?.data(200)?;
    ensure!(
        last["name"] == "" && last["events"] == json!(["x"]) && last["retry"]["max_attempts"] == 2,
        "{last}"
    );
    ensure!(last["headers"] == json!({"authorization": "***", "X-New": "***"}), "{last}");
    ensure!(
        last["ordering"] == "key" && last["ordering_key"] == "payload.id" && last["rate_limit"].is_null()
    );
    ensure!(details(api.patch(&path, &json!({"timeout_ms": 1, "nothing": 1}))?)?.len() == 2);
    ensure!(details(api.patch(&path, &json!({"headers": {"X-Other": "***"}}))?)?.len() == 1);
    let elsewhere = url("changes").replace(":9/", ":10/");
    for headers in [json!(null), json!({"authorization": "***", "X-New": "***"})] {
        let mut moved = json!({"url": elsewhere, "headers": headers});
        if headers.is_null() {
            moved = json!({"url": elsewhere});
        }
        let errors = details(api.patch(&path, &moved)?)?;
        ensure!(
            !errors.is_empty() && errors.iter().all(|detail| detail.starts_with("headers: ")),
            "{moved}: {errors:?}"
        );
    }
    ensure!(api.get(&path)?.data(200)? == last, "a refused change changed something");
    let moved = api.patch(&path, &json!({"url": elsewhere, "headers": {"X-New": "again"}}))?.data(200)?;
    ensure!(moved["url"] == elsewhere.as_str() && moved["headers"] == json!({"X-New": "***"}), "{moved}");
    Ok(())
}

/// A webhook of any kind can be read, changed and put: members that are no settings are ignored.
fn sent_back(c: &Cluster) -> Result<()> {
    let map = c.map("sent-back")?;
    let api = c.api(0, &map);
    let function = json!({"function_name": "handler", "region": "us-east-1"});
    for body in [
        paused("sent-back"),
        json!({"url": url("api/webhooks/2/token-of-a-chat"), "profile": "discord", "active": false}),
        json!({"lambda": function, "active": false, "auto_disable_seconds": null, "headers": {"X-A": "b"}}),
        json!({"url": url("t"), "profile": "template", "template": "\"${event}\"", "active": false, "rate_limit": 3,
               "ordering": "key", "ordering_key": "payload.id"}),
    ] {
        let (path, made) = create(c, &map, &body)?;
        for (path, active) in [(path, "active"), (format!("/api/webhooks/{}", text(&made, "id")?), "enabled")]
        {
            let answer = api.get(&path)?.expect(200)?.json()?;
            let before = answer.get("data").unwrap_or(&answer);
            let mut changed = before.clone();
            changed["name"] = json!(format!("changed by {active}"));
            let after = api.put(&path, &changed)?.expect(200)?.json()?;
            let mut after = after.get("data").unwrap_or(&after).clone();
            ensure!(after["name"] == changed["name"] && after[active] == false, "{after}");
            for field in ["name", "updated_at", "owner", "owner_name"] {
                after[field] = before[field].clone();
            }
            ensure!(after == *before, "{after} is not {before}");
        }
    }
    let errors = details(api.post(&hooks(&map), &json!({"url": url("x"), "id": "x", "evnts": "*"}))?)?;
    ensure!(
        errors.len() == 2 && errors.iter().any(|detail| detail.ends_with("did you mean events?")),
        "{errors:?}"
    );
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
    ensure!(again.status == 409, "the mask replaced the target: {}", again.text());
    for url in [json!({}), json!({"url": masked})] {
        let mut change = json!({"profile": "wanderer", "batch": null});
        change.as_object_mut().context("an object")?.extend(url.as_object().cloned().unwrap_or_default());
        ensure!(details(api.patch(&path, &change)?)?[0].starts_with("url: "), "{change}");
    }
    for path in [hooks(&map), path] {
        ensure!(!api.get(&path)?.text().contains(TOKEN), "{path} shows the chat's token");
    }
    // Whatever the profile is, the form of the URL says that it is a chat's.
    let chat = url(&format!("api/webhooks/3/{TOKEN}?wait=true"));
    let template = json!({"url": chat, "profile": "template", "template": "{}", "active": false});
    let (path, made) = create(c, &map, &template)?;
    let masked = url("api/webhooks/3/***");
    ensure!(made["url"] == masked.as_str() && !made.to_string().contains(TOKEN), "{made}");
    let same = api.patch(&path, &json!({"url": masked, "name": "Still here"}))?.data(200)?;
    ensure!(same["url"] == masked.as_str() && same["name"] == "Still here", "{same}");
    let again = api.post(&hooks(&map), &template)?;
    ensure!(again.status == 409, "the mask replaced the target: {}", again.text());
    let function = json!({"function_name": "handler", "region": "us-east-1", "qualifier": "PROD"});
    let (path, made) = create(c, &map, &json!({"lambda": function, "active": false, "profile": "pusher"}))?;
    let expected = json!({"type": "lambda", "function_name": "handler", "region": "us-east-1", "qualifier": "PROD",
                          "invocation_type": "Event"});
    ensure!(made["target"] == expected && made["url"].is_null(), "{made}");
    let again = api.post(&hooks(&map), &json!({"lambda": function}))?;
    ensure!(again.status == 409, "{}", again.text());
    let moved = api.patch(&path, &json!({"url": url("instead")}))?.data(200)?;
    ensure!(moved["target"] == json!({"type": "http", "url": url("instead")}), "{moved}");
    Ok(())
}
