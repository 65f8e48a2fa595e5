//! The state that all actors of one thread share.

use super::client::{Client, Outside};
use super::config::WebhookConfig;
use super::metrics::Meters;
use super::permits::Permits;
use super::report_queue::ReportQueue;
use super::sender::{BadWebhook, Sender};
use super::source::Source;
use crate::core::consumer::ownership::Owners;
use crate::core::ids::{NodeId, WebhookId};
use crate::core::webhook::{Private, Webhook};
use crate::delivery::seldom::Seldom;
use crate::hub::{Encryption, Hub};
use std::cell::{Cell, RefCell};
use std::sync::Arc;

/// A thread's tools, and its knowledge of which node owns which webhook. Lives as long as the thread.
pub(super) struct Shared {
    pub(super) hub: Hub,
    pub(super) config: Arc<WebhookConfig>,
    pub(super) encryption: Arc<Encryption>,
    pub(super) outside: Outside,
    pub(super) client: Client,
    pub(super) source: Source,
    pub(super) permits: Permits,
    templates: Permits,
    pub(super) report_queue: ReportQueue,
    pub(super) meters: Meters,
    number: usize,
    owners: RefCell<Owners>,
    /// The incarnation under which this node owns webhooks; 0 while it owns none.
    incarnation: Cell<u64>,
    in_touch: Cell<bool>,
    /// Counts the loans to readers. No number is used twice in an incarnation of the node.
    loans: Cell<u64>,
    resting: Cell<bool>,
    /// The lines of the log about webhooks that begin to fail. Many may do so at once.
    failing: Seldom,
}

impl Shared {
    /// `permits` are those for requests, and those to render templates.
    pub(super) fn new(
        number: usize,
        hub: Hub,
        config: Arc<WebhookConfig>,
        encryption: Arc<Encryption>,
        outside: Outside,
        (permits, templates): (Permits, Permits),
    ) -> Self {
        Self {
            client: Client::new(&outside),
            source: Source::new(hub.archive().with_backlog()),
            report_queue: ReportQueue::default(),
            meters: Meters::new(),
            owners: RefCell::default(),
            incarnation: Cell::new(0),
            in_touch: Cell::new(false),
            loans: Cell::new(0),
            resting: Cell::new(false),
            failing: Seldom::default(),
            number,
            hub,
            config,
            encryption,
            outside,
            permits,
            templates,
        }
    }

    /// The sender of a webhook with these settings.
    ///
    /// # Errors
    /// If this node can't use the settings.
    pub(super) fn sender(&self, webhook: Arc<Webhook>, private: Private) -> Result<Sender, BadWebhook> {
        Sender::new(webhook, private, self.outside.guard(), &self.config.aws, self.templates.clone())
    }

    /// The number of this thread, from 0.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// Takes in one change of owners. Returns whether the incarnation under which the node owns webhooks
    /// changed.
    pub(super) fn change_owners(&self, owners: &Owners) -> bool {
        *self.owners.borrow_mut() = owners.clone();
        let known = owners.nodes.get(&self.hub.node_id()).copied();
        let incarnation = known.filter(|known| *known == self.hub.leases().incarnation()).unwrap_or(0);
        self.incarnation.replace(incarnation) != incarnation
    }

    /// Whether this node owns the webhook in its present incarnation, and the webhook belongs to this thread.
    pub(super) fn is_mine(&self, id: WebhookId) -> bool {
        self.incarnation.get() != 0
            && usize::from(id.as_bytes()[15]) % self.config.workers == self.number
            && self.owners.borrow().owner_of(id) == Some(self.hub.node_id())
    }

    /// Whether the webhook is to move to another node: no request begins for it here any more.
    pub(super) fn is_leaving(&self, id: WebhookId) -> bool {
        self.owners.borrow().is_leaving(id, self.hub.node_id())
    }

    /// The first epoch of the handover in progress, if there is one.
    pub(super) fn handover(&self) -> Option<u64> {
        self.owners.borrow().handover.as_ref().map(|handover| handover.began)
    }

    /// Node, incarnation and epoch under which reports are made.
    pub(super) fn ownership(&self) -> (NodeId, u64, u64) {
        (self.hub.node_id(), self.incarnation.get(), self.owners.borrow().epoch)
    }

    /// The number of the next loan to a reader, on this thread.
    pub(super) fn number_loan(&self) -> u64 {
        self.loans.set(self.loans.get() + 1);
        self.loans.get()
    }

    /// Whether this node may deliver. A node that is cut off stops before another node begins to deliver.
    pub(super) fn in_touch(&self) -> bool {
        self.in_touch.get() && !self.resting.get()
    }

    /// Sets whether the node is in touch with the cluster. Returns whether it was before.
    pub(super) fn set_in_touch(&self, in_touch: bool) -> bool {
        self.in_touch.replace(in_touch)
    }

    /// Tells the log that the webhook has begun to fail: its receiver has failed several times in a row, the last
    /// time with this error.
    pub(super) fn begins_to_fail(&self, webhook: &Webhook, error: &str) {
        let Some(others) = self.failing.turn(self.hub.clock().expiry_ms() / 1000) else { return };
        let Webhook { id, map, host, .. } = webhook;
        tracing::info!(webhook = %id, %map, host, error, others, "the receiver of a webhook fails again and again");
    }

    /// Sets whether the thread rests. While it rests, nothing begins.
    pub(super) fn set_resting(&self, resting: bool) {
        self.resting.set(resting);
    }
}
