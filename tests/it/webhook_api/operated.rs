//! Webhooks operated over the API: secrets rotated, webhooks stopped, tested and replayed, and dead letters.

use super::*;
use testkit::receiver::dead::ClosedPort;

pub(super) fn rotation(c: &Cluster) -> Result<()> {
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
    for n in 0..4 {
        let next = json!({"secret": format!("secret-number-{n}")});
        let rotated = if n == 0 { api.patch(&path, &next)? } else { api.post(&rotate, &next)? }.data(200)?;
        ensure!(rotated["secret_previous_until"].is_string(), "{rotated}");
    }
    for answer in [api.post(&rotate, &json!({}))?, api.patch(&path, &json!({"secret": "one-too-many"}))?] {
        let refused = answer.expect(409)?.json()?;
        ensure!(refused["error"] == "too_many_secrets", "{refused}");
    }
    api.post(&rotate, &json!({"overlap_seconds": 0}))?.data(200)?;
    api.post(&rotate, &json!({}))?.data(200)?;
    let wrong = details(api.post(&rotate, &json!({"secret": "x", "overlap_seconds": -1, "more": 1}))?)?;
    ensure!(wrong.len() == 3, "{wrong:?}");
    let shown = api.get(&path)?.data(200)?;
    ensure!(shown.get("secret").is_none() && shown["url"] == made["url"], "{shown}");
    Ok(())
}

pub(super) fn stopped_and_started(c: &Cluster) -> Result<()> {
    let map = c.map("stopped-and-started")?;
    let api = c.api(0, &map);
    let (path, _) = create(c, &map, &paused("stopped"))?;
    publish_many(c, 0, &map, "x", 4)?;
    let behind = api.get(&path)?.data(200)?;
    ensure!(
        behind["queue_depth"] == 4 && behind["oldest_at"].is_string() && behind["active"] == false,
        "{behind}"
    );
    let enable = format!("{path}/enable");
    for body in [
        json!({"from": "elsewhere"}),
        json!({"from": "since"}),
        json!({"from": "since", "since": "yesterday"}),
        json!({"from": "skip", "since": "2025-06-21T12:34:56Z"}),
        json!({"since": "9999-06-21T12:34:56Z"}),
        json!({"form": "skip"}),
    ] {
        details(api.post(&enable, &body)?).with_context(|| body.to_string())?;
    }
    details(api.post(&format!("{path}/disable"), &json!({"until": "tomorrow"}))?)?;
    for query in ["attempts?befor=1", "dead-letters?lim=1"] {
        let refused = api.get(&format!("{path}/{query}"))?;
        ensure!(refused.status == 400 && refused.code() == "invalid_query", "{query}: {}", refused.text());
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
        ensure!(
            off["active"] == false && off["state"] == "paused" && off["disabled_reason"].is_null(),
            "{off}"
        );
    }
    let on = api.patch(&path, &json!({"active": true}))?.data(200)?;
    ensure!(on["active"] == true, "{on}");
    Ok(())
}

pub(super) fn tests_are_sent(c: &Cluster) -> Result<()> {
    let map = c.map("tests")?;
    let api = c.api(0, &map);
    let receiver = Receiver::start()?;
    let at = receiver.on("/hook", behaviour::healthy());
    let (path, _) = create(c, &map, &json!({"url": at, "active": false}))?;
    ensure!(api.get(&format!("{path}/attempts"))?.data(200)? == json!([]));
    let body = json!({"type": "map_kill", "payload": {"value": 9.0}});
    let mut attempt = api.post(&format!("{path}/test"), &body)?.data(200)?;
    ensure!(
        attempt["class"] == "delivered" && attempt["status"] == 200 && attempt["type"] == "map_kill",
        "{attempt}"
    );
    ensure!(attempt["seq"].is_null() && attempt["event_id"].is_null() && attempt["number"] == 0, "{attempt}");
    let taken: String =
        receiver.requests("/hook").iter().map(|request| String::from_utf8_lossy(&request.body)).collect();
    ensure!(taken.contains("\"value\":9}"), "not in normal form: {taken}");
    // The answer alone has the request.
    let request = attempt["request"].take();
    let body = request["body"].as_str().unwrap_or_default();
    ensure!(request["method"] == "POST" && body.contains("\"value\":9}"), "{request}");
    let mut kept = api.get(&format!("{path}/attempts"))?.data(200)?;
    ensure!(kept[0]["request"].take().is_null());
    ensure!(kept[0] == attempt, "{kept} is not {attempt}");
    ensure!(api.get(&format!("{path}/attempts?after=0"))?.data(200)? == json!([]), "tests have a number");
    ensure!(api.get(&format!("{path}/attempts?after=x"))?.status == 400);
    let closed = ClosedPort::new()?;
    let (path, _) = create(c, &map, &json!({"url": format!("http://{}/", closed.addr), "active": false}))?;
    let failed = api.post(&format!("{path}/test"), &json!({}))?.data(200)?;
    ensure!(failed["class"] == "connect" && failed["type"] == "webhook.test", "{failed}");
    ensure!(failed["error"].is_string() && failed["status"].is_null(), "{failed}");
    for (body, field) in [
        (r#"{"type":"a,b"}"#.to_owned(), "type"),
        (r#"{"payload":9007199254740993}"#.to_owned(), "payload"),
        (format!("{{\"payload\":{}{}}}", "[".repeat(100), "]".repeat(100)), "payload"),
        (format!("{{\"payload\":\"{}\"}}", "x".repeat(300_000)), "payload"),
        (r#"{"kind":"x"}"#.to_owned(), "kind"),
    ] {
        let errors = details(api.send(&format!("{path}/test"), body.as_bytes())?)?;
        ensure!(errors.len() == 1 && errors[0].starts_with(&format!("{field}: ")), "{errors:?}");
    }
    Ok(())
}

pub(super) fn dead_letters_and_replays(c: &Cluster) -> Result<()> {
    let map = c.map("dead-letters")?;
    let api = c.api(0, &map);
    let (path, _) = create(c, &map, &paused("dead-letters"))?;
    let events = publish_many(c, 0, &map, "x", 10)?;
    let empty = json!({"data": [], "cursor": null, "has_more": false, "total": 0});
    let dead_letters = format!("{path}/dead-letters");
    ensure!(api.get(&dead_letters)?.expect(200)?.json()? == empty);
    ensure!(api.get(&format!("{dead_letters}?limit=0"))?.status == 400);
    ensure!(api.get(&format!("{dead_letters}?after=x"))?.status == 400);
    let id = text(&events[0], "id")?;
    for missing in ["nonsense", id.as_str()] {
        ensure!(api.get(&format!("{dead_letters}/{missing}"))?.code() == "not_found");
        ensure!(api.delete(&format!("{dead_letters}/{missing}"))?.status == 404);
        ensure!(api.post(&format!("{dead_letters}/{missing}/retry"), &json!({}))?.status == 404);
    }
    ensure!(api.delete(&dead_letters)?.data(200)? == json!({"removed": 0}));
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
    for refused in [
        api.post(&replay, &json!({"since": "2025-06-21T12:34:56Z"}))?,
        api.post(&replay, &json!({"event_ids": [id]}))?,
        api.post(&format!("{dead_letters}/retry"), &json!({}))?,
    ] {
        ensure!(refused.status == 409 && refused.code() == "webhook_inactive", "{}", refused.text());
    }
    api.post(&format!("{path}/enable"), &json!({"from": "skip"}))?.expect(200)?;
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
    let retried = api.post(&format!("{dead_letters}/retry"), &json!({}))?.data(202)?;
    ensure!(retried["failed_only"] == true, "{retried}");
    details(api.post(&format!("{dead_letters}/retry"), &json!({"since": "x"}))?)?;
    let all = api.get(&format!("{path}/replays"))?.data(200)?;
    ensure!(all[0]["id"] == retried["id"], "the newest is not the first: {all}");
    ensure!(api.get(&format!("{path}/replays/1"))?.code() == "not_found");
    Ok(())
}

pub(super) fn given_up(c: &Cluster) -> Result<()> {
    let map = c.map("given-up")?;
    let api = c.api(0, &map);
    let closed = ClosedPort::new()?;
    let body = json!({"url": format!("http://{}/", closed.addr), "retry": {"max_attempts": 1}, "events": ["lost_*"]});
    let (path, _) = create(c, &map, &body)?;
    publish(c, 0, &map, "other", json!({}))?;
    let lost = publish_many(c, 0, &map, "lost_one", 3)?;
    let dead_letters = format!("{path}/dead-letters");
    let first = c.wait_until("three dead letters", |_| {
        let page = api.get(&format!("{dead_letters}?limit=2"))?.expect(200)?.json()?;
        Ok((page["total"] == 3).then_some(page))
    })?;
    ensure!(first["has_more"] == true && first["data"].as_array().map(Vec::len) == Some(2), "{first}");
    let dead_letter = &first["data"][0];
    ensure!(
        dead_letter["id"] == lost[0]["id"] && dead_letter["seq"] == 2 && dead_letter["type"] == "lost_one",
        "{dead_letter}"
    );
    ensure!(
        dead_letter["event"] == lost[0] && dead_letter["attempts"] == 1 && dead_letter["class"] == "connect",
        "{dead_letter}"
    );
    let rest = api.get(&format!("{dead_letters}?after={}", first["cursor"]))?.expect(200)?.json()?;
    ensure!(rest["has_more"] == false && rest["data"].as_array().map(Vec::len) == Some(1), "{rest}");
    let one = format!("{dead_letters}/{}", text(&lost[1], "id")?);
    ensure!(api.get(&one)?.data(200)?["event"] == lost[1]);
    let shown = c.wait_until("the webhook's counts", |_| {
        let shown = api.get(&path)?.data(200)?;
        Ok((shown["given_up"] == 3 && shown["queue_depth"] == 0).then_some(shown))
    })?;
    ensure!(
        shown["state"] == "failing" && shown["dead_letters"] == 3 && shown["failed_attempts"] == 3,
        "{shown}"
    );
    ensure!(
        shown["success_rate"] == 0.0 && shown["last_error"].is_string() && shown["owner"] == 1,
        "{shown}"
    );
    let attempts = api.get(&format!("{path}/attempts?after=1"))?.data(200)?;
    ensure!(attempts.as_array().map(Vec::len) == Some(2), "{attempts}");
    let known = lost.iter().find(|event| event["id"] == attempts[0]["event_id"]);
    ensure!(known.is_some_and(|event| event["seq"] == attempts[0]["seq"]), "{attempts}");
    let logs = path.replace(&hooks(&map), "/api/webhooks") + "/logs";
    let logs = api.get(&logs)?.expect(200)?.json()?;
    ensure!(logs.as_array().map(Vec::len) == Some(3) && logs[0]["status"] == "failed", "{logs}");
    ensure!(logs[0]["payload"]["i"].is_u64() && logs[0]["error_message"].is_string(), "{logs}");
    ensure!(api.post(&format!("{one}/retry"), &json!({}))?.data(202)?["id"] == lost[1]["id"]);
    api.delete(&format!("{dead_letters}/{}", text(&lost[0], "id")?))?.expect(204)?;
    let all = api.post(&format!("{dead_letters}/retry"), &json!({}))?.data(202)?;
    ensure!(all["failed_only"] == true && all["until_seq"] == 5, "{all}");
    c.wait_until("the end of the replay", |_| {
        let replay = api.get(&format!("{path}/replays/{}", all["id"]))?.data(200)?;
        Ok((replay["state"] == "done").then_some(()))
    })?;
    // An event that is being retried is no dead letter until it is given up again.
    c.wait_until("both dead letters again", |_| {
        let shown = api.get(&path)?.data(200)?;
        Ok((shown["dead_letters"] == 2 && shown["retrying"] == 0).then_some(()))
    })?;
    ensure!(api.delete(&dead_letters)?.data(200)?["removed"] == 2);
    ensure!(api.get(&dead_letters)?.expect(200)?.json()?["total"] == 0);
    Ok(())
}
