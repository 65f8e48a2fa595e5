//! What this node holds in the cluster while it lives: connections of maps with a limit, and its candidacy for webhooks.
//!
//! One task proposes all changes ([`keeper`]): while one batch is under way the next gathers, so ten thousand joins are a
//! few commands. Whoever takes a connection waits for its batch; what is given back is told behind. All of it belongs to
//! one incarnation, a random number: another one begins when the cluster took this node for gone, or it delivers again.

mod book;
mod keeper;
mod standing;

use super::bridge::Bridge;
use super::error::HubError;
use super::log::Log;
use crate::core::command::Command;
use crate::core::ids::{NodeId, WebhookId};
use crate::core::lease::Incarnation;
pub use book::Connection;
use book::{Book, Of, Wish};
use keeper::Keeper;
pub(super) use keeper::Task;
use standing::{Candidacy, Standing};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use waypost_cluster::Cluster;

/// The node's leases; cheap to clone.
#[derive(Clone)]
pub struct Leases {
    node: NodeId,
    log: Log,
    wishes: mpsc::UnboundedSender<Wish>,
    bridge: Arc<Bridge>,
    book: Arc<Book>,
    standing: Arc<Standing>,
}

impl Leases {
    /// The task is to be spawned: it tells the cluster what this node holds.
    pub(super) fn new(cluster: Cluster, log: Log, bridge: Arc<Bridge>) -> (Self, Task) {
        let (wishes, wished) = mpsc::unbounded_channel();
        let (news, lease_news) = mpsc::unbounded_channel();
        bridge.attach_leases(news);
        let book = Arc::new(Book::new(wishes.clone()));
        let standing = Arc::new(Standing::default());
        let node = cluster.node_id();
        let keeper = Keeper::new(cluster, bridge.clone(), book.clone(), standing.clone());
        (Self { node, log, wishes, bridge, book, standing }, Task::new(keeper, wished, lease_news))
    }

    /// Counts one more connection; `Err(limit)` when the cluster has as many as the map may have.
    pub(super) async fn take(&self, of: Of) -> Result<Connection, u32> {
        if self.bridge.connection_limit(of.0).is_some() {
            let (answer, answered) = oneshot::channel();
            let _ = self.wishes.send(Wish::Take(of, answer));
            // Without an answer the node is stopping.
            return answered.await.unwrap_or(Err(0));
        }
        let connection = self.book.grant(of);
        if self.bridge.connection_limit(of.0).is_some() {
            // The limit came meanwhile: whether this one was among those that were stated then is not known.
            let _ = self.wishes.send(Wish::StateAll);
        }
        Ok(connection)
    }

    /// Has the keeper look at the candidacy, and waits until it is as wanted.
    async fn settle_candidacy(&self) {
        let (settled, is_settled) = oneshot::channel();
        let _ = self.wishes.send(Wish::Candidacy(Some(settled)));
        let _ = is_settled.await;
    }

    fn look_at_candidacy(&self) {
        let _ = self.wishes.send(Wish::Candidacy(None));
    }

    /// This node's present incarnation, under which it delivers. 0 before the first.
    pub fn incarnation(&self) -> Incarnation {
        self.standing.incarnation.load(Ordering::Acquire)
    }

    /// This node begins as one that delivers nothing, until [`Leases::deliver_again`].
    pub fn rest_first(&self) {
        self.standing.resting.store(true, Ordering::Release);
        self.look_at_candidacy();
    }

    /// Makes this node one that delivers again, after [`Leases::rest`].
    pub async fn deliver_again(&self) {
        self.standing.resting.store(false, Ordering::Release);
        match self.standing.candidacy() {
            Candidacy::Wanted => self.settle_candidacy().await,
            Candidacy::Undecided | Candidacy::Unwanted => {}
        }
    }

    /// Makes this node one that delivers, and keeps it so until [`Leases::rest`].
    pub fn deliver_here(&self) {
        self.standing.able.store(true, Ordering::Release);
        self.look_at_candidacy();
    }

    /// This node can't deliver yet: others shall have what an earlier process of it owned.
    pub fn cannot_deliver_yet(&self) {
        self.standing.unable.store(true, Ordering::Release);
        self.look_at_candidacy();
    }

    /// Gives this node's webhooks to the others, as far as the cluster can be told within `within`.
    pub async fn rest(&self, within: Duration) {
        self.standing.resting.store(true, Ordering::Release);
        if tokio::time::timeout(within, self.settle_candidacy()).await.is_err() {
            tracing::warn!("the cluster could not be told that this node delivers no more");
        }
    }

    /// Tells the cluster that this node has ended its requests to all webhooks that are to leave it, but for these.
    pub async fn let_go(&self, but: BTreeSet<WebhookId>) -> Result<(), HubError> {
        self.log.propose(&Command::HandOver(self.node, self.incarnation(), but)).await.map(drop)
    }
}
