#![allow(clippy::unwrap_used)]

use super::*;

fn map(n: u8, slug: Option<&str>) -> Map {
    let limits = Limits::NONE;
    let retention = Retention {
        events: None,
        age_seconds: None,
        bytes: None,
        webhook_backlog: WebhookBacklog::default(),
    };
    let slug = slug.map(str::to_owned);
    Map {
        id: MapId::from_bytes([n; 16]),
        slug,
        name: String::new(),
        topic: TopicId(n.into()),
        limits,
        retention,
        rules: ChannelRules::default(),
        inserted_ms: 0,
        updated_ms: 0,
    }
}

fn token(n: u8, map: u8) -> Token {
    Token {
        id: TokenId::from_bytes([n; 16]),
        map: MapId::from_bytes([map; 16]),
        name: String::new(),
        hash: [n; 32],
        scopes: Scopes::ALL,
        inserted_ms: 0,
        expiry: None,
        subjects: None,
    }
}

#[test]
fn changing_a_slug_frees_the_old_one() {
    let mut access = Access::default();
    access.change(&AccessChange::Map(map(1, Some("old")).into()));
    access.change(&AccessChange::Map(map(1, Some("new")).into()));
    assert!(access.map_named("old").is_none());
    assert_eq!(
        access.map_named("new").unwrap().id,
        access.map_named(&MapId::from_bytes([1; 16]).to_string()).unwrap().id
    );
}

#[test]
fn an_id_is_found_in_any_case() {
    let mut access = Access::default();
    access.change(&AccessChange::Map(map(0xab, None).into()));
    let id = MapId::from_bytes([0xab; 16]);
    for name in [id.to_string(), id.to_string().to_uppercase(), id.to_string().replacen('a', "A", 3)] {
        assert_eq!(access.map_named(&name).unwrap().id, id, "{name}");
        assert!(map(0xab, None).has_name(&name), "{name}");
    }
    assert!(access.map_named(&id.to_string().replace('-', "")).is_none());
}

#[test]
fn the_token_of_an_app_is_found_by_its_id_alone() {
    let mut access = Access::default();
    let map = map(1, None);
    access.change(&AccessChange::Map(map.clone().into()));
    let app = App {
        token: TokenId::from_bytes([7; 16]),
        map: map.id,
        id: "1".into(),
        key: "k".into(),
        client_events: false,
        origins: Vec::new(),
        max_connections: None,
        origin: crate::core::webhook::Origin::Api,
        encrypted: vec![1],
        inserted_ms: 5,
    };
    access.change(&AccessChange::App(app.clone().into()));
    let token = access.token(app.token).unwrap();
    assert_eq!((token.map, token.scopes), (map.id, Scopes::OF_APPS));
    assert!(Scopes::OF_APPS.contains(Scopes::SUBSCRIBE) && Scopes::OF_APPS.contains(Scopes::PUBLISH));
    assert!(!Scopes::OF_APPS.contains(Scopes::MANAGE));
    assert!(access.token_with(&token.hash).is_none());
    assert_eq!((access.token_count(map.id), access.tokens_of(map.id).count()), (0, 0));
    access.change(&AccessChange::AppGone(app.token));
    assert!(access.token(app.token).is_none() && access.apps().is_empty());
    access.change(&AccessChange::App(app.clone().into()));
    access.change(&AccessChange::MapGone(map.id));
    assert!(access.token(app.token).is_none() && access.apps().is_empty());
}

#[test]
fn deleting_a_map_deletes_its_tokens() {
    let mut access = Access::default();
    access.change(&AccessChange::Map(map(1, None).into()));
    access.change(&AccessChange::Token(token(7, 1).into()));
    access.change(&AccessChange::Token(token(8, 2).into()));
    access.change(&AccessChange::MapGone(MapId::from_bytes([1; 16])));
    assert!(access.token_with(&[7; 32]).is_none());
    assert!(access.token_with(&[8; 32]).is_some());
    assert_eq!(access.token_count(MapId::from_bytes([1; 16])), 0);
}

#[test]
fn scopes_convert_to_names_and_back() {
    let two = Scopes::from_names(&["publish", "subscribe"]).unwrap();
    assert_eq!(two.names(), ["subscribe", "publish"]);
    assert!(two.contains(Scopes::PUBLISH) && !two.contains(Scopes::MANAGE));
    assert_eq!(Scopes::from_names(&Scopes::ALL.names()), Some(Scopes::ALL));
    assert!(!Scopes::OF_APPS.contains(Scopes::PRESENCE), "a back end signs the users of an app");
    assert_eq!(Scopes::from_names(&["admin"]), None);
    assert_eq!(Scopes::from_names::<&str>(&[]), None);
}

#[test]
fn slugs_are_short_lowercase_and_not_uuids() {
    assert!(is_slug("home-2_x") && is_slug("0"));
    for bad in ["", "-a", "A", "a b", "550e8400-e29b-41d4-a716-446655440000", &"a".repeat(64)] {
        assert!(!is_slug(bad), "{bad}");
    }
}
