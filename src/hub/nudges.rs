//! Which topics the new events of a stream wake.
//!
//! A topic of one subject is found by a hash of the subject; those of several are asked one by one, of that stream alone.
//! So publishing to one subject costs nothing where others are read, however many they are.

use super::topic::Nudge;
use crate::core::command::Touched;
use crate::core::ids::TopicId;
use crate::core::subject::{Selector, Subject};
use crate::core::topic::TopicKey;
use actix::Recipient;
use actix::prelude::SendError;
use rustc_hash::FxHashMap;

/// The topics in use, by stream.
#[derive(Default)]
pub(super) struct Nudges(FxHashMap<TopicId, Topics>);

/// The topics in use of one stream.
#[derive(Default)]
struct Topics {
    one: FxHashMap<Subject, Recipient<Nudge>>,
    /// Topics of several subjects, or of all.
    wide: Vec<(Selector, Recipient<Nudge>)>,
}

impl Topics {
    fn is_empty(&self) -> bool {
        self.one.is_empty() && self.wide.is_empty()
    }

    fn len(&self) -> usize {
        self.one.len() + self.wide.len()
    }

    fn wake_all(&self, stream: TopicId, gone: &mut Vec<TopicKey>) {
        let one = self.one.iter().filter(|(_, actor)| !nudge(actor));
        gone.extend(one.map(|(subject, _)| TopicKey::new(stream, Selector::One(subject.clone()))));
        let wide = self.wide.iter().filter(|(_, actor)| !nudge(actor));
        gone.extend(wide.map(|(selector, _)| TopicKey::new(stream, selector.clone())));
    }
}

impl Nudges {
    /// The topic is to be woken from now on.
    pub(super) fn watch(&mut self, topic: TopicKey, actor: Recipient<Nudge>) {
        let topics = self.0.entry(topic.stream).or_default();
        match topic.selector {
            Selector::One(subject) => drop(topics.one.insert(subject, actor)),
            wide => {
                topics.wide.retain(|(known, _)| *known != wide);
                topics.wide.push((wide, actor));
            }
        }
    }

    /// The topic is gone.
    pub(super) fn unwatch(&mut self, topic: &TopicKey) {
        let Some(topics) = self.0.get_mut(&topic.stream) else { return };
        match &topic.selector {
            Selector::One(subject) => drop(topics.one.remove(subject)),
            wide => topics.wide.retain(|(known, _)| known != wide),
        }
        if topics.is_empty() {
            self.0.remove(&topic.stream);
        }
    }

    /// How many topics are in use.
    pub(super) fn len(&self) -> usize {
        self.0.values().map(Topics::len).sum()
    }

    /// Wakes the topics that these subjects of the stream belong to, each once; answers those whose actor is gone.
    pub(super) fn wake(&self, stream: TopicId, subjects: &Touched) -> Vec<TopicKey> {
        let mut gone = Vec::new();
        let Some(topics) = self.0.get(&stream) else { return gone };
        let Touched::These(subjects) = subjects else {
            topics.wake_all(stream, &mut gone);
            return gone;
        };
        for subject in subjects {
            if let Some((subject, actor)) = topics.one.get_key_value(subject)
                && !nudge(actor)
            {
                gone.push(TopicKey::new(stream, Selector::One(subject.clone())));
            }
        }
        for (selector, actor) in &topics.wide {
            if subjects.iter().any(|subject| selector.matches(subject.as_str())) && !nudge(actor) {
                gone.push(TopicKey::new(stream, selector.clone()));
            }
        }
        gone
    }

    /// Wakes all topics: any stream may have jumped. Answers those whose actor is gone.
    pub(super) fn wake_all(&self) -> Vec<TopicKey> {
        let mut gone = Vec::new();
        self.0.iter().for_each(|(stream, topics)| topics.wake_all(*stream, &mut gone));
        gone
    }
}

/// Whether the actor is there. A full mailbox holds a nudge already, and the topic then reads all there is.
fn nudge(actor: &Recipient<Nudge>) -> bool {
    !matches!(actor.try_send(Nudge), Err(SendError::Closed(_)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use actix::{Actor, Context, Handler};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Clone, Default)]
    struct Woken(Arc<AtomicUsize>);

    impl Actor for Woken {
        type Context = Context<Self>;
    }

    impl Handler<Nudge> for Woken {
        type Result = ();
        fn handle(&mut self, _: Nudge, _: &mut Self::Context) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn topic(names: &[&str]) -> TopicKey {
        TopicKey::new(TopicId(1), Selector::from_names(names.iter().map(|name| Ok(*name))).unwrap())
    }

    fn subjects(names: &[&str]) -> Touched {
        Touched::These(names.iter().map(|name| Subject::parse_any(name).unwrap()).collect())
    }

    #[actix_web::test]
    async fn publishing_to_one_subject_wakes_those_who_read_it_and_nobody_else() {
        let mut nudges = Nudges::default();
        let readers = [&["a"][..], &["b"], &[""], &["a*"], &["a", "b"], &["*"], &["*", "$*"]];
        let woken: Vec<Woken> = readers.iter().map(|_| Woken::default()).collect();
        for (names, woken) in readers.iter().zip(&woken) {
            nudges.watch(topic(names), woken.clone().start().recipient());
        }
        let told = || woken.iter().map(|woken| woken.0.swap(0, Ordering::Relaxed)).collect::<Vec<_>>();
        for (published, expected) in [
            (&["a"][..], [1, 0, 0, 1, 1, 1, 1]),
            (&["b"], [0, 1, 0, 0, 1, 1, 1]),
            (&["", "ab"], [0, 0, 1, 1, 0, 1, 1]),
            (&["a", "b", "c"], [1, 1, 0, 1, 1, 1, 1]),
            (&["$s"], [0, 0, 0, 0, 0, 0, 1]),
        ] {
            assert!(nudges.wake(TopicId(1), &subjects(published)).is_empty());
            assert!(nudges.wake(TopicId(2), &subjects(published)).is_empty(), "another stream");
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
}
