//! Carries out a plan's faults, each at its time.

use std::sync::Arc;
use std::time::Duration;

use simulated::Operation;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::hosts::Hosts;
use crate::plan::Fault;

/// The longest time for removing a member or handing over.
const ASK: Duration = Duration::from_secs(2);

/// The longest time in which no disk is lost because another is being repaired.
const REPAIR: Duration = Duration::from_secs(20);

/// Carries out all faults. Returns how many were possible.
pub(crate) async fn carry_out(hosts: &Arc<Hosts>) -> u64 {
    let begin = Instant::now();
    let mut under_way = JoinSet::new();
    for (at, fault) in hosts.plan.faults.clone() {
        sleep_until(begin + Duration::from_millis(at)).await;
        let hosts = hosts.clone();
        under_way.spawn(async move {
            tracing::debug!(at = hosts.world.elapsed_ms(), leader = ?hosts.leader(), ?fault, "fault");
            one(&hosts, fault).await
        });
    }
    sleep_until(begin + Duration::from_millis(hosts.plan.duration_ms)).await;
    let done = under_way.join_all().await;
    done.into_iter().filter(|done| *done).count() as u64
}

fn ms(time: u64) -> Duration {
    Duration::from_millis(time)
}

/// Carries out one fault, and ends it later. Returns false if it was not possible.
async fn one(hosts: &Arc<Hosts>, fault: Fault) -> bool {
    match fault {
        Fault::Kill { target, down } => on(hosts, hosts.find(target), down, false).await,
        Fault::Power { target, down } => on(hosts, hosts.find(target), down, true).await,
        Fault::PowerAll { slow, down } => {
            (0..hosts.plan.nodes).for_each(|host| hosts.world.stall(host, slow));
            sleep(ms(slow / 2)).await;
            (0..hosts.plan.nodes).for_each(|host| hosts.end(host, true));
            (0..hosts.plan.nodes).for_each(|host| hosts.world.stall(host, 0));
            sleep(ms(down)).await;
            (0..hosts.plan.nodes).for_each(|host| hosts.start(host));
            true
        }
        Fault::Freeze { target, time } => stop(hosts, hosts.find(target), time, false).await,
        Fault::Hang { target, time } => stop(hosts, hosts.find(target), time, true).await,
        Fault::Isolate { target, time } => {
            cut(hosts, around(hosts, hosts.find(target), true, true), time).await
        }
        Fault::Deaf { target, time } => {
            cut(hosts, around(hosts, hosts.find(target), true, false), time).await
        }
        Fault::Mute { target, time } => {
            cut(hosts, around(hosts, hosts.find(target), false, true), time).await
        }
        Fault::Split { group, time } => {
            let inside = |host: usize| group >> host & 1 == 1;
            let ways = pairs(hosts.plan.nodes).filter(|(a, b)| inside(*a) != inside(*b)).collect();
            cut(hosts, ways, time).await
        }
        Fault::Apart { a, b, time } => cut(hosts, vec![(a, b), (b, a)], time).await,
        Fault::Reset { target } => {
            let Some(host) = hosts.find(target) else { return false };
            (0..hosts.plan.nodes).for_each(|other| hosts.world.reset(host, other));
            true
        }
        Fault::Stall { target, by, time } => {
            let Some(host) = hosts.find(target) else { return false };
            hosts.world.stall(host, by);
            sleep(ms(time)).await;
            hosts.world.stall(host, 0);
            true
        }
        Fault::Skew { host, ms } => {
            hosts.world.skew(host, ms);
            true
        }
        Fault::Drift { host, by } => {
            hosts.world.drift(host, by);
            true
        }
        Fault::HandOver => {
            let Some(node) = hosts.leader().and_then(|host| hosts.node(host)) else { return false };
            timeout(ASK, node.admin().hand_over(ASK)).await.is_ok()
        }
        Fault::Transfer { host } => transfer(hosts, host).await,
        Fault::Wipe { host, down } => hosts.may_lose_disk().await && wipe(hosts, host, down).await,
        Fault::Replace { host, down } => hosts.may_lose_disk().await && replace(hosts, host, down).await,
        Fault::Damage { host, down } => hosts.may_lose_disk().await && damage(hosts, host, down).await,
        Fault::DamageAll { down } => hosts.may_lose_disk().await && damage_all(hosts, down).await,
    }
}

async fn on(hosts: &Arc<Hosts>, host: Option<usize>, down: u64, power: bool) -> bool {
    let Some(host) = host.filter(|host| hosts.process(*host).is_some()) else { return false };
    hosts.end(host, power);
    sleep(ms(down)).await;
    hosts.start(host);
    true
}

/// Returns false if the node on that host did not get the lead.
async fn transfer(hosts: &Arc<Hosts>, host: usize) -> bool {
    let Some(leader) = hosts.leader().and_then(|host| hosts.node(host)) else { return false };
    let Some(to) = hosts.node(host).map(|node| node.node_id()) else { return false };
    let asked = timeout(ASK, leader.admin().operate(Operation::Lead(Some(to)))).await;
    asked.is_ok_and(|done| done.is_ok())
}

/// Stops the process on a host for a while, or the whole host.
async fn stop(hosts: &Hosts, host: Option<usize>, time: u64, whole: bool) -> bool {
    let Some(process) = host.and_then(|host| hosts.process(host)) else { return false };
    process.freeze();
    cut(hosts, around(hosts, host, whole, whole), time).await;
    process.thaw();
    true
}

async fn wipe(hosts: &Arc<Hosts>, host: usize, down: u64) -> bool {
    hosts.end(host, true);
    hosts.wipe(host);
    sleep(ms(down)).await;
    hosts.start(host);
    hosts.disk_was_lost();
    true
}

/// Damages one thing on a host's disk. No disk is lost until the node has repaired it.
async fn damage(hosts: &Arc<Hosts>, host: usize, down: u64) -> bool {
    hosts.end(host, true);
    let damaged = hosts.world.damage(host);
    sleep(ms(down)).await;
    hosts.start(host);
    repaired(hosts, damaged).await
}

/// Damages an entry of each host's log, and often one host's store. Whichever entry it is, all hosts but one
/// have it whole.
async fn damage_all(hosts: &Arc<Hosts>, down: u64) -> bool {
    (0..hosts.plan.nodes).for_each(|host| hosts.end(host, true));
    let damage = |host: usize| hosts.world.damage_one_of(host, hosts.plan.nodes);
    let damaged = (0..hosts.plan.nodes).filter(|host| damage(*host)).count() > 0;
    let store = usize::try_from(hosts.world.below(2 * hosts.plan.nodes as u64)).unwrap_or(0);
    if store < hosts.plan.nodes {
        hosts.world.damage_store(store);
    }
    sleep(ms(down)).await;
    (0..hosts.plan.nodes).for_each(|host| hosts.start(host));
    repaired(hosts, damaged).await
}

async fn repaired(hosts: &Arc<Hosts>, damaged: bool) -> bool {
    // A violation that it never ends is found after healing.
    hosts.until(REPAIR, Hosts::all_well).await;
    hosts.disk_was_lost();
    damaged
}

/// Removes the member first. If that fails, or its outcome is unknown, the disk is lost nevertheless.
async fn replace(hosts: &Arc<Hosts>, host: usize, down: u64) -> bool {
    let leader = hosts.leader().filter(|leader| *leader != host).and_then(|host| hosts.node(host));
    if let (Some(leader), Some(node)) = (leader, hosts.node(host)) {
        // Both outcomes are useful here.
        let _ = timeout(ASK, leader.admin().operate(Operation::Remove(node.node_id()))).await;
    }
    wipe(hosts, host, down).await
}

fn pairs(nodes: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..nodes).flat_map(move |a| (0..nodes).filter(move |b| *b != a).map(move |b| (a, b)))
}

/// The network links to and from a host.
fn around(hosts: &Hosts, host: Option<usize>, to: bool, from: bool) -> Vec<(usize, usize)> {
    pairs(hosts.plan.nodes).filter(|(a, b)| to && Some(*b) == host || from && Some(*a) == host).collect()
}

async fn cut(hosts: &Hosts, ways: Vec<(usize, usize)>, time: u64) -> bool {
    ways.iter().for_each(|(a, b)| hosts.world.block(*a, *b, true));
    sleep(ms(time)).await;
    ways.iter().for_each(|(a, b)| hosts.world.block(*a, *b, false));
    !ways.is_empty()
}
