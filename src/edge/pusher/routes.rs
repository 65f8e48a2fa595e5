//! The route that clients of the Pusher protocol connect to.

use super::close::Close;
use super::quota::{self, Place, of_quota};
use super::session::PusherSession;
use super::settings::Settings;
use super::state::Pusher;
use super::{api, frame};
use crate::config::Config;
use crate::core::ids::SocketId;
use crate::delivery::{Dispatcher, Handshake, Subscriber, refuse_ws, start_ws};
use crate::edge::auth::{Counted, know};
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::paths::at;
use crate::edge::query::{Query, Takes};
use crate::edge::refused::Refused;
use crate::edge::sessions::SessionKind;
use crate::edge::upgrade;
use crate::edge::{Routes, Table};
use crate::hub::OpenApp;
use actix_web::http::header::ORIGIN;
use actix_web::web::{Data, Path, Payload};
use actix_web::{HttpRequest, HttpResponse, ResponseError, Result};
use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Where clients connect.
const APP: &str = "/app/{key}";
/// Every other path beside it. A client learns that nothing is there.
const ELSEWHERE: &str = "/app/{path:.*}";
/// Most characters of a page's origin that a refusal repeats.
const SHOWN_OF_ORIGIN: usize = 200;
/// The query parameters that clients add by themselves.
const NAMES: &[&str] = &["protocol", "client", "version", "flash"];
/// The versions of the protocol that the server speaks.
const VERSIONS: RangeInclusive<u32> = 5..=7;
/// What a caller is told who asks for no WebSocket.
const HINT: &str = "clients of the Pusher protocol connect here, with a key of the map";

/// The headers that only this protocol reads.
pub const HEADERS: &[&str] = &[];

const SOCKETS: [Takes; 3] = [
    Takes::of("GET", APP, NAMES),
    Takes { any: true, ..Takes::of("GET", ELSEWHERE, &[]) },
    Takes { any: true, ..Takes::of("POST", ELSEWHERE, &[]) },
];

/// The query parameters of the routes.
pub const TAKES: &[Takes] = &joined();

const fn joined() -> [Takes; SOCKETS.len() + api::TAKES.len()] {
    let mut all = [SOCKETS[0]; SOCKETS.len() + api::TAKES.len()];
    let mut place = 1;
    while place < all.len() {
        all[place] = if place < SOCKETS.len() { SOCKETS[place] } else { api::TAKES[place - SOCKETS.len()] };
        place += 1;
    }
    all
}

/// Prepares the protocol on a node.
pub fn start(config: &Config, edge: &Data<Edge>) -> Routes {
    if !config.pusher.enabled {
        return Arc::new(|_: &mut Table<'_>| ());
    }
    let pusher = Data::new(Pusher::new(Settings::of(config)));
    quota::serve(edge, pusher.sockets.clone());
    api::serve(edge, &pusher);
    if let Some(every) = pusher.settings.subscription_count {
        actix_rt::spawn(pusher.counts.clone().run(edge.hub.clone(), every));
    }
    Arc::new(move |service| add(service.app_data(pusher.clone())))
}

/// Adds `/app/{key}` and the HTTP API.
fn add(service: &mut Table<'_>) {
    service.service(at(APP).get(connect)).service(at(ELSEWHERE).get(elsewhere).post(elsewhere));
    api::routes(service);
}

async fn connect(
    request: HttpRequest,
    payload: Payload,
    edge: Data<Edge>,
    pusher: Data<Pusher>,
    key: Path<String>,
) -> Result<HttpResponse> {
    let handshake = match Handshake::read(&request, &[]) {
        Ok(handshake) => handshake,
        Err(bad) => return Ok(upgrade::refusal(bad, HINT)),
    };
    let dispatcher = Dispatcher::of_this_thread(&edge.hub, &edge.config.dispatcher);
    let (app, place, counted) = match admit(&request, &edge, &pusher, &key).await {
        Ok(admitted) => admitted,
        Err(denial) => return Ok(refuse(handshake, denial)),
    };
    let subscriber = Subscriber::new(&dispatcher, &app.who(), edge.config.write_bytes);
    subscriber.hold(counted);
    let Ok(random) = getrandom::u64() else {
        return Ok(refuse(handshake, Close::Unavailable.into()));
    };
    let socket = SocketId::new(edge.hub.node_id(), random);
    let settings = pusher.settings.ws.clone();
    let session = PusherSession::new(&dispatcher, subscriber, pusher, (app, socket), place);
    start_ws(&request, (handshake, payload), &dispatcher, session, &settings)
}

/// Nothing is there. A back end may have taken the path of clients for its own.
async fn elsewhere(request: HttpRequest) -> HttpResponse {
    match Handshake::read(&request, &[]) {
        Ok(handshake) => refuse(handshake, Close::UnknownPath.into()),
        Err(_) => ApiError::not_found("this path")
            .hint("clients connect at /app/KEY, and back ends call /apps/APP_ID/…")
            .error_response(),
    }
}

/// Why a client is not let in.
struct Denial {
    close: Close,
    /// What the error frame says. The close frame has room for [`Close::message`] alone.
    told: Cow<'static, str>,
}

impl From<Close> for Denial {
    fn from(close: Close) -> Self {
        Self { close, told: close.message().into() }
    }
}

impl Denial {
    /// A refusal of pages of that origin.
    fn of_origin(close: Close, origin: Option<&str>) -> Self {
        let shown: String = origin.unwrap_or_default().chars().take(SHOWN_OF_ORIGIN).collect();
        Self { close, told: format!("{} (the page's origin is {shown})", close.message()).into() }
    }
}

/// Opens the WebSocket only to say why it ends. Clients know no status of HTTP.
fn refuse(handshake: Handshake, Denial { close, told }: Denial) -> HttpResponse {
    refuse_ws(handshake, &frame::error(Some(close.code()), &told), close.code(), close.message())
}

/// Lets a client in.
async fn admit(
    request: &HttpRequest,
    edge: &Edge,
    pusher: &Pusher,
    key: &str,
) -> Result<(Arc<OpenApp>, Place, Counted), Denial> {
    check_version(request)?;
    if edge.turns_away().is_some() || edge.hub.health().is_removed() {
        return Err(Close::Unavailable.into());
    }
    let app = edge.app_with_key(request, key).await.map_err(|refused| match refused {
        Refused::NoToken
        | Refused::Unauthorized
        | Refused::LongToken { .. }
        | Refused::NotFound
        | Refused::Forbidden(_)
        | Refused::NotOfLink(_) => Close::UnknownApp,
        Refused::TooManyFailures { .. } => Close::OverCapacity,
        Refused::Origin => Close::Origin,
        Refused::Parameter(_) | Refused::Quota(_) | Refused::Unavailable(_) => Close::Unavailable,
    })?;
    let origin = request.headers().get(ORIGIN).and_then(|origin| origin.to_str().ok());
    if edge.check_origin(request).is_err() {
        return Err(Denial::of_origin(Close::Origin, origin));
    }
    if !app.allows_origin(origin) {
        return Err(Denial::of_origin(Close::OriginOfApp, origin));
    }
    know(request);
    // Before the limits of the app and the map: an address with too many sockets uses up nothing of them.
    let counted = edge.count_session(request, &app.who(), SessionKind::Socket).await.map_err(of_quota)?;
    let place = Place::take(edge, pusher, &app).await?;
    // The app may have been deleted meanwhile. From now on the dispatcher hears of it.
    if edge.hub.apps().by_key(key).is_none_or(|known| known.token.id != app.token.id) {
        return Err(Close::UnknownApp.into());
    }
    Ok((app, place, counted))
}

/// Checks the version of the protocol that the client names.
fn check_version(request: &HttpRequest) -> Result<(), Close> {
    let query = Query::of(request, NAMES).map_err(|_| Close::BadVersion)?;
    let version = query.get("protocol").filter(|version| !version.is_empty()).ok_or(Close::NoVersion)?;
    let version: u32 = version.parse().map_err(|_| Close::BadVersion)?;
    if VERSIONS.contains(&version) { Ok(()) } else { Err(Close::UnsupportedVersion) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn a_page_that_is_refused_learns_its_origin_and_what_keeps_it_out() {
        for (close, setting) in
            [(Close::Origin, "limits.origins"), (Close::OriginOfApp, "`origins` of the app")]
        {
            let Denial { close, told } = Denial::of_origin(close, Some("https://evil.example"));
            assert_eq!(close.code(), 4009);
            assert!(told.contains("https://evil.example") && told.contains(setting), "{told}");
        }
        let long = Denial::of_origin(Close::Origin, Some(&"x".repeat(10_000))).told;
        assert!(long.len() < 400, "{}", long.len());
    }

    #[test]
    fn a_client_names_a_version_that_is_spoken() {
        for (query, expected) in [
            ("protocol=7&client=js&version=8.6.0&flash=false", Ok(())),
            ("client=py&version=1.0&protocol=6", Ok(())),
            ("protocol=8", Err(Close::UnsupportedVersion)),
            ("protocol=4", Err(Close::UnsupportedVersion)),
            ("protocol=7.1", Err(Close::BadVersion)),
            ("protocol=x", Err(Close::BadVersion)),
            ("protocol=", Err(Close::NoVersion)),
            ("client=js", Err(Close::NoVersion)),
            ("", Err(Close::NoVersion)),
        ] {
            let request = TestRequest::with_uri(&format!("/app/key?{query}")).to_http_request();
            assert_eq!(check_version(&request), expected, "{query}");
        }
    }
}
