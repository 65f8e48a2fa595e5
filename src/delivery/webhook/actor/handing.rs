//! Hands a consumer's events to clients that read, where no request is made. The engine decides as for
//! requests: a loan at the desk takes the place of the request under way.
//!
//! Owns what readers were not told yet: they are told that an event is acknowledged or refused once the
//! cluster has the report.

use super::WebhookActor;
use super::completion::random;
use super::messages::Input;
use super::reading::Apart;
use super::requests::{End, fetch};
use crate::core::consumer::desk::{Desk, Told};
use crate::core::consumer::engine::Flight;
use crate::core::consumer::progress::EventRef;
use crate::core::consumer::reading::{
    AckId, Answers, Handed, MAX_READ, MAX_VISIBILITY_MS, MAX_WAIT_MS, Wish,
};
use crate::core::consumer::verdict::{Blame, Completion, Verdict};
use crate::core::event::{Event, MapText};
use crate::core::webhook::outcome::{Class, Outcome};
use crate::hub::{ArchiveError, DeliveryNote};
use actix::Message;
use futures_util::FutureExt;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Once the consumer is to move to another node, readers may acknowledge for this long what they have.
const CLOSING_MS: u64 = 5000;

/// What was read for readers is forgotten once nobody has read for this long.
const UNREAD: Duration = Duration::from_secs(10);

/// An event that a reader has.
#[derive(Clone, Copy, Debug)]
struct Lent {
    flight: u64,
    event: EventRef,
}

/// As many readers wait for the consumer as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::delivery::webhook) struct TooManyReaders;

/// How a reader gets its events. It is dropped if another node has them.
type Answer = oneshot::Sender<Result<Vec<Handed>, TooManyReaders>>;

/// A reader asks for events.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::delivery::webhook) struct Pull {
    pub(in crate::delivery::webhook) wish: Wish,
    pub(in crate::delivery::webhook) answer: Answer,
}

/// A reader says what it has done with its events. It is told which of the loans are not known.
#[derive(Message)]
#[rtype(result = "()")]
pub(in crate::delivery::webhook) struct Said {
    pub(in crate::delivery::webhook) answers: Answers,
    pub(in crate::delivery::webhook) answer: oneshot::Sender<Vec<u64>>,
}

impl Said {
    /// Tells the reader that none of its loans is known.
    pub(in crate::delivery::webhook) fn refuse(self) {
        let Answers { acknowledged, refused, extended, returned, .. } = self.answers;
        let refused = refused.into_iter().map(|(loan, _)| loan);
        let extended = extended.into_iter().map(|(loan, _)| loan);
        let all = acknowledged.into_iter().chain(refused).chain(extended).chain(returned).collect();
        // The reader may have gone.
        let _ = self.answer.send(all);
    }
}

/// A reader that waits until the cluster has its answers.
struct Receipt {
    unknown: Vec<u64>,
    answer: oneshot::Sender<Vec<u64>>,
}

/// Readers whose answers the cluster does not have yet.
#[derive(Default)]
struct Receipts {
    unreported: Vec<Receipt>,
    reporting: Vec<Receipt>,
}

/// What an actor has for readers.
pub(super) struct Handing {
    desk: Desk<Lent, Handed, Answer>,
    receipts: Receipts,
    /// The zero of the desk's clock.
    began: Instant,
    /// Since when nobody reads, although events are kept in memory for readers.
    unread_since: Option<Instant>,
    map_text: MapText,
}

impl Handing {
    pub(super) fn new(map_text: MapText) -> Self {
        Self {
            desk: Desk::default(),
            receipts: Receipts::default(),
            began: Instant::now(),
            unread_since: None,
            map_text,
        }
    }

    fn ms(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX)
    }

    /// When a loan ends, or a reader has waited for long enough, or nobody has read for long. `is_reading`:
    /// events are being read.
    pub(super) fn next(&self, is_reading: bool) -> Option<Instant> {
        let desk = self.desk.next_ms(is_reading).map(|ms| self.began + Duration::from_millis(ms));
        let unread = self.unread_since.map(|since| since + UNREAD);
        desk.into_iter().chain(unread).min()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.desk.is_idle()
    }

    /// A chosen event was read, or could not be.
    pub(super) fn came(&mut self) {
        self.desk.came();
    }

    /// Whether a reader waits for the cluster to have its answers.
    pub(super) fn is_awaited(&self) -> bool {
        !self.receipts.unreported.is_empty()
    }

    /// Everything that readers said so far is in the report that was collected.
    pub(super) fn collected(&mut self) {
        let some = std::mem::take(&mut self.receipts.unreported);
        self.receipts.reporting.extend(some);
    }

    /// The report was refused: a later one has what it had.
    pub(super) fn not_reported(&mut self) {
        let some = std::mem::take(&mut self.receipts.reporting);
        self.receipts.unreported.extend(some);
    }

    /// The cluster has the report.
    pub(super) fn reported(&mut self) {
        for Receipt { unknown, answer } in self.receipts.reporting.drain(..) {
            // The reader may have gone.
            let _ = answer.send(unknown);
        }
    }
}

impl WebhookActor {
    /// Whether a delivery may begin: requests are made here, or a reader takes more.
    pub(super) fn is_wanted(&self) -> bool {
        !self.settings.webhook.is_read() || self.handing.desk.demand() > 0
    }

    /// Whether there are events for readers that nobody has read. The actor stays, so that they are counted.
    pub(super) fn is_unread(&self) -> bool {
        let next = self.engine.wants().filter(|_| self.settings.webhook.is_read());
        let head = || self.shared.source.archive().read_now(self.settings.topic, u64::MAX, 0, 0);
        next.is_some_and(|next| head().is_ok_and(|page| next <= page.head_seq))
    }

    /// Forgets the events that are kept in memory for readers, once nobody has read for long.
    pub(super) fn forget_unread(&mut self, now: Instant) {
        if self.held.is_empty() || !self.settings.webhook.is_read() || !self.handing.desk.is_idle() {
            self.handing.unread_since = None;
            return;
        }
        let since = *self.handing.unread_since.get_or_insert(now);
        if now.saturating_duration_since(since) >= UNREAD {
            self.handing.unread_since = None;
            self.engine.forget_ready();
            self.held.sweep(&self.engine);
        }
    }

    /// Hands a delivery over. If its event is not in memory, it is read first.
    pub(super) fn hand_over(&mut self, flight: Flight) {
        if let Some(events) = self.held.all(&flight.events).filter(|_| !flight.has_waited) {
            return self.hand(&flight, &events);
        }
        self.handing.desk.chose();
        let apart = self.apart();
        let wanted = flight.clone();
        let read = async move { apart.read_for_reader(&wanted).await };
        self.flights.running.spawn_local(read.map(move |end| (flight, end)));
    }

    /// Gives the event of a delivery to the reader that has waited longest.
    pub(super) fn hand(&mut self, flight: &Flight, events: &[Event]) {
        let [event] = events else {
            // Each event goes on its own.
            self.held.release(&flight.events);
            self.settle(flight, &Outcome::failed(Class::Expired), "", 0);
            return;
        };
        let lent = Lent { flight: flight.id, event: EventRef { seq: event.seq, id: event.id } };
        if !self.life.get().is_running() || !self.shared.in_touch() {
            return self.put_back(lent);
        }
        let loan = self.shared.number_loan();
        let (node, incarnation, _) = self.shared.ownership();
        let mut envelope = Vec::with_capacity(event.payload.len() + 256);
        event.write_traced_envelope(&self.handing.map_text, &mut envelope);
        let bytes = envelope.len();
        let ack_id = AckId { node, incarnation, loan };
        let message = Handed { ack_id, attempt: flight.attempt, gap: flight.gap, event: envelope };
        let until_ms = self.handing.ms(Instant::now()) + u64::from(self.settings.webhook.timeout_ms);
        if self.handing.desk.hand(loan, lent, message, bytes, until_ms).is_err() {
            return self.put_back(lent);
        }
        self.shared.meters.handed();
        self.meter.delivered(1, bytes);
    }

    /// Puts an event back that no reader has got, as if it had not been handed over.
    fn put_back(&mut self, lent: Lent) {
        self.held.release(&[lent.event]);
        self.engine.unsend(lent.flight, self.shared.hub.clock().expiry_ms());
    }

    /// Ends readers that have gone, and loans whose time is over.
    pub(super) fn tend_readers(&mut self, now: Instant) {
        if !self.settings.webhook.is_read() {
            return;
        }
        let now_ms = self.handing.ms(now);
        let is_running = self.life.get().is_running();
        if is_running {
            self.handing.desk.reopen();
        } else {
            // Readers without an event are dropped: they ask where the consumer is now.
            let told = self.handing.desk.close(now_ms + CLOSING_MS);
            for told in told.into_iter().filter(|(_, got)| !got.is_empty()) {
                self.tell(told);
            }
        }
        for (_, got) in self.handing.desk.gone(oneshot::Sender::is_closed) {
            self.take_back_from_reader(&got);
        }
        for lent in self.handing.desk.expire(now_ms) {
            if is_running {
                let verdict =
                    if crate::failpoint!("loan-lost") { Verdict::Done } else { Verdict::AgainAfter(0) };
                self.end_loan(lent, verdict, Class::Unacknowledged);
            } else {
                self.put_back(lent);
            }
        }
    }

    /// Answers the readers that have what they get. Returns whether one has gone, so that there are events for
    /// others.
    pub(super) fn answer_readers(&mut self, now: Instant) -> bool {
        let told = self.handing.desk.ready(self.handing.ms(now), !self.readers.are_idle());
        let mut has_gone = false;
        for told in told {
            has_gone |= !self.tell(told);
        }
        has_gone
    }

    /// Gives a reader its events. If it has gone, they go to others. Returns whether it was there.
    fn tell(&mut self, (answer, got): Told<Handed, Answer>) -> bool {
        // Its time begins now. An event whose loan is over already goes to another reader.
        let until_ms = self.handing.ms(Instant::now()) + u64::from(self.settings.webhook.timeout_ms);
        let mut loans = Vec::with_capacity(got.len());
        let mut messages = Vec::with_capacity(got.len());
        for (loan, message) in got {
            if self.handing.desk.extend(loan, until_ms) {
                loans.push(loan);
                messages.push(message);
            }
        }
        let is_there = answer.send(Ok(messages)).is_ok();
        if !is_there {
            loans.into_iter().for_each(|loan| self.return_loan(loan));
        }
        is_there
    }

    fn take_back_from_reader(&mut self, got: &[(u64, Handed)]) {
        got.iter().for_each(|(loan, _)| self.return_loan(*loan));
    }

    fn return_loan(&mut self, loan: u64) {
        if let Some(lent) = self.handing.desk.end(loan) {
            self.put_back(lent);
        }
    }

    /// Passes to the engine what a reader did with an event.
    fn end_loan(&mut self, lent: Lent, verdict: Verdict, class: Class) {
        self.held.release(&[lent.event]);
        if class == Class::Delivered {
            self.note_acknowledged(lent.event);
        }
        let (completion, random) = match verdict {
            Verdict::Done => (Completion::DONE, 0),
            // The other readers may do better with it, and with all other events.
            verdict => (Completion::failed(verdict, Blame::Delivery), random()),
        };
        let text = match class {
            Class::Delivered => "",
            Class::Refused => "a reader refused it",
            _ => "no reader acknowledged it in time",
        };
        let cause = Outcome::failed(class).cause(text);
        self.engine.settle(lent.flight, completion, cause, self.shared.hub.clock().expiry_ms(), random);
        self.shared.meters.read(class);
    }

    /// Notes the acknowledgement for the timeline of the event.
    fn note_acknowledged(&self, event: EventRef) {
        let (receiver, at_ms) = (self.settings.webhook.id, self.shared.hub.clock().time_ms());
        let note = DeliveryNote::acknowledged(event.id, receiver, at_ms);
        self.shared.hub.webhooks().notes().delivered(&note);
    }

    /// Takes in what a reader says. Returns the loans that are not known, and whether anything was settled.
    fn hear(&mut self, answers: Answers) -> (Vec<u64>, bool) {
        let now_ms = self.handing.ms(Instant::now());
        let acknowledged =
            answers.acknowledged.into_iter().map(|loan| (loan, Verdict::Done, Class::Delivered));
        let refused = answers.refused.into_iter().map(|(loan, after_ms)| {
            let verdict =
                after_ms.map_or(Verdict::Again, |ms| Verdict::AgainAfter(ms.min(MAX_VISIBILITY_MS)));
            (loan, verdict, Class::Refused)
        });
        let mut unknown = Vec::new();
        let mut is_settled = false;
        for (loan, verdict, class) in acknowledged.chain(refused) {
            match self.handing.desk.end(loan) {
                Some(lent) => {
                    self.end_loan(lent, verdict, class);
                    is_settled = true;
                }
                None => unknown.push(loan),
            }
        }
        for (loan, ms) in answers.extended {
            if !self.handing.desk.extend(loan, now_ms + ms.min(MAX_VISIBILITY_MS)) {
                unknown.push(loan);
            }
        }
        answers.returned.into_iter().for_each(|loan| self.return_loan(loan));
        (unknown, is_settled)
    }
}

impl Input for Pull {
    fn take_in(self, actor: &mut WebhookActor) {
        let Self { mut wish, answer } = self;
        wish.wait_ms = wish.wait_ms.min(MAX_WAIT_MS);
        wish.max = wish.max.clamp(1, MAX_READ);
        let now_ms = actor.handing.ms(Instant::now());
        if let Err(answer) = actor.handing.desk.wait(wish, answer, now_ms) {
            // The reader may have gone.
            let _ = answer.send(Err(TooManyReaders));
        }
    }
}

impl Input for Said {
    fn take_in(self, actor: &mut WebhookActor) {
        let (_, incarnation, _) = actor.shared.ownership();
        if self.answers.incarnation != incarnation {
            return self.refuse();
        }
        let Self { answers, answer } = self;
        let (unknown, is_settled) = actor.hear(answers);
        if is_settled && !crate::failpoint!("acknowledged-early") {
            actor.handing.receipts.unreported.push(Receipt { unknown, answer });
        } else {
            // The reader may have gone.
            let _ = answer.send(unknown);
        }
    }
}

impl Apart {
    /// Reads the event of a delivery for a reader.
    async fn read_for_reader(&self, wanted: &Flight) -> Result<End, ArchiveError> {
        let events = match fetch(&self.shared, self.webhook, self.topic, &wanted.events).await? {
            Ok(events) => events,
            Err(end) => return Ok(end),
        };
        let is_chosen = !wanted.has_waited
            || self.evaluate.evaluated(&self.shared.hub, &events).await?.iter().all(|offer| offer.wanted);
        Ok(if is_chosen { End::Read(events) } else { End::Unwanted })
    }
}
