//! How clients get their connections: from a spare slot, from the cluster, or while the cluster can't be
//! asked.

use super::Keeper;
use crate::core::command::{Denied, Refusal};
use crate::hub::leases::book::{Of, Taker};

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
    pub(super) fn answer(&mut self, first: u32, takers: Vec<(Of, Vec<Taker>)>, denied: &[Denied]) {
        for (index, (of, takers)) in (first..).zip(takers) {
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

    /// The cluster can't be asked: this node's own count limits its clients until the cluster answers again.
    pub(super) fn serve_on(&mut self) {
        for (of, takers) in std::mem::take(&mut self.waiting.takers) {
            self.over.insert(of.0);
            let limit = self.bridge.connection_limit(of.0);
            for taker in takers {
                let own = self.book.of_map(of.0);
                let answer = match limit.filter(|limit| own >= *limit) {
                    Some(limit) => Err(limit),
                    None => Ok(self.book.grant(of)),
                };
                drop(taker.send(answer));
            }
        }
    }
}
