//! The routes that Phoenix clients connect to.

use super::form::Transport;
use super::longpoll;
use super::request::{X_PHOENIX_AUTHTOKEN, X_PHOENIX_LONGPOLL_TOKEN, admit, new_socket, version_of};
use super::session::{Client, PhoenixSession};
use super::settings::Settings;
use super::state::Phoenix;
use crate::config::Config;
use crate::delivery::{Dispatcher, Handshake, Subscriber, start_ws};
use crate::edge::consumers::ConsumerReading;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::paths::at;
use crate::edge::query::Takes;
use crate::edge::refused::{NOT_VALID, Refused, long_token};
use crate::edge::sessions::SessionKind;
use crate::edge::upgrade;
use crate::edge::{Routes, Table};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, Result};
use std::sync::Arc;

/// The subprotocol that the server answers with if the client offered one.
const SUBPROTOCOL: &str = "phoenix";
/// The query parameters: those that phoenix.js adds by itself, the token, and those that pages of a Phoenix
/// server send along. A long poll sends its session's token after the map's.
const NAMES: &[&str] = &["token", "map", "vsn", "_csrf_token"];
const MANY: &[&str] = &["token"];

/// The headers that only Phoenix reads.
pub const HEADERS: &[&str] = &[X_PHOENIX_AUTHTOKEN, X_PHOENIX_LONGPOLL_TOKEN];

/// phoenix.js reads the status in the body of a long poll's answer. With this one it reports an error and
/// tries again.
const FORBIDDEN: Option<u16> = Some(403);

/// The query parameters of the routes.
pub const TAKES: &[Takes] = &[
    Takes::of("GET", "/socket/events/websocket", NAMES),
    Takes { many: MANY, told: FORBIDDEN, ..Takes::of("GET", "/socket/events/longpoll", NAMES) },
    Takes { many: MANY, told: FORBIDDEN, ..Takes::of("POST", "/socket/events/longpoll", NAMES) },
];

/// Prepares Phoenix on a node.
pub fn start(config: &Config, edge: &Data<Edge>) -> Routes {
    let (longpolls, relays) = Default::default();
    let phoenix = Data::new(Phoenix { settings: Settings::of(config), longpolls, relays });
    longpoll::serve_relay(edge, &phoenix);
    Arc::new(move |service| add(service.app_data(phoenix.clone())))
}

/// Adds `/socket/events/websocket` and `/socket/events/longpoll`.
fn add(config: &mut Table<'_>) {
    config.service(at("/socket/events/websocket").get(websocket)).service(
        at("/socket/events/longpoll")
            .on(Method::GET, longpoll::poll)
            .on(Method::HEAD, longpoll::head)
            .post(longpoll::push),
    );
}

async fn websocket(
    request: HttpRequest,
    payload: Payload,
    edge: Data<Edge>,
    phoenix: Data<Phoenix>,
) -> Result<HttpResponse> {
    let handshake = match Handshake::read(&request, &[SUBPROTOCOL]) {
        Ok(handshake) => handshake,
        Err(bad) => {
            return Ok(upgrade::refusal(bad, "give phoenix.js the base address, it appends /websocket"));
        }
    };
    let version = version_of(&request)?;
    let who = admit(&request, &edge).await.map_err(at_upgrade)?;
    let dispatcher = Dispatcher::of_this_thread(&edge.hub, &edge.config.dispatcher);
    if let Some(unavailable) = edge.turns_away() {
        return Err(ApiError::from(Refused::from(unavailable)).into());
    }
    let counted = edge.count_session(&request, &who, SessionKind::Socket).await;
    let counted = counted.map_err(|quota| ApiError::from(Refused::from(quota)))?;
    let socket = new_socket(&edge.hub).map_err(|unavailable| ApiError::from(Refused::from(unavailable)))?;
    let subscriber = Subscriber::new(&dispatcher, &who, edge.config.write_bytes);
    subscriber.hold(counted);
    let consumers = ConsumerReading::of(&request);
    let client = Client { who, socket, version, transport: Transport::WebSocket, consumers };
    let session = PhoenixSession::new(&dispatcher, subscriber, client, &phoenix.settings);
    start_ws(&request, (handshake, payload), &dispatcher, session, &phoenix.settings.ws)
}

/// A refused socket gets 403 at the upgrade, the only status that clients of Phoenix know.
fn at_upgrade(refused: Refused) -> ApiError {
    match refused {
        Refused::NoToken => {
            ApiError::forbidden(refused.to_string()).hint("connect with params: {token: \"…\"}")
        }
        Refused::Unauthorized => ApiError::forbidden(refused.to_string()).hint(NOT_VALID),
        Refused::LongToken { most_s } => long_token(StatusCode::FORBIDDEN, most_s),
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_socket_without_a_token_is_told_where_a_token_stands() {
        let hint = |refused: Refused| at_upgrade(refused).body()["hint"].to_string();
        let (none, wrong) = (hint(Refused::NoToken), hint(Refused::Unauthorized));
        assert!(none.contains("params"), "{none}");
        assert!(wrong.contains("was revoked") && !wrong.contains("params"), "{wrong}");
    }
}
