//! A source as it is shown.

use super::deliveries::Delivery;
use super::state::Ingest;
use crate::core::ingest::{Authentication, KeyKind, Settings, Source};
use crate::core::state::SourceCounts;
use crate::core::time::iso_millis;
use serde_json::{Value, json};

/// What is shown of a source beside its settings.
pub(super) struct Shown<'s> {
    pub(super) counts: SourceCounts,
    /// The newest request.
    pub(super) newest: Option<&'s Delivery>,
    /// When the secret before the present one ends (Unix milliseconds).
    pub(super) previous_until_ms: Option<u64>,
    /// The secret. Only the answer to the request that made it has it.
    pub(super) secret: Option<&'s str>,
}

/// The JSON of a source.
pub(super) fn shown(ingest: &Ingest, source: &Source, with: &Shown<'_>) -> Value {
    let settings = &source.settings;
    let is_failing = with.newest.is_some_and(Delivery::is_refused);
    let mut data = json!({
        "id": source.id.to_string(),
        "url": ingest.url_of(source.id),
        "map_id": source.map.to_string(),
        "name": settings.name,
        "authentication": settings.authentication.name(),
        "active": settings.active,
        "status": match (settings.active, is_failing) {
            (false, _) => "inactive",
            (true, true) => "error",
            (true, false) => "active",
        },
        "mapping": document(settings.mapping.as_deref()),
        "schema": document(settings.schema.as_deref()),
        "onInvalid": settings.on_invalid.name(),
        "limits": {
            "requestsPerMinute": settings.limits.per_minute,
            "requestsPerMinutePerAddress": settings.limits.per_minute_per_address,
        },
        "dedupeHeader": settings.dedupe_header,
        "previousSecretUntil": with.previous_until_ms.map(iso_millis),
        "eventsReceived": with.counts.events,
        "lastEventAt": (with.counts.last_ms > 0).then(|| iso_millis(with.counts.last_ms)),
        "createdAt": iso_millis(source.inserted_ms),
        "updatedAt": iso_millis(source.updated_ms),
    });
    if settings.authentication == Authentication::Hmac {
        data["hmacAlgorithm"] = "sha256".into();
    }
    if let Some(jwt) = jwt(settings) {
        data["jwt"] = jwt;
    }
    if let Some(secret) = with.secret {
        let is_key = settings.authentication == Authentication::ApiKey;
        data[if is_key { "apiKey" } else { "secretKey" }] = secret.into();
    }
    data
}

fn jwt(settings: &Settings) -> Option<Value> {
    let rules = settings.jwt.as_ref()?;
    Some(json!({
        "algorithm": rules.algorithm.name(),
        "key": match rules.key {
            KeyKind::Secret => "secretKey",
            KeyKind::Pem => "publicKey",
            KeyKind::Jwks => "jwks",
        },
        "issuer": rules.issuer,
        "audience": rules.audience,
    }))
}

/// A document as JSON.
fn document(text: Option<&str>) -> Option<Value> {
    serde_json::from_str(text?).ok()
}
