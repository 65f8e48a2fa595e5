//! Webhooks that fall behind while retention removes events: within the bound of the backlog they lose
//! nothing, beyond it they report the loss.

use crate::support::publish_many;
use crate::webhooks_support::{Hook, delivering, quick};
use serde_json::{Value, json};
use testkit::cluster::Map;
use testkit::http::Api;
use testkit::receiver::{Receiver, behaviour, tally};
use testkit::{Cluster, wait};

/// Creates a map that keeps `events` events for clients.
fn keeping(c: &Cluster, slug: &str, events: u64, backlog: Value) -> Map {
    let none = json!({"connections": null, "requests_per_minute": null, "webhooks": null, "publishes_per_second": null});
    let mut retention = json!({"events": events});
    if backlog.is_object() {
        retention["webhook_backlog"] = backlog;
    }
    c.map_with(slug, json!({"limits": none, "retention": retention})).unwrap()
}

/// Returns the history that clients of a map get.
fn history(c: &Cluster, map: &Map) -> Vec<Value> {
    let page = c.api(0, map).get(&format!("{}?since=2000-01-01T00:00:00Z&limit=1000", map.events())).unwrap();
    page.data(200).unwrap().as_array().cloned().unwrap()
}

#[test]
fn retention_waits_for_webhooks_and_clients_see_none_of_it() {
    let mut cluster = Cluster::boot(&delivering(1)).unwrap();
    let receiver = Receiver::start().unwrap();
    let map = keeping(&cluster, "pressed", 20, Value::Null);
    let url = receiver.on("/down", behaviour::status(500));
    let down = Hook::create(&cluster, &map, &url, json!({"retry": quick(100)})).unwrap();
    let url = receiver.on("/once", behaviour::status(500));
    let once = Hook::create(&cluster, &map, &url, json!({"retry": quick(1), "events": ["first"]})).unwrap();
    publish_many(&cluster, 0, &map, "first", 2).unwrap();
    once.wait_dead_letters(&cluster, 2).unwrap();
    for _ in 0..5 {
        publish_many(&cluster, 0, &map, "more", 300).unwrap();
    }
    let shown = down.show(&cluster).unwrap();
    assert!(shown["missed"] == 0 && shown["state"] != "losing", "{shown}");
    let events = history(&cluster, &map);
    assert!(
        events.len() <= 21 && events[0]["seq"].as_u64() > Some(1400),
        "clients have other events than retention keeps"
    );
    let dead_letters = once.wait_dead_letters(&cluster, 2).unwrap();
    assert!(
        dead_letters.iter().all(|dead_letter| dead_letter["event"]["type"] == "first"),
        "{dead_letters:?}"
    );
    cluster.nodes[0].kill9().unwrap();
    cluster.nodes[0].start().unwrap();
    cluster.wait_node(0).unwrap();
    receiver.on("/down", behaviour::healthy());
    receiver.on("/once", behaviour::healthy());
    receiver.wait_events("/down", 1502).unwrap();
    assert_eq!(down.wait_settled(&cluster).unwrap()["missed"], 0);
    // The events that were given up at the beginning are delivered in the end.
    publish_many(&cluster, 0, &map, "more", 100).unwrap();
    let dead_letters = once.wait_dead_letters(&cluster, 2).unwrap();
    assert!(
        dead_letters.iter().all(|dead_letter| dead_letter["event"]["type"] == "first"),
        "dead letters lost their events: {dead_letters:?}"
    );
    once.post(&cluster, "/replay", &json!({"failed_only": true})).unwrap();
    receiver.wait_events("/once", 2).unwrap();
    once.wait_dead_letters(&cluster, 0).unwrap();
}

#[test]
fn beyond_the_bound_a_webhook_reports_lost_events() {
    let mut cluster = Cluster::boot(&delivering(1)).unwrap();
    let receiver = Receiver::start().unwrap();
    let map = keeping(&cluster, "drowned", 20, json!({"bytes": 20_000, "age_seconds": 3600}));
    let alarm = receiver.on("/alarm", behaviour::healthy());
    let of_webhooks = json!({"events": ["webhook.losing"], "filter": {"subjects": ["$webhook/*"]}});
    Hook::create(&cluster, &map, &alarm, of_webhooks).unwrap();
    let url = receiver.on("/down", behaviour::status(500));
    let down = Hook::create(&cluster, &map, &url, json!({"retry": quick(100)})).unwrap();
    let warned = down.show(&cluster).unwrap()["warnings"].to_string();
    assert!(
        warned.contains("auto_disable_seconds"),
        "no warning that an hour is less than five days: {warned}"
    );
    for _ in 0..5 {
        publish_many(&cluster, 0, &map, "more", 300).unwrap();
    }
    let losing = down.wait(&cluster, "losing", |hook| hook["state"] == "losing").unwrap();
    assert!(losing["missed"].as_u64() > Some(0) && losing["losing_since"].is_string(), "{losing}");
    // The alarm's own webhook may be behind for a moment.
    let announced = wait::until("the announcement", || {
        let bodies =
            receiver.accepted("/alarm").into_iter().map(|r| serde_json::from_slice::<Value>(&r.body));
        Ok(bodies.flatten().find(|announced| announced["payload"]["webhook"]["id"] == down.id))
    });
    let announced = announced.unwrap();
    assert!(
        announced["type"] == "webhook.losing" && announced["payload"]["lost"].as_u64() > Some(0),
        "{announced}"
    );
    let problems = cluster.status(0).unwrap()["problems"].clone();
    assert!(problems.to_string().contains("webhooks_losing"), "{problems}");
    let metrics = Api::new(&cluster.nodes[0].url(), None).get("/metrics").unwrap().expect(200).unwrap().body;
    let metrics = String::from_utf8(metrics).unwrap();
    for name in ["waypost_webhooks_losing ", "waypost_webhook_lost_events_total "] {
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.parse::<u64>().ok());
        assert!(value > Some(0), "{name}{value:?}");
    }
    assert!(cluster.nodes[0].log_tail(400).contains("the webhook loses events"));
    cluster.nodes[0].kill9().unwrap();
    cluster.nodes[0].start().unwrap();
    cluster.wait_node(0).unwrap();
    assert_eq!(down.show(&cluster).unwrap()["state"], "losing", "the restart lost the state");
    let more = json!({"retention": {"webhook_backlog": {"bytes": null}}});
    let map_path = format!("/api/maps/{}", map.id);
    assert_eq!(
        cluster.api(0, &map).patch(&map_path, &more).unwrap().status,
        403,
        "only the admin may change the bound"
    );
    let changed = cluster.admin(0).patch(&map_path, &more).unwrap().data(200).unwrap();
    assert_eq!(changed["retention"]["webhook_backlog"], json!({"bytes": null, "age_seconds": 3600}));
    assert!(changed["warnings"].to_string().contains(&down.id), "{changed}");
    receiver.on("/down", behaviour::healthy());
    let settled = down.wait_settled(&cluster).unwrap();
    // What the map is told about the webhook may be lost as well.
    let (published, announced) = (5 * 300, tally::distinct(&receiver.accepted("/alarm")) as u64);
    let all = wait::until("each event to be accepted or counted as lost", || {
        let lost = settled["missed"].as_u64().unwrap() + settled["given_up"].as_u64().unwrap();
        let accepted = tally::distinct(&receiver.accepted("/down")) as u64;
        Ok((published..=published + announced).contains(&(accepted + lost)).then_some(()))
    });
    all.unwrap();
}
