//! Webhooks to a host that takes requests and never answers.

use super::{Course, Target};
use anyhow::{Context, Result};
use serde_json::json;
use testkit::receiver::{Receiver, behaviour};

/// How many webhooks there are.
const WEBHOOKS: usize = 200;

/// Webhooks whose requests are never answered. The map's own batches are their events.
pub(super) fn silent(target: &Target, course: &Course) -> Result<()> {
    let receiver = Receiver::start_at(target.receiver)?;
    let url = receiver.on("/silent", behaviour::silent());
    let path = format!("/api/maps/{}/webhooks", target.map.id);
    let api = target.api(0).patient();
    for n in 0..WEBHOOKS {
        if course.is_over() {
            break;
        }
        // A map has one webhook for each target.
        let body =
            json!({"url": format!("{url}?for={n}"), "name": format!("silent{n}"), "timeout_ms": 10_000});
        api.create(&path, &body)?.context("a lost attempt made a webhook")?;
        course.got_through(1);
    }
    course.strong_if(true);
    while !course.is_over() {
        course.pause();
    }
    Ok(())
}
