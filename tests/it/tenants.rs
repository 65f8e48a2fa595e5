//! No map hurts another: maps take turns in the log, remember a bounded number of keys, write little when their
//! clients come and go, and cannot take each other's names.

use crate::limits::accepts;
use crate::support::{binary, checked, nodes, publish};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use testkit::Cluster;
use testkit::cluster::{ADMIN, Map};
use testkit::http::Answer;
use testkit::phoenix::Socket;

#[test]
fn no_map_hurts_another() {
    checked(
        nodes(3),
        &[
            ("large batches of one map do not hold up another", large_batches),
            ("a map publishes as many bytes as it may", bytes_per_second),
            ("at the bound of keys a new one is refused and none is forgotten", bound_of_keys),
            ("clients that come and go write little to the log", churn),
            ("a token joins as often as it may", joins_per_minute),
            ("only the admin sets slugs", slugs),
            ("zero is no limit", zero),
            ("an error names the limit that was reached", named),
            ("the list of maps has pages", pages),
            ("the list of maps says what each has stored", stored),
        ],
    );
}

/// Publishers of large batches.
const HEAVY: usize = 8;

fn large_batches(c: &Cluster) -> Result<()> {
    let (heavy, light) = (c.map("heavy")?, c.map("light")?);
    let event = json!({"type": "x", "payload": "x".repeat(220_000)});
    let batch = json!({"events": [event, event, event, event]}).to_string();
    let (stop, stored) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let small: Result<Vec<Value>> = std::thread::scope(|scope| {
        for n in 0..HEAVY {
            let (batch, stop, stored, heavy) = (&batch, &stop, &stored, &heavy);
            scope.spawn(move || {
                let api = c.api(n % 3, heavy);
                while !stop.load(Ordering::Relaxed) {
                    let answer = api.send(&heavy.events(), batch.as_bytes());
                    if let Ok(Ok(data)) = answer.map(|answer| answer.data(201)) {
                        stored.lock().unwrap().push(data[0]["id"].as_str().unwrap_or_default().to_owned());
                    }
                }
            });
        }
        let begun = c.wait_until("the first large batches", |_| {
            Ok((stored.lock().unwrap().len() >= HEAVY).then_some(()))
        });
        let small = begun.and_then(|()| (0..20).map(|_| publish(c, 1, &light, "x", json!({}))).collect());
        stop.store(true, Ordering::Relaxed);
        small
    });
    let small = small?;
    // Ids sort in the order of the log, also those of different maps.
    let ids: Vec<&str> = small.iter().filter_map(|event| event["id"].as_str()).collect();
    let large = stored.lock().unwrap();
    let between = |two: &[&str]| large.iter().filter(|id| (two[0]..two[1]).contains(&id.as_str())).count();
    let mut passed: Vec<usize> = ids.windows(2).map(between).collect();
    passed.sort_unstable();
    println!("    large batches between two small events: {passed:?}");
    ensure!(passed.len() == 19, "{small:?}");
    ensure!(passed[9] < HEAVY - 2, "a small event waits for the batches that came before it: {passed:?}");
    Ok(())
}

/// Checks that a refusal names the limit.
fn names(answer: &Answer, status: u16, of_map: Option<&str>, setting: &str) -> Result<()> {
    let body = answer.clone().expect(status)?.json()?;
    ensure!(body["setting"] == setting, "{setting} is not in {body}");
    ensure!(body["map_limit"].as_str() == of_map, "{of_map:?} is not in {body}");
    let hint = body["hint"].as_str().context("no hint")?;
    ensure!(hint.contains(setting) && of_map.is_none_or(|name| hint.contains(name)), "{hint}");
    ensure!(status != 429 || answer.header("retry-after").is_some(), "{:?}", answer.headers);
    Ok(())
}

fn bytes_per_second(c: &Cluster) -> Result<()> {
    let map = c.map_with("bytes", json!({"limits": {"publish_bytes_per_second": 1000}}))?;
    let body = json!({"type": "x", "payload": "x".repeat(20_000)});
    let post = |node| c.api(node, &map).hasty().post(&map.events(), &body);
    post(0)?.expect(201)?;
    // It is paid for in twenty seconds, at every node.
    for node in 0..3 {
        let refused = post(node)?;
        names(&refused, 429, Some("publish_bytes_per_second"), "limits.publish_bytes_per_second")?;
        let after: u64 = refused.header("retry-after").and_then(|s| s.parse().ok()).context("no number")?;
        ensure!((1..=21).contains(&after), "{after}");
    }
    // The node that knows that the rate is exceeded does not write to the log.
    let before = c.applied(0)?;
    (0..50).try_for_each(|_| post(0)?.expect(429).map(drop))?;
    let written = c.applied(0)? - before;
    ensure!(written < 25, "{written} entries for 50 refused publishes");
    // Its body is not read: what is announced is enough.
    for node in 0..3 {
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
             Content-Length: 20000\r\n\r\n",
            map.events(),
            map.token
        );
        let mut stream = std::net::TcpStream::connect(c.nodes[node].http)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        stream.write_all(head.as_bytes())?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        ensure!(line.starts_with("HTTP/1.1 429"), "{line}");
    }
    c.admin(1).post(&map.events(), &body)?.expect(201)?;
    let map = c.map_with("ephemeral-bytes", json!({"limits": {"publish_bytes_per_second": 1000}}))?;
    let rules = json!([{"match": "live-*", "durability": "ephemeral"}]);
    c.set_rules(&map, &rules)?;
    let live = json!({"type": "x", "subject": "live-1", "payload": "x".repeat(20_000)});
    c.api(1, &map).post(&map.events(), &live)?.expect(202)?;
    let refused = c.api(2, &map).post(&map.events(), &live)?;
    names(&refused, 429, Some("publish_bytes_per_second"), "limits.publish_bytes_per_second")
}

fn bound_of_keys(c: &Cluster) -> Result<()> {
    let map = c.map_with("keys", json!({"limits": {"idempotency_keys": 3}}))?;
    let other = c.map("keys-other")?;
    let body = json!({"type": "x", "payload": 1});
    let post = |node, map: &Map, key: &str| c.api(node, map).post_once(&map.events(), key, &body);
    let keys = ["a", "b", "c"];
    let first = (0..3).map(|n| post(n, &map, keys[n])?.data(201)).collect::<Result<Vec<_>>>()?;
    for node in 0..3 {
        let refused = post(node, &map, "d")?;
        names(&refused, 429, Some("idempotency_keys"), "limits.map_idempotency_keys")?;
        ensure!(refused.code() == "too_many_idempotency_keys", "{}", refused.text());
    }
    for (key, first) in keys.iter().zip(&first) {
        ensure!(post(1, &map, key)?.data(201)? == *first, "{key} was forgotten");
    }
    c.api(0, &map).post(&map.events(), &body)?.expect(201)?;
    post(0, &other, "d")?.expect(201)?;
    let more = json!({"limits": {"idempotency_keys": 4}});
    c.admin(0).patch(&format!("/api/maps/{}", map.id), &more)?.expect(200)?;
    post(2, &map, "d")?.expect(201)?;
    post(2, &map, "e")?.expect(429).map(drop)
}

fn leave(socket: &mut Socket, topic: &str, own: &str) -> Result<()> {
    socket.push((json!(own), json!("leave")), topic, "phx_leave", json!({}))?;
    while socket.frame()?.event != "phx_close" {}
    Ok(())
}

/// Six sockets of one token join and leave as fast as they can.
fn churn(c: &Cluster) -> Result<()> {
    const ROUNDS: usize = 60;
    let map = c.map_with("churn", json!({"limits": {"connections": 12}}))?;
    let mut sockets = Vec::new();
    for node in [0, 1, 2, 0, 1, 2] {
        sockets.push(Socket::connect(c.nodes[node].http, &map.token)?);
    }
    let (before, began) = (c.applied(0)?, Instant::now());
    std::thread::scope(|scope| -> Result<()> {
        let threads: Vec<_> = sockets
            .iter_mut()
            .map(|socket| {
                let topic = map.topic();
                scope.spawn(move || -> Result<()> {
                    for _ in 0..ROUNDS {
                        let (own, reply) = socket.join(&topic, json!({}))?;
                        ensure!(reply.status() == "ok", "{reply:?}");
                        leave(socket, &topic, &own)?;
                    }
                    Ok(())
                })
            })
            .collect();
        threads.into_iter().try_for_each(|t| t.join().unwrap_or_else(|_| anyhow::bail!("panicked")))
    })?;
    let (written, took) = (c.applied(0)? - before, began.elapsed());
    println!("    {} joins and as many leaves in {took:?}: {written} log entries", 6 * ROUNDS);
    // Each node tells a few times a second at most what is spare for long. Without spares there would be one
    // entry for each join and leave of a node, or for some of them together.
    let most = 40 + took.as_millis() as u64 / 50;
    ensure!(written <= most, "{written} log entries, more than {most}");
    // What was held is given back.
    drop(sockets);
    accepts(c, &map, &[2, 2, 2, 1, 1, 0])
}

fn joins_per_minute(c: &Cluster) -> Result<()> {
    let map = c.map_with("joins", json!({"limits": {"connections": 2, "joins_per_minute": 5}}))?;
    let mut joined = 0;
    let refused = loop {
        let mut socket = Socket::connect(c.nodes[0].http, &map.token)?;
        let (_, reply) = socket.join(&map.topic(), json!({}))?;
        match reply.reason() {
            "" => joined += 1,
            "too many joins" => break reply,
            // The socket before still counts.
            "too many connections" => {}
            other => anyhow::bail!("{other}: {reply:?}"),
        }
        ensure!(joined < 30, "{joined} joins");
    };
    ensure!(joined <= 6, "{joined} joins");
    let response = &refused.payload["response"];
    ensure!(response["limit"] == 5 && response["map_limit"] == "joins_per_minute", "{response}");
    ensure!(response["setting"] == "limits.joins_per_minute", "{response}");
    let stream = c.api(0, &map).get(&format!("{}/stream", map.events()))?;
    names(&stream, 429, Some("joins_per_minute"), "limits.joins_per_minute")?;
    // The rate is the token's own.
    let (_, other) = c.token(&map, &["subscribe"])?;
    c.wait_until("a slot for another token", |c| {
        let mut socket = Socket::connect(c.nodes[0].http, &other.token)?;
        Ok((socket.join(&map.topic(), json!({}))?.1.status() == "ok").then_some(()))
    })
}

fn slugs(c: &Cluster) -> Result<()> {
    let (map, other) = (c.map("slug-mine")?, c.map("slug-given-up")?);
    let path = format!("/api/maps/{}", map.id);
    let patch = |slug: Value| c.api(1, &map).patch(&path, &json!({"slug": slug}));
    let taken = patch(json!("slug-given-up"))?.expect(403)?;
    let free = patch(json!("slug-free"))?.expect(403)?;
    ensure!(taken.body == free.body, "{} tells more than {}", taken.text(), free.text());
    let admin = |id: &str, slug: Value| c.admin(0).patch(&format!("/api/maps/{id}"), &json!({"slug": slug}));
    admin(&map.id, json!("slug-given-up"))?.expect(409)?;
    admin(&other.id, json!("slug-new"))?.expect(200)?;
    // The name is free, and still nobody but the admin can take it.
    patch(json!("slug-given-up"))?.expect(403)?;
    patch(json!(null))?.expect(403)?;
    let publisher = c.admin(2).post("/api/maps/slug-given-up/events", &json!({"type": "x", "payload": 1}))?;
    ensure!(publisher.status == 404, "{}", publisher.text());
    c.api(1, &map).patch(&path, &json!({"name": "n"}))?.expect(200)?;
    admin(&map.id, json!("slug-given-up"))?.expect(200).map(drop)
}

fn zero(c: &Cluster) -> Result<()> {
    let all = [
        "connections",
        "webhooks",
        "requests_per_minute",
        "publishes_per_second",
        "subjects",
        "publish_bytes_per_second",
        "idempotency_keys",
        "joins_per_minute",
    ];
    let zeros: Value =
        all.iter().map(|name| ((*name).to_owned(), json!(0))).collect::<serde_json::Map<_, _>>().into();
    let map = c.map_with("zero", json!({ "limits": zeros }))?;
    let shown = c.admin(0).get(&format!("/api/maps/{}", map.id))?.data(200)?;
    let limits = shown["limits"].as_object().context("no limits")?;
    ensure!(limits.len() == all.len() && limits.values().all(Value::is_null), "{shown}");
    let mut open = Vec::new();
    for n in 0..12 {
        open.push(c.joined(n % 3, &map, json!({}))?);
    }
    // A limit can be set and taken away by zero.
    let path = format!("/api/maps/{}", map.id);
    for (limit, expected) in [(7, json!(7)), (0, json!(null))] {
        let shown = c.admin(1).patch(&path, &json!({"limits": {"connections": limit}}))?.data(200)?;
        ensure!(shown["limits"]["connections"] == expected, "{shown}");
    }
    Ok(())
}

fn named(c: &Cluster) -> Result<()> {
    let limits = json!({"connections": 1, "webhooks": 1, "subjects": 1, "publishes_per_second": 1, "requests_per_minute": 40});
    let map = c.map_with("named", json!({ "limits": limits }))?;
    let (admin, api) = (c.admin(0), c.api(0, &map));
    let webhook = |n: u8| json!({"url": format!("https://example.com/{n}"), "active": false});
    let hooks = format!("/api/maps/{}/webhooks", map.id);
    admin.post(&hooks, &webhook(1))?.expect(201)?;
    names(&admin.post(&hooks, &webhook(2))?, 422, Some("webhooks"), "limits.map_webhooks")?;
    let to = |subject: &str| json!({"type": "x", "subject": subject, "payload": 1});
    admin.post(&map.events(), &to("a"))?.expect(201)?;
    names(&admin.post(&map.events(), &to("b"))?, 422, Some("subjects"), "limits.map_subjects")?;
    let many = json!({"events": vec![to(""); 30]});
    api.post(&map.events(), &many)?.expect(201)?;
    let refused = api.post(&map.events(), &many)?;
    names(&refused, 429, Some("publishes_per_second"), "limits.publishes_per_second")?;
    names(
        &admin.post(&map.events(), &json!({"events": vec![to(""); 1001]}))?,
        413,
        None,
        "limits.batch_events",
    )?;
    let large = json!({"type": "x", "payload": "x".repeat(300_000)});
    names(&admin.post(&map.events(), &large)?, 413, None, "limits.event_bytes")?;
    let fits = json!({"type": "x", "payload": "x".repeat(200_000)});
    names(&admin.post(&map.events(), &json!({"events": vec![fits; 12]}))?, 413, None, "limits.body_bytes")?;
    let _open = c.joined(0, &map, json!({}))?;
    let stream = api.get(&format!("{}/stream", map.events()))?;
    names(&stream, 429, Some("connections"), "limits.map_connections")?;
    let refused = c.wait_until("a refusal", |_| {
        let answer = api.get(&map.events())?;
        Ok((answer.status != 200).then_some(answer))
    })?;
    names(&refused, 429, Some("requests_per_minute"), "limits.requests_per_minute")
}

fn pages(c: &Cluster) -> Result<()> {
    // One more than the command line asks for at once.
    let mut made = Vec::new();
    for n in 0..101 {
        made.push(c.map(&format!("page-{n}"))?.id);
    }
    made.sort();
    let ids = |page: &Value| -> Vec<String> {
        let maps = page["data"].as_array().into_iter().flatten();
        maps.filter_map(|map| map["id"].as_str().map(str::to_owned)).collect()
    };
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let page = c.admin(all.len() % 3).get(&format!("/api/maps?limit=30{after}"))?.expect(200)?.json()?;
        let found = ids(&page);
        ensure!(found.len() <= 30 && page["cursor"].as_str() == found.last().map(String::as_str), "{page}");
        all.extend(found);
        if page["has_more"] != true {
            break;
        }
        after = format!("&after={}", page["cursor"].as_str().context("no cursor")?);
    }
    ensure!(all.is_sorted() && made.iter().all(|id| all.contains(id)), "{} maps", all.len());
    let first = c.admin(0).get("/api/maps")?.expect(200)?.json()?;
    ensure!(ids(&first) == all[..100] && first["has_more"] == true, "the default is a page of 100");
    for bad in ["limit=0", "limit=1001", "after=x", "offset=1"] {
        c.admin(0).get(&format!("/api/maps?{bad}"))?.expect(400)?;
    }
    let mut command = Command::new(binary());
    command.args(["map", "list", "--json", "--url", &c.nodes[1].url()]).env("WAYPOST_TOKEN", ADMIN);
    let out = command.output()?;
    ensure!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout)?;
    ensure!(all.iter().all(|id| text.contains(id.as_str())), "the command line shows fewer maps: {text}");
    Ok(())
}

fn stored(c: &Cluster) -> Result<()> {
    let map = c.map("stored")?;
    let path = format!("/api/maps/{}", map.id);
    let empty = c.admin(0).get(&path)?.data(200)?;
    ensure!(empty["stored"] == json!({"events": 0, "bytes": 0}), "{empty}");
    let events = vec![json!({"type": "x", "payload": "a payload"}); 7];
    c.publish(0, &map, &json!({ "events": events }))?;
    c.wait_same_applied()?;
    let shown = c.api(1, &map).get(&path)?.data(200)?;
    ensure!(shown["stored"]["events"] == 7, "{shown}");
    ensure!(shown["stored"]["bytes"].as_u64().is_some_and(|bytes| bytes >= 7 * 9), "{shown}");
    let list = c.admin(2).get("/api/maps?limit=1000")?.data(200)?;
    let listed = list.as_array().into_iter().flatten().find(|one| one["id"] == map.id.as_str());
    ensure!(listed.is_some_and(|one| one["stored"] == shown["stored"]), "{list}");
    Ok(())
}
