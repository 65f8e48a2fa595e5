//! Webhooks that lose events, or that fail.

use super::{Problem, problem};
use crate::core::ids::WebhookId;
use crate::core::state::backlog::Losing;
use crate::core::text::counted;
use crate::core::time::iso_millis;
use std::collections::BTreeSet;
use waypost_cluster::Status;

/// Maps that are named in one problem.
const NAMED: usize = 3;

/// Webhooks that fail, and the maps that have some: their slugs, or their ids.
#[derive(Debug, Default)]
pub(in crate::edge::ops) struct Failing {
    /// How many they are.
    pub(in crate::edge::ops) webhooks: u32,
    /// The maps, each once.
    pub(in crate::edge::ops) maps: BTreeSet<String>,
}

/// Those that fail. A receiver is somebody else's, so this is no more than good to know.
pub(super) fn failing(failing: &Failing) -> Option<Problem> {
    let first = failing.maps.first().filter(|_| failing.webhooks > 0)?;
    let fail = counted(failing.webhooks, "webhook fails", "webhooks fail");
    let named: Vec<&str> = failing.maps.iter().take(NAMED).map(String::as_str).collect();
    let maps = match (named.as_slice(), failing.maps.len().saturating_sub(NAMED)) {
        ([map], _) => format!("map {map}"),
        ([before @ .., last], 0) => format!("maps {} and {last}", before.join(", ")),
        (named, more) => format!("maps {} and {more} more", named.join(", ")),
    };
    let what = format!("{fail}, of the {maps}: events wait for the next attempt, or are given up");
    let hint =
        format!("`waypost webhook list {first} -o wide` shows which, and why: docs/runbooks/webhooks.md");
    Some(problem("webhooks_failing", "info", what, hint))
}

/// All that lose events are one problem.
pub(super) fn losing(status: &Status, losing: &[(WebhookId, Losing)]) -> Option<Problem> {
    let (first, since_ms) =
        losing.iter().map(|(id, losing)| (id, losing.since_ms)).min_by_key(|(_, since)| *since)?;
    let events: u64 = losing.iter().map(|(_, losing)| losing.events).sum();
    let ago_ms = status.clock.expiry_ms.saturating_sub(since_ms);
    let have_lost = counted(losing.len(), "webhook has lost", "webhooks have lost");
    let events = counted(events, "event", "events");
    let they_are = if losing.len() == 1 { "it is" } else { "they are" };
    let them = if losing.len() == 1 { "it" } else { "them" };
    let since = iso_millis(status.clock.time_ms.saturating_sub(ago_ms));
    let what = format!(
        "{have_lost} {events}, the first since {since} ({first}): {they_are} further behind than retention waits for \
         {them}"
    );
    let hint = "repair the receiver, or pause the webhook; to keep more meanwhile, raise the map's \
                retention.webhook_backlog (waypost map update --backlog-bytes, --backlog-seconds)";
    Some(problem("webhooks_losing", "warning", what, hint))
}
