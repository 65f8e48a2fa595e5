//! Measures reading consumers on three nodes: readers at all nodes take batches and acknowledge them, until a
//! backlog is worked off. The backlog is published before the measurement, so the figure does not include
//! publishing.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::json;
use tokio::{task::JoinSet, time::sleep};

use crate::{
    event::Maker,
    http,
    node::{ADMIN, Cluster},
    report::Report,
};

/// Events acknowledged a second, at least.
const RATE: f64 = 20_000.0;
/// Events in one published batch.
const BATCH: usize = 100;
/// Time for the nodes to finish the work of publishing.
const SETTLE: Duration = Duration::from_secs(1);

/// The sizes of the measurement.
#[derive(Clone, Copy, clap::Args)]
pub(crate) struct Size {
    /// Events that each consumer reads
    #[arg(long, default_value_t = 60_000)]
    events: usize,
    /// Consumers, each of which reads all events
    #[arg(long, default_value_t = 3)]
    consumers: usize,
    /// Readers of each consumer
    #[arg(long, default_value_t = 8)]
    readers: usize,
    /// Events in one read
    #[arg(long, default_value_t = 100)]
    max: usize,
    /// Bytes of an event's payload
    #[arg(long, default_value_t = 300)]
    payload: usize,
}

/// Boots three nodes, measures and adds the lines.
///
/// # Errors
/// A node does not start, a request is refused, or an event was not acknowledged exactly once.
pub(crate) async fn run(binary: &Path, dir: &Path, size: Size, report: &mut Report) -> Result<()> {
    let cluster = Cluster::start(binary, dir, 3).await?;
    let (map, _) = cluster.map_that_keeps_all().await?;
    let nodes: Vec<SocketAddr> = cluster.nodes.iter().map(|node| node.http).collect();
    let events = publish(nodes[0], &map, size).await?;
    for n in 0..size.consumers {
        let body = json!({"name": name(n), "start": "all", "max_in_flight": 10_000}).to_string();
        let path = format!("/api/maps/{map}/consumers");
        let (status, answer) = http::call(nodes[0], "POST", &path, ADMIN, &body).await?;
        ensure!(status == 201, "{status}: {answer}");
    }
    sleep(SETTLE).await;
    let start = Instant::now();
    let mut readers = JoinSet::new();
    for n in 0..size.consumers {
        for reader in 0..size.readers {
            let node = nodes[(n + reader) % nodes.len()];
            readers.spawn(read(node, format!("/api/maps/{map}/consumers/{}", name(n)), size.max));
        }
    }
    let (mut acknowledged, mut end) = (0, start);
    while let Some(done) = readers.join_next().await {
        let (count, last) = done.map_err(|error| anyhow!(error))??;
        acknowledged += count;
        end = end.max(last);
    }
    let seconds = (end - start).as_secs_f64();
    let wanted = events * size.consumers;
    ensure!(acknowledged == wanted, "{acknowledged} of {wanted} events were acknowledged");
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let rate = acknowledged as f64 / seconds;
    let (consumers, readers, max) = (size.consumers, size.consumers * size.readers, size.max);
    let what = format!("consumers: {consumers} with {readers} readers at three nodes, batches of {max}");
    report.at_least(&what, rate, RATE, "acknowledged/s");
    Ok(())
}

fn name(n: usize) -> String {
    format!("jobs-{n}")
}

/// Publishes the backlog. Returns the number of its events.
async fn publish(node: SocketAddr, map: &str, size: Size) -> Result<usize> {
    let batch = Maker::of_payload(size.payload).batch(BATCH);
    let request = http::request("POST", &format!("/api/maps/{map}/events"), ADMIN, &batch);
    let mut client = http::Client::connect(node).await?;
    let batches = size.events.div_ceil(BATCH);
    for _ in 0..batches {
        let status = client.exchange(&request).await?;
        ensure!(http::is_accepted(status), "{status}: {}", String::from_utf8_lossy(client.body()));
    }
    Ok(batches * BATCH)
}

/// Reads and acknowledges until nothing comes any more. Returns how many events were acknowledged, and when the
/// last ones were.
async fn read(node: SocketAddr, path: String, max: usize) -> Result<(usize, Instant)> {
    let mut client = http::Client::connect(node).await?;
    let pull = http::request("POST", &format!("{path}/pull?max={max}&wait=1"), ADMIN, "");
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut last = Instant::now();
    loop {
        let status = client.exchange(&pull).await?;
        ensure!(status == 200, "{status}: {}", String::from_utf8_lossy(client.body()));
        let ids = ack_ids(client.body())?;
        if ids.is_empty() {
            return Ok((seen.len(), last));
        }
        let body = json!({ "ack_ids": ids }).to_string();
        let status = client.exchange(&http::request("POST", &format!("{path}/ack"), ADMIN, &body)).await?;
        let answer: serde_json::Value = serde_json::from_slice(client.body())?;
        let settled = answer["data"]["settled"].as_u64().context("no count")?;
        ensure!(status == 200 && settled == ids.len() as u64, "{status}: {answer}");
        last = Instant::now();
        for id in ids {
            ensure!(seen.insert(id), "an event was handed over twice");
        }
    }
}

/// The ack ids of an answer. The client does not parse the events: it shares the cores with the nodes.
fn ack_ids(body: &[u8]) -> Result<Vec<String>> {
    let text = std::str::from_utf8(body)?;
    let after = text.split(r#""ack_id":""#).skip(1);
    Ok(after.filter_map(|rest| rest.split('"').next().map(str::to_owned)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ack_ids_are_found() {
        let body = br#"{"data":[{"ack_id":"1-2-3","attempt":1},{"ack_id":"1-2-4","attempt":1}]}"#;
        assert_eq!(ack_ids(body).ok(), Some(vec!["1-2-3".to_owned(), "1-2-4".to_owned()]));
        assert_eq!(ack_ids(br#"{"data":[]}"#).ok(), Some(Vec::new()));
    }
}
