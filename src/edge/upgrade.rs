//! The answer to a request that should open a WebSocket and can't.

use super::error::ApiError;
use crate::core::error_code::Code;
use crate::delivery::{BadHandshake, WS_VERSION};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, SEC_WEBSOCKET_VERSION, UPGRADE};
use actix_web::{HttpResponse, ResponseError};

/// Says what a request lacks to open a WebSocket. `hint` is for a caller that asked for none.
pub fn refusal(bad: BadHandshake, hint: &str) -> HttpResponse {
    let (status, code) = match bad {
        BadHandshake::NoUpgrade => (StatusCode::UPGRADE_REQUIRED, Code::UpgradeRequired),
        BadHandshake::Version => (StatusCode::UPGRADE_REQUIRED, Code::WebsocketVersion),
        BadHandshake::Http
        | BadHandshake::OtherUpgrade
        | BadHandshake::Connection
        | BadHandshake::Key
        | BadHandshake::Body => (StatusCode::BAD_REQUEST, Code::BadHandshake),
    };
    let error = ApiError::new(status, code, bad.to_string());
    let error = if bad == BadHandshake::NoUpgrade { error.hint(hint) } else { error };
    let mut answer = error.error_response();
    if status == StatusCode::UPGRADE_REQUIRED {
        answer.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        answer.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(WS_VERSION));
    }
    answer
}
