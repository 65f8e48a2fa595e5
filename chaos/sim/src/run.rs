//! Runs one seed, from an empty cluster to the verdict.
//!
//! The order is: boot, clients and faults together, heal, check.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use simulated::sim::World;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::clients;
use crate::faults;
use crate::history::{Checks, History};
use crate::hosts::Hosts;
use crate::ledger::Ledger;
use crate::plan::Plan;
use crate::presence;

/// The longest (virtual) time in which an empty cluster becomes complete.
const BEGIN: Duration = Duration::from_secs(60);
/// The longest (virtual) time after healing in which all nodes catch up.
const CATCH_UP: Duration = Duration::from_secs(60);

/// The result of a seed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The violations, each with its time (ms).
    pub(crate) violations: Vec<(u64, String)>,
    /// The numbers of commands proposed, of commands acknowledged, of reads, and of answers by replicas to
    /// proposals that they had applied before.
    pub(crate) counts: [u64; 4],
    /// How often the history checked each invariant.
    pub(crate) checks: Checks,
    /// How many faults were carried out.
    pub(crate) faults: u64,
    /// The virtual time of the whole run (ms).
    pub(crate) took_ms: u64,
}

/// Runs a plan. A panic is a violation like any other.
pub(crate) fn run(plan: Plan, failpoint: Option<&'static str>) -> Verdict {
    let failed = |what: String| Verdict { violations: vec![(0, what)], ..Verdict::default() };
    let mut builder = tokio::runtime::Builder::new_current_thread();
    // Without this seed, tokio's own random choices differ from run to run.
    #[cfg(tokio_unstable)]
    builder.rng_seed(tokio::runtime::RngSeed::from_bytes(&plan.seed.to_le_bytes()));
    let runtime = match builder.enable_time().start_paused(true).build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(format!("no runtime: {error}")),
    };
    let simulated = AssertUnwindSafe(|| runtime.block_on(simulate(plan, failpoint)));
    catch_unwind(simulated).unwrap_or_else(|_| failed("the simulation panicked".to_owned()))
}

async fn simulate(plan: Plan, failpoint: Option<&'static str>) -> Verdict {
    machine::planted::switch_on(failpoint);
    let world = World::enter(plan.seed, plan.timing, failpoint);
    let history = Arc::new(History::new(world.clone(), plan.has_time()));
    let hosts = Hosts::new(world.clone(), plan, history.clone());
    let faults = under_fire(&hosts).await;
    for (host, reason) in world.damaged() {
        world.violation(format!("invariant 11: host {host} gave up its data as damaged: {reason}"));
    }
    let [proposed, acknowledged, reads] = history.counts();
    let verdict = Verdict {
        violations: world.violations(),
        counts: [proposed, acknowledged, reads, world.repeated()],
        checks: history.checks(),
        faults,
        took_ms: world.elapsed_ms(),
    };
    for host in 0..hosts.plan.nodes {
        hosts.end(host, true);
    }
    verdict
}

/// The whole run. Returns how many faults were carried out.
async fn under_fire(hosts: &Arc<Hosts>) -> u64 {
    for host in 0..hosts.plan.nodes {
        hosts.start(host);
        hosts.until(BEGIN, |hosts| hosts.node(host).is_some()).await;
    }
    if !hosts.until(BEGIN, Hosts::all_well).await {
        hosts.world.violation("the cluster does not become complete".to_owned());
        return 0;
    }
    tracing::debug!(at = hosts.world.elapsed_ms(), "the cluster is complete");
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    clients::start(hosts, &stop, &mut clients);
    if hosts.plan.presence {
        presence::prepare(hosts).await;
        presence::start(hosts, &stop, &mut clients);
    }
    let faults = faults::carry_out(hosts).await;
    heal(hosts).await;
    stop.store(true, Ordering::Relaxed);
    while timeout(CATCH_UP, clients.join_next()).await.is_ok_and(|joined| joined.is_some()) {}
    check(hosts).await;
    if hosts.plan.presence {
        presence::check(hosts).await;
    }
    faults
}

/// Ends every fault.
async fn heal(hosts: &Arc<Hosts>) {
    hosts.world.heal();
    for host in 0..hosts.plan.nodes {
        hosts.world.stall(host, 0);
        if let Some(process) = hosts.process(host) {
            process.thaw();
        }
        hosts.start(host);
    }
    sleep(Duration::from_millis(100)).await;
}

/// Checks that all nodes catch up within a bound and hold the same list.
async fn check(hosts: &Arc<Hosts>) {
    let well = hosts.until(CATCH_UP, Hosts::all_well).await;
    if !well {
        let missing: Vec<usize> = (0..hosts.plan.nodes).filter(|host| hosts.node(*host).is_none()).collect();
        let members = hosts.leader().and_then(|host| hosts.node(host)).map(|node| node.status());
        return hosts.world.violation(format!(
            "invariant 10: not all nodes are well in time; not up: {missing:?}; the leader sees {members:?}"
        ));
    }
    for host in 0..hosts.plan.nodes {
        if !clients::probe(hosts, host, CATCH_UP).await {
            hosts.world.violation(format!("invariant 10: host {host} accepts no proposals in time"));
        }
    }
    let right = |hosts: &Hosts| {
        let leader = hosts.leader().and_then(|host| hosts.node(host));
        leader.is_some_and(|node| hosts.history.is_right(node.status().clock.time_ms))
    };
    if !hosts.until(CATCH_UP, right).await || !clients::probe(hosts, 0, CATCH_UP).await {
        hosts
            .world
            .violation("invariant 1: the stamps do not return to the true time within the bound".to_owned());
    }
    hosts.history.check_time();
    // A command with an unknown outcome may still be stored: a request that a broken network held back
    // arrives after healing.
    let all = |hosts: &Hosts| {
        let statuses: Vec<_> =
            (0..hosts.plan.nodes).filter_map(|host| Some(hosts.node(host)?.status())).collect();
        let last = statuses.iter().map(|status| status.last_log).max();
        statuses.len() == hosts.plan.nodes && statuses.iter().all(|status| Some(status.applied) >= last)
    };
    if !hosts.until(CATCH_UP, all).await {
        hosts.world.violation("invariant 10: not all nodes have applied everything in time".to_owned());
    }
    for host in 0..hosts.plan.nodes {
        let list = hosts.node(host).and_then(|node| Ledger::all(&node.reader().view().ok()?).ok());
        match list {
            Some(list) => hosts.history.check_list(host, &list),
            None => hosts.world.violation(format!("invariant 11: host {host} cannot be read")),
        }
    }
}
