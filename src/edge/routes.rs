//! The form in which a protocol hands its routes to the server.

use actix_web::web::ServiceConfig;
use std::sync::Arc;

/// Adds a protocol's routes to those of a worker, and the data that its handlers use. Settings and state are
/// app data of the protocol's own types, and all workers share them.
pub type Routes = Arc<dyn Fn(&mut ServiceConfig) + Send + Sync>;
