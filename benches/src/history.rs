//! Owns the comparison of what was acknowledged with what each node holds in the end. Never publishes.

use std::{
    collections::HashMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use tokio::time::sleep;

use crate::{http, node::ADMIN, publishers::Ack, report::Report};

/// A node that was restarted has caught up by then.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct Page {
    data: Vec<Event>,
    has_more: bool,
    cursor: Option<String>,
}

#[derive(Deserialize)]
struct Event {
    id: String,
    seq: u64,
    payload: Payload,
}

#[derive(Deserialize)]
struct Payload {
    by: usize,
    n: usize,
}

/// What one node holds.
#[derive(Default)]
struct Held {
    /// The seq of each event, by publisher and number.
    places: HashMap<(usize, usize), u64>,
    /// Events that are there again under another seq.
    twice: u64,
    /// Seqs that do not follow the one before.
    gaps: u64,
    head: u64,
    last_id: String,
}

/// Reads each node's whole history and adds the lines: nothing lost, nothing twice, the same everywhere.
///
/// # Errors
/// A node can't be read, or does not catch up.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
pub(crate) async fn judge(nodes: &[SocketAddr], map: &str, acks: &[Ack], report: &mut Report) -> Result<()> {
    let head = acks.iter().map(|ack| ack.seq).max().unwrap_or(0);
    let (mut lost, mut moved, mut twice, mut gaps, mut others) = (0_u64, 0_u64, 0, 0, 0_u64);
    let mut first: Option<Held> = None;
    for node in nodes {
        let held = read(*node, map, head).await.with_context(|| format!("the history of {node}"))?;
        for ack in acks {
            match held.places.get(&(ack.publisher, ack.number)) {
                None => lost += 1,
                Some(seq) if *seq != ack.seq => moved += 1,
                Some(_) => {}
            }
        }
        (twice, gaps) = (twice + held.twice, gaps + held.gaps);
        let same = |first: &Held| (&first.places, &first.last_id) == (&held.places, &held.last_id);
        others += u64::from(!first.as_ref().is_none_or(same));
        first.get_or_insert(held);
    }
    report.note("history: acknowledged events", acks.len() as f64, "");
    report.at_most("history: acknowledged and not on every node", lost as f64, 0.0, "events");
    report.at_most("history: elsewhere than acknowledged", moved as f64, 0.0, "events");
    report.at_most("history: stored twice, or gaps in seq", (twice + gaps) as f64, 0.0, "events");
    report.at_most("history: nodes that hold something else", others as f64, 0.0, "nodes");
    Ok(())
}

/// All that a node holds, once it holds `head`.
async fn read(node: SocketAddr, map: &str, head: u64) -> Result<Held> {
    let deadline = Instant::now() + PATIENCE;
    let mut client = http::Client::connect(node).await?;
    let (mut held, mut from) = (Held::default(), String::from("since=2000-01-01T00:00:00Z"));
    loop {
        let request = http::request("GET", &format!("/api/maps/{map}/events?{from}&limit=1000"), ADMIN, "");
        let status = client.exchange(&request).await?;
        if status != 200 {
            bail!("{status}: {}", String::from_utf8_lossy(client.body()));
        }
        let page: Page = serde_json::from_slice(client.body())?;
        page.data.into_iter().for_each(|event| held.take(event));
        if let Some(cursor) = page.cursor {
            from = format!("after={cursor}");
        }
        if !page.has_more && held.head >= head {
            return Ok(held);
        }
        if Instant::now() > deadline {
            bail!("at seq {} of {head}", held.head);
        }
        if !page.has_more {
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Held {
    fn take(&mut self, event: Event) {
        self.gaps += u64::from(event.seq != self.head + 1);
        self.twice += u64::from(self.places.insert((event.payload.by, event.payload.n), event.seq).is_some());
        (self.head, self.last_id) = (event.seq, event.id);
    }
}
