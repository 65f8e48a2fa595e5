//! The environment of a run's nodes and the ways to break it: networks, disks, processors and clocks of the
//! run's own.
//!
//! - [`net`] makes namespaces and partitions them; [`relay`] delays, repeats and corrupts packets between
//!   peers;
//! - [`disk`] is a small file system that fills up or loses power; [`trace`] makes system calls fail or slow;
//! - [`throttle`] takes processor time; [`proxy`] runs nginx before the nodes;
//! - [`tool`] calls the system's programs;
//! - [`leftovers`] removes everything that a run made.
//!
//! Everything carries the run's prefix in its name, so that a later run finds and removes what this one
//! leaves behind. A run never touches what another run made. Only the modules that say "needs root" need
//! root.

pub mod disk;
pub mod leftovers;
pub mod net;
pub mod proxy;
pub mod relay;
pub mod throttle;
pub mod tool;
pub mod trace;
