//! The scenarios: what each one breaks, the environment of its nodes, and what it needs from the machine.

use crate::environment::tool;
use crate::run::{
    Action, Environment, backlog, channels, clock as clocks, consumers, damage, disk, founding, laggard,
    network, operations, presence, process, silence, tenants, traffic,
};
use testkit::clients::Js;
use testkit::clock;

/// Something that a machine must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The right to make namespaces, mounts and control groups.
    Root,
    /// An installed program of that name.
    Program(&'static str),
    /// The library libfaketime.
    Faketime,
    /// The JavaScript clients, and Node.js to run them.
    Clients,
}

impl Need {
    /// What is missing, as a sentence; `None` when nothing is.
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

/// A scenario: its name, what it breaks, and where.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What happens, in one line.
    pub about: &'static str,
    /// The environment of its nodes.
    pub environment: Environment,
    /// The actions; each round of breaking and mending is one of these, by chance.
    pub actions: &'static [Action],
    needs: &'static [Need],
}

impl Scenario {
    /// The scenario of that name.
    pub fn named(name: &str) -> Option<&'static Self> {
        SCENARIOS.iter().find(|scenario| scenario.name == name)
    }

    /// Everything it needs from the machine.
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

    /// Why it can't run on this machine, as a sentence; `None` when it can.
    pub fn refusal(&self) -> Option<String> {
        let missing: Vec<String> = self.needs().into_iter().filter_map(Need::missing).collect();
        (!missing.is_empty()).then(|| format!("`{}` can't run here: {}.", self.name, missing.join(", ")))
    }
}

const LOOPBACK: Environment = Environment {
    net: false,
    relay: false,
    disk: false,
    clock: false,
    proxy: false,
    users: false,
    workers: false,
    short_log: false,
    spare: 0,
};
const NET: Environment = Environment { net: true, ..LOOPBACK };
const RELAY: Environment = Environment { net: true, relay: true, ..LOOPBACK };
const SHORT_LOG: Environment = Environment { short_log: true, ..RELAY };
const DISK: Environment = Environment { disk: true, ..LOOPBACK };
const CLOCK: Environment = Environment { clock: true, ..LOOPBACK };
const PROXY: Environment = Environment { proxy: true, ..LOOPBACK };
const USERS: Environment = Environment { users: true, ..LOOPBACK };
const WORKERS: Environment = Environment { workers: true, ..LOOPBACK };
const USERS_NET: Environment = Environment { users: true, ..NET };

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

/// Every action that can be mixed in one environment.
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
    plain(
        "hang-leader",
        "The leader hangs (SIGSTOP): who publishes elsewhere is answered by the next one",
        &[silence::hang_leader],
    ),
    on(
        NET,
        "drop-leader",
        "The same, only that the leader's packets are dropped: nothing is refused",
        &[silence::drop_leader],
    ),
    plain("kill-all", "All nodes are killed at once", &[process::kill_all]),
    plain("leader-churn", "The leader is killed every two seconds", &[process::churn]),
    plain("pause", "A node hangs (SIGSTOP) for 1 to 30 s and continues", &[process::pause]),
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
            "One more member comes, then members are replaced by new ones",
            &[process::membership],
        )
    },
    plain(
        "operations",
        "Every two seconds an operation of an operator, such as a backup",
        &[operations::any],
    ),
    plain("leader-transfer", "The lead is handed over every two seconds", &[operations::transfer_leader]),
    on(
        RELAY,
        "transfer-to-laggard",
        "The lead is to go to a node that lags behind a slow link, while others read",
        &[laggard::transfer],
    ),
    on(
        SHORT_LOG,
        "snapshot-under-load",
        "A node that was away needs a snapshot over a slow link, under load",
        &[laggard::snapshot],
    ),
    plain("data-loss", "A node loses its data directory", &[process::data_loss]),
    plain("torn-tail", "The log of a killed node ends within a record", &[damage::torn_tail]),
    plain("flip-log", "A bit of a node's log, which also holds votes, is flipped", &[damage::flip_log]),
    plain("flip-store", "A bit of a node's store is flipped", &[damage::flip_store]),
    plain("flip-identity", "A bit of the file with a node's identity is flipped", &[damage::flip_identity]),
    plain("flip-all", "A bit is flipped on every node: log, vote, store", &[damage::flip_all]),
    plain(
        "damaged-founder",
        "The first node is damaged and starts while all others are down",
        &[damage::damaged_founder],
    ),
    on(NET, "partition", "A node is cut off from the others", &[network::partition]),
    on(NET, "partition-one-way", "A node hears nothing, or is not heard", &[network::one_way]),
    on(
        NET,
        "partition-non-transitive",
        "The halves of the others reach one node only",
        &[network::non_transitive],
    ),
    on(NET, "partition-flapping", "A node is cut off and back, many times", &[network::flapping]),
    on(NET, "loss", "2 to 30 % of the packets between nodes are lost", &[network::loss]),
    on(
        RELAY,
        "delay",
        "Packets between nodes are late, and overtake one another",
        &[network::delay, network::jitter],
    ),
    on(RELAY, "duplication", "Packets between nodes arrive twice", &[network::duplication]),
    on(RELAY, "corruption", "Bits flip between nodes, some with matching checksums", &[network::corruption]),
    on(DISK, "disk-full", "The disk of one or two nodes is full for a while", &[disk::full]),
    on(
        DISK,
        "power-cut",
        "A node, or all nodes, lose power and data that was not synced",
        &[disk::power_cut],
    ),
    traced("disk-error", "Syncs of a node fail with EIO", &[disk::failing]),
    traced("slow-disk", "Syncs of a node take up to 800 ms longer", &[disk::slow]),
    traced("slow-leader", "Each sync of the leader alone takes 2 to 60 s", &[disk::slow_leader]),
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
        "Webhooks fall behind while retention removes events, within its bound and beyond",
        &[backlog::all],
    ),
    plain("backlog-outage", "The same, only receivers that are down", &[backlog::outage]),
    plain("backlog-refusals", "The same, only keys and types that are refused", &[backlog::refusals]),
    plain("backlog-beyond", "The same, only beyond the bound", &[backlog::beyond]),
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
    plain(
        "hostile-tenant",
        "A tenant does all that hurts others: half bodies, floods, polls, batches, churn, slow receivers",
        &[tenants::hostile],
    ),
    on(NET, "cut-off-node", "A node is cut off until it sends its clients away", &[network::cut_off]),
    plain(
        "copied-directory",
        "A copy of a node's data directory is started beside the node",
        &[founding::copied_directory],
    ),
    plain(
        "one-template",
        "Empty nodes with the same settings start in any order, and some are killed",
        &[founding::one_template],
    ),
    on(
        USERS_NET,
        "presence",
        "Users come and go while nodes are killed, hang, are cut off and drained",
        &[process::kill_one, process::pause, network::partition, presence::drain],
    ),
    on(
        USERS,
        "presence-kill",
        "Users come and go while nodes are killed and drained",
        &[process::kill_one, presence::drain],
    ),
    on(
        WORKERS,
        "consumers",
        "Readers share a consumer's events, die, refuse and stall; the owner and other nodes are killed",
        &[consumers::kill_owner, consumers::kill_owner, process::kill_one],
    ),
    on(RELAY, "mix", "Processes, networks, disks and receivers, by chance", MIX),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_scenarios_that_need_root_say_so() {
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
