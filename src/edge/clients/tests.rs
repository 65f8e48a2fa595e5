//! Tests of the client connections: who gives way, and how long each may wait.
#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;
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

/// A socket whose first message says who it is.
#[test]
fn an_unknown_sender_that_is_heard_out_still_gives_way() {
    let clients = Clients::new(LIMITS);
    let stranger = clients.admit();
    let turn = || stranger.client().turn(&mut Context::from_waker(Waker::noop()), true);
    stranger.client().begin();
    assert!(matches!(turn(), Turn::Hold));
    stranger.client().hear_out();
    assert!(matches!(turn(), Turn::Read { until: None, .. }));
    let _others: Vec<_> = (0..LIMITS.most).map(|_| busy(&clients)).collect();
    assert!(is_evicted(&stranger));
    // Its next request, if there is one, is that of an unknown sender again.
    let again = clients.admit();
    again.client().begin();
    again.client().hear_out();
    again.client().end(false);
    again.client().begin();
    assert!(matches!(again.client().turn(&mut Context::from_waker(Waker::noop()), true), Turn::Hold));
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
fn a_known_sender_whose_body_does_not_come_gives_way_last() {
    let clients = Clients::new(LIMITS);
    let mut all: Vec<_> = (0..LIMITS.most).map(|_| busy(&clients)).collect();
    all[1].client().await_body();
    all[2].client().await_body();
    all[3].client().await_body();
    all[3].client().body_came();
    let kept = all[0].client();
    kept.end(false);
    let mut gone = |expected: [bool; 4]| {
        let newest = busy(&clients);
        assert_eq!([0, 1, 2, 3].map(|at| is_evicted(&all[at])), expected);
        all.push(newest);
    };
    gone([true, false, false, false]);
    gone([true, true, false, false]);
    gone([true, true, true, false]);
    gone([true, true, true, false]);
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
        assert_eq!((open.ordinary.count, open.surplus.count, open.clients.len()), (0, 0, 0));
        assert_eq!((open.ordinary.order.len(), open.surplus.order.len()), (0, 0));
    }
}

#[test]
fn a_connection_that_does_not_give_way_is_looked_at_once() {
    const MANY: usize = 1000;
    let clients = Clients::new(ClientLimits { most: MANY, ..LIMITS });
    let all: Vec<_> = (0..MANY).map(|_| busy(&clients)).collect();
    let places = || clients.open().ordinary.order.len();
    assert_eq!(places(), MANY, "each had a place before its request began");
    let first = clients.admit();
    assert_eq!(places(), 0, "nobody gives way, so nobody is looked at again");
    assert!(!first.client().is_served());
    // Who gives way again has a place again, and requests on it change no other place.
    all[7].client().end(false);
    assert_eq!(places(), 1);
    all[7].client().begin();
    all[7].client().end(false);
    assert_eq!(places(), 1);
    let _second = clients.admit();
    assert!(is_evicted(&all[7]));
    assert_eq!(all.iter().filter(|admission| is_evicted(admission)).count(), 1);
}

proptest! {
    /// Whatever happens on the connections, the one with the least rank gives way.
    #[test]
    fn connections_give_way_by_their_present_rank(
        steps in prop::collection::vec((0..12usize, 0..8u8), 0..200),
    ) {
        let clients = Clients::new(ClientLimits { most: 100, ..LIMITS });
        let mut all: Vec<Admission> = (0..12).map(|_| clients.admit()).collect();
        for (at, step) in steps {
            let client = all[at].client();
            match step {
                0 => client.begin(),
                1 => client.know(),
                2 => client.end(true),
                3 => client.end(false),
                4 => client.await_body(),
                5 => client.body_came(),
                6 => all[at] = clients.admit(),
                _ => {
                    let rank = |admission: &Admission| admission.client().state().rank();
                    let least = all.iter().filter_map(|a| Some((rank(a)?, a.client().0.key))).min();
                    let evicted = clients.open().evict(false);
                    prop_assert_eq!(evicted, least.is_some());
                    for admission in &all {
                        if Some(admission.client().0.key) == least.map(|(_, key)| key) {
                            prop_assert!(is_evicted(admission));
                        }
                    }
                }
            }
            let open = clients.open();
            for (key, client) in &open.clients {
                let state = client.state();
                prop_assert!(!state.is_misplaced(), "connection {}", key);
            }
        }
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
