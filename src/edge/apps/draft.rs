//! New apps: what the caller leaves open is made here, and the secret is encrypted.

use crate::core::access::Map;
use crate::core::app::{App, AppSettings, Prepared, PutApp, Secret};
use crate::core::command::{By, Command, Refusal, Reply};
use crate::core::error_code::Code;
use crate::core::ids::{MapId, TokenId};
use crate::core::webhook::Origin;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::hub::HubError;
use actix_web::http::StatusCode;
use std::time::Duration;

/// Longest wait for the cluster's key on a node that has just started.
const KEY_WAIT: Duration = Duration::from_secs(5);
/// Random bytes of a key.
const KEY_BYTES: usize = 10;
/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;
/// App ids that are made here have fifteen digits, so that they are numbers to every client library.
const LEAST_ID: u64 = 100_000_000_000_000;

/// An app to put, with its secret in the clear.
pub(super) struct Draft {
    pub(super) token: TokenId,
    pub(super) id: Box<str>,
    pub(super) key: Box<str>,
    pub(super) secret: Secret,
    pub(super) settings: AppSettings,
}

impl Draft {
    /// Chooses what the settings leave open.
    pub(super) fn new(token: TokenId, settings: AppSettings) -> Result<Self, ApiError> {
        let id = match &settings.id {
            Some(id) => id.clone(),
            None => new_id()?,
        };
        let key = match &settings.key {
            Some(key) => key.clone(),
            None => hex::encode(random::<KEY_BYTES>()?).into(),
        };
        let secret = match &settings.secret {
            Some(secret) => secret.clone(),
            None => Secret::new(&hex::encode(random::<SECRET_BYTES>()?)),
        };
        Ok(Self { token, id, key, secret, settings })
    }

    /// Puts the app. Returns it, and how its map was prepared for it.
    pub(super) async fn put(
        self,
        edge: &Edge,
        map: &Map,
        by: By,
        origin: Origin,
    ) -> Result<(App, Prepared), ApiError> {
        let stored = edge.hub.archive().subjects(map.topic, (String::new(), None), 2).await?;
        let unusable = |error: crate::hub::EncryptionError| ApiError::unavailable(error.to_string());
        let encryption = edge.hub.vault().encryption_within(KEY_WAIT).await.map_err(unusable)?;
        let app = App {
            token: self.token,
            map: map.id,
            id: self.id,
            key: self.key,
            client_events: self.settings.client_events,
            origins: self.settings.origins,
            max_connections: self.settings.max_connections,
            origin,
            encrypted: encryption.encrypt_secret(self.token, &self.secret).map_err(unusable)?,
            inserted_ms: 0,
        };
        let id = app.id.clone();
        let put = PutApp {
            by,
            app,
            usual_connections: edge.config.new_map_limits.connections,
            connections: edge.config.connections_with_app,
            has_subjects: stored.iter().any(|stored| !stored.subject.is_own()),
        };
        match edge.hub.log().propose(&Command::PutApp(Box::new(put))).await {
            Ok(Reply::App(app, prepared)) => Ok((*app, prepared)),
            Ok(other) => Err(HubError::Internal(format!("an app was answered with {other:?}")).into()),
            Err(HubError::Refused(taken @ Refusal::AppIdTaken)) => {
                Err(ApiError::from(taken).hint(hint_of_taken(edge, map.id, &id)))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// What to do about an app id that another map has. Only the admin hears of that map: the token of a map is
/// refused without a reason.
fn hint_of_taken(edge: &Edge, own: MapId, id: &str) -> String {
    let access = edge.hub.access().known();
    let other = access.apps().with_id(id).find(|app| app.map != own).and_then(|app| access.map(app.map));
    match other {
        Some(map) => {
            let name = map.slug.clone().unwrap_or_else(|| map.id.to_string());
            format!("the map {name} has it: choose another app id, or remove that map's app first")
        }
        None => "choose another app id".to_owned(),
    }
}

fn new_id() -> Result<Box<str>, ApiError> {
    let number = u64::from_be_bytes(random()?);
    Ok((LEAST_ID + number % (9 * LEAST_ID)).to_string().into())
}

fn random<const N: usize>() -> Result<[u8; N], ApiError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "no random bytes");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, "the system has no random bytes")
    })?;
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::app::{is_name, secret_problem};

    #[test]
    fn what_is_left_open_is_made_anew_each_time() {
        let token = TokenId::from_bytes([1; 16]);
        let [one, two] = [(); 2].map(|()| Draft::new(token, AppSettings::default()).unwrap());
        assert!(one.id != two.id && one.key != two.key && one.secret != two.secret);
        assert!(one.id.len() == 15 && one.id.bytes().all(|byte| byte.is_ascii_digit()), "{}", one.id);
        assert!(is_name(&one.id) && is_name(&one.key) && secret_problem(one.secret.expose()).is_none());
        let given = AppSettings {
            id: Some("3".into()),
            key: Some("k".into()),
            secret: Some(Secret::new("s")),
            ..AppSettings::default()
        };
        let given = Draft::new(token, given).unwrap();
        assert_eq!((&*given.id, &*given.key, given.secret.expose()), ("3", "k", "s"));
    }
}
