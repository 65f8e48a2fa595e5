//! Lifecycle events have bounds of their own: however many there are, no other event and nothing that is known of
//! other subjects goes.

use super::delivery::{put, webhook};
use super::leases::delivers;
use super::*;
use crate::core::lease::{PresenceBatch, PresenceChange};
use crate::core::subject::{Selector, Subject};
use crate::core::webhook::Profile;

/// A map that keeps few events, whose lifecycle events are wanted by a webhook that takes none of them.
fn begun(retention: Retention) -> Node {
    let mut node = Node::new();
    node.one(10, create(1, None, NO_LIMITS, retention));
    node.one(10, delivers(1, 11));
    let events = vec!["channel_*".to_owned()];
    let wants = Webhook { profile: Profile::Pusher, events, ..webhook(1, 1) };
    assert!(matches!(node.one(20, put(wants, None, None)), Reply::Webhook(_)));
    node
}

/// Opens and closes a channel of each name.
fn flood(node: &mut Node, now_ms: u64, number: u64, names: impl Iterator<Item = String>) {
    let occupy = |name: &str, count| PresenceChange::Occupy {
        map: map_id(1),
        subject: Subject::parse(name).unwrap(),
        count,
    };
    let changes = names.flat_map(|name| [occupy(&name, 1), occupy(&name, 0)]).collect();
    let batch = PresenceBatch { node: 1, incarnation: 11, number, whole: false, changes };
    assert_eq!(node.one(now_ms, Command::Presence(batch)), Reply::Leased(Vec::new()));
}

fn publish_to(node: &mut Node, now_ms: u64, subject: &str) -> Published {
    let event = NewEvent::new(Subject::parse(subject).unwrap(), "k", "{}");
    let publish = Publish { map: map_id(1), by: None, events: vec![event], key: None };
    published(node.one(now_ms, Command::Publish(publish)))
}

fn record(node: &Node) -> TopicRecord {
    let topic = node.state.access().map(map_id(1)).unwrap().topic;
    codec::decode(&node.store.0[&keys::topic(topic)[..]]).unwrap()
}

/// The events that readers can read: how many are of the subject, and how many of all channels.
fn kept(node: &Node, subject: &str) -> (usize, usize) {
    let topic = node.state.access().map(map_id(1)).unwrap().topic;
    let history = History::open(&node.store, topic).unwrap();
    let mut events = Vec::new();
    let mut next_seq = 0;
    // A page has a bounded number of events.
    loop {
        let page = history.read(next_seq, Bounds { events: 1_000_000, bytes: 1 << 30 }).unwrap();
        if page.events.is_empty() {
            break;
        }
        next_seq = page.next_seq;
        events.extend(page.events);
    }
    let of = |event: &&crate::core::event::Event| event.subject.as_str() == subject;
    let of_channels = events.iter().filter(|event| event.subject.channel().is_some()).count();
    (events.iter().filter(of).count(), of_channels)
}

#[test]
fn no_number_of_lifecycle_events_pushes_another_event_out() {
    let backlog = WebhookBacklog { bytes: Some(40_000), age_seconds: None };
    for (retention, own) in [
        (Retention { events: Some(100), ..KEEP_ALL }, 50),
        (Retention { bytes: Some(10_000), ..KEEP_ALL }, 50),
        (Retention { webhook_backlog: backlog, ..KEEP_ALL }, 50),
        // The newest of the map's own stays, though it is larger than what the map keeps.
        (Retention { bytes: Some(1), ..KEEP_ALL }, 1),
    ] {
        let mut node = begun(retention.clone());
        for n in 0..own {
            publish_to(&mut node, 100 + n, "orders");
        }
        for number in 1..=40 {
            flood(&mut node, 1_000 + number, number, (0..100).map(|n| format!("c-{number}-{n}")));
        }
        for round in 0..20 {
            node.one(10_000 + round * 1_000, Command::Tick);
        }
        let (orders, of_channels) = kept(&node, "orders");
        assert_eq!(orders as u64, own, "{retention:?}");
        let bound = retention.lifecycle().with_slack(256);
        let record = record(&node);
        assert!(of_channels as u64 <= bound.events, "{of_channels} of {bound:?}");
        assert_eq!(record.lifecycle.count, of_channels as u64);
        assert_eq!(record.count, (orders + of_channels) as u64);
        assert!(record.lifecycle.bytes <= bound.bytes, "{record:?}");
        // What the map publishes itself goes by its own bound alone.
        for n in 0..400 {
            publish_to(&mut node, 40_000 + n, "orders");
        }
        if retention.events.is_some() {
            assert!((100..=110).contains(&kept(&node, "orders").0));
        }
    }
}

#[test]
fn a_live_reader_has_time_to_read_the_lifecycle_events_beyond_the_bound() {
    let retention = Retention { events: Some(100), ..KEEP_ALL };
    let bound = retention.lifecycle().events as usize;
    let mut node = begun(retention);
    for number in 1..=9 {
        flood(&mut node, 1_000, number, (0..100).map(|n| format!("c-{number}-{n}")));
    }
    let (_, of_channels) = kept(&node, "orders");
    assert_eq!(of_channels, 9 * 200, "they are young");
    assert!(of_channels > bound && of_channels < 2 * bound);
    node.one(10_000, Command::Tick);
    assert_eq!(kept(&node, "orders").1, bound);
    for number in 10..=40 {
        flood(&mut node, 20_000, number, (0..100).map(|n| format!("c-{number}-{n}")));
    }
    assert_eq!(kept(&node, "orders").1, 2 * bound, "there is a limit to it");
}

#[test]
fn no_hole_is_left_where_a_stream_has_no_events_any_more() {
    let webhook_backlog = WebhookBacklog { bytes: Some(40_000), age_seconds: Some(100) };
    let mut node = begun(Retention { events: Some(10), webhook_backlog, ..KEEP_ALL });
    for number in 1..=4 {
        flood(&mut node, 1_000, number, (0..100).map(|n| format!("c-{number}-{n}")));
    }
    for n in 0..20 {
        publish_to(&mut node, 2_000 + n, "orders");
    }
    node.one(10_000, Command::Tick);
    let holes = |node: &Node| node.store.0.keys().filter(|key| key[0] == keys::HOLES).count();
    assert!(holes(&node) > 0, "lifecycle events went from inside what is kept for the webhook");
    assert_eq!(record(&node).removed_seq, 0, "and readers lost none from inside the stream");
    for round in 0..20 {
        node.one(300_000 + round * 1_000, Command::Tick);
    }
    let record = record(&node);
    assert_eq!((record.stored_seq, record.backlog_bytes), (record.first_seq, 0));
    assert_eq!(holes(&node), 0);
}

#[test]
fn a_webhook_that_is_behind_loses_the_oldest_lifecycle_events_and_no_others() {
    let backlog = WebhookBacklog { bytes: Some(200_000), age_seconds: None };
    let mut node = begun(Retention { events: Some(10), webhook_backlog: backlog, ..KEEP_ALL });
    for n in 0..40 {
        publish_to(&mut node, 100 + n, "orders");
    }
    for number in 1..=40 {
        flood(&mut node, 1_000 + number, number, (0..100).map(|n| format!("c-{number}-{n}")));
    }
    // Retention takes everything but the newest from readers.
    for n in 0..40 {
        publish_to(&mut node, 5_000 + n, "orders");
        node.one(6_000 + n * 1_000, Command::Tick);
    }
    let record = record(&node);
    let most = backlog.lifecycle_bytes();
    assert!(record.lifecycle.backlog_bytes <= most + most / 16, "{record:?}");
    assert!(record.lifecycle.backlog_bytes > most / 2, "{record:?}");
    let topic = node.state.access().map(map_id(1)).unwrap().topic;
    let history = History::open(&node.store, topic).unwrap().with_backlog();
    let page = history.read(0, Bounds { events: 1_000_000, bytes: 1 << 30 }).unwrap();
    let orders = page.events.iter().filter(|event| event.subject.as_str() == "orders").count();
    assert_eq!(orders, 80, "the webhook gets all of them");
}

#[test]
fn a_flood_of_channel_names_makes_no_gap_for_an_unknown_subject() {
    let mut node = begun(KEEP_ALL);
    let first = publish_to(&mut node, 100, "orders");
    for number in 1..=60 {
        flood(&mut node, 1_000 + number, number, (0..100).map(|n| format!("c-{number}-{n}")));
    }
    // An hour later all of them are gone, more than a stream remembers.
    for round in 0..40 {
        node.one(4_000_000 + round * 10_000, Command::Tick);
    }
    let record = record(&node);
    assert_eq!((kept(&node, "orders"), record.empty), ((1, 0), 0));
    assert_eq!(record.lifecycle.empty, 4096);
    assert!(record.lifecycle.forgotten_seq > 0 && record.forgotten_seq == 0);
    let topic = node.state.access().map(map_id(1)).unwrap().topic;
    let gap = |selector: Selector| {
        let history = History::of(&node.store, topic, &selector).unwrap();
        history.locate(Start::After(first.first_id)).unwrap().gap
    };
    let of = |name: &str| Selector::from_names(std::iter::once(Ok(name))).unwrap();
    for name in ["never-seen", "orders", "never-*"] {
        assert_eq!(gap(of(name)), None, "{name}");
    }
    assert_eq!(gap(Selector::All), None, "the server's own subjects are not among all");
    assert!(gap(of("$channel/c-1-1")).is_some() && gap(of("$channel/*")).is_some(), "theirs are gone");
}
