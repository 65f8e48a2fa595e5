//! Tests of the client connections: who gives way, and how long each may wait.
#![allow(clippy::unwrap_used)]

use super::*;
use std::task::Waker;

const LIMITS: ClientLimits = ClientLimits {
    most: 4,
    head_time: Duration::from_secs(5),
    head_bytes: 100,
    keep_known: Duration::from_secs(75),
    keep_unknown: Duration::from_secs(5),
};

fn is_evicted(admission: &Admission) -> bool {
    admission.client().poll_evicted(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// A connection on which a request of a known sender is being answered.
fn busy(clients: &Arc<Clients>) -> Admission {
    let admission = clients.admit();
    admission.client().begin();
    admission.client().know();
    admission
}

#[test]
fn the_unknown_sender_that_is_idle_for_longest_gives_way_first() {
    let clients = Clients::new(LIMITS);
    let kept = busy(&clients);
    kept.client().end(false);
    let unknown = clients.admit();
    unknown.client().begin();
    let first = clients.admit();
    let second = clients.admit();
    let mut more = Vec::new();
    let mut gone = |expected: &[bool; 4]| {
        more.push(clients.admit());
        more.last().unwrap().client().begin();
        more.last().unwrap().client().know();
        assert_eq!([&first, &second, &unknown, &kept].map(is_evicted), *expected);
    };
    gone(&[true, false, false, false]);
    gone(&[true, true, false, false]);
    gone(&[true, true, true, false]);
    gone(&[true, true, true, true]);
}

#[test]
fn a_known_sender_keeps_its_connection_while_it_is_answered() {
    let clients = Clients::new(LIMITS);
    let all: Vec<_> = (0..LIMITS.most).map(|_| busy(&clients)).collect();
    let surplus: Vec<_> = (0..SURPLUS).map(|_| clients.admit()).collect();
    assert!(all.iter().all(|admission| admission.client().is_served()));
    assert!(!surplus.iter().any(|admission| admission.client().is_served()));
    let newest = clients.admit();
    assert!(!all.iter().any(is_evicted));
    assert!(is_evicted(&surplus[0]) && !is_evicted(&surplus[SURPLUS - 1]) && !is_evicted(&newest));
    // A connection that ends makes room for one of the surplus.
    drop(all);
    assert!(newest.client().is_served());
    assert!(!surplus[0].client().is_served(), "it gave way");
}

#[test]
fn the_counts_return_to_nothing() {
    let clients = Clients::new(LIMITS);
    for round in 0..3 {
        let mut all: Vec<_> = (0..LIMITS.most).map(|_| busy(&clients)).collect();
        all.extend((0..2 * SURPLUS).map(|_| clients.admit()));
        all.rotate_left(round);
        drop(all);
        let open = clients.open();
        assert_eq!((open.ordinary, open.surplus, open.clients.len()), (0, 0, 0));
    }
}

#[test]
fn nothing_of_a_body_is_read_before_its_sender_is_known() {
    let now = Instant::now();
    let mut state = State::new(false, now);
    let read = |until, known| Turn::Read { until, known };
    assert_eq!(state.turn(&LIMITS, true, || now), read(Some(now + LIMITS.head_time), false));
    state.begin(now);
    assert_eq!(state.turn(&LIMITS, true, || now), Turn::Hold);
    state.know();
    assert_eq!(state.turn(&LIMITS, true, || now), read(None, true));
}

#[test]
fn waiting_ends() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let turn = |state: &mut State, seconds| state.turn(&LIMITS, true, || at(seconds));
    let mut state = State::new(false, start);
    assert!(matches!(turn(&mut state, 4), Turn::Read { .. }));
    assert_eq!(turn(&mut state, 5), Turn::Over(Over::Slow), "a new connection that asks nothing");
    state.begin(start);
    state.end(false, at(10));
    assert!(matches!(turn(&mut state, 14), Turn::Read { .. }));
    assert_eq!(turn(&mut state, 15), Turn::Over(Over::Idle), "an unknown sender");
    state.know();
    assert!(matches!(turn(&mut state, 84), Turn::Read { .. }));
    assert_eq!(turn(&mut state, 85), Turn::Over(Over::Idle), "a known sender");
    // The bytes of a head that trickle do not prolong the wait for its end.
    assert_eq!(state.heard(1, || at(20)), 1);
    assert_eq!(state.heard(2, || at(24)), 3);
    assert_eq!(turn(&mut state, 25), Turn::Over(Over::Slow));
    state.begin(at(25));
    state.end(true, at(30));
    assert_eq!(state.heard(1000, || at(31)), 0);
    assert!(matches!(turn(&mut state, 31), Turn::Discard { .. }));
    assert_eq!(turn(&mut state, 32), Turn::Over(Over::Closing));
}

#[test]
fn the_head_of_an_unknown_sender_is_bounded() {
    let now = Instant::now();
    let mut state = State::new(false, now);
    state.heard(LIMITS.head_bytes - 1, || now);
    assert!(matches!(state.turn(&LIMITS, true, || now), Turn::Read { .. }));
    state.heard(1, || now);
    assert!(matches!(state.turn(&LIMITS, false, || now), Turn::Read { .. }), "it may be a head and a body");
    assert_eq!(state.turn(&LIMITS, true, || now), Turn::Over(Over::TooLong));
    state.know();
    assert!(matches!(state.turn(&LIMITS, true, || now), Turn::Read { .. }));
}
