//! Signing in to the console by OpenID Connect, at an issuer of this test: it plays what an issuer does
//! between the two requests of a browser, and signs ID tokens as it is told.

use crate::support::{nodes, scenario};
use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use testkit::Cluster;
use testkit::http::{Answer, Api, text};
use testkit::receiver::now_ms;
use url::Url;
use url::form_urlencoded;
use waypost::core::jwt::{Algorithm, Signer};

const CLIENT: &str = "waypost-console";
const SECRET: &str = "the secret of the console: 100 % secret";
const PUBLIC: &str = "http://events.example.com";

/// What the issuer remembers of a sign-in: the challenge, and the token that it gives for the code.
struct Granted {
    challenge: String,
    token: String,
}

/// An issuer.
struct Issuer {
    url: String,
    codes: Arc<Mutex<HashMap<String, Granted>>>,
}

fn key(name: &str) -> Result<String> {
    let path = format!("{}/src/core/jwt/tests/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).context("a key of the tests")
}

impl Issuer {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let url = format!("http://{}/realms/one", listener.local_addr()?);
        let codes: Arc<Mutex<HashMap<String, Granted>>> = Arc::default();
        let (own, known, keys) = (url.clone(), codes.clone(), key("jwks.json")?);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                if let Err(error) = answer(stream, &own, &keys, &known) {
                    println!("    the issuer: {error:#}");
                }
            }
        });
        Ok(Self { url, codes })
    }

    /// Lets the person of that sign-in in: the code is good for that token.
    fn grant(&self, code: &str, begun: &Begun, token: String) {
        let granted = Granted { challenge: begun.challenge.clone(), token };
        self.codes.lock().unwrap_or_else(PoisonError::into_inner).insert(code.to_owned(), granted);
    }

    /// The claims of somebody in these groups.
    fn claims(&self, begun: &Begun, groups: &Value) -> Value {
        let now = now_ms() / 1000;
        json!({
            "iss": self.url, "aud": CLIENT, "sub": "ann", "iat": now, "exp": now + 300,
            "nonce": begun.nonce, "groups": groups,
        })
    }
}

/// Answers one request.
fn answer(stream: TcpStream, url: &str, keys: &str, codes: &Mutex<HashMap<String, Granted>>) -> Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        head.push(std::mem::take(&mut line).trim().to_owned());
    }
    let header = |name: &str| {
        let mut fields = head.iter().filter_map(|line| line.split_once(": "));
        fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    let (status, said) = match path {
        "/realms/one/.well-known/openid-configuration" => (200, document(url).to_string()),
        "/realms/one/keys" => (200, keys.to_owned()),
        "/realms/one/token" => tokens(&body, header("authorization"), codes),
        _ => (404, "{}".to_owned()),
    };
    let length = said.len();
    let head = format!("HTTP/1.1 {status} Said\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    reader.get_mut().write_all(format!("{head}{said}").as_bytes())?;
    Ok(())
}

fn document(url: &str) -> Value {
    json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/auth"),
        "token_endpoint": format!("{url}/token"),
        "jwks_uri": format!("{url}/keys"),
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
    })
}

/// Gives a token for a code, once, to the client that began the sign-in.
fn tokens(body: &[u8], client: Option<String>, codes: &Mutex<HashMap<String, Granted>>) -> (u16, String) {
    let form: HashMap<String, String> = form_urlencoded::parse(body).into_owned().collect();
    let given = |name: &str| form.get(name).cloned().unwrap_or_default();
    let escaped = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let both = STANDARD.encode(format!("{}:{}", escaped(CLIENT), escaped(SECRET)));
    let is_client = client == Some(format!("Basic {both}"));
    let is_form = given("grant_type") == "authorization_code"
        && given("redirect_uri") == format!("{PUBLIC}/console/oidc/callback");
    let granted = codes.lock().unwrap_or_else(PoisonError::into_inner).remove(&given("code"));
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(given("code_verifier").as_bytes()));
    match granted {
        Some(granted) if is_client && is_form && granted.challenge == challenge => {
            (200, json!({"access_token": "x", "token_type": "Bearer", "id_token": granted.token}).to_string())
        }
        _ => (400, json!({"error": "invalid_grant"}).to_string()),
    }
}

/// A sign-in that has begun.
struct Begun {
    state: String,
    nonce: String,
    challenge: String,
    /// What the browser keeps meanwhile.
    cookie: String,
}

fn nobody(c: &Cluster, node: usize) -> Api {
    Api::new(&c.nodes[node].url(), None).patient()
}

fn begin(c: &Cluster, issuer: &Issuer, node: usize) -> Result<Begun> {
    let answer = nobody(c, node).get("/console/oidc/start")?.expect(302)?;
    let location = Url::parse(answer.header("location").context("no location")?)?;
    ensure!(location.as_str().starts_with(&format!("{}/auth?", issuer.url)), "{location}");
    let query: HashMap<String, String> = location.query_pairs().into_owned().collect();
    let asked = |name: &str| query.get(name).cloned().unwrap_or_default();
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("code_challenge_method", "S256"),
        ("scope", "openid profile email"),
        ("redirect_uri", "http://events.example.com/console/oidc/callback"),
    ] {
        ensure!(asked(name) == value, "{name} in {location}");
    }
    let set = answer.header("set-cookie").context("no cookie")?;
    ensure!(set.contains("; HttpOnly; SameSite=Lax") && set.contains("Path=/console/oidc;"), "{set}");
    let cookie = set.split(';').next().unwrap_or_default().to_owned();
    Ok(Begun { state: asked("state"), nonce: asked("nonce"), challenge: asked("code_challenge"), cookie })
}

/// What the browser does when the issuer sends it back with that query.
fn come_back(c: &Cluster, node: usize, begun: &Begun, query: &str) -> Result<Answer> {
    let path = format!("/console/oidc/callback?{query}");
    nobody(c, node).call("GET", &path, &[("cookie", &begun.cookie)], None)
}

fn query(begun: &Begun, code: &str) -> String {
    format!("code={code}&state={}&session_state=x&iss=y", begun.state)
}

fn signed(claims: &Value) -> Result<String> {
    let signer = Signer::with_pem(Algorithm::Rs256, &key("rsa.pem")?)?;
    Ok(signer.sign(claims.as_object().context("no object")?, Some("rsa"))?)
}

/// A whole sign-in, which begins at one node and ends at another one.
fn sign_in(c: &Cluster, issuer: &Issuer, code: &str, groups: &Value) -> Result<Answer> {
    let begun = begin(c, issuer, 0)?;
    issuer.grant(code, &begun, signed(&issuer.claims(&begun, groups))?);
    come_back(c, 1, &begun, &query(&begun, code))
}

/// The cookie and the header of somebody who has signed in.
fn session(c: &Cluster, answer: Answer) -> Result<(Vec<(String, String)>, Value)> {
    let answer = answer.expect(303)?;
    ensure!(answer.header("location") == Some("/console/"), "{answer:?}");
    let sets = answer.headers.iter().filter(|(name, _)| name == "set-cookie").map(|(_, value)| value);
    let set = sets.clone().find(|set| set.starts_with("waypost_session=")).context("no session")?;
    ensure!(set.contains("; HttpOnly; SameSite=Strict"), "{set}");
    ensure!(sets.clone().any(|set| set.starts_with("waypost_oidc=;")), "{answer:?}");
    let cookie = set.split(';').next().unwrap_or_default().to_owned();
    let shown = nobody(c, 2).call("GET", "/console/session", &[("cookie", &cookie)], None)?.data(200)?;
    let csrf = text(&shown, "csrf")?;
    Ok((vec![("cookie".to_owned(), cookie), ("x-waypost-csrf".to_owned(), csrf)], shown))
}

fn get(c: &Cluster, node: usize, headers: &[(String, String)], path: &str) -> Result<u16> {
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
    Ok(nobody(c, node).call("GET", path, &headers, None)?.status)
}

#[test]
fn people_sign_in_at_an_issuer() {
    let issuer = Issuer::start().expect("an issuer");
    let options = nodes(3)
        .set("WAYPOST_WEBHOOKS_ALLOW_NETS", "127.0.0.0/8")
        .set("WAYPOST_HTTP_PUBLIC_URL", PUBLIC)
        .set("WAYPOST_CONSOLE_OIDC_ISSUER", &issuer.url)
        .set("WAYPOST_CONSOLE_OIDC_CLIENT_ID", CLIENT)
        .set("WAYPOST_CONSOLE_OIDC_CLIENT_SECRET", SECRET)
        .set("WAYPOST_CONSOLE_OIDC_NAME", "Example")
        .set("WAYPOST_CONSOLE_OIDC_ADMIN", "'admins' in claims.groups")
        .set("WAYPOST_CONSOLE_OIDC_MAPS_CLAIM", "groups")
        .set("WAYPOST_CONSOLE_OIDC_MAPS_PREFIX", "map-")
        .set("WAYPOST_LIMITS_AUTH_FAILURES_PER_MINUTE", 0);
    scenario(options, |c| {
        let config = nobody(c, 0).get("/console/config")?.data(200)?;
        ensure!(config["oidc"]["name"] == "Example", "{config}");
        admins(c, &issuer)?;
        of_maps(c, &issuer)?;
        refused(c, &issuer)
    });
}

/// Behind a proxy, everybody has the address of who guesses.
#[test]
fn who_guesses_holds_up_nobody_who_signs_in() {
    let issuer = Issuer::start().expect("an issuer");
    let options = nodes(1)
        .set("WAYPOST_WEBHOOKS_ALLOW_NETS", "127.0.0.0/8")
        .set("WAYPOST_HTTP_PUBLIC_URL", PUBLIC)
        .set("WAYPOST_CONSOLE_OIDC_ISSUER", &issuer.url)
        .set("WAYPOST_CONSOLE_OIDC_CLIENT_ID", CLIENT)
        .set("WAYPOST_CONSOLE_OIDC_CLIENT_SECRET", SECRET)
        .set("WAYPOST_CONSOLE_OIDC_ADMIN", "'admins' in claims.groups")
        .set("WAYPOST_LIMITS_AUTH_FAILURES_PER_MINUTE", 5);
    scenario(options, |c| {
        c.wait_until("429", |c| {
            let guess = nobody(c, 0).get("/console/oidc/callback?state=x&code=y")?;
            Ok((guess.status == 429).then_some(()))
        })?;
        let begun = begin(c, &issuer, 0)?;
        let claims = issuer.claims(&begun, &json!(["admins"]));
        issuer.grant("held-up", &begun, signed(&claims)?);
        come_back(c, 0, &begun, &query(&begun, "held-up"))?.expect(303).map(drop)
    });
}

/// People come to these paths, so errors are told in pages, which no frame shows.
#[test]
fn an_issuer_that_is_away_is_told_in_a_page() {
    let options = nodes(1)
        .set("WAYPOST_WEBHOOKS_ALLOW_NETS", "127.0.0.0/8")
        .set("WAYPOST_HTTP_PUBLIC_URL", PUBLIC)
        .set("WAYPOST_CONSOLE_OIDC_ISSUER", "http://127.0.0.1:9")
        .set("WAYPOST_CONSOLE_OIDC_CLIENT_ID", CLIENT)
        .set("WAYPOST_CONSOLE_OIDC_ADMIN", "claims.sub == 'ann'");
    scenario(options, |c| {
        let told = nobody(c, 0).get("/console/oidc/start")?.expect(502)?;
        ensure!(told.code() == "oidc_unavailable", "{}", told.text());
        let callback = "/console/oidc/callback?state=%3Cb%3E&error=%3Cscript%3E";
        for (path, status) in [("/console/oidc/start", 502), (callback, 401)] {
            let told = nobody(c, 0).call("GET", path, &[("accept", "text/html")], None)?.expect(status)?;
            ensure!(told.header("content-type") == Some("text/html; charset=utf-8"), "{told:?}");
            let policy = told.header("content-security-policy").unwrap_or_default();
            ensure!(policy.ends_with("frame-ancestors 'none'"), "{policy}");
            let page = told.text();
            ensure!(page.contains("<h1>") && !page.contains("<b>") && !page.contains("<script>"), "{page}");
        }
        Ok(())
    });
}

fn admins(c: &Cluster, issuer: &Issuer) -> Result<()> {
    let (headers, shown) = session(c, sign_in(c, issuer, "admin", &json!(["users", "admins"]))?)?;
    ensure!(shown["role"] == "admin" && shown["map"].is_null(), "{shown}");
    // The audit log says who came in, and as whom.
    let lines = c.admin(0).get("/api/audit?action=oidc/callback&who=admin")?.expect(200)?.json()?;
    ensure!(lines["data"][0]["person"] == "ann" && lines["data"][0]["status"] == 303, "{lines}");
    for node in 0..3 {
        ensure!(get(c, node, &headers, "/api/maps")? == 200);
        ensure!(get(c, node, &headers, "/api/cluster/status")? == 200);
        ensure!(get(c, node, &headers[..1], "/api/maps")? == 401, "a cookie without its header");
    }
    Ok(())
}

fn of_maps(c: &Cluster, issuer: &Issuer) -> Result<()> {
    let (one, two, other) = (c.map("people-one")?, c.map("people-two")?, c.map("people-other")?);
    let made = |map: &testkit::cluster::Map, scopes: Value| -> Result<String> {
        let body = json!({"name": "console", "scopes": scopes});
        text(&c.admin(0).post(&map.path("/tokens"), &body)?.data(201)?, "id")
    };
    let id = made(&one, json!(["subscribe", "manage"]))?;
    made(&two, json!(["subscribe", "manage"]))?;
    // The third map has no token for people.
    let groups = json!(["map-people-one", "map-people-two:subscribe", "map-people-other", "people-other"]);
    let (headers, shown) = session(c, sign_in(c, issuer, "of-maps", &groups)?)?;
    ensure!(shown["role"] == "map" && shown["map"]["slug"] == "people-one", "{shown}");
    let second = &shown["maps"][1];
    ensure!(second["slug"] == "people-two" && second["scopes"] == json!(["subscribe"]), "{shown}");
    for node in 0..3 {
        ensure!(get(c, node, &headers, &one.path("/tokens"))? == 200);
        ensure!(get(c, node, &headers, &one.events())? == 200);
        ensure!(get(c, node, &headers, &two.events())? == 200);
        ensure!(get(c, node, &headers, &two.path("/tokens"))? == 403, "more than the claim says");
        ensure!(get(c, node, &headers, &other.events())? == 404, "a map without a token for people");
        ensure!(get(c, node, &headers, "/api/maps")? == 403);
    }
    // They act as the token, and go with it.
    c.admin(0).delete(&one.path(&format!("/tokens/{id}")))?.expect(204)?;
    for node in 0..3 {
        ensure!(get(c, node, &headers, &one.events())? == 404);
        ensure!(get(c, node, &headers, &two.events())? == 200);
    }
    Ok(())
}

fn refused(c: &Cluster, issuer: &Issuer) -> Result<()> {
    let check = |what: &str, answer: Answer, status: u16, code: &str| {
        let has_session = answer.headers.iter().any(|(_, value)| value.starts_with("waypost_session="));
        ensure!(!has_session && answer.status == status, "{what}: {}: {}", answer.status, answer.text());
        ensure!(answer.code() == code, "{what}: {}", answer.text());
        Ok(())
    };
    let nothing = sign_in(c, issuer, "nobody", &json!(["users"]))?;
    check("a person who may use nothing", nothing, 403, "forbidden")?;

    let admins = json!(["admins"]);
    let changes: [(&str, &str, Value); 6] = [
        ("another nonce", "nonce", json!("x")),
        ("another audience", "aud", json!("another-client")),
        ("several audiences, none of which asked", "aud", json!([CLIENT, "another-client"])),
        ("another issuer", "iss", json!("https://evil.example.com")),
        ("a token that has ended", "exp", json!(now_ms() / 1000 - 10)),
        ("nobody", "sub", Value::Null),
    ];
    for (place, (what, claim, value)) in changes.into_iter().enumerate() {
        let begun = begin(c, issuer, 0)?;
        let mut claims = issuer.claims(&begun, &admins);
        claims[claim] = value;
        let code = format!("changed-{place}");
        issuer.grant(&code, &begun, signed(&claims)?);
        check(what, come_back(c, 0, &begun, &query(&begun, &code))?, 401, "oidc_refused")?;
    }

    let begun = begin(c, issuer, 0)?;
    let claims = issuer.claims(&begun, &admins);
    let claims = claims.as_object().context("no object")?;
    let forged = Signer::with_secret(SECRET.as_bytes())?.sign(claims, None)?;
    issuer.grant("forged", &begun, forged);
    let answer = come_back(c, 0, &begun, &query(&begun, "forged"))?;
    check("a token that is signed with the client's secret", answer, 401, "oidc_refused")?;

    let begun = begin(c, issuer, 0)?;
    let other = begin(c, issuer, 0)?;
    issuer.grant("state", &begun, signed(&issuer.claims(&begun, &admins))?);
    let cookie = |begun: &Begun, cookie: &str| Begun {
        cookie: cookie.to_owned(),
        state: begun.state.clone(),
        nonce: begun.nonce.clone(),
        challenge: begun.challenge.clone(),
    };
    for (what, browser, asked) in [
        ("another state", cookie(&begun, &begun.cookie), query(&other, "state")),
        ("another browser", cookie(&begun, &other.cookie), query(&begun, "state")),
        ("no cookie", cookie(&begun, "a=b"), query(&begun, "state")),
        ("a cookie of ours for something else", cookie(&begun, "waypost_oidc=AAAA"), query(&begun, "state")),
        ("no state", cookie(&begun, &begun.cookie), "code=state".to_owned()),
        ("two states", cookie(&begun, &begun.cookie), format!("{}&state=x", query(&begun, "state"))),
        ("an error", cookie(&begun, &begun.cookie), format!("state={}&error=access_denied", begun.state)),
        ("another code", cookie(&begun, &begun.cookie), query(&begun, "unknown")),
    ] {
        check(what, come_back(c, 0, &browser, &asked)?, 401, "oidc_refused")?;
    }
    // The code was good all the time. It is so once.
    come_back(c, 0, &begun, &query(&begun, "state"))?.expect(303)?;
    check("a code that was used", come_back(c, 0, &begun, &query(&begun, "state"))?, 401, "oidc_refused")
}
