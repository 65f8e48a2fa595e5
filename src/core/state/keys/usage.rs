//! Keys of the usage of maps. They contain the stream and not the map: a map's id may be used again, a
//! stream's never.

use super::join;
use crate::core::ids::TopicId;
use crate::core::usage::PeriodKind;

/// Prefix of the present periods of usage.
pub const USAGE: u8 = b'G';
/// Prefix of the periods of usage that have ended.
pub const ENDED_USAGE: u8 = b'H';
/// Key of the nodes' last reports of usage.
pub const USAGE_REPORTS: &[u8] = b"I";

/// The key of the present periods of a map's usage.
pub fn usage(stream: TopicId) -> [u8; 9] {
    join(USAGE, &stream.0.to_be_bytes())
}

/// The key of the place in which a period of a map's usage is kept after its end.
pub fn ended_usage(stream: TopicId, kind: PeriodKind, place: u8) -> [u8; 11] {
    let mut key = [ENDED_USAGE; 11];
    key[1..9].copy_from_slice(&stream.0.to_be_bytes());
    key[9] = match kind {
        PeriodKind::Hour => b'h',
        PeriodKind::Day => b'd',
    };
    key[10] = place;
    key
}

/// Returns the range of all places for the periods of a kind.
pub fn ended_usages(stream: TopicId, kind: PeriodKind) -> ([u8; 11], [u8; 11]) {
    (ended_usage(stream, kind, 0), ended_usage(stream, kind, u8::MAX))
}
