//! Long polls without stickiness: a session's requests go to one node after another, as a load balancer may send
//! them, and it is one session all the same.

use crate::support::{checked, nodes, publish};
use anyhow::{Context, Result, ensure};
use chaos::Cluster;
use chaos::cluster::Map;
use chaos::http::{Api, text};
use chaos::phoenix::Frame;
use serde_json::json;
use std::time::{Duration, Instant};

/// How long something expected may take.
const LIMIT: Duration = Duration::from_secs(60);
/// Events that are published one by one.
const EVENTS: u64 = 60;

#[test]
fn long_polls_need_no_stickiness() {
    checked(
        nodes(3).set("WAYPOST_SESSION_LONGPOLL_SECONDS", 4),
        &[
            ("requests at every node in turn", in_turn),
            ("a binary push at another node", binary_push),
            ("a push nested by way of strings", nested_push),
            ("a poll that waits at another node", waiting),
            ("a revoked token ends it", revoked),
        ],
    );
}

/// A client whose every request goes to the next node.
struct Poller {
    urls: Vec<String>,
    token: String,
    session: String,
    turn: usize,
    /// All messages so far.
    frames: Vec<Frame>,
}

impl Poller {
    /// Opens a session at that node and joins the map's topic.
    fn join(c: &Cluster, map: &Map, node: usize) -> Result<Self> {
        let (session, frames) = (String::new(), Vec::new());
        let mut poller = Self { urls: c.urls_from(0), token: map.token.clone(), session, turn: node, frames };
        ensure!(poller.poll()? == 410 && !poller.session.is_empty(), "no session was opened");
        ensure!(poller.push(&message("1", &map.topic(), "phx_join"))? == 200);
        poller.until("the join's reply", |p| !p.frames.is_empty())?;
        let reply = poller.frames.remove(0);
        ensure!(reply.event == "phx_reply" && reply.reply_ref == "1" && reply.status() == "ok", "{reply:?}");
        Ok(poller)
    }

    /// One request to the next node, its session in the query or in the header by turns; the answer's status.
    fn call(&mut self, method: &str, body: Option<&[u8]>) -> Result<u64> {
        let api = Api::new(&self.urls[self.turn % self.urls.len()], None);
        let mut path = format!("/socket/events/longpoll?vsn=2.0.0&token={}", self.token);
        let mut headers = vec![("content-type", "application/x-ndjson")];
        match self.turn % 2 {
            _ if self.session.is_empty() => {}
            0 => headers.push(("x-phoenix-longpoll-token", &self.session)),
            _ => path += &format!("&token={}", self.session),
        }
        let answer = api.call(method, &path, &headers, body)?.expect(200)?.json()?;
        self.turn += 1;
        self.session = answer["token"].as_str().unwrap_or_default().to_owned();
        for message in answer["messages"].as_array().with_context(|| answer.to_string())? {
            self.frames.push(Frame::parse(message.as_str().with_context(|| answer.to_string())?)?);
        }
        answer["status"].as_u64().with_context(|| answer.to_string())
    }

    fn poll(&mut self) -> Result<u64> {
        self.call("GET", None)
    }

    /// Polls at that node until something else comes of it than nothing.
    fn poll_at(&mut self, node: usize) -> Result<u64> {
        let start = Instant::now();
        loop {
            self.turn = node;
            match self.poll()? {
                204 => ensure!(start.elapsed() < LIMIT, "nothing came"),
                status => return Ok(status),
            }
        }
    }

    fn push(&mut self, body: &str) -> Result<u64> {
        self.call("POST", Some(body.as_bytes()))
    }

    /// Polls on until that is true.
    fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) -> Result<()> {
        let start = Instant::now();
        while !done(self) {
            ensure!(start.elapsed() < LIMIT, "{what} didn't come, but {:?}", self.frames);
            let status = self.poll()?;
            ensure!(matches!(status, 200 | 204), "{status} instead of {what}");
        }
        Ok(())
    }

    /// The seqs of the events that came, and the refs of the replies, each in the order in which they came.
    fn received(&self) -> (Vec<u64>, Vec<String>) {
        let (replies, events): (Vec<&Frame>, Vec<&Frame>) = self.frames.iter().partition(|f| f.event == "phx_reply");
        let seqs = events.iter().filter_map(|event| event.payload["seq"].as_u64());
        let refs = replies.iter().filter_map(|reply| reply.reply_ref.as_str().map(str::to_owned));
        (seqs.collect(), refs.collect())
    }
}

fn message(own: &str, topic: &str, event: &str) -> String {
    json!(["1", own, topic, event, {}]).to_string()
}

/// Events come from all nodes while the client asks all nodes, both ways: each comes once, in order, and so does each
/// reply.
fn in_turn(c: &Cluster) -> Result<()> {
    for opened_at in [0, 2] {
        let map = c.map(&format!("in-turn-{opened_at}"))?;
        let mut poller = Poller::join(c, &map, opened_at)?;
        let mut refs = Vec::new();
        std::thread::scope(|scope| {
            let published = scope.spawn(|| {
                (0..EVENTS).try_for_each(|i| publish(c, i as usize % 3, &map, "x", json!({"i": i})).map(|_| ()))
            });
            let start = Instant::now();
            while poller.received().0.len() < EVENTS as usize {
                ensure!(start.elapsed() < LIMIT, "only these came: {:?}", poller.received().0);
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
        ensure!(poller.poll()? == 204, "more came than was sent: {:?}", poller.frames.last());
        let expected: Vec<u64> = (1..=EVENTS).collect();
        ensure!(poller.received() == (expected, refs), "{:?}", poller.received());
        let payloads = poller.frames.iter().filter(|f| f.event == "x").map(|f| f.payload["payload"]["i"].as_u64());
        ensure!(payloads.eq((0..EVENTS).map(Some)), "other events than were published: {:?}", poller.frames);
    }
    Ok(())
}

/// `0, lengths of join_ref, ref, topic, event`, then these and the data, in base64: nobody takes it, but it is
/// answered.
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

/// JSON that holds JSON in strings, under the key by which serde_json marks such, may be deep in all and harms nobody.
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

/// What comes while the poll waits is answered at once.
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

/// A poll that waits ends when the token is revoked, at whatever node it is, and no node opens another.
fn revoked(c: &Cluster) -> Result<()> {
    let map = c.map("revoked-poll")?;
    let tokens = format!("/api/maps/{}/tokens", map.id);
    for node in 0..c.nodes.len() {
        let made = c.admin(0).post(&tokens, &json!({"name": "t", "scopes": ["subscribe"]}))?.data(201)?;
        let its = Map { token: text(&made, "token")?, ..map.clone() };
        // The session is held by the first node.
        let mut poller = Poller::join(c, &its, 0)?;
        let session = poller.session.clone();
        let id = text(&made, "id")?;
        let status = std::thread::scope(|scope| {
            let revoked = scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(300));
                c.admin(1).delete(&format!("{tokens}/{id}"))?.expect(204)
            });
            let status = poller.poll_at(node);
            revoked.join().expect("the revoker panicked").and(status)
        })?;
        // A node that has not heard of it may still open one, which then ends like the first.
        ensure!(matches!(status, 403 | 410), "at node {node} the poll that waited ended with {status}");
        c.wait_until("403 from every node", |_| {
            let statuses = (0..3).map(|_| poller.poll()).collect::<Result<Vec<_>>>()?;
            Ok((statuses == [403, 403, 403]).then_some(()))
        })?;
        for session in [session, String::new()] {
            for _ in 0..3 {
                poller.session.clone_from(&session);
                let status = poller.push(&message("2", "phoenix", "heartbeat"))?;
                ensure!(status == 410, "a push to a session that is over: {status}");
            }
        }
    }
    Ok(())
}
