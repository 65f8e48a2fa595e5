//! Keeps new entries out of a leader's log while the lead is handed over.

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Whoever appends to this node's log as its leader passes the gate first. While the gate is closed nobody
/// passes; closing it waits for those who have passed and have not yet handed their entry to the engine.
#[derive(Default)]
pub(crate) struct Gate(RwLock<()>);

/// The right to append, held until the engine has the entry.
pub(crate) type Pass<'g> = RwLockReadGuard<'g, ()>;
/// Keeps the gate closed.
pub(crate) type Closed<'g> = RwLockWriteGuard<'g, ()>;

impl Gate {
    /// Passes at once; `None` while the gate is closed or about to be.
    pub(crate) fn try_pass(&self) -> Option<Pass<'_>> {
        self.0.try_read().ok()
    }

    /// Waits while the gate is closed.
    pub(crate) async fn pass(&self) -> Pass<'_> {
        self.0.read().await
    }

    /// Closes the gate until the result is dropped.
    pub(crate) async fn close(&self) -> Closed<'_> {
        self.0.write().await
    }
}

#[cfg(all(test, not(feature = "sim")))]
#[allow(clippy::unwrap_used)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn nobody_passes_a_closed_gate_and_closing_waits_for_those_who_have_passed() {
        let gate = Gate::default();
        let first = gate.try_pass().unwrap();
        let mut closing = Box::pin(gate.close());
        assert!(closing.as_mut().now_or_never().is_none(), "one has passed");
        assert!(gate.try_pass().is_none(), "the gate is about to be closed");
        drop(first);
        let closed = closing.await;
        assert!(gate.try_pass().is_none() && gate.pass().now_or_never().is_none());
        drop(closed);
        assert!(gate.try_pass().is_some());
    }

    #[tokio::test]
    async fn who_gives_up_closing_leaves_the_gate_open() {
        let gate = Gate::default();
        let passed = gate.pass().await;
        let mut closing = Box::pin(gate.close());
        assert!(closing.as_mut().now_or_never().is_none());
        drop(closing);
        assert!(gate.try_pass().is_some());
        drop(passed);
    }
}
