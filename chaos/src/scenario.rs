//! The scenarios: what is broken in each, what its nodes stand on, and what it needs.

use crate::environment::tool;
use crate::run::{
    Action, Environment, backlog, channels, clock as clocks, damage, disk, network, operations, process,
    traffic,
};
use testkit::clients::Js;
use testkit::clock;

/// What a machine must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The right to make namespaces, mounts and control groups.
    Root,
    /// A program of that name.
    Program(&'static str),
    /// The library.
    Faketime,
    /// The JavaScript clients, and Node.js, which runs them.
    Clients,
}

impl Need {
    /// What is missing, in a sentence; nothing when it is there.
    pub fn missing(self) -> Option<String> {
        match self {
            Need::Root => (!tool::is_root()).then(|| "it needs root".to_owned()),
            Need::Program(name) => {
                (!tool::is_there(name)).then(|| format!("it needs `{name}` to be installed"))
            }
            Need::Faketime => {
                clock::library().is_none().then(|| "it needs libfaketime to be installed".to_owned())
            }
            Need::Clients => (!tool::is_there("node") || !Js::are_installed())
                .then(|| "it needs Node.js, and `npm ci` in tests/js".to_owned()),
        }
    }
}

/// A scenario.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What happens, in a line.
    pub about: &'static str,
    /// What its nodes stand on.
    pub environment: Environment,
    /// Rounds of breaking and mending; each round is one of these, by chance.
    pub actions: &'static [Action],
    needs: &'static [Need],
}

impl Scenario {
    /// The one of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }

    /// All it needs.
    pub fn needs(&self) -> Vec<Need> {
        let net = [Need::Root, Need::Program("ip"), Need::Program("nft")];
        let disk = [Need::Root, Need::Program("mkfs.ext4"), Need::Program("mount"), Need::Program("xfs_io")];
        let mut needs = self.needs.to_vec();
        needs.extend(net.iter().filter(|_| self.environment.net));
        needs.extend(disk.iter().filter(|_| self.environment.disk));
        needs.extend(self.environment.clock.then_some(Need::Faketime));
        let proxy = [Need::Program("nginx"), Need::Clients];
        needs.extend(proxy.iter().filter(|_| self.environment.proxy));
        needs
    }

    /// Why it can't run here, in a sentence.
    pub fn refusal(&self) -> Option<String> {
        let missing: Vec<String> = self.needs().into_iter().filter_map(Need::missing).collect();
        (!missing.is_empty()).then(|| format!("`{}` can't run here: {}.", self.name, missing.join(", ")))
    }
}

const LOOPBACK: Environment =
    Environment { net: false, relay: false, disk: false, clock: false, proxy: false, spare: 0 };
const NET: Environment = Environment { net: true, ..LOOPBACK };
const RELAY: Environment = Environment { net: true, relay: true, ..LOOPBACK };
const DISK: Environment = Environment { disk: true, ..LOOPBACK };
const CLOCK: Environment = Environment { clock: true, ..LOOPBACK };
const PROXY: Environment = Environment { proxy: true, ..LOOPBACK };

const fn plain(name: &'static str, about: &'static str, actions: &'static [Action]) -> Scenario {
    on(LOOPBACK, name, about, actions)
}

const fn on(
    environment: Environment,
    name: &'static str,
    about: &'static str,
    actions: &'static [Action],
) -> Scenario {
    Scenario { name, about, environment, actions, needs: &[] }
}

const fn traced(name: &'static str, about: &'static str, actions: &'static [Action]) -> Scenario {
    Scenario { name, about, environment: LOOPBACK, actions, needs: &[Need::Root, Need::Program("strace")] }
}

/// Everything that can be mixed in one environment.
const MIX: &[Action] = &[
    process::kill_one,
    process::kill_leader,
    process::kill_all,
    process::pause,
    process::throttle,
    network::partition,
    network::one_way,
    network::non_transitive,
    network::flapping,
    network::loss,
    network::delay,
    network::jitter,
    network::duplication,
    network::corruption,
    traffic::blackhole,
    damage::flip_log,
    damage::flip_store,
    damage::torn_tail,
    process::data_loss,
];

/// All scenarios.
pub const SCENARIOS: &[Scenario] = &[
    plain("calm", "Nothing is broken: what the load alone shows", &[]),
    plain("kill-one", "Any node is killed (SIGKILL) and started again", &[process::kill_one]),
    plain("kill-leader", "The leader is killed", &[process::kill_leader]),
    plain("kill-all", "All nodes are killed at once", &[process::kill_all]),
    plain("leader-churn", "The leader is killed every two seconds", &[process::churn]),
    plain("pause", "A node hangs (SIGSTOP) for 1 to 30 s and goes on", &[process::pause]),
    plain("throttle", "A node has 3 to 20 % of a processor", &[process::throttle]),
    plain(
        "rolling-restart",
        "Each node in turn leaves (SIGTERM) and comes back",
        &[process::rolling_restart],
    ),
    Scenario {
        environment: Environment { spare: 1, ..LOOPBACK },
        ..plain(
            "membership",
            "A fourth member comes, then members are replaced by new ones",
            &[process::membership],
        )
    },
    plain("operations", "Every two seconds something that operators do, backups too", &[operations::any]),
    plain("leader-transfer", "The lead is handed over every two seconds", &[operations::transfer_leader]),
    plain("data-loss", "A node loses its data directory", &[process::data_loss]),
    plain("torn-tail", "The log of a killed node ends within a record", &[damage::torn_tail]),
    plain("flip-log", "A bit of a node's log, where votes are too, is turned", &[damage::flip_log]),
    plain("flip-store", "A bit of a node's store is turned", &[damage::flip_store]),
    plain("flip-identity", "A bit of the file that says who a node is is turned", &[damage::flip_identity]),
    on(NET, "partition", "A node is cut off from the others", &[network::partition]),
    on(NET, "partition-one-way", "A node hears nothing, or is not heard", &[network::one_way]),
    on(NET, "partition-non-transitive", "Two nodes only reach the third", &[network::non_transitive]),
    on(NET, "partition-flapping", "A node is cut off and back, many times", &[network::flapping]),
    on(NET, "loss", "2 to 30 % of the packets between nodes are lost", &[network::loss]),
    on(
        RELAY,
        "delay",
        "Packets between nodes are late, and overtake one another",
        &[network::delay, network::jitter],
    ),
    on(RELAY, "duplication", "Packets between nodes come twice", &[network::duplication]),
    on(RELAY, "corruption", "Bits turn between nodes, also under right checksums", &[network::corruption]),
    on(DISK, "disk-full", "The disk of a node, or of two, is full for a while", &[disk::full]),
    on(DISK, "power-cut", "A node, or all, lose power and what was not synced", &[disk::power_cut]),
    traced("disk-error", "Syncs of a node fail with EIO", &[disk::failing]),
    traced("slow-disk", "Syncs of a node take up to 800 ms longer", &[disk::slow]),
    on(CLOCK, "clock-jump", "A node's clock jumps by up to ten minutes", &[clocks::jump]),
    on(CLOCK, "clock-forward", "The leader's clock jumps 8 or 30 days ahead, and back", &[clocks::forward]),
    on(
        PROXY,
        "lost-polls",
        "Long polls through nginx are lost and repeated, nodes are killed",
        &[process::kill_one],
    ),
    plain("storm", "5,000 sockets lose their node at once", &[traffic::storm]),
    plain("stalled-readers", "Readers that never read", &[traffic::stalled_readers]),
    plain("blackhole", "Receivers of webhooks take requests and never answer", &[traffic::blackhole]),
    plain(
        "backlog",
        "Webhooks fall behind while retention presses, within its bound and beyond it",
        &[backlog::all],
    ),
    plain("backlog-outage", "The same, receivers that are down alone", &[backlog::outage]),
    plain("backlog-refusals", "The same, keys and types that are refused alone", &[backlog::refusals]),
    plain("backlog-beyond", "The same, beyond the bound alone", &[backlog::beyond]),
    on(
        NET,
        "subjects",
        "Nodes are killed and cut off: what readers of some subjects get",
        &[process::kill_one, network::partition, network::one_way],
    ),
    plain(
        "rules",
        "A noisy subject's rule changes, events and subjects are deleted, nodes are killed",
        &[channels::rules],
    ),
    on(RELAY, "mix", "Processes, networks, disks and receivers, by chance", MIX),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_what_needs_root_says_so() {
        for (n, scenario) in SCENARIOS.iter().enumerate() {
            assert!(
                SCENARIOS.iter().skip(n + 1).all(|other| other.name != scenario.name),
                "{}",
                scenario.name
            );
            let root = scenario.needs().contains(&Need::Root);
            assert!(root || !(scenario.environment.net || scenario.environment.disk), "{}", scenario.name);
        }
        assert!(Scenario::named("calm").is_some_and(|calm| calm.refusal().is_none()));
    }
}
