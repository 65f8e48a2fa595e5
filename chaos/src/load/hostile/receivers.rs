//! Webhooks to a host that takes requests and never answers.

use super::{Stop, Target};
use anyhow::{Context, Result};
use serde_json::json;
use testkit::receiver::{Receiver, behaviour};

/// How many webhooks there are.
const WEBHOOKS: usize = 200;

/// Webhooks whose requests are never answered. The map's own batches are their events.
pub(super) fn silent(target: &Target, stop: &Stop) -> Result<u64> {
    let receiver = Receiver::start_at(target.receiver)?;
    let url = receiver.on("/silent", behaviour::silent());
    let path = format!("/api/maps/{}/webhooks", target.map.id);
    let api = target.api(0).patient();
    let mut made = Vec::new();
    for n in 0..WEBHOOKS {
        if stop.is_set() {
            break;
        }
        // A map has one webhook for each target.
        let body =
            json!({"url": format!("{url}?for={n}"), "name": format!("silent{n}"), "timeout_ms": 10_000});
        let webhook = api.create(&path, &body)?.context("a lost attempt made a webhook")?;
        made.push(webhook["id"].as_str().unwrap_or_default().to_owned());
    }
    while !stop.is_set() {
        stop.pause();
    }
    for id in &made {
        api.delete(&format!("{path}/{id}"))?;
    }
    Ok(made.len() as u64)
}
