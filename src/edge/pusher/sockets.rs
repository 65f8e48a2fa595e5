//! How many sockets of each app this node has, and how many the other nodes had when they last told.

use crate::core::ids::{NodeId, TokenId};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The sockets by app.
#[derive(Default)]
pub(super) struct AppSockets(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    /// On this node.
    here: FxHashMap<TokenId, u64>,
    /// What the other nodes told last, where it was not 0.
    elsewhere: FxHashMap<TokenId, BTreeMap<NodeId, u64>>,
}

/// What is heard of another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It has so many sockets.
    Told(u64),
    /// It has none: its process has ended, or the cluster has given it up.
    Gone,
    /// Nothing. It has as many as it told last.
    Nothing,
}

/// A socket that counts for its app until this is dropped.
pub(super) struct CountedSocket {
    sockets: Arc<AppSockets>,
    app: TokenId,
}

impl AppSockets {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more socket of the app.
    pub(super) fn add(self: &Arc<Self>, app: TokenId) -> CountedSocket {
        *self.lock().here.entry(app).or_default() += 1;
        CountedSocket { sockets: self.clone(), app }
    }

    /// The sockets of the app on this node.
    pub(super) fn of(&self, app: TokenId) -> u64 {
        self.lock().here.get(&app).copied().unwrap_or_default()
    }

    /// The sockets of the app on all nodes, after what is heard of the others now. `known` is the number of
    /// apps that there are: when more are kept, those are forgotten that `is_known` does not find.
    pub(super) fn everywhere(
        &self,
        app: TokenId,
        heard: impl IntoIterator<Item = (NodeId, Heard)>,
        (known, is_known): (usize, impl Fn(TokenId) -> bool),
    ) -> u64 {
        let mut counts = self.lock();
        let before = counts.elsewhere.remove(&app).unwrap_or_default();
        let told = |(node, heard): (NodeId, Heard)| match heard {
            Heard::Told(count) => (node, count),
            Heard::Gone => (node, 0),
            Heard::Nothing => (node, before.get(&node).copied().unwrap_or_default()),
        };
        let now: BTreeMap<NodeId, u64> =
            heard.into_iter().map(told).filter(|(_, count)| *count > 0).collect();
        let elsewhere: u64 = now.values().sum();
        if !now.is_empty() {
            counts.elsewhere.insert(app, now);
            if counts.elsewhere.len() > known {
                counts.elsewhere.retain(|app, _| is_known(*app));
            }
        }
        counts.here.get(&app).copied().unwrap_or_default().saturating_add(elsewhere)
    }
}

impl Drop for CountedSocket {
    fn drop(&mut self) {
        let mut counts = self.sockets.lock();
        if let Some(count) = counts.here.get_mut(&self.app) {
            *count -= 1;
            if *count == 0 {
                counts.here.remove(&self.app);
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
        assert!(sockets.lock().here.is_empty());
    }

    #[test]
    fn a_silent_node_has_the_sockets_that_it_told_last() {
        let sockets = Arc::new(AppSockets::default());
        let app = TokenId::from_bytes([1; 16]);
        let _here = sockets.add(app);
        let total = |heard: &[(NodeId, Heard)]| sockets.everywhere(app, heard.iter().copied(), (1, |_| true));
        assert_eq!(total(&[(2, Heard::Told(5)), (3, Heard::Told(0))]), 6);
        assert_eq!(total(&[(2, Heard::Nothing), (3, Heard::Told(1))]), 7);
        assert_eq!(total(&[(2, Heard::Nothing), (3, Heard::Nothing)]), 7);
        assert_eq!(total(&[(2, Heard::Gone), (3, Heard::Nothing)]), 2);
        // A node that was given up and that is silent still has none.
        assert_eq!(total(&[(2, Heard::Nothing), (3, Heard::Gone)]), 1);
        assert!(sockets.lock().elsewhere.is_empty());
    }

    #[test]
    fn what_was_told_of_deleted_apps_is_forgotten() {
        let sockets = AppSockets::default();
        let apps = [1, 2, 3].map(|n| TokenId::from_bytes([n; 16]));
        for app in apps {
            sockets.everywhere(app, [(2, Heard::Told(1))], (1, |known| known == app));
        }
        assert_eq!(sockets.lock().elsewhere.len(), 1);
    }
}
