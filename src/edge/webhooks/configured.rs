//! Keeps the webhooks of the configuration file in the replicated state.
//!
//! Every node puts the webhooks of its file as soon as their map exists. A webhook that is already as the
//! file says is left alone, so nodes with the same file do the work once. The leader removes webhooks that
//! are in no node's file.

use super::error::Problem;
use super::settings;
use crate::core::command::{Command, Refusal};
use crate::core::ids::{MapId, WebhookId};
use crate::core::webhook::patch::Patch;
use crate::core::webhook::{OnWebhook, Origin, Plain, Profile, Webhook};
use crate::edge::context::Edge;
use actix_web::ResponseError;
use actix_web::web::Data;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How often the node looks for maps that did not exist yet.
const LOOK: Duration = Duration::from_secs(1);
/// A refused put is tried again after this pause, because its obstacle may be gone.
const REFUSED_PAUSE: Duration = Duration::from_secs(15);
/// The leader looks for webhooks that are in no file once per this many looks.
const LOOKS_PER_SWEEP: u32 = 5;
/// How often a put is tried when other nodes interfere.
const TURNS: usize = 5;

/// One webhook of the file, and the map for which it was last put.
struct Entry {
    map: String,
    patch: Patch,
    done: Option<MapId>,
    /// The put is not tried before this time.
    not_before: Option<Instant>,
    /// The last problem that was logged. The same problem is logged once.
    told: Option<String>,
}

/// Keeps the webhooks of the file as long as the node runs: this never returns. `configured` holds pairs of a
/// map's name and settings.
pub async fn keep_configured(edge: Data<Edge>, configured: Vec<(String, Patch)>) {
    let entry = |(map, patch)| Entry { map, patch, done: None, not_before: None, told: None };
    let mut entries: Vec<Entry> = configured.into_iter().map(entry).collect();
    edge.hub.vault().known_encryption().await;
    while edge.hub.log().barrier().await.is_err() {
        tokio::time::sleep(LOOK).await;
    }
    for look in 0u32.. {
        for entry in &mut entries {
            entry.see_to(&edge).await;
        }
        let wanted =
            entries.iter().filter_map(|entry| Some(entry.id(edge.hub.access().map_here(&entry.map)?.id)));
        edge.hub.webhooks().configured().set_webhooks(wanted.collect());
        if look % LOOKS_PER_SWEEP == 0 && edge.hub.health().status().is_leader() {
            remove_stale(&edge).await;
        }
        tokio::time::sleep(LOOK).await;
    }
}

impl Entry {
    fn name(&self) -> &str {
        self.patch.name().unwrap_or_default()
    }

    fn id(&self, map: MapId) -> WebhookId {
        WebhookId::new(Uuid::new_v5(&Uuid::from_bytes(*map.as_bytes()), self.name().as_bytes()))
    }

    async fn see_to(&mut self, edge: &Edge) {
        let Some(map) = edge.hub.access().map_here(&self.map).map(|map| map.id) else { return };
        if self.done == Some(map) || self.not_before.is_some_and(|then| Instant::now() < then) {
            return;
        }
        match self.put(edge, map).await {
            Ok(()) => self.done = Some(map),
            Err(problem) => {
                match &problem {
                    // The file must be changed.
                    Problem::Invalid(_) => self.done = Some(map),
                    // A 5xx is the server's fault and passes soon.
                    other if other.status_code().is_server_error() => {}
                    _ => self.not_before = Some(Instant::now() + REFUSED_PAUSE),
                }
                let problem = problem.to_string();
                if self.told.as_ref() != Some(&problem) {
                    tracing::warn!(
                        map = self.map,
                        name = self.name(),
                        problem,
                        "a webhook of the configuration file can't be stored"
                    );
                    self.told = Some(problem);
                }
            }
        }
    }

    async fn put(&self, edge: &Edge, map: MapId) -> Result<(), Problem> {
        let id = self.id(map);
        for _ in 0..TURNS {
            let old = match settings::open(edge, id) {
                Ok(old) => Some(old),
                Err(Problem::NoWebhook) => None,
                Err(problem) => return Err(problem),
            };
            let Some(old) = old else {
                match settings::put_new(edge, None, self.draft(edge, map, id)?, &self.patch).await {
                    Err(Problem::Api(error)) if error == Refusal::IdTaken.into() => {
                        edge.hub.log().barrier().await?;
                        continue;
                    }
                    put => return put.map(drop),
                }
            };
            let Some(new) = self.over(edge, map, &old).await? else { return Ok(()) };
            if settings::try_put(edge, None, new, &old).await?.is_some() {
                return Ok(());
            }
        }
        Err(Refusal::Changed.into())
    }

    fn draft(&self, edge: &Edge, map: MapId, id: WebhookId) -> Result<Plain, Problem> {
        let profile = self.patch.profile().unwrap_or(Profile::Wanderer);
        settings::draft(id, map, Origin::Config, profile, &edge.config.webhooks.defaults)
    }

    /// The webhook as the file has it. `None` if it is that already.
    async fn over(&self, edge: &Edge, map: MapId, old: &Plain) -> Result<Option<Plain>, Problem> {
        let mut new = self.draft(edge, map, old.webhook.id)?;
        if !self.patch.has_secret() {
            new.private.secret.clone_from(&old.private.secret);
        }
        // The operators decide whether it is active, unless the file says so.
        new.webhook.active = old.webhook.active;
        let errors = self.patch.apply(&mut new);
        settings::check(&edge.webhooks, &mut new, errors).await?;
        settings::follow(edge, &mut new.private, &old.private, None)?;
        let Webhook { born, fingerprint, encrypted, disabled, revision, inserted_ms, updated_ms, .. } =
            old.webhook.clone();
        new.webhook = Webhook {
            born,
            fingerprint,
            encrypted,
            disabled,
            revision,
            inserted_ms,
            updated_ms,
            ..new.webhook
        };
        Ok((new != *old).then_some(new))
    }
}

/// Removes webhooks that are in no node's file any more.
async fn remove_stale(edge: &Edge) {
    let of_files: Vec<WebhookId> = edge
        .hub
        .webhooks()
        .directory()
        .all()
        .filter(|webhook| webhook.origin == Origin::Config)
        .map(|e| e.id)
        .collect();
    if of_files.is_empty() {
        return;
    }
    for id in edge.hub.webhooks().configured().webhooks_nowhere(of_files).await {
        let Some(map) = edge.hub.webhooks().directory().get(id).map(|webhook| webhook.map) else { continue };
        let gone = Command::DeleteWebhook(OnWebhook { by: None, map, webhook: id, what: Origin::Config });
        match edge.hub.log().propose(&gone).await {
            Ok(_) => tracing::info!(webhook = %id, "a webhook was removed: no node's file has it any more"),
            Err(error) => tracing::warn!(webhook = %id, %error, "a webhook could not be removed"),
        }
    }
}
