//! Members of subjects, each there by one connection or more. When an incarnation ends its members go, at once or when
//! their grace is over, whichever they asked for.

use super::super::{StateError, keys};
use crate::core::codec;
use crate::core::ids::{MapId, NodeId};
use crate::core::lease::{MAX_MEMBER_LEN, Member};
use crate::core::state::records;
use crate::core::store::{ReadStore, WriteStore};
use crate::core::subject::Subject;
use std::collections::{BTreeMap, BTreeSet};

/// A member whoever's connection it is by.
type Who = (MapId, Subject, Box<str>);

/// Who is present in which subject, and by which connections.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Presence {
    /// By node, with the grace in milliseconds.
    nodes: BTreeMap<NodeId, BTreeMap<Member, u32>>,
    /// Until when (expiry clock) those stay whose incarnation has ended.
    parting: BTreeMap<Who, u64>,
    ends: BTreeSet<(u64, Who)>,
    /// By how many connections each is there; parting ones count for one.
    there: BTreeMap<Who, u32>,
}

fn who(member: &Member) -> Who {
    (member.map, member.subject.clone(), member.name.clone())
}

impl Presence {
    pub(super) fn load<S: ReadStore>(store: &S) -> Result<Self, StateError> {
        let mut presence = Self::default();
        for (key, (member, grace_ms)) in records::<(Member, u32), S>(store, keys::MEMBERS)? {
            if let Some(node) = keys::node_of(&key) {
                presence.count(who(&member), true);
                presence.nodes.entry(node).or_default().insert(member, grace_ms);
            }
        }
        for (_, (who, until_ms)) in records::<(Who, u64), S>(store, keys::PARTING)? {
            presence.count(who.clone(), true);
            presence.ends.insert((until_ms, who.clone()));
            presence.parting.insert(who, until_ms);
        }
        Ok(presence)
    }

    /// The members of a subject, by name, and by how many connections each is there.
    pub(super) fn of<'p>(&'p self, map: MapId, subject: &'p Subject) -> impl Iterator<Item = (&'p str, u32)> {
        let first = (map, subject.clone(), Box::<str>::default());
        let of_subject =
            self.there.range(first..).take_while(move |((of, at, _), _)| *of == map && at == subject);
        of_subject.map(|((_, _, name), connections)| (&**name, *connections))
    }

    /// A connection has the member there. False: the name is none.
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
        let who = who(member);
        if known.is_none() {
            self.count(who.clone(), true);
        }
        // It is back: what it was there by before counts no more.
        self.part(&who, store)?;
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
        self.count(who(member), false);
        Ok(store.delete(&keys::member(node, member))?)
    }

    /// The node's incarnation has ended.
    pub(super) fn take_back<S: WriteStore>(
        &mut self,
        node: NodeId,
        now_ms: u64,
        store: &mut S,
    ) -> Result<(), StateError> {
        for (member, grace_ms) in self.nodes.get(&node).cloned().unwrap_or_default() {
            if grace_ms > 0 {
                self.stay(who(&member), now_ms + u64::from(grace_ms), store)?;
            }
            self.leave(node, &member, store)?;
        }
        Ok(())
    }

    /// Those whose grace is over go.
    pub(super) fn time_passes<S: WriteStore>(
        &mut self,
        now_ms: u64,
        store: &mut S,
    ) -> Result<(), StateError> {
        while let Some((until_ms, who)) =
            self.ends.first().cloned().filter(|(until_ms, _)| *until_ms <= now_ms)
        {
            debug_assert_eq!(self.parting.get(&who), Some(&until_ms));
            self.part(&who, store)?;
        }
        Ok(())
    }

    /// Forgets a map's members.
    pub(super) fn forget<S: WriteStore>(&mut self, map: MapId, store: &mut S) -> Result<(), StateError> {
        let of_map = |(node, held): (&NodeId, &BTreeMap<Member, u32>)| {
            let of_map = held.keys().filter(|member| member.map == map);
            of_map.map(|member| (*node, member.clone())).collect::<Vec<_>>()
        };
        for (node, member) in self.nodes.iter().flat_map(of_map).collect::<Vec<_>>() {
            self.leave(node, &member, store)?;
        }
        let parting: Vec<Who> = self.parting.keys().filter(|(of, ..)| *of == map).cloned().collect();
        parting.iter().try_for_each(|who| self.part(who, store))
    }

    /// Stays until then, or longer if that was so before.
    fn stay<S: WriteStore>(&mut self, who: Who, until_ms: u64, store: &mut S) -> Result<(), StateError> {
        let known = self.parting.get(&who).copied();
        let until_ms = known.map_or(until_ms, |known| known.max(until_ms));
        match known {
            Some(known) => drop(self.ends.remove(&(known, who.clone()))),
            None => self.count(who.clone(), true),
        }
        store.put(&keys::parting(who.0, &who.1, &who.2), &codec::encode(&(&who, until_ms))?)?;
        self.ends.insert((until_ms, who.clone()));
        self.parting.insert(who, until_ms);
        Ok(())
    }

    fn part<S: WriteStore>(&mut self, who: &Who, store: &mut S) -> Result<(), StateError> {
        let Some(until_ms) = self.parting.remove(who) else { return Ok(()) };
        self.ends.remove(&(until_ms, who.clone()));
        self.count(who.clone(), false);
        Ok(store.delete(&keys::parting(who.0, &who.1, &who.2))?)
    }

    fn count(&mut self, who: Who, more: bool) {
        let before = self.there.get(&who).copied().unwrap_or(0);
        match if more { before + 1 } else { before.saturating_sub(1) } {
            0 => drop(self.there.remove(&who)),
            after => drop(self.there.insert(who, after)),
        }
    }
}
