//! A Phoenix client that comes and goes: each time it joins at another node, after the last event that it
//! saw.

use super::stay::Stay;
use super::{Reader, Site};
use crate::history::Event;
use anyhow::{Context, Result, bail};
use serde_json::json;
use serde_json::value::RawValue;
use std::time::Duration;
use testkit::phoenix::{Frame, path};
use testkit::ws::{Message, Ws};

/// The longest time of one wait for a frame.
const LOOK: Duration = Duration::from_millis(200);

/// Runs the client until the run's clients must end.
pub fn run(site: &Site, reader: &Reader) {
    Stay::new(site, reader).each(stay);
}

fn stay(stay: &mut Stay<'_>) -> Result<()> {
    let node = stay.node();
    let map = stay.site.map(stay.reader.topic);
    let mut ws = Ws::connect(stay.site.nodes[node], &path(&map.token))?;
    let params = stay.reader.join(stay.last.as_deref());
    ws.text(&json!(["1", "1", map.topic(), "phx_join", params]).to_string())?;
    stay.joined(node);
    while !stay.is_over() {
        match ws.read(LOOK)? {
            None | Some(Message::Ping(_) | Message::Pong(_)) => {}
            Some(Message::Text(text)) => take(stay, &text)?,
            Some(other) => bail!("{other:?}"),
        }
    }
    Ok(())
}

pub(super) fn take(stay: &mut Stay<'_>, text: &str) -> Result<()> {
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
                stay.last = Some(position.to_owned());
            }
            stay.answered(response);
        }
        "phx_close" | "phx_error" => bail!("{name}"),
        "position" => {
            stay.last = Frame::parse(text)?.payload["id"].as_str().map(str::to_owned).or(stay.last.take())
        }
        _ => stay.seen(Event::read(parts.get(4).context("no payload")?.get())?),
    }
    Ok(())
}
