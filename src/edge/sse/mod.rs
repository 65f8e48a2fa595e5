//! Server-sent events at `/api/maps/{map}/events/stream`.
//!
//! Wire source: Wanderer's event stream and the HTML standard. The greeting's id is the position right before
//! the first event that comes. So a connection that breaks before that event, or in the middle of a backfill,
//! loses nothing. An event is never split over chunks.

mod form;

use form::SseForm;

use crate::config::Config;
use crate::core::error_code::Code;
use crate::core::history::Position;
use crate::core::ids::MapId;
use crate::core::time::iso_millis;
use crate::delivery::{Dispatcher, EventStream, OutboundBody, Subscriber};
use crate::edge::Routes;
use crate::edge::auth::bearer;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::event_stream::{self, event_stream};
use crate::edge::given::{BadParameter, Given};
use crate::edge::paths::at;
use crate::edge::query::{Query, Takes};
use crate::edge::refused::Refused;
use crate::edge::sessions::SessionKind;
use crate::edge::start::OF_SUBSCRIPTION;
use crate::edge::subscribe::{self, Asked, Wanted};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use serde_json::json;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

const PATH: &str = "/api/maps/{map}/events/stream";
const NAMES: &[&str] = &[
    "token",
    "subjects",
    "events",
    "filter",
    "last_event_id",
    LAST_EVENT_ID_OF_POLYFILLS,
    "since",
    "backfill",
    NAMED,
];
/// The parameter that says whether events have their types as names.
const NAMED: &str = "named";
/// The header that browsers send when they reconnect.
const LAST_EVENT_ID: &str = "last-event-id";
/// The parameter that polyfills of EventSource send in its place, because they can't set headers everywhere.
const LAST_EVENT_ID_OF_POLYFILLS: &str = "lastEventId";

/// The query parameters of the stream.
pub const TAKES: &[Takes] = &[Takes::of("GET", PATH, NAMES)];
/// The headers that only event streams read.
pub const HEADERS: &[&str] = &[LAST_EVENT_ID];

/// Settings of event streams.
struct Settings {
    /// Time between keep-alives.
    keep_alive: Duration,
}

fn settings(config: &Config) -> Settings {
    Settings { keep_alive: Duration::from_secs(config.session.sse_keepalive_seconds) }
}

/// Prepares event streams on a node.
pub fn start(config: &Config, _: &Data<Edge>) -> Routes {
    let settings = Data::new(settings(config));
    Arc::new(move |service| {
        service.app_data(settings.clone()).service(at(PATH).get(stream));
    })
}

async fn stream(
    request: HttpRequest,
    edge: Data<Edge>,
    settings: Data<Settings>,
    map: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request, NAMES)?;
    match open(&request, &query, &edge, map.into_inner()).await {
        Ok((greeting, subscriber)) => {
            let body = body(&request, &edge, greeting, subscriber, settings.keep_alive);
            Ok(event_stream().body(body))
        }
        Err(refused) => event_stream::answer(&request, refused),
    }
}

/// Opens the subscription. Returns the greeting, and the subscriber with the subscription.
async fn open(
    request: &HttpRequest,
    query: &Query<'_>,
    edge: &Edge,
    map: String,
) -> Result<(String, Rc<Subscriber>), Refused> {
    edge.check_origin(request)?;
    let token = bearer(request).or(query.get("token"));
    let who = edge.authenticate_on(request, token, Some(map.as_str())).await?;
    let opener = who.clone();
    let wanted = Wanted::read(&OF_SUBSCRIPTION, |name| given(request, query, name))?;
    let dispatcher = Dispatcher::of_this_thread(&edge.hub, &edge.config.dispatcher);
    let counted = edge.count_session(request, &who, SessionKind::Socket).await?;
    let named = named(query)?;
    let form = Box::new(move |map| Arc::new(SseForm::new(map, named)) as _);
    let quota = Rc::default();
    let asked = Asked { who, map, wanted, form, quota, count: false, tells_start: true, former: None };
    let opened = subscribe::open(&dispatcher, asked).await?;
    let greeting = greeting(edge, opened.grant.map.id, opened.position);
    // One event per chunk: at least one real client can't put an event together from two chunks.
    let subscriber = Subscriber::new(&dispatcher, &opener, 1);
    subscriber.hold(counted);
    opened.attach(&dispatcher, &subscriber, true);
    Ok((greeting, subscriber))
}

/// Whether events have their types as names.
fn named(query: &Query<'_>) -> Result<bool, BadParameter> {
    match query.get(NAMED) {
        None | Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(_) => Err(BadParameter::new(NAMED, Code::InvalidNamed, "named must be true or false")),
    }
}

/// The body that sends the greeting, the events of the subscriber, and keep-alives.
fn body(
    request: &HttpRequest,
    edge: &Edge,
    greeting: String,
    subscriber: Rc<Subscriber>,
    keep_alive: Duration,
) -> OutboundBody {
    let dispatcher = Dispatcher::of_this_thread(&edge.hub, &edge.config.dispatcher);
    let words = EventStream::new(greeting.into(), Bytes::from_static(b": keepalive\n\n"), keep_alive);
    OutboundBody::new(&dispatcher, subscriber, request, Box::pin(words), "sse", false)
}

/// The value of a parameter. For the last event id, the standard header wins: it is newer than the value that
/// a page wrote into the address. An empty header counts as absent, and then the query's value is used.
fn given<'r>(request: &'r HttpRequest, query: &'r Query<'_>, name: &str) -> Option<Given<'r>> {
    if name != "last_event_id" {
        return query.given(name);
    }
    let header = request.headers().get(LAST_EVENT_ID).and_then(|value| value.to_str().ok());
    let reconnected = header.filter(|id| !id.is_empty()).or(query.get(LAST_EVENT_ID_OF_POLYFILLS));
    reconnected.map(Given::Text).or(query.given(name))
}

/// The first frame: the position before the first event that comes, and whether history is gone.
fn greeting(edge: &Edge, map: MapId, position: Position) -> String {
    let before = position.before.to_string();
    let server_time = iso_millis(edge.hub.clock().time_ms());
    let mut greeting =
        json!({"map_id": map.to_string(), "server_time": server_time, "last_event_id": before});
    if let Some(oldest) = position.gap {
        greeting["gap"] = true.into();
        greeting["oldest_id"] = oldest.map(|id| id.to_string()).into();
    }
    format!("event: connected\nid: {before}\ndata: {greeting}\n\n")
}
