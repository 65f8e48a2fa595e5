//! A Phoenix client that comes and goes: each time at another node, from behind the last event that it saw.

use super::{Reader, Site};
use crate::history::{Event, Record};
use anyhow::{Context, Result, bail};
use serde_json::json;
use serde_json::value::RawValue;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use testkit::phoenix::{Frame, path};
use testkit::ws::{Message, Ws};

/// How long it stays, at least and at most.
const STAYS: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(9));
/// The pause before it comes again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(2500));
/// One wait for something to come.
const LOOK: Duration = Duration::from_millis(200);

/// Until all is over.
pub fn run(site: &Site, reader: &Reader) {
    let mut dice = site.dice(&reader.name);
    let mut last = None;
    while !site.is_over() {
        let node = dice.below(site.nodes.len());
        let until = Instant::now() + dice.between(STAYS.0, STAYS.1);
        // Whatever ended it: it comes again.
        let _ = stay(site, reader, node, until, &mut last);
        // Who is asked to end has caught up, or is waited for: no pause then.
        if !site.is_quiet() {
            std::thread::sleep(dice.between(PAUSE.0, PAUSE.1));
        }
    }
}

fn stay(site: &Site, reader: &Reader, node: usize, until: Instant, last: &mut Option<String>) -> Result<()> {
    let map = site.map(reader.topic);
    let mut ws = Ws::connect(site.nodes[node], &path(&map.token))?;
    let params = reader.join(last.as_deref());
    ws.text(&json!(["1", "1", map.topic(), "phx_join", params]).to_string())?;
    site.journal.note(Record::Joined { client: reader.name.clone(), node, after: last.clone() });
    while Instant::now() < until && !site.is_over() {
        match ws.read(LOOK)? {
            None | Some(Message::Ping(_) | Message::Pong(_)) => {}
            Some(Message::Text(text)) => take(site, reader, &text, last)?,
            Some(other) => bail!("{other:?}"),
        }
    }
    Ok(())
}

pub(super) fn take(site: &Site, reader: &Reader, text: &str, last: &mut Option<String>) -> Result<()> {
    let client = reader.name.clone();
    let parts: Vec<&RawValue> = serde_json::from_str(text)?;
    let name: String = serde_json::from_str(parts.get(3).context("no event")?.get())?;
    match name.as_str() {
        "phx_reply" => {
            let frame = Frame::parse(text)?;
            if frame.status() != "ok" {
                bail!("refused: {frame:?}");
            }
            let response = &frame.payload["response"];
            if let Some(position) = response["last_event_id"].as_str() {
                *last = Some(position.to_owned());
            }
            if response["gap"] == true {
                let oldest = response["oldest_id"].as_str().map(str::to_owned);
                site.journal.note(Record::Gap { client, oldest });
            }
        }
        "phx_close" | "phx_error" => bail!("{name}"),
        "position" => *last = Frame::parse(text)?.payload["id"].as_str().map(str::to_owned).or(last.take()),
        _ => {
            let event = Event::read(parts.get(4).context("no payload")?.get())?;
            *last = Some(event.id.clone());
            let seq = event.seq;
            site.journal.note(Record::Seen { client, event });
            reader.seq.store(seq, Ordering::Relaxed);
        }
    }
    Ok(())
}
