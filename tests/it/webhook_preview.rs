//! Previews: they are what is sent afterwards, say why an event is not chosen and what fails, and have no
//! secret in them.

mod command;

use crate::support::{checked, nodes, publish};
use crate::webhooks_support::{Hook, delivering};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::Cluster;
use testkit::cluster::Map;
use testkit::http::{Answer, Api, text};
use testkit::receiver::{Receiver, Request, behaviour};

/// Secrets of webhooks, and of the nodes. Each has a word that no answer may have.
const SECRET: &str = "nobody-knows-this-secret";
const HEADER: &str = "Bearer nobody-knows-this-header";
const AWS_KEY: &str = "nobody/knows+this-key";
const AWS_TOKEN: &str = "nobody//knows-this-token";
const NOBODY: &str = "nobody";
/// The word in the URLs of chats.
const CHAT_TOKEN: &str = "token-of-the-chat";
/// Stands for what is hidden.
const HIDDEN: &str = "…";
/// Headers of the connection, which no preview has.
const OF_CONNECTION: [&str; 4] = ["host", "content-length", "connection", "accept-encoding"];
/// Headers with a time.
const TIMES: [&str; 2] = ["webhook-timestamp", "x-wanderer-timestamp"];

#[test]
fn a_preview_is_what_would_be_sent() {
    checked(
        delivering(1)
            .set("WAYPOST_HTTP_PUBLIC_URL", "https://events.example.com")
            .set("WAYPOST_LIMITS_AUTH_FAILURES_PER_MINUTE", 0)
            .set("WAYPOST_WEBHOOKS_AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .set("WAYPOST_WEBHOOKS_AWS_SECRET_ACCESS_KEY", AWS_KEY)
            .set("WAYPOST_WEBHOOKS_AWS_SESSION_TOKEN", AWS_TOKEN)
            .set("WAYPOST_WEBHOOKS_AWS_FUNCTIONS", "*")
            .set("WAYPOST_WEBHOOKS_AWS_ENDPOINT", "http://127.0.0.1:9"),
        &[
            ("each profile sends what its preview shows", profiles),
            ("a function's event has no secret", function),
            ("a map without events", no_event),
            ("an event that is not chosen, and why", not_chosen),
            ("the newest event that is chosen", newest),
            ("faults of settings are those of creating a webhook", faults),
            ("a template that fails says where", failing_template),
            ("a long body is cut", long_body),
            ("settings over a stored webhook", over_stored),
            ("other maps", foreign),
            ("portal links", links),
            ("the command line", command::command_line),
        ],
    );
}

#[test]
fn without_credentials_a_function_gets_no_request() {
    checked(
        nodes(1).set("WAYPOST_WEBHOOKS_AWS_FUNCTIONS", "*"),
        &[("a function without credentials", without_credentials)],
    );
}

fn without_credentials(c: &Cluster) -> Result<()> {
    let map = c.map("no-credentials")?;
    event(c, &map, 1)?;
    let shown = preview(c, &map, &json!({"settings": lambda()}))?;
    ensure!(text(&shown, "error")?.contains("credentials") && shown["request"].is_null(), "{shown}");
    Ok(())
}

fn lambda() -> Value {
    json!({"lambda": {"function_name": "f", "region": "eu-west-1"}})
}

fn ask(c: &Cluster, map: &Map, body: &Value) -> Result<Answer> {
    c.api(0, map).post(&map.path("/webhooks/preview"), body)
}

/// A preview. Whatever it is about, it has no secret.
fn preview(c: &Cluster, map: &Map, body: &Value) -> Result<Value> {
    let shown = ask(c, map, body)?.data(200)?;
    let text = shown.to_string();
    ensure!(!text.contains(NOBODY) && !text.contains(CHAT_TOKEN), "a secret is shown: {text}");
    Ok(shown)
}

/// Publishes an event of the map's own subject. Returns its id.
fn event(c: &Cluster, map: &Map, n: i64) -> Result<String> {
    text(&publish(c, 0, map, "add_system", json!({"key": "k", "n": n, "name": "J<1>\"2\" é"}))?, "id")
}

fn profiles(c: &Cluster) -> Result<()> {
    let map = c.map_with("previews", json!({"limits": {"webhooks": null, "requests_per_minute": null}}))?;
    let receiver = Receiver::start()?;
    let mut hooks = Vec::new();
    for profile in
        ["wanderer", "standard", "envelope", "broadcasting", "pusher", "template", "discord", "slack"]
    {
        let is_chat = matches!(profile, "discord" | "slack");
        let path = if is_chat { format!("/{profile}/{CHAT_TOKEN}") } else { format!("/{profile}") };
        let mut more = json!({"profile": profile, "secret": SECRET, "headers": {"X-Own": HEADER}});
        if profile == "template" {
            more["template"] = json!(r#"{"all": "${event}", "text": "${type} of ${payload.name}"}"#);
        }
        let hook = Hook::create(c, &map, &receiver.on(&path, behaviour::healthy()), more)?;
        hooks.push((profile, path, hook));
    }
    let id = event(c, &map, 1)?;
    for (profile, path, hook) in &hooks {
        let shown = preview(c, &map, &json!({"webhook": hook.id, "event": id}))?;
        ensure!(shown["chosen"] == true && shown["why"].is_null(), "{profile}: {shown}");
        ensure!(shown["event"]["id"] == id.as_str() && shown["error"].is_null(), "{profile}: {shown}");
        let requests = receiver.wait(path, "a request", |requests| !requests.is_empty())?;
        same(&shown["request"], &requests[0]).with_context(|| format!("{profile}: {shown}"))?;
        let url = text(&shown["request"], "url")?;
        match url.strip_suffix(HIDDEN) {
            Some(_) => ensure!(path.contains(CHAT_TOKEN), "{url}"),
            None => ensure!(url == receiver.url(path), "{url}"),
        }
    }
    // Nothing came but the deliveries.
    for (profile, path, hook) in &hooks {
        hook.wait_settled(c)?;
        ensure!(receiver.count(path) == 1, "{profile}: {}", receiver.dump(path));
    }
    Ok(())
}

/// Checks that a preview is the request that came, but for what must differ and what is hidden.
fn same(shown: &Value, came: &Request) -> Result<()> {
    ensure!(shown["method"] == came.method.as_str() && shown["body_cut"] == false, "another method");
    let headers = shown["headers"].as_object().context("no headers")?;
    for (name, value) in headers {
        let given = came.header(name).with_context(|| format!("{name} did not come"))?;
        let is_hidden = value == HIDDEN;
        let differs = is_hidden || TIMES.contains(&name.as_str());
        ensure!(differs || value == given, "{name}: {given}");
        ensure!(is_hidden == (name.contains("signature") || name == "x-own"), "{name} is hidden, or is not");
    }
    let unsaid: Vec<&String> = came
        .headers
        .iter()
        .map(|(name, _)| name)
        .filter(|name| !OF_CONNECTION.contains(&name.as_str()) && !headers.contains_key(*name))
        .collect();
    ensure!(unsaid.is_empty(), "not in the preview: {unsaid:?}");
    let mut body = String::from_utf8(came.body.clone())?;
    // The profile broadcasting has its signature in the body too.
    if let Some(signature) = came.header("x-webhook-signature") {
        body = body.replace(signature, HIDDEN);
    }
    ensure!(shown["body"] == body.as_str(), "another body came: {body}");
    Ok(())
}

fn function(c: &Cluster) -> Result<()> {
    let map = c.map("preview-of-a-function")?;
    let id = event(c, &map, 1)?;
    for profile in ["standard", "broadcasting"] {
        let mut settings = lambda();
        settings["profile"] = json!(profile);
        settings["secret"] = json!(SECRET);
        settings["headers"] = json!({"X-Own": HEADER});
        let shown = preview(c, &map, &json!({"settings": settings, "event": id}))?;
        let request = &shown["request"];
        ensure!(text(request, "url")?.ends_with("/functions/f/invocations"), "{shown}");
        for name in ["authorization", "x-amz-security-token"] {
            ensure!(request["headers"][name] == HIDDEN, "{name}: {shown}");
        }
        let event: Value = serde_json::from_str(&text(request, "body")?)?;
        let headers = &event["headers"];
        ensure!(headers["webhook-signature"] == HIDDEN && headers["X-Own"] == HIDDEN, "{event}");
        let body: Value = serde_json::from_str(&text(&event, "body")?)?;
        ensure!(body.to_string().contains(&id), "{event}");
        ensure!(profile != "broadcasting" || body["signature"] == HIDDEN, "{event}");
    }
    Ok(())
}

fn no_event(c: &Cluster) -> Result<()> {
    let map = c.map("preview-of-nothing")?;
    let nothing = json!({"event": null, "chosen": false, "why": null, "request": null, "error": null});
    for body in [json!({}), json!({"webhook": null, "settings": null, "event": null})] {
        ensure!(preview(c, &map, &body)? == nothing);
    }
    for unknown in ["01JY97R74N0000000000070000", "nonsense"] {
        let refused = ask(c, &map, &json!({"event": unknown}))?.expect(404)?;
        ensure!(refused.code() == "event_not_found", "{}", refused.text());
    }
    sample(c, &map)
}

/// An event that nobody has published is as good as one that is stored.
fn sample(c: &Cluster, map: &Map) -> Result<()> {
    let sample = json!({"type": "order_paid", "subject": "orders-7", "payload": {"n": 7}});
    let settings =
        json!({"profile": "template", "template": r#"{"n": "${payload.n}"}"#, "filter": "payload.n > 5"});
    let shown = preview(c, map, &json!({"settings": settings, "sample": sample}))?;
    ensure!(shown["chosen"] == false && text(&shown, "why")?.contains("orders-7"), "{shown}");
    ensure!(shown["event"]["type"] == "order_paid" && shown["event"]["seq"] == 1, "{shown}");
    let body: Value = serde_json::from_str(&text(&shown["request"], "body")?)?;
    ensure!(body == json!({"n": 7}), "{shown}");
    let own = json!({"type": "order_paid", "payload": {"n": 7}});
    let shown = preview(c, map, &json!({"settings": settings, "sample": own}))?;
    ensure!(shown["chosen"] == true && shown["why"].is_null(), "{shown}");
    for (wrong, field) in
        [(json!({"type": "a,b", "payload": 1}), "sample.type"), (json!({"type": "a"}), "sample.payload")]
    {
        let refused = ask(c, map, &json!({"sample": wrong}))?.expect(400)?.json()?;
        ensure!(refused["errors"][0]["field"] == field, "{refused}");
    }
    Ok(())
}

fn not_chosen(c: &Cluster) -> Result<()> {
    let map = c.map("preview-why")?;
    let id = event(c, &map, 1)?;
    for (settings, part) in [
        (json!({"events": ["map_kill"]}), "type add_system"),
        (json!({"filter": {"subjects": ["orders-*"]}}), "own subject"),
        (json!({"filter": "payload.n > 5"}), "is false"),
        (json!({"filter": "payload.gone > 5"}), "missing"),
    ] {
        // With the event's id, and without it: it is the newest.
        for body in [json!({"settings": settings, "event": id}), json!({"settings": settings})] {
            let shown = preview(c, &map, &body)?;
            ensure!(shown["event"]["id"] == id.as_str() && shown["chosen"] == false, "{shown}");
            ensure!(text(&shown, "why")?.contains(part), "{shown}");
            // What would be sent is shown all the same, to nowhere yet.
            ensure!(shown["request"]["body"].is_string() && shown["request"]["url"].is_null(), "{shown}");
        }
    }
    Ok(())
}

fn newest(c: &Cluster) -> Result<()> {
    let map = c.map("preview-newest")?;
    let first = event(c, &map, 9)?;
    let chosen = event(c, &map, 9)?;
    // More than are looked at together.
    let events: Vec<Value> = (0..120).map(|n| json!({"type": "x", "payload": {"n": n % 5}})).collect();
    c.publish(0, &map, &json!({"events": events}))?;
    let last = event(c, &map, 1)?;
    for (filter, expected, is_chosen) in [
        ("payload.n == 9", &chosen, true),
        ("payload.n == 1", &last, true),
        ("payload.n == 1000", &last, false),
    ] {
        let shown = preview(c, &map, &json!({"settings": {"filter": filter}}))?;
        let found = (shown["event"]["id"].as_str(), shown["chosen"].as_bool());
        ensure!(found == (Some(expected.as_str()), Some(is_chosen)), "{filter}: {shown}");
    }
    let named = preview(c, &map, &json!({"settings": {"filter": "payload.n == 9"}, "event": first}))?;
    ensure!(named["event"]["id"] == first.as_str() && named["chosen"] == true, "{named}");
    Ok(())
}

fn faults(c: &Cluster) -> Result<()> {
    let map = c.map("preview-faults")?;
    event(c, &map, 1)?;
    for wrong in [
        json!({"profile": "template", "template": r#"{"a": {"b": "x ${evnt}"}}"#}),
        json!({"filter": "payload.a >", "colour": 1}),
        json!({"profile": "nonsense", "timeout_ms": 1, "retry": {"delay": 3}}),
        json!({"url": "http://10.0.0.1/", "headers": {"Webhook-Signature": "x"}}),
    ] {
        let mut whole = wrong.clone();
        if whole.get("url").is_none() {
            whole["url"] = json!("http://127.0.0.1:9/preview-faults");
        }
        let refused = ask(c, &map, &json!({"settings": wrong}))?.expect(400)?.json()?;
        let by_create = c.api(0, &map).post(&map.path("/webhooks"), &whole)?.expect(400)?.json()?;
        ensure!(refused["code"] == "validation_failed", "{refused}");
        ensure!(refused["errors"] == by_create["errors"], "{refused} and {by_create}");
    }
    let unknown = ask(c, &map, &json!({"settings": [], "zzz": 1}))?.expect(400)?.json()?;
    let fields: Vec<&str> =
        unknown["errors"].as_array().into_iter().flatten().filter_map(|e| e["field"].as_str()).collect();
    ensure!(fields.contains(&"settings") && fields.contains(&"zzz"), "{unknown}");
    Ok(())
}

fn failing_template(c: &Cluster) -> Result<()> {
    let map = c.map("preview-template")?;
    event(c, &map, 1)?;
    let template = r#"{"ok": "${type}", "list": [{"bad": "x ${int(payload.name)}"}]}"#;
    let shown = preview(c, &map, &json!({"settings": {"profile": "template", "template": template}}))?;
    let error = text(&shown, "error")?;
    ensure!(error.contains("/list/0/bad") && error.contains("column 3"), "{shown}");
    ensure!(shown["request"].is_null() && shown["chosen"] == true, "{shown}");
    Ok(())
}

fn long_body(c: &Cluster) -> Result<()> {
    let map = c.map("preview-long")?;
    publish(c, 0, &map, "x", json!({"text": "é".repeat(5000)}))?;
    for (times, is_cut) in [(2, false), (8, true)] {
        let template = "${payload.text}".repeat(times);
        let settings = json!({"profile": "template", "template": template, "content_type": "text/plain"});
        let shown = preview(c, &map, &json!({"settings": settings}))?;
        let length = text(&shown["request"], "body").with_context(|| shown.to_string())?.len();
        ensure!(length == (times * 10_000).min(64 * 1024), "{length}");
        ensure!(shown["request"]["body_cut"] == is_cut, "{times}");
    }
    Ok(())
}

fn over_stored(c: &Cluster) -> Result<()> {
    let map = c.map("preview-stored")?;
    let id = event(c, &map, 1)?;
    let url = "http://127.0.0.1:9/hooks/a-part-that-is-long-enough-to-be-a-key?token=nobody-knows&x";
    let mut more = json!({"active": false, "secret": SECRET, "profile": "standard"});
    more["headers"] = json!({"X-Own": HEADER});
    let hook = Hook::create(c, &map, url, more)?;
    let before = hook.show(c)?;
    let changes = json!({"profile": "wanderer", "secret": "nobody-knows-the-next-one", "method": "PUT"});
    let shown = preview(c, &map, &json!({"webhook": hook.id, "settings": changes, "event": id}))?;
    let request = &shown["request"];
    let headers = &request["headers"];
    ensure!(request["method"] == "PUT", "{shown}");
    ensure!(request["url"] == "http://127.0.0.1:9/hooks/…?token=…&…", "{shown}");
    // Both secrets would sign.
    for name in ["x-wanderer-signature", "x-wanderer-signature-previous", "webhook-signature", "x-own"] {
        ensure!(headers[name] == HIDDEN, "{name}: {shown}");
    }
    // A request is shown as that of a later attempt, at its time.
    let third = json!({"webhook": hook.id, "event": id, "attempt": 3, "at": "2026-01-31T12:00:00Z"});
    let headers = &preview(c, &map, &third)?["request"]["headers"];
    ensure!(headers["webhook-attempt"] == "3" && headers["webhook-timestamp"] == "1769860800", "{headers}");
    // A shown webhook can be sent back.
    preview(c, &map, &json!({"webhook": hook.id, "settings": before, "event": id}))?;
    let after = hook.show(c)?;
    for setting in ["profile", "method", "url", "headers", "updated_at", "secret_previous_until"] {
        ensure!(after[setting] == before[setting], "a preview has changed {setting}: {after}");
    }
    ensure!(hook.get(c, "/attempts")? == json!([]), "a preview was sent");
    let lines = c.admin(0).get("/api/audit?limit=500")?.expect(200)?.json()?;
    let lines = lines["data"].as_array().context("no lines")?;
    let is_preview = |line: &&Value| line["route"] == "/api/maps/{map}/webhooks/preview";
    let done = lines.iter().filter(is_preview).find(|line| line["result"] == "done");
    ensure!(done.is_none(), "a preview counts as a change: {done:?}");
    // Headers were given for the old host.
    let moved = json!({"webhook": hook.id, "settings": {"url": "http://127.0.0.2:9/"}});
    let refused = ask(c, &map, &moved)?.expect(400)?.json()?;
    ensure!(refused["errors"][0]["field"] == "headers", "{refused}");
    Ok(())
}

fn foreign(c: &Cluster) -> Result<()> {
    let (map, other) = (c.map("preview-mine")?, c.map("preview-theirs")?);
    let id = event(c, &map, 1)?;
    let hook = Hook::create(c, &map, "http://127.0.0.1:9/mine", json!({"active": false}))?;
    let path = map.path("/webhooks");
    let listed = c.api(0, &other).get(&path)?;
    let refused = c.api(0, &other).post(&format!("{path}/preview"), &json!({}))?;
    ensure!(refused.status == listed.status && refused.code() == listed.code(), "{}", refused.text());
    ensure!(refused.status == 404, "{}", refused.text());
    for (body, code) in [
        (json!({"webhook": hook.id}), "webhook_not_found"),
        (json!({"webhook": "nonsense"}), "webhook_not_found"),
        (json!({"event": id}), "event_not_found"),
    ] {
        let refused = ask(c, &other, &body)?.expect(404)?;
        ensure!(refused.code() == code, "{body}: {}", refused.text());
    }
    let (_, reader) = c.token(&map, &["subscribe", "publish"])?;
    ensure!(ask(c, &reader, &json!({}))?.status == 403);
    Ok(())
}

fn links(c: &Cluster) -> Result<()> {
    let map = c.map("preview-link")?;
    let other = c.map("preview-other-link")?;
    let id = event(c, &map, 1)?;
    for (scopes, status) in [
        (json!(["webhooks:write"]), 200),
        (json!(["webhooks:read"]), 403),
        (json!(["consumers:read", "consumers:write"]), 403),
    ] {
        let made = c.api(0, &map).post(&map.path("/portal-links"), &json!({"scopes": scopes}))?.data(201)?;
        let url = text(&made, "url")?;
        let (_, token) = url.split_once('#').context("no token")?;
        let api = Api::new(&c.nodes[0].url(), Some(token)).patient();
        let answer = api.post(&map.path("/webhooks/preview"), &json!({}))?;
        ensure!(answer.status == status, "{scopes}: {}", answer.text());
        if status == 200 {
            ensure!(answer.data(200)?["event"]["id"] == id.as_str());
        }
        ensure!(api.post(&other.path("/webhooks/preview"), &json!({}))?.status != 200);
    }
    Ok(())
}
