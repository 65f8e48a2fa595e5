//! Authentication: looks tokens up, and asks the leader before a token counts as unknown.

use super::HubConfig;
use super::bridge::Bridge;
use super::clients::ClientTokens;
use super::contact::CaughtUp;
use super::error::HubError;
use super::log::Log;
use super::vault::Vault;
use super::who::{Grant, Holder, Who};
use crate::core::access::{Access, Map, Scopes, TokenHash, hash_token};
use crate::core::command::{Command, Refusal};
use crate::core::console::{Credential, Link};
use crate::core::ids::MapId;
use crate::core::issuer::{Client, is_revoked};
use std::sync::{Arc, RwLockReadGuard};
use subtle::ConstantTimeEq;

/// Authenticates callers and finds the maps that they may use; cheap to clone.
#[derive(Clone)]
pub struct AccessControl {
    bridge: Arc<Bridge>,
    log: Log,
    caught_up: CaughtUp,
    clients: ClientTokens,
    /// Hash of the configured admin token, if there is one.
    admin: Option<TokenHash>,
}

impl AccessControl {
    pub(super) fn new(
        bridge: Arc<Bridge>,
        log: Log,
        vault: &Vault,
        caught_up: CaughtUp,
        config: &HubConfig,
    ) -> Self {
        let longest = config.longest_client_token;
        let clients = ClientTokens::new(bridge.clone(), log.clone(), vault.clone(), longest);
        Self { bridge, log, caught_up, clients, admin: config.admin }
    }

    /// Client tokens (JWTs) and the keys of their issuers.
    pub fn clients(&self) -> &ClientTokens {
        &self.clients
    }

    /// Maps and tokens as this node knows them. Hold the guard only briefly: the thread that applies the log
    /// waits for it.
    pub fn known(&self) -> RwLockReadGuard<'_, Access> {
        self.bridge.access()
    }

    /// Makes sure that this node has applied every revoke that was acknowledged before this call. If no
    /// leader answers, this node goes by what it knows. The call costs almost nothing while the node is in
    /// contact with the cluster.
    pub async fn know_revokes(&self) {
        self.caught_up.ensure().await;
    }

    /// The holder of `secret`, as far as this node knows.
    pub fn who_here(&self, secret: &str) -> Option<Who> {
        self.who_hashed(&hash_token(secret))
    }

    /// The holder of `secret`. A token that is unknown here may have been created on another node a moment
    /// ago, so the leader is asked before the answer is `None`.
    pub async fn who(&self, secret: &str) -> Result<Option<Who>, HubError> {
        let hash = hash_token(secret);
        if let Some(who) = self.who_hashed(&hash) {
            return Ok(Some(who));
        }
        self.catch_up().await?;
        Ok(self.who_hashed(&hash))
    }

    /// Whom a credential stands for, as far as this node knows. A person who may use several maps acts on the
    /// one that is named.
    pub fn who_of_here(&self, credential: &Credential, map: Option<&str>) -> Option<Who> {
        let person = match credential {
            Credential::Token(hash) => return self.who_hashed(hash),
            Credential::Person(person) if person.admin => return Some(Who::Admin),
            Credential::Person(person) => person,
        };
        let access = self.known();
        let is_named =
            |id: MapId| map.is_some_and(|name| access.map(id).is_some_and(|map| map.has_name(name)));
        let mut found = None;
        for (id, scopes) in &person.maps {
            let Some(token) = access.token(*id) else { continue };
            if is_named(token.map) {
                return Some(Who::Token(Holder::narrowed(token, *scopes)));
            }
            found = found.or(Some((token, *scopes)));
        }
        found.map(|(token, scopes)| Who::Token(Holder::narrowed(token, scopes)))
    }

    /// Whom a credential stands for. A token that is unknown here may have been created on another node a
    /// moment ago, so the leader is asked before the answer is `None`.
    pub async fn who_of(&self, credential: &Credential, map: Option<&str>) -> Result<Option<Who>, HubError> {
        if let Some(who) = self.who_of_here(credential, map) {
            return Ok(Some(who));
        }
        self.catch_up().await?;
        Ok(self.who_of_here(credential, map))
    }

    /// Who comes with a portal link: they act for its maker, on its map. `None` if the map is gone, or the
    /// maker may not manage it any more.
    pub fn who_of_link(&self, link: &Link, maker: &Who) -> Option<Who> {
        self.known().map(link.map)?;
        if !maker.may(link.map, Scopes::MANAGE) || maker.is_limited() {
            return None;
        }
        let holder = match maker {
            Who::Admin => Holder::for_admin(link.map, Scopes::MANAGE),
            Who::Token(holder) => Holder::narrowed(holder, Scopes::MANAGE),
        };
        Some(Who::Token(holder.with_link()))
    }

    /// Asks the leader. It is rare, so the requests that need not wait hold no room for it.
    async fn catch_up(&self) -> Result<(), HubError> {
        Box::pin(self.log.barrier()).await.map(drop)
    }

    fn who_hashed(&self, hash: &TokenHash) -> Option<Who> {
        let is = |admin: &TokenHash| bool::from(admin.ct_eq(hash));
        let access = self.known();
        if self.admin.as_ref().is_some_and(is) || access.admin().is_some_and(is) {
            return Some(Who::Admin);
        }
        access.token_with(hash).cloned().map(|token| Who::Token(token.into()))
    }

    /// The map with that id or slug. The leader is asked before a map counts as unknown.
    pub async fn map(&self, name: &str) -> Result<Option<Arc<Map>>, HubError> {
        if let Some(map) = self.map_here(name) {
            return Ok(Some(map));
        }
        self.catch_up().await?;
        Ok(self.map_here(name))
    }

    /// The map with that id or slug, as far as `who` may know of it: a token sees no map but its own. A
    /// foreign map takes the same path through the leader as a missing one, so that neither time nor errors
    /// tell them apart.
    pub async fn map_of(&self, who: &Who, name: &str) -> Result<Option<Arc<Map>>, HubError> {
        let Who::Token(token) = who else { return self.map(name).await };
        let own = || self.known().map(token.map).filter(|map| map.has_name(name)).cloned();
        if let Some(map) = own() {
            return Ok(Some(map));
        }
        self.catch_up().await?;
        Ok(own())
    }

    /// The map with that id or slug, as far as this node knows.
    pub fn map_here(&self, name: &str) -> Option<Arc<Map>> {
        self.known().map_named(name).cloned()
    }

    /// Whether this node still grants what a session was granted.
    pub fn still_granted(&self, grant: &Grant, scope: Scopes) -> bool {
        let access = self.known();
        access.map(grant.map.id).is_some()
            && match &grant.who {
                Who::Admin => true,
                Who::Token(holder) => {
                    let has_scope = holder.scopes.contains(scope)
                        && access.token(holder.id).is_some_and(|token| token.scopes.contains(scope));
                    has_scope && holder.client().is_none_or(|client| is_live(&access, holder.map, client))
                }
            }
    }

    /// Whether the token of a client of the map neither has ended nor was revoked.
    pub fn is_live(&self, map: MapId, client: &Client) -> bool {
        is_live(&self.known(), map, client)
    }

    /// Stores the hash of an admin token that this node generated, unless the cluster has one. Returns
    /// whether it was stored.
    pub async fn offer_admin(&self, hash: TokenHash) -> Result<bool, HubError> {
        match self.log.propose(&Command::SetAdmin(hash)).await {
            Ok(_) => Ok(true),
            Err(HubError::Refused(Refusal::IdTaken)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Its end is a time of its issuer's clock, so this node's clock alone decides.
fn is_live(access: &Access, map: MapId, client: &Client) -> bool {
    client.exp_ms > crate::clock::now_ms() && !is_revoked(access.revocations(), map, client)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::hub::stage::{create, hub};

    #[actix_web::test]
    async fn a_token_cannot_tell_a_foreign_map_from_a_missing_one() {
        let folder = tempfile::tempdir().unwrap();
        let hub = hub(folder.path()).await;
        let mine = create(&hub, 1, "mine").await;
        let foreign = create(&hub, 2, "foreign").await;
        let who = hub.access().who("mine").await.unwrap().unwrap();
        let ids = [mine, foreign].map(|id| id.to_string());
        for name in ["mine", &ids[0]] {
            assert_eq!(hub.access().map_of(&who, name).await.unwrap().map(|map| map.id), Some(mine));
        }
        for name in ["foreign", &ids[1], "none"] {
            assert!(hub.access().map_of(&who, name).await.unwrap().is_none(), "{name}");
        }
        hub.shutdown().await;
        // If the leader can't be asked, neither gets an answer.
        for name in ["foreign", &ids[1], "none"] {
            assert!(hub.access().map_of(&who, name).await.is_err(), "{name}");
        }
        assert!(
            hub.access().map_of(&who, "mine").await.unwrap().is_some()
                && hub.access().map_here("foreign").is_some()
        );
    }
}
