//! Each way to present a token, on each transport: a good token opens a connection, a bad one does not, and a
//! good token elsewhere does not make up for a bad one in the way that takes precedence.

use crate::support::{checked, nodes, publish};
use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use testkit::Cluster;
use testkit::clients::Js;
use testkit::cluster::Map;
use testkit::http::Api;
use testkit::ws::{Upgrade, Ws};

#[test]
fn every_way_to_present_a_token_works_on_every_transport() {
    checked(
        nodes(2),
        &[
            ("WebSocket", websocket),
            ("long poll", longpoll),
            ("a long poll's session is no token", session_is_no_token),
            ("event stream", event_stream),
            ("phoenix.js: params and authToken, over both transports", phoenix_js),
            ("phoenix.js: authToken when it falls back from WebSocket", fallback),
        ],
    );
}

/// A way to present a token: its name, and a function that makes the query's part and a header.
type Way = (&'static str, fn(&str) -> (String, Option<(&'static str, String)>));

const QUERY: Way = ("the query", |token| (format!("&token={token}"), None));
const BEARER: Way =
    ("Authorization", |token| (String::new(), Some(("authorization", format!("Bearer {token}")))));
const AUTH_TOKEN: Way =
    ("X-Phoenix-AuthToken", |token| (String::new(), Some(("x-phoenix-authtoken", token.to_owned()))));
const SUBPROTOCOL: Way = ("a subprotocol", |token| {
    let offered = format!("phoenix, base64url.bearer.phx.{}", URL_SAFE_NO_PAD.encode(token));
    (String::new(), Some(("sec-websocket-protocol", offered)))
});
/// Tries the good token, a bad one, and a bad one next to a good one in the query.
fn each(map: &Map, ways: &[Way], opens: impl Fn(&str, Option<(&str, String)>) -> Result<bool>) -> Result<()> {
    for (name, way) in ways {
        let checked = || -> Result<()> {
            let (query, header) = way(&map.token);
            ensure!(opens(&query, header)?, "the good token was refused");
            let (query, header) = way("wp_bad");
            ensure!(!opens(&query, header.clone())?, "a bad token was accepted");
            if header.is_some() {
                let query = format!("&token={}", map.token);
                ensure!(!opens(&query, header)?, "the query's token replaced a bad one in the header");
            }
            Ok(())
        };
        checked().with_context(|| (*name).to_owned())?;
    }
    ensure!(!opens("", None)?, "a client without a token was accepted");
    Ok(())
}

fn websocket(c: &Cluster) -> Result<()> {
    let map = c.map("auth-websocket")?;
    each(&map, &[QUERY, BEARER, AUTH_TOKEN, SUBPROTOCOL], |query, header| {
        let path = format!("/socket/events/websocket?vsn=2.0.0{query}");
        let headers: Vec<(&str, &str)> = header.iter().map(|(name, value)| (*name, value.as_str())).collect();
        match Ws::upgrade(c.nodes[0].http, &path, &headers)? {
            Upgrade::Open(..) => Ok(true),
            Upgrade::Refused(403, _) => Ok(false),
            Upgrade::Refused(status, answer) => bail!("{status}: {answer}"),
        }
    })
}

/// Polls once; returns the answer's status and its session token.
fn poll(c: &Cluster, query: &str, headers: &[(&str, &str)]) -> Result<(u64, String)> {
    let path = format!("/socket/events/longpoll?vsn=2.0.0{query}");
    let answer = Api::new(&c.nodes[0].url(), None).call("GET", &path, headers, None)?.expect(200)?.json()?;
    let token = answer["token"].as_str().unwrap_or_default().to_owned();
    Ok((answer["status"].as_u64().with_context(|| answer.to_string())?, token))
}

fn longpoll(c: &Cluster) -> Result<()> {
    let map = c.map("auth-longpoll")?;
    each(&map, &[QUERY, BEARER, AUTH_TOKEN], |query, header| {
        let headers: Vec<(&str, &str)> = header.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (status, token) = poll(c, query, &headers)?;
        ensure!(status == 410 && !token.is_empty() || status == 403 && token.is_empty(), "{status}: {token}");
        Ok(status == 410)
    })?;
    // A session is named in either of the two ways, whichever way opened it.
    let auth = ("x-phoenix-authtoken", map.token.as_str());
    for in_header in [false, true] {
        let (_, session) = poll(c, "", &[auth])?;
        let heartbeat = json!([null, "7", "phoenix", "heartbeat", {}]).to_string();
        let api = Api::new(&c.nodes[1].url(), None);
        let (query, header) = match in_header {
            true => (String::new(), vec![("x-phoenix-longpoll-token", session.as_str())]),
            false => (format!("&token={session}"), vec![]),
        };
        let path = format!("/socket/events/longpoll?vsn=2.0.0{query}");
        let pushed = api.call("POST", &path, &header, Some(heartbeat.as_bytes()))?.expect(200)?.json()?;
        ensure!(pushed["status"] == 200, "{pushed}");
        let polled = api.call("GET", &path, &header, None)?.expect(200)?.json()?;
        ensure!(polled["status"] == 200 && polled["messages"].to_string().contains("phx_reply"), "{polled}");
    }
    Ok(())
}

/// phoenix.js with `authToken` puts its session, and nothing else, into the query. When the session is gone
/// the token in the header decides.
fn session_is_no_token(c: &Cluster) -> Result<()> {
    let map = c.map("auth-session")?;
    let (_, session) = poll(c, "", &[("x-phoenix-authtoken", &map.token)])?;
    let gone = format!("&token={}0.0", session.trim_end_matches(".0"));
    let (status, again) = poll(c, &gone, &[("x-phoenix-authtoken", &map.token)])?;
    ensure!(status == 410 && !again.is_empty() && again != session, "{status}: {again}");
    ensure!(poll(c, &gone, &[])?.0 == 403, "a dead session opened a new one");
    let after = format!("{gone}&token={}", map.token);
    ensure!(poll(c, &after, &[])?.0 == 410, "the token after the dead session was not found");
    Ok(())
}

fn event_stream(c: &Cluster) -> Result<()> {
    let map = c.map("auth-stream")?;
    publish(c, 0, &map, "x", json!({}))?;
    each(&map, &[QUERY, BEARER], |query, header| {
        let url = format!("{}{}/stream?backfill=1{query}", c.nodes[0].url(), map.events());
        let headers: serde_json::Map<_, _> =
            header.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        let client = Js::sse_raw(&url, headers.into())?;
        let status = client.wait_for("head", 1)?["status"].as_u64();
        ensure!(matches!(status, Some(200 | 401)), "{status:?}");
        Ok(status == Some(200))
    })
}

fn phoenix_js(c: &Cluster) -> Result<()> {
    let map = c.map("auth-phoenix-js")?;
    for auth_token in [false, true] {
        let options = json!({"urls": [c.nodes[0].url()], "token": map.token, "topic": map.topic(), "subprotocol": auth_token});
        let clients = [Js::phoenix_with(options.clone())?, Js::longpoll_with(options)?];
        for client in &clients {
            client.wait_joined()?;
        }
        let seq = publish(c, 1, &map, "x", json!({}))?["seq"].as_u64().context("no seq")?;
        for client in &clients {
            client.wait_seq(seq)?;
            ensure!(client.of("close").is_empty() && client.of("error").is_empty(), "{}", client.dump());
        }
    }
    Ok(())
}

fn fallback(c: &Cluster) -> Result<()> {
    let map = c.map("auth-fallback")?;
    for auth_token in [false, true] {
        let client = Js::phoenix_with(json!({
            "urls": [c.nodes[0].url()],
            "token": map.token,
            "topic": map.topic(),
            "subprotocol": auth_token,
            "stay": true,
            "fallback_ms": 500,
            "blocked": true,
        }))?;
        client.wait_joined()?;
        let seq = publish(c, 1, &map, "x", json!({}))?["seq"].as_u64().context("no seq")?;
        client.wait_seq(seq)?;
    }
    Ok(())
}
