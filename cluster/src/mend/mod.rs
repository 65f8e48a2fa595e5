//! Repairs the data of a node that has an id at its start, when some of it is damaged. The node keeps its id, its
//! vote and everything that is whole. A node may be a member and not have heard so yet, so it repairs its data
//! too; unless a leader says that it is none.
//!
//! Consensus does not run here until nothing is missing, so a node with a hole neither votes nor counts. It
//! gives others what is whole of its log meanwhile, also when no node leads. What is missing comes, in this
//! order, from: the store, which has the effects of the entries that it applied; a peer whose log holds the
//! entry after a hole, because logs that hold the same entry are the same up to it; a peer's state.
//!
//! If damage may hide the last entries that this node acknowledged, it cannot know which they were. It then
//! takes the log of a leader that a majority has just confirmed: this node has acknowledged nothing since the
//! damage, so that leader has all that had committed with its help, and all that may still commit. While no
//! node leads, it takes the newest log of all other members, if all of them say for sure where their logs
//! end. That proves nothing where this node was the only voter. Otherwise it waits, and says what for.

mod admission;
mod agree;
mod broken;
mod desk;
mod peers;
#[cfg(not(feature = "sim"))]
mod put_back;
#[cfg_attr(feature = "sim", path = "../sim/raw.rs")]
mod raw;
pub(crate) mod serve;
mod waits;
mod write;

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use self::admission::Admission;
use self::agree::{Agreed, agree};
use self::broken::{Broken, Need, Piece, voters};
use self::desk::Desk;
use self::peers::Others;
#[cfg(not(feature = "sim"))]
pub use self::put_back::{PutBackError, go_on, put_back};
use self::raw::Raw;
use self::write::Repaired;
use crate::NodeId;
use crate::config::Config;
use crate::damage::Damage;
use crate::dir::sync_dir;
use crate::error::{StartError, StoreError};
use crate::identity::Layout;
use crate::identity_key::PublicKey;
use crate::net::{Limits, Listener, Me, Peers, Secure};
use crate::os::{self, fs};
use crate::store::{Received, Store};
use crate::types::{Entry, Member};
use crate::votes::Votes;
use crate::wire::{EndV1, IdentityV1, StoredLogId, StoredVote};

/// The first pause between two rounds; the pause doubles up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

fn shared<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a node was not repaired.
pub(crate) enum Unmended {
    /// It cannot remain the member that it was: nobody knows how it voted, it knows no other node, or the
    /// cluster never had it as a member.
    GiveUp,
    Failed(StartError),
}

impl From<io::Error> for Unmended {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<StoreError> for Unmended {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

/// The log that is repaired: what is whole of it, and what was fetched.
struct Patch {
    raw: Raw,
    broken: Mutex<Broken>,
    fetched: Mutex<HashMap<StoredLogId, Entry>>,
}

impl Patch {
    fn entry(&self, id: StoredLogId) -> io::Result<Entry> {
        let fetched = shared(&self.fetched).get(&id).cloned();
        fetched.map_or_else(|| self.raw.entry(id), Ok)
    }

    fn put(&self, entries: Vec<Entry>) {
        let ids: Vec<StoredLogId> = entries.iter().map(|entry| (&entry.log_id).into()).collect();
        let voters: Vec<Piece> =
            entries.iter().filter_map(|entry| voters(entry.log_id.index, &entry.payload)).collect();
        shared(&self.fetched).extend(ids.iter().copied().zip(entries));
        let mut broken = shared(&self.broken);
        broken.put(&ids);
        voters.into_iter().for_each(|named| broken.take(named));
    }
}

/// What came of one attempt to get what is missing.
enum Step {
    Done,
    State(Box<Received>),
    Waits,
}

/// A member whose data is damaged.
pub(crate) struct Patient<'a> {
    pub(crate) config: &'a Config,
    pub(crate) layout: &'a Layout,
    pub(crate) identity: &'a IdentityV1,
    /// What this node reports about itself.
    pub(crate) member: &'a Member,
    pub(crate) secure: &'a Arc<Secure>,
    pub(crate) listener: &'a Listener,
}

/// Forgets that an operator let a node go on. It was said of one damage, and not of the next.
pub(crate) fn forget_go_on(layout: &Layout) -> io::Result<()> {
    match fs::remove_file(layout.go_on()) {
        Ok(()) => sync_dir(Some(&layout.root)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Finishes a repair that a crash interrupted at its end.
pub(crate) fn finish(layout: &Layout) -> io::Result<()> {
    write::swap(layout)
}

impl Patient<'_> {
    /// Repairs the log and the store. When this returns, both can be opened again.
    pub(crate) async fn mend(&self, damage: &Damage) -> Result<(), Unmended> {
        tracing::error!(files = ?damage.files, reason = damage.reason, "damaged, and to be repaired");
        #[cfg(feature = "sim")]
        crate::sim::World::mends(&damage.reason);
        let (raw, broken) = self.survey()?;
        let Some(vote) = self.vote(&broken)? else { return Err(Unmended::GiveUp) };
        let damaged_log = damage.files.contains(&self.layout.log());
        let damaged_store = broken.lacks_store;
        let is_local = broken.need() == Need::Nothing;
        let patch = Arc::new(Patch { raw, broken: Mutex::new(broken), fetched: Mutex::default() });
        let state = if is_local {
            None
        } else if self.identity.peers.is_empty() {
            return Err(Unmended::GiveUp);
        } else {
            self.ask_others(&patch).await?
        };
        if damaged_log || state.is_some() {
            self.write_log(&patch, vote).await?;
        }
        // A store that is whole may still be older than the state that was fetched.
        if damaged_store || state.is_some() {
            write::store(self.layout, state.as_deref())?;
        }
        write::swap(self.layout)?;
        Ok(forget_go_on(self.layout)?)
    }

    /// What is whole of the log, and what the store has.
    fn survey(&self) -> Result<(Raw, Broken), Unmended> {
        let mut broken = Broken::default();
        let raw = Raw::read(&self.layout.log(), &mut |piece| broken.take(piece))?;
        if broken.vote.is_none() && broken.last().is_none() && broken.purged.is_none() {
            // A member's log has more than nothing.
            broken.lost_its_end();
            broken.vote_is_sure = false;
        }
        match Store::open(&self.layout.store(), self.config.store_cache_bytes, self.config.verify_store) {
            Ok(store) if store.state().applied < broken.purged => broken.lacks_store = true,
            Ok(store) => {
                broken.applied_is(&store.state());
                if broken.applied > broken.last().max(broken.purged) && !store.is_as_installed() {
                    // The log has an entry on disk before the store has it.
                    broken.lost_its_end();
                }
            }
            Err(StoreError::Corrupt(_)) => broken.lacks_store = true,
            Err(error) => return Err(error.into()),
        }
        Ok((raw, broken))
    }

    /// This node's vote, if one of its two copies is whole. The inner `None`: it has never voted.
    fn vote(&self, broken: &Broken) -> io::Result<Option<Option<StoredVote>>> {
        let kept = Votes::new(self.layout).read()?;
        let is_sure = broken.vote_is_sure || kept.is_sure;
        Ok(is_sure.then(|| broken.vote.max(kept.highest)))
    }

    /// Gets what is missing from the other members, and gives them what is whole here meanwhile.
    async fn ask_others(&self, patch: &Arc<Patch>) -> Result<Option<Box<Received>>, Unmended> {
        let IdentityV1 { cluster_id, node_id, .. } = *self.identity;
        let me = Me { cluster_id, node_id, addr: self.member.peer_addr.clone() };
        let limits = Limits::new(self.config.max_requests_in_flight, self.config.max_patient_requests);
        self.secure.introduce_with(self.identity.introductions.clone());
        let peers = Peers::new(me, self.secure.clone(), limits);
        for known in &self.identity.peers {
            peers.learn(known.id, &known.addr, PublicKey(known.identity));
        }
        let others = Others::new(peers.clone());
        let admission = Admission { peers: peers.clone(), member: self.member.clone() };
        let mut incarnation = [0; 8];
        os::random(&mut incarnation)?;
        let incarnation = u64::from_le_bytes(incarnation);
        let desk = Arc::new(Desk { peers: peers.clone(), patch: patch.clone(), incarnation });
        let answering = self.listener.clone().run(self.secure.clone(), desk);
        let asked = tokio::select! {
            asked = self.rounds(patch, &others, &admission) => asked,
            () = answering => Err(io::Error::other("the peer port was closed").into()),
        };
        peers.close();
        asked
    }

    async fn rounds(
        &self,
        patch: &Patch,
        others: &Others,
        admission: &Admission,
    ) -> Result<Option<Box<Received>>, Unmended> {
        let mut state = None;
        let mut reported = String::new();
        let mut pause = PAUSE;
        loop {
            let need = shared(&patch.broken).need();
            if need == Need::Nothing {
                return Ok(state);
            }
            if planted(patch, need) {
                continue;
            }
            let ends = others.ends().await;
            match self.step(patch, others, &ends, need).await {
                Step::Done => pause = PAUSE,
                Step::State(received) => {
                    if let Some(applied) = received.state.applied {
                        let mut broken = shared(&patch.broken);
                        broken.installed(applied);
                        broken.applied_is(&received.state);
                    }
                    state = Some(received);
                    pause = PAUSE;
                }
                // Whatever others have is never given up: they were asked before.
                Step::Waits if self.goes_on(patch, need)? => {}
                Step::Waits if !self.identity.joined && admission.was_never_given().await => {
                    return Err(Unmended::GiveUp);
                }
                Step::Waits => {
                    let last = shared(&patch.broken).last();
                    let answer = (ends.len(), others.count());
                    let reason = waits::reason(need, last, answer, self.decided_alone(patch));
                    self.report(&mut reported, reason);
                    sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Tries once to get what is missing.
    async fn step(&self, patch: &Patch, others: &Others, ends: &[(NodeId, EndV1)], need: Need) -> Step {
        match need {
            Need::Nothing => Step::Done,
            Need::State { at_least } => self.state(others, ends, at_least).await,
            Need::Records { from, upto } => self.records(patch, others, ends, (from, upto)).await,
            Need::End => self.end(patch, others, ends).await,
        }
    }

    /// The newest state of those that reach to that index.
    async fn state(&self, others: &Others, ends: &[(NodeId, EndV1)], at_least: u64) -> Step {
        let mut able: Vec<(u64, NodeId)> = ends.iter().map(|(id, end)| (end.applied, *id)).collect();
        able.retain(|(applied, _)| *applied > 0 && *applied >= at_least);
        able.sort_unstable();
        for (_, id) in able.into_iter().rev() {
            match others.state(id, &self.layout.snapshot()).await {
                Ok(received) if received.state.applied.is_some_and(|at| at.index >= at_least) => {
                    return Step::State(Box::new(received));
                }
                Ok(_) => {}
                Err(error) => tracing::warn!(id, %error, "cannot fetch the state of a member"),
            }
        }
        Step::Waits
    }

    /// Fills a hole before the entry `upto`.
    async fn records(
        &self,
        patch: &Patch,
        others: &Others,
        ends: &[(NodeId, EndV1)],
        (from, upto): (u64, StoredLogId),
    ) -> Step {
        let mut lack = 0;
        let mut state_instead = false;
        for (id, _) in ends {
            match agree(patch, others, *id, (from, upto)).await {
                Agreed::Yes => {
                    tracing::info!(id, from, upto = upto.index, "a member has sent what is damaged here");
                    return Step::Done;
                }
                Agreed::Lacks => lack += 1,
                Agreed::StateInstead => state_instead = true,
                Agreed::Nothing => {}
            }
        }
        if state_instead && let Step::State(received) = self.state(others, ends, from).await {
            return Step::State(received);
        }
        // Entries that no other node has had did not commit. A confirmed leader has all that did. Where this
        // log ends then, is found out anew.
        let all_know = ends.iter().all(|(_, end)| end.is_sure) && !self.decided_alone(patch);
        let nobody = lack == others.count() && all_know;
        if nobody || ends.iter().any(|(_, end)| end.leads) {
            let before = shared(&patch.broken).clone();
            shared(&patch.broken).drop_end(upto.index);
            let found = self.end(patch, others, ends).await;
            if matches!(found, Step::Waits) {
                *shared(&patch.broken) = before;
            }
            return found;
        }
        Step::Waits
    }

    /// Finds whatever this node may have acknowledged after its last whole entry.
    async fn end(&self, patch: &Patch, others: &Others, ends: &[(NodeId, EndV1)]) -> Step {
        let leader = ends.iter().find(|(_, end)| end.leads);
        let all_answer = ends.len() == others.count() && ends.iter().all(|(_, end)| end.is_sure);
        let all = all_answer && !self.decided_alone(patch);
        let newest = ends.iter().filter(|_| all).max_by_key(|(_, end)| end.last);
        let Some((id, end)) = leader.or(newest) else { return Step::Waits };
        let (start, own) = {
            let broken = shared(&patch.broken);
            (broken.start(), broken.last())
        };
        let agreed = match end.last {
            Some(upto) if upto.index >= start && shared(&patch.broken).id(upto.index) != Some(upto) => {
                let from = own.map_or(start, |own| own.index.min(upto.index));
                agree(patch, others, *id, (from, upto)).await
            }
            // It has no entry that this node lacks.
            _ => Agreed::Yes,
        };
        match agreed {
            Agreed::Yes => {
                tracing::info!(id, last = ?end.last, "a member has said where the log ends");
                shared(&patch.broken).found_end();
                Step::Done
            }
            Agreed::StateInstead => self.state(others, ends, start).await,
            Agreed::Lacks | Agreed::Nothing => Step::Waits,
        }
    }

    /// Whether something that is missing may have committed on this node alone.
    fn decided_alone(&self, patch: &Patch) -> bool {
        shared(&patch.broken).decided_alone(self.identity.node_id)
    }

    /// Whether an operator lets this node go on without what no node has.
    fn goes_on(&self, patch: &Patch, need: Need) -> io::Result<bool> {
        if !matches!(need, Need::Records { .. } | Need::End) || !fs::exists(self.layout.go_on())? {
            return Ok(false);
        }
        let mut broken = shared(&patch.broken);
        let last = broken.last();
        tracing::warn!(?need, ?last, "an operator lets this node go on without entries of its log");
        if let Need::Records { upto, .. } = need {
            broken.drop_end(upto.index);
        }
        broken.found_end();
        Ok(true)
    }

    fn report(&self, reported: &mut String, reason: String) {
        if *reported == reason {
            return;
        }
        tracing::warn!("{reason}");
        if let Some(hook) = &self.config.on_waiting {
            hook(&reason);
        }
        *reported = reason;
    }

    async fn write_log(&self, patch: &Patch, vote: Option<StoredVote>) -> io::Result<()> {
        let repaired = {
            let broken = shared(&patch.broken);
            let (after, entries) = broken.repaired();
            Repaired { vote, after, entries, committed: broken.committed }
        };
        write::log(self.layout, self.config, patch, repaired).await
    }
}

/// The defects that the simulator plants here.
fn planted(patch: &Patch, need: Need) -> bool {
    match need {
        Need::End if crate::failpoint!("voted-with-a-hole") => shared(&patch.broken).found_end(),
        Need::Records { upto, .. } if crate::failpoint!("dropped-committed") => {
            let mut broken = shared(&patch.broken);
            broken.drop_end(upto.index);
            broken.found_end();
        }
        _ => return false,
    }
    true
}
