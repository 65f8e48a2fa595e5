//! Reads request bodies: only when a handler asks for one, with a limit on bytes, and within one time for the
//! whole body.
//!
//! A handler authenticates before it reads. It can't do otherwise: the server reads nothing of the body of an
//! unknown sender ([`super::clients`]). A client that expects `100 Continue` gets it when its body is read.

use super::clients::Client;
use super::context::Edge;
use super::error::ApiError;
use super::media::Media;
use crate::core::error_code::Code;
use crate::core::json::Members;
use crate::core::limits::LimitName;
use crate::core::text::counted;
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, TRANSFER_ENCODING};
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, StreamExt};
use std::future::{Ready, ready};
use std::time::{Duration, Instant};
use tokio::time::error::Elapsed;

/// The limit of a body.
pub(super) const BODY_BYTES: LimitName = LimitName::Setting("limits.body_bytes");
/// Bytes that are read of a body that should be empty.
const MAX_NOTHING: usize = 4096;
/// Memory that is taken at first for an announced body. When so much has come, four times what has come is
/// taken, up to what was announced.
const AHEAD: usize = 256 * 1024;

/// The body of a request, nothing of which is read yet.
pub struct Body {
    payload: Payload,
    /// The connection, if a body comes on it.
    client: Option<Client>,
    media: Media,
    /// Its bytes, if the client has said how many there are.
    length: Option<u64>,
    /// Whether there is one.
    is_sent: bool,
    /// A coding, such as `gzip`, in which it is sent.
    coding: Option<String>,
    /// The most bytes of a body that is read as a whole, and the limit's name.
    max_bytes: (usize, LimitName),
    /// The time for one body.
    time: Duration,
    /// The time that is left for waiting for this one.
    left: Duration,
    /// Bytes that have come since time was last added.
    since_added: usize,
}

impl FromRequest for Body {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let Some(edge) = request.app_data::<Data<Edge>>() else {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            return ready(Err(ApiError::new(status, Code::Internal, "the node is not set up")));
        };
        let max_bytes = edge.config.body_bytes;
        let time = edge.config.body_time;
        let mut body = Self::new(request.headers(), payload.take(), max_bytes, time);
        body.client = request.conn_data::<Client>().cloned().filter(|_| body.is_sent);
        ready(Ok(body))
    }
}

impl Body {
    fn new(headers: &HeaderMap, payload: Payload, max_bytes: usize, time: Duration) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let codings = headers.get_all(CONTENT_ENCODING).filter_map(|value| value.to_str().ok());
        Self {
            payload,
            client: None,
            media: Media::of(text(CONTENT_TYPE)),
            length: text(CONTENT_LENGTH).and_then(|length| length.trim().parse().ok()),
            is_sent: is_sent(headers),
            coding: codings
                .flat_map(|list| list.split(','))
                .find(|coding| !is_plain(coding))
                .map(str::to_owned),
            max_bytes: (max_bytes, BODY_BYTES),
            time,
            left: time,
            since_added: 0,
        }
    }

    /// What the body is said to be.
    pub fn media(&self) -> Media {
        self.media
    }

    /// Its bytes, if the client has said how many there are.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// The body may have so many bytes at most.
    pub fn at_most(mut self, bytes: usize, name: LimitName) -> Self {
        self.max_bytes = (bytes, name);
        self
    }

    /// The whole body as JSON text. `Err` is 400, 408, 413 or 415.
    pub async fn text(mut self) -> Result<String, ApiError> {
        if self.is_sent && self.media != Media::Json {
            return Err(ApiError::unsupported_media("a body is JSON here")
                .hint("send it as: Content-Type: application/json, in UTF-8"));
        }
        let (max_bytes, name) = self.max_bytes;
        let body = self.bytes(max_bytes, name).await?;
        String::from_utf8(body.into())
            .map_err(|_| ApiError::bad_request(Code::InvalidJson, "the body is not UTF-8"))
    }

    /// Reads the body as an object: `read` takes it member by member. An empty body is `{}`. `Err` is as for
    /// [`Body::text`], or 400 with all faults, unknown members among them.
    pub async fn object<T>(self, read: impl FnOnce(&mut Members<'_>) -> T) -> Result<T, ApiError> {
        let text = self.text().await?;
        let mut members = Members::of(if text.trim().is_empty() { "{}" } else { &text });
        let value = read(&mut members);
        Ok(members.finish().into_result(value)?)
    }

    /// Accepts no body, or `{}`: for requests whose path says everything.
    pub async fn none(mut self) -> Result<(), ApiError> {
        self.max_bytes = (MAX_NOTHING, LimitName::Fixed);
        self.object(|_| ()).await
    }

    /// The whole body, whatever its media type. `name` is the name of the limit `max_bytes`.
    pub async fn bytes(&mut self, max_bytes: usize, name: LimitName) -> Result<BytesMut, ApiError> {
        let too_large = || too_large(max_bytes, name);
        if self.length.is_some_and(|length| length > max_bytes as u64) {
            return Err(too_large());
        }
        let announced = self.length.unwrap_or_default() as usize;
        let mut body = BytesMut::new();
        while let Some(piece) = self.next().await? {
            if body.len() + piece.len() > max_bytes {
                return Err(too_large());
            }
            if body.capacity() - body.len() < piece.len() {
                let room = announced.min(AHEAD.max(4 * body.len()));
                body.reserve(room.saturating_sub(body.len()).max(piece.len()));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// The next piece of the body. The time for a body is added again for each `limits.body_bytes` that came,
    /// so that a long stream is held to a pace. Time in which nobody waits for the client does not count.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        if let Some(coding) = &self.coding {
            let coding: String = coding.trim().chars().take(100).collect();
            return Err(ApiError::unsupported_media(format!("a body with the coding {coding} is not read"))
                .hint("send it without Content-Encoding"));
        }
        if let Some(client) = &self.client {
            client.await_body();
        }
        let piece = match self.payload.next().now_or_never() {
            Some(piece) => Ok(piece),
            None => self.wait().await,
        };
        if let Some(client) = &self.client {
            client.body_came();
        }
        match piece {
            Ok(None) => Ok(None),
            Ok(Some(Ok(piece))) => {
                self.since_added += piece.len();
                while self.since_added >= self.max_bytes.0 {
                    self.since_added -= self.max_bytes.0;
                    self.left += self.time;
                }
                Ok(Some(piece))
            }
            Ok(Some(Err(error))) => Err(ApiError::bad_request(Code::IncompleteBody, error.to_string())),
            Err(_) => Err(too_slow(self.time)),
        }
    }

    /// Waits for a piece that is not there yet, for as long as time is left.
    async fn wait(&mut self) -> Result<Option<Result<Bytes, PayloadError>>, Elapsed> {
        let began = Instant::now();
        let piece = tokio::time::timeout(self.left, self.payload.next()).await;
        self.left = self.left.saturating_sub(began.elapsed());
        piece
    }
}

/// 413.
pub(super) fn too_large(max_bytes: usize, name: LimitName) -> ApiError {
    let message = format!("a body may have at most {}", counted(max_bytes, "byte", "bytes"));
    ApiError::too_large(message).of_limit(name, max_bytes as u64)
}

/// 408.
pub(super) fn too_slow(time: Duration) -> ApiError {
    let seconds = time.as_secs();
    let message = format!("the body came too slowly: it must be whole within {seconds} s");
    ApiError::new(StatusCode::REQUEST_TIMEOUT, Code::Timeout, message)
        .of_limit(LimitName::Setting("limits.body_seconds"), seconds)
}

/// Whether a coding changes nothing.
fn is_plain(coding: &str) -> bool {
    coding.trim().is_empty() || coding.trim().eq_ignore_ascii_case("identity")
}

/// Whether a request has a body.
pub fn is_sent(headers: &HeaderMap) -> bool {
    let has_length = headers.get(CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0");
    has_length || headers.contains_key(TRANSFER_ENCODING)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use actix_web::error::PayloadError;
    use actix_web::http::header::HeaderValue;
    use futures_util::stream;
    use std::iter::repeat_n;

    const TIME: Duration = Duration::from_secs(10);
    const MAX: usize = 100;

    /// A body of pieces, each of which comes after a pause.
    fn body(headers: &[(&'static str, &str)], pieces: Vec<(Duration, usize)>) -> Body {
        let pieces = stream::iter(pieces).then(async |(pause, bytes)| {
            tokio::time::sleep(pause).await;
            Ok::<_, PayloadError>(Bytes::from(vec![b' '; bytes]))
        });
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(name.parse().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        Body::new(&map, Payload::Stream { payload: Box::pin(pieces) }, MAX, TIME)
    }

    fn status<T>(result: Result<T, ApiError>) -> u16 {
        use actix_web::ResponseError;
        result.err().map_or(200, |error| error.status_code().as_u16())
    }

    #[tokio::test]
    async fn a_coding_a_media_type_and_a_length_are_refused_before_anything_is_read() {
        let never = || vec![(Duration::from_secs(86_400), 1)];
        for (headers, expected) in [
            (("content-encoding", "gzip"), 415),
            (("content-encoding", "identity, br"), 415),
            (("content-type", "text/plain"), 415),
            (("content-type", "application/x-ndjson"), 415),
            (("content-length", "101"), 413),
        ] {
            let headers = [("transfer-encoding", "chunked"), headers];
            assert_eq!(status(body(&headers, never()).text().await), expected, "{headers:?}");
        }
        let plain = [("content-encoding", "Identity"), ("content-type", "application/a+json")];
        assert_eq!(status(body(&plain, vec![]).none().await), 200);
        // Without a body, its media type is nobody's concern.
        assert_eq!(status(body(&[("content-type", "text/plain")], vec![]).none().await), 200);
    }

    #[tokio::test]
    async fn a_body_is_bounded_in_bytes() {
        assert_eq!(status(body(&[], vec![(Duration::ZERO, 50); 2]).text().await), 200);
        assert_eq!(status(body(&[], vec![(Duration::ZERO, 51); 2]).text().await), 413);
    }

    #[tokio::test]
    async fn memory_is_taken_for_an_announced_body_as_it_comes() {
        let taken = async |announced: usize, pieces: Vec<usize>| {
            let pieces = pieces.into_iter().map(|bytes| (Duration::ZERO, bytes)).collect();
            let mut body = body(&[("content-length", announced.to_string().as_str())], pieces);
            body.bytes(8 * AHEAD, BODY_BYTES).await.unwrap().capacity()
        };
        assert_eq!(taken(5_000, vec![1_000; 5]).await, 5_000);
        assert_eq!(taken(4 * AHEAD, vec![AHEAD / 8; 32]).await, 4 * AHEAD);
        assert_eq!(taken(8 * AHEAD, vec![1]).await, AHEAD, "little has come");
    }

    #[tokio::test]
    async fn the_whole_body_has_one_deadline() {
        // Each piece comes soon. All of them would take more than a quarter of an hour.
        let mut slow = body(&[], repeat_n((Duration::from_millis(10), 0), 100_000).collect());
        slow.left = Duration::from_millis(200);
        assert_eq!(status(slow.text().await), 408);
    }

    #[tokio::test]
    async fn a_stream_keeps_its_time_as_long_as_it_keeps_its_pace() {
        let mut stream = body(&[], vec![(Duration::ZERO, 60); 4]);
        stream.left = Duration::from_secs(1);
        for expected in [0, 1, 1, 2] {
            stream.next().await.unwrap().unwrap();
            let added = stream.left.as_secs_f64() / TIME.as_secs_f64();
            assert_eq!(added.round() as u32, expected);
        }
    }
}
