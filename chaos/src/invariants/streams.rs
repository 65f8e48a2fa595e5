//! What clients received: 2 (every event exactly once, in order), 5 (a gap is reported exactly where there is
//! one).

use super::index::{Client, Gap, Received};
use super::removal::{Known, Removals};
use super::{Index, Verdict};
use crate::history::{CHANNELS, Event, MAIN, Record, SHORT};
use std::collections::HashSet;

/// 2: over all its connections, a client received every event that it wants exactly once and in order, and no
/// other. For events that are gone at the end, 5 checks whether the gap was reported.
pub(super) fn exactly_once(index: &Index<'_>) -> Verdict {
    let mut verdict = Verdict::new(2);
    for topic in [MAIN, CHANNELS] {
        for (name, client) in &index.clients(topic) {
            let seen: Vec<&Event> = client.events().collect();
            in_order(&mut verdict, name, &seen);
            let wanted = index.reference(topic).iter().filter(|event| client.wants(event));
            let mut rest = seen.iter().peekable();
            for event in wanted {
                while rest.next_if(|seen| seen.seq < event.seq).is_some() {}
                let found = rest.peek().is_some_and(|seen| seen.seq == event.seq);
                verdict.check(found, || format!("{name} never saw {event:?}"));
            }
            for unwanted in seen.iter().filter(|event| !client.wants(event)) {
                verdict.check(false, || format!("{name} saw {unwanted:?}, which it did not want"));
            }
        }
    }
    for (name, client) in &index.clients(MAIN) {
        if let Some(gap) = client.received.iter().find(|received| matches!(received, Received::Gap(_))) {
            verdict.check(false, || format!("{name} received {gap:?} in a topic that keeps all events"));
        }
    }
    for (name, client) in &index.clients(SHORT) {
        let seen: Vec<&Event> = client.events().collect();
        in_order(&mut verdict, name, &seen);
    }
    let joins =
        index.history.records().filter(|r| matches!(r, Record::Joined { after: Some(_), .. })).count();
    verdict.figure = format!("{joins} times resumed");
    verdict
}

fn in_order(verdict: &mut Verdict, name: &str, seen: &[&Event]) {
    for pair in seen.windows(2) {
        verdict.check(pair[0].seq < pair[1].seq && pair[0].id < pair[1].id, || {
            format!("{name} saw {:?} and then {:?}", pair[0], pair[1])
        });
    }
}

/// 5: a client received a gap where history that it wants is missing, with the oldest event that exists; it
/// then received that event; and it received no gap where nothing was missing.
pub(super) fn gaps_are_reported(index: &Index<'_>) -> Verdict {
    let mut verdict = Verdict::new(5);
    let mut gaps = 0;
    let mut without = 0;
    for topic in [SHORT, CHANNELS] {
        let removals = Removals::of(index, topic);
        let stored: HashSet<u64> = index.reference(topic).iter().map(|event| event.seq).collect();
        for (name, client) in &index.clients(topic) {
            let reported = client.received.iter().filter(|one| matches!(one, Received::Gap(_))).count();
            gaps += reported;
            without += usize::from(topic == CHANNELS && reported == 0);
            if topic == SHORT {
                jumps(&mut verdict, name, client);
            }
            nothing_older(&mut verdict, name, client);
            gaps_have_reasons(&mut verdict, name, client, &removals);
            losses(&mut verdict, name, client, &removals, &stored);
        }
    }
    if gaps == 0 && verdict.violations == 0 {
        verdict.checked = 0;
    }
    verdict.figure = format!("{gaps} gaps were reported; {without} readers of subjects received none");
    verdict
}

/// In a topic of which all clients want everything: each position that a client skipped was in a gap that it
/// received.
fn jumps(verdict: &mut Verdict, name: &str, client: &Client<'_>) {
    let mut last: Option<&Event> = None;
    let mut had_gap = false;
    for received in &client.received {
        match *received {
            Received::Gap(_) => had_gap = true,
            Received::Event(event) => {
                let jumped = last.is_some_and(|last| event.seq != last.seq + 1);
                verdict.check(!jumped || had_gap, || {
                    format!("{name}: {event:?} after {last:?}, without a gap between them")
                });
                last = Some(event);
                had_gap = false;
            }
        }
    }
}

/// After a gap, no event comes that is older than the oldest event that the gap named.
fn nothing_older(verdict: &mut Verdict, name: &str, client: &Client<'_>) {
    let mut pending: Option<&str> = None;
    for received in &client.received {
        match received {
            Received::Gap(gap) => pending = gap.oldest,
            Received::Event(event) => {
                if let Some(oldest) = pending.take() {
                    verdict.check(&*event.id >= oldest, || {
                        format!("{name}: {event:?}, older than the oldest {oldest}")
                    });
                }
            }
        }
    }
}

/// A client that receives a gap wanted an event after its position that may have been gone. The gap names the
/// oldest event if there is one.
fn gaps_have_reasons(verdict: &mut Verdict, name: &str, client: &Client<'_>, removals: &Removals<'_>) {
    let selected: Vec<&Known<'_>> = removals.known().filter(|event| client.selects(event.subject)).collect();
    for received in &client.received {
        let Received::Gap(gap) = received else { continue };
        let mut behind = selected.iter().filter(|event| gap.after.is_none_or(|after| event.id > after));
        let reason = behind.any(|event| removals.may_be_gone(event, gap.at_ms));
        verdict.check(reason, || format!("{name} received {gap:?}, and nothing that it wants was gone"));
        // Rules and retention keep the newest events; deletions may leave none.
        let emptied = || selected.iter().any(|event| removals.may_be_deleted(event, gap.at_ms));
        let named = gap.oldest.is_some() || emptied();
        verdict.check(named, || format!("{name} received {gap:?}, which does not name the oldest event"));
    }
}

/// An event that a client wants, never saw, and that is gone at the end was covered by a gap that the client
/// received before it went on.
fn losses(
    verdict: &mut Verdict,
    name: &str,
    client: &Client<'_>,
    removals: &Removals<'_>,
    stored: &HashSet<u64>,
) {
    let wanted = |event: &&Known<'_>| {
        let kind = client.kinds.is_empty()
            || event.kind.is_some_and(|kind| client.kinds.iter().any(|one| one == kind));
        kind && client.selects(event.subject)
    };
    let mut rest = removals.known().filter(wanted).peekable();
    let mut gaps: Vec<&Gap<'_>> = Vec::new();
    let mut last: Option<&Event> = None;
    for received in &client.received {
        let event = match received {
            Received::Gap(gap) => {
                gaps.push(gap);
                continue;
            }
            Received::Event(event) => event,
        };
        while let Some(missed) = rest.next_if(|known| known.seq < event.seq) {
            if stored.contains(&missed.seq) {
                continue;
            }
            let covers = |gap: &&&Gap<'_>| {
                gap.after.is_none_or(|after| missed.id > after) && removals.may_be_gone(missed, gap.at_ms)
            };
            let covered = gaps.iter().rev().find(covers).is_some();
            verdict.check(covered, || {
                format!("{name}: {event:?} after {last:?}, and no gap reported {missed:?}")
            });
        }
        rest.next_if(|known| known.seq == event.seq);
        last = Some(event);
    }
}
