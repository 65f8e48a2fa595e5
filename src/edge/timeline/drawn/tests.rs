use super::*;
use crate::core::ids::TopicId;
use crate::core::reached::Reached;
use crate::hub::Via;
use waypost_cluster::{MemberStatus, NAME};

fn id() -> EventId {
    EventId::new(1_750_509_296_789, 77, 2)
}

fn status() -> Status {
    let member = |id| {
        let meta = [(NAME.to_owned(), format!("node-{id}"))].into();
        MemberStatus { id, meta, ..MemberStatus::default() }
    };
    Status { members: (1..=3).map(member).collect(), ..Status::default() }
}

fn publish() -> PublishNote {
    PublishNote {
        first_id: EventId::new(1_750_509_296_789, 77, 0),
        count: 3,
        stream: TopicId(1),
        first_seq: 10,
        author: Author::Admin,
        via: Via::Rest,
        received_ns: 1_000_000,
        proposed_us: 250,
    }
}

/// A node that applied the event then, and handed it to two sockets.
fn applied(began_ns: u64, done_ns: u64) -> Known {
    let proposal = (2, 5, 117);
    let applied = ApplyNote { index: 77, first_slot: 0, end_slot: 3, proposal, leader: 3, began_ns, done_ns };
    let reached = Reached { sockets: 2, slowest_us: 80, at_ns: Some(done_ns + 9), ..Reached::default() };
    Known { applied: Some(applied), has_applied: true, reached: Some(reached), ..Known::default() }
}

/// The kinds and nodes of the steps, and what is gone.
fn drawn(gathered: &Gathered) -> (Vec<(String, u64)>, Vec<String>, Value) {
    let status = status();
    let mut drawn = Drawn::new(&status);
    drawn.log(id(), gathered);
    drawn.sockets(gathered, true);
    let answer = drawn.answer(Some(json!({})), &gathered.unreachable);
    let steps = answer["steps"].as_array().unwrap();
    let step = |step: &Value| {
        (step["kind"].as_str().unwrap().to_owned(), step["node"]["id"].as_u64().unwrap_or_default())
    };
    let gone = answer["gone"].as_array().unwrap().iter();
    let gone = gone.map(|sentence| sentence.as_str().unwrap().to_owned()).collect();
    (steps.iter().map(step).collect(), gone, answer.clone())
}

#[test]
fn steps_stand_by_stage_and_then_by_time() {
    let mut gathered = Gathered::default();
    gathered.nodes.insert(1, applied(40_000, 90_000));
    gathered.nodes.insert(2, Known { published: Some(publish()), ..applied(30_000, 60_000) });
    gathered.nodes.insert(3, applied(35_000, 50_000));
    let (steps, gone, answer) = drawn(&gathered);
    let expected = [
        ("proposed", 2),
        ("committed", 3),
        ("applied", 3),
        ("applied", 2),
        ("applied", 1),
        ("delivered", 3),
        ("delivered", 2),
        ("delivered", 1),
    ];
    let told: Vec<(&str, u64)> = steps.iter().map(|(kind, node)| (kind.as_str(), *node)).collect();
    assert_eq!((told, gone), (expected.to_vec(), Vec::<String>::new()));
    assert_eq!(answer["steps"][0]["proposal"], "2-5-117");
    assert_eq!(answer["steps"][0]["at"], "1970-01-01T00:00:00.001250Z");
    assert_eq!(answer["steps"][1]["log_index"], 77);
    assert_eq!(answer["steps"][1]["node"], json!({"id": 3, "name": "node-3"}));
    assert_eq!(answer["steps"][5]["sockets"], 2);
}

#[test]
fn what_is_not_known_is_said() {
    let mut gathered = Gathered { unreachable: vec![3], ..Gathered::default() };
    let nothing = Reached::default();
    let started = Known { has_applied: true, began_after: true, reached: Some(nothing), ..Known::default() };
    gathered.nodes.insert(1, started);
    let forgotten = Reached { forgotten_ns: Some(9), ..nothing };
    gathered.nodes.insert(2, Known { has_applied: true, reached: Some(forgotten), ..Known::default() });
    let (steps, gone, answer) = drawn(&gathered);
    assert!(steps.is_empty(), "{steps:?}");
    let all = gone.join("\n");
    for said in [
        "which proposal",
        "entry 77 of the log",
        "node 1 (node-1) was started after the event",
        "node 2 (node-2) no longer knows when",
        "sockets of node 2 (node-2) were handed",
    ] {
        assert!(all.contains(said), "{said}: {all}");
    }
    assert_eq!(answer["unreachable"], json!([{"id": 3, "name": "node-3"}]));
}

#[test]
fn a_node_without_sockets_is_told_as_such() {
    let mut gathered = Gathered::default();
    gathered.nodes.insert(1, Known { reached: Some(Reached::default()), ..applied(40_000, 90_000) });
    let (steps, _, answer) = drawn(&gathered);
    let delivered = steps.iter().position(|(kind, _)| kind == "delivered").unwrap();
    assert_eq!(answer["steps"][delivered]["sockets"], 0);
    let of_one_thread = Reached { forgotten_ns: Some(95_000), ..applied(40_000, 90_000).reached.unwrap() };
    gathered.nodes.insert(1, Known { reached: Some(of_one_thread), ..applied(40_000, 90_000) });
    let (steps, gone, _) = drawn(&gathered);
    assert!(steps.iter().any(|(kind, _)| kind == "delivered"));
    assert!(gone.iter().any(|said| said.starts_with("some of what the sockets of node 1")), "{gone:?}");
    let partial = Reached { is_partial: true, ..Reached::default() };
    gathered.nodes.insert(1, Known { reached: Some(partial), ..applied(40_000, 90_000) });
    assert!(drawn(&gathered).1.iter().any(|said| said.contains("subscriptions of several subjects")));
}
