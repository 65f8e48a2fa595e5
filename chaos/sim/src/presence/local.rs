//! What one simulated process holds of presence, and the task that tells the cluster: as the server does, with
//! the server's own roster.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use machine::core::codec;
use machine::core::command::{Command, Refusal, Reply};
use machine::core::lease::{LeaseBatch, Member};
use machine::core::roster::Roster;
use machine::core::subject::Subject;
use simulated::sim::Process;
use simulated::{Cluster, Flow, ProposeError};
use tokio::time::{Instant, sleep};

use super::{GRACE_MS, map};
use crate::hosts::Hosts;

/// Pause before something is tried again.
const PAUSE: Duration = Duration::from_millis(30);
/// How long one wait for the application of a batch takes.
const APPLY_WAIT: Duration = Duration::from_millis(200);

/// What the users on one process hold.
#[derive(Default)]
pub(crate) struct Held {
    roster: Roster<()>,
    /// When somebody first left: the grace periods count from there.
    began: Option<Instant>,
    /// The memberships of each user.
    pub(super) members: BTreeMap<Member, u32>,
    /// The subscriptions of each subject.
    pub(super) subscriptions: BTreeMap<Subject, u32>,
}

/// What a process hears of incarnations as it applies the log.
pub(super) enum News {
    /// The node is gone.
    Gone(u64),
    /// The node's incarnation began.
    Begun(u64, u64),
    /// A snapshot replaced a part of the log.
    Skipped,
}

/// One process. It lives as long as the process.
#[derive(Default)]
pub(crate) struct Local {
    held: Mutex<Held>,
    heard: Mutex<Vec<News>>,
}

impl Local {
    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn hear(&self, news: News) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).push(news);
    }

    fn news(&self) -> Vec<News> {
        std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether everything is told.
    pub(super) fn is_quiet(&self) -> bool {
        !self.held().roster.has_news()
    }
}

impl Held {
    /// A user joins, or ends a membership with that grace period.
    pub(super) fn join(&mut self, member: &Member) {
        *self.members.entry(member.clone()).or_default() += 1;
        self.roster.join(member, Bytes::new(), None, ());
    }

    pub(super) fn leave(&mut self, member: &Member, grace_ms: u32) {
        if let Some(count) = self.members.get_mut(member) {
            *count -= 1;
        }
        self.members.retain(|_, count| *count > 0);
        let now = self.began.get_or_insert_with(Instant::now).elapsed();
        self.roster.leave(member, grace_ms, now);
    }

    /// A client subscribes, or ends a subscription.
    pub(super) fn occupy(&mut self, subject: &Subject) {
        *self.subscriptions.entry(subject.clone()).or_default() += 1;
        self.roster.occupy(map(), subject);
    }

    pub(super) fn vacate(&mut self, subject: &Subject) {
        if let Some(count) = self.subscriptions.get_mut(subject) {
            *count -= 1;
        }
        self.subscriptions.retain(|_, count| *count > 0);
        self.roster.vacate(map(), subject);
    }
}

/// The present incarnation of a process.
struct Incarnation {
    number: u64,
    /// Its beginning was acknowledged.
    is_told: bool,
    /// Its beginning is applied on this process.
    has_begun: bool,
}

impl Incarnation {
    fn new(hosts: &Hosts) -> Self {
        Self { number: 1 + hosts.world.below(1 << 40), is_told: false, has_begun: false }
    }

    /// Takes in what the process of the node `me` heard. Returns whether another incarnation must follow.
    fn hear(&mut self, me: u64, news: &News) -> bool {
        match news {
            News::Gone(node) => *node == me,
            News::Begun(node, _) if *node != me => false,
            News::Begun(..) if self.has_begun => true,
            News::Begun(_, number) => {
                self.has_begun = *number == self.number;
                false
            }
            // The incarnation may have ended, and begun once more, meanwhile.
            News::Skipped => true,
        }
    }
}

/// Tells the cluster what the process holds, until the process ends.
pub(crate) async fn keep(hosts: Arc<Hosts>, process: Process, node: Cluster, local: Arc<Local>) {
    let me = node.node_id();
    local.held().roster.want(map(), true);
    let mut incarnation = Incarnation::new(&hosts);
    while !process.is_dead() {
        for news in local.news() {
            if incarnation.hear(me, &news) {
                incarnation = Incarnation::new(&hosts);
                local.held().roster.begin_again();
            }
        }
        if !incarnation.is_told {
            let (node_id, number) = (me, incarnation.number);
            let begin = LeaseBatch {
                node: node_id,
                incarnation: number,
                number: 1,
                whole: true,
                changes: Vec::new(),
            };
            incarnation.is_told =
                matches!(propose(&node, &Command::Lease(begin)).await, Ok((Reply::Leased(_), _)));
            if !incarnation.is_told {
                sleep(PAUSE).await;
            }
            continue;
        }
        let batch = local.held().roster.batch(me, incarnation.number, GRACE_MS);
        let Some(batch) = batch else {
            sleep(PAUSE).await;
            continue;
        };
        match propose(&node, &Command::Presence(batch)).await {
            Ok((Reply::Leased(denied), index)) => {
                while !node.wait_applied(index, APPLY_WAIT).await && !process.is_dead() {}
                local.held().roster.settle(&denied);
            }
            Ok((Reply::Refused(Refusal::Stale(_)), _)) | Err(_) => sleep(PAUSE).await,
            Ok((other, _)) => {
                hosts.world.violation(format!("a presence batch was answered with {other:?}"));
                return;
            }
        }
    }
}

/// Proposes a command of Waypost. Returns the reply and its index in the log.
pub(super) async fn propose(node: &Cluster, command: &Command) -> Result<(Reply, u64), ProposeError> {
    let Ok(bytes) = codec::encode(command) else { return Err(ProposeError::Unknown) };
    let proposed = node.propose(Flow::NONE, bytes).await?;
    let reply = codec::decode(&proposed.reply).map_err(|_| ProposeError::Unknown)?;
    Ok((reply, proposed.index))
}
