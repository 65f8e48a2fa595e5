//! A model of three nodes, with publishers on each, clients that move between them, and a network that loses,
//! repeats and reorders messages.

#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const NODES: NodeId = 3;
const STREAM: TopicId = TopicId(1);
const SUBJECTS: [&str; 3] = ["a", "b", "c"];
const LIMITS: LinkLimits = LinkLimits { bytes: 2000, events: 12 };

/// An event: the node and the incarnation that published it, its number there, and its subject.
type Known = (NodeId, u64, u64, usize);

/// A topic of the model: one subject, or all of them.
type Topic = Option<usize>;

#[derive(Clone, Debug)]
enum Message {
    Tell { number: u64, incarnation: u64, tell: Tell },
    Confirmation { number: u64, told: u64, answer: Confirmation },
    Batch { sender: u64, to: u64, batch: Batch },
    Receipt { number: u64, receipt: Receipt },
}

#[derive(Clone, Debug)]
struct Packet {
    from: NodeId,
    to: NodeId,
    message: Message,
}

#[derive(Debug)]
struct Node {
    exchange: Exchange<Topic>,
    published: u64,
    /// The number of clients of each topic.
    users: BTreeMap<Topic, usize>,
    /// Confirmations that are sent when the link is flushed.
    unconfirmed: Vec<(NodeId, (u64, u64), Confirmation, Mark)>,
    /// The number of the unanswered report to each node.
    reporting: BTreeMap<NodeId, u64>,
    /// The batch under way to each node.
    under_way: BTreeMap<NodeId, u64>,
}

#[derive(Debug)]
enum Place {
    Away,
    Beginning { node: NodeId, topic: Topic, version: u64 },
    Live { node: NodeId, topic: Topic, from: u64 },
}

#[derive(Debug)]
struct Client {
    place: Place,
    seen: Vec<Known>,
}

#[derive(Debug)]
struct Model {
    nodes: BTreeMap<NodeId, Node>,
    clients: Vec<Client>,
    network: Vec<Packet>,
    incarnations: u64,
    tells: u64,
    /// Topics that a node has ever requested.
    wanted: BTreeSet<(NodeId, Topic)>,
}

#[derive(Clone, Debug)]
enum Step {
    Publish {
        node: NodeId,
        subject: usize,
    },
    Join {
        client: usize,
        node: NodeId,
        topic: Topic,
    },
    Leave {
        client: usize,
    },
    /// The subscription becomes live, confirmed or not.
    GiveUpWaiting {
        client: usize,
    },
    Tell {
        node: NodeId,
        to: NodeId,
        anyway: bool,
    },
    /// A report was not answered in time.
    NoAnswer {
        node: NodeId,
        to: NodeId,
    },
    Flush {
        node: NodeId,
        late: bool,
    },
    Send {
        node: NodeId,
        to: NodeId,
    },
    /// A batch was not answered in time.
    NoReceipt {
        node: NodeId,
        to: NodeId,
    },
    Deliver(prop::sample::Index),
    Repeat(prop::sample::Index),
    Lose(prop::sample::Index),
    Tick {
        node: NodeId,
    },
    Restart {
        node: NodeId,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let node = || 1..=NODES;
    let topic = || prop_oneof![3 => (0..SUBJECTS.len()).prop_map(Some), 1 => Just(None)];
    prop_oneof![
        8 => (node(), 0..SUBJECTS.len()).prop_map(|(node, subject)| Step::Publish { node, subject }),
        3 => (0usize..3, node(), topic()).prop_map(|(client, node, topic)| Step::Join { client, node, topic }),
        1 => (0usize..3).prop_map(|client| Step::Leave { client }),
        1 => (0usize..3).prop_map(|client| Step::GiveUpWaiting { client }),
        6 => (node(), node(), any::<bool>()).prop_map(|(node, to, anyway)| Step::Tell { node, to, anyway }),
        1 => (node(), node()).prop_map(|(node, to)| Step::NoAnswer { node, to }),
        4 => (node(), prop::bool::weighted(0.2)).prop_map(|(node, late)| Step::Flush { node, late }),
        6 => (node(), node()).prop_map(|(node, to)| Step::Send { node, to }),
        1 => (node(), node()).prop_map(|(node, to)| Step::NoReceipt { node, to }),
        16 => any::<prop::sample::Index>().prop_map(Step::Deliver),
        2 => any::<prop::sample::Index>().prop_map(Step::Repeat),
        2 => any::<prop::sample::Index>().prop_map(Step::Lose),
        1 => node().prop_map(|node| Step::Tick { node }),
        1 => node().prop_map(|node| Step::Restart { node }),
    ]
}

fn selector(topic: Topic) -> Selector {
    topic.map_or(Selector::All, |subject| Selector::One(name(subject)))
}

fn name(subject: usize) -> Subject {
    Subject::parse(SUBJECTS[subject]).unwrap()
}

fn encoded(event: Known) -> Bytes {
    let (node, incarnation, number, subject) = event;
    format!("{node} {incarnation} {number} {subject}").into()
}

fn decoded(bytes: &[u8]) -> Known {
    let numbers: Vec<u64> =
        std::str::from_utf8(bytes).unwrap().split(' ').map(|n| n.parse().unwrap()).collect();
    (numbers[0], numbers[1], numbers[2], numbers[3] as usize)
}

impl Model {
    fn new() -> Self {
        let clients = (0..3).map(|_| Client { place: Place::Away, seen: Vec::new() }).collect();
        let nodes = BTreeMap::new();
        let network = Vec::new();
        let wanted = BTreeSet::new();
        let mut model = Self { nodes, clients, network, incarnations: 0, tells: 0, wanted };
        (1..=NODES).for_each(|node| model.start(node));
        model
    }

    fn start(&mut self, id: NodeId) {
        self.incarnations += 1;
        let mut exchange = Exchange::new(self.incarnations, LIMITS);
        let others: Vec<NodeId> = (1..=NODES).filter(|other| *other != id).collect();
        exchange.set_members(&others);
        let users = BTreeMap::new();
        let under_way = BTreeMap::new();
        let reporting = BTreeMap::new();
        self.nodes.insert(
            id,
            Node { exchange, published: 0, users, unconfirmed: Vec::new(), reporting, under_way },
        );
        for client in &mut self.clients {
            if matches!(client.place, Place::Beginning { node, .. } | Place::Live { node, .. } if node == id)
            {
                client.place = Place::Away;
            }
        }
    }

    fn node(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(&id).unwrap()
    }

    fn send(&mut self, from: NodeId, to: NodeId, message: Message) {
        self.network.push(Packet { from, to, message });
    }

    /// Records where an event arrived on a node: the topics that got it, and the positions.
    fn hand_over(&mut self, id: NodeId, event: Known, placed: &[(Topic, u64)]) {
        for (topic, position) in placed {
            for client in &mut self.clients {
                if let Place::Live { node, topic: wanted, from } = client.place
                    && (node, wanted) == (id, *topic)
                    && *position >= from
                {
                    client.seen.push(event);
                }
            }
        }
    }

    fn publish(&mut self, id: NodeId, subject: usize) {
        let node = self.node(id);
        node.published += 1;
        let event = (id, node.exchange.incarnation(), node.published, subject);
        let mut placed = Vec::new();
        let mut pushed = Vec::new();
        let topic = |topic: &Topic, position| placed.push((*topic, position));
        node.exchange.publish(STREAM, &name(subject), topic, || encoded(event), |to| pushed.push(to));
        for to in pushed {
            let wanted = [Some(subject), None].iter().any(|topic| self.wanted.contains(&(to, *topic)));
            assert!(wanted, "{event:?} goes to {to}, which never requested it");
        }
        self.hand_over(id, event, &placed);
    }

    fn leave(&mut self, client: usize) {
        let place = std::mem::replace(&mut self.clients[client].place, Place::Away);
        let (Place::Beginning { node, topic, .. } | Place::Live { node, topic, .. }) = place else { return };
        let node = self.node(node);
        let users = node.users.get_mut(&topic).unwrap();
        *users -= 1;
        if *users == 0 {
            node.users.remove(&topic);
            node.exchange.unwatch(STREAM, &selector(topic));
        }
    }

    fn join(&mut self, client: usize, id: NodeId, topic: Topic) {
        self.leave(client);
        self.wanted.insert((id, topic));
        let node = self.node(id);
        let users = node.users.entry(topic).or_default();
        *users += 1;
        if *users == 1 {
            node.exchange.watch(STREAM, &selector(topic), topic);
        }
        let version = node.exchange.begin();
        self.clients[client].place = Place::Beginning { node: id, topic, version };
    }

    /// Waiting clients become live as soon as they may.
    fn go_live(&mut self, given_up: Option<usize>) {
        for (n, client) in self.clients.iter_mut().enumerate() {
            let Place::Beginning { node: id, topic, version } = client.place else { continue };
            let node = self.nodes.get_mut(&id).unwrap();
            if node.exchange.confirmed_version() >= version || given_up == Some(n) {
                node.exchange.live(version);
                client.place = Place::Live { node: id, topic, from: node.exchange.next_position() };
            }
        }
    }

    fn tell(&mut self, from: NodeId, to: NodeId, anyway: bool) {
        self.tells += 1;
        let number = self.tells;
        let node = self.node(from);
        let incarnation = node.exchange.incarnation();
        // Reports go out one at a time: the next one follows when this one was answered or timed out.
        if let Some(tell) = node.exchange.tell(to, anyway).filter(|_| !node.reporting.contains_key(&to)) {
            node.reporting.insert(to, number);
            self.send(from, to, Message::Tell { number, incarnation, tell });
        }
    }

    fn flush(&mut self, id: NodeId, late: bool) {
        let node = self.node(id);
        let exchange = &node.exchange;
        let done = |(to, _, _, mark): &mut (NodeId, (u64, u64), Confirmation, Mark)| {
            late || exchange.is_settled(*to, *mark)
        };
        let done: Vec<_> = node.unconfirmed.extract_if(.., done).collect();
        for (to, (number, told), answer, mark) in done {
            let flushed = answer.known.is_some() && self.node(id).exchange.is_flushed(to, mark);
            self.send(
                id,
                to,
                Message::Confirmation { number, told, answer: Confirmation { flushed, ..answer } },
            );
        }
    }

    fn send_batch(&mut self, from: NodeId, to: NodeId) {
        let node = self.node(from);
        if node.under_way.contains_key(&to) {
            return;
        }
        let sender = node.exchange.incarnation();
        let Some((incarnation, batch)) = node.exchange.batch(to) else { return };
        node.under_way.insert(to, batch.number);
        self.send(from, to, Message::Batch { sender, to: incarnation, batch });
    }

    fn deliver(&mut self, Packet { from, to, message }: Packet) {
        match message {
            Message::Tell { number, incarnation, tell } => {
                let node = self.node(to);
                if let Some((answer, mark)) = node.exchange.learn(from, incarnation, &tell) {
                    node.unconfirmed.push((from, (number, tell.version), answer, mark));
                }
            }
            Message::Confirmation { number, told, answer } => {
                let node = self.node(to);
                // An answer counts only while its request is pending.
                if node.reporting.get(&from) == Some(&number) {
                    node.reporting.remove(&from);
                    node.exchange.confirmed(from, told, Some(answer));
                }
            }
            Message::Batch { sender, to: incarnation, batch } => {
                let taken = self.node(to).exchange.receive(from, sender, incarnation, batch.number);
                let receipt = taken.err().unwrap_or(Receipt::Taken(0));
                let fresh =
                    batch.events.iter().filter(|event| taken.is_ok_and(|version| event.version >= version));
                for event in fresh {
                    let event = decoded(&event.event);
                    let mut placed = Vec::new();
                    let exchange = &mut self.node(to).exchange;
                    exchange.place(STREAM, &name(event.3), |topic, position| placed.push((*topic, position)));
                    self.hand_over(to, event, &placed);
                }
                self.send(to, from, Message::Receipt { number: batch.number, receipt });
            }
            Message::Receipt { number, receipt } => {
                let node = self.node(to);
                // An answer counts only while its request is pending.
                if node.under_way.get(&from) == Some(&number) {
                    node.under_way.remove(&from);
                    node.exchange.sent(from, number, Some(receipt));
                }
            }
        }
    }

    fn step(&mut self, step: Step) {
        let len = self.network.len();
        match step {
            Step::Publish { node, subject } => self.publish(node, subject),
            Step::Join { client, node, topic } => self.join(client, node, topic),
            Step::Leave { client } => self.leave(client),
            Step::GiveUpWaiting { client } => self.go_live(Some(client)),
            Step::Tell { node, to, anyway } => self.tell(node, to, anyway),
            Step::NoAnswer { node: from, to } => {
                let node = self.node(from);
                if node.reporting.remove(&to).is_some() {
                    node.exchange.confirmed(to, 0, None);
                }
            }
            Step::Flush { node, late } => self.flush(node, late),
            Step::Send { node, to } => self.send_batch(node, to),
            Step::NoReceipt { node: from, to } => {
                let node = self.node(from);
                if let Some(number) = node.under_way.remove(&to) {
                    node.exchange.sent(to, number, None);
                }
            }
            Step::Deliver(which) if len > 0 => {
                let packet = self.network.remove(which.index(len));
                self.deliver(packet);
            }
            Step::Repeat(which) if len > 0 => {
                let packet = self.network[which.index(len)].clone();
                self.deliver(packet);
            }
            Step::Lose(which) if len > 0 => drop(self.network.remove(which.index(len))),
            Step::Deliver(_) | Step::Repeat(_) | Step::Lose(_) => {}
            Step::Tick { node } => drop(self.node(node).exchange.tick()),
            Step::Restart { node } => self.start(node),
        }
        self.go_live(None);
    }

    /// Makes the network lossless and lets every node report to every other one, until nothing is under way.
    fn heal(&mut self) {
        for _ in 0..4 {
            for from in 1..=NODES {
                for to in 1..=NODES {
                    self.step(Step::NoReceipt { node: from, to });
                    self.step(Step::NoAnswer { node: from, to });
                    self.tell(from, to, true);
                }
            }
            for _ in 0..40 {
                while !self.network.is_empty() {
                    let packet = self.network.remove(0);
                    self.deliver(packet);
                }
                for from in 1..=NODES {
                    (1..=NODES).for_each(|to| self.send_batch(from, to));
                    self.flush(from, false);
                }
                self.go_live(None);
            }
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        for (id, node) in &self.nodes {
            for (to, _, bytes) in node.exchange.peers() {
                prop_assert!(bytes <= 2 * LIMITS.bytes, "{} bytes wait on {} for {}", bytes, id, to);
            }
        }
        for client in &self.clients {
            let mut last: BTreeMap<(NodeId, u64, usize), u64> = BTreeMap::new();
            for (node, incarnation, number, subject) in &client.seen {
                let before = last.insert((*node, *incarnation, *subject), *number).unwrap_or(0);
                prop_assert!(before < *number, "{} after {} in {:?}", number, before, client.seen);
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Whatever the network does, a client sees no event twice and none out of order, on whatever nodes it
    /// subscribes. No event goes to a node that never requested it, and the waiting events are bounded. Once
    /// the network works again, clients get everything that is published.
    #[test]
    fn at_most_once_in_order_and_bounded(joined in any::<bool>(), steps in prop::collection::vec(step(), 1..250)) {
        let mut model = Model::new();
        if joined {
            // The nodes know each other, and each has a client, so that the random steps soon reach
            // interesting states.
            (0..3).for_each(|client| model.join(client, client as NodeId + 1, Some(0)));
            model.heal();
        }
        for step in steps {
            model.step(step);
            model.check()?;
        }
        model.heal();
        let seen: Vec<usize> = model.clients.iter().map(|client| client.seen.len()).collect();
        for node in 1..=NODES {
            (0..SUBJECTS.len()).for_each(|subject| model.publish(node, subject));
        }
        model.heal();
        model.check()?;
        for (client, before) in model.clients.iter().zip(seen) {
            let expected = match client.place {
                Place::Away => 0,
                Place::Live { topic: Some(_), .. } => NODES as usize,
                Place::Live { topic: None, .. } => NODES as usize * SUBJECTS.len(),
                Place::Beginning { .. } => return Err(TestCaseError::fail(format!("{client:?} is not live"))),
            };
            prop_assert_eq!(client.seen.len() - before, expected, "{:?}", client);
        }
    }
}
