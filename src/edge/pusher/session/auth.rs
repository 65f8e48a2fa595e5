//! What a client must show to subscribe or to sign in: a signature of the application's back end.

use super::PusherSession;
use crate::core::app::signature::Signer;
use crate::core::channel::{Channel, Kind};
use crate::core::channel_rules::Join;
use crate::edge::pusher::frame;
use crate::hub::OpenApp;
use std::sync::Arc;

/// Why a client may not do what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AuthError {
    /// There is no signature.
    #[error("the channel needs auth: KEY:SIGNATURE, signed by the application")]
    Missing,
    /// The key is not one of this application.
    #[error(
        "auth names another key than those of this application: compare the back end's key with the app's"
    )]
    Key,
    /// The signature is not that of the socket, the channel and its data.
    #[error(
        "the signature is not the one of this socket, channel and channel_data: compare the back end's secret with \
         the app's"
    )]
    Signature,
    /// The channel carries the events of another user.
    #[error("only the user itself may subscribe, after it has signed in")]
    NotThatUser,
    /// A rule of the map demands a token.
    #[error("a rule of the map says that this channel is joined with a token only")]
    TokenOnly,
}

impl PusherSession {
    /// Checks that the client may subscribe. `is_own` says that the channel stands for the map's own subject.
    pub(super) fn check_join(
        &self,
        channel: &Channel,
        (join, is_own): (Join, bool),
        asked: &frame::Subscribe,
    ) -> Result<(), AuthError> {
        if let Some(user) = channel.user() {
            let is_user = self.user.as_ref().is_some_and(|signed_in| signed_in.is(user));
            return if is_user { Ok(()) } else { Err(AuthError::NotThatUser) };
        }
        match join {
            Join::Token => return Err(AuthError::TokenOnly),
            // The back end must have signed who a member is.
            Join::Anyone if !is_own && channel.kind() != Kind::Presence => return Ok(()),
            Join::Anyone | Join::Signature => {}
        }
        let auth = asked.auth.as_deref().filter(|auth| !auth.is_empty()).ok_or(AuthError::Missing)?;
        let data = asked.channel_data.as_deref();
        self.verify(auth, |signer, given| signer.signs_channel(self.socket, channel.name(), data, given))
    }

    /// Checks that the back end has signed the user's data for this socket.
    pub(super) fn check_user(&self, asked: &frame::SignIn) -> Result<(), AuthError> {
        self.verify(&asked.auth, |signer, given| signer.signs_user(self.socket, &asked.user_data, given))
    }

    fn verify(&self, auth: &str, signs: impl FnOnce(&Signer, &str) -> bool) -> Result<(), AuthError> {
        let (key, given) = auth.split_once(':').ok_or(AuthError::Missing)?;
        let app = self.app_with(key).ok_or(AuthError::Key)?;
        if signs(&app.signer, given) { Ok(()) } else { Err(AuthError::Signature) }
    }

    /// The app of the map that has the key. While credentials are replaced, the back end may sign with others
    /// than those with which the client connected.
    fn app_with(&self, key: &str) -> Option<Arc<OpenApp>> {
        self.hub().apps().by_key(key).filter(|app| app.map == self.app.map)
    }
}
