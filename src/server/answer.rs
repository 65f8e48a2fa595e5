//! What applies to every answer, whichever handler made it: errors are JSON, or a page where people read them,
//! the headers that protect those who read it, and whether the connection is kept.

use super::bare::STRICT_TRANSPORT;
use crate::edge::body::is_sent;
use crate::edge::clients::Client;
use crate::edge::error::ApiError;
use actix_web::HttpMessage;
use actix_web::body::{BodySize, BoxBody, EitherBody, MessageBody};
use actix_web::dev::{ResponseHead, ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, STRICT_TRANSPORT_SECURITY,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::http::{ConnectionType, Method, StatusCode, Version};
use bytes::Bytes;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A request that is being answered. Its connection counts as busy until this is dropped.
pub(super) struct Visit {
    client: Option<Client>,
    /// Whether the answer ends the connection.
    close: bool,
    /// Whether the answer has no body.
    is_head: bool,
    /// Whether the request has a body.
    has_body: bool,
    /// Whether the end of the request's body is known only when it has come.
    is_chunked: bool,
}

impl Visit {
    pub(super) fn begin(request: &ServiceRequest) -> Self {
        let client = request.conn_data::<Client>().cloned();
        if let Some(client) = &client {
            client.begin();
        }
        Self {
            client,
            close: false,
            is_head: request.method() == Method::HEAD,
            has_body: is_sent(request.headers()),
            is_chunked: request.chunked().unwrap_or(true),
        }
    }

    /// Whether the answer must end the connection. Nothing is kept for an unknown sender who may be sending a
    /// body on, and nobody waits for the rest of a body that nobody reads, or for one that the client holds
    /// back and may send or not.
    fn must_close(&self, status: StatusCode) -> bool {
        let is_known = self.client.as_ref().is_none_or(Client::is_known);
        let is_unread = self.is_chunked && (status.is_client_error() || status.is_server_error());
        let is_held_back = self.client.as_ref().is_some_and(|client| client.interim().is_kept_back());
        status == StatusCode::REQUEST_TIMEOUT || self.has_body && (!is_known || is_unread || is_held_back)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some(client) = &self.client {
            client.end(self.close);
        }
    }
}

/// The body of an answer.
pub(super) struct Answering<B> {
    /// `None` for HEAD.
    body: Option<B>,
    size: BodySize,
    _visit: Visit,
}

/// Gives an answer what every answer has.
pub(super) fn finish<B: MessageBody + 'static>(
    answer: ServiceResponse<B>,
    mut visit: Visit,
    secure: bool,
) -> ServiceResponse<Answering<EitherBody<B>>> {
    let knows_chunks = answer.request().version() >= Version::HTTP_11;
    answer.map_body(move |head, body| {
        let body = in_json(head, body);
        protect(head, secure);
        visit.close = visit.must_close(head.status);
        if !knows_chunks && body.size() == BodySize::Stream {
            // A client of HTTP/1.0 reads until the connection ends.
            head.no_chunking(true);
            visit.close = true;
        }
        if visit.close {
            head.set_connection_type(ConnectionType::Close);
        }
        let size = body.size();
        Answering { body: (!visit.is_head).then_some(body), size, _visit: visit }
    })
}

/// Makes the body of an error JSON, unless it is, or is a page for people.
fn in_json<B>(head: &mut ResponseHead, body: B) -> EitherBody<B> {
    let is_error = head.status.is_client_error() || head.status.is_server_error();
    let is_ours = |kind: &HeaderValue| {
        kind.as_bytes().starts_with(b"application/json") || kind.as_bytes().starts_with(b"text/html")
    };
    if !is_error || head.headers().get(CONTENT_TYPE).is_some_and(is_ours) {
        return EitherBody::left(body);
    }
    head.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    EitherBody::right(BoxBody::new(ApiError::of_status(head.status).body().to_string()))
}

fn protect(head: &mut ResponseHead, secure: bool) {
    let status = head.status;
    let headers = head.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if secure {
        headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(STRICT_TRANSPORT));
    }
    // Answers may have secrets, and all of them change.
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
}

impl<B: MessageBody + Unpin> MessageBody for Answering<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, B::Error>>> {
        match &mut self.get_mut().body {
            Some(body) => Pin::new(body).poll_next(cx),
            None => Poll::Ready(None),
        }
    }
}
