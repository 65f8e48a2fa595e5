//! One request and its answer over one connection.
//!
//! hyper does the framing: it skips interim answers, and finds the end of an answer. This module owns the
//! decision whether the connection can be used again. It can only after a wholly written request and a whole
//! answer, with no byte after the answer.

use std::{
    pin::{Pin, pin},
    rc::Rc,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{
    Request, Response, StatusCode,
    header::{self, HeaderMap, HeaderValue},
};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use tokio::time::{Instant, timeout_at};

use crate::{
    core::webhook::{
        Method,
        outcome::{Class, Stage},
        reserved::is_of_connection,
    },
    delivery::webhook::{dial::Trip, redirect::location},
};

use super::{
    Answer, LARGEST_HEAD, Outgoing,
    failure::{Cause, no_answer, timed_out},
    headers::{idle_limit, rate_limit, retry_after_ms},
    line::Line,
    pool::IDLE,
};

/// The longest wait for a body that ends with the connection. Some receivers send no body, and keep the
/// connection.
const UNTIL_CLOSED: Duration = Duration::from_secs(1);
/// The most bytes that are kept of a function's kind of error. AWS uses `Handled` and `Unhandled`.
const LONGEST_KIND: usize = 100;

/// The state of the part of an answer's body that is not in [`Answer::head`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rest {
    /// There is no such part.
    None,
    /// It was not read, since the body is long.
    Unread,
    /// It did not arrive.
    Broken {
        /// [`Class::Timeout`], [`Class::Closed`] or another class of connection failures.
        class: Class,
        /// The description.
        message: String,
    },
}

/// A request whose answer has begun.
pub(super) struct Exchange {
    line: Line,
    response: Response<Incoming>,
    trip: Rc<Trip>,
}

impl Exchange {
    /// Sends the request and reads the head of its answer.
    pub(super) async fn begin(
        mut line: Line,
        request: &Outgoing<'_>,
        trip: &Rc<Trip>,
    ) -> Result<Self, Cause> {
        trip.stage.set(Stage::Write);
        let answered = pin!(line.send(build(request), trip));
        let response = line.meanwhile(answered).await.map_err(|error| no_answer(&error, trip))?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err((
                Class::Protocol,
                "the receiver changed to another protocol without being asked (101)".to_owned(),
            ));
        }
        Ok(Self { line, response, trip: trip.clone() })
    }

    /// Reads the answer's body. If the body is long, it reads only the beginning and closes the connection.
    /// It returns the connection, with the time that it may be idle, if the connection can carry another
    /// request.
    pub(super) async fn end(mut self, deadline: Instant) -> (Answer, Option<(Line, Duration)>) {
        self.trip.stage.set(Stage::Body);
        let (head, rest) = self.body(deadline).await;
        let headers = self.response.headers();
        let function_error = headers.get("x-amz-function-error").map(|kind| {
            let kind = kind.as_bytes();
            String::from_utf8_lossy(&kind[..kind.len().min(LONGEST_KIND)]).into()
        });
        let answer = Answer {
            status: self.response.status().as_u16(),
            retry_after_ms: retry_after_ms(headers, crate::clock::now_ms()),
            ratelimit: rate_limit(headers),
            function_error,
            location: location(headers),
            head,
            rest,
            ms: 0,
        };
        let kept = if answer.rest == Rest::None { self.reusable() } else { None };
        (answer, kept)
    }

    async fn body(&mut self, deadline: Instant) -> (Bytes, Rest) {
        let mut head = BytesMut::new();
        let is_chunked = ends_chunked(self.response.headers());
        let body = self.response.body_mut();
        if body.is_end_stream() {
            return (Bytes::new(), Rest::None);
        }
        let delimited = body.size_hint().exact().is_some() || is_chunked;
        let limit = if delimited { deadline } else { deadline.min(Instant::now() + UNTIL_CLOSED) };
        let reading = timeout_at(limit, self.line.meanwhile(pin!(beginning(body, &mut head)))).await;
        let rest = match reading {
            Ok(Ok(true)) => Rest::None,
            Ok(Ok(false)) => Rest::Unread,
            Ok(Err(error)) => broken(no_answer(&error, &self.trip)),
            Err(_) if delimited => broken(timed_out(Stage::Body)),
            Err(_) => Rest::Unread,
        };
        (head.freeze(), rest)
    }

    /// The connection, if the request and the answer are both complete and no byte followed.
    fn reusable(mut self) -> Option<(Line, Duration)> {
        if !self.line.is_free() || !is_framed_once(&self.response) {
            return None;
        }
        let idle = idle_limit(self.response.headers()).map_or(IDLE, |told| told.min(IDLE));
        Some((self.line, idle))
    }
}

/// Reads the beginning of a body. Returns whether that is all of it.
async fn beginning(body: &mut Incoming, head: &mut BytesMut) -> Result<bool, hyper::Error> {
    while let Some(frame) = body.frame().await {
        // Trailers are not part of the body.
        let Ok(piece) = frame?.into_data() else { continue };
        let room = LARGEST_HEAD - head.len();
        head.extend_from_slice(&piece[..piece.len().min(room)]);
        if piece.len() > room || head.len() == LARGEST_HEAD && !Pin::new(&*body).is_end_stream() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn broken((class, message): Cause) -> Rest {
    Rest::Broken { class, message }
}

/// Whether the body is chunked, so that it marks its own end. A body with any other coding ends with the
/// connection.
fn ends_chunked(headers: &HeaderMap) -> bool {
    let last = headers.get_all(header::TRANSFER_ENCODING).iter().next_back();
    last.and_then(|last| last.to_str().ok())
        .is_some_and(|last| last.trim_end().to_ascii_lowercase().ends_with("chunked"))
}

/// Whether the end of the answer can be understood in one way only. Otherwise the codec has chosen the right
/// way, but bytes that the receiver meant as part of the answer may follow: such a connection is closed.
fn is_framed_once(response: &Response<Incoming>) -> bool {
    let headers = response.headers();
    let length = headers.get(header::CONTENT_LENGTH);
    let encoded = headers.contains_key(header::TRANSFER_ENCODING);
    match response.status() {
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => {
            !encoded && length.is_none_or(|length| length == "0")
        }
        _ => !(encoded && length.is_some()),
    }
}

pub(super) fn build(request: &Outgoing<'_>) -> Request<Full<Bytes>> {
    let mut built = Request::new(Full::new(request.body.clone()));
    *built.method_mut() = match request.method {
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
    };
    *built.uri_mut() = request.url.uri().clone();
    let headers = built.headers_mut();
    headers.reserve(request.headers.len() + 4);
    headers.insert(header::HOST, request.url.authority().clone());
    // An empty body has the header too; the codec would leave it out.
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(request.body.len()));
    headers
        .insert(header::USER_AGENT, HeaderValue::from_static(concat!("waypost/", env!("CARGO_PKG_VERSION"))));
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    for (name, value) in request.headers.iter().filter(|(name, _)| !is_of_connection(name.as_str())) {
        headers.insert(name.clone(), value.clone());
    }
    built
}
