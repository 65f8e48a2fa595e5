//! Histories of presence written by hand: a sound one, and for each way to break invariant 12 one that does.

#![allow(clippy::unwrap_used)]

use super::tests::failed;
use crate::history::Record;

const ROOM: &str = "presence-room";
const NODES: usize = 3;

fn entered(client: &str, user: &str, members: &[&str]) -> Record {
    Record::Entered {
        client: client.into(),
        user: user.into(),
        channel: ROOM.into(),
        node: 0,
        members: members.iter().map(|name| (*name).into()).collect(),
        count: members.len() as u64,
    }
}

fn exited(client: &str) -> Record {
    Record::Exited { client: client.into(), channel: ROOM.into() }
}

fn told(client: &str, user: &str, there: bool) -> Record {
    Record::Told { client: client.into(), channel: ROOM.into(), user: user.into(), there }
}

fn fact(number: u64, name: &str, user: &str) -> Record {
    Record::Fact { id: format!("{number:026}"), fact: name.into(), channel: ROOM.into(), user: user.into() }
}

fn members(node: usize, users: &[&str]) -> Record {
    let users = users.iter().map(|name| (*name).into()).collect();
    Record::Members { node, channel: ROOM.into(), users }
}

fn counts(node: usize, users: u64, subscriptions: u64) -> Record {
    Record::Counts { node, channel: ROOM.into(), users, subscriptions }
}

fn returned(client: &str, user: &str, took_ms: u64) -> Record {
    let (client, user) = (client.into(), user.into());
    Record::Returned { client, user, broke_ms: 100, back_ms: 100 + took_ms, grace_ms: 3000 }
}

/// What all nodes answer.
fn answers(users: &[&str], subscriptions: u64) -> Vec<Record> {
    (0..NODES)
        .flat_map(|node| [members(node, users), counts(node, users.len() as u64, subscriptions)])
        .collect()
}

/// A history in which everything happens, all of it correct: `ann` has two connections, `bob` comes and goes,
/// `ann` returns by another connection in time.
pub(super) fn sound() -> Vec<Record> {
    let mut all = vec![
        fact(1, "channel_occupied", ""),
        fact(2, "member_added", "ann"),
        entered("c1", "ann", &["ann"]),
        told("c1", "bob", true),
        entered("c2", "bob", &["ann", "bob"]),
        fact(3, "member_added", "bob"),
        entered("c3", "ann", &["ann", "bob"]),
        exited("c2"),
        told("c1", "bob", false),
        told("c3", "bob", false),
        fact(4, "member_removed", "bob"),
        // A request that is repeated.
        fact(4, "member_removed", "bob"),
        Record::Healed,
    ];
    all.extend(answers(&["ann"], 2));
    all.extend([Record::Settled, exited("c3"), entered("c3", "ann", &["ann"]), returned("c3", "ann", 900)]);
    all.extend(answers(&["ann"], 2));
    all.extend([Record::Settled, exited("c1"), exited("c3")]);
    all.extend([fact(5, "member_removed", "ann"), fact(6, "channel_vacated", "")]);
    all.extend(answers(&[], 0));
    all.push(Record::Settled);
    all
}

/// The sound history with a record more at a place.
fn with(place: usize, record: Record) -> Vec<Record> {
    let mut all = sound();
    all.insert(place, record);
    all
}

/// The sound history with each record for which `old` is true replaced.
fn replaced(old: impl Fn(&Record) -> bool, new: &Record) -> Vec<Record> {
    sound().into_iter().map(|record| if old(&record) { new.clone() } else { record }).collect()
}

/// The place behind the first record that all is settled.
fn settled() -> usize {
    sound().iter().position(|record| *record == Record::Settled).unwrap() + 1
}

#[test]
fn a_sound_history_holds() {
    assert_eq!(failed(sound()), Vec::<u8>::new());
    assert_eq!(failed(Vec::new()), Vec::<u8>::new());
}

#[test]
fn ghosts_and_missing_members_are_found() {
    let ann = members(1, &["ann"]);
    for wrong in [members(1, &["ann", "bob"]), members(1, &[]), members(1, &["ann", "ann"])] {
        assert_eq!(failed(replaced(|record| *record == ann, &wrong)), [12], "{wrong:?}");
    }
    let right = counts(2, 1, 2);
    for wrong in [counts(2, 2, 2), counts(2, 1, 1), counts(2, 0, 0)] {
        assert_eq!(failed(replaced(|record| *record == right, &wrong)), [12], "{wrong:?}");
    }
}

#[test]
fn news_that_is_missing_doubled_or_wrong_is_found() {
    for twice in [told("c1", "bob", false), told("c1", "ann", true), told("c2", "ann", false)] {
        assert_eq!(failed(with(settled() - 1, twice.clone())), [12], "{twice:?}");
    }
    let gone = told("c3", "bob", false);
    let missing: Vec<Record> = sound().into_iter().filter(|record| *record != gone).collect();
    assert_eq!(failed(missing), [12]);
    let shown = entered("c2", "bob", &["ann", "bob"]);
    assert_eq!(failed(replaced(|record| *record == shown, &entered("c2", "bob", &["ann", "ann"]))), [12]);
}

#[test]
fn facts_that_do_not_take_turns_are_found() {
    let last = sound().len() - 1;
    for wrong in [
        fact(7, "channel_vacated", ""),
        fact(7, "member_removed", "ann"),
        fact(7, "channel_occupied", ""),
        fact(7, "member_added", "ann"),
    ] {
        assert_eq!(failed(with(last, wrong.clone())), [12], "{wrong:?}");
    }
    let vacated = fact(6, "channel_vacated", "");
    let missing: Vec<Record> = sound().into_iter().filter(|record| *record != vacated).collect();
    assert_eq!(failed(missing), [12], "a channel without connections is told as occupied");
}

#[test]
fn who_returns_in_time_makes_no_news() {
    // As if there were no grace period: gone and back at once.
    let leave_and_join = |returned_after| {
        let mut all = sound();
        let place = settled();
        all[place + 2] = returned("c3", "ann", returned_after);
        let news = [told("c1", "ann", false), told("c1", "ann", true)];
        all.splice(place..place, news);
        all
    };
    assert_eq!(failed(leave_and_join(900)), [12]);
    assert_eq!(failed(leave_and_join(3100)), Vec::<u8>::new(), "who is late leaves and joins");
    let facts = |all: Vec<Record>| {
        let moved = |record: Record| match record {
            Record::Fact { id, fact: name, user, .. } if id.ends_with('5') || id.ends_with('6') => {
                fact(if id.ends_with('5') { 15 } else { 16 }, &name, &user)
            }
            other => other,
        };
        all.into_iter().map(moved).collect::<Vec<_>>()
    };
    let mut all = facts(sound());
    let place = settled();
    all.splice(place..place, [fact(7, "member_removed", "ann"), fact(8, "member_added", "ann")]);
    assert_eq!(failed(all), [12]);
}
