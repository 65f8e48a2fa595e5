//! The routes of live sessions.

use super::door::count_stranger;
use super::publish;
use super::session::LiveSession;
use super::settings::Settings;
use crate::config::Config;
use crate::core::ids::SocketId;
use crate::delivery::{Dispatcher, Handshake, Subscriber, start_ws};
use crate::edge::clients::Client;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::paths::at;
use crate::edge::query::Takes;
use crate::edge::refused::{Refused, Unavailable};
use crate::edge::upgrade;
use crate::edge::{Routes, Table};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, Result};
use std::rc::Rc;
use std::sync::Arc;

const LIVE: &str = "/api/sessions/live";
const SESSIONS: &str = "/api/sessions";
const GAMES: &str = "/api/sessions/{session}/games";
const CLOSE: &str = "/api/sessions/{session}/close";
const PLAYER_COUNT: &str = "/api/sessions/{session}/games/{game}/player-count";
const VOTES: &str = "/api/votes/live";
/// What a caller is told who asks for no WebSocket.
const HINT: &str = "clients of live sessions connect here and send {\"type\":\"auth\",\"token\":…} first";

/// The headers that only this protocol reads.
pub const HEADERS: &[&str] = &[];

/// The query parameters of the routes: the admin names the map.
pub const TAKES: &[Takes] = &[
    Takes::of("POST", SESSIONS, publish::NAMES),
    Takes::of("POST", GAMES, publish::NAMES),
    Takes::of("POST", CLOSE, publish::NAMES),
    Takes::of("PATCH", PLAYER_COUNT, publish::NAMES),
    Takes::of("POST", VOTES, publish::NAMES),
];

/// Prepares live sessions on a node.
pub fn start(config: &Config, _: &Data<Edge>) -> Routes {
    if !config.live.enabled {
        return Arc::new(|_: &mut Table<'_>| ());
    }
    let settings = Data::new(Settings::of(config));
    Arc::new(move |service| add(service.app_data(settings.clone())))
}

/// Adds the socket, and the routes of back ends.
fn add(service: &mut Table<'_>) {
    service
        .service(at(LIVE).get(connect))
        .service(at(SESSIONS).post(publish::start))
        .service(at(GAMES).post(publish::add_game))
        .service(at(CLOSE).post(publish::close))
        .service(at(PLAYER_COUNT).patch(publish::count_players))
        .service(at(VOTES).post(publish::vote));
}

async fn connect(
    request: HttpRequest,
    payload: Payload,
    edge: Data<Edge>,
    settings: Data<Settings>,
) -> Result<HttpResponse> {
    let handshake = match Handshake::read(&request, &[]) {
        Ok(handshake) => handshake,
        Err(bad) => return Ok(upgrade::refusal(bad, HINT)),
    };
    let dispatcher = Dispatcher::of_this_thread(&edge.hub, &edge.config.dispatcher);
    let (subscriber, socket) = admit(&request, &edge, &dispatcher).map_err(ApiError::from)?;
    if let Some(client) = request.conn_data::<Client>() {
        client.hear_out();
    }
    let config = settings.ws.clone();
    let session = LiveSession::new(&dispatcher, subscriber, (edge, settings), request.clone(), socket);
    start_ws(&request, (handshake, payload), &dispatcher, session, &config)
}

/// Admits a client of whom nothing is known but its address.
fn admit(
    request: &HttpRequest,
    edge: &Edge,
    dispatcher: &Rc<Dispatcher>,
) -> std::result::Result<(Rc<Subscriber>, SocketId), Refused> {
    edge.check_origin(request)?;
    if edge.hub.health().is_removed() {
        return Err(Unavailable::Removed.into());
    }
    if let Some(unavailable) = edge.turns_away() {
        return Err(unavailable.into());
    }
    let counted = count_stranger(edge, request)?;
    let random = getrandom::u64().map_err(|_| Unavailable::Slow)?;
    let subscriber = Subscriber::of_stranger(dispatcher, edge.config.write_bytes);
    subscriber.hold(counted);
    Ok((subscriber, SocketId::new(edge.hub.node_id(), random)))
}
