//! The actor of one topic, which covers some subjects of a stream. It reads their events from its own cursor,
//! encodes each event once for every view in use, and offers the frames to its subscribers. Views with
//! conditions have a cursor of their own: the evaluators evaluate each condition once per event, however many
//! views have it, and the other views go on meanwhile.
//!
//! Owns its cursors and subscribers. Never blocks on a subscriber: a subscriber that has no room for a chunk
//! notices that the next one does not begin where its last one ended, and reads the rest from the archive.

use super::archive::{Archive, Page};
use super::bridge::Deliver;
use super::evaluators::{self, Evaluators, Turn};
use super::nudges::{Nudge, Pending};
use crate::core::event::Event;
use crate::core::expression::Condition;
use crate::core::frame::{FormKey, View};
use crate::core::ids::MapId;
use crate::core::ring::{Chunk, Span};
use crate::core::topic::TopicKey;
use actix::prelude::{ActorFutureExt, SendError, WrapFuture};
use actix::{Actor, AsyncContext, Context, Handler, Message, Recipient};
use rustc_hash::FxHashMap;
use std::sync::Arc;
use std::time::Duration;

/// Most events of one chunk.
const CHUNK_EVENTS: usize = 256;
/// Approximate bytes of stored events in one chunk.
const CHUNK_BYTES: usize = 128 * 1024;
/// Pause before a failed action is tried again.
pub(super) const RETRY_PAUSE: Duration = Duration::from_millis(50);
/// The size of the actor's mailbox. It is small because one waiting nudge is enough.
pub(super) const MAILBOX: usize = 16;

/// Delivers the topic's events to `dispatcher` in `view` from now on.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Attach {
    pub(super) view: View,
    pub(super) dispatcher: Recipient<Deliver>,
}

/// The dispatcher no longer needs the view. Returns how many subscriptions are left.
#[derive(Message)]
#[rtype(result = "usize")]
pub(super) struct Detach {
    pub(super) form: FormKey,
    pub(super) dispatcher: Recipient<Deliver>,
}

/// The actor. It lives while the topic has subscribers.
pub(super) struct Topic {
    key: TopicKey,
    archive: Archive,
    evaluators: Evaluators,
    woken: metrics::Counter,
    pending: Pending,
    /// Views of all events, encoded here.
    open: Lane,
    /// Views with a condition. The evaluators encode them, so that they never delay the other views.
    evaluated: Lane,
    checking: bool,
    /// Events were removed after the page was read that the evaluators have now.
    checked_is_stale: bool,
}

/// Views that are offered the same events at the same time.
#[derive(Default)]
pub(super) struct Lane {
    /// Everything before this seq was read.
    next_seq: u64,
    /// Everything before this seq was offered: the next chunk begins there.
    told_seq: u64,
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

impl Topic {
    /// A topic that starts after the stored events, when its first subscriber comes.
    pub(super) fn new(
        key: TopicKey,
        archive: Archive,
        evaluators: Evaluators,
        woken: metrics::Counter,
        pending: Pending,
    ) -> Self {
        let open = Lane::default();
        let evaluated = Lane::default();
        Self {
            key,
            archive,
            evaluators,
            woken,
            pending,
            open,
            evaluated,
            checking: false,
            checked_is_stale: false,
        }
    }

    fn head_seq(&self) -> Option<u64> {
        match self.archive.read_now(&self.key, u64::MAX, 0, 0) {
            Ok(page) => Some(page.head_seq),
            Err(error) => {
                tracing::error!(topic = %self.key, %error, "the topic's position can't be read");
                None
            }
        }
    }

    fn read(&self, from_seq: u64, ctx: &mut Context<Self>) -> Option<Page> {
        match self.archive.read_now(&self.key, from_seq, CHUNK_EVENTS, CHUNK_BYTES) {
            Ok(page) => Some(page),
            Err(error) => {
                tracing::error!(topic = %self.key, %error, "new events can't be read; trying again");
                ctx.notify_later(Nudge, RETRY_PAUSE);
                None
            }
        }
    }

    /// Offers a page to the views of all events.
    fn offer_new(&mut self, ctx: &mut Context<Self>) {
        if self.open.views.is_empty() {
            return;
        }
        let Some(mut page) = self.read(self.open.next_seq, ctx) else { return };
        if !self.open.takes(&page) {
            return;
        }
        if let Some(span) = self.open.advance(&mut page) {
            let encode = |view: &View| Some(Arc::new(Chunk::encode(span, &page.events, view.form(), None)));
            if self.open.offer(&self.key, encode) {
                ctx.run_later(RETRY_PAUSE, |topic, ctx| topic.catch_up(ctx));
            }
        }
        if self.open.next_seq <= page.head_seq {
            // More events are waiting. Other messages get their turn in between.
            ctx.notify(Nudge);
        }
    }

    /// Has a page evaluated for the views with conditions. The next page follows when this one is done.
    fn check_new(&mut self, ctx: &mut Context<Self>) {
        let Some(map) = self.evaluated.map().filter(|_| !self.checking) else { return };
        let Some(mut page) = self.read(self.evaluated.next_seq, ctx) else { return };
        if !self.evaluated.takes(&page) {
            return;
        }
        // A view that is attached meanwhile begins after this page.
        let Some(span) = self.evaluated.advance(&mut page) else {
            if self.evaluated.next_seq <= page.head_seq {
                ctx.notify(Nudge);
            }
            return;
        };
        self.checking = true;
        let views = self.evaluated.views();
        let evaluators = self.evaluators.clone();
        let evaluated = async move {
            evaluators.work(map, move |turn| encode_checked(span, page.events, views, turn)).await
        };
        ctx.spawn(evaluated.into_actor(self).map(|chunks, topic, ctx| {
            topic.checking = false;
            let is_stale = std::mem::take(&mut topic.checked_is_stale);
            let chunks = chunks.filter(|_| !is_stale);
            if topic.evaluated.conclude(&topic.key, chunks) {
                ctx.run_later(RETRY_PAUSE, |topic, ctx| topic.catch_up(ctx));
            }
            topic.check_new(ctx);
        }));
    }

    /// Tells the subscribers that missed chunks where the topic is now, until they have room for the message.
    /// They read the rest from the archive.
    fn catch_up(&mut self, ctx: &mut Context<Self>) {
        if self.open.catch_up(&self.key) | self.evaluated.catch_up(&self.key) {
            ctx.run_later(RETRY_PAUSE, |topic, ctx| topic.catch_up(ctx));
        }
    }

    /// Handles a removal of events. Chunks that were offered may contain some of the removed events, and so
    /// may the page that the evaluators have. Nothing of that page is offered; readers read what is left of
    /// it from the archive.
    fn forget_removed(&mut self) {
        self.checked_is_stale |= self.checking;
        self.open.forget_removed(&self.key);
        self.evaluated.forget_removed(&self.key);
    }

    fn lane(&mut self, view: &View) -> &mut Lane {
        if view.condition().is_some() { &mut self.evaluated } else { &mut self.open }
    }
}

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
    pub(super) fn told(&self) -> u64 {
        self.told_seq
    }

    /// Moves the lane: the next chunk begins at `seq`.
    pub(super) fn stand_at(&mut self, seq: u64) {
        (self.next_seq, self.told_seq, self.is_at_rest) = (seq, seq, true);
    }

    /// The map to whose events the conditions apply; `None` if no view has a condition.
    pub(super) fn map(&self) -> Option<MapId> {
        self.views.first().and_then(|known| Some(known.view.condition()?.map()))
    }

    /// Handles an announcement of new events of the topic. If `first_seq` is known, none of them comes before
    /// it: the cursor skips everything between what was read and `first_seq`, at no cost.
    fn announce(&mut self, first_seq: Option<u64>) {
        if self.is_at_rest {
            self.next_seq = self.next_seq.max(first_seq.unwrap_or_default());
        }
        self.is_at_rest = false;
    }

    /// Whether a page that was read is new to the lane. Also notes whether it reached the stream's end.
    fn takes(&mut self, page: &Page) -> bool {
        self.is_at_rest = page.next_seq > page.head_seq;
        page.next_seq > self.next_seq
    }

    /// Records a page and returns the range of the next chunk, if there is to be one. Where events were
    /// removed before they were offered, the chain of chunks has a break: readers look for the events before
    /// the break in the archive, which reports the gap to them.
    fn advance(&mut self, page: &mut Page) -> Option<Span> {
        self.next_seq = page.next_seq;
        if let Some(gone_seq) = page.gone_seq.filter(|gone_seq| *gone_seq >= self.told_seq) {
            self.told_seq = gone_seq + 1;
            page.events.retain(|event| event.seq > gone_seq);
        }
        let span = page.span(self.told_seq)?;
        self.told_seq = span.next_seq;
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
                let next_seq = self.told_seq;
                let told =
                    subscriber.dispatcher.try_send(Deliver::Start { topic: topic.clone(), form, next_seq });
                subscriber.behind = matches!(told, Err(SendError::Full(_)));
                subscriber.from_seq = next_seq;
                still_behind |= subscriber.behind;
            }
        }
        still_behind
    }

    /// Reports the removal to all subscribers, after everything that was offered to them before.
    fn forget_removed(&self, topic: &TopicKey) {
        for Viewed { view, subscribers } in &self.views {
            for subscriber in subscribers {
                subscriber
                    .dispatcher
                    .do_send(Deliver::Removed { topic: topic.clone(), form: view.key().clone() });
            }
        }
    }

    pub(super) fn attach(&mut self, topic: TopicKey, view: View, dispatcher: Recipient<Deliver>) {
        let from_seq = self.told_seq;
        dispatcher.do_send(Deliver::Start { topic, form: view.key().clone(), next_seq: from_seq });
        let place = self.views.iter().position(|known| known.view.key() == view.key()).unwrap_or_else(|| {
            self.views.push(Viewed { view, subscribers: Vec::new() });
            self.views.len() - 1
        });
        let subscribers = &mut self.views[place].subscribers;
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
    let mut places = Vec::with_capacity(views.len());
    for condition in views.iter().filter_map(View::condition) {
        let place = conditions.iter().position(|known| known.text() == condition.text());
        places.push(place.unwrap_or(conditions.len()));
        if place.is_none() {
            conditions.push(condition.clone());
        }
    }
    let verdicts = evaluators::verdicts(&conditions, &events, &mut turn).await;
    let mut chunks = Vec::with_capacity(views.len());
    for (view, place) in views.iter().zip(places) {
        let chunk = Chunk::encode(span, &events, view.form(), Some(&verdicts[place]));
        chunks.push((view.key().clone(), Arc::new(chunk)));
        turn.pass().await;
    }
    chunks
}

impl Actor for Topic {
    type Context = Context<Self>;
}

impl Handler<Nudge> for Topic {
    type Result = ();

    fn handle(&mut self, _: Nudge, ctx: &mut Self::Context) {
        self.woken.increment(1);
        let news = self.pending.take();
        if news.removed {
            self.forget_removed();
        }
        self.open.announce(news.first_seq);
        self.evaluated.announce(news.first_seq);
        self.offer_new(ctx);
        self.check_new(ctx);
    }
}

impl Handler<Attach> for Topic {
    type Result = ();

    fn handle(&mut self, Attach { view, dispatcher }: Attach, _: &mut Self::Context) {
        let topic = self.key.clone();
        // A lane without subscribers does not advance.
        if self.lane(&view).views.is_empty()
            && let Some(head_seq) = self.head_seq()
        {
            self.lane(&view).stand_at(head_seq + 1);
        }
        self.lane(&view).attach(topic, view, dispatcher);
    }
}

impl Handler<Detach> for Topic {
    type Result = usize;

    fn handle(&mut self, Detach { form, dispatcher }: Detach, _: &mut Self::Context) -> usize {
        self.open.detach(&form, &dispatcher) + self.evaluated.detach(&form, &dispatcher)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::expression::Expression;
    use crate::core::frame::WireForm;
    use crate::core::ids::{EventId, TopicId};
    use crate::core::subject::Selector;
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
    struct Told(Arc<Mutex<Vec<u64>>>);

    impl Actor for Told {
        type Context = Context<Self>;
    }

    impl Handler<Deliver> for Told {
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
        let told = Told::default();
        let dispatcher = told.clone().start().recipient();
        let condition =
            Condition::new(Expression::condition("payload.n > 1").unwrap(), MapId::from_bytes([1; 16]));
        let view = View::new(Arc::new(NoForm("form".into())), Some(Arc::new(condition)));
        let topic = TopicKey::new(TopicId(1), Selector::All);
        let mut lane = Lane { next_seq: 5, told_seq: 5, ..Lane::default() };
        lane.attach(topic.clone(), view, dispatcher);
        // A page of three events is being evaluated.
        (lane.next_seq, lane.told_seq) = (8, 8);
        assert!(!lane.conclude(&topic, None), "there was room");
        while told.0.lock().unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!(*told.0.lock().unwrap(), [5, 8]);
    }

    fn page(next_seq: u64, head_seq: u64) -> Page {
        let events = Vec::new();
        let passed_id = None;
        Page { events, verdicts: None, next_seq, first_seq: 1, head_seq, passed_id, gone_seq: None }
    }

    /// An announcement may be skipped only up to a point before which everything was read.
    #[test]
    fn a_cursor_skips_what_was_not_announced() {
        let mut lane = Lane { next_seq: 5, told_seq: 5, is_at_rest: true, ..Lane::default() };
        lane.announce(Some(1000));
        assert_eq!(
            (lane.next_seq, lane.told_seq),
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
        let mut lane = Lane { next_seq: 5, told_seq: 5, ..Lane::default() };
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
