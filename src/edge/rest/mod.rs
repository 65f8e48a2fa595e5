//! The REST API: maps, tokens, events.

mod admin_tokens;
mod answer;
mod audit;
mod client_tokens;
mod connections;
mod events;
mod issuers;
mod maps;
mod new_events;
mod nodes;
mod now;
mod pauses;
mod presence;
mod publish;
mod published;
mod rules;
mod subjects;
mod tokens;
mod usage;

pub(in crate::edge) use publish::{check_still, key_of, refuse_key};

use crate::edge::Table;
use crate::edge::paths::at;
use crate::edge::query::Takes;

/// The query parameters of the routes.
pub const TAKES: &[Takes] = &[
    Takes::of("GET", "/api/maps", maps::NAMES),
    Takes::of("GET", "/api/maps/{map}", maps::NAMES_OF_ONE),
    Takes::of("GET", "/api/maps/{map}/events", events::NAMES),
    Takes::of("GET", "/api/maps/{map}/subjects", subjects::NAMES),
    Takes::of("GET", "/api/maps/{map}/usage", usage::NAMES),
    Takes::of("GET", "/api/maps/{map}/connections", connections::NAMES),
    Takes::of("GET", "/api/maps/{map}/connections/closed", connections::NAMES_OF_CLOSED),
    Takes::of("GET", "/api/audit", audit::NAMES),
];

/// One event. Other paths below the events are streams.
const EVENT: &str = "/api/maps/{map}/events/{event:[0-9A-Za-z]{26}}";
/// One subject. Its name may contain slashes. The name of the map's own subject is empty.
const SUBJECT: &str = "/api/maps/{map}/subjects/{subject:.*}";
/// The members of one subject. A subject may have such a name itself.
const PRESENCE: &str = "/api/maps/{map}/subjects/{subject:.*}/presence";

/// Adds `/api/maps` and what is below it, and the other routes that need the admin token.
pub fn routes(config: &mut Table<'_>) {
    config
        .service(at("/api/maps").post(maps::create).get(maps::list))
        .service(at("/api/maps/{map}").get(maps::show).patch(maps::update).delete(maps::remove))
        .service(at("/api/maps/{map}/tokens").post(tokens::create).get(tokens::list))
        .service(at("/api/maps/{map}/tokens/{token}").delete(tokens::revoke))
        .service(at("/api/maps/{map}/connections").get(connections::list))
        // `closed` is no id of a connection.
        .service(at("/api/maps/{map}/connections/closed").get(connections::closed))
        .service(at("/api/maps/{map}/connections/{connection}").delete(connections::close))
        .service(at("/api/maps/{map}/issuers").get(issuers::show).put(issuers::set))
        .service(at("/api/maps/{map}/client-tokens/revoke").post(client_tokens::revoke))
        .service(at("/api/auth/login").post(client_tokens::log_in))
        .service(at("/api/admin-tokens").post(admin_tokens::create).get(admin_tokens::list))
        .service(at("/api/admin-tokens/{token}").delete(admin_tokens::revoke))
        .service(at("/api/audit").get(audit::list))
        .service(at("/api/maps/{map}/events").post(publish::publish).get(events::backfill))
        .service(at(EVENT).delete(subjects::remove_event))
        .service(at("/api/maps/{map}/subjects").get(subjects::list))
        .service(at(PRESENCE).get(presence::list))
        .service(at(SUBJECT).delete(subjects::remove))
        .service(at("/api/maps/{map}/channel-rules").get(rules::show).put(rules::set))
        .service(at("/api/maps/{map}/usage").get(usage::show));
}
