//! Reading a consumer over one long answer, as server-sent events. What it sends is acknowledged by requests.
//!
//! The stream asks for events again and again, as one named reader. It has at most `max` events that are not
//! acknowledged.

use super::Consumers;
use super::got::Got;
use super::owner;
use super::read::{find, write};
use crate::core::access::Scopes;
use crate::core::consumer::reading::{Handed, MAX_READ, Wish};
use crate::core::error_code::Code;
use crate::core::webhook::Webhook;
use crate::edge::auth::{Counted, bearer};
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::event_stream;
use crate::edge::query::Query;
use crate::edge::refused::Refused;
use crate::edge::sessions::SessionKind;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::stream::unfold;
use serde_json::json;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) const NAMES: &[&str] = &["token", "max"];

/// The events that a stream may have unacknowledged if it does not say how many.
const DEFAULT_MAX: u64 = 100;
/// How long one read of the stream waits. Between reads its token is checked.
const WAIT_MS: u64 = 700;
/// The pause after a read that failed for a cause that passes.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest silence.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// An open stream.
struct Stream {
    request: HttpRequest,
    edge: Data<Edge>,
    consumers: Data<Consumers>,
    map: String,
    consumer: Arc<Webhook>,
    wish: Wish,
    phase: Phase,
    /// When something was sent last.
    sent: Instant,
    _counted: Counted,
}

/// What a stream sends next.
enum Phase {
    Greeting,
    Events,
    Ended,
}

pub(super) async fn stream(
    request: HttpRequest,
    edge: Data<Edge>,
    consumers: Data<Consumers>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (map, name) = path.into_inner();
    let query = Query::of(&request, NAMES)?;
    edge.check_origin(&request)?;
    let token = bearer(&request).or(query.get("token"));
    let grant = edge.grant(&request, token, &map, Scopes::SUBSCRIBE).await?;
    edge.charge(&grant).await?;
    let max = query.number("max", Code::InvalidMax, 1..=MAX_READ.into())?.unwrap_or(DEFAULT_MAX);
    let max = u32::try_from(max).unwrap_or(MAX_READ);
    let consumer = find(&edge, &grant, &name).await?;
    if let Some(unavailable) = edge.turns_away() {
        return event_stream::answer(&request, unavailable.into());
    }
    let counted = edge.count_session(&request, &grant.who, SessionKind::Socket).await;
    let counted = counted.map_err(Refused::from)?;
    // Readers without a name are 0.
    let reader = getrandom::u64().unwrap_or(1).max(1);
    let wish = Wish { reader, unacknowledged: max, max, wait_ms: WAIT_MS };
    let sent = Instant::now();
    let phase = Phase::Greeting;
    let stream = Stream { request, edge, consumers, map, consumer, wish, phase, sent, _counted: counted };
    let body = unfold(stream, |mut stream| async move {
        let bytes = stream.next().await?;
        Some((Ok::<Bytes, Infallible>(bytes), stream))
    });
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-cache, no-transform"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(body))
}

impl Stream {
    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        match self.phase {
            Phase::Greeting => {
                self.phase = Phase::Events;
                let greeting = json!({"consumer": self.consumer.name, "max": self.wish.max});
                Some(format!("event: connected\ndata: {greeting}\n\n").into())
            }
            Phase::Events => Some(self.events().await),
            Phase::Ended => None,
        }
    }

    /// Waits for events, or until it is time to say that there are none.
    async fn events(&mut self) -> Bytes {
        loop {
            if self.edge.turns_away().is_some() {
                self.phase = Phase::Ended;
                return self.sends(Bytes::from_static(b": the node goes away: connect again\n\n"));
            }
            match self.read().await {
                Ok(got) if !got.is_empty() => return self.sends(frames(&got.take()).into()),
                Ok(_) => {}
                Err(error) if actix_web::ResponseError::status_code(&error).is_server_error() => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => {
                    self.phase = Phase::Ended;
                    return self.sends(format!("event: closed\ndata: {}\n\n", error.body()).into());
                }
            }
            if self.sent.elapsed() >= KEEP_ALIVE {
                return self.sends(Bytes::from_static(b": keepalive\n\n"));
            }
        }
    }

    fn sends(&mut self, bytes: Bytes) -> Bytes {
        self.sent = Instant::now();
        bytes
    }

    /// Reads once, while the token is good.
    async fn read(&self) -> Result<Got, ApiError> {
        self.check().await?;
        let got = owner::read(&self.edge, &self.consumers, &self.consumer, self.wish).await?;
        self.check().await?;
        Ok(got)
    }

    async fn check(&self) -> Result<(), ApiError> {
        let query = Query::of(&self.request, NAMES)?;
        let token = bearer(&self.request).or(query.get("token"));
        self.edge.grant(&self.request, token, &self.map, Scopes::SUBSCRIBE).await?;
        Ok(())
    }
}

/// A frame for each event. Its id is what it is acknowledged by.
fn frames(handed: &[Handed]) -> Vec<u8> {
    let mut frames = Vec::new();
    for handed in handed {
        frames.extend_from_slice(format!("event: message\nid: {}\ndata: ", handed.ack_id).as_bytes());
        write(handed, &mut frames);
        frames.extend_from_slice(b"\n\n");
    }
    frames
}
