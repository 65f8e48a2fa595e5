//! The resolution of names, for webhooks.
//!
//! Owns the resolver and its time limits. It never checks an address, and keeps the resolver's order of
//! addresses. The hosts file and the list of name servers are read again when they change ([`files`]).

use std::{cell::RefCell, net::IpAddr, path::Path, time::Duration};

use futures_util::future::LocalBoxFuture;
use hickory_resolver::{
    TokioResolver,
    config::{LookupIpStrategy, ResolveHosts, ResolverConfig, ResolverOpts},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::Name,
};

mod files;
#[cfg(test)]
mod tests;

use files::{Hosts, Watched};

/// The longest wait for one answer of a name server. A question is sent at most twice.
const ANSWER: Duration = Duration::from_secs(3);
/// The most answers in the cache. Each stays as long as its TTL says, within the limits below.
const KEPT: u64 = 4096;
/// The longest time that an address is cached, so that a receiver that moves is found again soon.
const KEPT_FOR: Duration = Duration::from_secs(300);
/// The longest time that a missing name is cached: many users create the webhook first and the name
/// afterwards.
const MISSING_FOR: Duration = Duration::from_secs(10);
const HOSTS: &str = "/etc/hosts";
const SERVERS: &str = "/etc/resolv.conf";

/// Why a name has no address, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoAddress(pub String);

/// Finds the addresses of a name. The caller bounds the time: dropping the future stops the resolution.
pub trait Resolve {
    /// All addresses of `name`, which is never an address literal.
    fn resolve<'a>(&'a self, name: &'a str) -> LocalBoxFuture<'a, Result<Vec<IpAddr>, NoAddress>>;
}

/// The settings of name servers, with the resolver's time limits.
type Settings = (ResolverConfig, ResolverOpts);

/// A resolver, or why there is none.
type Resolver = Result<TokioResolver, NoAddress>;

/// Asks the system's name servers, unless its hosts file has the name.
pub struct SystemResolver {
    hosts: RefCell<Watched<Hosts>>,
    servers: RefCell<Watched<Resolver>>,
}

impl SystemResolver {
    /// Uses the system's files. Without readable settings of name servers, only the hosts file is used.
    pub fn new() -> Self {
        Self::with(Path::new(HOSTS), || {
            hickory_resolver::system_conf::read_system_conf().unwrap_or_else(|_| {
                (ResolverConfig::from_parts(None, vec![], vec![]), ResolverOpts::default())
            })
        })
    }

    /// `settings` is called again whenever the system's settings of name servers may have changed.
    fn with(hosts: &Path, settings: impl Fn() -> Settings + 'static) -> Self {
        Self {
            hosts: RefCell::new(Watched::new(hosts, Hosts::read)),
            servers: RefCell::new(Watched::new(Path::new(SERVERS), move |_| resolver(settings()))),
        }
    }
}

fn resolver((config, mut options): Settings) -> Resolver {
    options.timeout = options.timeout.min(ANSWER);
    options.attempts = options.attempts.min(1);
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.cache_size = KEPT;
    options.positive_max_ttl = Some(KEPT_FOR);
    options.negative_max_ttl = Some(MISSING_FOR);
    // Its own copy of the hosts file would never be read again.
    options.use_hosts_file = ResolveHosts::Never;
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_options(options)
        .build()
        .map_err(|error| NoAddress(format!("names cannot be resolved on this node: {error}")))
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self::new()
    }
}

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> LocalBoxFuture<'a, Result<Vec<IpAddr>, NoAddress>> {
        Box::pin(async move {
            if let Some(addresses) = self.hosts.borrow_mut().now().addresses(name) {
                return Ok(addresses.to_vec());
            }
            // A resolver is cheap to clone: the clones share their state.
            let hickory = self.servers.borrow_mut().now().clone()?;
            // The name is absolute: the system's search list would turn it into another host. It is taken as
            // it is, since names inside a network may have characters that public names may not have.
            let absolute = if name.ends_with('.') { name.to_owned() } else { format!("{name}.") };
            let absolute =
                Name::from_ascii(absolute).map_err(|error| NoAddress(format!("{name}: {error}")))?;
            let found = hickory.lookup_ip(absolute).await.map_err(|error| in_words(name, &error))?;
            Ok(found.iter().collect())
        })
    }
}

fn in_words(name: &str, error: &NetError) -> NoAddress {
    NoAddress(match error {
        error if error.is_nx_domain() => format!("there is no host {name}"),
        error if error.is_no_records_found() => format!("{name} has no address"),
        NetError::Timeout => format!("the name servers did not answer for {name}"),
        NetError::NoConnections => "no name server could be reached".to_owned(),
        other => format!("{name} could not be resolved: {other}"),
    })
}
