#![allow(clippy::unwrap_used, clippy::panic)]
//! The client against real servers on loopback, and against a dialer that only writes down where it was sent.

mod framing;
mod pool;
mod servers;
mod ssrf;
mod stages;
mod support;
mod tls;
