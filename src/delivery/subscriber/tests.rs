#![allow(clippy::unwrap_used)]

use super::*;
use crate::core::channel_rules::Coverage;
use crate::core::event::{Event, NewEvent, Sender};
use crate::core::frame::{View, WireForm};
use crate::core::ids::{EventId, TopicId};
use crate::core::ring::{Chunk, Ring, Span};
use crate::core::subject::Selector;
use crate::delivery::DispatcherConfig;
use crate::hub::{Hub, HubConfig};
use std::sync::Arc;

/// Writes only the seq of each event.
struct Plain(FormKey);

impl WireForm for Plain {
    fn key(&self) -> &FormKey {
        &self.0
    }
    fn encode(&self, event: &Event, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{};", event.seq).as_bytes());
    }
    fn encode_position(&self, _: EventId, _: u64, _: &mut Vec<u8>) {}
}

const SOCKET: SocketId = SocketId { a: 1, b: 2 };

fn chunk(seqs: std::ops::Range<u64>) -> Arc<Chunk> {
    chunk_from(seqs, |_| None)
}

/// A chunk of events, of which `sender` names the sending sockets.
fn chunk_from(seqs: std::ops::Range<u64>, sender: impl Fn(u64) -> Option<SocketId>) -> Arc<Chunk> {
    let events: Vec<Event> = seqs
        .clone()
        .map(|seq| {
            let sender = sender(seq).map(|socket| Sender { socket, user: None });
            let new = NewEvent { sender, ..NewEvent::new(Default::default(), "k", "{}") };
            Event::from_stored(seq, Event::to_stored(EventId::new(1, seq, 0), &new).into()).unwrap()
        })
        .collect();
    let span = Span { first_seq: seqs.start, next_seq: seqs.end, last_id: EventId::new(1, seqs.end - 1, 0) };
    Arc::new(Chunk::encode(span, &events, &Plain("plain".into()), None))
}

/// A subscription from seq 1 on, to a topic whose ring begins there too.
fn with_subscription(test: impl FnOnce(&Rc<TopicView>, &Rc<Subscriber>, SubscriptionId)) {
    let folder = tempfile::tempdir().unwrap();
    let cluster = waypost_cluster::Config {
        data_dir: folder.path().to_owned(),
        peer_addr: ([127, 0, 0, 1], 0).into(),
        ..waypost_cluster::Config::default()
    };
    let idempotency = Duration::from_secs(60);
    let config = HubConfig {
        admin: None,
        idempotency,
        encryption_key: None,
        expressions_per_topic: 1,
        ephemeral_link_bytes: 1 << 20,
        cut_off_after: None,
        presence_grace: std::time::Duration::from_secs(3),
        channel_joins_per_minute: 0,
        longest_client_token: std::time::Duration::from_secs(86_400),
    };
    let of_dispatchers = DispatcherConfig {
        ring_bytes: 1 << 20,
        ring_events: 1024,
        rings_bytes: 1 << 20,
        stall_seconds: 60,
        least_bytes: 1,
        idle_seconds: 600,
        join_seconds: 600,
        position_seconds: 60,
    };
    actix_rt::System::new().block_on(async move {
        let hub = Hub::start(config, cluster).await.unwrap();
        let dispatcher = Dispatcher::of_this_thread(&hub, &of_dispatchers);
        let subscriber = Subscriber::new(&dispatcher, &crate::hub::Who::Admin, 8);
        let topic = TopicKey::new(TopicId(1), Selector::All);
        let topic_view = Rc::new(TopicView::new(topic, View::new(Arc::new(Plain("plain".into())), None)));
        topic_view.start(1, 1 << 20, 1024);
        let before = EventId::ZERO;
        let head_id = EventId::ZERO;
        let position =
            Position { next_seq: 1, before, head_seq: 0, head_id, is_known: true, gap: None, gone_seq: 0 };
        let id = subscriber.new_subscription();
        let map = MapId::from_bytes([1; 16]);
        let filter = Filter::All;
        let of = Of { map, coverage: Coverage::Durable, filter, held: None };
        subscriber.subscribe(id, topic_view.clone(), of, &position, false);
        test(&topic_view, &subscriber, id);
        subscriber.clear();
        hub.shutdown().await;
    });
}

fn next(subscriber: &Subscriber) -> Option<Bytes> {
    match subscriber.poll_frames(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(bytes)) => Some(bytes),
        _ => None,
    }
}

#[test]
fn removed_events_are_neither_in_the_ring_nor_in_a_page_that_is_being_sent() {
    with_subscription(|topic_view, subscriber, _| {
        topic_view.push(chunk(1..9), 1 << 20, 1024);
        assert_eq!(next(subscriber).unwrap(), "1;2;3;4;");
        topic_view.forget_removed();
        assert_eq!((topic_view.memory(), next(subscriber)), (0, None), "the rest is read from the store");
        assert!(matches!(subscriber.subscriptions.borrow()[0].behind, Behind::Reading(_)));

        let mut page = Ring::new(5, usize::MAX, usize::MAX);
        page.push(chunk(5..20));
        subscriber.subscriptions.borrow_mut()[0].behind = Behind::Sending(page);
        assert_eq!(next(subscriber).unwrap(), "5;6;7;8;");
        topic_view.forget_removed();
        assert!(matches!(subscriber.subscriptions.borrow()[0].behind, Behind::No));
        topic_view.push(chunk(9..10), 1 << 20, 1024);
        assert_eq!(next(subscriber).unwrap(), "9;", "what comes later is not lost");
    });
}

#[test]
fn a_subscription_that_is_held_stands_still() {
    with_subscription(|topic_view, subscriber, id| {
        topic_view.push(chunk(1..5), 1 << 20, 1024);
        assert_eq!(next(subscriber).unwrap(), "1;2;3;4;");
        let shows = topic_view.key();
        assert_eq!(
            subscriber.hold_at(id, &shows, &Filter::All, 9, false),
            None,
            "it was not handed that much"
        );
        assert_eq!(subscriber.hold_at(id, &shows, &Filter::All, 3, false), Some(5));
        topic_view.push(chunk(5..6), 1 << 20, 1024);
        assert_eq!(next(subscriber), None);
        subscriber.go_on(id);
        assert_eq!(next(subscriber).unwrap(), "5;");
    });
}

#[test]
fn a_socket_gets_none_of_its_own_events_from_the_ring_or_the_store() {
    let own = |seq: u64| seq.is_multiple_of(2).then_some(SOCKET);
    with_subscription(|topic_view, subscriber, _| {
        subscriber.set_socket(SOCKET);
        topic_view.push(chunk_from(1..5, own), 1 << 20, 1024);
        assert_eq!((next(subscriber).unwrap(), next(subscriber)), ("1;3;".into(), None));

        let mut page = Ring::new(5, usize::MAX, usize::MAX);
        page.push(chunk_from(5..9, own));
        topic_view.push(chunk_from(5..9, own), 1 << 20, 1024);
        subscriber.subscriptions.borrow_mut()[0].behind = Behind::Sending(page);
        assert_eq!((next(subscriber).unwrap(), next(subscriber)), ("5;7;".into(), None));
    });
}

#[test]
fn another_socket_gets_all_events() {
    with_subscription(|topic_view, subscriber, _| {
        subscriber.set_socket(SocketId { b: 3, ..SOCKET });
        topic_view.push(chunk_from(1..5, |_| Some(SOCKET)), 1 << 20, 1024);
        assert_eq!(next(subscriber).unwrap(), "1;2;3;4;");
    });
}
