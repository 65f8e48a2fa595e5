//! The callers at the peer port: those that have not identified themselves yet, and the slots of the others.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{AbortHandle, JoinSet};

use super::GUESTS;
use crate::net::Lane;
use crate::net::caller::{Caller, Standing};
use crate::net::stream::{Reader, Writer};
use crate::os::here;

/// The permits of connections.
#[derive(Clone)]
pub(super) struct Slots {
    peers: Arc<Semaphore>,
    guests: Arc<Semaphore>,
}

impl Slots {
    pub(super) fn new(peers: usize) -> Self {
        Self { peers: Arc::new(Semaphore::new(peers)), guests: Arc::new(Semaphore::new(GUESTS)) }
    }

    /// Takes a permit for a caller of that standing.
    pub(super) fn take(&self, standing: Standing) -> Result<OwnedSemaphorePermit, String> {
        let slots = if standing.id().is_some() { &self.peers } else { &self.guests };
        let full = |_| "this node has as many connections of peers as it may have".to_owned();
        slots.clone().try_acquire_owned().map_err(full)
    }
}

/// A caller that was admitted, and its permit.
pub(super) struct Known<T> {
    pub(super) from: SocketAddr,
    pub(super) read: Reader,
    pub(super) write: Writer,
    pub(super) caller: Caller,
    pub(super) lane: Lane,
    pub(super) session: T,
    pub(super) _slot: OwnedSemaphorePermit,
}

/// Callers that have not identified themselves yet.
pub(super) struct Callers<T> {
    pub(super) shaking: JoinSet<Result<Known<T>, (SocketAddr, io::Error)>>,
    /// The oldest is first.
    order: VecDeque<AbortHandle>,
}

impl<T> Default for Callers<T> {
    fn default() -> Self {
        Self { shaking: JoinSet::new(), order: VecDeque::new() }
    }
}

impl<T: Send + 'static> Callers<T> {
    pub(super) fn add(
        &mut self,
        shake: impl Future<Output = Result<Known<T>, (SocketAddr, io::Error)>> + Send + 'static,
    ) {
        self.order.push_back(self.shaking.spawn(here(shake)));
    }

    /// Closes the oldest callers until there are fewer than `most`; returns whether that was necessary.
    pub(super) fn make_room(&mut self, most: usize) -> bool {
        self.order.retain(|caller| !caller.is_finished());
        let room = self.order.len() < most;
        while self.order.len() >= most
            && let Some(oldest) = self.order.pop_front()
        {
            oldest.abort();
        }
        !room
    }
}
