//! The signed HTTP API of Pusher at `/apps/{app}/…`, for back ends.
//!
//! Wire source: Pusher's documentation of its HTTP API, npm `pusher` 5.3 and PyPI `pusher` 3.3. A request
//! is signed with the secret of an app's key ([`signature`]). Nothing of its body is read before the
//! signature is checked. Errors have the JSON form of all other routes, with Pusher's statuses.

mod attributes;
mod caller;
mod channels;
mod events;
mod new_events;
pub mod signature;
mod terminate;

use crate::edge::Table;
use crate::edge::paths::at;
use crate::edge::query::Takes;

pub(super) use terminate::serve;

const EVENTS: &str = "/apps/{app}/events";
const BATCH_EVENTS: &str = "/apps/{app}/batch_events";
const CHANNELS: &str = "/apps/{app}/channels";
const CHANNEL: &str = "/apps/{app}/channels/{channel}";
const USERS: &str = "/apps/{app}/channels/{channel}/users";
const TERMINATE: &str = "/apps/{app}/users/{user}/terminate_connections";

/// The query parameters of the routes.
pub const TAKES: [Takes; 6] = [
    Takes::of("POST", EVENTS, signature::NAMES).alone(),
    Takes::of("POST", BATCH_EVENTS, signature::NAMES).alone(),
    Takes::of("GET", CHANNELS, channels::LIST_NAMES),
    Takes::of("GET", CHANNEL, channels::SHOW_NAMES),
    Takes::of("GET", USERS, signature::NAMES),
    Takes::of("POST", TERMINATE, signature::NAMES),
];

/// Adds `/apps/{app}` and what is below it.
pub(super) fn routes(config: &mut Table<'_>) {
    config
        .service(at(EVENTS).post(events::publish))
        .service(at(BATCH_EVENTS).post(events::publish_batch))
        .service(at(CHANNELS).get(channels::list))
        .service(at(CHANNEL).get(channels::show))
        .service(at(USERS).get(channels::users))
        .service(at(TERMINATE).post(terminate::terminate));
}
