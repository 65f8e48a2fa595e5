//! What every edge gets: the hub, and the settings that belong to no single protocol.

use crate::core::access::{Limits, Retention};
use crate::core::oidc::OidcSettings;
use crate::core::webhook::Defaults;
use crate::delivery::DispatcherConfig;
use crate::delivery::webhook::Webhooks;
use crate::edge::addresses::{Addresses, Failures};
use crate::edge::audit::log::AuditLog;
use crate::edge::refused::Unavailable;
use crate::edge::sessions::{MostSessions, Sessions};
use crate::edge::standings::LastStandings;
use crate::hub::Hub;
use metrics_exporter_prometheus::PrometheusHandle;
use std::sync::Arc;
use std::time::Duration;

/// Settings of the edges.
#[derive(Clone, Debug)]
pub struct EdgeConfig {
    /// Largest event: bytes of its JSON.
    pub event_bytes: usize,
    /// Events of one batch.
    pub batch_events: usize,
    /// Largest request body.
    pub body_bytes: usize,
    /// Longest wait for a request body as a whole.
    pub body_time: Duration,
    /// Deepest nesting of JSON.
    pub json_depth: usize,
    /// Limits of new maps.
    pub new_map_limits: Limits,
    /// The limit on connections that replaces the one of new maps when a map gets its first app.
    pub connections_with_app: u32,
    /// Retention of new maps.
    pub new_map_retention: Retention,
    /// Maps in the cluster.
    pub max_maps: u32,
    /// Tokens of a map.
    pub max_tokens: u32,
    /// Sockets from one address; 0 is no limit.
    pub sockets_per_address: usize,
    /// Sessions of one token, and of one map.
    pub most_sessions: MostSessions,
    /// Allowed origins of browsers; empty allows any.
    pub origins: Vec<String>,
    /// About how many bytes are written to a client at once.
    pub write_bytes: usize,
    /// Settings of the dispatchers.
    pub dispatcher: DispatcherConfig,
    /// Settings of webhooks.
    pub webhooks: WebhookDefaults,
    /// Settings of the console and the portal; `None`: this node serves neither.
    pub console: Option<ConsoleConfig>,
}

/// Settings of the console and the portal.
#[derive(Clone, Debug)]
pub struct ConsoleConfig {
    /// How long a sign-in lasts.
    pub session: Duration,
    /// What the addresses of portal links begin with.
    pub base: String,
    /// Whether browsers reach the node by HTTPS: then they send cookies by HTTPS alone.
    pub is_secure: bool,
    /// Sign-in by OpenID Connect, if it is configured.
    pub oidc: Option<Arc<OidcSettings>>,
    /// The mark of these settings. The session of a person ends when it changes.
    pub oidc_tag: Option<[u8; 16]>,
}

/// Settings of the webhook API.
#[derive(Clone, Copy, Debug)]
pub struct WebhookDefaults {
    /// Settings of new webhooks.
    pub defaults: Defaults,
    /// How many seconds a rotated secret keeps signing beside the new one.
    pub overlap_seconds: u64,
}

/// The state of the edges. All workers share it.
pub struct Edge {
    /// The hub.
    pub hub: Hub,
    /// Settings.
    pub config: EdgeConfig,
    /// Refused tokens by address.
    pub failures: Failures,
    /// Open sockets by address.
    pub addresses: std::sync::Arc<Addresses>,
    /// Sessions by token and map.
    pub sessions: std::sync::Arc<Sessions>,
    /// Delivers to webhooks.
    pub webhooks: Webhooks,
    /// How webhooks and consumers stand, as they were counted last.
    pub standings: LastStandings,
    /// The certificate that the node shows its clients.
    pub shown: Option<std::sync::Arc<crate::tls::Shown>>,
    /// The audit log.
    pub audit: std::sync::Arc<AuditLog>,
    /// Renders `/metrics`.
    pub metrics: PrometheusHandle,
}

impl Edge {
    /// Why this node takes no new clients, if it takes none: they are sent to other nodes.
    pub fn turns_away(&self) -> Option<Unavailable> {
        Unavailable::of_node(&self.hub)
    }
}
