//! Who makes a signed request, and the body of the request.

use super::signature::{self, SignatureError, Signed};
use crate::edge::addresses::address_of;
use crate::edge::auth::know;
use crate::edge::body::Body;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::query::Query;
use crate::edge::refused::{Refused, Unavailable};
use crate::hub::Grant;
use actix_web::HttpRequest;
use actix_web::http::Method;

/// The back end of an app, which signed the request.
pub(super) struct Caller<'r> {
    /// The app's map, and the token as which the app acts.
    pub(super) grant: Grant,
    /// The request's query.
    pub(super) query: Query<'r>,
}

impl<'r> Caller<'r> {
    /// Checks the signature of a request to the app with that id. The route takes the query parameters
    /// `names`. From then on the server reads the request's body.
    ///
    /// # Errors
    /// 401 with a reason; 429 for an address that failed too often; 503 if this node can't know.
    pub(super) async fn of(
        request: &'r HttpRequest,
        edge: &Edge,
        id: &str,
        names: &'static [&'static str],
    ) -> Result<Self, ApiError> {
        if edge.hub.health().is_removed() {
            return Err(Refused::from(Unavailable::Removed).into());
        }
        let query = Query::of(request, names)?;
        let signed = Signed::of(names.iter().filter_map(|name| Some((*name, query.get(name)?))))?;
        signed.check_time(edge.hub.clock().time_ms() / 1000)?;
        match *request.method() {
            Method::POST => signed.covers_body()?,
            _ => query.get(signature::BODY_MD5).map_or(Ok(()), |md5| signature::check_body(md5, b""))?,
        }
        let app = edge.app_with(request, id, signed.key).await.map_err(unknown_key)?;
        if let Err(error) = signed.check(&app.secret, request.method().as_str(), &paths(request)) {
            edge.failures.check(address_of(request))?;
            edge.failures.count(address_of(request));
            return Err(error.into());
        }
        let map = edge.hub.access().known().map(app.map).cloned().ok_or(SignatureError::UnknownKey)?;
        know(request);
        Ok(Self { grant: Grant { map, who: app.who() }, query })
    }

    /// Reads the body, and checks that it is the one that was signed.
    pub(super) async fn body(&self, body: Body) -> Result<String, ApiError> {
        let text = body.text().await?;
        let md5 = self.query.get(signature::BODY_MD5).unwrap_or_default();
        signature::check_body(md5, text.as_bytes())?;
        Ok(text)
    }

    /// Does the same with a body that has events. A body is longer than its events, so what exceeds the map's
    /// rate is refused before it is read.
    pub(super) async fn events(&self, edge: &Edge, body: Body) -> Result<String, ApiError> {
        let Grant { map, who } = &self.grant;
        let length = body.length().filter(|length| *length <= edge.config.body_bytes as u64);
        let reserved = edge.hub.publisher().reserve(map, who.by(), length.unwrap_or_default())?;
        let text = self.body(body).await?;
        drop(reserved);
        Ok(text)
    }
}

/// A refusal of the app's key, in the terms of signatures. An unknown app looks like a key of another app.
fn unknown_key(refused: Refused) -> ApiError {
    match refused {
        Refused::Unauthorized => SignatureError::UnknownKey.into(),
        other => other.into(),
    }
}

/// The forms of the path that the client may have signed: as it was sent, and before it was percent-encoded.
fn paths(request: &HttpRequest) -> [&str; 2] {
    [request.uri().path(), request.match_info().get_ref().path()]
}
