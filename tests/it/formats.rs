//! This release reads what earlier releases wrote: data directories and backups, kept as files.
//!
//! Each release adds a folder of its own below `tests/fixtures/formats` and keeps those of earlier releases.
//! `WAYPOST_MAKE_FIXTURES=1 cargo test --test it formats` makes the folder; it replaces the folder of the
//! present version and nothing else.

use crate::support::{binary, nodes, publish_many};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use testkit::Cluster;
use testkit::cluster::{ADMIN, Map};

fn formats() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/formats")
}

fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let out = Command::new(program).args(arguments).env("WAYPOST_TOKEN", ADMIN).output()?;
    ensure!(out.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    Ok(())
}

/// Returns what the node holds, as its clients see it.
fn held(cluster: &Cluster, map: &Map) -> Result<Value> {
    let api = cluster.api(0, map);
    Ok(json!({
        "map": {"id": map.id, "slug": map.slug, "token": map.token},
        "events": api.get(&format!("{}?limit=1000", map.events()))?.expect(200)?.json()?["data"],
        "webhooks": api.get(&format!("/api/maps/{}/webhooks", map.id))?.data(200)?,
        "settings": api.get(&format!("/api/maps/{}", map.id))?.data(200)?,
    }))
}

fn once(cluster: &Cluster, map: &Map) -> Result<Value> {
    let body = json!({"type": "once", "payload": {"n": 1}});
    Ok(cluster.api(0, map).post_once(&map.events(), "fixture-key", &body)?.data(201)?["id"].clone())
}

/// Makes the folder of this release: a part of the data is only in the store, a part only in the log.
fn make(folder: &Path) -> Result<()> {
    let mut cluster = Cluster::boot(&options())?;
    let map = cluster.map_with("fixture", json!({"retention": {"age_seconds": null}}))?;
    publish_many(&cluster, 0, &map, "stored", 5)?;
    let hook = json!({"url": "http://127.0.0.1:9/hook", "name": "kept", "secret": "a secret of some length", "active": false});
    cluster.api(0, &map).post(&format!("/api/maps/{}/webhooks", map.id), &hook)?.data(201)?;
    once(&cluster, &map)?;
    cluster.admin(0).post("/api/cluster/snapshot", &json!({}))?.expect(200)?;
    publish_many(&cluster, 0, &map, "logged", 5)?;
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)?;
    let url = cluster.nodes[0].url();
    let backup = folder.join("state.backup").display().to_string();
    run(&binary(), &["cluster", "backup", &backup, "--with-key", "--url", &url])?;
    let held = held(&cluster, &map)?;
    std::fs::write(folder.join("held.json"), format!("{held:#}\n"))?;
    cluster.nodes[0].kill9()?;
    let data = cluster.nodes[0].data.display().to_string();
    let archive = folder.join("data.tar.gz").display().to_string();
    run("tar", &["-czf", &archive, "--exclude=LOCK", "--exclude=./reserve", "-C", &data, "."])
}

/// Nothing in a fixture expires, so it reads the same on any day.
fn options() -> testkit::Options {
    nodes(1)
        .set("WAYPOST_WEBHOOKS_ALLOW_NETS", "127.0.0.0/8")
        .set("WAYPOST_DISK_RESERVE_MB", "0")
        .set("WAYPOST_PUBLISH_IDEMPOTENCY_SECONDS", 36_500_u64 * 86_400)
}

/// Boots a node on what `fill` puts into its data directory, and checks that it holds what is expected.
fn opens(folder: &Path, fill: impl FnOnce(&str) -> Result<()>) -> Result<()> {
    let mut cluster = Cluster::prepare(&options())?;
    fill(&cluster.nodes[0].data.display().to_string())?;
    cluster.start(0)?;
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(folder.join("held.json"))?)?;
    let part = |name: &str| expected["map"][name].as_str().map(str::to_owned).context("a bad held.json");
    let map = Map { id: part("id")?, slug: part("slug")?, token: part("token")? };
    let held = held(&cluster, &map)?;
    ensure!(has(&held, &expected), "held: {held:#}\nexpected: {expected:#}");
    let before = expected["events"].as_array().context("no events")?.len();
    ensure!(once(&cluster, &map)? == expected["events"][5]["id"], "an idempotency key was lost");
    let shown = format!(
        "/api/maps/{}/webhooks/{}",
        map.id,
        expected["webhooks"][0]["id"].as_str().unwrap_or_default()
    );
    let shown = cluster.api(0, &map).get(&shown)?.data(200)?;
    ensure!(
        shown["url"].as_str().is_some_and(|url| url.contains("127.0.0.1:9")),
        "the encrypted URL can't be read: {shown}"
    );
    let next = publish_many(&cluster, 0, &map, "new", 1)?;
    ensure!(next[0]["seq"] == before + 1, "{next:?}");
    Ok(())
}

/// Returns whether all that is expected was found: a later release may report more. The owner of a webhook
/// depends on the new cluster.
fn has(found: &Value, expected: &Value) -> bool {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => expected.iter().all(|(name, value)| {
            ["owner", "owner_name"].contains(&name.as_str()) || found.get(name).is_some_and(|f| has(f, value))
        }),
        (Value::Array(found), Value::Array(expected)) => {
            found.len() == expected.len() && found.iter().zip(expected).all(|(f, e)| has(f, e))
        }
        _ => found == expected,
    }
}

#[test]
fn data_of_earlier_releases_can_be_read() {
    let own = formats().join(env!("CARGO_PKG_VERSION"));
    if std::env::var_os("WAYPOST_MAKE_FIXTURES").is_some() {
        make(&own).unwrap();
    }
    assert!(own.exists(), "this release has no fixtures yet");
    for folder in std::fs::read_dir(formats()).unwrap() {
        let folder = folder.unwrap().path();
        println!("{}", folder.display());
        opens(&folder, |data| {
            std::fs::create_dir_all(data)?;
            run("tar", &["-xzf", &folder.join("data.tar.gz").display().to_string(), "-C", data])
        })
        .unwrap_or_else(|error| panic!("the data directory of {}: {error:#}", folder.display()));
        let backup = folder.join("state.backup").display().to_string();
        opens(&folder, |data| run(&binary(), &["restore", "--from", &backup, "--data-dir", data, "--yes"]))
            .unwrap_or_else(|error| panic!("the backup of {}: {error:#}", folder.display()));
    }
}

#[test]
fn data_of_a_newer_release_is_refused_and_not_changed() {
    let mut cluster = Cluster::boot(&options()).unwrap();
    cluster.nodes[0].kill9().unwrap();
    let file = cluster.nodes[0].data.join("format");
    let line = std::fs::read_to_string(&file).unwrap();
    let words = "waypost data directory, format 2";
    assert!(line.starts_with("waypost data directory, format 1, check "), "{line}");
    let check = crc32fast::hash(words.as_bytes());
    std::fs::write(&file, format!("{words}, check {check:08x}\n")).unwrap();
    cluster.nodes[0].start().unwrap();
    let ended = testkit::wait::until("the node to end by itself", || cluster.nodes[0].ended()).unwrap();
    let log = cluster.nodes[0].log_tail(5);
    assert!(!ended.success() && log.contains("format 2") && log.contains("newer release"), "{log}");
    assert!(!cluster.nodes[0].data.join("damaged-1").exists(), "the data was set aside as damaged");
}
