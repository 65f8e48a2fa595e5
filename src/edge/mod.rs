//! What clients speak: a folder a protocol, the REST API, and the operator's endpoints.
//!
//! A protocol never imports another. To add one: a folder, a line in [`PROTOCOLS`], a folder of golden frames.

pub mod auth;
pub mod context;
pub mod error;
pub mod ops;
pub mod phoenix;
pub mod rest;
pub mod sse;
pub mod webhooks;

use actix_web::web::ServiceConfig;

/// The table of client protocols: each adds its routes.
pub const PROTOCOLS: &[fn(&mut ServiceConfig)] = &[phoenix::routes, sse::routes];

/// All routes.
pub fn routes(config: &mut ServiceConfig) {
    PROTOCOLS.iter().for_each(|routes| routes(config));
    rest::routes(config);
    webhooks::routes(config);
    ops::routes(config);
}
