//! A map's issuers: who signs the client tokens with which clients use the map.

use crate::core::access::Map;
use crate::core::app::Secret;
use crate::core::command::Command;
use crate::core::field_error::{FieldCode, FieldErrors};
use crate::core::ids::TokenId;
use crate::core::issuer::{
    ANY, ClaimMapping, GivenKeys, Issuer, IssuerKeys, IssuerSettings, SetIssuers, read_issuers,
};
use crate::core::jwt::KeySource;
use crate::core::time::iso_millis;
use crate::delivery::jwks::key_url;
use crate::edge::audit::changes::Change;
use crate::edge::audit::facts::note_changes;
use crate::edge::body::Body;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::hub::{Encryption, EncryptionError};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Longest wait for the cluster's key on a node that has just started.
const KEY_WAIT: Duration = Duration::from_secs(5);
/// What is shown of a secret.
const MASK: &str = "********";

pub(super) async fn show(
    request: HttpRequest,
    edge: Data<Edge>,
    map: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let grant = edge.managed(&request, &map).await?;
    Ok(answer(&edge, &grant.map))
}

/// Replaces all issuers. It answers once every reachable node has ended the sessions of those that are gone.
pub(super) async fn set(
    request: HttpRequest,
    edge: Data<Edge>,
    map: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let grant = edge.managed(&request, &map).await?;
    let guard = edge.webhooks.outside().guard();
    let is_url = |url: &str| key_url(guard, url).map(drop);
    let given = body.object(|m| read_issuers(m, &is_url)).await?;
    let encryption = edge.hub.vault().encryption_within(KEY_WAIT).await.map_err(unusable)?;
    let known: Vec<Arc<Issuer>> = edge.hub.access().known().issuers().of_map(grant.map.id).cloned().collect();
    let mut issuers = Vec::new();
    let mut errors = FieldErrors::default();
    for (place, settings) in given.into_iter().enumerate() {
        let former = known.iter().find(|known| known.name == settings.name);
        match draft(&grant.map, settings, former, &encryption)? {
            Some(issuer) => issuers.push(issuer),
            None => errors.add(format!("issuers[{place}].secret"), FieldCode::Required, "is required"),
        }
    }
    errors.into_result(())?;
    note_changes(&request, changed(&known, &issuers));
    let set = SetIssuers { map: grant.map.id, by: grant.who.by(), issuers };
    edge.hub.log().propose_everywhere(&Command::SetIssuers(Box::new(set))).await?;
    Ok(answer(&edge, &grant.map))
}

/// The issuers that differ, by their names, for the audit log.
fn changed(before: &[Arc<Issuer>], after: &[Issuer]) -> Vec<Change> {
    let had: BTreeMap<&str, &Issuer> = before.iter().map(|issuer| (&*issuer.name, &**issuer)).collect();
    let has: BTreeMap<&str, &Issuer> = after.iter().map(|issuer| (&*issuer.name, issuer)).collect();
    let names: BTreeSet<&str> = had.keys().chain(has.keys()).copied().collect();
    names.into_iter().filter(|name| had.get(name) != has.get(name)).map(Change::of).collect()
}

fn unusable(error: EncryptionError) -> ApiError {
    ApiError::unavailable(error.to_string())
}

/// The issuer of these settings. One that is as before keeps its token; any other one has a new token. `None`
/// if the secret is to be kept and there is none.
fn draft(
    map: &Map,
    settings: IssuerSettings,
    former: Option<&Arc<Issuer>>,
    encryption: &Encryption,
) -> Result<Option<Issuer>, ApiError> {
    let IssuerSettings { name, algorithm, keys, issuer, audience, claims, connections } = settings;
    let had = former.and_then(|former| match &former.keys {
        IssuerKeys::Secret(encrypted) => Some(encryption.open_secret(former.token, encrypted)),
        IssuerKeys::Pem(_) | IssuerKeys::Jwks(_) | IssuerKeys::Url(_) => None,
    });
    let had = had.transpose().map_err(unusable)?;
    let token = TokenId::new(Uuid::new_v4());
    let (keys, secret) = match keys {
        GivenKeys::Kept => match &had {
            Some(secret) => (None, Some(secret.clone())),
            None => return Ok(None),
        },
        GivenKeys::Source(KeySource::Secret(secret)) => (None, Some(Secret::new(&secret))),
        GivenKeys::Source(KeySource::Pem(pem)) => (Some(IssuerKeys::Pem(pem.into())), None),
        GivenKeys::Source(KeySource::Jwks(document)) => (Some(IssuerKeys::Jwks(document.into())), None),
        GivenKeys::Url(url) => (Some(IssuerKeys::Url(url.into())), None),
    };
    let new = |keys: IssuerKeys| Issuer {
        token,
        map: map.id,
        name,
        algorithm,
        keys,
        issuer,
        audience,
        claims,
        connections,
        inserted_ms: 0,
    };
    let new = match (keys, &secret) {
        (Some(keys), _) => new(keys),
        (None, Some(secret)) => {
            new(IssuerKeys::Secret(encryption.encrypt_secret(token, secret).map_err(unusable)?))
        }
        (None, None) => return Ok(None),
    };
    let is_same = |former: &Issuer| {
        let same_keys = if secret.is_some() { had == secret } else { former.keys == new.keys };
        same_keys
            && former.algorithm == new.algorithm
            && former.issuer == new.issuer
            && former.audience == new.audience
            && former.claims == new.claims
            && former.connections == new.connections
    };
    Ok(Some(match former {
        Some(former) if is_same(former) => Issuer::clone(former),
        _ => new,
    }))
}

fn answer(edge: &Edge, map: &Map) -> HttpResponse {
    let access = edge.hub.access().known();
    let issuers: Vec<Value> = access.issuers().of_map(map.id).map(|issuer| shown(issuer)).collect();
    HttpResponse::Ok().json(json!({ "data": { "issuers": issuers } }))
}

/// An issuer as it is shown: its secret never.
fn shown(issuer: &Issuer) -> Value {
    // What is shown can be sent back: with a URL, any issuer and any audience are named.
    let any = matches!(issuer.keys, IssuerKeys::Url(_)).then_some(ANY);
    let mut shown = json!({
        "name": issuer.name,
        "algorithm": issuer.algorithm.name(),
        "issuer": issuer.issuer.as_deref().or(any),
        "audience": issuer.audience.as_deref().or(any),
        "claims": mapping(&issuer.claims),
        "connections": issuer.connections,
        "inserted_at": iso_millis(issuer.inserted_ms),
    });
    match &issuer.keys {
        IssuerKeys::Secret(_) => shown["secret"] = MASK.into(),
        IssuerKeys::Pem(pem) => shown["pem"] = pem.to_string().into(),
        IssuerKeys::Url(url) => shown["jwks_url"] = url.to_string().into(),
        IssuerKeys::Jwks(document) => {
            shown["jwks"] = serde_json::from_str::<Value>(document).unwrap_or_default();
        }
    }
    shown
}

fn mapping(claims: &ClaimMapping) -> Value {
    let ClaimMapping { map, scopes, subjects, filter, connections } = claims;
    let all = [
        ("map", map),
        ("scopes", scopes),
        ("subjects", subjects),
        ("filter", filter),
        ("connections", connections),
    ];
    let named =
        all.into_iter().filter_map(|(name, path)| Some((name.to_owned(), path.as_ref()?.as_str().into())));
    Value::Object(named.collect())
}
