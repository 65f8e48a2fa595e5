//! How clients get their connections: from a spare slot, from the cluster, or while the cluster can't be
//! asked by what this node knows: its own connections, and those of the others as far as it has applied the
//! log. So while there is no leader, each node lets in at most what it knows to be free.

use super::{Asked, Keeper, SILENCE, Waiting};
use crate::core::command::{Denied, Refusal};
use crate::core::ids::MapId;
use crate::hub::leases::book::{Of, Taker};
use tokio::time::Instant;

impl Waiting {
    /// Whether a client waits.
    pub(super) fn has_clients(&self) -> bool {
        !self.takers.is_empty() || !self.asked.is_empty()
    }
}

impl Keeper {
    /// A client takes a connection. If there is a spare slot of its map, the cluster need not be asked. In
    /// doubt the cluster may not count that slot.
    pub(super) fn take(&mut self, of: Of, taker: Taker) {
        if taker.is_closed() {
            return;
        }
        if !self.doubt && self.spares.take(of) {
            // If the caller stopped waiting, this drops the connection and thereby gives it back.
            drop(taker.send(Ok(self.book.grant(of))));
        } else {
            self.waiting.takers.entry(of).or_default().push(taker);
        }
    }

    /// Answers the callers of each request in order: the first ones get the granted connections.
    pub(super) fn answer(&mut self, asked: Vec<Asked>, denied: &[Denied]) {
        for Asked { index, of, takers } in asked {
            let granted = match denied.iter().find(|denied| denied.index == index) {
                Some(Denied { granted, why: Refusal::Limit(_, limit), .. }) => {
                    Some((*granted as usize, *limit))
                }
                // Connections to a deleted map are closed elsewhere.
                Some(_) | None => None,
            };
            if granted.is_none() {
                self.over.remove(&of.0);
            }
            for (nth, taker) in takers.into_iter().enumerate() {
                let answer = match granted {
                    Some((granted, limit)) if nth >= granted => Err(limit),
                    _ => Ok(self.book.grant(of)),
                };
                // If the caller stopped waiting, this drops the connection and thereby gives it back.
                drop(taker.send(answer));
            }
        }
    }

    /// Has the next batch ask again for callers without an answer, before those that came later.
    pub(super) fn ask_again(&mut self, asked: Vec<Asked>) {
        for Asked { of, mut takers, .. } in asked {
            let later = self.waiting.takers.entry(of).or_default();
            takers.append(later);
            *later = takers;
        }
    }

    /// Serves the clients that wait, if the cluster can't be asked.
    pub(super) fn serve_if_cut_off(&mut self) {
        if self.waiting.has_clients() && self.is_cut_off() {
            self.serve_on();
        }
    }

    /// Whether the cluster can't be asked: none has answered in time, or this node hears of no leader.
    fn is_cut_off(&mut self) -> bool {
        if self.is_unanswered {
            return true;
        }
        if self.cluster.contact().is_some() {
            self.silent_since = None;
            return false;
        }
        self.silent_since.get_or_insert_with(Instant::now).elapsed() >= SILENCE
    }

    /// Serves all clients that wait, by what this node knows. The cluster may count those of the batch under
    /// way too, so everything is stated after it.
    fn serve_on(&mut self) {
        let asked = std::mem::take(&mut self.waiting.asked);
        self.ask_again(asked);
        for (of, takers) in std::mem::take(&mut self.waiting.takers) {
            self.over.insert(of.0);
            let limit = self.bridge.connection_limit(of.0);
            for taker in takers.into_iter().filter(|taker| !taker.is_closed()) {
                let answer = match limit.filter(|limit| self.known(of.0) >= *limit) {
                    Some(limit) => Err(limit),
                    None => Ok(self.book.grant(of)),
                };
                drop(taker.send(answer));
            }
        }
        self.doubt = true;
    }

    /// The connections to the map that this node knows of: its own, and those that others have reported.
    fn known(&mut self, map: MapId) -> u32 {
        self.book.of_map(map).saturating_add(self.elsewhere.of_map(&self.cluster, map))
    }
}
