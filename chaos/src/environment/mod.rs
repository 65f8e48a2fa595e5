//! What nodes stand on, and how it is broken: networks, disks, processors and clocks of a run's own.
//!
//! - [`net`] makes namespaces and partitions them; [`relay`] delays, repeats and corrupts what peers say;
//! - [`disk`] is a small file system that fills up or loses power; [`trace`] makes system calls fail or slow;
//! - [`throttle`] takes processor time; [`proxy`] stands before the nodes;
//! - [`leftovers`] removes all of it.
//!
//! Each carries the run's prefix in its name, so that what a run leaves behind is found and removed. Never: touches
//! what another run made, and never needs root for what does not say so.

pub mod disk;
pub mod leftovers;
pub mod net;
pub mod proxy;
pub mod relay;
pub mod throttle;
pub mod tool;
pub mod trace;
