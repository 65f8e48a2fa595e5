//! What a seed means: the cluster, its settings, and the faults with their times.
//!
//! The same seed always gives the same plan, even if the run differs. A change of this module gives every
//! seed another plan, so a case that failed once is kept as a plan, not as a seed.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use simulated::Config;
use simulated::sim::Timing;

/// The target of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Target {
    /// That host.
    Host(usize),
    /// The host whose node leads at that moment.
    Leader,
}

/// A fault. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Fault {
    /// `kill -9`, and a start some time later.
    Kill { target: Target, down: u64 },
    /// The power is cut and data that was not synced is lost; a start some time later.
    Power { target: Target, down: u64 },
    /// The power of all hosts is cut, after their disks were slow for a moment.
    PowerAll { slow: u64, down: u64 },
    /// The process stops for a while; its host goes on and takes what is sent to it.
    Freeze { target: Target, time: u64 },
    /// No packet reaches or leaves the host.
    Isolate { target: Target, time: u64 },
    /// No packet reaches the host; its own packets arrive.
    Deaf { target: Target, time: u64 },
    /// The host receives packets; its own packets are lost.
    Mute { target: Target, time: u64 },
    /// Two groups that do not reach each other: the hosts whose bit is set, and the rest.
    Split { group: u64, time: u64 },
    /// Two hosts do not reach each other, while both reach all others.
    Apart { a: usize, b: usize, time: u64 },
    /// Every connection of the host is reset.
    Reset { target: Target },
    /// Every flush takes longer, by this time.
    Stall { target: Target, by: u64, time: u64 },
    /// The wall clock jumps, and stays wrong by `ms`.
    Skew { host: usize, ms: i64 },
    /// The wall clock gains `by` in each second.
    Drift { host: usize, by: i64 },
    /// The leader must hand over.
    HandOver,
    /// The lead is to go to the node on that host, however far it is behind.
    Transfer { host: usize },
    /// The disk is lost; the node joins again with an empty one. Only while all other nodes are well.
    Wipe { host: usize, down: u64 },
    /// The node is removed from the cluster, and joins again with an empty disk. Only while all other nodes
    /// are well.
    Replace { host: usize, down: u64 },
    /// The whole host hangs for a while, as under a hypervisor: nothing on it goes on but its clock, and what
    /// is sent to it waits.
    Hang { target: Target, time: u64 },
    /// The power is cut, and one thing is damaged: an entry of the log, the last one, the vote, or the store.
    /// Only while all other nodes are well.
    Damage { host: usize, down: u64 },
    /// The power of all hosts is cut, and an entry of each host's log is damaged, on each another one, and
    /// often one host's store. Only while all nodes are well.
    DamageAll { down: u64 },
}

/// The plan of one seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// The seed.
    pub(crate) seed: u64,
    /// How many hosts there are.
    pub(crate) nodes: usize,
    /// How many of them, counted from the end, never vote.
    pub(crate) learners: usize,
    /// How many clients write.
    pub(crate) writers: usize,
    /// How many clients read.
    pub(crate) readers: usize,
    /// The longest pause of a client between two calls (ms).
    pub(crate) think_ms: u64,
    /// The settings of the network and the disks.
    pub(crate) timing: Timing,
    /// How long faults are injected (ms).
    pub(crate) duration_ms: u64,
    /// The faults with their times, in order.
    pub(crate) faults: Vec<(u64, Fault)>,
    /// Whether users come and go, over Waypost's own state machine.
    #[serde(default)]
    pub(crate) presence: bool,
    settings: Settings,
}

/// A disk whose flushes take this much longer (ms) hangs: for longer than any stall.
const HANGS: u64 = 60_000;
/// From this seed on, every fifth one has presence.
const PRESENCE_FROM: u64 = 1_000_000;
/// From this seed on, disks are damaged in every third one.
const DAMAGE_FROM: u64 = 1_000;

/// The cluster settings that a seed varies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Settings {
    heartbeat_ms: u64,
    propose_timeout_ms: u64,
    entries_in_flight: usize,
    entry_commands: usize,
    checkpoint_entries: u64,
    checkpoint_ms: u64,
    keep_entries: u64,
}

/// A source of random choices.
struct Dice(SmallRng);

impl Dice {
    /// From `low` to `high`, both included.
    fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.0.next_u64() % (high - low + 1)
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.between(1, n) == 1
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.between(0, choices.len() as u64 - 1) as usize]
    }

    fn host(&mut self, nodes: usize) -> usize {
        self.between(0, nodes as u64 - 1) as usize
    }

    fn target(&mut self, nodes: usize) -> Target {
        if self.one_in(2) { Target::Leader } else { Target::Host(self.host(nodes)) }
    }
}

impl Plan {
    /// Parses a plan that was kept.
    pub(crate) fn read(json: &str) -> serde_json::Result<Self> {
        serde_json::from_str(json)
    }

    /// The plan as text, to be kept.
    pub(crate) fn write(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }

    /// The plan of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Dice(SmallRng::seed_from_u64(seed));
        let nodes = dice.of(&[3, 3, 3, 4, 5]);
        let learners = usize::from(nodes > 3 && dice.one_in(3));
        let duration_ms = dice.between(1000, 3500);
        let mut faults: Vec<(u64, Fault)> = (0..dice.between(2, 9))
            .map(|_| (dice.between(0, duration_ms), fault(&mut dice, nodes)))
            .collect();
        wrong_clocks(seed, nodes, duration_ms, &mut faults);
        transfers_to_laggards(seed, nodes, duration_ms, &mut faults);
        hanging_hosts(seed, nodes, duration_ms, &mut faults);
        damage(seed, nodes, duration_ms, &mut faults);
        faults.sort_by_key(|(at, _)| *at);
        Self {
            seed,
            nodes,
            learners,
            writers: dice.between(2, 4) as usize,
            readers: dice.between(1, 2) as usize,
            think_ms: dice.of(&[10, 30, 60]),
            timing: Timing {
                latency_ms: dice.of(&[0, 1, 3, 20]),
                loss_one_in: dice.of(&[0, 0, 100, 1000]),
                flush_ms: dice.of(&[0, 2, 5, 20]),
            },
            duration_ms,
            faults,
            presence: seed >= PRESENCE_FROM && seed.is_multiple_of(5),
            settings: Settings {
                heartbeat_ms: dice.of(&[50, 100, 100, 100]),
                propose_timeout_ms: dice.between(300, 3000),
                entries_in_flight: dice.between(1, 4) as usize,
                entry_commands: dice.of(&[1, 3, 512]),
                checkpoint_entries: dice.of(&[8, 30, 1000]),
                checkpoint_ms: dice.of(&[300, 1000, 3000]),
                keep_entries: dice.of(&[4, 16, 16, 1000]),
            },
        }
    }

    /// Whether the clocks of a majority of the voters stay right.
    pub(crate) fn has_time(&self) -> bool {
        let wrong: BTreeSet<usize> = self
            .faults
            .iter()
            .filter_map(|(_, fault)| match fault {
                Fault::Skew { host, .. } | Fault::Drift { host, .. } => Some(*host),
                _ => None,
            })
            .collect();
        wrong.len() <= (self.nodes - self.learners - 1) / 2
    }

    /// The address where the node on a host listens.
    pub(crate) fn addr(host: usize) -> String {
        format!("127.0.0.{host}:4001")
    }

    /// The settings of the node on `host`; `first` if it begins the cluster.
    pub(crate) fn config(&self, host: usize, first: bool) -> Config {
        let others = (0..self.nodes).filter(|other| *other != host && !first).map(Self::addr);
        let last = u8::try_from(host).unwrap_or(u8::MAX);
        let s = &self.settings;
        Config {
            data_dir: format!("/{host}").into(),
            // On loopback, peers need neither certificates nor a key.
            peer_addr: ([127, 0, 0, last], 4001).into(),
            join: others.collect(),
            role_learner: host >= self.nodes - self.learners,
            heartbeat_ms: s.heartbeat_ms,
            election_min_ms: s.heartbeat_ms * 3,
            election_max_ms: s.heartbeat_ms * 6,
            propose_timeout: Duration::from_millis(s.propose_timeout_ms),
            max_entries_in_flight: s.entries_in_flight,
            max_entry_commands: s.entry_commands,
            checkpoint_entries: s.checkpoint_entries,
            checkpoint_interval: Duration::from_millis(s.checkpoint_ms),
            keep_entries: s.keep_entries,
            store_cache_bytes: 1 << 20,
            snapshot_timeout: Duration::from_secs(2),
            abort_on_fatal: false,
            ..Config::default()
        }
    }
}

/// In every third seed the clock of exactly one host jumps and drifts. With the clocks of a majority wrong,
/// no node could know the right time. This uses its own random choices, so that the rest of a seed's plan
/// stays the same.
fn wrong_clocks(seed: u64, nodes: usize, duration_ms: u64, faults: &mut Vec<(u64, Fault)>) {
    const DAY: i64 = 86_400_000;
    let mut dice = Dice(SmallRng::seed_from_u64(seed ^ 0x00c1_0c5e));
    // The first host leads at the beginning.
    let wrong = if dice.one_in(2) { 0 } else { dice.host(nodes) };
    for (_, fault) in faults.iter_mut() {
        if let Fault::Skew { host, .. } = fault {
            *host = wrong;
        }
    }
    if !dice.one_in(3) {
        return;
    }
    for _ in 0..dice.between(1, 3) {
        let at = dice.between(0, duration_ms);
        let ms = dice.of(&[-30 * DAY, -600_000, -3_000, 3_000, 3_600_000, 8 * DAY, 30 * DAY]);
        let fault = match dice.between(0, 3) {
            0 => Fault::Drift { host: wrong, by: dice.of(&[-500, -50, 50, 500, 5_000]) },
            1 => Fault::Skew { host: wrong, ms: 0 },
            _ => Fault::Skew { host: wrong, ms },
        };
        faults.push((at, fault));
    }
}

/// In every fourth seed a host is cut off or stands still, so that its node lags or needs a snapshot, and the
/// lead is to go to that node meanwhile and soon after. This uses its own random choices, too.
fn transfers_to_laggards(seed: u64, nodes: usize, duration_ms: u64, faults: &mut Vec<(u64, Fault)>) {
    let mut dice = Dice(SmallRng::seed_from_u64(seed ^ 0x001a_66a2));
    if !dice.one_in(4) {
        return;
    }
    for _ in 0..dice.between(1, 2) {
        let host = dice.host(nodes);
        let target = Target::Host(host);
        let at = dice.between(0, duration_ms);
        let time = dice.between(100, 1500);
        let lags = match dice.between(0, 2) {
            0 => Fault::Freeze { target, time },
            1 => Fault::Deaf { target, time },
            _ => Fault::Isolate { target, time },
        };
        faults.push((at, lags));
        for after in [dice.between(0, time), time + dice.between(0, 50)] {
            if at + after < duration_ms {
                faults.push((at + after, Fault::Transfer { host }));
            }
        }
    }
}

/// In every fourth seed hosts hang, for up to some seconds. This uses its own random choices as well.
fn hanging_hosts(seed: u64, nodes: usize, duration_ms: u64, faults: &mut Vec<(u64, Fault)>) {
    let mut dice = Dice(SmallRng::seed_from_u64(seed ^ 0x0068_616e_6773));
    if !dice.one_in(4) {
        return;
    }
    for _ in 0..dice.between(1, 2) {
        let at = dice.between(0, duration_ms);
        faults.push((at, Fault::Hang { target: dice.target(nodes), time: dice.between(200, 5000) }));
    }
}

/// In some seeds disks are damaged. This uses its own random choices, as wrong clocks do.
fn damage(seed: u64, nodes: usize, duration_ms: u64, faults: &mut Vec<(u64, Fault)>) {
    let mut dice = Dice(SmallRng::seed_from_u64(seed ^ 0x0da3_a6ed));
    if seed < DAMAGE_FROM || !dice.one_in(3) {
        return;
    }
    for _ in 0..dice.between(1, 3) {
        let at = dice.between(0, duration_ms);
        let down = dice.between(10, 1500);
        let everywhere = dice.one_in(3);
        let host = dice.host(nodes);
        faults.push((at, if everywhere { Fault::DamageAll { down } } else { Fault::Damage { host, down } }));
    }
}

fn fault(dice: &mut Dice, nodes: usize) -> Fault {
    let target = dice.target(nodes);
    let time = dice.between(50, 2000);
    let down = dice.between(10, 1500);
    match dice.between(0, 17) {
        0 | 1 => Fault::Kill { target, down },
        2 | 3 => Fault::Power { target, down },
        4 => Fault::PowerAll { slow: dice.of(&[0, 100, 300]), down },
        5 | 6 => Fault::Freeze { target, time },
        7 => Fault::Isolate { target, time },
        8 => Fault::Deaf { target, time },
        9 => Fault::Mute { target, time },
        10 => Fault::Split { group: dice.between(1, (1 << nodes) - 2), time },
        11 => {
            let a = dice.host(nodes);
            Fault::Apart { a, b: (a + 1 + dice.host(nodes - 1)) % nodes, time }
        }
        12 => Fault::Reset { target },
        13 => match dice.of(&[50, 300, 1500, HANGS]) {
            HANGS => Fault::Stall { target, by: HANGS, time: time * 3 },
            by => Fault::Stall { target, by, time },
        },
        14 => Fault::Skew { host: dice.host(nodes), ms: dice.of(&[-600_000, -1000, 1000, 600_000]) },
        15 => Fault::HandOver,
        16 => Fault::Wipe { host: dice.host(nodes), down },
        _ => Fault::Replace { host: dice.host(nodes), down },
    }
}
