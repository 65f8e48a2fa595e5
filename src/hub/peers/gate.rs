//! Limits how many requests of one kind there may be at a time.

use super::Kind;
use crate::core::ids::NodeId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use waypost_cluster::RequestLane;

/// The limits of a kind of request.
#[derive(Clone, Copy, Debug)]
pub struct Lane {
    /// The connection that its requests share with other kinds.
    pub connection: RequestLane,
    /// Most requests that are worked on at a time.
    pub working: usize,
    /// Most requests that wait to be worked on.
    pub waiting: usize,
}

impl Lane {
    /// A lane for small requests that are answered soon.
    pub const fn quick(working: usize, waiting: usize) -> Self {
        Self { connection: RequestLane::Quick, working, waiting }
    }

    /// A lane for requests that wait long or have large bodies.
    pub const fn patient(working: usize, waiting: usize) -> Self {
        Self { connection: RequestLane::Patient, working, waiting }
    }

    /// A lane for requests of clients that one node passes on to another.
    pub const fn relay(working: usize, waiting: usize) -> Self {
        Self { connection: RequestLane::Relay, working, waiting }
    }

    /// A lane for requests of clients that one node passes on to another, with large answers.
    pub const fn large(working: usize, waiting: usize) -> Self {
        Self { connection: RequestLane::Large, working, waiting }
    }

    /// Most requests that there may be at a time.
    pub const fn most(&self) -> usize {
        self.working + self.waiting
    }
}

/// Admits a limited number of requests, of which a smaller number is worked on at a time.
pub(super) struct Gate {
    slots: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

/// A request that was admitted. Its slot is free again when this is dropped.
pub(super) struct Entered {
    slot: OwnedSemaphorePermit,
    turns: Arc<Semaphore>,
}

impl Gate {
    pub(super) fn new(lane: Lane) -> Self {
        Self { slots: Arc::new(Semaphore::new(lane.most())), turns: Arc::new(Semaphore::new(lane.working)) }
    }

    /// Admits a request. `None`: there are too many, and the request is refused at once.
    pub(super) fn enter(&self) -> Option<Entered> {
        let slot = self.slots.clone().try_acquire_owned().ok()?;
        Some(Entered { slot, turns: self.turns.clone() })
    }
}

impl Entered {
    /// Waits until the request may be worked on. The work has ended when the returned permits are dropped.
    pub(super) async fn turn(self) -> (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>) {
        // The semaphore is never closed, so this always gets a permit in the end.
        let turn = self.turns.acquire_owned().await.ok();
        (self.slot, turn)
    }
}

/// The requests from this node to others, counted by kind and node, so that a silent node uses up no slots of
/// the others.
#[derive(Default)]
pub(super) struct Gates(Mutex<HashMap<(Kind, NodeId), Arc<Semaphore>>>);

impl Gates {
    /// Takes a slot for one more request of that kind to `to`; `None` if there is none.
    pub(super) fn enter(&self, kind: Kind, to: NodeId, lane: Lane) -> Option<OwnedSemaphorePermit> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !gates.contains_key(&(kind, to)) {
            // Nodes come and go: gates without requests under way are removed.
            gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        }
        let gate = gates.entry((kind, to)).or_insert_with(|| Arc::new(Semaphore::new(lane.most())));
        gate.clone().try_acquire_owned().ok()
    }
}
