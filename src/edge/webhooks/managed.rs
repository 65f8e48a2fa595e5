//! Extracts the webhook that a request names, and checks the right to it, before a handler runs.

use super::error::Problem;
use super::{settings, unexpected};
use crate::core::error_code::Code;
use crate::core::ids::WebhookId;
use crate::core::webhook::Webhook;
use crate::edge::auth::bearer;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::query::Query;
use crate::hub::{Grant, Who};
use actix_web::dev::Payload;
use actix_web::web::{Data, Path};
use actix_web::{FromRequest, HttpRequest};
use futures_util::future::LocalBoxFuture;
use serde::Deserialize;
use std::sync::Arc;

/// The right to manage a map's webhooks and consumers. This node has caught up, and the request is charged.
pub(in crate::edge) struct Manager(pub(in crate::edge) Grant);

/// The same right, and the webhook of the path, if it belongs to the map. A path may name a consumer that
/// clients read in its place.
pub(in crate::edge) struct Managed {
    pub(in crate::edge) grant: Grant,
    pub(in crate::edge) webhook: Arc<Webhook>,
}

/// The query parameter of paths without a map: the admin names the map with it.
pub(super) const NAMES: &[&str] = &["map"];

/// A map in the path.
#[derive(Deserialize)]
struct OfMap {
    map: Option<String>,
}

/// A webhook in the path, by its id, or a consumer, by its name.
#[derive(Deserialize)]
struct OfWebhook {
    id: Option<String>,
    consumer: Option<String>,
}

impl FromRequest for Manager {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let edge = request.app_data::<Data<Edge>>().ok_or_else(unexpected)?;
            let named = Path::<OfMap>::extract(&request).await.ok().and_then(|path| path.into_inner().map);
            let map = match named {
                Some(map) => map,
                None => own_map(edge, &request).await?,
            };
            let grant = edge.managed(&request, &map).await?;
            settings::await_encryption(edge).await;
            Ok(Self(grant))
        })
    }
}

impl FromRequest for Managed {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let manager = Manager::from_request(request, payload);
        let request = request.clone();
        Box::pin(async move {
            let Manager(grant) = manager.await?;
            let edge = request.app_data::<Data<Edge>>().ok_or_else(unexpected)?;
            let path = Path::<OfWebhook>::extract(&request).await.map_err(|_| Problem::NoWebhook)?;
            let webhook = named(edge, &grant, &path)?;
            Ok(Self { grant, webhook })
        })
    }
}

/// The webhook or the consumer that the path names, if it belongs to the map.
fn named(edge: &Edge, grant: &Grant, path: &OfWebhook) -> Result<Arc<Webhook>, Problem> {
    if let Some(name) = &path.consumer {
        let webhooks = edge.hub.webhooks().directory();
        return webhooks.read_by_name(grant.map.id, name).cloned().ok_or(Problem::NoConsumer);
    }
    webhook_of(edge, grant, path.id.as_deref().unwrap_or_default())
}

/// The webhook of that id, if it belongs to the map.
pub(super) fn webhook_of(edge: &Edge, grant: &Grant, id: &str) -> Result<Arc<Webhook>, Problem> {
    let id: WebhookId = id.parse().map_err(|_| Problem::NoWebhook)?;
    let webhooks = edge.hub.webhooks().directory();
    let found = webhooks.get(id).filter(|webhook| webhook.map == grant.map.id && !webhook.is_read());
    found.cloned().ok_or(Problem::NoWebhook)
}

/// The map of the token. The admin names one.
async fn own_map(edge: &Edge, request: &HttpRequest) -> Result<String, Problem> {
    match edge.authenticate(request, bearer(request)).await.map_err(ApiError::from)? {
        Who::Token(token) => Ok(token.map.to_string()),
        Who::Admin => {
            let named = Query::of(request, NAMES)?.get("map").map(str::to_owned);
            let needed =
                || ApiError::bad_request(Code::MapNeeded, "with the admin token, name the map: ?map=…");
            Ok(named.ok_or_else(needed)?)
        }
    }
}
