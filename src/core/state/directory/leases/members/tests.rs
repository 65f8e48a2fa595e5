//! What a member costs in memory.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::core::channel_rules::MAX_MEMBERS;
use crate::core::ids::SocketId;
use crate::core::store::memory::MemoryStore;
use bytes::Bytes;

/// The most bytes of a member in a node's memory, beside its info.
const MOST: usize = 200;
const INCARNATION: Incarnation = 7;

/// The bytes of an allocation of this size: the allocator rounds up to 16 and needs a word of its own.
fn allocated(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { (bytes + size_of::<usize>()).next_multiple_of(16) }
}

/// The most bytes that an entry takes in a B-tree. A node of the tree has room for 11 entries, and has 6 at
/// least when the keys arrive in order; inner nodes take no more for each entry.
const fn entry<T>() -> usize {
    (size_of::<T>() * 11 + 32).div_ceil(6)
}

fn member(name: String) -> Member {
    Member {
        map: MapId::from_bytes([1; 16]),
        subject: Subject::parse("presence-a").unwrap(),
        name: name.into(),
    }
}

fn joining(number: u32) -> Join {
    Join {
        member: member(format!("user-{number:011}")),
        info: Bytes::from_static(br#"{"name":"Ada"}"#),
        socket: Some(SocketId::new(1, number.into())),
        grace_ms: 3000,
        is_held: false,
    }
}

/// The members of a channel are in the replicated state, and on the board that the node's clients watch. Both
/// share one record. What a node keeps for the sockets of its own members is not counted here.
#[test]
fn each_of_100_000_members_has_less_than_200_bytes_beside_its_info() {
    let mut members = Members::default();
    let mut store = MemoryStore::default();
    for number in 0..MAX_MEMBERS {
        let node = 1 + u64::from(number % 3);
        let joined = members.join((node, INCARNATION), &joining(number), MAX_MEMBERS, &mut store).unwrap();
        assert!(matches!(joined, Outcome::New(_)), "{number}");
    }
    let one_more = members.join((1, INCARNATION), &joining(MAX_MEMBERS), MAX_MEMBERS, &mut store).unwrap();
    assert!(matches!(one_more, Outcome::Full));
    let Member { map, subject, .. } = member(String::new());
    let mut count = 0;
    let mut bytes = 0;
    for present in members.of(map, &subject) {
        let in_state = entry::<(ByName, Holders)>();
        let on_board = entry::<ByName>();
        let counts_of_an_arc = 2 * size_of::<usize>();
        let record = allocated(size_of::<Present>() + counts_of_an_arc) + allocated(present.name.len());
        count += 1;
        bytes += in_state + on_board + record;
    }
    assert_eq!(count, MAX_MEMBERS as usize);
    assert!(bytes < count * MOST, "{} bytes for each", bytes / count);
}
