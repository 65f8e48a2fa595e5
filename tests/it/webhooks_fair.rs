//! Hundreds of webhooks whose receiver hangs or is slow, beside healthy ones: each event reaches the healthy
//! webhooks while the slow requests still wait.
//!
//! By hand: `WAYPOST_TEST_WEBHOOKS` sets the number of slow webhooks (500), `WAYPOST_TEST_REQUESTS` the requests
//! that the node may have under way (400), and `WAYPOST_TEST_P99=1` requires that the slow webhooks raise the
//! delay of the healthy ones at most 1.5 times.

use crate::support::{scale, scenario};
use crate::webhooks_support::{Hook, delivering, map, publish_keys, quick};
use anyhow::{Result, ensure};
use serde_json::json;
use std::time::{Duration, Instant};
use testkit::Cluster;
use testkit::cluster::Map;
use testkit::receiver::late::Late;
use testkit::receiver::{Receiver, behaviour};
use testkit::wait;

/// The maps of the slow webhooks.
const SLOW_MAPS: usize = 5;
/// Events for each slow webhook: as many as it may have requests under way.
const EVENTS: usize = 16;
/// Events for the healthy webhooks, one after another.
const ROUNDS: usize = 100;
/// The longest time of a request: longer than a round may take.
const PATIENCE_MS: u64 = 30_000;

#[test]
fn webhooks_whose_receiver_never_answers_delay_no_other() {
    beside_slow_ones(None);
}

#[test]
fn webhooks_whose_receiver_answers_late_delay_no_other() {
    beside_slow_ones(Some(Duration::from_secs(8)));
}

/// The healthy webhooks, their receiver, and what they have got.
struct Healthy {
    map: Map,
    path: &'static str,
    receiver: Receiver,
    got: usize,
}

impl Healthy {
    fn create(c: &Cluster, map: Map, path: &'static str) -> Result<Self> {
        let receiver = Receiver::start()?;
        Hook::create(c, &map, &receiver.on(path, behaviour::healthy()), json!({}))?;
        Ok(Self { map, path, receiver, got: 0 })
    }

    /// Publishes events one after another, each when the one before it has arrived. `during` is checked after
    /// each arrival. Returns the delays in milliseconds, sorted.
    fn deliver(
        &mut self,
        c: &Cluster,
        prefix: &str,
        mut during: impl FnMut() -> Result<()>,
    ) -> Result<Vec<u128>> {
        let mut delays = Vec::new();
        for round in 0..ROUNDS {
            let began = Instant::now();
            publish_keys(c, &self.map, &format!("{prefix}{round}-"), 1)?;
            self.got += 1;
            self.receiver.wait_events(self.path, self.got)?;
            delays.push(began.elapsed().as_millis());
            during()?;
        }
        delays.sort_unstable();
        Ok(delays)
    }
}

/// Waits until some request hangs. At a boundary all may end at once, and others begin.
fn some_hang(late: &[Late]) -> Result<()> {
    let hang = || Ok(late.iter().any(|late| late.waiting() > 0).then_some(()));
    wait::until("requests that hang", hang)
}

fn beside_slow_ones(answers_after: Option<Duration>) {
    let count = scale("WAYPOST_TEST_WEBHOOKS", 500) as usize;
    let requests = scale("WAYPOST_TEST_REQUESTS", 400);
    scenario(delivering(1).set("WAYPOST_WEBHOOKS_CONNECTIONS", requests), |cluster| {
        let late: Vec<Late> = (0..SLOW_MAPS).map(|_| Late::start(answers_after)).collect::<Result<_>>()?;
        let slow: Vec<Map> =
            (0..SLOW_MAPS).map(|n| map(cluster, &format!("slow{n}"))).collect::<Result<_>>()?;
        for n in 0..count {
            let more = json!({"timeout_ms": PATIENCE_MS, "retry": quick(3)});
            let url = late[n % SLOW_MAPS].url(&format!("/{n}"));
            Hook::create(cluster, &slow[n % SLOW_MAPS], &url, more)?;
        }
        let mut other = Healthy::create(cluster, map(cluster, "healthy")?, "/other")?;
        let alone = other.deliver(cluster, "alone", || Ok(()))?;

        for map in &slow {
            publish_keys(cluster, map, "slow", EVENTS)?;
        }
        let beside = other.deliver(cluster, "beside", || some_hang(&late))?;
        report(&alone, &beside)?;

        // Webhooks that begin only now: of another map, and of a map of slow ones.
        let mut newcomer = Healthy::create(cluster, map(cluster, "newcomer")?, "/newcomer")?;
        newcomer.deliver(cluster, "new", || some_hang(&late))?;
        let mut neighbour = Healthy::create(cluster, slow[0].clone(), "/neighbour")?;
        neighbour.deliver(cluster, "near", || some_hang(&late))?;
        let (waiting, answered) =
            late.iter().fold((0, 0), |(w, a), late| (w + late.waiting(), a + late.answered()));
        println!("{waiting} slow requests wait, {answered} were answered");
        Ok(())
    });
}

fn report(alone: &[u128], beside: &[u128]) -> Result<()> {
    let of =
        |delays: &[u128], percent: usize| delays[(delays.len() * percent / 100).min(delays.len() - 1)].max(1);
    for (name, delays) in [("alone", alone), ("beside slow webhooks", beside)] {
        println!("{name}: p50 {} ms, p99 {} ms", of(delays, 50), of(delays, 99));
    }
    let times = of(beside, 99) as f64 / of(alone, 99) as f64;
    println!("p99 beside slow webhooks is {times:.2} times that alone");
    let strictly = scale("WAYPOST_TEST_P99", 0) == 1;
    ensure!(!strictly || times <= 1.5, "p99 beside slow webhooks is {times:.2} times that alone");
    Ok(())
}
