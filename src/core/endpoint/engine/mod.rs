//! The rules of delivery to one endpoint: what is sent next, and what follows from how it ended.
//!
//! A pure machine: events are offered, [`Engine::next`] says what to send or until when to wait, [`Engine::settle`]
//! takes the outcome, [`Engine::snapshot`] gives what the cluster must know. Time and random numbers come from the
//! caller. Never sends, reads or waits itself.
//!
//! An endpoint that fails costs little: its window shrinks to one request, and pauses between its requests grow.
//! Waiting for the window, a pause or a rate uses up no attempt.

mod lanes;
mod orders;
mod pick;
mod settle;
#[cfg(test)]
mod tests;
mod types;

pub use types::{Flight, Offer, Plan, ReplayRead, Snapshot, Step, Urgency};

use super::class::Class;
use super::progress::{DeadLetter, EventRef, Progress, Retry, Source, Track};
use lanes::Lanes;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Events read and not yet sent, at most.
const MAX_READY: usize = 256;
/// Deliveries that wait to be tried again, at most; over it nothing new is begun.
const MAX_RETRIES: usize = 1000;
/// Failures in a row from which on an endpoint counts as failing.
pub const FAILING_FROM: u32 = 5;

#[derive(Clone, Copy, Debug)]
struct Ready {
    event: EventRef,
    lane: Option<u64>,
    since_ms: u64,
}

#[derive(Debug)]
struct Flying {
    retry: Retry,
    /// The retry's number, where it is one.
    number: Option<u64>,
    gap_lane: Option<u64>,
    /// Counted failures when it began: several that were under way at once fail for one and the same cause.
    failures_before: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Engine {
    plan: Plan,
    /// Its `retries` are empty: they are in the map below while the engine runs.
    progress: Progress,
    retries: BTreeMap<u64, Retry>,
    /// Retries that are not under way, by time.
    due: BTreeSet<(u64, u64)>,
    ready: VecDeque<Ready>,
    read_next: u64,
    replay_ready: VecDeque<Ready>,
    replay_next: u64,
    flights: BTreeMap<u64, Flying>,
    lanes: Lanes,
    next_number: u64,
    /// Requests that may be under way now.
    cap: usize,
    gate_until_ms: u64,
    /// Failures counted since the engine began.
    counted: u64,
    /// To an endpoint that fails, requests for new events and for those that failed take turns: one event that can't be
    /// delivered keeps no other from being tried.
    prefer_new: bool,
    /// The endpoint is to be disabled: nothing more is begun.
    halted: bool,
    full_at_us: u64,
    buried: Vec<DeadLetter>,
    revived: Vec<u64>,
    disable: Option<String>,
    announce: Option<u8>,
    urgency: Urgency,
    unreported: u32,
    /// Given up in a lane: it goes on once the cluster knows, so that no other owner delivers them after their successors.
    given_up: Vec<(u64, Retry)>,
    reporting: Vec<(u64, Retry)>,
}

impl Engine {
    /// Goes on from `progress`.
    pub fn new(plan: Plan, mut progress: Progress) -> Self {
        let retries = std::mem::take(&mut progress.retries);
        let mut engine = Self {
            cap: if progress.failures >= FAILING_FROM { 1 } else { plan.window },
            read_next: progress.track.next,
            plan,
            progress,
            retries: BTreeMap::new(),
            due: BTreeSet::new(),
            ready: VecDeque::new(),
            replay_ready: VecDeque::new(),
            replay_next: 0,
            flights: BTreeMap::new(),
            lanes: Lanes::default(),
            next_number: 1,
            gate_until_ms: 0,
            counted: 0,
            prefer_new: true,
            halted: false,
            full_at_us: 0,
            buried: Vec::new(),
            revived: Vec::new(),
            disable: None,
            announce: None,
            urgency: Urgency::None,
            unreported: 0,
            given_up: Vec::new(),
            reporting: Vec::new(),
        };
        for retry in retries {
            engine.keep_retry(retry);
        }
        engine.start_replay();
        engine
    }

    /// Takes changed settings.
    pub fn change_plan(&mut self, plan: Plan) {
        self.cap = self.cap.clamp(1, plan.window);
        self.plan = plan;
    }

    /// How far it is.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Requests under way.
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// Events that wait to be tried again.
    pub fn retrying_events(&self) -> u64 {
        self.retries.values().map(|retry| retry.events.len() as u64).sum()
    }

    /// Seq of the oldest event that waits to be tried again.
    pub fn oldest(&self) -> Option<u64> {
        self.retries.values().filter_map(|retry| retry.events.first()).map(|event| event.seq).min()
    }

    /// Nothing waits, nothing is under way: only what comes new can give it something to do.
    pub fn is_idle(&self) -> bool {
        self.flights.is_empty()
            && self.retries.is_empty()
            && self.ready.is_empty()
            && self.running_replay().is_none()
            && self.urgency <= Urgency::Lazy
    }

    /// The next seq of the topic to read, where there is room for more.
    pub fn wants(&self) -> Option<u64> {
        (self.ready.len() < MAX_READY).then_some(self.read_next)
    }

    /// What to read for the running replay, where there is room for more.
    pub fn wants_replay(&self) -> Option<ReplayRead> {
        let replay = self.running_replay()?;
        (self.replay_ready.len() < MAX_READY && self.replay_next < replay.until_seq).then_some(ReplayRead {
            id: replay.id,
            from_seq: self.replay_next,
            until_seq: replay.until_seq,
            failed_only: replay.failed_only,
        })
    }

    /// Takes events of the topic, read from [`Engine::wants`] on; the next read starts at `next_seq`. Retention may
    /// have taken events before the first.
    pub fn offer(&mut self, offers: &[Offer], next_seq: u64, now_ms: u64) {
        if let Some(first) = offers.first()
            && first.event.seq > self.read_next
        {
            self.progress.missed += first.event.seq - self.read_next;
            for seq in self.read_next..first.event.seq {
                self.progress.track.settle(seq);
            }
            self.note(Urgency::Soon);
        }
        let from_seq = self.read_next;
        for offer in offers {
            let seq = offer.event.seq;
            if seq < from_seq || self.progress.track.is_settled(seq) || self.is_flying(seq) {
                continue;
            }
            if offer.wanted {
                self.ready.push_back(Ready { event: offer.event, lane: offer.lane, since_ms: now_ms });
            } else {
                self.progress.track.settle(seq);
                self.note(Urgency::Lazy);
            }
        }
        self.read_next = self.read_next.max(next_seq);
    }

    /// Takes events for the running replay; the next read starts at `next_seq`.
    pub fn offer_replay(&mut self, offers: &[Offer], next_seq: u64, now_ms: u64) {
        let Some(id) = self.running_replay().map(|replay| replay.id) else { return };
        let from = self.replay_next;
        self.replay_next = next_seq;
        let Some(replay) = self.progress.replays.iter_mut().find(|replay| replay.id == id) else { return };
        let mut wanted = offers.iter().filter(|offer| offer.wanted).peekable();
        for seq in from..next_seq.min(replay.until_seq) {
            match wanted.next_if(|offer| offer.event.seq == seq) {
                Some(_) if replay.track.is_settled(seq) => {}
                Some(offer) => {
                    self.replay_ready.push_back(Ready { event: offer.event, lane: offer.lane, since_ms: now_ms });
                }
                None => replay.track.settle(seq),
            }
        }
        self.note(Urgency::Lazy);
        self.end_replay_if_done(now_ms);
    }

    /// Whether the event is to be sent soon, or is under way for the first time.
    pub fn holds(&self, seq: u64) -> bool {
        let ready = |ready: &Ready| ready.event.seq == seq;
        let flies = || self.flights.values().any(|flight| flight.retry.events.iter().any(|event| event.seq == seq));
        self.ready.iter().any(ready) || self.replay_ready.iter().any(ready) || flies()
    }

    /// Forgets what was read and not begun, to read it again under other settings.
    pub fn forget_ready(&mut self) {
        self.ready.clear();
        self.read_next = self.progress.track.next;
        self.start_replay();
    }

    /// What to do now.
    pub fn next(&mut self, now_ms: u64) -> Step {
        if self.flights.len() >= self.cap || self.halted {
            return Step::Wait;
        }
        let hold_until = self.progress.hold_until_ms.max(self.gate_until_ms);
        let Some(candidate) = self.candidate(now_ms) else { return self.idle_until(now_ms, hold_until) };
        if now_ms < hold_until {
            return Step::WaitUntil(hold_until);
        }
        if let Some(rate) = self.plan.rate {
            match rate.charge(self.full_at_us, 1, now_ms) {
                Ok(full_at_us) => self.full_at_us = full_at_us,
                Err(wait_ms) => return Step::WaitUntil(now_ms + wait_ms),
            }
        }
        Step::Send(self.start(candidate))
    }

    /// How soon the cluster must be told something.
    pub fn urgency(&self) -> Urgency {
        self.urgency
    }

    /// Completions that the cluster doesn't know of.
    pub fn unreported(&self) -> u32 {
        self.unreported
    }

    /// What the cluster must know. The caller keeps it until the cluster has it, and says so with
    /// [`Engine::reported`]; only then asks again.
    pub fn snapshot(&mut self) -> Snapshot {
        self.reporting.append(&mut self.given_up);
        self.urgency = Urgency::None;
        self.unreported = 0;
        self.progress.reports += 1;
        let mut progress = self.progress.clone();
        progress.retries = self.retries.values().cloned().collect();
        Snapshot {
            progress,
            buried: std::mem::take(&mut self.buried),
            revived: std::mem::take(&mut self.revived),
            disable: self.disable.take(),
            announce: self.announce.take(),
        }
    }

    /// The cluster has the last snapshot.
    pub fn reported(&mut self) {
        for (number, delivery) in std::mem::take(&mut self.reporting) {
            self.lanes.release(number, &delivery);
        }
    }

    /// Gives the next attempt its number.
    pub fn number_attempt(&mut self) -> u64 {
        let number = self.progress.next_attempt;
        self.progress.next_attempt += 1;
        number
    }

    fn note(&mut self, urgency: Urgency) {
        self.urgency = self.urgency.max(urgency);
    }

    fn is_flying(&self, seq: u64) -> bool {
        self.flights.values().any(|flight| {
            flight.retry.source == Source::Live && flight.retry.events.iter().any(|event| event.seq == seq)
        })
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn keep_retry(&mut self, retry: Retry) -> u64 {
        let number = self.number();
        self.lanes.hold(number, &retry);
        self.due.insert((retry.due_ms, number));
        self.retries.insert(number, retry);
        number
    }

    fn drop_retry(&mut self, number: u64) -> Option<Retry> {
        let retry = self.retries.remove(&number)?;
        self.due.remove(&(retry.due_ms, number));
        self.lanes.release(number, &retry);
        Some(retry)
    }

    fn bury(
        &mut self,
        events: &[EventRef],
        retry: &Retry,
        class: Class,
        status: Option<u16>,
        error: &str,
        now_ms: u64,
    ) {
        for event in events {
            self.buried.push(DeadLetter {
                seq: event.seq,
                event_id: event.id,
                kind: String::new(),
                attempts: retry.attempts,
                first_ms: if retry.first_ms == 0 { now_ms } else { retry.first_ms },
                buried_ms: now_ms,
                class,
                status,
                error: error.to_owned(),
            });
            self.progress.buried += 1;
        }
        self.note(Urgency::Now);
    }

    fn track_of(&mut self, source: Source) -> Option<&mut Track> {
        match source {
            Source::Live => Some(&mut self.progress.track),
            Source::Asked => None,
            Source::Replay(id) => {
                self.progress.replays.iter_mut().find(|replay| replay.id == id).map(|replay| &mut replay.track)
            }
        }
    }
}
