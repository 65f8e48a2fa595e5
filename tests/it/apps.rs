//! Apps: credentials are made, shown once, listed, changed and deleted at any node; nobody learns of the keys of
//! another map; the first app prepares its map; and the configuration file defines apps too.

use crate::support::{checked, nodes, scenario};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::Cluster;
use testkit::cluster::Map;
use testkit::http::{Answer, Api, text};
use testkit::phoenix::Socket;

#[test]
fn credentials_are_made_and_deleted_at_any_node() {
    checked(
        nodes(3),
        &[
            ("an app from its creation to its end", lifecycle),
            ("settings are changed at any node, and every node goes by them", changes),
            ("ids and keys are chosen by the admin and unique", choices),
            ("another map's keys are as unknown as those of nobody", foreign_keys),
            ("ten apps of a map", ten),
            ("the first app prepares its map, and the answer says so", prepares),
            ("a map in use is left as it is", in_use),
            ("a limit that the admin gave stays", given_limit),
            ("channel rules say what clients may do", rules),
            ("a webhook with an app's secret has the app's key", key_of_webhook),
        ],
    );
}

fn path(map: &Map) -> String {
    format!("/api/maps/{}/pusher", map.id)
}

fn of_key(map: &Map, key: &str) -> String {
    format!("{}/{key}", path(map))
}

fn set_rules(api: &Api, map: &Map, rules: &Value) -> Result<Answer> {
    let headers = [("content-type", "application/json")];
    let path = format!("/api/maps/{}/channel-rules", map.id);
    api.call("PUT", &path, &headers, Some(rules.to_string().as_bytes()))
}

fn lifecycle(c: &Cluster) -> Result<()> {
    let map = c.map("lifecycle")?;
    let settings = json!({"client_events": true, "origins": ["https://*.example.com"], "max_connections": 7});
    let made = c.api(0, &map).post(&path(&map), &settings)?.data(201)?;
    let (key, secret) = (text(&made, "key")?, text(&made, "secret")?);
    ensure!(text(&made, "app_id")?.bytes().all(|byte| byte.is_ascii_digit()), "{made}");
    ensure!(secret.len() == 64 && key.len() == 20, "{made}");
    for node in 0..3 {
        let api = c.api(node, &map);
        let list = api.get(&path(&map))?.expect(200)?;
        ensure!(!list.text().contains(&secret), "the secret is listed");
        let one = api.get(&of_key(&map, &key))?.data(200)?;
        ensure!(list.data(200)? == json!([one]), "{one}");
        ensure!(one["client_events"] == true && one["max_connections"] == 7, "{one}");
        ensure!(one["origins"] == json!(["https://*.example.com"]) && one["origin"] == "api", "{one}");
        ensure!(one.get("secret").is_none() && one["app_id"] == made["app_id"], "{one}");
        // The key and the secret are no tokens.
        for wrong in [&key, &secret] {
            Api::new(&c.nodes[node].url(), Some(wrong)).get(&map.events())?.expect(401)?;
        }
        let tokens = api.get(&format!("/api/maps/{}/tokens", map.id))?.data(200)?;
        ensure!(tokens.as_array().is_some_and(|tokens| tokens.len() == 1), "{tokens}");
    }
    // A second key with the same app id, for a rotation.
    let second = c.api(1, &map).post(&path(&map), &json!({"app_id": made["app_id"]}))?.data(201)?;
    ensure!(second["app_id"] == made["app_id"] && second["key"] != made["key"], "{second}");
    c.api(2, &map).delete(&of_key(&map, &key))?.expect(204)?;
    for node in 0..3 {
        let api = c.api(node, &map);
        ensure!(api.get(&of_key(&map, &key))?.status == 404, "node {node} still has it");
        ensure!(api.delete(&of_key(&map, &key))?.status == 404);
        let list = api.get(&path(&map))?.data(200)?;
        ensure!(list.as_array().is_some_and(|list| list.len() == 1), "{list}");
    }
    Ok(())
}

fn changes(c: &Cluster) -> Result<()> {
    let map = c.map("changed-app")?;
    let made = c.api(0, &map).post(&path(&map), &json!({"max_connections": 7}))?.data(201)?;
    let path = of_key(&map, &text(&made, "key")?);
    for (node, patch) in [
        (0, json!({"client_events": true})),
        (1, json!({"origins": ["https://good.example"]})),
        (2, json!({"max_connections": null})),
        (0, json!({})),
    ] {
        let changed = c.api(node, &map).patch(&path, &patch)?.data(200)?;
        for (name, value) in patch.as_object().into_iter().flatten() {
            ensure!(changed[name] == *value, "{patch}: {changed}");
        }
        // It is answered when every node has it.
        for other in 0..3 {
            let shown = c.api(other, &map).get(&path)?.data(200)?;
            ensure!(shown == changed && shown.get("secret").is_none(), "{patch} at {other}: {shown}");
        }
    }
    let shown = c.api(1, &map).get(&path)?.data(200)?;
    ensure!(shown["client_events"] == true && shown["max_connections"].is_null(), "{shown}");
    ensure!(shown["origins"] == json!(["https://good.example"]), "{shown}");
    ensure!(shown["key"] == made["key"] && shown["inserted_at"] == made["inserted_at"], "{shown}");
    for bad in [json!({"key": "another"}), json!({"secret": "a-long-secret"}), json!({"max_connections": 0})]
    {
        let refused = c.admin(0).patch(&path, &bad)?;
        ensure!(refused.status == 400 && refused.code() == "invalid_body", "{bad}: {}", refused.text());
    }
    let reader = json!({"name": "reader", "scopes": ["subscribe", "publish"]});
    let reader = c.api(0, &map).post(&format!("/api/maps/{}/tokens", map.id), &reader)?.data(201)?;
    let reader = Api::new(&c.nodes[0].url(), Some(&text(&reader, "token")?));
    let refused = reader.patch(&path, &json!({"client_events": false}))?;
    ensure!(refused.status == 403, "{}", refused.text());
    ensure!(c.api(2, &map).get(&path)?.data(200)? == shown, "a refused change changed something");
    Ok(())
}

fn choices(c: &Cluster) -> Result<()> {
    let [map, other] = [c.map("choices")?, c.map("other-choices")?];
    let map_of_id = &map;
    let own = json!({"app_id": "1234", "key": "own-key", "secret": "own-secret"});
    for part in ["app_id", "key", "secret"] {
        let body = json!({ part: own[part] });
        let refused = c.api(0, &map).post(&path(&map), &body)?;
        ensure!(refused.status == 403 && refused.code() == "forbidden", "{part}: {}", refused.text());
    }
    let admin = c.admin(0);
    let made = admin.post(&path(&map), &own)?.data(201)?;
    ensure!(["app_id", "key", "secret"].iter().all(|part| made[*part] == own[*part]), "{made}");
    for (map, body, code) in [
        (&map, json!({"key": "own-key"}), "key_taken"),
        (&other, json!({"key": "own-key"}), "key_taken"),
        (&other, json!({"app_id": "1234"}), "app_id_taken"),
    ] {
        let refused = c.admin(1).post(&path(map), &body)?;
        ensure!(refused.status == 409 && refused.code() == code, "{body}: {}", refused.text());
        let names_its_map = refused.text().contains(&format!("the map {} has it", map_of_id.slug));
        ensure!(names_its_map == (code == "app_id_taken"), "{body}: {}", refused.text());
    }
    for bad in [json!({"key": "a b"}), json!({"app_id": ""}), json!({"secret": 7}), json!({"origins": "x"})] {
        ensure!(admin.post(&path(&map), &bad)?.code() == "invalid_body", "{bad}");
    }
    admin.delete(&of_key(&map, "own-key"))?.expect(204)?;
    admin.post(&path(&other), &own)?.data(201).map(drop)
}

fn foreign_keys(c: &Cluster) -> Result<()> {
    let [mine, foreign] = [c.map("mine")?, c.map("foreign")?];
    let made = c.api(0, &foreign).post(&path(&foreign), &json!({}))?.data(201)?;
    let key = text(&made, "key")?;
    let api = c.api(1, &mine);
    let normal = |answer: &Answer| (answer.status, answer.text());
    for (theirs, nobody) in [
        (api.get(&of_key(&mine, &key))?, api.get(&of_key(&mine, "nobody"))?),
        (api.patch(&of_key(&mine, &key), &json!({}))?, api.patch(&of_key(&mine, "nobody"), &json!({}))?),
        (api.delete(&of_key(&mine, &key))?, api.delete(&of_key(&mine, "nobody"))?),
    ] {
        ensure!(normal(&theirs) == normal(&nobody) && theirs.status == 404, "{}", theirs.text());
    }
    // Whether the map has the id or not, a token may not choose it.
    let asked = |id: &Value| api.post(&path(&mine), &json!({"app_id": id}));
    let (taken, free) = (asked(&made["app_id"])?, asked(&json!("424242"))?);
    ensure!(normal(&taken) == normal(&free) && taken.status == 403, "{}", taken.text());
    ensure!(api.get(&path(&foreign))?.status == 404);
    c.api(2, &foreign).get(&of_key(&foreign, &key))?.data(200).map(drop)
}

fn ten(c: &Cluster) -> Result<()> {
    let map = c.map("ten-apps")?;
    for n in 0..10 {
        c.api(n % 3, &map).post(&path(&map), &json!({}))?.data(201)?;
    }
    let refused = c.api(0, &map).post(&path(&map), &json!({}))?;
    ensure!(refused.status == 422 && refused.code() == "limit_reached", "{}", refused.text());
    Ok(())
}

fn prepares(c: &Cluster) -> Result<()> {
    let map = c.map_with("prepared", json!({}))?;
    let api = c.api(0, &map);
    let one_map = format!("/api/maps/{}", map.id);
    ensure!(api.get(&one_map)?.data(200)?["limits"]["connections"] == 1000);
    let made = api.post(&path(&map), &json!({}))?.data(201)?;
    let changes = made["map_changes"].as_array().context("no changes")?;
    ensure!(changes.len() == 2 && made["map_changes"].to_string().contains("ephemeral"), "{made}");
    let rules = api.get(&format!("{one_map}/channel-rules"))?.data(200)?;
    ensure!(rules[0]["match"] == "*" && rules[0]["durability"] == "ephemeral", "{rules}");
    let limits = api.get(&one_map)?.data(200)?["limits"].clone();
    ensure!(limits["connections"] == 10_000 && limits["joins_per_minute"] == 6000, "{limits}");
    c.wait_same_applied()?;
    let event = |subject: &str| json!({"type": "x", "payload": 1, "subject": subject});
    api.post(&map.events(), &event("orders"))?.expect(202)?;
    api.post(&map.events(), &json!({"type": "x", "payload": 1}))?.expect(201)?;
    let mut open = Vec::new();
    for n in 0..12 {
        let mut socket = Socket::connect(c.nodes[n % 3].http, &map.token)?;
        socket.join_ok(&map.topic(), json!({}))?;
        open.push(socket);
    }
    // The second app changes nothing of the map.
    set_rules(&api, &map, &json!([]))?.expect(200)?;
    let second = api.post(&path(&map), &json!({}))?.data(201)?;
    ensure!(second["map_changes"] == json!([]), "{second}");
    ensure!(api.get(&format!("{one_map}/channel-rules"))?.data(200)? == json!([]));
    Ok(())
}

fn in_use(c: &Cluster) -> Result<()> {
    let map = c.map_with("in-use", json!({"limits": {"connections": 11, "joins_per_minute": 60}}))?;
    let api = c.api(0, &map);
    api.post(&map.events(), &json!({"type": "x", "payload": 1, "subject": "orders"}))?.expect(201)?;
    let made = c.api(1, &map).post(&path(&map), &json!({}))?.data(201)?;
    ensure!(made["map_changes"] == json!([]), "{made}");
    let limits = api.get(&format!("/api/maps/{}", map.id))?.data(200)?["limits"].clone();
    ensure!(limits["connections"] == 11 && limits["joins_per_minute"] == 60, "{limits}");
    c.wait_same_applied()?;
    api.post(&map.events(), &json!({"type": "x", "payload": 1, "subject": "orders"}))?.expect(201).map(drop)
}

/// A limit that the admin gave a map stays, also if new maps get the same.
fn given_limit(c: &Cluster) -> Result<()> {
    let map = c.map_with("given-limit", json!({"limits": {"connections": 1000}}))?;
    let made = c.api(1, &map).post(&path(&map), &json!({}))?.data(201)?;
    ensure!(made["map_changes"].as_array().is_some_and(|changes| changes.len() == 1), "{made}");
    let limits = c.api(0, &map).get(&format!("/api/maps/{}", map.id))?.data(200)?["limits"].clone();
    ensure!(limits["connections"] == 1000, "{limits}");
    Ok(())
}

fn key_of_webhook(c: &Cluster) -> Result<()> {
    let map = c.map("key-of-webhook")?;
    let app = c.api(0, &map).post(&path(&map), &json!({}))?.data(201)?;
    let another = c.api(1, &map).post(&path(&map), &json!({}))?.data(201)?;
    let own = json!("own");
    let none = json!(null);
    for (n, (mut hook, key)) in [
        (json!({"profile": "pusher", "secret": another["secret"]}), &another["key"]),
        (json!({"profile": "pusher", "secret": app["secret"]}), &app["key"]),
        (json!({"profile": "pusher", "secret": app["secret"], "key": own}), &own),
        (json!({"profile": "pusher", "secret": "a secret of some length"}), &none),
        (json!({"profile": "standard", "secret": app["secret"]}), &none),
    ]
    .into_iter()
    .enumerate()
    {
        hook["url"] = json!(format!("https://1.1.1.1/{n}"));
        hook["active"] = json!(false);
        let made = c.api(2, &map).post(&format!("/api/maps/{}/webhooks", map.id), &hook)?.data(201)?;
        ensure!(made["key"] == *key, "{hook}: {made}");
    }
    Ok(())
}

fn rules(c: &Cluster) -> Result<()> {
    let map = c.map("rules-of-apps")?;
    let api = c.api(0, &map);
    let publish = |subject: &str, status: u16| {
        let event = json!({"type": "x", "payload": 1, "subject": subject});
        api.post(&map.events(), &event)?.expect(status).map(drop)
    };
    for subject in ["private-a", "presence-a", "cache-a", "private-encrypted-a"] {
        publish(subject, 202)?;
    }
    publish("not-private-a", 201)?;
    let given = json!([
        {"match": "presence-room-*", "durability": "durable", "members_max": 500},
        {"match": "chat-*", "client_events": true, "presence": true, "join": "signature"},
    ]);
    let shown = set_rules(&api, &map, &given)?.data(200)?;
    ensure!(shown[0]["members_max"] == 500 && shown[0]["client_events"].is_null(), "{shown}");
    ensure!(shown[1]["durability"].is_null() && shown[1]["join"] == "signature", "{shown}");
    ensure!(set_rules(&api, &map, &shown)?.data(200)? == shown, "what is shown can be sent back");
    c.wait_same_applied()?;
    publish("presence-room-1", 201)?;
    publish("presence-hall", 202)?;
    publish("chat-1", 201)?;
    let bad = json!([{"match": "a", "members_max": 0, "join": "nobody"}]);
    let refused = set_rules(&api, &map, &bad)?;
    let told = refused.text();
    ensure!(refused.status == 400 && told.contains("0.members_max") && told.contains("0.join"), "{told}");
    Ok(())
}

/// Restarts the node, so that it reads its file.
fn restart(c: &mut Cluster) -> Result<()> {
    c.nodes[0].stop(testkit::wait::LIMIT)?;
    c.nodes[0].start()?;
    c.wait_node(0)
}

/// Waits until the map's apps are as they should be.
fn wait_for(c: &Cluster, map: &Map, is: impl Fn(&[Value]) -> bool) -> Result<Vec<Value>> {
    c.wait_until("the apps of the file", |c| {
        let list = c.api(0, map).get(&path(map))?.data(200)?;
        let list = list.as_array().cloned().unwrap_or_default();
        Ok(is(&list).then_some(list))
    })
}

#[test]
fn the_configuration_file_defines_apps_with_their_webhooks() {
    scenario(nodes(1).set("WAYPOST_WEBHOOKS_ALLOW_NETS", "127.0.0.0/8"), |c| {
        let file = c.dir().join("apps.toml");
        let app = |key: &str, more: &str| {
            format!(
                "[[apps]]\nmap = \"filed\"\nid = \"77\"\nkey = \"{key}\"\nsecret = \"a-long-secret\"\n{more}\n"
            )
        };
        let webhook = "[[apps.webhooks]]\nurl = \"http://127.0.0.1:9/hook\"\nevents = [\"channel_occupied\"]\nenabled = false";
        std::fs::write(&file, app("one", webhook) + &app("two", ""))?;
        c.nodes[0].env.insert("WAYPOST_CONFIG".into(), file.display().to_string());
        restart(c)?;
        // The apps are created as soon as their map exists.
        let map = c.map("filed")?;
        let both = wait_for(c, &map, |list| list.len() == 2)?;
        ensure!(both.iter().all(|app| app["origin"] == "config" && app["app_id"] == "77"), "{both:?}");
        let hooks = c.wait_until("the webhook of the app", |c| {
            let list = c.api(0, &map).get(&format!("/api/maps/{}/webhooks", map.id))?.data(200)?;
            Ok(list.as_array().is_some_and(|list| list.len() == 1).then_some(list))
        })?;
        ensure!(hooks[0]["profile"] == "pusher" && hooks[0]["name"] == "one-1", "{hooks}");
        let refused = c.admin(0).delete(&of_key(&map, "one"))?;
        ensure!(refused.status == 409 && refused.code() == "configured", "{}", refused.text());
        let refused = c.admin(0).patch(&of_key(&map, "one"), &json!({"client_events": true}))?;
        ensure!(refused.status == 409 && refused.code() == "configured", "{}", refused.text());
        let own = c.admin(0).post(&path(&map), &json!({"app_id": "77"}))?.data(201)?;
        // An app that left the file is deleted, a changed one is changed, and one made over the API stays.
        std::fs::write(&file, app("one", "client_events = true"))?;
        restart(c)?;
        let list = wait_for(c, &map, |list| {
            list.len() == 2 && list.iter().any(|app| app["key"] == "one" && app["client_events"] == true)
        })?;
        ensure!(list.iter().any(|app| app["key"] == own["key"]), "{list:?}");
        let tokens = c.api(0, &map).get(&format!("/api/maps/{}/tokens", map.id))?.data(200)?;
        ensure!(tokens.as_array().is_some_and(|tokens| tokens.len() == 1), "{tokens}");
        Ok(())
    });
}
