//! Keeps the apps of the configuration file in the replicated state.
//!
//! Every node puts the apps of its file as soon as their map exists. An app that is already as the file says
//! is left alone, so nodes with the same file do the work once. The leader deletes apps that are in no node's
//! file.

use super::draft::Draft;
use crate::core::access::Map;
use crate::core::app::{App, AppSettings, DeleteApp};
use crate::core::command::Command;
use crate::core::ids::{MapId, TokenId};
use crate::core::webhook::Origin;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::hub::Encryption;
use actix_web::web::Data;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How often the node looks for maps that did not exist yet.
const LOOK: Duration = Duration::from_secs(1);
/// A failed put is tried again after this pause, because its obstacle may be gone.
const PAUSE: Duration = Duration::from_secs(15);
/// The leader looks for apps that are in no file once per this many looks.
const LOOKS_PER_SWEEP: u32 = 5;

/// One app of the file, and the map for which it was last put.
struct Entry {
    map: String,
    settings: AppSettings,
    done: Option<MapId>,
    /// The put is not tried before this time.
    not_before: Option<Instant>,
    /// The last problem that was logged. The same problem is logged once.
    told: Option<String>,
}

/// Keeps the apps of the file as long as the node runs: this never returns. `configured` holds pairs of a
/// map's name and settings, in which id, key and secret are given.
pub async fn keep_configured(edge: Data<Edge>, configured: Vec<(String, AppSettings)>) {
    let entry = |(map, settings)| Entry { map, settings, done: None, not_before: None, told: None };
    let mut entries: Vec<Entry> = configured.into_iter().map(entry).collect();
    let encryption = edge.hub.vault().known_encryption().await;
    while edge.hub.log().barrier().await.is_err() {
        tokio::time::sleep(LOOK).await;
    }
    for look in 0u32.. {
        for entry in &mut entries {
            entry.see_to(&edge, &encryption).await;
        }
        let wanted =
            entries.iter().filter_map(|entry| Some(entry.token(edge.hub.access().map_here(&entry.map)?.id)));
        edge.hub.webhooks().configured().set_apps(wanted.collect());
        if look % LOOKS_PER_SWEEP == 0 && edge.hub.health().status().is_leader() {
            delete_stale(&edge).await;
        }
        tokio::time::sleep(LOOK).await;
    }
}

impl Entry {
    fn key(&self) -> &str {
        self.settings.key.as_deref().unwrap_or_default()
    }

    /// The token of the app: the same on every node.
    fn token(&self, map: MapId) -> TokenId {
        TokenId::new(Uuid::new_v5(&Uuid::from_bytes(*map.as_bytes()), self.key().as_bytes()))
    }

    async fn see_to(&mut self, edge: &Edge, encryption: &Encryption) {
        let Some(map) = edge.hub.access().map_here(&self.map) else { return };
        if self.done == Some(map.id) || self.not_before.is_some_and(|then| Instant::now() < then) {
            return;
        }
        match self.put(edge, &map, encryption).await {
            Ok(()) => self.done = Some(map.id),
            Err(problem) => {
                self.not_before = Some(Instant::now() + PAUSE);
                let problem = problem.to_string();
                if self.told.as_ref() != Some(&problem) {
                    let key = self.key();
                    tracing::warn!(
                        map = self.map,
                        key,
                        problem,
                        "an app of the configuration file can't be stored"
                    );
                    self.told = Some(problem);
                }
            }
        }
    }

    async fn put(&self, edge: &Edge, map: &Map, encryption: &Encryption) -> Result<(), ApiError> {
        let token = self.token(map.id);
        let known: Option<Arc<App>> = edge.hub.access().known().apps().get(token).cloned();
        if known.is_some_and(|known| self.is_stored_as(&known, encryption)) {
            return Ok(());
        }
        let draft = Draft::new(token, self.settings.clone())?;
        draft.put(edge, map, None, Origin::Config).await.map(drop)
    }

    /// Whether the app is stored as the file has it.
    fn is_stored_as(&self, app: &App, encryption: &Encryption) -> bool {
        let AppSettings { id, key, secret, client_events, origins, max_connections } = &self.settings;
        let stored = encryption.open_secret(app.token, &app.encrypted).ok();
        id.as_ref() == Some(&app.id)
            && key.as_ref() == Some(&app.key)
            && *secret == stored
            && *client_events == app.client_events
            && *origins == app.origins
            && *max_connections == app.max_connections
    }
}

/// Deletes apps that are in no node's file any more.
async fn delete_stale(edge: &Edge) {
    let of_files: Vec<TokenId> = {
        let access = edge.hub.access().known();
        access.apps().all().filter(|app| app.origin == Origin::Config).map(|app| app.token).collect()
    };
    if of_files.is_empty() {
        return;
    }
    for token in edge.hub.webhooks().configured().apps_nowhere(of_files).await {
        let Some(app) = edge.hub.access().known().apps().get(token).cloned() else { continue };
        let gone = Command::DeleteApp(DeleteApp { map: app.map, by: None, token, from: Origin::Config });
        match edge.hub.log().propose(&gone).await {
            Ok(_) => tracing::info!(key = %app.key, "an app was deleted: no node's file has it any more"),
            Err(error) => tracing::warn!(key = %app.key, %error, "an app could not be deleted"),
        }
    }
}
