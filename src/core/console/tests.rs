#![allow(clippy::unwrap_used)]

use super::*;
use crate::core::ids::MapId;
use crate::core::json::Members;
use serde_json::{Value, json};

fn asked(body: &Value) -> Result<Asked, String> {
    let text = body.to_string();
    let mut m = Members::of(&text);
    let asked = Asked::read(&mut m);
    m.finish().into_result(asked).map_err(|errors| errors.to_string())
}

#[test]
fn a_session_ends_at_its_time() {
    let session = Session { credential: Credential::Token([7; 32]), end_ms: 5000 };
    assert_eq!(session.seconds_left(3001), Some(2));
    assert_eq!(session.seconds_left(4999), Some(1));
    assert_eq!((session.seconds_left(5000), session.seconds_left(9000)), (None, None));
}

#[test]
fn a_link_opens_what_its_scopes_say_and_nothing_else() {
    let needed = |is_read, route: &str| {
        LinkScopes::needed(is_read, route).map_or_else(Vec::new, LinkScopes::names).first().copied()
    };
    for (is_read, route, expected) in [
        (true, "/api/maps/{map}/webhooks", Some("webhooks:read")),
        (false, "/api/maps/{map}/webhooks", Some("webhooks:write")),
        (false, "/api/maps/{map}/webhooks/preview", Some("webhooks:write")),
        (true, "/api/maps/{map}/webhooks/{id}/attempts", Some("webhooks:read")),
        (false, "/api/maps/{map}/webhooks/{id}/dead-letters/{event}/retry", Some("webhooks:write")),
        (true, "/api/maps/{map}/consumers", Some("consumers:read")),
        (false, "/api/maps/{map}/consumers/{consumer}/replay", Some("consumers:write")),
        (false, "/api/maps/{map}/webhooks/fire", None),
        (false, "/api/maps/{map}/consumers/{consumer}/pull", None),
        (true, "/api/maps/{map}/consumers/{consumer}/stream", None),
        (true, "/api/maps/{map}/webhooks/{id}/something-new", None),
        (true, "/api/maps/{map}", None),
        (true, "/api/maps/{map}/events", None),
        (false, "/api/maps/{map}/tokens", None),
        (false, "/api/maps/{map}/portal-links", None),
        (true, "/api/webhooks", None),
        (true, "/api/cluster/status", None),
        (true, "", None),
    ] {
        assert_eq!(needed(is_read, route), expected, "{is_read} {route}");
    }
    let read = LinkScopes::from_names(&["webhooks:read"]).unwrap();
    assert!(read.contains(read) && !read.contains(LinkScopes::from_names(&["consumers:read"]).unwrap()));
    assert!(LinkScopes::from_names(&["manage"]).is_none() && LinkScopes::from_names::<&str>(&[]).is_none());
}

#[test]
fn origins_have_one_form() {
    for good in [
        "https://app.example.com",
        "https://app.example.com:8443",
        "https://localhost:3000",
        "http://localhost",
        "http://localhost:5173",
        "https://192.0.2.7",
    ] {
        assert_eq!(Origin::new(good).unwrap().as_str(), good);
    }
    for bad in [
        "",
        "*",
        "'self'",
        "https://",
        "https://*.example.com",
        "https://Example.com",
        "https://example.com/",
        "https://example.com;script-src *",
        "https://example.com https://evil.example",
        "https://example.com\r\nx: y",
        "https://a@example.com",
        "https://example.com:",
        "https://example.com:0",
        "https://example.com:123456",
        "https://example.com:+80",
        "https://-a.example",
        "https://a..example",
        "https://é.example",
        "http://example.com",
        "http://localhost.example.com",
        "data:text/html,x",
        "null",
    ] {
        assert_eq!(Origin::new(bad), None, "{bad}");
    }
    assert_eq!(Origin::new(&format!("https://{}.example", "a".repeat(64))), None);
}

#[test]
fn colours_have_one_form() {
    assert_eq!(Colour::new("#336699").unwrap().to_string(), "#336699");
    assert_eq!(Colour::new("#ABCDEF").unwrap().to_string(), "#abcdef");
    for bad in ["", "336699", "#369", "#33669", "#3366999", "#33669g", "red", "#33669\"", "#é1234"] {
        assert_eq!(Colour::new(bad), None, "{bad}");
    }
}

#[test]
fn a_link_is_asked_for_in_one_form() {
    let least = asked(&json!({"scopes": ["webhooks:read"]})).unwrap();
    assert_eq!((least.minutes, least.origins.len(), least.theme), (USUAL_MINUTES, 0, Theme::default()));
    let all = json!({
        "minutes": 5,
        "scopes": ["webhooks:read", "webhooks:write"],
        "theme": {"accent": "#336699", "background": null, "dark": true},
        "origins": ["https://app.example.com"],
    });
    let shown = json!({"accent": "#336699", "background": null, "text": null, "dark": true});
    assert_eq!(asked(&all).unwrap().theme.shown(), shown);
    for (name, value, part) in [
        ("minutes", json!(0), "minutes"),
        ("minutes", json!(MAX_MINUTES + 1), "minutes"),
        ("scopes", json!([]), "scopes"),
        ("scopes", json!(["manage"]), "scopes"),
        ("theme", json!({"accent": "red;}</style>"}), "theme.accent"),
        ("theme", json!({"font": "x"}), "theme.font"),
        ("origins", json!(vec!["https://a.example"; 11]), "origins"),
        ("origins", json!(["https://a.example; script-src *"]), "origins"),
        ("name", json!("<script>"), "name"),
    ] {
        let mut body = all.clone();
        body[name] = value;
        let told = asked(&body).unwrap_err();
        assert!(told.contains(part), "{name}: {told}");
    }
}

#[test]
fn pages_are_framed_by_the_origins_of_their_link_alone() {
    let origins =
        |texts: &[&str]| -> Vec<Origin> { texts.iter().map(|text| Origin::new(text).unwrap()).collect() };
    let page = |origins| LinkPage { origins, end_ms: 1, theme: Theme::default() };
    assert_eq!(page(Vec::new()).ancestors(), "'none'");
    let two = page(origins(&["https://a.example", "http://localhost:1"]));
    assert_eq!(two.ancestors(), "https://a.example http://localhost:1");
}

#[test]
fn what_a_browser_keeps_is_read_back() {
    let link = Link {
        map: MapId::from_bytes([3; 16]),
        scopes: LinkScopes::from_names(&["consumers:read"]).unwrap(),
        maker: Credential::Person(Person { settings: [1; 16], admin: true, maps: Vec::new() }),
        end_ms: 7,
        theme: Theme::default(),
    };
    let bytes = crate::core::codec::encode(&link).unwrap();
    assert_eq!(crate::core::codec::decode::<Link>(&bytes).unwrap(), link);
}
