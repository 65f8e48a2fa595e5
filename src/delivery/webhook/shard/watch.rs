//! What a shard watches beside the changes that the hub reports: whether the node may act for the cluster,
//! whether an actor was lost, and the shutdown.

use super::Shard;
use crate::core::ids::WebhookId;
use crate::delivery::webhook::actor::Wake;
use crate::delivery::webhook::announce;
use crate::metric;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How often the node checks whether it may act for the cluster.
const LEASE_ROUND: Duration = Duration::from_millis(250);
const REST_PAUSE: Duration = Duration::from_millis(20);

impl Shard {
    /// Watches whether this node is in touch with the cluster, and whether actors were lost.
    pub(in crate::delivery::webhook) async fn watch(self: Rc<Self>) {
        loop {
            let now = self.shared.hub.health().in_touch();
            let before = self.shared.set_in_touch(now);
            if now && !before {
                self.wake_all();
            }
            self.look_for_lost();
            tokio::time::sleep(LEASE_ROUND).await;
        }
    }

    /// Finds actors that were lost to a panic. They had something to do, so they do not wait for the next
    /// change.
    fn look_for_lost(self: &Rc<Self>) {
        let actors = self.actors.borrow();
        let lost: Vec<WebhookId> =
            actors.iter().filter(|(_, running)| !running.actor.connected()).map(|(id, _)| *id).collect();
        drop(actors);
        lost.into_iter().for_each(|id| self.lose(id));
    }

    /// The webhook's actor was lost to a panic. A new one starts after a pause, from the state that the
    /// cluster has.
    pub(super) fn lose(self: &Rc<Self>, id: WebhookId) {
        tracing::error!(webhook = %id, "the webhook's actor panicked; a new one starts after a pause");
        metrics::counter!(metric::ACTORS_LOST, "actor" => "webhook").increment(1);
        self.actors.borrow_mut().remove(&id);
        self.lose_count(id);
        if self.shared.is_leaving(id) {
            self.report_leaving();
        }
        self.rest(id, "its deliveries ended with an error of the server");
    }

    /// The webhook can't be delivered to now, for this reason. It is tried again after a pause; each pause is
    /// longer than the last one.
    pub(super) fn rest(self: &Rc<Self>, id: WebhookId, why: &str) {
        let (pause, number) = self.broken.note(id);
        if self.broken.is_news(id, why) {
            actix_rt::spawn(announce::unusable(self.shared.hub.clone(), id, why.to_owned()));
        }
        let shard = self.clone();
        actix_rt::spawn(async move {
            tokio::time::sleep(pause).await;
            if shard.broken.is_over(id, number) {
                shard.look_at(id);
            }
        });
    }

    /// Begins nothing new, and waits for the requests under way.
    pub(in crate::delivery::webhook) async fn come_to_rest(&self, within: Duration) {
        self.shared.set_resting(true);
        let deadline = Instant::now() + within;
        while !self.shared.permits.all_back() && Instant::now() < deadline {
            tokio::time::sleep(REST_PAUSE).await;
        }
        // The actors need a moment to take in the last answers before they are asked for their reports.
        tokio::time::sleep(REST_PAUSE).await;
    }

    /// Begins deliveries again after [`Shard::come_to_rest`].
    pub(in crate::delivery::webhook) fn go_on(&self) {
        self.shared.set_resting(false);
        self.wake_all();
    }

    fn wake_all(&self) {
        self.actors().iter().for_each(|actor| drop(actor.try_send(Wake)));
    }
}
