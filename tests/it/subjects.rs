//! Subjects: readers of one subject, of a pattern and of all subjects get their events in the map's order
//! over any transport; a gap is reported only to the readers that it concerns; publishing to a subject wakes
//! no reader of others.

use crate::support::checked;
use crate::webhooks_support::{Hook, delivering, map};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::Cluster;
use testkit::clients::Js;
use testkit::cluster::{Map, fresh_key};
use testkit::http::{Answer, Api, text};
use testkit::longpoll::{Poller, message};
use testkit::phoenix::Socket;
use testkit::receiver::{Receiver, behaviour};
use testkit::stream::Frame;
use testkit::wait;

/// The map's own subject and four others.
const SUBJECTS: [&str; 5] = ["", "orders-1", "orders-2", "private-chat", "presence-lobby"];

#[test]
fn readers_get_the_events_of_their_subjects() {
    checked(
        delivering(3),
        &[
            ("readers get their subjects, at every node", readers),
            ("long polls get their subjects", long_polls),
            ("wrong subjects are refused", refused),
            ("a position of another subject is a position", other_positions),
            ("one subject is listed and backfilled", backfills),
            ("a rule trims one subject only, and its gap is reported", rules),
            ("a deletion is reported to the readers it concerns", deletions),
            ("webhooks get their subjects", webhooks),
            ("publishing to a subject wakes no other reader", wakes_no_other),
        ],
    );
}

/// Creates a map that stores the events of all [`SUBJECTS`].
fn stored_map(c: &Cluster, slug: &str) -> Result<Map> {
    let map = map(c, slug)?;
    set_rules(c, &map, &json!([{"match": "pr*", "durability": "durable"}]))?.expect(200)?;
    c.wait_same_applied()?;
    Ok(map)
}

/// Publishes one event of a subject and returns its envelope.
fn publish(c: &Cluster, node: usize, map: &Map, subject: &str) -> Result<Value> {
    let mut body = json!({"type": "App\\Events\\X \"é\"", "payload": {"of": subject}});
    if !subject.is_empty() {
        body["subject"] = subject.into();
    }
    let data = c.publish(node, map, &body)?;
    let stored = data.get("subject").and_then(Value::as_str).unwrap_or_default();
    ensure!(stored == subject && data.get("subject").is_some() != subject.is_empty(), "{data}");
    Ok(data)
}

/// Publishes `rounds` events to each of these subjects at the nodes in turn; returns subject, seq and id of
/// each.
fn publish_all(
    c: &Cluster,
    map: &Map,
    subjects: &[&str],
    rounds: usize,
) -> Result<Vec<(String, u64, String)>> {
    let mut sent = Vec::new();
    for n in 0..rounds * subjects.len() {
        let subject = subjects[n % subjects.len()];
        let event = publish(c, n % c.nodes.len(), map, subject)?;
        sent.push((subject.to_owned(), event["seq"].as_u64().context("seq")?, text(&event, "id")?));
    }
    Ok(sent)
}

fn seqs_of(sent: &[(String, u64, String)], wanted: impl Fn(&str) -> bool) -> Vec<u64> {
    sent.iter().filter(|(subject, ..)| wanted(subject)).map(|(_, seq, _)| *seq).collect()
}

fn seqs(events: &[Value]) -> Vec<u64> {
    events.iter().filter_map(|event| event["seq"].as_u64()).collect()
}

type Wanted = fn(&str) -> bool;

/// Selections of subjects: as a join's parameter, as a query, and as a predicate.
fn selections() -> Vec<(Value, &'static str, Wanted)> {
    vec![
        (json!(null), "", |subject| subject.is_empty()),
        (json!("orders-1"), "orders-1", |subject| subject == "orders-1"),
        (json!(["orders-*"]), "orders-*", |subject| subject.starts_with("orders-")),
        (json!(["", "private-chat"]), ",private-chat", |subject| ["", "private-chat"].contains(&subject)),
        (json!("*"), "*", |_| true),
    ]
}

fn query_of(selection: &str) -> String {
    if selection.is_empty() { String::new() } else { format!("subjects={}", selection.replace('*', "%2A")) }
}

/// Returns the seqs of a stream's events so far.
fn streamed(client: &Js) -> Vec<u64> {
    client.frames().iter().filter_map(Frame::seq).collect()
}

fn stream(c: &Cluster, node: usize, map: &Map, query: &str) -> Result<Js> {
    let client = Js::raw_stream(&c.nodes[node].url(), map, query, None)?;
    client.wait("the first frame", |client| Ok((!client.frames().is_empty()).then_some(())))?;
    Ok(client)
}

fn readers(c: &Cluster) -> Result<()> {
    let map = stored_map(c, "readers")?;
    let mut sockets = Vec::new();
    let mut streams = Vec::new();
    for (n, (params, query, wanted)) in selections().into_iter().enumerate() {
        sockets.push((c.joined(n % 3, &map, json!({"subjects": params}))?, wanted));
        streams.push((stream(c, (n + 1) % 3, &map, &query_of(query))?, wanted));
    }
    let sent = publish_all(c, &map, &SUBJECTS, 8)?;
    for (socket, wanted) in &mut sockets {
        let expected = seqs_of(&sent, *wanted);
        let events = socket.events(expected.len())?;
        ensure!(seqs(&events) == expected, "{:?} instead of {expected:?}", seqs(&events));
        for event in events {
            ensure!(event.get("subject").is_none() == (event["payload"]["of"] == ""), "{event}");
        }
        socket.alive()?;
    }
    for (client, wanted) in &streams {
        let expected = seqs_of(&sent, wanted);
        client.wait("all events of a stream", |client| {
            Ok((streamed(client).len() >= expected.len()).then_some(()))
        })?;
        ensure!(streamed(client) == expected, "{:?} instead of {expected:?}", streamed(client));
    }
    Ok(())
}

fn long_polls(c: &Cluster) -> Result<()> {
    let map = stored_map(c, "long-polls")?;
    let mut poller = Poller::join(c, &map, 0)?;
    let joins = json!(["2", "2", map.topic(), "phx_join", {"subjects": ["orders-*"]}]).to_string();
    ensure!(poller.push(&joins)? == 200);
    poller.until("the second join's reply", |p| p.frames.iter().any(|frame| frame.reply_ref == "2"))?;
    let sent = publish_all(c, &map, &SUBJECTS, 3)?;
    let expected = seqs_of(&sent, |subject| subject.starts_with("orders-"));
    poller.until("the events", |p| p.received().0.len() >= expected.len())?;
    ensure!(poller.push(&message("hb", "phoenix", "heartbeat"))? == 200);
    poller.until("a heartbeat's reply", |p| p.frames.iter().any(|frame| frame.reply_ref == "hb"))?;
    ensure!(poller.received().0 == expected, "{:?} instead of {expected:?}", poller.received().0);
    Ok(())
}

fn refused(c: &Cluster) -> Result<()> {
    let map = map(c, "refused")?;
    let api = c.api(0, &map);
    for (subject, code) in
        [(json!("a b"), "invalid_subject"), (json!("$sys"), "invalid_subject"), (json!(7), "invalid_event")]
    {
        let body = json!({"type": "x", "subject": subject, "payload": {}});
        ensure!(api.post(&map.events(), &body)?.expect(400)?.code() == code, "{subject}");
        let batch = json!({"events": [{"type": "x", "payload": 1}, body]});
        ensure!(api.post(&map.events(), &batch)?.expect(400)?.code() == code, "{subject} in a batch");
    }
    let misspelt = json!({"type": "x", "subjct": "a", "payload": {}});
    let answer = api.post(&map.events(), &misspelt)?.expect(400)?;
    ensure!(answer.text().contains("did you mean subject?"), "{}", answer.text());
    for path in ["", "/stream"] {
        let answer = api.get(&format!("{}{path}?subjects=a%20b", map.events()))?.expect(400)?;
        ensure!(answer.code() == "invalid_subjects", "{}", answer.text());
    }
    let mut socket = Socket::connect(c.nodes[0].http, &map.token)?;
    let (_, reply) = socket.join(&map.topic(), json!({"subjects": []}))?;
    ensure!(reply.reason() == "invalid subjects", "{reply:?}");
    // The same key with another subject is a different request.
    let key = fresh_key();
    let of = |subject: &str| json!({"type": "x", "subject": subject, "payload": {}});
    api.post_once(&map.events(), &key, &of("a"))?.expect(201)?;
    ensure!(api.post_once(&map.events(), &key, &of("b"))?.status == 422);
    Ok(())
}

/// Reads a page; returns its seqs, and whether it reported a gap.
fn page(api: &Api, map: &Map, query: &str) -> Result<(Vec<u64>, bool)> {
    let page = api.get(&format!("{}?limit=1000&{query}", map.events()))?.expect(200)?.json()?;
    ensure!(page["has_more"] == false, "{page}");
    let events = page["data"].as_array().cloned().unwrap_or_default();
    Ok((seqs(&events), page["gap"] == true))
}

fn other_positions(c: &Cluster) -> Result<()> {
    let map = stored_map(c, "other-positions")?;
    let sent = publish_all(c, &map, &SUBJECTS, 4)?;
    c.wait_same_applied()?;
    for (n, (_, at, id)) in sent.iter().enumerate() {
        for (params, query, wanted) in selections() {
            let expected: Vec<u64> = seqs_of(&sent, wanted).into_iter().filter(|seq| seq > at).collect();
            let got = page(&c.api(n % 3, &map), &map, &format!("after={id}&{}", query_of(query)))?;
            ensure!(
                got == (expected.clone(), false),
                "{got:?} instead of {expected:?} after {at} of {query:?}"
            );
            if n % 5 == 0 {
                let mut socket = Socket::connect(c.nodes[n % 3].http, &map.token)?;
                let reply = socket.join_ok(&map.topic(), json!({"subjects": params, "last_event_id": id}))?;
                ensure!(reply["gap"] == false, "{reply}");
                ensure!(reply["backfill"].is_null() || reply["backfill"] == expected.len(), "{reply}");
                ensure!(seqs(&socket.events(expected.len())?) == expected);
            }
        }
    }
    Ok(())
}

fn backfills(c: &Cluster) -> Result<()> {
    let map = stored_map(c, "backfills")?;
    let sent = publish_all(c, &map, &SUBJECTS, 10)?;
    c.wait_same_applied()?;
    for (n, (params, _, wanted)) in selections().into_iter().enumerate() {
        let mut socket = c.joined(n % 3, &map, json!({"subjects": params, "backfill": 7}))?;
        let all = seqs_of(&sent, wanted);
        ensure!(seqs(&socket.events(7)?) == all[all.len() - 7..], "the last 7 of {params}");
        socket.alive()?;
    }
    let api = c.api(1, &map);
    let subjects = format!("/api/maps/{}/subjects", map.id);
    let list = api.get(&subjects)?.data(200)?;
    let names: Vec<&str> =
        list.as_array().context("a list")?.iter().filter_map(|s| s["subject"].as_str()).collect();
    ensure!(names == ["", "orders-1", "orders-2", "presence-lobby", "private-chat"], "{list}");
    let orders = seqs_of(&sent, |subject| subject == "orders-1");
    ensure!(
        list[1]["count"] == 10 && list[1]["first_seq"] == orders[0] && list[1]["last_seq"] == orders[9],
        "{list}"
    );
    let second = api.get(&format!("{subjects}?limit=2&after=orders-1"))?.expect(200)?.json()?;
    ensure!(second["data"][0]["subject"] == "orders-2" && second["cursor"] == "presence-lobby", "{second}");
    ensure!(second["has_more"] == true, "{second}");
    Ok(())
}

fn rules_path(map: &Map) -> String {
    format!("/api/maps/{}/channel-rules", map.id)
}

fn set_rules(c: &Cluster, map: &Map, rules: &Value) -> Result<Answer> {
    c.api(0, map).put(&rules_path(map), rules)
}

fn rules(c: &Cluster) -> Result<()> {
    let map = map(c, "rules")?;
    ensure!(
        set_rules(c, &map, &json!([{"match": "noisy", "history": {"events": 0}}]))?.code() == "invalid_body"
    );
    let rules = json!([{"match": "noisy-*", "history": {"events": 10}}]);
    set_rules(c, &map, &rules)?.expect(200)?;
    let shown = c.api(1, &map).get(&rules_path(&map))?.data(200)?;
    ensure!(shown[0]["match"] == "noisy-*" && shown[0]["history"]["events"] == 10, "{shown}");
    let before = publish(c, 0, &map, "quiet")?;
    let noisy = publish_all(c, &map, &["noisy-1", "noisy-1", "quiet", ""], 50)?;
    let id = text(&before, "id")?;
    // New events stay for a while; a tick removes them.
    wait::until("the rule to remove the surplus", || {
        let (left, _) = page(&c.api(0, &map), &map, &format!("subjects=noisy-1&after={id}"))?;
        Ok((left.len() <= 10).then_some(()))
    })?;
    c.wait_same_applied()?;
    for node in 0..3 {
        let api = c.api(node, &map);
        let (left, gap) = page(&api, &map, &format!("subjects=noisy-1&after={id}"))?;
        let all = seqs_of(&noisy, |subject| subject == "noisy-1");
        ensure!(gap && left == all[all.len() - 10..], "{left:?} of {all:?}");
        for (query, subject) in [("subjects=quiet", "quiet"), ("", "")] {
            let whole = page(&api, &map, &format!("{query}&after={id}"))?;
            ensure!(whole == (seqs_of(&noisy, |of| of == subject), false), "{subject:?} has {whole:?}");
        }
        let pattern = page(&api, &map, &format!("subjects=quiet,noisy-%2A&after={id}"))?;
        ensure!(pattern.1 && pattern.0.len() == 60, "{pattern:?}");
        let mut socket = Socket::connect(c.nodes[node].http, &map.token)?;
        let reply = socket.join_ok(&map.topic(), json!({"subjects": "noisy-1", "last_event_id": id}))?;
        ensure!(reply["gap"] == true && reply["backfill"] == 10, "{reply}");
        ensure!(seqs(&socket.events(10)?) == left);
        socket.alive()?;
        let reply = socket.join_ok(&map.topic(), json!({"subjects": "quiet", "last_event_id": id}))?;
        ensure!(reply["gap"] == false && reply["backfill"] == 50, "{reply}");
    }
    Ok(())
}

fn deletions(c: &Cluster) -> Result<()> {
    let map = map(c, "deletions")?;
    let sent = publish_all(c, &map, &["", "orders-1", "orders-2"], 4)?;
    let api = c.api(0, &map);
    let first = &sent[0].2;
    let gone = &sent[4];
    api.delete(&format!("{}/{}", map.events(), gone.2))?.expect(204)?;
    ensure!(api.delete(&format!("{}/{}", map.events(), gone.2))?.expect(404)?.code() == "event_not_found");
    c.wait_same_applied()?;
    for node in 0..3 {
        let api = c.api(node, &map);
        let left: Vec<u64> =
            seqs_of(&sent, |of| of == "orders-1").into_iter().filter(|seq| *seq != gone.1).collect();
        ensure!(page(&api, &map, &format!("subjects=orders-1&after={first}"))? == (left, true));
        ensure!(!page(&api, &map, &format!("subjects=orders-2&after={first}"))?.1, "another subject's gap");
        // Readers that had the event or were past it miss nothing: a deleted event is still a position.
        ensure!(
            !page(&api, &map, &format!("subjects=orders-1&after={}", gone.2))?.1,
            "after the event itself"
        );
    }
    let removed = api.delete(&format!("/api/maps/{}/subjects/orders-2", map.id))?.data(200)?;
    ensure!(removed["removed"] == 4, "{removed}");
    ensure!(api.delete(&format!("/api/maps/{}/subjects/nothing", map.id))?.status == 404);
    c.wait_same_applied()?;
    for node in 0..3 {
        let api = c.api(node, &map);
        ensure!(page(&api, &map, &format!("subjects=orders-2&after={first}"))? == (vec![], true));
        let own = seqs_of(&sent, str::is_empty)[1..].to_vec();
        ensure!(page(&api, &map, &format!("after={first}"))? == (own, false), "the map's own");
        let list = api.get(&format!("/api/maps/{}/subjects", map.id))?.data(200)?;
        ensure!(list.as_array().is_some_and(|list| list.len() == 2), "{list}");
    }
    let after = publish(c, 1, &map, "orders-2")?;
    c.wait_same_applied()?;
    ensure!(page(&api, &map, "subjects=orders-2")? == (seqs(&[after]), false));
    Ok(())
}

fn webhooks(c: &Cluster) -> Result<()> {
    let map = stored_map(c, "webhooks")?;
    let receiver = Receiver::start()?;
    let wanted: [(&str, Value, Wanted); 6] = [
        ("/own", json!(null), |subject| subject.is_empty()),
        ("/orders", json!({"subjects": ["orders-*"]}), |subject| subject.starts_with("orders-")),
        ("/presence", json!({"channel_type": "presence"}), |subject| subject.starts_with("presence-")),
        ("/prefix", json!({"channel_prefix": "private-"}), |subject| subject.starts_with("private-")),
        ("/public", json!({"channel_type": "public"}), |subject| subject.starts_with("orders-")),
        ("/cel", json!({"subjects": ["*"], "expression": "subject == \"orders-2\""}), |subject| {
            subject == "orders-2"
        }),
    ];
    let mut hooks = Vec::new();
    for (path, filter, _) in &wanted {
        let url = receiver.on(path, behaviour::healthy());
        hooks.push(Hook::create(c, &map, &url, json!({"filter": filter}))?);
    }
    let sent = publish_all(c, &map, &SUBJECTS, 3)?;
    for ((path, _, takes), hook) in wanted.iter().zip(&hooks) {
        let expected = seqs_of(&sent, takes);
        receiver.wait_events(path, expected.len())?;
        hook.wait_settled(c)?;
        let mut got: Vec<u64> = receiver
            .accepted(path)
            .iter()
            .filter_map(|request| serde_json::from_slice::<Value>(&request.body).ok()?["seq"].as_u64())
            .collect();
        got.sort_unstable();
        got.dedup();
        ensure!(got == expected, "{path} got {got:?} instead of {expected:?}");
        ensure!(hook.show(c)?["missed"] == 0);
    }
    Ok(())
}

fn wakes_no_other(c: &Cluster) -> Result<()> {
    let map = map(c, "wakes")?;
    let mut socket = Socket::connect(c.nodes[0].http, &map.token)?;
    let other = c.map("wakes-elsewhere")?;
    for name in ["", "quiet-1", "quiet-2", "quiet-*"] {
        std::mem::forget(c.joined(0, &map, json!({"subjects": [name]}))?);
    }
    let _elsewhere = c.joined(0, &other, json!({"subjects": "*"}))?;
    socket.join_ok(&map.topic(), json!({"subjects": "noisy"}))?;
    publish(c, 0, &map, "noisy")?;
    socket.events(1)?;
    let before = c.metric(0, "waypost_topic_wakeups_total", "")?;
    let reads = c.metric(0, "waypost_topic_reads_total", "")?;
    let events: Vec<Value> =
        (0..20).map(|i| json!({"type": "x", "subject": "noisy", "payload": {"i": i}})).collect();
    for event in &events {
        c.publish(0, &map, event)?;
    }
    socket.events(events.len())?;
    let woken = c.metric(0, "waypost_topic_wakeups_total", "")? - before;
    // Only the reader of that subject is woken; one wake-up may serve several events.
    ensure!((1..=events.len() as u64).contains(&woken), "{woken} wake-ups for {} events", events.len());
    // A topic that is up to date takes new events from memory.
    let read = c.metric(0, "waypost_topic_reads_total", "")? - reads;
    ensure!(read == 0, "{read} reads of the store");
    for event in &events {
        c.api(0, &map).post_once(
            &map.events(),
            &fresh_key(),
            &json!({"type": "x", "subject": "unread", "payload": event}),
        )?;
    }
    let after = c.metric(0, "waypost_topic_wakeups_total", "")?;
    ensure!(after == before + woken, "{} wake-ups for a subject without readers", after - before - woken);
    Ok(())
}
