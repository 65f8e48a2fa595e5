//! Whether this node knows of every token that was revoked.
//!
//! A revoke is acknowledged when every node in reach has applied it. A node that was out of reach, because it stood still
//! or was not running, must not answer by what it knew before: it catches up with the leader first.

use super::log::Log;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};
use waypost_cluster::{Cluster, Contact};

/// Longest wait for a leader. A node that finds none is cut off, and goes by what it knows.
const LEADER_WITHIN: Duration = Duration::from_secs(1);
/// Pause between two such waits, so that a node that is cut off goes on serving.
const PAUSE: Duration = Duration::from_secs(1);

/// Whether this node has caught up; cheap to clone.
#[derive(Clone)]
pub(super) struct CaughtUp {
    cluster: Cluster,
    log: Log,
    known: Arc<Mutex<Known>>,
}

/// What this node has made sure of.
#[derive(Clone, Copy, Default)]
struct Known {
    /// The contact in which it caught up: what was acknowledged since has reached it.
    contact: Option<Contact>,
    /// When it last waited for a leader in vain, and in which contact.
    failed: Option<(Instant, Option<Contact>)>,
}

impl CaughtUp {
    pub(super) fn new(cluster: Cluster, log: Log) -> Self {
        Self { cluster, log, known: Arc::default() }
    }

    /// Makes sure that this node has applied every revoke that was acknowledged before this call. Where no leader can be
    /// asked, what is known here must do. Costs next to nothing for as long as the node is in contact with the cluster.
    pub(super) async fn ensure(&self) {
        // Taken first: what is acknowledged after the barrier reaches this node in this contact.
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
    /// Whether a request that comes now, in that contact, has to wait for the leader.
    fn must_wait(self, contact: Option<Contact>) -> bool {
        let is_current = contact.is_some() && self.contact == contact;
        let in_vain = self.failed.is_some_and(|(at, failed)| failed == contact && at.elapsed() < PAUSE);
        !is_current && !in_vain
    }
}
