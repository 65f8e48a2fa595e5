//! The session actor of a WebSocket. Only this file uses actix-web-actors.
//!
//! It handles the transport: ping and pong, fragments that are put together under a bound, frame sizes,
//! protocol errors. The actor lives in the response body, so it is polled only while the socket takes bytes.
//! No other part sends it messages, and the dispatcher watches it.

use super::body::OutboundBody;
use super::dispatcher::Dispatcher;
use super::guard::{Guarded, Offence};
use super::protocol::{Incoming, Link, Next, Protocol};
use super::socket::Connection;
use actix::prelude::{ActorFutureExt, WrapFuture};
use actix::{Actor, ActorContext, AsyncContext, StreamHandler};
use actix_http::ws::{Codec, Item};
use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use actix_web_actors::ws::{self, CloseCode, CloseReason, Message, ProtocolError, WebsocketContext};
use bytes::{Bytes, BytesMut};
use bytestring::ByteString;
use futures_util::StreamExt;
use std::cell::Cell;
use std::rc::Rc;

/// Settings of a WebSocket.
#[derive(Clone, Debug)]
pub struct WsConfig {
    /// Largest message in bytes. The fragments of a message count together.
    pub max_message_bytes: usize,
}

/// Answers an upgrade with a session of `protocol`. `subprotocols` are the ones that the server supports, in
/// order of preference.
pub fn start<P: Protocol>(
    request: &HttpRequest,
    payload: Payload,
    dispatcher: &Rc<Dispatcher>,
    protocol: P,
    config: &WsConfig,
    subprotocols: &[&str],
) -> Result<HttpResponse, actix_web::Error> {
    let mut response = ws::handshake_with_protocols(request, subprotocols)?;
    let subscriber = protocol.subscriber().clone();
    // Only the close code is sent: phoenix.js takes a `phx_close` for a channel that was left for good, and
    // never joins it again.
    subscriber.set_farewell(|end| close_frame(end.code(), end.reason()).into());
    let offence = Rc::new(Cell::new(None));
    let payload = Guarded::new(payload, config.max_message_bytes, offence.clone());
    let session = Session { protocol, fragments: None, max_bytes: config.max_message_bytes, offence };
    let codec = Codec::new().max_size(config.max_message_bytes);
    let words = WebsocketContext::with_codec(session, payload, codec)
        // The encoder of whole frames doesn't fail. If it did, the session would end.
        .map(|bytes| bytes.unwrap_or_default())
        .boxed_local();
    let connection = request.conn_data::<Connection>().copied();
    Ok(response
        .message_body(OutboundBody::new(dispatcher, subscriber, connection, words, P::NAME, true))?
        .map_into_boxed_body())
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

/// The session actor of one WebSocket. It lives as long as the response body.
struct Session<P> {
    protocol: P,
    fragments: Option<Fragments>,
    max_bytes: usize,
    /// The rule that the client's frames broke, if that ended the payload.
    offence: Rc<Cell<Option<Offence>>>,
}

/// The fragments of a message that is not complete yet.
struct Fragments {
    text: bool,
    bytes: BytesMut,
}

type Ctx<P> = WebsocketContext<Session<P>>;

impl<P: Protocol> Actor for Session<P> {
    type Context = Ctx<P>;

    fn started(&mut self, ctx: &mut Self::Context) {
        // No part sends this actor messages, so the smallest mailbox is enough.
        ctx.set_mailbox_capacity(1);
    }
}

/// Sends a protocol's answers through the actor's context.
struct WsLink<'c, P: Protocol>(&'c mut Ctx<P>);

impl<P: Protocol> Link for WsLink<'_, P> {
    fn text(&mut self, text: String) {
        self.0.text(text);
    }

    fn binary(&mut self, bytes: Bytes) {
        self.0.binary(bytes);
    }
}

impl<P: Protocol> Session<P> {
    fn message(&mut self, message: Incoming, ctx: &mut Ctx<P>) {
        match self.protocol.message(message, &mut WsLink(ctx)) {
            Next::Done => {}
            Next::Close(code, reason) => Self::close(code, reason, ctx),
            Next::Await(pending) => {
                let resumed = pending.into_actor(self);
                ctx.wait(resumed.map(|resume, session, ctx| resume(&mut session.protocol, &mut WsLink(ctx))));
            }
        }
    }

    fn close(code: u16, reason: &str, ctx: &mut Ctx<P>) {
        ctx.close(Some(CloseReason { code: CloseCode::from(code), description: Some(reason.to_owned()) }));
        ctx.stop();
    }

    /// Puts fragments together. The whole is handled like any other message.
    fn fragment(&mut self, item: Item, ctx: &mut Ctx<P>) {
        let (bytes, is_last) = match item {
            Item::FirstText(bytes) | Item::FirstBinary(bytes) if self.fragments.is_some() => {
                tracing::debug!(len = bytes.len(), "a message began within another");
                return Self::close(1002, "a message began within another", ctx);
            }
            Item::FirstText(bytes) => {
                self.fragments = Some(Fragments { text: true, bytes: BytesMut::new() });
                (bytes, false)
            }
            Item::FirstBinary(bytes) => {
                self.fragments = Some(Fragments { text: false, bytes: BytesMut::new() });
                (bytes, false)
            }
            Item::Continue(bytes) => (bytes, false),
            Item::Last(bytes) => (bytes, true),
        };
        let Some(fragments) = &mut self.fragments else {
            return Self::close(1002, "a continuation of nothing", ctx);
        };
        if fragments.bytes.len() + bytes.len() > self.max_bytes {
            return Self::close(1009, "message too large", ctx);
        }
        fragments.bytes.extend_from_slice(&bytes);
        if is_last && let Some(whole) = self.fragments.take() {
            self.whole(whole, ctx);
        }
    }

    fn whole(&mut self, Fragments { text, bytes }: Fragments, ctx: &mut Ctx<P>) {
        if !text {
            return self.message(Incoming::Binary(bytes.freeze()), ctx);
        }
        match ByteString::try_from(bytes.freeze()) {
            Ok(text) => self.message(Incoming::Text(text), ctx),
            Err(_) => Self::close(1007, "text that is not UTF-8", ctx),
        }
    }
}

impl<P: Protocol> StreamHandler<Result<Message, ProtocolError>> for Session<P> {
    fn handle(&mut self, message: Result<Message, ProtocolError>, ctx: &mut Ctx<P>) {
        self.protocol.subscriber().heard();
        match message {
            Ok(Message::Text(text)) => self.message(Incoming::Text(text), ctx),
            Ok(Message::Binary(bytes)) => self.message(Incoming::Binary(bytes), ctx),
            Ok(Message::Ping(bytes)) => ctx.pong(&bytes),
            Ok(Message::Pong(_) | Message::Nop) => {}
            Ok(Message::Continuation(item)) => self.fragment(item, ctx),
            Ok(Message::Close(reason)) => {
                ctx.close(reason);
                ctx.stop();
            }
            Err(ProtocolError::Overflow) => Self::close(1009, "message too large", ctx),
            // Three things cause this variant: an offence that the guard found, text that isn't UTF-8, and a
            // broken connection, to which nothing is sent any more.
            Err(ProtocolError::Io(_)) => {
                let (code, reason) = self.offence.get().unwrap_or((1007, "text that is not UTF-8"));
                Self::close(code, reason, ctx);
            }
            Err(error) => {
                tracing::debug!(%error, "a client broke the WebSocket protocol");
                Self::close(1002, "not a WebSocket frame", ctx);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
