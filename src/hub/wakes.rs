//! Wakes the actors of topics from the thread that applies the log. However many of a thread's topics have
//! news, the thread is woken once: it passes the nudges on to its topics itself.

use actix::{Message, Recipient};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The topic may have new events or may have lost some. One waiting nudge is enough.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Nudge;

/// The topics of one thread that are to be nudged; cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Wakes(Arc<Waiting>);

#[derive(Default)]
struct Waiting {
    topics: Mutex<Vec<Recipient<Nudge>>>,
    some: Notify,
}

impl Wakes {
    fn topics(&self) -> MutexGuard<'_, Vec<Recipient<Nudge>>> {
        self.0.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the topic nudged by its thread.
    pub(super) fn nudge(&self, topic: Recipient<Nudge>) {
        let is_first = {
            let mut topics = self.topics();
            topics.push(topic);
            topics.len() == 1
        };
        if is_first {
            self.0.some.notify_one();
        }
    }

    /// Passes nudges on. Runs on the thread of the topics, as long as it.
    pub(super) async fn pass_on(self) {
        loop {
            self.0.some.notified().await;
            let topics = std::mem::take(&mut *self.topics());
            topics.into_iter().for_each(|topic| topic.do_send(Nudge));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix::{Actor, Context, Handler};
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Clone, Default)]
    struct Counts(Arc<AtomicUsize>);

    impl Actor for Counts {
        type Context = Context<Self>;
    }

    impl Handler<Nudge> for Counts {
        type Result = ();
        fn handle(&mut self, _: Nudge, _: &mut Self::Context) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[actix_web::test]
    async fn each_topic_is_nudged_as_often_as_it_was_asked_for() {
        let wakes = Wakes::default();
        actix_rt::spawn(wakes.clone().pass_on());
        let topics = [Counts::default(), Counts::default()];
        let recipients = topics.clone().map(|topic| topic.start().recipient());
        let nudge = |index: usize| wakes.nudge(recipients[index].clone());
        let counts = || [0, 1].map(|index: usize| topics[index].0.load(Ordering::Relaxed));
        nudge(0);
        nudge(1);
        while counts() != [1, 1] {
            tokio::task::yield_now().await;
        }
        nudge(1);
        while counts() != [1, 2] {
            tokio::task::yield_now().await;
        }
        assert!(wakes.topics().is_empty());
    }
}
