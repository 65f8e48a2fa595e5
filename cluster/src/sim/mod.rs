//! Runs the cluster crate on simulated hosts: replaces `os`, the wall clock and the log's disk, all driven by
//! one seed.
//!
//! A [`World`] has hosts, each with an address, a disk and a clock. A [`Process`] is a node that runs on a
//! host; it can be frozen and killed. The rest of the crate is the production code. This module is compiled
//! only with the feature `sim`, which only the crate `sim` uses.
//!
//! - `task`: processes, and which process a task belongs to. `net`: streams. `fs`: files that lose data, and
//!   `names`: directories that do. `journal`: the disk of the Raft log. `os`, `log` and `clock` replace the
//!   modules of the same names.

pub(crate) mod fs;
pub(crate) mod journal;
mod names;
pub(crate) mod net;
pub(crate) mod task;
mod witness;

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

use self::fs::Files;
use self::net::Net;
use self::witness::Witness;

pub use task::Process;

/// How often a stalled flush looks whether the stall is over.
const STALL_LOOK: Duration = Duration::from_millis(50);
/// The wall clock at the beginning of every simulation (ms since 1970).
const EPOCH_MS: i64 = 1_700_000_000_000;

thread_local! {
    static WORLD: RefCell<Option<Arc<World>>> = const { RefCell::new(None) };
}

/// How long the network and the disks take (milliseconds).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Timing {
    /// Longest usual delay of a segment.
    pub latency_ms: u64,
    /// One in this many segments is lost, and arrives after a retransmission; 0 = none.
    pub loss_one_in: u64,
    /// Longest usual duration of a flush.
    pub flush_ms: u64,
}

/// One host.
#[derive(Debug, Default, Clone)]
struct Host {
    /// The host has no power: it sends nothing, not even a refusal.
    dark: bool,
    /// Offset of its wall clock (ms).
    skew_ms: i64,
    /// Its wall clock gains this much per second (ms) …
    drift: i64,
    /// … since this time (ms since the world began).
    drifts_since: u64,
    /// Additional duration of each flush (ms).
    stall_ms: u64,
    /// Its disk was damaged.
    is_hurt: bool,
    /// Its node may give up what is damaged: it was not told yet that it is a member.
    joins_anew: bool,
}

/// The simulated world of one seed, with everything that its hosts share: time, randomness, the state of the
/// network, the disks, and what witnesses saw. It belongs to one thread and one paused single-threaded
/// runtime.
pub struct World {
    /// The failpoint that is switched on.
    pub(crate) failpoint: Option<&'static str>,
    start: Instant,
    timing: Timing,
    rng: Mutex<SmallRng>,
    hosts: Mutex<HashMap<usize, Host>>,
    net: Mutex<Net>,
    files: Mutex<Files>,
    pub(crate) witness: Mutex<Witness>,
}

/// A world that this thread has entered. Dropping it leaves the world.
pub struct Entered {
    world: Arc<World>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        WORLD.with_borrow_mut(|world| *world = None);
    }
}

impl std::ops::Deref for Entered {
    type Target = Arc<World>;

    fn deref(&self) -> &Arc<World> {
        &self.world
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    /// Enters a new world; called inside its runtime.
    pub fn enter(seed: u64, timing: Timing, failpoint: Option<&'static str>) -> Entered {
        let world = Arc::new(Self {
            failpoint,
            start: Instant::now(),
            timing,
            rng: Mutex::new(SmallRng::seed_from_u64(seed)),
            hosts: Mutex::default(),
            net: Mutex::default(),
            files: Mutex::default(),
            witness: Mutex::default(),
        });
        task::begin_turns();
        WORLD.with_borrow_mut(|present| *present = Some(world.clone()));
        Entered { world }
    }

    /// Calls `work` with the world of this thread, if it has one.
    pub(crate) fn try_with<T>(work: impl FnOnce(&Arc<Self>) -> T) -> Option<T> {
        WORLD.with_borrow(|world| world.clone()).map(|world| work(&world))
    }

    /// Milliseconds since the world began.
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The wall clock of the caller's host.
    pub(crate) fn now_ms() -> u64 {
        let host = Process::current().map(|p| p.host());
        let read = |world: &Arc<Self>| {
            let off = host.map_or(0, |host| world.off_ms(host));
            world.true_ms().saturating_add_signed(off)
        };
        Self::try_with(read).unwrap_or(0)
    }

    /// The right time (ms since 1970).
    pub fn true_ms(&self) -> u64 {
        self.elapsed_ms().saturating_add_signed(EPOCH_MS)
    }

    /// The offset of a host's clock (ms).
    fn off_ms(&self, host: usize) -> i64 {
        let Host { skew_ms, drift, drifts_since, .. } = self.host(host);
        let drifted = i64::try_from(self.elapsed_ms().saturating_sub(drifts_since)).unwrap_or(0);
        skew_ms + drifted * drift / 1000
    }

    /// A random number.
    pub fn random(&self) -> u64 {
        lock(&self.rng).next_u64()
    }

    /// A random number below `n` (0 for 0).
    pub fn below(&self, n: u64) -> u64 {
        self.random().checked_rem(n).unwrap_or(0)
    }

    fn host(&self, host: usize) -> Host {
        lock(&self.hosts).get(&host).cloned().unwrap_or_default()
    }

    fn change(&self, host: usize, change: impl FnOnce(&mut Host)) {
        change(lock(&self.hosts).entry(host).or_default());
    }

    /// Sets the offset of a host's wall clock (ms) and ends a drift.
    pub fn skew(&self, host: usize, ms: i64) {
        self.change(host, |h| (h.skew_ms, h.drift) = (ms, 0));
    }

    /// From now on the wall clock of a host gains this much per second (ms).
    pub fn drift(&self, host: usize, drift: i64) {
        let skew_ms = self.off_ms(host);
        let now = self.elapsed_ms();
        self.change(host, |h| (h.skew_ms, h.drift, h.drifts_since) = (skew_ms, drift, now));
    }

    /// Makes every flush of a host take this much longer (ms).
    pub fn stall(&self, host: usize, ms: u64) {
        self.change(host, |h| h.stall_ms = ms);
    }

    /// Switches a host's power off or on; without power it sends nothing.
    fn darken(&self, host: usize, dark: bool) {
        self.change(host, |h| h.dark = dark);
    }

    fn is_dark(&self, host: usize) -> bool {
        self.host(host).dark
    }

    /// The usual duration of a flush.
    pub(crate) fn flush_time(&self) -> Duration {
        Duration::from_millis(self.below(self.timing.flush_ms + 1))
    }

    /// Waits as long as a flush takes on this host. When a stall ends, the flushes end that it held up.
    pub(crate) async fn flush(host: Option<usize>) {
        let began = Instant::now();
        let usual = Self::try_with(|world| world.flush_time()).unwrap_or_default();
        loop {
            let stall = |world: &Arc<Self>| host.map_or(0, |host| world.host(host).stall_ms);
            let stall = Duration::from_millis(Self::try_with(stall).unwrap_or_default());
            let left = (usual + stall).saturating_sub(began.elapsed());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(if stall.is_zero() { left } else { left.min(STALL_LOOK) }).await;
        }
    }

    /// The delay of a segment.
    fn latency(&self) -> Duration {
        let lost = self.timing.loss_one_in > 0 && self.below(self.timing.loss_one_in) == 0;
        let again = if lost { 200 + self.below(200) } else { 0 };
        Duration::from_millis(again + self.below(self.timing.latency_ms + 1))
    }

    /// Records that a node gives up its data as damaged. No simulated disk has so much damage.
    pub(crate) fn found_damage(reason: &str) {
        let host = Process::current().map_or(usize::MAX, |p| p.host());
        Self::try_with(|world| {
            let is_allowed = world.host(host).joins_anew;
            world.change(host, |h| h.joins_anew = false);
            if !is_allowed {
                lock(&world.witness).damaged.push((host, reason.to_owned()));
            }
        });
    }

    /// A node that was not told yet that it is a member may give up data that was damaged on purpose: it joins
    /// anew.
    pub(crate) fn may_join_anew(has_joined: bool) {
        let host = Process::current().map_or(usize::MAX, |p| p.host());
        Self::try_with(|world| world.change(host, |h| h.joins_anew = !has_joined && h.is_hurt));
    }

    /// Records that a node repairs its data. Only a disk that was damaged on purpose needs that.
    pub(crate) fn mends(reason: &str) {
        let host = Process::current().map_or(usize::MAX, |p| p.host());
        Self::try_with(|world| {
            if !world.host(host).is_hurt {
                let what = format!("invariant 11: host {host} found damage where there is none: {reason}");
                world.violation(what);
            }
        });
    }

    /// Damages one thing on a host's disk, chosen by chance: any entry of its log, the last one, the vote, or
    /// the store. Returns whether the log had anything to damage.
    pub fn damage(&self, host: usize) -> bool {
        let Some(journal) = fs::journal_of(self, host) else { return false };
        let mut journal = lock(&journal);
        let indexes: Vec<u64> = journal.now.entries.iter().map(|entry| entry.log_id.index).collect();
        let Some(last) = indexes.last().copied() else { return false };
        match self.below(5) {
            0 => journal.damaged.vote = true,
            1 => journal.damaged.entries.extend([last]),
            2 => fs::ruin_store(self, host),
            _ => {
                let at = usize::try_from(self.below(indexes.len() as u64)).unwrap_or(0);
                journal.damaged.entries.extend(indexes.get(at));
            }
        }
        self.change(host, |h| h.is_hurt = true);
        true
    }

    /// Damages an entry of a host's log: one whose index is the host's number, modulo the number of hosts,
    /// and not the last one. Returns whether there was one.
    pub fn damage_one_of(&self, host: usize, hosts: usize) -> bool {
        let Some(journal) = fs::journal_of(self, host) else { return false };
        let mut journal = lock(&journal);
        let last = journal.now.last().map_or(0, |id| id.index);
        let own = |index: &u64| *index < last && *index % hosts as u64 == host as u64;
        let indexes: Vec<u64> = journal.now.entries.iter().map(|e| e.log_id.index).filter(own).collect();
        let at = usize::try_from(self.below(indexes.len() as u64)).unwrap_or(0);
        let Some(index) = indexes.get(at) else { return false };
        journal.damaged.entries.insert(*index);
        self.change(host, |h| h.is_hurt = true);
        true
    }

    /// Makes the store of a host unreadable.
    pub fn damage_store(&self, host: usize) {
        fs::ruin_store(self, host);
        self.change(host, |h| h.is_hurt = true);
    }

    /// The hosts whose nodes considered their disks damaged, and the reasons.
    pub fn damaged(&self) -> Vec<(usize, String)> {
        lock(&self.witness).damaged.clone()
    }

    /// Counts a proposal that a replica does not apply, because it was applied before or for another reason.
    pub(crate) fn not_applied(before: bool) {
        Self::try_with(|world| lock(&world.witness).repeated += u64::from(before));
    }

    /// How often a replica answered a proposal that it had applied before.
    pub fn repeated(&self) -> u64 {
        lock(&self.witness).repeated
    }

    /// Records something that must never happen.
    pub fn violation(&self, what: String) {
        let at = self.elapsed_ms();
        lock(&self.witness).violation(at, what);
    }

    /// The recorded violations, with their times (ms).
    pub fn violations(&self) -> Vec<(u64, String)> {
        lock(&self.witness).violations.clone()
    }
}
