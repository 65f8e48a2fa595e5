//! Open files. Every connection is one, and so are the parts of the log and the store: a node that has none left for
//! these can't go on.
//!
//! Owns the process's limit and how it is shared out; opens nothing.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// The log, the store, snapshots, what libraries open for a moment, and connections that are about to be closed.
const OWN: usize = 192;
/// What the event loop of a worker has open.
const OWN_OF_WORKER: usize = 8;
/// Connections of peers, and those of which it is not known yet.
const PEERS: usize = 512;

/// Who may have how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shares {
    /// What the process may have.
    limit: usize,
    /// Connections of clients.
    pub(super) sockets: usize,
    /// Connections to webhooks with a request under way; as many again may lie idle.
    pub(super) webhooks: usize,
    /// Connections of peers; as many again may not have said yet who they are.
    pub(super) peers: usize,
}

impl Shares {
    /// Raises the process's limit as far as it may, shares it out, and says so where it is not enough.
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

    /// Shares `limit` out; what clients and webhooks get is at most `wanted`.
    fn of(limit: usize, workers: usize, wanted: (usize, usize)) -> Self {
        let peers = PEERS.min(limit / 4);
        let left = limit.saturating_sub(OWN + OWN_OF_WORKER * workers + peers);
        let webhooks = wanted.1.min(left / 6).max(1);
        let sockets = wanted.0.min(left.saturating_sub(2 * webhooks)).max(1);
        Self { limit, sockets, webhooks, peers: (peers / 2).max(waypost_cluster::Config::MIN_CONNECTIONS) }
    }

    /// What clients miss of what was configured.
    pub(super) fn problem(&self, config: &Config) -> Option<String> {
        let Self { limit, sockets, .. } = self;
        let wanted = config.limits.sockets;
        (*sockets < wanted).then(|| {
            format!("a limit of {limit} open files leaves {sockets} connections for clients, not the {wanted} of limits.sockets")
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
    // Some systems call the maximum infinite and refuse it.
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => known(maximum),
        Err(_) => known(current),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_the_files_of_another() {
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
        assert_eq!((few.sockets, few.webhooks, few.peers), (374, 93, 128));
        assert_eq!(Shares::of(1024, 2, (100, 10)).sockets, 100);
        assert_eq!(Shares::of(32, 2, (100, 10)).peers, 12, "two peers with six lanes each");
    }
}
