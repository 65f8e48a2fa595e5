//! npm `phoenix` over its long poll, behind the run's proxy: it goes where that sends it, and its polls are
//! given up and sent again (`tests/js/lost_polls_client.mjs`). It resumes as the README tells people to.

use super::{Reader, Site};
use crate::history::{Event, Record};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;
use testkit::clients::Js;

/// Between two looks at what it printed.
const LOOK: Duration = Duration::from_millis(20);

/// Until all is over. A client that can't be run is never seen to catch up.
pub fn run(site: &Site, reader: &Reader) {
    if let Err(error) = follow(site, reader) {
        site.journal.note(Record::Behind { whom: reader.name.clone(), why: format!("{error:#}") });
    }
}

fn follow(site: &Site, reader: &Reader) -> Result<()> {
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
    let (mut read, mut last) = (0, None);
    while !site.is_over() {
        for line in client.lines_from(read) {
            read += 1;
            take(site, reader, &line, &mut last)?;
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

fn take(site: &Site, reader: &Reader, line: &Value, last: &mut Option<String>) -> Result<()> {
    let client = reader.name.clone();
    match line["t"].as_str() {
        // Which node that was, only the proxy knows.
        Some("join") if line["status"] == "ok" => {
            site.journal.note(Record::Joined { client: client.clone(), node: 0, after: last.clone() });
            if line["response"]["gap"] == true {
                let oldest = line["response"]["oldest_id"].as_str().map(str::to_owned);
                site.journal.note(Record::Gap { client, oldest });
            }
        }
        Some("event") => {
            // Keys stand in their order in payloads of this load, as they do in what was parsed.
            let event = Event::read(&line["payload"].to_string())?;
            *last = Some(event.id.clone());
            let seq = event.seq;
            site.journal.note(Record::Seen { client, event });
            reader.seq.store(seq, Ordering::Relaxed);
        }
        _ => {}
    }
    Ok(())
}
