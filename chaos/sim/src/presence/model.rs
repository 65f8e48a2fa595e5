//! What must be true of presence after a list of commands. It is as simple as possible, and shares no code with
//! the state machine.

use std::collections::{BTreeMap, BTreeSet};

use machine::core::codec;
use machine::core::command::Command;
use machine::core::lease::PresenceChange;

use super::replica::Entry;

/// A subject and a user.
pub(super) type Who = (String, String);
/// What is told of a subject, in order: what happened, and to which user.
pub(super) type Told = BTreeMap<String, Vec<(&'static str, String)>>;

/// A node's present incarnation.
#[derive(Default)]
struct Node {
    incarnation: u64,
    /// The number of its last presence batch.
    last: u64,
    /// The members that it holds, with their grace periods (ms). What an earlier incarnation held stays until the
    /// present one has stated everything.
    members: BTreeMap<Who, (u32, Of)>,
    subscriptions: BTreeMap<String, (u32, Of)>,
}

/// Which incarnation holds something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Present,
    Earlier,
}

/// Who is there, and what was told.
#[derive(Default)]
pub(super) struct Model {
    nodes: BTreeMap<u64, Node>,
    /// The ends of grace periods.
    graces: BTreeMap<Who, u64>,
    occupied: BTreeSet<String>,
    pub(super) told: Told,
}

impl Model {
    /// Applies all commands.
    pub(super) fn after(entries: &[Entry]) -> Self {
        let mut model = Self::default();
        entries.iter().for_each(|entry| model.apply(entry));
        model
    }

    /// The members of all subjects.
    pub(super) fn members(&self) -> BTreeSet<Who> {
        let held = self.nodes.values().flat_map(|node| node.members.keys());
        held.chain(self.graces.keys()).cloned().collect()
    }

    fn apply(&mut self, Entry { expiry_ms, command }: &Entry) {
        match codec::decode(command) {
            Ok(Command::Lease(batch)) => {
                let is_present =
                    self.nodes.get(&batch.node).is_some_and(|node| node.incarnation == batch.incarnation);
                if batch.whole && !is_present {
                    let node = self.nodes.entry(batch.node).or_default();
                    (node.incarnation, node.last) = (batch.incarnation, 0);
                    node.members.values_mut().for_each(|(_, of)| *of = Of::Earlier);
                    node.subscriptions.values_mut().for_each(|(_, of)| *of = Of::Earlier);
                }
            }
            Ok(Command::NodeGone(node)) => {
                self.end(node, &[Of::Earlier, Of::Present], *expiry_ms);
                self.nodes.remove(&node);
            }
            Ok(Command::Presence(batch)) => {
                let Some(node) = self.nodes.get_mut(&batch.node) else { return };
                if node.incarnation != batch.incarnation || batch.number <= node.last {
                    return;
                }
                node.last = batch.number;
                for change in &batch.changes {
                    self.change(batch.node, change, *expiry_ms);
                }
                if batch.whole {
                    self.end(batch.node, &[Of::Earlier], *expiry_ms);
                }
            }
            Ok(Command::EndGraces) => self.end_graces(*expiry_ms),
            _ => {}
        }
    }

    fn change(&mut self, id: u64, change: &PresenceChange, now_ms: u64) {
        match change {
            PresenceChange::Join(join) => {
                let who = (join.member.subject.to_string(), join.member.name.to_string());
                let is_new = !self.members().contains(&who);
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.members.insert(who.clone(), (join.grace_ms, Of::Present));
                }
                self.graces.remove(&who);
                self.look(&who.0);
                if is_new {
                    self.tell("member_added", who);
                }
            }
            PresenceChange::Leave { member, grace_ms } => {
                let who = (member.subject.to_string(), member.name.to_string());
                let held = self.nodes.get_mut(&id).and_then(|node| node.members.remove(&who));
                if held.is_some() {
                    self.lose(who, *grace_ms, now_ms);
                }
            }
            PresenceChange::Occupy { subject, count, .. } => {
                if let Some(node) = self.nodes.get_mut(&id) {
                    node.subscriptions.insert(subject.to_string(), (*count, Of::Present));
                }
                self.look(subject.as_str());
            }
        }
    }

    /// A node no longer holds a member.
    fn lose(&mut self, who: Who, grace_ms: u32, now_ms: u64) {
        if grace_ms > 0 {
            let until_ms = self.graces.entry(who.clone()).or_default();
            *until_ms = (*until_ms).max(now_ms + u64::from(grace_ms));
        }
        let subject = who.0.clone();
        if !self.members().contains(&who) {
            self.tell("member_removed", who);
        }
        self.look(&subject);
    }

    /// What these incarnations of a node hold ends: first the members, while the channels keep the subscriptions.
    fn end(&mut self, id: u64, which: &[Of], now_ms: u64) {
        let Some(node) = self.nodes.get(&id) else { return };
        let ends = |of: &Of| which.contains(of);
        let over = node.members.iter().filter(|(_, (_, of))| ends(of));
        let over: Vec<(Who, u32)> = over.map(|(who, (grace_ms, _))| (who.clone(), *grace_ms)).collect();
        let unused = node.subscriptions.iter().filter(|(_, (_, of))| ends(of));
        let unused: Vec<String> = unused.map(|(subject, _)| subject.clone()).collect();
        for (who, grace_ms) in over {
            self.nodes.get_mut(&id).and_then(|node| node.members.remove(&who));
            self.lose(who, grace_ms, now_ms);
        }
        if let Some(node) = self.nodes.get_mut(&id) {
            node.subscriptions.retain(|_, (_, of)| !ends(of));
        }
        unused.iter().for_each(|subject| self.look(subject));
    }

    fn end_graces(&mut self, now_ms: u64) {
        let due = self.graces.iter().filter(|(_, until_ms)| **until_ms <= now_ms);
        let mut due: Vec<(u64, Who)> = due.map(|(who, until_ms)| (*until_ms, who.clone())).collect();
        due.sort_unstable();
        for (_, who) in due {
            self.graces.remove(&who);
            self.lose(who, 0, now_ms);
        }
    }

    /// Tells whether the channel is occupied, if that changed.
    fn look(&mut self, subject: &str) {
        let counted = |node: &Node| node.subscriptions.get(subject).is_some_and(|(count, _)| *count > 0);
        let is_occupied =
            self.nodes.values().any(counted) || self.members().iter().any(|(of, _)| of == subject);
        if is_occupied && self.occupied.insert(subject.to_owned()) {
            self.tell("channel_occupied", (subject.to_owned(), String::new()));
        } else if !is_occupied && self.occupied.remove(subject) {
            self.tell("channel_vacated", (subject.to_owned(), String::new()));
        }
    }

    fn tell(&mut self, what: &'static str, (subject, user): Who) {
        self.told.entry(subject).or_default().push((what, user));
    }
}
