//! The simulator holds what it promises: fresh seeds are clean, and each defect that can be switched on is found.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use simulated::sim::Broken;

use crate::batch::{Batch, once_failed};
use crate::plan::Plan;
use crate::{fresh, run};

/// Fresh seeds run for so long; in a debug build that is some dozens.
const FRESH: Duration = Duration::from_secs(20);
/// Longest search for one defect; most take a second or two.
const SEARCH: Duration = Duration::from_secs(60);
/// One that is not found by so many seeds is missed. A machine that is too busy to run them tells nothing.
const ENOUGH: u64 = 1000;

#[test]
fn a_seed_is_one_plan() {
    for seed in 0..100 {
        let plan = Plan::new(seed);
        assert_eq!(plan, Plan::new(seed));
        assert_ne!(plan, Plan::new(seed + 1));
        assert_eq!(Plan::read(&plan.write().unwrap()).unwrap(), plan);
    }
}

#[test]
fn fresh_seeds_are_clean() {
    let from = fresh();
    let batch = Batch { from, seeds: 2000, jobs: 2, broken: None, stop: false, limit: FRESH };
    let mut failed = Vec::new();
    let total = batch.run(&mut |plan, verdict| failed.push((plan.seed, verdict.clone()))).unwrap();
    println!("from seed {from}: {total}");
    assert!(failed.is_empty(), "{failed:#?}");
    assert!(total.seeds > once_failed().unwrap().len() as u64);
}

/// A seed that finds each soon. Where a change of `plan` has made it another plan, the search goes on from there.
const FOUND_BY: [(Broken, u64); 11] = [
    (Broken::AnswerBeforeFsync, 21),
    (Broken::VoteWithoutFsync, 165),
    (Broken::RestoredLeader, 9),
    (Broken::StaleRead, 3),
    (Broken::ApplyBeforeCommit, 1),
    (Broken::RepeatUnknown, 5),
    (Broken::RenameWithoutSync, 50),
    (Broken::RestartWithoutCheckpoint, 263),
    (Broken::CheckpointWithoutSync, 1),
    (Broken::IdGivenTwice, 1),
    (Broken::CheckpointBeforeLog, 64),
];

#[test]
fn every_defect_is_found() {
    assert_eq!(FOUND_BY.map(|(defect, _)| defect), Broken::ALL);
    for (defect, from) in FOUND_BY {
        let batch = Batch { from, seeds: 5000, jobs: 2, broken: Some(defect), stop: true, limit: SEARCH };
        let mut found = None;
        let total =
            batch.run(&mut |plan, verdict| found = Some((plan.seed, verdict.violations.first().cloned()))).unwrap();
        println!("{}, {} seeds: {found:?}", defect.name(), total.seeds);
        assert!(found.is_some() || total.seeds < ENOUGH, "{} is not found from seed {from}", defect.name());
    }
}

#[test]
fn what_once_failed_is_clean() {
    for plan in once_failed().unwrap() {
        let verdict = run::run(plan, None);
        assert!(verdict.violations.is_empty(), "{verdict:#?}");
        assert!(verdict.faults > 0);
    }
}
