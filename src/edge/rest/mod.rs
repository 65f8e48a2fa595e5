//! The REST API: maps, tokens, events.

mod answer;
pub(super) mod body;
mod events;
mod maps;
mod publish;
mod rules;
mod subjects;
mod tokens;

use crate::edge::error::ApiError;
use crate::edge::query::Takes;
use actix_web::http::StatusCode;
use actix_web::web::{ServiceConfig, delete, get, patch, post, put, resource, to};
use actix_web::{HttpResponse, Resource, ResponseError};

/// The query parameters of the routes.
pub const TAKES: &[Takes] = &[
    Takes::of("GET", "/api/maps/{map}/events", events::NAMES),
    Takes::of("GET", "/api/maps/{map}/subjects", subjects::NAMES),
];

/// One event. Other paths below the events are streams.
const EVENT: &str = "/api/maps/{map}/events/{event:[0-9A-Za-z]{26}}";
/// One subject. Its name may contain slashes. The name of the map's own subject is empty.
const SUBJECT: &str = "/api/maps/{map}/subjects/{subject:.*}";

/// Adds `/api/maps` and what is below it.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(at("/api/maps").route(post().to(maps::create)).route(get().to(maps::list)))
        .service(
            at("/api/maps/{map}")
                .route(get().to(maps::show))
                .route(patch().to(maps::update))
                .route(delete().to(maps::remove)),
        )
        .service(at("/api/maps/{map}/tokens").route(post().to(tokens::create)).route(get().to(tokens::list)))
        .service(at("/api/maps/{map}/tokens/{token}").route(delete().to(tokens::revoke)))
        .service(
            at("/api/maps/{map}/events").route(post().to(publish::publish)).route(get().to(events::backfill)),
        )
        .service(at(EVENT).route(delete().to(subjects::remove_event)))
        .service(at("/api/maps/{map}/subjects").route(get().to(subjects::list)))
        .service(at(SUBJECT).route(delete().to(subjects::remove)))
        .service(
            at("/api/maps/{map}/channel-rules").route(get().to(rules::show)).route(put().to(rules::set)),
        );
}

/// A path that refuses other methods with a JSON error.
pub(super) fn at(path: &str) -> Resource {
    resource(path).default_service(to(wrong_method))
}

async fn wrong_method() -> HttpResponse {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path doesn't take the method")
        .error_response()
}
