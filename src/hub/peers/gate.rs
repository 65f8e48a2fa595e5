//! How many requests of one kind there may be at a time.

use super::Kind;
use crate::core::ids::NodeId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use waypost_cluster::RequestLane;

/// The bounds of a kind of request.
#[derive(Clone, Copy, Debug)]
pub struct Lane {
    /// The connection that its requests share with others of their like.
    pub connection: RequestLane,
    /// Requests worked on at a time.
    pub working: usize,
    /// Requests that wait to be worked on.
    pub waiting: usize,
}

impl Lane {
    /// Small requests that are soon answered.
    pub const fn quick(working: usize, waiting: usize) -> Self {
        Self { connection: RequestLane::Quick, working, waiting }
    }

    /// Requests that wait for long or have large bodies.
    pub const fn patient(working: usize, waiting: usize) -> Self {
        Self { connection: RequestLane::Patient, working, waiting }
    }

    /// Requests that there may be at a time.
    pub const fn most(&self) -> usize {
        self.working + self.waiting
    }
}

/// Lets so many requests in, and so many of them at work.
pub(super) struct Gate {
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

/// A request that was let in.
pub(super) struct Entered {
    place: OwnedSemaphorePermit,
    turns: Arc<Semaphore>,
}

impl Gate {
    pub(super) fn new(lane: Lane) -> Self {
        Self { places: Arc::new(Semaphore::new(lane.most())), turns: Arc::new(Semaphore::new(lane.working)) }
    }

    /// `None`: too many, and it is refused at once.
    pub(super) fn enter(&self) -> Option<Entered> {
        let place = self.places.clone().try_acquire_owned().ok()?;
        Some(Entered { place, turns: self.turns.clone() })
    }
}

impl Entered {
    /// Waits for its turn; it ends when what is returned is dropped.
    pub(super) async fn turn(self) -> (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>) {
        // Never closed: there always is a permit in the end.
        let turn = self.turns.acquire_owned().await.ok();
        (self.place, turn)
    }
}

/// What this node has under way to others, by kind and node: one that is silent takes no place from the others.
#[derive(Default)]
pub(super) struct Gates(Mutex<HashMap<(Kind, NodeId), Arc<Semaphore>>>);

impl Gates {
    /// A place for one more request of that kind to `to`; `None` where there is none.
    pub(super) fn enter(&self, kind: Kind, to: NodeId, lane: Lane) -> Option<OwnedSemaphorePermit> {
        let mut gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !gates.contains_key(&(kind, to)) {
            // Nodes come and go: those that nothing is under way to are forgotten.
            gates.retain(|_, gate| Arc::strong_count(gate) > 1);
        }
        let gate = gates.entry((kind, to)).or_insert_with(|| Arc::new(Semaphore::new(lane.most())));
        gate.clone().try_acquire_owned().ok()
    }
}
