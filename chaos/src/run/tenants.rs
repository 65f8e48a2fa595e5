//! A hostile tenant beside a healthy one: how fast the healthy one's events are acknowledged and arrive, alone
//! and during the attacks.

use super::Run;
use crate::environment::net;
use crate::history::Record;
use crate::load::hostile::{Hostile, Target};
use anyhow::{Context, Result, anyhow, ensure};
use serde_json::json;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use testkit::cluster::{Map, fresh_key, unlimited};
use testkit::http::Api;
use testkit::phoenix::{Frame, Socket};
use testkit::ws::{Message, Ws};

/// How long the healthy tenant is measured alone, and during the attacks.
const ALONE: Duration = Duration::from_secs(5);
const BESIDE: Duration = Duration::from_secs(12);
/// How long the attacks go on in full strength before the measurement begins.
const ONSET: Duration = Duration::from_secs(3);
/// The pause between two events of the healthy tenant.
const PACE: Duration = Duration::from_millis(10);
/// What the hostile map may publish, as an operator limits each tenant of a shared cluster. It has no other
/// limit.
const HOSTILE_BYTES_PER_SECOND: u64 = 4_000_000;
/// How long an event may be under way.
const ARRIVAL: Duration = Duration::from_secs(30);

/// The healthy tenant: it publishes at one node, and its subscriber is at another.
struct Tenant {
    map: Map,
    publisher: SocketAddr,
    subscriber: SocketAddr,
}

/// What the healthy tenant saw: times in microseconds.
#[derive(Debug, Default)]
struct Seen {
    acknowledged: Vec<u64>,
    delivered: Vec<u64>,
}

/// A hostile tenant does all that it can; a healthy tenant is measured before and meanwhile.
pub fn hostile(run: &mut Run) -> Result<()> {
    run.settle()?;
    let round = run.dice.next();
    let (healthy, hostile) = (format!("healthy-{round}"), format!("hostile-{round}"));
    let nodes = run.load.site.nodes.clone();
    let (publisher, subscriber) = (nodes[1], nodes[2]);
    let mut limits = json!({"limits": unlimited()});
    let tenant = Tenant { map: run.cluster.map_with(&healthy, limits.clone())?, publisher, subscriber };
    let receiver = if run.net.is_some() { net::HUB } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
    limits["limits"]["publish_bytes_per_second"] = json!(HOSTILE_BYTES_PER_SECOND);
    let target = Target { nodes, map: run.cluster.map_with(&hostile, limits)?, receiver };

    let alone = measure(run, &tenant, ALONE)?;
    run.broken("hostile tenant", &[], false, "all attacks at once");
    let attacks = Hostile::begin(&target)?;
    run.rest(ONSET)?;
    let beside = measure(run, &tenant, BESIDE);
    let ended = attacks.end();
    // Its webhooks go with the map.
    let deleted = run.cluster.admin(0).delete(&target.map.path(""));
    run.mended("hostile tenant", &[]);
    let beside = beside?;
    deleted?.expect(204)?;
    for (what, alone, beside) in [
        ("acknowledgement", alone.acknowledged, beside.acknowledged),
        ("delivery", alone.delivered, beside.delivered),
    ] {
        let what = format!("{what}, 99 of 100 within");
        let (alone_us, beside_us) = (percentile_99(alone), percentile_99(beside));
        println!("  {what}: {alone_us} µs alone, {beside_us} µs beside a hostile tenant");
        run.journal.note(Record::Pace { of: what, alone_us, beside_us });
    }
    for (attack, count) in ended? {
        println!("  {attack}: {count} times");
    }
    run.settle()
}

/// Publishes for that time, and waits until all has arrived.
fn measure(run: &mut Run, tenant: &Tenant, time: Duration) -> Result<Seen> {
    let begin = Instant::now();
    let ends = AtomicBool::new(false);
    let acknowledged = Mutex::new(Vec::new());
    let mut socket = Socket::connect(tenant.subscriber, &tenant.map.token)?;
    socket.join_ok(&tenant.map.topic(), json!({}))?;
    std::thread::scope(|scope| {
        let publishing = scope.spawn(|| publish(tenant, begin, &ends, &acknowledged));
        let reading = scope.spawn(|| read(&mut socket.ws, begin, &ends, &acknowledged));
        let rested = run.rest(time);
        ends.store(true, Ordering::Relaxed);
        publishing.join().map_err(|_| anyhow!("the publisher panicked"))??;
        let delivered = reading.join().map_err(|_| anyhow!("the subscriber panicked"))??;
        rested?;
        let acknowledged = acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(Seen { acknowledged, delivered })
    })
}

/// Publishes one event after the other until `ends`; each says when it was sent.
fn publish(tenant: &Tenant, begin: Instant, ends: &AtomicBool, acknowledged: &Mutex<Vec<u64>>) -> Result<()> {
    let api = Api::new(&format!("http://{}", tenant.publisher), Some(&tenant.map.token)).patient();
    while !ends.load(Ordering::Relaxed) {
        let sent = begin.elapsed().as_micros() as u64;
        let body = json!({"type": "pulse", "payload": {"sent": sent}});
        api.post_once(&tenant.map.events(), &fresh_key(), &body)?.data(201)?;
        let took = (begin.elapsed().as_micros() as u64).saturating_sub(sent);
        acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push(took);
        std::thread::sleep(PACE);
    }
    Ok(())
}

/// Reads until everything that was acknowledged has arrived.
fn read(ws: &mut Ws, begin: Instant, ends: &AtomicBool, acknowledged: &Mutex<Vec<u64>>) -> Result<Vec<u64>> {
    let mut took = Vec::new();
    let mut last = Instant::now();
    loop {
        let published = acknowledged.lock().unwrap_or_else(PoisonError::into_inner).len();
        if ends.load(Ordering::Relaxed) && took.len() >= published {
            return Ok(took);
        }
        match ws.read(Duration::from_millis(100))? {
            Some(Message::Text(text)) => {
                let sent =
                    Frame::parse(&text)?.payload["payload"]["sent"].as_u64().context("no time in it")?;
                took.push((begin.elapsed().as_micros() as u64).saturating_sub(sent));
                last = Instant::now();
            }
            None | Some(Message::Ping(_) | Message::Pong(_)) => {
                ensure!(last.elapsed() < ARRIVAL, "{} of {published} events arrived", took.len());
            }
            other => return Err(anyhow!("the healthy tenant's socket: {other:?}")),
        }
    }
}

/// 99 of 100 values are at most this.
fn percentile_99(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    let index = (values.len() * 99 / 100).min(values.len().saturating_sub(1));
    values.get(index).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_event_of_a_hundred_is_beyond_the_percentile() {
        assert_eq!(percentile_99(Vec::new()), 0);
        assert_eq!(percentile_99(vec![7]), 7);
        assert_eq!(percentile_99((1..=1000).collect()), 991);
    }
}
