//! The subscriptions of one client, and their turns: which of them are asked next whether they can send something.
//!
//! A subscription waits for its turn from the moment when something may have come for it: it is new, its topic
//! view has something for its audience or begins anew, events were removed, it is let go on, or a position may
//! be due. It waits until it is asked and has nothing. One that reads a page waits on: only asking it shows
//! whether the page has come. All others have nothing, and nobody asks them, however often the client's task
//! runs.

use super::SubscriptionId;
use super::subscription::{Subscription, Take};
use slab::Slab;
use std::collections::VecDeque;

/// The subscriptions of one client.
#[derive(Default)]
pub(super) struct Subscriptions {
    /// By their places.
    all: Slab<Subscription>,
    /// The places of those that wait for their turn, each once, in the order of their turns.
    waiting: VecDeque<usize>,
}

impl Subscriptions {
    /// The place of the subscription that is added next.
    pub(super) fn next_place(&self) -> usize {
        self.all.vacant_key()
    }

    /// Adds a subscription. It waits for its turn.
    pub(super) fn add(&mut self, added: Subscription) {
        // Most clients have one: the next size of a vector is four.
        if self.all.is_empty() {
            self.all.reserve_exact(1);
            self.waiting.reserve_exact(1);
        }
        let place = self.all.insert(added);
        self.stir(place);
    }

    /// Removes a subscription of that id, if there is one.
    pub(super) fn remove(&mut self, id: SubscriptionId) -> Option<Subscription> {
        let (place, _) = self.all.iter().find(|(_, known)| known.id == id)?;
        let gone = self.all.try_remove(place)?;
        if gone.is_waiting {
            self.waiting.retain(|waiting| *waiting != place);
        }
        Some(gone)
    }

    /// Something may have come for the subscription at that place: it waits for its turn.
    pub(super) fn stir(&mut self, place: usize) {
        if let Some(stirred) = self.all.get_mut(place)
            && !std::mem::replace(&mut stirred.is_waiting, true)
        {
            self.waiting.push_back(place);
        }
    }

    /// Does the same for every subscription for which `is_meant` says so.
    pub(super) fn stir_those(&mut self, mut is_meant: impl FnMut(&mut Subscription) -> bool) {
        for (place, known) in &mut self.all {
            if is_meant(known) && !std::mem::replace(&mut known.is_waiting, true) {
                self.waiting.push_back(place);
            }
        }
    }

    /// Asks those that wait, one after another, until one can send something. That one has its next turn behind the
    /// others, so that a busy topic doesn't starve them.
    pub(super) fn take(&mut self, mut ask: impl FnMut(&mut Subscription) -> Take) -> Take {
        for _ in 0..self.waiting.len() {
            let Some(place) = self.waiting.pop_front() else { break };
            let Some(asked) = self.all.get_mut(place) else { continue };
            match ask(asked) {
                Take::Nothing => asked.is_waiting = false,
                Take::Reading => self.waiting.push_back(place),
                found => {
                    self.waiting.push_back(place);
                    return found;
                }
            }
        }
        Take::Nothing
    }

    /// The subscription at that place, if there is one.
    pub(super) fn get_mut(&mut self, place: usize) -> Option<&mut Subscription> {
        self.all.get_mut(place)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Subscription> {
        self.all.iter().map(|(_, known)| known)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Subscription> {
        self.all.iter_mut().map(|(_, known)| known)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All subscriptions: their client is gone.
    pub(super) fn into_all(self) -> impl Iterator<Item = Subscription> {
        self.all.into_iter().map(|(_, gone)| gone)
    }
}
