//! The form of webhooks in answers. Only the answer to the request that made a secret shows it.

use super::error::Problem;
use super::position;
use super::{Edge, state_of};
use crate::core::consumer::progress::Progress;
use crate::core::event::{Event, MapText};
use crate::core::history::Start;
use crate::core::ids::{MapId, TopicId};
use crate::core::time::iso_millis;
use crate::core::webhook::records::AttemptHistory;
use crate::core::webhook::shown::{Settings, ShownWebhook, State};
use crate::core::webhook::standing::{Facts, WebhookStanding};
use crate::core::webhook::{Plain, Private, Webhook, promises};
use crate::edge::node_names::NodeNames;
use crate::hub::{Grant, WebhookState};
use serde_json::value::RawValue;

/// A webhook as everybody who manages it may see it. `private` is `None` if this node can't decrypt the
/// settings.
async fn shown(
    edge: &Edge,
    grant: &Grant,
    webhook: &Webhook,
    private: Option<&Private>,
) -> Result<ShownWebhook, Problem> {
    let mut state = state_shown(edge, grant.map.topic, webhook, private).await?;
    let names = NodeNames::seen_by(edge, &grant.who);
    state.owner_name = state.owner.and_then(|owner| names.of(owner)).map(str::to_owned);
    state.warnings = promises::warnings(webhook, &grant.map.retention.webhook_backlog);
    state.secret_previous_until = private
        .and_then(|p| p.previous_at(edge.hub.clock().expiry_ms()).map(|(_, until)| *until).max())
        .map(|until| iso_millis(edge.hub.clock().shown_ms(until)));
    Ok(ShownWebhook { settings: Settings::of(webhook, private), state, secret: None })
}

/// The same for a webhook that this function decrypts.
pub(super) async fn opened(edge: &Edge, grant: &Grant, webhook: &Webhook) -> Result<ShownWebhook, Problem> {
    let private =
        edge.hub.vault().encryption().and_then(|encryption| encryption.open(webhook.id, &webhook.encrypted));
    if let Err(error) = &private {
        tracing::warn!(webhook = %webhook.id, %error, "a webhook is shown without its target");
    }
    shown(edge, grant, webhook, private.as_ref().ok()).await
}

/// The same with its secret. Only the answer to the request that made the secret has it.
pub(super) async fn with_secret(edge: &Edge, grant: &Grant, plain: &Plain) -> Result<ShownWebhook, Problem> {
    let shown = shown(edge, grant, &plain.webhook, Some(&plain.private)).await?;
    Ok(ShownWebhook { secret: Some(plain.private.secret.clone()), ..shown })
}

async fn state_shown(
    edge: &Edge,
    topic: TopicId,
    webhook: &Webhook,
    private: Option<&Private>,
) -> Result<State, Problem> {
    let stored = state_of(edge, webhook)?;
    let progress = &stored.progress;
    let losing = stored.backlog.losing.filter(|_| webhook.active);
    let head_seq = edge.hub.archive().locate(topic, Start::Live).await?.head_seq;
    let oldest = match oldest_seq(progress, head_seq) {
        Some(seq) => position::event_for(edge, webhook.id, topic, seq).await?,
        None => None,
    };
    let waits_since_ms = match next_seq(progress, head_seq) {
        Some(next) if oldest.as_ref().is_some_and(|event| event.seq == next) => {
            oldest.as_ref().map(|event| event.time_ms)
        }
        Some(next) => position::published_from(edge, topic, next).await?,
        None => None,
    };
    let requests = progress.delivered + progress.failed_attempts;
    let now_ms = edge.hub.clock().time_ms();
    let owner = edge.hub.webhooks().directory().owners().owner_of(webhook.id);
    let obstacle = obstacle_of(edge, webhook, private, &stored, head_seq);
    let facts = Facts { progress, is_losing: losing.is_some(), waits_since_ms, now_ms };
    Ok(State {
        state: WebhookStanding::of(webhook, &facts, obstacle.is_some()).name().to_owned(),
        disabled_reason: webhook.disabled.as_ref().map(|disabled| disabled.why.clone()),
        disabled_at: webhook.disabled.as_ref().map(|disabled| iso_millis(disabled.at_ms)),
        secret_previous_until: None,
        owner,
        owner_name: None,
        queue_depth: queue_depth(progress, head_seq),
        oldest_at: oldest.map(|event| iso_millis(event.time_ms)),
        request_ms: stored.attempt_history.request_ms(),
        retrying: retrying(progress),
        dead_letters: stored.attempt_history.dead.into(),
        delivered: progress.delivered,
        failed_attempts: progress.failed_attempts,
        given_up: progress.given_up,
        missed: stored.missed(edge.hub.webhooks().stored_seq(topic)?),
        losing_since: losing.map(|losing| iso_millis(edge.hub.clock().shown_ms(losing.since_ms))),
        success_rate: (requests > 0).then(|| progress.delivered as f64 / requests as f64),
        consecutive_failures: progress.failures.into(),
        failing_since: progress.failing_since_ms.map(iso_millis),
        last_delivery_at: progress.last_delivery_ms.map(iso_millis),
        last_error: progress.last_error.clone().or(obstacle),
        next_attempt_at: next_attempt(progress, now_ms).filter(|_| webhook.active).map(iso_millis),
        warnings: Vec::new(),
    })
}

/// The envelope of a stored event, with its trace. Its bytes go out unchanged.
pub(super) fn envelope(map: MapId, event: &Event) -> Option<Box<RawValue>> {
    let mut envelope = Vec::new();
    event.write_traced_envelope(&MapText::from(map), &mut envelope);
    RawValue::from_string(String::from_utf8(envelope).ok()?).ok()
}

/// Why events wait for a webhook that no node owns.
fn without_owner(edge: &Edge) -> String {
    match edge.hub.vault().encryption() {
        Ok(_) => "no node delivers webhooks at the moment".to_owned(),
        Err(error) => format!("no node delivers webhooks at the moment; {error}"),
    }
}

/// Why nothing is delivered: this node could not use the settings, no node delivers, or the attempts since the
/// last change show why. `private` is `None` if this node can't decrypt the settings.
pub(in crate::edge) fn obstacle_of(
    edge: &Edge,
    webhook: &Webhook,
    private: Option<&Private>,
    stored: &WebhookState,
    head_seq: u64,
) -> Option<String> {
    let has_owner = edge.hub.webhooks().directory().owners().owner_of(webhook.id).is_some();
    // Without the key here and an owner elsewhere, nothing would be delivered of what comes.
    let has_need = queue_depth(&stored.progress, head_seq) > 0 || private.is_none();
    let unusable = private.and_then(|private| edge.webhooks.obstacle(webhook, private));
    let orphaned = (!has_owner && has_need).then(|| without_owner(edge));
    unusable.or(orphaned).or_else(|| obstacle(&stored.attempt_history, webhook.updated_ms))
}

/// Why nothing is delivered, as far as the attempts since the last change show.
fn obstacle(history: &AttemptHistory, updated_ms: u64) -> Option<String> {
    history.failure_since(updated_ms).map(|attempt| attempt.error.clone().unwrap_or_default())
}

/// Number of events that will be retried.
fn retrying(progress: &Progress) -> u64 {
    progress.waiting.retrying
}

/// Number of events that were not examined or not delivered yet, whether or not the webhook wants them.
pub(in crate::edge) fn queue_depth(progress: &Progress, head_seq: u64) -> u64 {
    progress.behind(head_seq) + progress.waiting.events
}

/// The first seq that was not looked at, or whose first attempt has not ended, if there is one. What failed and
/// waits to be tried again does not count.
pub(in crate::edge) fn next_seq(progress: &Progress, head_seq: u64) -> Option<u64> {
    (progress.track.next <= head_seq).then_some(progress.track.next)
}

/// The seq of the oldest event that was not delivered yet, if there is one.
pub(in crate::edge) fn oldest_seq(progress: &Progress, head_seq: u64) -> Option<u64> {
    next_seq(progress, head_seq).into_iter().chain(progress.waiting.oldest_seq).min()
}

fn next_attempt(progress: &Progress, now_ms: u64) -> Option<u64> {
    let due = progress.waiting.due_ms;
    let held = Some(progress.hold_until_ms).filter(|until| *until > now_ms);
    match (due, held) {
        (Some(due), Some(held)) => Some(due.max(held)),
        (due, held) => due.or(held),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::consumer::progress::WaitingSummary;

    #[test]
    fn queue_depth_and_oldest_event() {
        let mut progress = Progress::new(11);
        assert_eq!((queue_depth(&progress, 10), oldest_seq(&progress, 10)), (0, None));
        assert_eq!((queue_depth(&progress, 15), oldest_seq(&progress, 15)), (5, Some(11)));
        progress.track.settle(13);
        progress.track.settle(14);
        assert_eq!(queue_depth(&progress, 15), 3);
        progress.waiting =
            WaitingSummary { events: 2, retrying: 1, asked: 0, oldest_seq: Some(3), due_ms: Some(7) };
        assert_eq!(retrying(&progress), 1);
        assert_eq!((queue_depth(&progress, 15), oldest_seq(&progress, 15)), (5, Some(3)));
        assert_eq!(
            (next_seq(&progress, 15), next_seq(&progress, 10)),
            (Some(11), None),
            "a retry holds nothing up"
        );
        assert_eq!(next_attempt(&progress, 1), Some(7));
        progress.hold_until_ms = u64::MAX;
        assert_eq!(next_attempt(&progress, 1), Some(u64::MAX));
    }
}
