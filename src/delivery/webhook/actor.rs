//! The actor of one endpoint: it reads the topic from its own cursor, sends what the engine says, and tells the
//! engine how that ended.
//!
//! Owns the endpoint's delivery state while this node owns the endpoint. Nothing piles up in it: it reads when the
//! engine has room, and holds the events of that room alone.

mod landing;
mod messages;
mod reading;

use landing::{Landed, Landing};
pub(super) use messages::{Changed, Collect, Look, Reported, Retire, Wake};
use reading::fetch;

use super::judge::{BadFilter, Judge};
use super::sender::{BadEndpoint, Ended, Sender, topic_name};
use super::shard::Shard;
use super::{announce, metrics as count};
use crate::clock::now_ms;
use crate::core::endpoint::Endpoint;
use crate::core::endpoint::class::{Class, Outcome};
use crate::core::endpoint::engine::{Engine, FAILING_FROM, Flight, Plan, Step, Urgency};
use crate::core::endpoint::progress::{Attempt, KEPT_ATTEMPTS, Order, Update};
use crate::core::event::Event;
use crate::core::ids::{EventId, TopicId};
use crate::hub::{ArchiveError, SealError};
use actix::{Actor, ActorContext, AsyncContext, Context, SpawnHandle};
use rustc_hash::FxHashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Messages that may wait: what is there wakes it as well as what is refused.
const MAILBOX: usize = 16;
/// An actor with nothing to do for so long stops; its endpoint lives on in the index.
const IDLE: Duration = Duration::from_secs(30);
/// How long the cluster may not know that events were passed that nobody wanted.
const LAZY: Duration = Duration::from_secs(5);
const RETRY_PAUSE: Duration = Duration::from_secs(1);

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
    judge: Arc<Judge>,
    engine: Engine,
    /// Events that are ready or under way for the first time.
    events: FxHashMap<u64, Event>,
    attempts: Vec<Attempt>,
    /// Requests under way.
    flights: JoinSet<(Flight, Result<Option<Landed>, ArchiveError>)>,
    /// A [`Landing`] looks after them.
    landing: bool,
    timer: Option<SpawnHandle>,
    reading: bool,
    reading_replay: bool,
    /// The reporter has something of ours that the cluster doesn't know yet.
    reporting: bool,
    noted: bool,
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
        if self.engine.is_idle() && told && !self.reading && self.timer.is_none() {
            let pause = if self.engine.urgency() == Urgency::Lazy { LAZY } else { IDLE };
            self.timer = Some(ctx.run_later(pause, |actor, ctx| {
                actor.timer = None;
                actor.rest(ctx);
            }));
        }
    }

    /// The pause is over, and nothing has come: what is not told yet is told, else the actor ends.
    fn rest(&mut self, ctx: &mut Context<Self>) {
        if !self.engine.is_idle() || self.reporting {
            return self.pump(ctx);
        }
        if self.engine.urgency() == Urgency::Lazy {
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

fn settings(shard: &Shard, endpoint: &Arc<Endpoint>) -> Result<(Rc<Sender>, Arc<Judge>), LoadError> {
    let private = shard.seal.open(endpoint.id, &endpoint.sealed)?;
    let judge = Judge::new(endpoint, &topic_name(endpoint))?;
    let sender = Sender::new(endpoint.clone(), private, shard.outside.guard(), &shard.config.aws)?;
    Ok((Rc::new(sender), Arc::new(judge)))
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
