//! Listening to a source: an event stream of what comes in through it, for holders of a token of its map.

use super::form::ListenForm;
use super::opened::known;
use super::state::Ingest;
use crate::core::error_code::Code;
use crate::core::expression::Expression;
use crate::core::filter::Filter;
use crate::core::ids::{MapId, SourceId};
use crate::core::ingest::Source;
use crate::core::subject::Selector;
use crate::delivery::{Dispatcher, EventStream, OutboundBody, Subscriber};
use crate::edge::auth::bearer;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::event_stream::{answer, event_stream};
use crate::edge::given::{BadParameter, Given};
use crate::edge::query::Query;
use crate::edge::refused::Refused;
use crate::edge::sessions::SessionKind;
use crate::edge::start::OF_SUBSCRIPTION;
use crate::edge::subscribe::{self, Asked, FormOf, Wanted};
use crate::hub::Who;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use serde_json::json;
use std::rc::Rc;
use std::sync::Arc;

/// The query parameters.
pub(super) const NAMES: &[&str] =
    &["token", LAST_EVENT_ID_OF_POLYFILLS, "last_event_id", "since", "backfill"];
/// The header that browsers send when they reconnect.
const LAST_EVENT_ID: &str = "last-event-id";
/// The parameter that polyfills of EventSource send in its place.
const LAST_EVENT_ID_OF_POLYFILLS: &str = "lastEventId";

/// `GET /api/webhooks/{id}/events`.
pub(super) async fn listen(
    request: HttpRequest,
    edge: Data<Edge>,
    ingest: Data<Ingest>,
    id: Path<String>,
) -> Result<HttpResponse, ApiError> {
    let query = Query::of(&request, NAMES)?;
    match open(&request, &query, &edge, &id).await {
        Ok((greeting, subscriber)) => {
            let dispatcher = Dispatcher::of_this_thread(&edge.hub, &edge.config.dispatcher);
            let keep_alive = Bytes::from_static(b": keepalive\n\n");
            let words = EventStream::new(greeting.into(), keep_alive, ingest.keep_alive);
            let body = OutboundBody::new(&dispatcher, subscriber, &request, Box::pin(words), "ingest", false);
            Ok(event_stream().body(body))
        }
        Err(refused) => answer(&request, refused),
    }
}

/// Opens the subscription. Returns the greeting, and the subscriber with the subscription.
async fn open(
    request: &HttpRequest,
    query: &Query<'_>,
    edge: &Edge,
    id: &str,
) -> Result<(String, Rc<Subscriber>), Refused> {
    edge.check_origin(request)?;
    let id: Option<SourceId> = id.parse().ok();
    let (source, who) = source_and_reader(request, query, edge, id).await?;
    let opener = who.clone();
    let id = source.id;
    let wanted = Wanted {
        subjects: Selector::All,
        filter: Filter::All,
        expression: Some(only(id)?),
        start: OF_SUBSCRIPTION.read(|name| given(request, query, name))?,
    };
    let dispatcher = Dispatcher::of_this_thread(&edge.hub, &edge.config.dispatcher);
    let counted = edge.count_session(request, &who, SessionKind::Socket).await?;
    let form: FormOf = Box::new(|_: MapId| Arc::new(ListenForm::new()));
    let map = source.map.to_string();
    let quota = Rc::default();
    let asked = Asked { who, map, wanted, form, quota, count: false, tells_start: true, former: None };
    let opened = subscribe::open(&dispatcher, asked).await?;
    let before = opened.position.before.to_string();
    let mut greeting = json!({"id": before, "source": id.to_string()});
    if opened.position.gap.is_some() {
        greeting["gap"] = true.into();
    }
    let greeting = format!("event: connected\nid: {before}\ndata: {greeting}\n\n");
    // One event per chunk: at least one real client can't put an event together from two chunks.
    let subscriber = Subscriber::new(&dispatcher, &opener, 1);
    subscriber.hold(counted);
    opened.attach(&dispatcher, &subscriber, true);
    Ok((greeting, subscriber))
}

/// The condition that an event came in through the source.
fn only(id: SourceId) -> Result<Expression, BadParameter> {
    let condition = Expression::condition(&format!("source == \"{id}\""));
    condition.map_err(|error| BadParameter::new("source", Code::InvalidSource, error.to_string()))
}

/// The source that the path names, and who wants to listen. A client token is one of an issuer of the source's map.
/// Strangers are refused alike whether there is a source or not.
async fn source_and_reader(
    request: &HttpRequest,
    query: &Query<'_>,
    edge: &Edge,
    id: Option<SourceId>,
) -> Result<(Arc<Source>, Who), Refused> {
    let token = bearer(request).or(query.get("token"));
    let here = id.and_then(|id| known(edge, id));
    let map = here.as_ref().map(|source| source.map.to_string());
    let who = edge.authenticate_on(request, token, map.as_deref()).await?;
    if let Some(source) = here {
        return Ok((source, who));
    }
    // It may have been made on another node a moment ago.
    edge.hub.log().barrier().await?;
    let source = id.and_then(|id| known(edge, id)).ok_or(Refused::NotFound)?;
    Ok((source, who))
}

/// The value of a parameter. The standard header wins: it is newer than what a page wrote into the address.
fn given<'r>(request: &'r HttpRequest, query: &'r Query<'_>, name: &str) -> Option<Given<'r>> {
    if !NAMES.contains(&name) {
        return None;
    }
    if name != "last_event_id" {
        return query.given(name);
    }
    let header = request.headers().get(LAST_EVENT_ID).and_then(|value| value.to_str().ok());
    let reconnected = header.filter(|id| !id.is_empty()).or(query.get(LAST_EVENT_ID_OF_POLYFILLS));
    reconnected.map(Given::Text).or(query.given(name))
}
