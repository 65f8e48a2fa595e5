//! Presence members. A member is present through one or more connections. When an incarnation ends, each of
//! its members leaves at once or after a grace period, as the member's connection requested.

use super::super::{StateError, keys};
use crate::core::codec;
use crate::core::ids::{MapId, NodeId};
use crate::core::lease::{MAX_MEMBER_LEN, Member};
use crate::core::state::records;
use crate::core::store::{ReadStore, WriteStore};
use crate::core::subject::Subject;
use std::collections::{BTreeMap, BTreeSet};

/// A presence member, whichever connections it has: its map, subject and name.
type MemberKey = (MapId, Subject, Box<str>);

/// The presence members that nodes hold, and members whose node's incarnation has ended and whose grace
/// period still runs.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Presence {
    /// By node: the connections of members, each with its grace period in milliseconds.
    nodes: BTreeMap<NodeId, BTreeMap<Member, u32>>,
    /// Members whose node's incarnation has ended, with the end of their grace period (milliseconds of the
    /// expiry clock).
    departing: BTreeMap<MemberKey, u64>,
    grace_ends: BTreeSet<(u64, MemberKey)>,
    /// The number of connections of each present member; a grace period counts as one connection.
    connections: BTreeMap<MemberKey, u32>,
}

fn key_of(member: &Member) -> MemberKey {
    (member.map, member.subject.clone(), member.name.clone())
}

impl Presence {
    pub(super) fn load<S: ReadStore>(store: &S) -> Result<Self, StateError> {
        let mut presence = Self::default();
        for (key, (member, grace_ms)) in records::<(Member, u32), S>(store, keys::MEMBERS)? {
            if let Some(node) = keys::node_of(&key) {
                presence.count(key_of(&member), true);
                presence.nodes.entry(node).or_default().insert(member, grace_ms);
            }
        }
        for (_, (key, until_ms)) in records::<(MemberKey, u64), S>(store, keys::PARTING)? {
            presence.count(key.clone(), true);
            presence.grace_ends.insert((until_ms, key.clone()));
            presence.departing.insert(key, until_ms);
        }
        Ok(presence)
    }

    /// Returns the members of a subject, by name, with the number of their connections.
    pub(super) fn of<'p>(&'p self, map: MapId, subject: &'p Subject) -> impl Iterator<Item = (&'p str, u32)> {
        let first = (map, subject.clone(), Box::<str>::default());
        let of_subject =
            self.connections.range(first..).take_while(move |((of, at, _), _)| *of == map && at == subject);
        of_subject.map(|((_, _, name), connections)| (&**name, *connections))
    }

    /// Adds a connection of a member. Returns false if the member's name is invalid.
    pub(super) fn join<S: WriteStore>(
        &mut self,
        node: NodeId,
        member: &Member,
        grace_ms: u32,
        store: &mut S,
    ) -> Result<bool, StateError> {
        if member.name.is_empty() || member.name.len() > MAX_MEMBER_LEN {
            return Ok(false);
        }
        store.put(&keys::member(node, member), &codec::encode(&(member, grace_ms))?)?;
        let known = self.nodes.entry(node).or_default().insert(member.clone(), grace_ms);
        let key = key_of(member);
        if known.is_none() {
            self.count(key.clone(), true);
        }
        // The member is back, so its grace period no longer counts.
        self.end_grace(&key, store)?;
        Ok(true)
    }

    pub(super) fn leave<S: WriteStore>(
        &mut self,
        node: NodeId,
        member: &Member,
        store: &mut S,
    ) -> Result<(), StateError> {
        let Some(held) = self.nodes.get_mut(&node) else { return Ok(()) };
        if held.remove(member).is_none() {
            return Ok(());
        }
        if held.is_empty() {
            self.nodes.remove(&node);
        }
        self.count(key_of(member), false);
        Ok(store.delete(&keys::member(node, member))?)
    }

    /// Removes the node's members: the node's incarnation has ended.
    pub(super) fn take_back<S: WriteStore>(
        &mut self,
        node: NodeId,
        now_ms: u64,
        store: &mut S,
    ) -> Result<(), StateError> {
        for (member, grace_ms) in self.nodes.get(&node).cloned().unwrap_or_default() {
            if grace_ms > 0 {
                self.begin_grace(key_of(&member), now_ms + u64::from(grace_ms), store)?;
            }
            self.leave(node, &member, store)?;
        }
        Ok(())
    }

    /// Removes the members whose grace period is over.
    pub(super) fn time_passes<S: WriteStore>(
        &mut self,
        now_ms: u64,
        store: &mut S,
    ) -> Result<(), StateError> {
        while let Some((until_ms, key)) =
            self.grace_ends.first().cloned().filter(|(until_ms, _)| *until_ms <= now_ms)
        {
            debug_assert_eq!(self.departing.get(&key), Some(&until_ms));
            self.end_grace(&key, store)?;
        }
        Ok(())
    }

    /// Removes a map's members.
    pub(super) fn forget<S: WriteStore>(&mut self, map: MapId, store: &mut S) -> Result<(), StateError> {
        let of_map = |(node, held): (&NodeId, &BTreeMap<Member, u32>)| {
            let of_map = held.keys().filter(|member| member.map == map);
            of_map.map(|member| (*node, member.clone())).collect::<Vec<_>>()
        };
        for (node, member) in self.nodes.iter().flat_map(of_map).collect::<Vec<_>>() {
            self.leave(node, &member, store)?;
        }
        let departing: Vec<MemberKey> =
            self.departing.keys().filter(|(of, ..)| *of == map).cloned().collect();
        departing.iter().try_for_each(|key| self.end_grace(key, store))
    }

    /// Starts a grace period, or extends the one that is running.
    fn begin_grace<S: WriteStore>(
        &mut self,
        key: MemberKey,
        until_ms: u64,
        store: &mut S,
    ) -> Result<(), StateError> {
        let known = self.departing.get(&key).copied();
        let until_ms = known.map_or(until_ms, |known| known.max(until_ms));
        match known {
            Some(known) => drop(self.grace_ends.remove(&(known, key.clone()))),
            None => self.count(key.clone(), true),
        }
        store.put(&keys::parting(key.0, &key.1, &key.2), &codec::encode(&(&key, until_ms))?)?;
        self.grace_ends.insert((until_ms, key.clone()));
        self.departing.insert(key, until_ms);
        Ok(())
    }

    fn end_grace<S: WriteStore>(&mut self, key: &MemberKey, store: &mut S) -> Result<(), StateError> {
        let Some(until_ms) = self.departing.remove(key) else { return Ok(()) };
        self.grace_ends.remove(&(until_ms, key.clone()));
        self.count(key.clone(), false);
        Ok(store.delete(&keys::parting(key.0, &key.1, &key.2))?)
    }

    fn count(&mut self, key: MemberKey, more: bool) {
        let before = self.connections.get(&key).copied().unwrap_or(0);
        match if more { before + 1 } else { before.saturating_sub(1) } {
            0 => drop(self.connections.remove(&key)),
            after => drop(self.connections.insert(key, after)),
        }
    }
}
