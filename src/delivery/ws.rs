//! WebSockets: the handshake, a client's frames and messages, and the session that handles them.

#[doc(hidden)]
pub mod frames;
mod handshake;
mod messages;
mod session;

pub use handshake::{BadHandshake, Handshake, WS_VERSION};

use super::allowance::MessageRate;
use super::body::OutboundBody;
use super::dispatcher::Dispatcher;
use super::protocol::Protocol;
use super::socket::Connection;
use actix_web::body::BodyStream;
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
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
    let words = Box::pin(Session::new(protocol, payload, config));
    let connection = request.conn_data::<Connection>().copied();
    let body = OutboundBody::new(dispatcher, subscriber, connection, words, P::NAME, true);
    Ok(handshake.answer().message_body(body)?.map_into_boxed_body())
}

/// Answers a handshake with one text and a close frame, for clients that can't read a status of HTTP.
pub fn refuse(handshake: Handshake, text: &str, code: u16, reason: &str) -> HttpResponse {
    let mut frames = Vec::new();
    push_text_frame(&mut frames, |out| out.extend_from_slice(text.as_bytes()));
    frames.extend_from_slice(&close_frame(code, reason));
    let frames = futures_util::stream::iter([Ok::<_, Infallible>(Bytes::from(frames))]);
    handshake.answer().body(BodyStream::new(frames))
}

/// A close frame. The reason is cut to fit a control frame: 123 bytes.
pub fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    let reason = &reason.as_bytes()[..reason.len().min(123)];
    let mut frame = vec![0x88, 2 + reason.len() as u8];
    frame.extend_from_slice(&code.to_be_bytes());
    frame.extend_from_slice(reason);
    frame
}

/// Appends an unfragmented, unmasked text frame. `write` appends its payload.
pub fn push_text_frame(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    push_frame(0x81, out, write);
}

/// Appends an unfragmented, unmasked binary frame. `write` appends its payload.
pub fn push_binary_frame(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    push_frame(0x82, out, write);
}

fn push_frame(first: u8, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let head = out.len();
    // Most frames need four bytes of head. The payload of the others is moved once.
    out.extend_from_slice(&[first, 126, 0, 0]);
    let body = out.len();
    write(out);
    let len = out.len() - body;
    match len {
        0..=125 => {
            out[head + 1] = len as u8;
            out.drain(head + 2..body);
        }
        126..=0xffff => out[head + 2..body].copy_from_slice(&(len as u16).to_be_bytes()),
        _ => {
            out[head + 1] = 127;
            out.splice(head + 2..body, (len as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
