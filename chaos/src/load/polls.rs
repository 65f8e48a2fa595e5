//! npm `phoenix` over its long poll, behind the run's proxy: it goes where that sends it, and its polls are
//! given up and sent again (`tests/js/lost_polls_client.mjs`). It resumes as the README tells people to.

use super::stay::Stay;
use super::{Reader, Site};
use crate::history::{Event, Record};
use anyhow::{Context, Result};
use serde_json::json;
use std::time::Duration;
use testkit::clients::Js;

/// Between two looks at what it printed.
const LOOK: Duration = Duration::from_millis(20);

/// Until all is over. A client that can't be run is never seen to catch up.
pub fn run(site: &Site, reader: &Reader) {
    if let Err(error) = follow(Stay::new(site, reader)) {
        site.journal.note(Record::Behind { whom: reader.name.clone(), why: format!("{error:#}") });
    }
}

fn follow(mut stay: Stay<'_>) -> Result<()> {
    let (site, reader) = (stay.site, stay.reader);
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
                    // Which node that was, only the proxy knows.
                    stay.joined(0);
                    stay.answered(&line["response"]);
                }
                // Keys stand in their order in payloads of this load, as they do in what was parsed.
                Some("event") => stay.seen(Event::from_envelope(&line["payload"])?),
                _ => {}
            }
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}
