//! The opening handshake of a WebSocket, by RFC 6455, section 4.2.

use crate::delivery::deflate::{Agreed, offered};
use actix_web::http::Version;
use actix_web::http::header::{
    CONTENT_LENGTH, HeaderName, HeaderValue, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use actix_web::{HttpRequest, HttpResponseBuilder};
use actix_web_actors::ws::handshake_with_protocols;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The version of the protocol that the server speaks.
pub const WS_VERSION: &str = "13";
/// Bytes of a client's key.
const KEY_BYTES: usize = 16;

/// Why a request opens no WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadHandshake {
    /// It does not ask for a WebSocket.
    #[error("a WebSocket is expected here")]
    NoUpgrade,
    /// It asks for another version of the protocol, or for none.
    #[error("Sec-WebSocket-Version must be 13")]
    Version,
    /// It is not HTTP/1.1.
    #[error("a WebSocket opens with a request of HTTP/1.1")]
    Http,
    /// `Upgrade` has further protocols in the same line.
    #[error("the header Upgrade must be websocket alone")]
    OtherUpgrade,
    /// `Connection` does not contain `Upgrade`.
    #[error("the header Connection must contain Upgrade")]
    Connection,
    /// The key is missing, or is not 16 bytes in base64.
    #[error("the header Sec-WebSocket-Key must have 16 bytes in base64, once")]
    Key,
    /// The request has a body.
    #[error("a request that opens a WebSocket has no body")]
    Body,
}

/// A request that may open a WebSocket, and the server's answer to it.
pub struct Handshake {
    answer: HttpResponseBuilder,
    /// What comes of the client's offer to compress messages.
    deflate: Option<Agreed>,
}

impl Handshake {
    /// Reads a request. `subprotocols` are those that the server supports; the first one that the client
    /// offers is chosen.
    ///
    /// # Errors
    /// What the request lacks.
    pub fn read(request: &HttpRequest, subprotocols: &[&str]) -> Result<Self, BadHandshake> {
        if !tokens(request, &UPGRADE).any(|token| token.eq_ignore_ascii_case("websocket")) {
            return Err(BadHandshake::NoUpgrade);
        }
        if request.version() != Version::HTTP_11 {
            return Err(BadHandshake::Http);
        }
        // The HTTP server hands over the bytes behind such a request only if the value has no other protocol.
        let mut lines = request.headers().get_all(UPGRADE).filter_map(|value| value.to_str().ok());
        if !lines.any(|line| line.trim().eq_ignore_ascii_case("websocket")) {
            return Err(BadHandshake::OtherUpgrade);
        }
        if !request.head().upgrade() {
            return Err(BadHandshake::Connection);
        }
        if only(request, &SEC_WEBSOCKET_VERSION).is_none_or(|version| version != WS_VERSION) {
            return Err(BadHandshake::Version);
        }
        let length = request.headers().get(CONTENT_LENGTH);
        if length.is_some_and(|length| length != "0") || request.headers().contains_key(TRANSFER_ENCODING) {
            return Err(BadHandshake::Body);
        }
        only(request, &SEC_WEBSOCKET_KEY)
            .filter(|key| STANDARD.decode(key.as_bytes()).is_ok_and(|key| key.len() == KEY_BYTES))
            .ok_or(BadHandshake::Key)?;
        // The library checks less, and only the first line of `Upgrade`.
        let answer =
            handshake_with_protocols(request, subprotocols).map_err(|_| BadHandshake::OtherUpgrade)?;
        let lines = request.headers().get_all(SEC_WEBSOCKET_EXTENSIONS);
        let deflate = offered(lines.filter_map(|value| value.to_str().ok()));
        Ok(Self { answer, deflate })
    }

    /// What the server may agree to, of what the client offers.
    pub(super) fn deflate(&self) -> Option<Agreed> {
        self.deflate
    }

    /// The answer that opens the WebSocket, and agrees to that.
    pub(super) fn answer(mut self, agreed: Option<Agreed>) -> HttpResponseBuilder {
        if let Some(agreed) = agreed {
            self.answer.insert_header((SEC_WEBSOCKET_EXTENSIONS, agreed.answer()));
        }
        self.answer
    }
}

/// The tokens of a header that is a list.
fn tokens<'r>(request: &'r HttpRequest, name: &HeaderName) -> impl Iterator<Item = &'r str> {
    let lines = request.headers().get_all(name).filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// The value of a header that the request has once.
fn only<'r>(request: &'r HttpRequest, name: &HeaderName) -> Option<&'r HeaderValue> {
    let mut values = request.headers().get_all(name);
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use actix_web::http::header::{SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL};
    use actix_web::test::TestRequest;

    const GOOD: &[(&str, &str)] = &[
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn with(headers: &[(&str, &str)], version: Version) -> Result<Handshake, BadHandshake> {
        let request =
            headers.iter().fold(TestRequest::default().version(version), |request, (name, value)| {
                request.append_header((*name, *value))
            });
        Handshake::read(&request.to_http_request(), &["phoenix"])
    }

    fn changed(name: &str, value: Option<&str>) -> Result<Handshake, BadHandshake> {
        let kept = GOOD.iter().filter(|(known, _)| *known != name).copied();
        let headers: Vec<_> = kept.chain(value.map(|value| (name, value))).collect();
        with(&headers, Version::HTTP_11)
    }

    #[test]
    fn a_good_request_is_accepted() {
        let header = |handshake: Handshake, name: HeaderName| {
            let agreed = handshake.deflate();
            handshake.answer(agreed).finish().headers().get(name).cloned()
        };
        let handshake = with(GOOD, Version::HTTP_11).ok().unwrap();
        let accept = header(handshake, SEC_WEBSOCKET_ACCEPT).unwrap();
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "the example of RFC 6455");
        let handshake = with(GOOD, Version::HTTP_11).ok().unwrap();
        assert_eq!(header(handshake, SEC_WEBSOCKET_PROTOCOL), None);
        let offered = changed("sec-websocket-protocol", Some("other, phoenix")).ok().unwrap();
        assert_eq!(header(offered, SEC_WEBSOCKET_PROTOCOL).unwrap(), "phoenix");
        assert!(changed("content-length", Some("0")).is_ok(), "no body");
        let deflate = changed("sec-websocket-extensions", Some("x, permessage-deflate")).ok().unwrap();
        let agreed = header(deflate, SEC_WEBSOCKET_EXTENSIONS).unwrap();
        assert_eq!(agreed, "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
        let declined = changed("sec-websocket-extensions", Some("x")).ok().unwrap();
        assert_eq!(header(declined, SEC_WEBSOCKET_EXTENSIONS), None);
    }

    #[test]
    fn each_fault_is_named() {
        use BadHandshake as Bad;
        for (name, value, bad) in [
            ("upgrade", None, Bad::NoUpgrade),
            ("upgrade", Some("xwebsocket"), Bad::NoUpgrade),
            ("upgrade", Some("h2c, websocket"), Bad::OtherUpgrade),
            ("connection", None, Bad::Connection),
            ("connection", Some("keep-alive"), Bad::Connection),
            ("sec-websocket-version", None, Bad::Version),
            ("sec-websocket-version", Some("8"), Bad::Version),
            ("sec-websocket-version", Some("12"), Bad::Version),
            ("sec-websocket-key", None, Bad::Key),
            ("sec-websocket-key", Some(""), Bad::Key),
            ("sec-websocket-key", Some("dGhlIHNhbXBsZSBub25jZQ"), Bad::Key),
            ("sec-websocket-key", Some("dGhlIHNhbXBsZSBub25j"), Bad::Key),
            ("content-length", Some("5"), Bad::Body),
            ("transfer-encoding", Some("chunked"), Bad::Body),
        ] {
            assert_eq!(changed(name, value).err(), Some(bad), "{name}: {value:?}");
        }
        assert_eq!(with(GOOD, Version::HTTP_10).err(), Some(Bad::Http));
        let twice: Vec<_> = GOOD.iter().chain(&GOOD[3..]).copied().collect();
        assert_eq!(with(&twice, Version::HTTP_11).err(), Some(Bad::Key));
    }
}
