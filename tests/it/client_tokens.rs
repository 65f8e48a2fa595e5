//! Client tokens (JWTs): each algorithm opens a map over every transport and on every node; sessions end with
//! their token, are refreshed, and end with a revocation or an issuer; limits of tokens hold.

use crate::support::{checked, nodes, printed, waypost};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};
use testkit::Cluster;
use testkit::cluster::{Map, fresh_key};
use testkit::http::{Api, text};
use testkit::phoenix::{Frame, Socket};
use testkit::receiver::now_ms;
use testkit::stream::Stream;
use waypost::core::time::iso_millis;

const SECRET: &str = "the secret of the issuer in these tests";

#[test]
fn client_tokens_hold_on_every_node() {
    checked(
        // Many tokens are refused here on purpose.
        nodes(3)
            .set("WAYPOST_WEBHOOKS_ALLOW_NETS", "127.0.0.0/8")
            .set("WAYPOST_LIMITS_AUTH_FAILURES_PER_MINUTE", 0),
        &[
            ("a token of each algorithm opens the map", algorithms),
            ("an issuer opens the map that configured it, and no other", one_map),
            ("secrets are never shown, and kept if they are left out", settings),
            ("a session ends with its token", ends),
            ("a pushed token keeps a session", refreshed),
            ("revocations end sessions on every node", revoked),
            ("a host of keys that hangs delays nobody", hanging),
            ("the removal of an issuer ends its sessions", removed),
            ("a token is limited to subjects and by a filter", limited),
            ("a map's token is limited to subjects and ends", own_tokens),
            ("siblings of the admin token may do what their scopes say", siblings),
            ("a map's token is exchanged for a client token that ends with it", login),
        ],
    );
}

/// A file of keys of the unit tests.
fn key(name: &str) -> String {
    format!("{}/src/core/jwt/tests/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> Result<String> {
    std::fs::read_to_string(key(name)).context("a key of the tests")
}

/// Two lists of arguments, one after the other.
fn both<'a>(first: &[&'a str], second: &[&'a str]) -> Vec<&'a str> {
    first.iter().chain(second).copied().collect()
}

/// Signs a token of the map by the command line.
fn sign(map: &str, arguments: &[&str]) -> Result<String> {
    let output = waypost(&both(&["token", "sign", map], arguments)).output()?;
    ensure!(output.status.success(), "{}", printed(&output));
    let said: Value = serde_json::from_slice(&output.stdout)?;
    Ok(said["token"].as_str().context("no token")?.to_owned())
}

/// Signs a token with the secret.
fn hs256(map: &Map, arguments: &[&str]) -> Result<String> {
    sign(&map.id, &both(&["--secret", SECRET], arguments))
}

fn issuers(map: &Map) -> String {
    map.path("/issuers")
}

fn set_issuers(c: &Cluster, map: &Map, issuers: Value) -> Result<Value> {
    let path = self::issuers(map);
    c.api(0, map).put(&path, &json!({ "issuers": issuers }))?.data(200)
}

/// A map with an issuer of HS256.
fn map_with_issuer(c: &Cluster, slug: &str) -> Result<Map> {
    let map = c.map(slug)?;
    set_issuers(c, &map, json!([{"name": "own", "algorithm": "HS256", "secret": SECRET}]))?;
    Ok(map)
}

/// A node's API with any token, which repeats requests while there is no leader.
fn api_with(c: &Cluster, node: usize, token: &str) -> Api {
    Api::new(&c.nodes[node].url(), Some(token)).patient()
}

/// Begins something with a token that ends after so many seconds. On a busy machine the token may end too
/// early; then it is tried with a token that lives longer.
fn begun<T>(mut begin: impl FnMut(u64) -> Result<T>) -> Result<T> {
    for seconds in [4, 8] {
        let started = Instant::now();
        match begin(seconds) {
            Err(error) if started.elapsed() >= Duration::from_secs(seconds - 1) => {
                println!("    too slow for {seconds} s: {error:#}");
            }
            begun => return begun,
        }
    }
    begin(20)
}

fn joined(c: &Cluster, node: usize, map: &Map, token: &str, params: Value) -> Result<Socket> {
    let mut socket = Socket::connect(c.nodes[node].http, token)?;
    socket.join_ok(&map.topic(), params)?;
    Ok(socket)
}

fn stream(c: &Cluster, node: usize, map: &Map, token: &str) -> Result<Stream> {
    let path = format!("{}/stream", map.events());
    let mut stream = Stream::get(c.nodes[node].http, &path, Some(token), &[])?;
    ensure!(stream.status()? == 200, "{}", stream.body());
    Ok(stream)
}

fn is_over(c: &Cluster, stream: &mut Stream) -> Result<()> {
    // The server may keep the connection for other requests.
    c.wait_until("the stream's end", |_| Ok((stream.is_whole() || !stream.more()?).then_some(())))
}

/// Pushes a token, and returns the reply.
fn push_token(socket: &mut Socket, topic: &str, token: &str) -> Result<Frame> {
    socket.push((Value::Null, json!("t")), topic, "access_token", json!({"access_token": token}))?;
    loop {
        let frame = socket.frame()?;
        if frame.event == "phx_reply" && frame.reply_ref == "t" {
            return Ok(frame);
        }
    }
}

/// Answers every request with the document, on a thread of its own. Returns the URL.
fn serve_keys(document: String) -> Result<String> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let url = format!("http://{}/keys", listener.local_addr()?);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 2048];
            let _ = stream.read(&mut request);
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", document.len());
            let _ = stream.write_all(format!("{head}{document}").as_bytes());
        }
    });
    Ok(url)
}

fn algorithms(c: &Cluster) -> Result<()> {
    let map = c.map("algorithms")?;
    let url = serve_keys(read("jwks.json")?)?;
    let jwks: Value = serde_json::from_str(&read("jwks.json")?)?;
    let set = json!([
        {"name": "hs", "algorithm": "HS256", "secret": SECRET},
        {"name": "rs", "algorithm": "RS256", "pem": read("rsa.pub")?, "issuer": "https://rs.example"},
        {"name": "es", "algorithm": "ES256", "jwks": jwks, "audience": "waypost"},
        {"name": "ed", "algorithm": "EdDSA", "jwks_url": url, "issuer": "*", "audience": "*"},
    ]);
    set_issuers(c, &map, set)?;
    let scopes = ["--scopes", "subscribe,publish"];
    let [rs, es, ed] = [key("rsa.pem"), key("ec.pem"), key("ed.pem")];
    let of_rs = ["--pem", &rs, "--issuer", "https://rs.example"];
    let of_es = ["--pem", &es, "--algorithm", "ES256", "--kid", "ec", "--audience", "waypost"];
    let of_ed = ["--pem", &ed, "--algorithm", "EdDSA", "--kid", "ed"];
    let tokens = [
        hs256(&map, &scopes)?,
        sign(&map.slug, &both(&of_rs, &scopes))?,
        sign(&map.id, &both(&of_es, &scopes))?,
        sign(&map.id, &both(&of_ed, &scopes))?,
    ];
    // Nodes may need long to fetch keys.
    for node in 0..3 {
        let api = api_with(c, node, &tokens[3]);
        c.wait_until("the keys", |_| Ok((api.get(&map.events())?.status == 200).then_some(())))?;
    }
    for (place, token) in tokens.iter().enumerate() {
        for node in 0..3 {
            let mut socket = joined(c, node, &map, token, json!({})).with_context(|| format!("{place}"))?;
            let _stream = stream(c, node, &map, token)?;
            let api = api_with(c, node, token);
            let event = json!({"type": "x", "payload": place});
            let stored = api.post_once(&map.events(), &fresh_key(), &event)?.data(201)?;
            ensure!(socket.events(1)?[0]["id"] == stored["id"]);
            api.get(&map.events())?.expect(200)?;
            let managed = api.get(&map.path("/tokens"))?.status;
            ensure!(managed == 403, "a client token manages: {managed}");
        }
    }
    // Another audience, another issuer, another key.
    for wrong in [
        sign(&map.id, &["--pem", &key("ec.pem"), "--algorithm", "ES256", "--kid", "ec", "--audience", "x"])?,
        sign(&map.id, &["--pem", &key("rsa.pem"), "--issuer", "https://evil.example"])?,
        sign(&map.id, &["--pem", &key("ed.pem"), "--algorithm", "EdDSA", "--kid", "../ed"])?,
        sign(&map.id, &["--secret", "another secret that is long enough, too"])?,
        hs256(&map, &["--expires-in", "100000"])?,
    ] {
        let refused = api_with(c, 0, &wrong).get(&map.events())?;
        ensure!(refused.status == 401 && refused.code() == "unauthorized", "{}", refused.text());
        ensure!(Socket::connect(c.nodes[0].http, &wrong).is_err());
    }
    // Whoever has the signature of an issuer learns the limit; nobody else does.
    let setting = "limits.client_token_max_seconds";
    let long = api_with(c, 0, &hs256(&map, &["--expires-in", "100000"])?).get(&map.events())?;
    ensure!(long.json()?["setting"] == setting && long.json()?["limit"] == 86_400, "{}", long.text());
    let foreign = ["--secret", "another secret that is long enough, too", "--expires-in", "100000"];
    let foreign = api_with(c, 0, &sign(&map.id, &foreign)?).get(&map.events())?;
    ensure!(foreign.status == 401 && !foreign.text().contains(setting), "{}", foreign.text());
    Ok(())
}

fn one_map(c: &Cluster) -> Result<()> {
    let [mine, other] = [map_with_issuer(c, "issuer-mine")?, c.map("issuer-other")?];
    let foreign = sign(&other.id, &["--secret", SECRET])?;
    for map in [&mine, &other] {
        let status = api_with(c, 1, &foreign).get(&map.events())?.status;
        ensure!(status == 401, "{}: {status}", map.slug);
    }
    let own = hs256(&mine, &[])?;
    ensure!(api_with(c, 1, &own).get(&other.events())?.status == 401);
    let mut socket = Socket::connect(c.nodes[2].http, &own)?;
    let (_, reply) = socket.join(&other.topic(), json!({}))?;
    ensure!(reply.reason() == "unauthorized", "{reply:?}");
    Ok(())
}

fn settings(c: &Cluster) -> Result<()> {
    let map = map_with_issuer(c, "issuer-settings")?;
    let own = hs256(&map, &[])?;
    let mut socket = joined(c, 1, &map, &own, json!({}))?;
    let shown = c.api(2, &map).get(&issuers(&map))?.expect(200)?.text();
    ensure!(!shown.contains(SECRET) && shown.contains("********"), "{shown}");
    // Unchanged but for an issuer that comes: sessions go on.
    let more = json!([
        {"name": "own", "algorithm": "HS256"},
        {"name": "new", "algorithm": "EdDSA", "pem": read("ed.pub")?, "claims": {"scopes": "realm_access.roles"}},
    ]);
    set_issuers(c, &map, more)?;
    socket.alive()?;
    for (bad, field) in [
        (json!([{"name": "x", "algorithm": "HS256"}]), "issuers[0].secret"),
        (json!([{"name": "x", "algorithm": "HS256", "secret": "short"}]), "issuers[0].secret"),
        (json!([{"name": "x", "algorithm": "none", "secret": SECRET}]), "issuers[0].algorithm"),
        (json!([{"name": "x", "algorithm": "RS256", "secret": SECRET}]), "issuers[0].secret"),
        (json!([{"name": "x", "algorithm": "HS256", "secret": read("rsa.pub")?}]), "issuers[0].secret"),
        (json!([{"name": "x", "algorithm": "RS256", "jwks_url": "http://10.0.0.1/"}]), "issuers[0].jwks_url"),
        (
            json!([{"name": "x", "algorithm": "RS256", "jwks_url": "http://example.com/"}]),
            "issuers[0].jwks_url",
        ),
        (
            json!([{"name": "x", "algorithm": "HS256", "secret": SECRET, "connections": 0}]),
            "issuers[0].connections",
        ),
        (
            json!([{"name": "x", "algorithm": "HS256", "secret": SECRET, "issuer": "waypost:login"}]),
            "issuers[0].issuer",
        ),
        (json!([{"name": "x", "algorithm": "HS256", "secret": SECRET, "keys": 1}]), "issuers[0].keys"),
    ] {
        let refused = c.api(0, &map).put(&issuers(&map), &json!({ "issuers": bad }))?;
        ensure!(refused.status == 400 && refused.text().contains(field), "{bad}: {}", refused.text());
    }
    Ok(())
}

fn ends(c: &Cluster) -> Result<()> {
    let map = map_with_issuer(c, "token-ends")?;
    let (seconds, signed, token, mut socket, mut stream) = begun(|seconds| {
        let signed = Instant::now();
        let token = hs256(&map, &["--expires-in", &seconds.to_string()])?;
        let socket = joined(c, 0, &map, &token, json!({}))?;
        let stream = stream(c, 1, &map, &token)?;
        Ok((seconds, signed, token, socket, stream))
    })?;
    let (code, _) = socket.wait_close()?;
    let after = signed.elapsed();
    println!("    closed with {code:?} after {after:?}");
    // The token is signed in whole seconds, so it may live almost a second less.
    ensure!(code == Some(1008) && after >= Duration::from_secs(seconds - 1), "{code:?} {after:?}");
    is_over(c, &mut stream)?;
    let status = api_with(c, 2, &token).get(&map.events())?.status;
    ensure!(status == 401, "{status}");
    Ok(())
}

fn refreshed(c: &Cluster) -> Result<()> {
    let map = map_with_issuer(c, "token-refreshed")?;
    let topic = map.topic();
    c.api(0, &map).post(&map.path("/consumers"), &json!({"name": "jobs"}))?.expect(201)?;
    // How many sessions a token permits does not matter to one that is open.
    let longer = hs256(&map, &["--expires-in", "600", "--connections", "50"])?;
    let others = [
        hs256(&map, &["--sub", "somebody"])?,
        hs256(&map, &["--scopes", "subscribe,publish"])?,
        "x".to_owned(),
    ];
    let (end, mut socket) = begun(|seconds| {
        let short = hs256(&map, &["--expires-in", &seconds.to_string()])?;
        let end = Instant::now() + Duration::from_secs(seconds);
        let mut socket = joined(c, 0, &map, &short, json!({}))?;
        socket.join_ok("consumer:jobs", json!({}))?;
        for other in &others {
            let reply = push_token(&mut socket, &topic, other)?;
            ensure!(reply.status() == "error" && reply.reason() == "unauthorized", "{reply:?}");
        }
        for topic in ["phoenix", "consumer:jobs", &topic] {
            let reply = push_token(&mut socket, topic, &longer)?;
            ensure!(reply.status() == "ok", "{reply:?}");
        }
        Ok((end, socket))
    })?;
    std::thread::sleep(end.saturating_duration_since(Instant::now()) + Duration::from_secs(3));
    // The channel of the consumer lives on, too.
    c.publish(1, &map, &json!({"type": "x", "payload": 1}))?;
    loop {
        let frame = socket.frame()?;
        ensure!(frame.event != "closed" && frame.event != "phx_close", "{frame:?}");
        if frame.event == "message" {
            return socket.alive();
        }
    }
}

fn revoked(c: &Cluster) -> Result<()> {
    let map = map_with_issuer(c, "token-revoked")?;
    let path = map.path("/client-tokens/revoke");
    let bystander = hs256(&map, &["--sub", "bystander", "--jti", "other"])?;
    let mut unharmed = joined(c, 1, &map, &bystander, json!({}))?;
    for (which, jti) in [("jti", "stolen"), ("sub", "any")] {
        let token = hs256(&map, &["--sub", "victim", "--jti", jti])?;
        let mut sockets = Vec::new();
        for node in 0..3 {
            sockets.push(joined(c, node, &map, &token, json!({}))?);
        }
        let mut stream = stream(c, 2, &map, &token)?;
        let body = json!({ which: if which == "jti" { "stolen" } else { "victim" } });
        c.api(0, &map).post(&path, &body)?.expect(204)?;
        let answered = Instant::now();
        for socket in &mut sockets {
            let (code, _) = socket.wait_close()?;
            ensure!(code == Some(1008), "{code:?}");
        }
        println!("    {which}: closed everywhere {:?} after the answer", answered.elapsed());
        is_over(c, &mut stream)?;
        for node in 0..3 {
            let status = api_with(c, node, &token).get(&map.events())?.status;
            ensure!(status == 401, "node {node}: {status}");
        }
    }
    unharmed.alive()?;
    for bad in [json!({}), json!({"jti": "a", "sub": "b"}), json!({"jti": 7}), json!({"jti": ""})] {
        ensure!(c.api(0, &map).post(&path, &bad)?.status == 400, "{bad}");
    }
    Ok(())
}

fn hanging(c: &Cluster) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let url = format!("http://{}/keys", listener.local_addr()?);
    let [slow, quick] = [c.map("keys-hang")?, map_with_issuer(c, "keys-here")?];
    let hang: Vec<Value> = (0..4)
        .map(|n| {
            let (name, url) = (format!("n{n}"), format!("{url}{n}"));
            json!({"name": name, "algorithm": "EdDSA", "jwks_url": url, "issuer": "*", "audience": "*"})
        })
        .collect();
    set_issuers(c, &slow, hang.into())?;
    let lost = sign(&slow.id, &["--pem", &key("ed.pem"), "--algorithm", "EdDSA", "--kid", "ed"])?;
    let good = hs256(&quick, &[])?;
    let waiting = {
        let (url, path) = (c.nodes[0].url(), slow.events());
        std::thread::spawn(move || Api::new(&url, Some(&lost)).patient().get(&path).map(|got| got.status))
    };
    let api = api_with(c, 0, &good);
    let mut answers = 0;
    while !waiting.is_finished() {
        api.get(&quick.events())?.expect(200)?;
        answers += 1;
        std::thread::sleep(Duration::from_millis(20));
    }
    match waiting.join() {
        Ok(status) => ensure!(status? == 401),
        Err(_) => bail!("the thread panicked"),
    }
    // The other client waits for three seconds. Whoever had to wait with it would get one or two answers.
    ensure!(answers > 5, "{answers} answers while another map's client waited");
    drop(listener);
    Ok(())
}

fn removed(c: &Cluster) -> Result<()> {
    let map = map_with_issuer(c, "issuer-removed")?;
    let token = hs256(&map, &[])?;
    let mut sockets = Vec::new();
    for node in 0..3 {
        sockets.push(joined(c, node, &map, &token, json!({}))?);
    }
    // Another secret is another issuer, whatever its name.
    let other =
        json!([{"name": "own", "algorithm": "HS256", "secret": "a secret that takes the place of it"}]);
    set_issuers(c, &map, other)?;
    for socket in &mut sockets {
        let (code, _) = socket.wait_close()?;
        ensure!(code == Some(1008), "{code:?}");
    }
    ensure!(Socket::connect(c.nodes[1].http, &token).is_err());
    Ok(())
}

fn limited(c: &Cluster) -> Result<()> {
    let map = map_with_issuer(c, "token-limited")?;
    let scopes = "subscribe,publish";
    let chats = hs256(&map, &["--subjects", "chat-*", "--scopes", scopes, "--filter", "payload.n > 1"])?;
    let mut socket = joined(c, 0, &map, &chats, json!({"subjects": "chat-1", "filter": "payload.n < 4"}))?;
    for wider in [json!({}), json!({"subjects": "*"}), json!({"subjects": ["chat-1", "news"]})] {
        let (_, reply) = socket.join(&format!("{}:news", map.topic()), json!({}))?;
        ensure!(reply.status() == "error", "{reply:?}");
        let mut other = Socket::connect(c.nodes[0].http, &chats)?;
        let (_, reply) = other.join(&map.topic(), wider.clone())?;
        ensure!(reply.reason() == "invalid subjects", "{wider}: {reply:?}");
    }
    let api = api_with(c, 1, &chats);
    let event = |subject: &str, n: u8| json!({"type": "x", "subject": subject, "payload": {"n": n}});
    ensure!(api.post(&map.events(), &event("news", 2))?.status == 403);
    for n in [1, 2, 4, 3] {
        api.post_once(&map.events(), &fresh_key(), &event("chat-1", n))?.expect(201)?;
    }
    let seen: Vec<Value> = socket.events(2)?.into_iter().map(|event| event["payload"]["n"].clone()).collect();
    ensure!(seen == [json!(2), json!(3)], "{seen:?}");
    c.wait_same_applied()?;
    let listed = api.get(&format!("{}?subjects=chat-*", map.events()))?.data(200)?;
    ensure!(listed.as_array().is_some_and(|listed| listed.len() == 3), "{listed}");
    ensure!(api.get(&map.events())?.status == 400 && api.get(&map.path("/subjects"))?.status == 403);
    // A consumer has all events.
    c.api(0, &map).post(&map.path("/consumers"), &json!({"name": "jobs"}))?.expect(201)?;
    ensure!(api.post(&map.path("/consumers/jobs/pull"), &json!({}))?.status == 403);
    let (_, reply) = Socket::connect(c.nodes[0].http, &chats)?.join("consumer:jobs", json!({}))?;
    ensure!(reply.status() == "error", "{reply:?}");
    // One session for whom the token is about.
    let one = hs256(&map, &["--sub", "alone", "--connections", "1"])?;
    let _first = joined(c, 0, &map, &one, json!({}))?;
    ensure!(Socket::connect(c.nodes[0].http, &one).is_err());
    each_user_has_a_limit(c)
}

/// One user of an issuer takes as many sessions as one may have, and others are let in all the same.
fn each_user_has_a_limit(c: &Cluster) -> Result<()> {
    let map = c.map("users-of-an-issuer")?;
    set_issuers(c, &map, json!([{"name": "own", "algorithm": "HS256", "secret": SECRET, "connections": 2}]))?;
    let [greedy, other] = [hs256(&map, &["--sub", "greedy"])?, hs256(&map, &["--sub", "other"])?];
    let _held = [joined(c, 0, &map, &greedy, json!({}))?, joined(c, 0, &map, &greedy, json!({}))?];
    ensure!(Socket::connect(c.nodes[0].http, &greedy).is_err(), "one user took more than one may have");
    let again = hs256(&map, &["--sub", "greedy"])?;
    ensure!(Socket::connect(c.nodes[0].http, &again).is_err(), "another token of the same user was let in");
    let _other = joined(c, 0, &map, &other, json!({}))?;
    // What a token says comes before what its issuer says.
    let more = hs256(&map, &["--sub", "greedy", "--connections", "3"])?;
    let _more = joined(c, 0, &map, &more, json!({}))?;
    let shown = c.api(1, &map).get(&issuers(&map))?.data(200)?;
    ensure!(shown["issuers"][0]["connections"] == 2, "{shown}");
    Ok(())
}

fn own_tokens(c: &Cluster) -> Result<()> {
    let map = c.map("own-tokens")?;
    let path = map.path("/tokens");
    let (its, mut socket) = begun(|seconds| {
        let at = iso_millis(now_ms() + seconds * 1000);
        let body = json!({"scopes": ["subscribe", "publish"], "subjects": ["chat-*"], "expires_at": at});
        let made = c.api(0, &map).post(&path, &body)?.data(201)?;
        ensure!(made["subjects"] == json!(["chat-*"]), "{made}");
        let its = Map { token: text(&made, "token")?, ..map.clone() };
        let api = c.api(1, &its);
        let event = |subject: &str| json!({"type": "x", "subject": subject, "payload": 1});
        ensure!(api.post(&map.events(), &event("news"))?.status == 403);
        api.post_once(&map.events(), &fresh_key(), &event("chat-1"))?.expect(201)?;
        let socket = c.joined(2, &its, json!({"subjects": "chat-*"}))?;
        Ok((its, socket))
    })?;
    let (code, after) = socket.wait_close()?;
    println!("    the token ended after {after:?}");
    ensure!(code == Some(1008), "{code:?}");
    c.wait_until("the token to end everywhere", |c| {
        let ended =
            (0..3).all(|node| c.api(node, &its).get(&map.events()).is_ok_and(|got| got.status == 401));
        Ok(ended.then_some(()))
    })?;
    for bad in [
        json!({"scopes": ["subscribe"], "expires_at": "2001-01-01T00:00:00Z"}),
        json!({"scopes": ["subscribe"], "expires_at": "soon"}),
        json!({"scopes": ["subscribe"], "subjects": []}),
        json!({"scopes": ["subscribe"], "subjects": ["a b"]}),
        json!({"scopes": ["manage"], "subjects": ["a"]}),
    ] {
        let refused = c.api(0, &map).post(&path, &bad)?;
        ensure!(refused.status == 400, "{bad}: {}", refused.text());
    }
    Ok(())
}

fn siblings(c: &Cluster) -> Result<()> {
    let map = c.map("siblings")?;
    let path = "/api/admin-tokens";
    let status = "/api/cluster/status";
    let both = json!(["read", "operate"]);
    for (scopes, may_read, may_operate) in
        [(json!(["read"]), true, false), (json!(["operate"]), false, true), (both, true, true)]
    {
        let made = c.admin(0).post(path, &json!({"name": "x", "scopes": scopes}))?.data(201)?;
        let secret = text(&made, "token")?;
        for node in 0..3 {
            let api = api_with(c, node, &secret);
            for read in [status, "/api/maps"] {
                ensure!(api.get(read)?.status == if may_read { 200 } else { 403 }, "{scopes} {read}");
            }
            // Whoever may operate learns that the body is wrong.
            let asked = api.post("/api/cluster/drain", &json!({"nodes": 1}))?.status;
            ensure!(asked == if may_operate { 400 } else { 403 }, "{scopes}: {asked}");
            for other in [path.to_owned(), map.path(""), map.events(), "/api/cluster/backup".to_owned()] {
                ensure!(api.get(&other)?.status == 401, "{scopes} {other}");
            }
            ensure!(api.post("/api/maps", &json!({"slug": "theirs"}))?.status == 401, "{scopes}");
        }
        let listed = c.admin(1).get(path)?.expect(200)?.text();
        ensure!(!listed.contains(&secret) && listed.contains(&text(&made, "id")?), "{listed}");
        c.admin(2).delete(&format!("{path}/{}", text(&made, "id")?))?.expect(204)?;
        ensure!(api_with(c, 0, &secret).get(status)?.status == 401);
    }
    ensure!(c.api(0, &map).post(path, &json!({"scopes": ["read"]}))?.status == 403);
    for bad in [json!({}), json!({"scopes": []}), json!({"scopes": ["manage"]})] {
        ensure!(c.admin(0).post(path, &bad)?.status == 400, "{bad}");
    }
    Ok(())
}

fn login(c: &Cluster) -> Result<()> {
    let map = c.map("login")?;
    let (id, its) = c.token(&map, &["subscribe", "publish"])?;
    let nobody = Api::new(&c.nodes[1].url(), None).patient();
    let asked = nobody.post("/api/auth/login", &json!({"key": its.token}))?.expect(200)?.json()?;
    let token = text(&asked, "token")?;
    let mut socket = joined(c, 2, &map, &token, json!({}))?;
    let api = api_with(c, 0, &token);
    api.post_once(&map.events(), &fresh_key(), &json!({"type": "x", "payload": 1}))?.expect(201)?;
    for (body, status, error) in [
        (json!({"key": ""}), 401, "Access token required"),
        (json!({}), 401, "Access token required"),
        (json!({"key": "wp_unknown"}), 403, "Invalid or expired token"),
        (json!({"key": token}), 403, "Invalid or expired token"),
        (json!([]), 400, "must be a JSON object"),
    ] {
        let refused = nobody.post("/api/auth/login", &body)?;
        let told = refused.json()?["error"].as_str().unwrap_or_default().to_owned();
        ensure!(refused.status == status && told.contains(error), "{body}: {}", refused.text());
    }
    c.admin(1).delete(&map.path(&format!("/tokens/{id}")))?.expect(204)?;
    let (code, _) = socket.wait_close()?;
    ensure!(code == Some(1008), "{code:?}");
    ensure!(api.get(&map.events())?.status == 401);
    Ok(())
}
