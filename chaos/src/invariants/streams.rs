//! What clients were given: 2 (every event exactly once, in order), 5 (a gap is told).

use super::index::{Client, Told};
use super::{Index, Verdict};
use crate::history::{Event, MAIN, Record, SHORT};

pub(super) fn event<'a>(told: &Told<'a>) -> Option<&'a Event> {
    match told {
        Told::Event(event) => Some(event),
        Told::Gap(_) => None,
    }
}

/// 2: over all its connections, a client got every event that it wants exactly once and in order.
pub(super) fn exactly_once(index: &Index<'_>) -> Verdict {
    let mut verdict = Verdict::new(2);
    for (name, client) in &index.clients(MAIN) {
        let seen: Vec<&Event> = client.told.iter().filter_map(event).collect();
        in_order(&mut verdict, name, &seen);
        if let Some(gap) = client.told.iter().find(|told| matches!(told, Told::Gap(_))) {
            verdict.check(false, || format!("{name} was told {gap:?} of a topic that keeps all"));
        }
        let wanted = index.reference(MAIN).iter().filter(|event| client.wants(event));
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
    for (name, client) in &index.clients(SHORT) {
        let seen: Vec<&Event> = client.told.iter().filter_map(event).collect();
        in_order(&mut verdict, name, &seen);
    }
    let joins = index.history.records().filter(|r| matches!(r, Record::Joined { after: Some(_), .. })).count();
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

/// 5: where history is missing, the client was told, with the oldest that there is; and it got that.
pub(super) fn gaps_are_told(index: &Index<'_>) -> Verdict {
    let mut verdict = Verdict::new(5);
    let mut gaps = 0;
    for (name, client) in &index.clients(SHORT) {
        gaps += client.told.iter().filter(|told| matches!(told, Told::Gap(_))).count();
        jumps(&mut verdict, name, client);
    }
    if gaps == 0 && verdict.violations == 0 {
        verdict.checked = 0;
    }
    verdict.figure = format!("{gaps} gaps were told");
    verdict
}

fn jumps(verdict: &mut Verdict, name: &str, client: &Client<'_>) {
    let mut last: Option<&Event> = None;
    let mut gap: Option<Option<&str>> = None;
    for told in &client.told {
        match *told {
            Told::Gap(oldest) => {
                verdict.check(oldest.is_some(), || format!("{name}: a gap without the oldest id, after {last:?}"));
                gap = Some(oldest);
            }
            Told::Event(event) => {
                let jumped = last.is_some_and(|last| event.seq != last.seq + 1);
                verdict
                    .check(!jumped || gap.is_some(), || format!("{name}: {event:?} after {last:?}, and no word of it"));
                if let Some(Some(oldest)) = gap.take() {
                    verdict
                        .check(*event.id >= *oldest, || format!("{name}: {event:?}, older than the oldest {oldest}"));
                }
                last = Some(event);
            }
        }
    }
}
