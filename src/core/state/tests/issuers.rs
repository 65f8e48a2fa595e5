//! Issuers and revocations of client tokens; tokens that end and are limited to subjects.

use super::subjects::publish_to;
use super::*;
use crate::core::issuer::{
    ClaimMapping, Issuer, IssuerKeys, MAX_ISSUERS, RevokeClients, RevokedClients, SetIssuers,
};
use crate::core::jwt::Algorithm;
use crate::core::subject_limit::SubjectLimit;

fn issuer(token: u8, name: &str) -> Issuer {
    Issuer {
        token: token_id(token),
        map: map_id(1),
        name: name.into(),
        algorithm: Algorithm::EdDsa,
        keys: IssuerKeys::Pem("pem".into()),
        issuer: Some("https://issuer.example".into()),
        audience: None,
        claims: ClaimMapping::default(),
        connections: 100,
        inserted_ms: 0,
    }
}

fn set(issuers: Vec<Issuer>) -> Command {
    Command::SetIssuers(Box::new(SetIssuers { map: map_id(1), by: None, issuers }))
}

fn revoke(which: RevokedClients, keep_ms: u64) -> Command {
    Command::RevokeClients(RevokeClients { map: map_id(1), by: None, which, keep_ms })
}

fn two_maps() -> Node {
    let mut node = Node::new();
    node.entry(10, &[create(1, None, NO_LIMITS, KEEP_ALL), create(2, None, NO_LIMITS, KEEP_ALL)]);
    node
}

#[test]
fn the_clients_of_an_issuer_publish_until_it_is_removed_and_manage_nothing() {
    let mut node = two_maps();
    assert_eq!(node.one(20, set(vec![issuer(100, "a"), issuer(101, "b")])), Reply::Done);
    let by = Some(token_id(100));
    published(node.one(30, publish(1, by, &["a"], None)));
    let forbidden = Reply::Refused(Refusal::Forbidden);
    assert_eq!(node.one(30, publish(2, by, &["a"], None)), forbidden, "another map");
    let managed = SetIssuers { map: map_id(1), by, issuers: Vec::new() };
    assert_eq!(node.one(30, Command::SetIssuers(Box::new(managed))), forbidden);
    let token = RevokeToken { map: map_id(1), by: None, token: token_id(100) };
    assert_eq!(node.one(30, Command::RevokeToken(token)), Reply::Refused(Refusal::UnknownToken));
    // One that stays keeps its record; a restart keeps both.
    let stays = node.state.access().issuers().get(token_id(101)).unwrap().as_ref().clone();
    assert_eq!(stays.inserted_ms, 20);
    node.state = State::load(&node.store).unwrap();
    let replies = node.entry(40, &[set(vec![stays]), publish(1, by, &["a"], None)]);
    assert_eq!(replies, [Reply::Done, forbidden]);
    published(node.one(50, publish(1, Some(token_id(101)), &["a"], None)));
    node.one(60, Command::DeleteMap(map_id(1)));
    assert_eq!(node.store.0.keys().filter(|key| key[0] == keys::ISSUERS).count(), 0);
    assert!(node.state.access().issuers().all().next().is_none());
}

#[test]
fn issuers_that_make_no_sense_are_refused() {
    let mut node = two_maps();
    node.one(20, set(vec![issuer(100, "a")]));
    let many = (0..=MAX_ISSUERS as u8).map(|n| issuer(110 + n, &format!("n{n}"))).collect();
    for (issuers, why) in [
        (many, Refusal::Limit(Counted::Issuers, MAX_ISSUERS as u32)),
        (vec![issuer(101, "x"), issuer(102, "x")], Refusal::Malformed),
        (vec![issuer(101, "x"), issuer(101, "y")], Refusal::Malformed),
        (vec![Issuer { map: map_id(2), ..issuer(101, "x") }], Refusal::Malformed),
        (vec![issuer(100, "renamed")], Refusal::Changed),
        (vec![issuer(1, "x")], Refusal::IdTaken),
    ] {
        assert_eq!(node.one(30, set(issuers)), Reply::Refused(why));
    }
    assert!(node.state.access().issuers().get(token_id(100)).is_some());
}

#[test]
fn a_revocation_is_kept_by_the_expiry_clock() {
    let mut node = two_maps();
    let stolen = RevokedClients::Jti("stolen".into());
    assert_eq!(node.entry_at(5000, 100, &[revoke(stolen.clone(), 50)]), [Reply::Done]);
    let known = |node: &Node| node.state.access().revocations().get(map_id(1), &stolen).cloned();
    assert_eq!(known(&node).map(|known| (known.at_ms, known.due_ms)), Some((5000, 150)));
    node.state = State::load(&node.store).unwrap();
    node.entry_at(9_000_000, 149, &[Command::Tick]);
    assert!(known(&node).is_some(), "the wall clock does not matter");
    node.entry_at(9_000_000, 150, &[Command::Tick]);
    assert!(known(&node).is_none());
    assert_eq!(node.store.0.keys().filter(|key| key[0] == keys::REVOCATIONS).count(), 0);
}

#[test]
fn a_token_ends_by_the_expiry_clock() {
    let mut node = two_maps();
    let token = NewToken { expires_ms: Some(6000), ..new_token(9) };
    let make = Command::CreateToken(CreateToken { map: map_id(1), by: None, token, max_tokens: 9 });
    node.entry_at(5000, 100, &[make]);
    let by = Some(token_id(9));
    node.state = State::load(&node.store).unwrap();
    node.entry_at(9_000_000, 1099, &[Command::Tick]);
    published(node.entry_at(9_000_000, 1099, &[publish(1, by, &["a"], None)]).remove(0));
    node.entry_at(9_000_000, 1100, &[Command::Tick]);
    assert!(node.state.access().token(token_id(9)).is_none());
    let refused = node.entry_at(9_000_000, 1100, &[publish(1, by, &["a"], None)]);
    assert_eq!(refused, [Reply::Refused(Refusal::Forbidden)]);
}

#[test]
fn a_token_publishes_to_its_subjects_alone() {
    let mut node = two_maps();
    let token = NewToken { subjects: SubjectLimit::new(&["chat-*"]), ..new_token(9) };
    node.one(20, Command::CreateToken(CreateToken { map: map_id(1), by: None, token, max_tokens: 9 }));
    let by = Some(token_id(9));
    published(node.one(30, publish_to(by, &["chat-1", "chat-2"])));
    for subjects in [&["news"][..], &["chat-1", "news"], &[""]] {
        assert_eq!(
            node.one(30, publish_to(by, subjects)),
            Reply::Refused(Refusal::Forbidden),
            "{subjects:?}"
        );
    }
}
