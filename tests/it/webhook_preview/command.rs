//! `waypost webhook preview`.

use super::{HEADER, NOBODY, event};
use crate::support::binary;
use crate::webhooks_support::Hook;
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::process::Command;
use testkit::Cluster;

pub(super) fn command_line(c: &Cluster) -> Result<()> {
    let map = c.map("preview-command")?;
    let run = |form: &str, more: &[&str]| -> Result<(bool, String)> {
        let mut command = Command::new(binary());
        command.args(["-o", form, "webhook", "preview", &map.slug]).args(more);
        let output = command.args(["--url", &c.nodes[0].url(), "--token", &map.token]).output()?;
        let printed = String::from_utf8([output.stdout, output.stderr].concat())?;
        ensure!(!printed.contains(NOBODY), "a secret is shown: {printed}");
        Ok((output.status.success(), printed))
    };
    let (is_done, printed) = run("table", &[])?;
    ensure!(is_done && printed.contains("no stored event"), "{printed}");
    let (is_done, printed) = run("table", &["--sample", r#"{"type":"order_paid","payload":{"n":7}}"#])?;
    ensure!(is_done && printed.contains("order_paid ") && printed.contains("yes"), "{printed}");
    let id = event(c, &map, 1)?;
    // Settings of no webhook yet.
    let (is_done, printed) = run("table", &["--profile", "standard", "--filter", "payload.n > 5"])?;
    ensure!(is_done && printed.contains(&format!("add_system {id}")), "{printed}");
    ensure!(printed.contains("no: ") && printed.contains("is false"), "{printed}");
    ensure!(printed.contains("POST to no target yet") && printed.contains("content-type: "), "{printed}");
    ensure!(!printed.contains("\nseq "), "{printed}");
    // Changes of a stored one.
    let more = json!({"active": false, "name": "previewed", "headers": {"X-Own": HEADER}});
    let hook = Hook::create(c, &map, "http://127.0.0.1:9/previewed", more)?;
    let (is_done, printed) = run("wide", &["previewed", "--event", &id, "--method", "PUT"])?;
    ensure!(is_done && printed.contains("PUT http://127.0.0.1:9/previewed"), "{printed}");
    ensure!(printed.contains("\nseq ") && printed.contains("yes"), "{printed}");
    let (is_done, printed) = run("json", &["--event", &id, &hook.id])?;
    let shown: Value = serde_json::from_str(&printed)?;
    ensure!(is_done && shown["event"]["id"] == id.as_str() && shown["chosen"] == true, "{printed}");
    ensure!(shown["request"]["method"] == "POST", "{printed}");
    // No request, and settings that are refused.
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("template");
    std::fs::write(&file, r#"{"bad": "x ${int(payload.name)}"}"#)?;
    let file = file.display().to_string();
    let (is_done, printed) = run("table", &["--profile", "template", "--template", &file])?;
    ensure!(!is_done && printed.contains("no request") && printed.contains("/bad"), "{printed}");
    let (is_done, printed) = run("table", &["--filter", "payload.a >"])?;
    ensure!(!is_done && printed.contains("filter"), "{printed}");
    ensure!(hook.get(c, "/attempts")? == json!([]), "a preview was sent");
    Ok(())
}
