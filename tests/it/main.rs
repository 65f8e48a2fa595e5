//! Waypost as its users meet it: the built program, real processes, real clients. One module a
//! promise; each boots few clusters and puts many checks to them.
//!
//! The JavaScript clients are installed by `npm ci` in `tests/js`. To try more by hand:
//! - `WAYPOST_TEST_ROUNDS`: rounds of killing and restarting (3, with webhooks 2);
//! - `WAYPOST_TEST_SUBJECTS`: subjects with a reader each (1000);
//! - `WAYPOST_EPHEMERAL_SUBSCRIBERS`: subscribers of ephemeral events (300), spread over 200 subjects;
//! - `WAYPOST_TEST_CROWD`, `WAYPOST_TEST_SECONDS`: stalled and healthy readers each (100), for how long (15);
//! - `WAYPOST_TEST_CHECK`: only the checks of a table whose name holds this;
//! - `WAYPOST_TEST_BINARY`: another executable than the one built with the tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod arrows;
mod authentication;
mod backup;
mod bad_input;
mod bad_socket;
mod between;
mod certificates;
mod circles;
mod client_tls;
mod clocks;
mod config;
mod crowd;
mod damage;
mod disk;
mod drain;
mod ephemeral;
mod expect;
mod expressions;
mod first_steps;
mod formats;
mod frames;
mod idempotency;
mod limits;
mod longpoll;
mod lost_polls;
mod many_subjects;
mod open_files;
mod operations;
mod pace;
mod packaging;
mod parts;
mod peer_security;
mod positions;
mod power;
mod quorum;
mod receivers;
mod resume;
mod rounds;
mod rust_code;
mod strict;
mod subjects;
mod support;
mod way;
mod webhook_api;
mod webhooks_answers;
mod webhooks_backlog;
mod webhooks_chat;
mod webhooks_fire;
mod webhooks_flow;
mod webhooks_lambda;
mod webhooks_operate;
mod webhooks_progress;
mod webhooks_replay;
mod webhooks_support;
