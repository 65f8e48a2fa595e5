//! A subscriber as the dispatcher and its watchdog see it.

use super::Subscriber;
use crate::core::access::Map;
use crate::core::ids::{MapId, TokenId};
use crate::core::issuer::Client;
use crate::core::ring::Lag;
use crate::core::subject::{Selector, Subject};
use crate::delivery::close::End;
use crate::delivery::silence::Silence;
use crate::delivery::watchdog::Session;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Session for Subscriber {
    fn ending(&self) -> Option<End> {
        self.ending()
    }

    fn finish(&self, end: End) {
        self.finish(end);
    }

    fn wake(&self) {
        self.subscriptions.borrow_mut().stir_those(|_| true);
        self.wake();
    }

    fn token(&self) -> Option<TokenId> {
        self.token.get()
    }

    fn client(&self) -> Option<Arc<Client>> {
        self.client.borrow().clone()
    }

    fn map(&self) -> Option<MapId> {
        self.subscriptions.borrow().iter().next().map(|subscription| subscription.map)
    }

    fn is_on(&self, map: MapId) -> bool {
        self.subscriptions.borrow().iter().any(|subscription| subscription.map == map)
    }

    fn is_moved_by(&self, map: &Map) -> bool {
        let subscriptions = self.subscriptions.borrow();
        let mut of_map = subscriptions.iter().filter(|subscription| subscription.map == map.id);
        of_map.any(|known| map.rules.coverage_of(&known.topic_view.topic().selector) != known.coverage)
    }

    fn reads(&self, map: MapId, subject: &Subject) -> bool {
        let subscriptions = self.subscriptions.borrow();
        let mut of_map = subscriptions.iter().filter(|subscription| subscription.map == map);
        of_map.any(|known| known.topic_view.topic().selector.matches(subject.as_str()))
    }

    fn user(&self) -> Option<String> {
        let signed_in = self.user.get().map(|user| user.to_string());
        signed_in.or_else(|| self.client.borrow().as_ref()?.sub.as_ref().map(ToString::to_string))
    }

    fn lag(&self, map: MapId, subjects: &mut BTreeSet<String>, frames: &mut usize) -> Lag {
        let subscriptions = self.subscriptions.borrow();
        let mut lag = Lag::default();
        for known in subscriptions.iter().filter(|subscription| subscription.map == map) {
            add_names(&known.topic_view.topic().selector, subjects);
            lag += known.lag(frames);
        }
        lag
    }

    fn waiting_since(&self) -> Option<u64> {
        self.waiting_since.get()
    }

    fn position_due(&self) -> Option<u64> {
        if !self.wants_positions.get() {
            return None;
        }
        // The watchdog asks once a second: what a subscription has passed since, it has passed in the second
        // before.
        let since = self.dispatcher.now().saturating_sub(1);
        let mut subscriptions = self.subscriptions.borrow_mut();
        subscriptions.iter_mut().filter_map(|subscription| subscription.position_due(since)).min()
    }

    fn silence(&self) -> &Silence {
        &self.silence
    }

    fn is_overfull(&self) -> bool {
        self.overfull.borrow().as_ref().is_some_and(|overfull| overfull())
    }

    fn unused_since(&self) -> Option<u64> {
        let is_unused = !self.may_be_unused.get() && self.subscriptions.borrow().is_empty();
        is_unused.then(|| self.unused_at.get())
    }
}

/// Adds the subjects and patterns that are selected.
fn add_names(selector: &Selector, names: &mut BTreeSet<String>) {
    match selector {
        Selector::One(subject) => names.extend([subject.as_str().to_owned()]),
        Selector::All => names.extend(["*".to_owned()]),
        Selector::Several(several) => {
            names.extend(several.named().iter().map(|subject| subject.as_str().to_owned()));
            names.extend(several.patterns().iter().map(|pattern| pattern.as_str().to_owned()));
        }
    }
}
