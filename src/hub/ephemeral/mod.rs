//! Ephemeral events: they go from the publisher's node directly to the nodes that have subscribers, not
//! through the log.
//!
//! The pure parts are [`interest`] (which node requests what), [`link`] (the events that wait for another
//! node), [`ledger`] (the batches accepted from another node) and [`exchange`], which combines them. This
//! module adds a lock, a clock, the network and those who wait for a confirmation ([`waiting`]). For each other
//! node, one task sends events to it and another reports this node's interest to it; the tasks run on a thread of
//! their own. ADR 0023 describes the rules.

mod exchange;
mod interest;
mod last;
mod ledger;
mod link;
mod tasks;
#[cfg(test)]
mod tests;
mod topic;
mod waiting;
mod wire;

pub(super) use topic::EphemeralTopic;
pub(super) use wire::{AskLast, SendEvents, TellInterest};

use super::health::Counts;
use super::nudges::TopicLost;
use super::peers::Peers;
use crate::core::event::{Event, NewEvent};
use crate::core::ids::{EventId, NodeId, TopicId};
use crate::core::subject::Subject;
use crate::core::topic::TopicKey;
use crate::metric;
use actix::Recipient;
use bytes::Bytes;
use exchange::{Confirmation, Dropped, Exchange, Receipt};
use futures_util::future::join_all;
use last::LastEvents;
use link::LinkLimits;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::time::timeout;
use topic::Inbox;
use waiting::{Live, Waiting};

/// Most events that wait for one other node.
const LINK_EVENTS: usize = 65_536;
/// How long a subscription waits for the other nodes to confirm.
const CONFIRM_WITHIN: Duration = Duration::from_secs(1);
/// How long other nodes may take to tell the last event of a channel.
const LAST_WITHIN: Duration = Duration::from_secs(1);
/// How long a confirmation waits until the earlier events have arrived.
const FLUSH_WITHIN: Duration = Duration::from_millis(700);

/// This node's part in the exchange of ephemeral events; cheap to clone. It lives as long as the node.
#[derive(Clone)]
pub struct Ephemeral(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// Wakes the tasks of each other node.
    wakes: Mutex<BTreeMap<NodeId, Arc<Wake>>>,
    /// Events have arrived at a node, or are lost.
    flushed: Notify,
    registries: OnceLock<Vec<Recipient<TopicLost>>>,
    counts: Arc<Counts>,
}

/// Wakes the tasks of one other node.
#[derive(Debug, Default)]
struct Wake {
    /// There are events to send.
    send: Notify,
    /// There is interest to report.
    tell: Notify,
}

/// Everything that one lock protects; [`exchange`] explains why.
struct State {
    exchange: Exchange<Arc<Inbox>>,
    /// The subscriptions that are not live yet.
    waiting: Waiting,
    ids: Ids,
    last: LastEvents,
}

impl State {
    /// Makes the subscriptions live whose versions the other nodes have confirmed. Returns them, to be told
    /// without the lock.
    fn settle(&mut self) -> Vec<(u64, Live)> {
        let confirmed = self.waiting.take(self.exchange.confirmed_version());
        if let Some((version, _)) = confirmed.last() {
            self.exchange.live(*version);
        }
        confirmed
    }
}

/// Generates the ids of events.
struct Ids {
    incarnation: u32,
    counter: u64,
    last_ms: u64,
}

impl Ids {
    fn next(&mut self, time_ms: u64) -> EventId {
        self.counter += 1;
        self.last_ms = self.last_ms.max(time_ms);
        EventId::ephemeral(self.last_ms, self.incarnation, self.counter)
    }
}

impl Ephemeral {
    /// The exchange of one run of a node.
    pub(super) fn new(link_bytes: usize, counts: Arc<Counts>) -> Self {
        // An incarnation only has to differ from the node's earlier ones.
        let incarnation = getrandom::u64().unwrap_or_else(|_| std::process::id().into());
        let exchange = Exchange::new(incarnation, LinkLimits { bytes: link_bytes, events: LINK_EVENTS });
        let ids = Ids { incarnation: incarnation as u32, counter: 0, last_ms: 0 };
        Self(Arc::new(Inner {
            state: Mutex::new(State {
                exchange,
                waiting: Waiting::default(),
                ids,
                last: LastEvents::default(),
            }),
            wakes: Mutex::default(),
            flushed: Notify::new(),
            registries: OnceLock::new(),
            counts,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wakes(&self) -> MutexGuard<'_, BTreeMap<NodeId, Arc<Wake>>> {
        self.0.wakes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the actors that are notified when a topic's actor is gone.
    pub(super) fn attach_registries(&self, registries: Vec<Recipient<TopicLost>>) {
        // This is called once, when the node starts.
        let _ = self.0.registries.set(registries);
    }

    /// Puts the topic's events into that inbox from now on. Returns the position of the first one.
    fn watch(&self, topic: &TopicKey, inbox: Arc<Inbox>) -> u64 {
        self.lock().exchange.watch(topic.stream, &topic.selector, inbox)
    }

    /// Stops watching for the topic. The other nodes learn of it with the next report.
    pub(super) fn unwatch(&self, topic: &TopicKey) {
        self.lock().exchange.unwatch(topic.stream, &topic.selector);
    }

    /// Begins a subscription whose topic exists already. When this returns, everything that arrives from now
    /// on was published after this call, on any node. And everything that is published from now on arrives,
    /// as far as the other nodes are reachable.
    pub async fn begin(&self) {
        let (version, is_live, confirmed) = {
            let mut state = self.lock();
            let version = state.exchange.begin();
            let is_live = state.waiting.add(version);
            // Without other nodes, or while none of them answers, there is nothing to wait for.
            (version, is_live, state.settle())
        };
        tell_live(confirmed);
        self.wakes().values().for_each(|wake| wake.tell.notify_one());
        if !matches!(timeout(CONFIRM_WITHIN, is_live).await, Ok(Ok(()))) {
            tracing::debug!(version, "a subscription to ephemeral events begins without confirmation");
            self.lock().exchange.live(version);
        }
    }

    /// The position of the next ephemeral event on this node.
    pub fn position(&self) -> u64 {
        self.lock().exchange.next_position()
    }

    /// Gives a stream's events to this node's topics and to the links of the nodes that request them. Returns
    /// the events, without positions.
    pub(super) fn publish(&self, stream: TopicId, events: Vec<NewEvent>, time_ms: u64) -> Vec<Event> {
        let mut pushed = Vec::new();
        let mut dropped = 0;
        let mut gone = Vec::new();
        let mut state = self.lock();
        let now = Instant::now();
        let State { exchange, ids, last, .. } = &mut *state;
        let published: Vec<Event> = events
            .into_iter()
            .map(|new| {
                let event = new.placed(ids.next(time_ms), 0, time_ms);
                let topic = |inbox: &Arc<Inbox>, position| offer(inbox, &event, position, &mut gone);
                let encode = || encoded(stream, &event);
                let push = |to| {
                    if !pushed.contains(&to) {
                        pushed.push(to);
                    }
                };
                dropped += exchange.publish(stream, &event.subject, topic, encode, push);
                last.keep(stream, &event, now);
                event
            })
            .collect();
        drop(state);
        if !pushed.is_empty() {
            let wakes = self.wakes();
            pushed.iter().filter_map(|to| wakes.get(to)).for_each(|wake| wake.send.notify_one());
        }
        self.count_dropped(Dropped::Overflow, dropped);
        self.report_lost(gone);
        published
    }

    /// The last event of an ephemeral cache channel that this node knows, and the position of the next event:
    /// what this node learns later comes at that position or behind it.
    pub fn last_here(&self, stream: TopicId, subject: &Subject) -> (Option<Event>, u64) {
        let state = self.lock();
        (state.last.of(stream, subject, Instant::now()), state.exchange.next_position())
    }

    /// The last event of an ephemeral cache channel that the other nodes know. A node that does not answer
    /// knows none.
    pub async fn last_elsewhere(&self, peers: &Peers, stream: TopicId, subject: &Subject) -> Option<Event> {
        let others: Vec<NodeId> = self.wakes().keys().copied().collect();
        let ask = AskLast { stream, subject: subject.clone() };
        let asked = others.into_iter().map(|node| peers.ask(node, &ask, LAST_WITHIN));
        let answers = join_all(asked).await.into_iter().filter_map(|answer| answer.ok().flatten());
        let known = answers.filter_map(|event| wire::decode(&event).ok());
        known.map(|(_, event)| event).max_by_key(|event| event.id)
    }

    fn count_dropped(&self, why: Dropped, count: usize) {
        if count > 0 {
            metrics::counter!(metric::EPHEMERAL_DROPPED, "reason" => why.label()).increment(count as u64);
            self.0.counts.ephemeral_dropped.fetch_add(count as u64, Ordering::Relaxed);
        }
    }

    fn report_lost(&self, gone: Vec<Arc<Inbox>>) {
        for registry in self.0.registries.get().into_iter().flatten() {
            gone.iter().for_each(|inbox| registry.do_send(TopicLost(inbox.topic().clone())));
        }
    }

    // Requests of other nodes.

    /// The last event of a channel that this node knows, encoded.
    fn tell_last(&self, AskLast { stream, subject }: AskLast) -> Option<Bytes> {
        let (last, _) = self.last_here(stream, &subject);
        last.map(|event| encoded(stream, &event))
    }

    /// Accepts a batch of events from another node.
    fn receive(&self, from: NodeId, SendEvents { sender, to, batch }: SendEvents) -> Receipt {
        let decoded = batch.events.iter().filter_map(|carried| match wire::decode(&carried.event) {
            Ok((stream, event)) => Some((carried.version, stream, event)),
            Err(error) => {
                tracing::error!(from, %error, "an ephemeral event of another node can't be read");
                None
            }
        });
        // Events are decoded before the lock is taken, because publishers wait for it.
        let events: Vec<_> = decoded.collect();
        let mut received = 0;
        let mut gone = Vec::new();
        let now = Instant::now();
        let mut state = self.lock();
        let from_version = match state.exchange.receive(from, sender, to, batch.number) {
            Ok(version) => version,
            Err(receipt) => {
                drop(state);
                metrics::counter!(metric::EPHEMERAL_REPEATED)
                    .increment(u64::from(receipt == Receipt::Repeated));
                return receipt;
            }
        };
        for (_, stream, event) in events.iter().filter(|(version, ..)| *version >= from_version) {
            received += 1;
            let topic = |inbox: &Arc<Inbox>, position| offer(inbox, event, position, &mut gone);
            state.exchange.place(*stream, &event.subject, topic);
            state.last.keep(*stream, event, now);
        }
        drop(state);
        metrics::counter!(metric::EPHEMERAL_RECEIVED).increment(received);
        self.report_lost(gone);
        Receipt::Taken(batch.events.len() as u64 - received)
    }

    /// Handles the interest that another node reports.
    async fn learn(
        &self,
        from: NodeId,
        TellInterest { incarnation, tell }: TellInterest,
    ) -> Option<Confirmation> {
        let (answer, mark) = self.lock().exchange.learn(from, incarnation, &tell)?;
        if let Some(wake) = self.wakes().get(&from) {
            wake.send.notify_one();
            if answer.known.is_none() {
                // This node does not know the sender's incarnation or its interest. The sender's answer to a
                // report contains its incarnation.
                wake.tell.notify_one();
            }
        }
        if answer.known.is_none() {
            return Some(answer);
        }
        let settled = async {
            loop {
                let news = self.0.flushed.notified();
                if self.lock().exchange.is_settled(from, mark) {
                    return;
                }
                news.await;
            }
        };
        let _ = timeout(FLUSH_WITHIN, settled).await;
        let flushed = self.lock().exchange.is_flushed(from, mark);
        Some(Confirmation { flushed, ..answer })
    }
}

/// Tells subscriptions that they are live. Whoever has just given up hears of it no more.
fn tell_live(confirmed: Vec<(u64, Live)>) {
    for (_, live) in confirmed {
        let _ = live.send(());
    }
}

/// Gives an event to a topic under a position. Records the inbox if its actor is gone.
fn offer(inbox: &Arc<Inbox>, event: &Event, position: u64, gone: &mut Vec<Arc<Inbox>>) {
    if !inbox.offer(Event { seq: position, ..event.clone() }) {
        gone.push(inbox.clone());
    }
}

fn encoded(stream: TopicId, event: &Event) -> Bytes {
    // Encoding fails only for events that are too large, and the edge refuses those.
    let encoded = wire::encode(stream, event);
    encoded
        .inspect_err(|error| tracing::error!(%error, "an ephemeral event can't be encoded"))
        .unwrap_or_default()
}
