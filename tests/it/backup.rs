//! Backups of a running cluster, and new clusters restored from them.

use crate::support::{binary, nodes, publish, publish_many, scenario};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use testkit::Cluster;
use testkit::checks::{check_stream, same_backfill};
use testkit::http::{Api, text};
use testkit::node::printing_json;
use testkit::publisher::Publisher;

/// Runs the program; returns whether it succeeded, its output and its errors.
fn waypost(arguments: &[&str]) -> Result<(bool, String, String)> {
    let mut command = Command::new("timeout");
    let out = printing_json(command.arg("120").arg(binary()))
        .args(arguments)
        .env("WAYPOST_TOKEN", testkit::cluster::ADMIN)
        .output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((out.status.success(), text(&out.stdout), text(&out.stderr)))
}

fn backup(cluster: &Cluster, node: usize, name: &str, more: &[&str]) -> Result<(PathBuf, Value)> {
    let file = cluster.dir().join(name);
    let url = cluster.nodes[node].url();
    let path = file.display().to_string();
    // On a busy machine the cluster may have no leader for a moment; then the backup fails.
    let out = cluster.wait_until("a backup", |_| {
        let (ok, out, err) = waypost(&[&["cluster", "backup", &path, "--url", &url], more].concat())?;
        ensure!(ok, "{err}");
        Ok(Some(out))
    })?;
    let mut summary: Value = serde_json::from_str(&out)?;
    let current = summary.as_object_mut().and_then(|summary| summary.remove("current"));
    ensure!(current == Some(true.into()), "{out}");
    Ok((file, summary))
}

fn restore(from: &Path, to: &Path, more: &[&str]) -> Result<(bool, String, String)> {
    let from = from.display().to_string();
    let to = to.display().to_string();
    waypost(&[&["restore", "--from", &from, "--data-dir", &to, "--yes"], more].concat())
}

/// Gives every node a new disk: the first gets the restored data, the others join it.
fn rebuild_from(cluster: &mut Cluster, from: &Path) -> Result<Value> {
    for node in &mut cluster.nodes {
        if node.is_up() {
            node.kill9()?;
        }
        node.wipe()?;
        node.env.remove("WAYPOST_JOIN");
    }
    let (ok, out, err) = restore(from, &cluster.nodes[0].data, &[])?;
    ensure!(ok, "{err}");
    cluster.start(0)?;
    let first = cluster.nodes[0].peer.to_string();
    for node in cluster.nodes.iter_mut().skip(1) {
        node.env.insert("WAYPOST_JOIN".to_owned(), first.clone());
        node.start()?;
    }
    cluster.wait_ready()?;
    Ok(serde_json::from_str(&out)?)
}

#[test]
fn a_restored_cluster_has_everything_acknowledged_before_the_backup() {
    let options = nodes(3).set("WAYPOST_WEBHOOKS_ALLOW_NETS", "127.0.0.0/8");
    scenario(options, |cluster| {
        let map = cluster.map("backup")?;
        let other = cluster.map("other")?;
        let hook =
            json!({"url": "http://127.0.0.1:9/hook", "name": "kept", "secret": "a secret of some length"});
        let path = format!("/api/maps/{}/webhooks", other.id);
        let hook = cluster.api(0, &other).post(&path, &hook)?.data(201)?;
        let once = json!({"type": "once", "payload": {"n": 1}});
        let first = cluster.api(0, &other).post_once(&other.events(), "the-key", &once)?.data(201)?;
        let publishers: Vec<Publisher> = (0..2)
            .map(|i| {
                Publisher::start(
                    cluster.urls_from(i),
                    &map,
                    &format!("b{i}"),
                    &["x"],
                    Duration::from_millis(2),
                )
            })
            .collect();
        publishers.iter().try_for_each(|p| p.wait_more(50))?;
        let before: Vec<u64> = publishers.iter().map(Publisher::acked).collect();
        let (file, summary) = backup(cluster, 1, "under-load.backup", &["--with-key"])?;
        publishers.iter().try_for_each(|p| p.wait_more(20))?;
        let acks = publishers.into_iter().map(Publisher::stop).collect::<Result<Vec<_>>>()?;
        let acked: Vec<_> =
            acks.into_iter().zip(before).flat_map(|(acks, n)| acks.into_iter().take(n as usize)).collect();
        let all = same_backfill(cluster, &map)?;
        let old = cluster.status(0)?["cluster_id"].clone();
        let ids = |c: &Cluster| {
            let id = |n: usize| c.status(n)?["node_id"].as_u64().context("no id");
            (0..3).map(id).collect::<Result<Vec<_>>>()
        };
        let old_ids = ids(cluster)?;
        ensure!(summary["cluster_id"] == old && summary["files"][0] == "webhooks.key", "{summary}");
        let verified = waypost(&["cluster", "backup", "--verify", &file.display().to_string()])?;
        ensure!(verified.0 && serde_json::from_str::<Value>(&verified.1)? == summary, "{verified:?}");

        let restored = rebuild_from(cluster, &file)?;
        ensure!(restored["cluster_id"] != old && restored["backup"] == summary, "{restored}");
        let new_ids = ids(cluster)?;
        ensure!(
            new_ids.iter().min() > old_ids.iter().max(),
            "the new cluster reuses node ids: {new_ids:?}, {old_ids:?}"
        );
        let kept = same_backfill(cluster, &map)?;
        ensure!(kept.len() < all.len() && all.starts_with(&kept), "{} of {} events", kept.len(), all.len());
        check_stream("the restored cluster", 0, &kept, &acked)?;
        // Tokens, idempotency keys and webhooks with their secrets are kept; new ids follow the last one.
        let again = cluster.api(2, &other).post_once(&other.events(), "the-key", &once)?;
        ensure!(again.data(201)?["id"] == first["id"], "an idempotency key was lost");
        let hooks = cluster.api(2, &other).get(&path)?.data(200)?;
        ensure!(hooks[0]["id"] == hook["id"], "{hooks}");
        let shown = cluster.api(1, &other).get(&format!("{path}/{}", text(&hook, "id")?))?.data(200)?;
        ensure!(
            shown["url"].as_str().is_some_and(|url| url.contains("127.0.0.1:9")),
            "the encrypted URL can't be read: {shown}"
        );
        let next = publish(cluster, 1, &map, "y", json!({}))?;
        let last = kept.last().context("no events")?;
        ensure!(next["seq"] == last.seq + 1 && text(&next, "id")? > last.id, "{next} after {last:?}");
        ensure!(same_backfill(cluster, &map)?.len() == kept.len() + 1);
        // It restarts like any other cluster.
        cluster.restart_all()?;
        ensure!(same_backfill(cluster, &map)?.len() == kept.len() + 1);
        Ok(())
    });
}

/// The key of the cluster proves that the backup is from it; with another key it is refused.
fn whose_it_is(cluster: &Cluster, file: &Path) -> Result<()> {
    let file = file.display().to_string();
    let verify =
        |key: &Path| waypost(&["cluster", "backup", "--verify", &file, "--key", &key.display().to_string()]);
    let own = cluster.nodes[0].data.join("webhooks.key");
    let (ok, out, err) = verify(&own)?;
    ensure!(ok && serde_json::from_str::<Value>(&out)?["origin"] == "proved", "{out} {err}");
    let as_text = cluster.dir().join("key.txt");
    let hex: String = std::fs::read(&own)?.iter().map(|byte| format!("{byte:02x}")).collect();
    std::fs::write(&as_text, hex + "\n")?;
    ensure!(verify(&as_text)?.0, "the key as text is not taken");
    let other = cluster.dir().join("other.key");
    std::fs::write(&other, [7; 32])?;
    let (ok, _, err) = verify(&other)?;
    ensure!(!ok && err.contains("not from the cluster that this key belongs to"), "{err}");
    let target = cluster.dir().join("targets").join("foreign");
    let (ok, _, err) = restore(Path::new(&file), &target, &["--with-key", &other.display().to_string()])?;
    ensure!(!ok && err.contains("not from the cluster that this key belongs to"), "{err}");
    Ok(())
}

#[test]
fn a_bad_backup_is_refused_and_leaves_nothing_behind() {
    scenario(nodes(1), |cluster| {
        let map = cluster.map("bad")?;
        for _ in 0..4 {
            publish_many(cluster, 0, &map, "x", 200)?;
        }
        let (file, _) = backup(cluster, 0, "good.backup", &[])?;
        let good = std::fs::read(&file)?;
        let bad = |name: &str, bytes: &[u8], expected: &str| -> Result<()> {
            let path = cluster.dir().join(name);
            std::fs::write(&path, bytes)?;
            let target = cluster.dir().join("targets").join(name);
            let (ok, _, err) = restore(&path, &target, &[])?;
            ensure!(!ok && err.contains(expected), "{name}: {err}");
            let (ok, _, err) = waypost(&["cluster", "backup", "--verify", &path.display().to_string()])?;
            ensure!(!ok && err.contains(expected), "{name}: {err}");
            Ok(())
        };
        bad("empty", b"", "no backup")?;
        bad("foreign", b"something else altogether, and longer than a head", "no backup")?;
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] ^= byte;
            bytes
        };
        bad("newer", &with(8, 1), "format 3")?;
        for at in [20, good.len() / 2, good.len() - 40, good.len() - 1] {
            bad(&format!("flipped-{at}"), &with(at, 4), "damaged or incomplete")?;
        }
        for length in [30, good.len() / 2, good.len() - 32, good.len() - 1] {
            bad(&format!("cut-{length}"), &good[..length], "damaged or incomplete")?;
        }
        bad("longer", &[&good[..], b"x"].concat(), "damaged or incomplete")?;
        whose_it_is(cluster, &file)?;
        let left: Vec<_> = std::fs::read_dir(cluster.dir().join("targets"))?.collect();
        ensure!(left.is_empty(), "failed restores left: {left:?}");

        // Nothing is overwritten.
        let (ok, _, err) = restore(&file, &cluster.nodes[0].data, &[])?;
        ensure!(!ok && err.contains("not empty"), "{err}");
        let url = cluster.nodes[0].url();
        let path = file.display().to_string();
        let (ok, _, err) = waypost(&["cluster", "backup", &path, "--url", &url])?;
        ensure!(!ok && err.contains("exists"), "{err}");
        ensure!(std::fs::read(&file)? == good);
        let refused = Api::new(&url, Some(&map.token)).get("/api/cluster/backup")?;
        ensure!(refused.status == 403, "a map's token made a backup: {}", refused.status);
        Ok(())
    });
}

#[test]
fn without_a_majority_a_backup_needs_a_flag() {
    scenario(nodes(3), |cluster| {
        let map = cluster.map("rest")?;
        publish_many(cluster, 0, &map, "x", 30)?;
        cluster.wait_same_applied()?;
        cluster.nodes[0].kill9()?;
        cluster.nodes[1].kill9()?;
        let file = cluster.dir().join("last.backup");
        let url = cluster.nodes[2].url();
        let path = file.display().to_string();
        let (ok, _, err) = waypost(&["cluster", "backup", &path, "--url", &url])?;
        ensure!(!ok && err.contains("--without-majority") && !file.exists(), "{err}");
        let (ok, out, err) = waypost(&["cluster", "backup", &path, "--without-majority", "--url", &url])?;
        ensure!(ok && err.contains("no majority") && err.contains("key"), "{err}");
        let summary: Value = serde_json::from_str(&out)?;
        ensure!(summary["current"] == false, "{summary}");
        let (ok, _, err) = waypost(&["cluster", "snapshot", "--url", &url])?;
        ensure!(!ok && err.contains("not done on node"), "{err}");
        rebuild_from(cluster, &file)?;
        ensure!(same_backfill(cluster, &map)?.len() == 30);
        Ok(())
    });
}
