//! Which topics an event in a stream wakes.
//!
//! A topic that names its subjects is found by a hash of the subject, however many subjects it names. A
//! pattern is matched once per subject, however many topics have it. So publishing to one subject costs
//! nothing for readers of other subjects.
//!
//! A topic's actor has at most one nudge waiting. Whatever happens meanwhile is added to that nudge.

use crate::core::command::Touched;
use crate::core::ids::TopicId;
use crate::core::subject::{Selector, Subject, SubjectPattern};
use crate::core::topic::TopicKey;
use actix::{Message, Recipient};
use rustc_hash::FxHashMap;
use slab::Slab;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The topic may have new events or may have lost some: [`Pending`] says which. One waiting nudge is enough.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Nudge;

/// A topic's actor is gone.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct TopicLost(pub(super) TopicKey);

/// What happened to a topic since its actor last looked.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending(Arc<Happened>);

#[derive(Debug)]
struct Happened {
    /// A nudge is waiting that the actor has not handled yet.
    is_announced: AtomicBool,
    /// No new event of the topic has a lower seq; `u64::MAX` if there are no new events.
    first_seq: AtomicU64,
    removed: AtomicBool,
}

impl Default for Happened {
    fn default() -> Self {
        let is_announced = AtomicBool::new(false);
        let removed = AtomicBool::new(false);
        Self { is_announced, first_seq: AtomicU64::new(u64::MAX), removed }
    }
}

/// The result of [`Pending::take`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Happenings {
    /// There are new events, none of them before this seq.
    pub(super) first_seq: Option<u64>,
    /// Stored events were removed.
    pub(super) removed: bool,
}

impl Pending {
    /// Takes what happened since the last call. What happens from now on is announced again.
    pub(super) fn take(&self) -> Happenings {
        self.0.is_announced.store(false, Ordering::SeqCst);
        let first_seq = Some(self.0.first_seq.swap(u64::MAX, Ordering::SeqCst)).filter(|seq| *seq < u64::MAX);
        Happenings { first_seq, removed: self.0.removed.swap(false, Ordering::SeqCst) }
    }
}

/// Wakes a topic's actor.
pub(super) struct Bell {
    actor: Recipient<Nudge>,
    pending: Pending,
}

impl Bell {
    /// A bell for the actor that takes `pending`.
    pub(super) fn new(actor: Recipient<Nudge>, pending: Pending) -> Self {
        Self { actor, pending }
    }

    /// Records what happened and nudges the actor. Returns whether the actor still exists.
    fn ring(&self, what: Happenings) -> bool {
        let Happened { is_announced, first_seq, removed } = &*self.pending.0;
        if let Some(seq) = what.first_seq {
            first_seq.fetch_min(seq, Ordering::SeqCst);
        }
        removed.fetch_or(what.removed, Ordering::SeqCst);
        if !is_announced.swap(true, Ordering::SeqCst) {
            self.actor.do_send(Nudge);
        }
        self.actor.connected()
    }
}

/// The topics in use, by stream.
#[derive(Default)]
pub(super) struct Nudges(FxHashMap<TopicId, Topics>);

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

    fn ring(&self, slot: usize, what: Happenings, stream: TopicId, gone: &mut Vec<TopicKey>) {
        if let Some((selector, bell)) = self.topics.get(slot)
            && !bell.ring(what)
        {
            gone.push(TopicKey::new(stream, selector.clone()));
        }
    }

    fn ring_all(&self, what: Happenings, stream: TopicId, gone: &mut Vec<TopicKey>) {
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
        self.0.entry(topic.stream).or_default().watch(topic.selector, bell);
    }

    /// Stops waking the topic.
    pub(super) fn unwatch(&mut self, topic: &TopicKey) {
        let Some(topics) = self.0.get_mut(&topic.stream) else { return };
        topics.unwatch(&topic.selector);
        if topics.topics.is_empty() {
            self.0.remove(&topic.stream);
        }
    }

    /// How many topics are in use.
    pub(super) fn len(&self) -> usize {
        self.0.values().map(|topics| topics.topics.len()).sum()
    }

    /// Wakes each topic once that has one of these subjects; the stream has new events of them from
    /// `first_seq` on. Returns the topics whose actor is gone.
    pub(super) fn wake(&self, stream: TopicId, first_seq: u64, subjects: &Touched) -> Vec<TopicKey> {
        self.ring(stream, subjects, Happenings { first_seq: Some(first_seq), removed: false })
    }

    /// Wakes the topics that have one of these subjects; events of them were removed. Returns the topics
    /// whose actor is gone.
    pub(super) fn removed(&self, stream: TopicId, subjects: &Touched) -> Vec<TopicKey> {
        self.ring(stream, subjects, Happenings { first_seq: None, removed: true })
    }

    fn ring(&self, stream: TopicId, subjects: &Touched, what: Happenings) -> Vec<TopicKey> {
        let mut gone = Vec::new();
        let Some(topics) = self.0.get(&stream) else { return gone };
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
        let what = Happenings { first_seq: Some(0), removed: true };
        self.0.iter().for_each(|(stream, topics)| topics.ring_all(what, *stream, &mut gone));
        gone
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use actix::{Actor, Context, Handler};
    use std::sync::atomic::AtomicUsize;

    #[derive(Clone, Default)]
    struct Woken(Arc<AtomicUsize>, Pending);

    impl Woken {
        fn bell(&self) -> Bell {
            Bell::new(self.clone().start().recipient(), self.1.clone())
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
            assert!(nudges.wake(TopicId(1), 1, &subjects(published)).is_empty());
            assert!(nudges.wake(TopicId(2), 1, &subjects(published)).is_empty(), "another stream");
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            assert_eq!(told(), expected, "{published:?}");
        }
        nudges.unwatch(&topic(&["a"]));
        nudges.unwatch(&topic(&["*"]));
        assert_eq!(nudges.len(), 5);
        nudges.wake_all();
        for _ in 0..10 {
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
            nudges.wake(TopicId(1), seq, &subjects(&["a", "bc"]));
        }
        nudges.removed(TopicId(1), &subjects(&["b"]));
        nudges.removed(TopicId(1), &subjects(&["c"]));
        let first = Happenings { first_seq: Some(7), removed: true };
        assert_eq!(woken.1.take(), first);
        assert_eq!(woken.1.take(), Happenings { first_seq: None, removed: false });
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        nudges.wake(TopicId(1), 200, &subjects(&["c"]));
        assert_eq!(woken.1.take().first_seq, None, "another subject");
        nudges.wake_all();
        assert_eq!(
            woken.1.take(),
            Happenings { first_seq: Some(0), removed: true },
            "a snapshot may lack what was deleted"
        );
    }
}
