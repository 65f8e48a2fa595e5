//! The cluster crate on simulated hosts: everything of `os`, the wall clock and the log's disk, from one seed.
//!
//! One [`World`] belongs to one thread and one paused single-threaded runtime. It has hosts with an address, a disk and a
//! clock; a [`Process`] is a node that runs on one, and may be frozen and killed. The rest of the crate is what
//! production runs. Never part of another build: only the crate `sim` compiles it.
//!
//! - `task`: processes, and which one a task belongs to. `net`: streams. `fs`: files that forget, `journal`: the Raft
//!   log's disk. `os`, `log` and `clock` stand in for the modules of these names.

pub(crate) mod fs;
pub(crate) mod journal;
pub(crate) mod net;
pub(crate) mod task;
mod witness;
mod world;

pub use task::Process;
pub(crate) use world::lock;
pub use world::{Entered, Timing, World};
