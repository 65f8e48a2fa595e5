#![allow(clippy::unwrap_used)]
//! Helpers with which tests of the hub begin.

use super::{Hub, HubConfig};
use crate::core::access::{Limits, Retention, Scopes, hash_token};
use crate::core::command::{Command, CreateMap, NewToken};
use crate::core::ids::{MapId, TokenId};
use std::time::Duration;

/// A hub of a cluster with one node.
pub(super) async fn hub(folder: &std::path::Path) -> Hub {
    let config = HubConfig {
        admin: None,
        idempotency: Duration::from_secs(60),
        encryption_key: None,
        expressions_per_topic: 8,
        ephemeral_link_bytes: 1 << 20,
        cut_off_after: None,
        presence_grace: std::time::Duration::from_secs(3),
        channel_joins_per_minute: 0,
        longest_client_token: Duration::from_secs(86_400),
    };
    let cluster = waypost_cluster::Config {
        data_dir: folder.join("data"),
        peer_addr: ([127, 0, 0, 1], 0).into(),
        abort_on_fatal: false,
        ..waypost_cluster::Config::default()
    };
    Hub::start(config, cluster).await.unwrap()
}

/// Creates a map with that slug, and a token whose secret is the slug.
pub(super) async fn create(hub: &Hub, n: u8, slug: &str) -> MapId {
    let id = MapId::from_bytes([n; 16]);
    let limits = Limits::NONE;
    let retention =
        Retention { events: None, age_seconds: None, bytes: None, webhook_backlog: Default::default() };
    let token = NewToken {
        id: TokenId::from_bytes([n; 16]),
        name: "t".into(),
        hash: hash_token(slug),
        scopes: Scopes::PUBLISH,
        expires_ms: None,
        subjects: None,
    };
    let slug = Some(slug.to_owned());
    let name = "m".into();
    let make = CreateMap { id, slug, name, limits, retention, token, max_maps: 9 };
    hub.log().propose(&Command::CreateMap(make)).await.unwrap();
    id
}
