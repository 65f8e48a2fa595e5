//! The checks of what a receiver of webhooks got (6), for any receiver.

use crate::Verdict;
use std::collections::{HashMap, HashSet};
use std::fmt::Display;

/// Every attempt under one id carries the same bytes, or the same digest of them.
pub fn same_under_one_id<'a, B: PartialEq>(
    who: impl Display,
    requests: impl IntoIterator<Item = (&'a str, B)>,
    verdict: &mut Verdict,
) {
    let mut bodies = HashMap::new();
    for (id, body) in requests {
        let same = bodies.get(id).is_none_or(|first| *first == body);
        bodies.entry(id).or_insert(body);
        verdict.check(same, || format!("{who}: another body under {id}"));
    }
}

/// Events were accepted for the first time in the order of their positions.
pub fn in_order(who: impl Display, accepted: impl IntoIterator<Item = u64>, verdict: &mut Verdict) {
    let mut known = HashSet::new();
    let mut last = 0;
    for position in accepted.into_iter().filter(|position| known.insert(*position)) {
        verdict.check(position > last, || format!("{who}: {position} was accepted after {last}"));
        last = position;
    }
}
