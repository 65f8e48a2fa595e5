//! Makes sure that this node knows every revoked token.
//!
//! A revoke is acknowledged when every reachable node has applied it. A node that was out of reach, because
//! it was suspended or not running, must not answer from its old state: it catches up with the leader first.

use super::log::Log;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};
use waypost_cluster::{Cluster, Contact};

/// Longest wait for a leader. A node that finds none is cut off, and uses the state that it has.
const LEADER_WITHIN: Duration = Duration::from_secs(1);
/// Pause between two such waits, so that a node that is cut off goes on serving.
const PAUSE: Duration = Duration::from_secs(1);

/// Tracks whether this node has caught up; cheap to clone.
#[derive(Clone)]
pub(super) struct CaughtUp {
    cluster: Cluster,
    log: Log,
    known: Arc<Mutex<Known>>,
}

/// What this node has made sure of.
#[derive(Clone, Copy, Default)]
struct Known {
    /// The contact in which the node caught up: everything acknowledged since then has reached it.
    contact: Option<Contact>,
    /// When the node last waited for a leader in vain, and in which contact.
    failed: Option<(Instant, Option<Contact>)>,
}

impl CaughtUp {
    pub(super) fn new(cluster: Cluster, log: Log) -> Self {
        Self { cluster, log, known: Arc::default() }
    }

    /// Makes sure that this node has applied every revoke that was acknowledged before this call. If no
    /// leader answers, this node goes by what it knows. The call costs almost nothing while the node is in
    /// contact with the cluster.
    pub(super) async fn ensure(&self) {
        // The contact is read before the barrier: what is acknowledged after the barrier reaches this node in
        // this contact.
        let contact = self.cluster.contact();
        if !self.known().must_wait(contact) {
            return;
        }
        let known = match timeout(LEADER_WITHIN, self.log.barrier()).await {
            Ok(Ok(_)) => Known { contact, failed: None },
            _ => Known { contact: None, failed: Some((Instant::now(), contact)) },
        };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }

    fn known(&self) -> Known {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Whether a request that arrives now, in that contact, has to wait for the leader.
    fn must_wait(self, contact: Option<Contact>) -> bool {
        let is_current = contact.is_some() && self.contact == contact;
        let in_vain = self.failed.is_some_and(|(at, failed)| failed == contact && at.elapsed() < PAUSE);
        !is_current && !in_vain
    }
}
