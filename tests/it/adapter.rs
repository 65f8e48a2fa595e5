//! The TypeScript package of `clients/typescript`, packed and installed: the examples of the seed as printed, as
//! ESM and CommonJS, and the package in a page of Chromium.

use crate::pusher_page::chromium;
use crate::support::{nodes, scenario};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use testkit::Cluster;
use testkit::clients::Js;
use testkit::cluster::Map;
use testkit::http::text;

/// How many events a batch has. Waypost may hand it over in pieces.
const BATCH: usize = 10;

/// Where `make clients` has installed the package.
pub(crate) fn installed() -> Result<PathBuf> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("no target folder")?;
    let folder = target.join("adapter");
    ensure!(folder.join("installed").exists(), "the package isn't installed: run `make clients`");
    Ok(folder)
}

/// A script that listens to the ingest source with this id.
struct Listener {
    js: Js,
    id: String,
    url: String,
}

impl Listener {
    /// Starts it with a source of its own, or with one of before.
    fn start(c: &Cluster, map: &Map, format: &str, resume: Option<&str>) -> Result<Self> {
        let js = Js::adapter(json!({
            "folder": installed()?,
            "format": format,
            "url": c.nodes[0].url(),
            "token": map.token,
            "map": map.slug,
            "resume": resume,
        }))?;
        let line = js.wait_for("source", 1)?;
        let (id, url) = (text(&line["source"], "id")?, text(&line["source"], "url")?);
        Ok(Self { js, id, url })
    }

    /// Sends events to a source by the package: one, or a batch.
    fn send(&mut self, url: &str, events: &Value) -> Result<()> {
        let turn = self.js.of("sent").len() + 1;
        self.js.order(json!({"do": "send", "url": url, "events": events}))?;
        self.js.wait_for("sent", turn).map(drop)
    }

    /// All events that it was handed, alone or in batches, in this order.
    fn handed(&self) -> Vec<Value> {
        let mut all = Vec::new();
        for line in self.js.lines() {
            match line["t"].as_str() {
                Some("event") => all.push(line["event"].clone()),
                Some("batch") => all.extend(line["events"].as_array().cloned().unwrap_or_default()),
                _ => {}
            }
        }
        all
    }

    /// The types of the events of the batch.
    fn levels(&self) -> Vec<String> {
        let all = self.handed().into_iter();
        let kinds = all.filter_map(|event| event["event_type"].as_str().map(str::to_owned));
        kinds.filter(|kind| kind.starts_with("level_")).collect()
    }

    /// Waits for an event of a type.
    fn wait(&self, kind: &str) -> Result<Value> {
        self.js.wait(kind, |_| Ok(self.handed().into_iter().find(|event| event["event_type"] == kind)))
    }
}

#[test]
fn the_examples_of_the_seed_run_as_printed() {
    scenario(nodes(1), |c| {
        let map = c.map("adapter")?;
        let mut esm = Listener::start(c, &map, "esm", None)?;
        let mut cjs = Listener::start(c, &map, "cjs", None)?;
        for listener in [&mut esm, &mut cjs] {
            one_event(listener)?;
            a_batch(listener)?;
            refused(c, &map, listener)?;
            let url = listener.url.clone();
            listener.send(&url, &json!({"event_type": "bad", "properties": {"fail": true}}))?;
        }
        for listener in [&esm, &cjs] {
            given_up(c, &map, listener)?;
        }
        let mut esm = restarted(c, &map, esm, &mut cjs)?;
        node_restarted(c, &mut esm, &mut cjs)
    });
}

/// The seed's signed request.
fn one_event(listener: &Listener) -> Result<()> {
    let answer = listener.js.wait_for("answer", 1)?;
    ensure!(answer["status"] == 200, "{answer}");
    let event = listener.wait("purchase")?;
    let properties = json!({"item_id": "sword_001", "amount": 9.99, "currency": "USD"});
    ensure!(event["timestamp"] == "2024-01-15T10:30:00Z" && event["user_id"] == "user_123", "{event}");
    ensure!(event["properties"] == properties && event["source"] == listener.id.as_str(), "{event}");
    Ok(())
}

fn a_batch(listener: &mut Listener) -> Result<()> {
    let expected: Vec<String> = (0..BATCH).map(|n| format!("level_{n}")).collect();
    let events: Vec<Value> = expected.iter().map(|kind| json!({"event_type": kind})).collect();
    let url = listener.url.clone();
    listener.send(&url, &json!(events))?;
    let listener: &Listener = listener;
    listener.js.wait("the batch", |_| Ok((listener.levels().len() == BATCH).then_some(())))?;
    ensure!(listener.levels() == expected, "{:?}", listener.levels());
    ensure!(!listener.js.of("batch").is_empty(), "each event came alone");
    Ok(())
}

/// What is refused has errors that say why.
fn refused(c: &Cluster, map: &Map, listener: &mut Listener) -> Result<()> {
    let reader = c.token(map, &["subscribe"])?.1;
    listener.js.order(json!({"do": "refused", "id": listener.id, "token": reader.token}))?;
    let line = listener.js.wait_for("refused", 1)?;
    ensure!(line["kind"] == "forbidden" && line["status"] == 403, "{line}");
    let message = text(&line, "message")?;
    ensure!(message.contains("may not manage consumers") && message.contains("scopes manage"), "{message}");
    let line = listener.js.wait_for("read", 1)?;
    ensure!(line["kind"] == "none", "{line}");
    listener.js.order(json!({"do": "codes", "id": listener.id, "url": listener.url}))?;
    let mut line = listener.js.wait_for("codes", 1)?;
    line["t"].take();
    let expected = json!({
        "t": null,
        "unknown": "not_found",
        "unlistened": "configuration",
        "key": "unauthorized",
        "batch": "invalid",
        "token": "unauthorized",
        "nobody": "connection",
    });
    ensure!(line == expected, "{line}");
    Ok(())
}

/// The state of the listener's consumer.
fn state(c: &Cluster, map: &Map, listener: &Listener) -> Result<Value> {
    let path = map.path(&format!("/consumers/adapter.{}", listener.id));
    Ok(c.api(0, map).get(&path)?.data(200)?["state"].clone())
}

/// An event whose handler fails comes four times, and its dead letter is removed once it was handled.
fn given_up(c: &Cluster, map: &Map, listener: &Listener) -> Result<()> {
    let line = listener.js.wait_for("dead_letter", 1)?;
    ensure!(line["event"]["event_type"] == "bad" && line["attempts"] == 4, "{line}");
    ensure!(line["known"] == true && line["kind"] == "dead_letter", "{line}");
    ensure!(text(&line, "message")?.ends_with("no bad"), "{line}");
    let all = listener.handed();
    let attempts: Vec<u64> = all
        .iter()
        .filter(|event| event["event_type"] == "bad")
        .filter_map(|event| event["attempt"].as_u64())
        .collect();
    ensure!(attempts == [1, 2, 3, 4], "{attempts:?}");
    c.wait_until("everything to be settled", |c| {
        let state = state(c, map, listener)?;
        let is_settled = state["lag"] == 0 && state["dead_letters"] == 0 && state["given_up"] == 1;
        Ok(is_settled.then_some(()))
    })
}

/// The script is killed. Its successor gets what came meanwhile, and nothing of before.
fn restarted(c: &Cluster, map: &Map, listener: Listener, other: &mut Listener) -> Result<Listener> {
    let before: BTreeSet<String> =
        listener.handed().iter().map(|event| text(event, "id")).collect::<Result<_>>()?;
    let (id, url) = (listener.id.clone(), listener.url.clone());
    drop(listener);
    other.send(&url, &json!({"event_type": "while_away"}))?;
    let mut next = Listener::start(c, map, "esm", Some(&id))?;
    next.wait("while_away")?;
    next.send(&url, &json!({"event_type": "again"}))?;
    next.wait("again")?;
    for event in next.handed() {
        ensure!(!before.contains(&text(&event, "id")?), "it had come before: {event}");
    }
    Ok(next)
}

/// Connections that are lost are made again.
fn node_restarted(c: &mut Cluster, esm: &mut Listener, cjs: &mut Listener) -> Result<()> {
    c.nodes[0].kill9()?;
    esm.js.wait_for("reconnecting", 1)?;
    cjs.js.wait_for("reconnecting", 1)?;
    c.start(0)?;
    for listener in [esm, cjs] {
        let url = listener.url.clone();
        listener.send(&url, &json!({"event_type": "after_restart"}))?;
        listener.wait("after_restart")?;
        listener.js.order(json!({"do": "stop"}))?;
        let line = listener.js.wait_for("stopped", 1)?;
        ensure!(line["state"] == "connected", "{line}");
    }
    Ok(())
}

#[test]
fn a_page_listens() {
    let Some(chromium) = chromium() else {
        println!("SKIPPED: no page was tried, because Chromium is not installed (or name it in CHROMIUM)");
        return;
    };
    // Declared first, so that it is removed last.
    let folder = tempfile::tempdir().unwrap();
    scenario(nodes(1), |c| {
        let map = c.map("adapter-page")?;
        let page = Js::adapter_page(json!({
            "package": installed()?.join("node_modules/@waypost/webhook-adapter"),
            "url": c.nodes[0].url(),
            "token": map.token,
            "map": map.slug,
            "chromium": chromium,
            "folder": folder.path(),
        }))?;
        let line = page.wait_for("event", 1)?;
        ensure!(line["event"]["event_type"] == "from_page" && line["event"]["attempt"] == 2, "{line}");
        let line = page.wait_for("ended", 1)?;
        ensure!(line["state"] == "connected", "{line}");
        ensure!(page.of("page_error").is_empty(), "{:?}", page.of("page_error"));
        Ok(())
    });
}
