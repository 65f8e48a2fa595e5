//! Requests of senders: who they are, and then what they bring.
//!
//! Where a header alone proves the sender, nothing of the body is read before. A signature covers the body, so it
//! must be read first; but its headers are checked before, and a map and a node read only so many such bodies at a
//! time. Whoever gets so far knows the id of a source, which nobody guesses.

use super::deliveries::{Delivery, short};
use super::limits::Reading;
use super::open_source::OpenSource;
use super::opened::{find, known, map_of, not_found};
use super::publish::{Taken, take};
use super::state::Ingest;
use crate::core::ids::SourceId;
use crate::core::ingest::{
    Authentication, Denied, Form, Head, Headers, Incoming, Proof, challenge_of, check_head, verify,
};
use crate::core::limits::LimitName;
use crate::edge::addresses::address_of;
use crate::edge::auth::know;
use crate::edge::body::{BODY_BYTES, Body};
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::traces::trace_of;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use bytes::BytesMut;
use serde_json::json;
use std::net::IpAddr;

/// The query parameters. Twilio adds the hash of a JSON body to the address.
pub(super) const NAMES: &[&str] = &["bodySHA256"];

/// A request on its way to a source.
struct Arrival<'r> {
    request: &'r HttpRequest,
    edge: &'r Edge,
    ingest: &'r Ingest,
    source: &'r OpenSource,
    headers: Headers,
    address: IpAddr,
}

/// What a request brought.
enum Brought {
    /// Events, which are stored now or were before.
    Events(Taken),
    /// A challenge, which is sent back.
    Challenge(String),
}

/// `POST /webhooks/{id}`.
pub(super) async fn receive(
    request: HttpRequest,
    edge: Data<Edge>,
    ingest: Data<Ingest>,
    id: Path<String>,
    body: Body,
) -> Result<HttpResponse, ApiError> {
    let source = find(&request, &edge, &ingest, &id).await?;
    let address = address_of(&request);
    let headers = headers_of(&request);
    let arrival =
        Arrival { request: &request, edge: &edge, ingest: &ingest, source: &source, headers, address };
    let mut bytes = None;
    let brought = arrival.bring(body, &mut bytes).await;
    let delivery = arrival.noted(&brought, bytes);
    ingest.deliveries.note(source.source.id, delivery);
    match brought? {
        Brought::Events(taken) => Ok(taken.answer()),
        Brought::Challenge(challenge) => Ok(HttpResponse::Ok().json(json!({ "challenge": challenge }))),
    }
}

fn headers_of(request: &HttpRequest) -> Headers {
    let readable =
        request.headers().iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    Headers::new(readable)
}

impl Arrival<'_> {
    fn who(&self) -> (SourceId, IpAddr) {
        (self.source.source.id, self.address)
    }

    /// Takes in what the request brings. `read` becomes the number of bytes of its body.
    async fn bring(&self, mut body: Body, read: &mut Option<u64>) -> Result<Brought, ApiError> {
        self.ingest.charges.check_failures(self.who())?;
        let settings = &self.source.source.settings;
        let (now_ms, expiry_ms) = self.edge.hub.clock().both();
        let head = check_head(settings, &self.source.keys, &self.headers, now_ms, expiry_ms);
        let (proof, bytes) = match head.map_err(|denied| self.denied(denied))? {
            Head::Proved(proof) => {
                // Whoever knows the address of a source without authentication is a stranger still.
                let is_stranger = settings.authentication == Authentication::None;
                let reading = if is_stranger { Some(self.reading()?) } else { None };
                know(self.request);
                self.charge()?;
                let bytes = self.read(&mut body, read).await?;
                drop(reading);
                self.check_source()?;
                (proof, bytes)
            }
            Head::NeedsBody => {
                let reading = self.reading()?;
                know(self.request);
                let bytes = self.read(&mut body, read).await?;
                drop(reading);
                self.check_source()?;
                let proof = self.prove(&bytes)?;
                self.charge()?;
                (proof, bytes)
            }
        };
        if let Some(challenge) = challenge_of(settings.authentication, &bytes) {
            return Ok(Brought::Challenge(challenge));
        }
        let map = map_of(self.edge, &self.source.source)?;
        let trace = trace_of(self.request);
        let taken = take(self.edge, self.source, &map, (&self.headers, &bytes), (&proof, trace)).await?;
        Ok(Brought::Events(taken))
    }

    /// Checks that the source is as it was before the body came: its secret may have been replaced meanwhile.
    fn check_source(&self) -> Result<(), ApiError> {
        let now = known(self.edge, self.source.source.id).ok_or_else(not_found)?;
        if now.revision == self.source.source.revision {
            return Ok(());
        }
        Err(ApiError::unavailable("the ingest source was changed while the request came"))
    }

    fn reading(&self) -> Result<Reading, ApiError> {
        self.ingest.readings.take(self.source.source.map).map_err(|most| {
            let message =
                format!("the node reads {most} bodies of unproved senders, as many as it may; try again");
            ApiError::unavailable(message).of_limit(LimitName::Fixed, most as u64)
        })
    }

    fn charge(&self) -> Result<(), ApiError> {
        self.ingest.charges.charge(&self.source.source.settings.limits, self.who())
    }

    /// Reads the body, unless its media type is one that nobody can read.
    async fn read(&self, body: &mut Body, read: &mut Option<u64>) -> Result<BytesMut, ApiError> {
        if let Err(bad) = Form::of(&self.headers) {
            return Err(ApiError::unsupported_media(bad.message));
        }
        let bytes = body.bytes(self.edge.config.body_bytes, BODY_BYTES).await?;
        *read = Some(bytes.len() as u64);
        Ok(bytes)
    }

    /// Verifies the signature over the body.
    fn prove(&self, body: &[u8]) -> Result<Proof, ApiError> {
        let (now_ms, expiry_ms) = self.edge.hub.clock().both();
        let path = self.request.uri().path_and_query().map_or(self.request.path(), |path| path.as_str());
        let url = self.ingest.url_at(path);
        let incoming = Incoming { headers: &self.headers, body, url: &url, now_ms, expiry_ms };
        verify(&self.source.source.settings, &self.source.keys, &incoming)
            .map_err(|denied| self.denied(denied))
    }

    /// 401. It counts against the address.
    fn denied(&self, denied: Denied) -> ApiError {
        self.ingest.charges.count_failure(self.who());
        let how = self.source.source.settings.authentication.name();
        ApiError::new(StatusCode::UNAUTHORIZED, denied.code(), denied.to_string())
            .hint(format!("the source takes requests with the authentication {how}"))
    }

    /// The request with its verdict, for those who manage the source.
    fn noted(&self, brought: &Result<Brought, ApiError>, bytes: Option<u64>) -> Delivery {
        let mut delivery = Delivery {
            at_ms: self.edge.hub.clock().time_ms(),
            node: self.edge.hub.node_id(),
            address: self.address.to_string(),
            status: 200,
            verdict: "answered".to_owned(),
            message: None,
            media: self.headers.only("content-type").map(short),
            bytes,
            events: 0,
            first_id: None,
        };
        match brought {
            Ok(Brought::Challenge(_)) => {}
            Ok(Brought::Events(taken)) => {
                delivery.verdict = taken.verdict().to_owned();
                delivery.events = taken.published.count;
                delivery.first_id = Some(taken.published.first_id.to_string());
            }
            Err(error) => {
                let body = error.body();
                delivery.status = error.status_code().as_u16();
                delivery.verdict = body["error"].as_str().unwrap_or_default().to_owned();
                delivery.message = body["message"].as_str().map(short);
            }
        }
        delivery
    }
}
