//! The state of the protocol on a node.

use super::deliveries::Deliveries;
use super::limits::{Charges, Readings};
use super::open_source::OpenSource;
use crate::config::Config;
use crate::core::ids::SourceId;
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Sources that are kept ready on a node, at most. One more replaces another one.
const MOST_OPEN: usize = 1000;

/// What all workers share.
pub(super) struct Ingest {
    /// What the addresses of sources begin with.
    base: String,
    /// Time between the keep-alives of listeners.
    pub(super) keep_alive: Duration,
    /// The last deliveries.
    pub(super) deliveries: Arc<Deliveries>,
    /// What senders have used up of their limits.
    pub(super) charges: Charges,
    /// The bodies that are being read of senders that are not proved yet.
    pub(super) readings: Readings,
    opened: Mutex<FxHashMap<SourceId, Arc<OpenSource>>>,
}

impl Ingest {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            base: config.base_url(),
            keep_alive: Duration::from_secs(config.session.sse_keepalive_seconds),
            deliveries: Arc::default(),
            charges: Charges::default(),
            readings: Readings::default(),
            opened: Mutex::default(),
        }
    }

    /// The address of a source.
    pub(super) fn url_of(&self, id: SourceId) -> String {
        format!("{}/webhooks/{id}", self.base)
    }

    /// The address to which a request was posted, as its sender knows it.
    pub(super) fn url_at(&self, path_and_query: &str) -> String {
        format!("{}{path_and_query}", self.base)
    }

    pub(super) fn opened(&self) -> MutexGuard<'_, FxHashMap<SourceId, Arc<OpenSource>>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a source ready.
    pub(super) fn keep(&self, open: &Arc<OpenSource>) {
        let mut opened = self.opened();
        let id = open.source.id;
        if opened.len() >= MOST_OPEN && !opened.contains_key(&id) {
            let other = opened.keys().next().copied();
            if let Some(other) = other {
                opened.remove(&other);
            }
        }
        opened.insert(id, open.clone());
    }
}
