//! Tells those who hold connections of users that some of them are to end.
//!
//! A back end ends the connections of a user at all nodes that it reaches. The log tells the others, when
//! they have caught up.

use crate::core::ids::MapId;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Which connections of users are to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Termination {
    /// Those of one user.
    User(MapId, Arc<str>),
    /// This node skipped a part of the log: any user may have been meant.
    Missed,
}

/// Called for each termination.
type Listener = Box<dyn Fn(&Termination) + Send + Sync>;

/// Those who hold connections of users on this node.
#[derive(Default)]
pub(in crate::hub) struct Terminations(Mutex<Vec<Listener>>);

impl Terminations {
    fn lock(&self) -> MutexGuard<'_, Vec<Listener>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn listen(&self, listener: Listener) {
        self.lock().push(listener);
    }

    /// Tells everybody, on the thread that applies the log.
    pub(in crate::hub) fn tell(&self, termination: &Termination) {
        self.lock().iter().for_each(|listener| listener(termination));
    }
}
