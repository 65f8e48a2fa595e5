//! Owners that move the cursor: replays, and seeking.

use super::*;

#[test]
fn skipping_gives_up_failed_events_and_seeking_reads_again() {
    let mut engine = engine(plan(), 1..4, None);
    let flight = send(&mut engine, T);
    engine.settle(flight.id, fails(), "500", T, 0);
    command(&mut engine, 1, OwnerCommand::Seek(10));
    let snapshot = engine.snapshot();
    assert_eq!(
        snapshot
            .new_dead_letters()
            .map(|dead_letter| (dead_letter.seq, &dead_letter.reason))
            .collect::<Vec<_>>(),
        [(1, &Reason::Skipped)]
    );
    assert_eq!((snapshot.progress.track.next, engine.wants()), (10, Some(10)));
    command(&mut engine, 1, OwnerCommand::Seek(99));
    assert_eq!(engine.wants(), Some(10), "a command is carried out once");
    command(&mut engine, 2, OwnerCommand::Seek(2));
    engine.offer(&offers(2..5, None), 5, T);
    assert_eq!(seqs(&send(&mut engine, T)), [2]);
}

#[test]
fn a_replay_continues_where_it_was() {
    let mut first = Engine::new(plan(), Progress::new(100), Vec::new());
    command(&mut first, 7, OwnerCommand::Replay { from_seq: 10, until_seq: 20, failed_only: false });
    let read = first.wants_replay().unwrap();
    assert_eq!((read.from_seq, read.until_seq), (10, 20));
    first.offer_replay(&offers(10..20, None), 20, T);
    for _ in 0..6 {
        let flight = send(&mut first, T);
        first.settle(flight.id, ok(), "", T, 0);
    }
    let mut second = Engine::new(plan(), first.snapshot().progress, Vec::new());
    assert_eq!(second.wants_replay().unwrap().from_seq, 16);
    second.offer_replay(&offers(16..20, None), 20, T);
    for _ in 0..4 {
        let flight = send(&mut second, T);
        second.settle(flight.id, ok(), "", T, 0);
    }
    let progress = second.snapshot().progress;
    assert_eq!((progress.replays[0].delivered, progress.replays[0].ended_ms), (10, Some(T)));
    assert!(second.state().is_idle());
}

#[test]
fn a_replay_of_dead_letters_revives_what_it_delivers() {
    let mut engine = Engine::new(plan(), Progress::new(100), Vec::new());
    command(&mut engine, 7, OwnerCommand::Replay { from_seq: 10, until_seq: 20, failed_only: true });
    engine.offer_replay(&[offers(12..13, None), offers(15..16, None)].concat(), 20, T);
    for _ in 0..2 {
        let flight = send(&mut engine, T);
        engine.settle(flight.id, ok(), "", T, 0);
    }
    let snapshot = engine.snapshot();
    assert_eq!(
        (snapshot.revived().collect(), snapshot.progress.replays[0].ended_ms),
        (vec![12, 15], Some(T))
    );
}

#[test]
fn a_cancelled_replay_sends_nothing_more() {
    let mut engine = Engine::new(plan(), Progress::new(100), Vec::new());
    command(&mut engine, 7, OwnerCommand::Replay { from_seq: 10, until_seq: 20, failed_only: false });
    engine.offer_replay(&offers(10..20, None), 20, T);
    command(&mut engine, 8, OwnerCommand::Cancel(7));
    assert_eq!(engine.next(T), Step::Wait);
    assert!(engine.progress().replays[0].cancelled);
}
