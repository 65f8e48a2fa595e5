//! The batches that tell the cluster what this node holds.

use super::{Asked, Failed, Keeper, LOOK_PAUSE, MOST_CHANGES, PATIENCE, RETRY_PAUSE};
use crate::core::codec;
use crate::core::command::{Command, Denied, Refusal, Reply};
use crate::core::lease::{Connections, LeaseBatch, LeaseChange};
use crate::hub::leases::book::{Of, Wish};
use std::pin::pin;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use waypost_cluster::{Flow, ProposeError, Proposed};

impl Keeper {
    /// States everything that this node holds.
    pub(super) async fn state_all(
        &mut self,
        wishes: &mut mpsc::UnboundedReceiver<Wish>,
    ) -> Result<(), Failed> {
        let mut queued = Vec::new();
        let held = self.book.all(|| queued.extend(std::iter::from_fn(|| wishes.try_recv().ok())));
        // The counts in `held` lack the connections that ended, and the cluster forgets them by this
        // statement.
        queued.into_iter().for_each(|wish| self.note(wish));
        self.spares.clear();
        self.over.retain(|map| self.bridge.connection_limit(*map).is_some());
        let held = self
            .limited(held)
            .into_iter()
            .map(|((map, token), count)| LeaseChange::Hold(Connections { map, token, count }));
        let changes: Vec<LeaseChange> = self.candidacy_change().into_iter().chain(held).collect();
        self.doubt = false;
        let first = changes.len().min(MOST_CHANGES);
        self.propose(wishes, true, changes[..first].to_vec()).await?;
        for more in changes[first..].chunks(MOST_CHANGES) {
            self.propose(wishes, false, more.to_vec()).await?;
        }
        Ok(())
    }

    /// Reports what has changed, and answers the callers that take connections.
    pub(super) async fn state_changes(
        &mut self,
        wishes: &mut mpsc::UnboundedReceiver<Wish>,
    ) -> Result<(), Failed> {
        let mut changes: Vec<LeaseChange> = Vec::new();
        if self.again <= Instant::now() {
            changes.extend(self.candidacy_change());
        }
        let most = MOST_CHANGES - changes.len();
        changes.extend(self.spares.changes(most, |map| self.bridge.connection_limit(map).is_some()));
        while changes.len() < MOST_CHANGES
            && let Some((of, mut takers)) = self.waiting.takers.pop_first()
        {
            // A caller that stopped waiting is not counted.
            takers.retain(|taker| !taker.is_closed());
            if !takers.is_empty() {
                let (map, token) = of;
                let index = changes.len() as u32;
                changes.push(LeaseChange::Take(Connections { map, token, count: takers.len() as u32 }));
                self.waiting.asked.push(Asked { index, of, takers });
            }
        }
        if changes.is_empty() {
            return Ok(());
        }
        let answer = self.propose(wishes, false, changes).await;
        let asked = std::mem::take(&mut self.waiting.asked);
        match answer {
            Ok(denied) => {
                self.answer(asked, &denied);
                Ok(())
            }
            Err(error) => {
                self.ask_again(asked);
                Err(error)
            }
        }
    }

    pub(super) fn limited(&self, held: Vec<(Of, u32)>) -> Vec<(Of, u32)> {
        held.into_iter().filter(|((map, _), _)| self.bridge.connection_limit(*map).is_some()).collect()
    }

    /// Proposes one batch. Returns the changes that were denied.
    async fn propose(
        &mut self,
        wishes: &mut mpsc::UnboundedReceiver<Wish>,
        whole: bool,
        changes: Vec<LeaseChange>,
    ) -> Result<Vec<Denied>, Failed> {
        self.number += 1;
        let told = changes
            .first()
            .filter(|first| matches!(first, LeaseChange::Deliver | LeaseChange::Rest))
            .cloned();
        let node = self.cluster.node_id();
        let incarnation = self.incarnation();
        let number = self.number;
        let command =
            codec::encode(&Command::Lease(LeaseBatch { node, incarnation, number, whole, changes }))?;
        let cluster = self.cluster.clone();
        let proposed = self.answer_to(cluster.propose(Flow::NONE, command), wishes).await?;
        self.is_unanswered = false;
        self.silent_since = None;
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

    /// Awaits the answer to a batch. Meanwhile it notes what clients wish, and serves them if the answer does
    /// not come in time.
    pub(super) async fn answer_to(
        &mut self,
        batch: impl Future<Output = Result<Proposed, ProposeError>>,
        wishes: &mut mpsc::UnboundedReceiver<Wish>,
    ) -> Result<Proposed, ProposeError> {
        let mut batch = pin!(batch);
        let patience = Instant::now() + PATIENCE;
        loop {
            self.is_unanswered |= patience <= Instant::now();
            self.serve_if_cut_off();
            tokio::select! {
                answer = &mut batch => return answer,
                Some(wish) = wishes.recv() => self.note(wish),
                () = sleep(LOOK_PAUSE), if self.waiting.has_clients() => {}
            }
        }
    }
}
