//! Operators' actions on webhooks: disabling and enabling, dead letters, rotation, tests; and webhooks that
//! are disabled automatically.

use crate::support::checked;
use crate::webhooks_support::{Hook, any, delivering, holds, keys, map, publish_keys, quick, wait_news};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use testkit::Cluster;
use testkit::publisher::Ack;
use testkit::receiver::tally::{check_delivered, check_ids};
use testkit::receiver::{Receiver, Reply, Request, behaviour};

/// How long to watch that nothing comes.
const QUIET: Duration = Duration::from_millis(700);

#[test]
fn webhooks_can_be_operated() {
    checked(
        delivering(3),
        &[
            ("enabled again, each way", enable),
            ("dead letters", dead_letters),
            ("disabled after a time of failing", auto_disable),
            ("410 disables at once", gone),
            ("rotation while delivering", rotation),
            ("the old secret ends", rotation_ends),
            ("a repaired webhook does not wait", repaired),
            ("tests and attempts", tests_and_attempts),
        ],
    );
}

fn set(acks: &[Ack]) -> BTreeSet<String> {
    acks.iter().map(|a| a.key.clone()).collect()
}

fn enable(c: &Cluster) -> Result<()> {
    let map = map(c, "enable")?;
    let receiver = Receiver::start()?;
    let hook = Hook::create(c, &map, &receiver.on("/e", behaviour::healthy()), json!({}))?;
    // The witness shows when a disabled webhook would have got an event.
    Hook::create(c, &map, &receiver.on("/witness", behaviour::healthy()), json!({}))?;
    let mut all = publish_keys(c, &map, "before", 3)?;
    receiver.wait_events("/e", 3)?;

    let disabled = |prefix: &str, so_far: &mut Vec<Ack>| -> Result<Vec<Ack>> {
        // An event that is not settled when the webhook is disabled may come again later.
        hook.wait_settled(c)?;
        ensure!(hook.post(c, "/disable", &json!({}))?["active"] == false, "not disabled");
        receiver.forget("/e");
        let acks = publish_keys(c, &map, prefix, 5)?;
        so_far.extend(acks.clone());
        receiver.wait_events("/witness", so_far.len())?;
        holds(QUIET, "delivered while disabled", || Ok(receiver.count("/e") == 0))?;
        let shown = hook.show(c)?;
        ensure!(shown["state"] == "paused" && shown["active"] == false, "{shown}");
        Ok(acks)
    };

    let acks = disabled("resume", &mut all)?;
    ensure!(hook.show(c)?["queue_depth"] == 5, "{}", hook.show(c)?);
    hook.post(c, "/enable", &json!({"from": "resume"}))?;
    receiver.wait_events("/e", 5)?;
    ensure!(keys(&receiver, "/e") == set(&acks), "resume brought {:?}", keys(&receiver, "/e"));

    disabled("skip", &mut all)?;
    hook.post(c, "/enable", &json!({"from": "skip"}))?;
    let acks = publish_keys(c, &map, "after", 1)?;
    all.extend(acks.clone());
    receiver.wait_events("/e", 1)?;
    holds(QUIET, "a skipped event came", || Ok(keys(&receiver, "/e") == set(&acks)))?;

    // From an id: the events after it; the event itself may come.
    let acks = disabled("id", &mut all)?;
    hook.post(c, "/enable", &json!({"from": "since", "since": acks[1].id}))?;
    receiver.wait_events("/e", 3)?;
    hook.wait_settled(c)?;
    let got = keys(&receiver, "/e");
    ensure!(
        got.is_superset(&set(&acks[2..])) && got.is_subset(&set(&acks[1..])),
        "since an id brought {got:?}"
    );

    // From a time before everything: all events come again.
    disabled("time", &mut all)?;
    hook.post(c, "/enable", &json!({"from": "since", "since": "2000-01-01T00:00:00Z"}))?;
    receiver.wait_events("/e", all.len())?;
    check_delivered("since a time", &receiver.requests("/e"), &all)?;

    disabled("plain", &mut all)?;
    let patched = c.api(1, &map).patch(&hook.path(""), &json!({"active": true}))?.data(200)?;
    ensure!(patched["active"] == true, "{patched}");
    receiver.wait_events("/e", 5)?;
    Ok(())
}

fn dead_letters(c: &Cluster) -> Result<()> {
    let map = map(c, "dead-letters")?;
    let receiver = Receiver::start()?;
    let url = receiver.on("/d", behaviour::status(500));
    let hook = Hook::create(c, &map, &url, json!({"retry": quick(2)}))?;
    let acks = publish_keys(c, &map, "d", 4)?;
    let dead_letters = hook.wait_dead_letters(c, 4)?;
    for (dead_letter, ack) in dead_letters.iter().zip(&acks) {
        let good =
            dead_letter["id"] == ack.id && dead_letter["seq"] == ack.seq && dead_letter["attempts"] == 2;
        ensure!(good && dead_letter["status"] == 500 && dead_letter["class"] == "status", "{dead_letter}");
        ensure!(
            dead_letter["event"]["payload"]["key"] == ack.key && dead_letter["error"].is_string(),
            "{dead_letter}"
        );
    }
    let page = c.api(2, &map).get(&hook.path("/dead-letters?limit=3"))?.expect(200)?.json()?;
    let count = page["data"].as_array().map_or(0, Vec::len);
    ensure!(count == 3 && page["has_more"] == true && page["total"] == 4, "{page}");
    let rest = format!("/dead-letters?limit=3&after={}", page["cursor"].as_u64().context("no cursor")?);
    let rest = hook.get(c, &rest)?;
    ensure!(rest[0]["id"] == acks[3].id && rest[1].is_null(), "{rest}");
    let one = hook.get(c, &format!("/dead-letters/{}", acks[1].id))?;
    ensure!(one["seq"] == acks[1].seq, "{one}");

    receiver.on("/d", behaviour::healthy());
    hook.post(c, &format!("/dead-letters/{}/retry", acks[1].id), &json!({}))?;
    receiver.wait_events("/d", 1)?;
    ensure!(keys(&receiver, "/d") == set(&acks[1..2]), "another event came: {:?}", keys(&receiver, "/d"));
    hook.wait_dead_letters(c, 3)?;
    let plan = hook.get(c, "/replay?failed_only=true")?;
    ensure!(plan["events"] == 3 && plan["failed_only"] == true, "{plan}");
    let later = hook.get(c, &format!("/replay?failed_only=true&after={}", acks[2].id))?;
    ensure!(later["events"] == 1 && later["from_seq"] == acks[2].seq + 1, "{later}");
    let range = hook.get(c, &format!("/replay?after={}", acks[0].id))?;
    ensure!(range["events"].as_u64() >= Some(3) && range["failed_only"] == false, "{range}");
    let replay = hook.post(c, "/dead-letters/retry", &json!({}))?;
    ensure!(replay["failed_only"] == true, "{replay}");
    receiver.wait_events("/d", 4)?;
    hook.wait_dead_letters(c, 0)?;
    let done = c.wait_until("the end of the replay", |c| {
        let replay = hook.get(c, &format!("/replays/{}", replay["id"]))?;
        Ok((replay["state"] == "done").then_some(replay))
    })?;
    let counts = ["total", "left", "delivered"].map(|count| done[count].as_u64());
    ensure!(counts == [Some(3), Some(0), Some(3)], "it counts dead letters alone: {done}");
    check_delivered("after retries", &receiver.requests("/d"), &acks)?;

    receiver.on("/d", behaviour::status(500));
    let acks = publish_keys(c, &map, "purged", 3)?;
    hook.wait_dead_letters(c, 3)?;
    ensure!(
        hook.delete(c, &format!("/dead-letters/{}", acks[0].id))? == 204,
        "the dead letter is not deleted"
    );
    let purged = c.api(1, &map).delete(&hook.path("/dead-letters"))?.data(200)?;
    ensure!(purged["removed"] == 2, "{purged}");
    hook.wait_dead_letters(c, 0)?;
    receiver.forget("/d");
    receiver.on("/d", behaviour::healthy());
    hook.post(c, "/dead-letters/retry", &json!({}))?;
    holds(QUIET, "a purged event came", || Ok(receiver.count("/d") == 0))
}

fn auto_disable(c: &Cluster) -> Result<()> {
    let map = map(c, "auto")?;
    let receiver = Receiver::start()?;
    let url = receiver.on("/a", behaviour::status(500));
    let hook = Hook::create(c, &map, &url, json!({"auto_disable": 3}))?;
    let acks = publish_keys(c, &map, "a", 2)?;
    let shown = hook.wait(c, "the webhook to be disabled", |hook| hook["state"] == "disabled")?;
    ensure!(shown["active"] == false && shown["disabled_reason"].is_string(), "{shown}");
    ensure!(shown["disabled_at"].is_string(), "{shown}");
    wait_news(c, &hook, "webhook.disabled")?;
    let before = receiver.count("/a");
    holds(QUIET, "attempts after it was disabled", || Ok(receiver.count("/a") == before))?;
    // No event was lost meanwhile.
    receiver.on("/a", behaviour::healthy());
    hook.post(c, "/enable", &json!({}))?;
    receiver.wait("/a", "the waiting events", |_| keys(&receiver, "/a").is_superset(&set(&acks)))?;
    let shown = hook.wait(c, "health", |hook| hook["state"] == "healthy")?;
    ensure!(shown["disabled_reason"].is_null() && shown["consecutive_failures"] == 0, "{shown}");
    Ok(())
}

fn gone(c: &Cluster) -> Result<()> {
    let map = map(c, "gone")?;
    let receiver = Receiver::start()?;
    let hook = Hook::create(c, &map, &receiver.on("/g", behaviour::status(410)), json!({}))?;
    publish_keys(c, &map, "g", 1)?;
    hook.wait(c, "the webhook to be disabled", |hook| hook["state"] == "disabled")?;
    wait_news(c, &hook, "webhook.disabled")?;
    let before = receiver.count("/g");
    publish_keys(c, &map, "h", 3)?;
    holds(QUIET, "attempts after it was disabled", || Ok(receiver.count("/g") == before))?;
    let news = wait_news(c, &hook, "webhook.disabled")?;
    ensure!(news.len() == 1, "announced more than once: {news:?}");
    ensure!(before == 1, "the receiver answered 410 {before} times: {}", receiver.dump("/g"));
    Ok(())
}

/// The secret is replaced while events flow. A receiver that checks all signatures may know either secret,
/// and a receiver that checks one signature goes on with the secret that it knows.
fn rotation(c: &Cluster) -> Result<()> {
    let map = map(c, "rotation")?;
    let receiver = Receiver::start()?;
    let old = "the-old-secret-0123456789";
    let body = |url: &str| json!({"url": url, "secret": old, "retry": quick(10)});
    let hooks = [
        Hook::make(c, &map, &body(&receiver.on("/any", behaviour::healthy())))?,
        Hook::make(c, &map, &body(&receiver.on("/knows-old", behaviour::wanderer_with(old))))?,
        Hook::make(c, &map, &body(&receiver.on("/knows-new", behaviour::wanderer_with(old))))?,
    ];
    let mut acks = publish_keys(c, &map, "before", 20)?;
    receiver.wait_events("/any", 10)?;
    let new = |hook: &Hook| format!("the-new-secret-of-{}", hook.id);
    for hook in &hooks {
        let rotated = hook.post(c, "/rotate-secret", &json!({"secret": new(hook)}))?;
        ensure!(rotated["secret"] == new(hook) && rotated["secret_previous_until"].is_string(), "{rotated}");
    }
    // The last receiver learns the new secret.
    receiver.on("/knows-new", behaviour::wanderer_with(&new(&hooks[2])));
    for round in 0..5 {
        acks.extend(publish_keys(c, &map, &format!("after{round}-"), 10)?);
        std::thread::sleep(Duration::from_millis(50));
    }
    for (hook, path) in hooks.iter().zip(["/any", "/knows-old", "/knows-new"]) {
        receiver.wait_events(path, acks.len())?;
        let requests = receiver.requests(path);
        check_delivered(path, &requests, &acks)?;
        ensure!(
            requests.iter().all(|r| r.standard(old)),
            "{path}: a request is not signed with the old secret"
        );
        let both = requests.iter().filter(|r| r.standard(&new(hook))).count();
        ensure!(both >= 50, "{path}: only {both} requests are signed with the new secret");
        ensure!(hook.show(c)?["dead_letters"] == 0, "{path}: given up");
    }
    Ok(())
}

fn rotation_ends(c: &Cluster) -> Result<()> {
    let map = map(c, "overlap")?;
    let receiver = Receiver::start()?;
    // During the overlap, and after it.
    for (path, seconds, lasts) in [("/within", 600, true), ("/after", 1, false)] {
        let hook =
            Hook::create(c, &map, &receiver.on(path, behaviour::healthy()), json!({"profile": "standard"}))?;
        ensure!(hook.secret.starts_with("whsec_"), "the secret is {}", hook.secret);
        let rotated = hook.post(c, "/rotate-secret", &json!({"overlap_seconds": seconds}))?;
        let new = rotated["secret"].as_str().context("no new secret")?.to_owned();
        if !lasts {
            hook.wait(c, "the end of the overlap", |hook| hook["secret_previous_until"].is_null())?;
        }
        publish_keys(c, &map, path, 1)?;
        for request in receiver.wait_events(path, 1)? {
            ensure!(request.standard(&new), "{path}: the new secret does not sign");
            ensure!(request.standard(&hook.secret) == lasts, "{path}: the old secret signs: {}", !lasts);
        }
        // The same secret, without an overlap: the old one ends at once.
        let same = hook.post(c, "/rotate-secret", &json!({"secret": new, "overlap_seconds": 0}))?;
        ensure!(same["secret"] == *new && same["secret_previous_until"].is_null(), "{path}: {same}");
        publish_keys(c, &map, path, 1)?;
        let later = receiver.wait_events(path, 2)?;
        let signs = later.last().map(|request| (request.standard(&new), request.standard(&hook.secret)));
        ensure!(signs == Some((true, false)), "{path}: {signs:?}");
    }
    Ok(())
}

const HOUR_MS: u64 = 3_600_000;
const RIGHT: &str = "the-secret-that-the-receiver-knows";

/// Whether a receiver takes a request.
type Takes = fn(&Request) -> bool;

/// A delivery that is refused for the key, the secret or a header is tried again when that is changed, although its
/// next attempt is an hour away.
fn repaired(c: &Cluster) -> Result<()> {
    let map = map(c, "repaired")?;
    let receiver = Receiver::start()?;
    let rotated = json!({"secret": RIGHT, "overlap_seconds": 0});
    let cases: [(&str, Takes, &str, Value); 4] = [
        ("/key", |request| request.header("x-pusher-key") == Some("right"), "", json!({"key": "right"})),
        ("/secret", |request| request.standard(RIGHT), "", json!({"secret": RIGHT})),
        ("/rotated", |request| request.standard(RIGHT), "/rotate-secret", rotated),
        (
            "/header",
            |request| request.header("x-own") == Some("right"),
            "",
            json!({"headers": {"X-Own": "right"}}),
        ),
    ];
    let retry = json!({"max_attempts": 5, "delay_ms": HOUR_MS, "max_delay_ms": HOUR_MS, "jitter": 0});
    for (path, takes, of, change) in cases {
        let url =
            receiver.on(path, Box::new(move |request| Reply::new(if takes(request) { 200 } else { 401 })));
        let settings =
            json!({"profile": "pusher", "key": "wrong", "retry": retry, "headers": {"X-Own": "wrong"}});
        let hook = Hook::create(c, &map, &url, settings)?;
        publish_keys(c, &map, path.trim_start_matches('/'), 1)?;
        hook.wait(c, "a delivery that waits", |hook| hook["retrying"] == 1)?;
        // What has nothing to do with its requests does not start it, nor does a secret that the receiver can't have yet.
        let before = receiver.count(path);
        any(c, &map)?.patch(&hook.path(""), &json!({"name": "renamed"}))?.data(200)?;
        hook.post(c, "/rotate-secret", &json!({"overlap_seconds": 0}))?;
        holds(QUIET, "tried again without a reason", || Ok(receiver.count(path) == before))?;
        match of {
            "" => any(c, &map)?.patch(&hook.path(""), &change)?.data(200)?,
            rest => hook.post(c, rest, &change)?,
        };
        let taken = |requests: &[Request]| requests.iter().any(Request::is_accepted);
        receiver.wait(path, "the delivery that waited", taken)?;
        hook.wait_settled(c)?;
    }
    Ok(())
}

fn tests_and_attempts(c: &Cluster) -> Result<()> {
    let map = map(c, "tests")?;
    let receiver = Receiver::start()?;
    let broken = Arc::new(AtomicBool::new(true));
    let state = broken.clone();
    let status = move || if state.load(Ordering::Relaxed) { 503 } else { 200 };
    let url = receiver.on("/t", Box::new(move |_| Reply::new(status())));
    let hook = Hook::create(c, &map, &url, json!({"retry": quick(100)}))?;
    let acks = publish_keys(c, &map, "t", 1)?;
    receiver.wait("/t", "two attempts", |requests| requests.len() >= 2)?;
    hook.wait(c, "the failures in its state", |hook| {
        hook["consecutive_failures"].as_u64() >= Some(2) && hook["last_error"].is_string()
    })?;
    let problem = c.wait_problem(0, "webhooks_failing")?;
    ensure!(problem["severity"] == "info" && problem["do"].to_string().contains("webhook list"), "{problem}");
    ensure!(c.status(0)?["webhooks_failing"].as_u64() >= Some(1), "the status does not count it");
    broken.store(false, Ordering::Relaxed);
    receiver.wait_events("/t", 1)?;
    hook.wait(c, "health again", |hook| hook["state"] == "healthy" && hook["delivered"] == 1)?;
    check_ids("attempts", &receiver.requests("/t"))?;
    let attempts = hook.get(c, "/attempts")?;
    let attempts = attempts.as_array().context("no attempts")?;
    let first = attempts.first().context("no attempt")?;
    ensure!(
        first["class"] == "status" && first["status"] == 503 && first["event_id"] == acks[0].id,
        "{first}"
    );
    ensure!(first["response"].as_str().is_some_and(|r| r.contains("this is 503")), "{first}");
    ensure!(first["node_name"].as_str().is_some_and(|name| name.starts_with("node")), "{first}");
    let last = attempts.last().context("no attempt")?;
    ensure!(last["class"] == "delivered" && last["status"] == 200 && last["ms"].is_number(), "{last}");

    hook.post(c, "/disable", &json!({}))?;
    receiver.forget("/t");
    for (node, status) in [(0, 200), (1, 200), (2, 503)] {
        broken.store(status == 503, Ordering::Relaxed);
        let body = json!({"type": "map_kill", "payload": {"key": format!("test{node}")}});
        let attempt = c.api(node, &map).post(&hook.path("/test"), &body)?.data(200)?;
        ensure!(attempt["status"] == status, "{attempt}");
        let sent = attempt["request"]["body"].as_str().context("no request")?;
        ensure!(sent.contains(&format!("test{node}")), "another request is shown: {sent}");
        let text = attempt.to_string();
        ensure!(!text.contains(&hook.secret), "a secret is shown: {text}");
    }
    let requests = receiver.requests("/t");
    let keys: Vec<&str> = requests.iter().flat_map(|r| &r.events).map(|e| e.key.as_str()).collect();
    ensure!(keys == ["test0", "test1", "test2"], "tests brought {keys:?}");
    ensure!(
        requests.iter().all(|r| r.wanderer(&hook.secret) && r.standard(&hook.secret)),
        "tests aren't signed"
    );
    let noted = |attempts: &Value| attempts.as_array().is_some_and(|all| all.len() >= 5);
    c.wait_until("tests among the attempts", |c| Ok(noted(&hook.get(c, "/attempts")?).then_some(())))
}
