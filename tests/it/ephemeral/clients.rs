//! Publishers and subscribers of ephemeral events. A subscriber checks what it sees: each event at most once,
//! the events of a publisher in its order, and no event of another subject.

use super::{SUBJECTS, subject};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use testkit::Cluster;
use testkit::cluster::Map;
use testkit::phoenix::{Frame, Socket};
use testkit::wait;
use testkit::ws::Message;

/// A publisher at one node; it numbers its events per subject.
pub(super) struct Publisher {
    name: String,
    node: usize,
    /// The number of the last event per subject.
    pub(super) sent: BTreeMap<String, u64>,
}

impl Publisher {
    pub(super) fn new(name: &str, node: usize) -> Self {
        Self { name: name.to_owned(), node, sent: BTreeMap::new() }
    }

    fn event(&mut self, subject: String, padding: usize) -> Value {
        let number = self.sent.entry(subject.clone()).or_default();
        *number += 1;
        let payload = json!({"p": self.name, "n": *number, "x": "x".repeat(padding)});
        json!({"type": "moved", "subject": subject, "payload": payload})
    }

    /// Publishes one event to each of the subjects and returns the answer's events.
    pub(super) fn publish(
        &mut self,
        c: &Cluster,
        map: &Map,
        subjects: impl Iterator<Item = usize>,
        padding: usize,
    ) -> Result<Value> {
        let events: Vec<Value> = subjects.map(|n| self.event(subject(n), padding)).collect();
        let body = json!({"events": events});
        c.api(self.node, map).post(&map.events(), &body)?.data(202)
    }
}

/// A subscriber that may move between nodes, and what it has seen.
pub(super) struct Client {
    socket: Option<Socket>,
    pub(super) node: usize,
    pub(super) subject: usize,
    /// The number of the newest event seen, by publisher and subject.
    last: BTreeMap<(String, String), u64>,
    pub(super) seen: usize,
    closed: Option<u16>,
    /// The first wrong event. It is kept, because a test that waits for something retries after errors.
    fault: Option<String>,
}

impl Client {
    pub(super) fn join(c: &Cluster, map: &Map, node: usize, subject: usize) -> Result<Self> {
        let mut client =
            Self { socket: None, node, subject, last: BTreeMap::new(), seen: 0, closed: None, fault: None };
        client.go_to(c, map, node)?;
        Ok(client)
    }

    /// Reads what has arrived, disconnects, and subscribes at that node.
    pub(super) fn go_to(&mut self, c: &Cluster, map: &Map, node: usize) -> Result<()> {
        self.read()?;
        self.socket = None;
        let mut socket = c.joined(node, map, json!({"subjects": subject(self.subject)}))?;
        socket.ws.nonblocking()?;
        self.socket = Some(socket);
        self.node = node;
        self.closed = None;
        Ok(())
    }

    /// Reads what has arrived and checks it: no event twice, none out of its publisher's order, none of
    /// another subject.
    pub(super) fn read(&mut self) -> Result<()> {
        if self.fault.is_none() {
            self.fault = self.take().err().map(|error| format!("{error:#}"));
        }
        match &self.fault {
            Some(fault) => bail!("{fault}"),
            None => Ok(()),
        }
    }

    fn take(&mut self) -> Result<()> {
        let Some(socket) = &mut self.socket else { return Ok(()) };
        for message in socket.ws.poll()? {
            match message {
                Message::Text(text) => {
                    let envelope = Frame::parse(&text)?.payload;
                    let of = envelope["subject"].as_str().unwrap_or_default().to_owned();
                    ensure!(of == subject(self.subject) && envelope.get("seq").is_none(), "{envelope}");
                    let publisher = envelope["payload"]["p"].as_str().context("a publisher")?.to_owned();
                    let number = envelope["payload"]["n"].as_u64().context("a number")?;
                    let before = self.last.insert((publisher.clone(), of), number).unwrap_or(0);
                    ensure!(before < number, "{number} after {before} of {publisher}, at node {}", self.node);
                    self.seen += 1;
                }
                Message::Close(code, _) => self.closed = code,
                Message::End => self.socket = None,
                _ => {}
            }
        }
        Ok(())
    }

    fn newest(&self, publisher: &Publisher) -> u64 {
        let key = (publisher.name.clone(), subject(self.subject));
        self.last.get(&key).copied().unwrap_or(0)
    }
}

/// Waits until all clients have seen the last event of each publisher.
pub(super) fn wait_seen(clients: &mut [Client], publishers: &[&Publisher]) -> Result<()> {
    wait::until("all clients to see the last events", || {
        let mut missing = 0;
        for client in clients.iter_mut() {
            client.read()?;
            let sent =
                |publisher: &&&Publisher| publisher.sent.get(&subject(client.subject)).copied().unwrap_or(0);
            missing +=
                publishers.iter().filter(|publisher| client.newest(publisher) < sent(publisher)).count();
        }
        Ok((missing == 0).then_some(()))
    })
}

/// Publishes until all clients have seen a new event of each publisher. Nodes that were out of touch find
/// each other again meanwhile, and some of these events may be lost.
pub(super) fn wait_flowing(
    c: &Cluster,
    map: &Map,
    clients: &mut [Client],
    publishers: &mut [Publisher],
) -> Result<()> {
    wait_flowing_at(c, map, clients, publishers, |_| true)
}

/// Does the same for the clients at the nodes that `at` selects.
pub(super) fn wait_flowing_at(
    c: &Cluster,
    map: &Map,
    clients: &mut [Client],
    publishers: &mut [Publisher],
    at: impl Fn(usize) -> bool,
) -> Result<()> {
    let before: Vec<BTreeMap<String, u64>> =
        publishers.iter().map(|publisher| publisher.sent.clone()).collect();
    wait::until("events of all publishers to reach all clients", || {
        for publisher in publishers.iter_mut() {
            publisher.publish(c, map, 0..SUBJECTS, 0)?;
        }
        std::thread::sleep(Duration::from_millis(50));
        let mut missing = 0;
        for client in clients.iter_mut().filter(|client| at(client.node)) {
            client.read()?;
            ensure!(
                client.socket.is_some(),
                "the client of {} at node {} is closed",
                client.subject,
                client.node
            );
            let sent = |n: usize| before[n].get(&subject(client.subject)).copied().unwrap_or(0);
            missing += (0..publishers.len()).filter(|n| client.newest(&publishers[*n]) <= sent(*n)).count();
        }
        Ok((missing == 0).then_some(()))
    })
}
