//! The limit of open files. Every connection uses one, and so does each part of the log and the store. A node
//! that has no file left for log and store can't go on.
//!
//! Owns the process's limit and its division; opens no file.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;
use crate::core::text::counted;
use crate::edge::clients::SURPLUS;

/// Files for the log, the store, snapshots, short-lived files of libraries, client connections beyond the limit,
/// and those that are about to be closed.
const OWN: usize = 192 + SURPLUS;
/// Files that the event loop of one worker has open.
const OWN_OF_WORKER: usize = 8;
/// Connections of peers, including those that have not been identified yet.
const PEERS: usize = 512;

/// How the open files are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shares {
    /// The limit of the process.
    limit: usize,
    /// Connections of clients.
    pub(super) sockets: usize,
    /// Connections to webhooks with a request in progress; the same number may be idle in addition.
    pub(super) webhooks: usize,
    /// Connections of identified peers; the same number may be unidentified in addition.
    pub(super) peers: usize,
}

impl Shares {
    /// Raises the process's limit as far as allowed, divides it, and logs a warning if it is not enough.
    pub(super) fn take(config: &Config, workers: usize) -> Self {
        let wanted = (config.limits.sockets, config.webhooks.connections);
        let shares = Self::of(raised(), workers, wanted);
        if let Some(problem) = shares.problem(config) {
            tracing::warn!(
                webhooks = shares.webhooks,
                "{problem}; raise it: LimitNOFILE= of systemd, ulimit -n"
            );
        }
        shares
    }

    /// Divides `limit`. Clients and webhooks get at most `wanted`.
    fn of(limit: usize, workers: usize, wanted: (usize, usize)) -> Self {
        let peers = PEERS.min(limit / 4);
        let left = limit.saturating_sub(OWN + OWN_OF_WORKER * workers + peers);
        let webhooks = wanted.1.min(left / 6).max(1);
        let sockets = wanted.0.min(left.saturating_sub(2 * webhooks)).max(1);
        Self { limit, sockets, webhooks, peers: (peers / 2).max(waypost_cluster::Config::MIN_CONNECTIONS) }
    }

    /// Describes how far the connections for clients fall short of the configured number.
    pub(super) fn problem(&self, config: &Config) -> Option<String> {
        let Self { limit, sockets, .. } = self;
        let wanted = config.limits.sockets;
        (*sockets < wanted).then(|| {
            let left = counted(*sockets, "connection", "connections");
            format!(
                "a limit of {limit} open files leaves {left} for clients, not the {wanted} of limits.sockets"
            )
        })
    }
}

/// The limit, raised as far as an unprivileged process can.
fn raised() -> usize {
    let known =
        |limit: Option<u64>| limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if known(current) >= known(maximum) {
        return known(current);
    }
    // Some systems report an infinite maximum and then refuse it.
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => known(maximum),
        Err(_) => known(current),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_never_exceed_the_limit() {
        for limit in [256, 1024, 4096, 20_000, 60_000, 1_000_000, usize::MAX] {
            for workers in [1, 2, 8] {
                let shares = Shares::of(limit, workers, (50_000, 4096));
                let given =
                    OWN + OWN_OF_WORKER * workers + 2 * (shares.peers + shares.webhooks) + shares.sockets;
                assert!(given <= limit || limit < 512, "{given} of {limit}: {shares:?}");
                assert!(
                    shares.sockets >= shares.webhooks || shares.webhooks == 4096 || limit < 512,
                    "{shares:?}"
                );
            }
        }
        let enough = Shares::of(1_000_000, 2, (50_000, 4096));
        assert_eq!((enough.sockets, enough.webhooks, enough.peers), (50_000, 4096, 256));
        let few = Shares::of(1024, 2, (50_000, 4096));
        assert_eq!((few.sockets, few.webhooks, few.peers), (352, 88, 128));
        assert_eq!(Shares::of(1024, 2, (100, 10)).sockets, 100);
        assert_eq!(Shares::of(32, 2, (100, 10)).peers, 16, "two peers with eight lanes each");
    }
}
