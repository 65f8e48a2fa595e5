//! How webhooks and consumers stand, in one word each: the word by which answers name a state, and by which
//! they are counted.

use super::Webhook;
use super::records::is_failing;
use crate::core::consumer::progress::Progress;
use serde_json::Value;

/// Whose next event has waited for longer than this (milliseconds) is behind, though nothing fails.
const BEHIND_MS: u64 = 60_000;
/// A consumer whose oldest event has waited for longer than this (milliseconds) is not read, if it got no
/// acknowledgement for as long.
const UNREAD_MS: u64 = 300_000;

/// How a webhook stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookStanding {
    /// Retention removes events that it has not got.
    Losing,
    /// The server stopped it.
    Disabled,
    /// The last attempts failed, or none can begin.
    Failing,
    /// The receiver asked for a pause that has not ended.
    Throttled,
    /// It gets its events later than they come.
    Behind,
    /// Somebody stopped it.
    Paused,
    /// Nothing is wrong with it.
    Healthy,
}

/// How a consumer that clients read stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsumerStanding {
    /// Retention removes events that no reader has got.
    Losing,
    /// Nobody takes its events.
    Unread,
    /// Its readers take its events later than they come.
    Behind,
    /// Its readers take its events.
    Reading,
    /// Nothing waits.
    UpToDate,
}

/// What is known of a webhook or a consumer, as far as its standing depends on it. All times are Unix
/// milliseconds of the cluster's time.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'f> {
    /// How far it is.
    pub progress: &'f Progress,
    /// Whether it is losing events.
    pub is_losing: bool,
    /// When the event was published that waits: for a webhook the first that it has not looked at, for a
    /// consumer the oldest that was not acknowledged. `None` if none waits, or if its time is not known.
    pub waits_since_ms: Option<u64>,
    /// The time.
    pub now_ms: u64,
}

impl Facts<'_> {
    /// Whether its event has waited for longer than that.
    fn waits_for(&self, ms: u64) -> bool {
        self.waits_since_ms.is_some_and(|since_ms| self.now_ms.saturating_sub(since_ms) > ms)
    }
}

impl WebhookStanding {
    /// All standings, what is worst first.
    pub const ALL: [Self; 7] = [
        Self::Losing,
        Self::Disabled,
        Self::Failing,
        Self::Throttled,
        Self::Behind,
        Self::Paused,
        Self::Healthy,
    ];

    /// How a webhook stands. With `is_obstructed` its next attempt cannot begin, or no attempt since its last
    /// change succeeded.
    pub fn of(webhook: &Webhook, facts: &Facts<'_>, is_obstructed: bool) -> Self {
        let progress = facts.progress;
        match (webhook.active, &webhook.disabled) {
            (false, Some(_)) => Self::Disabled,
            (false, None) => Self::Paused,
            // Losing events outranks every other state.
            _ if facts.is_losing => Self::Losing,
            // A history without a success makes it bad, too.
            _ if is_failing(progress, facts.now_ms) || is_obstructed => Self::Failing,
            _ if progress.hold_until_ms > facts.now_ms => Self::Throttled,
            _ if facts.waits_for(BEHIND_MS) => Self::Behind,
            _ => Self::Healthy,
        }
    }

    /// Its name in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Losing => "losing",
            Self::Disabled => "disabled",
            Self::Failing => "failing",
            Self::Throttled => "throttled",
            Self::Behind => "behind",
            Self::Paused => "paused",
            Self::Healthy => "healthy",
        }
    }
}

impl ConsumerStanding {
    /// All standings, what is worst first.
    pub const ALL: [Self; 5] = [Self::Losing, Self::Unread, Self::Behind, Self::Reading, Self::UpToDate];

    /// How a consumer stands that has so many events before it.
    pub fn of(lag: u64, facts: &Facts<'_>) -> Self {
        let acknowledged_ms = facts.progress.last_delivery_ms;
        let is_quiet = acknowledged_ms.is_none_or(|at_ms| facts.now_ms.saturating_sub(at_ms) > UNREAD_MS);
        match lag {
            _ if facts.is_losing => Self::Losing,
            0 => Self::UpToDate,
            _ if facts.waits_for(UNREAD_MS) && is_quiet => Self::Unread,
            _ if facts.waits_for(BEHIND_MS) => Self::Behind,
            _ => Self::Reading,
        }
    }

    /// Its name in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Losing => "losing",
            Self::Unread => "unread",
            Self::Behind => "behind",
            Self::Reading => "reading",
            Self::UpToDate => "up_to_date",
        }
    }
}

/// How many webhooks and consumers stand how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standings {
    webhooks: [u32; WebhookStanding::ALL.len()],
    consumers: [u32; ConsumerStanding::ALL.len()],
}

impl Standings {
    /// Counts one more webhook.
    pub fn count_webhook(&mut self, standing: WebhookStanding) {
        add(&mut self.webhooks[standing as usize], 1);
    }

    /// Counts one more consumer.
    pub fn count_consumer(&mut self, standing: ConsumerStanding) {
        add(&mut self.consumers[standing as usize], 1);
    }

    /// Adds those of another map.
    pub fn add(&mut self, other: &Self) {
        let counts = self.webhooks.iter_mut().chain(&mut self.consumers);
        counts.zip(other.webhooks.iter().chain(&other.consumers)).for_each(|(count, more)| add(count, *more));
    }

    /// How many webhooks stand so.
    pub fn webhooks(&self, standing: WebhookStanding) -> u32 {
        self.webhooks[standing as usize]
    }

    /// How many deliver nothing or lose events, and how many are only late. The first number counts more.
    pub fn troubles(&self) -> (u32, u32) {
        use ConsumerStanding as Consumer;
        use WebhookStanding as Of;
        let webhooks = |of: &[Of]| of.iter().map(|standing| self.webhooks(*standing)).sum::<u32>();
        let consumers =
            |of: &[Consumer]| of.iter().map(|standing| self.consumers[*standing as usize]).sum::<u32>();
        let bad = webhooks(&[Of::Losing, Of::Disabled, Of::Failing])
            .saturating_add(consumers(&[Consumer::Losing, Consumer::Unread]));
        let late = webhooks(&[Of::Throttled, Of::Behind]).saturating_add(consumers(&[Consumer::Behind]));
        (bad, late)
    }

    /// The webhooks by standing, as answers show them.
    pub fn webhooks_json(&self) -> Value {
        json(WebhookStanding::ALL.map(WebhookStanding::name).iter().zip(&self.webhooks))
    }

    /// The consumers by standing, as answers show them.
    pub fn consumers_json(&self) -> Value {
        json(ConsumerStanding::ALL.map(ConsumerStanding::name).iter().zip(&self.consumers))
    }
}

fn add(count: &mut u32, more: u32) {
    *count = count.saturating_add(more);
}

fn json<'c>(counts: impl Iterator<Item = (&'c &'static str, &'c u32)> + Clone) -> Value {
    let total: u64 = counts.clone().map(|(_, count)| u64::from(*count)).sum();
    let named = counts.map(|(name, count)| ((*name).to_owned(), Value::from(*count)));
    Value::Object(std::iter::once(("total".to_owned(), Value::from(total))).chain(named).collect())
}

#[cfg(test)]
mod tests;
