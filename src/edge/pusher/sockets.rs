//! How many sockets of each app this node has.

use crate::core::ids::TokenId;
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The sockets of this node by app.
#[derive(Default)]
pub(super) struct AppSockets(Mutex<FxHashMap<TokenId, u64>>);

/// A socket that counts for its app until this is dropped.
pub(super) struct CountedSocket {
    sockets: Arc<AppSockets>,
    app: TokenId,
}

impl AppSockets {
    fn lock(&self) -> MutexGuard<'_, FxHashMap<TokenId, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more socket of the app.
    pub(super) fn add(self: &Arc<Self>, app: TokenId) -> CountedSocket {
        *self.lock().entry(app).or_default() += 1;
        CountedSocket { sockets: self.clone(), app }
    }

    /// The sockets of the app.
    pub(super) fn of(&self, app: TokenId) -> u64 {
        self.lock().get(&app).copied().unwrap_or_default()
    }
}

impl Drop for CountedSocket {
    fn drop(&mut self) {
        let mut sockets = self.sockets.lock();
        if let Some(count) = sockets.get_mut(&self.app) {
            *count -= 1;
            if *count == 0 {
                sockets.remove(&self.app);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_counted_by_app_and_forgotten() {
        let sockets = Arc::new(AppSockets::default());
        let [one, two] = [TokenId::from_bytes([1; 16]), TokenId::from_bytes([2; 16])];
        let held = [one, one, two].map(|app| sockets.add(app));
        assert_eq!((sockets.of(one), sockets.of(two)), (2, 1));
        drop(held);
        assert!(sockets.lock().is_empty());
    }
}
