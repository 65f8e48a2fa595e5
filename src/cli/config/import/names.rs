//! The names of settings in the other file, and what they are here.

use serde_json::{Map, Value};

/// Names of one setting in the other file, and its name here.
pub(super) type Names = [(&'static [&'static str], &'static str)];

/// Settings of an app.
pub(super) const APP: &Names = &[
    (&["id"], "id"),
    (&["key"], "key"),
    (&["secret"], "secret"),
    (&["enable_client_messages", "enableClientMessages"], "client_events"),
    (&["allowed_origins", "allowedOrigins"], "origins"),
    (&["max_connections", "maxConnections"], "max_connections"),
];
/// Settings of a webhook.
pub(super) const WEBHOOK: &Names = &[
    (&["url"], "url"),
    (&["lambda"], "lambda"),
    (&["event_types", "eventTypes"], "events"),
    (&["headers"], "headers"),
    (&["filter"], "filter"),
];
/// Settings of a function, of which the names differ in camel case only.
pub(super) const LAMBDA: &Names = &[
    (&["function_name", "functionName"], "function_name"),
    (&["region"], "region"),
    (&["invocation_type", "invocationType"], "invocation_type"),
    (&["qualifier"], "qualifier"),
];
/// Settings of a filter.
pub(super) const FILTER: &Names = &[
    (&["channel_type", "channelType"], "channel_type"),
    (&["channel_prefix", "channelPrefix", "channel_name_starts_with"], "channel_prefix"),
];
/// Settings that are no part of an app here, and what they are.
const ELSEWHERE: &Names = &[
    (
        &["max_presence_members_per_channel", "maxPresenceMembersPerChannel"],
        "here it is `members_max` of a channel rule",
    ),
    (&["max_event_payload_in_kb", "maxEventPayloadInKb"], "here it is the setting pusher.event_bytes"),
    (
        &["max_client_events_per_second", "maxClientEventsPerSec", "maxClientEventsPerSecond"],
        "here it is the setting pusher.client_events_per_second",
    ),
    (
        &["max_backend_events_per_second", "maxBackendEventsPerSec"],
        "here it is the limit `publishes_per_second` of the map",
    ),
    (
        &["max_read_requests_per_second", "maxReadRequestsPerSec"],
        "here it is the limit `requests_per_minute` of the map",
    ),
    (
        &[
            "enable_user_authentication",
            "enableUserAuthentication",
            "enable_watchlist_events",
            "enableWatchlistEvents",
        ],
        "it is always on here",
    ),
];

/// The known settings under the names that they have here. The names of the others are added to `left`.
pub(super) fn renamed(
    mut from: Map<String, Value>,
    names: &Names,
    left: &mut Vec<String>,
) -> Map<String, Value> {
    let mut to = Map::new();
    for (theirs, ours) in names {
        let found = theirs.iter().filter_map(|name| from.remove(*name)).next();
        if let Some(value) = found.filter(|value| !value.is_null()) {
            to.insert((*ours).to_owned(), value);
        }
    }
    left.extend(from.into_iter().map(|(name, _)| name));
    to
}

/// A setting that is not taken over, with what it is here if that is known.
pub(super) fn left_out(name: &str, of: &str) -> String {
    match ELSEWHERE.iter().find(|(theirs, _)| theirs.contains(&name)) {
        Some((_, here)) => format!("{name} ({of}): {here}"),
        None => format!("{name} ({of})"),
    }
}
