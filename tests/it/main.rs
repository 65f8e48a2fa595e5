//! Waypost as its users meet it: the built program, real processes, real clients. Each module checks one
//! promise, and boots few clusters for many checks.
//!
//! The JavaScript clients are installed by `npm ci` in `tests/js`. To try more by hand:
//! - `WAYPOST_TEST_ROUNDS`: rounds of killing and restarting nodes (default 3, with webhooks 2);
//! - `WAYPOST_TEST_SUBJECTS`: subjects, each with one reader (default 1000);
//! - `WAYPOST_EPHEMERAL_SUBSCRIBERS`: subscribers of ephemeral events, over 200 subjects (default 300);
//! - `WAYPOST_TEST_FLEET`: stalled readers, and as many healthy ones (default 100);
//! - `WAYPOST_TEST_SECONDS`: how long that test and the one of dying owners publish (default 15 and 6);
//! - `WAYPOST_TEST_CHECK`: runs only the checks whose name contains this text;
//! - `WAYPOST_TEST_BINARY`: the executable to test instead of the one built with the tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod arrows;
mod audit;
mod authentication;
mod backup;
mod bad_input;
mod bad_socket;
mod certificates;
mod circles;
mod client_tls;
mod clocks;
mod config;
mod copied;
mod cut_off;
mod damage;
mod disk;
mod drain;
mod ephemeral;
mod expect;
mod expressions;
mod first_steps;
mod fleet;
mod formats;
mod founding;
mod frames;
mod half_open;
mod idempotency;
mod limits;
mod longpoll;
mod lost_polls;
mod many_subjects;
mod network;
mod open_files;
mod operations;
mod pace;
mod packaging;
mod parts;
mod peer_security;
mod positions;
mod power;
mod proxy;
mod quorum;
mod receivers;
mod restarts;
mod resume;
mod rust_code;
mod signals;
mod strict;
mod subjects;
mod support;
mod webhook_api;
mod webhooks_answers;
mod webhooks_backlog;
mod webhooks_chat;
mod webhooks_flow;
mod webhooks_lambda;
mod webhooks_operate;
mod webhooks_progress;
mod webhooks_replay;
mod webhooks_support;
mod webhooks_under_load;
mod words;
