//! Everything that clients speak: one folder per protocol, the REST API, webhooks, and the operator's routes.
//!
//! A protocol never imports another protocol, and only the table here names one. To add a protocol: add a
//! folder with its routes, settings and state, a line in [`PROTOCOLS`], and a folder of golden frames. A
//! protocol opens subscriptions with [`subscribe::open`], and renders a [`refused`] request in its own form.

pub mod addresses;
pub mod apps;
pub mod audit;
pub mod auth;
pub mod body;
pub mod clients;
pub mod console;
pub mod consumers;
pub mod context;
pub mod docs;
pub mod error;
pub mod event_stream;
pub mod given;
pub mod ingest;
pub mod joins;
pub mod kept;
pub mod lifecycle;
pub mod live;
pub mod media;
pub mod node_names;
pub mod ops;
pub mod paths;
pub mod people;
pub mod phoenix;
pub mod pusher;
pub mod query;
pub mod refused;
pub mod rest;
mod routes;
pub mod sessions;
pub mod sse;
pub mod standings;
pub mod start;
pub mod strict;
pub mod subscribe;
pub mod timeline;
pub mod timing;
pub mod traces;
pub mod upgrade;
pub mod webhooks;

#[cfg(test)]
mod limit_names;

pub use routes::{NodeRoutes, Routes, Table};

use crate::config::Config;
use actix_web::web::Data;
use context::Edge;
use query::Takes;
use std::sync::Arc;

/// A client protocol.
pub struct Protocol {
    /// Prepares the protocol on a node.
    start: fn(&Config, &Data<Edge>) -> Routes,
    /// The query parameters of its routes.
    takes: &'static [Takes],
    /// The headers that only its handlers read. A request may have each of them once.
    headers: &'static [&'static str],
}

/// The table of client protocols.
const PROTOCOLS: &[Protocol] = &[
    Protocol { start: phoenix::start, takes: phoenix::TAKES, headers: phoenix::HEADERS },
    Protocol { start: live::start, takes: live::TAKES, headers: live::HEADERS },
    Protocol { start: pusher::start, takes: pusher::TAKES, headers: pusher::HEADERS },
    Protocol { start: consumers::start, takes: consumers::TAKES, headers: consumers::HEADERS },
    Protocol { start: sse::start, takes: sse::TAKES, headers: sse::HEADERS },
    Protocol { start: ingest::start, takes: ingest::TAKES, headers: ingest::HEADERS },
    // Browsers of people, with a state of its own and a header that no other client sends.
    Protocol { start: console::start, takes: console::TAKES, headers: console::HEADERS },
];

/// The names of the protocols whose connections are listed, as in metrics.
pub const CONNECTIONS: &[&str] = &["phoenix", "longpoll", "pusher", "live", "sse", "ingest"];

/// What a part of a route names, where its own name does not say it. The audit log is read by these words.
const ROUTE_NOUNS: &[(&str, &str)] = &[("ingest", "ingest source"), ("pusher", "app")];

/// Routes that belong to no client protocol.
struct Part {
    routes: fn(&mut Table<'_>),
    takes: &'static [Takes],
}

const OTHERS: &[Part] = &[
    Part { routes: rest::routes, takes: rest::TAKES },
    Part { routes: timeline::routes, takes: &[] },
    Part { routes: pusher::credentials::routes, takes: pusher::credentials::TAKES },
    Part { routes: webhooks::routes, takes: webhooks::TAKES },
    Part { routes: ops::routes, takes: ops::TAKES },
    Part { routes: docs::routes, takes: docs::TAKES },
];

/// Prepares all protocols. Returns their routes and all others, for each worker.
pub fn start(config: &Config, edge: &Data<Edge>) -> NodeRoutes {
    audit::search::serve(edge, ROUTE_NOUNS);
    let protocols: Vec<Routes> = PROTOCOLS.iter().map(|protocol| (protocol.start)(config, edge)).collect();
    let edge = edge.clone();
    Arc::new(move |service| {
        let mut table = Table::new(service);
        table.app_data(edge.clone());
        protocols.iter().for_each(|routes| routes(&mut table));
        OTHERS.iter().for_each(|part| (part.routes)(&mut table));
        table.finish();
    })
}

/// The query parameters of all routes.
pub fn takes() -> impl Iterator<Item = &'static Takes> {
    let protocols = PROTOCOLS.iter().map(|protocol| protocol.takes);
    protocols.chain(OTHERS.iter().map(|part| part.takes)).flatten()
}

/// The headers that only protocols read.
pub fn headers() -> impl Iterator<Item = &'static str> {
    PROTOCOLS.iter().flat_map(|protocol| protocol.headers).copied()
}
