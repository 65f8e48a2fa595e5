//! Presence members. A member is there as long as a node holds it, and for a grace period after that if the
//! node asked for one.
//!
//! A member in memory is one entry of a map and one record, which is shared with the node's actors: about 196
//! bytes beside its info.

mod graces;

#[cfg(test)]
mod tests;

use super::super::{StateError, keys};
use crate::core::codec;
use crate::core::ids::{MapId, NodeId};
use crate::core::lease::{ByName, Incarnation, Join, MAX_INFO_LEN, MAX_MEMBER_LEN, Member, Present};
use crate::core::state::records;
use crate::core::store::{ReadStore, WriteStore};
use crate::core::subject::Subject;
use graces::Graces;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The most bytes of a hold, as stored.
const OF_HOLD: usize = 16;
/// The most bytes that a member has beside its name and info, as stored.
const OF_PRESENT: usize = 32;

/// A member that is gone, with its map and subject.
pub(super) type Gone = (MapId, Subject, Arc<Present>);

/// Who holds something: a node, in one of its incarnations.
pub(super) type By = (NodeId, Incarnation);

/// A piece of the holds of a node's earlier incarnations that were looked at.
#[derive(Default)]
pub(super) struct Swept {
    /// The members that are gone.
    pub(super) gone: Vec<Gone>,
    /// How many holds were looked at.
    pub(super) looked: usize,
    /// The key of the next hold; `None` if there is no more.
    pub(super) next: Option<Vec<u8>>,
}

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

/// The members of a subject, by name.
type OfSubject = BTreeMap<ByName, Holders>;

/// The presence members of all subjects. What nodes store and tell does not depend on the order of the maps and
/// subjects.
#[derive(Debug, Default)]
pub(super) struct Members {
    /// Clients choose the names of subjects, so their hashes have a random key.
    maps: FxHashMap<MapId, HashMap<Subject, OfSubject>>,
    graces: Graces,
}

/// What a node's hold of a member is, as stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Hold {
    incarnation: Incarnation,
    /// The grace period that follows the end of the incarnation (milliseconds).
    grace_ms: u32,
}

/// The nodes that hold a member. Without them, its grace period keeps it.
#[derive(Debug, Default)]
enum Holders {
    #[default]
    None,
    /// One node. The hold is written out, so that it leaves room for the variant.
    One { node: NodeId, incarnation: Incarnation, grace_ms: u32 },
    #[expect(clippy::box_collection, reason = "the enum stays as small as its other variant")]
    Several(Box<BTreeMap<NodeId, Hold>>),
}

impl Holders {
    fn one(node: NodeId, Hold { incarnation, grace_ms }: Hold) -> Self {
        Self::One { node, incarnation, grace_ms }
    }

    fn add(&mut self, node: NodeId, hold: Hold) {
        match self {
            Self::None => *self = Self::one(node, hold),
            Self::One { node: one, .. } if *one == node => *self = Self::one(node, hold),
            Self::One { node: one, incarnation, grace_ms } => {
                let first = (*one, Hold { incarnation: *incarnation, grace_ms: *grace_ms });
                *self = Self::Several(Box::new(BTreeMap::from([first, (node, hold)])));
            }
            Self::Several(several) => drop(several.insert(node, hold)),
        }
    }

    /// Removes a node and returns its hold.
    fn remove(&mut self, node: NodeId) -> Option<Hold> {
        let removed = self.get(node)?;
        match self {
            Self::None | Self::One { .. } => *self = Self::None,
            Self::Several(several) => {
                several.remove(&node);
                if let (1, Some((&one, &hold))) = (several.len(), several.first_key_value()) {
                    *self = Self::one(one, hold);
                }
            }
        }
        Some(removed)
    }

    fn are_none(&self) -> bool {
        matches!(self, Self::None)
    }

    fn get(&self, node: NodeId) -> Option<Hold> {
        match self {
            Self::One { node: one, incarnation, grace_ms } if *one == node => {
                Some(Hold { incarnation: *incarnation, grace_ms: *grace_ms })
            }
            Self::None | Self::One { .. } => None,
            Self::Several(several) => several.get(&node).copied(),
        }
    }
}

impl Members {
    pub(super) fn load<S: ReadStore>(store: &S) -> Result<Self, StateError> {
        let mut members = Self::default();
        for (key, present) in records::<Present, S>(store, keys::PRESENT)? {
            if let Some(Member { map, subject, .. }) = keys::present_member(&key) {
                let of_subject = members.maps.entry(map).or_default().entry(subject).or_default();
                of_subject.insert(ByName(Arc::new(present)), Holders::default());
            }
        }
        for (key, hold) in records::<Hold, S>(store, keys::MEMBERS)? {
            if let Some((node, member)) = keys::held_member(&key)
                && let Some(holders) = members.holders(&member)
            {
                holders.add(node, hold);
            }
        }
        for (key, until_ms) in records::<u64, S>(store, keys::PARTING)? {
            if let Some(member) = keys::present_member(&key)
                && members.holders(&member).is_some()
            {
                members.graces.set(&member, until_ms);
            }
        }
        Ok(members)
    }

    /// Returns the members of a subject, by name.
    pub(super) fn of(&self, map: MapId, subject: &Subject) -> impl Iterator<Item = &Arc<Present>> {
        self.of_subject(map, subject).into_iter().flat_map(BTreeMap::keys).map(|by| &by.0)
    }

    fn of_subject(&self, map: MapId, subject: &Subject) -> Option<&OfSubject> {
        self.maps.get(&map)?.get(subject)
    }

    /// Returns all members, with their maps and subjects.
    pub(super) fn all(&self) -> impl Iterator<Item = Gone> {
        let subjects = self.maps.iter().flat_map(|(map, of_map)| {
            of_map.iter().map(move |(subject, of_subject)| (*map, subject, of_subject))
        });
        subjects.flat_map(|(map, subject, of_subject)| {
            of_subject.keys().map(move |by| (map, subject.clone(), by.0.clone()))
        })
    }

    pub(super) fn are_there(&self, map: MapId, subject: &Subject) -> bool {
        self.of_subject(map, subject).is_some()
    }

    fn holders(&mut self, member: &Member) -> Option<&mut Holders> {
        self.maps.get_mut(&member.map)?.get_mut(&member.subject)?.get_mut(&*member.name)
    }

    /// Makes the node hold a member. The subject may have `limit` members.
    pub(super) fn join<S: WriteStore>(
        &mut self,
        (node, incarnation): By,
        join: &Join,
        limit: u32,
        store: &mut S,
    ) -> Result<Outcome, StateError> {
        let Join { member, info, socket, grace_ms, is_held } = join;
        if member.name.is_empty() || member.name.len() > MAX_MEMBER_LEN || info.len() > MAX_INFO_LEN {
            return Ok(Outcome::Malformed);
        }
        let of_subject = self.of_subject(member.map, &member.subject);
        let is_known = of_subject.is_some_and(|of_subject| of_subject.contains_key(&*member.name));
        let has_room = *is_held || of_subject.map_or(0, BTreeMap::len) < limit as usize;
        if !is_known && !has_room {
            return Ok(Outcome::Full);
        }
        let hold = Hold { incarnation, grace_ms: *grace_ms };
        store.put(&keys::member(node, member), &codec::encode_about(&hold, OF_HOLD)?)?;
        if is_known {
            if let Some(holders) = self.holders(member) {
                holders.add(node, hold);
            }
            // The member is back, so its grace period no longer counts.
            self.stop_grace(member, store)?;
            return Ok(Outcome::Known);
        }
        let present = Arc::new(Present { name: member.name.clone(), info: info[..].into(), socket: *socket });
        let bytes = OF_PRESENT + present.name.len() + present.info.len();
        store.put(&keys::present(member), &codec::encode_about(&*present, bytes)?)?;
        let of_subject = self.maps.entry(member.map).or_default().entry(member.subject.clone()).or_default();
        of_subject.insert(ByName(present.clone()), Holders::one(node, hold));
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
        let Some(holders) = self.holders(member) else { return Ok(None) };
        if holders.remove(node).is_none() {
            return Ok(None);
        }
        store.delete(&keys::member(node, member))?;
        if let Some(until_ms) = until_ms {
            self.begin_grace(member, until_ms, store)?;
        }
        self.end(member, store)
    }

    /// Ends holds of a node's incarnations other than the `present` one, which ended at `ended_ms`. It looks at
    /// up to `max` of the node's holds, by their keys from `from` on.
    pub(super) fn end_holds<S: WriteStore>(
        &mut self,
        (node, present): (NodeId, Option<Incarnation>),
        ended_ms: u64,
        (from, max): (&[u8], usize),
        store: &mut S,
    ) -> Result<Swept, StateError> {
        let mut swept = Swept::default();
        if crate::failpoint!("ghost-kept") {
            return Ok(swept);
        }
        let (first, to) = keys::members_of(node);
        let mut held = Vec::new();
        store.scan(from.max(&first[..]), &to, &mut |key, _| {
            if swept.looked == max {
                swept.next = Some(key.to_vec());
                return false;
            }
            swept.looked += 1;
            held.extend(keys::held_member(key).map(|(_, member)| member));
            true
        })?;
        for member in held {
            let Some(holders) = self.holders(&member) else { continue };
            let Some(hold) = holders.get(node).filter(|hold| Some(hold.incarnation) != present) else {
                continue;
            };
            holders.remove(node);
            store.delete(&keys::member(node, &member))?;
            if hold.grace_ms > 0 {
                self.begin_grace(&member, ended_ms + u64::from(hold.grace_ms), store)?;
            }
            swept.gone.extend(self.end(&member, store)?);
        }
        Ok(swept)
    }

    /// Ends up to `max` grace periods that are over. Returns the members that are gone, and whether there is
    /// more to end.
    pub(super) fn end_graces<S: WriteStore>(
        &mut self,
        now_ms: u64,
        max: usize,
        store: &mut S,
    ) -> Result<(Vec<Gone>, bool), StateError> {
        let mut gone = Vec::new();
        for member in self.graces.due(now_ms, max) {
            self.stop_grace(&member, store)?;
            gone.extend(self.end(&member, store)?);
        }
        Ok((gone, self.graces.are_due(now_ms)))
    }

    /// Removes a map's members.
    pub(super) fn forget<S: WriteStore>(&mut self, map: MapId, store: &mut S) -> Result<(), StateError> {
        for (subject, of_subject) in self.maps.remove(&map).unwrap_or_default() {
            for (ByName(present), holders) in of_subject {
                let member = Member { map, subject: subject.clone(), name: present.name.clone() };
                store.delete(&keys::present(&member))?;
                self.stop_grace(&member, store)?;
                match holders {
                    Holders::None => {}
                    Holders::One { node, .. } => store.delete(&keys::member(node, &member))?,
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
        if self.holders(member).is_none() {
            return Ok(());
        }
        if crate::failpoint!("grace-ignored") {
            return Ok(());
        }
        let until_ms = self.graces.of(member).map_or(until_ms, |before| before.max(until_ms));
        self.graces.set(member, until_ms);
        Ok(store.put(&keys::parting(member), &codec::encode(&until_ms)?)?)
    }

    fn stop_grace<S: WriteStore>(&mut self, member: &Member, store: &mut S) -> Result<(), StateError> {
        if self.graces.stop(member) {
            store.delete(&keys::parting(member))?;
        }
        Ok(())
    }

    /// Removes the member if nothing keeps it, and returns it then.
    fn end<S: WriteStore>(&mut self, member: &Member, store: &mut S) -> Result<Option<Gone>, StateError> {
        let Some(of_map) = self.maps.get_mut(&member.map) else { return Ok(None) };
        let Some(of_subject) = of_map.get_mut(&member.subject) else { return Ok(None) };
        let is_held = of_subject.get(&*member.name).is_none_or(|holders| !holders.are_none());
        if is_held || self.graces.of(member).is_some() {
            return Ok(None);
        }
        let removed = of_subject.remove_entry(&*member.name);
        if of_subject.is_empty() {
            of_map.remove(&member.subject);
        }
        if of_map.is_empty() {
            self.maps.remove(&member.map);
        }
        store.delete(&keys::present(member))?;
        Ok(removed.map(|(ByName(present), _)| (member.map, member.subject.clone(), present)))
    }
}
