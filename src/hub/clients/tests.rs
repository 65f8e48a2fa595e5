#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::core::access::Scopes;
use crate::core::app::Secret;
use crate::core::command::{Command, RevokeToken};
use crate::core::issuer::{RevokeClients, RevokedClients, SetIssuers};
use crate::hub::Hub;
use crate::hub::stage::{create, hub};

const SECRET: &str = "a secret of the tests, long enough";
const ISS: &str = "https://issuer.example";

/// Gives the map one issuer of HS256, and returns its token.
async fn set_issuer(hub: &Hub, n: u8, map: MapId) -> TokenId {
    let token = TokenId::from_bytes([100 + n; 16]);
    let encryption = hub.vault().known_encryption().await;
    let issuer = Issuer {
        token,
        map,
        name: "own".into(),
        algorithm: Algorithm::Hs256,
        keys: IssuerKeys::Secret(encryption.encrypt_secret(token, &Secret::new(SECRET)).unwrap()),
        issuer: Some(ISS.into()),
        audience: None,
        claims: ClaimMapping::default(),
        connections: 7,
        inserted_ms: 0,
    };
    let set = SetIssuers { map, by: None, issuers: vec![issuer] };
    hub.log().propose_everywhere(&Command::SetIssuers(Box::new(set))).await.unwrap();
    token
}

/// A token with these claims beside the usual ones.
fn signed(more: Value) -> String {
    let now = now_ms() / 1000;
    let mut claims = json!({"iss": ISS, "sub": "user-7", "jti": "j", "iat": now, "exp": now + 600});
    for (name, value) in more.as_object().unwrap() {
        claims[name] = value.clone();
    }
    Signer::with_secret(SECRET.as_bytes()).unwrap().sign(claims.as_object().unwrap(), None).unwrap()
}

#[actix_web::test]
async fn a_token_opens_the_map_of_its_issuer() {
    let folder = tempfile::tempdir().unwrap();
    let hub = hub(folder.path()).await;
    let [one, two] = [create(&hub, 1, "one").await, create(&hub, 2, "two").await];
    let clients = hub.access().clients();
    let bare = signed(json!({}));
    assert!(matches!(clients.who_here(&bare, None).await, Err(ClientError::NoIssuer)));
    let token = set_issuer(&hub, 1, one).await;
    let who = clients.who_here(&bare, None).await.unwrap();
    assert_eq!(who.by(), Some(token));
    assert_eq!(who.client().unwrap().rights.connections, Some(7), "as its issuer says");
    assert!(
        who.may(one, Scopes::SUBSCRIBE) && !who.may(one, Scopes::PUBLISH) && !who.may(two, Scopes::SUBSCRIBE)
    );
    let named = signed(json!({"waypost": {"map": "one", "scopes": ["publish"]}}));
    assert!(clients.who_here(&named, None).await.unwrap().may(one, Scopes::PUBLISH));
    for (token, map) in [(&named, Some("two")), (&bare, Some("two")), (&bare, Some("none"))] {
        assert!(matches!(clients.who_here(token, map).await, Err(ClientError::NoIssuer)), "{map:?}");
    }
    // Another map with the same issuer: only a name tells which one is meant.
    set_issuer(&hub, 2, two).await;
    assert!(matches!(clients.who_here(&bare, None).await, Err(ClientError::Ambiguous)));
    assert!(clients.who_here(&bare, Some("two")).await.unwrap().may(two, Scopes::SUBSCRIBE));
    assert!(clients.who_here(&named, None).await.unwrap().may(one, Scopes::PUBLISH));
    // A revoked one opens neither.
    let which = RevokedClients::Jti("j".into());
    let revoke = RevokeClients { map: two, by: None, which, keep_ms: 60_000 };
    hub.log().propose_everywhere(&Command::RevokeClients(revoke)).await.unwrap();
    assert!(matches!(clients.who_here(&bare, Some("two")).await, Err(ClientError::Revoked)));
    assert!(clients.who_here(&bare, Some("one")).await.is_ok());
    hub.shutdown().await;
}

#[actix_web::test]
async fn a_login_ends_with_the_token_that_it_was_made_for() {
    let folder = tempfile::tempdir().unwrap();
    let hub = hub(folder.path()).await;
    let map = create(&hub, 1, "home").await;
    let clients = hub.access().clients();
    let Some(Who::Token(holder)) = hub.access().who_here("home") else { panic!("no token") };
    let token = clients.log_in(&holder).await.unwrap();
    let who = clients.who_here(&token, None).await.unwrap();
    assert_eq!(who.by(), Some(holder.id));
    assert!(who.may(map, Scopes::PUBLISH) && !who.may(map, Scopes::MANAGE));
    assert!(clients.who_here(&token, Some("other")).await.is_err());
    let revoke = RevokeToken { map, by: None, token: holder.id };
    hub.log().propose_everywhere(&Command::RevokeToken(revoke)).await.unwrap();
    assert!(matches!(clients.who_here(&token, None).await, Err(ClientError::NoIssuer)));
    hub.shutdown().await;
}
