//! Whether this node is to own webhooks, and what the cluster knows of it.

use super::{Keeper, LOOK_PAUSE};
use crate::core::lease::LeaseChange;
use crate::hub::leases::standing::Candidacy;
use tokio::time::Instant;

impl Keeper {
    /// The incarnation under which this node is a candidate, as far as it has applied the log.
    pub(super) fn known_as(&self) -> Option<u64> {
        self.bridge.webhooks().owners().nodes.get(&self.cluster.node_id()).copied()
    }

    /// A reported change stays pending until it is applied here, with or without effect. A node that is
    /// catching up may take long for that, and nothing waits for it.
    pub(super) fn look_at_candidacy(&mut self) {
        let known = self.known_as();
        // The cluster may know of the candidacy although the answer was lost.
        self.was_candidate |= known == Some(self.incarnation());
        let Some((change, index)) = &self.told else { return };
        let is_effective = match change {
            LeaseChange::Deliver => known == Some(self.incarnation()),
            _ => known.is_none(),
        };
        if is_effective || *index <= self.cluster.applied() {
            self.told = None;
        } else {
            self.again = self.again.max(Instant::now() + LOOK_PAUSE);
        }
    }

    /// The change that makes the candidacy the wanted one, as far as this node knows.
    pub(super) fn candidacy_change(&self) -> Option<LeaseChange> {
        let told = self.told.as_ref().map(|(change, _)| change);
        let known = self.known_as();
        let delivers = told == Some(&LeaseChange::Deliver);
        match self.standing.candidacy() {
            Candidacy::Wanted if told.is_none() && known == Some(self.incarnation()) => None,
            Candidacy::Wanted if delivers => None,
            Candidacy::Wanted => Some(LeaseChange::Deliver),
            Candidacy::Unwanted if delivers || (told.is_none() && known.is_some()) => Some(LeaseChange::Rest),
            Candidacy::Undecided | Candidacy::Unwanted => None,
        }
    }

    pub(super) fn answer_candidacy(&mut self) {
        if self.told.is_none() && self.candidacy_change().is_none() {
            for settled in self.waiting.candidacy.drain(..) {
                let _ = settled.send(());
            }
        }
    }
}
