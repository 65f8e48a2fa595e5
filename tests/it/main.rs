//! Waypost as its users meet it: the built program, real processes, real clients. One module a
//! promise; each boots few clusters and puts many checks to them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod arrows;
mod bad_input;
mod bad_socket;
mod config;
mod crowd;
mod damage;
mod drain;
mod first_steps;
mod frames;
mod idempotency;
mod limits;
mod power;
mod quorum;
mod resume;
mod rounds;
mod support;
