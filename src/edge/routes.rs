//! The form in which a protocol hands its routes to the server.

use actix_web::web::ServiceConfig;
use std::sync::Arc;

/// Adds a protocol's routes to those of a worker, and what its handlers are given: settings and state, which all workers
/// share, as app data of types of its own.
pub type Routes = Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>;
