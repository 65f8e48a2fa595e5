//! Limits of maps that the replicated state holds: idempotency keys, bytes per second, and what only the admin
//! changes.

use super::*;
use crate::core::command::RetentionPatch;
use proptest::prelude::*;

fn keyed(map: u8, key: u8) -> Command {
    publish(map, Some(token_id(map)), &["a"], Some((key, 1)))
}

fn with_keys(map: u8, keys: u32) -> Command {
    create(map, None, Limits { idempotency_keys: Some(keys), ..NO_LIMITS }, KEEP_ALL)
}

fn kept_keys(node: &Node) -> usize {
    node.store.0.keys().filter(|key| key[0] == keys::IDEMPOTENCY).count()
}

#[test]
fn at_the_bound_a_new_key_is_refused_and_no_old_one_is_forgotten() {
    let mut node = Node::new();
    node.entry(10, &[with_keys(1, 3), with_keys(2, 3)]);
    let first: Vec<Published> =
        (1..=3).map(|key| published(node.one(20 + u64::from(key), keyed(1, key)))).collect();
    let full = Reply::Refused(Refusal::TooManyKeys { limit: 3, wait_ms: 921 });
    assert_eq!(node.one(100, keyed(1, 4)), full);
    for (key, stored) in (1..).zip(&first) {
        let again = published(node.one(200, keyed(1, key)));
        assert_eq!(again, Published { replayed: true, ..*stored });
    }
    published(node.one(200, publish(1, None, &["a"], None)));
    published(node.one(200, keyed(2, 1)));
    // A key is remembered for 1000 ms. The first one makes room for one new one.
    published(node.one(1021, keyed(1, 4)));
    assert_eq!(node.one(1021, keyed(1, 5)), Reply::Refused(Refusal::TooManyKeys { limit: 3, wait_ms: 1 }));
    assert!(published(node.one(1021, keyed(1, 2))).replayed);
    node.one(9000, Command::Tick);
    assert_eq!(kept_keys(&node), 0);
    let topic = node.state.access().map(map_id(1)).unwrap().topic;
    assert_eq!(node.state.streams.topics[&topic].keys, 0);
}

#[test]
fn the_keys_of_a_deleted_map_go_with_it() {
    let mut node = Node::new();
    node.entry(10, &[with_keys(1, 9), with_keys(2, 9)]);
    for key in 1..=3 {
        published(node.one(20, keyed(1, key)));
    }
    published(node.one(20, keyed(2, 1)));
    node.entry(30, &[Command::DeleteMap(map_id(1)), Command::Tick]);
    assert_eq!(kept_keys(&node), 1, "the other map's key stays");
}

#[test]
fn bytes_per_second_are_limited_and_a_refused_publish_costs_nothing() {
    let mut node = Node::new();
    // An event has 3 bytes: its type and {}.
    let limits = Limits { publish_bytes_per_second: Some(30), publishes_per_second: Some(100), ..NO_LIMITS };
    node.one(10, create(1, None, limits, KEEP_ALL));
    let by = Some(token_id(1));
    published(node.one(1000, publish(1, by, &["a"; 10], None)));
    for _ in 0..50 {
        assert_eq!(
            node.one(1000, publish(1, by, &["a"], None)),
            Reply::Refused(Refusal::Rate(Exceeded::Bytes(100)))
        );
    }
    published(node.one(1000, publish(1, None, &["a"; 90], None)));
    published(node.one(1100, publish(1, by, &["a"], None)));
    // The refused events were not charged to the limit of events either.
    published(node.one(2100, publish(1, by, &["a"; 10], None)));
}

#[test]
fn a_token_changes_no_slug_no_limit_and_no_retention() {
    let mut node = Node::new();
    node.entry(
        10,
        &[create(1, Some("mine"), NO_LIMITS, KEEP_ALL), create(2, Some("old"), NO_LIMITS, KEEP_ALL)],
    );
    let update = |by: By| UpdateMap {
        map: map_id(1),
        by,
        slug: None,
        name: None,
        limits: LimitsPatch::default(),
        retention: RetentionPatch::default(),
    };
    let manager = Some(token_id(1));
    let slug = |by, slug: &str| Command::UpdateMap(UpdateMap { slug: Some(Some(slug.into())), ..update(by) });
    let limits = LimitsPatch { webhooks: Some(None), ..LimitsPatch::default() };
    let retention = RetentionPatch { events: Some(None), ..RetentionPatch::default() };
    for refused in [
        slug(manager, "free"),
        // A taken one looks like a free one.
        slug(manager, "old"),
        slug(manager, "mine"),
        Command::UpdateMap(UpdateMap { slug: Some(None), ..update(manager) }),
        Command::UpdateMap(UpdateMap { limits, ..update(manager) }),
        Command::UpdateMap(UpdateMap { retention, ..update(manager) }),
    ] {
        assert_eq!(node.one(20, refused.clone()), Reply::Refused(Refusal::Forbidden), "{refused:?}");
    }
    assert_eq!(node.one(20, slug(None, "old")), Reply::Refused(Refusal::SlugTaken));
    let named = Command::UpdateMap(UpdateMap { name: Some("n".into()), ..update(manager) });
    assert!(matches!(node.one(20, named), Reply::Map(map) if map.name == "n" && map.slug.is_some()));
}

proptest! {
    /// Whatever publishers do, a map has as many stored keys as its record says and no more than its limit, and
    /// a key is forgotten only when its time is over.
    #[test]
    fn the_bound_of_keys_holds(
        steps in prop::collection::vec((0u64..400, 1u8..3, 0u8..12), 1..120), limit in 1u32..6,
    ) {
        let mut node = Node::new();
        node.entry(1, &[with_keys(1, limit), with_keys(2, limit)]);
        let mut known: std::collections::BTreeMap<(u8, u8), (Published, u64)> = Default::default();
        let mut now = 1_000;
        for (wait, map, key) in steps {
            now += wait;
            let living = known.get(&(map, key)).filter(|(_, until)| *until > now).copied();
            match (node.one(now, keyed(map, key)), living) {
                (reply, Some((stored, _))) => {
                    prop_assert_eq!(published(reply), Published { replayed: true, ..stored });
                }
                (Reply::Published(stored), None) => {
                    prop_assert!(!stored.replayed);
                    known.insert((map, key), (stored, now + 1000));
                }
                (reply, None) => {
                    let living = known.iter().filter(|((of, _), (_, until))| *of == map && *until > now);
                    prop_assert_eq!(living.count(), limit as usize, "{:?}", reply);
                }
            }
            let topic = node.state.access().map(map_id(map)).unwrap().topic;
            let (from, to) = keys::of_stream(keys::EXPIRIES, topic);
            let stored = node.store.0.range(from.to_vec()..to.to_vec()).count();
            prop_assert_eq!(node.state.streams.topics[&topic].keys, stored as u64);
            prop_assert!(stored <= limit as usize);
        }
    }
}
