//! The channel that stands for a map's own subject.

use crate::core::access::Map;
use crate::core::channel::Channel;
use crate::core::subject::Subject;

/// The prefix of the channel that stands for a map's own subject. The map's id or slug follows.
const OWN: &str = "private-map-";

/// The subject that a channel stands for in a map. `private-map-{id}` stands for the map's own subject, which
/// has no name.
pub(super) fn subject_of(map: &Map, channel: &Channel) -> Subject {
    match channel.name().strip_prefix(OWN) {
        Some(name) if map.has_name(name) => Subject::own(),
        _ => channel.subject().clone(),
    }
}

/// The channel that stands for a map's own subject.
pub(super) fn own_name(map: &Map) -> String {
    format!("{OWN}{}", map.id)
}
