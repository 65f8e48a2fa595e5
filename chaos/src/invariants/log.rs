//! What was stored: 1 (acknowledged events are kept), 3 (one log), 4 (only committed events), 8 (a repeat is
//! stored once).
//!
//! The history goes through [`checker::log`], which also checks the simulator's lists.

use super::Index;
use super::removal::Removals;
use crate::history::{CHANNELS, Event, MAIN, Record, SHORT};
use checker::{Checker, Kept, Log, Verdicts};
use std::collections::HashMap;
use testkit::checks::facts;

/// How far the time of an event may be from the true time (ms), whatever the clocks show.
const STAMP_OFF_MS: i64 = 10_000;

/// Checks 1, 3, 4 and 8 for all topics.
pub(super) fn checked(index: &Index<'_>) -> Verdicts {
    let mut verdicts = Verdicts::default();
    let logs = [MAIN, SHORT, CHANNELS].map(|topic| one(index, topic, &mut verdicts));
    for record in index.history.records() {
        if let Record::Stamped { node, off_ms } = record {
            let right = off_ms.abs() <= STAMP_OFF_MS;
            verdicts.check(1, right, || {
                format!("the time of an event that node {node} accepted is {off_ms} ms off")
            });
        }
    }
    let nodes = index.stored.get(MAIN).map_or(0, |nodes| nodes.len());
    let acknowledged: usize = logs.iter().map(|log| log.acknowledged().len()).sum();
    let repeated: usize = logs.iter().map(Log::repeated).sum();
    let figures = [
        (1, format!("{acknowledged} acknowledged")),
        (3, format!("{} events on {nodes} nodes", index.reference(MAIN).len())),
        (4, "deliveries looked up in the log".to_owned()),
        (8, format!("{repeated} publishes were repeated")),
    ];
    for (number, figure) in figures {
        if let Some(verdict) = verdicts.of(number) {
            verdict.figure = figure;
        }
    }
    verdicts
}

/// What was acknowledged when a backup began, and what the node restored from it holds.
#[derive(Default)]
struct Backup<'a> {
    acked: usize,
    held: Vec<&'a Event>,
}

/// All facts about a topic, in the order of time, and what the nodes hold of it at the end.
fn one<'a>(index: &Index<'a>, of: &str, verdicts: &mut Verdicts) -> Log<&'a Event> {
    let mut log = Log::default();
    let mut topics: HashMap<&str, &str> = HashMap::new();
    let mut backups: HashMap<&str, Backup<'a>> = HashMap::new();
    for record in index.history.records() {
        match record {
            Record::Client { client: who, topic, .. } | Record::Hook { hook: who, topic, .. } => {
                topics.insert(who, topic);
            }
            Record::Asked { topic, key, .. } if topic == of => log.asked(key.as_str()),
            Record::Acked { topic, key, id, seq, .. } if topic == of => {
                log.acked(facts(key, id, *seq), verdicts)
            }
            Record::Seen { client, event } if topics.get(client.as_str()) == Some(&of) => {
                log.seen(client, event, verdicts);
                of_its_subject(index, client, event, verdicts);
            }
            Record::BackupBegun { backup } => {
                backups.insert(backup, Backup { acked: log.acknowledged().len(), held: Vec::new() });
            }
            Record::Copied { backup, event } => {
                backups.entry(backup).or_default().held.push(event);
            }
            Record::Restored { backup } if of == MAIN => {
                let Backup { acked, held } = backups.remove(backup.as_str()).unwrap_or_default();
                log.copied(backup, &held, acked, verdicts);
            }
            Record::Got { hook, id, seq, key, .. } if topics.get(hook.as_str()) == Some(&of) => {
                log.given(hook, facts(key, id, *seq), verdicts);
            }
            _ => {}
        }
    }
    let removals = Removals::of(index, of);
    let explains = |seq| removals.explains(seq);
    for (node, events) in index.stored.get(of).into_iter().flatten() {
        let kept = match of {
            MAIN => Kept::Whole,
            // Retention removes the oldest events.
            SHORT => Kept::Newest,
            _ => Kept::But(&explains),
        };
        log.ends(format_args!("node {node} of {of}"), events, kept, verdicts);
        events.iter().for_each(|event| of_its_subject(index, "a node", event, verdicts));
    }
    removals.carried_out(index, of, verdicts);
    log.finish(verdicts);
    log
}

/// Checks that an event has the subject to which it was published.
fn of_its_subject(index: &Index<'_>, who: &str, event: &Event, verdicts: &mut Verdicts) {
    let asked = index.asked.get(event.key.as_str()).map(|(_, subject)| *subject);
    if asked.is_some_and(|asked| asked != event.subject) {
        verdicts.check(3, false, || format!("{who} has {event:?}, which was published to {asked:?}"));
    }
}
