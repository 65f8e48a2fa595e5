//! Apps with their secrets in the clear, for the clients of the Pusher protocol.
//!
//! The apps are part of this node's copy of access. A secret is decrypted when its app is first needed, and
//! again after a change of the app.

use super::bridge::Bridge;
use super::contact::CaughtUp;
use super::error::HubError;
use super::log::Log;
use super::vault::{EncryptionError, Vault};
use super::who::Who;
use crate::core::access::Token;
use crate::core::app::signature::Signer;
use crate::core::app::{App, OriginPattern, Secret};
use crate::core::ids::{MapId, TokenId};
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Longest wait for the cluster's key on a node that has just started.
const KEY_WAIT: Duration = Duration::from_secs(5);

/// An app that this node can check signatures with.
#[derive(Clone, Debug)]
pub struct OpenApp {
    /// The token as which its clients act. It has the scopes to subscribe and to publish.
    pub token: Arc<Token>,
    /// The map that it gives access to.
    pub map: MapId,
    /// The app id.
    pub id: Box<str>,
    /// The key.
    pub key: Box<str>,
    /// The secret of its signatures.
    pub secret: Secret,
    /// Checks the signatures that clients present.
    pub signer: Signer,
    /// Whether its clients may publish where no channel rule decides it.
    pub client_events: bool,
    /// The origins of pages that may connect; empty: any.
    pub origins: Vec<OriginPattern>,
    /// The most sockets of the key over the cluster; `None` is no limit.
    pub max_connections: Option<u32>,
}

impl OpenApp {
    /// Returns as whom its clients act.
    pub fn who(&self) -> Who {
        Who::Token(self.token.clone().into())
    }

    /// Returns whether a page of that origin may connect. A client without an origin is no page.
    pub fn allows_origin(&self, origin: Option<&str>) -> bool {
        let allowed = |origin| self.origins.iter().any(|pattern| pattern.allows(origin));
        self.origins.is_empty() || origin.is_none_or(allowed)
    }
}

/// Why this node can't tell whether there is an app, or can't use it.
#[derive(Debug, thiserror::Error)]
pub enum AppsError {
    /// The leader could not be asked.
    #[error(transparent)]
    Cluster(#[from] HubError),
    /// The secret can't be decrypted.
    #[error(transparent)]
    Encryption(#[from] EncryptionError),
}

/// The apps that were opened, with the records that they come from.
type Opened = FxHashMap<TokenId, (Arc<App>, Arc<OpenApp>)>;

/// Finds apps; cheap to clone.
#[derive(Clone)]
pub struct Apps {
    bridge: Arc<Bridge>,
    log: Log,
    vault: Vault,
    caught_up: CaughtUp,
    opened: Arc<Mutex<Opened>>,
}

impl Apps {
    pub(super) fn new(bridge: Arc<Bridge>, log: Log, vault: Vault, caught_up: CaughtUp) -> Self {
        Self { bridge, log, vault, caught_up, opened: Arc::default() }
    }

    /// Returns the app with that key, as far as this node knows. `None` also while the node lacks the
    /// cluster's key.
    pub fn by_key(&self, key: &str) -> Option<Arc<OpenApp>> {
        let app = self.bridge.access().apps().with_key(key).cloned()?;
        self.open(&app).ok()
    }

    /// Returns whether this node knows the key. It knows every deletion that was acknowledged before the call.
    pub async fn knows_key(&self, key: &str) -> bool {
        self.caught_up.ensure().await;
        self.bridge.access().apps().with_key(key).is_some()
    }

    /// Returns the app with that key, if this node knows and can open it. It knows every deletion that was
    /// acknowledged before the call.
    pub async fn known_key(&self, key: &str) -> Option<Arc<OpenApp>> {
        self.caught_up.ensure().await;
        self.by_key(key)
    }

    /// Returns the app with that key. An app that is unknown here may have been created on another node a
    /// moment ago, so the leader is asked before the answer is `None`.
    ///
    /// # Errors
    /// The leader does not answer, or this node lacks the cluster's key.
    pub async fn find_key(&self, key: &str) -> Result<Option<Arc<OpenApp>>, AppsError> {
        if !self.knows_key(key).await {
            self.log.barrier().await?;
        }
        let found = self.bridge.access().apps().with_key(key).cloned();
        match found {
            Some(app) => self.open_in_time(&app).await.map(Some),
            None => Ok(None),
        }
    }

    async fn open_in_time(&self, app: &Arc<App>) -> Result<Arc<OpenApp>, AppsError> {
        self.vault.encryption_within(KEY_WAIT).await?;
        Ok(self.open(app)?)
    }

    fn open(&self, app: &Arc<App>) -> Result<Arc<OpenApp>, EncryptionError> {
        let known = self.opened().get(&app.token).filter(|(of, _)| Arc::ptr_eq(of, app)).cloned();
        if let Some((_, open)) = known {
            return Ok(open);
        }
        let secret = self.vault.encryption()?.open_secret(app.token, &app.encrypted)?;
        let open = Arc::new(OpenApp {
            token: Arc::new(Token::of_app(app)),
            map: app.map,
            id: app.id.clone(),
            key: app.key.clone(),
            signer: Signer::new(&secret),
            secret,
            client_events: app.client_events,
            origins: app.origins.clone(),
            max_connections: app.max_connections,
        });
        self.keep(app, &open);
        Ok(open)
    }

    /// Keeps an opened app. When as many are kept as there are apps, the deleted ones are forgotten.
    fn keep(&self, app: &Arc<App>, open: &Arc<OpenApp>) {
        let access = self.bridge.access();
        let apps = access.apps();
        let mut opened = self.opened();
        if opened.len() >= apps.len() {
            opened.retain(|token, _| apps.get(*token).is_some());
        }
        opened.insert(app.token, (app.clone(), open.clone()));
    }

    fn opened(&self) -> std::sync::MutexGuard<'_, Opened> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::access::Scopes;
    use crate::core::app::{DeleteApp, PutApp};
    use crate::core::command::{Command, Refusal};
    use crate::core::webhook::Origin;
    use crate::hub::Hub;
    use crate::hub::stage::{create, hub};

    async fn put(hub: &Hub, n: u8, map: MapId, key: &str) -> Result<TokenId, HubError> {
        let token = TokenId::from_bytes([100 + n; 16]);
        let encryption = hub.vault().known_encryption().await;
        let app = App {
            token,
            map,
            id: "7".into(),
            key: key.into(),
            client_events: true,
            origins: vec![OriginPattern::new("https://good.example").unwrap()],
            max_connections: None,
            origin: Origin::Api,
            encrypted: encryption.encrypt_secret(token, &Secret::new("hush")).unwrap(),
            inserted_ms: 0,
        };
        let put = PutApp { by: None, app, usual_connections: None, connections: 1000, has_subjects: false };
        hub.log().propose(&Command::PutApp(Box::new(put))).await.map(|_| token)
    }

    #[actix_web::test]
    async fn an_app_is_usable_until_it_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let hub = hub(folder.path()).await;
        let [map, other] = [create(&hub, 1, "mine").await, create(&hub, 2, "other").await];
        let token = put(&hub, 1, map, "old").await.unwrap();
        put(&hub, 2, map, "new").await.unwrap();
        let taken = |put| matches!(put, Err(HubError::Refused(why)) if why == Refusal::AppIdTaken);
        assert!(taken(put(&hub, 3, other, "third").await));
        let app = hub.apps().find_key("old").await.unwrap().unwrap();
        assert_eq!((app.secret.expose(), &*app.id, app.map), ("hush", "7", map));
        assert!(Arc::ptr_eq(&app, &hub.apps().by_key("old").unwrap()), "it is decrypted once");
        assert!(hub.apps().by_key("new").is_some_and(|app| *app.id == *"7"));
        assert!(app.allows_origin(None) && app.allows_origin(Some("https://good.example")));
        assert!(!app.allows_origin(Some("https://evil.example")));
        assert!(app.who().may(map, Scopes::PUBLISH) && !app.who().may(map, Scopes::MANAGE));
        assert!(!app.who().may(other, Scopes::SUBSCRIBE));
        let gone = DeleteApp { map, by: None, token, from: Origin::Api };
        hub.log().propose_everywhere(&Command::DeleteApp(gone)).await.unwrap();
        assert!(hub.apps().by_key("old").is_none() && hub.apps().find_key("old").await.unwrap().is_none());
        assert!(hub.apps().by_key("new").is_some(), "the other key works on");
        hub.shutdown().await;
    }
}
