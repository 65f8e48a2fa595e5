use super::*;
use crate::core::command::Publish;
use crate::core::event::NewEvent;
use crate::core::ids::TokenId;
use crate::core::subject::Subject;
use crate::core::webhook::outcome::Class;
use crate::hub::stage;

#[actix_web::test]
async fn a_node_knows_of_an_event_what_it_did_itself() {
    let folder = tempfile::tempdir().unwrap();
    let hub = stage::hub(folder.path()).await;
    let id = stage::create(&hub, 1, "a").await;
    let map = hub.access().known().map(id).cloned().unwrap();
    let by = TokenId::from_bytes([1; 16]);
    let events = vec![NewEvent::new(Subject::own(), "k", "1"), NewEvent::new(Subject::own(), "k", "2")];
    let publish = Publish { map: id, by: Some(by), events, key: None };
    let published = hub.publisher().publish(&map, publish, Via::Phoenix).await.unwrap();
    let timeline = hub.operations().timeline();
    let second = published.id(1);
    let stored = Asked { stream: map.topic, seq: 2, subject: Subject::own(), kind: "k".into() };
    let gathered = timeline.gather(second, Some(stored)).await;
    assert!(gathered.unreachable.is_empty());
    let (node, note) = gathered.published().unwrap();
    assert_eq!((node, note.via, note.author), (hub.node_id(), Via::Phoenix, Author::Token(by)));
    assert_eq!(
        (note.stream, note.first_seq, note.place_of(second)),
        (map.topic, published.first_seq, Some(1))
    );
    let known = &gathered.nodes[&node];
    let applied = known.applied.unwrap();
    assert_eq!((applied.index, applied.leader), (second.log_position().index, node));
    assert_eq!(applied.proposal.0, node);
    assert!(note.received_ns <= applied.began_ns && applied.began_ns <= applied.done_ns);
    assert!(known.has_applied && !known.began_after);
    assert_eq!(known.reached, Some(Reached::default()), "there is no dispatcher");
    let other = timeline.gather(published.id(2), None).await;
    assert!(other.published().is_none());
    assert_eq!((&other.nodes[&node].applied, &other.nodes[&node].reached), (&None, &None));
    hub.shutdown().await;
}

#[actix_web::test]
async fn what_a_receiver_got_is_found_by_the_event() {
    let folder = tempfile::tempdir().unwrap();
    let hub = stage::hub(folder.path()).await;
    let (event, other) = (EventId::new(1, 2, 3), EventId::new(1, 2, 4));
    let receiver = crate::core::ids::WebhookId::from_bytes([7; 16]);
    let note = |event, attempt| DeliveryNote {
        event,
        receiver,
        at_ms: 5,
        attempt,
        took_ms: 6,
        status: Some(503),
        class: Class::Status,
        is_given_up: attempt == 2,
        is_replay: false,
    };
    for note in [note(event, 1), note(other, 1), note(event, 2)] {
        hub.webhooks().notes().delivered(&note);
    }
    let gathered = hub.operations().timeline().gather(event, None).await;
    assert_eq!(gathered.nodes[&hub.node_id()].deliveries, [note(event, 1), note(event, 2)]);
    hub.shutdown().await;
}
