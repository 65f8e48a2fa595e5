use super::*;
use crate::core::webhook::outcome::Outcome;
use crate::core::webhook::{Defaults, Origin, Plain, Profile};
use waypost_cluster::Status;

#[test]
fn a_gap_in_the_numbers_of_attempts_is_seen() {
    let cases: [(&[u32], u32, bool); 9] = [
        (&[], 0, false),
        (&[0, 0], 0, false),
        (&[1], 0, false),
        (&[1, 2, 1, 2], 0, false),
        (&[2], 0, true),
        (&[1, 3], 0, true),
        (&[1, 2], 2, false),
        (&[1, 2], 3, true),
        (&[], 3, true),
    ];
    for (attempts, made, expected) in cases {
        assert_eq!(has_gap(attempts.iter().copied(), made), expected, "{attempts:?} of {made}");
    }
}

fn tried(at_ms: u64, attempt: u32, is_delivered: bool) -> Try {
    Try {
        node: 1,
        at_ms,
        attempt,
        took_ms: 1,
        status: None,
        class: if is_delivered { Class::Delivered } else { Class::Status },
        is_given_up: false,
        is_replay: false,
        is_noted: false,
    }
}

/// What was found out of each attempt: whether it is of a replay, and the last one of what was given up.
fn completed(mut tries: Vec<Try>, dead: Option<&DeadLetter>) -> Vec<(bool, bool)> {
    complete(&mut tries, dead);
    tries.iter().map(|tried| (tried.is_replay, tried.is_given_up)).collect()
}

#[test]
fn an_attempt_that_is_only_remembered_is_put_into_its_delivery() {
    let failed = vec![tried(1, 1, false), tried(2, 2, false), tried(3, 3, false)];
    let dead = DeadLetter {
        seq: 1,
        event_id: EventId::new(1, 1, 0),
        kind: String::new(),
        attempts: 3,
        first_ms: 1,
        given_up_ms: 3,
        reason: Reason::Failed(Outcome::failed(Class::Status).cause("503")),
    };
    assert_eq!(completed(failed.clone(), None), [(false, false); 3], "it waits for the next one");
    let given_up = [(false, false), (false, false), (false, true)];
    assert_eq!(completed(failed.clone(), Some(&dead)), given_up);
    let replayed = [failed.clone(), vec![tried(4, 1, true), tried(5, 1, true)]].concat();
    assert_eq!(completed(replayed, None), [given_up.as_slice(), &[(true, false); 2]].concat());
    let between = [failed[..2].to_vec(), vec![tried(3, 1, false), tried(4, 3, false)]].concat();
    let goes_on = [(false, false), (false, false), (true, false), (false, false)];
    assert_eq!(completed(between, None), goes_on, "somebody asked while it was tried again");
    let noted = Try { is_noted: true, is_given_up: true, ..tried(1, 1, false) };
    assert_eq!(completed(vec![noted], None), [(false, true)], "a note says it");
}

fn receiver(tries: Vec<Try>, stored: Stored) -> Receiver {
    let defaults = Defaults {
        timeout_ms: 10_000,
        retry_attempts: None,
        retry_delay_ms: None,
        auto_disable_seconds: None,
    };
    let ids = (WebhookId::from_bytes([1; 16]), MapId::from_bytes([2; 16]));
    let plain = Plain::new(ids.0, ids.1, Origin::Api, Profile::Standard, &defaults);
    Receiver { webhook: Arc::new(plain.webhook), stored, tries, is_newer: false }
}

#[test]
fn a_failed_attempt_says_why() {
    let failed = |number: u32, class| Try { class, is_noted: true, ..tried(number.into(), number, false) };
    let refused = Outcome::failed(Class::Connect).cause("connection refused");
    let dead = DeadLetter {
        seq: 1,
        event_id: EventId::new(1, 1, 0),
        kind: String::new(),
        attempts: 3,
        first_ms: 1,
        given_up_ms: 3,
        reason: Reason::Failed(refused),
    };
    let error = Some("no answer came".to_owned());
    let known = Attempt { attempt: 2, error, ..Attempt::not_begun("", 2, 1) };
    let tries = vec![
        failed(1, Class::Dns),
        failed(2, Class::Timeout),
        Try { is_given_up: true, ..failed(3, Class::Connect) },
    ];
    let receiver = receiver(tries, Stored { dead: Some(dead), attempts: vec![known], ..Stored::default() });
    let status = Status::default();
    let mut drawn = Drawn::new(&status);
    receiver.draw_tries(&mut drawn);
    let answer = drawn.answer(None, &[]);
    let told: Vec<(&Value, &Value)> = answer["steps"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|step| (&step["class"], &step["error"]))
        .collect();
    // The first one is only noted, the second one is remembered, the last one is that of the dead letter.
    let expected = [
        (json!("dns"), Value::Null),
        (json!("timeout"), json!("no answer came")),
        (json!("connect"), json!("connection refused")),
    ];
    assert_eq!(told, expected.iter().map(|(class, error)| (class, error)).collect::<Vec<_>>());
}
