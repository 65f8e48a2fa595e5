//! Ingest sources: other services post events to `/webhooks/{id}`, and managers of a map make such addresses.
//!
//! Wire source: the documentation of Game Insights (seed 001) for the addresses, the names and the statuses, and
//! that of each sender for its signatures ([`crate::core::ingest`]). `/webhook/{id}` is the same as
//! `/webhooks/{id}`. Listening at `/api/webhooks/{id}/events` is an event stream with the names of that product.
//!
//! A sender is answered 200 once a majority has its events. Whatever went wrong, the last deliveries of a source
//! can be looked at with their verdicts.

mod answer;
mod deliveries;
mod draft;
mod form;
mod limits;
mod listen;
mod manage;
mod open_source;
mod opened;
mod publish;
mod receive;
mod state;

use crate::config::Config;
use crate::edge::context::Edge;
use crate::edge::paths::at;
use crate::edge::query::Takes;
use crate::edge::{Routes, Table};
use actix_web::web::Data;
use state::Ingest;
use std::sync::Arc;

/// Where senders post.
const RECEIVE: [&str; 2] = ["/webhooks/{source}", "/webhook/{source}"];
/// Where listeners connect. Only sources have it: an id of a webhook looks different.
const LISTEN: &str = "/api/webhooks/{source}/events";
/// The sources of a map.
const SOURCES: &str = "/api/maps/{map}/ingest";
const SOURCE: &str = "/api/maps/{map}/ingest/{source}";
const ROTATE: &str = "/api/maps/{map}/ingest/{source}/rotate";
const DELIVERIES: &str = "/api/maps/{map}/ingest/{source}/deliveries";

/// The query parameters of the routes.
pub const TAKES: &[Takes] = &[
    Takes::of("POST", RECEIVE[0], receive::NAMES),
    Takes::of("POST", RECEIVE[1], receive::NAMES),
    Takes::of("GET", LISTEN, listen::NAMES),
];
/// The headers that only this protocol reads. Those of signatures are checked with the signature.
pub const HEADERS: &[&str] = &[];

/// Prepares the protocol on a node.
pub fn start(config: &Config, edge: &Data<Edge>) -> Routes {
    let ingest = Data::new(Ingest::new(config));
    deliveries::serve(edge, ingest.deliveries.clone());
    Arc::new(move |service| add(service.app_data(ingest.clone())))
}

fn add(service: &mut Table<'_>) {
    for path in RECEIVE {
        service.service(at(path).post(receive::receive));
    }
    service
        .service(at(LISTEN).get(listen::listen))
        .service(at(SOURCES).get(manage::list).post(manage::create))
        .service(
            at(SOURCE).get(manage::show).put(manage::update).patch(manage::update).delete(manage::remove),
        )
        .service(at(ROTATE).post(manage::rotate).delete(manage::end_rotation))
        .service(at(DELIVERIES).get(manage::deliveries));
}
