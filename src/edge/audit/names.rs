//! The names of what a line is about, at the moment of the line: later they may have others, or be gone.

use super::facts::Caller;
use crate::core::access::Access;
use crate::core::ids::{MapId, SourceId, TokenId, WebhookId};
use crate::hub::Hub;

/// The most of a name in a line, in bytes.
const MOST: usize = 100;

/// The names of the map and of the thing that a line is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    /// Of the map: its slug, or else its name.
    pub(super) map: Option<String>,
    /// Of the thing.
    pub(super) thing: Option<String>,
}

impl Names {
    /// The names of a map and of the thing with that id. A map may be named by its slug.
    pub(super) fn of(hub: &Hub, map: Option<&str>, thing: Option<&str>) -> Self {
        let known = hub.access().known();
        let map = map.and_then(|map| known.map_named(map));
        let map = map.and_then(|map| short(map.slug.as_deref().unwrap_or(&map.name)));
        let thing = thing.and_then(|id| of_access(&known, id).or_else(|| of_webhook(hub, id)));
        Self { map, thing }
    }
}

/// The name of a caller's token.
pub(super) fn of_caller(hub: &Hub, caller: Option<Caller>) -> Option<String> {
    match caller? {
        Caller::Token(token) | Caller::Link(Some(token)) => of_token(&hub.access().known(), token),
        Caller::Admin | Caller::Link(None) => None,
    }
}

fn of_token(known: &Access, id: TokenId) -> Option<String> {
    match known.token(id) {
        Some(token) => short(&token.name),
        None => short(&known.admin_tokens().get(id)?.name),
    }
}

/// The name of a token or of a source.
fn of_access(known: &Access, id: &str) -> Option<String> {
    let of_source = |id: SourceId| short(&known.sources().get(id)?.settings.name);
    let token = id.parse().ok().and_then(|id| of_token(known, id));
    token.or_else(|| id.parse().ok().and_then(of_source))
}

/// The name of a webhook or of a consumer.
fn of_webhook(hub: &Hub, id: &str) -> Option<String> {
    let id: WebhookId = id.parse().ok()?;
    short(&hub.webhooks().directory().get(id)?.name)
}

/// The beginning of a name. It has no characters that make a line of the log long or hard to read.
fn short(name: &str) -> Option<String> {
    let mut name: String = name.chars().filter(|c| !c.is_control()).take(MOST).collect();
    name.truncate(name.floor_char_boundary(MOST));
    (!name.is_empty()).then_some(name)
}

/// What the last parameter of a route stands for in a path. `is_map`: of its map, else of a thing in it.
pub(super) fn named_in<'p>(route: &str, path: &'p str, is_map: bool) -> Option<&'p str> {
    let parts = route.split('/').zip(path.split('/'));
    let of = |part: &str| part.starts_with('{') && (part == "{map}") == is_map;
    parts.filter(|(part, _)| of(part)).map(|(_, value)| value).last()
}

/// The map as the path or its handler names it.
pub(super) fn map_of(noted: Option<MapId>, route: &str, path: &str) -> Option<String> {
    noted.map(|map| map.to_string()).or_else(|| named_in(route, path, true).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_map_and_a_thing() {
        let route = "/api/maps/{map}/webhooks/{id}/rotate-secret";
        let path = "/api/maps/demo/webhooks/0190a1b2/rotate-secret";
        assert_eq!(named_in(route, path, true), Some("demo"));
        assert_eq!(named_in(route, path, false), Some("0190a1b2"));
        assert_eq!(named_in("/api/maps/{map}", "/api/maps/demo", false), None);
        assert_eq!(named_in("/api/cluster/{operation}", "/api/cluster/drain", true), None);
        let event = "/api/maps/{map}/events/{event:[0-9A-Za-z]{26}}";
        assert_eq!(named_in(event, "/api/maps/demo/events/01JY", false), Some("01JY"));
        let map = MapId::from_bytes([7; 16]);
        assert_eq!(map_of(Some(map), route, path), Some(map.to_string()), "the handler knows it");
        assert_eq!(map_of(None, route, path).as_deref(), Some("demo"));
    }

    #[test]
    fn a_name_is_short() {
        assert_eq!(short("billing\n").as_deref(), Some("billing"));
        assert_eq!(short(&"ü".repeat(200)).map(|name| name.len()), Some(MOST));
        assert_eq!(short("\u{7}"), None);
    }
}
