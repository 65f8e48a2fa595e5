//! What a stream keeps of a channel's events: the published text and the sender.

use super::*;
use crate::core::data::payload_of;
use crate::core::event::Sender;
use crate::core::ids::SocketId;
use crate::core::subject::Subject;

#[test]
fn a_stored_event_keeps_its_text_and_its_sender() {
    let mut node = Node::new();
    node.one(10, create(1, None, NO_LIMITS, KEEP_ALL));
    let data = "{ \"a\": 1.0 }";
    let (payload, text) = payload_of(data);
    let sender = Sender { socket: SocketId { a: 1, b: 2 }, user: Some("u".into()) };
    let subject = Subject::parse("orders-7").unwrap();
    let plain = NewEvent::new(subject, "k", payload);
    let sent = NewEvent { text, sender: Some(sender.clone()), ..plain.clone() };
    let publish = Publish { map: map_id(1), by: None, events: vec![plain, sent], key: None };
    published(node.one(20, Command::Publish(publish)));
    let topic = node.state.access().map(map_id(1)).unwrap().topic;
    let history = History::open(&node.store, topic).unwrap();
    let events = history.read(0, Bounds { events: 10, bytes: 1 << 20 }).unwrap().events;
    let seen: Vec<_> =
        events.iter().map(|event| (&*event.payload, event.data(), event.sender.clone())).collect();
    let payload = b"{\"a\":1}".as_slice();
    assert_eq!(seen, [(payload, "{\"a\":1}".into(), None), (payload, data.into(), Some(sender))]);
}
