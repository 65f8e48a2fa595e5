//! Webhooks that lose events.

use super::{Problem, problem};
use crate::core::ids::WebhookId;
use crate::core::state::backlog::Losing;
use crate::core::text::counted;
use crate::core::time::iso_millis;
use waypost_cluster::Status;

/// All of them are one problem.
pub(super) fn problems(status: &Status, losing: &[(WebhookId, Losing)]) -> Option<Problem> {
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
