//! Identifiers of maps, streams, tokens, webhooks, nodes and events.
//!
//! An [`EventId`] is a ULID that names the event's own position in the log: 48 bits of milliseconds that
//! never go back, 12 bits for the log's group (0 today: there is one group), 48 bits of log index, and 20
//! bits for the slot in the log entry. Ids of one group therefore sort in log order on every node; events of
//! two groups have no order between them. Ids are not a clock: an event's time is stored beside its id. The
//! id of an ephemeral event names no position: its group is [`EPHEMERAL_GROUP`], followed by 32 bits of the
//! publishing node's incarnation and 36 bits of a counter.

use super::json::MAX_SAFE_INTEGER;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// The number of a node in the cluster. A number is never used twice.
pub type NodeId = u64;

/// The number of a group: one log, and the state that is applied from it. At most [`MAX_GROUP`].
pub type GroupId = u16;
/// The highest group number: an event's id has 12 bits for it.
pub const MAX_GROUP: GroupId = (1 << GROUP_BITS) - 1;
/// The group in the ids of ephemeral events. No log has this number.
pub const EPHEMERAL_GROUP: GroupId = MAX_GROUP;

const SLOT_BITS: u32 = 20;
const INDEX_BITS: u32 = 48;
const GROUP_BITS: u32 = 12;
const INDEX_MASK: u128 = (1 << INDEX_BITS) - 1;
const SLOT_MASK: u128 = (1 << SLOT_BITS) - 1;
/// Bits of an ephemeral event's counter, which follow 32 bits of the incarnation.
const COUNTER_BITS: u32 = 36;
const GROUP_SHIFT: u32 = SLOT_BITS + INDEX_BITS;
const TIME_MASK: u64 = (1 << 48) - 1;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Makes an id from a UUID.
            pub const fn new(id: Uuid) -> Self {
                Self(id.into_bytes())
            }
            /// Returns the sixteen bytes, for store keys.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
            /// Makes an id from the bytes of a store key.
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
    /// The id of a map, the tenant.
    MapId
}
uuid_id! {
    /// The public id of a token. It reveals nothing about the token's secret.
    TokenId
}
uuid_id! {
    /// The id of a webhook.
    WebhookId
}

/// The id of an ingest source: `wh_` and 32 hexadecimal digits. 122 of its bits are random, so nobody finds a
/// source by guessing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SourceId([u8; 16]);

impl SourceId {
    /// What every id begins with.
    pub const PREFIX: &str = "wh_";

    /// Makes an id from a UUID.
    pub const fn new(id: Uuid) -> Self {
        Self(id.into_bytes())
    }

    /// Returns the sixteen bytes, for store keys.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Makes an id from the bytes of a store key.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, Uuid::from_bytes(self.0).simple())
    }
}

impl fmt::Debug for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is not the id of an ingest source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the id of an ingest source: wh_ and 32 hexadecimal digits are expected")]
pub struct NotASourceId;

impl FromStr for SourceId {
    type Err = NotASourceId;

    /// Accepts only what [`SourceId`]'s `Display` writes, so that a source has one address.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix(Self::PREFIX).ok_or(NotASourceId)?;
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if digits.len() != 32 || !digits.bytes().all(is_digit) {
            return Err(NotASourceId);
        }
        Uuid::try_parse(digits).map(Self::new).map_err(|_| NotASourceId)
    }
}

/// The number of a stream. The replicated state assigns it and never uses a number twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopicId(pub u64);

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The position of a log entry: its group, and its index in the group's log. Indexes of different groups
/// cannot be compared, so positions have no order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LogPosition {
    /// The group.
    pub group: GroupId,
    /// The index in the group's log.
    pub index: u64,
}

/// The id of an event: a ULID whose random part is the event's position in the log.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventId(u128);

impl EventId {
    /// Smaller than the id of every event.
    pub const ZERO: EventId = EventId(0);
    /// The number of characters of the text form.
    pub const TEXT_LEN: usize = 26;

    /// Returns the id of the event in slot `slot` of the entry at `index` of group 0. `time_ms` must never go
    /// back from entry to entry.
    pub const fn new(time_ms: u64, index: u64, slot: u32) -> Self {
        Self::at(time_ms, LogPosition { group: 0, index }, slot)
    }

    /// Returns the id of the event in slot `slot` of an entry of any group.
    pub const fn at(time_ms: u64, entry: LogPosition, slot: u32) -> Self {
        let time = (time_ms & TIME_MASK) as u128;
        let group = (entry.group & MAX_GROUP) as u128;
        let index = entry.index as u128 & INDEX_MASK;
        Self(time << 80 | group << GROUP_SHIFT | index << SLOT_BITS | slot as u128 & SLOT_MASK)
    }

    /// Returns the id of an ephemeral event: number `counter` of a node's incarnation.
    pub const fn ephemeral(time_ms: u64, incarnation: u32, counter: u64) -> Self {
        let time = (time_ms & TIME_MASK) as u128;
        let counter = counter as u128 & ((1 << COUNTER_BITS) - 1);
        let group = EPHEMERAL_GROUP as u128;
        Self(time << 80 | group << GROUP_SHIFT | (incarnation as u128) << COUNTER_BITS | counter)
    }

    /// Returns whether the event is ephemeral: it has no seq, and no client can resume by its id.
    pub const fn is_ephemeral(self) -> bool {
        self.group() == EPHEMERAL_GROUP
    }

    /// Returns the id `slots` further on in the same entry.
    pub const fn plus_slots(self, slots: u32) -> Self {
        Self(self.0 + slots as u128)
    }

    /// Returns the id's milliseconds: the highest time in the log so far. The event's time may be earlier.
    pub const fn id_ms(self) -> u64 {
        (self.0 >> 80) as u64
    }

    /// Returns the group whose log has the event.
    pub const fn group(self) -> GroupId {
        (self.0 >> GROUP_SHIFT) as GroupId & MAX_GROUP
    }

    /// Returns the position of the log entry that stored the event.
    pub const fn log_position(self) -> LogPosition {
        LogPosition { group: self.group(), index: (self.0 >> SLOT_BITS & INDEX_MASK) as u64 }
    }

    /// Returns the event's place in its log entry.
    pub const fn slot(self) -> u32 {
        (self.0 & SLOT_MASK) as u32
    }

    /// Returns big-endian bytes, which sort like the id.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// Decodes what [`EventId::to_bytes`] wrote.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    /// Writes the 26 Crockford characters into `buffer`, without an allocation.
    pub fn encode<'b>(&self, buffer: &'b mut [u8; Self::TEXT_LEN]) -> &'b str {
        ulid::Ulid(self.0).array_to_str(buffer)
    }
}

/// Why a text is not an event id: it is not a ULID.
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

    /// Accepts exactly 26 Crockford characters, in either case, that fit into 128 bits.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // 26 characters can hold 130 bits. The decoder would drop the upper two without an error.
        if !text.starts_with(|first: char| ('0'..='7').contains(&first)) {
            return Err(NotAnEventId);
        }
        ulid::Ulid::from_string(text).map(|id| Self(id.0)).map_err(|_| NotAnEventId)
    }
}

/// The id of a client's socket, as clients and back ends write it: `A.B`, two decimal numbers. Both are at most
/// [`MAX_SAFE_INTEGER`](super::json::MAX_SAFE_INTEGER), so that every language reads them exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SocketId {
    /// The number before the dot.
    pub a: u64,
    /// The number behind the dot.
    pub b: u64,
}

impl SocketId {
    /// Returns the id of a new socket of that node. `random` tells the node's sockets apart: 53 of its bits
    /// count.
    pub const fn new(node: NodeId, random: u64) -> Self {
        Self { a: node & MAX_SAFE_INTEGER, b: random & MAX_SAFE_INTEGER }
    }
}

/// Why a text is not a socket's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a socket id: two decimal numbers below 2^53 with a dot between them are expected")]
pub struct NotASocketId;

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.a, self.b)
    }
}

impl FromStr for SocketId {
    type Err = NotASocketId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |digits: &str| {
            // `parse` alone would accept a sign.
            let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            let value = digits.parse().ok().filter(|value| is_plain && *value <= MAX_SAFE_INTEGER);
            value.ok_or(NotASocketId)
        };
        let (a, b) = text.split_once('.').ok_or(NotASocketId)?;
        Ok(Self { a: number(a)?, b: number(b)? })
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
        fn event_ids_sort_by_time_then_log_position(
            a in any::<(u32, u32, u16)>(), b in any::<(u32, u32, u16)>(),
        ) {
            let id = |(t, i, p): (u32, u32, u16)| EventId::new(t.into(), i.into(), p.into());
            prop_assert_eq!(id(a).cmp(&id(b)), a.cmp(&b));
        }

        #[test]
        fn event_ids_survive_their_text_form(
            time in 0..TIME_MASK, index in 0..(1u64 << 48), slot in 0u32..(1 << 20),
        ) {
            let id = EventId::new(time, index, slot);
            prop_assert_eq!(id.to_string().parse::<EventId>().unwrap(), id);
            prop_assert_eq!((id.id_ms(), id.log_position()), (time, LogPosition { group: 0, index }));
            prop_assert_eq!(u128::from_be_bytes(id.to_bytes()) >> 68 & 0xfff, 0, "the group");
            prop_assert_eq!(EventId::from_bytes(id.to_bytes()), id);
        }
    }

    proptest! {
        #[test]
        fn an_id_names_its_group(
            time in 0..TIME_MASK, group in 0..=MAX_GROUP, index in 0..(1u64 << 48), slot in 0u32..(1 << 20)
        ) {
            let entry = LogPosition { group, index };
            let group_bits = u128::from(group);
            let id = EventId::at(time, entry, slot);
            prop_assert_eq!((id.id_ms(), id.group(), id.log_position()), (time, group, entry));
            prop_assert_eq!(u128::from_be_bytes(id.to_bytes()) >> 68 & 0xfff, group_bits);
            prop_assert_eq!(id == EventId::new(time, index, slot), group == 0);
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

    proptest! {
        #[test]
        fn socket_ids_survive_their_text_form(node in any::<u64>(), random in any::<u64>()) {
            let id = SocketId::new(node, random);
            prop_assert!(id.a <= MAX_SAFE_INTEGER && id.b <= MAX_SAFE_INTEGER);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
        }
    }

    #[test]
    fn texts_that_are_no_socket_ids_are_refused() {
        assert_eq!("123.456".parse(), Ok(SocketId { a: 123, b: 456 }));
        for text in
            ["", ".", "1", "1.", ".2", "1.2.3", "-1.2", "+1.2", "1. 2", "1.2\n", "9007199254740992.1", "x.1"]
        {
            assert_eq!(text.parse::<SocketId>(), Err(NotASocketId), "{text}");
        }
    }

    #[test]
    fn malformed_ids_are_refused() {
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
