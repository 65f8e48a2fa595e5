//! Refused requests and their error texts.

use super::*;

pub(super) fn wrong_bodies(c: &Cluster) -> Result<()> {
    let map = c.map("wrong-bodies")?;
    let api = c.api(0, &map);
    let everything = json!({
        "url": 5, "events": [], "active": "yes", "profile": "fax", "method": "GET", "headers": {"Host": "x", "X-A": "a\r\nb"},
        "ordering": "maybe", "rate_limit": {"requests": 0}, "batch": {"max": 1}, "filter": {"channel_type": "radio"},
        "retry": {"max_attempts": 0, "jitter": 2, "delay_ms": 1, "factor": 0.5, "max_delay_ms": 90_000_000, "x": 1},
        "timeout_ms": 50, "auto_disable": true, "secret": "short", "name": "x".repeat(201), "key": "", "colour": "red",
        "template": "x"
    });
    let errors = details(api.post(&hooks(&map), &everything)?)?;
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
        "auto_disable_seconds",
        "secret",
        "name",
        "key",
        "colour",
        "template",
    ] {
        ensure!(
            errors.iter().any(|detail| detail.starts_with(&format!("{field}: "))),
            "no error about {field}: {errors:?}"
        );
    }
    ensure!(errors.iter().filter(|detail| detail.starts_with("headers: ")).count() == 2, "{errors:?}");
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
        (json!({"lambda": {"function_name": "another", "region": "us-east-1"}}), "lambda.function_name"),
        (
            json!({"lambda": {"function_name": "arn:aws:s3:::f", "region": "us-east-1"}}),
            "lambda.function_name",
        ),
        (json!({"lambda": {"function_name": "f", "region": "r"}}), "lambda.region"),
        (
            json!({"lambda": {"function_name": "f", "region": "us-east-1", "endpoint": url("x")}}),
            "lambda.endpoint",
        ),
        (json!({"url": url("x"), "secret": "whsec_!!!!notbase64"}), "secret"),
        (json!({"url": url("x"), "events": ["a\nb"]}), "events"),
        (json!({"url": url("x"), "events": vec!["a"; 101]}), "events"),
        (json!({"url": url("x"), "ordering": "key"}), "ordering_key"),
        (json!({"url": url("x"), "ordering_key": "payload.id"}), "ordering_key"),
        (json!({"url": url("x"), "ordering": "key", "ordering_key": " "}), "ordering_key"),
        (json!({"url": url("x"), "filter": ""}), "filter.expression"),
        (json!({"url": url("x"), "profile": "envelope", "batch": {"max": 5}}), "batch"),
        (json!({"url": url("x"), "profile": "discord", "batch": {"max": 11}}), "batch.max"),
        (json!({"url": url("x"), "profile": "template"}), "template"),
        (json!({"url": url("x"), "profile": "template", "template": "{{ x"}), "template"),
        (json!({"url": url("x"), "profile": "template", "template": "{\"a\": \"${x}\"}"}), "template"),
        (json!({"url": url("x"), "headers": {"X-A": "***"}}), "headers"),
        (json!({"url": url("x"), "headers": {"Webhook-Signature": "v1,x"}}), "headers"),
        (json!({"url": url("x"), "headers": {"X-Wanderer-Signature": "x"}}), "headers"),
        (json!({"url": url("x"), "profile": "pusher", "headers": {"x-pusher-key": "x"}}), "headers"),
        (json!({"url": url(&"x".repeat(2020)), "profile": "discord"}), "url"),
        (json!({"url": url("x"), "headers": {"X-A": "1", "x-a": "2"}}), "headers"),
        (json!({"url": url("x"), "headers": {"X-A": "x".repeat(9000)}}), "headers"),
        (json!({"url": url("x"), "timeout_ms": 1.5}), "timeout_ms"),
        (json!({"url": url("x"), "timeout_ms": -1}), "timeout_ms"),
        (json!({"url": url("x"), "$serde_json::private::RawValue": "1"}), "$serde_json::private::RawValue"),
    ] {
        let errors = details(api.post(&hooks(&map), &body)?).with_context(|| body.to_string())?;
        ensure!(errors.iter().any(|detail| detail.starts_with(&format!("{field}: "))), "{body}: {errors:?}");
    }
    let twice = format!(r#"{{"url":"{0}","url":"{0}"}}"#, url("x"));
    ensure!(
        details(api.send(&hooks(&map), twice.as_bytes())?)?.iter().any(|detail| detail.starts_with("url: "))
    );
    for broken in ["{", "nul", "{\"url\":}", "\u{0}", "{\"timeout_ms\": NaN}"] {
        let errors = details(api.send(&hooks(&map), broken.as_bytes())?)?;
        ensure!(errors.len() == 1 && errors[0].starts_with("body: is not JSON"), "{broken}: {errors:?}");
    }
    let long = json!({"url": url("x"), "profile": "template", "template": "x".repeat(17_000)});
    ensure!(details(api.post(&hooks(&map), &long)?)? == ["template: may have at most 16384 bytes"]);
    let deep = format!("{{\"filter\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    details(api.send(&hooks(&map), deep.as_bytes())?)?;
    ensure!(api.get(&hooks(&map))?.data(200)? == json!([]), "a webhook was created");
    Ok(())
}

pub(super) fn refusals(c: &Cluster) -> Result<()> {
    let map = c.map("limit-of-webhooks")?;
    let api = c.api(0, &map);
    let (first, _) = create(c, &map, &paused("0"))?;
    let again = api.post(&hooks(&map), &paused("0"))?;
    ensure!(again.code() == "url_taken" && again.status == 409, "{}", again.text());
    ensure!(
        again.json()?["hint"].as_str().is_some_and(|hint| hint.contains("every event twice")),
        "{}",
        again.text()
    );
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

pub(super) fn foreign(c: &Cluster) -> Result<()> {
    let map = c.map("owner-of-a-webhook")?;
    let other = c.map("other-map")?;
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
    ensure!(c.api(0, &map).get(&path)?.data(200)?["active"] == false, "another map's token changed it");
    Ok(())
}

/// Reading the newest state waits for a leader; an unauthenticated request must be refused without that wait.
#[test]
fn unauthenticated_requests_are_refused_without_a_leader() {
    // Longer than the client's timeout.
    scenario(nodes(2).set("WAYPOST_PUBLISH_TIMEOUT_MS", "60000"), |c| {
        let map = c.map("strangers")?;
        c.wait_same_applied()?;
        c.nodes[0].kill9()?;
        let stranger = Api::new(&c.nodes[1].url(), None);
        for path in [hooks(&map), "/api/webhooks".to_owned()] {
            stranger.get(&path)?.expect(401)?;
        }
        Ok(())
    });
}

#[test]
fn targets_in_private_networks_are_refused_unless_allowed() {
    scenario(nodes(1), |c| {
        let map = c.map("inside")?;
        let refused = c.api(0, &map).post(&hooks(&map), &paused("x"))?;
        let hint = refused.json()?["hint"].clone();
        ensure!(hint.as_str().is_some_and(|hint| hint.contains("webhooks.allow_nets")), "{hint}");
        let errors = details(refused)?;
        ensure!(errors.len() == 1 && errors[0].starts_with("url: "), "{errors:?}");
        Ok(())
    });
}
