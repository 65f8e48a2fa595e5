//! Which topics an event in a stream wakes.
//!
//! A topic that names its subjects is found by a hash of the subject, however many subjects it names. A
//! pattern is matched once per subject, however many topics have it. So publishing to one subject costs
//! nothing for readers of other subjects.
//!
//! A topic's actor has at most one nudge waiting. Whatever happens meanwhile is added to that nudge, with the
//! new events themselves ([`Handed`]).

use super::handed::{Batch, Handed, OnTheWay};
use super::wakes::{Nudge, Wakes};
use crate::core::command::{Appended, Touched};
use crate::core::ids::TopicId;
use crate::core::subject::{Selector, Subject, SubjectPattern};
use crate::core::topic::TopicKey;
use actix::{Message, Recipient};
use rustc_hash::FxHashMap;
use slab::Slab;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A topic's actor is gone.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct TopicLost(pub(super) TopicKey);

/// What happened to a topic since its actor last looked.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending(Arc<Mutex<Waiting>>);

#[derive(Debug, Default)]
struct Waiting {
    /// A nudge is waiting that the actor has not handled yet.
    is_announced: bool,
    happenings: Happenings,
}

/// The result of [`Pending::take`].
#[derive(Debug, Default)]
pub(super) struct Happenings {
    /// There are new events, none of them before this seq.
    pub(super) first_seq: Option<u64>,
    /// The new events.
    pub(super) handed: Handed,
    /// Stored events were removed, before the last of the new ones or after it.
    pub(super) removed: bool,
}

/// What happens to a topic.
#[derive(Clone, Copy)]
enum Happening<'b> {
    /// There are new events, none of them before this seq, among those of the batch. Without a batch they are
    /// in the store alone.
    New(u64, Option<&'b Arc<Batch>>),
    /// Stored events were removed.
    Removed,
    /// A snapshot replaced a part of the stream.
    Replaced,
}

impl Happenings {
    fn add(&mut self, what: Happening<'_>) {
        match what {
            Happening::New(seq, batch) => {
                self.first_seq = Some(self.first_seq.map_or(seq, |first| first.min(seq)));
                self.handed.add(batch);
            }
            Happening::Removed => {
                self.removed = true;
                self.handed.forget_removed();
            }
            Happening::Replaced => {
                *self = Self { first_seq: Some(0), handed: Handed::InStore, removed: true }
            }
        }
    }
}

impl Pending {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what happened since the last call. What happens from now on is announced again.
    pub(super) fn take(&self) -> Happenings {
        std::mem::take(&mut *self.lock()).happenings
    }
}

/// Wakes a topic's actor.
pub(super) struct Bell {
    actor: Recipient<Nudge>,
    pending: Pending,
    wakes: Wakes,
}

impl Bell {
    /// A bell for the actor that takes `pending`, on the thread of `wakes`.
    pub(super) fn new(actor: Recipient<Nudge>, pending: Pending, wakes: Wakes) -> Self {
        Self { actor, pending, wakes }
    }

    /// Records what happened and nudges the actor. Returns whether the actor still exists.
    fn ring(&self, what: Happening<'_>) -> bool {
        let mut waiting = self.pending.lock();
        waiting.happenings.add(what);
        let was_announced = std::mem::replace(&mut waiting.is_announced, true);
        drop(waiting);
        if !was_announced {
            self.wakes.nudge(self.actor.clone());
        }
        self.actor.connected()
    }
}

/// The topics in use.
#[derive(Default)]
pub(super) struct Nudges {
    streams: FxHashMap<TopicId, Topics>,
    on_the_way: OnTheWay,
}

/// The topics in use of one stream. Clients choose subjects, so the hashes of subjects use a random key.
#[derive(Default)]
struct Topics {
    topics: Slab<(Selector, Bell)>,
    slots: HashMap<Selector, usize>,
    /// Slots of the topics that name the subject.
    named: HashMap<Subject, Vec<usize>>,
    /// Slots of the topics that have the pattern.
    patterns: HashMap<SubjectPattern, Vec<usize>>,
    all: Option<usize>,
}

impl Topics {
    fn watch(&mut self, selector: Selector, bell: Bell) {
        self.unwatch(&selector);
        let slot = self.topics.insert((selector.clone(), bell));
        match &selector {
            Selector::One(subject) => self.named.entry(subject.clone()).or_default().push(slot),
            Selector::All => self.all = Some(slot),
            Selector::Several(several) => {
                for subject in several.named() {
                    self.named.entry(subject.clone()).or_default().push(slot);
                }
                for pattern in several.patterns() {
                    self.patterns.entry(pattern.clone()).or_default().push(slot);
                }
            }
        }
        self.slots.insert(selector, slot);
    }

    fn unwatch(&mut self, selector: &Selector) {
        let Some(slot) = self.slots.remove(selector) else { return };
        self.topics.remove(slot);
        match selector {
            Selector::One(subject) => leave(&mut self.named, subject, slot),
            Selector::All => self.all = None,
            Selector::Several(several) => {
                several.named().iter().for_each(|subject| leave(&mut self.named, subject, slot));
                several.patterns().iter().for_each(|pattern| leave(&mut self.patterns, pattern, slot));
            }
        }
    }

    /// The slots of the topics that have one of the subjects, each once.
    fn concerned(&self, subjects: &[Subject]) -> Vec<usize> {
        let mut slots = Vec::new();
        for subject in subjects {
            slots.extend(self.named.get(subject).into_iter().flatten());
            slots.extend(self.all.filter(|_| !subject.is_reserved()));
            let fitting = self.patterns.iter().filter(|(pattern, _)| pattern.fits(subject.as_str()));
            slots.extend(fitting.flat_map(|(_, slots)| slots));
        }
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    fn ring(&self, slot: usize, what: Happening<'_>, stream: TopicId, gone: &mut Vec<TopicKey>) {
        if let Some((selector, bell)) = self.topics.get(slot)
            && !bell.ring(what)
        {
            gone.push(TopicKey::new(stream, selector.clone()));
        }
    }

    fn ring_all(&self, what: Happening<'_>, stream: TopicId, gone: &mut Vec<TopicKey>) {
        self.topics.iter().for_each(|(slot, _)| self.ring(slot, what, stream, gone));
    }
}

/// Removes one topic from a name's list.
fn leave<K: std::hash::Hash + Eq>(all: &mut HashMap<K, Vec<usize>>, name: &K, slot: usize) {
    if let Some(slots) = all.get_mut(name) {
        slots.retain(|known| *known != slot);
        if slots.is_empty() {
            all.remove(name);
        }
    }
}

impl Nudges {
    /// Wakes the topic from now on.
    pub(super) fn watch(&mut self, topic: TopicKey, bell: Bell) {
        self.streams.entry(topic.stream).or_default().watch(topic.selector, bell);
    }

    /// Stops waking the topic.
    pub(super) fn unwatch(&mut self, topic: &TopicKey) {
        let Some(topics) = self.streams.get_mut(&topic.stream) else { return };
        topics.unwatch(&topic.selector);
        if topics.topics.is_empty() {
            self.streams.remove(&topic.stream);
        }
    }

    /// How many topics are in use.
    pub(super) fn len(&self) -> usize {
        self.streams.values().map(|topics| topics.topics.len()).sum()
    }

    /// Hands new events to each topic that has one of their subjects. Returns the topics whose actor is gone.
    pub(super) fn wake(&self, appended: Appended) -> Vec<TopicKey> {
        if !self.streams.contains_key(&appended.stream) {
            return Vec::new();
        }
        let first_seq = appended.first_seq();
        let batch = self.on_the_way.send(appended.events);
        self.ring(appended.stream, &appended.subjects, Happening::New(first_seq, batch.as_ref()))
    }

    /// Wakes the topics that have one of these subjects; events of them were removed. Returns the topics
    /// whose actor is gone.
    pub(super) fn removed(&self, stream: TopicId, subjects: &Touched) -> Vec<TopicKey> {
        self.ring(stream, subjects, Happening::Removed)
    }

    fn ring(&self, stream: TopicId, subjects: &Touched, what: Happening<'_>) -> Vec<TopicKey> {
        let mut gone = Vec::new();
        let Some(topics) = self.streams.get(&stream) else { return gone };
        match subjects {
            Touched::Many => topics.ring_all(what, stream, &mut gone),
            Touched::These(subjects) => {
                let concerned = topics.concerned(subjects);
                concerned.into_iter().for_each(|slot| topics.ring(slot, what, stream, &mut gone));
            }
        }
        gone
    }

    /// Wakes all topics: any stream may have jumped and may have lost events. Returns the topics whose actor
    /// is gone.
    pub(super) fn wake_all(&self) -> Vec<TopicKey> {
        let mut gone = Vec::new();
        self.streams
            .iter()
            .for_each(|(stream, topics)| topics.ring_all(Happening::Replaced, *stream, &mut gone));
        gone
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::event::{Event, NewEvent};
    use crate::core::history::Bounds;
    use crate::core::ids::{EventId, MapId};
    use actix::{Actor, Context, Handler};
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Clone, Default)]
    struct Woken(Arc<AtomicUsize>, Pending);

    impl Woken {
        fn bell(&self) -> Bell {
            let wakes = Wakes::default();
            actix_rt::spawn(wakes.clone().pass_on());
            Bell::new(self.clone().start().recipient(), self.1.clone(), wakes)
        }
    }

    impl Actor for Woken {
        type Context = Context<Self>;
    }

    impl Handler<Nudge> for Woken {
        type Result = ();
        fn handle(&mut self, _: Nudge, _: &mut Self::Context) {
            self.0.fetch_add(1, Ordering::Relaxed);
            self.1.take();
        }
    }

    fn topic(names: &[&str]) -> TopicKey {
        TopicKey::new(TopicId(1), Selector::from_names(names.iter().map(|name| Ok(*name))).unwrap())
    }

    fn subjects(names: &[&str]) -> Touched {
        Touched::These(names.iter().map(|name| Subject::parse_any(name).unwrap()).collect())
    }

    /// Events of these subjects, with seqs from there on.
    fn appended(stream: TopicId, first_seq: u64, names: &[&str]) -> Appended {
        let subjects = subjects(names);
        let event = |(seq, name): (u64, &&str)| {
            let new = NewEvent::new(Subject::parse_any(name).unwrap(), "k", "1");
            (seq, bytes::Bytes::from(Event::to_stored(EventId::new(1, seq, 0), &new)))
        };
        let events = (first_seq..).zip(names).map(event).collect();
        Appended { map: MapId::from_bytes([1; 16]), stream, subjects, events }
    }

    /// The seqs of the events that were handed over; `None` if they must be read from the store.
    fn handed(happenings: &Happenings, names: &[&str]) -> Option<Vec<u64>> {
        let most = Bounds { events: 1000, bytes: 1 << 20 };
        let portions = happenings.handed.portions(0, &topic(names).selector, most)?;
        Some(portions.iter().flat_map(|fresh| fresh.events.iter().map(|event| event.seq)).collect())
    }

    #[actix_web::test]
    async fn publishing_to_one_subject_wakes_only_the_topics_that_read_it() {
        let mut nudges = Nudges::default();
        let readers = [&["a"][..], &["b"], &[""], &["a*"], &["a", "b"], &["*"], &["*", "$*"]];
        let woken: Vec<Woken> = readers.iter().map(|_| Woken::default()).collect();
        for (names, woken) in readers.iter().zip(&woken) {
            nudges.watch(topic(names), woken.bell());
        }
        let told = || woken.iter().map(|woken| woken.0.swap(0, Ordering::Relaxed)).collect::<Vec<_>>();
        for (published, expected) in [
            (&["a"][..], [1, 0, 0, 1, 1, 1, 1]),
            (&["b"], [0, 1, 0, 0, 1, 1, 1]),
            (&["", "ab"], [0, 0, 1, 1, 0, 1, 1]),
            (&["a", "b", "c"], [1, 1, 0, 1, 1, 1, 1]),
            (&["$s"], [0, 0, 0, 0, 0, 0, 1]),
        ] {
            assert!(nudges.wake(appended(TopicId(1), 1, published)).is_empty());
            assert!(nudges.wake(appended(TopicId(2), 1, published)).is_empty(), "another stream");
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            assert_eq!(told(), expected, "{published:?}");
        }
        nudges.unwatch(&topic(&["a"]));
        nudges.unwatch(&topic(&["*"]));
        assert_eq!(nudges.len(), 5);
        nudges.wake_all();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(told(), [0, 1, 1, 1, 1, 0, 1]);
    }

    #[actix_web::test]
    async fn one_nudge_stands_for_everything_that_happens_meanwhile() {
        let mut nudges = Nudges::default();
        let woken = Woken::default();
        nudges.watch(topic(&["a", "b*"]), woken.bell());
        for seq in 7..100 {
            nudges.wake(appended(TopicId(1), 2 * seq, &["a", "bc"]));
        }
        nudges.removed(TopicId(1), &subjects(&["c"]));
        let first = woken.1.take();
        assert_eq!((first.first_seq, first.removed), (Some(14), false));
        assert!(handed(&first, &["a", "b*"]).unwrap().into_iter().eq(14..200));
        let nothing = woken.1.take();
        assert_eq!((nothing.first_seq, nothing.removed), (None, false));
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        nudges.wake(appended(TopicId(1), 200, &["a"]));
        nudges.removed(TopicId(1), &subjects(&["b"]));
        nudges.wake(appended(TopicId(1), 201, &["a"]));
        let removed = woken.1.take();
        assert_eq!((removed.first_seq, removed.removed), (Some(200), true));
        assert_eq!(handed(&removed, &["a", "b*"]), None, "one that was handed over may be gone");
        nudges.wake(appended(TopicId(1), 300, &["c"]));
        assert_eq!(woken.1.take().first_seq, None, "another subject");
        nudges.wake_all();
        nudges.wake(appended(TopicId(1), 301, &["a"]));
        let replaced = woken.1.take();
        assert_eq!((replaced.first_seq, replaced.removed), (Some(0), true), "it may lack what was deleted");
        assert_eq!(handed(&replaced, &["a"]), None);
    }
}
