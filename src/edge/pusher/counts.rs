//! Tells the subscribers of channels how many they are on all nodes, from time to time and when the number has
//! changed. All channels of a map that have subscribers here are counted by one question to the nodes.

use super::note::Note;
use crate::core::ids::MapId;
use crate::core::subject::Subject;
use crate::delivery::Mailbox;
use crate::hub::Hub;
use rustc_hash::FxHashMap;
use slab::Slab;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Channels that one question names, at most.
const ASKED: usize = 1000;

/// A subscriber of a channel.
struct Listener {
    /// The channel as the subscriber names it.
    channel: Arc<str>,
    mailbox: Mailbox<Note>,
    /// The number that it was told last.
    told: u64,
}

type Channels = FxHashMap<(MapId, Subject), Slab<Listener>>;

/// The channels that are counted.
#[derive(Default)]
pub(super) struct Counts(Mutex<Channels>);

/// A subscriber is told until this is dropped.
pub(super) struct Counted {
    counts: Arc<Counts>,
    channel: (MapId, Subject),
    place: usize,
}

impl Counts {
    fn lock(&self) -> MutexGuard<'_, Channels> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on, the subscriber of a channel is told.
    pub(super) fn add(
        self: &Arc<Self>,
        (map, subject): (MapId, Subject),
        channel: Arc<str>,
        mailbox: Mailbox<Note>,
    ) -> Counted {
        let of = (map, subject);
        let listener = Listener { channel, mailbox, told: 0 };
        let place = self.lock().entry(of.clone()).or_default().insert(listener);
        Counted { counts: self.clone(), channel: of, place }
    }

    /// The counted channels of each map.
    fn channels(&self) -> FxHashMap<MapId, Vec<Subject>> {
        let mut maps: FxHashMap<MapId, Vec<Subject>> = FxHashMap::default();
        for (map, subject) in self.lock().keys() {
            maps.entry(*map).or_default().push(subject.clone());
        }
        maps
    }

    /// Tells the subscribers of a channel that know another number.
    fn tell(&self, map: MapId, subject: Subject, count: u64) {
        let mut channels = self.lock();
        let Some(listeners) = channels.get_mut(&(map, subject)) else { return };
        for (_, listener) in listeners.iter_mut().filter(|(_, listener)| listener.told != count) {
            listener.told = count;
            listener.mailbox.send(Note::Count { channel: listener.channel.clone(), count });
        }
    }

    /// Counts and tells again and again, as long as the node runs.
    pub(super) async fn run(self: Arc<Self>, hub: Hub, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            for (map, subjects) in self.channels() {
                for some in subjects.chunks(ASKED) {
                    let counted = hub.presence().counts_of(map, some.to_vec()).await;
                    // Without the numbers of a node, the sums are wrong. They are told once they are right.
                    if !counted.silent.is_empty() {
                        continue;
                    }
                    for (subject, counts) in counted.counts {
                        self.tell(map, subject, counts.subscriptions);
                    }
                }
            }
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut channels = self.counts.lock();
        if let Some(listeners) = channels.get_mut(&self.channel) {
            listeners.try_remove(self.place);
            if listeners.is_empty() {
                channels.remove(&self.channel);
            }
        }
    }
}
