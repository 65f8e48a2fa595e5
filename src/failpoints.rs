//! The larger failpoints of this crate: planted defects that the chaos suite must find. `chaos prove` runs
//! all that its list has (`chaos/src/prove.rs`). `waypost_cluster::failpoints` decides which one is on.

use crate::core::command::Publish;
use crate::core::consumer::progress::Progress;
use crate::core::event::Event;
use crate::core::ids::{EventId, WebhookId};
use crate::core::webhook::records::Update;
use std::collections::BTreeMap;
use std::sync::Mutex;

use waypost_cluster::failpoints::is_on;

/// `delivered-early`: the publisher's own node sends an event to its clients before any node has stored it.
/// Returns that event as if it stood at `index` in the log.
pub(crate) fn early_event(publish: &Publish, index: u64) -> Option<Event> {
    let event = publish.events.first()?;
    let id = EventId::new(crate::clock::now_ms(), index, 0);
    Event::from_stored(0, Event::to_stored(id, event).into())
}

/// `stale-owner`: a node that no longer owns a webhook keeps reporting the progress that it had when it lost
/// the webhook.
pub(crate) fn repeat_old_word(update: &mut Update) {
    static OLD: Mutex<BTreeMap<WebhookId, Progress>> = Mutex::new(BTreeMap::new());
    if is_on("stale-owner") {
        let mut old = OLD.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        update.progress = old.entry(update.consumer).or_insert_with(|| update.progress.clone()).clone();
    }
}

/// `never-freed`: each publish keeps 8 MiB of memory for ever. The total is bounded, so that the machine
/// survives.
pub(crate) fn never_free() {
    static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
    let mut kept = KEPT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if kept.len() < 140 {
        kept.push(vec![7; 8 << 20]);
    }
}
