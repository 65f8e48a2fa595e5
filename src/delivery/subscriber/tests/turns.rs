//! Which subscriptions of a client are asked for what they have, and in which order.

use super::*;

/// A topic view whose ring begins at that seq.
fn view_from(stream: u64, next_seq: u64) -> Rc<TopicView> {
    let topic = TopicKey::new(TopicId(stream), Selector::All);
    let view = View::new(Arc::new(Plain("plain".into())), None);
    let topic_view = Rc::new(TopicView::new(topic, view, Arc::default()));
    topic_view.start(next_seq, 1 << 20, 1024);
    topic_view
}

fn of(filter: Filter) -> Of {
    Of { map: MapId::from_bytes([1; 16]), coverage: Coverage::Durable, filter, held: None }
}

/// A chunk of events of that type.
fn chunk_of(kind: &str, seqs: std::ops::Range<u64>) -> Arc<Chunk> {
    let event = |seq: u64| {
        let new = NewEvent::new(Default::default(), kind, "{}");
        Event::from_stored(seq, Event::to_stored(EventId::new(1, seq, 0), &new).into()).unwrap()
    };
    let events: Vec<Event> = seqs.clone().map(event).collect();
    let span = Span { first_seq: seqs.start, next_seq: seqs.end, last_id: EventId::new(1, seqs.end - 1, 0) };
    Arc::new(Chunk::encode(span, &events, &Plain("plain".into()), None))
}

#[test]
fn only_a_subscription_for_which_something_came_is_asked() {
    with_subscription(|topic_view, subscriber, _| {
        let other = view_from(2, 1);
        subscribe(subscriber, &other, Filter::All, false);
        assert_eq!(next(subscriber), None);
        // The first one has a page now, but nobody has said so.
        let mut page = Ring::new(1, usize::MAX, usize::MAX);
        page.push(chunk(1..2));
        first(subscriber).behind = Behind::Sending(Box::new(page));
        other.push(chunk(1..4), 1 << 20, 1024);
        assert_eq!((next(subscriber).unwrap(), next(subscriber)), ("1;2;3;".into(), None));
        topic_view.push(chunk(1..3), 1 << 20, 1024);
        let frames: Vec<Bytes> = std::iter::from_fn(|| next(subscriber)).collect();
        assert_eq!(frames, ["1;", "2;"]);
    });
}

#[test]
fn a_busy_topic_does_not_starve_the_others() {
    with_subscription(|topic_view, subscriber, _| {
        let other = view_from(2, 1);
        subscribe(subscriber, &other, Filter::All, false);
        assert_eq!(next(subscriber), None);
        topic_view.push(chunk(1..12), 1 << 20, 1024);
        other.push(chunk(1..3), 1 << 20, 1024);
        let frames: Vec<Bytes> = std::iter::from_fn(|| next(subscriber)).collect();
        assert_eq!(frames, ["1;2;3;4;", "1;2;", "5;6;7;8;", "9;10;11;"]);
    });
}

#[test]
fn a_subscription_that_has_ended_has_no_turn_and_leaves_its_place_to_another() {
    with_subscription(|topic_view, subscriber, id| {
        topic_view.push(chunk(1..3), 1 << 20, 1024);
        subscriber.unsubscribe(id);
        assert_eq!(next(subscriber), None);
        subscribe(subscriber, topic_view, Filter::All, false);
        assert_eq!((next(subscriber).unwrap(), next(subscriber)), ("1;2;".into(), None));
        topic_view.push(chunk(3..4), 1 << 20, 1024);
        assert_eq!((next(subscriber).unwrap(), next(subscriber)), ("3;".into(), None));
    });
}

#[test]
fn a_subscription_goes_on_with_its_stored_events_wherever_its_ephemeral_ones_stand() {
    with_subscription(|topic_view, subscriber, id| {
        let both = subscribe(subscriber, topic_view, Filter::All, false);
        subscriber.unsubscribe(id);
        let topic = TopicKey::ephemeral(TopicId(1), Selector::All);
        let view = View::new(Arc::new(Plain("plain".into())), None);
        let ephemeral = Rc::new(TopicView::new(topic, view, Arc::default()));
        subscriber.follow(both, ephemeral, of(Filter::All), 1);
        assert_eq!(subscriber.hold_at(both, &topic_view.key(), &Filter::All, 1, false), Some(1));
    });
}

#[test]
fn what_a_session_does_in_its_task_does_not_wake_the_task() {
    with_subscription(|topic_view, subscriber, id| {
        topic_view.push(chunk(1..3), 1 << 20, 1024);
        assert_eq!((next(subscriber).unwrap(), next(subscriber)), ("1;2;".into(), None));
        subscriber.in_its_task(|| {
            subscriber.unsubscribe(id);
            subscribe(subscriber, topic_view, Filter::All, false);
        });
        assert!(sleeps(subscriber));
        assert_eq!(next(subscriber).unwrap(), "1;2;", "what is new is found before the task sleeps");
        assert_eq!(next(subscriber), None);
        topic_view.push(chunk(3..4), 1 << 20, 1024);
        assert!(!sleeps(subscriber), "what comes later wakes it");
        assert_eq!((next(subscriber).unwrap(), next(subscriber)), ("3;".into(), None));
        subscribe(subscriber, topic_view, Filter::All, false);
        assert!(!sleeps(subscriber), "what is done elsewhere wakes it");
    });
}

#[test]
fn a_position_is_sent_when_the_watchdog_finds_it_due() {
    with_subscription(|topic_view, subscriber, id| {
        subscriber.unsubscribe(id);
        subscribe(subscriber, topic_view, Filter::from_query(Some("z")).unwrap(), true);
        assert_eq!(next(subscriber), None);
        first(subscriber).unseen.set_every(Some(0));
        topic_view.push(chunk(1..5), 1 << 20, 1024);
        assert_eq!(next(subscriber), None);
        assert!(Session::position_due(&**subscriber).is_some());
        Session::wake(&**subscriber);
        assert!(!sleeps(subscriber));
        // The form of the tests writes nothing for a position.
        assert_eq!((next(subscriber), next(subscriber)), (Some(Bytes::new()), None));
    });
}

/// In whatever order chunks come for several subscriptions, and whoever takes them, each subscription sends all
/// that it wants, once and in order.
#[test]
fn nothing_that_came_is_left_behind() {
    const VIEWS: u64 = 5;
    const SEQS: u64 = 100_000;
    with_socket(|_, subscriber, socket, _| {
        socket.room.set(usize::MAX);
        let mut random = 7_u64;
        let mut roll = |sides: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % sides
        };
        let mut views: Vec<_> =
            (0..VIEWS).map(|n| (view_from(n + 2, (n + 1) * SEQS), (n + 1) * SEQS)).collect();
        for (topic_view, next_seq) in &views {
            let filter = Filter::from_query(Some("k")).unwrap();
            subscriber.follow(subscriber.new_subscription(), topic_view.clone(), of(filter), *next_seq);
        }
        let mut wanted = Vec::new();
        let mut heard = String::new();
        for _ in 0..5000 {
            let (topic_view, next_seq) = &mut views[roll(VIEWS) as usize];
            let seqs = *next_seq..*next_seq + 1 + roll(3);
            match roll(6) {
                0 | 1 => {
                    wanted.extend(seqs.clone());
                    *next_seq = seqs.end;
                    topic_view.push(chunk_of("k", seqs), 1 << 20, 1024);
                }
                2 => {
                    *next_seq = seqs.end;
                    topic_view.push(chunk_of("z", seqs), 1 << 20, 1024);
                }
                3 | 4 => {
                    subscriber.serve();
                    heard.push_str(&socket.heard());
                }
                _ => heard.extend(next(subscriber).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())),
            }
        }
        while subscriber.serve() == Left::More {}
        heard.push_str(&socket.heard());
        assert_eq!((next(subscriber), subscriber.ending()), (None, None));
        let mut heard: Vec<u64> = heard.split_terminator(';').map(|seq| seq.parse().unwrap()).collect();
        // Those of one subscription stay in the order in which they were sent.
        heard.sort_by_key(|seq| seq / SEQS);
        wanted.sort_by_key(|seq| seq / SEQS);
        assert_eq!(heard, wanted);
    });
}
