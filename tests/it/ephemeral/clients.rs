//! Publishers and subscribers of ephemeral events, and what a subscriber may see: each event once at most, those of one
//! publisher in its order, and none of another subject.

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

/// One who publishes at one node: numbers its events of each subject.
pub(super) struct Publisher {
    name: String,
    node: usize,
    /// Number of the last event of each subject.
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

    /// Publishes one event to each of the subjects; the answer's events.
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

/// A subscriber: what it saw, wherever it was.
pub(super) struct Client {
    socket: Option<Socket>,
    pub(super) node: usize,
    pub(super) subject: usize,
    /// Number of the newest event that it saw, by publisher and subject.
    last: BTreeMap<(String, String), u64>,
    pub(super) seen: usize,
    closed: Option<u16>,
    /// What it should not have seen. It stays: who waits for something tries again.
    fault: Option<String>,
}

impl Client {
    pub(super) fn join(c: &Cluster, map: &Map, node: usize, subject: usize) -> Result<Self> {
        let mut client =
            Self { socket: None, node, subject, last: BTreeMap::new(), seen: 0, closed: None, fault: None };
        client.go_to(c, map, node)?;
        Ok(client)
    }

    /// Leaves where it is, having read what had arrived, and subscribes at that node.
    pub(super) fn go_to(&mut self, c: &Cluster, map: &Map, node: usize) -> Result<()> {
        self.read()?;
        self.socket = None;
        let mut socket = Socket::connect(c.nodes[node].http, &map.token)?;
        socket.join_ok(&map.topic(), json!({"subjects": subject(self.subject)}))?;
        socket.ws.nonblocking()?;
        (self.socket, self.node, self.closed) = (Some(socket), node, None);
        Ok(())
    }

    /// Takes what has arrived: nothing twice, nothing out of a publisher's order, nothing of another subject.
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

/// Waits until all clients saw the last event of each of the publishers.
pub(super) fn wait_seen(clients: &mut [Client], publishers: &[&Publisher]) -> Result<()> {
    wait::until("all clients to see the last events", || {
        let mut missing = 0;
        for client in clients.iter_mut() {
            client.read()?;
            let sent = |publisher: &&&Publisher| publisher.sent.get(&subject(client.subject)).copied().unwrap_or(0);
            missing += publishers.iter().filter(|publisher| client.newest(publisher) < sent(publisher)).count();
        }
        Ok((missing == 0).then_some(()))
    })
}

/// Publishes until all clients have seen an event of each publisher that was published from now on: nodes that were out
/// of touch find each other again, and what goes out meanwhile may be lost.
pub(super) fn wait_flowing(c: &Cluster, map: &Map, clients: &mut [Client], publishers: &mut [Publisher]) -> Result<()> {
    wait_flowing_at(c, map, clients, publishers, |_| true)
}

/// The same for the clients at those nodes.
pub(super) fn wait_flowing_at(
    c: &Cluster,
    map: &Map,
    clients: &mut [Client],
    publishers: &mut [Publisher],
    at: impl Fn(usize) -> bool,
) -> Result<()> {
    let before: Vec<BTreeMap<String, u64>> = publishers.iter().map(|publisher| publisher.sent.clone()).collect();
    wait::until("events of all publishers to come to all clients", || {
        for publisher in publishers.iter_mut() {
            publisher.publish(c, map, 0..SUBJECTS, 0)?;
        }
        std::thread::sleep(Duration::from_millis(50));
        let mut missing = 0;
        for client in clients.iter_mut().filter(|client| at(client.node)) {
            client.read()?;
            ensure!(client.socket.is_some(), "the client of {} at node {} is closed", client.subject, client.node);
            let sent = |n: usize| before[n].get(&subject(client.subject)).copied().unwrap_or(0);
            missing += (0..publishers.len()).filter(|n| client.newest(&publishers[*n]) <= sent(*n)).count();
        }
        Ok((missing == 0).then_some(()))
    })
}
