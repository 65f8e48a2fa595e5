//! Keys of presence: members, subscriptions, and what was told of them.

use super::{ENDINGS, MEMBERS, OCCUPIED, PARTING, PRESENCE_HOLDERS, PRESENT, SUBSCRIPTIONS, join, node_of};
use crate::core::ids::{MapId, NodeId};
use crate::core::lease::Member;
use crate::core::subject::Subject;

/// The key of the last presence batch of a node's present incarnation.
pub fn presence_holder(node: NodeId) -> [u8; 9] {
    join(PRESENCE_HOLDERS, &node.to_be_bytes())
}

/// The key of what a node's earlier incarnations hold and is still to be ended.
pub fn ending(node: NodeId) -> [u8; 9] {
    join(ENDINGS, &node.to_be_bytes())
}

/// Returns the range of the [`member`] keys of a node.
pub fn members_of(node: NodeId) -> ([u8; 9], [u8; 9]) {
    (of_node(MEMBERS, node), of_node(MEMBERS, node.saturating_add(1)))
}

/// The key of a presence member.
pub fn present(member: &Member) -> Vec<u8> {
    of_member(&[PRESENT], member)
}

/// The key of a presence member in its grace period.
pub fn parting(member: &Member) -> Vec<u8> {
    of_member(&[PARTING], member)
}

/// The key of a presence member that a node holds.
pub fn member(node: NodeId, member: &Member) -> Vec<u8> {
    of_member(&of_node(MEMBERS, node), member)
}

/// The key of the subscriptions of a subject that a node holds.
pub fn subscriptions(node: NodeId, map: MapId, subject: &Subject) -> Vec<u8> {
    of_subject(&of_node(SUBSCRIPTIONS, node), map, subject, "")
}

/// The key of a channel of which it was told that it is occupied.
pub fn occupied(map: MapId, subject: &Subject) -> Vec<u8> {
    of_subject(&[OCCUPIED], map, subject, "")
}

fn of_node(prefix: u8, node: NodeId) -> [u8; 9] {
    join(prefix, &node.to_be_bytes())
}

/// The beginning of a key, then a member.
fn of_member(beginning: &[u8], member: &Member) -> Vec<u8> {
    of_subject(beginning, member.map, &member.subject, &member.name)
}

/// The beginning of a key, then a map, one of its subjects, and the rest.
fn of_subject(beginning: &[u8], map: MapId, subject: &Subject, rest: &str) -> Vec<u8> {
    let name = subject.as_str().as_bytes();
    let mut key = Vec::with_capacity(beginning.len() + 17 + name.len() + rest.len());
    key.extend_from_slice(beginning);
    key.extend_from_slice(map.as_bytes());
    // A subject has fewer than 256 bytes.
    key.push(name.len() as u8);
    key.extend_from_slice(name);
    key.extend_from_slice(rest.as_bytes());
    key
}

/// Decodes a [`present`] or [`parting`] key.
pub fn present_member(key: &[u8]) -> Option<Member> {
    member_in(key.get(1..)?)
}

/// Decodes a [`member`] key.
pub fn held_member(key: &[u8]) -> Option<(NodeId, Member)> {
    Some((node_of(key)?, member_in(key.get(9..)?)?))
}

/// Decodes a [`subscriptions`] key.
pub fn subscriptions_of(key: &[u8]) -> Option<(NodeId, MapId, Subject)> {
    let Member { map, subject, .. } = member_in(key.get(9..)?)?;
    Some((node_of(key)?, map, subject))
}

/// Decodes an [`occupied`] key.
pub fn occupied_subject(key: &[u8]) -> Option<(MapId, Subject)> {
    let Member { map, subject, .. } = member_in(key.get(1..)?)?;
    Some((map, subject))
}

/// Decodes a map, one of its subjects, and the rest as a name.
fn member_in(key: &[u8]) -> Option<Member> {
    let (map, rest) = key.split_first_chunk::<16>()?;
    let (&len, rest) = rest.split_first()?;
    let (subject, name) = rest.split_at_checked(usize::from(len))?;
    let subject = Subject::parse_any(std::str::from_utf8(subject).ok()?).ok()?;
    Some(Member { map: MapId::from_bytes(*map), subject, name: std::str::from_utf8(name).ok()?.into() })
}
