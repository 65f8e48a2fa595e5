//! Settings of webhook delivery on this node.

use super::lambda::Account;
use ipnet::IpNet;
use std::path::PathBuf;
use std::time::Duration;

/// Settings of webhook delivery. They do not change while the node runs.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// Threads that deliver; at least one.
    pub workers: usize,
    /// The most requests under way on this node.
    pub connections: usize,
    /// The most requests under way to one webhook.
    pub window: usize,
    /// The longest time from a delivery until it is reported to the cluster.
    pub flush: Duration,
    /// Networks that may be reached although they are not public.
    pub allow_nets: Vec<IpNet>,
    /// Networks that may not be reached, whatever else allows it.
    pub deny_nets: Vec<IpNet>,
    /// A PEM file with the certificates of further authorities.
    pub ca_file: Option<PathBuf>,
    /// The AWS Lambda functions that may be invoked, and the credentials for it.
    pub aws: Account,
}
