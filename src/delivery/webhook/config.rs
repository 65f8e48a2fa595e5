//! Settings of webhook delivery on this node.

use super::lambda::Account;
use ipnet::IpNet;
use std::path::PathBuf;
use std::time::Duration;

/// Settings.
#[derive(Clone, Debug)]
pub struct WebhookConfig {
    /// Threads that deliver, at least one.
    pub workers: usize,
    /// Requests under way on this node, at most.
    pub connections: usize,
    /// Requests under way to one webhook, at most.
    pub window: usize,
    /// Longest time between a delivery and the cluster's knowing of it.
    pub flush: Duration,
    /// Networks that may be reached although they are not public.
    pub allow_nets: Vec<IpNet>,
    /// Certificates of further authorities, PEM.
    pub ca_file: Option<PathBuf>,
    /// Which functions may be invoked, and as whom.
    pub aws: Account,
}
