//! The actor of one endpoint: it reads the topic from its own cursor, sends what the engine says, and tells the
//! engine how that ended.
//!
//! Owns the endpoint's delivery state while this node owns the endpoint. Nothing piles up in it: it reads when the
//! engine has room, and holds the events of that room alone.

use super::judge::{BadFilter, Judge};
use super::sender::{BadEndpoint, Ended, Sender, topic_name};
use super::shard::Shard;
use super::source::{PAGE_BYTES, PAGE_EVENTS, Read};
use super::{announce, metrics as count};
use crate::clock::now_ms;
use crate::core::endpoint::Endpoint;
use crate::core::endpoint::class::{Class, Outcome};
use crate::core::endpoint::engine::{Engine, FAILING_FROM, Flight, Offer, Plan, ReplayRead, Step, Urgency};
use crate::core::endpoint::progress::{Attempt, DeadLetter, EventRef, KEPT_ATTEMPTS, Order, Update};
use crate::core::event::Event;
use crate::core::ids::{EventId, TopicId};
use crate::hub::{ArchiveError, Page, SealError};
use actix::fut::{ActorFuture, WrapFuture};
use actix::{Actor, ActorContext, ActorFutureExt, AsyncContext, Context, Handler, Message, SpawnHandle};
use rustc_hash::FxHashMap;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::task::JoinSet;

/// Messages that may wait: what is there wakes it as well as what is refused.
const MAILBOX: usize = 16;
/// An actor with nothing to do for so long stops; its endpoint lives on in the index.
const IDLE: Duration = Duration::from_secs(30);
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// There may be something to do.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Wake;

/// The settings may have changed, or something was asked.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Changed;

/// The endpoint is another's from now on.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Retire;

/// What must the cluster know? The answer is the reporter's to deliver; it is asked for again after [`Reported`].
#[derive(Message)]
#[rtype(result = "Option<Update>")]
pub(super) struct Collect;

/// The cluster knows.
#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Reported;

/// Why an endpoint can't be delivered to on this node.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Settings(#[from] BadEndpoint),
    #[error(transparent)]
    Filter(#[from] BadFilter),
}

/// The actor.
pub(super) struct EndpointActor {
    shard: Rc<Shard>,
    endpoint: Arc<Endpoint>,
    topic: TopicId,
    sender: Rc<Sender>,
    judge: Judge,
    engine: Engine,
    /// Events that are ready or under way for the first time.
    events: FxHashMap<u64, Event>,
    attempts: Vec<Attempt>,
    /// Requests under way, each a task of its own: an actor polls all that it spawned whenever one of them moves.
    flights: JoinSet<(Flight, Result<Option<Landed>, ArchiveError>)>,
    /// A [`Landing`] looks after them.
    landing: bool,
    timer: Option<SpawnHandle>,
    reading: bool,
    reading_replay: bool,
    /// The reporter has something of ours that the cluster doesn't know yet.
    reporting: bool,
    noted: bool,
    /// Nothing to do as of the last look; stops at the next.
    idle: bool,
    retired: bool,
}

impl EndpointActor {
    /// Loads what is stored; `None` when the endpoint is gone.
    pub(super) fn load(shard: Rc<Shard>, endpoint: Arc<Endpoint>, topic: TopicId) -> Result<Option<Self>, LoadError> {
        let Some(state) = shard.hub.endpoint_state(endpoint.id)? else { return Ok(None) };
        let (sender, judge) = settings(&shard, &endpoint)?;
        let engine = Engine::new(Plan::new(&endpoint, shard.config.window), state.progress);
        Ok(Some(Self {
            shard,
            endpoint,
            topic,
            sender,
            judge,
            engine,
            events: FxHashMap::default(),
            attempts: Vec::new(),
            flights: JoinSet::new(),
            landing: false,
            timer: None,
            reading: false,
            reading_replay: false,
            reporting: false,
            noted: false,
            idle: false,
            retired: false,
        }))
    }

    /// Does all that there is to do, and sees to it that it is called again in time.
    fn pump(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        if self.endpoint.active && self.shard.in_touch() {
            self.send_what_can_be(ctx);
        }
        self.note(ctx);
        self.consider_rest(ctx);
    }

    fn send_what_can_be(&mut self, ctx: &mut Context<Self>) {
        loop {
            self.read(ctx);
            let now = now_ms();
            match self.engine.next(now) {
                Step::Send(flight) => self.launch(flight, ctx),
                Step::WaitUntil(until) => {
                    self.wake_in(Duration::from_millis(until.saturating_sub(now).max(1)), ctx);
                    return;
                }
                Step::Wait => return,
            }
        }
    }

    fn wake_in(&mut self, pause: Duration, ctx: &mut Context<Self>) {
        self.timer = Some(ctx.run_later(pause, |actor, ctx| {
            actor.timer = None;
            actor.pump(ctx);
        }));
    }

    /// Reads as much as the engine has room for. What lies far back comes later, off this thread.
    fn read(&mut self, ctx: &mut Context<Self>) {
        while let Some(from_seq) = self.engine.wants().filter(|_| !self.reading) {
            match self.shard.source.read(self.topic, from_seq) {
                Ok(Read::Events(events, _)) if events.is_empty() => break,
                Ok(Read::Events(events, next_seq)) => self.offer(events, next_seq),
                Ok(Read::Cold) => self.read_cold(from_seq, ctx),
                Err(error) => {
                    tracing::error!(webhook = %self.endpoint.id, %error, "events can't be read; trying again");
                    self.reading = true;
                    ctx.run_later(RETRY_PAUSE, |actor, ctx| {
                        actor.reading = false;
                        actor.pump(ctx);
                    });
                }
            }
        }
        self.read_replay(ctx);
    }

    fn offer(&mut self, events: Vec<Event>, next_seq: u64) {
        let offers: Vec<Offer> = events.iter().map(|event| self.judge.offer(event)).collect();
        for (event, offer) in events.into_iter().zip(&offers) {
            if offer.wanted {
                self.events.insert(event.seq, event);
            }
        }
        self.engine.offer(&offers, next_seq, now_ms());
    }

    fn read_cold(&mut self, from_seq: u64, ctx: &mut Context<Self>) {
        self.reading = true;
        let (archive, topic) = (self.shard.source.archive().clone(), self.topic);
        let read = async move { archive.read(topic, from_seq, PAGE_EVENTS, PAGE_BYTES).await };
        ctx.spawn(read.into_actor(self).map(|page, actor, ctx| {
            match page {
                Ok(Page { events, next_seq, .. }) => {
                    actor.reading = false;
                    actor.offer(events, next_seq);
                    actor.pump(ctx);
                }
                Err(error) => {
                    tracing::error!(webhook = %actor.endpoint.id, %error, "events can't be read; trying again");
                    ctx.run_later(RETRY_PAUSE, |actor, ctx| {
                        actor.reading = false;
                        actor.pump(ctx);
                    });
                }
            };
        }));
    }

    fn read_replay(&mut self, ctx: &mut Context<Self>) {
        let Some(read) = self.engine.wants_replay().filter(|_| !self.reading_replay) else { return };
        self.reading_replay = true;
        let (shard, topic, endpoint) = (self.shard.clone(), self.topic, self.endpoint.id);
        let page = async move {
            if !read.failed_only {
                let page = shard.source.archive().read(topic, read.from_seq, PAGE_EVENTS, PAGE_BYTES).await?;
                let next_seq = if page.events.is_empty() { read.until_seq } else { page.next_seq };
                return Ok((Again::Events(page.events), next_seq));
            }
            let letters = shard.hub.dead_letters(endpoint, read.from_seq, PAGE_EVENTS)?;
            let full = letters.len() == PAGE_EVENTS;
            let next_seq = letters.last().filter(|_| full).map_or(read.until_seq, |letter| letter.seq + 1);
            Ok((Again::Letters(letters), next_seq))
        };
        ctx.spawn(page.into_actor(self).map(move |page: Result<(Again, u64), ArchiveError>, actor, ctx| match page {
            Ok((again, next_seq)) => {
                actor.reading_replay = false;
                actor.offer_replay(read, again, next_seq.min(read.until_seq));
                actor.pump(ctx);
            }
            Err(error) => {
                tracing::error!(webhook = %actor.endpoint.id, %error, "a replay can't read; trying again");
                ctx.run_later(RETRY_PAUSE, |actor, ctx| {
                    actor.reading_replay = false;
                    actor.pump(ctx);
                });
            }
        }));
    }

    fn offer_replay(&mut self, read: ReplayRead, again: Again, next_seq: u64) {
        // The replay may have been cancelled, or another begun, while this was read.
        if self.engine.wants_replay().is_none_or(|now| (now.id, now.from_seq) != (read.id, read.from_seq)) {
            return;
        }
        let mut offers: Vec<Offer> = match &again {
            Again::Events(events) => events.iter().map(|event| self.judge.offer(event)).collect(),
            Again::Letters(letters) => letters
                .iter()
                .map(|letter| self.judge.offer_again(EventRef { seq: letter.seq, id: letter.event_id }))
                .collect(),
        };
        offers.retain(|offer| offer.event.seq < read.until_seq);
        if let Again::Events(events) = again {
            let wanted = offers.iter().filter(|offer| offer.wanted).map(|offer| offer.event.seq);
            let mut events = events.into_iter();
            for seq in wanted {
                self.events.extend(events.find(|event| event.seq == seq).map(|event| (seq, event)));
            }
        }
        self.engine.offer_replay(&offers, next_seq, now_ms());
    }

    fn launch(&mut self, flight: Flight, ctx: &mut Context<Self>) {
        let known: Option<Vec<Event>> =
            flight.events.iter().map(|event| self.events.get(&event.seq).cloned()).collect();
        let (shard, sender, topic) = (self.shard.clone(), self.sender.clone(), self.topic);
        let failing = self.engine.progress().failures >= FAILING_FROM;
        let wanted = flight.clone();
        let job = async move {
            let events = match known {
                Some(events) => events,
                None => match fetch(&shard, topic, &wanted.events).await? {
                    Some(events) => events,
                    None => return Ok(None),
                },
            };
            let Some(_permit) = shard.permits.take(failing).await else { return Ok(None) };
            let at_ms = now_ms();
            let ended = sender.send(&shard.client, &events, wanted.gap, wanted.attempt).await;
            Ok(Some((events, ended, at_ms)))
        };
        self.flights.spawn_local(async move { (flight, job.await) });
        if !self.landing {
            self.landing = true;
            ctx.spawn(Landing);
        }
    }

    fn end(&mut self, flight: &Flight, landed: Result<Option<Landed>, ArchiveError>) {
        match landed {
            Ok(Some((events, ended, at_ms))) => self.landed(flight, &events, ended, at_ms),
            Ok(None) => self.expired(flight),
            Err(error) => {
                tracing::error!(webhook = %self.endpoint.id, %error, "an event can't be read; trying again");
                self.engine.unsend(flight.id, now_ms() + RETRY_PAUSE.as_millis() as u64);
            }
        }
    }

    fn landed(&mut self, flight: &Flight, events: &[Event], ended: Ended, at_ms: u64) {
        flight.events.iter().for_each(|event| drop(self.events.remove(&event.seq)));
        let Ended { outcome, error, answer, took_ms, message_id } = ended;
        self.shard.meters.attempt(outcome.class, took_ms, events);
        let number = self.engine.number_attempt();
        if self.attempts.len() >= KEPT_ATTEMPTS {
            self.attempts.remove(0);
        }
        self.attempts.push(Attempt {
            number,
            seq: flight.events.first().map(|event| event.seq),
            message_id,
            events: flight.events.len() as u32,
            kind: events.first().map(|event| event.kind.to_string()).unwrap_or_default(),
            attempt: flight.attempt,
            at_ms,
            took_ms,
            class: outcome.class,
            status: outcome.status,
            error: error.clone(),
            answer,
            node: self.shard.hub.node_id(),
        });
        // Only a failure is followed by a pause of random length.
        let random = if outcome.class == Class::Delivered { 0 } else { random() };
        self.engine.settle(flight.id, &outcome, error.as_deref().unwrap_or_default(), now_ms(), random);
        self.shard.unreported.completed();
    }

    /// Retention took the event, or one of several, before it could be sent.
    fn expired(&mut self, flight: &Flight) {
        let outcome = Outcome::failed(Class::Expired);
        self.engine.settle(flight.id, &outcome, "removed by retention before it was delivered", now_ms(), 0);
    }

    /// Has the reporter ask, where there is something to tell.
    fn note(&mut self, ctx: &mut Context<Self>) {
        let urgency = self.engine.urgency();
        if self.reporting || urgency < Urgency::Soon {
            return;
        }
        if !self.noted {
            self.noted = true;
            self.shard.unreported.note(self.endpoint.id, ctx.address());
        }
        if urgency == Urgency::Now {
            self.shard.unreported.hurry();
        }
    }

    /// Stops after a while without anything to do, or at once where the endpoint is not active; what only it knows is
    /// told first.
    fn consider_rest(&mut self, ctx: &mut Context<Self>) {
        let told = !self.reporting && self.engine.urgency() <= Urgency::Lazy;
        if !self.endpoint.active && self.engine.in_flight() == 0 && told {
            ctx.stop();
            return;
        }
        let idle = self.engine.is_idle() && told && !self.reading && self.timer.is_none();
        self.idle = idle && self.idle;
        if idle && !self.idle {
            self.timer = Some(ctx.run_later(IDLE, |actor, ctx| {
                actor.timer = None;
                actor.idle = true;
                actor.rest(ctx);
            }));
        }
    }

    fn rest(&mut self, ctx: &mut Context<Self>) {
        if !self.engine.is_idle() || self.reporting {
            return self.pump(ctx);
        }
        if self.engine.urgency() == Urgency::Lazy {
            // The cursor over what nobody wanted: told once, so that the next owner needn't read it all again.
            self.noted = true;
            self.shard.unreported.note(self.endpoint.id, ctx.address());
            return;
        }
        ctx.stop();
    }

    fn take_orders(&mut self) {
        if !self.endpoint.active {
            return;
        }
        let state = match self.shard.hub.endpoint_state(self.endpoint.id) {
            Ok(Some(state)) => state,
            Ok(None) => return,
            Err(error) => {
                tracing::error!(webhook = %self.endpoint.id, %error, "orders can't be read");
                return;
            }
        };
        for order in state.orders {
            let asked: &[u64] = if let Order::Redeliver(seqs) = &order.order { seqs } else { &[] };
            let found = asked.iter().filter_map(|seq| Some((*seq, self.event_at(*seq)?.id)));
            let found: FxHashMap<u64, EventId> = found.collect();
            self.engine.order(order, now_ms(), |seq| found.get(&seq).copied());
        }
    }

    fn event_at(&self, seq: u64) -> Option<Event> {
        let page = self.shard.source.archive().read_now(self.topic, seq, 1, 1).ok()?;
        page.events.into_iter().next().filter(|event| event.seq == seq)
    }

    fn update(&mut self) -> Update {
        let snapshot = self.engine.snapshot();
        let mut buried = snapshot.buried;
        for letter in &mut buried {
            letter.kind = self.event_at(letter.seq).map(|event| event.kind.to_string()).unwrap_or_default();
        }
        count::buried(&buried);
        let news = announce::news(&self.endpoint, &snapshot.progress, snapshot.announce, snapshot.disable.as_deref());
        Update {
            endpoint: self.endpoint.id,
            progress: snapshot.progress,
            attempts: std::mem::take(&mut self.attempts),
            buried,
            revived: snapshot.revived,
            disable: snapshot.disable,
            news,
        }
    }
}

/// What a replay read.
enum Again {
    Events(Vec<Event>),
    Letters(Vec<DeadLetter>),
}

type Landed = (Vec<Event>, Ended, u64);

/// Takes in the ends of requests, as long as any is under way.
struct Landing;

impl ActorFuture<EndpointActor> for Landing {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        actor: &mut EndpointActor,
        ctx: &mut Context<EndpointActor>,
        task: &mut std::task::Context<'_>,
    ) -> Poll<()> {
        loop {
            let mut next = actor.flights.poll_join_next(task);
            let some_ended = matches!(next, Poll::Ready(Some(_)));
            while let Poll::Ready(Some(ended)) = next {
                match ended {
                    Ok((flight, landed)) => actor.end(&flight, landed),
                    // The actor goes down with it, and is started anew.
                    Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                    Err(_) => {}
                }
                next = actor.flights.poll_join_next(task);
            }
            if some_ended {
                actor.pump(ctx);
            } else if next.is_pending() {
                return Poll::Pending;
            } else {
                actor.landing = false;
                return Poll::Ready(());
            }
        }
    }
}

/// Reads the events of a delivery that is tried again; `None` when one is gone.
async fn fetch(shard: &Shard, topic: TopicId, wanted: &[EventRef]) -> Result<Option<Vec<Event>>, ArchiveError> {
    let mut found: Vec<Event> = Vec::with_capacity(wanted.len());
    for event in wanted {
        let page = shard.source.archive().read(topic, event.seq, 1, 1).await?;
        match page.events.into_iter().next().filter(|read| read.seq == event.seq) {
            Some(read) => found.push(read),
            None => return Ok(None),
        }
    }
    Ok(Some(found))
}

fn settings(shard: &Shard, endpoint: &Arc<Endpoint>) -> Result<(Rc<Sender>, Judge), LoadError> {
    let private = shard.seal.open(endpoint.id, &endpoint.sealed)?;
    let judge = Judge::new(endpoint, &topic_name(endpoint))?;
    let sender = Sender::new(endpoint.clone(), private, shard.outside.guard(), shard.credentials.as_ref())?;
    Ok((Rc::new(sender), judge))
}

fn random() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX / 2)
}

impl Actor for EndpointActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.take_orders();
        self.pump(ctx);
    }

    fn stopped(&mut self, _: &mut Self::Context) {
        if !self.retired {
            self.shard.stopped(self.endpoint.id);
        }
    }
}

impl Handler<Wake> for EndpointActor {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Self::Context) {
        self.pump(ctx);
    }
}

impl Handler<Changed> for EndpointActor {
    type Result = ();

    fn handle(&mut self, _: Changed, ctx: &mut Self::Context) {
        let endpoint = self.shard.hub.endpoints().get(self.endpoint.id).cloned();
        if let Some(endpoint) = endpoint.filter(|endpoint| endpoint.revision != self.endpoint.revision) {
            match settings(&self.shard, &endpoint) {
                Ok((sender, judge)) => (self.sender, self.judge) = (sender, judge),
                Err(error) => {
                    tracing::error!(webhook = %endpoint.id, %error, "the webhook's new settings can't be used")
                }
            }
            self.engine.change_plan(Plan::new(&endpoint, self.shard.config.window));
            self.endpoint = endpoint;
        }
        self.take_orders();
        self.pump(ctx);
    }
}

impl Handler<Retire> for EndpointActor {
    type Result = ();

    fn handle(&mut self, _: Retire, ctx: &mut Self::Context) {
        self.retired = true;
        ctx.stop();
    }
}

impl Handler<Collect> for EndpointActor {
    type Result = Option<Update>;

    fn handle(&mut self, _: Collect, _: &mut Self::Context) -> Self::Result {
        self.noted = false;
        if self.retired || self.reporting || self.engine.urgency() == Urgency::None {
            return None;
        }
        self.reporting = true;
        Some(self.update())
    }
}

impl Handler<Reported> for EndpointActor {
    type Result = ();

    fn handle(&mut self, _: Reported, ctx: &mut Self::Context) {
        self.reporting = false;
        self.engine.reported();
        self.pump(ctx);
    }
}
