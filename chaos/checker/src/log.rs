//! One replicated log, from all that is told of it: 1 (acknowledged is kept), 3 (one gapless log), 4 (nothing but what is
//! committed, nothing before it was asked for), 8 (lands once).
//!
//! Facts are told in the order of time: what is asked for, refused and acknowledged; what anybody was given or applied;
//! in the end, what each node holds. The first that is told of a place is what all others must agree with.

use crate::verdict::Checker;
use std::collections::HashMap;
use std::fmt::{Debug, Display};
use std::hash::Hash;

/// What an answer or a delivery tells of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told<K, N> {
    /// Its place, from 1.
    pub place: u64,
    /// What its author calls it; `None` where it has no name.
    pub key: Option<K>,
    /// What the cluster calls it.
    pub id: N,
}

/// Something in a log. Two are the same when all of them is.
pub trait Item: Copy + PartialEq + Debug {
    /// An author's name for it.
    type Key: Copy + Eq + Hash + Debug;
    /// The cluster's.
    type Id: Copy + PartialEq + Debug;

    /// Its place and names.
    fn told(self) -> Told<Self::Key, Self::Id>;

    /// Whether it may stand right behind that one: ids and times never go back.
    fn follows(self, before: Self) -> bool;
}

/// What a node is to hold of a log in the end.
#[derive(Clone, Copy)]
pub enum Kept<'k> {
    /// All of it.
    Whole,
    /// From some place on, the same on every node: retention takes the front.
    Newest,
    /// All but places that may have been removed, of which this says which they are; the same on every node.
    But(&'k dyn Fn(u64) -> bool),
}

impl Kept<'_> {
    fn may_be_gone(self, place: u64, first: u64) -> bool {
        match self {
            Self::Whole => false,
            Self::Newest => place < first,
            Self::But(may_be_gone) => may_be_gone(place),
        }
    }
}

type ToldOf<I> = Told<<I as Item>::Key, <I as Item>::Id>;

/// What is known of what was asked for.
#[derive(Debug, Default, Clone, Copy)]
struct Asked {
    times: u32,
    refused: bool,
}

/// All that is known of a log.
#[derive(Debug)]
pub struct Log<I: Item> {
    asked: HashMap<I::Key, Asked>,
    answers: HashMap<I::Key, ToldOf<I>>,
    acked: Vec<ToldOf<I>>,
    /// What was first told of each place.
    items: HashMap<u64, I>,
    places: HashMap<I::Key, u64>,
    given: HashMap<u64, ToldOf<I>>,
    /// Where the first node's list begins and ends, and how many it holds.
    ends: Option<(u64, u64, usize)>,
}

impl<I: Item> Default for Log<I> {
    fn default() -> Self {
        Self {
            asked: HashMap::new(),
            answers: HashMap::new(),
            acked: Vec::new(),
            items: HashMap::new(),
            places: HashMap::new(),
            given: HashMap::new(),
            ends: None,
        }
    }
}

impl<I: Item> Log<I> {
    /// Somebody asks for it to be stored, for the first time or again.
    pub fn asked(&mut self, key: I::Key) {
        self.asked.entry(key).or_default().times += 1;
    }

    /// Who asked was told that it is not stored.
    pub fn refused(&mut self, key: I::Key, checker: &mut impl Checker) {
        self.asked.entry(key).or_default().refused = true;
        let place = self.places.get(&key);
        checker.check(8, place.is_none(), || format!("{key:?} was refused, but stands at {place:?}"));
    }

    /// Who asked was told that it is stored, and as what.
    pub fn acked(&mut self, told: ToldOf<I>, checker: &mut impl Checker) {
        if let Some(key) = told.key {
            let first = *self.answers.entry(key).or_insert(told);
            if first != told {
                checker.check(8, false, || format!("{told:?} was answered before as {first:?}"));
            }
        }
        self.acked.push(told);
    }

    /// Somebody was given an item, of which only this is known.
    pub fn given(&mut self, who: impl Display, told: ToldOf<I>, checker: &mut impl Checker) {
        let asked = told.key.is_none_or(|key| self.asked.contains_key(&key));
        checker.check(4, asked, || format!("{who} was given {told:?}, which nobody had asked for yet"));
        let first = *self.given.entry(told.place).or_insert(told);
        if first != told {
            checker.check(4, false, || format!("{who} was given {told:?}, another {first:?}"));
        }
    }

    /// Somebody was given an item, or applied it, and knows all of it.
    pub fn seen(&mut self, who: impl Display, item: I, checker: &mut impl Checker) {
        self.given(&who, item.told(), checker);
        self.agrees(&who, item, checker);
    }

    /// 3 and 8: the item is the one that others have at its place, and stands nowhere else.
    fn agrees(&mut self, who: &impl Display, item: I, checker: &mut impl Checker) {
        let Told { place, key, .. } = item.told();
        let first = *self.items.entry(place).or_insert(item);
        checker.check(3, first == item, || format!("{who} has {item:?}, another {first:?}"));
        let Some(key) = key else { return };
        let other = *self.places.entry(key).or_insert(place);
        if other != place {
            checker.check(8, false, || format!("{key:?} stands at {other} and {place}"));
        }
        if self.asked.get(&key).is_some_and(|asked| asked.refused) {
            checker.check(8, false, || format!("{who} has {item:?}, which was refused"));
        }
    }

    /// All that a node holds in the end.
    pub fn ends(&mut self, who: impl Display, list: &[I], kept: Kept<'_>, checker: &mut impl Checker) {
        let first = match kept {
            Kept::Newest => list.first().map_or(u64::MAX, |item| item.told().place),
            Kept::Whole | Kept::But(_) => 1,
        };
        let mut expected = first;
        for item in list {
            let place = item.told().place;
            let missing = (expected..place).find(|place| !kept.may_be_gone(*place, first));
            if place < expected || missing.is_some() {
                checker
                    .check(3, false, || format!("{who} holds {item:?} at {}", missing.unwrap_or(expected)));
            }
            expected = place + 1;
            self.agrees(&who, *item, checker);
        }
        for pair in list.windows(2).filter(|pair| !pair[1].follows(pair[0])) {
            checker.check(3, false, || format!("{who} holds {:?} before {:?}", pair[0], pair[1]));
        }
        let last = list.last().map_or(0, |item| item.told().place);
        let ends = *self.ends.get_or_insert((first, last, list.len()));
        checker.check(3, ends == (first, last, list.len()), || {
            format!("{who} holds {first} to {last}, {} in all, another {ends:?}", list.len())
        });
        let held: HashMap<u64, I> = list.iter().map(|item| (item.told().place, *item)).collect();
        let same = |told: &ToldOf<I>| match held.get(&told.place) {
            Some(item) => item.told() == *told,
            None => kept.may_be_gone(told.place, first),
        };
        for told in self.acked.iter().filter(|told| told.place >= first) {
            checker.check(1, same(told), || {
                format!("{told:?} was acknowledged, {who} holds {:?}", held.get(&told.place))
            });
        }
        let mut lost: Vec<_> =
            self.given.values().filter(|told| told.place >= first && !same(told)).collect();
        lost.sort_by_key(|told| told.place);
        for told in lost {
            checker
                .check(4, false, || format!("{told:?} was given, {who} holds {:?}", held.get(&told.place)));
        }
    }

    /// A copy of an earlier time, such as a backup: the log's beginning, with the first `acked` of what was acknowledged.
    pub fn copied(&mut self, who: impl Display, list: &[I], acked: usize, checker: &mut impl Checker) {
        for (item, expected) in list.iter().zip(1..) {
            checker.check(3, item.told().place == expected, || format!("{who} holds {item:?} at {expected}"));
            self.agrees(&who, *item, checker);
        }
        for told in self.acked.iter().take(acked) {
            let held = list.get((told.place as usize).wrapping_sub(1));
            let same = held.is_some_and(|item| item.told() == *told);
            checker.check(1, same, || format!("{told:?} was acknowledged before, {who} holds {held:?}"));
        }
    }

    /// No node will tell any more.
    pub fn finish(&self, checker: &mut impl Checker) {
        if self.ends.is_none() && !self.acked.is_empty() {
            checker.check(1, false, || {
                format!("{} acknowledged, and no node told what it holds", self.acked.len())
            });
        }
        // Where one landed twice, that was counted when it was told.
        for _ in self.asked.iter().filter(|(key, asked)| asked.times > 1 && self.places.contains_key(key)) {
            checker.check(8, true, String::new);
        }
    }

    /// What was first told of a place.
    pub fn at(&self, place: u64) -> Option<I> {
        self.items.get(&place).copied()
    }

    /// What was acknowledged, in the order of the answers.
    pub fn acknowledged(&self) -> &[ToldOf<I>] {
        &self.acked
    }

    /// How many were asked for more than once.
    pub fn repeated(&self) -> usize {
        self.asked.values().filter(|asked| asked.times > 1).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Outcome, Verdicts};

    type DeadLetter = (u64, char);

    impl Item for DeadLetter {
        type Key = char;
        type Id = u64;

        fn told(self) -> Told<char, u64> {
            Told { place: self.0, key: Some(self.1), id: self.0 * 10 }
        }

        fn follows(self, before: Self) -> bool {
            self.0 > before.0
        }
    }

    const ABC: [DeadLetter; 3] = [(1, 'a'), (2, 'b'), (3, 'c')];

    /// Asked for, acknowledged and given; then what each node holds.
    fn failed(lists: &[&[DeadLetter]], more: impl FnOnce(&mut Log<DeadLetter>, &mut Verdicts)) -> Vec<u8> {
        failed_of(Kept::Whole, lists, more)
    }

    fn failed_of(
        kept: Kept<'_>,
        lists: &[&[DeadLetter]],
        more: impl FnOnce(&mut Log<DeadLetter>, &mut Verdicts),
    ) -> Vec<u8> {
        let (mut log, mut verdicts) = (Log::default(), Verdicts::default());
        for item in ABC {
            log.asked(item.1);
            log.acked(item.told(), &mut verdicts);
            log.seen("c", item, &mut verdicts);
        }
        more(&mut log, &mut verdicts);
        for (node, list) in lists.iter().enumerate() {
            log.ends(node, list, kept, &mut verdicts);
        }
        log.finish(&mut verdicts);
        let failed = verdicts.into_vec().into_iter().filter(|v| v.outcome() == Outcome::Fail);
        failed.map(|v| v.number).collect()
    }

    #[test]
    fn a_sound_log_breaks_none() {
        assert_eq!(failed(&[&ABC, &ABC], |log, _| log.asked('a')), [0; 0]);
    }

    #[test]
    fn what_may_be_gone_is_no_loss() {
        let removed = |place| place == 2;
        let without: &[DeadLetter] = &[(1, 'a'), (3, 'c')];
        let sound = |lists: &[&[DeadLetter]]| failed_of(Kept::But(&removed), lists, |_, _| ());
        assert_eq!(sound(&[without, without]), [0; 0]);
        assert_eq!(sound(&[&ABC, &ABC]), [0; 0], "it need not be gone");
        assert_eq!(sound(&[&ABC, without]), [3], "but on all");
        assert_eq!(sound(&[&ABC[..2]]), [1, 4], "the last may not");
        assert_eq!(sound(&[&ABC[1..]]), [1, 3, 4], "nor the first");
        assert_eq!(failed_of(Kept::Newest, &[&ABC[1..]], |_, _| ()), [0; 0]);
        assert_eq!(failed_of(Kept::Newest, &[without], |_, _| ()), [1, 3, 4], "inside");
    }

    #[test]
    fn each_break_is_found() {
        assert_eq!(failed(&[&ABC[..2], &ABC[..2]], |_, _| ()), [1, 4], "the end is lost");
        assert_eq!(failed(&[&ABC, &ABC[..2]], |_, _| ()), [1, 3, 4], "on one");
        assert_eq!(failed(&[], |_, _| ()), [1], "nobody tells");
        assert_eq!(failed(&[&[(1, 'a'), (3, 'c')]], |_, _| ()), [1, 3, 4], "a hole");
        assert_eq!(failed(&[&[(2, 'b'), (1, 'a'), (3, 'c')]], |_, _| ()), [3], "out of order");
        assert_eq!(failed(&[&ABC], |log, checker| log.seen("d", (3, 'x'), checker)), [3, 4], "not the same");
        assert_eq!(
            failed(&[&ABC], |log, checker| log.given("d", (4, 'c').told(), checker)),
            [4],
            "not in the end"
        );
        assert_eq!(failed(&[&ABC], |log, checker| log.seen("d", (4, 'd'), checker)), [4], "not asked for");
        assert_eq!(failed(&[&ABC], |log, checker| log.refused('b', checker)), [8], "refused, and there");
        assert_eq!(
            failed(&[&ABC], |log, checker| log.acked((4, 'c').told(), checker)),
            [1, 8],
            "two answers"
        );
        let copied = |list: &'static [DeadLetter], acked| {
            failed(&[&ABC], |log, checker| log.copied("d", list, acked, checker))
        };
        assert_eq!(copied(&[(1, 'a'), (2, 'b')], 2), [0; 0]);
        assert_eq!(copied(&[(1, 'a')], 2), [1], "not all that was acknowledged before");
        assert_eq!(copied(&[(1, 'a'), (2, 'x')], 1), [3], "not the log's beginning");
        let twice: Vec<DeadLetter> = ABC.into_iter().chain([(4, 'a')]).collect();
        assert_eq!(failed(&[&twice], |_, _| ()), [8]);
    }
}
