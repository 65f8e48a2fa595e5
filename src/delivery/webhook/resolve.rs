//! The resolution of names, for webhooks.
//!
//! Owns the resolver and its time limits. It never checks an address, and keeps the resolver's order of
//! addresses.

use std::{net::IpAddr, time::Duration};

use futures_util::future::LocalBoxFuture;
use hickory_resolver::{
    TokioResolver,
    config::{LookupIpStrategy, ResolverConfig, ResolverOpts},
    net::{NetError, runtime::TokioRuntimeProvider},
};

#[cfg(test)]
mod tests;

/// The longest wait for one answer of a name server. A question is sent at most twice.
const ANSWER: Duration = Duration::from_secs(3);
/// The most answers in the cache. Each stays as long as its TTL says, within the limits below.
const KEPT: u64 = 4096;
/// The longest time that an address is cached, so that a receiver that moves is found again soon.
const KEPT_FOR: Duration = Duration::from_secs(300);
/// The longest time that a missing name is cached: many users create the webhook first and the name
/// afterwards.
const MISSING_FOR: Duration = Duration::from_secs(10);

/// Why a name has no address, as a sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoAddress(pub String);

/// Finds the addresses of a name. The caller bounds the time: dropping the future stops the resolution.
pub trait Resolve {
    /// All addresses of `name`, which is never an address literal.
    fn resolve<'a>(&'a self, name: &'a str) -> LocalBoxFuture<'a, Result<Vec<IpAddr>, NoAddress>>;
}

/// Asks the system's name servers, after its hosts file.
pub struct SystemResolver {
    hickory: Result<TokioResolver, NoAddress>,
}

impl SystemResolver {
    /// Reads the system's configuration. If it can't be read, only the hosts file is used.
    pub fn new() -> Self {
        let (config, options) = hickory_resolver::system_conf::read_system_conf()
            .unwrap_or_else(|_| (ResolverConfig::from_parts(None, vec![], vec![]), ResolverOpts::default()));
        Self::with(config, options)
    }

    fn with(config: ResolverConfig, mut options: ResolverOpts) -> Self {
        options.timeout = options.timeout.min(ANSWER);
        options.attempts = options.attempts.min(1);
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        options.cache_size = KEPT;
        options.positive_max_ttl = Some(KEPT_FOR);
        options.negative_max_ttl = Some(MISSING_FOR);
        let hickory = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options)
            .build()
            .map_err(|error| NoAddress(format!("names cannot be resolved on this node: {error}")));
        Self { hickory }
    }
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self::new()
    }
}

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, name: &'a str) -> LocalBoxFuture<'a, Result<Vec<IpAddr>, NoAddress>> {
        Box::pin(async move {
            let hickory = self.hickory.as_ref().map_err(NoAddress::clone)?;
            // The name is absolute: the system's search list would turn it into another host.
            let absolute = if name.ends_with('.') { name.to_owned() } else { format!("{name}.") };
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
