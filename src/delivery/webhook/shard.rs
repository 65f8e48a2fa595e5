//! One thread's share of the webhooks that this node owns.
//!
//! Owns their actors. It starts an actor when its webhook has something to do, wakes the actor when there is
//! more, and retires it when another node owns the webhook. A webhook that has nothing to do costs one entry
//! in an index.

mod broken;
mod idle;
mod readers;
mod used_rates;
mod watch;

use super::actor::{Changed, Removed, Retire, Supervisor, Wake, WebhookActor};
use super::announce;
use super::handover::Leaving;
use super::shared::Shared;
use crate::core::consumer::ownership::Owners;
use crate::core::consumer::used::Used;
use crate::core::ids::{TopicId, WebhookId};
use crate::core::webhook::Webhook;
use crate::hub::{News, Watch, WebhookState};
use crate::metric;
use actix::{Actor, Addr};
use broken::Broken;
use idle::Idle;
use rustc_hash::{FxHashMap, FxHashSet};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use used_rates::UsedRates;

/// Webhooks that are looked at before other work has its turn on the thread.
const AT_ONCE: usize = 16;

/// An actor, and the `born` value of its webhook. A webhook that was deleted and created again under the same
/// id has another one.
struct Running {
    actor: Addr<WebhookActor>,
    born: u64,
}

/// The webhooks and actors of one thread. Lives as long as the thread.
pub(super) struct Shard {
    pub(super) shared: Rc<Shared>,
    actors: RefCell<FxHashMap<WebhookId, Running>>,
    /// Active webhooks, by the topic that they read.
    topics: RefCell<FxHashMap<TopicId, FxHashSet<WebhookId>>>,
    owned: RefCell<FxHashMap<WebhookId, TopicId>>,
    leaving: Leaving,
    broken: Broken,
    idle: Idle,
    used_rates: UsedRates,
}

impl Shard {
    pub(super) fn new(shared: Shared, leaving: Leaving) -> Rc<Self> {
        Rc::new(Self {
            shared: Rc::new(shared),
            actors: RefCell::default(),
            topics: RefCell::default(),
            owned: RefCell::default(),
            broken: Broken::default(),
            idle: Idle::default(),
            used_rates: UsedRates::default(),
            leaving,
        })
    }

    /// Follows the changes that the hub reports, as long as the node runs. `again`: an earlier run of this
    /// task panicked.
    pub(super) async fn run(self: Rc<Self>, watch: Watch, again: bool) {
        if again {
            self.start_over().await;
        }
        loop {
            let news = watch.next().await;
            self.take_in(news).await;
        }
    }

    /// Starts the actors of idle webhooks that have something to do, one in each turn on the thread, as long as
    /// the node runs.
    pub(super) async fn start_idle(self: Rc<Self>) {
        loop {
            self.idle.some().await;
            while let Some(id) = self.idle.next() {
                self.look_at(id);
                tokio::task::yield_now().await;
            }
        }
    }

    /// Retires all actors, and starts again from the state that the cluster has.
    pub(super) async fn start_over(self: &Rc<Self>) {
        self.take_in(News { all: true, ..News::default() }).await;
    }

    async fn take_in(self: &Rc<Self>, news: News) {
        for owners in &news.owners {
            self.change_owners(owners);
        }
        if news.all {
            self.retire_all();
            let owners = self.shared.hub.webhooks().directory().owners().clone();
            self.change_owners(&owners);
        }
        if news.all || !news.owners.is_empty() {
            self.look_at_all().await;
        }
        if news.all || !news.owners.is_empty() {
            self.report_leaving();
        }
        for (webhook, events) in news.lost.into_iter().filter(|(webhook, _)| self.shared.is_mine(*webhook)) {
            announce::lost(webhook, events);
        }
        let some_changed = !news.webhooks.is_empty();
        for webhook in news.webhooks {
            self.broken.wake(webhook);
            self.look_at(webhook);
        }
        if some_changed {
            // A webhook that was to leave may have been deleted.
            self.report_leaving();
        }
        for stream in news.removed {
            self.shared.source.forget(stream);
            self.read_anew(stream);
        }
        for topic in news.topics {
            self.wake_topic(topic);
            tokio::task::yield_now().await;
        }
    }

    /// Takes in one change of owners. If this node lost a webhook, even for a moment, it drops all that it
    /// knew of it.
    fn change_owners(&self, owners: &Owners) {
        let is_another = self.shared.change_owners(owners);
        if is_another && !crate::failpoint!("stale-owner") {
            self.retire_all();
        }
        let lost: Vec<WebhookId> =
            self.owned.borrow().keys().copied().filter(|id| !self.shared.is_mine(*id)).collect();
        let lost = lost.into_iter().filter(|_| !crate::failpoint!("stale-owner"));
        lost.for_each(|id| self.disown(id));
    }

    async fn look_at_all(self: &Rc<Self>) {
        let mine: Vec<WebhookId> = {
            let directory = self.shared.hub.webhooks().directory();
            directory.all().map(|webhook| webhook.id).filter(|id| self.shared.is_mine(*id)).collect()
        };
        for some in mine.chunks(AT_ONCE) {
            some.iter().for_each(|id| self.look_at_owned(*id));
            tokio::task::yield_now().await;
        }
        metrics::gauge!(metric::WEBHOOKS_OWNED, "shard" => self.shared.number().to_string())
            .set(self.owned.borrow().len() as f64);
    }

    /// Looks at a webhook after a change of owners. If this thread did not have it, it may have been another
    /// owner's until now; a new webhook comes without a change of owners.
    fn look_at_owned(self: &Rc<Self>, id: WebhookId) {
        if !self.owned.borrow().contains_key(&id) {
            self.lose_count(id);
        }
        self.look_at(id);
    }

    /// Nobody here knows how many requests the webhook has had lately: those of another owner, or of an actor
    /// that was lost.
    fn lose_count(&self, id: WebhookId) {
        let webhook = self.shared.hub.webhooks().directory().get(id).cloned();
        let used = match webhook.and_then(|webhook| webhook.rate) {
            Some(_) => Used::Unknown { until_ms: self.shared.hub.clock().expiry_ms() },
            None => Used::Nothing,
        };
        self.used_rates.keep(id, used);
    }

    /// Follows a change: the webhook may have been created, changed, or deleted, or it may have a new owner
    /// command.
    fn look_at(self: &Rc<Self>, id: WebhookId) {
        let webhook = self.shared.hub.webhooks().directory().get(id).cloned();
        let Some(webhook) = webhook.filter(|_| self.shared.is_mine(id)) else { return self.disown(id) };
        let Some(topic) = self.shared.hub.access().known().map(webhook.map).map(|map| map.topic) else {
            return self.disown(id);
        };
        if self.actors.borrow().get(&id).is_some_and(|running| running.born != webhook.born) {
            // The webhook was deleted and created again: the known state is that of the earlier one.
            self.disown(id);
        }
        self.owned.borrow_mut().insert(id, topic);
        if webhook.active {
            self.topics.borrow_mut().entry(topic).or_default().insert(id);
        } else {
            self.forget_topic(id, topic);
        }
        if self.is_running(id) {
            self.actors.borrow().get(&id).into_iter().for_each(|running| running.actor.do_send(Changed));
        } else if webhook.active && self.has_work(id, topic) {
            self.start(&webhook, topic);
        }
    }

    /// Reports which of the webhooks that are to leave still have an actor here.
    pub(super) fn report_leaving(&self) {
        let Some(began) = self.shared.handover() else { return };
        let actors = self.actors.borrow();
        let left = actors
            .keys()
            .copied()
            .filter(|id| self.shared.is_mine(*id) && self.shared.is_leaving(*id))
            .collect();
        self.leaving.set(self.shared.number(), began, left);
    }

    fn has_work(&self, id: WebhookId, topic: TopicId) -> bool {
        let head_seq = match self.shared.source.archive().read_now(topic, u64::MAX, 0, 0) {
            Ok(page) => page.head_seq,
            Err(_) => return true,
        };
        match self.shared.hub.webhooks().state(id) {
            Ok(Some(WebhookState { progress, commands, .. })) => {
                !commands.is_empty() || !progress.is_idle(head_seq)
            }
            Ok(None) => false,
            Err(_) => true,
        }
    }

    /// Wakes the running actors at once; the others start one by one.
    fn wake_topic(self: &Rc<Self>, topic: TopicId) {
        let webhooks: Vec<WebhookId> = match self.topics.borrow().get(&topic) {
            Some(webhooks) => webhooks.iter().copied().collect(),
            None => return,
        };
        let (running, idle): (Vec<_>, Vec<_>) = webhooks.into_iter().partition(|id| self.is_running(*id));
        running.into_iter().for_each(|id| self.wake(id));
        self.idle.add(idle.into_iter());
    }

    /// Stored events of the stream were deleted: actors must read its events again before they send them.
    fn read_anew(&self, stream: TopicId) {
        let owned = self.owned.borrow();
        let actors = self.actors.borrow();
        for (_, running) in actors.iter().filter(|(id, _)| owned.get(*id) == Some(&stream)) {
            running.actor.do_send(Removed);
        }
    }

    /// Whether the webhook has a running actor. An actor that was lost to a panic does not count.
    fn is_running(self: &Rc<Self>, id: WebhookId) -> bool {
        let lost = match self.actors.borrow().get(&id) {
            Some(running) => !running.actor.connected(),
            None => return false,
        };
        if lost {
            self.lose(id);
        }
        !lost
    }

    fn start(self: &Rc<Self>, webhook: &Arc<Webhook>, topic: TopicId) {
        if self.broken.rests(webhook.id) || self.shared.is_leaving(webhook.id) {
            return;
        }
        let used = self.used_rates.of(webhook.id);
        match WebhookActor::load(self.shared.clone(), self.clone(), webhook.clone(), topic, &used) {
            Ok(Some(actor)) => {
                let running = Running { actor: actor.start(), born: webhook.born };
                self.actors.borrow_mut().insert(webhook.id, running);
                self.broken.works(webhook.id);
            }
            Ok(None) => {}
            Err(error) => {
                tracing::error!(webhook = %webhook.id, %error, "the webhook's actor can't start; trying again");
                // A later try may succeed: the node may have another key by then, or the store may be
                // readable again.
                self.rest(webhook.id, &error.to_string());
            }
        }
    }

    /// The running actors: those of webhooks that have had something to do lately.
    pub(super) fn actors(&self) -> Vec<Addr<WebhookActor>> {
        self.actors.borrow().values().map(|running| running.actor.clone()).collect()
    }

    /// The webhook's actor, if the webhook has had something to do lately.
    pub(super) fn actor(&self, id: WebhookId) -> Option<Addr<WebhookActor>> {
        self.actors.borrow().get(&id).map(|running| running.actor.clone())
    }

    /// Whether this thread still has the webhook, and has had it without a break since that actor began.
    pub(super) fn is_its_actor(&self, id: WebhookId, actor: &Addr<WebhookActor>) -> bool {
        self.owned.borrow().contains_key(&id) && self.has_actor(id, actor)
    }

    fn has_actor(&self, id: WebhookId, actor: &Addr<WebhookActor>) -> bool {
        self.actors.borrow().get(&id).is_some_and(|running| running.actor == *actor)
    }

    /// Wakes the actor. A full mailbox refuses the message, but then a message that wakes the actor waits
    /// already.
    fn wake(&self, id: WebhookId) {
        if let Some(running) = self.actors.borrow().get(&id) {
            let _ = running.actor.try_send(Wake);
        }
    }

    fn disown(&self, id: WebhookId) {
        self.broken.forget(id);
        self.used_rates.forget(id);
        if let Some(topic) = self.owned.borrow_mut().remove(&id) {
            self.forget_topic(id, topic);
        }
        if let Some(running) = self.actors.borrow_mut().remove(&id) {
            running.actor.do_send(Retire);
        }
    }

    fn forget_topic(&self, id: WebhookId, topic: TopicId) {
        let mut topics = self.topics.borrow_mut();
        if let Some(webhooks) = topics.get_mut(&topic) {
            webhooks.remove(&id);
            if webhooks.is_empty() {
                topics.remove(&topic);
                self.shared.source.forget(topic);
            }
        }
    }

    fn retire_all(&self) {
        let owned: Vec<WebhookId> = self.owned.borrow().keys().copied().collect();
        owned.into_iter().for_each(|id| self.disown(id));
    }
}

impl Supervisor for Shard {
    /// Removes the actor, and looks for changes that it missed.
    fn stopped(self: Rc<Self>, id: WebhookId, actor: &Addr<WebhookActor>, used: Used) {
        if self.has_actor(id, actor) {
            self.used_rates.keep(id, used);
            self.actors.borrow_mut().remove(&id);
            if self.shared.is_leaving(id) {
                self.report_leaving();
            }
            self.look_at(id);
        }
    }
}
