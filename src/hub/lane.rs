//! What a topic's actor knows of its subscribers: views in lanes, each lane with its own cursor. Durable and
//! ephemeral topics have the same lanes.
//!
//! A lane never blocks on a subscriber: a subscriber that has no room for a chunk notices that the next one
//! does not begin where its last one ended, and reads the rest from the archive.

use super::archive::Page;
use super::bridge::Deliver;
use super::evaluators::{self, Turn};
use super::handed::Fresh;
use crate::core::event::Event;
use crate::core::expression::Condition;
use crate::core::frame::{FormKey, View};
use crate::core::ids::MapId;
use crate::core::ring::{Chunk, Span};
use crate::core::topic::TopicKey;
use actix::Recipient;
use actix::prelude::SendError;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Views that are offered the same events at the same time, with one cursor and their subscribers.
///
/// A lane lives as long as its topic's actor. It begins empty, and does not move while it has no subscribers:
/// when the first one comes, the topic puts it where new events will come ([`Lane::stand_at`]). From then on,
/// for each page that the topic reads, the lane says whether the page is new to it and which chunk begins
/// there ([`Lane::takes`], [`Lane::advance`]), and offers that chunk to the subscribers of each view. While
/// it is at rest, it passes events that are handed over in the same way ([`Lane::pass`]). A subscriber
/// without room is marked, and is told where the lane is once it has room ([`Lane::catch_up`]). Views and
/// subscribers go when their dispatcher detaches or has ended.
#[derive(Default)]
pub(super) struct Lane {
    /// Everything before this seq was read.
    next_seq: u64,
    /// Everything before this seq was offered: the next chunk begins there.
    offered_seq: u64,
    /// The last read reached the stream's end, and nothing was announced since. New events will be announced.
    is_at_rest: bool,
    views: Vec<Viewed>,
}

/// A view in use and its subscribers.
struct Viewed {
    view: View,
    subscribers: Vec<Subscriber>,
}

struct Subscriber {
    dispatcher: Recipient<Deliver>,
    /// The subscriber was told to expect events from this seq on.
    from_seq: u64,
    /// The subscriber had no room for a chunk and must be told where the topic is.
    behind: bool,
}

/// Chunks of the views whose chunk is not empty.
type Chunks = Vec<(FormKey, Arc<Chunk>)>;

impl Lane {
    /// Whether the lane has no subscribers.
    pub(super) fn is_empty(&self) -> bool {
        self.views.is_empty()
    }

    /// The views in use.
    pub(super) fn views(&self) -> Vec<View> {
        self.views.iter().map(|known| known.view.clone()).collect()
    }

    /// Everything before this seq was offered.
    pub(super) fn offered(&self) -> u64 {
        self.offered_seq
    }

    /// Moves the lane: the next chunk begins at `seq`.
    pub(super) fn stand_at(&mut self, seq: u64) {
        (self.next_seq, self.offered_seq, self.is_at_rest) = (seq, seq, true);
    }

    /// The map to whose events the conditions apply; `None` if no view has a condition.
    pub(super) fn map(&self) -> Option<MapId> {
        self.views.first().and_then(|known| Some(known.view.condition()?.map()))
    }

    /// Everything before this seq was read.
    pub(super) fn next(&self) -> u64 {
        self.next_seq
    }

    /// Handles an announcement of new events of the topic. If `first_seq` is known, none of them comes before
    /// it: the cursor skips everything between what was read and `first_seq`, at no cost.
    pub(super) fn announce(&mut self, first_seq: Option<u64>) {
        if self.is_at_rest {
            self.next_seq = self.next_seq.max(first_seq.unwrap_or_default());
        }
        self.is_at_rest = false;
    }

    /// Whether a page that was read is new to the lane. Also notes whether it reached the stream's end.
    pub(super) fn takes(&mut self, page: &Page) -> bool {
        self.is_at_rest = page.next_seq > page.head_seq;
        page.next_seq > self.next_seq
    }

    /// Records a page and returns the range of the next chunk, if there is to be one. Where events were
    /// removed before they were offered, the chain of chunks has a break: readers look for the events before
    /// the break in the archive, which reports the gap to them.
    pub(super) fn advance(&mut self, page: &mut Page) -> Option<Span> {
        self.next_seq = page.next_seq;
        if let Some(gone_seq) = page.gone_seq.filter(|gone_seq| *gone_seq >= self.offered_seq) {
            self.offered_seq = gone_seq + 1;
            page.events.retain(|event| event.seq > gone_seq);
        }
        let span = page.span(self.offered_seq)?;
        self.offered_seq = span.next_seq;
        Some(span)
    }

    /// Whether everything new since the last read has been announced and passed: then events that are handed
    /// over follow what was read, and none is missing between.
    pub(super) fn is_at_rest(&self) -> bool {
        self.is_at_rest
    }

    /// Records events that were handed over to a lane at rest, and returns the range of the next chunk, if
    /// there is to be one.
    pub(super) fn pass(&mut self, fresh: &Fresh) -> Option<Span> {
        self.next_seq = self.next_seq.max(fresh.next_seq);
        if fresh.events.is_empty() {
            return None;
        }
        let span = Span { first_seq: self.offered_seq, next_seq: fresh.next_seq, last_id: fresh.last_id };
        self.offered_seq = span.next_seq;
        Some(span)
    }

    /// Offers each view's chunk to its subscribers. Returns whether a subscriber had no room.
    pub(super) fn offer(&mut self, topic: &TopicKey, chunk_of: impl Fn(&View) -> Option<Arc<Chunk>>) -> bool {
        let mut left_behind = false;
        for Viewed { view, subscribers } in &mut self.views {
            let Some(chunk) = chunk_of(view) else { continue };
            let key = view.key();
            subscribers.retain_mut(|subscriber| {
                if chunk.first_seq() < subscriber.from_seq {
                    return true;
                }
                let news = Deliver::Chunk { topic: topic.clone(), form: key.clone(), chunk: chunk.clone() };
                match subscriber.dispatcher.try_send(news) {
                    Ok(()) => true,
                    Err(SendError::Full(_)) => {
                        subscriber.behind = true;
                        left_behind = true;
                        true
                    }
                    Err(SendError::Closed(_)) => false,
                }
            });
        }
        self.views.retain(|known| !known.subscribers.is_empty());
        left_behind
    }

    /// Offers the result of an evaluation. If the evaluation failed, its events are missing: all subscribers
    /// are told at once and read those events from the archive, which has them evaluated again. Returns
    /// whether a subscriber had no room.
    pub(super) fn conclude(&mut self, topic: &TopicKey, chunks: Option<Chunks>) -> bool {
        let Some(chunks) = chunks else {
            let subscribers = self.views.iter_mut().flat_map(|known| &mut known.subscribers);
            subscribers.for_each(|subscriber| subscriber.behind = true);
            return self.catch_up(topic);
        };
        let chunks: FxHashMap<_, _> = chunks.into_iter().collect();
        self.offer(topic, |view| chunks.get(view.key()).cloned())
    }

    /// Tells the subscribers that are behind where the lane is. Returns whether one still has no room.
    pub(super) fn catch_up(&mut self, topic: &TopicKey) -> bool {
        let mut still_behind = false;
        for known in &mut self.views {
            for subscriber in known.subscribers.iter_mut().filter(|subscriber| subscriber.behind) {
                let form = known.view.key().clone();
                let next_seq = self.offered_seq;
                let sent =
                    subscriber.dispatcher.try_send(Deliver::Start { topic: topic.clone(), form, next_seq });
                subscriber.behind = matches!(sent, Err(SendError::Full(_)));
                subscriber.from_seq = next_seq;
                still_behind |= subscriber.behind;
            }
        }
        still_behind
    }

    /// Reports the removal to all subscribers, after everything that was offered to them before.
    pub(super) fn forget_removed(&self, topic: &TopicKey) {
        for Viewed { view, subscribers } in &self.views {
            for subscriber in subscribers {
                subscriber
                    .dispatcher
                    .do_send(Deliver::Removed { topic: topic.clone(), form: view.key().clone() });
            }
        }
    }

    pub(super) fn attach(&mut self, topic: TopicKey, view: View, dispatcher: Recipient<Deliver>) {
        let from_seq = self.offered_seq;
        dispatcher.do_send(Deliver::Start { topic, form: view.key().clone(), next_seq: from_seq });
        let index = self.views.iter().position(|known| known.view.key() == view.key()).unwrap_or_else(|| {
            self.views.push(Viewed { view, subscribers: Vec::new() });
            self.views.len() - 1
        });
        let subscribers = &mut self.views[index].subscribers;
        match subscribers.iter_mut().find(|subscriber| subscriber.dispatcher == dispatcher) {
            Some(known) => known.from_seq = from_seq,
            None => subscribers.push(Subscriber { dispatcher, from_seq, behind: false }),
        }
    }

    /// Removes a dispatcher from a view. Returns how many views are left.
    pub(super) fn detach(&mut self, form: &FormKey, dispatcher: &Recipient<Deliver>) -> usize {
        for known in self.views.iter_mut().filter(|known| known.view.key() == form) {
            known.subscribers.retain(|subscriber| subscriber.dispatcher != *dispatcher);
        }
        self.views.retain(|known| !known.subscribers.is_empty());
        self.views.len()
    }
}

/// Evaluates the events once for each condition, and encodes them for each view.
pub(super) async fn encode_checked(
    span: Span,
    events: Vec<Event>,
    views: Vec<View>,
    mut turn: Turn,
) -> Chunks {
    let mut conditions: Vec<Arc<Condition>> = Vec::new();
    let mut indexes = Vec::with_capacity(views.len());
    for condition in views.iter().filter_map(View::condition) {
        let index = conditions.iter().position(|known| known.text() == condition.text());
        indexes.push(index.unwrap_or(conditions.len()));
        if index.is_none() {
            conditions.push(condition.clone());
        }
    }
    let verdicts = evaluators::verdicts(&conditions, &events, &mut turn).await;
    let mut chunks = Vec::with_capacity(views.len());
    for (view, index) in views.iter().zip(indexes) {
        let chunk = Chunk::encode(span, &events, view.form(), Some(&verdicts[index]));
        chunks.push((view.key().clone(), Arc::new(chunk)));
        turn.pass().await;
    }
    chunks
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::event::NewEvent;
    use crate::core::expression::Expression;
    use crate::core::frame::WireForm;
    use crate::core::ids::{EventId, TopicId};
    use crate::core::subject::{Selector, Subject};
    use actix::{Actor, Context, Handler};
    use std::sync::Mutex;

    struct NoForm(FormKey);

    impl WireForm for NoForm {
        fn key(&self) -> &FormKey {
            &self.0
        }
        fn encode(&self, _: &Event, _: &mut Vec<u8>) {}
        fn encode_position(&self, _: EventId, _: u64, _: &mut Vec<u8>) {}
    }

    /// Records the positions that a dispatcher was told.
    #[derive(Clone, Default)]
    struct Positions(Arc<Mutex<Vec<u64>>>);

    impl Actor for Positions {
        type Context = Context<Self>;
    }

    impl Handler<Deliver> for Positions {
        type Result = ();
        fn handle(&mut self, news: Deliver, _: &mut Self::Context) {
            if let Deliver::Start { next_seq, .. } = news {
                self.0.lock().unwrap().push(next_seq);
            }
        }
    }

    /// Readers learn of missing events without waiting for another event.
    #[actix_web::test]
    async fn a_failed_evaluation_is_reported_at_once() {
        let positions = Positions::default();
        let dispatcher = positions.clone().start().recipient();
        let condition =
            Condition::new(Expression::condition("payload.n > 1").unwrap(), MapId::from_bytes([1; 16]));
        let view = View::new(Arc::new(NoForm("form".into())), Some(Arc::new(condition)));
        let topic = TopicKey::new(TopicId(1), Selector::All);
        let mut lane = Lane { next_seq: 5, offered_seq: 5, ..Lane::default() };
        lane.attach(topic.clone(), view, dispatcher);
        // A page of three events is being evaluated.
        (lane.next_seq, lane.offered_seq) = (8, 8);
        assert!(!lane.conclude(&topic, None), "there was room");
        while positions.0.lock().unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(*positions.0.lock().unwrap(), [5, 8]);
    }

    fn page(next_seq: u64, head_seq: u64) -> Page {
        let events = Vec::new();
        let passed_id = None;
        Page { events, verdicts: None, next_seq, first_seq: 1, head_seq, passed_id, gone_seq: None }
    }

    /// An announcement may be skipped only up to a point before which everything was read.
    #[test]
    fn a_cursor_skips_what_was_not_announced() {
        let mut lane = Lane { next_seq: 5, offered_seq: 5, is_at_rest: true, ..Lane::default() };
        lane.announce(Some(1000));
        assert_eq!(
            (lane.next_seq, lane.offered_seq),
            (1000, 5),
            "nothing of the topic lies between, and the chain holds"
        );
        // The page did not reach the end: an announcement in the meantime says nothing about the rest.
        assert!(lane.takes(&page(1256, 1300)));
        lane.next_seq = 1256;
        lane.announce(Some(2000));
        assert_eq!(lane.next_seq, 1256);
        assert!(lane.takes(&page(2001, 2000)));
        lane.next_seq = 2001;
        lane.announce(Some(1990));
        assert_eq!(lane.next_seq, 2001, "never back");
        lane.announce(Some(3000));
        assert_eq!(lane.next_seq, 2001, "what was announced before was not read yet");
        assert!(!lane.takes(&page(2001, 2000)));
        lane.announce(None);
        lane.announce(Some(4000));
        assert_eq!(lane.next_seq, 2001, "a read is pending");
    }

    #[test]
    fn what_is_handed_over_continues_the_chain() {
        let mut lane = Lane::default();
        assert!(!lane.is_at_rest(), "its position is unknown");
        lane.stand_at(5);
        let id = |seq: u64| EventId::new(1, seq, 0);
        let fresh = |seqs: &[u64], next_seq: u64| {
            let new = || NewEvent::new(Subject::own(), "k", "1");
            let events = seqs.iter().map(|seq| new().placed(id(*seq), *seq, 1)).collect();
            Fresh { events, next_seq, last_id: id(next_seq - 1) }
        };
        let chunk =
            |first_seq: u64, next_seq: u64| Some(Span { first_seq, next_seq, last_id: id(next_seq - 1) });
        assert_eq!(lane.pass(&fresh(&[7], 9)), chunk(5, 9));
        assert_eq!((lane.pass(&fresh(&[], 12)), lane.next()), (None, 12), "others have these events");
        assert_eq!((lane.pass(&fresh(&[], 10)), lane.next()), (None, 12), "they were read before");
        assert_eq!(lane.pass(&fresh(&[12, 13], 14)), chunk(9, 14));
        assert!(lane.is_at_rest());
        lane.announce(Some(20));
        assert!(!lane.is_at_rest(), "these events are still to be read");
    }

    /// Records the lane's messages in the order in which they arrive.
    #[derive(Clone, Default)]
    struct Order(Arc<Mutex<Vec<&'static str>>>);

    impl Actor for Order {
        type Context = Context<Self>;
    }

    impl Handler<Deliver> for Order {
        type Result = ();
        fn handle(&mut self, news: Deliver, _: &mut Self::Context) {
            let what = match news {
                Deliver::Start { .. } => "start",
                Deliver::Chunk { .. } => "chunk",
                Deliver::Removed { .. } => "removed",
                _ => "else",
            };
            self.0.lock().unwrap().push(what);
        }
    }

    #[actix_web::test]
    async fn readers_learn_of_a_removal_after_the_chunks_before_it() {
        let order = Order::default();
        let topic = TopicKey::new(TopicId(1), Selector::All);
        let mut lane = Lane { next_seq: 5, offered_seq: 5, ..Lane::default() };
        lane.attach(
            topic.clone(),
            View::new(Arc::new(NoForm("form".into())), None),
            order.clone().start().recipient(),
        );
        let chunk = |first_seq| {
            let span = Span { first_seq, next_seq: first_seq + 1, last_id: EventId::ZERO };
            move |view: &View| Some(Arc::new(Chunk::encode(span, &[], view.form(), None)))
        };
        lane.offer(&topic, chunk(5));
        lane.forget_removed(&topic);
        lane.offer(&topic, chunk(6));
        while order.0.lock().unwrap().len() < 4 {
            tokio::task::yield_now().await;
        }
        assert_eq!(*order.0.lock().unwrap(), ["start", "chunk", "removed", "chunk"]);
    }
}
