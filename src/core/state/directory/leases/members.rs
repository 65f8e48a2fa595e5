//! Presence members. A member is there as long as a node holds it, and for a grace period after that if the
//! node asked for one.
//!
//! A member in memory is one entry of a map and one record, which is shared with the node's actors: about 170
//! bytes beside its info.

use super::super::{StateError, keys};
use crate::core::codec;
use crate::core::ids::{MapId, NodeId};
use crate::core::lease::{ByName, Join, MAX_INFO_LEN, MAX_MEMBER_LEN, Member, Present};
use crate::core::state::records;
use crate::core::store::{ReadStore, WriteStore};
use crate::core::subject::Subject;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::sync::Arc;

/// A member that is gone, with its map and subject.
pub(super) type Gone = (MapId, Subject, Arc<Present>);

/// How a join ended.
pub(super) enum Outcome {
    /// There is one more member.
    New(Arc<Present>),
    /// The member was there already.
    Known,
    /// The subject has as many members as it may have.
    Full,
    /// The name or the info is invalid.
    Malformed,
}

/// The presence members of all subjects.
#[derive(Debug, Default)]
pub(super) struct Members {
    subjects: BTreeMap<(MapId, Subject), BTreeMap<ByName, Stay>>,
    /// The ends of the grace periods (milliseconds of the expiry clock).
    grace_ends: BTreeSet<(u64, Member)>,
}

/// Why a member is there.
#[derive(Debug, Default)]
struct Stay {
    holders: Holders,
    /// The end of its grace period (milliseconds of the expiry clock).
    until_ms: Option<NonZeroU64>,
}

/// The nodes that hold a member, each with the grace period that follows the end of its incarnation
/// (milliseconds).
#[derive(Debug, Default)]
enum Holders {
    #[default]
    None,
    One(NodeId, u32),
    #[expect(clippy::box_collection, reason = "the enum stays as small as its other variant")]
    Several(Box<BTreeMap<NodeId, u32>>),
}

impl Holders {
    fn add(&mut self, node: NodeId, grace_ms: u32) {
        match self {
            Self::None => *self = Self::One(node, grace_ms),
            Self::One(one, ms) if *one == node => *ms = grace_ms,
            Self::One(one, ms) => {
                *self = Self::Several(Box::new(BTreeMap::from([(*one, *ms), (node, grace_ms)])));
            }
            Self::Several(several) => drop(several.insert(node, grace_ms)),
        }
    }

    /// Removes a node and returns its grace period.
    fn remove(&mut self, node: NodeId) -> Option<u32> {
        match self {
            Self::One(one, ms) if *one == node => {
                let ms = *ms;
                *self = Self::None;
                Some(ms)
            }
            Self::None | Self::One(..) => None,
            Self::Several(several) => {
                let removed = several.remove(&node);
                if let (1, Some((&one, &ms))) = (several.len(), several.first_key_value()) {
                    *self = Self::One(one, ms);
                }
                removed
            }
        }
    }

    fn has(&self, node: NodeId) -> bool {
        match self {
            Self::None => false,
            Self::One(one, _) => *one == node,
            Self::Several(several) => several.contains_key(&node),
        }
    }
}

impl Stay {
    fn is_over(&self) -> bool {
        matches!(self.holders, Holders::None) && self.until_ms.is_none()
    }
}

impl Members {
    pub(super) fn load<S: ReadStore>(store: &S) -> Result<Self, StateError> {
        let mut members = Self::default();
        for (key, present) in records::<Present, S>(store, keys::PRESENT)? {
            if let Some(Member { map, subject, .. }) = keys::present_member(&key) {
                let of_subject = members.subjects.entry((map, subject)).or_default();
                of_subject.insert(ByName(Arc::new(present)), Stay::default());
            }
        }
        for (key, grace_ms) in records::<u32, S>(store, keys::MEMBERS)? {
            if let Some((node, member)) = keys::held_member(&key)
                && let Some(stay) = members.stay(&member)
            {
                stay.holders.add(node, grace_ms);
            }
        }
        for (key, until_ms) in records::<u64, S>(store, keys::PARTING)? {
            if let Some(member) = keys::present_member(&key)
                && let Some(stay) = members.stay(&member)
            {
                stay.until_ms = NonZeroU64::new(until_ms);
                members.grace_ends.insert((until_ms, member));
            }
        }
        Ok(members)
    }

    /// Returns the members of a subject, by name.
    pub(super) fn of(&self, map: MapId, subject: &Subject) -> impl Iterator<Item = &Arc<Present>> {
        self.subjects.get(&(map, subject.clone())).into_iter().flat_map(BTreeMap::keys).map(|by| &by.0)
    }

    /// Returns all members, with their maps and subjects.
    pub(super) fn all(&self) -> impl Iterator<Item = Gone> {
        self.subjects.iter().flat_map(|((map, subject), of_subject)| {
            of_subject.keys().map(move |by| (*map, subject.clone(), by.0.clone()))
        })
    }

    pub(super) fn are_there(&self, map: MapId, subject: &Subject) -> bool {
        self.subjects.contains_key(&(map, subject.clone()))
    }

    fn stay(&mut self, member: &Member) -> Option<&mut Stay> {
        self.subjects.get_mut(&(member.map, member.subject.clone()))?.get_mut(&*member.name)
    }

    /// Makes the node hold a member. The subject may have `limit` members.
    pub(super) fn join<S: WriteStore>(
        &mut self,
        node: NodeId,
        join: &Join,
        limit: u32,
        store: &mut S,
    ) -> Result<Outcome, StateError> {
        let Join { member, info, socket, grace_ms, is_held } = join;
        if member.name.is_empty() || member.name.len() > MAX_MEMBER_LEN || info.len() > MAX_INFO_LEN {
            return Ok(Outcome::Malformed);
        }
        let at = (member.map, member.subject.clone());
        let of_subject = self.subjects.get(&at);
        let is_known = of_subject.is_some_and(|of_subject| of_subject.contains_key(&*member.name));
        let has_room = *is_held || of_subject.map_or(0, BTreeMap::len) < limit as usize;
        if !is_known && !has_room {
            return Ok(Outcome::Full);
        }
        store.put(&keys::member(node, member), &codec::encode(grace_ms)?)?;
        if is_known {
            if let Some(stay) = self.stay(member) {
                stay.holders.add(node, *grace_ms);
            }
            // The member is back, so its grace period no longer counts.
            self.stop_grace(member, store)?;
            return Ok(Outcome::Known);
        }
        let present = Arc::new(Present { name: member.name.clone(), info: info[..].into(), socket: *socket });
        store.put(&keys::present(member), &codec::encode(&*present)?)?;
        let stay = Stay { holders: Holders::One(node, *grace_ms), until_ms: None };
        self.subjects.entry(at).or_default().insert(ByName(present.clone()), stay);
        Ok(Outcome::New(present))
    }

    /// Ends the node's hold of a member, which stays until then if a time is given (milliseconds of the expiry
    /// clock). Returns the member if it is gone.
    pub(super) fn leave<S: WriteStore>(
        &mut self,
        node: NodeId,
        member: &Member,
        until_ms: Option<u64>,
        store: &mut S,
    ) -> Result<Option<Gone>, StateError> {
        let Some(stay) = self.stay(member) else { return Ok(None) };
        if stay.holders.remove(node).is_none() {
            return Ok(None);
        }
        store.delete(&keys::member(node, member))?;
        if let Some(until_ms) = until_ms {
            self.begin_grace(member, until_ms, store)?;
        }
        self.end(member, store)
    }

    /// Ends all holds of a node whose incarnation has ended. Returns the members that are gone.
    pub(super) fn take_back<S: WriteStore>(
        &mut self,
        node: NodeId,
        now_ms: u64,
        store: &mut S,
    ) -> Result<Vec<Gone>, StateError> {
        if crate::failpoint!("ghost-kept") {
            return Ok(Vec::new());
        }
        let held = self.subjects.iter().flat_map(|((map, subject), of_subject)| {
            let held = of_subject.iter().filter(|(_, stay)| stay.holders.has(node));
            held.map(|(by, _)| Member { map: *map, subject: subject.clone(), name: by.0.name.clone() })
        });
        let mut gone = Vec::new();
        for member in held.collect::<Vec<_>>() {
            let Some(grace_ms) = self.stay(&member).and_then(|stay| stay.holders.remove(node)) else {
                continue;
            };
            store.delete(&keys::member(node, &member))?;
            if grace_ms > 0 {
                self.begin_grace(&member, now_ms + u64::from(grace_ms), store)?;
            }
            gone.extend(self.end(&member, store)?);
        }
        Ok(gone)
    }

    /// Ends up to `max` grace periods that are over. Returns the members that are gone, and whether there is
    /// more to end.
    pub(super) fn end_graces<S: WriteStore>(
        &mut self,
        now_ms: u64,
        max: usize,
        store: &mut S,
    ) -> Result<(Vec<Gone>, bool), StateError> {
        let is_due = |(until_ms, _): &&(u64, Member)| *until_ms <= now_ms;
        let due: Vec<Member> =
            self.grace_ends.iter().take_while(is_due).take(max).map(|(_, member)| member.clone()).collect();
        let mut gone = Vec::new();
        for member in due {
            self.stop_grace(&member, store)?;
            gone.extend(self.end(&member, store)?);
        }
        Ok((gone, self.grace_ends.first().as_ref().is_some_and(is_due)))
    }

    /// Removes a map's members.
    pub(super) fn forget<S: WriteStore>(&mut self, map: MapId, store: &mut S) -> Result<(), StateError> {
        let of_map: Vec<Subject> = self
            .subjects
            .range((map, Subject::own())..)
            .take_while(|((of, _), _)| *of == map)
            .map(|((_, subject), _)| subject.clone())
            .collect();
        for subject in of_map {
            for (ByName(present), stay) in self.subjects.remove(&(map, subject.clone())).unwrap_or_default() {
                let member = Member { map, subject: subject.clone(), name: present.name.clone() };
                store.delete(&keys::present(&member))?;
                if let Some(until_ms) = stay.until_ms {
                    self.grace_ends.remove(&(until_ms.get(), member.clone()));
                    store.delete(&keys::parting(&member))?;
                }
                match stay.holders {
                    Holders::None => {}
                    Holders::One(node, _) => store.delete(&keys::member(node, &member))?,
                    Holders::Several(nodes) => {
                        nodes.keys().try_for_each(|node| store.delete(&keys::member(*node, &member)))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Starts a grace period, or extends the one that is running.
    fn begin_grace<S: WriteStore>(
        &mut self,
        member: &Member,
        until_ms: u64,
        store: &mut S,
    ) -> Result<(), StateError> {
        let Some(stay) = self.stay(member) else { return Ok(()) };
        if crate::failpoint!("grace-ignored") {
            return Ok(());
        }
        let before = stay.until_ms.map(NonZeroU64::get);
        let until_ms = before.map_or(until_ms, |before| before.max(until_ms)).max(1);
        stay.until_ms = NonZeroU64::new(until_ms);
        if let Some(before) = before {
            self.grace_ends.remove(&(before, member.clone()));
        }
        self.grace_ends.insert((until_ms, member.clone()));
        Ok(store.put(&keys::parting(member), &codec::encode(&until_ms)?)?)
    }

    fn stop_grace<S: WriteStore>(&mut self, member: &Member, store: &mut S) -> Result<(), StateError> {
        let Some(until_ms) = self.stay(member).and_then(|stay| stay.until_ms.take()) else { return Ok(()) };
        self.grace_ends.remove(&(until_ms.get(), member.clone()));
        Ok(store.delete(&keys::parting(member))?)
    }

    /// Removes the member if nothing keeps it, and returns it then.
    fn end<S: WriteStore>(&mut self, member: &Member, store: &mut S) -> Result<Option<Gone>, StateError> {
        let at = (member.map, member.subject.clone());
        let Some(of_subject) = self.subjects.get_mut(&at) else { return Ok(None) };
        if !of_subject.get(&*member.name).is_some_and(Stay::is_over) {
            return Ok(None);
        }
        let removed = of_subject.remove_entry(&*member.name);
        if of_subject.is_empty() {
            self.subjects.remove(&at);
        }
        store.delete(&keys::present(member))?;
        Ok(removed.map(|(ByName(present), _)| (at.0, at.1, present)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes of an allocation of this size: the allocator rounds up to 16 and needs a word of its own.
    fn allocated(bytes: usize) -> usize {
        (bytes + size_of::<usize>()).next_multiple_of(16)
    }

    #[test]
    fn a_member_has_less_than_200_bytes_beside_its_info() {
        // A node of a B-tree has 11 entries. It is filled to 6 at least when the names arrive in order.
        let entry = (size_of::<(ByName, Stay)>() * 11 + 32) / 6;
        let name = 16;
        let counts_of_an_arc = 2 * size_of::<usize>();
        let record = allocated(size_of::<Present>() + counts_of_an_arc) + allocated(name);
        assert!(entry + record < 200, "{entry} + {record}");
    }
}
