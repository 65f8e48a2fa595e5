//! Signing in to the console: a cookie that stands for a token on every node, and counts only with its
//! header.

use crate::support::{checked, nodes};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::Cluster;
use testkit::cluster::{ADMIN, Map};
use testkit::http::{Answer, Api, text};
use waypost::core::access::hash_token;
use waypost::core::console::{Credential, Session};
use waypost::edge::kept;
use waypost::hub::Encryption;

/// The key of the cluster, so that tests can make what has ended.
pub(crate) const KEY: [u8; 32] = [0x5a; 32];
/// The policy of the console's page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The setting of that key.
pub(crate) fn key_setting() -> String {
    "5a".repeat(32)
}

#[test]
fn the_console_is_signed_in_to_on_every_node() {
    checked(
        // Many cookies are refused here on purpose.
        nodes(3)
            .set("WAYPOST_WEBHOOKS_SECRET_KEY", key_setting())
            .set("WAYPOST_LIMITS_AUTH_FAILURES_PER_MINUTE", 0),
        &[
            ("the page and its files", pages),
            ("the admin signs in", admin),
            ("the holder of a map's token signs in", of_map),
            ("wrong tokens do not sign in", wrong_tokens),
            ("a cookie counts with its own header alone", header),
            ("a cookie that was changed, or has ended, counts nowhere", changed),
            ("a session ends with its token", revoked),
            ("signing out", signed_out),
        ],
    );
}

/// Wrong cookies and headers count as wrong tokens do.
#[test]
fn who_guesses_cookies_is_held_up() {
    checked(
        nodes(1).set("WAYPOST_LIMITS_AUTH_FAILURES_PER_MINUTE", 5),
        &[("guesses", |c| {
            let signed = sign_in(c, 0, ADMIN)?;
            let guess = SignedIn { cookie: "waypost_session=AAAA".to_owned(), ..signed.clone() };
            c.wait_until("429", |c| Ok((guess.get(c, 0, "/api/maps")?.status == 429).then_some(())))?;
            // Whoever has signed in is not.
            signed.get(c, 0, "/api/maps")?.expect(200).map(drop)
        })],
    );
}

/// Where browsers come by HTTPS, the cookie has a name that no other host of the site can set.
#[test]
fn a_cookie_by_https_is_set_by_this_host_alone() {
    checked(
        nodes(1).set("WAYPOST_HTTP_PUBLIC_URL", "https://events.example.com"),
        &[("its name", |c| {
            let signed = sign_in(c, 0, ADMIN)?;
            ensure!(signed.set.starts_with("__Host-waypost_session="), "{}", signed.set);
            ensure!(signed.set.contains("; Path=/;") && signed.set.ends_with("; Secure"), "{}", signed.set);
            signed.get(c, 0, "/api/maps")?.expect(200)?;
            signed.get(c, 0, "/console/session")?.expect(200)?;
            let tossed = SignedIn { cookie: signed.cookie.replace("__Host-", ""), ..signed };
            tossed.get(c, 0, "/api/maps")?.expect(401).map(drop)
        })],
    );
}

/// A node without a console knows no cookies, and has no pages.
#[test]
fn a_console_can_be_switched_off() {
    checked(
        nodes(1).set("WAYPOST_CONSOLE_ENABLED", false),
        &[("off", |c| {
            let nobody = Api::new(&c.nodes[0].url(), None);
            for path in ["/console/", "/console/config", "/portal/x", "/api/portal"] {
                nobody.get(path)?.expect(404)?;
            }
            nobody.post("/console/session", &json!({"token": ADMIN}))?.expect(404)?;
            ensure!(nobody.get("/")?.expect(200)?.json()?["links"]["console"].is_null());
            Ok(())
        })],
    );
}

/// Somebody who has signed in.
#[derive(Clone)]
struct SignedIn {
    /// What the browser sends.
    cookie: String,
    /// What the answer set.
    set: String,
    csrf: String,
    data: Value,
}

fn sign_in(c: &Cluster, node: usize, token: &str) -> Result<SignedIn> {
    let nobody = Api::new(&c.nodes[node].url(), None).patient();
    let answer = nobody.post("/console/session", &json!({"token": token}))?;
    let set = answer.header("set-cookie").context("no cookie")?.to_owned();
    let cookie = set.split(';').next().unwrap_or_default().to_owned();
    let data = answer.data(200)?;
    Ok(SignedIn { cookie, set, csrf: text(&data, "csrf")?, data })
}

impl SignedIn {
    fn call(
        &self,
        c: &Cluster,
        node: usize,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer> {
        let headers = [("cookie", &*self.cookie), ("x-waypost-csrf", &*self.csrf)];
        let body = body.map(Value::to_string);
        let nobody = Api::new(&c.nodes[node].url(), None).patient();
        nobody.call(method, path, &headers, body.as_deref().map(str::as_bytes))
    }

    fn get(&self, c: &Cluster, node: usize, path: &str) -> Result<Answer> {
        self.call(c, node, "GET", path, None)
    }
}

fn pages(c: &Cluster) -> Result<()> {
    let nobody = Api::new(&c.nodes[0].url(), None);
    let (moved, _) = testkit::http::raw(
        c.nodes[0].http,
        b"GET /console HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        testkit::wait::LIMIT,
    )?;
    let moved = moved.to_ascii_lowercase();
    ensure!(moved.contains(" 308 ") && moved.contains("location: console/\r\n"), "{moved}");
    let page = nobody.get("/console/?utm_source=mail")?.expect(200)?;
    for (name, value) in [
        ("content-security-policy", POLICY),
        ("content-type", "text/html; charset=utf-8"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-cache"),
    ] {
        ensure!(page.header(name) == Some(value), "{name}: {:?}", page.header(name));
    }
    // Cross-origin rules add their own names.
    let varies = page.header("vary").context("no Vary")?;
    ensure!(varies.contains("accept-encoding"), "{varies}");
    let html = String::from_utf8_lossy(&page.body).into_owned();
    let assets: Vec<&str> = html.split('"').filter(|part| part.starts_with("/console/assets/")).collect();
    ensure!(!assets.is_empty(), "{html}");
    for path in assets {
        let plain = nobody.get(path)?.expect(200)?;
        ensure!(plain.header("cache-control") == Some("public, max-age=31536000, immutable"), "{path}");
        ensure!(plain.header("content-encoding").is_none(), "{path}");
        let short = nobody.call("GET", path, &[("accept-encoding", "gzip")], None)?.expect(200)?;
        ensure!(short.header("content-encoding") == Some("gzip"), "{path}: {short:?}");
        let tag = short.header("etag").context("no version")?;
        let known = [("accept-encoding", "gzip"), ("if-none-match", tag)];
        nobody.call("GET", path, &known, None)?.expect(304)?;
    }
    nobody.get("/console/assets/nothing.js")?.expect(404)?;
    nobody.get("/console/console.html")?.expect(404)?;
    let config = nobody.get("/console/config")?.data(200)?;
    ensure!(config["oidc"].is_null() && config["version"].is_string(), "{config}");
    nobody.get("/console/oidc/start")?.expect(404).map(drop)
}

fn admin(c: &Cluster) -> Result<()> {
    let signed = sign_in(c, 0, ADMIN)?;
    ensure!(signed.data["role"] == "admin" && signed.data["map"].is_null(), "{}", signed.data);
    for part in ["; Path=/;", "; HttpOnly", "; SameSite=Strict", "; Max-Age=28800"] {
        ensure!(signed.set.contains(part), "{part} in {}", signed.set);
    }
    ensure!(!signed.set.contains("Secure"), "the node has no certificate: {}", signed.set);
    // The cookie shows nothing of the token.
    ensure!(!signed.cookie.contains(ADMIN));
    for node in 0..3 {
        signed.get(c, node, "/api/maps")?.expect(200)?;
        signed.get(c, node, "/api/cluster/status")?.expect(200)?;
        let session = signed.get(c, node, "/console/session")?.data(200)?;
        ensure!(session["csrf"] == *signed.csrf && session["role"] == "admin", "{session}");
    }
    let made = signed.call(c, 1, "POST", "/api/maps", Some(&json!({"slug": "made-in-the-console"})))?;
    ensure!(made.status == 201, "{}", made.text());
    Ok(())
}

fn of_map(c: &Cluster) -> Result<()> {
    let (map, other) = (c.map("signed-in")?, c.map("not-signed-in")?);
    let (_, reader) = c.token(&map, &["subscribe"])?;
    let signed = sign_in(c, 0, &reader.token)?;
    let data = &signed.data;
    ensure!(data["role"] == "map" && data["scopes"] == json!(["subscribe"]), "{data}");
    ensure!(data["map"]["id"] == *map.id && data["map"]["slug"] == "signed-in", "{data}");
    for node in 0..3 {
        signed.get(c, node, &map.events())?.expect(200)?;
        signed.get(c, node, &map.path("/tokens"))?.expect(403)?;
        signed.get(c, node, "/api/maps")?.expect(403)?;
        // A foreign map and an unknown one look the same.
        let foreign = signed.get(c, node, &other.events())?;
        let unknown = signed.get(c, node, "/api/maps/no-such-map/events")?;
        ensure!((foreign.status, &foreign.body) == (404, &unknown.body), "{}", foreign.text());
    }
    Ok(())
}

fn wrong_tokens(c: &Cluster) -> Result<()> {
    let nobody = Api::new(&c.nodes[0].url(), None).patient();
    for (body, status) in [
        (json!({"token": "wp_wrong"}), 401),
        (json!({"token": ""}), 400),
        (json!({}), 400),
        (json!({"token": ADMIN, "name": "<script>"}), 400),
    ] {
        let answer = nobody.post("/console/session", &body)?;
        let has_cookie = answer.header("set-cookie").is_some();
        ensure!(answer.status == status && !has_cookie, "{body}: {}", answer.text());
        // The token comes in the body, so no answer speaks of the header of other requests.
        ensure!(!answer.text().contains("Authorization"), "{body}: {}", answer.text());
        if status == 401 {
            ensure!(text(&answer.json()?, "hint")?.contains("revoked"), "{}", answer.text());
        }
    }
    // What a form of another site can send.
    let forms = [("content-type", "text/plain")];
    let body = json!({"token": ADMIN}).to_string();
    nobody.call("POST", "/console/session", &forms, Some(body.as_bytes()))?.expect(415)?;
    // And what a script of another origin can send unasked: a body without a media type.
    let bare = nobody.call("POST", "/console/session", &[], Some(body.as_bytes()))?.expect(415)?;
    ensure!(bare.header("set-cookie").is_none(), "{bare:?}");
    Ok(())
}

fn header(c: &Cluster) -> Result<()> {
    let (one, two) = (sign_in(c, 0, ADMIN)?, sign_in(c, 0, ADMIN)?);
    ensure!(one.cookie != two.cookie && one.csrf != two.csrf);
    let nobody = Api::new(&c.nodes[1].url(), None).patient();
    for headers in [
        vec![("cookie", &*one.cookie)],
        vec![("x-waypost-csrf", &*one.csrf)],
        vec![("cookie", &*one.cookie), ("x-waypost-csrf", &*two.csrf)],
        vec![("cookie", &*one.cookie), ("x-waypost-csrf", "")],
        vec![("cookie", &*one.cookie), ("x-waypost-csrf", "AAAAAAAAAAAAAAAAAAAAAA")],
        // A wrong token is not made good by a cookie.
        vec![("cookie", &*one.cookie), ("x-waypost-csrf", &*one.csrf), ("authorization", "Bearer wp_wrong")],
    ] {
        for (method, path) in [("GET", "/api/maps"), ("GET", "/api/cluster/status"), ("POST", "/api/maps")] {
            let answer = nobody.call(method, path, &headers, (method == "POST").then_some(&b"{}"[..]))?;
            ensure!(answer.status == 401, "{method} {path} {headers:?}: {}", answer.text());
        }
    }
    // It opens no socket, even with the header.
    let upgrade = format!(
        "GET /socket/events/websocket?vsn=2.0.0 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
         Cookie: {}\r\nX-Waypost-CSRF: {}\r\n\r\n",
        one.cookie, one.csrf
    );
    let (answer, _) = testkit::http::raw(c.nodes[1].http, upgrade.as_bytes(), testkit::wait::LIMIT)?;
    ensure!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    // No page of another origin can send the cookie and read the answer.
    let origin = [("origin", "https://evil.example"), ("cookie", &*one.cookie)];
    let answer = nobody.call("GET", "/console/session", &origin, None)?;
    ensure!(answer.header("access-control-allow-credentials").is_none(), "{answer:?}");
    Ok(())
}

fn changed(c: &Cluster) -> Result<()> {
    let signed = sign_in(c, 0, ADMIN)?;
    let (name, value) = signed.cookie.split_once('=').context("no cookie")?;
    let encryption = Encryption::new(KEY);
    let made = |encryption: &Encryption, end_ms: u64| -> Result<SignedIn> {
        let session = Session { credential: Credential::Token(hash_token(ADMIN)), end_ms };
        let value = kept::new_session(encryption, &session)?;
        let csrf = kept::csrf(encryption, &value);
        Ok(SignedIn { cookie: format!("{name}={value}"), csrf, ..signed.clone() })
    };
    // One that goes on is good, so the next one is refused for its end alone.
    made(&encryption, u64::MAX)?.get(c, 2, "/api/maps")?.expect(200)?;
    let over = made(&encryption, 1)?;
    let foreign = made(&Encryption::new([1; 32]), u64::MAX)?;
    let place = value.len() / 2;
    let other = if value.as_bytes()[place] == b'A' { "B" } else { "A" };
    let flipped = format!("{name}={}{other}{}", &value[..place], &value[place + 1..]);
    let flipped = SignedIn { cookie: flipped, ..signed.clone() };
    let shortened = SignedIn { cookie: format!("{name}={}", &value[..place]), ..signed.clone() };
    let twice = SignedIn { cookie: format!("{0}; {0}", signed.cookie), ..signed.clone() };
    for wrong in [over, foreign, flipped, shortened, twice] {
        for node in 0..3 {
            wrong.get(c, node, "/api/maps")?.expect(401)?;
            wrong.get(c, node, "/console/session")?.expect(401)?;
        }
    }
    Ok(())
}

fn revoked(c: &Cluster) -> Result<()> {
    let map = c.map("ends-with-its-token")?;
    let (id, its): (String, Map) = c.token(&map, &["manage"])?;
    let signed = sign_in(c, 0, &its.token)?;
    for node in 0..3 {
        signed.get(c, node, &map.path("/tokens"))?.expect(200)?;
    }
    c.admin(0).delete(&map.path(&format!("/tokens/{id}")))?.expect(204)?;
    for node in 0..3 {
        signed.get(c, node, &map.path("/tokens"))?.expect(401)?;
        signed.get(c, node, "/console/session")?.expect(401)?;
    }
    Ok(())
}

fn signed_out(c: &Cluster) -> Result<()> {
    let signed = sign_in(c, 0, ADMIN)?;
    let nobody = Api::new(&c.nodes[0].url(), None).patient();
    let forged = [("cookie", &*signed.cookie)];
    nobody.call("DELETE", "/console/session", &forged, None)?.expect(401)?;
    let out = signed.call(c, 1, "DELETE", "/console/session", None)?.expect(204)?;
    let set = out.header("set-cookie").context("no cookie")?;
    ensure!(set.starts_with("waypost_session=;") && set.contains("Max-Age=0"), "{set}");
    // Whoever has no session is signed out already, and to ask for it is no mistake.
    let none = nobody.get("/console/session")?.expect(204)?;
    ensure!(none.body.is_empty(), "{}", none.text());
    let other = [("cookie", "other=1")];
    nobody.call("GET", "/console/session", &other, None)?.expect(204)?;
    nobody.delete("/console/session")?.expect(204).map(drop)
}
