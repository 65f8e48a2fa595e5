//! npm `phoenix` over its long poll, behind the run's proxy. The proxy chooses the node, and some polls are
//! given up and sent again (`tests/js/lost_polls_client.mjs`). The client resumes as docs/reference/sockets.md describes.

use super::stay::Stay;
use super::{Reader, Site};
use crate::history::{Event, Record};
use anyhow::{Context, Result};
use serde_json::json;
use std::time::Duration;
use testkit::clients::Js;

/// The pause between two looks at the client's output.
const LOOK: Duration = Duration::from_millis(20);

/// Runs the client until the run's clients must end. A client that does not start never catches up, and the
/// checks report that.
pub fn run(site: &Site, reader: &Reader) {
    if let Err(error) = follow(Stay::new(site, reader)) {
        site.journal.note(Record::Behind { whom: reader.name.clone(), why: format!("{error:#}") });
    }
}

fn follow(mut stay: Stay<'_>) -> Result<()> {
    let site = stay.site;
    let reader = stay.reader;
    let proxy = site.proxy.context("this run has no proxy")?;
    let map = site.map(reader.topic);
    let mut params = json!({"since": "2000-01-01T00:00:00Z"});
    if !reader.kinds.is_empty() {
        params["events"] = json!(reader.kinds);
    }
    let client = Js::lost_polls(json!({
        "urls": [format!("http://{proxy}")],
        "token": map.token,
        "topic": map.topic(),
        "params": params,
        "stay": true,
        "seed": site.dice(&reader.name).next() >> 33,
    }))?;
    let mut read = 0;
    while !site.is_over() {
        for line in client.lines_from(read) {
            read += 1;
            match line["t"].as_str() {
                Some("join") if line["status"] == "ok" => {
                    // Only the proxy knows which node that was.
                    stay.joined(0);
                    stay.answered(&line["response"]);
                }
                // The payloads of this load have their keys in the same order as the parsed payloads.
                Some("event") => stay.seen(Event::from_envelope(&line["payload"])?),
                _ => {}
            }
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}
