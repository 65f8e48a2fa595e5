//! The compatibility API, whose paths and names are those of a session service.

use super::*;

pub(super) fn compat_life(c: &Cluster) -> Result<()> {
    let map = c.map("compat-life")?;
    let api = c.api(0, &map);
    ensure!(api.get("/api/webhooks")?.expect(200)?.json()? == json!([]));
    let body = json!({"name": "Discord Bot", "url": url("jackbox"), "secret": "mysecret123", "events": ["game.added"]});
    let made = api.post("/api/webhooks", &body)?.expect(201)?.json()?;
    for (field, value) in [
        ("name", &body["name"]),
        ("url", &body["url"]),
        ("events", &body["events"]),
        ("enabled", &json!(true)),
    ] {
        ensure!(made[field] == *value, "{field} of {made}");
    }
    ensure!(
        made["profile"] == "envelope" && made["created_at"].is_string() && made["updated_at"].is_string()
    );
    for absent in ["secret", "active", "inserted_at"] {
        ensure!(made.get(absent).is_none(), "{absent} in {made}");
    }
    let path = format!("/api/webhooks/{}", text(&made, "id")?);
    ensure!(api.get(&path)?.expect(200)?.json()?["id"] == made["id"]);
    let off = api.patch(&path, &json!({"enabled": false, "name": "Other"}))?.expect(200)?.json()?;
    ensure!(off["enabled"] == false && off["name"] == "Other" && off["events"] == made["events"], "{off}");
    ensure!(
        api.put(&path, &json!({"secret": "anothersecret"}))?.expect(200)?.json()?.get("secret").is_none()
    );
    let listed = api.get("/api/webhooks")?.expect(200)?.json()?;
    ensure!(listed[0]["id"] == made["id"] && listed[0]["enabled"] == false, "{listed}");
    // The other API shows the same webhook.
    let same = api.get(&format!("{}/{}", hooks(&map), text(&made, "id")?))?.data(200)?;
    ensure!(same["active"] == false && same["profile"] == "envelope", "{same}");
    let admin = c.admin(0);
    ensure!(admin.get("/api/webhooks")?.code() == "map_needed");
    // A stopped webhook's last requests may end between the two.
    c.wait_until("the admin to see the same list", |_| {
        let listed = api.get("/api/webhooks")?.expect(200)?.json()?;
        let same = admin.get(&format!("/api/webhooks?map={}", map.slug))?.expect(200)?.json()?;
        Ok((same == listed).then_some(()))
    })?;
    api.delete(&path)?.expect(204)?;
    not_found(api.get(&path)?)
}

pub(super) fn compat_refusals(c: &Cluster) -> Result<()> {
    let map = c.map("compat-refusals")?;
    let other = c.map("compat-other")?;
    let api = c.api(0, &map);
    let errors = details(api.post("/api/webhooks", &json!({"name": "x"}))?)?;
    ensure!(
        errors.iter().any(|d| d.starts_with("secret: ")) && errors.iter().any(|d| d.starts_with("url: ")),
        "{errors:?}"
    );
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

pub(super) fn compat_test(c: &Cluster) -> Result<()> {
    let map = c.map("compat-test")?;
    let api = c.api(0, &map);
    let receiver = Receiver::start()?;
    let at = receiver.on("/hook", behaviour::status(500));
    let body =
        json!({"name": "x", "url": at, "secret": "mysecret123", "events": ["game.added"], "enabled": false});
    let made = api.post("/api/webhooks", &body)?.expect(201)?.json()?;
    let id = text(&made, "id")?;
    let sent = api.post(&format!("/api/webhooks/test/{id}"), &json!({}))?.expect(202)?.json()?;
    ensure!(sent["message"] == "Test webhook sent", "{sent}");
    receiver.wait("/hook", "the game of the test", |requests| {
        requests.iter().any(|request| request.json().to_string().contains("Quiplash 3"))
    })?;
    let logs = c.wait_until("the log of the test delivery", |_| {
        let logs = api.get(&format!("/api/webhooks/{id}/logs"))?.expect(200)?.json()?;
        Ok((logs.as_array().map(Vec::len) == Some(1)).then_some(logs))
    })?;
    ensure!(logs[0]["event_type"] == "game.added" && logs[0]["webhook_id"] == id.as_str(), "{logs}");
    ensure!(
        logs[0]["status"] == "failed" && logs[0]["response_status"] == 500 && logs[0]["attempt"] == 1,
        "{logs}"
    );
    Ok(())
}
