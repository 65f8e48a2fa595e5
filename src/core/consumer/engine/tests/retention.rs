//! Events that were removed: by retention, or by their deletion.

use super::*;

#[test]
fn events_removed_by_retention_are_counted() {
    let mut engine = Engine::new(plan(), Progress::new(5), Vec::new());
    engine.offer(&offers(8..10, None), 10, T);
    assert_eq!((engine.progress().missed, engine.progress().track.next), (3, 8));
}

#[test]
fn events_missing_at_the_end_of_a_page_are_settled() {
    let mut engine = Engine::new(plan(), Progress::new(101), Vec::new());
    engine.set_kept_from(4001);
    engine.offer(&[], 5001, T);
    let progress = engine.progress();
    assert_eq!((progress.missed, progress.track, engine.wants()), (3900, Track::new(5001), Some(5001)));
    // If nobody said what the stream has, events that were not read may still come.
    let mut engine = Engine::new(plan(), Progress::new(101), Vec::new());
    engine.offer(&offers(101..102, None), 102, T);
    assert_eq!((engine.progress().missed, engine.progress().track.next), (0, 101));
}

#[test]
fn a_hole_costs_no_more_than_a_range() {
    const END: u64 = 1 << 50;
    let mut engine = Engine::new(plan(), Progress::new(1), Vec::new());
    command(&mut engine, 7, OwnerCommand::Replay { from_seq: 1, until_seq: END, failed_only: false });
    engine.offer(&offers(1..2, None), 2, T);
    let flight = send(&mut engine, T);
    engine.set_kept_from(END / 2);
    engine.offer(&offers(END - 1..END, None), END, T);
    engine.offer_replay(&offers(END - 1..END, None), END, T);
    let progress = engine.progress();
    assert_eq!((progress.missed, progress.replays[0].missed), (END / 2 - 2, END / 2 - 1));
    assert_eq!(
        progress.track,
        Track { next: 1, above: vec![(2, END - 1)] },
        "requests under way are not settled"
    );
    engine.settle(flight.id, ok(), "", T, 0);
    while let Step::Send(flight) = engine.next(T) {
        engine.settle(flight.id, ok(), "", T, 0);
    }
    assert_eq!((engine.progress().track.next, engine.progress().replays[0].ended_ms), (END, Some(T)));
}

#[test]
fn a_deleted_event_ends_without_a_dead_letter_and_frees_its_lane() {
    let mut engine = engine(plan(), 1..3, Some(0));
    let first = send(&mut engine, T);
    engine.settle(first.id, fails(), "", T, 0);
    let again = send(&mut engine, T + 1000);
    assert_eq!(seqs(&again), [1]);
    engine.withdraw(again.id, T + 1000);
    let second = send(&mut engine, T + 1000);
    assert_eq!((seqs(&second), second.gap), (vec![2], None));
    engine.settle(second.id, ok(), "", T + 1000, 0);
    let snapshot = engine.snapshot();
    assert_eq!(
        (snapshot.new_dead_letters().count(), snapshot.progress.given_up, snapshot.progress.delivered),
        (0, 0, 1)
    );
    assert_eq!((snapshot.progress.track.next, snapshot.progress.waiting.events), (3, 0));
}

#[test]
fn a_replay_reports_the_events_that_retention_removed() {
    let mut engine = Engine::new(plan(), Progress::new(100), Vec::new());
    command(&mut engine, 7, OwnerCommand::Replay { from_seq: 10, until_seq: 20, failed_only: false });
    engine.offer_replay(&[offers(14..16, None), offers(17..18, None)].concat(), 20, T);
    while let Step::Send(flight) = engine.next(T) {
        engine.settle(flight.id, ok(), "", T, 0);
    }
    let replay = &engine.progress().replays[0];
    assert_eq!((replay.delivered, replay.missed, replay.ended_ms), (3, 7, Some(T)));
}
