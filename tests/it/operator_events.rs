//! Operator events: each fact becomes one event of the system map, whichever node leads or dies; what
//! concerns a webhook goes to its map too; and the system map is for the admin and for nobody's own events.

use crate::support::{checked, nodes, scenario};
use crate::webhooks_support::{Hook, delivering, map, publish_keys};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::Cluster;
use testkit::cluster::Map;
use testkit::http::{Answer, Api, text};
use testkit::receiver::{Receiver, behaviour};
use waypost::core::time::parse_iso;

/// The path of the system map.
const SYSTEM: &str = "/api/maps/waypost-system";

/// What a webhook's map and the operators are told about one that fails until it is disabled.
fn episode() -> Vec<(String, Value)> {
    let failing = [50, 75, 90, 100].map(|percent| ("webhook.failing".to_owned(), json!(percent)));
    failing.into_iter().chain([("webhook.disabled".to_owned(), Value::Null)]).collect()
}

/// All events of a map under these subjects.
fn events(api: &Api, map: &str, subjects: &str) -> Result<Vec<Value>> {
    let path = format!("{map}/events?since=2000-01-01T00:00:00Z&limit=1000&subjects={subjects}");
    let page = api.get(&path)?.expect(200)?.json()?;
    page["data"].as_array().cloned().context("no events")
}

/// The events of the system map that have one of these types.
fn told(c: &Cluster, kinds: &[&str]) -> Result<Vec<Value>> {
    let all = events(&c.admin(c.up()?), SYSTEM, "")?;
    let is_wanted = |event: &Value| event["type"].as_str().is_some_and(|kind| kinds.contains(&kind));
    Ok(all.into_iter().filter(is_wanted).collect())
}

/// The type and the percentage of each event about the webhook.
fn about(events: &[Value], hook: &Hook) -> Vec<(String, Value)> {
    let of_hook = events.iter().filter(|event| event["payload"]["webhook"]["id"] == hook.id.as_str());
    let told = |event: &Value| {
        let kind = event["type"].as_str().unwrap_or_default().to_owned();
        (kind, event["payload"]["percent"].clone())
    };
    of_hook.map(told).collect()
}

/// Waits until the events of a map under that subject tell of the webhook's episode, and checks that they
/// tell nothing else of it.
fn wait_episode(c: &Cluster, (api, map): (&Api, &str), subject: &str, hook: &Hook) -> Result<Vec<Value>> {
    let of_map = c.wait_until("the end of the episode to be told", |_| {
        let all = events(api, map, subject)?;
        Ok((about(&all, hook).len() >= episode().len()).then_some(all))
    })?;
    ensure!(about(&of_map, hook) == episode(), "{map} was told {of_map:?}");
    Ok(of_map)
}

/// The system map with a token that the admin made for it.
fn system(c: &Cluster) -> Result<Map> {
    let shown = c.wait_until("the system map", |c| c.admin(0).get(SYSTEM)?.data(200).map(Some))?;
    let token = json!({"name": "t", "scopes": ["subscribe", "manage"]});
    let token = c.admin(0).post(&format!("{SYSTEM}/tokens"), &token)?.data(201)?;
    Ok(Map { id: text(&shown, "id")?, slug: text(&shown, "slug")?, token: text(&token, "token")? })
}

#[test]
fn operators_are_told_of_webhooks_in_a_map_of_their_own() {
    checked(
        delivering(3),
        &[
            ("a failing webhook", failing),
            ("a failing webhook of the system map", failing_itself),
            ("a map for the admin", closed),
        ],
    );
}

fn failing(c: &Cluster) -> Result<()> {
    let system = system(c)?;
    let receiver = Receiver::start()?;
    Hook::create(c, &system, &receiver.on("/operators", behaviour::healthy()), json!({}))?;
    let map = map(c, "failing")?;
    let url = receiver.on("/fails", behaviour::status(500));
    let hook = Hook::create(c, &map, &url, json!({"auto_disable": 3}))?;
    publish_keys(c, &map, "a", 2)?;
    hook.wait(c, "the webhook to be disabled", |hook| hook["state"] == "disabled")?;
    let own = format!("/api/maps/{}", map.id);
    let subject = format!("%24webhook/{}", hook.id);
    let of_map = wait_episode(c, (&c.api(0, &map), own.as_str()), &subject, &hook)?;
    let payload = &of_map[0]["payload"];
    ensure!(payload["map"]["slug"] == "failing" && payload["consecutive_failures"].is_u64(), "{payload}");
    // A token of the system map reads what the admin reads.
    wait_episode(c, (&c.api(1, &system), SYSTEM), "", &hook)?;
    let of_clients = events(&c.api(0, &map), &own, "")?;
    ensure!(about(&of_clients, &hook).is_empty(), "the map's own subject has {of_clients:?}");
    receiver.wait("/operators", "the operators' webhook", |requests| {
        let bodies = requests.iter().filter_map(|request| serde_json::from_slice(&request.body).ok());
        let bodies: Vec<Value> = bodies.collect();
        let has = |wanted: &(String, Value)| about(&bodies, &hook).contains(wanted);
        episode().iter().all(has)
    })?;
    Ok(())
}

/// A webhook of the system map that fails is told of under its own subject only, and not to the webhooks
/// there.
fn failing_itself(c: &Cluster) -> Result<()> {
    let system = system(c)?;
    let receiver = Receiver::start()?;
    let url = receiver.on("/fails", behaviour::status(500));
    let hook = Hook::create(c, &system, &url, json!({"auto_disable": 3}))?;
    // Something that it has to send: another webhook is disabled.
    let map = map(c, "gone")?;
    let gone = Hook::create(c, &map, &receiver.on("/gone", behaviour::status(410)), json!({}))?;
    publish_keys(c, &map, "a", 1)?;
    hook.wait(c, "the webhook to be disabled", |hook| hook["state"] == "disabled")?;
    wait_episode(c, (&c.admin(0), SYSTEM), &format!("%24webhook/{}", hook.id), &hook)?;
    let all = events(&c.admin(0), SYSTEM, "")?;
    ensure!(about(&all, &hook).is_empty(), "it was sent events about itself: {all:?}");
    ensure!(about(&all, &gone) == [("webhook.disabled".to_owned(), Value::Null)], "{all:?}");
    Ok(())
}

fn closed(c: &Cluster) -> Result<()> {
    let system = system(c)?;
    let stranger = map(c, "stranger")?;
    let event = json!({"type": "node.down", "payload": {}});
    for below in ["", "/events", "/webhooks", "/tokens"] {
        let answer = |map: &str| c.api(0, &stranger).get(&format!("/api/maps/{map}{below}"));
        let (known, unknown) = (answer("waypost-system")?, answer("no-such-map")?);
        let is_alike = known.status == unknown.status && known.code() == unknown.code();
        ensure!(is_alike && known.status >= 400, "{below}: {}", known.text());
    }
    ensure!(c.api(0, &stranger).get("/api/maps")?.status >= 400, "a map's token lists maps");
    let closed = |answer: Answer| -> Result<()> {
        ensure!(answer.status == 403 && answer.code() == "system_map", "{}", answer.text());
        Ok(())
    };
    closed(c.admin(0).post(&format!("{SYSTEM}/events"), &event)?)?;
    closed(c.admin(0).delete(SYSTEM)?)?;
    closed(c.admin(0).patch(SYSTEM, &json!({"slug": "mine"}))?)?;
    closed(c.admin(0).put(&format!("{SYSTEM}/channel-rules"), &json!([]))?)?;
    closed(c.admin(0).post(&format!("{SYSTEM}/tokens"), &json!({"name": "p", "scopes": ["publish"]}))?)?;
    c.api(0, &system).post(&format!("{SYSTEM}/events"), &event)?.expect(403)?;
    let taken = c.admin(0).post("/api/maps", &json!({"slug": "waypost-system"}))?;
    ensure!(taken.status == 409 && taken.code() == "slug_taken", "{}", taken.text());
    let listed = c.admin(0).get("/api/maps?limit=1000")?.data(200)?;
    let systems = listed.as_array().into_iter().flatten().filter(|map| map["slug"] == "waypost-system");
    ensure!(systems.count() == 1, "{listed}");
    let changed = json!({"retention": {"events": 500}, "limits": {"webhooks": 20}});
    let changed = c.admin(0).patch(SYSTEM, &changed)?.data(200)?;
    ensure!(changed["retention"]["events"] == 500 && changed["limits"]["webhooks"] == 20, "{changed}");
    Ok(())
}

#[test]
fn the_death_of_a_node_and_of_a_leader_are_told_once() {
    scenario(nodes(3), |cluster| {
        system(cluster)?;
        let leader = cluster.leader()?;
        let victim = (leader + 1) % 3;
        dies_and_comes_back(cluster, victim)?;
        let leader = cluster.leader()?;
        dies_and_comes_back(cluster, leader)?;
        leaders_follow_each_other(cluster)
    });
}

/// Kills a node, and starts it again when operators know: they are told once of each.
fn dies_and_comes_back(cluster: &mut Cluster, node: usize) -> Result<()> {
    let id = cluster.id(node)?;
    cluster.nodes[node].kill9()?;
    // A node that is slow for long enough is down meanwhile, so these events may come more than once. No two
    // of the same type follow each other.
    let told_last = |c: &Cluster, kind: &str| -> Result<Option<()>> {
        let all = told(c, &["node.down", "node.up"])?;
        let of_node = all.iter().filter(|event| event["payload"]["node"]["id"] == id);
        let of_node: Vec<&str> = of_node.filter_map(|event| event["type"].as_str()).collect();
        let expected = ["node.down", "node.up"].into_iter().cycle();
        ensure!(of_node.iter().copied().eq(expected.take(of_node.len())), "{of_node:?}");
        Ok((of_node.last() == Some(&kind)).then_some(()))
    };
    cluster.wait_until("node.down", |c| told_last(c, "node.down"))?;
    cluster.bring_back(node)?;
    cluster.wait_until("node.up", |c| told_last(c, "node.up"))
}

/// Each event names the leader of the one before, and the last one names the present leader.
fn leaders_follow_each_other(cluster: &Cluster) -> Result<()> {
    let is_told = |c: &Cluster| -> Result<Option<Vec<Value>>> {
        let present = c.id(c.leader()?)?;
        let changes = told(c, &["leader.changed"])?;
        Ok(changes.last().is_some_and(|last| last["payload"]["to"]["id"] == present).then_some(changes))
    };
    let changes = cluster.wait_until("the present leader to be told", is_told)?;
    for change in &changes {
        ensure!(change["payload"]["from"]["id"] != change["payload"]["to"]["id"], "{change}");
        ensure!(change["payload"]["at"].as_str().is_some_and(|at| parse_iso(at).is_some()), "{change}");
    }
    for pair in changes.windows(2) {
        ensure!(pair[0]["payload"]["to"]["id"] == pair[1]["payload"]["from"]["id"], "{changes:?}");
    }
    Ok(())
}
