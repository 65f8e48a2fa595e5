//! Webhooks and their progress: refusals, the fence, dead letters, and what a deleted webhook leaves behind.

use super::*;
use crate::core::command::{Activate, Counted};
use crate::core::consumer::progress::DeadLetterChange::Removed;
use crate::core::consumer::progress::{
    Disable, EventRef, KEPT_REPLAYS, NumberedCommand, OwnerCommand, Progress, Reason, Retry, Source,
};
use crate::core::webhook::outcome::{Class, Outcome, Sent};
use crate::core::webhook::records::{
    Attempt, AttemptHistory, DeadLetter, DeadLetterChange, KEPT_ATTEMPTS, ProgressReport, Update,
};
use crate::core::webhook::{Defaults, OnWebhook, Origin, Plain, Profile, PutWebhook, RetryPolicy};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub(super) fn webhook_id(n: u8) -> WebhookId {
    WebhookId::from_bytes([n; 16])
}

pub(super) fn webhook(n: u8, map: u8) -> Webhook {
    let retry = RetryPolicy {
        max_attempts: 3,
        delay_ms: 1,
        factor_percent: 200,
        max_delay_ms: 9,
        jitter_percent: 0,
        ambiguous: true,
    };
    let defaults =
        Defaults { timeout_ms: 1, retry_attempts: None, retry_delay_ms: None, auto_disable_seconds: None };
    let Plain { webhook, .. } =
        Plain::new(webhook_id(n), map_id(map), Origin::Api, Profile::Wanderer, &defaults);
    Webhook { host: "h".into(), fingerprint: [n; 16], encrypted: vec![n], retry, ..webhook }
}

pub(super) fn put(webhook: Webhook, revision: Option<u64>, by: By) -> Command {
    Command::PutWebhook(Box::new(PutWebhook { by, webhook, revision, start_seq: None }))
}

pub(super) fn on<T>(map: u8, n: u8, what: T) -> OnWebhook<T> {
    OnWebhook { by: None, map: map_id(map), webhook: webhook_id(n), what }
}

/// The number of the last report.
static REPORTS: AtomicU64 = AtomicU64::new(1);

pub(super) fn update(n: u8, next: u64) -> Update {
    Update {
        consumer: webhook_id(n),
        born: 0,
        kept: Vec::new(),
        dropped: Vec::new(),
        progress: Progress { reports: REPORTS.fetch_add(1, Relaxed), ..Progress::new(next) },
        attempts: Vec::new(),
        dead_letters: Vec::new(),
        disable: None,
        news: Vec::new(),
    }
}

/// Fills in the present webhook's birth where an update names none.
pub(super) fn of_what_is_there(state: &State, mut command: Command) -> Command {
    if let Command::Progress(report) = &mut command {
        for update in report.updates.iter_mut().filter(|update| update.born == 0) {
            update.born = state.webhooks().get(update.consumer).map_or(0, |webhook| webhook.born);
        }
    }
    command
}

pub(super) fn report(node: NodeId, incarnation: u64, epoch: u64, updates: Vec<Update>) -> Command {
    Command::Progress(ProgressReport { node, epoch, incarnation, updates })
}

pub(super) fn dead_letter(seq: u64) -> DeadLetter {
    DeadLetter {
        seq,
        event_id: EventId::ZERO,
        kind: "a".into(),
        attempts: 3,
        first_ms: 1,
        given_up_ms: 2,
        reason: Reason::Failed(Outcome::answered(500, None).cause("")),
    }
}

fn added(seq: u64) -> DeadLetterChange {
    DeadLetterChange::Added(dead_letter(seq))
}

fn waits(seq: u64) -> Retry {
    let event = EventRef { seq, id: EventId::ZERO };
    Retry { events: vec![event], attempts: 1, due_ms: 1, first_ms: 1, lanes: vec![], source: Source::Live }
}

fn attempt(number: u64) -> Attempt {
    Attempt {
        number,
        seq: None,
        message_id: String::new(),
        events: 1,
        kind: String::new(),
        attempt: 1,
        at_ms: 0,
        took_ms: 0,
        class: Class::Delivered,
        sent: Sent::Answered,
        stage: None,
        status: None,
        error: None,
        answer: String::new(),
        node: 1,
    }
}

pub(super) fn stored<T: serde::de::DeserializeOwned>(node: &Node, key: &[u8]) -> Option<T> {
    node.store.0.get(key).map(|bytes| codec::decode(bytes).unwrap())
}

fn next(node: &Node, n: u8) -> u64 {
    stored::<Progress>(node, &keys::progress(webhook_id(n))).unwrap().track.next
}

/// A node with map 1 and webhook 1. It is node 1 in incarnation 7, and it delivers.
fn node() -> Node {
    let mut node = Node::new();
    node.one(1, create(1, None, NO_LIMITS, KEEP_ALL));
    node.one(1, leases::delivers(1, 7));
    assert!(matches!(node.one(1, put(webhook(1, 1), None, None)), Reply::Webhook(_)));
    node
}

#[test]
fn only_the_owner_of_the_present_epoch_and_incarnation_moves_progress() {
    let mut node = node();
    let stale = |epoch| Reply::Refused(Refusal::Stale(epoch));
    assert_eq!(node.one(2, report(1, 7, 1, vec![update(1, 5)])), Reply::Progressed(vec![]));
    for (who, run, epoch) in [(2, 7, 1), (1, 6, 1), (1, 7, 0), (1, 7, 2)] {
        assert_eq!(node.one(2, report(who, run, epoch, vec![update(1, 9)])), stale(1));
    }
    node.one(3, Command::NodeGone(1));
    assert_eq!(node.one(4, report(1, 7, 1, vec![update(1, 9)])), stale(2));
    node.one(5, leases::delivers(1, 8));
    assert_eq!(
        node.one(6, report(1, 7, 3, vec![update(1, 9)])),
        stale(3),
        "an earlier incarnation is refused"
    );
    assert_eq!(node.one(6, report(1, 8, 3, vec![update(1, 6)])), Reply::Progressed(vec![]));
    assert_eq!(next(&node, 1), 6);
    assert_eq!(node.one(7, report(1, 8, 3, vec![update(9, 1)])), Reply::Progressed(vec![webhook_id(9)]));
}

#[test]
fn another_node_takes_over_only_its_own_webhooks() {
    let mut node = node();
    node.one(2, leases::delivers(2, 1));
    let owner = node.state.webhooks().owners().owner_of(webhook_id(1)).unwrap();
    let run = if owner == 1 { 7 } else { 1 };
    let other = 3 - owner;
    let other_run = 8 - run;
    assert_eq!(
        node.one(3, report(other, other_run, 2, vec![update(1, 4)])),
        Reply::Refused(Refusal::Stale(2))
    );
    assert_eq!(node.one(3, report(owner, run, 2, vec![update(1, 4)])), Reply::Progressed(vec![]));
}

#[test]
fn a_change_must_name_the_present_revision() {
    let mut node = node();
    let Reply::Webhook(first) = node.one(2, put(webhook(1, 1), Some(1), None)) else { panic!("not changed") };
    assert_eq!(first.revision, 2);
    assert_eq!(node.one(2, put(webhook(1, 1), Some(1), None)), Reply::Refused(Refusal::Changed));
    assert_eq!(node.one(2, put(webhook(1, 1), None, None)), Reply::Refused(Refusal::IdTaken));
    assert_eq!(node.one(2, put(webhook(2, 1), Some(1), None)), Reply::Refused(Refusal::UnknownWebhook));
    let same = Webhook { fingerprint: [1; 16], ..webhook(2, 1) };
    assert_eq!(node.one(2, put(same, None, None)), Reply::Refused(Refusal::TargetTaken(webhook_id(1))));
    assert_eq!(node.one(2, put(webhook(2, 1), None, Some(token_id(9)))), Reply::Refused(Refusal::Forbidden));
    let foreign = Webhook { map: map_id(2), ..webhook(1, 1) };
    node.one(2, create(2, None, NO_LIMITS, KEEP_ALL));
    assert_eq!(node.one(2, put(foreign, Some(2), None)), Reply::Refused(Refusal::UnknownWebhook));
}

#[test]
fn a_map_has_a_limited_number_of_webhooks() {
    let mut node = Node::new();
    node.one(1, create(1, None, Limits { webhooks: Some(1), ..NO_LIMITS }, KEEP_ALL));
    node.one(1, put(webhook(1, 1), None, None));
    assert_eq!(
        node.one(1, put(webhook(2, 1), None, None)),
        Reply::Refused(Refusal::Limit(Counted::Webhooks, 1))
    );
    let configured = Webhook { origin: Origin::Config, ..webhook(3, 1) };
    assert!(matches!(node.one(1, put(configured.clone(), None, None)), Reply::Webhook(_)));
    let by_api = Webhook { origin: Origin::Api, ..configured };
    assert_eq!(node.one(1, put(by_api, Some(1), None)), Reply::Refused(Refusal::Configured));
}

/// A consumer that clients read, as a command that makes it with that start.
fn reading(n: u8, name: &str, start_seq: Option<u64>) -> Command {
    let webhook = Plain::read_by_clients(webhook_id(n), map_id(1), name).webhook;
    Command::PutWebhook(Box::new(PutWebhook { by: None, webhook, revision: None, start_seq }))
}

#[test]
fn a_consumer_starts_where_it_is_told() {
    let mut node = node();
    node.one(2, publish(1, None, &["a", "b", "c"], None));
    for (n, start_seq, expected) in [(2, None, 4), (3, Some(1), 1), (4, Some(3), 3), (5, Some(99), 4)] {
        let made = node.one(3, reading(n, &format!("c{n}"), start_seq));
        assert!(matches!(made, Reply::Webhook(_)), "{made:?}");
        assert_eq!(next(&node, n), expected, "{start_seq:?}");
    }
}

#[test]
fn a_name_of_a_consumer_is_taken_once_and_consumers_are_no_webhooks() {
    let mut node = Node::new();
    node.one(1, create(1, None, Limits { webhooks: Some(1), ..NO_LIMITS }, KEEP_ALL));
    assert!(matches!(node.one(1, reading(2, "jobs", None)), Reply::Webhook(_)));
    let taken = Reply::Refused(Refusal::TargetTaken(webhook_id(2)));
    assert_eq!(node.one(1, reading(3, "jobs", None)), taken);
    assert!(matches!(node.one(1, put(webhook(1, 1), None, None)), Reply::Webhook(_)), "a webhook beside it");
    for n in 10..109 {
        assert!(matches!(node.one(1, reading(n, &format!("c{n}"), None)), Reply::Webhook(_)), "{n}");
    }
    assert_eq!(
        node.one(1, reading(200, "one-more", None)),
        Reply::Refused(Refusal::Limit(Counted::Consumers, 100))
    );
}

#[test]
fn a_new_webhook_starts_at_the_end_and_commands_wait_for_the_owner() {
    let mut node = node();
    node.one(2, publish(1, None, &["a", "b"], None));
    node.one(2, put(webhook(2, 1), None, None));
    assert_eq!((next(&node, 1), next(&node, 2)), (1, 3));
    let Reply::CommandAccepted(number) =
        node.one(3, Command::OwnerCommand(on(1, 1, OwnerCommand::Seek(u64::MAX))))
    else {
        panic!()
    };
    let numbered: NumberedCommand = stored(&node, &keys::owner_command(webhook_id(1), number)).unwrap();
    assert_eq!((numbered.command, numbered.at_ms), (OwnerCommand::Seek(3), 3));
    let mut done = update(1, 3);
    done.progress.commands_done = number;
    node.one(4, report(1, 7, 1, vec![done]));
    assert!(stored::<NumberedCommand>(&node, &keys::owner_command(webhook_id(1), number)).is_none());
}

#[test]
fn owner_commands_are_bounded_and_recovery_commands_always_fit() {
    let mut node = node();
    let ask = |command: OwnerCommand| Command::OwnerCommand(on(1, 1, command));
    let refused = |replies: Vec<Reply>, why: Refusal| {
        replies.into_iter().filter(|reply| *reply == Reply::Refused(why.clone())).count()
    };
    let replays = vec![ask(OwnerCommand::Replay { from_seq: 1, until_seq: 9, failed_only: false }); 12];
    let replies = node.entry(5, &replays);
    let Reply::CommandAccepted(first) = replies[0] else { panic!("{replies:?}") };
    assert_eq!(refused(replies, Refusal::Limit(Counted::Replays, KEPT_REPLAYS as u32)), 4);
    let named = vec![ask(OwnerCommand::Redeliver(vec![1])); 70];
    assert_eq!(refused(node.entry(6, &named), Refusal::Busy), 70 - (64 - KEPT_REPLAYS));
    assert!(matches!(node.one(7, ask(OwnerCommand::Cancel(first))), Reply::CommandAccepted(_)));
    assert!(
        stored::<NumberedCommand>(&node, &keys::owner_command(webhook_id(1), first)).is_none(),
        "it need not start"
    );
    let off = Activate { active: false, seek: None };
    let on_again = Activate { active: true, seek: Some(4) };
    assert!(matches!(node.one(8, Command::ActivateWebhook(on(1, 1, off))), Reply::Webhook(_)));
    assert_eq!(node.one(8, ask(OwnerCommand::Redeliver(vec![1]))), Reply::Refused(Refusal::Inactive));
    for seek in [None, Some(4), Some(5), None] {
        let again = Activate { seek, ..on_again };
        assert!(matches!(node.one(9, Command::ActivateWebhook(on(1, 1, again))), Reply::Webhook(_)));
    }
    let starts: Vec<OwnerCommand> = owner_commands(&node)
        .into_iter()
        .filter(|command| matches!(command, OwnerCommand::Resume | OwnerCommand::Seek(_)))
        .collect();
    assert_eq!(starts, [OwnerCommand::Seek(5)], "the last position wins");
}

fn owner_commands(node: &Node) -> Vec<OwnerCommand> {
    let from = keys::owner_command(webhook_id(1), 0).to_vec();
    let to = keys::owner_command(webhook_id(1), u64::MAX).to_vec();
    node.store
        .0
        .range(from..to)
        .map(|(_, bytes)| codec::decode::<NumberedCommand>(bytes).unwrap().command)
        .collect()
}

#[test]
fn a_late_report_undoes_nothing() {
    let mut node = node();
    let early = update(1, 5);
    let late = update(1, 9);
    node.one(2, report(1, 7, 1, vec![late]));
    assert_eq!(node.one(3, report(1, 7, 1, vec![early])), Reply::Progressed(vec![]));
    assert_eq!(next(&node, 1), 9);
}

#[test]
fn any_stored_attempt_fits_the_store() {
    let mut node = node();
    let long = "é".repeat(100_000);
    for number in 1..40 {
        let attempt = Attempt {
            error: Some(long.clone()),
            answer: long.clone(),
            kind: long.clone(),
            message_id: long.clone(),
            ..attempt(number)
        };
        node.one(2, Command::NoteAttempt(webhook_id(1), Box::new(attempt.clone())));
        node.one(2, report(1, 7, 1, vec![Update { attempts: vec![attempt], ..update(1, 3) }]));
    }
    assert!(node.store.0[&keys::attempt_history(webhook_id(1)).to_vec()].len() < 64 * 1024);
}

#[test]
fn failures_are_retried_at_once_when_the_target_may_work_again() {
    let mut node = node();
    let waits = |node: &mut Node| {
        let mut failing = update(1, 3);
        failing.progress.commands_done = u64::MAX - 1;
        failing.progress.waiting.events = 1;
        node.one(2, report(1, 7, 1, vec![failing]));
        assert_eq!(owner_commands(node), []);
    };
    waits(&mut node);
    node.one(
        3,
        Command::NoteAttempt(webhook_id(1), Box::new(Attempt { class: Class::Status, ..attempt(0) })),
    );
    assert_eq!(owner_commands(&node), []);
    node.one(3, Command::NoteAttempt(webhook_id(1), Box::new(attempt(0))));
    assert_eq!(owner_commands(&node), [OwnerCommand::Resume], "a test request succeeded");
    waits(&mut node);
    node.one(4, put(webhook(1, 1), Some(1), None));
    assert_eq!(owner_commands(&node), []);
    node.one(4, put(Webhook { fingerprint: [9; 16], ..webhook(1, 1) }, Some(2), None));
    assert_eq!(owner_commands(&node), [OwnerCommand::Resume], "the target changed");
}

#[test]
fn a_configured_webhook_is_removed_only_by_the_configuration() {
    let mut node = node();
    node.one(2, put(Webhook { origin: Origin::Config, ..webhook(2, 1) }, None, None));
    assert_eq!(
        node.one(2, Command::DeleteWebhook(on(1, 2, Origin::Api))),
        Reply::Refused(Refusal::Configured)
    );
    assert_eq!(node.one(2, Command::DeleteWebhook(on(1, 2, Origin::Config))), Reply::Done);
    let again = put(Webhook { origin: Origin::Config, ..webhook(2, 1) }, None, None);
    assert_eq!(
        node.one(2, again.clone()),
        Reply::Refused(Refusal::Busy),
        "the old one is still being removed"
    );
    node.one(3, Command::Tick);
    assert!(matches!(node.one(4, again), Reply::Webhook(_)));
}

#[test]
fn a_reactivated_webhook_starts_without_its_failures() {
    let mut node = node();
    let off = Command::ActivateWebhook(on(1, 1, Activate { active: false, seek: None }));
    assert!(matches!(node.one(2, off), Reply::Webhook(webhook) if !webhook.active && webhook.revision == 2));
    node.one(3, put(webhook(1, 1), Some(2), None));
    assert_eq!(owner_commands(&node), [OwnerCommand::Resume]);
}

#[test]
fn dead_letters_are_counted_once_and_the_last_attempts_are_kept() {
    let mut node = node();
    let reported = Update {
        dead_letters: vec![added(1), added(2)],
        attempts: (1..31).map(attempt).collect(),
        ..update(1, 3)
    };
    let again = reported.clone();
    node.one(2, report(1, 7, 1, vec![reported]));
    node.one(3, report(1, 7, 1, vec![again]));
    let attempt_history: AttemptHistory = stored(&node, &keys::attempt_history(webhook_id(1))).unwrap();
    assert_eq!(
        (attempt_history.dead, attempt_history.attempts.len(), attempt_history.attempts[0].number),
        (2, KEPT_ATTEMPTS, 11)
    );
    node.one(
        4,
        report(1, 7, 1, vec![Update { dead_letters: vec![Removed(1), Removed(77)], ..update(1, 3) }]),
    );
    assert_eq!(node.one(5, Command::PurgeDead(on(1, 1, None))), Reply::Removed(1));
    assert_eq!(stored::<AttemptHistory>(&node, &keys::attempt_history(webhook_id(1))).unwrap().dead, 0);
    let tested = Command::NoteAttempt(webhook_id(1), Box::new(Attempt { number: 0, ..attempt(0) }));
    assert_eq!(node.one(6, tested), Reply::Done);
    node.one(7, report(1, 7, 1, vec![Update { attempts: vec![attempt(31)], ..update(1, 3) }]));
    let attempt_history: AttemptHistory = stored(&node, &keys::attempt_history(webhook_id(1))).unwrap();
    assert_eq!(attempt_history.attempts.last().unwrap().number, 31);
}

#[test]
fn a_disabled_webhook_has_a_reason_and_the_map_is_told() {
    let mut node = node();
    let news = Some(NewEvent::new(Default::default(), "webhook.disabled", "{}"));
    let disable = Some(Disable { why: "gone".into(), news });
    node.one(2, report(1, 7, 1, vec![Update { disable, ..update(1, 1) }]));
    let webhook = node.state.webhooks().get(webhook_id(1)).unwrap().clone();
    assert!(!webhook.active && webhook.disabled.as_ref().is_some_and(|disabled| disabled.why == "gone"));
    assert_eq!(seqs(&node, 1), [1]);
}

#[test]
fn a_request_to_continue_outweighs_an_earlier_decision_to_disable() {
    for seek in [None, Some(9)] {
        let mut node = node();
        let Reply::Webhook(_) =
            node.one(2, Command::ActivateWebhook(on(1, 1, Activate { active: true, seek })))
        else {
            panic!("refused")
        };
        let number = asked(&node);
        let disable = || {
            let news = Some(NewEvent::new(Default::default(), "webhook.disabled", "{}"));
            Some(Disable { why: "failed".into(), news })
        };
        let is_active = |node: &Node| node.state.webhooks().get(webhook_id(1)).unwrap().active;
        // The owner decided this before it carried out the command, so it comes too late.
        node.one(3, report(1, 7, 1, vec![Update { disable: disable(), ..update(1, 1) }]));
        assert!(is_active(&node) && seqs(&node, 1).is_empty(), "and the map is not told");
        let mut later = Update { disable: disable(), ..update(1, 1) };
        later.progress.commands_done = number;
        node.one(4, report(1, 7, 1, vec![later]));
        assert!(!is_active(&node), "failures after the command count");
    }
}

fn asked(node: &Node) -> u64 {
    let from = keys::owner_command(webhook_id(1), 0).to_vec();
    let to = keys::owner_command(webhook_id(1), u64::MAX).to_vec();
    let last = node.store.0.range(from..to).next_back().unwrap();
    codec::decode::<NumberedCommand>(last.1).unwrap().number
}

#[test]
fn a_report_on_a_deleted_webhook_does_not_touch_its_successor() {
    let mut node = node();
    let born = node.state.webhooks().get(webhook_id(1)).unwrap().born;
    let late = Update { born, dead_letters: vec![added(1)], kept: vec![(1, waits(1))], ..update(1, 9) };
    node.one(2, Command::DeleteWebhook(on(1, 1, Origin::Api)));
    node.one(3, Command::Tick);
    assert!(matches!(node.one(4, put(webhook(1, 1), None, None)), Reply::Webhook(new) if new.born != born));
    assert_eq!(node.one(5, report(1, 7, 1, vec![late])), Reply::Progressed(vec![webhook_id(1)]));
    assert_eq!((next(&node, 1), waiting(&node)), (1, 0));
    assert!(stored::<DeadLetter>(&node, &keys::dead_letter(webhook_id(1), 1)).is_none());
}

fn waiting(node: &Node) -> usize {
    let from = keys::waiting(webhook_id(1), 0).to_vec();
    let to = keys::waiting(webhook_id(1), u64::MAX).to_vec();
    node.store.0.range(from..to).count()
}

#[test]
fn each_waiting_delivery_is_a_record_until_it_is_dropped_or_the_webhook_is_deleted() {
    let mut node = node();
    node.one(2, report(1, 7, 1, vec![Update { kept: vec![(1, waits(1)), (2, waits(2))], ..update(1, 3) }]));
    node.one(
        3,
        report(1, 7, 1, vec![Update { kept: vec![(3, waits(3))], dropped: vec![1], ..update(1, 4) }]),
    );
    assert_eq!(waiting(&node), 2);
    node.one(4, Command::DeleteWebhook(on(1, 1, Origin::Api)));
    node.one(5, Command::Tick);
    assert_eq!(waiting(&node), 0);
}

#[test]
fn changes_of_dead_letters_apply_in_order() {
    let mut node = node();
    let there = |node: &Node| stored::<DeadLetter>(node, &keys::dead_letter(webhook_id(1), 1)).is_some();
    node.one(2, report(1, 7, 1, vec![Update { dead_letters: vec![added(1), Removed(1)], ..update(1, 3) }]));
    assert!(!there(&node), "given up, then delivered");
    node.one(
        3,
        report(1, 7, 1, vec![Update { dead_letters: vec![added(1), Removed(1), added(1)], ..update(1, 3) }]),
    );
    assert!(there(&node), "and given up again");
    assert_eq!(stored::<AttemptHistory>(&node, &keys::attempt_history(webhook_id(1))).unwrap().dead, 1);
}

#[test]
fn deleting_a_map_deletes_everything_of_its_webhooks() {
    let mut node = node();
    node.one(2, publish(1, None, &["a"], None));
    node.one(2, Command::OwnerCommand(on(1, 1, OwnerCommand::Resume)));
    node.one(2, report(1, 7, 1, vec![Update { dead_letters: vec![added(1)], ..update(1, 2) }]));
    node.one(3, Command::DeleteMap(map_id(1)));
    node.one(4, Command::Tick);
    let left: Vec<char> = node.store.0.keys().map(|key| char::from(key[0])).collect();
    assert_eq!(left, ['c', 'n', 's'], "the counters, the nodes that deliver, and that node's lease");
    assert_eq!(node.state.webhooks().all().len(), 0);
}

/// Commands on webhooks, for the properties of the whole state.
pub(super) fn command() -> impl Strategy<Value = Command> {
    let n = 1u8..4;
    let map = 1u8..4;
    let some_update =
        (1u8..4, 1u64..9, prop::option::of(1u64..6), any::<bool>()).prop_map(|(n, next, dead, off)| Update {
            dead_letters: dead.into_iter().flat_map(|seq| [added(seq), Removed(seq + 1)]).collect(),
            kept: vec![(next, waits(next))],
            dropped: dead.into_iter().collect(),
            attempts: vec![attempt(next)],
            disable: off.then(|| Disable { why: "why".into(), news: None }),
            news: off.then(|| NewEvent::new(Default::default(), "n", "{}")).into_iter().collect(),
            ..update(n, next)
        });
    let command = prop_oneof![
        Just(OwnerCommand::Resume),
        (1u64..9).prop_map(OwnerCommand::Seek),
        Just(OwnerCommand::Seek(u64::MAX)),
        (1u64..9).prop_map(|seq| OwnerCommand::Redeliver(vec![seq])),
    ];
    prop_oneof![
        3 => (n.clone(), map.clone(), prop::option::of(0u64..4), any::<bool>())
            .prop_map(|(n, map, revision, active)| put(Webhook { active, ..webhook(n, map) }, revision, None)),
        1 => (n.clone(), map.clone()).prop_map(|(n, map)| Command::DeleteWebhook(on(map, n, Origin::Api))),
        1 => (n.clone(), map.clone(), any::<bool>(), prop::option::of(1u64..9))
            .prop_map(|(n, map, active, seek)| Command::ActivateWebhook(on(map, n, Activate { active, seek }))),
        2 => (n.clone(), map.clone(), command).prop_map(|(n, map, command)| Command::OwnerCommand(on(map, n, command))),
        1 => (n.clone(), map, prop::option::of(prop::collection::vec(1u64..6, 0..3)))
            .prop_map(|(n, map, seqs)| Command::PurgeDead(on(map, n, seqs))),
        4 => (1u64..3, 1u64..3, 1u64..5, prop::collection::vec(some_update, 0..3))
            .prop_map(|(node, run, epoch, updates)| report(node, run, epoch, updates)),
        1 => n.prop_map(|n| Command::NoteAttempt(webhook_id(n), Box::new(attempt(0)))),
        2 => (1u64..3, 1u64..3).prop_map(|(node, incarnation)| leases::delivers(node, incarnation)),
        1 => (1u64..3, 1u64..3, prop::collection::btree_set((1u8..4).prop_map(webhook_id), 0..3))
            .prop_map(|(node, run, but)| Command::HandOver(node, run, but)),
        1 => Just(Command::SetKeyFingerprint([1; 16])),
    ]
}
