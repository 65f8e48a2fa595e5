//! HTTP/1.1 for the commands. One connection to the node in use is kept from one request to the next.
//!
//! hyper does the framing: it skips interim answers of a proxy, and a connection with unread bytes is not
//! used for another request. Redirects are not followed. The caller interprets the answer. Where the other side
//! speaks http and not https, or the other way round, or is the peer port of a node, the error says so.

mod error;
mod peer;
mod spoken;

use std::{cell::RefCell, io, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, Method, Request, StatusCode, Uri,
    header::{self, HeaderName, HeaderValue},
};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, pki_types::ServerName},
};

pub(super) use error::HttpError;
use error::{broken, no_connection};
pub(super) use peer::is_peer_port;
use spoken::{First, Heard, Spoken};

/// Longest wait for a connection, TLS included.
const CONNECT: Duration = Duration::from_secs(3);
/// Longest wait until the last answer has ended on a kept connection.
const FREE: Duration = Duration::from_millis(50);

/// Sends requests. Each body is complete when its request is sent; it may be empty.
type Sender = SendRequest<Full<Bytes>>;

/// A client that sends requests one after another.
pub(super) struct Http {
    /// The TLS configuration of `https`.
    tls: Option<Arc<ClientConfig>>,
    /// The connection of the last request.
    kept: RefCell<Option<Open>>,
}

/// An open connection.
struct Open {
    /// Scheme, host and port.
    key: String,
    sender: Sender,
    first: First,
}

/// An answer whose body is not read yet.
pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Incoming,
}

impl Http {
    /// A client. Without `tls` it can't connect to `https` addresses.
    pub(super) fn new(tls: Option<Arc<ClientConfig>>) -> Self {
        Self { tls, kept: RefCell::default() }
    }

    /// Sends a request and returns its answer when the head has come. The head must come within the limit.
    pub(super) async fn send(
        &self,
        method: Method,
        url: &str,
        headers: Vec<(HeaderName, HeaderValue)>,
        body: Bytes,
        limit: Duration,
    ) -> Result<Answer, HttpError> {
        let server = Server::of(url)?;
        let mut request = server.request(method, headers, body);
        let mut kept = self.kept(&server).await;
        loop {
            let is_kept = kept.is_some();
            let mut open = match kept.take() {
                Some(open) => open,
                None => self.opened(&server).await?,
            };
            let sent = timeout(limit, open.sender.try_send_request(request)).await;
            match sent {
                Err(_) => return Err(HttpError::Late),
                Ok(Ok(response)) => {
                    self.kept.replace(Some(open));
                    let (parts, body) = response.into_parts();
                    return Ok(Answer { status: parts.status, headers: parts.headers, body });
                }
                Ok(Err(mut error)) => match error.take_message() {
                    // The server closed the kept connection meanwhile, as while a question waited for its answer.
                    Some(unsent) if is_kept => request = unsent,
                    _ if !server.encrypted && open.first.spoken() == Some(Spoken::Tls) => {
                        return Err(server.tls_is_spoken().await);
                    }
                    Some(_) => return Err(HttpError::Unsent),
                    None => return Err(broken(&error.into_error())),
                },
            }
        }
    }

    /// The kept connection, if it leads to that server and the last answer has ended.
    async fn kept(&self, server: &Server) -> Option<Open> {
        let mut open = self.kept.take().filter(|open| open.key == server.key)?;
        let is_free = matches!(timeout(FREE, open.sender.ready()).await, Ok(Ok(())));
        is_free.then_some(open)
    }

    /// A new connection.
    async fn opened(&self, server: &Server) -> Result<Open, HttpError> {
        timeout(CONNECT, self.connect(server)).await.unwrap_or_else(|_| {
            Err(HttpError::Connect(format!("no connection within {} s", CONNECT.as_secs())))
        })
    }

    async fn connect(&self, server: &Server) -> Result<Open, HttpError> {
        let tcp = TcpStream::connect((server.host.as_str(), server.port))
            .await
            .map_err(|error| no_connection(&error))?;
        let _ = tcp.set_nodelay(true);
        let first = First::default();
        let heard = Heard::new(tcp, first.clone());
        let key = server.key.clone();
        if !server.encrypted {
            return Ok(Open { key, sender: started(heard).await?, first });
        }
        let config = self
            .tls
            .clone()
            .ok_or_else(|| HttpError::Connect("no certificates are trusted here".to_owned()))?;
        let name = ServerName::try_from(server.host.clone())
            .map_err(|error| HttpError::Connect(error.to_string()))?;
        match TlsConnector::from(config).connect(name, heard).await {
            Ok(stream) => Ok(Open { key, sender: started(stream).await?, first }),
            Err(error) => Err(server.no_tls(&error, &first).await),
        }
    }
}

impl Answer {
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The next piece of the body; `None` at its end.
    pub(super) async fn next(&mut self) -> Option<Result<Bytes, HttpError>> {
        loop {
            match self.body.frame().await? {
                Ok(frame) => match frame.into_data() {
                    Ok(piece) => return Some(Ok(piece)),
                    // Trailers do not belong to the body.
                    Err(_) => continue,
                },
                Err(error) => return Some(Err(broken(&error))),
            }
        }
    }

    /// The whole body, which must have at most `most` bytes and must come within the limit.
    pub(super) async fn whole(mut self, most: usize, limit: Duration) -> Result<Bytes, HttpError> {
        let gather = async {
            let mut whole = BytesMut::new();
            while let Some(piece) = self.next().await {
                let piece = piece?;
                if whole.len() + piece.len() > most {
                    return Err(HttpError::Foreign(format!("an answer of more than {most} bytes")));
                }
                whole.extend_from_slice(&piece);
            }
            Ok(whole.freeze())
        };
        timeout(limit, gather).await.unwrap_or(Err(HttpError::Late))
    }
}

/// The server of a URL.
struct Server {
    /// Scheme, host and port.
    key: String,
    host: String,
    port: u16,
    encrypted: bool,
    authority: HeaderValue,
    path: Uri,
}

impl Server {
    fn of(url: &str) -> Result<Self, HttpError> {
        let bad = |what: &dyn std::fmt::Display| HttpError::Connect(format!("{url} is not a URL: {what}"));
        let uri: Uri = url.parse().map_err(|error| bad(&error))?;
        let encrypted = uri.scheme_str() == Some("https");
        let authority = uri.authority().ok_or_else(|| bad(&"it has no host"))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if encrypted { 443 } else { 80 });
        Ok(Self {
            key: format!("{encrypted} {host} {port}"),
            host,
            port,
            encrypted,
            authority: HeaderValue::from_str(authority.as_str()).map_err(|error| bad(&error))?,
            path: uri.path_and_query().cloned().map(Uri::from).unwrap_or_default(),
        })
    }

    /// The error of an http URL where TLS is spoken.
    async fn tls_is_spoken(&self) -> HttpError {
        if peer::is_peer_port(&self.host, self.port).await {
            HttpError::PeerPort
        } else {
            HttpError::SpeaksTls
        }
    }

    /// The error of an https URL whose handshake failed.
    async fn no_tls(&self, error: &io::Error, first: &First) -> HttpError {
        match first.spoken() {
            Some(Spoken::Http) => return HttpError::SpeaksPlain,
            Some(Spoken::Other) => return HttpError::Foreign("neither http nor https".to_owned()),
            Some(Spoken::Tls) | None => {}
        }
        let failed = no_connection(error);
        let is_certificate = matches!(failed, HttpError::Untrusted | HttpError::BadCertificate(_));
        if is_certificate && peer::is_peer_port(&self.host, self.port).await {
            return HttpError::PeerPort;
        }
        failed
    }

    fn request(
        &self,
        method: Method,
        headers: Vec<(HeaderName, HeaderValue)>,
        body: Bytes,
    ) -> Request<Full<Bytes>> {
        let bodiless = method == Method::GET || method == Method::HEAD;
        let length = body.len();
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.path.clone();
        let all = request.headers_mut();
        all.insert(header::HOST, self.authority.clone());
        all.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("waypost/", env!("CARGO_PKG_VERSION"))),
        );
        if length > 0 || !bodiless {
            all.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
        all.extend(headers);
        request
    }
}

/// Starts HTTP on a stream. The connection ends when its sender is dropped.
async fn started(stream: impl AsyncRead + AsyncWrite + Unpin + 'static) -> Result<Sender, HttpError> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    // An error ends the request that waits for an answer, which reports it.
    actix_rt::spawn(async move { drop(connection.await) });
    Ok(sender)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    async fn get(http: &Http, url: &str) -> Result<(u16, Bytes), HttpError> {
        let limit = Duration::from_secs(30);
        let answer = http.send(Method::GET, url, vec![], Bytes::new(), limit).await?;
        let status = answer.status().as_u16();
        Ok((status, answer.whole(1000, limit).await?))
    }

    /// A proxy may send interim answers before the node's answer, and a stray answer after it.
    #[actix_web::test]
    async fn each_request_gets_its_own_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/a?b", listener.local_addr().unwrap());
        actix_rt::spawn(async move {
            let mut number = 0;
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut text = Vec::new();
                let mut byte = [0; 1];
                while stream.read_exact(&mut byte).await.is_ok() {
                    text.push(byte[0]);
                    if !text.ends_with(b"\r\n\r\n") {
                        continue;
                    }
                    number += 1;
                    let before = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n";
                    let answer = format!("{before}HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{number}");
                    let behind =
                        if number % 2 == 0 { "HTTP/1.1 500 Stray\r\ncontent-length: 0\r\n\r\n" } else { "" };
                    stream.write_all(format!("{answer}{behind}").as_bytes()).await.unwrap();
                }
            }
        });
        let http = Http::new(None);
        for number in 1..=6 {
            assert_eq!(get(&http, &url).await.unwrap(), (200, Bytes::from(number.to_string())));
        }
    }

    /// A server ends connections that were idle for long, as while a person thinks about a question.
    #[actix_web::test]
    async fn a_connection_that_the_server_closed_meanwhile_is_replaced() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (closed, is_closed) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            use std::io::{Read, Write};
            while let Ok((mut stream, _)) = listener.accept() {
                assert!(stream.read(&mut [0; 1000]).unwrap() > 0);
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na").unwrap();
                drop(stream);
                closed.send(()).unwrap();
            }
        });
        let http = Http::new(None);
        for _ in 0..3 {
            assert_eq!(get(&http, &url).await.unwrap(), (200, Bytes::from("a")));
            // Nothing else runs on this thread meanwhile, so the client does not see yet that it was closed.
            is_closed.recv().unwrap();
        }
    }

    #[actix_web::test]
    async fn what_was_not_sent_is_told_apart() {
        let closed = tokio::net::TcpSocket::new_v4().unwrap();
        closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let refused =
            get(&Http::new(None), &format!("http://{}/", closed.local_addr().unwrap())).await.unwrap_err();
        assert!(refused.is_unsent() && matches!(refused, HttpError::Refused), "{refused}");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        actix_rt::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1000]).await;
            }
        });
        let broken = get(&Http::new(None), &url).await.unwrap_err();
        assert!(!broken.is_unsent() && matches!(broken, HttpError::Broken), "{broken}");
    }
}
