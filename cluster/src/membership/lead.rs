//! Hands the lead to another voter, in a way that can be undone.
//!
//! This node keeps new entries out of its log, waits until the other voter has the whole log, and asks it to
//! stand for election. If that voter does not lead in time, new entries are let in again, and nothing has
//! happened. Meanwhile this node leads: it sends its heartbeats, and it answers reads.
//!
//! The engine (openraft 0.10.0-alpha.37) can transfer a lead too, but its transfer has no end. A leader that
//! began one takes no entries and sends no heartbeats for the rest of its term. If the other voter cannot
//! lead, others take over only after an election timeout, and not even then as long as somebody reads, since
//! the appends with which a leader confirms its lead look like heartbeats.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::voters::may_lead;
use crate::NodeId;
use crate::engine::{Engine, Metrics, index};
use crate::error::Refused;
use crate::net::Lane;
use crate::observer::Observer;
use crate::wire::{Answer, Request, StoredLogId, StoredVote};

/// Pause before a voter is asked again to take the lead.
const AGAIN: Duration = Duration::from_millis(20);

/// Gives away the lead of this node.
pub(crate) struct Lead {
    engine: Arc<Engine>,
    observer: Arc<Observer>,
    /// One attempt at a time.
    attempts: Mutex<()>,
}

/// The index of the last entry that a voter is known to have durably.
fn matched(metrics: &Metrics, voter: NodeId) -> u64 {
    let known = metrics.replication.as_ref().and_then(|known| known.get(&voter));
    known.map_or(0, index)
}

impl Lead {
    pub(crate) fn new(engine: Arc<Engine>, observer: Arc<Observer>) -> Arc<Self> {
        Arc::new(Self { engine, observer, attempts: Mutex::default() })
    }

    /// Hands the lead to the most suitable voter that takes it, for at most `limit`; true if this node no
    /// longer leads.
    pub(crate) async fn hand_over(&self, limit: Duration) -> bool {
        let given = timeout(limit, self.give_to_any(limit)).await;
        matches!(given, Ok(Ok(()))) || !self.engine.leads()
    }

    /// Hands the lead to the most suitable voter that takes it, one after another until `limit`.
    pub(super) async fn give_to_any(&self, limit: Duration) -> Result<(), Refused> {
        let deadline = Instant::now() + limit;
        let mut refused = Refused::NoSuccessor;
        let mut tried = BTreeSet::new();
        while self.engine.leads() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(refused);
            }
            let Some(to) = self.best(&tried) else {
                if tried.is_empty() {
                    return Err(Refused::NoSuccessor);
                }
                tried.clear();
                continue;
            };
            tried.insert(to);
            if let Err(why) = self.give(to, left / 2).await {
                self.note(to, &why);
                refused = why;
                // New entries get in between two attempts.
                sleep(self.step().min(left)).await;
            }
        }
        Ok(())
    }

    /// The most suitable voter that was not tried yet. One that was not heard from lately, or is drained, is
    /// chosen only if there is no other.
    fn best(&self, tried: &BTreeSet<NodeId>) -> Option<NodeId> {
        let status = self.observer.describe();
        let others = status.members.iter().filter(|m| m.voter && m.id != self.engine.id());
        let left = others.filter(|m| !tried.contains(&m.id));
        left.max_by_key(|m| (m.reachable, m.drained_ms.is_none(), m.matched)).map(|m| m.id)
    }

    /// The most suitable of `ids` to lead instead of this node.
    pub(crate) fn successor(&self, ids: &[NodeId]) -> Option<NodeId> {
        let status = self.observer.describe();
        let able = status.members.iter().filter(|m| ids.contains(&m.id) && may_lead(&status, m).is_ok());
        able.max_by_key(|m| (m.drained_ms.is_none(), m.matched)).map(|m| m.id)
    }

    /// Hands the lead to voter `to`, which gets `limit` to catch up. If that fails, this node leads on, and
    /// the log says why.
    pub(crate) async fn transfer(&self, to: NodeId, limit: Duration) {
        if let Err(why) = self.give(to, limit).await {
            self.note(to, &why);
        }
    }

    fn note(&self, to: NodeId, why: &Refused) {
        tracing::warn!(to = self.engine.called(to), %why, "the lead was not handed over");
    }

    /// Hands the lead to voter `to`, which gets `limit` to catch up; new entries wait only for the last step.
    /// After [`Refused::Failed`] nobody may lead for a moment; after any other error this node leads on.
    pub(super) async fn give(&self, to: NodeId, limit: Duration) -> Result<(), Refused> {
        let _alone = self.attempts.lock().await;
        if !self.engine.leads() {
            return Ok(());
        }
        self.catch_up(to, Instant::now() + limit).await?;
        self.attempt(to).await
    }

    /// Longest that a voter may take to get what the log holds, and then count as caught up.
    fn step(&self) -> Duration {
        Duration::from_millis(self.engine.config().election_min_ms / 2)
    }

    /// Waits until voter `to` gets, within one step, everything that the log held at the step's beginning.
    async fn catch_up(&self, to: NodeId, deadline: Instant) -> Result<(), Refused> {
        loop {
            let began = Instant::now();
            let goal = self.engine.metrics().last_log_index.unwrap_or(0);
            if !self.until(deadline, |now| matched(now, to) >= goal).await {
                return Err(self.behind(to));
            }
            if began.elapsed() <= self.step() {
                return Ok(());
            }
        }
    }

    /// One attempt. Until it ends, no new entry gets into the log.
    async fn attempt(&self, to: NodeId) -> Result<(), Refused> {
        let until = Instant::now() + 2 * self.step();
        let Ok(_closed) = timeout_at(until, self.engine.gate().close()).await else {
            return Err(Refused::Busy);
        };
        let Ok(Some((from, last))) = timeout_at(until, self.leadership()).await else {
            return Err(Refused::NotTaken(to));
        };
        if !self.until(until, |now| matched(now, to) >= last.index).await {
            return Err(self.behind(to));
        }
        // Who proposed the last entries is answered by this node, if it applies them in time.
        let applied = Instant::now() + self.step();
        self.until(applied, |now| index(&now.last_applied) >= last.index).await;
        tracing::info!(to = self.engine.called(to), last = last.index, "handing the lead over");
        if self.ask(to, &Request::TransferV1 { from, to, last: Some(last) }).await {
            Ok(())
        } else if self.engine.leads() {
            Err(Refused::NotTaken(to))
        } else {
            Err(Refused::Failed)
        }
    }

    /// The vote by which this node leads, and the end of its log; `None` if it does not lead.
    async fn leadership(&self) -> Option<(StoredVote, StoredLogId)> {
        let known = self.engine.raft().with_raft_state(|state| {
            let leads = state.server_state == ServerState::Leader;
            let last = state.log_ids.last().filter(|_| leads)?;
            Some((StoredVote::from(state.vote_ref()), StoredLogId::from(last)))
        });
        known.await.ok().flatten()
    }

    /// Asks voter `to` to stand for election, again until another node leads. False if none does in time.
    async fn ask(&self, to: NodeId, request: &Request) -> bool {
        let mut until = Instant::now() + 2 * self.step();
        let mut stands = false;
        while !self.another_leads() && Instant::now() < until {
            let left = until.saturating_duration_since(Instant::now());
            let asked = tokio::select! {
                asked = self.engine.ask(to, Lane::Pulse, request, left) => asked,
                () = self.another(left) => break,
            };
            if !stands && matches!(asked, Ok(Answer::TransferV1 { accepted: true })) {
                stands = true;
                until = Instant::now() + Duration::from_millis(self.engine.config().election_max_ms);
            }
            self.another(AGAIN).await;
        }
        self.another_leads()
    }

    fn another_leads(&self) -> bool {
        self.engine.leader().is_some_and(|id| id != self.engine.id())
    }

    /// Waits until another node leads, for at most `limit`.
    async fn another(&self, limit: Duration) {
        let another = async {
            while !self.another_leads() {
                self.engine.leader_change(limit).await;
            }
        };
        // The result does not matter.
        let _ = timeout(limit, another).await;
    }

    /// Waits until the engine's metrics say so; false if they do not before `deadline`, or this node no
    /// longer leads.
    async fn until(&self, deadline: Instant, say_so: impl Fn(&Metrics) -> bool) -> bool {
        let mut changes = self.engine.raft().metrics();
        let said = async {
            loop {
                let now = self.engine.metrics();
                if now.state != ServerState::Leader || say_so(&now) {
                    return now.state == ServerState::Leader;
                }
                drop(now);
                if changes.changed().await.is_err() {
                    return false;
                }
            }
        };
        timeout_at(deadline, said).await.unwrap_or(false)
    }

    /// Why voter `to` cannot lead: it lacks entries.
    fn behind(&self, to: NodeId) -> Refused {
        let metrics = self.engine.metrics();
        let entries = metrics.last_log_index.unwrap_or(0).saturating_sub(matched(&metrics, to));
        match entries {
            _ if metrics.state != ServerState::Leader => Refused::NotLeader(metrics.current_leader),
            0 => Refused::NotTaken(to),
            _ => Refused::Behind { node: to, entries },
        }
    }
}
