//! The task that proposes the changes of this node's leases, one batch after another.
//!
//! A batch whose result is unknown is never repeated in parts. Instead, the node states everything that it
//! holds under a higher number, after which the earlier batch can no longer take effect. Until that succeeds,
//! clients are still served; this node's own count limits them.

#[cfg(test)]
mod tests;

use super::book::{Book, Of, Taker, Wish};
use super::standing::{Candidacy, Standing};
use crate::core::codec::{self, CodecError};
use crate::core::command::{Command, Denied, Refusal, Reply};
use crate::core::lease::{Connections, LeaseBatch, LeaseChange};
use crate::hub::bridge::{Bridge, LeaseNews};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Interval, interval, sleep_until};
use waypost_cluster::{Cluster, ProposeError};

/// Pause before a batch that failed is sent again.
const RETRY_PAUSE: Duration = Duration::from_millis(300);
/// Pause between checks whether a proposed change is applied here.
const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// How often everything that is held is stated: it corrects counts that became wrong for any reason.
const STATE_EVERY: Duration = Duration::from_secs(30);
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

/// What waits for the next batch.
#[derive(Default)]
struct Waiting {
    takers: BTreeMap<Of, Vec<Taker>>,
    given: BTreeMap<Of, u32>,
    candidacy: Vec<oneshot::Sender<()>>,
}

/// Tracks what the cluster knows of this node's leases, and reports the rest.
pub(super) struct Keeper {
    cluster: Cluster,
    bridge: Arc<Bridge>,
    book: Arc<Book>,
    standing: Arc<Standing>,
    waiting: Waiting,
    /// The number of the incarnation's last batch.
    number: u64,
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
        let (waiting, again) = (Waiting::default(), Instant::now());
        let (number, doubt, was_candidate, told, failed_until) = (0, true, false, None, None);
        let mut keeper = Self {
            cluster,
            bridge,
            book,
            standing,
            waiting,
            number,
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
                        self.serve_on();
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
                    self.failed_until = Some(Instant::now() + RETRY_PAUSE);
                    while let Ok(wish) = wishes.try_recv() {
                        self.note(wish);
                    }
                    self.serve_on();
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
        }
    }

    fn note(&mut self, wish: Wish) {
        match wish {
            Wish::Take(of, taker) => self.waiting.takers.entry(of).or_default().push(taker),
            Wish::Give(of) => *self.waiting.given.entry(of).or_default() += 1,
            Wish::Candidacy(settled) => self.waiting.candidacy.extend(settled),
            Wish::StateAll => self.doubt = true,
        }
    }

    fn hear(&mut self, news: &LeaseNews) {
        match news {
            LeaseNews::NodeGone(node) if *node == self.cluster.node_id() => self.renew(),
            // The connections that a map had before it got a limit count from now on.
            LeaseNews::Limit(map) if map.limits.connections.is_some() && self.book.of_map(map.id) > 0 => {
                self.doubt = true;
            }
            LeaseNews::Reset => self.doubt = true,
            // The loop checks the candidacy.
            LeaseNews::Owners | LeaseNews::NodeGone(_) | LeaseNews::Limit(_) => {}
        }
    }

    /// Begins another incarnation, which has to state what it holds.
    fn renew(&mut self) {
        let incarnation = getrandom::u64().unwrap_or_else(|_| crate::clock::now_ms()).max(1);
        self.standing.incarnation.store(incarnation, Ordering::Release);
        (self.number, self.doubt, self.was_candidate, self.told) = (0, true, false, None);
    }

    fn has_work(&self) -> bool {
        let candidacy = self.candidacy_change().is_some() && self.again <= Instant::now();
        self.doubt || candidacy || !self.waiting.takers.is_empty() || !self.waiting.given.is_empty()
    }

    /// The incarnation under which this node is a candidate, as far as it has applied the log.
    fn known_as(&self) -> Option<u64> {
        self.bridge.webhooks().owners().nodes.get(&self.cluster.node_id()).copied()
    }

    /// A reported change stays pending until it is applied here, with or without effect. A node that is
    /// catching up may take long for that, and nothing waits for it.
    fn look_at_candidacy(&mut self) {
        let known = self.known_as();
        // The cluster may know of the candidacy although the answer was lost.
        self.was_candidate |= known == Some(self.incarnation());
        let Some((change, index)) = &self.told else { return };
        let is_effective = match change {
            LeaseChange::Deliver => known == Some(self.incarnation()),
            _ => known.is_none(),
        };
        if is_effective || *index <= self.cluster.applied() {
            self.told = None;
        } else {
            self.again = self.again.max(Instant::now() + LOOK_PAUSE);
        }
    }

    /// The change that makes the candidacy the wanted one, as far as this node knows.
    fn candidacy_change(&self) -> Option<LeaseChange> {
        let told = self.told.as_ref().map(|(change, _)| change);
        let (known, delivers) = (self.known_as(), told == Some(&LeaseChange::Deliver));
        match self.standing.candidacy() {
            Candidacy::Wanted if told.is_none() && known == Some(self.incarnation()) => None,
            Candidacy::Wanted if delivers => None,
            Candidacy::Wanted => Some(LeaseChange::Deliver),
            Candidacy::Unwanted if delivers || (told.is_none() && known.is_some()) => Some(LeaseChange::Rest),
            Candidacy::Undecided | Candidacy::Unwanted => None,
        }
    }

    fn answer_candidacy(&mut self) {
        if self.told.is_none() && self.candidacy_change().is_none() {
            for settled in self.waiting.candidacy.drain(..) {
                let _ = settled.send(());
            }
        }
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
        if self.doubt { self.state_all(wishes).await } else { self.state_changes().await }
    }

    /// States everything that this node holds.
    async fn state_all(&mut self, wishes: &mut mpsc::UnboundedReceiver<Wish>) -> Result<(), Failed> {
        let mut queued = Vec::new();
        let held = self.book.all(|| queued.extend(std::iter::from_fn(|| wishes.try_recv().ok())));
        queued.into_iter().for_each(|wish| self.note(wish));
        // The counts in `held` already lack these connections.
        self.waiting.given.clear();
        let held = self
            .limited(held)
            .into_iter()
            .map(|((map, token), count)| LeaseChange::Hold(Connections { map, token, count }));
        let changes: Vec<LeaseChange> = self.candidacy_change().into_iter().chain(held).collect();
        self.doubt = false;
        let first = changes.len().min(MOST_CHANGES);
        self.propose(true, changes[..first].to_vec()).await?;
        for more in changes[first..].chunks(MOST_CHANGES) {
            self.propose(false, more.to_vec()).await?;
        }
        Ok(())
    }

    /// Reports what has changed, and answers the callers that take connections.
    async fn state_changes(&mut self) -> Result<(), Failed> {
        let mut changes: Vec<LeaseChange> = Vec::new();
        if self.again <= Instant::now() {
            changes.extend(self.candidacy_change());
        }
        while changes.len() < MOST_CHANGES
            && let Some(((map, token), count)) = self.waiting.given.pop_first()
        {
            if self.bridge.connection_limit(map).is_some() {
                changes.push(LeaseChange::Give(Connections { map, token, count }));
            }
        }
        let first = changes.len() as u32;
        let mut takers = Vec::new();
        while changes.len() < MOST_CHANGES
            && let Some(((map, token), mut those)) = self.waiting.takers.pop_first()
        {
            // A caller that stopped waiting is not counted.
            those.retain(|taker| !taker.is_closed());
            if !those.is_empty() {
                changes.push(LeaseChange::Take(Connections { map, token, count: those.len() as u32 }));
                takers.push(((map, token), those));
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        match self.propose(false, changes).await {
            Ok(denied) => {
                self.answer(first, takers, &denied);
                Ok(())
            }
            Err(error) => {
                self.waiting.takers.extend(takers);
                Err(error)
            }
        }
    }

    /// Answers the callers of each request in order: the first ones get the granted connections.
    fn answer(&self, first: u32, takers: Vec<(Of, Vec<Taker>)>, denied: &[Denied]) {
        for (place, (of, takers)) in (first..).zip(takers) {
            let granted = match denied.iter().find(|denied| denied.index == place) {
                Some(Denied { granted, why: Refusal::Limit(limit), .. }) => Some((*granted as usize, *limit)),
                // Connections to a deleted map are closed elsewhere.
                Some(_) | None => None,
            };
            for (nth, taker) in takers.into_iter().enumerate() {
                let answer = match granted {
                    Some((granted, limit)) if nth >= granted => Err(limit),
                    _ => Ok(self.book.grant(of)),
                };
                // If the caller stopped waiting, this drops the connection and thereby gives it back.
                drop(taker.send(answer));
            }
        }
    }

    /// The cluster can't be asked: this node's own count limits its clients until the cluster answers again.
    fn serve_on(&mut self) {
        for (of, takers) in std::mem::take(&mut self.waiting.takers) {
            let limit = self.bridge.connection_limit(of.0);
            for taker in takers {
                let own = self.book.of_map(of.0);
                let answer = match limit.filter(|limit| own >= *limit) {
                    Some(limit) => Err(limit),
                    None => Ok(self.book.grant(of)),
                };
                drop(taker.send(answer));
            }
        }
    }

    fn limited(&self, held: Vec<(Of, u32)>) -> Vec<(Of, u32)> {
        held.into_iter().filter(|((map, _), _)| self.bridge.connection_limit(*map).is_some()).collect()
    }

    /// Proposes one batch. Returns the changes that were denied.
    async fn propose(&mut self, whole: bool, changes: Vec<LeaseChange>) -> Result<Vec<Denied>, Failed> {
        self.number += 1;
        let told = changes
            .first()
            .filter(|first| matches!(first, LeaseChange::Deliver | LeaseChange::Rest))
            .cloned();
        let (node, incarnation, number) = (self.cluster.node_id(), self.incarnation(), self.number);
        let command = Command::Lease(LeaseBatch { node, incarnation, number, whole, changes });
        let proposed = self.cluster.propose(codec::encode(&command)?).await?;
        let denied = match codec::decode(&proposed.reply)? {
            Reply::Leased(denied) => denied,
            Reply::Refused(Refusal::Stale(_)) => return Err(Failed::Ended),
            other => {
                tracing::error!(?other, "a batch of leases got an unexpected answer");
                return Err(Failed::Propose(ProposeError::Unknown));
            }
        };
        if let Some(change) = told {
            // If the change had no effect, because the arrival of another node is still in progress, it is
            // tried again.
            self.again = Instant::now() + RETRY_PAUSE;
            // The node may be a candidate for a moment before it rests.
            self.was_candidate |= change == LeaseChange::Rest;
            self.told = Some((change, proposed.index));
        }
        Ok(denied)
    }
}
