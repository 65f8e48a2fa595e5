//! Webhooks: 6 (at least once, stable id, in order; a dead one delays no other) and 9 (only the present owner
//! moves progress).

use super::removal::Removals;
use super::{Index, Verdict};
use crate::history::{CHANNELS, MAIN, Record, selects};
use checker::deliveries::{in_order, same_under_one_id};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A request with an event.
#[derive(Debug)]
struct Got<'a> {
    request: &'a str,
    digest: &'a str,
    id: &'a str,
    seq: u64,
    accepted: bool,
}

/// A webhook, with the requests that its receiver got, in order.
#[derive(Debug, Default)]
struct Hook<'a> {
    strict: bool,
    dead: bool,
    topic: &'a str,
    subjects: &'a [String],
    got: Vec<Got<'a>>,
}

fn hooks<'a>(index: &Index<'a>) -> BTreeMap<&'a str, Hook<'a>> {
    let mut hooks: BTreeMap<&str, Hook<'_>> = BTreeMap::new();
    for record in index.history.records() {
        match record {
            Record::Hook { hook, strict, dead, topic, subjects } => {
                hooks.insert(hook, Hook { strict: *strict, dead: *dead, topic, subjects, got: Vec::new() });
            }
            Record::Got { hook, request, digest, id, seq, accepted, .. } => {
                let got = Got { request, digest, id, seq: *seq, accepted: *accepted };
                hooks.entry(hook).or_default().got.push(got);
            }
            _ => {}
        }
    }
    hooks
}

/// 6: every stored event was accepted; one id means the same bytes; events arrive in order where that was
/// asked for.
pub(super) fn delivered(index: &Index<'_>) -> Verdict {
    let mut verdict = Verdict::new(6);
    let mut again = 0;
    let mut tried_dead = 0;
    for (name, hook) in &hooks(index) {
        same_under_one_id(name, hook.got.iter().map(|got| (got.request, got.digest)), &mut verdict);
        if hook.dead {
            tried_dead += hook.got.len();
            continue;
        }
        let seqs: Vec<u64> = hook.got.iter().filter(|got| got.accepted).map(|got| got.seq).collect();
        let accepted: HashSet<u64> = seqs.iter().copied().collect();
        again += seqs.len() - accepted.len();
        if hook.strict {
            in_order(name, seqs, &mut verdict);
        }
        // Of other topics, nodes do not hold all events at the end. The history records which events their
        // webhooks must get.
        for event in index.reference(MAIN).iter().filter(|_| hook.topic == MAIN) {
            verdict.check(accepted.contains(&event.seq), || format!("{name} never accepted {event:?}"));
        }
    }
    of_their_subjects(index, &mut verdict);
    for record in index.history.records() {
        if let Record::Behind { whom, why } = record
            && whom.starts_with("webhook")
        {
            verdict.check(false, || format!("{whom} was delayed: {why}"));
        }
    }
    owed(index, &mut verdict);
    losses_are_reported(index, &mut verdict);
    verdict.figure = format!("{again} delivered again; {tried_dead} attempts at the dead webhook");
    verdict
}

/// Webhooks of the topic with many subjects accepted every event that they select and nobody deleted, also
/// events that a rule removed for readers; and they were sent no other event.
fn of_their_subjects(index: &Index<'_>, verdict: &mut Verdict) {
    let removals = Removals::of(index, CHANNELS);
    let accepted = accepted(index);
    for (name, hook) in hooks(index).iter().filter(|(_, hook)| hook.topic == CHANNELS) {
        let sent: HashSet<&str> = hook.got.iter().map(|got| got.id).collect();
        for event in removals.known() {
            if !selects(hook.subjects, event.subject) {
                verdict.check(!sent.contains(event.id), || {
                    format!("{name} was sent {event:?}, which it did not select")
                });
            } else if !removals.may_be_deleted(event, u64::MAX) {
                let got = accepted.get(name).is_some_and(|ids| ids.contains(event.id));
                verdict.check(got, || format!("{name} never accepted {event:?}"));
            }
        }
    }
}

/// The ids of the events that each webhook accepted.
fn accepted<'a>(index: &Index<'a>) -> BTreeMap<&'a str, HashSet<&'a str>> {
    let ids = |hook: Hook<'a>| hook.got.into_iter().filter(|got| got.accepted).map(|got| got.id).collect();
    hooks(index).into_iter().map(|(name, hook)| (name, ids(hook))).collect()
}

/// A webhook accepted every event that was recorded as acknowledged for it.
fn owed(index: &Index<'_>, verdict: &mut Verdict) {
    let accepted = accepted(index);
    for record in index.history.records() {
        if let Record::Owed { hook, id, key } = record {
            let got = accepted.get(hook.as_str()).is_some_and(|ids| ids.contains(id.as_str()));
            verdict.check(got, || format!("{hook} never accepted {key}, {id}"));
        }
    }
}

/// Within the bound of retention, no event is lost. Beyond it the webhook's state says so, the map receives
/// an event about it, and each event was accepted or is counted.
fn losses_are_reported(index: &Index<'_>, verdict: &mut Verdict) {
    let accepted = accepted(index);
    let mut losing = HashSet::new();
    let mut announced = HashSet::new();
    let mut lost = HashMap::new();
    for record in index.history.records() {
        match record {
            Record::Webhook { hook, node, state, missed, beyond: false, .. } => {
                verdict.check(state != "losing" && *missed == 0, || {
                    format!("node {node}: {hook} is {state}, missed {missed}, within the bound of retention")
                });
            }
            Record::Webhook { hook, state, missed, given_up, .. } => {
                if state == "losing" && *missed > 0 {
                    losing.insert(hook.as_str());
                }
                lost.insert(hook.as_str(), missed + given_up);
            }
            Record::Announced { hook, lost } if *lost > 0 => drop(announced.insert(hook.as_str())),
            _ => {}
        }
    }
    for record in index.history.records() {
        let Record::Offered { hook, events, stream } = record else { continue };
        let hook = hook.as_str();
        verdict
            .check(losing.contains(hook), || format!("{hook} lost events and no node reported it as losing"));
        verdict.check(announced.contains(hook), || {
            format!("{hook} lost events and the map received no event about it")
        });
        let count = accepted.get(hook).map_or(0, |ids| ids.len() as u64);
        let lost = lost.get(hook).copied().unwrap_or(0);
        verdict.check((*events..=*stream).contains(&(count + lost)), || {
            format!(
                "{hook}: {count} accepted and {lost} reported as lost, of {events}; {stream} in the stream"
            )
        });
    }
}

/// 9: a webhook's progress never goes back, all nodes report the same progress at the end, and it fits what
/// was accepted.
pub(super) fn one_owner(index: &Index<'_>) -> Verdict {
    let mut verdict = Verdict::new(9);
    let mut last: HashMap<(usize, &str), u64> = HashMap::new();
    let mut ends: BTreeMap<&str, BTreeMap<usize, (u64, u64)>> = BTreeMap::new();
    let mut healed = false;
    for record in index.history.records() {
        match record {
            Record::Healed => healed = true,
            Record::Started { node } => last.retain(|(of, _), _| of != node),
            Record::Progress { node, hook, delivered, queued, .. } => {
                let before = last.insert((*node, hook), *delivered).unwrap_or(0);
                verdict.check(*delivered >= before, || {
                    format!("node {node}: {delivered} delivered at {hook}, after {before}")
                });
                if healed {
                    ends.entry(hook).or_default().insert(*node, (*delivered, *queued));
                }
            }
            _ => {}
        }
    }
    let hooks = hooks(index);
    for (name, reports) in &ends {
        // A dead webhook is tried again and again, so the answers about it change from question to question.
        let Some(hook) = hooks.get(name).filter(|hook| !hook.dead) else { continue };
        let mut different: Vec<_> = reports.values().collect();
        different.dedup();
        verdict.check(different.len() == 1, || {
            format!("nodes disagree on {name} (delivered, queued): {reports:?}")
        });
        let accepted = hook.got.iter().filter(|got| got.accepted).count() as u64;
        let most = reports.values().map(|(delivered, _)| *delivered).max().unwrap_or(0);
        verdict
            .check(most <= accepted, || format!("{name}: {most} reported as delivered, {accepted} accepted"));
    }
    let live = hooks.values().filter(|hook| !hook.dead).count();
    verdict.figure = format!("{live} webhooks, reported the same by all nodes at the end");
    verdict
}
