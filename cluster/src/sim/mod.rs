//! The cluster crate on simulated hosts: everything of `os`, the wall clock and the log's disk, from one seed.
//!
//! A [`World`] has hosts with an address, a disk and a clock; a [`Process`] is a node that runs on one, and may be
//! frozen and killed. The rest of the crate is what production runs. Never part of another build: only the crate `sim`
//! compiles it.
//!
//! - `task`: processes, and which one a task belongs to. `net`: streams. `fs`: files that forget, `journal`: the Raft
//!   log's disk. `os`, `log` and `clock` stand in for the modules of these names.

pub(crate) mod fs;
pub(crate) mod journal;
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

/// When every simulation begins (ms since 1970).
const EPOCH_MS: i64 = 1_700_000_000_000;

thread_local! {
    static WORLD: RefCell<Option<Arc<World>>> = const { RefCell::new(None) };
}

/// How long things take on the network and on disks (milliseconds).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Timing {
    /// Longest usual way of a segment.
    pub latency_ms: u64,
    /// One of so many segments is lost, and comes after a retransmission; 0 = none.
    pub loss_one_in: u64,
    /// Longest usual flush.
    pub flush_ms: u64,
}

/// One host.
#[derive(Debug, Default, Clone)]
struct Host {
    /// Nothing answers there, not even a refusal: it has no power.
    dark: bool,
    /// Its wall clock is off by so much (ms).
    skew_ms: i64,
    /// It gains so much in a second (ms) …
    drift: i64,
    /// … since then (ms since the world began).
    drifts_since: u64,
    /// Each flush takes so much longer (ms).
    stall_ms: u64,
}

/// The simulated world of one seed, with what all of its hosts share: time, chance, the network's state, the disks, and
/// what witnesses saw. It belongs to one thread and one paused single-threaded runtime.
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

/// A world that this thread has entered; left when dropped.
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

    /// The world of this thread, if it has one.
    pub(crate) fn try_with<T>(work: impl FnOnce(&Arc<Self>) -> T) -> Option<T> {
        WORLD.with_borrow(|world| world.clone()).map(|world| work(&world))
    }

    /// Milliseconds since the world began.
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The wall clock of the host that the caller runs on.
    pub(crate) fn now_ms() -> u64 {
        let host = Process::current().map(|p| p.host());
        let read = |world: &Arc<Self>| {
            let off = host.map_or(0, |host| world.off_ms(host));
            world.true_ms().saturating_add_signed(off)
        };
        Self::try_with(read).unwrap_or(0)
    }

    /// What a right clock says (ms since 1970).
    pub fn true_ms(&self) -> u64 {
        self.elapsed_ms().saturating_add_signed(EPOCH_MS)
    }

    /// How far a host's clock is off (ms).
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

    /// Sets the wall clock of a host so far off (ms). A drift ends.
    pub fn skew(&self, host: usize, ms: i64) {
        self.change(host, |h| (h.skew_ms, h.drift) = (ms, 0));
    }

    /// From now on the wall clock of a host gains so much in a second (ms).
    pub fn drift(&self, host: usize, drift: i64) {
        let (skew_ms, now) = (self.off_ms(host), self.elapsed_ms());
        self.change(host, |h| (h.skew_ms, h.drift, h.drifts_since) = (skew_ms, drift, now));
    }

    /// Makes every flush of a host take so much longer (ms).
    pub fn stall(&self, host: usize, ms: u64) {
        self.change(host, |h| h.stall_ms = ms);
    }

    /// Takes a host's power or gives it back; without power it is silent.
    fn darken(&self, host: usize, dark: bool) {
        self.change(host, |h| h.dark = dark);
    }

    fn is_dark(&self, host: usize) -> bool {
        self.host(host).dark
    }

    /// How long a flush takes on this host.
    pub(crate) fn flush_time(&self, host: Option<usize>) -> Duration {
        let stall = host.map_or(0, |host| self.host(host).stall_ms);
        Duration::from_millis(stall + self.below(self.timing.flush_ms + 1))
    }

    /// How long a segment is under way.
    fn latency(&self) -> Duration {
        let lost = self.timing.loss_one_in > 0 && self.below(self.timing.loss_one_in) == 0;
        let again = if lost { 200 + self.below(200) } else { 0 };
        Duration::from_millis(again + self.below(self.timing.latency_ms + 1))
    }

    /// A node thinks that its disk is damaged, which no simulated disk ever is.
    pub(crate) fn found_damage(reason: &str) {
        let host = Process::current().map_or(usize::MAX, |p| p.host());
        Self::try_with(|world| lock(&world.witness).damaged.push((host, reason.to_owned())));
    }

    /// The hosts whose nodes thought their disk damaged, and why.
    pub fn damaged(&self) -> Vec<(usize, String)> {
        lock(&self.witness).damaged.clone()
    }

    /// Notes something that must never happen.
    pub fn violation(&self, what: String) {
        let at = self.elapsed_ms();
        lock(&self.witness).violation(at, what);
    }

    /// What happened that must never happen, with the time (ms).
    pub fn violations(&self) -> Vec<(u64, String)> {
        lock(&self.witness).violations.clone()
    }
}
