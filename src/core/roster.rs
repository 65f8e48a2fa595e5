//! What one node holds of presence, and how it tells the cluster.
//!
//! A node counts the memberships and subscriptions of its own connections. The cluster learns only the ends:
//! that the node has a member, or none any more, and how many subscriptions a subject has where somebody wants
//! to know. One batch is under way at a time, and it is repeated as it was until its outcome is known. What
//! changes meanwhile gathers for the next batch. Maps take turns in a batch, so that none fills it alone. An
//! incarnation first states all that the node holds, and says when it has.

mod held;
mod room;
mod statement;
#[cfg(test)]
mod tests;

use super::command::{Denied, Refusal};
use super::ids::{MapId, NodeId, SocketId};
use super::lease::{Incarnation, Join, Member, PresenceBatch, PresenceChange};
use super::lifecycle::is_told_of;
use super::subject::Subject;
use bytes::Bytes;
use held::{Held, Known, Subscriptions, size};
use statement::Statement;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

/// The most changes of one batch.
const MOST_CHANGES: usize = 4096;
/// The most bytes of one batch, roughly.
const MOST_BYTES: usize = 256 * 1024;
/// The changes of a map in a row, before another map has its turn.
const TURN: usize = 64;

/// What may have to be told.
#[derive(Clone, Debug)]
enum Item {
    Member(Member),
    Subject(Subject),
}

/// What becomes of somebody who joins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// The member is there already.
    Already,
    /// The answer comes with a batch.
    Later,
}

/// What this node holds. `W` is somebody who waits for a join.
#[derive(Debug)]
pub struct Roster<W> {
    /// Clients choose the names, so the hashes have a random key. What is told does not depend on the order.
    members: HashMap<Member, Held<W>>,
    subjects: BTreeMap<MapId, BTreeMap<Subject, Subscriptions>>,
    /// Maps whose subscriptions the cluster wants to know.
    wanted: BTreeSet<MapId>,
    /// Maps for which that changed since the batch that is under way was made.
    rewanted: BTreeSet<MapId>,
    queues: BTreeMap<MapId, VecDeque<Item>>,
    statement: Statement,
    /// The number of the incarnation's last batch.
    number: u64,
    /// The batch that is under way.
    under_way: Option<PresenceBatch>,
}

/// The answer for somebody who waited.
pub type Answer<W> = (W, Result<(), Refusal>);

impl<W> Default for Roster<W> {
    fn default() -> Self {
        Self {
            members: HashMap::new(),
            subjects: BTreeMap::new(),
            wanted: BTreeSet::new(),
            rewanted: BTreeSet::new(),
            queues: BTreeMap::new(),
            statement: Statement::of(std::iter::empty()),
            number: 0,
            under_way: None,
        }
    }
}

impl<W> Roster<W> {
    /// Adds a membership. `waiting` is dropped if the member is there already.
    pub fn join(&mut self, member: &Member, info: Bytes, socket: Option<SocketId>, waiting: W) -> Joined {
        let held = self.members.entry(member.clone()).or_insert_with(Held::new);
        if held.memberships == 0 && matches!(held.known, Known::Absent | Known::Leaving) {
            // Nobody is there: the user joins anew, with what this membership says.
            held.info = info;
            held.socket = socket;
        }
        held.memberships = held.memberships.saturating_add(1);
        // The user is back, so no grace period counts any more.
        held.grace_ends = None;
        if held.known == Known::Present {
            return Joined::Already;
        }
        held.waiting.push(waiting);
        self.queue_member(member);
        Joined::Later
    }

    /// Ends a membership, which a grace period follows. After the last membership the member stays as long as
    /// one of these periods lasts. `now` is a time of a monotonic clock of this process.
    pub fn leave(&mut self, member: &Member, grace_ms: u32, now: Duration) {
        let Some(held) = self.members.get_mut(member) else { return };
        held.memberships = held.memberships.saturating_sub(1);
        let grace = Duration::from_millis(grace_ms.into());
        held.grace_ends = held.grace_ends.max(Some(now + grace));
        if held.memberships == 0 {
            let left = held.grace_ends.map_or(grace, |end| end.saturating_sub(now));
            held.leave_ms = u32::try_from(left.as_millis()).unwrap_or(u32::MAX);
            self.queue_member(member);
            self.forget_absent(member);
        }
    }

    /// Counts one more subscription of the subject.
    pub fn occupy(&mut self, map: MapId, subject: &Subject) {
        let of_map = self.subjects.entry(map).or_default();
        let of_subject = match of_map.get_mut(subject) {
            Some(known) => known,
            None => of_map.entry(subject.clone()).or_insert(Subscriptions::NONE),
        };
        of_subject.count = of_subject.count.saturating_add(1);
        self.queue_subject(map, subject);
    }

    /// Counts one subscription of the subject less.
    pub fn vacate(&mut self, map: MapId, subject: &Subject) {
        let Some(of_map) = self.subjects.get_mut(&map) else { return };
        let Some(of_subject) = of_map.get_mut(subject) else { return };
        of_subject.count = of_subject.count.saturating_sub(1);
        self.queue_subject(map, subject);
        self.forget_unused(map, subject);
    }

    /// The cluster wants to know the map's subscriptions from now on, or no longer. It knows none of them then.
    pub fn want(&mut self, map: MapId, is_wanted: bool) {
        let changes = if is_wanted { self.wanted.insert(map) } else { self.wanted.remove(&map) };
        if !changes {
            return;
        }
        // The batch under way may be applied before the change or after it.
        let told = self.under_way.is_none().then_some(0);
        if told.is_none() {
            self.rewanted.insert(map);
        }
        let Some(of_map) = self.subjects.get_mut(&map) else { return };
        of_map.values_mut().for_each(|of_subject| of_subject.told = told);
        let subjects: Vec<Subject> = of_map.keys().cloned().collect();
        subjects.iter().for_each(|subject| {
            self.queue_subject(map, subject);
            self.forget_unused(map, subject);
        });
    }

    /// Visits the occupied subjects of a map by name, from the first one that is not less than `from`, until
    /// `visit` returns false.
    pub fn occupied(&self, map: MapId, from: &Subject, mut visit: impl FnMut(&Subject, u32) -> bool) {
        let of_map = self.subjects.get(&map).into_iter().flat_map(|of_map| of_map.range(from.clone()..));
        for (subject, of_subject) in of_map.filter(|(_, of_subject)| of_subject.count > 0) {
            if !visit(subject, of_subject.count) {
                return;
            }
        }
    }

    /// Returns how many subscriptions of the subject this node has.
    pub fn subscriptions(&self, map: MapId, subject: &Subject) -> u32 {
        self.subjects.get(&map).and_then(|of_map| of_map.get(subject)).map_or(0, |known| known.count)
    }

    /// Returns whether there is a batch to send.
    pub fn has_news(&self) -> bool {
        self.under_way.is_some() || !self.queues.is_empty() || self.statement.is_owed()
    }

    /// Returns the batch to send: the one whose outcome is unknown, or else the next one. Its members stay for
    /// `grace_ms` after the incarnation has ended.
    pub fn batch(&mut self, node: NodeId, incarnation: Incarnation, grace_ms: u32) -> Option<PresenceBatch> {
        if self.under_way.is_none() {
            let changes = self.next_changes(grace_ms);
            let whole = self.statement.completes();
            if changes.is_empty() && !whole {
                return None;
            }
            self.number += 1;
            self.under_way = Some(PresenceBatch { node, incarnation, number: self.number, whole, changes });
        }
        self.under_way.clone()
    }

    /// The batch under way was applied, on this node too, except for the denied changes. Returns the answers
    /// for those who waited.
    pub fn settle(&mut self, denied: &[Denied]) -> Vec<Answer<W>> {
        let mut answers = Vec::new();
        let Some(batch) = self.under_way.take() else { return answers };
        let mut denied: BTreeMap<usize, &Refusal> =
            denied.iter().map(|denied| (denied.index as usize, &denied.why)).collect();
        for (index, change) in batch.changes.into_iter().enumerate() {
            match change {
                PresenceChange::Join(join) => {
                    self.settle_join(&join.member, denied.remove(&index), &mut answers)
                }
                PresenceChange::Leave { member, .. } => self.settle_leave(&member),
                PresenceChange::Occupy { map, subject, count } => self.settle_count(map, &subject, count),
            }
        }
        self.rewanted.clear();
        answers
    }

    /// Another incarnation of the node begins, which has to state all that it holds. Until it has, the cluster
    /// shows what the one before had.
    pub fn begin_again(&mut self) {
        self.number = 0;
        self.under_way = None;
        self.rewanted.clear();
        for held in self.members.values_mut() {
            held.was_known |= matches!(held.known, Known::Present | Known::Leaving);
            held.known = Known::Absent;
        }
        self.subjects.values_mut().flat_map(BTreeMap::values_mut).for_each(|known| known.told = Some(0));
        let mut members: Vec<Member> = self.members.keys().cloned().collect();
        members.sort_unstable();
        members.iter().for_each(|member| {
            self.queue_member(member);
            self.forget_absent(member);
        });
        for (map, subject) in self.all_subjects() {
            self.queue_subject(map, &subject);
            self.forget_unused(map, &subject);
        }
        self.statement = Statement::of(self.queues.iter().map(|(map, queue)| (*map, queue.len())));
    }

    fn all_subjects(&self) -> Vec<(MapId, Subject)> {
        let subjects = self.subjects.iter();
        subjects.flat_map(|(map, of_map)| of_map.keys().map(|subject| (*map, subject.clone()))).collect()
    }

    fn settle_join(&mut self, member: &Member, refusal: Option<&Refusal>, answers: &mut Vec<Answer<W>>) {
        let Some(held) = self.members.get_mut(member) else { return };
        held.known = if refusal.is_none() { Known::Present } else { Known::Absent };
        held.was_known = refusal.is_none();
        let answer = || refusal.map_or(Ok(()), |refusal| Err(refusal.clone()));
        answers.extend(held.waiting.drain(..).map(|waiting| (waiting, answer())));
        if refusal.is_none() {
            self.queue_member(member);
        }
        // Whoever was refused ends the membership.
        self.forget_absent(member);
    }

    fn settle_leave(&mut self, member: &Member) {
        if let Some(held) = self.members.get_mut(member) {
            held.known = Known::Absent;
            held.was_known = false;
        }
        self.queue_member(member);
        self.forget_absent(member);
    }

    fn settle_count(&mut self, map: MapId, subject: &Subject, count: u32) {
        // Whether the cluster forgot the count after the batch or before it is unknown then.
        let told = if self.rewanted.contains(&map) { None } else { Some(count) };
        let of_map = self.subjects.entry(map).or_default();
        of_map.entry(subject.clone()).or_insert(Subscriptions::NONE).told = told;
        self.queue_subject(map, subject);
        self.forget_unused(map, subject);
    }

    /// Takes what is to be told next.
    fn next_changes(&mut self, grace_ms: u32) -> Vec<PresenceChange> {
        let mut changes = Vec::new();
        let mut bytes = 0;
        while changes.len() < MOST_CHANGES && bytes < MOST_BYTES && !self.queues.is_empty() {
            let maps: Vec<MapId> = self.queues.keys().copied().collect();
            for map in maps {
                if changes.len() == MOST_CHANGES || bytes >= MOST_BYTES {
                    break;
                }
                for item in self.turn_of(map, TURN.min(MOST_CHANGES - changes.len())) {
                    let change = match item {
                        Item::Member(member) => self.change_of_member(member, grace_ms),
                        Item::Subject(subject) => self.change_of_subject(map, subject),
                    };
                    bytes += change.as_ref().map_or(0, size);
                    changes.extend(change);
                }
            }
        }
        changes
    }

    /// Takes up to `most` items of the map's queue.
    fn turn_of(&mut self, map: MapId, most: usize) -> Vec<Item> {
        let Some(queue) = self.queues.get_mut(&map) else { return Vec::new() };
        let turn: Vec<Item> = queue.drain(..most.min(queue.len())).collect();
        if queue.is_empty() {
            self.queues.remove(&map);
        }
        self.statement.took(map, turn.len());
        turn
    }

    /// Returns what the cluster must learn of the member.
    fn change_of_member(&mut self, member: Member, grace_ms: u32) -> Option<PresenceChange> {
        let held = self.members.get_mut(&member)?;
        held.is_queued = false;
        match (held.memberships > 0, held.known) {
            (true, Known::Absent) => {
                held.known = Known::Joining;
                Some(PresenceChange::Join(Join {
                    info: held.info.clone(),
                    socket: held.socket,
                    grace_ms,
                    is_held: held.was_known,
                    member,
                }))
            }
            (false, Known::Present) => {
                held.known = Known::Leaving;
                Some(PresenceChange::Leave { grace_ms: held.leave_ms, member })
            }
            _ => {
                self.forget_absent(&member);
                None
            }
        }
    }

    /// Returns what the cluster must learn of the subject's subscriptions.
    fn change_of_subject(&mut self, map: MapId, subject: Subject) -> Option<PresenceChange> {
        let known = self.subjects.get_mut(&map)?.get_mut(&subject)?;
        known.is_queued = false;
        let count = known.count;
        if known.told == Some(count) || !self.wanted.contains(&map) {
            self.forget_unused(map, &subject);
            return None;
        }
        known.told = None;
        Some(PresenceChange::Occupy { map, subject, count })
    }

    fn queue_member(&mut self, member: &Member) {
        let Some(held) = self.members.get_mut(member) else { return };
        let is_settled = match held.known {
            Known::Absent => held.memberships == 0,
            Known::Present => held.memberships > 0,
            // The end of the batch decides.
            Known::Joining | Known::Leaving => true,
        };
        if !is_settled && !held.is_queued {
            held.is_queued = true;
            self.queues.entry(member.map).or_default().push_back(Item::Member(member.clone()));
        }
    }

    fn queue_subject(&mut self, map: MapId, subject: &Subject) {
        if !self.wanted.contains(&map) || !is_told_of(subject) {
            return;
        }
        let Some(known) = self.subjects.get_mut(&map).and_then(|of_map| of_map.get_mut(subject)) else {
            return;
        };
        if known.told != Some(known.count) && !known.is_queued {
            known.is_queued = true;
            self.queues.entry(map).or_default().push_back(Item::Subject(subject.clone()));
        }
    }

    fn forget_absent(&mut self, member: &Member) {
        let is_absent = |held: &Held<W>| held.memberships == 0 && held.known == Known::Absent;
        if self.members.get(member).is_some_and(|held| is_absent(held) && !held.is_queued) {
            self.members.remove(member);
        }
    }

    fn forget_unused(&mut self, map: MapId, subject: &Subject) {
        let Some(of_map) = self.subjects.get_mut(&map) else { return };
        let is_told = self.wanted.contains(&map) && is_told_of(subject);
        let is_unused = |known: &Subscriptions| {
            known.count == 0 && (known.told == Some(0) || !is_told) && !known.is_queued
        };
        if of_map.get(subject).is_some_and(is_unused) {
            of_map.remove(subject);
        }
        if of_map.is_empty() {
            self.subjects.remove(&map);
        }
    }
}
