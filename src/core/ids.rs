//! Identifiers: maps, topics, tokens, nodes and events.
//!
//! An [`EventId`] is a ULID that names its own place in the log: 48 bits of milliseconds that never go back, 12 bits of
//! the log's group (0: there is one), 48 bits of log index, 20 bits of place in the entry. Ids of one group therefore sort
//! in log order on every node; what two groups did at the same time has no order. They are no clock: an event's time is
//! stored beside its id. The id of an ephemeral event names no place: its group is [`EPHEMERAL_GROUP`], and 32 bits of the
//! publishing node's incarnation and 36 bits of a counter follow.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// Number of a node in the cluster; never used twice.
pub type NodeId = u64;

/// Number of a group: a log, and what is applied from it. At most [`MAX_GROUP`].
pub type GroupId = u16;
/// The highest number of a group, for which an event's id has 12 bits.
pub const MAX_GROUP: GroupId = (1 << GROUP_BITS) - 1;
/// What stands for the group in the ids of ephemeral events: no log has it.
pub const EPHEMERAL_GROUP: GroupId = MAX_GROUP;

const PLACE_BITS: u32 = 20;
const INDEX_BITS: u32 = 48;
const GROUP_BITS: u32 = 12;
const INDEX_MASK: u128 = (1 << INDEX_BITS) - 1;
const PLACE_MASK: u128 = (1 << PLACE_BITS) - 1;
/// Bits of an ephemeral event's number, behind 32 of the incarnation.
const COUNTER_BITS: u32 = 36;
const GROUP_SHIFT: u32 = PLACE_BITS + INDEX_BITS;
const TIME_MASK: u64 = (1 << 48) - 1;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name([u8; 16]);

        impl $name {
            /// From a UUID.
            pub const fn new(id: Uuid) -> Self {
                Self(id.into_bytes())
            }
            /// The sixteen bytes, for store keys.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
            /// Back from a store key.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Uuid::from_bytes(self.0).hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::try_parse(text).map(Self::new)
            }
        }
    };
}

uuid_id! {
    /// Id of a map, the tenant.
    MapId
}
uuid_id! {
    /// Public id of a token; tells nothing about the token itself.
    TokenId
}
uuid_id! {
    /// Id of a webhook, something that events are delivered to by request.
    WebhookId
}

/// Number of a topic, allocated by the replicated state and never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopicId(pub u64);

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Place of an entry: its group's log, and its index there. Indexes of different groups say nothing of each other, so there
/// is no order of positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LogPosition {
    /// Whose log.
    pub group: GroupId,
    /// Index in it.
    pub index: u64,
}

/// Id of an event: a ULID whose random part is the event's place in the log.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventId(u128);

impl EventId {
    /// Smaller than every id that is ever given.
    pub const ZERO: EventId = EventId(0);
    /// Characters of the text form.
    pub const TEXT_LEN: usize = 26;

    /// The id of the event at `place` of the entry at `index` of group 0; `time_ms` are milliseconds that never go back
    /// from entry to entry.
    pub const fn new(time_ms: u64, index: u64, place: u32) -> Self {
        Self::at(time_ms, LogPosition { group: 0, index }, place)
    }

    /// The id of the event at `place` of an entry of any group.
    pub const fn at(time_ms: u64, entry: LogPosition, place: u32) -> Self {
        let time = (time_ms & TIME_MASK) as u128;
        let group = (entry.group & MAX_GROUP) as u128;
        let index = entry.index as u128 & INDEX_MASK;
        Self(time << 80 | group << GROUP_SHIFT | index << PLACE_BITS | place as u128 & PLACE_MASK)
    }

    /// The id of an ephemeral event: the `counter`th of a node's incarnation.
    pub const fn ephemeral(time_ms: u64, incarnation: u32, counter: u64) -> Self {
        let time = (time_ms & TIME_MASK) as u128;
        let counter = counter as u128 & ((1 << COUNTER_BITS) - 1);
        let group = EPHEMERAL_GROUP as u128;
        Self(time << 80 | group << GROUP_SHIFT | (incarnation as u128) << COUNTER_BITS | counter)
    }

    /// Whether the event is in no stream: it has no seq, and nobody can resume by its id.
    pub const fn is_ephemeral(self) -> bool {
        self.group() == EPHEMERAL_GROUP
    }

    /// The id `places` further on in the same entry.
    pub const fn plus_place(self, places: u32) -> Self {
        Self(self.0 + places as u128)
    }

    /// The id's milliseconds: the highest time that the log had seen. Not the event's time, which may be earlier.
    pub const fn id_ms(self) -> u64 {
        (self.0 >> 80) as u64
    }

    /// The group whose log has the event.
    pub const fn group(self) -> GroupId {
        (self.0 >> GROUP_SHIFT) as GroupId & MAX_GROUP
    }

    /// Where the log entry lies that stored the event.
    pub const fn log_position(self) -> LogPosition {
        LogPosition { group: self.group(), index: (self.0 >> PLACE_BITS & INDEX_MASK) as u64 }
    }

    /// Big-endian bytes, which sort like the id.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// Back from [`EventId::to_bytes`].
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// The 26 Crockford characters, without an allocation.
    pub fn encode<'b>(&self, buffer: &'b mut [u8; Self::TEXT_LEN]) -> &'b str {
        ulid::Ulid(self.0).array_to_str(buffer)
    }
}

/// The text is no ULID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an event id: 26 characters of Crockford's base 32 are expected")]
pub struct NotAnEventId;

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.encode(&mut [0; Self::TEXT_LEN]))
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for EventId {
    type Err = NotAnEventId;

    /// Takes exactly 26 Crockford characters, in either case, that fit into 128 bits.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // 26 characters have room for 130 bits; the decoder would drop the upper two without a word.
        if !text.starts_with(|first: char| ('0'..='7').contains(&first)) {
            return Err(NotAnEventId);
        }
        ulid::Ulid::from_string(text).map(|id| Self(id.0)).map_err(|_| NotAnEventId)
    }
}

/// Names a consumer. Webhooks are the only consumers today.
pub type ConsumerId = WebhookId;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn event_ids_sort_by_time_then_log_position(a in any::<(u32, u32, u16)>(), b in any::<(u32, u32, u16)>()) {
            let id = |(t, i, p): (u32, u32, u16)| EventId::new(t.into(), i.into(), p.into());
            prop_assert_eq!(id(a).cmp(&id(b)), a.cmp(&b));
        }

        #[test]
        fn event_ids_survive_their_text_form(time in 0..TIME_MASK, index in 0..(1u64 << 48), place in 0u32..(1 << 20)) {
            let id = EventId::new(time, index, place);
            prop_assert_eq!(id.to_string().parse::<EventId>().unwrap(), id);
            prop_assert_eq!((id.id_ms(), id.log_position()), (time, LogPosition { group: 0, index }));
            prop_assert_eq!(u128::from_be_bytes(id.to_bytes()) >> 68 & 0xfff, 0, "the group");
            prop_assert_eq!(EventId::from_bytes(id.to_bytes()), id);
        }
    }

    proptest! {
        #[test]
        fn an_id_names_its_group(
            time in 0..TIME_MASK, group in 0..=MAX_GROUP, index in 0..(1u64 << 48), place in 0u32..(1 << 20)
        ) {
            let (entry, group_bits) = (LogPosition { group, index }, u128::from(group));
            let id = EventId::at(time, entry, place);
            prop_assert_eq!((id.id_ms(), id.group(), id.log_position()), (time, group, entry));
            prop_assert_eq!(u128::from_be_bytes(id.to_bytes()) >> 68 & 0xfff, group_bits);
            prop_assert_eq!(id == EventId::new(time, index, place), group == 0);
        }
    }

    #[test]
    fn ids_of_ephemeral_events_differ_from_all_others() {
        let id = EventId::ephemeral(1_750_509_296_789, u32::MAX, 5);
        assert!(id.is_ephemeral() && id.id_ms() == 1_750_509_296_789);
        assert_eq!(u128::from_be_bytes(id.to_bytes()) & ((1 << 36) - 1), 5);
        assert!(id < EventId::ephemeral(1_750_509_296_789, u32::MAX, 6));
        assert!(!EventId::new(1_750_509_296_789, (1 << 48) - 1, 5).is_ephemeral());
    }

    #[test]
    fn text_that_is_no_id_is_refused() {
        for text in [
            "",
            "1",
            "01J0XXXXXXXXXXXXXXXXXXX",
            "01J0XXXXXXXXXXXXXXXXXXXXXXX",
            "8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
            "01J0UUUUUUUUUUUUUUUUUUUUUU",
        ] {
            assert!(text.parse::<EventId>().is_err(), "{text}");
        }
    }
}
