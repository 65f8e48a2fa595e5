//! Long polls without stickiness: a session's requests go to one node after another, as a load balancer may
//! send them, and it stays one session.

use crate::support::{checked, nodes, publish};
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::time::{Duration, Instant};
use testkit::Cluster;
use testkit::longpoll::{LIMIT, Poller, message};

/// The number of events, published one by one.
const EVENTS: u64 = 60;

#[test]
fn long_polls_need_no_stickiness() {
    checked(
        // The test retries with a revoked token until no node accepts it; that must not count as guessing.
        nodes(3).set("WAYPOST_SESSION_LONGPOLL_SECONDS", 4).set("WAYPOST_LIMITS_AUTH_FAILURES_PER_MINUTE", 0),
        &[
            ("requests at every node in turn", in_turn),
            ("a binary push at another node", binary_push),
            ("a push with JSON nested in strings", nested_push),
            ("a poll that waits at another node", waiting),
            ("a revoked token ends the session", revoked),
        ],
    );
}

/// Events come from all nodes while the client asks all nodes, for polls and for pushes: each event and each
/// reply comes once and in order.
fn in_turn(c: &Cluster) -> Result<()> {
    for opened_at in [0, 2] {
        let map = c.map(&format!("in-turn-{opened_at}"))?;
        let mut poller = Poller::join(c, &map, opened_at)?;
        let mut refs = Vec::new();
        std::thread::scope(|scope| {
            let published = scope.spawn(|| {
                (0..EVENTS)
                    .try_for_each(|i| publish(c, i as usize % 3, &map, "x", json!({"i": i})).map(|_| ()))
            });
            let start = Instant::now();
            while poller.received().0.len() < EVENTS as usize {
                ensure!(start.elapsed() < LIMIT, "only these events came: {:?}", poller.received().0);
                let two = [format!("a{}", refs.len()), format!("b{}", refs.len())];
                let beats = two.each_ref().map(|own| message(own, "phoenix", "heartbeat"));
                ensure!(poller.push(&beats.join("\n"))? == 200);
                refs.extend(two);
                let status = poller.poll()?;
                ensure!(matches!(status, 200 | 204), "{status} after the events {:?}", poller.received().0);
            }
            published.join().expect("the publisher panicked")
        })?;
        poller.until("the last reply", |p| p.received().1.len() >= refs.len())?;
        ensure!(poller.poll()? == 204, "more came than was published: {:?}", poller.frames.last());
        let expected: Vec<u64> = (1..=EVENTS).collect();
        ensure!(poller.received() == (expected, refs), "{:?}", poller.received());
        let payloads =
            poller.frames.iter().filter(|f| f.event == "x").map(|f| f.payload["payload"]["i"].as_u64());
        ensure!(payloads.eq((0..EVENTS).map(Some)), "other events than were published: {:?}", poller.frames);
    }
    Ok(())
}

/// A push in base64: 0, the lengths of join_ref, ref, topic and event, then these and the data. No channel
/// matches it, but it is answered.
fn binary_push(c: &Cluster) -> Result<()> {
    let map = c.map("binary-poll")?;
    let mut poller = Poller::join(c, &map, 2)?;
    // Null join_ref, ref 7, topic "t", event "e", data "d".
    ensure!(poller.push("AAABAQE3dGVk")? == 200);
    poller.until("the reply", |p| !p.frames.is_empty())?;
    let reply = &poller.frames[0];
    ensure!(reply.reply_ref == "7" && reply.topic == "t" && reply.reason() == "unmatched topic", "{reply:?}");
    Ok(())
}

/// JSON that holds JSON in strings, under serde_json's key for raw values, may be nested deeply and does no
/// harm.
fn nested_push(c: &Cluster) -> Result<()> {
    let map = c.map("nested-poll")?;
    let mut poller = Poller::join(c, &map, 1)?;
    let mut nested = "1".to_owned();
    for _ in 0..60 {
        let escaped = nested.replace('\\', "\\u005c").replace('"', "\\u0022");
        let raw = format!(r#"{{"$serde_json::private::RawValue":"{escaped}"}}"#);
        nested = format!("{}{raw}{}", "[".repeat(110), "]".repeat(110));
    }
    ensure!(poller.push(&format!(r#"["1","2","phoenix","heartbeat",{nested}]"#))? == 200);
    poller.until("the reply", |p| !p.frames.is_empty())?;
    ensure!(poller.frames[0].reply_ref == "2" && poller.frames[0].status() == "ok", "{:?}", poller.frames);
    Ok(())
}

/// An event that comes while a poll waits is answered at once.
fn waiting(c: &Cluster) -> Result<()> {
    let map = c.map("waiting")?;
    let mut poller = Poller::join(c, &map, 0)?;
    for node in 0..c.nodes.len() {
        let publisher = std::thread::scope(|scope| {
            let later = scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(300));
                publish(c, node, &map, "x", json!({})).map(|_| ())
            });
            let status = poller.poll_at(node)?;
            ensure!(status == 200, "at node {node} the poll ended with {status}");
            later.join().expect("the publisher panicked")
        });
        publisher?;
    }
    ensure!(poller.received().0 == [1, 2, 3], "{:?}", poller.received());
    Ok(())
}

/// A waiting poll ends when the token is revoked, at any node, and no node opens another session.
fn revoked(c: &Cluster) -> Result<()> {
    let map = c.map("revoked-poll")?;
    let tokens = format!("/api/maps/{}/tokens", map.id);
    for node in 0..c.nodes.len() {
        let (id, its) = c.token(&map, &["subscribe"])?;
        // The first node holds the session.
        let mut poller = Poller::join(c, &its, 0)?;
        let session = poller.session.clone();
        let status = std::thread::scope(|scope| {
            let revoked = scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(300));
                c.admin(1).delete(&format!("{tokens}/{id}"))?.expect(204)
            });
            let status = poller.poll_at(node);
            revoked.join().expect("the revoker panicked").and(status)
        })?;
        // A node that has not heard of the revoke may still open a session, which then ends like the first.
        ensure!(matches!(status, 403 | 410), "at node {node} the waiting poll ended with {status}");
        let mut seen = Vec::new();
        let ended = c.wait_until("403 from every node", |_| {
            let statuses = (0..3).map(|_| poller.poll()).collect::<Result<Vec<_>>>()?;
            let done = statuses == [403, 403, 403];
            seen.push(statuses);
            Ok(done.then_some(()))
        });
        ended.with_context(|| format!("the statuses at node {node} were {seen:?}"))?;
        for session in [session, String::new()] {
            for _ in 0..3 {
                poller.session.clone_from(&session);
                let status = poller.push(&message("2", "phoenix", "heartbeat"))?;
                ensure!(status == 410, "a push to a session that has ended: {status}");
            }
        }
    }
    Ok(())
}
