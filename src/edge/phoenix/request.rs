//! What a Phoenix client's request says about the client: its token, and the version that it speaks.

use super::frame::Version;
use super::longpoll::is_session_token;
use crate::core::error_code::Code;
use crate::core::ids::SocketId;
use crate::edge::auth::bearer;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::refused::{Refused, Unavailable};
use crate::hub::{Hub, Who};
use actix_web::HttpRequest;
use actix_web::http::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// Prefix of the subprotocol that carries a token, in base64url.
const BEARER: &str = "base64url.bearer.phx.";

/// The header in which clients send their `authToken`.
pub(super) const X_PHOENIX_AUTHTOKEN: &str = "x-phoenix-authtoken";
/// The header in which newer clients send their session's token.
pub(super) const X_PHOENIX_LONGPOLL_TOKEN: &str = "x-phoenix-longpoll-token";

/// Authenticates the client that connects.
pub(super) async fn admit(request: &HttpRequest, edge: &Edge) -> Result<Who, Refused> {
    edge.check_origin(request)?;
    // If the client names its map, only the issuers of this map are asked, whatever issuers others have.
    let map = query(request, "map");
    edge.authenticate_on(request, token_of(request).as_deref(), map.as_deref()).await
}

/// The id of a new session of this node.
pub(super) fn new_socket(hub: &Hub) -> Result<SocketId, Unavailable> {
    let random = getrandom::u64().map_err(|_| Unavailable::Slow)?;
    Ok(SocketId::new(hub.node_id(), random))
}

pub(super) fn version_of(request: &HttpRequest) -> Result<Version, ApiError> {
    Version::from_query(query(request, "vsn").as_deref())
        .ok_or_else(|| ApiError::bad_request(Code::UnknownVersion, "vsn must be 1.0.0 or 2.0.0"))
}

/// The client's token: from a subprotocol, a header, or the first token of the query (a long poll adds its
/// session's).
fn token_of(request: &HttpRequest) -> Option<String> {
    let offered = request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).filter_map(|value| value.to_str().ok());
    let in_protocol = offered
        .flat_map(|value| value.split(','))
        .filter_map(|name| from_base64(name.trim().strip_prefix(BEARER)?))
        .find_map(|token| String::from_utf8(token).ok());
    in_protocol
        .or_else(|| bearer(request).map(str::to_owned))
        // A long poll of phoenix.js sends its `authToken` here.
        .or_else(|| text_of(request.headers().get(X_PHOENIX_AUTHTOKEN)))
        .or_else(|| all(request, "token").find(|token| !is_session_token(token)))
}

/// phoenix.js calls it base64url but sends the output of `btoa` without padding. So both alphabets are
/// accepted.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).or_else(|_| STANDARD_NO_PAD.decode(text)).ok()
}

/// A header's text. A header that is not UTF-8 counts as a wrong token, not as an absent one.
pub(super) fn text_of(header: Option<&HeaderValue>) -> Option<String> {
    header.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// The first value of a query parameter.
pub(super) fn query(request: &HttpRequest, name: &str) -> Option<String> {
    all(request, name).next()
}

/// All values of a query parameter, decoded.
pub(super) fn all<'r>(request: &'r HttpRequest, name: &'r str) -> impl Iterator<Item = String> + 'r {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(request.query_string()).unwrap_or_default();
    pairs.into_iter().filter(move |(key, _)| key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_alphabets_of_base64() {
        for text in ["c3ViamVjdD8_Pj4-", "c3ViamVjdD8/Pj4+"] {
            assert_eq!(from_base64(text).as_deref(), Some(&b"subject??>>>"[..]), "{text}");
        }
        assert_eq!(from_base64("c3ViamVjdD8_Pj4+"), None);
    }
}
