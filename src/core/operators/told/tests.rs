use super::*;

const HOUR_MS: u64 = 3_600_000;

fn node(id: NodeId) -> NodeName {
    NodeName { id, name: Some(format!("node-{id}")) }
}

fn report(term: u64, leader: NodeId, observed: Vec<Observed>) -> OperatorReport {
    OperatorReport { term, leader: node(leader), observed }
}

fn reach(id: NodeId, is_down: bool) -> Observed {
    Observed::Reach { node: node(id), is_down }
}

fn kinds(events: &[NewEvent]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

fn payload(event: &NewEvent) -> Value {
    serde_json::from_slice(&event.payload).unwrap_or_default()
}

#[test]
fn a_node_is_down_once_and_up_once_whoever_reports_it() {
    let mut told = Told::default();
    assert!(told.take(&report(1, 1, vec![reach(3, false)]), 0, 1).is_empty(), "it was never down");
    let down = told.take(&report(1, 1, vec![reach(3, true)]), 0, 2);
    assert_eq!(kinds(&down), ["node.down"]);
    assert_eq!(payload(&down[0]), json!({"node": {"id": 3, "name": "node-3"}}));
    assert!(down[0].subject.is_own());
    assert!(told.take(&report(1, 1, vec![reach(3, true)]), 0, 3).is_empty(), "it is repeated");
    assert_eq!(kinds(&told.take(&report(2, 2, vec![reach(3, true)]), 0, 4)), ["leader.changed"]);
    assert_eq!(kinds(&told.take(&report(2, 2, vec![reach(3, false)]), 0, 5)), ["node.up"]);
    assert!(told.take(&report(2, 2, vec![reach(3, false)]), 0, 6).is_empty());
}

#[test]
fn each_change_of_the_leader_is_told_once_and_a_late_report_not_at_all() {
    let mut told = Told::default();
    assert!(told.take(&report(1, 1, vec![]), 0, 1).is_empty(), "the first leader follows nobody");
    let changed = told.take(&report(4, 2, vec![]), 0, 2);
    assert_eq!(kinds(&changed), ["leader.changed"]);
    let expected = json!({"from": {"id": 1, "name": "node-1"}, "to": {"id": 2, "name": "node-2"}});
    assert_eq!(payload(&changed[0]), expected);
    assert!(told.take(&report(3, 1, vec![reach(2, true)]), 0, 3).is_empty(), "it leads no more");
    assert!(told.take(&report(5, 2, vec![]), 0, 4).is_empty(), "the same node leads again");
}

#[test]
fn a_change_of_the_leader_that_is_told_late_says_when_it_was() {
    let mut told = Told::default();
    let leads = |term: u64, since_ms| report(term, 1 + term % 2, vec![Observed::Leads { since_ms }]);
    let mut events = Vec::new();
    for term in 1..100_u64 {
        if let Some(news) = told.news(leads(term, term * 1000), 0, term * 1000) {
            events.extend(told.take(&news, 0, term * 1000));
        }
    }
    assert_eq!(events.len(), 6);
    let changed = json!({
        "from": {"id": 2, "name": "node-2"}, "to": {"id": 1, "name": "node-1"}, "at": "1970-01-01T00:00:02.000Z",
    });
    assert_eq!(payload(&events[0]), changed);
    let late = leads(100, 100_000);
    let news = told.news(late.clone(), 0, HOUR_MS);
    assert_eq!(news, Some(late.clone()));
    assert_eq!(payload(&told.take(&late, 0, HOUR_MS)[0])["at"], "1970-01-01T00:01:40.000Z");
    assert_eq!(told.news(late, 0, 2 * HOUR_MS), None, "it is told once");
}

#[test]
fn what_flaps_is_told_rarely_and_then_as_it_is() {
    let mut told = Told::default();
    let mut events = Vec::new();
    for second in 0..1800_u64 {
        events.extend(told.take(&report(1, 1, vec![reach(2, second % 2 == 0)]), 0, second * 1000));
    }
    assert!((7..=9).contains(&events.len()), "{} events in half an hour", events.len());
    let last = kinds(&events).last().map(|kind| (*kind).to_owned());
    // It is quiet: what is told last is how it is.
    let is_down = last.as_deref() != Some("node.down");
    let after = told.take(&report(1, 1, vec![reach(2, is_down)]), 0, 3 * HOUR_MS);
    assert_eq!(kinds(&after), [if is_down { "node.down" } else { "node.up" }]);
}

#[test]
fn a_low_disk_and_a_wrong_clock_are_told_until_they_are_well_again() {
    let mut told = Told::default();
    let disk = |is_low| Observed::Disk { node: node(1), is_low, free_bytes: 5, percent: 9 };
    let clock = |is_apart| Observed::Clock { node: node(2), is_apart, offset_ms: -4000 };
    let all = |is_bad| report(1, 1, vec![disk(is_bad), clock(is_bad)]);
    let events = told.take(&all(true), 0, 1);
    assert_eq!(kinds(&events), ["disk.low", "clock.apart"]);
    let expected = json!({"node": {"id": 1, "name": "node-1"}, "free_bytes": 5, "percent": 9});
    assert_eq!(payload(&events[0]), expected);
    assert_eq!(payload(&events[1]), json!({"node": {"id": 2, "name": "node-2"}, "offset_ms": -4000}));
    assert!(told.take(&all(true), 0, 2).is_empty());
    assert!(told.take(&all(false), 0, 3).is_empty(), "that it is well again is not told");
    assert_eq!(kinds(&told.take(&all(true), 0, 4)), ["disk.low", "clock.apart"]);
}

#[test]
fn a_certificate_is_told_at_thirty_seven_and_one_days() {
    let mut told = Told::default();
    let until = 100 * DAY_MS / 1000;
    let of = |until| {
        report(1, 1, vec![Observed::Certificate { node: node(1), certificate: Certificate::Client, until }])
    };
    let mut days = Vec::new();
    for day in 0..102 {
        for event in told.take(&of(until), day * DAY_MS, day) {
            days.push(payload(&event));
        }
    }
    let node = json!({"id": 1, "name": "node-1"});
    let of_client = |left| json!({"node": node, "certificate": "client", "days": left});
    let expected = [30, 7, 1].map(of_client);
    assert_eq!(days, expected);
    assert!(told.take(&of(until + 400 * DAY_MS / 1000), 102 * DAY_MS, 200).is_empty(), "it was replaced");
    assert_eq!(told.take(&of(until), 95 * DAY_MS, 300).len(), 1, "the old one is back");
    let mut late = Told::default();
    assert_eq!(late.take(&of(until), 98 * DAY_MS, 1).len(), 1, "only the step that is reached");
}

#[test]
fn only_what_is_new_is_reported() {
    let mut told = Told::default();
    let all = || report(1, 1, vec![reach(1, false), reach(2, true), reach(3, false)]);
    let news = told.news(all(), 0, 1);
    assert_eq!(news.as_ref().map(|news| news.observed.clone()), Some(vec![reach(2, true)]));
    let events = news.map(|news| told.take(&news, 0, 1)).unwrap_or_default();
    assert_eq!(kinds(&events), ["node.down"]);
    assert_eq!(told.news(all(), 0, 2), None);
    let left = report(1, 1, vec![Observed::Left(2), Observed::Left(9)]);
    let news = told.news(left, 0, 3);
    assert_eq!(news.map(|news| news.observed), Some(vec![Observed::Left(2)]));
    assert_eq!(told.nodes().collect::<Vec<_>>(), [2]);
    assert!(told.news(report(2, 1, vec![]), 0, 4).is_some(), "a later term is recorded");
    assert!(told.news(report(0, 3, vec![]), 0, 4).is_none());
}
