//! The client port: accepts connections, with or without TLS, and hands them to the HTTP library.
//!
//! HTTP/1.1 only: WebSocket needs it, and every limit of this server assumes connections that serve one
//! request at a time.

use super::bare::Common;
use super::plain;
use super::shared_app::SharedApp;
use super::stream::{ClientStream, DISCONNECT, Wire, gave_way};
use super::upgraded;
use crate::delivery::{SocketConfig, on_connect};
use crate::edge::clients::{Client, Clients, SURPLUS};
use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive, Request, Response};
use actix_rt::net::TcpStream;
use actix_server::{Server, ServerBuilder};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::AppConfig;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::server::TlsStream;

/// Connections that the server has accepted and not counted yet, or that gave way and are not closed yet.
const PASSING: usize = 64;

/// The settings of the port.
#[derive(Clone)]
pub(super) struct Settings {
    /// Threads that serve.
    pub(super) workers: usize,
    /// Client connections, apart from the surplus.
    pub(super) connections: usize,
    /// Connections that the kernel queues.
    pub(super) backlog: u32,
    /// Longest time for a TLS handshake.
    pub(super) handshake: Duration,
    /// Bytes that are gathered before they are written.
    pub(super) write_buffer_bytes: usize,
    /// Sets up the sockets.
    pub(super) sockets: SocketConfig,
    /// TLS, if the port has a certificate.
    pub(super) tls: Option<Arc<ServerConfig>>,
    /// The headers of errors.
    pub(super) common: Common,
}

/// Serves `app` on `listener`. The connections are among `clients`.
pub(super) fn serve<F, I, S, B>(
    app: F,
    listener: TcpListener,
    settings: Settings,
    clients: Arc<Clients>,
) -> io::Result<Server>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    <S::Service as Service<Request>>::Future: 'static,
    S::Service: 'static,
    B: MessageBody + 'static,
{
    let builder = builder(&settings);
    let stopping = builder.graceful_shutdown_signal();
    let service = move || {
        let stopping = stopping.clone();
        let sockets = settings.sockets.clone();
        let most = settings.write_buffer_bytes;
        let app = SharedApp::new(map_config(
            app().into_factory().map_err(|error| error.into().error_response()),
            |()| AppConfig::default(),
        ));
        let made = app.made();
        let upgrade = move |handed_over| upgraded::serve::<_, B>(&made, handed_over, most);
        let http = HttpService::build()
            // Times are kept by the connection's own stream.
            .keep_alive(KeepAlive::Os)
            .client_request_timeout(Duration::ZERO)
            .client_disconnect_timeout(DISCONNECT)
            .h1_allow_half_closed(false)
            .h1_write_buffer_size(most)
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .expect(fn_service(expect))
            .upgrade(fn_service(upgrade))
            .on_connect_ext(move |stream: &ClientStream, extensions: &mut _| {
                on_connect(&sockets, stream.tcp(), extensions);
                extensions.insert(stream.client().clone());
            })
            .h1(app);
        let port = Rc::new(Port::new(&settings, clients.clone()));
        fn_service(move |tcp: TcpStream| {
            let port = port.clone();
            async move {
                let address = tcp.peer_addr().ok();
                let stream = port.accept(tcp).await.map_err(DispatchError::Io)?;
                Ok((stream, address))
            }
        })
        .and_then(http)
    };
    Ok(builder.listen("clients", listener, service)?.run())
}

/// The library's server, with its limits.
fn builder(settings: &Settings) -> ServerBuilder {
    // The library stops to accept at this limit. It is never reached on all workers at a time, because
    // clients give way before.
    let per_worker = (settings.connections + SURPLUS + PASSING).div_ceil(settings.workers);
    ServerBuilder::default()
        .workers(settings.workers)
        .max_concurrent_connections(per_worker)
        .backlog(settings.backlog)
        .shutdown_timeout(1)
        .disable_signals()
}

/// Notes that the client of a request waits for an interim answer. The library writes it after this, and the
/// connection's stream keeps it back until a handler reads the body.
async fn expect(request: Request) -> Result<Request, Error> {
    if let Some(client) = request.conn_data::<Client>() {
        client.expect();
    }
    Ok(request)
}

/// Makes the TLS handshake. A client that speaks plain HTTP is told so.
async fn shake(tls: &TlsAcceptor, tcp: TcpStream, common: &Common) -> io::Result<TlsStream<TcpStream>> {
    if plain::begins(&tcp).await? {
        return Err(plain::refuse(tcp, common).await);
    }
    tls.accept(tcp).await
}

/// What a worker needs to accept connections.
struct Port {
    clients: Arc<Clients>,
    common: Rc<Common>,
    tls: Option<TlsAcceptor>,
    handshake: Duration,
}

impl Port {
    fn new(settings: &Settings, clients: Arc<Clients>) -> Self {
        Self {
            clients,
            common: Rc::new(settings.common.clone()),
            tls: settings.tls.clone().map(TlsAcceptor::from),
            handshake: settings.handshake,
        }
    }

    /// Admits a connection, and makes the TLS handshake if the port speaks TLS.
    async fn accept(&self, tcp: TcpStream) -> io::Result<ClientStream> {
        let admission = self.clients.admit();
        let wire = match &self.tls {
            None => Wire::Plain(tcp),
            // In a box: a handshake takes kilobytes, and a connection's task keeps its size.
            Some(tls) => Box::pin(self.secure(tls, tcp, admission.client())).await?,
        };
        Ok(ClientStream::new(wire, admission, self.common.clone()))
    }

    /// Makes the TLS handshake, in time. A connection that doesn't end it may give way to others.
    async fn secure(&self, tls: &TlsAcceptor, tcp: TcpStream, client: &Client) -> io::Result<Wire> {
        let shaken = tokio::time::timeout(self.handshake, shake(tls, tcp, &self.common));
        tokio::select! {
            done = shaken => Ok(Wire::Tls(Box::new(done??))),
            () = poll_fn(|cx| client.poll_evicted(cx)) => Err(gave_way()),
        }
    }
}
