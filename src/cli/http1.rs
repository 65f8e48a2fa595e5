//! HTTP/1.1 for the commands. One connection to the node in use is kept from one request to the next.
//!
//! hyper does the framing: it skips interim answers of a proxy, and a connection with unread bytes is not
//! used for another request. Redirects are not followed. The caller interprets the answer.

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
    rustls::{CertificateError, ClientConfig, Error as TlsError, pki_types::ServerName},
};

/// Longest wait for a connection, TLS included.
const CONNECT: Duration = Duration::from_secs(3);
/// Longest wait until the last answer has ended on a kept connection.
const FREE: Duration = Duration::from_millis(50);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    /// No process listens at the address.
    #[error("connection refused")]
    Refused,
    /// The node's certificate was signed by an authority that is not trusted here.
    #[error("its certificate is of an authority that is not trusted here; --ca names the authority's file")]
    Untrusted,
    /// The connection could not be opened.
    #[error("{0}")]
    Connect(String),
    /// The connection ended before anything was sent.
    #[error("the connection broke")]
    Unsent,
    /// The connection broke after something of the request was sent.
    #[error("the connection broke")]
    Broken,
    /// The answer did not come in time.
    #[error("no answer in time")]
    Late,
    /// The answer is not HTTP, or is too long.
    #[error("{0}")]
    Foreign(String),
}

impl HttpError {
    /// Whether nothing of the request was sent.
    pub(super) fn is_unsent(&self) -> bool {
        matches!(self, Self::Refused | Self::Untrusted | Self::Connect(_) | Self::Unsent)
    }
}

/// Sends requests. Each body is complete when its request is sent; it may be empty.
type Sender = SendRequest<Full<Bytes>>;

/// A client that sends requests one after another.
pub(super) struct Http {
    /// The TLS configuration of `https`.
    tls: Option<Arc<ClientConfig>>,
    /// Scheme, host and port of the last request, and the connection that it went over.
    kept: RefCell<Option<(String, Sender)>>,
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
        let mut sender = self.connection(&server).await?;
        let request = server.request(method, headers, body);
        let response = match timeout(limit, sender.try_send_request(request)).await {
            Err(_) => return Err(HttpError::Late),
            Ok(Err(mut error)) => {
                let unsent = error.take_message().is_some();
                return Err(if unsent { HttpError::Unsent } else { broken(&error.into_error()) });
            }
            Ok(Ok(response)) => response,
        };
        self.kept.replace(Some((server.key, sender)));
        let (parts, body) = response.into_parts();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }

    /// The kept connection, if it leads to that server and the last answer has ended; otherwise a new one.
    async fn connection(&self, server: &Server) -> Result<Sender, HttpError> {
        if let Some((key, mut sender)) = self.kept.take()
            && key == server.key
            && matches!(timeout(FREE, sender.ready()).await, Ok(Ok(())))
        {
            return Ok(sender);
        }
        timeout(CONNECT, self.connect(server)).await.unwrap_or_else(|_| {
            Err(HttpError::Connect(format!("no connection within {} s", CONNECT.as_secs())))
        })
    }

    async fn connect(&self, server: &Server) -> Result<Sender, HttpError> {
        let tcp = TcpStream::connect((server.host.as_str(), server.port))
            .await
            .map_err(|error| no_connection(&error))?;
        let _ = tcp.set_nodelay(true);
        if !server.encrypted {
            return started(tcp).await;
        }
        let config = self
            .tls
            .clone()
            .ok_or_else(|| HttpError::Connect("no certificates are trusted here".to_owned()))?;
        let name = ServerName::try_from(server.host.clone())
            .map_err(|error| HttpError::Connect(error.to_string()))?;
        let stream =
            TlsConnector::from(config).connect(name, tcp).await.map_err(|error| no_connection(&error))?;
        started(stream).await
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

fn no_connection(error: &io::Error) -> HttpError {
    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>());
    match (of_tls, error.kind()) {
        (Some(TlsError::InvalidCertificate(CertificateError::UnknownIssuer)), _) => HttpError::Untrusted,
        (None, io::ErrorKind::ConnectionRefused) => HttpError::Refused,
        _ => HttpError::Connect(error.to_string()),
    }
}

fn broken(error: &hyper::Error) -> HttpError {
    if error.is_parse() { HttpError::Foreign(format!("{error}")) } else { HttpError::Broken }
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
