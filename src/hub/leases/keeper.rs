//! The task that proposes the changes of this node's leases, one batch after another.
//!
//! A batch whose result is unknown is never repeated in parts. Instead, the node states everything that it
//! holds under a higher number, after which the earlier batch can no longer take effect. Until that succeeds,
//! clients are still served ([`clients`]): none waits for a cluster that can't answer.

mod batches;
mod candidacy;
mod clients;
#[cfg(test)]
mod tests;

use super::book::{Book, Of, Taker, Wish};
use super::elsewhere::Elsewhere;
use super::spares::Spares;
use super::standing::Standing;
use crate::core::access::Map;
use crate::core::codec::CodecError;
use crate::core::ids::MapId;
use crate::core::lease::LeaseChange;
use crate::hub::bridge::{Bridge, LeaseNews};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Interval, interval, sleep_until};
use waypost_cluster::{Cluster, ProposeError};

/// Pause before a batch that failed is sent again.
const RETRY_PAUSE: Duration = Duration::from_millis(300);
/// Pause between checks whether a proposed change is applied here, and whether the cluster can answer.
const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// A batch that has no answer for so long has none in time: clients do not wait for it any longer.
const PATIENCE: Duration = Duration::from_secs(1);
/// A node that hears of no leader for so long does not ask. One that stood still hears of its leader sooner.
const SILENCE: Duration = Duration::from_millis(300);
/// How often everything that is held is stated: it corrects counts that became wrong for any reason.
const STATE_EVERY: Duration = Duration::from_secs(30);
/// A connection that ends is kept for this long at least, and for twice as long at most, so that a newcomer
/// can use its slot.
const SPARE_TURN: Duration = Duration::from_millis(200);
/// Most changes of one batch; each has about 40 bytes.
const MOST_CHANGES: usize = 8192;

/// Why a batch was not carried out.
#[derive(Debug, thiserror::Error)]
enum Failed {
    /// The incarnation is not the node's present one: the cluster considered the node gone.
    #[error("the incarnation has ended")]
    Ended,
    /// It is unknown whether the batch was carried out.
    #[error(transparent)]
    Propose(#[from] ProposeError),
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// Who waits for an answer of the cluster.
#[derive(Default)]
struct Waiting {
    /// Callers for whom the next batch asks.
    takers: BTreeMap<Of, Vec<Taker>>,
    /// Callers for whom the batch under way asks.
    asked: Vec<Asked>,
    candidacy: Vec<oneshot::Sender<()>>,
}

/// Callers for whom one change of a batch asks.
struct Asked {
    /// The position of the change in the batch.
    index: u32,
    of: Of,
    takers: Vec<Taker>,
}

/// Tracks what the cluster knows of this node's leases, and reports the rest.
pub(super) struct Keeper {
    cluster: Cluster,
    bridge: Arc<Bridge>,
    book: Arc<Book>,
    standing: Arc<Standing>,
    waiting: Waiting,
    /// Slots of connections that ended a moment ago.
    spares: Spares,
    /// When their turn ends.
    turn_ends: Instant,
    /// Maps that may have more connections than their limit allows, so that their slots are not used again.
    /// When the cluster grants a connection, the map has no more.
    over: BTreeSet<MapId>,
    /// The cluster has not answered the last batch in time: clients do not wait for it.
    is_unanswered: bool,
    /// Since when this node hears of no leader, as far as the keeper has looked.
    silent_since: Option<Instant>,
    /// What other nodes hold.
    elsewhere: Elsewhere,
    /// The number of the incarnation's last batch.
    number: u64,
    /// The beginning of the incarnation is applied here.
    has_begun: bool,
    /// The cluster may not know what this node holds, so everything must be stated.
    doubt: bool,
    /// The node was a candidate in this incarnation.
    was_candidate: bool,
    /// The last reported change of the candidacy, until it is applied here, and its index in the log.
    told: Option<(LeaseChange, u64)>,
    /// When the candidacy is checked again.
    again: Instant,
    /// If the last batch failed: when the next one is tried.
    failed_until: Option<Instant>,
}

/// A keeper with its two queues; runs as long as the node.
pub(in crate::hub) struct Task {
    keeper: Keeper,
    wishes: mpsc::UnboundedReceiver<Wish>,
    news: mpsc::UnboundedReceiver<LeaseNews>,
}

impl Task {
    pub(super) fn new(
        keeper: Keeper,
        wishes: mpsc::UnboundedReceiver<Wish>,
        news: mpsc::UnboundedReceiver<LeaseNews>,
    ) -> Self {
        Self { keeper, wishes, news }
    }

    pub(in crate::hub) async fn run(self) {
        self.keeper.run(self.wishes, self.news).await;
    }
}

impl Keeper {
    pub(super) fn new(
        cluster: Cluster,
        bridge: Arc<Bridge>,
        book: Arc<Book>,
        standing: Arc<Standing>,
    ) -> Self {
        let (waiting, spares, over, elsewhere) = Default::default();
        let again = Instant::now();
        let turn_ends = Instant::now();
        let is_unanswered = false;
        let silent_since = None;
        let number = 0;
        let has_begun = false;
        let doubt = true;
        let was_candidate = false;
        let told = None;
        let failed_until = None;
        let mut keeper = Self {
            cluster,
            bridge,
            book,
            standing,
            waiting,
            spares,
            turn_ends,
            over,
            is_unanswered,
            silent_since,
            elsewhere,
            number,
            has_begun,
            doubt,
            was_candidate,
            told,
            again,
            failed_until,
        };
        keeper.renew();
        keeper
    }

    async fn run(
        mut self,
        mut wishes: mpsc::UnboundedReceiver<Wish>,
        mut news: mpsc::UnboundedReceiver<LeaseNews>,
    ) {
        let mut routine = interval(STATE_EVERY);
        loop {
            while let Ok(wish) = wishes.try_recv() {
                self.note(wish);
            }
            while let Ok(news) = news.try_recv() {
                self.hear(&news);
            }
            self.look_at_candidacy();
            self.answer_candidacy();
            self.end_turn();
            self.serve_if_cut_off();
            if !self.has_work() {
                self.wait(&mut wishes, &mut news, &mut routine).await;
                continue;
            }
            if let Some(until) = self.failed_until {
                // Clients do not wait for the pause.
                tokio::select! {
                    () = sleep_until(until) => self.failed_until = None,
                    Some(wish) = wishes.recv() => {
                        self.note(wish);
                        continue;
                    }
                }
            }
            match self.round(&mut wishes).await {
                Ok(()) => {}
                Err(Failed::Propose(ProposeError::Stopping)) => return,
                Err(Failed::Ended) => self.renew(),
                Err(error) => {
                    tracing::debug!(%error, "this node's leases can't be reported to the cluster yet");
                    self.doubt = true;
                    self.is_unanswered = true;
                    self.failed_until = Some(Instant::now() + RETRY_PAUSE);
                }
            }
        }
    }

    async fn wait(
        &mut self,
        wishes: &mut mpsc::UnboundedReceiver<Wish>,
        news: &mut mpsc::UnboundedReceiver<LeaseNews>,
        routine: &mut Interval,
    ) {
        let candidacy = self.told.is_some() || self.candidacy_change().is_some();
        tokio::select! {
            Some(wish) = wishes.recv() => self.note(wish),
            Some(news) = news.recv() => self.hear(&news),
            _ = routine.tick() => self.doubt |= !self.limited(self.book.all(|| {})).is_empty(),
            () = sleep_until(self.again), if candidacy => {}
            () = sleep_until(self.turn_ends), if !self.spares.are_none() => {}
        }
    }

    fn note(&mut self, wish: Wish) {
        match wish {
            Wish::Take(of, taker) => self.take(of, taker),
            Wish::Give(of) if self.bridge.connection_limit(of.0).is_none() => {}
            Wish::Give(of) if self.over.contains(&of.0) => self.spares.give_back(of),
            Wish::Give(of) => self.spares.put(of),
            Wish::Candidacy(settled) => self.waiting.candidacy.extend(settled),
            Wish::StateAll => self.doubt = true,
        }
    }

    /// Lets slots that nobody used go back to the cluster.
    fn end_turn(&mut self) {
        if self.turn_ends <= Instant::now() {
            self.turn_ends = Instant::now() + SPARE_TURN;
            self.spares.turn();
        }
    }

    fn hear(&mut self, news: &LeaseNews) {
        match news {
            LeaseNews::NodeGone(node) if *node == self.cluster.node_id() => self.renew(),
            LeaseNews::Begun(node, incarnation) if *node == self.cluster.node_id() => {
                self.hear_begun(*incarnation);
            }
            LeaseNews::Limit(map) => self.hear_limit(map),
            // In the skipped part of the log the incarnation may have ended, and begun once more.
            LeaseNews::Skipped => self.renew(),
            // The loop checks the candidacy.
            LeaseNews::Owners | LeaseNews::NodeGone(_) | LeaseNews::Begun(..) => {}
        }
    }

    /// An incarnation of this node began. After the present one has, any beginning ends what it holds: a
    /// batch of an earlier process arrived late, or everything was stated after the cluster considered the
    /// node gone.
    fn hear_begun(&mut self, incarnation: u64) {
        if self.has_begun {
            self.renew();
        } else {
            self.has_begun = incarnation == self.incarnation();
        }
    }

    /// A map has another limit. The connections that it had before it got one count from now on.
    fn hear_limit(&mut self, map: &Map) {
        let has_some = self.book.of_map(map.id) > 0;
        let had_spares = self.spares.forget(map.id);
        self.doubt |= map.limits.connections.is_some() && (has_some || had_spares);
        if has_some {
            self.over.insert(map.id);
        }
    }

    /// Begins another incarnation, which has to state what it holds.
    fn renew(&mut self) {
        let incarnation = getrandom::u64().unwrap_or_else(|_| crate::clock::now_ms()).max(1);
        self.standing.incarnation.store(incarnation, Ordering::Release);
        self.standing.renewed.notify_one();
        self.number = 0;
        self.has_begun = false;
        self.doubt = true;
        self.was_candidate = false;
        self.told = None;
    }

    fn has_work(&self) -> bool {
        let candidacy = self.candidacy_change().is_some() && self.again <= Instant::now();
        self.doubt || candidacy || !self.waiting.takers.is_empty() || self.spares.are_due()
    }

    fn incarnation(&self) -> u64 {
        self.standing.incarnation.load(Ordering::Acquire)
    }

    async fn round(&mut self, wishes: &mut mpsc::UnboundedReceiver<Wish>) -> Result<(), Failed> {
        // A node that ceased to be a candidate may have lost its webhooks to others for a while, so what it
        // knew of them is no longer valid. A new incarnation tells all nodes so.
        if self.was_candidate && self.candidacy_change() == Some(LeaseChange::Deliver) {
            self.renew();
        }
        if self.doubt { self.state_all(wishes).await } else { self.state_changes(wishes).await }
    }
}
