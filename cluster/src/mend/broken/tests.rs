#![allow(clippy::unwrap_used)]

use super::*;

fn id(term: u64, index: u64) -> StoredLogId {
    StoredLogId { term, node: term, index }
}

fn entries(term: u64, from: u64, upto: u64) -> impl Iterator<Item = Piece> {
    (from..=upto).map(move |index| Piece::Entry(id(term, index)))
}

const EMPTY: Piece = Piece::State { vote: None, last: None, committed: None, purged: None };

fn read(pieces: impl IntoIterator<Item = Piece>) -> Broken {
    let mut broken = Broken::default();
    std::iter::once(EMPTY).chain(pieces).for_each(|piece| broken.take(piece));
    broken
}

#[test]
fn a_whole_log_lacks_nothing() {
    let broken = read(entries(1, 0, 9).chain(entries(2, 10, 12)));
    assert_eq!(broken.need(), Need::Nothing);
    assert!(broken.vote_is_sure);
    let (begins_after, ids) = broken.repaired();
    assert_eq!((begins_after, ids.len()), (None, 13));
}

#[test]
fn a_hole_is_filled_from_a_log_that_holds_the_entry_after_it() {
    let mut broken = read(entries(1, 0, 4).chain([Piece::Damage(200)]).chain(entries(1, 7, 9)));
    assert!(!broken.vote_is_sure);
    assert_eq!(broken.need(), Need::Records { from: 4, upto: id(1, 7) });
    assert!(!broken.is_whole(3, 7) && broken.is_whole(7, 9) && broken.is_whole(0, 4));
    broken.put(&[id(1, 4), id(1, 5), id(1, 6), id(1, 7)]);
    assert_eq!(broken.need(), Need::Nothing);
    assert!(broken.is_whole(0, 9));
}

#[test]
fn what_the_store_has_needs_no_entry() {
    let mut broken = read(entries(1, 0, 4).chain([Piece::Damage(200)]).chain(entries(1, 7, 9)));
    broken.applied = Some(id(1, 6));
    assert_eq!(broken.need(), Need::Nothing);
    assert_eq!(broken.repaired(), (Some(id(1, 6)), vec![id(1, 7), id(1, 8), id(1, 9)]));
    broken.applied = Some(id(1, 5));
    assert_eq!(broken.need(), Need::Records { from: 6, upto: id(1, 7) });
}

#[test]
fn an_entry_of_a_later_leader_after_damage_may_follow_others_than_those_before_it() {
    let mut broken = read(entries(1, 0, 9).chain([Piece::Damage(200)]).chain(entries(3, 10, 11)));
    assert_eq!(broken.need(), Need::Records { from: 9, upto: id(3, 10) });
    // The damage hid that entries were removed from 8 on.
    broken.put(&[id(1, 7), id(2, 8), id(2, 9), id(3, 10)]);
    assert_eq!(broken.need(), Need::Nothing);
    assert_eq!(broken.id(8), Some(id(2, 8)));
    assert_eq!(broken.last(), Some(id(3, 11)));
}

#[test]
fn between_entries_of_one_leader_damage_hides_no_removal() {
    let broken = read(entries(1, 0, 9).chain([Piece::Damage(40)]).chain(entries(1, 10, 11)));
    assert_eq!(broken.need(), Need::Nothing);
}

#[test]
fn damage_at_the_end_may_hide_what_was_acknowledged() {
    let mut broken = read(entries(1, 0, 9).chain([Piece::Damage(SHORTEST_ENTRY)]));
    assert_eq!(broken.need(), Need::End);
    broken.put(&[id(1, 9), id(2, 10)]);
    assert_eq!(broken.need(), Need::End, "it may hide more");
    broken.found_end();
    assert_eq!(broken.need(), Need::Nothing);
    let too_short = read(entries(1, 0, 9).chain([Piece::Damage(SHORTEST_ENTRY - 1)]));
    assert_eq!(too_short.need(), Need::Nothing, "no entry is so short");
    assert!(!too_short.vote_is_sure);
}

#[test]
fn a_vote_after_the_damage_is_the_newest() {
    let vote = StoredVote { term: 4, node: 2, committed: false };
    let broken = read([Piece::Damage(29), Piece::Vote(vote)]);
    assert!(broken.vote_is_sure);
    assert_eq!(broken.vote, Some(vote));
}

#[test]
fn a_removal_that_cannot_be_read_shows_in_what_follows() {
    let broken = read(entries(1, 0, 9).chain([Piece::Damage(100)]).chain(entries(2, 6, 7)));
    assert_eq!(broken.last(), Some(id(2, 7)));
    assert_eq!(broken.id(9), None);
    assert_eq!(broken.need(), Need::Records { from: 5, upto: id(2, 6) });
    let removal_alone = read(entries(1, 0, 9).chain([Piece::Damage(37)]).chain(entries(2, 6, 7)));
    assert_eq!(removal_alone.need(), Need::Nothing, "so few bytes hide no entry");
}

#[test]
fn a_log_without_its_store_needs_a_state_unless_it_has_its_first_entry() {
    let mut broken = read(entries(1, 0, 9));
    broken.lacks_store = true;
    assert_eq!(broken.need(), Need::Nothing, "the store is made anew from the log");
    broken.take(Piece::Purged(id(1, 3)));
    assert_eq!(broken.need(), Need::State { at_least: 3 });
    broken.installed(id(1, 5));
    assert_eq!(broken.need(), Need::Nothing);
    assert_eq!(broken.repaired().0, Some(id(1, 3)), "the entries stay for others");
    let mut ahead = broken.clone();
    ahead.installed(id(2, 20));
    assert_eq!(ahead.repaired(), (Some(id(2, 20)), Vec::new()));
    broken.installed(id(2, 8));
    assert_eq!(broken.repaired(), (Some(id(2, 8)), Vec::new()), "8 and 9 are not what committed");
}

#[test]
fn what_one_voter_decided_is_known_to_no_other_for_sure() {
    let voters = |index, only| Piece::Voters { index, only };
    let founded = [voters(0, Some(1)), voters(3, None)];
    let mut broken = read(founded.into_iter().chain(entries(1, 0, 9)).chain([Piece::Damage(200)]));
    assert_eq!(broken.need(), Need::End);
    assert!(!broken.decided_alone(1), "several vote where it ends");
    broken.take(voters(8, Some(1)));
    assert!(broken.decided_alone(1) && !broken.decided_alone(2));
    let hole = entries(1, 0, 1).chain([Piece::Damage(200)]).chain(entries(1, 3, 9));
    let before = read(founded.into_iter().chain(hole));
    assert!(before.decided_alone(1), "the hole was written before others voted");
    assert_eq!(only_voter(&[vec![2], vec![2]]), Some(2));
    assert_eq!(only_voter(&[vec![2], vec![1, 2]]), None);
}

#[test]
fn what_is_older_than_a_fetched_state_does_not_follow_it() {
    let mut broken = read(entries(2, 0, 4).chain([Piece::Damage(200)]).chain(entries(2, 8, 9)));
    broken.installed(id(3, 7));
    assert_eq!(broken.repaired(), (Some(id(3, 7)), Vec::new()));
    let mut newer = read(entries(2, 0, 4).chain([Piece::Damage(200)]).chain(entries(4, 8, 9)));
    newer.installed(id(3, 7));
    assert_eq!(newer.repaired(), (Some(id(3, 7)), vec![id(4, 8), id(4, 9)]));
    assert_eq!(newer.need(), Need::Nothing);
}

#[test]
fn the_first_file_may_name_entries_that_were_purged_with_the_files_before_it() {
    let state = Piece::State { vote: None, last: Some(id(1, 50)), committed: None, purged: Some(id(1, 20)) };
    let mut broken = Broken::default();
    std::iter::once(state).chain(entries(1, 51, 60)).for_each(|piece| broken.take(piece));
    assert_eq!(
        broken.need(),
        Need::Records { from: 21, upto: id(1, 51) },
        "no record says that they were purged"
    );
    broken.take(Piece::Purged(id(1, 50)));
    broken.applied = Some(id(1, 55));
    assert_eq!(broken.need(), Need::Nothing);
}

#[test]
fn a_removal_down_to_a_hidden_entry_leaves_the_end_open() {
    let broken = read(entries(1, 0, 3).chain([Piece::Damage(500), Piece::Truncated(Some(id(1, 6)))]));
    assert_eq!(broken.need(), Need::End);
    let whole = read(entries(1, 0, 3).chain([Piece::Truncated(Some(id(1, 2)))]).chain(entries(2, 3, 5)));
    assert_eq!(whole.need(), Need::Nothing);
    assert_eq!(whole.last(), Some(id(2, 5)));
}
