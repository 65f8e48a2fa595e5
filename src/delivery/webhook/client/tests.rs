#![allow(clippy::unwrap_used, clippy::panic)]
//! Tests of the client with real servers on loopback, and with a dialer that only records the addresses.

mod framing;
mod interim;
mod pool;
mod servers;
mod ssrf;
mod stages;
mod support;
mod tls;
