//! A node that was drained by hand or removed. It stays up, but serves no clients and delivers no webhooks
//! until it is undrained or is a member again.
//!
//! This module carries out on this node what the cluster's membership says. So a drain outlasts a restart.

use crate::edge::context::Edge;
use crate::hub::Hub;
use actix_web::web::Data;
use std::time::Duration;

/// How often a drained node that became the leader hands the lead over.
const LEAD_ROUND: Duration = Duration::from_secs(2);
/// How long a drain waits until the cluster has what this node counted.
const COUNTS: Duration = Duration::from_secs(1);

/// Runs before the node serves clients. A node that was drained when it stopped starts drained.
pub fn begin(hub: &Hub) {
    if hub.operations().resting_since().is_some() {
        tracing::warn!("this node is drained: it serves no clients until `waypost cluster undrain`");
        hub.leases().rest_first();
        hub.health().set_draining(true);
    }
}

/// Carries out what the membership says, as long as the node runs. A drain may take as long as `within`.
pub async fn follow(edge: Data<Edge>, within: Duration) {
    let hub = &edge.hub;
    let mut since = hub.operations().resting_since().filter(|_| hub.health().is_draining());
    loop {
        tokio::select! {
            now = hub.operations().resting_changes(since) => {
                match (since, now) {
                    (None, Some(_)) => drain(&edge, within).await,
                    (Some(_), None) => serve(&edge).await,
                    _ => {}
                }
                since = now;
            }
            () = tokio::time::sleep(LEAD_ROUND), if since.is_some() => hub.operations().lead_elsewhere(LEAD_ROUND).await,
        }
    }
}

async fn drain(edge: &Edge, within: Duration) {
    tracing::info!(removed = edge.hub.health().is_removed(), "draining: clients are sent elsewhere");
    edge.hub.health().set_draining(true);
    edge.hub.topics().announce_drain();
    edge.webhooks.drain(within / 4).await;
    edge.hub.quota().usage().report_within(COUNTS).await;
}

async fn serve(edge: &Edge) {
    tracing::info!("serving clients again");
    edge.hub.topics().announce_return();
    edge.hub.health().set_draining(false);
    edge.webhooks.resume().await;
}
