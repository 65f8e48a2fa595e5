//! Bad input over HTTP and at the peer port: each gets a clear answer, nothing of it is stored, and the node
//! works on.

use crate::support::{checked, nodes, publish};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use testkit::Cluster;
use testkit::cluster::Map;
use testkit::http::{Answer, Api, raw};

#[test]
fn bad_input_is_answered_clearly_and_harms_nothing() {
    checked(
        nodes(1).set("WAYPOST_LIMITS_UPGRADE_TIMEOUT_MS", 3000),
        &[
            ("bodies that can't be published", bad_bodies),
            ("bodies that are odd but right", odd_bodies),
            ("a bad event in a batch", bad_batches),
            ("wrong tokens and unknown maps", wrong_credentials),
            ("since, after and limit in wrong forms", wrong_queries),
            ("bad maps and tokens", bad_maps),
            ("bodies with several faults", all_faults),
            ("HTTP that isn't HTTP", not_http),
            ("a slow-loris upgrade", slow_loris),
            ("garbage at the peer port", peer_garbage),
        ],
    );
}

/// Checks that an answer is a well-formed error: a stable code and a message.
fn clear(what: &str, answer: &Answer, statuses: &[u16]) -> Result<()> {
    ensure!(statuses.contains(&answer.status), "{what}: {} {}", answer.status, answer.text());
    let json = answer.json()?;
    let code = json["error"].as_str().unwrap_or_default();
    let stable = !code.is_empty() && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    ensure!(stable && json["message"].is_string(), "{what}: {}", answer.text());
    Ok(())
}

/// Checks that nothing was stored: the next event is the first.
fn nothing_stored(c: &Cluster, map: &Map) -> Result<()> {
    let next = publish(c, 0, map, "x", json!({}))?;
    ensure!(next["seq"] == 1, "bad input was stored before the next event {next}");
    Ok(())
}

fn event(payload: &str) -> Vec<u8> {
    format!(r#"{{"type":"x","payload":{payload}}}"#).into_bytes()
}

fn bad_bodies(c: &Cluster) -> Result<()> {
    let map = c.map("bad-bodies")?;
    let deep = |open: &str, close: &str| event(&(open.repeat(10_000) + "1" + &close.repeat(10_000)));
    let table: Vec<(&str, Vec<u8>, &[u16])> = vec![
        ("nothing", vec![], &[400]),
        ("not JSON", b"hello".to_vec(), &[400]),
        ("half JSON", br#"{"type":"x","payl"#.to_vec(), &[400]),
        ("two values", br#"{"type":"x","payload":1} {}"#.to_vec(), &[400]),
        ("a list", b"[]".to_vec(), &[400, 422]),
        ("a string", b"\"x\"".to_vec(), &[400, 422]),
        ("null", b"null".to_vec(), &[400, 422]),
        ("no type", br#"{"payload":1}"#.to_vec(), &[400, 422]),
        ("a number as type", br#"{"type":1,"payload":1}"#.to_vec(), &[400, 422]),
        ("an empty type", br#"{"type":"","payload":1}"#.to_vec(), &[400, 422]),
        ("a comma in the type", br#"{"type":"a,b","payload":1}"#.to_vec(), &[400, 422]),
        ("NUL in the type", br#"{"type":"a\u0000","payload":1}"#.to_vec(), &[400, 422]),
        (
            "a long type",
            event("1")
                .iter()
                .map(|b| *b as char)
                .collect::<String>()
                .replace("\"x\"", &format!("\"{}\"", "x".repeat(201)))
                .into_bytes(),
            &[400, 422],
        ),
        ("a star in the type", br#"{"type":"a*","payload":1}"#.to_vec(), &[400, 422]),
        ("a type reserved by the protocol", br#"{"type":"phx_close","payload":1}"#.to_vec(), &[400, 422]),
        ("events isn't a list", br#"{"events":{"type":"x"}}"#.to_vec(), &[400, 422]),
        ("depth 10,000 of lists", deep("[", "]"), &[400, 413, 422]),
        ("depth 10,000 of objects", deep(r#"{"a":"#, "}"), &[400, 413, 422]),
        ("depth 65", event(&("[".repeat(65) + &"]".repeat(65))), &[400, 422]),
        ("2 MiB", event(&format!("\"{}\"", "x".repeat(2 << 20))), &[413]),
        ("300 KiB", event(&format!("\"{}\"", "x".repeat(300 << 10))), &[413]),
        ("a lone surrogate", event(r#""\ud800""#), &[400, 422]),
        ("a lone low surrogate", event(r#"{"\udc00":1}"#), &[400, 422]),
        ("invalid UTF-8", b"{\"type\":\"x\",\"payload\":\"\xff\xfe\"}".to_vec(), &[400]),
        ("a raw NUL", b"{\"type\":\"x\",\"payload\":\"\0\"}".to_vec(), &[400]),
        ("an integer beyond 2^53", event("9007199254740993"), &[400, 422]),
        ("a negative integer beyond 2^53", event("-9007199254740993"), &[400, 422]),
        ("a number out of range", event("1e400"), &[400, 422]),
        ("NaN", event("NaN"), &[400]),
    ];
    for (what, body, statuses) in table {
        clear(what, &c.api(0, &map).send(&map.events(), &body)?, statuses)?;
    }
    let plain = [("content-type", "text/plain")];
    let answer = c.api(0, &map).call("POST", &map.events(), &plain, Some(b"x"))?;
    clear("text/plain", &answer, &[400, 415])?;
    let zipped = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let answer = c.api(0, &map).call("POST", &map.events(), &zipped, Some(b"{\"type\""))?;
    clear("not gzip", &answer, &[400, 415])?;
    let key = "k".repeat(5000);
    let answer = c.api(0, &map).post_once(&map.events(), &key, &json!({"type": "x", "payload": 1}))?;
    clear("a long idempotency key", &answer, &[400, 422])?;
    nothing_stored(c, &map)
}

/// Any JSON that JavaScript can represent is accepted and comes back as JavaScript would write it.
fn odd_bodies(c: &Cluster) -> Result<()> {
    let map = c.map("odd-bodies")?;
    let long = "x".repeat(200 << 10);
    let table = [
        ("9007199254740991", "9007199254740991"),
        ("1e3", "1000"),
        ("-0.0", "0"),
        ("1.50", "1.5"),
        ("1e21", "1e+21"),
        (r#""\u00e9\u0000\/""#, r#""é\u0000/""#),
        (r#""\ud83d\ude00""#, r#""😀""#),
        (r#"{"b":1,"a":2,"b":3}"#, r#"{"b":3,"a":2}"#),
        (r#" { "2" : 1 , "1" : [ ] } "#, r#"{"1":[],"2":1}"#),
        ("null", "null"),
        (&format!("\"{long}\""), &format!("\"{long}\"")),
        (&("[".repeat(60) + &"]".repeat(60)), &("[".repeat(60) + &"]".repeat(60))),
    ];
    for (sent, stored) in table {
        let answer = c.api(0, &map).send(&map.events(), &event(sent))?;
        let text = String::from_utf8(answer.expect(201)?.body)?;
        let short: String = sent.chars().take(60).collect();
        let has = text.contains(&format!("\"payload\":{stored}"));
        ensure!(has, "{short}: {}", text.chars().take(300).collect::<String>());
    }
    Ok(())
}

fn bad_batches(c: &Cluster) -> Result<()> {
    let map = c.map("bad-batches")?;
    let api = c.api(0, &map);
    let good = json!({"type": "x", "payload": 1});
    let mut events = vec![good.clone(); 10];
    for bad in [json!({"type": 5, "payload": 1}), json!(7), json!({"type": "no,no", "payload": 1})] {
        events[6] = bad;
        let answer = api.post(&map.events(), &json!({"events": events}))?;
        clear("a bad event", &answer, &[400])?;
        ensure!(answer.json()?["index"] == 6, "{}", answer.text());
    }
    let many = vec![good.clone(); 1001];
    clear("1001 events", &api.post(&map.events(), &json!({"events": many}))?, &[400, 413, 422])?;
    clear("no events", &api.post(&map.events(), &json!({"events": []}))?, &[400, 422])?;
    let headers = [("content-type", "application/x-ndjson")];
    let lines = format!("{good}\n{good}\nnonsense\n{good}\n");
    let answer = api.call("POST", &map.events(), &headers, Some(lines.as_bytes()))?;
    clear("a bad line", &answer, &[400])?;
    ensure!(answer.json()?["index"] == 2, "{}", answer.text());
    nothing_stored(c, &map)
}

fn wrong_credentials(c: &Cluster) -> Result<()> {
    let map = c.map("credentials")?;
    let other = c.map("other-credentials")?;
    let url = c.nodes[0].url();
    let unknown = "/api/maps/00000000-0000-4000-8000-000000000000/events";
    let body = json!({"type": "x", "payload": 1});
    let anonymous = Api::new(&url, None).post(&map.events(), &body)?;
    clear("no token", &anonymous, &[401])?;
    let wrong = Api::new(&url, Some("wp_wrong")).post(&map.events(), &body)?;
    clear("a wrong token", &wrong, &[401])?;
    clear("an unknown map", &c.admin(0).post(unknown, &body)?, &[404])?;
    let foreign = c.api(0, &other).post(&map.events(), &body)?;
    clear("another map's token", &foreign, &[403, 404])?;
    let absent = c.api(0, &other).post(unknown, &body)?;
    ensure!(
        absent.status == foreign.status && absent.code() == foreign.code(),
        "an unknown map and one without access get different answers: {} {}",
        absent.text(),
        foreign.text()
    );
    for path in ["/api/maps/%00/events", "/api/maps/..%2f../events", "/api/maps/a%20b/events"] {
        clear(path, &c.admin(0).post(path, &body)?, &[400, 404])?;
    }
    clear("an unknown path", &c.admin(0).get("/api/nothing")?, &[404])?;
    let method = c.admin(0).call("PUT", &map.events(), &[], Some(b"{}"))?;
    clear("a wrong method", &method, &[404, 405])?;
    nothing_stored(c, &map)
}

fn wrong_queries(c: &Cluster) -> Result<()> {
    let map = c.map("queries")?;
    let wrong = [
        "since=",
        "since=yesterday",
        "since=2026-01-01",
        "since=2026-01-01T00:00:00",
        "since=2026-13-01T00:00:00Z",
        "since=2026-02-30T00:00:00Z",
        "since=2026-01-01T25:00:00Z",
        "since=2026-01-01T00:00:00%2B99:99",
        "since=1767225600",
        "since=-1",
        "since=%00",
        "since=%ff",
        "since=99999999999-01-01T00:00:00Z",
        "limit=0",
        "limit=-1",
        "limit=many",
        "limit=1.5",
        "limit=",
        "limit=99999999999999999999",
        "after=",
        "after=nonsense",
        "after=00000000000000000000000000",
        "after=01ARZ3NDEKTSV4RRFFQ69G5FA!",
        "events=",
        "events=a%0Ab",
        "subjects=a%20b",
        "events=,",
    ];
    // An id that was never assigned may be older than all history; then it is no error.
    let fine = ["after=00000000000000000000000000"];
    for query in wrong {
        let answer = c.admin(0).get(&format!("{}?{query}", map.events()))?;
        if answer.status == 200 && fine.contains(&query) {
            continue;
        }
        clear(query, &answer, &[400])?;
    }
    let right = [
        "since=2026-01-01T00:00:00Z",
        "since=2026-01-01T00:00:00.123456Z",
        "since=2026-01-01T00:00:00+00:00",
        "since=2026-01-01T00:00:00%2B02:00",
        "since=2026-01-01T00:00:00-05:00",
    ];
    for query in right {
        c.admin(0).get(&format!("{}?{query}", map.events()))?.expect(200)?;
    }
    Ok(())
}

fn bad_maps(c: &Cluster) -> Result<()> {
    let api = c.admin(0);
    let wrong = [
        json!([]),
        json!({"id": "not a uuid"}),
        json!({"id": 5}),
        json!({"slug": "no spaces here"}),
        json!({"slug": ""}),
        json!({"slug": "x".repeat(500)}),
        json!({"slug": "00000000-0000-4000-8000-000000000000"}),
        json!({"name": 5}),
        json!({"name": "x".repeat(100_000)}),
        json!({"limits": {"connections": -1}}),
        json!({"limits": {"connections": "many"}}),
        json!({"limits": {"connexions": 1}}),
        json!({"limits": 5}),
        json!({"retention": {"events": -1}}),
        json!({"unknown": 1}),
    ];
    for body in wrong {
        let what: String = body.to_string().chars().take(80).collect();
        clear(&what, &api.post("/api/maps", &body)?, &[400, 413, 422])?;
    }
    let map = c.map("bad-tokens")?;
    let path = format!("/api/maps/{}/tokens", map.id);
    for body in [json!({"scopes": ["fly"]}), json!({"scopes": []}), json!({"scopes": "publish"})] {
        clear(&body.to_string(), &api.post(&path, &body)?, &[400, 422])?;
    }
    clear("no such token", &api.delete(&format!("{path}/nothing"))?, &[400, 404])
}

/// All faults of a body are reported at once, with their fields.
fn all_faults(c: &Cluster) -> Result<()> {
    let api = c.admin(0);
    let faults = |path: &str, body: &Value| -> Result<Vec<String>> {
        let refusal = api.post(path, body)?.expect(400)?.json()?;
        ensure!(refusal["error"] == "invalid_body" && refusal["message"].is_string(), "{refusal}");
        let errors = refusal["errors"].as_array().with_context(|| format!("no errors in {refusal}"))?;
        let short = |error: &Value| Some(format!("{} {}", error["field"].as_str()?, error["code"].as_str()?));
        Ok(errors.iter().filter_map(short).collect())
    };
    let map = json!({"slug": "no spaces", "nam": 1, "limits": {"requests_per_minute": -1}, "retention": {"bytes": 0}});
    let expected = [
        "slug invalid",
        "limits.requests_per_minute wrong_type",
        "retention.bytes out_of_range",
        "nam unknown_field",
    ];
    let of_map = faults("/api/maps", &map)?;
    ensure!(of_map == expected, "{of_map:?}");
    let tokens = format!("/api/maps/{}/tokens", c.map("faults")?.id);
    let of_token = faults(&tokens, &json!({"name": "x".repeat(201), "scopes": ["fly"]}))?;
    ensure!(of_token == ["name out_of_range", "scopes invalid"], "{of_token:?}");
    Ok(())
}

fn not_http(c: &Cluster) -> Result<()> {
    let addr = c.nodes[0].http;
    let long = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nlong: {}\r\n\r\n", "x".repeat(1 << 20));
    let lines = "a: b\r\n".repeat(50_000);
    let many = format!("GET /healthz HTTP/1.1\r\nhost: x\r\n{lines}\r\n");
    let inputs: [&[u8]; 7] = [
        b"hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /api/maps HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
        b"POST /api/maps HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nzzz\r\n",
        long.as_bytes(),
        many.as_bytes(),
    ];
    for input in inputs {
        let (answer, ended) = raw(addr, input, Duration::from_secs(30))?;
        let start = String::from_utf8_lossy(&input[..input.len().min(30)]).into_owned();
        let refused = answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.0 4");
        ensure!(refused || (answer.is_empty() && ended), "{start:?}: {ended} {answer:?}");
    }
    Ok(())
}

/// The server closes an upgrade that arrives one byte at a time.
fn slow_loris(c: &Cluster) -> Result<()> {
    let map = c.map("loris")?;
    let path = testkit::phoenix::path(&map.token);
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nX-Slow: ");
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(c.nodes[0].http)?;
        stream.set_read_timeout(Some(Duration::from_millis(1)))?;
        stream.write_all(request.as_bytes())?;
        slow.push(stream);
    }
    let start = Instant::now();
    while !slow.is_empty() {
        ensure!(start.elapsed() < Duration::from_secs(60), "{} slow upgrades are still open", slow.len());
        std::thread::sleep(Duration::from_millis(100));
        slow.retain_mut(|stream| {
            let mut some = [0; 512];
            match stream.read(&mut some) {
                Ok(_) => false,
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => stream.write_all(b"x").is_ok(),
                Err(_) => false,
            }
        });
    }
    publish(c, 0, &map, "x", json!({}))?;
    Ok(())
}

fn peer_garbage(c: &Cluster) -> Result<()> {
    let map = c.map("peer")?;
    let before = c.nodes[0].rss()?;
    let mut noise = vec![0u8; 1 << 20];
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for byte in &mut noise {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *byte = state as u8;
    }
    let inputs: [&[u8]; 5] = [&noise, &[0xff; 4096], &[0; 4096], b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"W"];
    for input in inputs {
        let patience = if input.len() == 1 { Duration::from_millis(200) } else { Duration::from_secs(20) };
        for _ in 0..20 {
            let (answer, ended) = raw(c.nodes[0].peer, input, patience)?;
            let is_told = answer.starts_with("HTTP/1.1 400 ") && answer.contains("http_addr");
            ensure!(is_told || !input.starts_with(b"GET "), "a request of HTTP: {answer:?}");
            ensure!(
                ended || input.len() == 1,
                "the node kept the connection after {} bytes of garbage",
                input.len()
            );
        }
    }
    let idle = (0..200).map(|_| TcpStream::connect(c.nodes[0].peer)).collect::<Result<Vec<_>, _>>()?;
    publish(c, 0, &map, "x", json!({}))?;
    drop(idle);
    let after = c.nodes[0].rss()?;
    ensure!(after < before + (64 << 20), "memory grew from {before} to {after}");
    Ok(())
}
