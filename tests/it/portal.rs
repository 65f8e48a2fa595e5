//! Portal links: what they open, for how long, who may frame them, and that nothing of them gets into a
//! header.

use crate::console_sessions::{KEY, key_setting};
use crate::support::{checked, nodes, printed, waypost};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::Cluster;
use testkit::cluster::{ADMIN, Map};
use testkit::http::{Api, text};
use waypost::core::access::hash_token;
use waypost::core::console::{Credential, Link, LinkPage, LinkScopes, Theme};
use waypost::edge::kept;
use waypost::hub::Encryption;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors ";

#[test]
fn portal_links_open_what_they_say() {
    checked(
        // Many links are refused here on purpose.
        nodes(3)
            .set("WAYPOST_WEBHOOKS_SECRET_KEY", key_setting())
            .set("WAYPOST_WEBHOOKS_ALLOW_NETS", "127.0.0.0/8")
            .set("WAYPOST_HTTP_PUBLIC_URL", "https://events.example.com")
            .set("WAYPOST_LIMITS_AUTH_FAILURES_PER_MINUTE", 0),
        &[
            ("a link opens webhooks and consumers of its map, within its scopes", opens),
            ("a link opens nothing else", nothing_else),
            ("a link opens no other map", other_map),
            ("a link that has ended, is unknown or was revoked is refused alike", ended),
            ("a link ends with the token that made it", revoked),
            ("its page is framed by its origins", framed),
            ("markup is refused", markup),
            ("the command line", command_line),
        ],
    );
}

/// The path and the token of a link.
struct Made {
    path: String,
    token: String,
}

fn make(api: &Api, map: &Map, body: &Value) -> Result<Made> {
    let made = api.post(&map.path("/portal-links"), body)?.data(201)?;
    ensure!(made["expires_at"].is_string(), "{made}");
    parts(&text(&made, "url")?)
}

fn parts(url: &str) -> Result<Made> {
    let path = url.strip_prefix("https://events.example.com").context("another address")?;
    let (path, token) = path.split_once('#').context("no token")?;
    ensure!(path.starts_with("/portal/") && token.starts_with("wpl_"), "{url}");
    Ok(Made { path: path.to_owned(), token: token.to_owned() })
}

fn with(c: &Cluster, node: usize, token: &str) -> Api {
    Api::new(&c.nodes[node].url(), Some(token)).patient()
}

fn hook(c: &Cluster, map: &Map) -> Result<String> {
    let hook = json!({"url": "http://127.0.0.1:9/x", "active": false});
    text(&c.api(0, map).post(&map.path("/webhooks"), &hook)?.data(201)?, "id")
}

fn opens(c: &Cluster) -> Result<()> {
    let map = c.map("portal")?;
    let id = hook(c, &map)?;
    let read = json!({"scopes": ["webhooks:read"], "theme": {"accent": "#336699", "dark": true}});
    let all = ["webhooks:read", "webhooks:write", "consumers:read", "consumers:write"];
    // The admin makes one, and a manager of the map.
    for api in [c.admin(1), c.api(1, &map)] {
        let reader = make(&api, &map, &read)?.token;
        let writer = make(&api, &map, &json!({"minutes": 5, "scopes": all}))?.token;
        for node in 0..3 {
            let shown = with(c, node, &reader).get("/api/portal")?.data(200)?;
            ensure!(shown["map"]["slug"] == "portal", "{shown}");
            ensure!(shown["scopes"] == json!(["webhooks:read"]), "{shown}");
            ensure!(shown["theme"]["accent"] == "#336699" && shown["theme"]["text"].is_null(), "{shown}");
            with(c, node, &reader).get(&map.path("/webhooks"))?.expect(200)?;
            with(c, node, &reader).get(&map.path(&format!("/webhooks/{id}/attempts")))?.expect(200)?;
            with(c, node, &writer).get(&map.path("/consumers"))?.expect(200)?;
        }
        let change = json!({"timeout_ms": 2000});
        let path = map.path(&format!("/webhooks/{id}"));
        // The names of nodes are for those who manage the map.
        c.wait_until("an owner with a name", |c| {
            let shown = c.api(0, &map).get(&path)?.data(200)?;
            Ok(shown["owner_name"].as_str().is_some_and(|name| name.starts_with("node")).then_some(()))
        })?;
        let shown = with(c, 0, &reader).get(&path)?.data(200)?;
        ensure!(shown["owner"].is_u64() && shown["owner_name"].is_null(), "{shown}");
        with(c, 2, &reader).patch(&path, &change)?.expect(403)?;
        with(c, 2, &reader).get(&map.path("/consumers"))?.expect(403)?;
        with(c, 2, &writer).patch(&path, &change)?.expect(200)?;
        with(c, 2, &writer).post(&map.path("/consumers"), &json!({"name": "jobs"}))?.expect(201)?;
        with(c, 2, &writer).delete(&map.path("/consumers/jobs"))?.expect(204)?;
    }
    Ok(())
}

fn nothing_else(c: &Cluster) -> Result<()> {
    let map = c.map("portal-alone")?;
    hook(c, &map)?;
    c.api(0, &map).post(&map.path("/consumers"), &json!({"name": "jobs"}))?.expect(201)?;
    let all = ["webhooks:read", "webhooks:write", "consumers:read", "consumers:write"];
    let token = make(&c.admin(0), &map, &json!({"scopes": all}))?.token;
    let api = with(c, 0, &token);
    for path in [
        map.path(""),
        map.path("/events"),
        map.path("/events/stream"),
        map.path("/tokens"),
        map.path("/issuers"),
        map.path("/ingest"),
        map.path("/subjects"),
        map.path("/channel-rules"),
        map.path("/consumers/jobs/stream"),
        "/api/maps".to_owned(),
        "/api/webhooks".to_owned(),
        "/api/admin-tokens".to_owned(),
        "/api/cluster/status".to_owned(),
        "/api/cluster/backup".to_owned(),
    ] {
        let answer = api.get(&path)?;
        ensure!(answer.status == 403, "GET {path}: {}", answer.text());
    }
    for path in [
        map.events(),
        map.path("/tokens"),
        map.path("/portal-links"),
        map.path("/webhooks/fire"),
        map.path("/consumers/jobs/pull"),
        map.path("/consumers/jobs/ack"),
        "/api/maps".to_owned(),
        "/api/cluster/snapshot".to_owned(),
    ] {
        let answer = api.post(&path, &json!({}))?;
        ensure!(answer.status == 403, "POST {path}: {}", answer.text());
    }
    // It does not sign in to the console, nor does it open sockets.
    let nobody = Api::new(&c.nodes[0].url(), None).patient();
    ensure!(nobody.post("/console/session", &json!({"token": token}))?.status == 403);
    let socket = testkit::phoenix::Socket::connect(c.nodes[0].http, &token);
    ensure!(socket.is_err(), "a portal link opens a socket");
    Ok(())
}

fn other_map(c: &Cluster) -> Result<()> {
    let (map, other) = (c.map("portal-one")?, c.map("portal-two")?);
    let token = make(&c.admin(0), &map, &json!({"scopes": ["webhooks:read"]}))?.token;
    let api = with(c, 0, &token);
    let foreign = api.get(&other.path("/webhooks"))?;
    let unknown = api.get("/api/maps/no-such-map/webhooks")?;
    ensure!((foreign.status, &foreign.body) == (404, &unknown.body), "{}", foreign.text());
    Ok(())
}

/// A link of the admin that ends at that time.
fn made_by_hand(map: &Map, key: [u8; 32], end_ms: u64) -> Result<Made> {
    let encryption = Encryption::new(key);
    let scopes = LinkScopes::from_names(&["webhooks:read"]).context("a scope")?;
    let maker = Credential::Token(hash_token(ADMIN));
    let link = Link { map: map.id.parse()?, scopes, maker, end_ms, theme: Theme::default() };
    let page = LinkPage { origins: Vec::new(), end_ms, theme: Theme::default() };
    let path = format!("/portal/{}", kept::new_page(&encryption, &page)?);
    Ok(Made { path, token: kept::new_link(&encryption, &link)? })
}

fn ended(c: &Cluster) -> Result<()> {
    let map = c.map("portal-ends")?;
    // The other node knows the map.
    c.wait_same_applied()?;
    let nobody = Api::new(&c.nodes[1].url(), None).patient();
    // One that goes on is good, so the others are refused for what is wrong with them alone.
    let good = made_by_hand(&map, KEY, u64::MAX)?;
    with(c, 1, &good.token).get("/api/portal")?.expect(200)?;
    nobody.get(&good.path)?.expect(200)?;
    let (id, manager) = c.token(&map, &["manage"])?;
    let revoked = make(&c.api(0, &manager), &map, &json!({"scopes": ["webhooks:read"]}))?;
    c.admin(0).delete(&map.path(&format!("/tokens/{id}")))?.expect(204)?;
    c.wait_same_applied()?;
    let mut gone = made_by_hand(&map, KEY, u64::MAX)?;
    gone.token.truncate(40);
    let foreign = made_by_hand(&map, [1; 32], u64::MAX)?;
    let over = made_by_hand(&map, KEY, 1)?;
    for path in ["/api/portal".to_owned(), map.path("/webhooks")] {
        let mut bodies = Vec::new();
        for wrong in [&revoked, &gone, &foreign, &over] {
            bodies.push(with(c, 1, &wrong.token).get(&path)?.expect(401)?.body);
        }
        bodies.dedup();
        ensure!(bodies.len() == 1, "links are refused in different ways: {bodies:?}");
    }
    let mut pages = Vec::new();
    for path in [&*foreign.path, &*over.path, "/portal/nothing"] {
        pages.push(nobody.get(path)?.expect(404)?.body);
    }
    pages.dedup();
    ensure!(pages.len() == 1, "pages are refused in different ways: {pages:?}");
    // A browser is told in a page, which no frame shows.
    let accept = [("accept", "text/html,*/*;q=0.8")];
    let told = nobody.call("GET", &over.path, &accept, None)?.expect(404)?;
    ensure!(told.header("content-type") == Some("text/html; charset=utf-8"), "{told:?}");
    let policy = told.header("content-security-policy").unwrap_or_default();
    ensure!(policy.starts_with("default-src 'none'"), "{policy}");
    ensure!(policy.ends_with("frame-ancestors 'none'"), "{policy}");
    ensure!(told.text().contains("<h1>This portal link was not found.</h1>"), "{}", told.text());
    Ok(())
}

fn revoked(c: &Cluster) -> Result<()> {
    let map = c.map("portal-revoked")?;
    let (id, manager) = c.token(&map, &["manage"])?;
    let body = json!({"scopes": ["webhooks:read"]});
    let its = make(&c.api(0, &manager), &map, &body)?.token;
    let of_other = make(&c.api(0, &map), &map, &body)?.token;
    for node in 0..3 {
        with(c, node, &its).get(&map.path("/webhooks"))?.expect(200)?;
    }
    c.admin(0).delete(&map.path(&format!("/tokens/{id}")))?.expect(204)?;
    for node in 0..3 {
        with(c, node, &its).get(&map.path("/webhooks"))?.expect(401)?;
        with(c, node, &of_other).get(&map.path("/webhooks"))?.expect(200)?;
    }
    // Whoever may not manage the map makes no links.
    let (_, reader) = c.token(&map, &["subscribe", "publish"])?;
    c.api(0, &reader).post(&map.path("/portal-links"), &body)?.expect(403).map(drop)
}

fn framed(c: &Cluster) -> Result<()> {
    let map = c.map("portal-framed")?;
    let nobody = Api::new(&c.nodes[2].url(), None).patient();
    let two = ["https://app.example.com", "http://localhost:5173"];
    for (origins, ancestors) in [(json!([]), "'none'".to_owned()), (json!(two), two.join(" "))] {
        let made = make(&c.admin(0), &map, &json!({"scopes": ["webhooks:read"], "origins": origins}))?;
        let page = nobody.get(&made.path)?.expect(200)?;
        let policy = format!("{POLICY}{ancestors}");
        for (name, value) in [
            ("content-security-policy", &*policy),
            ("content-type", "text/html; charset=utf-8"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-cache"),
        ] {
            ensure!(page.header(name) == Some(value), "{name}: {:?}", page.header(name));
        }
    }
    Ok(())
}

fn markup(c: &Cluster) -> Result<()> {
    let map = c.map("portal-markup")?;
    let body = |name: &str, value: Value| {
        let mut body = json!({"scopes": ["webhooks:read"]});
        body[name] = value;
        body
    };
    for body in [
        body("theme", json!({"accent": "#336699;}</style><script>alert(1)</script>"})),
        body("theme", json!({"accent": "red"})),
        body("theme", json!({"<script>": "#336699"})),
        body("origins", json!(["https://a.example; script-src *"])),
        body("origins", json!(["https://a.example\r\nx: y"])),
        body("origins", json!(["https://*"])),
        body("origins", json!(["http://a.example"])),
        body("origins", json!(vec!["https://a.example"; 11])),
        body("scopes", json!(["manage"])),
        body("scopes", json!([])),
        body("minutes", json!(0)),
        body("minutes", json!(10_081)),
    ] {
        let answer = c.admin(0).post(&map.path("/portal-links"), &body)?;
        ensure!(answer.status == 400, "{body}: {}", answer.text());
    }
    // A map's name is data: it comes as JSON.
    let name = "<img src=x onerror=alert(1)>";
    c.admin(0).patch(&map.path(""), &json!({"name": name}))?.expect(200)?;
    let token = make(&c.admin(0), &map, &json!({"scopes": ["webhooks:read"]}))?.token;
    let shown = with(c, 0, &token).get("/api/portal")?.expect(200)?;
    ensure!(shown.header("content-type").is_some_and(|kind| kind.starts_with("application/json")));
    ensure!(shown.json()?["data"]["map"]["name"] == name);
    Ok(())
}

fn command_line(c: &Cluster) -> Result<()> {
    let map = c.map("portal-command")?;
    let scopes = "webhooks:read,consumers:read";
    let arguments = ["portal", "link", "portal-command", "--minutes", "5", "--scope", scopes];
    let more = ["--origin", "https://app.example.com", "--accent", "#336699", "--dark"];
    let mut command = waypost(&[&arguments[..], &more].concat());
    let output = command.env("WAYPOST_URL", c.nodes[0].url()).env("WAYPOST_TOKEN", &map.token).output()?;
    ensure!(output.status.success(), "{}", printed(&output));
    let said: Value = serde_json::from_slice(&output.stdout)?;
    let token = parts(&text(&said, "url")?)?.token;
    let shown = with(c, 1, &token).get("/api/portal")?.data(200)?;
    ensure!(shown["scopes"] == json!(["webhooks:read", "consumers:read"]), "{shown}");
    ensure!(shown["theme"]["dark"] == true, "{shown}");
    Ok(())
}
