//! Whether this node knows of every token that was revoked.
//!
//! A revoke is acknowledged when every node in reach has applied it. A node that was out of reach, because it stood still
//! or was not running, must not answer by what it knew before: it catches up with the leader first.

use super::Hub;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};
use waypost_cluster::Contact;

/// Longest wait for a leader. A node that finds none is cut off, and goes by what it knows.
const LEADER_WITHIN: Duration = Duration::from_secs(1);
/// Pause between two such waits, so that a node that is cut off goes on serving.
const PAUSE: Duration = Duration::from_secs(1);

/// What this node has made sure of.
#[derive(Default)]
pub(super) struct CaughtUp(Mutex<Known>);

#[derive(Clone, Copy, Default)]
struct Known {
    /// The contact in which it caught up: what was acknowledged since has reached it.
    contact: Option<Contact>,
    /// When it last waited for a leader in vain, and in which contact.
    failed: Option<(Instant, Option<Contact>)>,
}

impl CaughtUp {
    /// Whether a request that comes now, in that contact, has to wait for the leader.
    fn must_wait(&self, contact: Option<Contact>) -> bool {
        let known = self.known();
        let is_current = contact.is_some() && known.contact == contact;
        let in_vain = known.failed.is_some_and(|(at, failed)| failed == contact && at.elapsed() < PAUSE);
        !is_current && !in_vain
    }

    fn known(&self) -> Known {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, known: Known) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = known;
    }
}

impl Hub {
    /// Makes sure that this node has applied every revoke that was acknowledged before this call. Where no leader can be
    /// asked, what is known here must do. Costs next to nothing for as long as the node is in contact with the cluster.
    pub async fn know_revokes(&self) {
        // Taken first: what is acknowledged after the barrier reaches this node in this contact.
        let contact = self.0.cluster.contact();
        if !self.0.caught_up.must_wait(contact) {
            return;
        }
        let known = match timeout(LEADER_WITHIN, self.barrier()).await {
            Ok(Ok(_)) => Known { contact, failed: None },
            _ => Known { contact: None, failed: Some((Instant::now(), contact)) },
        };
        self.0.caught_up.set(known);
    }
}
