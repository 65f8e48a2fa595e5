//! The HTTP server on the client port: serves the routes of the edge.
//!
//! Owns what applies to every request before its route is known: whether its connection is served, the size
//! limit of its head, CORS, the count of responses.

use super::ServerError;
use super::answer::{Visit, finish};
use super::bare::Common;
use super::gzip;
use super::port;
use crate::config::Config;
use crate::core::error_code::Code;
use crate::core::limits::LimitName;
use crate::delivery::SocketConfig;
use crate::edge::clients::{Client, ClientLimits, Clients};
use crate::edge::error::ApiError;
use crate::edge::ops::HEALTH;
use crate::edge::paths::elsewhere;
use crate::edge::refused::{Refused, Unavailable};
use crate::edge::timing::{Timed, class_name, class_of};
use crate::edge::{self, NodeRoutes};
use crate::metric;
use crate::tls::Shown;
use actix_cors::Cors;
use actix_web::body::EitherBody;
use actix_web::dev::{Server, Service, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::{App, ResponseError, web};
use futures_util::TryFutureExt;
use futures_util::future::Either;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Connections that the kernel queues until a worker accepts them.
const BACKLOG: i32 = 4096;
/// Bytes that a worker gathers for a client before it writes: enough for many frames, and little memory for a
/// stalled client.
pub(super) const WRITE_BUFFER_BYTES: usize = 8 * 1024;
/// How long an idle connection is kept after somebody has authenticated on it.
const KEEP_KNOWN: Duration = Duration::from_secs(75);
/// How long any other idle connection is kept: long enough for a browser that asks whether it may send a
/// request, and then sends it.
const KEEP_UNKNOWN: Duration = Duration::from_secs(5);
/// Bytes of a request's head that are not counted by `limits.header_bytes`: the method, and what separates
/// the headers.
const SEPARATORS: usize = 1024;
/// The counts of answers by the classes of their statuses. They are looked up once.
static ANSWERS: [OnceLock<metrics::Counter>; 5] = [const { OnceLock::new() }; 5];

/// Listens for clients. Their connections wait in the kernel until the node serves.
pub(super) fn listen(addr: SocketAddr) -> Result<TcpListener, ServerError> {
    let bind = || {
        let socket = socket2::Socket::new(socket2::Domain::for_address(addr), socket2::Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&addr.into())?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    };
    bind().map_err(|source| ServerError::Listen { addr, source })
}

/// Serves clients on `listener`, with the certificate in `shown` if there is one.
pub(super) fn serve(
    config: &Config,
    (workers, connections): (usize, usize),
    listener: TcpListener,
    shown: Option<&Arc<Shown>>,
    routes: NodeRoutes,
) -> Result<Server, ServerError> {
    let origins = config.limits.origins.clone();
    let header_bytes = config.limits.header_bytes;
    let secure = shown.is_some();
    let compression = config.session.compression;
    let app = move || {
        App::new()
            .wrap_fn(move |request, service| {
                answered(match check(&request, connections, header_bytes) {
                    Ok(()) => Ok(service.call(request)),
                    Err(error) => Err(refusal(request, &error)),
                })
            })
            .wrap_fn(|request, service| edge::audit::record(service, request))
            .wrap(cors(&origins))
            .wrap_fn(move |request, service| {
                let visit = Visit::begin(&request);
                let is_gzip_accepted = compression && gzip::is_accepted(&request);
                let began = Instant::now();
                let answer = service.call(request);
                async move {
                    let answer = answer.await.inspect(|answer| count_answer(answer, began))?;
                    Ok(finish(gzip::encode(answer, is_gzip_accepted).await, visit, secure))
                }
            })
            .default_service(web::to(elsewhere))
            // The routes of a node that does not serve yet have another default.
            .configure(|service| routes(service))
    };
    let head_time = Duration::from_millis(config.limits.upgrade_timeout_ms);
    let clients = Clients::new(ClientLimits {
        most: connections,
        head_time,
        head_bytes: header_bytes + SEPARATORS,
        keep_known: KEEP_KNOWN,
        keep_unknown: KEEP_UNKNOWN,
    });
    let settings = port::Settings {
        workers,
        connections,
        backlog: BACKLOG as u32,
        handshake: head_time,
        write_buffer_bytes: WRITE_BUFFER_BYTES,
        sockets: SocketConfig {
            send_buffer_bytes: config.session.send_buffer_bytes,
            user_timeout: user_timeout(config),
        },
        tls: shown.map(|shown| shown.server()).transpose()?.map(Arc::new),
        common: common(config, secure),
    };
    Ok(port::serve(app, listener, settings, clients)?)
}

/// What is the same in every answer.
fn common(config: &Config, secure: bool) -> Common {
    let limits = &config.limits;
    Common { secure, origins: limits.origins.clone(), head_ms: limits.upgrade_timeout_ms }
}

/// The stall time, plus the time in which a client at the minimum rate takes the largest event or everything
/// that the kernel holds for it (twice the configured buffer), whichever is more.
fn user_timeout(config: &Config) -> Duration {
    let session = &config.session;
    let most = config.limits.event_bytes.max(2 * session.send_buffer_bytes) as u64;
    Duration::from_secs(session.stall_seconds + most / session.min_bytes_per_second)
}

/// The response of the called service, or the refusal.
fn answered<B, F: Future<Output = Result<ServiceResponse<B>, actix_web::Error>>>(
    called: Result<F, ServiceResponse>,
) -> impl Future<Output = Result<ServiceResponse<EitherBody<B>>, actix_web::Error>> + use<B, F> {
    match called {
        Ok(answer) => Either::Left(answer.map_ok(ServiceResponse::map_into_left_body)),
        Err(refused) => Either::Right(std::future::ready(Ok(refused.map_into_right_body()))),
    }
}

fn refusal(request: ServiceRequest, error: &ApiError) -> ServiceResponse {
    ServiceResponse::new(request.into_parts().0, error.error_response())
}

/// Refuses a request that no handler shall see.
fn check(request: &ServiceRequest, connections: usize, header_bytes: usize) -> Result<(), ApiError> {
    check_connection(request, connections)?;
    check_head(request, header_bytes)?;
    edge::strict::check(request.request())
}

/// When all connections are taken, the health of the node is still answered.
fn check_connection(request: &ServiceRequest, most: usize) -> Result<(), ApiError> {
    let is_served = || request.conn_data::<Client>().is_none_or(Client::is_served);
    if HEALTH.contains(&request.path()) || is_served() {
        return Ok(());
    }
    Err(Refused::from(Unavailable::Crowded { limit: most }).into())
}

fn check_head(request: &ServiceRequest, max_bytes: usize) -> Result<(), ApiError> {
    let headers: usize =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers + request.head().uri.path().len() + request.query_string().len() <= max_bytes {
        return Ok(());
    }
    let message = format!("the head of a request may have at most {max_bytes} bytes");
    let error = ApiError::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, Code::HeadersTooLarge, message);
    Err(error.of_limit(LimitName::Setting("limits.header_bytes"), max_bytes as u64))
}

/// Counts an answer, and notes how long it took to its head.
fn count_answer<B>(answer: &ServiceResponse<B>, began: Instant) {
    let class = class_of(answer.status());
    if let Some(counter) = ANSWERS.get(class) {
        counter
            .get_or_init(|| metrics::counter!(metric::HTTP_ANSWERS, "status" => class_name(class)))
            .increment(1);
    }
    let (request, took) = (answer.request(), began.elapsed());
    match request.app_data::<Timed>() {
        Some(timed) => timed.note(request.method(), answer.status(), took),
        None => Timed::note_without_route(request.method(), answer.status(), took),
    }
}

fn cors(origins: &[String]) -> Cors {
    let cors = Cors::default()
        .allow_any_method()
        .allow_any_header()
        .expose_headers(["retry-after", "idempotency-replayed"])
        .max_age(3600);
    if origins.is_empty() {
        return cors.allow_any_origin().send_wildcard();
    }
    origins.iter().fold(cors.block_on_origin_mismatch(false), |cors, origin| cors.allowed_origin(origin))
}
