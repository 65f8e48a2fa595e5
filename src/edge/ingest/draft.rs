//! Changes of sources: secrets that are made here, encrypted, and put into the log.

use super::opened::KEY_WAIT;
use crate::core::command::{By, Command, Reply};
use crate::core::error_code::Code;
use crate::core::ids::{MapId, SourceId};
use crate::core::ingest::{Authentication, PutSource, Settings, Source, SourceSecrets};
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::hub::{EncryptionError, HubError};
use actix_web::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Random bytes of a secret.
const SECRET_BYTES: usize = 32;

/// Random bytes, of which a secret can be made.
pub(super) fn random() -> Result<[u8; SECRET_BYTES], ApiError> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "no random bytes");
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Internal, "the system has no random bytes")
    })?;
    Ok(bytes)
}

/// A secret in the form that the senders expect.
pub(super) fn secret_of(authentication: Authentication, random: &[u8; SECRET_BYTES]) -> String {
    if authentication.is_standard() {
        return format!("whsec_{}", STANDARD.encode(random));
    }
    hex::encode(random)
}

/// The secrets of a source in the clear.
pub(super) async fn opened(edge: &Edge, source: &Source) -> Result<SourceSecrets, ApiError> {
    let encryption = edge.hub.vault().encryption_within(KEY_WAIT).await.map_err(unusable)?;
    encryption.open_source(source.id, &source.encrypted).map_err(unusable)
}

/// Puts a source with these settings and secrets. `base` is the revision that it changes.
pub(super) async fn put(
    edge: &Edge,
    by: By,
    (id, map): (SourceId, MapId),
    (settings, secrets): (Settings, &SourceSecrets),
    base: Option<u64>,
) -> Result<Source, ApiError> {
    let encryption = edge.hub.vault().encryption_within(KEY_WAIT).await.map_err(unusable)?;
    let encrypted = encryption.encrypt_source(id, secrets).map_err(unusable)?;
    let source = Source { id, map, settings, encrypted, revision: 0, inserted_ms: 0, updated_ms: 0 };
    let put = Command::PutSource(Box::new(PutSource { by, source, base }));
    // A change that takes a secret away ends it on every node before it is answered.
    let reply = match base {
        Some(_) => edge.hub.log().propose_everywhere(&put).await?,
        None => edge.hub.log().propose(&put).await?,
    };
    match reply {
        Reply::Source(source) => Ok(*source),
        other => Err(HubError::Internal(format!("an ingest source was answered with {other:?}")).into()),
    }
}

fn unusable(error: EncryptionError) -> ApiError {
    ApiError::unavailable(error.to_string())
}
