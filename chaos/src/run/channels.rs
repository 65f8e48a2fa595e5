//! Changes of the rules of a map's subjects, and deletions, while publishers and readers go on and nodes die.

use super::{Run, process};
use crate::load::channels;
use anyhow::Result;

/// How many events of the noisy subject a rule may keep.
const KEPT: [u64; 4] = [3, channels::KEPT, 12, 30];
/// The most events that are deleted one after the other.
const DELETED: usize = 15;

/// One such change, by chance; a node may be killed meanwhile.
pub fn rules(run: &mut Run) -> Result<()> {
    let kills = run.dice.thousandth(400);
    if kills {
        process::kill_one(run)?;
    }
    let node = run.any();
    let chance = run.dice.next() as usize;
    let site = run.load.site.clone();
    match run.dice.below(4) {
        0 => {
            let events = KEPT[chance % KEPT.len()];
            run.broken("another rule", &[], false, format!("{events} events are kept"));
            let set = channels::keep(&site, events);
            run.mended("another rule", &[]);
            set
        }
        1 => {
            run.broken("a subject deleted", &[node], false, "");
            let deleted = channels::empty_one(&site, node, chance);
            run.mended("a subject deleted", &[node]);
            deleted
        }
        _ => {
            run.broken("events deleted", &[node], false, "");
            let count = 1 + chance % DELETED;
            let deleted =
                (0..count).try_for_each(|_| channels::delete_one(&site, node, run.dice.next() as usize));
            run.mended("events deleted", &[node]);
            deleted
        }
    }
}
