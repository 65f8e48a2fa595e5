//! What clients speak: a folder a protocol, the REST API, and the operator's endpoints.
//!
//! A protocol never imports another. To add one: a folder, a line in [`PROTOCOLS`], a folder of golden frames.

pub mod auth;
pub mod context;
pub mod error;
pub mod ops;
pub mod phoenix;
pub mod query;
pub mod rest;
pub mod sse;
pub mod strict;
pub mod webhooks;

use actix_web::web::ServiceConfig;
use query::Takes;

/// A part of what clients speak: its routes, and what those take in a query.
pub struct Part {
    routes: fn(&mut ServiceConfig),
    takes: &'static [Takes],
}

/// The table of client protocols.
pub const PROTOCOLS: &[Part] =
    &[Part { routes: phoenix::routes, takes: phoenix::TAKES }, Part { routes: sse::routes, takes: sse::TAKES }];

/// What is no protocol of its own.
const OTHERS: &[Part] = &[
    Part { routes: rest::routes, takes: rest::TAKES },
    Part { routes: webhooks::routes, takes: webhooks::TAKES },
    Part { routes: ops::routes, takes: ops::TAKES },
];

/// All routes.
pub fn routes(config: &mut ServiceConfig) {
    PROTOCOLS.iter().chain(OTHERS).for_each(|part| (part.routes)(config));
}

/// What all routes take in a query.
pub fn takes() -> impl Iterator<Item = &'static Takes> {
    PROTOCOLS.iter().chain(OTHERS).flat_map(|part| part.takes)
}
