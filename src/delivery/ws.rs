//! WebSockets: the handshake, a client's frames and messages, and the session that handles them.

#[doc(hidden)]
pub mod frames;
mod handshake;
mod messages;
mod session;

pub use handshake::{BadHandshake, Handshake, WS_VERSION};

use super::allowance::MessageRate;
use super::body::OutboundBody;
use super::deflate::Compression;
use super::dispatcher::Dispatcher;
use super::framing::{close_frame, push_text_frame};
use super::protocol::Protocol;
use super::write_side::WriteSide;
use actix_web::body::BodyStream;
use actix_web::web::Payload;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use bytes::Bytes;
use session::Session;
use std::convert::Infallible;
use std::rc::Rc;

/// Settings of a WebSocket.
#[derive(Clone, Debug)]
pub struct WsConfig {
    /// Largest message in bytes. The fragments of a message count together.
    pub max_message_bytes: usize,
    /// How many frames the client may send.
    pub rate: MessageRate,
    /// Whether messages are compressed for clients that offer it.
    pub deflate: bool,
}

/// Answers a handshake with a session of `protocol`.
pub fn start<P: Protocol>(
    request: &HttpRequest,
    (handshake, payload): (Handshake, Payload),
    dispatcher: &Rc<Dispatcher>,
    protocol: P,
    config: &WsConfig,
) -> Result<HttpResponse, actix_web::Error> {
    let subscriber = protocol.subscriber().clone();
    // Only the close code is sent: phoenix.js takes a `phx_close` for a channel that was left for good, and
    // never joins it again.
    subscriber.set_farewell(|end| {
        let (code, reason) = P::close_code(end);
        close_frame(code, reason).into()
    });
    if let Some(after) = protocol.idle_after() {
        subscriber.ask_after(after);
    }
    if let Some(mailbox) = protocol.mailbox().cloned() {
        subscriber.end_when_overfull(move || mailbox.is_overfull());
    }
    if !P::NEEDS_SUBSCRIPTION {
        subscriber.keep_unused();
    }
    let agreed = handshake.deflate().filter(|_| config.deflate);
    subscriber.set_compression(Compression::of(agreed));
    let words = Box::pin(Session::new(protocol, payload, config, agreed.is_some()));
    let body = OutboundBody::new(dispatcher, subscriber, request, words, P::NAME, true);
    if let Some(write_side) = request.extensions().get::<Rc<WriteSide>>() {
        body.share(write_side.clone());
    }
    Ok(handshake.answer(agreed).message_body(body)?.map_into_boxed_body())
}

/// Answers a handshake with one text and a close frame, for clients that can't read a status of HTTP.
pub fn refuse(handshake: Handshake, text: &str, code: u16, reason: &str) -> HttpResponse {
    let mut frames = Vec::new();
    push_text_frame(&mut frames, |out| out.extend_from_slice(text.as_bytes()));
    frames.extend_from_slice(&close_frame(code, reason));
    let frames = futures_util::stream::iter([Ok::<_, Infallible>(Bytes::from(frames))]);
    handshake.answer(None).body(BodyStream::new(frames))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
