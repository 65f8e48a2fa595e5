//! Deliveries whose events are removed before they are sent.

use super::*;
use crate::core::channel_rules::{ChannelRule, ChannelRules, Durability, SubjectHistory};
use crate::core::command::{DeleteEvent, SetChannelRules};
use crate::core::consumer::progress::{DeadLetter, DeadLetterChange, EventRef, Progress, Reason};
use crate::core::ids::{EventId, TopicId};
use crate::core::subject::{Subject, SubjectPattern};
use crate::core::webhook::outcome::{Class, Outcome};
use crate::delivery::webhook::actor::requests::{End, fetch};

impl Stage {
    fn stream(&self) -> TopicId {
        self.hub.access().known().map(self.map).unwrap().topic
    }

    async fn publish_to(&self, subject: &str) {
        let subject = Subject::parse(subject).unwrap();
        let events = vec![NewEvent::new(subject, "x", "{}")];
        let map = self.hub.access().known().map(self.map).cloned().unwrap();
        let publish = Publish { map: self.map, by: None, events, key: None };
        self.hub.publisher().publish(&map, publish, Via::Rest).await.unwrap();
    }

    /// Publishes eight events. The sixth has another subject.
    async fn publish_eight(&self) {
        for seq in 1..=8 {
            if seq == 6 { self.publish_to("s").await } else { self.publish().await }
        }
    }

    /// Makes a rule that removes the sixth event for readers.
    async fn trim_the_sixth(&self) {
        let history = SubjectHistory { events: Some(1), ..SubjectHistory::default() };
        let matches = SubjectPattern::new("s").unwrap();
        let durability = Some(Durability::Durable);
        let rule = ChannelRule { durability, history, ..ChannelRule::of(matches) };
        let rules = ChannelRules::new(vec![rule]).unwrap();
        let set = SetChannelRules { map: self.map, by: None, rules };
        self.hub.log().propose(&Command::SetChannelRules(set)).await.unwrap();
        self.publish_to("s").await;
        let is_gone = || self.hub.archive().read_now(self.stream(), 6, 1, 1).unwrap().events[0].seq != 6;
        until("the rule to remove its event", is_gone).await;
    }

    async fn delete(&self, seq: u64) {
        let page = self.hub.archive().with_backlog().read_now(self.stream(), seq, 1, 1).unwrap();
        let delete = DeleteEvent { map: self.map, by: None, id: page.events[0].id };
        self.hub.log().propose(&Command::DeleteEvent(delete)).await.unwrap();
    }

    async fn fetched(&self, webhook: WebhookId, seqs: &[u64]) -> Result<Vec<u64>, &'static str> {
        let wanted: Vec<EventRef> =
            seqs.iter().map(|seq| EventRef { seq: *seq, id: EventId::ZERO }).collect();
        let found = fetch(&self.shard.shared, webhook, self.stream(), &wanted).await.unwrap();
        match found {
            Ok(events) => Ok(events.iter().map(|event| event.seq).collect()),
            Err(End::Deleted) => Err("deleted"),
            Err(_) => Err("gone, or too large"),
        }
    }
}

#[actix_web::test]
async fn a_batch_never_replaces_a_kept_or_deleted_event_by_another() {
    let stage = Stage::new().await;
    let id = stage.webhook(1).await;
    stage.publish_eight().await;
    // The webhook wants only events of the map's own subject.
    until("deliveries", || stage.delivered(id) == 7).await;
    let dead_letter = DeadLetter {
        seq: 6,
        event_id: EventId::ZERO,
        kind: String::new(),
        attempts: 1,
        first_ms: 1,
        given_up_ms: 1,
        reason: Reason::Failed(Outcome::failed(Class::Status).cause("")),
    };
    let update = Update { dead_letters: vec![DeadLetterChange::Added(dead_letter)], ..stage.update(id, 100) };
    report_all(&stage.shard, [Piece::new(stage.actor(id), update, true)].into()).await;
    stage.trim_the_sixth().await;
    until("the copy of the event", || stage.hub.webhooks().kept_event(id, 6).unwrap().is_some()).await;
    assert_eq!(stage.fetched(id, &[5, 6, 7]).await, Ok(vec![5, 6, 7]));
    stage.delete(7).await;
    assert_eq!(stage.fetched(id, &[5, 6, 8]).await, Ok(vec![5, 6, 8]));
    assert_eq!(stage.fetched(id, &[5, 6, 7, 8]).await, Err("deleted"));
    stage.hub.shutdown().await;
}

#[actix_web::test]
async fn a_batch_with_an_event_that_is_withheld_from_readers_is_whole() {
    let stage = Stage::new().await;
    let id = stage.webhook(1).await;
    let taken = stage.take_all_permits().await;
    stage.publish_eight().await;
    stage.trim_the_sixth().await;
    assert_eq!(stage.hub.webhooks().kept_event(id, 6).unwrap(), None);
    assert_eq!(stage.fetched(id, &[5, 6, 7]).await, Ok(vec![5, 6, 7]));
    drop(taken);
    until("all deliveries", || stage.delivered(id) == 7).await;
    stage.hub.shutdown().await;
}

#[derive(actix::Message)]
#[rtype(result = "u64")]
struct Removals;

impl actix::Handler<Removals> for WebhookActor {
    type Result = u64;

    fn handle(&mut self, _: Removals, _: &mut Self::Context) -> u64 {
        self.removals()
    }
}

#[actix_web::test]
async fn an_event_deleted_while_it_waits_is_not_sent_and_is_no_dead_letter() {
    let stage = Stage::new().await;
    let id = stage.webhook(1).await;
    stage.publish().await;
    until("a delivery", || stage.delivered(id) == 1).await;
    let taken = stage.take_all_permits().await;
    for _ in 2..=8 {
        stage.publish().await;
    }
    // Four events wait for their turn; the others are ready.
    let actor = stage.actor(id);
    actor.send(Wake).await.unwrap();
    let before = actor.send(Removals).await.unwrap();
    stage.delete(3).await;
    stage.delete(7).await;
    let mut looks = 0..3000;
    while actor.send(Removals).await.unwrap() == before && looks.next().is_some() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(taken);
    let progress = || stage.hub.webhooks().state(id).unwrap().unwrap().progress;
    until("all events to be settled", || progress().track.next == 9 && progress().waiting.events == 0).await;
    let Progress { delivered, given_up, missed, .. } = progress();
    assert_eq!((delivered, given_up, missed), (6, 0, 0));
    assert_eq!(stage.received.load(Memory::Relaxed), 6);
    stage.hub.shutdown().await;
}
