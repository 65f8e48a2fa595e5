//! The usage of maps in the replicated state.

use super::*;
use crate::core::usage::{Counts, Delivered, Period, PeriodKind, UsageReport};

const HOUR: u64 = 3_600_000;
const STREAM: TopicId = TopicId(1);

fn shown(node: &Node, stream: TopicId, kind: PeriodKind, time_ms: u64) -> Vec<Period> {
    usage_of(&node.store, stream, kind, time_ms).unwrap()
}

/// The sum of all periods of a kind.
fn sum(node: &Node, kind: PeriodKind, time_ms: u64) -> Counts {
    let mut sum = Counts::default();
    shown(node, STREAM, kind, time_ms).iter().for_each(|period| sum.add(&period.counts));
    sum
}

fn delivered(deliveries: u64) -> Delivered {
    Delivered { deliveries, delivery_bytes: 100 * deliveries, attempts: 2, failed_attempts: 1 }
}

fn report(node: NodeId, number: u64, streams: &[(TopicId, Delivered)]) -> Command {
    Command::Usage(UsageReport { node, run: 7, number, streams: streams.to_vec() })
}

/// Reports of nodes, for the properties of the whole state.
pub(super) fn command() -> impl Strategy<Value = Command> {
    (1u64..3, 1u64..6, 1u64..6, 0u64..4)
        .prop_map(|(node, number, stream, more)| report(node, number, &[(TopicId(stream), delivered(more))]))
}

fn node_with_a_map() -> Node {
    let mut node = Node::new();
    node.one(10, create(1, Some("x"), NO_LIMITS, KEEP_ALL));
    node
}

#[test]
fn stored_events_are_counted_with_their_bytes() {
    let mut node = node_with_a_map();
    node.one(20, publish(1, None, &["a", "b"], None));
    node.one(HOUR, publish(1, None, &["c"], None));
    let (from, to) = (keys::event(STREAM, 0).to_vec(), keys::event(STREAM, u64::MAX).to_vec());
    let bytes: u64 = node.store.0.range(from..to).map(|(_, event)| event.len() as u64).sum();
    let hours = shown(&node, STREAM, PeriodKind::Hour, HOUR);
    assert_eq!(hours.iter().map(|hour| hour.counts.events).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(hours.iter().map(|hour| hour.counts.event_bytes).sum::<u64>(), bytes);
    assert_eq!(sum(&node, PeriodKind::Day, HOUR).events, 3);
}

#[test]
fn what_is_refused_or_stored_before_is_not_counted() {
    let mut node = node_with_a_map();
    node.one(20, publish(1, None, &["a"], Some((7, 1))));
    node.one(21, publish(1, None, &["a"], Some((7, 1))));
    node.one(22, publish(1, Some(token_id(9)), &["a"], None));
    assert_eq!(sum(&node, PeriodKind::Hour, 30).events, 1);
}

#[test]
fn a_report_that_is_repeated_counts_once() {
    let mut node = node_with_a_map();
    for (at_ms, number) in [(20, 1), (21, 1), (22, 2), (23, 1)] {
        assert_eq!(node.one(at_ms, report(1, number, &[(STREAM, delivered(5))])), Reply::Done);
    }
    node.one(24, report(2, 1, &[(STREAM, delivered(1))]));
    let counted = sum(&node, PeriodKind::Hour, 30);
    let expected = Delivered { deliveries: 11, delivery_bytes: 1100, attempts: 6, failed_attempts: 3 };
    assert_eq!(counted, Counts { delivered: expected, ..Counts::default() });
}

#[test]
fn usage_goes_with_its_map() {
    let mut node = node_with_a_map();
    for hour in 1..=60 {
        node.one(hour * HOUR, publish(1, None, &["a"], None));
    }
    let places = node.store.0.keys().filter(|key| key[0] == keys::ENDED_USAGE).count() as u64;
    assert!(places <= PeriodKind::Hour.kept() + PeriodKind::Day.kept(), "{places}");
    assert_eq!(shown(&node, STREAM, PeriodKind::Hour, 60 * HOUR).len(), 48);
    node.one(61 * HOUR, Command::DeleteMap(map_id(1)));
    node.one(61 * HOUR, report(1, 1, &[(STREAM, delivered(5))]));
    node.one(61 * HOUR, Command::Tick);
    let kinds = [keys::USAGE, keys::ENDED_USAGE];
    assert!(!node.store.0.keys().any(|key| kinds.contains(&key[0])), "nothing is left");
    node.one(62 * HOUR, create(1, Some("x"), NO_LIMITS, KEEP_ALL));
    let again = shown(&node, TopicId(2), PeriodKind::Day, 62 * HOUR);
    assert_eq!(again, [Period { number: 2, counts: Counts::default() }]);
}

#[test]
fn a_node_that_loads_the_state_counts_on() {
    let mut node = node_with_a_map();
    node.one(20, publish(1, None, &["a"], None));
    node.one(21, report(1, 1, &[(STREAM, delivered(5))]));
    node.state = State::load(&node.store).unwrap();
    node.one(22, publish(1, None, &["a"], None));
    node.one(23, report(1, 1, &[(STREAM, delivered(5))]));
    let counted = sum(&node, PeriodKind::Hour, 30);
    assert_eq!((counted.events, counted.delivered), (2, delivered(5)));
}

#[test]
fn a_report_on_too_many_streams_is_refused() {
    let mut node = node_with_a_map();
    let streams: Vec<_> = (0..5000).map(|n| (TopicId(n), delivered(1))).collect();
    assert_eq!(node.one(20, report(1, 1, &streams)), Reply::Refused(Refusal::Malformed));
    assert_eq!(node.one(21, report(1, 1, &[(STREAM, delivered(1))])), Reply::Done);
    assert_eq!(sum(&node, PeriodKind::Hour, 30).delivered, delivered(1));
}

proptest! {
    /// Replicas that end their transactions at different entries, and start again in between, have the same
    /// records, whose sums are those of what was counted.
    #[test]
    fn replicas_agree_on_usage(
        acts in prop::collection::vec((0u64..3 * HOUR, 1usize..4, 0u64..3, any::<bool>()), 1..40),
    ) {
        let (mut one, mut other) = (node_with_a_map(), node_with_a_map());
        let (mut time_ms, mut events, mut deliveries) = (100, 0, 0);
        for (number, (step_ms, count, more, again)) in (1u64..).zip(acts) {
            time_ms += step_ms;
            events += count as u64;
            deliveries += more;
            let both = [
                publish(1, None, &["a", "b", "c"][..count], None),
                report(1, number, &[(STREAM, delivered(more))]),
            ];
            one.entry(time_ms, &both);
            other.entry(time_ms, &both);
            if again {
                other.state = State::load(&other.store).unwrap();
            }
            prop_assert_eq!(&one.store, &other.store);
        }
        let days = sum(&one, PeriodKind::Day, time_ms);
        prop_assert_eq!((days.events, days.delivered.deliveries), (events, deliveries));
    }
}
