//! Publishing: durable events go into the log, ephemeral events directly to the nodes that request them.

use super::bridge::Bridge;
use super::clock::Clock;
use super::ephemeral::Ephemeral;
use super::error::HubError;
use super::health::Health;
use super::log::Log;
use super::quota::{PublishCharge, Quotas};
use super::timeline::notes::{Author, PublishNote, Via};
use super::traced::Publishing;
use crate::clock::now_ns;
use crate::core::access::Map;
use crate::core::channel_rules::Durability;
use crate::core::command::{By, Command, Ingest, Publish, Published, Refusal, Reply};
use crate::core::event::{Event, NewEvent};
use crate::core::ids::EventId;
use crate::core::operators::SYSTEM_MAP;
use crate::core::rate::Amount;
use crate::metric;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

static METERS: OnceLock<Meters> = OnceLock::new();

/// The metrics that each publish changes. They are looked up once, since a look-up costs more than a change.
struct Meters {
    seconds: metrics::Histogram,
    events: metrics::Counter,
}

impl Meters {
    fn new() -> Self {
        Self {
            seconds: metrics::histogram!(metric::PUBLISH_SECONDS),
            events: metrics::counter!(metric::EVENTS_PUBLISHED),
        }
    }
}

/// Where an event was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The event's id.
    pub id: EventId,
    /// The event's seq. An ephemeral event has none.
    pub seq: Option<u64>,
}

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
    /// Counts ephemeral events.
    pub(super) passed_on: metrics::Counter,
    pub(super) bridge: Arc<Bridge>,
}

/// A publish that came to this node.
#[derive(Clone, Copy, Debug)]
struct Came {
    via: Via,
    /// When (Unix nanoseconds).
    ns: u64,
    /// The same by the other clock.
    at: Instant,
}

impl Came {
    fn now(via: Via) -> Self {
        Self { via, ns: now_ns(), at: Instant::now() }
    }
}

impl Publisher {
    /// How long an idempotency key is remembered.
    pub fn idempotency(&self) -> Duration {
        self.idempotency
    }

    /// Appends events to a map's stream, which came over that protocol.
    ///
    /// # Errors
    /// Why the events were not appended, or that this is unknown.
    pub async fn publish(&self, map: &Map, mut publish: Publish, via: Via) -> Result<Published, HubError> {
        let came = Came::now(via);
        let mut spans = Publishing::begin(map, &mut publish.events);
        let published = self.publish_in_rate(map, publish, &spans, came).await;
        count_refused(&published, &mut spans);
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

    /// Appends the events that came in through an ingest source. It counts as a publisher of the map's own.
    ///
    /// # Errors
    /// Why the events were not appended, or that this is unknown.
    pub async fn ingest(&self, map: &Map, mut ingest: Ingest) -> Result<Published, HubError> {
        let came = Came::now(Via::Ingest);
        let amount = Amount::of(&ingest.events);
        let mut spans = Publishing::begin(map, &mut ingest.events);
        let published = self.append_in_rate(map, Some(amount), Command::Ingest(ingest), &spans, came).await;
        count_refused(&published, &mut spans);
        published
    }

    /// The map's own publishers have a rate; the admin has none.
    async fn publish_in_rate(
        &self,
        map: &Map,
        publish: Publish,
        spans: &Publishing,
        came: Came,
    ) -> Result<Published, HubError> {
        #[cfg(feature = "failpoints")]
        self.break_on_purpose(&publish);
        let amount = publish.by.map(|_| Amount::of(&publish.events));
        self.append_in_rate(map, amount, Command::Publish(publish), spans, came).await
    }

    /// Proposes a command with events, which count `amount` towards the map's rates.
    async fn append_in_rate(
        &self,
        map: &Map,
        amount: Option<Amount>,
        command: Command,
        spans: &Publishing,
        came: Came,
    ) -> Result<Published, HubError> {
        if !self.health.has_room() {
            return Err(HubError::DiskFull);
        }
        if self.health.has_lost_contact() {
            return Err(HubError::Unavailable("no leader with a majority: not stored"));
        }
        let entered = match amount {
            Some(amount) => self.quota.enter_log(map, amount)?,
            None => None,
        };
        let published = self.append(map, &command, spans, came).await;
        match (entered, &published) {
            (Some(entered), Ok(published)) if !published.replayed => entered.stay(),
            (Some(entered), Err(HubError::Refused(Refusal::Rate(why)))) => entered.refused(*why),
            _ => {}
        }
        // The replicated state reports no limit, so that it is named here.
        published.map_err(|error| match error {
            HubError::Refused(Refusal::Rate(exceeded)) => {
                HubError::TooFast { exceeded, rates: map.limits.publish_rates() }
            }
            other => other,
        })
    }

    async fn append(
        &self,
        map: &Map,
        command: &Command,
        spans: &Publishing,
        came: Came,
    ) -> Result<Published, HubError> {
        let began = Instant::now();
        let mut commit = spans.commit();
        match self.log.propose(command).await.inspect_err(|error| commit.fail(error))? {
            Reply::Published(published) => {
                let meters = METERS.get_or_init(Meters::new);
                meters.seconds.record(began.elapsed().as_secs_f64());
                if !published.replayed {
                    meters.events.increment(published.count.into());
                    self.note(map, command, &published, (came, began));
                }
                commit.set("waypost.first_seq", published.first_seq);
                Ok(published)
            }
            other => Err(HubError::Internal(format!("a publish was answered with {other:?}"))),
        }
    }

    /// Notes who published events, and when they were handed to the log. A publish that stored nothing, because
    /// it repeats another one, is not noted: that one was.
    fn note(&self, map: &Map, command: &Command, published: &Published, (came, proposed): (Came, Instant)) {
        let author = match command {
            Command::Ingest(ingest) => Author::Source(ingest.source),
            Command::Publish(publish) => publish.by.map_or(Author::Admin, Author::Token),
            _ => return,
        };
        let waited = proposed.saturating_duration_since(came.at).as_micros();
        self.bridge.notes.published(&PublishNote {
            first_id: published.first_id,
            count: published.count,
            stream: map.topic,
            first_seq: published.first_seq,
            author,
            via: came.via,
            received_ns: came.ns,
            proposed_us: u32::try_from(waited).unwrap_or(u32::MAX),
        });
    }

    /// Passes a map's events to their present subscribers on every reachable node. Nothing is stored, and the
    /// call waits only for the map's publish limit.
    ///
    /// # Errors
    /// The limit was reached, or this node is no longer a member.
    pub async fn publish_ephemeral(&self, map: &Map, events: Vec<NewEvent>) -> Result<Vec<Event>, HubError> {
        self.admit_ephemeral(map, &events).await?;
        Ok(self.pass_on(map, events))
    }

    /// Charges ephemeral events, before they are passed on.
    async fn admit_ephemeral(&self, map: &Map, events: &[NewEvent]) -> Result<(), HubError> {
        if map.id == SYSTEM_MAP {
            return Err(HubError::Refused(Refusal::SystemMap));
        }
        if self.health.is_removed() {
            return Err(HubError::Unavailable("this node was removed from the cluster"));
        }
        self.quota.charge_ephemeral(map, Amount::of(events)).await
    }

    fn pass_on(&self, map: &Map, mut events: Vec<NewEvent>) -> Vec<Event> {
        let _spans = Publishing::begin(map, &mut events);
        self.passed_on.increment(events.len() as u64);
        self.ephemeral.publish(map.topic, events, self.clock.time_ms())
    }

    /// Publishes each event in the way that the map's channel rules say. The durable ones are stored first,
    /// all or none; the ephemeral ones are passed on after that. So the events of a subject stay in order.
    /// Returns where each event was published, in the order of the events.
    ///
    /// # Errors
    /// Why nothing was published, or that this is unknown of the durable events.
    pub async fn publish_channel(
        &self,
        map: &Map,
        by: By,
        events: Vec<NewEvent>,
        via: Via,
    ) -> Result<Vec<Placed>, HubError> {
        let is_durable =
            |event: &NewEvent| map.rules.durability_of(event.subject.as_str()) == Durability::Durable;
        let is_stored: Vec<bool> = events.iter().map(is_durable).collect();
        let (mut durable, mut ephemeral) = (Vec::new(), Vec::new());
        for (event, is_stored) in events.into_iter().zip(&is_stored) {
            let of_its_kind = if *is_stored { &mut durable } else { &mut ephemeral };
            of_its_kind.push(event);
        }
        // A refusal leaves nothing behind, so that a publisher can repeat the whole.
        if !ephemeral.is_empty() {
            self.admit_ephemeral(map, &ephemeral).await?;
        }
        let mut stored = None;
        if !durable.is_empty() {
            let publish = Publish { map: map.id, by, events: durable, key: None };
            // Its state is large, and most events of channels are ephemeral.
            stored = Some(Box::pin(self.publish(map, publish, via)).await?);
        }
        let mut passed_on = Vec::new();
        if !ephemeral.is_empty() {
            passed_on = self.pass_on(map, ephemeral);
        }
        Ok(in_order(&is_stored, stored, &passed_on))
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

/// Returns where the events were published, in their own order: the stored ones at consecutive positions from
/// the first one on, the others under the ids that they got.
fn in_order(is_stored: &[bool], stored: Option<Published>, passed_on: &[Event]) -> Vec<Placed> {
    let mut stored = stored.into_iter().flat_map(|stored| {
        (0..stored.count)
            .map(move |place| Placed { id: stored.id(place), seq: Some(stored.first_seq + u64::from(place)) })
    });
    let mut passed_on = passed_on.iter().map(|event| Placed { id: event.id, seq: None });
    let next = |is_stored: &bool| if *is_stored { stored.next() } else { passed_on.next() };
    is_stored.iter().filter_map(next).collect()
}

/// Counts a publish that was refused, and says so in its spans.
fn count_refused(published: &Result<Published, HubError>, spans: &mut Publishing) {
    if let Err(error) = published {
        metrics::counter!(metric::PUBLISH_REFUSED, "reason" => reason(error)).increment(1);
        spans.fail(error);
    }
}

/// The value of the metric's label `reason`.
fn reason(error: &HubError) -> &'static str {
    match error {
        HubError::Refused(_) | HubError::TooFast { .. } => "refused",
        HubError::Unavailable(_) | HubError::QueueFull => "unavailable",
        HubError::MapQueueFull => "map_queue_full",
        HubError::DiskFull => "disk_full",
        HubError::Unknown => "unknown",
        HubError::TooLarge(_) => "too_large",
        HubError::Internal(_) => "internal",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::access::Limits;
    use crate::core::command::SetChannelRules;
    use crate::core::subject::Subject;
    use crate::hub::stage;
    use serde_json::json;

    #[test]
    fn events_of_both_kinds_are_told_in_the_order_in_which_they_were_published() {
        let first_id = EventId::new(1, 7, 3);
        let stored = Published { first_seq: 5, count: 2, first_id, time_ms: 1, replayed: false };
        let id = |counter| EventId::ephemeral(1, 2, counter);
        let passed_on =
            [1, 2].map(|counter| NewEvent::new(Default::default(), "k", "1").placed(id(counter), 0, 1));
        let expected = [(id(1), None), (first_id, Some(5)), (first_id.plus_slots(1), Some(6)), (id(2), None)];
        assert_eq!(
            in_order(&[false, true, true, false], Some(stored), &passed_on),
            expected.map(|(id, seq)| Placed { id, seq })
        );
        assert!(in_order(&[], None, &[]).is_empty());
    }

    #[actix_web::test]
    async fn each_event_is_published_as_the_rule_of_its_subject_says() {
        let folder = tempfile::tempdir().unwrap();
        let hub = stage::hub(folder.path()).await;
        let id = stage::create(&hub, 1, "a").await;
        let rules = json!([{"match": "live-*", "durability": "ephemeral", "history": {}}]);
        let rules = SetChannelRules { map: id, by: None, rules: serde_json::from_value(rules).unwrap() };
        hub.log().propose(&Command::SetChannelRules(rules)).await.unwrap();
        let map = hub.access().known().map(id).cloned().unwrap();
        assert_eq!(map.rules.all().len(), 1);
        let events = ["live-1", "orders-7", "live-2", "orders-8"];
        let events = events.map(|subject| NewEvent::new(Subject::parse(subject).unwrap(), "k", "1")).to_vec();
        let placed = hub.publisher().publish_channel(&map, None, events, Via::Rest).await.unwrap();
        let seqs: Vec<_> = placed.iter().map(|placed| placed.seq).collect();
        assert_eq!(seqs, [None, Some(1), None, Some(2)]);
        assert!(placed.iter().all(|placed| placed.id.is_ephemeral() == placed.seq.is_none()));
        hub.shutdown().await;
    }

    #[actix_web::test]
    async fn a_refusal_of_ephemeral_events_leaves_no_durable_event_behind() {
        let folder = tempfile::tempdir().unwrap();
        let hub = stage::hub(folder.path()).await;
        let id = stage::create(&hub, 1, "a").await;
        let known = hub.access().known().map(id).cloned().unwrap();
        let limits = Limits { publishes_per_second: Some(1), ..Limits::NONE };
        let map = Map { limits, ..Map::clone(&known) };
        let mut accepted = 0;
        let refusal = loop {
            let names = ["orders-7"].into_iter().chain(["private-a"; 20]);
            let events = names.map(|name| NewEvent::new(Subject::parse(name).unwrap(), "k", "1")).collect();
            match hub.publisher().publish_channel(&map, None, events, Via::Rest).await {
                Ok(_) => accepted += 1,
                Err(refusal) => break refusal,
            }
        };
        assert!(matches!(refusal, HubError::TooFast { .. }), "{refusal}");
        let stored = hub.archive().read_now(map.topic, 1, 1000, 1 << 20).unwrap();
        assert_eq!(stored.events.len(), accepted);
        hub.shutdown().await;
    }
}
