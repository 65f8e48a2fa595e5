#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;

fn events(events: u64) -> Counts {
    Counts { events, event_bytes: 10 * events, ..Counts::default() }
}

fn report(node: NodeId, run: u64, number: u64) -> UsageReport {
    UsageReport { node, run, number, streams: Vec::new() }
}

/// Keeps ended periods in their places, as the store does.
#[derive(Default)]
struct Kept(BTreeMap<(&'static str, u8), Period>);

impl Kept {
    fn put(&mut self, ended: Vec<(PeriodKind, Period)>) {
        for (kind, period) in ended {
            self.0.insert((kind.name(), kind.place(period.number)), period);
        }
    }

    fn of(&self, kind: PeriodKind) -> Vec<Period> {
        self.0.iter().filter(|((name, _), _)| *name == kind.name()).map(|(_, period)| *period).collect()
    }
}

#[test]
fn an_hour_ends_with_the_first_count_of_a_later_one() {
    let mut record = UsageRecord::default();
    assert!(record.add(5 * 3_600_000, &events(1)).is_empty(), "there was nothing before");
    assert!(record.add(6 * 3_600_000 - 1, &events(2)).is_empty());
    let ended = record.add(6 * 3_600_000, &events(4));
    assert_eq!(ended, [(PeriodKind::Hour, Period { number: 5, counts: events(3) })]);
    assert_eq!(record.present(PeriodKind::Hour), Period { number: 6, counts: events(4) });
    assert_eq!(record.present(PeriodKind::Day), Period { number: 0, counts: events(7) });
}

#[test]
fn a_clock_that_goes_back_opens_no_earlier_hour() {
    let mut record = UsageRecord::default();
    record.add(7 * 3_600_000, &events(1));
    assert!(record.add(3_600_000, &events(1)).is_empty());
    assert_eq!(record.present(PeriodKind::Hour), Period { number: 7, counts: events(2) });
    let shown = record.shown(PeriodKind::Hour, [], 3_600_000);
    assert_eq!(shown, [Period { number: 7, counts: events(2) }]);
}

#[test]
fn a_map_without_counts_has_the_present_period() {
    let shown = UsageRecord::default().shown(PeriodKind::Day, [], 3 * PeriodKind::Day.ms() + 5);
    assert_eq!(shown, [Period { number: 3, counts: Counts::default() }]);
}

#[test]
fn a_report_counts_once() {
    let mut reports = Reports::default();
    assert!(reports.note(&report(1, 7, 1), 10));
    assert!(!reports.note(&report(1, 7, 1), 11), "a repetition");
    assert!(reports.note(&report(2, 7, 1), 12), "another node");
    assert!(reports.note(&report(1, 7, 2), 13));
    assert!(reports.note(&report(1, 8, 1), 14), "another run");
    assert!(!reports.note(&report(1, 8, 1), 15));
}

#[test]
fn as_many_nodes_are_remembered_as_may_be() {
    let mut reports = Reports::default();
    for node in 0..MOST_NODES as u64 {
        assert!(reports.note(&report(node, 7, 1), node));
    }
    assert!(reports.note(&report(0, 7, 2), 1000));
    assert!(reports.note(&report(5000, 7, 1), 1001));
    assert_eq!(reports.0.len(), MOST_NODES);
    assert!(!reports.note(&report(0, 7, 2), 1002), "it has reported since");
    assert!(reports.note(&report(1, 7, 1), 1003), "it was silent for longest");
}

#[test]
fn kinds_have_names() {
    for kind in PeriodKind::ALL {
        assert_eq!(PeriodKind::named(kind.name()), Some(kind));
        assert!(kind.kept() <= u64::from(u8::MAX));
    }
    assert_eq!(PeriodKind::named("week"), None);
}

proptest! {
    /// Whatever the times are, what is shown is as much as was counted in the time that is kept.
    #[test]
    fn what_is_shown_is_what_was_counted(
        steps in prop::collection::vec((-7_200_000i64..40_000_000, 0u64..5), 1..120),
        later_ms in 0u64..400_000_000,
    ) {
        let mut record = UsageRecord::default();
        let mut kept = Kept::default();
        let mut counted: Vec<(u64, u64)> = Vec::new();
        let (mut time_ms, mut highest_ms) = (20_000 * PeriodKind::Day.ms(), 0);
        for (step_ms, count) in steps {
            time_ms = time_ms.saturating_add_signed(step_ms);
            highest_ms = time_ms.max(highest_ms);
            kept.put(record.add(time_ms, &events(count)));
            counted.push((highest_ms, count));
        }
        let now_ms = highest_ms + later_ms;
        for kind in PeriodKind::ALL {
            let shown = record.shown(kind, kept.of(kind), now_ms);
            let last = kind.number_at(now_ms);
            let oldest = last + 1 - kind.kept();
            let expected: u64 = counted
                .iter()
                .filter(|(at_ms, _)| kind.number_at(*at_ms) >= oldest)
                .map(|(_, count)| count)
                .sum();
            prop_assert_eq!(shown.iter().map(|period| period.counts.events).sum::<u64>(), expected);
            prop_assert_eq!(shown.iter().map(|period| period.counts.event_bytes).sum::<u64>(), 10 * expected);
            prop_assert_eq!(shown.last().map(|period| period.number), Some(last));
            prop_assert!(shown.windows(2).all(|two| two[0].number + 1 == two[1].number));
            prop_assert!(shown.len() as u64 <= kind.kept());
            prop_assert!(kept.of(kind).len() as u64 <= kind.kept());
        }
    }
}
