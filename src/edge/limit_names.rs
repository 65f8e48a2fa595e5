//! A test: whoever is refused at a limit is told the limit and its setting. It goes over the table of what a
//! caller can hold, in docs/ARCHITECTURE.md.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::auth::too_many_requests;
use super::body::{BODY_BYTES, too_large, too_slow};
use super::consumers::too_many;
use super::error::ApiError;
use super::joins::TooManyClientJoins;
use super::refused::{Quota, Refused, Unavailable};
use super::sessions::{SessionKind, TooManySessions};
use crate::config::Key;
use crate::core::command::{Counted, Refusal};
use crate::core::json::JsonError;
use crate::core::rate::{Exceeded, PublishRates};
use crate::delivery::End;
use crate::delivery::ws::frames::Frames;
use crate::hub::{HubError, TooManyChannelJoins, TooManyConditions, TooManyJoins, TooManyPatterns};
use actix_web::http::StatusCode;
use std::time::Duration;

/// The bytes that a close frame has for a reason.
const MAX_REASON: usize = 123;
/// What an error says of a limit that no setting changes.
const FIXED: &str = "the limit is fixed";

/// What an error says of a limit that channel rules set.
const OF_RULE: &str = "of the subject's channel rule";

/// What an error says of a limit that issuers set.
const OF_ISSUER: &str = "of the client token, or else of its issuer";

/// What a caller is told at a limit.
enum Told {
    Error(ApiError),
    /// The reason of a close frame.
    Reason(String),
}

fn refused(refused: impl Into<Refused>) -> Told {
    Told::Error(refused.into().into())
}

fn error(error: impl Into<ApiError>) -> Told {
    Told::Error(error.into())
}

fn ended(end: End) -> Told {
    Told::Reason(end.reason().to_owned())
}

/// The reason for which a message that is too long ends a socket.
fn long_message() -> Told {
    let mut frames = Frames::new(100, false);
    frames.feed(&[0x81, 0x80 | 101]);
    Told::Reason(frames.take().unwrap_err().1.into_owned())
}

/// What a caller is told at the limit of a row of the table, which is `limit`.
fn told(resource: &str, limit: u32) -> Vec<Told> {
    let size = limit as usize;
    let status = |status: StatusCode| error(ApiError::of_status(status));
    match resource {
        "client connection" => vec![refused(Unavailable::Crowded { limit: size })],
        "the same from one address" => vec![refused(Quota::Sockets { limit: size })],
        "head of a request" => {
            vec![status(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE), status(StatusCode::REQUEST_TIMEOUT)]
        }
        "bytes of a body" => {
            vec![error(too_large(size, BODY_BYTES)), error(too_slow(Duration::from_secs(3)))]
        }
        "failed authentication, wrong signatures" => {
            vec![refused(Refused::TooManyFailures { limit, wait_ms: 1000 })]
        }
        "session (socket, stream, long poll) on a node" => vec![
            refused(Quota::Sessions(TooManySessions::OfOwner(size))),
            refused(Quota::Sessions(TooManySessions::OfLimitedMap(size))),
            refused(Quota::Sessions(TooManySessions::OfNode(SessionKind::Socket, size))),
            refused(Quota::Sessions(TooManySessions::OfNode(SessionKind::LongPoll, size))),
            refused(Unavailable::Full),
            ended(End::Unused),
        ],
        "connection in the cluster" => vec![refused(Quota::Connections { limit })],
        "joins of one client" => {
            vec![refused(Quota::from(TooManyClientJoins { limit, wait_ms: 1000 }))]
        }
        "joins of a map's channels that are written to the log" => {
            vec![refused(Quota::from(TooManyChannelJoins { limit, wait_ms: 1000 }))]
        }
        "joins" => vec![refused(Quota::Joins(TooManyJoins { limit, wait_ms: 1000 }))],
        "bytes of a message, as sent and as inflated" => vec![long_message()],
        "messages of a socket" => vec![ended(End::Flood)],
        "notes for a session" => vec![ended(End::TooSlow)],
        "lifetime of a client token" => vec![refused(Refused::LongToken { most_s: limit.into() })],
        "depth of an event's JSON" => vec![error(JsonError::TooDeep(size))],
        "sessions of whom a client token is about" => {
            vec![refused(Quota::Sessions(TooManySessions::OfClient(size)))]
        }
        other => told_of_map(other, limit),
    }
}

fn too_fast(exceeded: Exceeded, limit: u32) -> HubError {
    HubError::TooFast { exceeded, rates: PublishRates { events: Some(limit), bytes: Some(limit) } }
}

/// The same for what is counted for a map, or for the cluster.
fn told_of_map(resource: &str, limit: u32) -> Vec<Told> {
    let size = limit as usize;
    match resource {
        "revocations of client tokens, issuers, tokens of the cluster" => vec![
            error(Refusal::Limit(Counted::Revocations, limit)),
            error(Refusal::Limit(Counted::Issuers, limit)),
            error(Refusal::Limit(Counted::AdminTokens, limit)),
        ],
        "members of a presence subject" => vec![error(Refusal::Limit(Counted::Members, limit))],
        "bytes that wait for the log" => vec![error(HubError::MapQueueFull), error(HubError::QueueFull)],
        "events and bytes published" => vec![
            error(too_fast(Exceeded::Events(1000), limit)),
            error(too_fast(Exceeded::Bytes(1000), limit)),
            error(HubError::TooLarge(size)),
        ],
        "readers of consumers that wait" => vec![error(too_many(size))],
        "API requests" => vec![error(too_many_requests(limit, 1000))],
        "idempotency keys" => vec![error(Refusal::TooManyKeys { limit, wait_ms: 1000 })],
        "expressions and patterns in use" => {
            vec![
                refused(Quota::Filters(TooManyConditions(size))),
                refused(Quota::Patterns(TooManyPatterns(size))),
            ]
        }
        "ingest sources" => vec![error(Refusal::Limit(Counted::Sources, limit))],
        "consumers that clients read" => vec![error(Refusal::Limit(Counted::Consumers, limit))],
        "maps, tokens, apps, webhooks and their replays" => {
            let counted =
                [Counted::Maps, Counted::Tokens, Counted::Apps, Counted::Webhooks, Counted::Replays];
            counted.map(|counted| error(Refusal::Limit(counted, limit))).into()
        }
        "subjects with events" => vec![error(Refusal::TooManySubjects(limit))],
        // Nobody is refused: they wait, are answered empty, or the oldest goes.
        "long polls that nodes pass on" | "requests to receivers" | "history" | "usage" => Vec::new(),
        "operator events" => Vec::new(),
        "ephemeral events for another node" | "last events of ephemeral cache channels" => Vec::new(),
        "spans of traces" => Vec::new(),
        other => panic!("what is a caller told at the limit of: {other}?"),
    }
}

/// The resources of the table, and what happens at their limits.
fn table() -> Vec<(String, String)> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/ARCHITECTURE.md");
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().skip_while(|line| !line.starts_with("| resource |")).skip(2);
    rows.take_while(|line| line.starts_with('|'))
        .map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
            (cells[0].to_owned(), cells[2].to_owned())
        })
        .collect()
}

/// Checks that a text names a setting that exists.
fn check_setting(name: &str, what: &str) {
    assert!(Key::by_path(name).is_some(), "{what}: {name} is no setting");
}

fn check(told: &Told, resource: &str) {
    match told {
        Told::Error(error) => {
            let body = error.body();
            match body["setting"].as_str() {
                Some(setting) => {
                    check_setting(setting, resource);
                    assert!(body["hint"].as_str().unwrap().contains(setting), "{resource}: {body}");
                    let raise = body["raise"].as_str().unwrap();
                    let flag = Key::by_path(setting).map(|key| format!("waypost serve --{} N", key.flag));
                    let of_map = body["map_limit"].as_str().map(|name| name.replace('_', "-"));
                    let command = of_map.map(|name| format!("waypost map update MAP --{name} N")).or(flag);
                    assert_eq!(Some(raise), command.as_deref(), "{resource}: {body}");
                }
                None => {
                    let hint = body["hint"].as_str().unwrap();
                    let is_said = [FIXED, OF_RULE, OF_ISSUER].iter().any(|said| hint.contains(said));
                    assert!(is_said, "{resource}: {body}");
                }
            }
        }
        Told::Reason(reason) => {
            let (_, setting) = reason.rsplit_once("the limit is the setting ").unwrap();
            check_setting(setting, resource);
            assert!(reason.len() <= MAX_REASON, "{reason} is cut");
        }
    }
}

#[test]
fn every_refusal_at_a_limit_names_its_setting() {
    let table = table();
    assert!(table.len() > 15, "{table:?}");
    for (resource, at_the_limit) in table {
        let told = told(&resource, 3);
        // The table says so too: a status of HTTP, or a close code.
        let refuses = ["40", "41", "42", "43", "50", "closed"].iter().any(|code| at_the_limit.contains(code));
        assert!(refuses || resource == "joins" || told.is_empty(), "{resource}: {at_the_limit}");
        assert!(!refuses || !told.is_empty(), "{resource}: {at_the_limit}");
        told.iter().for_each(|told| check(told, &resource));
    }
}

#[test]
fn a_session_that_ends_at_a_limit_is_told_its_setting() {
    for end in [End::TooSlow, End::Idle, End::Unused, End::Flood, End::FellOut] {
        check(&ended(end), end.label());
    }
}

/// The messages of the errors at a limit, with `N` where it stands.
fn messages(resource: &str, limit: u32) -> Vec<String> {
    let number = limit.to_string();
    let is_limit = |word: &str| word.trim_end_matches([',', ';', ':']) == number;
    let message = |told: &Told| {
        let Told::Error(error) = told else { return String::new() };
        let body = error.body();
        let words = body["message"].as_str().unwrap().split(' ');
        words.map(|word| if is_limit(word) { "N" } else { word }).collect::<Vec<_>>().join(" ")
    };
    told(resource, limit).iter().map(message).collect()
}

#[test]
fn a_limit_of_one_is_not_told_as_several() {
    let mut count = 0;
    for (resource, _) in table() {
        for (one, several) in messages(&resource, 1).into_iter().zip(messages(&resource, 7)) {
            // Seconds have a sign, and a node has more than one place.
            let has_noun =
                several.contains("N ") && !several.contains("N s ") && !several.contains("N places");
            assert!(!has_noun || one != several, "{resource}: {one}");
            count += usize::from(has_noun);
        }
    }
    assert!(count > 15, "{count} messages name what is counted");
}
