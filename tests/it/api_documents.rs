//! The documents of the API are what the server does: its routes, its error codes, its types, and the pages that
//! it serves.

use crate::strict::{Fixture, call, operations};
use crate::support::{checked, nodes, publish};
use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::time::Duration;
use testkit::Cluster;
use testkit::http::Api;
use testkit::stream::Stream;
use waypost::core::error_code::Code;

const OPENAPI: &str = include_str!("../../docs/openapi.yaml");
const ASYNCAPI: &str = include_str!("../../docs/asyncapi.yaml");
const ERRORS: &str = include_str!("../../docs/ERRORS.md");
const TYPES: &str = include_str!("../../clients/typescript/src/api.ts");
/// How long to wait for an expected answer.
const LIMIT: Duration = Duration::from_secs(60);
/// Where clients of the Pusher protocol learn that nothing is there. It is no route to use.
const ELSEWHERE: &str = "/app/{path}";

fn document(text: &str) -> Value {
    yaml_serde::from_str(text).expect("a document in YAML")
}

#[test]
fn every_code_is_in_the_table_of_errors() {
    let rows: Vec<&str> = ERRORS.lines().filter(|line| line.starts_with("| `") && has_status(line)).collect();
    let row =
        |code: &Code| format!("| `{code}` | {} | {} | {} |", code.statuses(), code.meaning(), code.remedy());
    let expected: Vec<String> = Code::ALL.iter().map(row).collect();
    assert_eq!(rows, expected, "docs/ERRORS.md has other rows than src/core/error_code.rs");
}

/// Whether the second column of a row is a status.
fn has_status(row: &str) -> bool {
    row.split('|').nth(2).is_some_and(|status| status.trim().starts_with(|char: char| char.is_ascii_digit()))
}

#[test]
fn every_code_is_in_the_document() {
    let document = document(OPENAPI);
    let codes = &document["components"]["schemas"]["ErrorCode"]["enum"];
    let expected: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(codes, &json!(expected));
}

#[test]
fn the_types_are_those_of_the_document() {
    let checksum: String =
        Sha256::digest(OPENAPI.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let told = TYPES.lines().next().unwrap_or_default();
    assert!(told.contains(&checksum), "run `npm run generate` in clients/typescript: {told}");
}

#[test]
fn operations_have_what_their_readers_need() {
    let document = document(OPENAPI);
    let mut seen = BTreeSet::new();
    for (method, path) in operations() {
        let operation = &document["paths"][&path][method.to_lowercase()];
        let id = operation["operationId"].as_str().unwrap_or_default();
        assert!(seen.insert(id.to_owned()) && !id.is_empty(), "{method} {path}: {id:?} is no id of its own");
        let answers = operation["responses"].as_object().unwrap();
        let errors = answers.keys().filter(|status| status.starts_with('4'));
        assert!(errors.count() > 0 && answers.contains_key("default"), "{method} {path}: {answers:?}");
        let texts = ["summary", "description"].map(|name| operation[name].as_str().unwrap_or_default());
        assert!(texts.iter().all(|text| text.len() > 10), "{method} {path}: {texts:?}");
    }
}

#[test]
fn the_api_is_as_documented() {
    checked(
        nodes(1)
            .set("WAYPOST_LOG", "info,waypost::edge::routes=debug")
            .set("WAYPOST_WEBHOOKS_ALLOW_NETS", "127.0.0.0/8"),
        &[
            ("every route is documented, and nothing else", routes),
            ("answers have the form of the document", answers),
            ("the first page", first_page),
            ("pages and documents", pages),
            ("a stream without names", unnamed),
        ],
    );
}

/// A route's path as the document writes it: without patterns, and with the document's name for a webhook.
fn as_documented(path: &str) -> String {
    let mut out = String::new();
    let (mut depth, mut in_pattern) = (0, false);
    for char in path.chars() {
        depth += i32::from(char == '{');
        in_pattern |= char == ':' && depth > 0;
        if !in_pattern || depth == 1 && char == '}' {
            out.push(char);
        }
        depth -= i32::from(char == '}');
        in_pattern &= depth > 0;
    }
    out.replace("{id}", "{webhook}")
}

#[test]
fn paths_are_written_without_patterns() {
    for (path, documented) in [
        ("/docs/{path:.*}", "/docs/{path}"),
        ("/a/{event:[0-9A-Za-z]{26}}/b", "/a/{event}/b"),
        ("/api/webhooks/{id}/logs", "/api/webhooks/{webhook}/logs"),
    ] {
        assert_eq!(as_documented(path), documented);
    }
}

fn routes(c: &Cluster) -> Result<()> {
    let log = std::fs::read_to_string(&c.nodes[0].log)?;
    let mut served = BTreeSet::new();
    for line in log.lines().filter_map(|line| line.split_once("a route: ")) {
        let (methods, path) = line.1.split_once(' ').context("a route without a path")?;
        let path = as_documented(path.trim_end_matches(|char: char| char == '"' || char.is_whitespace()));
        let methods = methods.split(',').filter(|method| *method != "HEAD");
        served.extend(methods.map(|method| (method.to_owned(), path.clone())));
    }
    let documented: BTreeSet<_> = operations().into_iter().collect();
    let unsaid: Vec<_> = served.difference(&documented).filter(|(_, path)| path != ELSEWHERE).collect();
    let unserved: Vec<_> = documented.difference(&served).collect();
    ensure!(served.len() > 100 && unsaid.is_empty(), "not in docs/openapi.yaml: {unsaid:?}");
    ensure!(unserved.is_empty(), "only in docs/openapi.yaml: {unserved:?}");
    Ok(())
}

/// Calls every operation whose answer ends: reads as they are, changes with a body that none of them takes.
fn answers(c: &Cluster) -> Result<()> {
    let document = document(OPENAPI);
    let fixture = Fixture::new(c, "answers")?;
    publish(c, 0, &fixture.map, "add_system", json!({"n": 1}))?;
    let endless = ["/stream", "{source}/events", "/longpoll", "/backup"];
    let mut checked = 0;
    for (method, path) in operations() {
        if endless.iter().any(|end| path.ends_with(end)) {
            continue;
        }
        let body = if method == "GET" { "" } else { r#"{"zzz":1}"# };
        let (status, answer) = call(c, &method, &fixture.fill(&path), fixture.token(&path), "", body)?;
        let (_, body) = answer.split_once("\r\n\r\n").context("an answer without a head")?;
        let operation = &document["paths"][&path][method.to_lowercase()];
        conforms(&document, operation, status, body).with_context(|| format!("{method} {path}: {status}"))?;
        checked += 1;
    }
    ensure!(checked > 100, "{checked}");
    Ok(())
}

/// Checks a body against the schema that the document has for the status.
fn conforms(document: &Value, operation: &Value, status: u16, body: &str) -> Result<()> {
    let responses = &operation["responses"];
    let given = responses.get(status.to_string()).unwrap_or(&responses["default"]);
    let named = given["$ref"].as_str().map(|named| named.trim_start_matches('#'));
    let response = match named {
        Some(named) => document.pointer(named).with_context(|| format!("{named} is not there"))?,
        None => given,
    };
    let Ok(value) = serde_json::from_str::<Value>(body) else {
        ensure!(status < 400, "an error that is no JSON: {body}");
        return Ok(());
    };
    let schema = &response["content"]["application/json"]["schema"];
    ensure!(schema.is_object(), "the document has no JSON for it: {value}");
    let whole = json!({"components": document["components"], "allOf": [schema]});
    let validator = jsonschema::validator_for(&whole).map_err(|error| anyhow!("{error}"))?;
    let faults: Vec<String> = validator.iter_errors(&value).map(|fault| fault.to_string()).collect();
    ensure!(faults.is_empty(), "{faults:#?} in {value}");
    Ok(())
}

fn first_page(c: &Cluster) -> Result<()> {
    let nobody = Api::new(&c.nodes[0].url(), None);
    let links = nobody.get("/")?.expect(200)?.json()?;
    ensure!(links["name"] == "waypost" && links["ready"] == true, "{links}");
    for path in links["links"].as_object().context("no links")?.values() {
        nobody.get(path.as_str().unwrap_or_default())?.expect(200)?;
    }
    let page = nobody.call("GET", "/", &[("accept", "text/html,*/*;q=0.8")], None)?.expect(200)?;
    ensure!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{page:?}");
    ensure!(
        page.header("content-security-policy").is_some_and(|policy| policy.contains("'none'")),
        "{page:?}"
    );
    let text = String::from_utf8_lossy(&page.body);
    ensure!(text.contains("takes clients"), "{text}");
    Ok(())
}

fn pages(c: &Cluster) -> Result<()> {
    let nobody = Api::new(&c.nodes[0].url(), None);
    let ask = b"GET /docs?utm_source=mail HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let (moved, _) = testkit::http::raw(c.nodes[0].http, ask, LIMIT)?;
    let moved = moved.to_ascii_lowercase();
    ensure!(moved.contains(" 308 ") && moved.contains("location: docs/\r\n"), "{moved}");
    for (path, content) in [("/docs/openapi.yaml", OPENAPI), ("/docs/asyncapi.yaml", ASYNCAPI)] {
        // All of it: the text of an answer is only its beginning.
        ensure!(nobody.get(path)?.expect(200)?.body == content.as_bytes(), "{path} is not the document");
    }
    for path in ["/docs/", "/docs/api", "/docs/ERRORS.html", "/docs/runbooks/"] {
        let page = nobody.get(path)?.expect(200)?;
        let header = |name| page.header(name).unwrap_or_default().to_owned();
        ensure!(header("content-type").starts_with("text/html"), "{path}: {}", header("content-type"));
        ensure!(header("content-security-policy").contains("script-src 'self'"), "{path}: no policy");
        ensure!(header("x-content-type-options") == "nosniff", "{path}: {page:?}");
        let tag = header("etag");
        let again = nobody.call("GET", path, &[("if-none-match", &tag)], None)?;
        ensure!(again.status == 304 && again.body.is_empty(), "{path}: {}", again.status);
    }
    // Links may carry parameters of other programs.
    for path in ["/", "/docs/", "/docs/ERRORS.html"] {
        nobody.get(&format!("{path}?utm_source=mail&x=1&x=%ff"))?.expect(200)?;
    }
    let missing = nobody.get("/docs/nothing.html")?.expect(404)?;
    ensure!(missing.code() == "not_found", "{}", missing.text());
    Ok(())
}

fn unnamed(c: &Cluster) -> Result<()> {
    let map = c.map("unnamed")?;
    publish(c, 0, &map, "add_system", json!({"n": 1}))?;
    let path = format!("{}/stream?backfill=1", map.events());
    for (query, name) in [("&named=false", ""), ("&named=true", "add_system"), ("", "add_system")] {
        let mut stream = Stream::get(c.nodes[0].http, &format!("{path}{query}"), Some(&map.token), &[])?;
        let mut frame = || stream.frame(LIMIT)?.context("no frame came");
        let connected = frame()?;
        ensure!(connected.event == "connected", "{connected:?}");
        let event = frame()?;
        let data: Value = serde_json::from_str(&event.data)?;
        ensure!(event.event == name && data["type"] == "add_system" && event.id.is_some(), "{event:?}");
    }
    let wrong = c.api(0, &map).get(&format!("{path}&named=maybe"))?.expect(400)?;
    ensure!(wrong.code() == "invalid_named", "{}", wrong.text());
    Ok(())
}
