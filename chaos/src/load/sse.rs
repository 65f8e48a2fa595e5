//! A client of the event stream (SSE) that comes and goes.

use super::stay::Stay;
use super::{Reader, Site};
use crate::history::Event;
use anyhow::{Context, Result, ensure};
use std::time::Duration;
use testkit::stream::Stream;

/// The longest time of one wait for a frame.
const LOOK: Duration = Duration::from_millis(200);

/// Runs the client until the run's clients must end.
pub fn run(site: &Site, reader: &Reader) {
    Stay::new(site, reader).each(stay);
}

fn stay(stay: &mut Stay<'_>) -> Result<()> {
    let node = stay.node();
    let map = stay.site.map(stay.reader.topic);
    let mut path = format!("{}/stream?", map.events());
    for (name, wanted) in [("events", &stay.reader.kinds), ("subjects", &stay.reader.subjects)] {
        if !wanted.is_empty() {
            path += &format!("{name}={}&", wanted.join(","));
        }
    }
    let last = stay.last.clone();
    let headers = last.as_ref().map(|id| ("Last-Event-ID", id.as_str()));
    if last.is_none() {
        path += "since=2000-01-01T00:00:00Z";
    }
    let mut stream = Stream::get(stay.site.nodes[node], &path, Some(&map.token), headers.as_slice())?
        .patience(stay.left())?;
    let status = stream.status()?;
    ensure!(status == 200, "{status}");
    stay.joined(node);
    while !stay.is_over() {
        let Some(frame) = stream.frame(LOOK)? else { continue };
        match frame.event.as_str() {
            // This is a comment, which keeps the connection open.
            "" if frame.data.is_empty() => {}
            "position" => {}
            "connected" => stay.answered(&serde_json::from_str(&frame.data)?),
            _ => stay.seen(Event::read(&frame.data).with_context(|| frame.data.clone())?),
        }
        // Every frame that has an id moves the position, as in an EventSource.
        stay.last = frame.id.or(stay.last.take());
    }
    Ok(())
}
