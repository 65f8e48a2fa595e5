use proptest::prelude::*;

use super::*;

const KIB: usize = 1024;
const MOST: Most = Most { bytes: 1024 * KIB, commands: 512 };

/// A group of one command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Group {
    line: Line,
    bytes: usize,
    /// Its number in its line.
    number: usize,
}

impl Waits for Group {
    fn line(&self) -> Line {
        self.line
    }
    fn bytes(&self) -> usize {
        self.bytes
    }
    fn commands(&self) -> usize {
        1
    }
}

fn flow(n: u128) -> Line {
    Line::Flow(Flow(n))
}

fn push(turns: &mut Turns<Group>, line: Line, bytes: usize, count: usize) {
    (0..count).for_each(|number| turns.push(Group { line, bytes, number }));
}

/// Takes an entry whose groups are answered at once.
fn take(turns: &mut Turns<Group>) -> Vec<Group> {
    let entry = turns.take(MOST);
    entry.iter().for_each(|group| turns.answered(group.line, group.bytes));
    entry
}

fn bytes_of(line: Line, groups: &[Group]) -> usize {
    groups.iter().filter(|group| group.line == line).map(|group| group.bytes).sum()
}

#[test]
fn a_small_group_passes_the_large_ones_that_wait() {
    let mut turns = Turns::new();
    push(&mut turns, flow(1), 1000 * KIB, 8);
    assert_eq!(take(&mut turns).len(), 1, "nobody else waits");
    push(&mut turns, flow(2), 300, 1);
    assert_eq!(take(&mut turns)[0].line, flow(2));
    for _ in 0..7 {
        push(&mut turns, flow(2), 300, 1);
        let before = std::iter::repeat_with(|| take(&mut turns)[0].line).take_while(|line| *line == flow(1));
        assert!(before.count() <= 1, "one large group at most goes before a small one");
    }
}

#[test]
fn a_large_group_has_an_entry_of_its_own() {
    let mut turns = Turns::new();
    push(&mut turns, flow(2), 300, 1);
    push(&mut turns, flow(1), 400 * KIB, 1);
    push(&mut turns, flow(3), 300, 1);
    let entries: Vec<Vec<Line>> =
        (0..3).map(|_| take(&mut turns).iter().map(|group| group.line).collect()).collect();
    assert_eq!(entries, [vec![flow(2), flow(3)], vec![flow(1)], vec![]]);
}

#[test]
fn an_entry_takes_one_turn_of_each_line() {
    let mut turns = Turns::new();
    push(&mut turns, flow(1), KIB, 400);
    push(&mut turns, flow(2), KIB, 3);
    let entry = take(&mut turns);
    assert_eq!((bytes_of(flow(1), &entry), bytes_of(flow(2), &entry)), (TURN_BYTES, 3 * KIB));
    assert_eq!(take(&mut turns).len(), 144, "the rest");
    assert!(turns.lines.is_empty() && turns.order.is_empty(), "idle lines are forgotten");
}

#[test]
fn a_line_with_much_under_way_stands_and_others_pass() {
    let mut turns = Turns::new();
    push(&mut turns, flow(1), 700 * KIB, 2);
    assert_eq!(turns.take(MOST).len(), 1);
    assert_eq!(turns.take(MOST), [], "700 KiB are under way");
    push(&mut turns, flow(2), 300, 1);
    assert_eq!(turns.take(MOST)[0].line, flow(2));
    turns.answered(flow(1), 700 * KIB);
    assert_eq!(turns.take(MOST)[0].line, flow(1));
}

#[test]
fn many_tiny_groups_cost_more_than_their_bytes() {
    let mut turns = Turns::new();
    push(&mut turns, flow(1), 1, 5000);
    push(&mut turns, flow(2), 1, 1);
    assert_eq!(take(&mut turns).len(), MOST.commands);
    assert_eq!(take(&mut turns)[0].line, flow(2));
}

#[test]
fn a_mixed_batch_costs_one_turn() {
    let mut turns = Turns::new();
    push(&mut turns, Line::Mixed(2), 900 * KIB, 2);
    push(&mut turns, flow(1), 900 * KIB, 2);
    let lines: Vec<Line> = (0..4).map(|_| take(&mut turns)[0].line).collect();
    assert_eq!(lines, [Line::Mixed(2), Line::Mixed(2), flow(1), flow(1)]);
}

#[test]
fn the_first_group_goes_however_large_it_is() {
    let mut turns = Turns::new();
    push(&mut turns, flow(1), 3 * MOST.bytes, 2);
    assert_eq!(turns.take(MOST).len(), 1);
    assert_eq!(turns.take(MOST), []);
    turns.answered(flow(1), 3 * MOST.bytes);
    assert_eq!(turns.take(MOST).len(), 1);
}

/// Sizes of groups: small ones, and some of up to 1 MiB.
fn size() -> impl Strategy<Value = usize> {
    prop_oneof![3 => LEAST_COST..2000_usize, 1 => LEAST_COST..1024 * KIB]
}

proptest! {
    /// Every group is taken once, in the order of its line, and no entry is too large.
    #[test]
    fn every_group_goes_once_and_in_order(groups in prop::collection::vec((0..5_u128, size()), 0..300)) {
        let mut turns = Turns::new();
        let mut counts = [0; 5];
        for (n, bytes) in &groups {
            let number = &mut counts[*n as usize];
            turns.push(Group { line: flow(*n), bytes: *bytes, number: *number });
            *number += 1;
        }
        let mut next = [0; 5];
        loop {
            let entry = take(&mut turns);
            if entry.is_empty() {
                break;
            }
            let bytes: usize = entry.iter().map(|group| group.bytes).sum();
            prop_assert!(entry.len() == 1 || bytes <= MOST.bytes && entry.len() <= MOST.commands);
            for group in entry {
                let Line::Flow(Flow(n)) = group.line else { continue };
                prop_assert_eq!(group.number, next[n as usize]);
                next[n as usize] += 1;
            }
        }
        prop_assert_eq!(next, counts);
        prop_assert!(turns.lines.is_empty() && turns.order.is_empty());
    }

    /// As long as two lines wait, neither gets more than two turns and one group more than the other.
    #[test]
    fn lines_that_wait_get_equal_bytes(sizes in prop::collection::vec(size(), 2..5)) {
        let mut turns = Turns::new();
        for (n, bytes) in (0..).zip(&sizes) {
            push(&mut turns, flow(n), *bytes, 30 * MOST.bytes / bytes);
        }
        let mut sent = vec![0; sizes.len()];
        let waits = |turns: &Turns<Group>, n: usize| turns.order.contains(&flow(n as u128));
        while (0..sizes.len()).all(|n| waits(&turns, n)) {
            for group in take(&mut turns) {
                let Line::Flow(Flow(n)) = group.line else { continue };
                sent[n as usize] += group.bytes;
            }
            let least = sent.iter().min().unwrap_or(&0);
            let most = sent.iter().max().unwrap_or(&0);
            let largest = sizes.iter().max().unwrap_or(&0);
            prop_assert!(most - least <= 2 * TURN_BYTES + largest, "{sent:?} of {sizes:?}");
        }
    }
}
