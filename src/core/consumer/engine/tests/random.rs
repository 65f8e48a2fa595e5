//! All rules together in a random environment.

use super::*;

/// A receiver, and an owner that dies from time to time.
#[derive(Clone, Debug)]
enum Act {
    Answer(u8),
    Crash,
    Report,
    Publish(u8),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => any::<u8>().prop_map(Act::Answer),
        1 => Just(Act::Crash),
        3 => Just(Act::Report),
        2 => (1u8..6).prop_map(Act::Publish),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Whatever the receiver answers and whenever the owner dies: every event is delivered or given up,
    /// nothing is forgotten, and in a strict lane the first deliveries are in order.
    #[test]
    fn nothing_is_forgotten(
        acts in prop::collection::vec(act(), 1..150), batch in 0u32..4, lanes in 0u64..3, window in 1usize..6,
    ) {
        let parked = if lanes > 1 { 5 } else { usize::MAX };
        let plan = Plan { batch: (batch > 1).then_some(Batch { max: batch, duration_ms: 50 }), window, parked, ..plan() };
        let lane = |seq: u64| (lanes > 0).then(|| seq % lanes);
        let mut now = T;
        let mut head = 1u64;
        let mut cluster = Cluster::new(1);
        let mut engine = cluster.engine(plan.clone());
        let mut flying: Vec<Flight> = Vec::new();
        let mut delivered = Vec::<u64>::new();
        let mut given_up = BTreeMap::new();
        let finish = (0..4000).flat_map(|_| [Act::Answer(0), Act::Report]);
        for act in acts.into_iter().chain([Act::Report]).chain(finish) {
            if let Some(from) = engine.wants() {
                let page: Vec<Offer> = (from..head).map(|seq| Offer { event: event(seq), wanted: seq % 5 != 0, lane: lane(seq), kind: 0 }).collect();
                engine.offer(&page, head.max(from), now);
            }
            loop {
                match engine.next(now) {
                    Step::Send(flight) => {
                        if lanes > 0 {
                            let busy: Vec<u64> = flying.iter().flat_map(seqs).filter_map(lane).collect();
                            prop_assert!(seqs(&flight).into_iter().filter_map(lane).all(|lane| !busy.contains(&lane)));
                        }
                        flying.push(flight);
                        prop_assert!(flying.len() <= window);
                    }
                    Step::WaitUntil(until) if flying.is_empty() => now = until,
                    _ => break,
                }
            }
            match act {
                Act::Answer(kind) => {
                    if flying.is_empty() {
                        if engine.state().is_idle() && cluster.progress.is_idle(head - 1) && delivered.len() >= head as usize { break; }
                    } else {
                        let flight = flying.remove(usize::from(kind / 16) % flying.len());
                        let completion = answer(kind, flight.events.len());
                        if completion.verdict == Verdict::Done {
                            delivered.extend(seqs(&flight));
                        }
                        engine.settle(flight.id, completion, "x", now, 7);
                    }
                }
                Act::Publish(count) => head += u64::from(count),
                Act::Report => {
                    let snapshot = engine.snapshot();
                    given_up.extend(snapshot.new_dead_letters().map(|dead_letter| (dead_letter.seq, dead_letter.clone())));
                    cluster.take(snapshot);
                    engine.reported();
                }
                Act::Crash => {
                    flying.clear();
                    engine = cluster.engine(plan.clone());
                }
            }
        }
        given_up.extend(engine.snapshot().new_dead_letters().map(|dead_letter| (dead_letter.seq, dead_letter.clone())));
        let mut seen = BTreeSet::new();
        let firsts: Vec<u64> = delivered.into_iter().filter(|seq| seen.insert(*seq)).collect();
        for seq in (1..head).filter(|seq| seq % 5 != 0) {
            prop_assert!(seen.contains(&seq) || given_up.contains_key(&seq), "{} is forgotten", seq);
        }
        if lanes > 0 {
            for wanted in 0..lanes {
                let of_lane: Vec<u64> = firsts.iter().copied().filter(|seq| seq % lanes == wanted).collect();
                prop_assert!(of_lane.is_sorted(), "{:?}", of_lane);
            }
        }
    }
}
