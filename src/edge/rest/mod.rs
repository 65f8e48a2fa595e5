//! The REST API: maps, tokens, events.

mod answer;
mod body;
mod events;
mod maps;
mod publish;
mod tokens;

use actix_web::web::{ServiceConfig, delete, get, patch, post, resource};

/// Adds `/api/maps` and what is below it.
pub fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/api/maps").route(post().to(maps::create)).route(get().to(maps::list)))
        .service(
            resource("/api/maps/{map}")
                .route(get().to(maps::show))
                .route(patch().to(maps::update))
                .route(delete().to(maps::remove)),
        )
        .service(resource("/api/maps/{map}/tokens").route(post().to(tokens::create)).route(get().to(tokens::list)))
        .route("/api/maps/{map}/tokens/{token}", delete().to(tokens::revoke))
        .service(
            resource("/api/maps/{map}/events").route(post().to(publish::publish)).route(get().to(events::backfill)),
        );
}
