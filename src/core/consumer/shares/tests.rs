//! Tests of the shares: what always holds, and what healthy consumers get beside hundreds of slow ones.
#![allow(clippy::unwrap_used)]

use super::*;
use proptest::prelude::*;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

fn claim(map: u8, consumer: u16, receiver: u16) -> Claim<u16> {
    let mut id = [0; 16];
    id[..2].copy_from_slice(&consumer.to_be_bytes());
    Claim { map: MapId::from_bytes([map; 16]), consumer: ConsumerId::from_bytes(id), receiver }
}

/// Asks until a request has to wait, at most `most` times. Returns how many have begun.
fn take_all(shares: &mut Shares<u16>, claim: &Claim<u16>, speed: Speed, most: usize) -> usize {
    (0..most).take_while(|_| shares.ask(claim.clone(), speed).1).count()
}

#[test]
fn one_map_one_receiver_and_all_slow_ones_have_bounds() {
    const TOTAL: usize = 4096;
    let alone = |speed, receivers: u16| {
        let mut shares = Shares::new(TOTAL);
        let claims = (0..4096).map(|n| claim(1, n, n % receivers));
        claims.filter(|claim| shares.ask(claim.clone(), speed).1).count()
    };
    assert_eq!(alone(Speed::Quick, 1000), TOTAL.div_ceil(5), "a map");
    assert_eq!(alone(Speed::Unknown, 1000), TOTAL.div_ceil(9), "a map of which nothing is known");
    assert_eq!(alone(Speed::Quick, 1), TOTAL.div_ceil(9), "a receiver");
    assert_eq!(alone(Speed::Unknown, 1), TOTAL.div_ceil(17), "a receiver of which nothing is known");
    let mut shares = Shares::new(TOTAL);
    let claims = (0..200).flat_map(|map| (0..40).map(move |n| claim(map, n, u16::from(map) * 40 + n)));
    let slow = claims.filter(|claim| shares.ask(claim.clone(), Speed::Slow).1).count();
    assert_eq!(slow, TOTAL / 4);
    assert!(shares.ask(claim(201, 1, 60_000), Speed::Unknown).1, "all others have the rest");
}

#[test]
fn even_one_permit_is_given() {
    let mut shares = Shares::new(1);
    let (first, begins) = shares.ask(claim(1, 1, 1), Speed::Slow);
    assert!(begins);
    let (second, begins) = shares.ask(claim(1, 1, 1), Speed::Slow);
    assert!(!begins);
    assert_eq!(shares.end(first), [second]);
    assert!(shares.end(second).is_empty() && shares.held() == 0);
}

#[test]
fn quick_ones_go_first_and_maps_take_turns() {
    let mut shares = Shares::new(1);
    let (mut running, _) = shares.ask(claim(9, 9, 9), Speed::Quick);
    let mut asked = |map, consumer, receiver, speed| shares.ask(claim(map, consumer, receiver), speed).0;
    let slow = asked(1, 1, 1, Speed::Slow);
    let unknown = asked(1, 2, 2, Speed::Unknown);
    let many: Vec<u64> = (0..3).map(|_| asked(1, 3, 3, Speed::Quick)).collect();
    let other_receiver = asked(1, 4, 4, Speed::Quick);
    let other_map = asked(2, 5, 5, Speed::Quick);
    let expected = [many[0], other_map, other_receiver, many[1], many[2], unknown, slow];
    for next in expected {
        assert_eq!(shares.end(running), [next]);
        running = next;
    }
}

#[test]
fn a_consumer_that_turns_slow_waits_with_the_slow_ones() {
    let mut shares = Shares::new(1);
    let (running, _) = shares.ask(claim(9, 9, 9), Speed::Quick);
    let (first, _) = shares.ask(claim(1, 1, 1), Speed::Quick);
    let (second, _) = shares.ask(claim(2, 2, 2), Speed::Unknown);
    assert!(shares.set_speed(claim(1, 1, 1).consumer, Speed::Slow).is_empty());
    assert_eq!(shares.end(running), [second]);
    assert!(shares.set_speed(claim(1, 1, 1).consumer, Speed::Quick).is_empty());
    let (third, _) = shares.ask(claim(3, 3, 3), Speed::Quick);
    assert_eq!(shares.end(second), [first]);
    assert_eq!(shares.end(first), [third]);
}

#[test]
fn a_receiver_that_hangs_leaves_its_map_half_of_the_share() {
    let mut shares = Shares::new(1024);
    let hung: Vec<u64> =
        (0..500).map(|n| shares.ask(claim(1, n, 1), Speed::Quick)).filter(|r| r.1).map(|r| r.0).collect();
    hung.iter().for_each(|number| shares.turned_slow(*number));
    let more = take_all(&mut shares, &claim(1, 600, 2), Speed::Quick, 500);
    assert!(more >= 64, "{more} requests of the same map to another receiver");
    assert!(take_all(&mut shares, &claim(2, 700, 3), Speed::Quick, 500) >= 64);
}

/// A receiver that worked for hundreds of consumers stops answering. Each request turns slow a while after it
/// began, and ends at its time limit.
#[test]
fn what_is_free_does_not_shrink_step_by_step() {
    let mut shares = Shares::new(4096);
    for n in 0..8000u16 {
        shares.ask(claim((n % 10) as u8, n / 16, 1), Speed::Unknown);
    }
    for _ in 0..30 {
        let under_way: Vec<u64> =
            shares.requests.iter().filter(|(_, request)| !request.waits).map(|(number, _)| *number).collect();
        for number in under_way {
            let consumer = shares.requests[&number].claim.consumer;
            shares.turned_slow(number);
            drop(shares.set_speed(consumer, Speed::Slow));
        }
    }
    assert_eq!(shares.held(), 4096usize.div_ceil(17));
}

/// What is to happen in a simulated run: when, and to which request. The first is on top.
type Future = BinaryHeap<Reverse<(u64, u64)>>;

/// Five hundred consumers of several maps keep sixteen requests each under way, as far as they may. Beside
/// them one quick consumer sends a request every 10 ms. Returns how long the quick one waited, in
/// milliseconds, request by request.
fn waits_of_a_quick_one(takes_ms: u64, maps: u16, own_map: u8) -> Vec<u64> {
    let mut shares = Shares::new(4096);
    let mut ends = Future::new();
    let mut asked = BTreeMap::new();
    let mut waits = Vec::new();
    let slow_claim = |n: u16| claim((n % maps) as u8, n, 1);
    let mut later = Future::new();
    let mut begun: Vec<u64> = Vec::new();
    for n in (0..500u16).flat_map(|n| [n; 16]) {
        let (number, begins) = shares.ask(slow_claim(n), Speed::Unknown);
        begun.extend(begins.then_some(number));
    }
    for now in 0..60_000u64 {
        if now % 10 == 0 {
            let speed = if waits.is_empty() { Speed::Unknown } else { Speed::Quick };
            let (number, begins) = shares.ask(claim(own_map, 9999, 2), speed);
            asked.insert(number, now);
            begun.extend(begins.then_some(number));
        }
        while let Some(Reverse((_, number))) = later.peek().copied().filter(|next| next.0.0 <= now) {
            later.pop();
            let Some(consumer) = shares.requests.get(&number).map(|request| request.claim.consumer) else {
                continue;
            };
            shares.turned_slow(number);
            begun.extend(shares.set_speed(consumer, Speed::Slow));
        }
        while let Some(Reverse((_, number))) = ends.peek().copied().filter(|next| next.0.0 <= now) {
            ends.pop();
            let again = shares.requests[&number].claim.clone();
            begun.extend(shares.end(number));
            if again.receiver == 1 {
                let (number, begins) = shares.ask(again, Speed::Slow);
                begun.extend(begins.then_some(number));
            }
        }
        for number in begun.drain(..) {
            if let Some(since) = asked.get(&number) {
                waits.push(now - since);
                ends.push(Reverse((now + 5, number)));
            } else {
                ends.push(Reverse((now + takes_ms, number)));
                later.push(Reverse((now + 1000, number)));
            }
        }
    }
    assert!(waits.len() >= 5990, "{}", waits.len());
    waits
}

#[test]
fn a_quick_consumer_never_waits_for_five_hundred_slow_ones() {
    for takes_ms in [8_000, 10_000, 30_000] {
        for maps in [1, 5, 50] {
            let waits = waits_of_a_quick_one(takes_ms, maps, 200);
            assert_eq!(waits.iter().max(), Some(&0), "{takes_ms} ms, {maps} maps");
            let waits = waits_of_a_quick_one(takes_ms, maps, 0);
            assert_eq!(waits.iter().skip(1).max(), Some(&0), "of the same map: {takes_ms} ms, {maps} maps");
        }
    }
}

/// One step of a random run; the numbers choose among what there is.
#[derive(Clone, Debug)]
enum Act {
    Ask(u8, u16, u16, Speed),
    End(usize),
    TurnSlow(usize),
    SetSpeed(u16, Speed),
}

fn act() -> impl Strategy<Value = Act> {
    let speed = || prop::sample::select(Speed::ORDER.to_vec());
    prop_oneof![
        6 => (0..4u8, 0..8u16, speed()).prop_map(|(map, consumer, speed)| Act::Ask(map, consumer, consumer % 5, speed)),
        4 => any::<usize>().prop_map(Act::End),
        2 => any::<usize>().prop_map(Act::TurnSlow),
        1 => (0..8u16, speed()).prop_map(|(consumer, speed)| Act::SetSpeed(consumer, speed)),
    ]
}

fn some_number(shares: &Shares<u16>, choice: usize) -> Option<u64> {
    let count = shares.requests.len();
    (count > 0).then(|| shares.requests.keys().nth(choice % count).copied()).flatten()
}

/// What holds after each step.
fn check(shares: &Shares<u16>, total: usize) {
    let (waiting, held): (Vec<_>, Vec<_>) = shares.requests.iter().partition(|(_, request)| request.waits);
    assert!(held.len() <= total && shares.held() == held.len());
    let held: Vec<(Claim<u16>, Speed)> =
        held.iter().map(|(_, request)| (request.claim.clone(), request.speed)).collect();
    assert!(shares.held.is_of(&held));
    for (number, request) in &waiting {
        assert!(!shares.held.may_begin(&request.claim, request.speed), "{request:?} may begin and waits");
        assert!(shares.waiting[&request.claim.consumer].contains(number));
    }
    assert_eq!(shares.waiting.values().map(BTreeSet::len).sum::<usize>(), waiting.len());
}

proptest! {
    #[test]
    fn nobody_waits_who_may_begin_and_everybody_has_a_turn(total in 1..40usize, acts in prop::collection::vec(act(), 0..200)) {
        let mut shares = Shares::new(total);
        for act in acts {
            match act {
                Act::Ask(map, consumer, receiver, speed) => {
                    let claim = claim(map, consumer, receiver);
                    let nothing = !shares.requests.values().any(|other| {
                        !other.waits && (other.claim.map == claim.map || other.claim.receiver == receiver)
                    });
                    let free = shares.held() < total;
                    let (_, begins) = shares.ask(claim, speed);
                    prop_assert!(begins || !nothing || !free || speed == Speed::Slow, "who holds nothing begins at once");
                }
                Act::End(choice) => if let Some(number) = some_number(&shares, choice) {
                    drop(shares.end(number));
                    prop_assert!(!shares.requests.contains_key(&number));
                },
                Act::TurnSlow(choice) => if let Some(number) = some_number(&shares, choice) {
                    shares.turned_slow(number);
                },
                Act::SetSpeed(consumer, speed) => drop(shares.set_speed(claim(0, consumer, 0).consumer, speed)),
            }
            check(&shares, total);
        }
        // As requests end, each that waits begins.
        while let Some(number) = shares.requests.iter().find(|(_, request)| !request.waits).map(|(number, _)| *number) {
            drop(shares.end(number));
            check(&shares, total);
        }
        prop_assert!(shares.requests.is_empty(), "{:?} never began", shares.requests);
    }
}

#[test]
fn maps_that_take_all_they_can_leave_something_to_others() {
    const TOTAL: usize = 1024;
    for (maps, speed) in [1, 3, 10, 25].into_iter().flat_map(|maps| Speed::ORDER.map(|speed| (maps, speed))) {
        let mut shares = Shares::new(TOTAL);
        for (map, n) in (0..maps).flat_map(|map| (0..400u16).map(move |n| (map, n))) {
            shares.ask(claim(map, n, u16::from(map) * 400 + n), speed);
        }
        let part = if speed == Speed::Quick { 4.0f64 / 5.0 } else { 8.0 / 9.0 };
        let least = TOTAL as f64 * part.powi(maps.into()) - f64::from(maps);
        let free = TOTAL - shares.held();
        assert!(free as f64 >= least, "{free} of {least} are free beside {maps} maps, {speed:?}");
    }
}
