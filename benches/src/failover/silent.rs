//! Leaders that fall silent: nothing is refused, and no connection ends. The process hangs (SIGSTOP), or,
//! where this runs as root, the packets between the leader and the others are dropped. Measured is the time
//! until those who publish at the other nodes are acknowledged: what they send afterwards, and what was under
//! way.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;
use chaos::{
    environment::{
        leftovers::{Names, clean_dead_runs},
        net::{Net, client_address},
    },
    scenario::Need,
};
use tokio::{task::spawn_blocking, time::sleep};

use super::{CALM, NODES, PATIENCE, Size, slowest};
use crate::{
    history,
    node::{ADMIN, Cluster, Place},
    publishers::{self, Ack, Log, Publishers},
    report::Report,
    stats::Sorted,
};

/// The longest time of one silence, with what follows it.
pub(super) const ROUND: Duration = Duration::from_secs(20);
/// The most seconds from the silence to the next acknowledgement.
const MEDIAN: f64 = 1.6;
const MOST: f64 = 2.6;
/// The ports of the nodes in namespaces.
const PORTS: (u16, u16) = (4000, 4001);

/// How a leader falls silent.
#[derive(Clone, Copy)]
enum Way {
    Hang,
    Drop,
}

/// The namespaces of the nodes. Dropping it removes them.
struct Space {
    net: Net,
    names: Names,
}

impl Space {
    /// Makes the namespaces, and moves this thread and those that it starts from now on into one of them.
    fn make() -> Result<Self> {
        clean_dead_runs()?;
        let names = Names::own();
        // By this directory a later run finds what this one leaves behind if it is killed.
        std::fs::create_dir_all(names.dir())?;
        Ok(Self { net: Net::make(&names, NODES, false, 0)?, names })
    }

    fn places(&self) -> Vec<Place> {
        let place = |node| Place {
            launcher: self.net.launcher(node),
            http: (client_address(node), PORTS.0).into(),
            peer: (self.net.peer_address(node), PORTS.1).into(),
        };
        (0..NODES).map(place).collect()
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        self.names.clean();
    }
}

/// The nodes, and their namespaces if they have any.
struct Scene {
    cluster: Cluster,
    // This stands after the cluster: fields drop in order, and processes of the cluster run in the
    // namespaces.
    space: Option<Arc<Mutex<Space>>>,
}

/// What publishers at the other nodes met in silences, in seconds.
#[derive(Default)]
struct Met {
    /// The times until a publisher's first event of the silence was acknowledged.
    fresh: Vec<f64>,
    /// The times until the event that was under way was acknowledged.
    under_way: Vec<f64>,
    /// How often the outcome was unknown.
    unknown: usize,
}

/// Boots three nodes, silences their leaders and adds the lines.
///
/// # Errors
/// A node does not start, or a publish fails for good.
pub(super) async fn run(binary: &Path, dir: &Path, size: Size, report: &mut Report) -> Result<()> {
    let missing = [Need::Root, Need::Program("ip"), Need::Program("nft")].into_iter().find_map(Need::missing);
    if let Some(missing) = &missing {
        println!("packets are not dropped: {missing}");
    }
    let scene = match missing {
        None => {
            let space = Space::make()?;
            let places = space.places();
            let space = Some(Arc::new(Mutex::new(space)));
            Scene { cluster: Cluster::start_at(binary, dir, places).await?, space }
        }
        Some(_) => Scene { cluster: Cluster::start(binary, dir, NODES).await?, space: None },
    };
    let (map, _) = scene.cluster.map_that_keeps_all().await?;
    let nodes: Vec<_> = scene.cluster.nodes.iter().map(|node| node.http).collect();
    let Size { publishers, pause, pad, .. } = size;
    let mut running = Publishers::start(&publishers::Plan {
        nodes: nodes.clone(),
        map: map.clone(),
        token: ADMIN.to_owned(),
        publishers,
        pause,
        pad,
        stays: true,
    });
    sleep(CALM).await;
    let ways = [Way::Hang, Way::Drop].into_iter().filter(|way| match way {
        Way::Hang => true,
        Way::Drop => scene.space.is_some(),
    });
    for way in ways {
        let mut met = Met::default();
        for round in 1..=size.silences {
            scene.silence(way, round, &mut running, size, &mut met).await?;
        }
        met.report(way, report);
    }
    let log = running.stop().await?;
    history::check(&nodes, &map, &log.acks, report).await
}

impl Scene {
    /// Silences the leader until all publishers at the other nodes are served again.
    async fn silence(
        &self,
        way: Way,
        round: u32,
        publishers: &mut Publishers,
        size: Size,
        met: &mut Met,
    ) -> Result<()> {
        let leader = self.cluster.leader().await?;
        let others: Vec<usize> = (0..size.publishers).filter(|one| one % NODES != leader).collect();
        let from = publishers.look(|log| log.acks.len());
        let start = Instant::now();
        self.fall(way, leader).await?;
        let fallen = Instant::now();
        let fresh = |log: &Log| next_of_each(&log.acks[from..], &others, |ack| ack.began > fallen);
        let served = publishers.wait(PATIENCE, |log| fresh(log).iter().all(Option::is_some)).await;
        let seen = publishers.look(|log| Met {
            fresh: since(start, fresh(log)),
            under_way: since(
                start,
                next_of_each(&log.acks[from..], &others, |ack| ack.began <= start && ack.at > fallen),
            ),
            unknown: log.unknown.iter().filter(|(one, at)| *at > start && others.contains(one)).count(),
        });
        self.rise(way, leader).await?;
        served?;
        let most = |times: &[f64]| times.iter().copied().fold(0.0, f64::max);
        println!(
            "{} {round:2}: everybody acknowledged after {:.3} s, what was under way after {:.3} s; unknown {}",
            way.name(),
            most(&seen.fresh),
            most(&seen.under_way),
            seen.unknown
        );
        met.add(seen);
        self.cluster.wait_ready().await?;
        sleep(CALM).await;
        Ok(())
    }

    async fn fall(&self, way: Way, leader: usize) -> Result<()> {
        let others = (0..NODES).filter(|other| *other != leader);
        match way {
            Way::Hang => self.cluster.nodes[leader].hang().await,
            Way::Drop => {
                self.block(others.flat_map(|other| [(leader, other), (other, leader)]).collect()).await
            }
        }
    }

    async fn rise(&self, way: Way, leader: usize) -> Result<()> {
        match way {
            Way::Hang => self.cluster.nodes[leader].resume().await,
            Way::Drop => self.block(Vec::new()).await,
        }
    }

    /// From now on the packets between these pairs of nodes are dropped, and no others. Publishers continue
    /// meanwhile.
    async fn block(&self, pairs: Vec<(usize, usize)>) -> Result<()> {
        let Some(space) = self.space.clone() else { return Ok(()) };
        let block = move || space.lock().unwrap_or_else(PoisonError::into_inner).net.block(pairs);
        spawn_blocking(block).await?
    }
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Hang => "SIGSTOP",
            Self::Drop => "packets dropped",
        }
    }
}

impl Met {
    fn add(&mut self, more: Self) {
        self.fresh.extend(more.fresh);
        self.under_way.extend(more.under_way);
        self.unknown += more.unknown;
    }

    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    fn report(self, way: Way, report: &mut Report) {
        let name = way.name();
        if self.fresh.is_empty() {
            return;
        }
        for (of, times) in [("next acknowledgement", self.fresh), ("what was under way", self.under_way)] {
            let times = Sorted::of(times);
            if times.len() > 0 {
                report.at_most(
                    &format!("{name}: {of}, median of {}", times.len()),
                    times.at(50),
                    MEDIAN,
                    "s",
                );
                slowest(&format!("{name}: {of}"), &times, MOST, report);
            }
        }
        report.at_most(&format!("{name}: answers `unknown_outcome`"), self.unknown as f64, 0.0, "");
    }
}

/// For each of these publishers, when the first of its events that are meant was acknowledged.
fn next_of_each(acks: &[Ack], publishers: &[usize], is: impl Fn(&Ack) -> bool) -> Vec<Option<Instant>> {
    let first = |one: &usize| acks.iter().find(|ack| ack.publisher == *one && is(ack)).map(|ack| ack.at);
    publishers.iter().map(first).collect()
}

/// The seconds from `start` to these times.
fn since(start: Instant, times: Vec<Option<Instant>>) -> Vec<f64> {
    times.into_iter().flatten().map(|at| (at - start).as_secs_f64()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_event_that_is_meant_counts_for_each_publisher() {
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        let ack =
            |publisher, began, ended| Ack { publisher, number: 0, seq: 0, began: at(began), at: at(ended) };
        let acks = [ack(0, 90, 600), ack(1, 80, 110), ack(0, 610, 700), ack(0, 710, 800), ack(2, 300, 900)];
        let fresh = next_of_each(&acks, &[0, 1], |ack| ack.began > at(100));
        assert_eq!(fresh, [Some(at(700)), None]);
        assert_eq!(since(at(200), fresh), [0.5]);
        let under_way = next_of_each(&acks, &[0, 1], |ack| ack.began <= at(100) && ack.at > at(120));
        assert_eq!(under_way, [Some(at(600)), None]);
    }
}
