//! Portal links: the pages of a map's webhooks and consumers for the users of a tenant.
//!
//! A link has two parts. Its path says which pages may frame it, because the server must know that before it
//! sends the page. Its fragment, which browsers send nowhere, is the token with which the page asks the API.

use super::pages;
use super::session::{console_of, map_shown};
use crate::core::console::{Asked, Link, LinkPage};
use crate::core::time::iso_millis;
use crate::edge::audit::facts::note_map;
use crate::edge::auth::{bearer, know};
use crate::edge::body::Body;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::kept;
use crate::edge::people;
use crate::edge::refused::{Refused, Unavailable};
use crate::hub::EncryptionError;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

const MS_PER_MINUTE: u64 = 60_000;

/// Makes a link. It ends at its time, or when its maker may not manage the map any more.
pub(super) async fn create(
    request: HttpRequest,
    edge: Data<Edge>,
    map: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let grant = edge.managed(&request, &map).await?;
    let maker = edge.credential(&request).await?;
    let Asked { minutes, scopes, theme, origins } = body.object(Asked::read).await?;
    let console = console_of(&edge)?;
    let encryption = kept::encryption(&edge.hub).await?;
    let end_ms = edge.hub.clock().time_ms().saturating_add(minutes.saturating_mul(MS_PER_MINUTE));
    let page = LinkPage { origins, end_ms, theme: theme.clone() };
    let link = Link { map: grant.map.id, scopes, maker, end_ms, theme };
    let failed = |error: EncryptionError| ApiError::unavailable(error.to_string());
    let policy = kept::new_page(&encryption, &page).map_err(failed)?;
    let token = kept::new_link(&encryption, &link).map_err(failed)?;
    let url = format!("{}/portal/{policy}#{token}", console.base);
    Ok(HttpResponse::Created().json(json!({"data": {"url": url, "expires_at": iso_millis(end_ms)}})))
}

/// The page of a link. It shows nothing by itself: its token does not come with this request. That a link has
/// ended is told in a page, too.
pub(super) async fn page(
    request: HttpRequest,
    edge: Data<Edge>,
    policy: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let found = page_of(&request, &edge, &policy).await;
    found.or_else(|error| people::told(&request, error))
}

async fn page_of(request: &HttpRequest, edge: &Edge, policy: &str) -> Result<HttpResponse, ApiError> {
    let encryption = kept::encryption(&edge.hub).await?;
    let now_ms = edge.hub.clock().time_ms();
    let page = kept::page(&encryption, policy).filter(|page| page.end_ms > now_ms);
    let page = page.ok_or_else(|| {
        ApiError::not_found("this portal link").hint("it has ended, or is incomplete: ask for a new one")
    })?;
    pages::portal(request, &page)
}

/// What the link of the request's token opens.
pub(super) async fn show(request: HttpRequest, edge: Data<Edge>) -> Result<HttpResponse, ApiError> {
    if edge.hub.health().is_removed() {
        return Err(Refused::from(Unavailable::Removed).into());
    }
    let token = bearer(&request).ok_or(Refused::NoToken)?;
    let (link, _) = edge.link(&request, token).await?;
    know(&request);
    note_map(&request, link.map);
    let map = edge.hub.access().known().map(link.map).cloned().ok_or(Refused::Unauthorized)?;
    Ok(HttpResponse::Ok().json(json!({"data": {
        "map": map_shown(&map, None),
        "scopes": link.scopes.names(),
        "theme": link.theme.shown(),
        "expires_at": iso_millis(link.end_ms),
    }})))
}
