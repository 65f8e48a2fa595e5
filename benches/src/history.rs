//! Compares what was acknowledged with what each node holds at the end ([`checker`]). It never publishes.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use checker::{Facts, Item, Kept, Log, Verdicts};
use testkit::{checks::held, cluster::Map, event::Event, http::Api, wait};
use tokio::task::spawn_blocking;

use crate::{node::ADMIN, publishers::Ack, report::Report};

/// How long a restarted node may take to catch up.
const PATIENCE: Duration = Duration::from_secs(60);

/// An event whose publisher remembers no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Unnamed<'a>(&'a Event);

impl<'a> Item for Unnamed<'a> {
    type Key = &'a str;
    type Id = ();

    fn facts(self) -> Facts<&'a str, ()> {
        Facts { position: self.0.seq, key: Some(&self.0.key), id: () }
    }

    fn follows(self, before: Self) -> bool {
        self.0.id > before.0.id
    }
}

/// Reads each node's whole history and adds the lines: nothing is lost, nothing is there twice, and all nodes
/// hold the same.
///
/// # Errors
/// A node can't be read, or does not catch up.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(crate) async fn check(nodes: &[SocketAddr], map: &str, acks: &[Ack], report: &mut Report) -> Result<()> {
    let head = acks.iter().map(|ack| ack.seq).max().unwrap_or(0);
    let keys: Vec<String> = acks.iter().map(Ack::key).collect();
    let mut log = Log::default();
    let mut verdicts = Verdicts::default();
    let mut all = Vec::new();
    for node in nodes {
        all.push(read(*node, map, head).await.with_context(|| format!("the history of {node}"))?);
    }
    for (ack, key) in acks.iter().zip(&keys) {
        log.asked(key.as_str());
        log.acked(Facts { position: ack.seq, key: Some(key.as_str()), id: () }, &mut verdicts);
    }
    for (node, events) in nodes.iter().zip(&all) {
        let events: Vec<Unnamed<'_>> = events.iter().map(Unnamed).collect();
        log.ends(node, &events, Kept::Whole, &mut verdicts);
    }
    log.finish(&mut verdicts);
    report.note("history: acknowledged events", acks.len() as f64, "");
    for (number, what) in [
        (1, "acknowledged and not on every node, or elsewhere"),
        (3, "gaps in seq, or another log than on the first node"),
        (8, "stored twice"),
    ] {
        let violations = verdicts.of(number).map_or(0, |verdict| verdict.violations);
        report.at_most(&format!("history: {what}"), violations as f64, 0.0, "events");
    }
    Ok(())
}

/// All events that a node holds, once it holds `head`.
async fn read(node: SocketAddr, map: &str, head: u64) -> Result<Vec<Event>> {
    let map = Map { id: map.to_owned(), slug: String::new(), token: ADMIN.to_owned() };
    let api = Api::new(&format!("http://{node}"), Some(ADMIN));
    let read = move || {
        wait::until_for(PATIENCE, "all acknowledged events", || {
            let events = held(&api, &map)?;
            let last = events.last().map_or(0, |event| event.seq);
            ensure!(last >= head, "at seq {last} of {head}");
            Ok(Some(events))
        })
    };
    spawn_blocking(read).await?
}
