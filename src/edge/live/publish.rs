//! The routes by which a back end says what happens in its sessions. Each request becomes one event of the
//! token's map: a session that begins is told on the map's own subject, everything else on the session's.
//!
//! The server keeps no sessions, games or votes: whether they exist, the back end knows.

use super::bodies::{self, Said};
use super::door::map_of;
use super::problem::Problem;
use super::session_id::{FORM, SessionId};
use crate::core::access::{Map, Scopes};
use crate::core::channel_rules::Durability;
use crate::core::command::{IdempotencyKey, Publish};
use crate::core::digest::Parts;
use crate::core::error_code::Code;
use crate::core::event::NewEvent;
use crate::core::ids::EventId;
use crate::core::json::{self, MAX_SAFE_INTEGER};
use crate::core::limits::LimitName;
use crate::core::subject::Subject;
use crate::core::time::iso_millis;
use crate::core::trace::TraceContext;
use crate::edge::auth::{bearer, granted};
use crate::edge::body::Body;
use crate::edge::context::Edge;
use crate::edge::error::{ApiError, forbidden_subject};
use crate::edge::query::Query;
use crate::edge::rest::{check_still, key_of, refuse_key};
use crate::edge::traces::trace_of;
use crate::hub::{Grant, Via};
use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};

/// The query parameter of the routes: the admin names the map with it.
pub(super) const NAMES: &[&str] = &["map"];

const STARTED: &str = "session.started";
const GAME_ADDED: &str = "game.added";
const ENDED: &str = "session.ended";
const PLAYERS_COUNTED: &str = "player-count.updated";
const VOTED: &str = "vote.received";

/// A session has begun. All clients of the map are told.
pub(super) async fn start(
    request: HttpRequest,
    edge: Data<Edge>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let publisher = Publisher::admit(&request, &edge).await?;
    let fresh = publisher.fresh_id()?;
    let said = bodies::started(&publisher.read(body).await?, fresh)?;
    publisher.publish(STARTED, Subject::own(), said, StatusCode::CREATED).await
}

/// A game was added to a session.
pub(super) async fn add_game(
    request: HttpRequest,
    edge: Data<Edge>,
    path: Path<String>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let publisher = Publisher::admit(&request, &edge).await?;
    let session = in_path(&path, "session")?;
    let said = bodies::game_added(&publisher.read(body).await?, &session)?;
    publisher.publish(GAME_ADDED, session.subject().clone(), said, StatusCode::CREATED).await
}

/// A session has ended.
pub(super) async fn close(
    request: HttpRequest,
    edge: Data<Edge>,
    path: Path<String>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let publisher = Publisher::admit(&request, &edge).await?;
    let session = in_path(&path, "session")?;
    let said = bodies::ended(&publisher.read(body).await?, &session)?;
    publisher.publish(ENDED, session.subject().clone(), said, StatusCode::OK).await
}

/// A game of a session has so many players.
pub(super) async fn count_players(
    request: HttpRequest,
    edge: Data<Edge>,
    path: Path<(String, String)>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let publisher = Publisher::admit(&request, &edge).await?;
    let (session, game) = path.into_inner();
    let (session, game) = (in_path(&session, "session")?, in_path(&game, "game")?);
    let said = bodies::players_counted(&publisher.read(body).await?, &session, &game)?;
    publisher.publish(PLAYERS_COUNTED, session.subject().clone(), said, StatusCode::OK).await
}

/// Somebody has voted.
pub(super) async fn vote(
    request: HttpRequest,
    edge: Data<Edge>,
    body: Body,
) -> Result<HttpResponse, Problem> {
    let publisher = Publisher::admit(&request, &edge).await?;
    let said = bodies::voted(&publisher.read(body).await?)?;
    let subject = said.session.subject().clone();
    publisher.publish(VOTED, subject, said, StatusCode::OK).await
}

/// The id in a path.
fn in_path(text: &str, name: &str) -> Result<SessionId, ApiError> {
    SessionId::of_path(text).ok_or_else(|| {
        ApiError::bad_request(Code::InvalidSession, format!("the {name} in the path must be {FORM}"))
    })
}

/// A back end that may publish to a map.
struct Publisher<'e> {
    edge: &'e Edge,
    grant: Grant,
    /// The request's `Idempotency-Key`.
    key: Option<String>,
    /// The trace of the request.
    trace: Option<TraceContext>,
}

/// Where an event was published.
struct Place {
    id: EventId,
    time_ms: u64,
    /// An earlier request with the same key published it.
    is_replayed: bool,
}

impl<'e> Publisher<'e> {
    /// Checks the right of the caller, before anything of the body is read.
    async fn admit(request: &HttpRequest, edge: &'e Edge) -> Result<Self, Problem> {
        let token = bearer(request).filter(|token| !token.is_empty()).ok_or(Problem::NoToken)?;
        let query = Query::of(request, NAMES)?;
        let named = query.get("map");
        let who = edge.authenticate_on(request, Some(token), named).await?;
        let map = map_of(&who, named)?;
        let grant = granted(&edge.hub, who, &map, Scopes::PUBLISH).await?;
        Ok(Self { edge, grant, key: key_of(request)?, trace: trace_of(request) })
    }

    /// The body's text.
    async fn read(&self, body: Body) -> Result<String, ApiError> {
        let config = &self.edge.config;
        // What exceeds the map's rate is refused before it is read.
        let length = body.length().filter(|length| *length <= config.body_bytes as u64);
        let by = self.grant.who.by();
        let reserved = self.edge.hub.publisher().reserve(&self.grant.map, by, length.unwrap_or_default())?;
        let text = body.text().await?;
        drop(reserved);
        if text.len() > config.event_bytes {
            let most = config.event_bytes;
            return Err(ApiError::too_large(format!("an event may have at most {most} bytes"))
                .of_limit(LimitName::Setting("limits.event_bytes"), most as u64));
        }
        Ok(text)
    }

    /// The id of a session that comes without one: a number at random. A request that is repeated with the
    /// same key means the same session.
    fn fresh_id(&self) -> Result<SessionId, ApiError> {
        let number = match &self.key {
            Some(key) => {
                let parts = Parts::default().with(b"session").with(self.grant.map.id.as_bytes());
                let [a, b, c, d, e, f, g, h, ..] = parts.with(key.as_bytes()).half();
                u64::from_be_bytes([a, b, c, d, e, f, g, h])
            }
            None => getrandom::u64().map_err(|_| ApiError::unavailable("there are no random numbers"))?,
        };
        SessionId::of_number(number & MAX_SAFE_INTEGER)
            .ok_or_else(|| ApiError::unavailable("there is no id for the session"))
    }

    /// Publishes one event, and answers with it.
    async fn publish(
        &self,
        kind: &str,
        subject: Subject,
        said: Said,
        status: StatusCode,
    ) -> Result<HttpResponse, Problem> {
        let data = json::normalise(&said.data, self.edge.config.json_depth).map_err(ApiError::from)?;
        if !self.grant.who.allows(&subject) {
            return Err(forbidden_subject(&subject).into());
        }
        let event = NewEvent { trace: self.trace, ..NewEvent::new(subject, kind, data.as_str()) };
        let durability = self.grant.map.rules.durability_of(event.subject.as_str());
        check_still(self.edge, &self.grant, durability)?;
        let place = match durability {
            Durability::Durable => self.store(event).await?,
            Durability::Ephemeral => self.pass_on(&self.grant.map, event).await?,
        };
        let members = data.strip_prefix('{').and_then(|data| data.strip_suffix('}')).unwrap_or_default();
        let (session, id, at) = (said.session.json(), place.id, iso_millis(place.time_ms));
        let body = format!(
            r#"{{"id":{session},{members},"event":{{"id":"{id}","type":"{kind}","timestamp":"{at}"}}}}"#
        );
        let mut answer = HttpResponse::build(status);
        answer.insert_header((CONTENT_TYPE, "application/json"));
        if place.is_replayed {
            answer.insert_header(("idempotency-replayed", "true"));
        }
        Ok(answer.body(body))
    }

    async fn store(&self, event: NewEvent) -> Result<Place, ApiError> {
        let publisher = self.edge.hub.publisher();
        let key = self.key.as_ref().map(|key| IdempotencyKey {
            key: Parts::default().with(b"sessions").with(key.as_bytes()).half(),
            fingerprint: Parts::default()
                .with(event.subject.as_str().as_bytes())
                .with(event.kind.as_bytes())
                .with(&event.payload)
                .half(),
            ttl_ms: publisher.idempotency().as_millis() as u64,
        });
        let command = Publish { map: self.grant.map.id, by: self.grant.who.by(), events: vec![event], key };
        let published = publisher.publish(&self.grant.map, command, Via::Live).await?;
        Ok(Place { id: published.first_id, time_ms: published.time_ms, is_replayed: published.replayed })
    }

    /// Passes an event on to those who are subscribed now: the map's channel rules say that its subject
    /// stores none.
    async fn pass_on(&self, map: &Map, event: NewEvent) -> Result<Place, ApiError> {
        refuse_key(self.key.as_ref())?;
        let events = self.edge.hub.publisher().publish_ephemeral(map, vec![event]).await?;
        let event = events.first().ok_or_else(|| ApiError::unavailable("the event was not passed on"))?;
        Ok(Place { id: event.id, time_ms: event.time_ms, is_replayed: false })
    }
}
