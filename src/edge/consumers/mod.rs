//! Consumers: named cursors with acknowledgements, whose workers are clients.
//!
//! A consumer is stored, owned and reported as a webhook is; only who takes its events differs. Any node takes
//! the requests of readers and passes them on to the consumer's owner ([`owner`]). The routes of dead letters
//! and replays are those of webhooks, in `edge/webhooks`.

mod answer;
mod bounds;
mod crud;
mod got;
mod owner;
mod read;
mod reading;
mod settings;
mod stream;

pub(in crate::edge) use got::Got;
pub(in crate::edge) use read::write_list;
pub(in crate::edge) use reading::{ConsumerReading, Said};

#[cfg(test)]
pub(in crate::edge) use bounds::too_many;

use super::Routes;
use super::context::Edge;
use super::paths::at;
use super::query::Takes;
use crate::config::Config;
use actix_web::web::Data;
use answer::Rates;
use bounds::Bounds;
use got::Returns;
use std::sync::Arc;

const PULL: &str = "/api/maps/{map}/consumers/{consumer}/pull";
const STREAM: &str = "/api/maps/{map}/consumers/{consumer}/stream";

/// The query parameters of the routes.
pub const TAKES: &[Takes] = &[Takes::of("POST", PULL, read::NAMES), Takes::of("GET", STREAM, stream::NAMES)];
/// Readers send no headers of their own.
pub const HEADERS: &[&str] = &[];

/// What the workers of a node share for consumers.
struct Consumers {
    bounds: Bounds,
    rates: Rates,
    returns: Returns,
}

/// Prepares consumers on a node.
pub fn start(_: &Config, edge: &Data<Edge>) -> Routes {
    owner::serve(edge);
    let (returns, back) = Returns::new();
    let consumers = Data::new(Consumers { bounds: Bounds::default(), rates: Rates::default(), returns });
    owner::take_back(edge, &consumers, back);
    let below = |rest: &str| at(format!("/api/maps/{{map}}/consumers/{{consumer}}{rest}"));
    Arc::new(move |service| {
        service
            .app_data(consumers.clone())
            .service(at("/api/maps/{map}/consumers").get(crud::list).post(crud::create))
            .service(below("").get(crud::show).put(crud::update).patch(crud::update).delete(crud::remove))
            .service(at(PULL).post(read::pull))
            .service(below("/ack").post(read::acknowledge))
            .service(below("/nack").post(read::refuse))
            .service(below("/extend").post(read::extend))
            .service(at(STREAM).get(stream::stream));
    })
}
