//! The actor of one endpoint: it reads the topic from its own cursor, sends what the engine says, and tells the
//! engine how that ended.
//!
//! Owns the endpoint's delivery state while this node owns the endpoint. Nothing piles up in it: it reads when the
//! engine has room, and holds the events of that room alone.

mod held;
pub(super) mod landing;
mod messages;
mod orders;
mod reading;
mod telling;

use held::Held;
use landing::End;
pub(super) use messages::{Changed, Collect, Look, Removed, Reported, Retire, TooMuch, Wake};
use telling::Untold;

use super::judge::{BadFilter, Judge};
use super::sender::{BadEndpoint, Sender};
use super::shard::Shard;
use crate::core::consumer::engine::{Engine, Flight, Step, Urgency};
use crate::core::ids::TopicId;
use crate::core::webhook::Endpoint;
use crate::core::webhook::outcome::Cause;
use crate::hub::{ArchiveError, SealError};
use actix::{Actor, ActorContext, AsyncContext, Context, SpawnHandle};
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
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
    engine: Engine<Cause>,
    /// Events that are ready or under way for the first time.
    held: Held,
    /// Counts when stored events were removed: what was read before may be deleted.
    pub(super) removals: Rc<Cell<u64>>,
    /// Requests under way.
    flights: JoinSet<(Flight, Result<End, ArchiveError>)>,
    /// Somebody looks after them.
    landing: bool,
    /// The revision of the settings under which requests may begin; `None` while none may. Those that wait for their
    /// turn see it too.
    go: Rc<Cell<Option<u64>>>,
    /// Its settings can't be used.
    unusable: bool,
    timer: Option<SpawnHandle>,
    reading: bool,
    reading_replay: bool,
    /// Orders are read again soon.
    orders_wait: bool,
    untold: Untold,
    /// Since when the cluster doesn't know all.
    lazy_since: Option<Instant>,
    /// The reporter has something of ours that the cluster doesn't know yet.
    reporting: bool,
    /// The cluster couldn't be told: that is tried again, but not at once.
    put_off: bool,
    noted: bool,
    retired: bool,
}

impl EndpointActor {
    /// Loads what is stored; `None` when the endpoint is gone.
    pub(super) fn load(shard: Rc<Shard>, endpoint: Arc<Endpoint>, topic: TopicId) -> Result<Option<Self>, LoadError> {
        let Some(state) = shard.hub.endpoint_state(endpoint.id)? else { return Ok(None) };
        let (sender, judge) = settings(&shard, &endpoint)?;
        let waiting = shard.hub.waiting(endpoint.id)?;
        let engine = Engine::new(endpoint.plan(shard.config.window), state.progress, waiting);
        let go = Rc::new(Cell::new(endpoint.active.then_some(endpoint.revision)));
        Ok(Some(Self {
            unusable: false,
            shard,
            endpoint,
            topic,
            sender,
            judge,
            engine,
            held: Held::default(),
            removals: Rc::default(),
            flights: JoinSet::new(),
            landing: false,
            go,
            timer: None,
            reading: false,
            reading_replay: false,
            orders_wait: false,
            untold: Untold::default(),
            lazy_since: None,
            reporting: false,
            put_off: false,
            noted: false,
            retired: false,
        }))
    }

    /// Takes in changed settings. Ones that can't be used let nothing begin any more: what is under way ends, and what
    /// came of it is told; then the actor makes way for another try.
    fn change(&mut self, endpoint: Arc<Endpoint>) {
        match settings(&self.shard, &endpoint) {
            Ok((sender, judge)) => {
                (self.sender, self.judge) = (sender, judge);
                self.unusable = false;
            }
            Err(error) => {
                tracing::error!(webhook = %endpoint.id, %error, "the webhook's new settings can't be used");
                self.unusable = true;
            }
        }
        self.engine.change_plan(endpoint.plan(self.shard.config.window));
        let choice =
            |endpoint: &Endpoint| (endpoint.events.clone(), endpoint.filter.clone(), endpoint.ordering.clone());
        if choice(&endpoint) != choice(&self.endpoint) {
            self.engine.forget_ready();
            self.held.sweep(&self.engine);
        }
        self.endpoint = endpoint;
    }

    /// Requests may begin, or may not any more: those that wait for their turn see it.
    fn open_or_close(&mut self) {
        let opens = self.endpoint.active && !self.unusable && !self.shard.is_leaving(self.endpoint.id);
        self.go.set(opens.then_some(self.endpoint.revision));
    }

    /// Does all that there is to do, and sees to it that it is called again in time.
    fn pump(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        let may_begin = self.go.get().is_some() && self.shard.in_touch();
        let sending = if may_begin { self.send_what_can_be(ctx) } else { None };
        let telling = self.note(ctx);
        self.wait(sending.into_iter().chain(telling).min(), ctx);
    }

    /// Answers when there will be more to do.
    fn send_what_can_be(&mut self, ctx: &mut Context<Self>) -> Option<Duration> {
        loop {
            self.read(ctx);
            let now = self.shard.hub.expiry_ms();
            match self.engine.next(now) {
                Step::Send(flight) => self.launch(flight, ctx),
                Step::WaitUntil(until) => return Some(Duration::from_millis(until.saturating_sub(now).max(1))),
                Step::Wait => return None,
            }
        }
    }

    /// Waits for the next thing to do. Without any the actor stops after a while, or at once where nothing may begin;
    /// what only it knows is told first.
    fn wait(&mut self, pause: Option<Duration>, ctx: &mut Context<Self>) {
        if self.go.get().is_none() && self.engine.in_flight() == 0 && self.has_told() {
            ctx.stop();
        } else if let Some(pause) = pause {
            self.wake_in(pause, ctx);
        } else if self.is_at_rest() {
            self.timer = Some(ctx.run_later(IDLE, |actor, ctx| {
                actor.timer = None;
                if actor.is_at_rest() { ctx.stop() } else { actor.pump(ctx) }
            }));
        }
    }

    fn wake_in(&mut self, pause: Duration, ctx: &mut Context<Self>) {
        self.timer = Some(ctx.run_later(pause, |actor, ctx| {
            actor.timer = None;
            actor.pump(ctx);
        }));
    }

    fn is_at_rest(&self) -> bool {
        let quiet = self.engine.is_idle() && self.engine.urgency() == Urgency::None && self.has_told();
        quiet && !self.reading && !self.reading_replay && !self.orders_wait
    }
}

fn settings(shard: &Shard, endpoint: &Arc<Endpoint>) -> Result<(Rc<Sender>, Arc<Judge>), LoadError> {
    let private = shard.seal.open(endpoint.id, &endpoint.sealed)?;
    let judge = Judge::new(endpoint)?;
    let sender = Sender::new(endpoint.clone(), private, shard.outside.guard(), &shard.config.aws)?;
    Ok((Rc::new(sender), Arc::new(judge)))
}

impl Actor for EndpointActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.take_orders(ctx);
        self.pump(ctx);
    }

    fn stopped(&mut self, ctx: &mut Self::Context) {
        // One that panics is stopped while its stack unwinds: it counts as lost, and the shard finds it.
        if !self.retired && !std::thread::panicking() {
            self.shard.stopped(self.endpoint.id, &ctx.address());
        }
    }
}
