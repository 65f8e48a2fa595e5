//! Publishing: durable events go into the log, ephemeral events directly to the nodes that request them.

use super::clock::Clock;
use super::ephemeral::Ephemeral;
use super::error::HubError;
use super::health::Health;
use super::log::Log;
use super::quota::{PublishCharge, Quotas};
use crate::core::access::Map;
use crate::core::command::{By, Command, Publish, Published, Refusal, Reply};
use crate::core::event::{Event, NewEvent};
use crate::core::rate::Amount;
use crate::metric;
use std::time::{Duration, Instant};

/// Accepts events from publishers; cheap to clone.
#[derive(Clone)]
pub struct Publisher {
    pub(super) log: Log,
    pub(super) clock: Clock,
    pub(super) health: Health,
    pub(super) quota: Quotas,
    pub(super) ephemeral: Ephemeral,
    /// How long an idempotency key is remembered.
    pub(super) idempotency: Duration,
    #[cfg(feature = "failpoints")]
    pub(super) bridge: std::sync::Arc<super::bridge::Bridge>,
}

impl Publisher {
    /// How long an idempotency key is remembered.
    pub fn idempotency(&self) -> Duration {
        self.idempotency
    }

    /// Appends events to a map's stream.
    ///
    /// # Errors
    /// Why the events were not appended, or that this is unknown.
    pub async fn publish(&self, map: &Map, publish: Publish) -> Result<Published, HubError> {
        let published = self.publish_in_rate(map, publish).await;
        if let Err(error) = &published {
            metrics::counter!(metric::PUBLISH_REFUSED, "reason" => reason(error)).increment(1);
        }
        published
    }

    /// Charges a publish whose `bytes` are not read yet to the map's rate. Dropping the result gives the charge
    /// back: the events themselves are charged when they are published. So a publisher over its rate is refused
    /// before its body costs anything.
    ///
    /// # Errors
    /// The map publishes more bytes than it may.
    pub fn reserve(&self, map: &Map, by: By, bytes: u64) -> Result<Option<PublishCharge<'_>>, HubError> {
        match by {
            Some(_) => {
                let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
                self.quota.enter_log(map, Amount { events: 0, bytes })
            }
            None => Ok(None),
        }
    }

    /// The map's own publishers have a rate; the admin has none.
    async fn publish_in_rate(&self, map: &Map, publish: Publish) -> Result<Published, HubError> {
        if !self.health.has_room() {
            return Err(HubError::DiskFull);
        }
        if self.health.has_lost_contact() {
            return Err(HubError::Unavailable("no leader with a majority: not stored"));
        }
        let entered = match publish.by {
            Some(_) => self.quota.enter_log(map, Amount::of(&publish.events))?,
            None => None,
        };
        let published = self.append(publish).await;
        match (entered, &published) {
            (Some(entered), Ok(published)) if !published.replayed => entered.stay(),
            (Some(entered), Err(HubError::Refused(Refusal::Rate(why)))) => entered.refused(*why),
            _ => {}
        }
        published
    }

    async fn append(&self, publish: Publish) -> Result<Published, HubError> {
        #[cfg(feature = "failpoints")]
        self.break_on_purpose(&publish);
        let began = Instant::now();
        let count = publish.events.len() as u64;
        match self.log.propose(&Command::Publish(publish)).await? {
            Reply::Published(published) => {
                metrics::histogram!(metric::PUBLISH_SECONDS).record(began.elapsed().as_secs_f64());
                if !published.replayed {
                    metrics::counter!(metric::EVENTS_PUBLISHED).increment(count);
                }
                Ok(published)
            }
            other => Err(HubError::Internal(format!("a publish was answered with {other:?}"))),
        }
    }

    /// Passes a map's events to their present subscribers on every reachable node. Nothing is stored, and the
    /// call waits only for the map's publish limit.
    ///
    /// # Errors
    /// The limit was reached, or this node is no longer a member.
    pub async fn publish_ephemeral(&self, map: &Map, events: Vec<NewEvent>) -> Result<Vec<Event>, HubError> {
        if self.health.is_removed() {
            return Err(HubError::Unavailable("this node was removed from the cluster"));
        }
        self.quota.charge_ephemeral(map, Amount::of(&events)).await?;
        metrics::counter!(metric::EPHEMERAL_PUBLISHED).increment(events.len() as u64);
        Ok(self.ephemeral.publish(map.topic, events, self.clock.time_ms()))
    }

    #[cfg(feature = "failpoints")]
    fn break_on_purpose(&self, publish: &Publish) {
        use super::bridge::Deliver;
        if crate::failpoint!("delivered-early", 20)
            && let Some(topic) = self.bridge.access().map(publish.map).map(|map| map.topic)
            && let Some(event) = crate::failpoints::early_event(publish, self.log.applied() + 1)
        {
            self.bridge.broadcast(|| Deliver::Early(topic, event.clone()));
        }
        if crate::failpoint!("never-freed") {
            crate::failpoints::never_free();
        }
    }
}

/// The value of the metric's label `reason`.
fn reason(error: &HubError) -> &'static str {
    match error {
        HubError::Refused(_) => "refused",
        HubError::Unavailable(_) | HubError::QueueFull => "unavailable",
        HubError::MapQueueFull => "map_queue_full",
        HubError::DiskFull => "disk_full",
        HubError::Unknown => "unknown",
        HubError::TooLarge(_) => "too_large",
        HubError::Internal(_) => "internal",
    }
}
