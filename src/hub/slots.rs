//! This node's sockets for each map, and the cluster-wide limit on them.
//!
//! Every socket is counted here; where a map has a limit, taking one is a command, so that the limit is exact over
//! the cluster. Giving back is reported behind, coalesced. What is reported belongs to this run of the node.

use super::bridge::{Bridge, SlotNews};
use crate::core::codec;
use crate::core::command::{Command, Refusal, Reply, Slots as SlotsCommand};
use crate::core::ids::MapId;
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{RwLock, mpsc};
use waypost_cluster::{Cluster, ProposeError};

/// Pause before a report is tried again that the cluster couldn't take.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// All sockets are reported so often.
const REPORT_EVERY: Duration = Duration::from_secs(30);

/// A socket counted for a map; counted no more when dropped.
#[derive(Debug)]
pub struct Slot {
    map: MapId,
    book: Arc<Book>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut counts = self.book.lock();
        if let Some(count) = counts.get_mut(&self.map) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&self.map);
            }
        }
        drop(counts);
        let _ = self.book.given.send(self.map);
    }
}

#[derive(Debug)]
struct Book {
    counts: Mutex<FxHashMap<MapId, u32>>,
    given: mpsc::UnboundedSender<MapId>,
    /// Held shared from the command that takes a slot until the slot is counted here, alone while all are reported: a
    /// report never misses a slot that was granted.
    taking: RwLock<()>,
}

impl Book {
    fn lock(&self) -> std::sync::MutexGuard<'_, FxHashMap<MapId, u32>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The node's counting.
pub(super) struct Slots {
    cluster: Cluster,
    bridge: Arc<Bridge>,
    book: Arc<Book>,
    run: u64,
}

impl Slots {
    pub(super) fn start(cluster: Cluster, bridge: Arc<Bridge>) -> Self {
        let (given, given_back) = mpsc::unbounded_channel();
        let (news, slot_news) = mpsc::unbounded_channel();
        bridge.attach_slots(news);
        let book = Arc::new(Book { counts: Mutex::default(), given, taking: RwLock::default() });
        // A run needs no more than to differ from the node's earlier ones.
        let run = getrandom::u64().unwrap_or_else(|_| std::process::id().into());
        let reporter = Reporter { cluster: cluster.clone(), bridge: bridge.clone(), book: book.clone(), run };
        actix_rt::spawn(reporter.run(given_back, slot_news));
        Self { cluster, bridge, book, run }
    }

    /// Counts one more socket for the map; `Err(limit)` when the cluster has as many as the map may have.
    pub(super) async fn take(&self, map: MapId) -> Result<Slot, u32> {
        let limit = self.bridge.access().map(map).and_then(|map| map.limits.connections);
        let taking = self.book.taking.read().await;
        let mut unsure = false;
        if let Some(limit) = limit {
            let slots = vec![(map, 1)];
            let command = Command::TakeSlot(SlotsCommand { node: self.cluster.node_id(), run: self.run, slots });
            match propose(&self.cluster, &command).await {
                Ok(Reply::Refused(Refusal::Limit(limit))) => return Err(limit),
                Ok(_) => {}
                // Without a majority clients are served on: this node's own count bounds them, until it can be told.
                Err(_) if self.book.lock().get(&map).is_some_and(|count| *count >= limit) => return Err(limit),
                Err(_) => unsure = true,
            }
        }
        *self.book.lock().entry(map).or_default() += 1;
        drop(taking);
        if unsure {
            self.bridge.slot_news(SlotNews::Reset);
        }
        Ok(Slot { map, book: self.book.clone() })
    }
}

struct Reporter {
    cluster: Cluster,
    bridge: Arc<Bridge>,
    book: Arc<Book>,
    run: u64,
}

impl Reporter {
    async fn run(
        self,
        mut given_back: mpsc::UnboundedReceiver<MapId>,
        mut slot_news: mpsc::UnboundedReceiver<SlotNews>,
    ) {
        self.report_all(&mut given_back).await;
        // Counts that went astray, by whatever way, are right again after this.
        let mut again = tokio::time::interval(REPORT_EVERY);
        loop {
            tokio::select! {
                _ = again.tick() => {
                    if !self.limited().is_empty() {
                        self.report_all(&mut given_back).await;
                    }
                }
                Some(map) = given_back.recv() => {
                    let mut maps = FxHashMap::from_iter([(map, 1u32)]);
                    while let Ok(map) = given_back.try_recv() {
                        *maps.entry(map).or_default() += 1;
                    }
                    self.give(maps, &mut given_back).await;
                }
                Some(news) = slot_news.recv() => match news {
                    SlotNews::NodeGone(node) if node == self.cluster.node_id() => self.report_all(&mut given_back).await,
                    // The sockets that a map had before it got a limit are counted from now on.
                    SlotNews::Map(map) if map.limits.connections.is_some() => {
                        if self.book.lock().contains_key(&map.id) {
                            self.report_all(&mut given_back).await;
                        }
                    }
                    SlotNews::Reset => self.report_all(&mut given_back).await,
                    SlotNews::NodeGone(_) | SlotNews::Map(_) => {}
                },
                else => return,
            }
        }
    }

    async fn give(&self, maps: FxHashMap<MapId, u32>, given_back: &mut mpsc::UnboundedReceiver<MapId>) {
        let slots: Vec<_> = maps.into_iter().filter(|(map, _)| self.is_limited(*map)).collect();
        if slots.is_empty() {
            return;
        }
        let command = Command::GiveSlots(SlotsCommand { node: self.cluster.node_id(), run: self.run, slots });
        if propose(&self.cluster, &command).await.is_err() {
            // Whether it was done is unknown: only the whole count can't be wrong.
            self.report_all(given_back).await;
        }
    }

    /// Reports all sockets of maps with a limit, until the cluster has taken it.
    async fn report_all(&self, given_back: &mut mpsc::UnboundedReceiver<MapId>) {
        loop {
            let alone = self.book.taking.write().await;
            // What was given back until now is missing from the counts already.
            while given_back.try_recv().is_ok() {}
            let command =
                Command::NodeUp(SlotsCommand { node: self.cluster.node_id(), run: self.run, slots: self.limited() });
            match propose(&self.cluster, &command).await {
                Ok(_) | Err(ProposeError::Stopping) => return,
                Err(_) => {
                    drop(alone);
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    fn is_limited(&self, map: MapId) -> bool {
        self.bridge.access().map(map).is_some_and(|map| map.limits.connections.is_some())
    }

    fn limited(&self) -> Vec<(MapId, u32)> {
        let counts: Vec<(MapId, u32)> = self.book.lock().iter().map(|(map, count)| (*map, *count)).collect();
        counts.into_iter().filter(|(map, _)| self.is_limited(*map)).collect()
    }
}

async fn propose(cluster: &Cluster, command: &Command) -> Result<Reply, ProposeError> {
    let bytes = codec::encode(command).map_err(|_| ProposeError::Unavailable)?;
    let proposed = cluster.propose(bytes).await?;
    codec::decode(&proposed.reply).map_err(|_| ProposeError::Unknown)
}

impl super::Hub {
    /// Counts one more socket for the map; `Err(limit)` when the cluster has as many as the map may have.
    pub async fn take_slot(&self, map: MapId) -> Result<Slot, u32> {
        let hub = self.clone();
        // Detached: who asked may hang up while the command is under way. Then the slot is dropped, and so given back.
        actix_rt::spawn(async move { hub.0.slots.take(map).await }).await.unwrap_or(Err(0))
    }
}
