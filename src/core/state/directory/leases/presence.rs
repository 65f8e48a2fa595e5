//! Who is there: applies the nodes' presence batches, and tells the facts that follow.
//!
//! The state machine decides each fact, so it is told once, in the order of the log, whatever nodes do. A
//! channel is occupied while it has subscriptions or members. So it is occupied before its first member is
//! added, and vacated after its last one is removed.

use super::super::{Directory, StateError, keys};
use super::ending::MOST_ENDS;
use super::members::{By, Gone, Outcome};
use super::subscriptions::Of;
use super::{Holder, Standing};
use crate::core::codec;
use crate::core::command::{Change, Counted, Denied, Refusal, Reply};
use crate::core::ids::MapId;
use crate::core::lease::{Join, PresenceBatch, PresenceChange, Present};
use crate::core::lifecycle::{Lifecycle, is_told_of};
use crate::core::state::steps::Step;
use crate::core::store::WriteStore;
use crate::core::subject::Subject;
use crate::core::webhook::Wants;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Directory {
    /// Applies a presence batch once. A repetition gets the reply of the first time.
    pub(in crate::core::state::directory) fn presence<S: WriteStore>(
        &mut self,
        now_ms: u64,
        batch: &PresenceBatch,
        store: &mut S,
    ) -> Result<Reply, StateError> {
        match self.leases.standing_of_presence(batch) {
            Standing::New => {}
            Standing::Repeated(denied) => return Ok(Reply::Leased(denied)),
            Standing::Stale => return Ok(Reply::Refused(Refusal::Stale(0))),
        }
        let mut denied = Vec::new();
        for (index, change) in (0..).zip(&batch.changes) {
            if let Some(why) = self.change_presence(now_ms, (batch.node, batch.incarnation), change, store)? {
                denied.push(Denied { index, granted: 0, why });
            }
        }
        if batch.whole {
            self.end_earlier(now_ms, batch.node, store)?;
        }
        let holder = Holder { incarnation: batch.incarnation, last: batch.number, denied: denied.clone() };
        store.put(&keys::presence_holder(batch.node), &codec::encode(&holder)?)?;
        self.leases.presence_holders.insert(batch.node, holder);
        Ok(Reply::Leased(denied))
    }

    /// Applies one change. Returns why it was refused.
    fn change_presence<S: WriteStore>(
        &mut self,
        now_ms: u64,
        by: By,
        change: &PresenceChange,
        store: &mut S,
    ) -> Result<Option<Refusal>, StateError> {
        match change {
            PresenceChange::Join(join) => return self.join(by, join, store),
            PresenceChange::Leave { member, grace_ms } => {
                let until_ms = (*grace_ms > 0).then(|| now_ms + u64::from(*grace_ms));
                if let Some(gone) = self.leases.members.leave(by.0, member, until_ms, store)? {
                    let of = self.tell_gone(gone);
                    self.look_at_channel(&of, false, store)?;
                }
            }
            PresenceChange::Occupy { map, subject, count } => {
                let of = (*map, subject.clone());
                // Nobody wants to know, or the map is gone.
                if !self.wants_of(*map).counts() {
                    return Ok(None);
                }
                if self.leases.subscriptions.set(by, &of, *count, store)? {
                    self.look_at_channel(&of, true, store)?;
                }
            }
        }
        Ok(None)
    }

    fn join<S: WriteStore>(
        &mut self,
        by: By,
        join: &Join,
        store: &mut S,
    ) -> Result<Option<Refusal>, StateError> {
        let member = &join.member;
        let Some(map) = self.access.map(member.map) else { return Ok(Some(Refusal::UnknownMap)) };
        let limit = map.rules.members_max_of(member.subject.as_str());
        match self.leases.members.join(by, join, limit, store)? {
            Outcome::New(present) => self.joined((member.map, member.subject.clone()), present, store)?,
            Outcome::Known => {}
            Outcome::Full => return Ok(Some(Refusal::Limit(Counted::Members, limit))),
            Outcome::Malformed => return Ok(Some(Refusal::Malformed)),
        }
        Ok(None)
    }

    fn joined<S: WriteStore>(
        &mut self,
        of: Of,
        present: Arc<Present>,
        store: &mut S,
    ) -> Result<(), StateError> {
        self.look_at_channel(&of, false, store)?;
        self.tell(of.0, || Lifecycle::MemberAdded {
            channel: of.1.clone(),
            user: (&*present.name).into(),
            info: present.info.to_vec().into(),
            socket: present.socket,
        });
        self.changes.push(Change::Joined(of.0, of.1, present));
        Ok(())
    }

    /// Tells that members are gone, and that the subscriptions of channels changed.
    pub(super) fn left<S: WriteStore>(
        &mut self,
        gone: Vec<Gone>,
        changed: Vec<Of>,
        store: &mut S,
    ) -> Result<(), StateError> {
        let channels: BTreeSet<Of> = gone.into_iter().map(|gone| self.tell_gone(gone)).collect();
        for of in &changed {
            self.look_at_channel(of, true, store)?;
        }
        channels.iter().try_for_each(|of| self.look_at_channel(of, false, store))
    }

    /// Tells that a member is gone. Returns the channel, which may be vacated now.
    fn tell_gone(&mut self, (map, subject, present): Gone) -> Of {
        self.tell(map, || Lifecycle::MemberRemoved {
            channel: subject.clone(),
            user: (&*present.name).into(),
            socket: present.socket,
        });
        self.changes.push(Change::Left(map, subject.clone(), present));
        (map, subject)
    }

    /// Tells what changed of a channel: whether it is occupied, and how many subscriptions it has.
    fn look_at_channel<S: WriteStore>(
        &mut self,
        of: &Of,
        count_changed: bool,
        store: &mut S,
    ) -> Result<(), StateError> {
        if !self.wants_of(of.0).counts() || !is_told_of(&of.1) {
            return Ok(());
        }
        let channel = || of.1.clone();
        let count = self.leases.subscriptions.of(of);
        let is_occupied = count > 0 || self.leases.members.are_there(of.0, &of.1);
        let is_told = self.leases.subscriptions.is_told(of);
        if is_occupied && !is_told {
            self.leases.subscriptions.tell(of, true, store)?;
            self.tell(of.0, || Lifecycle::ChannelOccupied { channel: channel() });
        }
        if count_changed {
            self.tell(of.0, || Lifecycle::SubscriptionCount { channel: channel(), count });
        }
        if !is_occupied && is_told {
            self.leases.subscriptions.tell(of, false, store)?;
            self.tell(of.0, || Lifecycle::ChannelVacated { channel: channel() });
            if crate::failpoint!("vacated-twice") {
                self.tell(of.0, || Lifecycle::ChannelVacated { channel: channel() });
            }
        }
        Ok(())
    }

    /// Tells a fact to the streams, if somebody wants it.
    fn tell(&mut self, map: MapId, fact: impl FnOnce() -> Lifecycle) {
        let wants = self.wants_of(map);
        if wants == Wants::NOTHING {
            return;
        }
        let fact = fact();
        if !wants.has(fact.kind()) || !fact.channel().is_none_or(is_told_of) {
            return;
        }
        let event = fact.event();
        match self.steps.last_mut() {
            Some(Step::Append(of, events)) if *of == map && events.len() < Step::MOST_EVENTS => {
                events.push(event);
            }
            _ => self.steps.push(Step::Append(map, vec![event])),
        }
    }

    /// Ends what earlier incarnations hold, and removes members whose grace period is over, a bounded number of
    /// each. Returns whether there are more.
    pub(in crate::core::state::directory) fn end_graces<S: WriteStore>(
        &mut self,
        now_ms: u64,
        store: &mut S,
    ) -> Result<bool, StateError> {
        let more_holds = self.end_holds(store)?;
        let (gone, more) = self.leases.members.end_graces(now_ms, MOST_ENDS, store)?;
        self.left(gone, Vec::new(), store)?;
        Ok(more || more_holds)
    }

    /// The map's webhooks or rules changed. Subscriptions are known only while somebody wants to know them.
    pub(in crate::core::state::directory) fn look_at_wants<S: WriteStore>(
        &mut self,
        map: MapId,
        store: &mut S,
    ) -> Result<(), StateError> {
        let before = self.wants_of(map);
        let wants = Wants::of(self.access.map(map).map(|map| &**map), self.webhooks.of_map(map));
        if wants == Wants::NOTHING {
            self.wants.remove(&map);
        } else {
            self.wants.insert(map, wants);
        }
        if before.counts() && !wants.counts() {
            self.leases.subscriptions.forget(map, store)?;
        }
        Ok(())
    }

    fn wants_of(&self, map: MapId) -> Wants {
        self.wants.get(&map).copied().unwrap_or(Wants::NOTHING)
    }

    /// Returns the members of a subject, by name.
    pub fn members(&self, map: MapId, subject: &Subject) -> impl Iterator<Item = &Arc<Present>> {
        self.leases.members.of(map, subject)
    }

    /// Returns all presence members, with their maps and subjects.
    pub fn all_members(&self) -> impl Iterator<Item = (MapId, Subject, Arc<Present>)> {
        self.leases.members.all()
    }
}
