//! What this node holds in the cluster while it lives: connections of maps with a limit, and its candidacy
//! for webhooks.
//!
//! One task proposes all changes ([`keeper`]). While one batch is under way the next one gathers, so ten
//! thousand joins become a few commands. A caller that takes a connection waits for its batch, unless the
//! cluster can't answer: then this node counts by itself, with what it knows of the others ([`elsewhere`]),
//! and reports that later. The slot of a connection that ends is kept for a moment for the next caller
//! ([`spares`]), and reported after that. Everything belongs to one incarnation, a random number. Another
//! incarnation begins when the cluster considered this node gone, or when the node delivers again.

mod book;
mod count;
mod elsewhere;
mod keeper;
mod spares;
mod standing;

use super::bridge::Bridge;
use super::error::HubError;
use super::log::Log;
use crate::core::command::Command;
use crate::core::ids::{NodeId, WebhookId};
use crate::core::lease::Incarnation;
pub use book::Connection;
use book::{Book, Ends, Of, Wish};
pub use count::CountConnections;
pub(super) use count::serve;
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
    /// Returns the leases and the task that reports them to the cluster. The caller must spawn the task.
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

    /// Counts one more connection; `Err(limit)` if the map has as many in the cluster as it may have.
    pub(super) async fn take(&self, of: Of) -> Result<Connection, u32> {
        if self.bridge.connection_limit(of.0).is_some() {
            let (answer, answered) = oneshot::channel();
            let _ = self.wishes.send(Wish::Take(of, answer));
            // If there is no answer, the node is stopping.
            return answered.await.unwrap_or(Err(0));
        }
        let connection = self.book.grant(of);
        if self.bridge.connection_limit(of.0).is_some() {
            // The map got a limit meanwhile: it is unknown whether this connection was among those that were
            // stated then.
            let _ = self.wishes.send(Wish::StateAll);
        }
        Ok(connection)
    }

    /// Listens for connections that end on this node.
    pub(super) fn ends(&self) -> Ends {
        self.book.ends()
    }

    /// Has the keeper check the candidacy, and waits until it is the wanted one.
    async fn settle_candidacy(&self) {
        let (settled, is_settled) = oneshot::channel();
        let _ = self.wishes.send(Wish::Candidacy(Some(settled)));
        let _ = is_settled.await;
    }

    fn look_at_candidacy(&self) {
        let _ = self.wishes.send(Wish::Candidacy(None));
    }

    /// This node's present incarnation, under which it delivers; 0 before the first one.
    pub fn incarnation(&self) -> Incarnation {
        self.standing.incarnation.load(Ordering::Acquire)
    }

    /// Waits until another incarnation has begun. One caller at a time hears of it.
    pub(super) async fn renewed(&self) {
        self.standing.renewed.notified().await;
    }

    /// Starts this node as one that does not deliver, until [`Leases::deliver_again`].
    pub fn rest_first(&self) {
        self.standing.resting.store(true, Ordering::Release);
        self.look_at_candidacy();
    }

    /// Lets this node deliver again, after [`Leases::rest`].
    pub async fn deliver_again(&self) {
        self.standing.resting.store(false, Ordering::Release);
        match self.standing.candidacy() {
            Candidacy::Wanted => self.settle_candidacy().await,
            Candidacy::Undecided | Candidacy::Unwanted => {}
        }
    }

    /// Lets this node deliver until [`Leases::rest`].
    pub fn deliver_here(&self) {
        self.standing.able.store(true, Ordering::Release);
        self.look_at_candidacy();
    }

    /// Notes that this node can't deliver yet: other nodes take over what an earlier process of it owned.
    pub fn cannot_deliver_yet(&self) {
        self.standing.unable.store(true, Ordering::Release);
        self.look_at_candidacy();
    }

    /// Hands this node's webhooks over to the other nodes. Waits at most `within` until the cluster has taken
    /// the change.
    pub async fn rest(&self, within: Duration) {
        self.standing.resting.store(true, Ordering::Release);
        if tokio::time::timeout(within, self.settle_candidacy()).await.is_err() {
            tracing::warn!("the cluster does not know yet that this node has stopped delivering");
        }
    }

    /// Reports to the cluster that this node has ended its requests to all webhooks that are to leave it,
    /// except those in `but`.
    pub async fn report_handover(&self, but: BTreeSet<WebhookId>) -> Result<(), HubError> {
        self.log.propose(&Command::HandOver(self.node, self.incarnation(), but)).await.map(drop)
    }
}
