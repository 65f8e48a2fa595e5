//! What this node holds in the cluster while it lives: connections of maps with a limit, and its candidacy for webhooks.
//!
//! One task proposes all changes ([`keeper`]): while one batch is under way the next gathers, so ten thousand joins are a
//! few commands. Whoever takes a connection waits for its batch; what is given back is told behind. All of it belongs to
//! one incarnation, a random number: another one begins when the cluster took this node for gone, or it delivers again.

mod book;
mod keeper;

use super::bridge::Bridge;
use super::{Hub, HubError};
use crate::core::command::Command;
use crate::core::ids::{EndpointId, MapId, TokenId};
use crate::core::lease::Incarnation;
use book::Book;
pub use book::Connection;
use keeper::{Keeper, Wish};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use waypost_cluster::Cluster;

/// Connections of a map by a token; `None`: the admin's.
type Of = (MapId, Option<TokenId>);

/// The node's leases.
pub(super) struct Leases {
    wishes: mpsc::UnboundedSender<Wish>,
    bridge: Arc<Bridge>,
    book: Arc<Book>,
    standing: Arc<Standing>,
}

/// What others see of the keeper, and what it shall do about webhooks.
#[derive(Debug, Default)]
struct Standing {
    incarnation: AtomicU64,
    /// The node can open webhooks.
    able: AtomicBool,
    /// It can't yet: others shall have what an earlier process owned.
    unable: AtomicBool,
    /// It shall own none, able or not.
    resting: AtomicBool,
}

/// Whether the node is to be a candidate for webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Candidacy {
    /// Not known yet: what an earlier process was stays.
    Undecided,
    Wanted,
    Unwanted,
}

impl Standing {
    fn candidacy(&self) -> Candidacy {
        let is = |flag: &AtomicBool| flag.load(Ordering::Acquire);
        match (is(&self.able), is(&self.resting)) {
            (_, true) => Candidacy::Unwanted,
            (true, false) => Candidacy::Wanted,
            (false, false) if is(&self.unable) => Candidacy::Unwanted,
            (false, false) => Candidacy::Undecided,
        }
    }
}

impl Leases {
    pub(super) fn start(cluster: Cluster, bridge: Arc<Bridge>) -> Self {
        let (wishes, wished) = mpsc::unbounded_channel();
        let (news, lease_news) = mpsc::unbounded_channel();
        bridge.attach_leases(news);
        let book = Arc::new(Book::new(wishes.clone()));
        let standing = Arc::new(Standing::default());
        let keeper = Keeper::new(cluster, bridge.clone(), book.clone(), standing.clone());
        actix_rt::spawn(keeper.run(wished, lease_news));
        Self { wishes, bridge, book, standing }
    }

    fn incarnation(&self) -> Incarnation {
        self.standing.incarnation.load(Ordering::Acquire)
    }

    /// Counts one more connection; `Err(limit)` when the cluster has as many as the map may have.
    async fn take(&self, of: Of) -> Result<Connection, u32> {
        if limit_of(&self.bridge, of.0).is_some() {
            let (answer, answered) = oneshot::channel();
            let _ = self.wishes.send(Wish::Take(of, answer));
            // Without an answer the node is stopping.
            return answered.await.unwrap_or(Err(0));
        }
        let connection = self.book.grant(of);
        if limit_of(&self.bridge, of.0).is_some() {
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
}

fn limit_of(bridge: &Bridge, map: MapId) -> Option<u32> {
    bridge.access().map(map).and_then(|map| map.limits.connections)
}

impl Hub {
    /// Counts one more connection of the map, opened by that token (`None`: the admin's); `Err(limit)` when the cluster
    /// has as many as the map may have.
    pub async fn take_connection(&self, map: MapId, token: Option<TokenId>) -> Result<Connection, u32> {
        self.0.leases.take((map, token)).await
    }

    /// This node's present incarnation, under which it delivers. 0 before the first.
    pub fn incarnation(&self) -> Incarnation {
        self.0.leases.incarnation()
    }

    /// This node begins as one that delivers nothing, until [`Hub::deliver_again`].
    pub fn rest_first(&self) {
        self.0.leases.standing.resting.store(true, Ordering::Release);
        self.0.leases.look_at_candidacy();
    }

    /// Makes this node one that delivers again, after [`Hub::rest`].
    pub async fn deliver_again(&self) {
        let leases = &self.0.leases;
        leases.standing.resting.store(false, Ordering::Release);
        match leases.standing.candidacy() {
            Candidacy::Wanted => leases.settle_candidacy().await,
            Candidacy::Undecided | Candidacy::Unwanted => {}
        }
    }

    /// Makes this node one that delivers, and keeps it so until [`Hub::rest`].
    pub fn deliver_here(&self) {
        self.0.leases.standing.able.store(true, Ordering::Release);
        self.0.leases.look_at_candidacy();
    }

    /// This node can't deliver yet: others shall have what an earlier process of it owned.
    pub fn cannot_deliver_yet(&self) {
        self.0.leases.standing.unable.store(true, Ordering::Release);
        self.0.leases.look_at_candidacy();
    }

    /// Gives this node's webhooks to the others, as far as the cluster can be told within `within`.
    pub async fn rest(&self, within: Duration) {
        self.0.leases.standing.resting.store(true, Ordering::Release);
        if tokio::time::timeout(within, self.0.leases.settle_candidacy()).await.is_err() {
            tracing::warn!("the cluster could not be told that this node delivers no more");
        }
    }

    /// Tells the cluster that this node has ended its requests to all webhooks that are to leave it, but for these.
    pub async fn let_go(&self, but: BTreeSet<EndpointId>) -> Result<(), HubError> {
        self.propose(&Command::HandOver(self.node_id(), self.incarnation(), but)).await.map(drop)
    }
}
