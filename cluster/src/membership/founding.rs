//! How newcomers with the same settings agree on one of them, which founds the cluster. Pure: it neither waits
//! nor writes.
//!
//! Every newcomer greets all addresses of its join list, again and again. When it has seen as many newcomers
//! as the setting says, and has the lowest id of them, it proposes an agreement: these newcomers, with itself
//! as the founder. Each newcomer holds to one agreement at a time. It writes it to disk before it answers, and
//! lets it go only when the founder itself, asked later, no longer holds to it. The founder founds the cluster
//! when all the others have answered that they hold to its agreement. After that it never withdraws.
//!
//! So two founders cannot both succeed if their agreements share a newcomer: that newcomer would have let the
//! first agreement go, hence its founder had withdrawn it before it was complete. A newcomer that crashes
//! continues with what is on its disk. If a founder's disk is lost, the others wait for it: only people can
//! know whether it had founded a cluster.

use std::collections::BTreeMap;

use crate::config::Config;
use crate::wire::{AgreementV1, NewcomerV1};

/// The random id of a newcomer's data directory.
pub(super) type NewcomerId = [u8; 16];

/// What a newcomer does after it has greeted everybody.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing has changed: greet everybody again.
    Wait,
    /// What the newcomer holds to has changed: write it, then greet everybody again.
    Changed,
    /// All have agreed: found the cluster.
    Found,
}

/// One newcomer's part in the agreement.
#[derive(Debug, Clone)]
pub(super) struct Founding(pub(super) NewcomerV1);

impl Founding {
    /// Takes a greeting, and an agreement that the greeting newcomer proposes. Returns whether this newcomer
    /// holds to something else now, which must be on disk before the greeting is answered.
    pub(super) fn greeted(&mut self, by: &NewcomerV1) -> bool {
        let own = &self.0;
        let Some(proposed) = by.agreement.as_ref().filter(|proposed| proposed.founder == by.id) else {
            return false;
        };
        let names_me = proposed.members.iter().any(|(id, _)| *id == own.id);
        let is_for_me = names_me && by.expect == own.expect && proposed.members.len() == own.expect as usize;
        let is_free = own.agreement.as_ref().is_none_or(|held| held.founder == by.id);
        let is_news = own.agreement.as_ref() != Some(proposed);
        let takes =
            by.id != own.id && own.expect >= Config::FEWEST_FOUNDERS && is_for_me && is_free && is_news;
        if takes {
            self.0.agreement = Some(proposed.clone());
        }
        takes
    }

    /// Decides after a round of greetings. `began` is what this newcomer held to when the round began, and
    /// `heard` are the newcomers that answered; no member answered.
    pub(super) fn after_round(&mut self, began: Option<&AgreementV1>, heard: &[NewcomerV1]) -> Step {
        let id = self.0.id;
        let addr = self.0.addr.clone();
        let expect = self.0.expect;
        if expect < Config::FEWEST_FOUNDERS {
            return Step::Wait;
        }
        let mut here: BTreeMap<NewcomerId, String> =
            heard.iter().filter(|other| other.expect == expect).map(|o| (o.id, o.addr.clone())).collect();
        here.insert(id, addr);
        let enough = here.len() >= expect as usize;
        let is_lowest = here.keys().next() == Some(&id);
        match &self.0.agreement {
            Some(held) if held.founder == id => {
                if is_complete(held, id, expect, heard) {
                    return Step::Found;
                }
                let lacks = held.members.iter().any(|(member, _)| !here.contains_key(member));
                // A lower newcomer proposes by itself; and where enough others are, another set can succeed.
                if is_lowest && !(lacks && enough) {
                    return Step::Wait;
                }
                self.0.agreement = None;
                Step::Changed
            }
            Some(held) => {
                let founder = heard.iter().find(|other| other.id == held.founder);
                // An answer that was asked for before this newcomer agreed says nothing about the agreement.
                let lets_go = began == Some(held)
                    && founder.is_some_and(|founder| founder.agreement.as_ref() != Some(held));
                if !lets_go {
                    return Step::Wait;
                }
                self.0.agreement = None;
                Step::Changed
            }
            None if enough && is_lowest => {
                self.0.proposed += 1;
                let members = here.into_iter().take(expect as usize).collect();
                self.0.agreement = Some(AgreementV1 { founder: id, number: self.0.proposed, members });
                Step::Changed
            }
            None => Step::Wait,
        }
    }
}

/// Whether every other newcomer of the agreement has answered that it holds to it.
fn is_complete(held: &AgreementV1, founder: NewcomerId, expect: u32, heard: &[NewcomerV1]) -> bool {
    let holds =
        |id: &NewcomerId| heard.iter().any(|other| other.id == *id && other.agreement.as_ref() == Some(held));
    held.members.len() == expect as usize && held.members.iter().all(|(id, _)| *id == founder || holds(id))
}

#[cfg(all(test, not(feature = "sim")))]
#[path = "founding/tests.rs"]
mod tests;
