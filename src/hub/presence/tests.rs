//! Presence on a node of its own: joins, leaves, watchers, counts and lifecycle events.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::core::app::TerminateUser;
use crate::core::channel_rules::{ChannelRule, ChannelRules};
use crate::core::command::{Command, SetChannelRules};
use crate::core::ids::TokenId;
use crate::core::subject::SubjectPattern;
use crate::hub::stage::{create, hub};
use crate::hub::{Hub, HubError};
use std::sync::Mutex;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

async fn until(what: &str, holds: impl Fn() -> bool) {
    let waits = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, waits).await.unwrap_or_else(|_| panic!("{what}"));
}

fn subject(name: &str) -> Subject {
    Subject::parse(name).unwrap()
}

/// A map with two members a channel, whose lifecycle events are wanted.
async fn begun(folder: &std::path::Path) -> (Hub, Arc<Map>) {
    let hub = hub(folder).await;
    let id = create(&hub, 1, "a").await;
    let rule = |pattern: &str| ChannelRule::of(SubjectPattern::new(pattern).unwrap());
    let few = ChannelRule { members_max: Some(2), ..rule("presence-*") };
    let rules = ChannelRules::new(vec![few, rule("$channel/*")]).unwrap();
    hub.log().propose(&Command::SetChannelRules(SetChannelRules { map: id, by: None, rules })).await.unwrap();
    until("the rules are known here", || {
        hub.access().map_here("a").is_some_and(|map| !map.rules.all().is_empty())
    })
    .await;
    let map = hub.access().map_here("a").unwrap();
    (hub, map)
}

fn users(hub: &Hub, map: &Map, name: &str) -> Vec<String> {
    let members = hub.presence().members(map.id, &subject(name));
    members.into_iter().map(|member| member.user.to_string()).collect()
}

#[actix_web::test]
async fn a_user_is_there_while_a_membership_lives_and_for_the_grace_period() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, map) = begun(folder.path()).await;
    let a = subject("presence-a");
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = heard.clone();
    let (members, watch) = hub.presence().watch(map.id, &a, move |news| {
        hears.lock().unwrap().push(match news {
            PresenceNews::Joined(member) => format!("+{}", member.user),
            PresenceNews::Left(member) => format!("-{}", member.user),
        });
    });
    assert!(members.is_empty());
    let info = Bytes::from_static(b"{\"n\":1}");
    let presence = hub.presence();
    let first = presence.join(&map, &a, "ann".into(), info.clone(), None).await.unwrap();
    assert_eq!(presence.members(map.id, &a), [PresentMember { user: "ann".into(), info }]);
    // She has time to return, however busy the machine is.
    let patient = Presence { grace_ms: 10_000, ..presence.clone() };
    let second = patient.join(&map, &a, "ann".into(), Bytes::new(), None).await.unwrap();
    let bob = presence.join(&map, &a, "bob".into(), Bytes::new(), None).await.unwrap();
    until("both are told", || *heard.lock().unwrap() == ["+ann", "+bob"]).await;
    let full = presence.join(&map, &a, "cy".into(), Bytes::new(), None).await.err();
    assert_eq!(full, Some(PresenceError::Full { limit: 2 }));
    let member = |name: &str| Member { map: map.id, subject: a.clone(), name: name.into() };
    assert_eq!(presence.full(&member("cy")).await, Some(2), "it is known without the log");
    assert_eq!(presence.full(&member("bob")).await, None, "who is there needs no room");
    first.leave();
    // The second connection breaks, and the user returns in time.
    drop(second);
    let third = presence.join(&map, &a, "ann".into(), Bytes::new(), None).await.unwrap();
    bob.leave();
    let cy = presence.join(&map, &a, "cy".into(), Bytes::new(), None).await;
    assert!(cy.is_ok(), "bob makes room, also if the cluster has not taken him off yet");
    until("cy is told", || heard.lock().unwrap().len() == 4).await;
    cy.unwrap().leave();
    until("bob has left", || users(&hub, &map, "presence-a") == ["ann"]).await;
    drop(third);
    until("the grace period is over", || users(&hub, &map, "presence-a").is_empty()).await;
    until("all is told", || heard.lock().unwrap().len() == 6).await;
    assert_eq!(*heard.lock().unwrap(), ["+ann", "+bob", "-bob", "+cy", "-cy", "-ann"]);
    drop(watch);
    for (user, info, error) in [
        (String::new(), 0, PresenceError::Name),
        ("x".repeat(129), 0, PresenceError::Name),
        ("x".into(), 1025, PresenceError::Info),
    ] {
        let joined = presence.join(&map, &a, user.into(), vec![b'1'; info].into(), None).await;
        assert_eq!(joined.err(), Some(error));
    }
    hub.shutdown().await;
}

#[actix_web::test]
async fn subscriptions_are_counted_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, map) = begun(folder.path()).await;
    let presence = hub.presence();
    let held: Vec<Occupancy> = ["chat-1", "chat-1", "chat-2", "other"]
        .iter()
        .map(|name| presence.occupy(map.id, &subject(name)))
        .collect();
    let ann = presence.join(&map, &subject("presence-a"), "ann".into(), Bytes::new(), None).await.unwrap();
    let counts = |subscriptions, users| Counts { subscriptions, users };
    let page = presence.count_everywhere(map.id, Some("chat-"), None, 1).await;
    assert_eq!(page.counts.into_iter().collect::<Vec<_>>(), [(subject("chat-1"), counts(2, 0))]);
    assert!(page.more && page.silent.is_empty());
    let page = presence.count_everywhere(map.id, None, Some(&subject("chat-1")), 9).await;
    let names = [("chat-2", counts(1, 0)), ("other", counts(1, 0)), ("presence-a", counts(0, 1))];
    assert_eq!(page.counts.into_iter().collect::<Vec<_>>(), names.map(|(name, of)| (subject(name), of)));
    assert!(!page.more);
    let named = presence.counts_of(map.id, vec![subject("chat-1"), subject("nobody")]).await.counts;
    assert_eq!(
        named.into_iter().collect::<Vec<_>>(),
        [(subject("chat-1"), counts(2, 0)), (subject("nobody"), counts(0, 0)),]
    );
    drop(held);
    ann.leave();
    presence.note(map.id, Lifecycle::CacheMiss { channel: subject("cache-x") });
    let told = |kind: &str| {
        let page = hub.archive().read_now(map.topic, 1, 1000, 1 << 20).unwrap();
        page.events.iter().filter(|event| &*event.kind == kind).count()
    };
    until("all is told", || {
        told("channel_occupied") == 4 && told("channel_vacated") == 4 && told("cache_miss") == 1
    })
    .await;
    assert_eq!((told("member_added"), told("member_removed")), (1, 1));
    hub.shutdown().await;
}

#[actix_web::test]
async fn joins_beyond_the_rate_are_refused_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, map) = begun(folder.path()).await;
    let joins = Arc::new(JoinRate::slow(3));
    let presence = Presence { joins, ..hub.presence().clone() };
    until("it is known what is wanted", || presence.bridge.presence.wants(map.id) != Wants::NOTHING).await;
    let [chat, own] = [subject("chat"), Subject::own()];
    presence.admit(map.id, [&chat, &own].into_iter()).unwrap();
    let ann = presence.join(&map, &subject("presence-a"), "ann".into(), Bytes::new(), None).await.unwrap();
    presence.admit_connection(map.id).unwrap();
    let bob = presence.join(&map, &subject("presence-a"), "bob".into(), Bytes::new(), None).await;
    assert!(matches!(bob.err(), Some(PresenceError::TooFast(TooManyChannelJoins { limit: 3, .. }))));
    assert!(presence.admit(map.id, std::iter::once(&chat)).is_err());
    assert!(presence.admit_connection(map.id).is_err());
    assert_eq!(users(&hub, &map, "presence-a"), ["ann"]);
    presence.admit(map.id, std::iter::once(&own)).unwrap();
    // Of another map nobody wants to know anything.
    let other = create(&hub, 2, "b").await;
    (0..100).for_each(|_| presence.admit(other, std::iter::once(&chat)).unwrap());
    ann.leave();
    hub.shutdown().await;
}

#[actix_web::test]
async fn the_end_of_a_user_is_told_to_those_who_hold_connections() {
    let folder = tempfile::tempdir().unwrap();
    let (hub, map) = begun(folder.path()).await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = heard.clone();
    hub.presence().on_termination(move |termination| hears.lock().unwrap().push(termination.clone()));
    let terminate = |by| Command::TerminateUser(TerminateUser { map: map.id, by, user: "ann".into() });
    let nobody = hub.log().propose(&terminate(Some(TokenId::from_bytes([9; 16])))).await;
    assert!(matches!(nobody, Err(HubError::Refused(Refusal::Forbidden))), "{nobody:?}");
    hub.log().propose(&terminate(None)).await.unwrap();
    until("it is told", || *heard.lock().unwrap() == [Termination::User(map.id, "ann".into())]).await;
    hub.shutdown().await;
}
