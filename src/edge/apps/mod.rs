//! Apps: their credentials over the REST API and from the configuration file, and how clients that name a key
//! are recognised.

mod configured;
mod draft;
mod known;

pub use configured::keep_configured;

use crate::core::access::Map;
use crate::core::app::{App, AppPatch, AppSettings, DeleteApp, Prepared, UpdateApp};
use crate::core::command::{Command, Reply};
use crate::core::ids::TokenId;
use crate::core::time::iso_millis;
use crate::core::webhook::Origin;
use crate::edge::audit::changes;
use crate::edge::audit::facts::{note_changes, note_thing};
use crate::edge::body::Body;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::hub::{Grant, HubError, Who};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use draft::Draft;
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// Creates an app of the map. Its secret is shown in this answer only.
pub async fn create(
    request: HttpRequest,
    edge: Data<Edge>,
    map: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let grant = edge.managed(&request, &map).await?;
    let settings = body.object(AppSettings::read).await?;
    check_choice(&edge, &grant, &settings)?;
    let draft = Draft::new(TokenId::new(Uuid::new_v4()), settings)?;
    let secret = draft.secret.clone();
    note_thing(&request, "made", &draft.key);
    let (app, prepared) = draft.put(&edge, &grant.map, grant.who.by(), Origin::Api).await?;
    let mut data = shown(&app);
    data["secret"] = secret.expose().into();
    data["map_changes"] = changes(prepared).into();
    Ok(HttpResponse::Created().json(json!({ "data": data })))
}

/// Ids and keys are unique in the cluster, so whoever chooses one can find out whether another map has it. So
/// the admin chooses them. A map's token may name an app id that its map has; whether nobody has another one
/// or a foreign map does, the answer is the same.
fn check_choice(edge: &Edge, grant: &Grant, settings: &AppSettings) -> Result<(), ApiError> {
    if matches!(grant.who, Who::Admin) {
        return Ok(());
    }
    let access = edge.hub.access().known();
    let has = |id: &str| access.apps().of_map(grant.map.id).any(|app| *app.id == *id);
    let is_free =
        settings.key.is_none() && settings.secret.is_none() && settings.id.as_deref().is_none_or(has);
    if is_free {
        return Ok(());
    }
    Err(ApiError::forbidden("an app id, a key or a secret is chosen with the admin token")
        .hint("send the admin token (WAYPOST_ADMIN_TOKEN); or leave them out, and the server makes new ones"))
}

/// How the map was changed for its first app, as texts.
fn changes(prepared: Prepared) -> Vec<String> {
    let rule = prepared.rule.then(|| {
        "the map had no channel rules and no subjects, so it got the rule {\"match\": \"*\", \"durability\": \
         \"ephemeral\"}: its events are not stored, except for those of the map's own subject"
            .to_owned()
    });
    let connections = prepared.connections.map(|limit| {
        format!(
            "the map's limit `connections` was that of new maps, and is now that of maps with an app, {limit}"
        )
    });
    rule.into_iter().chain(connections).collect()
}

/// Lists the apps of the map, the oldest first, without their secrets.
pub async fn list(
    request: HttpRequest,
    edge: Data<Edge>,
    map: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let grant = edge.managed(&request, &map).await?;
    let data: Vec<Value> =
        edge.hub.access().known().apps().of_map(grant.map.id).map(|app| shown(app)).collect();
    Ok(HttpResponse::Ok().json(json!({ "data": data })))
}

/// Shows one app, without its secret.
pub async fn show(
    request: HttpRequest,
    edge: Data<Edge>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (map, key) = path.into_inner();
    let grant = edge.managed(&request, &map).await?;
    let app = app_of(&edge, &grant.map, &key)?;
    Ok(HttpResponse::Ok().json(json!({ "data": shown(&app) })))
}

/// Changes settings of an app: what its clients may do from now on, and who may connect. It answers once every
/// reachable node goes by the change.
pub async fn update(
    request: HttpRequest,
    edge: Data<Edge>,
    path: Path<(String, String)>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let (map, key) = path.into_inner();
    let grant = edge.managed(&request, &map).await?;
    let patch = body.object(AppPatch::read).await?;
    let app = app_of(&edge, &grant.map, &key)?;
    let update = UpdateApp { map: grant.map.id, by: grant.who.by(), token: app.token, patch };
    match edge.hub.log().propose_everywhere(&Command::UpdateApp(update)).await? {
        Reply::App(changed, _) => {
            let data = shown(&changed);
            note_changes(&request, changes::between(&shown(&app), &data));
            Ok(HttpResponse::Ok().json(json!({ "data": data })))
        }
        other => Err(HubError::Internal(format!("a change of an app was answered with {other:?}")).into()),
    }
}

/// Deletes an app. It answers once every reachable node has cut its clients off.
pub async fn remove(
    request: HttpRequest,
    edge: Data<Edge>,
    path: Path<(String, String)>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let (map, key) = path.into_inner();
    let grant = edge.managed(&request, &map).await?;
    body.none().await?;
    let app = app_of(&edge, &grant.map, &key)?;
    let gone = DeleteApp { map: grant.map.id, by: grant.who.by(), token: app.token, from: Origin::Api };
    edge.hub.log().propose_everywhere(&Command::DeleteApp(gone)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// The map's app with that key. A key of another map looks like one that nobody has.
fn app_of(edge: &Edge, map: &Map, key: &str) -> Result<Arc<App>, ApiError> {
    let access = edge.hub.access().known();
    let app = access.apps().with_key(key).filter(|app| app.map == map.id);
    app.cloned().ok_or_else(|| ApiError::not_found("the app"))
}

fn shown(app: &App) -> Value {
    let origins: Vec<&str> = app.origins.iter().map(|origin| origin.as_str()).collect();
    json!({
        "app_id": app.id,
        "key": app.key,
        "client_events": app.client_events,
        "origins": origins,
        "max_connections": app.max_connections,
        "origin": match app.origin {
            Origin::Api => "api",
            Origin::Config => "config",
        },
        "inserted_at": iso_millis(app.inserted_ms),
    })
}
