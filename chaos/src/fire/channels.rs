//! What a map keeps of its subjects changes, and some of it is deleted, while everybody publishes and reads, and nodes die.

use super::{Fire, process};
use crate::load::channels;
use anyhow::Result;

/// Events of the noisy subject that a rule may keep.
const KEPT: [u64; 4] = [3, channels::KEPT, 12, 30];
/// Events deleted one after the other, at most.
const DELETED: usize = 15;

/// One such change, by chance; a node is killed meanwhile, or not.
pub fn rules(fire: &mut Fire) -> Result<()> {
    let kills = fire.dice.thousandth(400);
    if kills {
        process::kill_one(fire)?;
    }
    let (node, chance) = (fire.any(), fire.dice.next() as usize);
    let site = fire.load.site.clone();
    match fire.dice.below(4) {
        0 => {
            let events = KEPT[chance % KEPT.len()];
            fire.broken("another rule", &[], false, format!("{events} events are kept"));
            let set = channels::keep(&site, events);
            fire.mended("another rule", &[]);
            set
        }
        1 => {
            fire.broken("a subject deleted", &[node], false, "");
            let deleted = channels::empty_one(&site, node, chance);
            fire.mended("a subject deleted", &[node]);
            deleted
        }
        _ => {
            fire.broken("events deleted", &[node], false, "");
            let count = 1 + chance % DELETED;
            let deleted = (0..count).try_for_each(|_| channels::delete_one(&site, node, fire.dice.next() as usize));
            fire.mended("events deleted", &[node]);
            deleted
        }
    }
}
