//! The actor of one webhook. It reads the topic from its own cursor, sends what the engine says, and reports
//! each result to the engine.
//!
//! Owns the webhook's delivery state while this node owns the webhook. It queues nothing: it reads only as
//! many events as the engine has room for, and holds only those.
//!
//! Every input (a message, a request that ended, a page that was read, a timer) goes through
//! [`WebhookActor::drive`]: the input changes the state, and [`WebhookActor::advance`] then does whatever
//! follows from the new state.

mod commands;
mod completion;
mod handing;
mod held;
mod messages;
mod reading;
mod reporting;
pub(super) mod requests;
mod settings;
mod state;
mod waiting;

use completion::Flights;
use handing::Handing;
pub(super) use handing::{Pull, Said, TooManyReaders};
use held::Held;
pub(super) use messages::{Changed, Collect, Look, Queue, Removed, Reported, Retire, TooMuch, Wake};
use reporting::Reports;
use settings::{LoadError, Settings};
use state::{Commands, Life, Readers, Reporting};

use super::shared::Shared;
use crate::core::consumer::engine::{Engine, Step, Urgency};
use crate::core::consumer::shares::{Observed, Speed};
use crate::core::consumer::used::Used;
use crate::core::event::MapText;
use crate::core::ids::{TopicId, WebhookId};
use crate::core::webhook::Webhook;
use crate::core::webhook::outcome::Cause;
use crate::hub::Meter;
use actix::{Actor, ActorContext, Addr, AsyncContext, Context, SpawnHandle};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The most messages that may wait. Each of them wakes the actor, so a refused wake-up is not lost.
const MAILBOX: usize = 16;
/// An actor that has had nothing to do for this long stops. Its webhook stays in the shard's index.
const IDLE: Duration = Duration::from_secs(30);

/// Starts actors, and starts them again when their webhooks have more to do.
pub(super) trait Supervisor {
    /// The actor has stopped by itself. It has used up this much of the webhook's rate.
    fn stopped(self: Rc<Self>, webhook: WebhookId, actor: &Addr<WebhookActor>, used: Used);
}

/// The actor of one webhook. Its states are documented at the types of its fields.
pub(super) struct WebhookActor {
    shared: Rc<Shared>,
    supervisor: Rc<dyn Supervisor>,
    settings: Settings,
    life: Rc<Cell<Life>>,
    engine: Engine<Cause>,
    /// Events that are ready or under way for the first time.
    held: Held,
    flights: Flights,
    readers: Readers,
    /// After a change of the filter: the number from which on waiting deliveries are still to be looked at.
    unfiltered_from: Option<u64>,
    /// What its requests have shown of the receiver's speed.
    observed: Rc<RefCell<Observed>>,
    commands: Commands,
    reports: Reports,
    /// The clients that read its events, where no requests are made.
    handing: Handing,
    /// Counts the attempts, and what readers get, for the map.
    meter: Arc<Meter>,
    /// The timer for the next call of `advance`.
    timer: Option<SpawnHandle>,
    /// The time since which there has been nothing to do.
    idle_since: Option<Instant>,
}

impl WebhookActor {
    /// Loads the stored state. `used` is what was used up of the webhook's rate before. Returns `None` when the
    /// webhook is gone.
    pub(super) fn load(
        shared: Rc<Shared>,
        supervisor: Rc<dyn Supervisor>,
        webhook: Arc<Webhook>,
        topic: TopicId,
        used: &Used,
    ) -> Result<Option<Self>, LoadError> {
        let Some(state) = shared.hub.webhooks().state(webhook.id)? else { return Ok(None) };
        let settings = Settings::new(&shared, webhook.clone(), topic)?;
        let waiting = shared.hub.webhooks().waiting(webhook.id)?;
        let speed = if state.progress.failures > 0 { Speed::Slow } else { Speed::Unknown };
        let plan = webhook.plan(shared.config.window);
        let engine = Engine::new(plan, state.progress, waiting).after(used);
        let life = Life::Closing.follow(settings.permitted(&shared));
        let handing = Handing::new(MapText::from(webhook.map));
        let meter = shared.hub.quota().usage().meter(topic);
        Ok(Some(Self {
            shared,
            supervisor,
            settings,
            life: Rc::new(Cell::new(life)),
            engine,
            held: Held::default(),
            flights: Flights::default(),
            readers: Readers::default(),
            unfiltered_from: None,
            observed: Rc::new(RefCell::new(Observed::new(speed))),
            commands: Commands::default(),
            reports: Reports::default(),
            handing,
            meter,
            timer: None,
            idle_since: None,
        }))
    }

    /// Takes in one input, and then does whatever follows from it. Nothing else changes an actor. So an input
    /// can't leave the actor with something to do and without anything that wakes it.
    fn drive<T>(&mut self, ctx: &mut Context<Self>, what: impl FnOnce(&mut Self) -> T) -> T {
        let answer = what(self);
        self.advance(ctx);
        answer
    }

    /// Does everything that there is to do now, and sets the timer for the next thing to do.
    fn advance(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        if self.life.get() == Life::Retired {
            return ctx.stop();
        }
        let now = Instant::now();
        self.readers.tick(now);
        self.commands.tick(now);
        self.tend_readers(now);
        if self.life.get().is_running() {
            self.take_commands(now);
        }
        let may_begin = self.life.get().is_running() && self.shared.in_touch();
        let sending = if may_begin { self.send_what_can_be(now, ctx) } else { None };
        let again = self.answer_readers(now).then_some(now);
        self.forget_unread(now);
        self.announce(now);
        let pauses = [
            self.readers.pause_until(),
            self.commands.pauses_until(),
            self.reports.state.waits_until(),
            self.handing.next(!self.readers.are_idle()),
            again,
        ];
        self.wait(sending.into_iter().chain(pauses.into_iter().flatten()).min(), now, ctx);
    }

    /// Sends every request that may begin now. Returns the time at which there will be more to send.
    fn send_what_can_be(&mut self, now: Instant, ctx: &mut Context<Self>) -> Option<Instant> {
        let until = loop {
            if !self.is_wanted() {
                break None;
            }
            self.read(now, ctx);
            let expiry_ms = self.shared.hub.clock().expiry_ms();
            match self.engine.next(expiry_ms) {
                Step::Send(flight) => self.launch(flight),
                Step::WaitUntil(until) => {
                    break Some(now + Duration::from_millis(until.saturating_sub(expiry_ms).max(1)));
                }
                Step::Wait => break None,
            }
        };
        self.expect_completions(ctx);
        until
    }

    /// Waits for the next thing to do. If there is none, the actor stops after a while, or at once if nothing
    /// may begin. It stops only after it has reported everything that the cluster needs.
    fn wait(&mut self, until: Option<Instant>, now: Instant, ctx: &mut Context<Self>) {
        let has_reported = self.reports.state.is_done(self.engine.state().urgency());
        if !self.life.get().is_running() && self.engine.state().in_flight() == 0 && has_reported {
            return ctx.stop();
        }
        if until.is_some() || !self.is_at_rest() {
            self.idle_since = None;
            if let Some(until) = until {
                self.wake_at(until, ctx);
            }
            return;
        }
        let stops = *self.idle_since.get_or_insert(now) + IDLE;
        if stops <= now { ctx.stop() } else { self.wake_at(stops, ctx) }
    }

    fn wake_at(&mut self, until: Instant, ctx: &mut Context<Self>) {
        let pause = until.saturating_duration_since(Instant::now());
        self.timer = Some(ctx.run_later(pause, |actor, ctx| actor.drive(ctx, |actor| actor.timer = None)));
    }

    #[cfg(test)]
    pub(super) fn removals(&self) -> u64 {
        self.held.removals()
    }

    fn is_at_rest(&self) -> bool {
        let quiet = self.reports.state == Reporting::Quiet && self.engine.state().urgency() == Urgency::None;
        let has_work = !self.engine.state().is_idle() || !self.handing.is_idle() || self.is_unread();
        quiet && !has_work && self.readers.are_idle() && self.commands == Commands::Taken
    }
}

impl Actor for WebhookActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX);
        self.drive(ctx, |_| ());
    }

    fn stopped(&mut self, ctx: &mut Self::Context) {
        // An actor that panics is stopped while its stack unwinds. It counts as lost, and the shard finds it.
        if self.life.get() != Life::Retired && !std::thread::panicking() {
            let used = self.engine.state().used(self.shared.hub.clock().expiry_ms());
            self.supervisor.clone().stopped(self.settings.webhook.id, &ctx.address(), used);
        }
    }
}
