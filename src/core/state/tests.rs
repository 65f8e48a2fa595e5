//! Examples and properties of the replicated state.
#![allow(clippy::unwrap_used, clippy::panic)]

mod apps;
mod backlog;
mod channels;
mod delivery;
mod issuers;
mod leases;
mod lifecycle;
mod limits;
mod operators;
mod presence;
mod sources;
mod subjects;
mod two_logs;
mod usage;

use super::*;
use crate::core::access::{AccessChange, Scopes};
use crate::core::access::{Limits, Retention, WebhookBacklog};
use crate::core::command::By;
use crate::core::command::{
    Counted, CreateMap, CreateToken, IdempotencyKey, LimitsPatch, NewToken, Publish, Published, RevokeToken,
    UpdateMap,
};
use crate::core::event::NewEvent;
use crate::core::history::{Bounds, History, Start};
use crate::core::ids::TokenId;
use crate::core::ids::{EventId, MapId, NodeId, TopicId, WebhookId};
use crate::core::rate::Exceeded;
use crate::core::store::memory::MemoryStore;
use crate::core::webhook::Webhook;
use proptest::prelude::*;

struct Entry {
    index: u64,
    time_ms: u64,
    id_ms: u64,
    expiry_ms: u64,
    slots: u32,
}

impl Context for Entry {
    fn group(&self) -> crate::core::ids::GroupId {
        0
    }
    fn index(&self) -> u64 {
        self.index
    }
    fn time_ms(&self) -> u64 {
        self.time_ms
    }
    fn id_ms(&self) -> u64 {
        self.id_ms
    }
    fn expiry_ms(&self) -> u64 {
        self.expiry_ms
    }
    fn take_slots(&mut self, count: u32) -> u32 {
        self.slots += count;
        self.slots - count
    }
}

/// A node: its state and store.
struct Node {
    state: State,
    store: MemoryStore,
    index: u64,
    id_ms: u64,
}

impl Node {
    fn new() -> Self {
        let store = MemoryStore::default();
        Self { state: State::load(&store).unwrap(), store, index: 0, id_ms: 0 }
    }

    fn entry(&mut self, time_ms: u64, commands: &[Command]) -> Vec<Reply> {
        self.entry_at(time_ms, time_ms, commands)
    }

    /// Applies an entry with that time and that reading of the expiry clock.
    fn entry_at(&mut self, time_ms: u64, expiry_ms: u64, commands: &[Command]) -> Vec<Reply> {
        self.index += 1;
        self.id_ms = self.id_ms.max(time_ms);
        let mut entry = Entry { index: self.index, time_ms, id_ms: self.id_ms, expiry_ms, slots: 0 };
        let replies = commands
            .iter()
            .cloned()
            .map(|command| {
                let command = &delivery::of_what_is_there(&self.state, command);
                let command = Bytes::from(codec::encode(command).unwrap());
                let bytes = self.state.apply(&mut entry, &command, &mut self.store).unwrap();
                codec::decode(&bytes).unwrap()
            })
            .collect();
        self.state.flush(&mut self.store).unwrap();
        replies
    }

    fn one(&mut self, time_ms: u64, command: Command) -> Reply {
        self.entry(time_ms, &[command]).remove(0)
    }
}

fn map_id(n: u8) -> MapId {
    MapId::from_bytes([n; 16])
}

fn token_id(n: u8) -> TokenId {
    TokenId::from_bytes([n; 16])
}

fn new_token(n: u8) -> NewToken {
    NewToken {
        id: token_id(n),
        name: "t".into(),
        hash: [n; 32],
        scopes: Scopes::ALL,
        expires_ms: None,
        subjects: None,
    }
}

fn create(n: u8, slug: Option<&str>, limits: Limits, retention: Retention) -> Command {
    Command::CreateMap(CreateMap {
        id: map_id(n),
        slug: slug.map(str::to_owned),
        name: "map".into(),
        limits,
        retention,
        token: new_token(n),
        max_maps: 3,
    })
}

const NO_LIMITS: Limits = Limits::NONE;
const WAIT_FOR_EVER: WebhookBacklog = WebhookBacklog { bytes: None, age_seconds: None };
const KEEP_ALL: Retention =
    Retention { events: None, age_seconds: None, bytes: None, webhook_backlog: WAIT_FOR_EVER };

fn publish(map: u8, by: By, kinds: &[&str], key: Option<(u8, u8)>) -> Command {
    let events = kinds.iter().map(|kind| NewEvent::new(Default::default(), *kind, "{}")).collect();
    let key = key.map(|(key, body)| IdempotencyKey { key: [key; 16], fingerprint: [body; 16], ttl_ms: 1000 });
    Command::Publish(Publish { map: map_id(map), by, events, key })
}

fn published(reply: Reply) -> Published {
    match reply {
        Reply::Published(published) => published,
        other => panic!("{other:?}"),
    }
}

fn seqs(node: &Node, map: u8) -> Vec<u64> {
    let topic = node.state.access().map(map_id(map)).unwrap().topic;
    let history = History::open(&node.store, topic).unwrap();
    let page = history.read(0, Bounds { events: 10_000, bytes: 1 << 30 }).unwrap();
    page.events.iter().map(|event| event.seq).collect()
}

#[test]
fn seq_is_gapless_and_ids_name_their_position() {
    let mut node = Node::new();
    node.one(10, create(1, None, NO_LIMITS, KEEP_ALL));
    let replies =
        node.entry(20, &[publish(1, None, &["a", "b"], None), publish(1, Some(token_id(1)), &["c"], None)]);
    let [first, second] = <[Reply; 2]>::try_from(replies).unwrap().map(published);
    assert_eq!((first.first_seq, second.first_seq), (1, 3));
    assert_eq!((first.id(1).log_position().index, second.id(0).id_ms()), (2, 20));
    assert!(first.id(1) < second.id(0));
    assert_eq!(seqs(&node, 1), [1, 2, 3]);
}

#[test]
fn a_revoked_token_publishes_nothing_after_the_revoke_in_the_log() {
    let mut node = Node::new();
    node.one(10, create(1, None, NO_LIMITS, KEEP_ALL));
    let revoke = Command::RevokeToken(RevokeToken { map: map_id(1), by: None, token: token_id(1) });
    let replies = node.entry(20, &[revoke, publish(1, Some(token_id(1)), &["a"], None)]);
    assert_eq!(replies, [Reply::Done, Reply::Refused(Refusal::Forbidden)]);
}

#[test]
fn a_repeated_key_stores_once_and_expires() {
    let mut node = Node::new();
    node.one(10, create(1, None, NO_LIMITS, KEEP_ALL));
    let first = published(node.one(20, publish(1, None, &["a"], Some((7, 1)))));
    let again = published(node.one(500, publish(1, None, &["a"], Some((7, 1)))));
    assert_eq!(again, Published { replayed: true, ..first });
    assert_eq!(node.one(600, publish(1, None, &["b"], Some((7, 2)))), Reply::Refused(Refusal::KeyReused));
    let later = published(node.one(1020, publish(1, None, &["b"], Some((7, 2)))));
    assert_eq!((later.first_seq, later.replayed), (2, false));
    // The expiry of the first use must not remove the record of the second use.
    node.one(1500, Command::Tick);
    assert!(published(node.one(1600, publish(1, None, &["b"], Some((7, 2))))).replayed);
    node.one(5000, Command::Tick);
    assert!(!node.store.0.keys().any(|key| key[0] == b'i' || key[0] == b'x'));
}

#[test]
fn the_publish_limit_follows_the_logs_own_time() {
    let mut node = Node::new();
    let limits = Limits { publishes_per_second: Some(2), ..NO_LIMITS };
    node.one(10, create(1, None, limits, KEEP_ALL));
    let by = Some(token_id(1));
    published(node.one(1000, publish(1, by, &["a", "a"], None)));
    assert_eq!(
        node.one(1000, publish(1, by, &["a"], None)),
        Reply::Refused(Refusal::Rate(Exceeded::Events(500)))
    );
    published(node.one(1000, publish(1, None, &["a"; 9], None)));
    published(node.one(1500, publish(1, by, &["a"], None)));
}

#[test]
fn retention_drops_the_oldest_and_remembers_the_gap() {
    let mut node = Node::new();
    node.one(10, create(1, None, NO_LIMITS, Retention { events: Some(5), ..KEEP_ALL }));
    let first = published(node.one(20, publish(1, None, &["a"; 4], None)));
    node.one(30, publish(1, None, &["b"; 4], None));
    assert_eq!(seqs(&node, 1), [4, 5, 6, 7, 8]);
    let topic = node.state.access().map(map_id(1)).unwrap().topic;
    let history = History::open(&node.store, topic).unwrap();
    let gone = history.locate(Start::After(first.id(0))).unwrap();
    assert_eq!((gone.next_seq, gone.gap), (4, Some(Some(first.id(3)))));
    // A reader that has the newest removed event has missed nothing.
    assert_eq!(history.locate(Start::After(first.id(2))).unwrap().gap, None);
    assert_eq!(history.locate(Start::Since(20)).unwrap().gap, Some(Some(first.id(3))));
    assert_eq!(history.locate(Start::Since(30)).unwrap().next_seq, 5);
    assert_eq!(history.locate(Start::Last(2)).unwrap().next_seq, 7);
    assert_eq!(history.locate(Start::Last(100)).unwrap().next_seq, 4);
    assert_eq!(history.locate(Start::Live).unwrap().next_seq, 9);
}

#[test]
fn retention_by_age_happens_with_the_ticks() {
    let mut node = Node::new();
    node.one(10, create(1, None, NO_LIMITS, Retention { age_seconds: Some(60), ..KEEP_ALL }));
    node.one(20, publish(1, None, &["a"; 3], None));
    node.one(70_000, publish(1, None, &["a"; 2], None));
    assert_eq!(node.one(70_001, Command::Tick), Reply::Ticked(false));
    assert_eq!(seqs(&node, 1), [4, 5]);
}

#[test]
fn nothing_expires_by_a_wall_clock() {
    let mut node = Node::new();
    node.one(10, create(1, None, NO_LIMITS, Retention { age_seconds: Some(60), ..KEEP_ALL }));
    let first = published(node.entry_at(20, 20, &[publish(1, None, &["a"], Some((7, 1)))]).remove(0));
    // The wall clock moves eight days, the expiry clock one second.
    let ahead = 8 * 86_400_000;
    node.entry_at(ahead, 900, &[publish(1, None, &["a"], None), Command::Tick]);
    assert_eq!(seqs(&node, 1), [1, 2]);
    let again = published(node.entry_at(ahead, 1_000, &[publish(1, None, &["a"], Some((7, 1)))]).remove(0));
    assert_eq!(again, Published { replayed: true, ..first });
    // The wall clock goes back: times are right at once, ids continue, and both events expire when their time
    // has passed.
    let later = published(node.entry_at(2_000, 2_000, &[publish(1, None, &["a"], Some((7, 2)))]).remove(0));
    assert_eq!((later.time_ms, later.first_id.id_ms(), later.replayed), (2_000, ahead, false));
    node.entry_at(61_000, 61_000, &[Command::Tick]);
    assert_eq!(seqs(&node, 1), [3]);
}

#[test]
fn the_publish_limit_recovers_after_a_clock_was_ahead() {
    let mut node = Node::new();
    let limits = Limits { publishes_per_second: Some(2), ..NO_LIMITS };
    node.one(10, create(1, None, limits, KEEP_ALL));
    let by = Some(token_id(1));
    published(node.entry_at(86_400_000, 1_000, &[publish(1, by, &["a", "a"], None)]).remove(0));
    published(node.entry_at(2_100, 2_100, &[publish(1, by, &["a", "a"], None)]).remove(0));
}

#[test]
fn a_deleted_map_leaves_no_records() {
    let mut node = Node::new();
    node.one(10, create(1, Some("x"), NO_LIMITS, KEEP_ALL));
    node.one(20, publish(1, None, &["a"; 3], None));
    assert_eq!(node.one(30, Command::DeleteMap(map_id(1))), Reply::Done);
    node.one(40, Command::Tick);
    assert_eq!(node.store.0.keys().map(|key| key[0]).collect::<Vec<_>>(), [b'c']);
    assert!(
        matches!(node.one(50, create(1, Some("x"), NO_LIMITS, KEEP_ALL)), Reply::Map(map) if map.topic == TopicId(2))
    );
}

#[test]
fn taken_slugs_and_ids_and_exceeded_limits_are_refused() {
    let mut node = Node::new();
    node.one(10, create(1, Some("x"), NO_LIMITS, KEEP_ALL));
    assert_eq!(node.one(10, create(1, None, NO_LIMITS, KEEP_ALL)), Reply::Refused(Refusal::IdTaken));
    assert_eq!(node.one(10, create(2, Some("x"), NO_LIMITS, KEEP_ALL)), Reply::Refused(Refusal::SlugTaken));
    node.one(10, create(2, None, NO_LIMITS, KEEP_ALL));
    node.one(10, create(3, None, NO_LIMITS, KEEP_ALL));
    assert_eq!(
        node.one(10, create(4, None, NO_LIMITS, KEEP_ALL)),
        Reply::Refused(Refusal::Limit(Counted::Maps, 3))
    );
}

#[test]
fn a_manager_creates_tokens_up_to_a_limit() {
    let mut node = Node::new();
    node.one(10, create(1, None, NO_LIMITS, KEEP_ALL));
    let make = |by: u8, n: u8, names: &[&str]| {
        let token = NewToken { scopes: Scopes::from_names(names).unwrap(), ..new_token(n) };
        Command::CreateToken(CreateToken { map: map_id(1), by: Some(token_id(by)), token, max_tokens: 3 })
    };
    assert!(matches!(node.one(10, make(1, 8, &["manage"])), Reply::Token(_)));
    assert!(matches!(node.one(10, make(8, 9, &["subscribe"])), Reply::Token(_)));
    assert_eq!(node.one(10, make(9, 10, &["subscribe"])), Reply::Refused(Refusal::Forbidden));
    assert_eq!(node.one(10, make(8, 10, &["subscribe"])), Reply::Refused(Refusal::Limit(Counted::Tokens, 3)));
}

#[test]
fn malformed_commands_are_refused() {
    let mut node = Node::new();
    let mut entry = Entry { index: 1, time_ms: 1, id_ms: 1, expiry_ms: 1, slots: 0 };
    let malformed = [&b""[..], b"\x01", b"\x01\x00", b"\x02\x00", b"\x01\xff\xff\xff\xff", b"\x01\x0b\x00"];
    for bytes in malformed.map(Bytes::from_static) {
        let reply = node.state.apply(&mut entry, &bytes, &mut node.store).unwrap();
        assert_eq!(codec::decode::<Reply>(&reply).unwrap(), Reply::Refused(Refusal::Malformed), "{bytes:?}");
    }
}

fn command() -> impl Strategy<Value = Command> {
    let n = 1u8..5;
    let by = prop_oneof![Just(None), (1u8..5).prop_map(|n| Some(token_id(n)))];
    let limits = (prop::option::of(1u32..4), prop::option::of(1u32..5)).prop_map(
        |(connections, publishes_per_second)| Limits { connections, publishes_per_second, ..NO_LIMITS },
    );
    let retention = (prop::option::of(1u64..9), prop::option::of(1u64..3), prop::option::of(30u64..300))
        .prop_map(|(events, age_seconds, bytes)| (events, age_seconds, bytes));
    let backlog = (prop::option::of(0u64..2000), prop::option::of(1u64..4))
        .prop_map(|(bytes, age_seconds)| WebhookBacklog { bytes, age_seconds });
    let retention = (retention, backlog).prop_map(|((events, age_seconds, bytes), webhook_backlog)| {
        Retention { events, age_seconds, bytes, webhook_backlog }
    });
    prop_oneof![
        6 => (n.clone(), by.clone(), prop::collection::vec(prop_oneof![Just("a"), Just("b")], 1..5), prop::option::of((0u8..4, 0u8..2)))
            .prop_map(|(map, by, kinds, key)| publish(map, by, &kinds, key)),
        3 => (n.clone(), prop::option::of(prop_oneof![Just("x"), Just("y")]), limits.clone(), retention)
            .prop_map(|(n, slug, limits, retention)| create(n, slug, limits, retention)),
        1 => (n.clone(), by.clone(), limits).prop_map(|(map, by, limits)| Command::UpdateMap(UpdateMap {
            map: map_id(map), by, slug: None, name: Some("n".into()), retention: Default::default(),
            limits: LimitsPatch { connections: Some(limits.connections), publishes_per_second: Some(limits.publishes_per_second), ..Default::default() },
        })),
        1 => n.clone().prop_map(|n| Command::DeleteMap(map_id(n))),
        1 => (n.clone(), by.clone(), 5u8..9).prop_map(|(map, by, n)| Command::CreateToken(CreateToken {
            map: map_id(map), by, token: new_token(n), max_tokens: 3,
        })),
        1 => (n, by, 1u8..9).prop_map(|(map, by, token)| Command::RevokeToken(RevokeToken {
            map: map_id(map), by, token: token_id(token),
        })),
        4 => leases::command(),
        4 => presence::command(),
        1 => (1u64..3).prop_map(Command::NodeGone),
        2 => Just(Command::Tick),
        9 => delivery::command(),
        2 => operators::command(),
        2 => usage::command(),
    ]
}

proptest! {
    /// Whatever the clocks show, `since` starts with the first event, by seq, of that time or later, and
    /// tells a gap exactly if that event may be gone.
    #[test]
    fn since_starts_with_the_first_event_of_that_time_or_later(
        times in prop::collection::vec(1u64..50, 1..60),
        since in 0u64..60,
        kept in prop::option::of(1u64..40),
    ) {
        let mut node = Node::new();
        node.one(1, create(1, None, NO_LIMITS, Retention { events: kept, ..KEEP_ALL }));
        let mut all = Vec::new();
        for (n, time) in (2..).zip(times) {
            node.entry_at(time, n, &[publish(1, None, &["a"], None)]);
            all.push(time);
        }
        let topic = node.state.access().map(map_id(1)).unwrap().topic;
        let history = History::open(&node.store, topic).unwrap();
        let first = all.iter().position(|time| *time >= since).map_or(all.len() as u64 + 1, |at| at as u64 + 1);
        let found = history.locate(Start::Since(since)).unwrap();
        prop_assert_eq!(found.next_seq, first.max(history.first_seq()));
        prop_assert_eq!(found.gap.is_some(), first < history.first_seq());
    }

    /// Two nodes apply the same log, and one of them restarts before every entry.
    #[test]
    fn the_same_log_gives_the_same_bytes(
        log in prop::collection::vec((1u64..900, prop::collection::vec(prop_oneof![3 => command(), 1 => subjects::command()], 1..4)), 1..40),
    ) {
        let mut steady = Node::new();
        let mut restarting = Node::new();
        let mut now = 1_000;
        for (wait, commands) in log {
            now += wait;
            restarting.state = State::load(&restarting.store).unwrap();
            prop_assert_eq!(steady.entry(now, &commands), restarting.entry(now, &commands));
            prop_assert_eq!(&steady.store, &restarting.store);
        }
    }

    /// Seqs have no gaps, ids ascend, and retention takes only from the old end.
    #[test]
    fn topics_are_gapless_and_ordered(
        log in prop::collection::vec((1u64..900, prop::collection::vec(command(), 1..4)), 1..40),
    ) {
        let mut node = Node::new();
        let mut now = 1_000;
        for (wait, commands) in log {
            now += wait;
            node.entry(now, &commands);
            for map in node.state.access().maps() {
                let history = History::open(&node.store, map.topic).unwrap();
                let events = history.read(0, Bounds { events: 10_000, bytes: 1 << 30 }).unwrap().events;
                prop_assert!(events.iter().map(|event| event.seq).eq(history.first_seq()..=history.head_seq()));
                prop_assert!(events.is_sorted_by(|a, b| a.id < b.id));
                let stored = |event: &crate::core::event::Event| {
                    44 + (event.subject.as_str().len() + event.kind.len() + event.payload.len()) as u64
                };
                let bytes: u64 = events.iter().map(stored).sum();
                prop_assert_eq!(node.state.streams.topics[&map.topic].bytes, bytes);
                for event in &events {
                    let at = history.locate(Start::After(event.id)).unwrap();
                    prop_assert_eq!((at.next_seq, at.gap), (event.seq + 1, None));
                }
                // A reader that resumes by the position before its first event starts there again and misses
                // nothing, however it started before.
                let unknown = EventId::new(now, 1 << 40, 7);
                for start in [Start::Live, Start::Last(3), Start::Since(now / 2), Start::Since(0), Start::After(unknown)] {
                    let at = history.locate(start).unwrap();
                    let again = history.locate(Start::After(at.before)).unwrap();
                    prop_assert_eq!((again.next_seq, again.before, again.gap), (at.next_seq, at.before, None));
                }
                let lost = history.locate(Start::After(unknown)).unwrap();
                prop_assert!(lost.gap.is_some() && lost.next_seq == history.first_seq(), "a gap and everything that is left");
            }
        }
    }
}
