//! The client port with TLS.
//!
//! Does what `HttpServer` does for a plain port, but for HTTP/1.1 only: `HttpServer` would offer HTTP/2 to
//! every client as soon as any part of the program is built with it.

use std::any::Any;
use std::fmt;
use std::net::TcpListener;
use std::time::Duration;

use actix_http::{HttpService, Request, Response};
use actix_server::ServerBuilder;
use actix_service::{IntoServiceFactory, ServiceFactory, ServiceFactoryExt, map_config};
use actix_tls::accept::max_concurrent_tls_connect;
use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Extensions, Server, Service};
use tokio_rustls::rustls::ServerConfig;

/// Longest time that a client may take to close its connection.
const DISCONNECT: Duration = Duration::from_secs(1);

/// The settings that a plain port has too.
pub(super) struct Settings {
    pub(super) workers: usize,
    pub(super) max_connections: usize,
    pub(super) backlog: u32,
    pub(super) keep_alive: Duration,
    pub(super) request_timeout: Duration,
    pub(super) write_buffer_bytes: usize,
}

/// Serves `app` on `listener` with TLS.
pub(super) fn serve<F, I, S, B>(
    app: F,
    listener: TcpListener,
    tls: ServerConfig,
    settings: Settings,
    on_connect: impl Fn(&dyn Any, &mut Extensions) + Send + Sync + Clone + 'static,
) -> std::io::Result<Server>
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
    // This limit is per worker, as the other one is. Connections that send nothing soon use up the library's
    // default of 256, and then every other client waits for them.
    max_concurrent_tls_connect(settings.max_connections);
    let builder = ServerBuilder::default()
        .workers(settings.workers)
        .max_concurrent_connections(settings.max_connections)
        .backlog(settings.backlog)
        .shutdown_timeout(1)
        .disable_signals();
    let stopping = builder.graceful_shutdown_signal();
    let service = move || {
        let (on_connect, stopping) = (on_connect.clone(), stopping.clone());
        HttpService::build()
            .secure()
            .keep_alive(settings.keep_alive)
            .client_request_timeout(settings.request_timeout)
            .client_disconnect_timeout(DISCONNECT)
            .h1_allow_half_closed(false)
            .h1_write_buffer_size(settings.write_buffer_bytes)
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .on_connect_ext(move |connection: &_, extensions: &mut _| {
                on_connect(connection as &dyn Any, extensions)
            })
            .h1(map_config(app().into_factory().map_err(|error| error.into().error_response()), |()| {
                AppConfig::default()
            }))
            .rustls_0_23(tls.clone())
    };
    Ok(builder.listen("clients", listener, service)?.run())
}
