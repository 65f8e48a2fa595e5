//! A page on the live socket, in headless Chromium. Its node is killed, and it goes on at another.

use crate::pusher_page::chromium;
use crate::support::{nodes, scenario};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use testkit::Cluster;
use testkit::clients::Js;
use testkit::cluster::{Map, fresh_key};

#[test]
fn a_page_follows_a_session() {
    let Some(chromium) = chromium() else {
        println!("SKIPPED: no page was tried, because Chromium is not installed (or name it in CHROMIUM)");
        return;
    };
    // Declared first, so that it is removed last.
    let folder = tempfile::tempdir().unwrap();
    scenario(nodes(3), |c| {
        let map = c.map("live-page")?;
        let mut page = Js::live_page(json!({
            "urls": c.urls_from(0),
            "token": map.token,
            "chromium": chromium,
            "folder": folder.path(),
        }))?;
        page.wait_for("serving", 1)?;
        page.order(json!({"do": "open"}))?;
        page.wait("a subscription", |page| {
            let frames = page.of("frame");
            Ok(frames.iter().any(|line| line["frame"]["type"] == "subscribed").then_some(()))
        })?;
        say(c, 1, &map, "/api/sessions", &json!({"session": {"id": 3}}))?;
        shown(&mut page, 1, &["session 3"])?;
        add(c, 2, &map, "Quiplash 3")?;
        shown(&mut page, 2, &["session 3", "Quiplash 3"])?;
        c.nodes[0].kill9()?;
        add(c, 1, &map, "Fibbage")?;
        add(c, 2, &map, "Drawful")?;
        shown(&mut page, 4, &["session 3", "Quiplash 3", "Fibbage", "Drawful"])?;
        ensure!(page.of("page_error").is_empty(), "{:?}", page.of("page_error"));
        ensure!(!page.of("close").is_empty(), "the page was not at the node that was killed");
        page.order(json!({"do": "end"}))?;
        page.wait_for("ended", 1).map(drop)
    });
}

/// A back end says something through a node, once.
fn say(c: &Cluster, node: usize, map: &Map, path: &str, body: &Value) -> Result<()> {
    c.api(node, map).post_once(path, &fresh_key(), body)?.expect(201).map(drop)
}

fn add(c: &Cluster, node: usize, map: &Map, title: &str) -> Result<()> {
    say(c, node, map, "/api/sessions/3/games", &json!({"game": {"id": 1, "title": title}}))
}

/// Waits until the page's list has these entries, and no more.
fn shown(page: &mut Js, n: usize, entries: &[&str]) -> Result<()> {
    let turn = page.of("list").len() + 1;
    page.order(json!({"do": "list", "n": n}))?;
    let list = page.wait_for("list", turn)?;
    ensure!(list["shown"] == json!(entries), "{list}");
    Ok(())
}
