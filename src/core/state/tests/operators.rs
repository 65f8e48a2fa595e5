//! The system map: it is made once, it is nobody's, and each fact becomes one event of it.

use super::delivery::{put, report, update, webhook, webhook_id};
use super::*;
use crate::core::channel_rules::ChannelRules;
use crate::core::command::SetChannelRules;
use crate::core::consumer::progress::Disable;
use crate::core::event::Event;
use crate::core::operators::{NodeName, Observed, OperatorReport, SYSTEM_MAP, SYSTEM_SLUG, webhook_subject};
use crate::core::subject::Subject;
use crate::core::webhook::records::Update;

fn name(id: NodeId) -> NodeName {
    NodeName { id, name: None }
}

fn tells(term: u64, leader: NodeId, observed: Vec<Observed>) -> Command {
    Command::TellOperators(Box::new(OperatorReport { term, leader: name(leader), observed }))
}

fn down(id: NodeId) -> Observed {
    Observed::Reach { node: name(id), is_down: true }
}

/// Reports of leaders, for the properties of the whole state.
pub(super) fn command() -> impl Strategy<Value = Command> {
    let observed = prop_oneof![
        4 => (1u64..4, any::<bool>()).prop_map(|(id, is_down)| Observed::Reach { node: name(id), is_down }),
        1 => (1u64..4).prop_map(Observed::Left),
        1 => (0u64..9).prop_map(|since_ms| Observed::Leads { since_ms }),
    ];
    (1u64..4, 1u64..4, prop::collection::vec(observed, 0..3))
        .prop_map(|(term, leader, observed)| tells(term, leader, observed))
}

/// The events of a map, with their subjects.
fn events(node: &Node, map: MapId) -> Vec<(String, String)> {
    let topic = node.state.access().map(map).unwrap().topic;
    let history = History::open(&node.store, topic).unwrap();
    let page = history.read(0, Bounds { events: 10_000, bytes: 1 << 30 }).unwrap();
    let told = |event: Event| (event.subject.to_string(), event.kind.to_string());
    page.events.into_iter().map(told).collect()
}

fn told(kinds: &[&str]) -> Vec<(String, String)> {
    kinds.iter().map(|kind| (String::new(), (*kind).to_owned())).collect()
}

#[test]
fn the_system_map_is_made_once_and_takes_nobodys_place() {
    let mut node = Node::new();
    for n in 1..=3 {
        assert!(matches!(node.one(1, create(n, None, NO_LIMITS, KEEP_ALL)), Reply::Map(_)));
    }
    assert_eq!(node.one(2, tells(1, 1, vec![])), Reply::Done);
    assert_eq!(node.one(2, tells(1, 1, vec![])), Reply::Done);
    let made = node.state.access().map(SYSTEM_MAP).unwrap().clone();
    assert_eq!((made.slug.as_deref(), made.inserted_ms), (Some(SYSTEM_SLUG), 2));
    assert_eq!(node.state.access().maps().len(), 4);
    let topics: std::collections::BTreeSet<TopicId> =
        node.state.access().maps().map(|map| map.topic).collect();
    assert_eq!(topics.len(), 4);
    node.one(3, Command::DeleteMap(map_id(1)));
    assert!(matches!(node.one(4, create(1, None, NO_LIMITS, KEEP_ALL)), Reply::Map(_)));
    assert!(matches!(node.one(4, create(4, None, NO_LIMITS, KEEP_ALL)), Reply::Refused(Refusal::Limit(..))));
    // A node that restarts knows it as the others do.
    let loaded = State::load(&node.store).unwrap();
    assert_eq!(loaded.access().map(SYSTEM_MAP), Some(&made));
}

#[test]
fn its_slug_is_reserved_and_a_map_that_has_it_loses_it() {
    let mut node = Node::new();
    let taken = Reply::Refused(Refusal::SlugTaken);
    assert_eq!(node.one(1, create(1, Some(SYSTEM_SLUG), NO_LIMITS, KEEP_ALL)), taken, "before it is made");
    node.one(1, create(1, Some("a"), NO_LIMITS, KEEP_ALL));
    let slug = |map: MapId, slug: Option<&str>| {
        Command::UpdateMap(UpdateMap {
            map,
            by: None,
            slug: Some(slug.map(str::to_owned)),
            name: None,
            limits: LimitsPatch::default(),
            retention: Default::default(),
        })
    };
    assert_eq!(node.one(2, slug(map_id(1), Some(SYSTEM_SLUG))), taken);
    // An earlier release gave it that slug.
    let mut held = (**node.state.access().map(map_id(1)).unwrap()).clone();
    held.slug = Some(SYSTEM_SLUG.to_owned());
    node.store.put(&keys::map(held.id), &codec::encode(&held).unwrap()).unwrap();
    node.state = State::load(&node.store).unwrap();
    assert_eq!(node.state.access().slug_holder(SYSTEM_SLUG), Some(map_id(1)));
    node.one(3, tells(1, 1, vec![]));
    assert_eq!(node.state.access().map(map_id(1)).map(|map| map.slug.clone()), Some(None));
    assert_eq!(node.one(4, slug(SYSTEM_MAP, Some("b"))), Reply::Refused(Refusal::SystemMap));
    assert_eq!(node.one(4, slug(SYSTEM_MAP, None)), Reply::Refused(Refusal::SystemMap));
    assert!(matches!(node.one(4, slug(SYSTEM_MAP, Some(SYSTEM_SLUG))), Reply::Map(_)), "it is unchanged");
    assert_eq!(node.state.access().slug_holder(SYSTEM_SLUG), Some(SYSTEM_MAP));
}

#[test]
fn nobody_publishes_to_it_and_nobody_deletes_it() {
    let mut node = Node::new();
    node.one(1, tells(1, 1, vec![]));
    let events = vec![NewEvent::new(Subject::own(), "forged", "{}")];
    let publish = Command::Publish(Publish { map: SYSTEM_MAP, by: None, events, key: None });
    let rules = SetChannelRules { map: SYSTEM_MAP, by: None, rules: ChannelRules::default() };
    for command in [publish, Command::DeleteMap(SYSTEM_MAP), Command::SetChannelRules(rules)] {
        assert_eq!(node.one(2, command), Reply::Refused(Refusal::SystemMap));
    }
    let token = |scopes: &[&str]| {
        let token = NewToken { scopes: Scopes::from_names(scopes).unwrap(), ..new_token(9) };
        Command::CreateToken(CreateToken { map: SYSTEM_MAP, by: None, token, max_tokens: 10 })
    };
    assert_eq!(node.one(3, token(&["subscribe", "publish"])), Reply::Refused(Refusal::SystemMap));
    assert_eq!(node.one(3, token(&["presence"])), Reply::Refused(Refusal::SystemMap));
    assert!(matches!(node.one(3, token(&["subscribe", "manage"])), Reply::Token(_)));
    assert!(self::events(&node, SYSTEM_MAP).is_empty());
}

#[test]
fn each_fact_becomes_one_event_whoever_reports_it_and_after_a_restart() {
    let mut node = Node::new();
    node.one(1, tells(1, 1, vec![down(3)]));
    node.state = State::load(&node.store).unwrap();
    node.one(2, tells(1, 1, vec![down(3)]));
    node.one(3, tells(2, 2, vec![down(3)]));
    node.one(4, tells(1, 1, vec![down(2)]));
    assert_eq!(events(&node, SYSTEM_MAP), told(&["node.down", "leader.changed"]));
}

#[test]
fn one_map_does_not_drown_what_operators_are_told_of_others() {
    let mut node = Node::new();
    node.one(1, create(1, None, NO_LIMITS, KEEP_ALL));
    node.one(1, tells(1, 1, vec![]));
    node.one(1, leases::delivers(1, 7));
    node.one(1, put(webhook(1, 1), None, None));
    let news = NewEvent::new(webhook_subject(webhook_id(1)), "webhook.failing", "{}");
    for second in 1..=600_u64 {
        let told = Update { news: vec![news.clone(); 2], ..update(1, 1) };
        node.one(second * 1000, report(1, 7, 1, vec![told]));
    }
    assert_eq!(events(&node, map_id(1)).len(), 1200, "the map itself is told all");
    let told = events(&node, SYSTEM_MAP).len();
    assert!((60..=80).contains(&told), "{told} in ten minutes");
    assert!(node.store.0.contains_key(keys::told_of_map(map_id(1)).as_slice()));
    node.state = State::load(&node.store).unwrap();
    node.one(700_000, Command::DeleteMap(map_id(1)));
    assert!(!node.store.0.contains_key(keys::told_of_map(map_id(1)).as_slice()));
}

#[test]
fn what_concerns_a_webhook_goes_to_its_map_and_to_the_operators() {
    let mut node = Node::new();
    node.one(1, create(1, None, NO_LIMITS, KEEP_ALL));
    node.one(1, tells(1, 1, vec![]));
    node.one(1, leases::delivers(1, 7));
    node.one(1, put(webhook(1, 1), None, None));
    let own = Webhook { map: SYSTEM_MAP, ..webhook(2, 1) };
    assert!(matches!(node.one(1, put(own, None, None)), Reply::Webhook(_)));
    let news = |n: u8, kind: &str| NewEvent::new(webhook_subject(webhook_id(n)), kind, "{}");
    for n in [1, 2] {
        let disable = Some(Disable { why: "failed".into(), news: Some(news(n, "webhook.disabled")) });
        let told = Update { news: vec![news(n, "webhook.failing")], disable, ..update(n, 1) };
        let again = told.clone();
        assert_eq!(node.one(2, report(1, 7, 1, vec![told])), Reply::Progressed(vec![]));
        assert_eq!(node.one(2, report(1, 7, 1, vec![again])), Reply::Progressed(vec![]));
    }
    let kinds = ["webhook.failing", "webhook.disabled"];
    let of = |n: u8| kinds.map(|kind| (webhook_subject(webhook_id(n)).to_string(), kind.to_owned()));
    assert_eq!(events(&node, map_id(1)), of(1));
    // The system map is told of its own webhook under that webhook's subject alone.
    assert_eq!(events(&node, SYSTEM_MAP), [told(&kinds), of(2).to_vec()].concat());
    let topic = node.state.access().map(map_id(1)).unwrap().topic;
    assert_eq!(node.state.streams.topics[&topic].subjects, 0, "the server's subjects take nobody's place");
}
