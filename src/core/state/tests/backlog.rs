//! The backlog for webhooks: within the bound everything stays that an active webhook needs and nothing else,
//! and losses beyond the bound are reported.

use super::delivery::{dead_letter, on, put, report, stored, update, webhook, webhook_id};
use super::*;
use crate::core::command::{Activate, RetentionPatch};
use crate::core::consumer::progress::DeadLetterChange::{Added, Removed};
use crate::core::consumer::progress::{
    Disable, EventRef, OwnerCommand, Progress, Replay, Retry, Source, Track,
};
use crate::core::event::Event;
use crate::core::history::Bounds;
use crate::core::state::backlog::Backlog;
use crate::core::webhook::records::Update;
use crate::core::webhook::{OnWebhook, Origin};
use std::collections::BTreeSet;

/// Bytes of a stored event that [`publish`] makes.
const EVENT: u64 = 47;

fn keep(events: u64, webhook_backlog: WebhookBacklog) -> Retention {
    Retention { events: Some(events), webhook_backlog, ..KEEP_ALL }
}

fn at_most(bytes: u64) -> WebhookBacklog {
    WebhookBacklog { bytes: Some(bytes), ..WAIT_FOR_EVER }
}

/// A node with map 1 and `webhooks` webhooks, which delivers itself.
fn node(retention: Retention, webhooks: u8) -> Node {
    let mut node = Node::new();
    node.one(1, create(1, None, NO_LIMITS, retention));
    node.one(1, leases::delivers(1, 7));
    for n in 1..=webhooks {
        assert!(matches!(node.one(1, put(webhook(n, 1), None, None)), Reply::Webhook(_)));
    }
    node
}

fn publish_some(node: &mut Node, now_ms: u64, count: usize) {
    for _ in 0..count {
        published(node.one(now_ms, publish(1, None, &["a"], None)));
    }
}

fn report_one(node: &mut Node, update: Update) {
    assert_eq!(node.one(9, report(1, 7, 1, vec![update])), Reply::Progressed(vec![]));
}

fn retry(seqs: &[u64]) -> Retry {
    let events = seqs.iter().map(|seq| EventRef { seq: *seq, id: EventId::ZERO }).collect();
    Retry { events, attempts: 1, due_ms: 1, first_ms: 1, lanes: vec![], source: Source::Live }
}

/// Returns the stored events of map 1, whether or not readers have them.
fn in_topic(node: &Node) -> Vec<u64> {
    let topic = node.state.access().map(map_id(1)).unwrap().topic;
    let from = keys::event(topic, 0).to_vec();
    let to = keys::event(topic, u64::MAX).to_vec();
    node.store.0.range(from..to).map(|(key, _)| keys::event_seq(key).unwrap()).collect()
}

/// Returns the copies for a webhook's retries and dead letters.
fn kept(node: &Node, n: u8) -> Vec<u64> {
    let from = keys::kept_event(webhook_id(n), 0).to_vec();
    let to = keys::kept_event(webhook_id(n), u64::MAX).to_vec();
    node.store.0.range(from..to).map(|(key, _)| keys::number_of(key).unwrap()).collect()
}

fn backlog(node: &Node, n: u8) -> Backlog {
    stored(node, &keys::backlog(webhook_id(n))).unwrap_or_default()
}

fn seqs_of(range: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    range.collect()
}

#[test]
fn events_before_an_active_webhook_stay_hidden_from_readers() {
    let mut node = node(keep(5, WAIT_FOR_EVER), 2);
    publish_some(&mut node, 2, 20);
    assert_eq!((in_topic(&node), seqs(&node, 1)), (seqs_of(1..=20), seqs_of(16..=20)));
    let topic = node.state.access().map(map_id(1)).unwrap().topic;
    let history = History::open(&node.store, topic).unwrap();
    let first = history.locate(Start::Last(100)).unwrap();
    assert_eq!(first.next_seq, 16, "readers get what retention keeps");
    let all = History::open(&node.store, topic)
        .unwrap()
        .with_backlog()
        .read(0, Bounds { events: 100, bytes: 1 << 20 })
        .unwrap()
        .events;
    assert_eq!(all.iter().map(|event| event.seq).collect::<Vec<_>>(), seqs_of(1..=20));
    report_one(&mut node, update(1, 18));
    report_one(&mut node, update(2, 9));
    node.one(10, Command::Tick);
    assert_eq!(in_topic(&node), seqs_of(9..=20), "the slowest webhook decides");
    report_one(&mut node, update(2, 21));
    publish_some(&mut node, 10, 1);
    assert_eq!(in_topic(&node), seqs_of(17..=21), "the next event removes what all have passed");
    assert_eq!((backlog(&node, 1), backlog(&node, 2)), Default::default());
}

#[test]
fn deleting_an_event_deletes_its_copies() {
    use crate::core::command::{DeleteEvent, DeleteSubject};
    let mut node = node(keep(2, WAIT_FOR_EVER), 2);
    let first = published(node.one(2, publish(1, None, &["a"; 4], None)));
    for n in 1..=2 {
        report_one(&mut node, Update { kept: vec![(1, retry(&[1, 2]))], ..update(n, 5) });
    }
    publish_some(&mut node, 3, 2);
    node.one(4, Command::Tick);
    assert_eq!((kept(&node, 1), kept(&node, 2)), (vec![1, 2], vec![1, 2]));
    let delete = Command::DeleteEvent(DeleteEvent { map: map_id(1), by: None, id: first.id(0) });
    assert_eq!(node.one(5, delete.clone()), Reply::Removed(1));
    assert_eq!((kept(&node, 1), kept(&node, 2)), (vec![2], vec![2]));
    assert_eq!(node.one(5, delete), Reply::Refused(Refusal::UnknownEvent));
    let subject = crate::core::subject::Subject::own();
    let delete = Command::DeleteSubject(DeleteSubject { map: map_id(1), by: None, subject });
    assert!(matches!(node.one(6, delete), Reply::Removed(1..)));
    node.one(7, Command::Tick);
    assert_eq!((kept(&node, 1), kept(&node, 2)), (vec![], vec![]));
    assert_eq!((backlog(&node, 1).kept_bytes, backlog(&node, 2).kept_bytes), (0, 0));
}

#[test]
fn a_disabled_or_deleted_webhook_holds_nothing() {
    let off = Command::ActivateWebhook(on(1, 1, Activate { active: false, seek: None }));
    let gone = Command::DeleteWebhook(on(1, 1, Origin::Api));
    let failed = report(
        1,
        7,
        1,
        vec![Update { disable: Some(Disable { why: "gone".into(), news: None }), ..update(1, 1) }],
    );
    for command in [off, gone, failed] {
        let mut node = node(keep(5, WAIT_FOR_EVER), 1);
        publish_some(&mut node, 2, 20);
        node.one(3, command);
        node.one(4, Command::Tick);
        assert_eq!(in_topic(&node), seqs_of(16..=20));
        assert!(node.state.take_changes().iter().all(|change| !matches!(change, Change::Lost(..))));
    }
}

#[test]
fn a_large_backlog_is_removed_in_pieces() {
    let mut node = node(keep(5, WAIT_FOR_EVER), 1);
    for _ in 0..200 {
        node.one(2, publish(1, None, &["a"; 100], None));
    }
    assert_eq!(in_topic(&node).len(), 20_000);
    node.one(3, Command::DeleteWebhook(on(1, 1, Origin::Api)));
    assert_eq!(node.one(4, Command::Tick), Reply::Ticked(true));
    let left = in_topic(&node).len();
    assert!((11_000..20_000).contains(&left), "{left}");
    assert_eq!(node.one(5, Command::Tick), Reply::Ticked(true));
    assert_eq!(node.one(6, Command::Tick), Reply::Ticked(false));
    assert_eq!(in_topic(&node).len(), 5);
}

#[test]
fn beyond_the_bound_in_bytes_the_oldest_go_and_the_webhook_is_losing() {
    let mut node = node(keep(5, at_most(10 * EVENT)), 2);
    publish_some(&mut node, 2, 15);
    report_one(&mut node, update(2, 16));
    node.state.take_changes();
    publish_some(&mut node, 3, 4);
    assert_eq!(in_topic(&node), seqs_of(5..=19));
    let lost: Vec<Change> =
        node.state.take_changes().into_iter().filter(|change| matches!(change, Change::Lost(..))).collect();
    assert_eq!(lost, vec![Change::Lost(webhook_id(1), 1); 4], "only for the webhook that needed them");
    let losing = backlog(&node, 1).losing.unwrap();
    assert_eq!((losing.since_ms, losing.last_ms, losing.events, losing.announced), (3, 3, 4, false));
    assert_eq!(backlog(&node, 2).losing, None);
    node.one(4, Command::Tick);
    let topic = node.state.access().map(map_id(1)).unwrap().topic;
    let events = History::open(&node.store, topic)
        .unwrap()
        .read(20, Bounds { events: 10, bytes: 1 << 20 })
        .unwrap()
        .events;
    let payload = String::from_utf8(events[0].payload.to_vec()).unwrap();
    assert_eq!(&*events[0].kind, "webhook.losing");
    assert!(payload.contains(r#""lost":4"#) && payload.contains(&webhook_id(1).to_string()), "{payload}");
    node.one(5, Command::Tick);
    assert_eq!(seqs(&node, 1).last(), Some(&20), "announced once");
    report_one(&mut node, update(1, 21));
    node.one(500_000, Command::Tick);
    assert!(backlog(&node, 1).losing.is_some(), "it may begin again soon");
    node.one(700_000, Command::Tick);
    assert_eq!(backlog(&node, 1), Backlog::default());
}

#[test]
fn losses_caused_by_an_announcement_are_counted() {
    let mut node = node(keep(5, at_most(10 * EVENT)), 3);
    publish_some(&mut node, 2, 19);
    node.one(3, Command::Tick);
    let changes = node.state.take_changes();
    let lost = |n| -> u64 {
        let of = |change: &Change| match change {
            Change::Lost(id, events) if *id == webhook_id(n) => *events,
            _ => 0,
        };
        changes.iter().map(of).sum()
    };
    for n in 1..=3 {
        let losing = backlog(&node, n).losing.unwrap();
        assert!(losing.announced && losing.events > 4, "{n}: {losing:?}");
        assert_eq!(losing.events, lost(n), "{n}");
    }
}

#[test]
fn beyond_the_bound_in_age_unsettled_events_are_lost_and_settled_ones_are_not() {
    let backlog_of = WebhookBacklog { age_seconds: Some(60), ..WAIT_FOR_EVER };
    let mut node = node(keep(2, backlog_of), 1);
    publish_some(&mut node, 1_000, 4);
    publish_some(&mut node, 50_000, 4);
    let mut some = update(1, 1);
    some.progress.track = Track { next: 1, above: vec![(3, 8)] };
    report_one(&mut node, some);
    node.one(61_000, Command::Tick);
    assert_eq!(in_topic(&node), seqs_of(1..=8), "not yet");
    node.one(61_001, Command::Tick);
    assert_eq!(in_topic(&node), seqs_of(5..=9), "8, and the announcement");
    assert_eq!(backlog(&node, 1).losing.unwrap().events, 2, "3 and 4 were delivered");
}

#[test]
fn a_map_may_keep_nothing_for_webhooks() {
    let mut node = node(keep(5, at_most(0)), 1);
    publish_some(&mut node, 2, 20);
    assert_eq!(in_topic(&node), seqs_of(16..=20));
    assert_eq!(backlog(&node, 1).losing.unwrap().events, 15);
}

#[test]
fn retries_and_dead_letters_keep_their_events_and_no_others() {
    let mut node = node(keep(5, at_most(320 * EVENT)), 1);
    publish_some(&mut node, 2, 10);
    let dead_letters = vec![Added(dead_letter(2)), Added(dead_letter(4))];
    report_one(&mut node, Update { dead_letters, kept: vec![(1, retry(&[1, 3]))], ..update(1, 11) });
    publish_some(&mut node, 3, 20);
    report_one(&mut node, update(1, 31));
    node.one(4, Command::Tick);
    assert_eq!((in_topic(&node), kept(&node, 1)), (seqs_of(26..=30), vec![1, 2, 3, 4]));
    assert_eq!(backlog(&node, 1).kept_bytes, 4 * EVENT);
    let event = node.store.0[&keys::kept_event(webhook_id(1), 3).to_vec()].clone();
    assert_eq!(&*Event::from_stored(3, event.into()).unwrap().kind, "a");
    // 1 is delivered, 3 is given up, 2 is delivered after all.
    report_one(
        &mut node,
        Update { dead_letters: vec![Added(dead_letter(3)), Removed(2)], dropped: vec![1], ..update(1, 31) },
    );
    assert_eq!(kept(&node, 1), [3, 4]);
    let off = Command::ActivateWebhook(on(1, 1, Activate { active: false, seek: None }));
    node.one(10, off);
    node.one(10, Command::Tick);
    assert_eq!(kept(&node, 1), [3, 4], "dead letters keep them, whether or not the webhook is active");
    node.one(10, Command::PurgeDead(on(1, 1, Some(vec![4]))));
    assert_eq!(kept(&node, 1), [3]);
    node.one(10, Command::PurgeDead(on(1, 1, None)));
    assert_eq!((kept(&node, 1), backlog(&node, 1)), (vec![], Backlog::default()));
}

#[test]
fn copies_are_bounded_and_deleted_with_the_webhook() {
    let mut node = node(keep(5, at_most(160 * EVENT)), 1);
    publish_some(&mut node, 2, 40);
    let dead_letters = (1..=10).map(dead_letter).map(Added).collect();
    let waits = retry(&(11..=20).collect::<Vec<_>>());
    report_one(&mut node, Update { dead_letters, kept: vec![(1, waits)], ..update(1, 41) });
    node.one(3, Command::Tick);
    assert_eq!(kept(&node, 1), seqs_of(11..=20), "the oldest are removed");
    assert_eq!(
        backlog(&node, 1),
        Backlog { kept_bytes: 10 * EVENT, losing: None },
        "dead letters are no losses"
    );
    node.one(4, Command::DeleteWebhook(on(1, 1, Origin::Api)));
    node.one(5, Command::Tick);
    assert!(kept(&node, 1).is_empty());
    assert!(!node.store.0.contains_key(keys::backlog(webhook_id(1)).as_slice()));
}

#[test]
fn a_replay_and_a_seek_backwards_hold_what_they_read() {
    let mut node = node(keep(5, WAIT_FOR_EVER), 1);
    publish_some(&mut node, 2, 5);
    let mut done = update(1, 6);
    done.progress.replays = vec![Replay {
        id: 1,
        failed_only: false,
        from_seq: 2,
        until_seq: 6,
        track: Track::new(3),
        delivered: 1,
        failed: 0,
        missed: 0,
        started_ms: 1,
        ended_ms: None,
        cancelled: false,
    }];
    report_one(&mut node, done.clone());
    node.one(3, Command::OwnerCommand(on(1, 1, OwnerCommand::Seek(2))));
    publish_some(&mut node, 4, 5);
    assert_eq!(in_topic(&node), seqs_of(2..=10));
    let mut taken_up =
        Update { progress: Progress { replays: done.progress.replays, ..update(1, 11).progress }, ..done };
    taken_up.progress.commands_done = u64::MAX - 1;
    report_one(&mut node, taken_up.clone());
    node.one(5, Command::Tick);
    assert_eq!(in_topic(&node), seqs_of(3..=10));
    taken_up.progress.replays[0].ended_ms = Some(1);
    taken_up.progress.reports += 1_000_000;
    report_one(&mut node, taken_up);
    node.one(5, Command::Tick);
    assert_eq!(in_topic(&node), seqs_of(6..=10));
}

/// An action on a map and its webhooks.
#[derive(Clone, Debug)]
enum Happens {
    Publish(usize),
    /// A webhook's report: how many more events are settled, and which of them are retried or were given up.
    Report {
        n: u8,
        more: u64,
        failing: u8,
        given_up: u8,
        revive: bool,
    },
    Passes(u64),
    Active(u8, bool),
    Delete(u8),
    Make(u8),
    Purge(u8),
    Backlog(Option<u64>),
}

fn happens(bounded: bool) -> impl Strategy<Value = Happens> {
    let n = 1u8..4;
    prop_oneof![
        6 => (1usize..6).prop_map(Happens::Publish),
        6 => (n.clone(), 0u64..9, any::<u8>(), any::<u8>(), any::<bool>())
            .prop_map(|(n, more, failing, given_up, revive)| Happens::Report { n, more, failing, given_up, revive }),
        3 => (1u64..40_000).prop_map(Happens::Passes),
        1 => (n.clone(), any::<bool>()).prop_map(|(n, active)| Happens::Active(n, active)),
        1 => n.clone().prop_map(Happens::Delete),
        1 => n.clone().prop_map(Happens::Make),
        1 => n.prop_map(Happens::Purge),
        1 => prop::option::of(0u64..40).prop_map(move |n| Happens::Backlog(n.filter(|_| bounded).map(|n| n * EVENT))),
    ]
}

/// The node and the time.
struct World {
    node: Node,
    now_ms: u64,
}

impl World {
    fn progress(&self, n: u8) -> Option<Progress> {
        stored(&self.node, &keys::progress(webhook_id(n)))
    }

    fn next_seq(&self) -> u64 {
        self.node.state.streams.next_seq_of(map_id(1))
    }

    fn dead_letters(&self, n: u8) -> BTreeSet<u64> {
        let from = keys::dead_letter(webhook_id(n), 0);
        let to = keys::dead_letter(webhook_id(n), u64::MAX);
        self.node
            .store
            .0
            .range(from.to_vec()..to.to_vec())
            .filter_map(|(key, _)| keys::number_of(key))
            .collect()
    }

    /// Returns the seqs that wait for a retry. Each has a record of its own, with the seq as its number.
    fn waiting(&self, n: u8) -> BTreeSet<u64> {
        let from = keys::waiting(webhook_id(n), 0);
        let to = keys::waiting(webhook_id(n), u64::MAX);
        self.node
            .store
            .0
            .range(from.to_vec()..to.to_vec())
            .filter_map(|(key, _)| keys::number_of(key))
            .collect()
    }

    /// Returns what a webhook needs: unsettled events while it is active, its retries, and its dead letters.
    fn needed(&self, n: u8) -> BTreeSet<u64> {
        let Some(progress) = self.progress(n) else { return BTreeSet::new() };
        let mut needed = self.dead_letters(n);
        needed.extend(self.waiting(n));
        if self.is_active(n) {
            needed.extend(
                (progress.track.next..self.next_seq()).filter(|seq| !progress.track.is_settled(*seq)),
            );
        }
        needed
    }

    fn is_active(&self, n: u8) -> bool {
        self.node.state.webhooks().get(webhook_id(n)).is_some_and(|webhook| webhook.active)
    }

    /// Returns what a webhook's owner can read.
    fn readable(&self, n: u8) -> BTreeSet<u64> {
        in_topic(&self.node).into_iter().chain(kept(&self.node, n)).collect()
    }

    fn go(&mut self, what: Happens) {
        let command = match what {
            Happens::Publish(count) => publish(1, None, &vec!["a"; count], None),
            Happens::Report { n, more, failing, given_up, revive } => {
                self.report(n, more, failing, given_up, revive)
            }
            Happens::Passes(ms) => {
                self.now_ms += ms;
                Command::Tick
            }
            Happens::Active(n, active) => Command::ActivateWebhook(on(1, n, Activate { active, seek: None })),
            Happens::Delete(n) => Command::DeleteWebhook(on(1, n, Origin::Api)),
            Happens::Make(n) => put(webhook(n, 1), None, None),
            Happens::Purge(n) => Command::PurgeDead(OnWebhook { by: None, ..on(1, n, None) }),
            Happens::Backlog(bytes) => Command::UpdateMap(UpdateMap {
                map: map_id(1),
                by: None,
                slug: None,
                name: None,
                limits: Default::default(),
                retention: RetentionPatch { backlog_bytes: Some(bytes), ..Default::default() },
            }),
        };
        self.node.one(self.now_ms, command);
    }

    /// A report as an engine makes it: a settled event was delivered, waits for a retry, or was given up.
    fn report(&self, n: u8, more: u64, failing: u8, given_up: u8, revive: bool) -> Command {
        let Some(mut progress) = self.progress(n) else { return Command::Tick };
        let mut kept = Vec::new();
        let mut dropped = Vec::new();
        let mut dead_letters = Vec::new();
        for seq in self.waiting(n) {
            if given_up & 1 << (seq % 8) != 0 {
                dead_letters.push(Added(dead_letter(seq)));
                dropped.push(seq);
            } else if failing & 1 << (seq % 8) == 0 {
                dropped.push(seq);
            }
        }
        let unsettled = progress.track.next..self.next_seq();
        for (at, seq) in
            unsettled.filter(|seq| !progress.track.is_settled(*seq)).enumerate().collect::<Vec<_>>()
        {
            // Some events stay open before others that are settled.
            if at as u64 >= more || (at == 1 && failing & 1 != 0) {
                continue;
            }
            progress.track.settle(seq);
            if failing & 1 << (seq % 8) != 0 {
                kept.push((seq, retry(&[seq])));
            }
        }
        // It was delivered after all.
        dead_letters.extend(self.dead_letters(n).into_iter().take(revive.into()).map(Removed));
        progress.reports += 1;
        report(1, 7, 1, vec![Update { progress, kept, dropped, dead_letters, ..update(n, 1) }])
    }
}

/// Checks that the node keeps exactly what its counters say.
fn check_counters(world: &World) -> Result<(), TestCaseError> {
    let record = world.node.state.streams.topics.values().next().unwrap();
    let stored = in_topic(&world.node);
    prop_assert_eq!(&stored, &(record.stored_seq..record.next_seq).collect::<Vec<_>>());
    let topic = world.node.state.access().map(map_id(1)).unwrap().topic;
    let bytes = |seq: u64| world.node.store.0[&keys::event(topic, seq).to_vec()].len() as u64;
    prop_assert_eq!(record.backlog_bytes, (record.stored_seq..record.first_seq).map(bytes).sum::<u64>());
    for n in 1..4 {
        let of = |seq: u64| world.node.store.0[&keys::kept_event(webhook_id(n), seq).to_vec()].len() as u64;
        if world.node.state.webhooks().get(webhook_id(n)).is_some() {
            prop_assert_eq!(
                backlog(&world.node, n).kept_bytes,
                kept(&world.node, n).into_iter().map(of).sum::<u64>()
            );
        }
    }
    Ok(())
}

proptest! {
    /// Whatever happens in whatever order, within the bound nothing that a webhook needs is removed, and
    /// after the clean-up nothing else is kept.
    #[test]
    fn within_the_bound_nothing_needed_is_removed_and_nothing_else_stays(
        log in prop::collection::vec(happens(false), 1..40),
        age_seconds in prop::option::of(1u64..30),
    ) {
        let retention = Retention { age_seconds, ..keep(4, WAIT_FOR_EVER) };
        let mut world = World { node: node(retention, 3), now_ms: 1_000 };
        for what in log {
            let before: Vec<_> = (1..4).map(|n| (world.needed(n), world.readable(n))).collect();
            world.go(what.clone());
            check_counters(&world)?;
            for (n, (needed, readable)) in (1..4).zip(before) {
                let still: BTreeSet<u64> = needed.intersection(&world.needed(n)).copied().collect();
                let gone: Vec<u64> =
                    still.intersection(&readable).filter(|seq| !world.readable(n).contains(seq)).copied().collect();
                prop_assert!(gone.is_empty(), "{:?} took {:?} from {}", what, gone, n);
                prop_assert_eq!(backlog(&world.node, n).losing, None);
            }
        }
        world.go(Happens::Passes(1));
        let record = world.node.state.streams.topics.values().next().unwrap().clone();
        let active = (1..4).filter(|n| world.is_active(*n));
        let floor = active.filter_map(|n| Some(world.progress(n)?.track.next)).min().unwrap_or(u64::MAX);
        prop_assert!(record.stored_seq >= floor.min(record.first_seq), "{:?}, needed from {}", record, floor);
        for n in 1..4 {
            prop_assert!(kept(&world.node, n).into_iter().all(|seq| world.needed(n).contains(&seq)));
        }
    }

    /// With a bound, the bytes stay within it, and an active webhook that loses an unsettled event or a retry
    /// reports it.
    #[test]
    fn beyond_the_bound_bytes_are_bounded_and_losses_are_reported(
        log in prop::collection::vec(happens(true), 1..40),
        bound in (0u64..40, prop::option::of(1u64..60)),
    ) {
        let webhook_backlog = WebhookBacklog { bytes: Some(bound.0 * EVENT), age_seconds: bound.1 };
        let mut world = World { node: node(keep(4, webhook_backlog), 3), now_ms: 1_000 };
        for what in log {
            let before: Vec<_> = (1..4).map(|n| (world.needed(n), world.readable(n))).collect();
            world.go(what.clone());
            check_counters(&world)?;
            for (n, (needed, readable)) in (1..4).zip(before) {
                let dead_letters = world.dead_letters(n);
                let still: BTreeSet<u64> = needed.intersection(&world.needed(n)).copied().collect();
                let gone = still.iter().any(|seq| {
                    readable.contains(seq) && !world.readable(n).contains(seq) && !dead_letters.contains(seq)
                });
                let is_reported = backlog(&world.node, n).losing.is_some();
                prop_assert!(!gone || is_reported || !world.is_active(n), "{:?} took from {} without a report", what, n);
            }
            if matches!(what, Happens::Publish(_) | Happens::Passes(_)) {
                let record = world.node.state.streams.topics.values().next().unwrap();
                let most = world.node.state.access().map(map_id(1)).unwrap().retention.webhook_backlog.bytes;
                prop_assert!(record.backlog_bytes <= most.unwrap_or(u64::MAX), "{:?}", record);
            }
        }
    }

    /// Two nodes, one of which restarts before every entry, keep the same and report the same.
    #[test]
    fn all_nodes_keep_the_same_backlog(
        log in prop::collection::vec(happens(true), 1..40), bound in 0u64..40,
    ) {
        let mut steady = node(keep(4, at_most(bound * EVENT)), 3);
        let mut restarting = node(keep(4, at_most(bound * EVENT)), 3);
        prop_assert_eq!(&steady.store, &restarting.store);
        let mut world = World { node: steady, now_ms: 1_000 };
        for what in log {
            restarting.state = State::load(&restarting.store).unwrap();
            let mut other = World { node: restarting, now_ms: world.now_ms };
            other.go(what.clone());
            world.go(what);
            prop_assert_eq!(&world.node.store, &other.node.store);
            restarting = other.node;
        }
        steady = world.node;
        prop_assert_eq!(steady.index, restarting.index);
    }
}
