//! The proof that the checks can fail: planted defects, each with the scenario that must show it.
//!
//! The defects are in the server, behind its feature `failpoints`. This module says only which invariant each
//! must break.

use crate::series::{Ran, Series};
use anyhow::{Result, ensure};
use std::path::Path;

/// A defect, and the scenario that must show it.
#[derive(Debug, Clone, Copy)]
pub struct Defect {
    /// Its name, as the server knows it.
    pub name: &'static str,
    /// What is wrong, in one line.
    pub about: &'static str,
    /// The invariant that it breaks.
    pub invariant: u8,
    /// The scenario that shows it.
    pub scenario: &'static str,
    /// How long things are broken, in seconds.
    pub seconds: u64,
}

const fn defect(
    invariant: u8,
    name: &'static str,
    scenario: &'static str,
    seconds: u64,
    about: &'static str,
) -> Defect {
    Defect { name, about, invariant, scenario, seconds }
}

/// All defects, ordered by invariant.
pub const DEFECTS: &[Defect] = &[
    defect(1, "seq-reused", "calm", 8, "a position is assigned twice: an acknowledged event is overwritten"),
    defect(2, "event-dropped", "calm", 8, "the first event after a resume is left out"),
    defect(2, "event-doubled", "calm", 8, "the last event before a resume comes again"),
    defect(1, "rule-of-another", "calm", 15, "a rule for one subject is applied to another"),
    defect(2, "subject-leaks", "calm", 12, "an event reaches readers of other subjects"),
    defect(3, "own-time", "calm", 8, "a node stamps the time of an event itself"),
    defect(4, "delivered-early", "calm", 8, "a node sends an event to its sockets before it is stored"),
    defect(
        5,
        "gap-not-told",
        "rules",
        25,
        "a client that resumes before events that retention removed gets no gap",
    ),
    defect(5, "gap-of-another-subject", "rules", 25, "a client that resumes gets the gap of another subject"),
    defect(
        5,
        "gap-of-subject-unreported",
        "rules",
        25,
        "a client that resumes before events that a rule removed gets no gap",
    ),
    defect(6, "order-ignored", "calm", 8, "an ordered webhook gets several events at once"),
    defect(
        6,
        "acknowledged-early",
        "consumers",
        25,
        "a reader is told that an event is acknowledged before the cluster has it",
    ),
    defect(
        6,
        "loan-lost",
        "consumers",
        20,
        "an event that no reader acknowledged in time is not handed over again",
    ),
    defect(7, "revoked-served", "calm", 8, "a revoked token is still served"),
    defect(7, "settings-stale", "calm", 8, "a node ignores some changes of settings"),
    defect(8, "key-forgotten", "kill-leader", 20, "idempotency keys are forgotten"),
    defect(
        9,
        "stale-owner",
        "rolling-restart",
        25,
        "an owner of an earlier epoch continues, and its reports are accepted",
    ),
    defect(10, "never-freed", "calm", 12, "what is published is never freed"),
    defect(
        11,
        "corrupt-served",
        "flip-identity",
        15,
        "a record is damaged on disk, and its checksum is not verified",
    ),
    defect(12, "ghost-kept", "presence-kill", 20, "a node that is gone keeps its presence members"),
    defect(12, "vacated-twice", "presence-kill", 8, "that a channel is vacated is told twice"),
    defect(
        12,
        "grace-ignored",
        "presence-kill",
        8,
        "a presence member leaves at once, without its grace period",
    ),
];

/// Defects that a test of the server plants, and no scenario shows.
#[cfg(test)]
const OF_TESTS: &[&str] = &["source-broken"];

/// How many seeds are tried for a defect.
const SEEDS: u64 = 4;

/// The result for a defect.
#[derive(Debug)]
pub struct Proof {
    /// The defect.
    pub defect: Defect,
    /// The run that showed it: how many runs were needed, and that run's result.
    pub caught: Option<(u64, Ran)>,
}

impl Proof {
    /// Runs the defect's scenario with one seed after the other, until the defect's invariant fails.
    pub fn run(series: &Series, defect: Defect, binary: &Path) -> Result<Self> {
        let seconds = defect.seconds.to_string();
        let binary = binary.display().to_string();
        for seed in 1..=SEEDS {
            let text = seed.to_string();
            let arguments = [
                ["--scenario", defect.scenario],
                ["--seconds", &seconds],
                ["--seed", &text],
                ["--waypost", &binary],
                ["--failpoint", defect.name],
            ];
            let ran = series.run(arguments.as_flattened(), false)?;
            if ran.failed.iter().any(|(number, _)| *number == defect.invariant) {
                return Ok(Self { defect, caught: Some((seed, ran)) });
            }
            ensure!(ran.holds.is_some(), "{} could not be run", defect.name);
            println!("  {}: seed {seed} did not show it; failed invariants: {:?}", defect.name, ran.failed);
        }
        Ok(Self { defect, caught: None })
    }

    /// Its row of the table.
    pub fn row(&self) -> String {
        let Defect { name, about, invariant, scenario, seconds } = self.defect;
        let found = match &self.caught {
            Some((runs, ran)) => {
                let failed: Vec<String> = ran.failed.iter().map(|(number, _)| number.to_string()).collect();
                format!("run {runs} | {}", failed.join(", "))
            }
            None => format!("**not in {SEEDS} runs** |"),
        };
        format!("| `{name}` | {about} | {invariant} | {scenario}, {seconds} s | {found} |")
    }
}

/// The header of the table.
pub const HEAD: &str = "| defect | what is wrong | breaks | scenario | caught in | what failed in all |
|---|---|--:|---|---|---|";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::scenario::Scenario;
    use checker::NAMES;
    use std::collections::BTreeSet;

    /// The defects that only the simulator switches on are listed there.
    const SIMULATED: &str = include_str!("../sim/src/failpoints.rs");

    /// The names of all failpoints in the sources below a folder.
    fn planted(folder: &Path) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                names.append(&mut planted(&path));
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let calls = text.split("failpoint!(\"").skip(1);
                names.extend(calls.filter_map(|rest| rest.split('"').next()).map(str::to_owned));
            }
        }
        names
    }

    #[test]
    fn every_failpoint_is_listed() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let sources: BTreeSet<String> =
            ["src", "cluster/src"].iter().flat_map(|folder| planted(&root.join(folder))).collect();
        let mut listed: BTreeSet<&str> = DEFECTS.iter().map(|defect| defect.name).collect();
        listed.extend(OF_TESTS);
        let is_simulated = |name: &str| SIMULATED.contains(&format!("\"{name}\""));
        let unlisted: Vec<_> =
            sources.iter().filter(|name| !listed.contains(name.as_str()) && !is_simulated(name)).collect();
        let missing: Vec<_> = listed.iter().filter(|name| !sources.contains(**name)).collect();
        assert!(unlisted.is_empty(), "in no list of defects: {unlisted:?}");
        assert!(missing.is_empty(), "planted nowhere: {missing:?}");
    }

    #[test]
    fn every_invariant_has_a_defect_and_every_defect_a_scenario() {
        for number in (1..).take(NAMES.len()) {
            assert!(DEFECTS.iter().any(|defect| defect.invariant == number), "{number}");
        }
        for defect in DEFECTS {
            assert!(Scenario::named(defect.scenario).is_some_and(|scenario| scenario.refusal().is_none()));
        }
    }
}
