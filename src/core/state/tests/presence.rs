//! Presence: members and occupied channels are exactly what the living incarnations make them, and each fact is
//! told once, in order.

use super::delivery::{on, put, webhook};
use super::leases::{batch, delivers};
use super::*;
use crate::core::channel_rules::{ChannelRule, ChannelRules};
use crate::core::command::{Denied, SetChannelRules};
use crate::core::event::Event;
use crate::core::ids::SocketId;
use crate::core::lease::{Incarnation, Join, MAX_INFO_LEN, MAX_MEMBER_LEN, Member};
use crate::core::lease::{PresenceBatch, PresenceChange};
use crate::core::store::Visit;
use crate::core::subject::{Subject, SubjectPattern};
use crate::core::webhook::{Origin, Profile};
use std::collections::{BTreeMap, BTreeSet};

const DONE: Reply = Reply::Leased(Vec::new());
const SOCKET: SocketId = SocketId { a: 1, b: 2 };

fn presence(node: NodeId, incarnation: Incarnation, number: u64, changes: Vec<PresenceChange>) -> Command {
    Command::Presence(PresenceBatch { node, incarnation, number, whole: false, changes })
}

/// A batch after which the incarnation has stated everything.
fn whole(node: NodeId, incarnation: Incarnation, number: u64, changes: Vec<PresenceChange>) -> Command {
    Command::Presence(PresenceBatch { node, incarnation, number, whole: true, changes })
}

fn member(subject: &str, name: &str) -> Member {
    Member { map: map_id(1), subject: Subject::parse(subject).unwrap(), name: name.into() }
}

fn joining(subject: &str, name: &str, grace_ms: u32) -> Join {
    let info = format!(r#"{{"of":"{name}"}}"#).into();
    Join { member: member(subject, name), info, socket: Some(SOCKET), grace_ms, is_held: false }
}

fn join(subject: &str, name: &str, grace_ms: u32) -> PresenceChange {
    PresenceChange::Join(joining(subject, name, grace_ms))
}

fn leave(subject: &str, name: &str, grace_ms: u32) -> PresenceChange {
    PresenceChange::Leave { member: member(subject, name), grace_ms }
}

fn occupy(subject: &str, count: u32) -> PresenceChange {
    PresenceChange::Occupy { map: map_id(1), subject: Subject::parse(subject).unwrap(), count }
}

fn there(node: &Node, subject: &str) -> Vec<String> {
    let subject = Subject::parse(subject).unwrap();
    node.state.directory.members(map_id(1), &subject).map(|present| present.name.to_string()).collect()
}

/// The members that joined and left since the last call, in the order of the log.
fn news(node: &mut Node) -> Vec<String> {
    let told = |change| match change {
        Change::Joined(_, subject, present) => Some(format!("+{subject}/{}", present.name)),
        Change::Left(_, subject, present) => Some(format!("-{subject}/{}", present.name)),
        _ => None,
    };
    node.state.take_changes().into_iter().filter_map(told).collect()
}

/// The lifecycle events of the map's stream, in order.
fn facts(node: &Node) -> Vec<Event> {
    let topic = node.state.access().map(map_id(1)).unwrap().topic;
    let history = History::open(&node.store, topic).unwrap();
    let page = history.read(0, Bounds { events: 100_000, bytes: 1 << 30 }).unwrap();
    page.events.into_iter().filter(|event| event.subject.channel().is_some()).collect()
}

fn told(node: &Node) -> Vec<String> {
    facts(node)
        .iter()
        .map(|event| format!("{} {}", event.subject.channel().unwrap_or_default(), event.kind))
        .collect()
}

/// A node that stores the log of a cluster with one map and two nodes that hold leases.
fn begun() -> Node {
    let mut node = Node::new();
    node.one(10, create(1, None, NO_LIMITS, KEEP_ALL));
    node.one(10, delivers(1, 11));
    node.one(10, delivers(2, 12));
    node
}

fn wants_facts(node: &mut Node, profile: Profile, events: &[&str]) {
    let events = events.iter().map(|kind| (*kind).to_owned()).collect();
    let webhook = Webhook { profile, events, ..webhook(1, 1) };
    assert!(matches!(node.one(20, put(webhook, None, None)), Reply::Webhook(_)));
}

#[test]
fn members_leave_with_the_last_node_or_after_their_grace() {
    let mut node = begun();
    let joins =
        vec![join("a", "ann", 0), join("a", "bob", 5_000), join("b", "cy", 0), join("a", "bob", 5_000)];
    assert_eq!(node.one(100, presence(1, 11, 1, joins)), DONE);
    assert_eq!(news(&mut node), ["+a/ann", "+a/bob", "+b/cy"]);
    node.one(100, presence(2, 12, 1, vec![join("a", "ann", 0), join("a", "bob", 9_000)]));
    assert_eq!((there(&node, "a"), news(&mut node)), (vec!["ann".into(), "bob".into()], vec![]));
    node.one(100, presence(1, 11, 2, vec![leave("a", "ann", 0), leave("a", "ann", 0)]));
    assert_eq!(there(&node, "a"), ["ann", "bob"], "another node has her");
    node.one(1_000, Command::NodeGone(1));
    assert_eq!((there(&node, "b"), news(&mut node)), (vec![], vec!["-b/cy".to_owned()]));
    node.one(2_000, Command::NodeGone(2));
    assert_eq!((there(&node, "a"), news(&mut node)), (vec!["bob".to_owned()], vec!["-a/ann".to_owned()]));
    assert_eq!(node.one(6_000, Command::EndGraces), Reply::Ticked(false));
    assert_eq!(there(&node, "a"), ["bob"], "the longer grace period counts");
    node.one(7_000, batch(2, 22, 1, true, vec![]));
    node.one(7_000, presence(2, 22, 1, vec![join("a", "bob", 9_000)]));
    node.one(20_000, Command::EndGraces);
    assert_eq!((there(&node, "a"), news(&mut node)), (vec!["bob".to_owned()], vec![]), "he was back in time");
    node.one(20_000, presence(2, 22, 2, vec![leave("a", "bob", 3_000)]));
    node.one(22_999, Command::EndGraces);
    assert_eq!(there(&node, "a"), ["bob"]);
    node.one(23_000, Command::EndGraces);
    assert_eq!((there(&node, "a"), news(&mut node)), (vec![], vec!["-a/bob".to_owned()]));
}

#[test]
fn a_member_keeps_what_it_joined_with_and_a_restart_changes_nothing() {
    let mut node = begun();
    node.one(100, presence(1, 11, 1, vec![join("a", "ann", 5_000), join("a", "bob", 0)]));
    let other = Join { info: "{}".into(), socket: None, ..joining("a", "ann", 100) };
    node.one(100, presence(2, 12, 1, vec![PresenceChange::Join(other)]));
    node.one(200, Command::NodeGone(1));
    for _ in 0..2 {
        let ann = node.state.directory.members(map_id(1), &member("a", "").subject).next().unwrap();
        assert_eq!((&ann.info[..], ann.socket), (&br#"{"of":"ann"}"#[..], Some(SOCKET)));
        assert_eq!(there(&node, "a"), ["ann"]);
        node.state = State::load(&node.store).unwrap();
    }
    node.one(300, Command::NodeGone(2));
    node.one(5_100, Command::EndGraces);
    assert_eq!(there(&node, "a"), ["ann"], "her grace period began with the end of node 1");
    node.one(5_200, Command::EndGraces);
    assert_eq!(there(&node, "a"), Vec::<String>::new());
    node.one(6_000, batch(2, 23, 1, true, vec![]));
    node.one(6_000, presence(2, 23, 1, vec![join("a", "dan", 60_000), join("b", "eve", 60_000)]));
    node.one(6_000, batch(1, 24, 1, true, vec![]));
    node.one(6_000, presence(1, 24, 1, vec![join("b", "eve", 60_000)]));
    node.one(7_000, Command::NodeGone(2));
    node.one(8_000, Command::DeleteMap(map_id(1)));
    assert_eq!((there(&node, "a"), there(&node, "b")), (vec![], vec![]));
    let kinds =
        [keys::MEMBERS, keys::PARTING, keys::PRESENT, keys::SUBSCRIPTIONS, keys::OCCUPIED, keys::ENDINGS];
    assert!(!node.store.0.keys().any(|key| kinds.contains(&key[0])), "nothing is left");
}

#[test]
fn a_subject_has_as_many_members_as_it_may_have() {
    let mut node = begun();
    let rule = ChannelRule { members_max: Some(2), ..ChannelRule::of(SubjectPattern::new("a").unwrap()) };
    let rules = ChannelRules::new(vec![rule]).unwrap();
    node.one(20, Command::SetChannelRules(SetChannelRules { map: map_id(1), by: None, rules }));
    let denied = |index, why| Denied { index, granted: 0, why };
    let full = Refusal::Limit(Counted::Members, 2);
    let joins = vec![join("a", "ann", 0), join("a", "bob", 0), join("a", "cy", 0), join("a", "ann", 0)];
    assert_eq!(node.one(30, presence(1, 11, 1, joins)), Reply::Leased(vec![denied(2, full.clone())]));
    let held = Join { is_held: true, ..joining("a", "cy", 0) };
    let joins = vec![join("a", "dan", 0), PresenceChange::Join(held)];
    assert_eq!(node.one(30, presence(2, 12, 1, joins)), Reply::Leased(vec![denied(0, full)]));
    assert_eq!(there(&node, "a"), ["ann", "bob", "cy"], "who was there before stays");
    let long = "x".repeat(MAX_MEMBER_LEN + 1);
    let much = Join { info: vec![b'1'; MAX_INFO_LEN + 1].into(), ..joining("b", "ann", 0) };
    let joins = vec![join("b", &long, 0), join("b", "", 0), PresenceChange::Join(much)];
    let malformed = |index| denied(index, Refusal::Malformed);
    assert_eq!(
        node.one(40, presence(2, 12, 2, joins)),
        Reply::Leased(vec![malformed(0), malformed(1), malformed(2)])
    );
    let elsewhere =
        Join { member: Member { map: map_id(9), ..member("a", "ann") }, ..joining("a", "ann", 0) };
    let joins = vec![PresenceChange::Join(elsewhere)];
    assert_eq!(node.one(40, presence(2, 12, 3, joins)), Reply::Leased(vec![denied(0, Refusal::UnknownMap)]));
}

#[test]
fn a_presence_batch_is_applied_once_and_only_in_its_incarnation() {
    let mut node = begun();
    let first = presence(1, 11, 1, vec![join("a", "ann", 0), join("a", "", 0)]);
    let reply = node.one(30, first.clone());
    assert!(matches!(&reply, Reply::Leased(denied) if denied.len() == 1));
    node.one(30, presence(1, 11, 2, vec![leave("a", "ann", 0)]));
    assert_eq!(node.one(30, first), DONE, "a later batch overtook it");
    assert_eq!(there(&node, "a"), Vec::<String>::new());
    let last = presence(1, 11, 3, vec![join("a", "", 0)]);
    let malformed = Reply::Leased(vec![Denied { index: 0, granted: 0, why: Refusal::Malformed }]);
    assert_eq!(node.one(30, last.clone()), malformed);
    assert_eq!(node.one(30, last), malformed, "a repetition has the same reply");
    assert_eq!(
        node.one(30, presence(1, 99, 1, vec![join("a", "bob", 0)])),
        Reply::Refused(Refusal::Stale(0))
    );
    // Connections are stated again in the same incarnation, which says nothing about members.
    node.one(30, presence(1, 11, 4, vec![join("a", "ann", 0)]));
    node.one(30, batch(1, 11, 2, true, vec![]));
    assert_eq!(there(&node, "a"), ["ann"]);
    node.one(30, batch(1, 13, 1, true, vec![]));
    assert_eq!(there(&node, "a"), ["ann"], "another incarnation has not said yet what it holds");
    assert_eq!(node.one(30, presence(1, 13, 1, vec![join("a", "bob", 0)])), DONE, "its numbers begin again");
    assert_eq!(there(&node, "a"), ["ann", "bob"]);
    assert_eq!(node.one(30, whole(1, 13, 2, vec![])), DONE);
    assert_eq!(there(&node, "a"), ["bob"]);
}

#[test]
fn an_incarnation_takes_over_from_the_one_before_and_nobody_sees_a_gap() {
    let mut node = begun();
    wants_facts(&mut node, Profile::Pusher, &["*"]);
    let held =
        vec![join("presence-a", "ann", 0), join("presence-a", "bob", 5_000), join("presence-b", "cy", 0)];
    node.one(30, presence(1, 11, 1, held));
    node.one(30, presence(1, 11, 2, vec![occupy("chat", 3), occupy("old", 1), occupy("presence-a", 2)]));
    let before = told(&node).len();
    news(&mut node);
    node.one(1_000, batch(1, 13, 1, true, vec![]));
    assert_eq!((told(&node).len(), news(&mut node)), (before, vec![]), "nothing has ended yet");
    let again = vec![join("presence-a", "ann", 0), occupy("chat", 3), occupy("presence-a", 1)];
    node.one(1_100, presence(1, 13, 1, again));
    node.state = State::load(&node.store).unwrap();
    assert_eq!(told(&node)[before..], ["presence-a subscription_count"], "one subscription is gone");
    node.one(1_200, whole(1, 13, 2, vec![]));
    assert_eq!(
        told(&node)[before + 1..],
        [
            "presence-b member_removed",
            "presence-b channel_vacated",
            "old subscription_count",
            "old channel_vacated",
        ]
    );
    assert_eq!(
        (there(&node, "presence-a"), news(&mut node)),
        (vec!["ann".into(), "bob".into()], vec!["-presence-b/cy".to_owned()])
    );
    node.one(6_199, Command::EndGraces);
    assert_eq!(
        there(&node, "presence-a"),
        ["ann", "bob"],
        "his grace period began with the end of the statement"
    );
    node.one(6_200, Command::EndGraces);
    assert_eq!(there(&node, "presence-a"), ["ann"]);
    // A node that is gone says nothing more.
    node.one(7_000, batch(1, 14, 1, true, vec![]));
    node.one(7_000, presence(1, 14, 1, vec![join("presence-b", "eve", 0)]));
    node.one(7_100, Command::NodeGone(1));
    assert_eq!((there(&node, "presence-a"), there(&node, "presence-b")), (vec![], vec![]));
    let kinds = [keys::MEMBERS, keys::PRESENT, keys::SUBSCRIPTIONS, keys::OCCUPIED, keys::ENDINGS];
    assert!(!node.store.0.keys().any(|key| kinds.contains(&key[0])), "nothing is left");
}

/// Far more than one command looks at.
const MANY: usize = 100_000;
/// The most steps of one command in the store: what it reads, writes and deletes.
const MOST_STEPS: usize = 10_000;

/// A store that counts steps.
struct Counting<'s> {
    store: &'s mut MemoryStore,
    steps: std::cell::Cell<usize>,
}

impl Counting<'_> {
    fn step(&self) {
        self.steps.set(self.steps.get() + 1);
    }
}

impl ReadStore for Counting<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.step();
        self.store.get(key)
    }
    fn scan(&self, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        self.store.scan(from, to, &mut |key, value| {
            self.step();
            visit(key, value)
        })
    }
    fn scan_back(&self, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        self.store.scan_back(from, to, &mut |key, value| {
            self.step();
            visit(key, value)
        })
    }
}

impl WriteStore for Counting<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.step();
        self.store.put(key, value)
    }
    fn delete(&mut self, key: &[u8]) -> Result<(), StoreError> {
        self.step();
        self.store.delete(key)
    }
}

/// Applies a command at a time of the expiry clock. Returns its reply and its steps.
fn counted(node: &mut Node, now_ms: u64, command: &Command) -> (Reply, usize) {
    node.index += 1;
    let mut entry = Entry { index: node.index, time_ms: now_ms, id_ms: now_ms, expiry_ms: now_ms, slots: 0 };
    let mut store = Counting { store: &mut node.store, steps: 0.into() };
    let command = Bytes::from(codec::encode(command).unwrap());
    let reply = node.state.apply(&mut entry, &command, &mut store).unwrap();
    node.state.flush(&mut store).unwrap();
    (codec::decode(&reply).unwrap(), store.steps.get())
}

#[test]
fn the_end_of_a_node_with_very_many_members_comes_in_pieces() {
    let mut node = begun();
    let rule =
        ChannelRule { members_max: Some(MANY as u32), ..ChannelRule::of(SubjectPattern::new("a").unwrap()) };
    let rules = ChannelRules::new(vec![rule]).unwrap();
    node.one(20, Command::SetChannelRules(SetChannelRules { map: map_id(1), by: None, rules }));
    let names: Vec<String> = (0..MANY).map(|n| format!("{n:06}")).collect();
    for (number, some) in (1..).zip(names.chunks(4096)) {
        // Each second one has a grace period.
        let joins = some.iter().zip([0, 3_000].into_iter().cycle());
        let joins = joins.map(|(name, grace_ms)| join("a", name, grace_ms)).collect();
        node.one(30, presence(1, 11, number, joins));
    }
    // One of them is on another node, too.
    node.one(30, presence(2, 12, 1, vec![join("a", "000000", 0)]));
    news(&mut node);
    let (store, index, id_ms) = (MemoryStore(node.store.0.clone()), node.index, node.id_ms);
    let mut other = Node { state: State::load(&store).unwrap(), store, index, id_ms };
    let a = Subject::parse("a").unwrap();
    let mut gone = Vec::new();
    let mut pieces = 0;
    while node.state.directory.members(map_id(1), &a).count() > 1 {
        let command = if pieces == 0 { Command::NodeGone(1) } else { Command::EndGraces };
        let now_ms = 100 + 100 * pieces;
        let (_, steps) = counted(&mut node, now_ms, &command);
        assert!(steps <= MOST_STEPS, "one command takes {steps} steps");
        let left = news(&mut node);
        // Another replica, which restarts now and then, does the same.
        counted(&mut other, now_ms, &command);
        assert_eq!(news(&mut other), left);
        if pieces % 20 == 10 {
            other.state = State::load(&other.store).unwrap();
        }
        gone.extend(left);
        pieces += 1;
        assert!(pieces < 1_000, "it ends");
    }
    assert!(pieces > 10, "it comes in pieces");
    assert_eq!(gone.len(), MANY - 1);
    gone.sort_unstable();
    gone.dedup();
    assert_eq!(gone.len(), MANY - 1, "each goes once");
    assert_eq!(there(&node, "a"), ["000000"]);
    assert_eq!(other.store.0, node.store.0);
    assert_eq!(node.one(1_000_000, Command::EndGraces), Reply::Ticked(false));
}

#[test]
fn an_incarnation_that_is_stated_after_its_node_counted_as_gone_begins_once_more_with_nobody() {
    let mut node = begun();
    node.one(100, presence(1, 11, 1, vec![join("a", "ann", 0)]));
    node.one(200, Command::NodeGone(1));
    node.state.take_changes();
    node.one(300, batch(1, 11, 8, true, vec![]));
    assert_eq!(node.state.take_changes(), [Change::Begun(1, 11)]);
    // A node that skipped the log so far can't tell that its incarnation ended.
    assert_eq!(node.one(400, batch(1, 11, 9, true, vec![])), DONE);
    assert_eq!((node.state.take_changes(), there(&node, "a")), (vec![], vec![]));
}

#[test]
fn a_node_that_begins_late_and_is_gone_once_more_leaves_nobody_behind() {
    let mut node = begun();
    let joins = (0..2_000).map(|n| join(&format!("c-{n}"), "ann", 0)).collect();
    node.one(100, presence(1, 11, 1, joins));
    node.one(200, Command::NodeGone(1));
    let members = |node: &Node| node.store.0.keys().filter(|key| key[0] == keys::MEMBERS).count();
    assert!(members(&node) > 0, "the end comes in pieces");
    node.one(300, batch(1, 11, 8, true, vec![]));
    node.one(400, Command::NodeGone(1));
    let mut pieces = 0;
    while node.one(500, Command::EndGraces) == Reply::Ticked(true) {
        pieces += 1;
        assert!(pieces < 100, "it ends");
    }
    assert_eq!(members(&node), 0);
}

#[test]
fn facts_are_told_in_order_and_only_while_somebody_wants_them() {
    let mut node = begun();
    node.one(15, presence(1, 11, 1, vec![join("presence-a", "old", 0), occupy("presence-a", 1)]));
    assert_eq!(told(&node), Vec::<String>::new(), "nobody wants to know");
    wants_facts(&mut node, Profile::Pusher, &["*"]);
    let changes = vec![occupy("presence-a", 1), join("presence-b", "ann", 0), occupy("presence-b", 1)];
    node.one(30, presence(1, 11, 2, changes));
    node.one(30, presence(2, 12, 1, vec![occupy("presence-b", 2), join("presence-b", "ann", 0)]));
    node.one(30, presence(1, 11, 3, vec![occupy("presence-b", 0), leave("presence-b", "ann", 0)]));
    node.one(40, Command::NodeGone(2));
    assert_eq!(
        told(&node),
        [
            "presence-a channel_occupied",
            "presence-a subscription_count",
            "presence-b channel_occupied",
            "presence-b member_added",
            "presence-b subscription_count",
            "presence-b subscription_count",
            "presence-b subscription_count",
            "presence-b member_removed",
            "presence-b subscription_count",
            "presence-b channel_vacated",
        ]
    );
    let added = facts(&node).into_iter().find(|event| &*event.kind == "member_added").unwrap();
    assert_eq!(
        std::str::from_utf8(&added.payload).unwrap(),
        r#"{"channel":"presence-b","user_id":"ann","socket_id":"1.2","user_info":{"of":"ann"}}"#
    );
    let ids: Vec<EventId> = facts(&node).iter().map(|event| event.id).collect();
    assert!(ids.is_sorted() && ids.windows(2).all(|pair| pair[0] != pair[1]));
    // The events of one user's channel and of the server's own subjects are about no channel.
    let counted = facts(&node).len();
    node.one(50, presence(1, 11, 4, vec![join("#server-to-user-1", "1", 0), occupy("#server-to-user-1", 1)]));
    node.one(50, Command::DeleteWebhook(on(1, 1, Origin::Api)));
    node.one(60, presence(1, 11, 5, vec![occupy("presence-c", 1), leave("presence-a", "old", 0)]));
    assert_eq!(facts(&node).len(), counted);
    let kinds = [keys::SUBSCRIPTIONS, keys::OCCUPIED];
    assert!(!node.store.0.keys().any(|key| kinds.contains(&key[0])), "nothing is counted any more");
}

#[test]
fn a_webhook_gets_only_the_kinds_that_it_wants() {
    let mut node = begun();
    wants_facts(&mut node, Profile::Broadcasting, &["presence_join"]);
    let changes = vec![occupy("presence-a", 1), join("presence-a", "ann", 0), leave("presence-a", "ann", 0)];
    node.one(30, presence(1, 11, 1, changes));
    assert_eq!(told(&node), ["presence-a member_added"]);
}

#[test]
fn lifecycle_events_are_kept_for_a_short_time() {
    let mut node = begun();
    wants_facts(&mut node, Profile::Pusher, &["channel_*"]);
    node.one(30, publish(1, None, &["a"], None));
    node.one(40, presence(1, 11, 1, vec![occupy("chat", 1)]));
    node.one(3_600_000, Command::Tick);
    assert_eq!(told(&node).len(), 1);
    node.one(3_700_000, presence(1, 11, 2, vec![occupy("chat", 0)]));
    node.one(3_700_000, Command::Tick);
    assert_eq!(told(&node), ["chat channel_vacated"], "an hour has passed since the first one");
    let topic = node.state.access().map(map_id(1)).unwrap().topic;
    let history = History::open(&node.store, topic).unwrap();
    let events = history.read(0, Bounds { events: 100, bytes: 1 << 20 }).unwrap().events;
    assert_eq!(events.iter().map(|event| &*event.kind).collect::<Vec<_>>(), ["a", "channel_vacated"]);
    // A channel's newest thousand.
    for number in 3..1_403 {
        node.one(3_800_000, presence(1, 11, number, vec![occupy("chat", (number % 2) as u32)]));
    }
    node.one(3_900_000, Command::Tick);
    assert_eq!(told(&node).len(), 1000);
}

/// What a model knows of one node.
#[derive(Clone, Default)]
struct Process {
    incarnation: Incarnation,
    number: u64,
    members: BTreeMap<(&'static str, &'static str), u32>,
    subscriptions: BTreeMap<&'static str, u32>,
    /// What the incarnation before had, until the present one has stated everything.
    former: Option<Former>,
}

type Former = (BTreeMap<(&'static str, &'static str), u32>, BTreeMap<&'static str, u32>);

impl Process {
    /// All members that the cluster shows for it, with the grace periods that follow.
    fn shown(&self) -> BTreeMap<(&'static str, &'static str), u32> {
        let former = self.former.iter().flat_map(|(members, _)| members);
        former.chain(&self.members).map(|(of, grace_ms)| (*of, *grace_ms)).collect()
    }

    fn counted(&self) -> BTreeSet<&'static str> {
        let former = self.former.iter().flat_map(|(_, counts)| counts.keys());
        former.chain(self.subscriptions.keys()).copied().collect()
    }
}

/// The cluster as it should be.
#[derive(Default)]
struct Model {
    processes: BTreeMap<NodeId, Process>,
    graces: BTreeMap<(&'static str, &'static str), u64>,
}

impl Model {
    fn members(&self) -> BTreeSet<(&'static str, &'static str)> {
        let held = self.processes.values().flat_map(|process| process.shown().into_keys());
        held.chain(self.graces.keys().copied()).collect()
    }

    fn occupied(&self) -> BTreeSet<&'static str> {
        let counted = self.processes.values().flat_map(Process::counted);
        counted.chain(self.members().into_iter().map(|(subject, _)| subject)).collect()
    }

    /// The node's incarnation ends.
    fn end(&mut self, node: NodeId, now_ms: u64) {
        let Some(process) = self.processes.remove(&node) else { return };
        for (of, grace_ms) in process.shown() {
            self.begin_grace(of, grace_ms, now_ms);
        }
    }

    /// The node's process has stated everything.
    fn state(&mut self, node: NodeId, now_ms: u64) {
        let Some(process) = self.processes.get_mut(&node) else { return };
        let Some((former, _)) = process.former.take() else { return };
        let held: BTreeSet<_> = process.members.keys().copied().collect();
        for (of, grace_ms) in former.into_iter().filter(|(of, _)| !held.contains(of)) {
            self.begin_grace(of, grace_ms, now_ms);
        }
    }

    fn begin_grace(&mut self, of: (&'static str, &'static str), grace_ms: u32, now_ms: u64) {
        if grace_ms > 0 {
            let until_ms = self.graces.entry(of).or_default();
            *until_ms = (*until_ms).max(now_ms + u64::from(grace_ms));
        }
    }
}

const SUBJECTS: [&str; 2] = ["presence-a", "b"];
const NAMES: [&str; 3] = ["ann", "bob", "cy"];

proptest! {
    /// Whatever nodes do and however often they restart or go: members and occupied channels are those of the
    /// model, and each fact is told once, in turn.
    #[test]
    fn members_and_facts_are_what_the_living_nodes_make_them(
        acts in prop::collection::vec(
            (0u8..10, 1u64..4, 0usize..2, 0usize..3, 0u32..3, prop_oneof![Just(0u32), 1u32..4_000], 0u64..3_000),
            1..80,
        ),
    ) {
        let mut node = begun();
        wants_facts(&mut node, Profile::Pusher, &["*"]);
        node.one(25, Command::NodeGone(1));
        node.one(25, Command::NodeGone(2));
        let mut model = Model::default();
        let mut now_ms = 30;
        let mut incarnations = 100..;
        for (act, id, subject, name, count, grace_ms, wait_ms) in acts {
            now_ms += wait_ms;
            let of = (SUBJECTS[subject], NAMES[name]);
            model.processes.entry(id).or_insert_with(|| {
                let incarnation = incarnations.next().unwrap();
                node.one(now_ms, batch(id, incarnation, 1, true, vec![]));
                Process { incarnation, ..Process::default() }
            });
            let process = model.processes.get_mut(&id).unwrap();
            let change = match act {
                0..=2 => {
                    process.members.insert(of, grace_ms);
                    model.graces.remove(&of);
                    join(of.0, of.1, grace_ms)
                }
                3..=4 => {
                    let former = process.former.as_mut().and_then(|(members, _)| members.remove(&of));
                    if process.members.remove(&of).or(former).is_some() {
                        model.begin_grace(of, grace_ms, now_ms);
                    }
                    leave(of.0, of.1, grace_ms)
                }
                5..=6 => {
                    if let Some((_, counts)) = &mut process.former {
                        counts.remove(of.0);
                    }
                    process.subscriptions.insert(of.0, count);
                    process.subscriptions.retain(|_, count| *count > 0);
                    occupy(of.0, count)
                }
                7 => {
                    node.one(now_ms, Command::EndGraces);
                    model.graces.retain(|_, until_ms| *until_ms > now_ms);
                    check(&mut node, &model)?;
                    continue;
                }
                8 => {
                    node.one(now_ms, Command::NodeGone(id));
                    model.end(id, now_ms);
                    check(&mut node, &model)?;
                    continue;
                }
                // A new process of the node begins at once. What it held stays until its next batch.
                _ => {
                    let incarnation = incarnations.next().unwrap();
                    node.one(now_ms, batch(id, incarnation, 1, true, vec![]));
                    let counts = process.counted().into_iter().map(|of| (of, 1)).collect();
                    let former = Some((process.shown(), counts));
                    *process = Process { incarnation, former, ..Process::default() };
                    check(&mut node, &model)?;
                    continue;
                }
            };
            let process = model.processes.get_mut(&id).unwrap();
            process.number += 1;
            let make: fn(NodeId, Incarnation, u64, Vec<PresenceChange>) -> Command =
                if process.former.is_some() { whole } else { presence };
            let sent = make(id, process.incarnation, process.number, vec![change]);
            prop_assert_eq!(node.one(now_ms, sent.clone()), DONE);
            model.state(id, now_ms);
            prop_assert_eq!(node.one(now_ms, sent), DONE);
            check(&mut node, &model)?;
        }
    }
}

/// Compares the state with the model, also after a restart.
fn check(node: &mut Node, model: &Model) -> Result<(), TestCaseError> {
    for restarted in [false, true] {
        if restarted {
            node.state = State::load(&node.store).unwrap();
        }
        let members = SUBJECTS.map(|subject| there(node, subject));
        let expected = SUBJECTS.map(|subject| {
            let of_subject = model.members().into_iter().filter(|(of, _)| *of == subject);
            of_subject.map(|(_, name)| name.to_owned()).collect::<Vec<_>>()
        });
        prop_assert_eq!(members, expected);
    }
    let mut occupied = BTreeSet::new();
    let mut members = BTreeSet::new();
    for event in facts(node) {
        let channel = event.subject.channel().unwrap_or_default().to_owned();
        let payload: serde_json::Value = serde_json::from_slice(&event.payload).unwrap();
        let user = payload["user_id"].as_str().unwrap_or_default().to_owned();
        match &*event.kind {
            "channel_occupied" => prop_assert!(occupied.insert(channel), "occupied twice"),
            "channel_vacated" => {
                prop_assert!(!members.iter().any(|(of, _)| *of == channel), "vacated with a member");
                prop_assert!(occupied.remove(&channel), "vacated twice");
            }
            "member_added" => {
                prop_assert!(occupied.contains(&channel), "a member of a channel that is not occupied");
                prop_assert!(members.insert((channel, user)), "added twice");
            }
            "member_removed" => prop_assert!(members.remove(&(channel, user)), "removed twice"),
            _ => {}
        }
    }
    let expected: BTreeSet<String> = model.occupied().into_iter().map(str::to_owned).collect();
    prop_assert_eq!(occupied, expected);
    let expected: BTreeSet<(String, String)> =
        model.members().into_iter().map(|(subject, name)| (subject.to_owned(), name.to_owned())).collect();
    prop_assert_eq!(members, expected);
    Ok(())
}

/// Random batches, for the properties of the whole state.
pub(super) fn command() -> impl Strategy<Value = Command> {
    let subject = || prop_oneof![Just("a"), Just("b")];
    let one = (1u8..5, subject(), prop_oneof![Just("ann"), Just("bob")])
        .prop_map(|(map, subject, name)| Member { map: map_id(map), ..member(subject, name) });
    let grace = || prop_oneof![Just(0u32), 1u32..2000];
    let change = prop_oneof![
        3 => (one.clone(), grace()).prop_map(|(member, grace_ms)| {
            PresenceChange::Join(Join { member, ..joining("a", "a", grace_ms) })
        }),
        2 => (one, grace()).prop_map(|(member, grace_ms)| PresenceChange::Leave { member, grace_ms }),
        2 => (1u8..5, subject(), 0u32..3).prop_map(|(map, subject, count)| PresenceChange::Occupy {
            map: map_id(map),
            subject: Subject::parse(subject).unwrap(),
            count,
        }),
    ];
    prop_oneof![
        5 => (1u64..3, 1u64..3, 1u64..9, any::<bool>(), prop::collection::vec(change, 0..4)).prop_map(
            |(node, incarnation, number, whole, changes)| {
                Command::Presence(PresenceBatch { node, incarnation, number, whole, changes })
            }
        ),
        1 => Just(Command::EndGraces),
    ]
}
