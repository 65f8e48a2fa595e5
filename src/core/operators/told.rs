//! What operators were told of the nodes, and what a report adds to it.
//!
//! A report says how things are, and this record says what was told of them. The difference is the news, so a
//! report that is repeated, or that comes from another leader, tells nothing twice. What changes to and fro
//! is told a few times, and then rarely; in between the record stays behind, and a later report catches up.

use super::pace::{Often, Pace};
use super::report::{Certificate, NodeName, Observed, OperatorReport};
use crate::core::event::NewEvent;
use crate::core::ids::NodeId;
use crate::core::json;
use crate::core::subject::Subject;
use crate::core::time::iso_millis;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The most observations of one report that count.
const MOST_OBSERVED: usize = 4096;
/// Days before a certificate's end at which that is told, ascending.
const CERTIFICATE_DAYS: [u64; 3] = [1, 7, 30];
const DAY_MS: u64 = 86_400_000;
/// The deepest nesting of a payload.
const MAX_DEPTH: usize = 8;

/// Whether something was told to be bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Condition {
    is_bad: bool,
    pace: Pace,
}

impl Condition {
    /// Follows a change that is told in both directions. Returns whether it is told now.
    fn follow(&mut self, is_bad: bool, now_ms: u64) -> bool {
        if self.is_bad == is_bad {
            return false;
        }
        let mut pace = self.pace;
        let is_told = pace.take(Often::OF_NODE, now_ms);
        if is_told {
            *self = Self { is_bad, pace };
        }
        is_told
    }

    /// Follows a change that is told only when it turns bad. Returns whether it is told now.
    fn turns_bad(&mut self, is_bad: bool, now_ms: u64) -> bool {
        if is_bad {
            return self.follow(true, now_ms);
        }
        self.is_bad = false;
        false
    }
}

/// What was told of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Warned {
    /// The end of the certificate that it was told of (seconds since 1970).
    until: u64,
    /// The lowest of [`CERTIFICATE_DAYS`] that was told.
    days: u64,
}

/// What was told of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct OfNode {
    down: Condition,
    disk: Condition,
    clock: Condition,
    certificates: BTreeMap<Certificate, Warned>,
}

/// What operators were told of the nodes so far. It is part of the replicated state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The highest term of a report.
    term: u64,
    /// The leader as it was told last.
    leader: Option<NodeName>,
    leaders: Pace,
    nodes: BTreeMap<NodeId, OfNode>,
}

impl Told {
    /// Takes a report in, and returns the events that tell its news. `time_ms` is the cluster's time, by
    /// which certificates end; `now_ms` is the expiry clock, by which pauses are measured.
    pub fn take(&mut self, report: &OperatorReport, time_ms: u64, now_ms: u64) -> Vec<NewEvent> {
        if report.term < self.term {
            return Vec::new();
        }
        self.term = report.term;
        let observed = || report.observed.iter().take(MOST_OBSERVED);
        let since_ms = observed().find_map(|observed| match observed {
            Observed::Leads { since_ms } => Some(*since_ms),
            _ => None,
        });
        let mut events: Vec<NewEvent> = self.lead(&report.leader, since_ms, now_ms).into_iter().collect();
        for observed in observed() {
            events.extend(self.note(observed, time_ms, now_ms));
        }
        events
    }

    /// Returns what of the report would change this record; `None` if nothing would.
    pub fn news(&self, report: OperatorReport, time_ms: u64, now_ms: u64) -> Option<OperatorReport> {
        let OperatorReport { term, leader, mut observed } = report;
        if term < self.term {
            return None;
        }
        let mut next = self.clone();
        next.term = term;
        // A new leader is news even if nothing is told of it: the first one of a cluster is only recorded.
        let is_changed = next.lead(&leader, None, now_ms).is_some();
        observed.retain(|one| {
            if matches!(one, Observed::Leads { .. }) {
                return is_changed;
            }
            let before = next.clone();
            let _told_later = next.note(one, time_ms, now_ms);
            next != before
        });
        (next != *self).then_some(OperatorReport { term, leader, observed })
    }

    /// Returns the nodes of which something was told.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.keys().copied()
    }

    /// Records the leader, who says since when it has led. The first one of a cluster follows nobody, so nothing
    /// is told of it.
    fn lead(&mut self, leader: &NodeName, since_ms: Option<u64>, now_ms: u64) -> Option<NewEvent> {
        let told = match &self.leader {
            Some(from) if from.id != leader.id => {
                let mut pace = self.leaders;
                if !pace.take(Often::OF_NODE, now_ms) {
                    return None;
                }
                self.leaders = pace;
                let mut payload = json!({"from": from.json(), "to": leader.json()});
                // A change that was told often already is told later: the event's own time says little.
                if let Some(since_ms) = since_ms {
                    payload["at"] = iso_millis(since_ms).into();
                }
                event("leader.changed", &payload)
            }
            _ => None,
        };
        self.leader = Some(leader.clone());
        told
    }

    fn note(&mut self, observed: &Observed, time_ms: u64, now_ms: u64) -> Option<NewEvent> {
        match observed {
            Observed::Reach { node, is_down } => {
                let kind = if *is_down { "node.down" } else { "node.up" };
                let is_told = self.of(node.id, *is_down)?.down.follow(*is_down, now_ms);
                is_told.then(|| event(kind, &json!({"node": node.json()}))).flatten()
            }
            Observed::Disk { node, is_low, free_bytes, percent } => {
                let is_told = self.of(node.id, *is_low)?.disk.turns_bad(*is_low, now_ms);
                let payload = || json!({"node": node.json(), "free_bytes": free_bytes, "percent": percent});
                is_told.then(|| event("disk.low", &payload())).flatten()
            }
            Observed::Clock { node, is_apart, offset_ms } => {
                let is_told = self.of(node.id, *is_apart)?.clock.turns_bad(*is_apart, now_ms);
                let payload = || json!({"node": node.json(), "offset_ms": offset_ms});
                is_told.then(|| event("clock.apart", &payload())).flatten()
            }
            Observed::Certificate { node, certificate, until } => {
                self.note_certificate(node, *certificate, *until, time_ms)
            }
            Observed::Left(node) => {
                self.nodes.remove(node);
                None
            }
            // It is told with the leader.
            Observed::Leads { .. } => None,
        }
    }

    /// Returns the record of a node. A node of which nothing was told gets one only when something is bad.
    fn of(&mut self, node: NodeId, is_bad: bool) -> Option<&mut OfNode> {
        if is_bad {
            return Some(self.nodes.entry(node).or_default());
        }
        self.nodes.get_mut(&node)
    }

    fn note_certificate(
        &mut self,
        node: &NodeName,
        certificate: Certificate,
        until: u64,
        time_ms: u64,
    ) -> Option<NewEvent> {
        let left_ms = until.saturating_mul(1000).saturating_sub(time_ms);
        let reached = CERTIFICATE_DAYS.into_iter().find(|days| left_ms <= days * DAY_MS);
        let Some(days) = reached else {
            // It was replaced.
            self.nodes.get_mut(&node.id)?.certificates.remove(&certificate);
            return None;
        };
        let warned = &mut self.of(node.id, true)?.certificates;
        if warned.get(&certificate).is_some_and(|warned| warned.until == until && warned.days <= days) {
            return None;
        }
        warned.insert(certificate, Warned { until, days });
        let days_left = left_ms / DAY_MS;
        let payload = json!({"node": node.json(), "certificate": certificate.name(), "days": days_left});
        event("certificate.expiring", &payload)
    }
}

fn event(kind: &str, payload: &Value) -> Option<NewEvent> {
    let payload = json::normalise(&payload.to_string(), MAX_DEPTH).ok()?;
    Some(NewEvent::new(Subject::own(), kind, payload))
}

#[cfg(test)]
mod tests;
