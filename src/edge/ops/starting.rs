//! What the client port answers while a node does not serve yet: it is opening its data, or waits for a
//! cluster.

use super::{health, not_ready_answer};
use crate::edge::NodeRoutes;
use crate::edge::error::ApiError;
use crate::edge::paths::at;
use actix_web::web::{Data, to};
use actix_web::{HttpResponse, ResponseError};
use std::sync::{Arc, Mutex, PoisonError};

/// Why a node does not serve yet. It changes while the node starts.
pub struct Starting(Mutex<String>);

impl Starting {
    /// A node that begins to start.
    pub fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new("starting: it is opening its data".to_owned())))
    }

    /// Sets the reason.
    pub fn set_reason(&self, reason: &str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reason.to_owned();
    }

    fn reason(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The routes of a node that does not serve yet. It lives, is not ready, and answers everything else with
    /// 503: a client comes back, or goes to another node.
    pub fn routes(self: &Arc<Self>) -> NodeRoutes {
        let starting = Data::from(self.clone());
        Arc::new(move |service| {
            service
                .app_data(starting.clone())
                .service(at("/healthz").get(health))
                .service(at("/readyz").get(ready))
                .default_service(to(unavailable));
        })
    }
}

async fn ready(starting: Data<Starting>) -> HttpResponse {
    not_ready_answer(&starting.reason())
}

async fn unavailable(starting: Data<Starting>) -> HttpResponse {
    ApiError::unavailable(format!("this node does not serve yet: {}", starting.reason())).error_response()
}
