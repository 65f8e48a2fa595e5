//! A history, looked up by what the judges ask.

use crate::history::{Event, History, Record};
use std::collections::{BTreeMap, HashMap};

/// After a fault that may cut a node off is over, it may still be out of touch for so long, in milliseconds.
const GRACE_MS: u64 = 3_000;

/// An acknowledgement.
#[derive(Debug)]
pub struct Ack<'a> {
    /// The idempotency key.
    pub key: &'a str,
    /// The event's id.
    pub id: &'a str,
    /// Its place.
    pub seq: u64,
    /// Who answered.
    pub node: usize,
}

/// A time during which nodes may be out of reach.
#[derive(Debug)]
struct Cut<'a> {
    fault: &'a str,
    nodes: &'a [usize],
    from_ms: u64,
    to_ms: u64,
}

/// The history by its parts.
#[derive(Debug)]
pub struct Index<'a> {
    /// All of it.
    pub history: &'a History,
    /// Acknowledgements of a topic.
    pub acks: HashMap<&'a str, Vec<Ack<'a>>>,
    /// What nodes hold of a topic in the end, by node.
    pub stored: HashMap<&'a str, BTreeMap<usize, Vec<&'a Event>>>,
    /// How many faults were injected.
    pub faults: u64,
    cuts: Vec<Cut<'a>>,
}

impl<'a> Index<'a> {
    /// Of a history.
    pub fn of(history: &'a History) -> Self {
        let mut index = Self { history, acks: HashMap::new(), stored: HashMap::new(), faults: 0, cuts: Vec::new() };
        for entry in &history.0 {
            match &entry.record {
                Record::Acked { topic, key, id, seq, node } => {
                    index.acks.entry(topic).or_default().push(Ack { key, id, seq: *seq, node: *node });
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
                    let same = |cut: &&mut Cut<'_>| cut.fault == fault && cut.nodes == nodes && cut.to_ms == u64::MAX;
                    if let Some(cut) = index.cuts.iter_mut().find(same) {
                        cut.to_ms = entry.at_ms + GRACE_MS;
                    }
                }
                _ => {}
            }
        }
        index
    }

    /// Whether a node may have been out of reach at some time of these.
    pub fn out_of_reach(&self, node: usize, from_ms: u64, to_ms: u64) -> bool {
        self.cuts.iter().any(|cut| cut.nodes.contains(&node) && cut.from_ms <= to_ms && from_ms <= cut.to_ms)
    }

    /// What the first node that told holds of a topic; empty where none told.
    pub fn reference(&self, topic: &str) -> &[&'a Event] {
        let first = self.stored.get(topic).and_then(|nodes| nodes.values().next());
        first.map_or(&[], Vec::as_slice)
    }

    /// The same by place.
    pub fn by_seq(&self, topic: &str) -> HashMap<u64, &'a Event> {
        self.reference(topic).iter().map(|event| (event.seq, *event)).collect()
    }

    /// Of each client of a topic: the types it wants, and what it was given and told, in order.
    pub fn clients(&self, topic: &str) -> BTreeMap<&'a str, Client<'a>> {
        let mut clients = BTreeMap::new();
        for record in self.history.records() {
            if let Record::Client { client, topic: of, kinds } = record
                && of == topic
            {
                clients.insert(client.as_str(), Client { kinds, told: Vec::new() });
            }
            let told = match record {
                Record::Seen { client, event } => Some((client, Told::Event(event))),
                Record::Gap { client, oldest } => Some((client, Told::Gap(oldest.as_deref()))),
                _ => None,
            };
            if let Some((client, told)) = told
                && let Some(client) = clients.get_mut(client.as_str())
            {
                client.told.push(told);
            }
        }
        clients
    }
}

/// A client.
#[derive(Debug)]
pub struct Client<'a> {
    /// The types it wants; all when empty.
    pub kinds: &'a [String],
    /// What it was told, in order.
    pub told: Vec<Told<'a>>,
}

/// Something a client was told.
#[derive(Debug, Clone, Copy)]
pub enum Told<'a> {
    /// An event.
    Event(&'a Event),
    /// That history is missing, and the oldest that is there.
    Gap(Option<&'a str>),
}

impl Client<'_> {
    /// Whether it wants such an event.
    pub fn wants(&self, event: &Event) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&event.kind)
    }
}
