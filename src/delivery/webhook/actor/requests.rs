//! An actor's requests: how they begin, and with which events.

use super::WebhookActor;
use super::held::AsRead;
use super::state::Life;
use crate::core::consumer::engine::Flight;
use crate::core::consumer::progress::EventRef;
use crate::core::consumer::shares::Observed;
use crate::core::event::Event;
use crate::core::ids::{TopicId, WebhookId};
use crate::delivery::webhook::evaluate::Evaluator;
use crate::delivery::webhook::permits::Permit;
use crate::delivery::webhook::sender::{Ended, Now, Sender};
use crate::delivery::webhook::shared::Shared;
use crate::delivery::webhook::source::weight;
use crate::hub::ArchiveError;
use futures_util::FutureExt;
use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// The most bytes of events in one request. A single event may have more.
const BATCH_BYTES: usize = 1 << 20;
/// A request that has been under way for this long counts as a slow one.
const SLOW_AFTER: Duration = Duration::from_secs(1);

/// How a request ended.
pub(in crate::delivery::webhook) enum End {
    /// It was sent: its events, the result, and when it began (Unix milliseconds).
    Sent(Vec<Event>, Ended, u64),
    /// Retention removed one of its events.
    Gone,
    /// One of its events was deleted.
    Deleted,
    /// The webhook's filter does not choose one of its events any more.
    Unwanted,
    /// Its events together have too many bytes.
    TooLarge,
    /// Its events were read for a client, and no request is made.
    Read(Vec<Event>),
    /// It was not sent: while it waited for its turn, the webhook went to another owner, or the settings
    /// changed.
    NotBegun,
}

/// A request that is to be made, apart from its actor.
struct Request {
    shared: Rc<Shared>,
    sender: Rc<Sender>,
    life: Rc<Cell<Life>>,
    webhook: WebhookId,
    /// The revision of the settings under which it is made.
    revision: u64,
    topic: TopicId,
    observed: Rc<RefCell<Observed>>,
    /// The filter, if it has not chosen the events under these settings.
    filter: Option<Arc<Evaluator>>,
    wanted: Flight,
    /// Its events, if all of them are kept in memory.
    known: Option<Vec<Event>>,
    as_read: AsRead,
}

impl WebhookActor {
    /// Begins a delivery: makes its request, or hands its event to a reader.
    pub(super) fn launch(&mut self, flight: Flight) {
        let Some(sender) = self.settings.sender.clone() else { return self.hand_over(flight) };
        let request = Request {
            shared: self.shared.clone(),
            sender,
            life: self.life.clone(),
            webhook: self.settings.webhook.id,
            revision: self.settings.webhook.revision,
            topic: self.settings.topic,
            observed: self.observed.clone(),
            filter: flight.has_waited.then(|| self.settings.evaluate.clone()),
            wanted: flight.clone(),
            known: self.held.all(&flight.events),
            as_read: self.held.as_read(),
        };
        // An async block around this future would be twice as large.
        self.flights.running.spawn_local(request.make().map(move |end| (flight, end)));
    }
}

impl Request {
    async fn make(mut self) -> Result<End, ArchiveError> {
        let known = self.known.take();
        let Self { shared, sender, wanted, .. } = &self;
        let speed = self.observed.borrow().speed();
        let permit = shared.permits.take(sender.claim(), speed).await;
        // Its events may have been deleted while it waited for its turn.
        let events = match known.filter(|_| self.as_read.is_current()) {
            Some(events) if is_too_large(&events) => return Ok(End::TooLarge),
            Some(events) => events,
            None => match fetch(shared, self.webhook, self.topic, &wanted.events).await? {
                Ok(events) => events,
                Err(end) => return Ok(end),
            },
        };
        if let Some(filter) = &self.filter
            && !filter.evaluated(&shared.hub, &events).await?.iter().all(|offer| offer.wanted)
        {
            return Ok(End::Unwanted);
        }
        // It may have waited long for its turn among all requests of the node.
        if !shared.in_touch() || !self.life.get().lets_begin(self.revision) {
            return Ok(End::NotBegun);
        }
        let now = Now::of(&shared.hub);
        let ended = {
            let mut sending = pin!(sender.send(&shared.client, &events, wanted.gap, wanted.attempt, now));
            match timeout(SLOW_AFTER, &mut sending).await {
                Ok(ended) => self.ended(ended, false),
                Err(_) => {
                    self.turned_slow(&permit);
                    self.ended(sending.await, true)
                }
            }
        };
        Ok(End::Sent(events, ended, now.time_ms))
    }

    fn turned_slow(&self, permit: &Permit) {
        permit.turned_slow();
        self.observe(Observed::turned_slow);
    }

    fn ended(&self, ended: Ended, was_slow: bool) -> Ended {
        self.observe(|observed| observed.ended(was_slow, ended.outcome.speed(was_slow)));
        ended
    }

    /// Records what the request shows of the receiver's speed. That counts for the webhook's other requests
    /// too, also for those that wait for a permit.
    fn observe(&self, record: impl FnOnce(&mut Observed)) {
        let mut observed = self.observed.borrow_mut();
        let before = observed.speed();
        record(&mut observed);
        if observed.speed() != before {
            self.shared.permits.set_speed(self.webhook, observed.speed());
        }
    }
}

/// Reads those events of a delivery that are not in memory, consecutive ones in one read. An event that the
/// stream does not have any more may have a copy that was kept for the webhook.
pub(in crate::delivery::webhook) async fn fetch(
    shared: &Shared,
    webhook: WebhookId,
    topic: TopicId,
    wanted: &[EventRef],
) -> Result<Result<Vec<Event>, End>, ArchiveError> {
    let mut found: Vec<Event> = Vec::with_capacity(wanted.len());
    while let rest @ [next, ..] = &wanted[found.len()..] {
        let row = rest.iter().zip(next.seq..).take_while(|(event, seq)| event.seq == *seq).count();
        let page = shared.source.archive().read(topic, next.seq, row, BATCH_BYTES, None).await?;
        // The stream may have holes. After a hole the page goes on with other events than the wanted ones.
        // Events that are withheld from readers come beside those that were asked for.
        let found_before = found.len();
        let read = page.events.into_iter().zip(rest).take_while(|(event, wanted)| event.seq == wanted.seq);
        found.extend(read.map(|(event, _)| event));
        if found.len() > found_before {
            // The wanted events after these are looked for in the next round.
        } else if let Some(event) = shared.hub.webhooks().kept_event(webhook, next.seq)? {
            found.push(event);
        } else {
            // Wherever a rule or retention removes an event that a retry needs, a copy is kept. So an
            // event without a copy that is missing inside the stream was deleted.
            let is_inside = next.seq >= page.first_seq;
            return Ok(Err(if is_inside { End::Deleted } else { End::Gone }));
        }
        if is_too_large(&found) {
            return Ok(Err(End::TooLarge));
        }
    }
    Ok(Ok(found))
}

fn is_too_large(events: &[Event]) -> bool {
    events.len() > 1 && events.iter().map(weight).sum::<usize>() > BATCH_BYTES
}
