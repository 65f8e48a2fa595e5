//! A history, indexed for the questions of the checks.

use crate::history::{Entry, Event, History, Record, selects};
use std::collections::{BTreeMap, HashMap};

/// How long a node may still be out of touch after the end of a fault that may cut it off, in milliseconds.
const GRACE_MS: u64 = 3_000;

/// Faults that stop a process and do not touch its network.
const STOPPED: [&str; 3] = ["kill -9", "SIGSTOP", "SIGTERM"];

/// An acknowledgement.
#[derive(Debug)]
pub struct Ack<'a> {
    /// The idempotency key.
    pub key: &'a str,
    /// The event's id.
    pub id: &'a str,
    /// The event's position.
    pub seq: u64,
    /// The node that answered.
    pub node: usize,
    /// When it was answered.
    pub at_ms: u64,
}

/// A time during which nodes may be out of reach.
#[derive(Debug)]
struct Cut<'a> {
    fault: &'a str,
    nodes: &'a [usize],
    from_ms: u64,
    to_ms: u64,
}

/// The parts of a history.
#[derive(Debug)]
pub struct Index<'a> {
    /// The whole history.
    pub history: &'a History,
    /// The acknowledgements of a topic.
    pub acks: HashMap<&'a str, Vec<Ack<'a>>>,
    /// When the publish under a key was first asked for, and for which subject.
    pub asked: HashMap<&'a str, (u64, &'a str)>,
    /// What nodes hold of a topic at the end, by node.
    pub stored: HashMap<&'a str, BTreeMap<usize, Vec<&'a Event>>>,
    /// How many faults were injected.
    pub faults: u64,
    cuts: Vec<Cut<'a>>,
}

impl<'a> Index<'a> {
    /// Indexes a history.
    pub fn of(history: &'a History) -> Self {
        let mut index = Self {
            history,
            acks: HashMap::new(),
            asked: HashMap::new(),
            stored: HashMap::new(),
            faults: 0,
            cuts: Vec::new(),
        };
        for entry in &history.0 {
            match &entry.record {
                Record::Acked { topic, key, id, seq, node } => {
                    let ack = Ack { key, id, seq: *seq, node: *node, at_ms: entry.at_ms };
                    index.acks.entry(topic).or_default().push(ack);
                }
                Record::Asked { key, subject, .. } => {
                    index.asked.entry(key).or_insert((entry.at_ms, subject));
                }
                Record::Stored { node, topic, event } => {
                    index.stored.entry(topic).or_default().entry(*node).or_default().push(event);
                }
                Record::Listed { node, topic, .. } => {
                    index.stored.entry(topic).or_default().entry(*node).or_default();
                }
                Record::Fault { fault, nodes, cut, .. } => {
                    index.faults += 1;
                    if *cut {
                        index.cuts.push(Cut { fault, nodes, from_ms: entry.at_ms, to_ms: u64::MAX });
                    }
                }
                Record::Over { fault, nodes } => {
                    let same = |cut: &&mut Cut<'_>| {
                        cut.fault == fault && cut.nodes == nodes && cut.to_ms == u64::MAX
                    };
                    if let Some(cut) = index.cuts.iter_mut().find(same) {
                        cut.to_ms = entry.at_ms + GRACE_MS;
                    }
                }
                _ => {}
            }
        }
        index
    }

    /// Whether a node may have been out of reach at some moment between these two.
    pub fn out_of_reach(&self, node: usize, from_ms: u64, to_ms: u64) -> bool {
        self.cuts.iter().any(|cut| cut.nodes.contains(&node) && cut.from_ms <= to_ms && from_ms <= cut.to_ms)
    }

    /// Whether the network may have kept a node out of reach at some moment between these two, so that it
    /// can't know what happened elsewhere. A process that was dead or stopped is not cut off: it asks the
    /// others before it answers.
    pub fn cut_off(&self, node: usize, from_ms: u64, to_ms: u64) -> bool {
        let mut cuts = self.cuts.iter().filter(|cut| !STOPPED.contains(&cut.fault));
        cuts.any(|cut| cut.nodes.contains(&node) && cut.from_ms <= to_ms && from_ms <= cut.to_ms)
    }

    /// What the first node in the history holds of a topic; empty if no node listed its events.
    pub fn reference(&self, topic: &str) -> &[&'a Event] {
        let first = self.stored.get(topic).and_then(|nodes| nodes.values().next());
        first.map_or(&[], Vec::as_slice)
    }

    /// The same events by position.
    pub fn by_seq(&self, topic: &str) -> HashMap<u64, &'a Event> {
        self.reference(topic).iter().map(|event| (event.seq, *event)).collect()
    }

    /// When each event of a topic was first acknowledged, by id.
    pub fn acked_ms(&self, topic: &str) -> HashMap<&'a str, u64> {
        let mut first = HashMap::new();
        for ack in self.acks.get(topic).into_iter().flatten() {
            first.entry(ack.id).or_insert(ack.at_ms);
        }
        first
    }

    /// The clients of a topic: what each wants, and the events and gaps that it received, in order.
    pub fn clients(&self, topic: &str) -> BTreeMap<&'a str, Client<'a>> {
        let mut clients: BTreeMap<&str, Client<'a>> = BTreeMap::new();
        for Entry { at_ms, record } in &self.history.0 {
            match record {
                Record::Client { client, topic: of, subjects, kinds } if of == topic => {
                    clients.insert(client, Client { subjects, kinds, after: None, received: Vec::new() });
                }
                Record::Joined { client, after, .. } => {
                    if let Some(client) = clients.get_mut(client.as_str()) {
                        client.after = after.as_deref();
                    }
                }
                Record::Seen { client, event } => {
                    if let Some(client) = clients.get_mut(client.as_str()) {
                        client.received.push(Received::Event(event));
                    }
                }
                Record::Gap { client, oldest } => {
                    if let Some(client) = clients.get_mut(client.as_str()) {
                        let after = client.after;
                        let oldest = oldest.as_deref();
                        client.received.push(Received::Gap(Gap { after, oldest, at_ms: *at_ms }));
                    }
                }
                _ => {}
            }
        }
        clients
    }
}

/// A client as the history shows it.
#[derive(Debug)]
pub struct Client<'a> {
    /// The subjects and patterns that it wants; the map's own subject when empty.
    pub subjects: &'a [String],
    /// The types that it wants; all types when empty.
    pub kinds: &'a [String],
    /// The position after which it joined last.
    after: Option<&'a str>,
    /// The events and gaps that it received, in order.
    pub received: Vec<Received<'a>>,
}

/// Something that a client received.
#[derive(Debug, Clone, Copy)]
pub enum Received<'a> {
    /// An event.
    Event(&'a Event),
    /// A gap: history is missing.
    Gap(Gap<'a>),
}

/// A gap that a client received.
#[derive(Debug, Clone, Copy)]
pub struct Gap<'a> {
    /// The position after which it had asked to begin; `None` for the start of the history.
    pub after: Option<&'a str>,
    /// The oldest event that the gap names.
    pub oldest: Option<&'a str>,
    /// When it received the gap.
    pub at_ms: u64,
}

impl<'a> Client<'a> {
    /// Whether it wants such an event.
    pub fn wants(&self, event: &Event) -> bool {
        self.selects(&event.subject) && (self.kinds.is_empty() || self.kinds.contains(&event.kind))
    }

    /// Whether it wants events of that subject, whatever their types.
    pub fn selects(&self, subject: &str) -> bool {
        selects(self.subjects, subject)
    }

    /// The events that it received.
    pub fn events(&self) -> impl Iterator<Item = &'a Event> {
        self.received.iter().filter_map(|received| match received {
            Received::Event(event) => Some(*event),
            Received::Gap(_) => None,
        })
    }
}
