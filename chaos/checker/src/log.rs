//! The checks of one replicated log, from every fact about it: 1 (acknowledged items are kept), 3 (one
//! gapless log), 4 (only committed items, and none before it was asked for), 8 (an item is stored once).
//!
//! The facts come in the order of time: what was asked for, refused and acknowledged; what anybody received
//! or applied; at the end, what each node holds. The first fact about a position is the one that all others
//! must agree with.

use crate::verdict::Checker;
use std::collections::HashMap;
use std::fmt::{Debug, Display};
use std::hash::Hash;

/// What an answer or a delivery says about an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts<K, N> {
    /// Its position, from 1.
    pub position: u64,
    /// The name that its author gave it; `None` where it has none.
    pub key: Option<K>,
    /// The name that the cluster gave it.
    pub id: N,
}

/// An item of a log. Two items are the same when they are equal as a whole.
pub trait Item: Copy + PartialEq + Debug {
    /// The type of the author's name.
    type Key: Copy + Eq + Hash + Debug;
    /// The type of the cluster's name.
    type Id: Copy + PartialEq + Debug;

    /// Its position and names.
    fn facts(self) -> Facts<Self::Key, Self::Id>;

    /// Whether it may directly follow that item: ids and times never go back.
    fn follows(self, before: Self) -> bool;
}

/// What a node must hold of a log at the end.
#[derive(Clone, Copy)]
pub enum Kept<'k> {
    /// The whole log.
    Whole,
    /// Everything from some position on, the same on every node: retention removes the oldest items.
    Newest,
    /// Everything except positions that may have been removed; the function says which these are. The same on
    /// every node.
    But(&'k dyn Fn(u64) -> bool),
}

impl Kept<'_> {
    fn may_be_gone(self, position: u64, first: u64) -> bool {
        match self {
            Self::Whole => false,
            Self::Newest => position < first,
            Self::But(may_be_gone) => may_be_gone(position),
        }
    }
}

type FactsOf<I> = Facts<<I as Item>::Key, <I as Item>::Id>;

/// The requests to store one item.
#[derive(Debug, Default, Clone, Copy)]
struct Asked {
    times: u32,
    refused: bool,
}

/// Everything that is known of a log.
#[derive(Debug)]
pub struct Log<I: Item> {
    asked: HashMap<I::Key, Asked>,
    answers: HashMap<I::Key, FactsOf<I>>,
    acked: Vec<FactsOf<I>>,
    /// The first item that was seen at each position.
    items: HashMap<u64, I>,
    positions: HashMap<I::Key, u64>,
    given: HashMap<u64, FactsOf<I>>,
    /// Where the first node's list begins and ends, and how many items it holds.
    ends: Option<(u64, u64, usize)>,
}

impl<I: Item> Default for Log<I> {
    fn default() -> Self {
        Self {
            asked: HashMap::new(),
            answers: HashMap::new(),
            acked: Vec::new(),
            items: HashMap::new(),
            positions: HashMap::new(),
            given: HashMap::new(),
            ends: None,
        }
    }
}

impl<I: Item> Log<I> {
    /// A client asks for an item to be stored, for the first time or again.
    pub fn asked(&mut self, key: I::Key) {
        self.asked.entry(key).or_default().times += 1;
    }

    /// The client was answered that the item is not stored.
    pub fn refused(&mut self, key: I::Key, checker: &mut impl Checker) {
        self.asked.entry(key).or_default().refused = true;
        let position = self.positions.get(&key);
        checker
            .check(8, position.is_none(), || format!("{key:?} was refused, but is at position {position:?}"));
    }

    /// The client was answered that the item is stored, with its position and names.
    pub fn acked(&mut self, facts: FactsOf<I>, checker: &mut impl Checker) {
        if let Some(key) = facts.key {
            let first = *self.answers.entry(key).or_insert(facts);
            if first != facts {
                checker.check(8, false, || format!("{facts:?} was answered before as {first:?}"));
            }
        }
        self.acked.push(facts);
    }

    /// A client received an item, and knows only this of it.
    pub fn given(&mut self, who: impl Display, facts: FactsOf<I>, checker: &mut impl Checker) {
        let asked = facts.key.is_none_or(|key| self.asked.contains_key(&key));
        checker.check(4, asked, || format!("{who} received {facts:?}, which nobody had asked for yet"));
        let first = *self.given.entry(facts.position).or_insert(facts);
        if first != facts {
            checker.check(4, false, || format!("{who} received {facts:?}, another client {first:?}"));
        }
    }

    /// A client received an item, or a node applied it, and knows all of it.
    pub fn seen(&mut self, who: impl Display, item: I, checker: &mut impl Checker) {
        self.given(&who, item.facts(), checker);
        self.agrees(&who, item, checker);
    }

    /// 3 and 8: the item is the same that others have at its position, and stands at no other position.
    fn agrees(&mut self, who: &impl Display, item: I, checker: &mut impl Checker) {
        let Facts { position, key, .. } = item.facts();
        let first = *self.items.entry(position).or_insert(item);
        checker.check(3, first == item, || format!("{who} has {item:?}, another {first:?}"));
        let Some(key) = key else { return };
        let other = *self.positions.entry(key).or_insert(position);
        if other != position {
            checker.check(8, false, || format!("{key:?} is at positions {other} and {position}"));
        }
        if self.asked.get(&key).is_some_and(|asked| asked.refused) {
            checker.check(8, false, || format!("{who} has {item:?}, which was refused"));
        }
    }

    /// Everything that a node holds at the end.
    pub fn ends(&mut self, who: impl Display, list: &[I], kept: Kept<'_>, checker: &mut impl Checker) {
        let first = match kept {
            Kept::Newest => list.first().map_or(u64::MAX, |item| item.facts().position),
            Kept::Whole | Kept::But(_) => 1,
        };
        let mut expected = first;
        for item in list {
            let position = item.facts().position;
            let missing = (expected..position).find(|position| !kept.may_be_gone(*position, first));
            if position < expected || missing.is_some() {
                checker
                    .check(3, false, || format!("{who} holds {item:?} at {}", missing.unwrap_or(expected)));
            }
            expected = position + 1;
            self.agrees(&who, *item, checker);
        }
        for pair in list.windows(2).filter(|pair| !pair[1].follows(pair[0])) {
            checker.check(3, false, || format!("{who} holds {:?} before {:?}", pair[0], pair[1]));
        }
        let last = list.last().map_or(0, |item| item.facts().position);
        let ends = *self.ends.get_or_insert((first, last, list.len()));
        checker.check(3, ends == (first, last, list.len()), || {
            format!("{who} holds {first} to {last}, {} in all, another {ends:?}", list.len())
        });
        let held: HashMap<u64, I> = list.iter().map(|item| (item.facts().position, *item)).collect();
        let same = |facts: &FactsOf<I>| match held.get(&facts.position) {
            Some(item) => item.facts() == *facts,
            None => kept.may_be_gone(facts.position, first),
        };
        for facts in self.acked.iter().filter(|facts| facts.position >= first) {
            checker.check(1, same(facts), || {
                format!("{facts:?} was acknowledged, {who} holds {:?}", held.get(&facts.position))
            });
        }
        let mut lost: Vec<_> =
            self.given.values().filter(|facts| facts.position >= first && !same(facts)).collect();
        lost.sort_by_key(|facts| facts.position);
        for facts in lost {
            checker.check(4, false, || {
                format!("{facts:?} was received, {who} holds {:?}", held.get(&facts.position))
            });
        }
    }

    /// A copy of an earlier time, such as a backup: the log's beginning, with the first `acked` of the
    /// acknowledged items.
    pub fn copied(&mut self, who: impl Display, list: &[I], acked: usize, checker: &mut impl Checker) {
        for (item, expected) in list.iter().zip(1..) {
            checker.check(3, item.facts().position == expected, || {
                format!("{who} holds {item:?} at {expected}")
            });
            self.agrees(&who, *item, checker);
        }
        for facts in self.acked.iter().take(acked) {
            let held = list.get((facts.position as usize).wrapping_sub(1));
            let same = held.is_some_and(|item| item.facts() == *facts);
            checker.check(1, same, || format!("{facts:?} was acknowledged before, {who} holds {held:?}"));
        }
    }

    /// All facts are known: checks what remains.
    pub fn finish(&self, checker: &mut impl Checker) {
        if self.ends.is_none() && !self.acked.is_empty() {
            checker.check(1, false, || {
                format!("{} acknowledged, and no node listed what it holds", self.acked.len())
            });
        }
        // An item that was stored twice was counted when it was seen.
        for _ in self.asked.iter().filter(|(key, asked)| asked.times > 1 && self.positions.contains_key(key))
        {
            checker.check(8, true, String::new);
        }
    }

    /// The first item that was seen at a position.
    pub fn at(&self, position: u64) -> Option<I> {
        self.items.get(&position).copied()
    }

    /// The acknowledged items, in the order of the answers.
    pub fn acknowledged(&self) -> &[FactsOf<I>] {
        &self.acked
    }

    /// How many items were asked for more than once.
    pub fn repeated(&self) -> usize {
        self.asked.values().filter(|asked| asked.times > 1).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Outcome, Verdicts};

    type Letter = (u64, char);

    impl Item for Letter {
        type Key = char;
        type Id = u64;

        fn facts(self) -> Facts<char, u64> {
            Facts { position: self.0, key: Some(self.1), id: self.0 * 10 }
        }

        fn follows(self, before: Self) -> bool {
            self.0 > before.0
        }
    }

    const ABC: [Letter; 3] = [(1, 'a'), (2, 'b'), (3, 'c')];

    /// A log with items that were asked for, acknowledged and received; then the lists of the nodes.
    fn failed(lists: &[&[Letter]], more: impl FnOnce(&mut Log<Letter>, &mut Verdicts)) -> Vec<u8> {
        failed_of(Kept::Whole, lists, more)
    }

    fn failed_of(
        kept: Kept<'_>,
        lists: &[&[Letter]],
        more: impl FnOnce(&mut Log<Letter>, &mut Verdicts),
    ) -> Vec<u8> {
        let mut log = Log::default();
        let mut verdicts = Verdicts::default();
        for item in ABC {
            log.asked(item.1);
            log.acked(item.facts(), &mut verdicts);
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
    fn a_sound_log_breaks_no_invariant() {
        assert_eq!(failed(&[&ABC, &ABC], |log, _| log.asked('a')), [0; 0]);
    }

    #[test]
    fn an_item_that_may_be_gone_is_not_a_loss() {
        let removed = |position| position == 2;
        let without: &[Letter] = &[(1, 'a'), (3, 'c')];
        let sound = |lists: &[&[Letter]]| failed_of(Kept::But(&removed), lists, |_, _| ());
        assert_eq!(sound(&[without, without]), [0; 0]);
        assert_eq!(sound(&[&ABC, &ABC]), [0; 0], "an event that may be gone may be there");
        assert_eq!(sound(&[&ABC, without]), [3], "it must be gone on all nodes");
        assert_eq!(sound(&[&ABC[..2]]), [1, 4], "the last item may not be gone");
        assert_eq!(sound(&[&ABC[1..]]), [1, 3, 4], "the first item may not be gone");
        assert_eq!(failed_of(Kept::Newest, &[&ABC[1..]], |_, _| ()), [0; 0]);
        assert_eq!(failed_of(Kept::Newest, &[without], |_, _| ()), [1, 3, 4], "inside");
    }

    #[test]
    fn each_violation_is_found() {
        assert_eq!(failed(&[&ABC[..2], &ABC[..2]], |_, _| ()), [1, 4], "the end is lost");
        assert_eq!(failed(&[&ABC, &ABC[..2]], |_, _| ()), [1, 3, 4], "the end is lost on one node");
        assert_eq!(failed(&[], |_, _| ()), [1], "no node lists its items");
        assert_eq!(failed(&[&[(1, 'a'), (3, 'c')]], |_, _| ()), [1, 3, 4], "a hole");
        assert_eq!(failed(&[&[(2, 'b'), (1, 'a'), (3, 'c')]], |_, _| ()), [3], "out of order");
        assert_eq!(failed(&[&ABC], |log, checker| log.seen("d", (3, 'x'), checker)), [3, 4], "not the same");
        assert_eq!(
            failed(&[&ABC], |log, checker| log.given("d", (4, 'c').facts(), checker)),
            [4],
            "not in the log at the end"
        );
        assert_eq!(failed(&[&ABC], |log, checker| log.seen("d", (4, 'd'), checker)), [4], "not asked for");
        assert_eq!(failed(&[&ABC], |log, checker| log.refused('b', checker)), [8], "refused, and in the log");
        assert_eq!(
            failed(&[&ABC], |log, checker| log.acked((4, 'c').facts(), checker)),
            [1, 8],
            "two answers"
        );
        let copied = |list: &'static [Letter], acked| {
            failed(&[&ABC], |log, checker| log.copied("d", list, acked, checker))
        };
        assert_eq!(copied(&[(1, 'a'), (2, 'b')], 2), [0; 0]);
        assert_eq!(copied(&[(1, 'a')], 2), [1], "not all that was acknowledged before");
        assert_eq!(copied(&[(1, 'a'), (2, 'x')], 1), [3], "not the log's beginning");
        let twice: Vec<Letter> = ABC.into_iter().chain([(4, 'a')]).collect();
        assert_eq!(failed(&[&twice], |_, _| ()), [8]);
    }
}
