//! What clients speak: a folder a protocol, the REST API, and the operator's webhooks.
//!
//! A protocol never imports another, and nobody but the table here names one. To add one: a folder with its routes,
//! settings and state, a line in [`PROTOCOLS`], a folder of golden frames. It opens subscriptions by
//! [`subscribe::open`], and renders what is [`refused`] in its own form.

pub mod addresses;
pub mod auth;
pub mod context;
pub mod error;
pub mod given;
pub mod ops;
pub mod phoenix;
pub mod query;
pub mod refused;
pub mod rest;
mod routes;
pub mod sse;
pub mod start;
pub mod strict;
pub mod subscribe;
pub mod webhooks;

pub use routes::Routes;

use crate::config::Config;
use actix_web::web::{Data, ServiceConfig};
use context::Edge;
use query::Takes;
use std::sync::Arc;

/// A client protocol.
pub struct Protocol {
    /// Makes it ready on a node.
    start: fn(&Config, &Data<Edge>) -> Routes,
    /// What its routes take in a query.
    takes: &'static [Takes],
    /// Headers of its own that its handlers read; each may stand once.
    headers: &'static [&'static str],
}

/// The table of client protocols.
const PROTOCOLS: &[Protocol] = &[
    Protocol { start: phoenix::start, takes: phoenix::TAKES, headers: phoenix::HEADERS },
    Protocol { start: sse::start, takes: sse::TAKES, headers: sse::HEADERS },
];

/// What is no protocol of its own.
struct Part {
    routes: fn(&mut ServiceConfig),
    takes: &'static [Takes],
}

const OTHERS: &[Part] = &[
    Part { routes: rest::routes, takes: rest::TAKES },
    Part { routes: webhooks::routes, takes: webhooks::TAKES },
    Part { routes: ops::routes, takes: ops::TAKES },
];

/// Makes all protocols ready; their routes and all others, for each worker.
pub fn start(config: &Config, edge: &Data<Edge>) -> Routes {
    let protocols: Vec<Routes> = PROTOCOLS.iter().map(|protocol| (protocol.start)(config, edge)).collect();
    let edge = edge.clone();
    Arc::new(move |service| {
        service.app_data(edge.clone());
        protocols.iter().for_each(|routes| routes(service));
        OTHERS.iter().for_each(|part| (part.routes)(service));
    })
}

/// What all routes take in a query.
pub fn takes() -> impl Iterator<Item = &'static Takes> {
    let protocols = PROTOCOLS.iter().map(|protocol| protocol.takes);
    protocols.chain(OTHERS.iter().map(|part| part.takes)).flatten()
}

/// The headers that only protocols read.
pub fn headers() -> impl Iterator<Item = &'static str> {
    PROTOCOLS.iter().flat_map(|protocol| protocol.headers).copied()
}
