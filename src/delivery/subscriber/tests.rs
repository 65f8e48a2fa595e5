#![allow(clippy::unwrap_used)]

mod turns;

use super::*;
use crate::core::channel_rules::Coverage;
use crate::core::event::{Event, NewEvent, Sender};
use crate::core::frame::{View, WireForm};
use crate::core::ids::{EventId, TopicId};
use crate::core::reached::Asked;
use crate::core::ring::{Chunk, Ring, Span};
use crate::core::subject::{Selector, Subject};
use crate::delivery::doorbell::Doorbell;
use crate::delivery::serving::{Left, Served};
use crate::delivery::tally::Tally;
use crate::delivery::watchdog::Session;
use crate::delivery::{DispatcherConfig, PlainSocket, WriteSide};
use crate::hub::{
    AskClosed, AskConnections, AskThread, ClientConnection, ClosedConnection, EndConnection, Hub, HubConfig,
};
use std::cell::RefMut;
use std::sync::Arc;
use tokio::sync::mpsc::unbounded_channel;

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
        let view = View::new(Arc::new(Plain("plain".into())), None);
        let topic_view = Rc::new(TopicView::new(topic, view, Arc::default()));
        topic_view.start(1, 1 << 20, 1024);
        let id = subscribe(&subscriber, &topic_view, Filter::All, false);
        test(&topic_view, &subscriber, id);
        subscriber.clear();
        hub.shutdown().await;
    });
}

/// A subscription from seq 1 on.
fn subscribe(
    subscriber: &Rc<Subscriber>,
    topic_view: &Rc<TopicView>,
    filter: Filter,
    positions: bool,
) -> SubscriptionId {
    let before = EventId::ZERO;
    let head_id = EventId::ZERO;
    let position =
        Position { next_seq: 1, before, head_seq: 0, head_id, is_known: true, gap: None, gone_seq: 0 };
    let id = subscriber.new_subscription();
    let map = MapId::from_bytes([1; 16]);
    let of = Of { map, coverage: Coverage::Durable, filter, held: None };
    subscriber.subscribe(id, topic_view.clone(), of, &position, positions);
    id
}

/// The client's first subscription.
fn first(subscriber: &Subscriber) -> RefMut<'_, Subscription> {
    RefMut::map(subscriber.subscriptions.borrow_mut(), |all| all.iter_mut().next().unwrap())
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
        assert!(matches!(first(subscriber).behind, Behind::Reading(_)));

        let mut page = Ring::new(5, usize::MAX, usize::MAX);
        page.push(chunk(5..20));
        first(subscriber).behind = Behind::Sending(Box::new(page));
        assert_eq!(next(subscriber).unwrap(), "5;6;7;8;");
        topic_view.forget_removed();
        assert!(matches!(first(subscriber).behind, Behind::No));
        topic_view.push(chunk(9..10), 1 << 20, 1024);
        assert_eq!(next(subscriber).unwrap(), "9;", "what comes later is not lost");
    });
}

#[test]
fn a_client_that_waits_costs_little() {
    assert!(size_of::<Subscription>() <= 320, "{}", size_of::<Subscription>());
    assert!(size_of::<Subscriber>() <= 512, "{}", size_of::<Subscriber>());
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
        subscriber.set_sockets(SOCKET, &[]);
        topic_view.push(chunk_from(1..5, own), 1 << 20, 1024);
        assert_eq!((next(subscriber).unwrap(), next(subscriber)), ("1;3;".into(), None));

        let mut page = Ring::new(5, usize::MAX, usize::MAX);
        page.push(chunk_from(5..9, own));
        topic_view.push(chunk_from(5..9, own), 1 << 20, 1024);
        first(subscriber).behind = Behind::Sending(Box::new(page));
        assert_eq!((next(subscriber).unwrap(), next(subscriber)), ("5;7;".into(), None));
    });
}

#[test]
fn another_socket_gets_all_events_but_those_of_its_former_ones() {
    with_subscription(|topic_view, subscriber, _| {
        let (own, former) = (SocketId { b: 3, ..SOCKET }, SocketId { b: 4, ..SOCKET });
        subscriber.set_sockets(own, &[]);
        topic_view.push(chunk_from(1..5, |_| Some(SOCKET)), 1 << 20, 1024);
        assert_eq!(next(subscriber).unwrap(), "1;2;3;4;");
        let senders = [own, former, SOCKET];
        let sender = |seq: u64| Some(senders[(seq % 3) as usize]);
        subscriber.set_sockets(own, &[former]);
        topic_view.push(chunk_from(5..11, sender), 1 << 20, 1024);
        assert_eq!(next(subscriber).unwrap(), "5;8;", "only what a third socket sent");
        subscriber.set_sockets(own, &[]);
        topic_view.push(chunk_from(11..14, sender), 1 << 20, 1024);
        assert_eq!(next(subscriber).unwrap(), "11;13;", "another client's now");
    });
}

#[test]
fn an_event_that_a_subscription_does_not_want_wakes_nobody_and_moves_it() {
    with_subscription(|topic_view, subscriber, id| {
        subscriber.unsubscribe(id);
        let filter = Filter::from_query(Some("z")).unwrap();
        let id = subscribe(subscriber, topic_view, filter.clone(), true);
        assert_eq!((next(subscriber), Session::position_due(&**subscriber)), (None, None));
        topic_view.push(chunk(1..5), 1 << 20, 1024);
        assert!(subscriber.waker.borrow().is_some(), "the session's task sleeps on");
        let due = subscriber.dispatcher.now().saturating_sub(1) + 60;
        assert_eq!(Session::position_due(&**subscriber), Some(due));
        topic_view.push(chunk(5..7), 1 << 20, 1024);
        assert_eq!(subscriber.hold_at(id, &topic_view.key(), &filter, 7, true), Some(7));
        topic_view.push(chunk(7..8), 1 << 20, 1024);
        topic_view.empty();
        subscriber.go_on(id);
        assert_eq!(next(subscriber), None);
        assert!(matches!(first(subscriber).behind, Behind::No), "it is not behind");
    });
}

#[test]
fn every_record_that_a_subscription_comes_to_after_a_quiet_stretch_counts() {
    with_subscription(|topic_view, subscriber, id| {
        subscriber.unsubscribe(id);
        subscribe(subscriber, topic_view, Filter::from_query(Some("k")).unwrap(), false);
        let handouts = subscriber.dispatcher.handouts();
        let push = |chunk: Arc<Chunk>| {
            handouts.begin(topic_view.subscribed(), topic_view.topic(), &chunk);
            topic_view.push(chunk, 1 << 20, 1024);
        };
        let quiet = |seq: u64| {
            let new = NewEvent::new(Default::default(), "z", "{}");
            let stored = Event::to_stored(EventId::new(1, seq, 0), &new);
            let event = Event::from_stored(seq, stored.into()).unwrap();
            let span = Span { first_seq: seq, next_seq: seq + 1, last_id: event.id };
            Arc::new(Chunk::encode(span, &[event], &Plain("plain".into()), None))
        };
        (1..600).for_each(|seq| push(quiet(seq)));
        push(chunk(600..601));
        push(chunk(601..602));
        assert_eq!(next(subscriber).unwrap(), "600;601;");
        let sockets = |seq| {
            let asked = Asked { stream: TopicId(1), seq, subject: Subject::own(), kind: "k".into() };
            handouts.reached(&asked).sockets
        };
        assert_eq!((sockets(599), sockets(600), sockets(601)), (0, 1, 1));
    });
}

/// A client's socket with some room.
#[derive(Default)]
struct Socket {
    wire: RefCell<Vec<u8>>,
    room: Cell<usize>,
}

impl PlainSocket for Socket {
    fn try_write(&self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = bytes.len().min(self.room.get());
        self.room.set(self.room.get() - written);
        self.wire.borrow_mut().extend_from_slice(&bytes[..written]);
        if written == 0 { Err(std::io::ErrorKind::WouldBlock.into()) } else { Ok(written) }
    }
}

impl Socket {
    /// What was written since the last call.
    fn heard(&self) -> String {
        String::from_utf8(self.wire.take()).unwrap()
    }
}

/// A subscription whose session's task sleeps, and the socket to which the dispatcher writes.
fn with_socket(test: impl FnOnce(&Rc<TopicView>, &Rc<Subscriber>, &Rc<Socket>, (&Rc<WriteSide>, &Doorbell))) {
    with_subscription(|topic_view, subscriber, _| {
        let socket = Rc::new(Socket { room: Cell::new(1000), ..Socket::default() });
        let weak = Rc::downgrade(&socket);
        let write_side = WriteSide::new(weak);
        let doorbell = Doorbell::new();
        let direct = Direct::new(write_side.clone(), doorbell.bell(), Rc::new(Tally::new("test")));
        subscriber.set_direct(direct);
        let polled = doorbell.answer(&mut Context::from_waker(Waker::noop()), |_| Poll::<()>::Pending);
        assert!(polled.is_pending() && next(subscriber).is_none());
        write_side.give_over();
        test(topic_view, subscriber, &socket, (&write_side, &doorbell));
    });
}

fn sleeps(subscriber: &Subscriber) -> bool {
    subscriber.waker.borrow().is_some()
}

#[test]
fn the_dispatcher_writes_while_the_task_sleeps() {
    with_socket(|topic_view, subscriber, socket, _| {
        topic_view.push(chunk(1..3), 1 << 20, 1024);
        topic_view.push(chunk(3..5), 1 << 20, 1024);
        assert!(subscriber.is_about_to_be_served.get() && socket.heard().is_empty());
        assert_eq!((subscriber.serve(), &*socket.heard()), (Left::Nothing, "1;2;3;4;"));
        assert!(sleeps(subscriber) && !subscriber.is_about_to_be_served.get());
        assert_eq!((subscriber.serve(), &*socket.heard()), (Left::Nothing, ""));
        topic_view.push(chunk(10..12), 1 << 20, 1024);
        assert_eq!(subscriber.serve(), Left::Nothing);
        assert!(!sleeps(subscriber), "there is a hole, and the task reads a page");
    });
}

#[test]
fn a_client_that_has_much_to_get_is_served_in_turns() {
    with_socket(|topic_view, subscriber, socket, _| {
        topic_view.push(chunk(1..40), 1 << 20, 1024);
        assert_eq!(subscriber.serve(), Left::More);
        assert!(subscriber.is_about_to_be_served.get());
        while subscriber.serve() == Left::More {}
        let all: String = (1..40).map(|seq| format!("{seq};")).collect();
        assert_eq!(socket.heard(), all);
        assert!(sleeps(subscriber));
    });
}

#[test]
fn a_socket_without_room_is_left_to_the_task() {
    with_socket(|topic_view, subscriber, socket, (write_side, _)| {
        socket.room.set(3);
        topic_view.push(chunk(1..5), 1 << 20, 1024);
        assert_eq!((subscriber.serve(), &*socket.heard()), (Left::Nothing, "1;2"));
        assert!(!sleeps(subscriber) && subscriber.waiting_since.get().is_some());
        socket.room.set(1000);
        topic_view.push(chunk(5..6), 1 << 20, 1024);
        assert_eq!((subscriber.serve(), &*socket.heard()), (Left::Nothing, ""), "the task has to write");
        assert_eq!(write_side.take_back(), ";3;4;");
        assert_eq!(next(subscriber).unwrap(), "5;");
    });
}

#[test]
fn the_dispatcher_writes_nothing_before_what_the_session_has_to_say() {
    with_socket(|topic_view, subscriber, socket, (_, doorbell)| {
        topic_view.push(chunk(1..3), 1 << 20, 1024);
        Waker::from(doorbell.bell()).wake();
        assert_eq!((subscriber.serve(), &*socket.heard()), (Left::Nothing, ""));
        assert!(!sleeps(subscriber));
    });
}

#[test]
fn the_dispatcher_writes_nothing_to_a_session_that_ends() {
    with_socket(|topic_view, subscriber, socket, _| {
        topic_view.push(chunk(1..3), 1 << 20, 1024);
        subscriber.finish(End::Revoked);
        assert_eq!((subscriber.serve(), &*socket.heard()), (Left::Nothing, ""));
        assert_eq!(subscriber.ending(), Some(End::Revoked));
    });
}

#[test]
fn a_connection_is_listed_with_what_its_client_lacks_and_closed_by_its_number() {
    with_subscription(|topic_view, subscriber, _| {
        let address = IpAddr::from([192, 0, 2, 7]);
        let watch = subscriber.watch_silently(("test", Some("tester/1")), address);
        topic_view.push(chunk(1..9), 1 << 20, 1024);
        let list = |map: u8, subject: &str| -> Vec<ClientConnection> {
            let (answer, mut answers) = unbounded_channel();
            let map = MapId::from_bytes([map; 16]);
            let subject = Some(Subject::parse_any(subject).unwrap());
            let ask = AskConnections { map, after: None, limit: 10, protocol: None, subject };
            subscriber.dispatcher.answer(AskThread::List(Arc::new(ask), answer));
            answers.try_recv().unwrap()
        };
        let found = list(1, "any");
        assert_eq!(found.len(), 1);
        let one = &found[0];
        assert_eq!((one.protocol.as_str(), one.address), ("test", Some(address)));
        assert_eq!(
            (one.agent.as_deref(), one.port),
            (Some("tester/1"), None),
            "it has no connection of its own"
        );
        assert_eq!((one.subjects.join(","), one.subjects_total), ("*".to_owned(), 1));
        assert_eq!((one.lag_events, one.lag_bytes), (8, 16));
        assert!(one.number < 1 << 56 && one.token.is_none() && one.user.is_none());
        assert_eq!(next(subscriber).unwrap(), "1;2;3;4;");
        assert_eq!((list(1, "")[0].lag_events, list(1, "")[0].number), (4, one.number));
        assert!(list(2, "any").is_empty() && list(1, "$x").is_empty(), "another map, another subject");

        let end = |map: u8, number: u64| {
            let (answer, mut answers) = unbounded_channel();
            let end = EndConnection { map: MapId::from_bytes([map; 16]), number };
            subscriber.dispatcher.answer(AskThread::End(end, answer));
            answers.try_recv().is_ok()
        };
        assert!(!end(2, one.number) && !end(1, one.number ^ 1));
        assert_eq!(subscriber.ending(), None);
        assert!(end(1, one.number) && !end(1, one.number), "it has ended");
        assert_eq!(subscriber.ending(), Some(End::Closed));
        assert!(list(1, "any").is_empty());
        drop(watch);
    });
}

#[test]
fn a_client_that_read_too_slowly_is_remembered_as_it_was() {
    with_subscription(|topic_view, subscriber, _| {
        let address = IpAddr::from([192, 0, 2, 7]);
        let watch = subscriber.watch_silently(("test", Some("tester/1")), address);
        topic_view.push(chunk(1..9), 1 << 20, 1024);
        subscriber.finish(End::TooSlow);
        drop(watch);
        let closed = |map: u8| -> Vec<ClosedConnection> {
            let (answer, mut answers) = unbounded_channel();
            let ask = AskClosed { map: MapId::from_bytes([map; 16]), limit: 10 };
            subscriber.dispatcher.answer(AskThread::Closed(Arc::new(ask), answer));
            answers.try_recv().unwrap()
        };
        let found = closed(1);
        assert_eq!((found.len(), found[0].reason.as_str()), (1, "too_slow"));
        let was = &found[0].connection;
        assert_eq!((was.address, was.agent.as_deref()), (Some(address), Some("tester/1")));
        assert_eq!((was.lag_events, was.subjects.join(",")), (8, "*".to_owned()));
        assert!(closed(2).is_empty(), "another map");
    });
}
