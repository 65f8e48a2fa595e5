//! Recognises the app that a client names by its key. A key is public, so it proves nothing; but whoever
//! guesses keys is held up like one who guesses tokens.

use crate::edge::addresses::address_of;
use crate::edge::audit::facts::{Caller, note_caller, note_map};
use crate::edge::context::Edge;
use crate::edge::refused::{Refused, Unavailable};
use crate::hub::{AppsError, OpenApp};
use actix_web::HttpRequest;
use std::net::IpAddr;
use std::sync::Arc;

impl Edge {
    /// The app with that key. An unknown key is [`Refused::Unauthorized`]. An error also for an address that
    /// guesses keys, and on a node that can't know which apps were deleted.
    pub async fn app_with_key(&self, request: &HttpRequest, key: &str) -> Result<Arc<OpenApp>, Refused> {
        if self.hub.health().is_removed() {
            return Err(Unavailable::Removed.into());
        }
        let app = match self.hub.apps().known_key(key).await {
            Some(app) => app,
            // It is rare, so the requests of other apps hold no room for it.
            None => Box::pin(self.find_app(address_of(request), key)).await?,
        };
        note_caller(request, Caller::Token(app.token.id));
        note_map(request, app.map);
        Ok(app)
    }

    /// The app with a key that this node does not know, or cannot open yet.
    async fn find_app(&self, address: IpAddr, key: &str) -> Result<Arc<OpenApp>, Refused> {
        if !self.hub.apps().knows_key(key).await {
            // Before the leader is asked: only a client that names an unknown key is held up.
            self.failures.check(address)?;
        }
        let found = self.hub.apps().find_key(key).await.map_err(refused)?;
        found.ok_or_else(|| {
            self.failures.count(address);
            Refused::Unauthorized
        })
    }

    /// The app with that app id and that key, like [`Edge::app_with_key`]. A key of another app id is
    /// unknown, and counts as a guess.
    pub async fn app_with(
        &self,
        request: &HttpRequest,
        id: &str,
        key: &str,
    ) -> Result<Arc<OpenApp>, Refused> {
        let app = self.app_with_key(request, key).await?;
        if *app.id == *id {
            return Ok(app);
        }
        let address = address_of(request);
        self.failures.check(address)?;
        self.failures.count(address);
        Err(Refused::Unauthorized)
    }
}

fn refused(error: AppsError) -> Refused {
    match error {
        AppsError::Cluster(error) => error.into(),
        AppsError::Encryption(_) => Unavailable::NoKey.into(),
    }
}
