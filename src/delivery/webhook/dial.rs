//! Connections for webhooks: resolve, judge every address, connect to a judged one, speak TLS with the name that was
//! asked for.
//!
//! Owns the only way out. awc gets plain streams from here and never resolves, connects or speaks TLS itself: its own
//! resolver is bypassed by address literals, and its TLS can't name an IPv6 address. Never keeps a connection: pools
//! are the client's.

use std::{cell::Cell, cell::RefCell, io, net::IpAddr, net::SocketAddr, rc::Rc, task::Poll, time::Duration};

use actix_service::Service;
use actix_tls::connect::{ConnectError, ConnectInfo, Connection};
use awc::http::Uri;
use futures_util::{StreamExt, future::LocalBoxFuture, stream::FuturesUnordered};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use crate::core::endpoint::class::Class;

use super::{
    guard::{Guard, Host, NotPublic, Target},
    resolve::Resolve,
};

mod tls;
mod wire;

pub use tls::Tls;
pub(super) use wire::Wire;

/// Most addresses of one name that are tried.
const MOST_TRIED: usize = 8;
/// How long an address is waited for before the next one is tried beside it (RFC 8305).
const STAGGER: Duration = Duration::from_millis(250);

tokio::task_local! {
    /// The request on whose behalf a connection is polled. Without one, nothing is dialled.
    pub(super) static TRIP: Rc<Trip>;
}

/// How far a request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Waiting for an answer, on a new or a kept connection.
    Answer,
    /// Finding the addresses.
    Resolve,
    /// Connecting.
    Connect,
    /// Shaking hands.
    Handshake,
    /// Reading the answer's body.
    Body,
}

/// What dialling and the wire have to tell about one request.
pub(super) struct Trip {
    pub(super) target: Target,
    pub(super) stage: Cell<Stage>,
    /// Whether a new connection was made for it.
    pub(super) dialled: Cell<bool>,
    /// The connection that bytes came back on: set, it is not used again.
    pub(super) heard: RefCell<Option<Rc<Cell<bool>>>>,
    /// Why there is no connection.
    pub(super) failure: RefCell<Option<(Class, String)>>,
}

impl Trip {
    pub(super) fn new(target: Target) -> Self {
        let (stage, dialled) = (Cell::new(Stage::Answer), Cell::new(false));
        Self { target, stage, dialled, heard: RefCell::default(), failure: RefCell::default() }
    }

    /// Keeps the connection of the answer from being used again.
    pub(super) fn spend_connection(&self) {
        if let Some(spent) = &*self.heard.borrow() {
            spent.set(true);
        }
    }
}

/// Opens a TCP connection to an address that was judged. Tests put a recorder in its place.
pub trait Dial {
    /// Connects; the caller bounds the time.
    fn connect(&self, to: SocketAddr) -> LocalBoxFuture<'static, io::Result<TcpStream>>;
}

/// The real network.
#[derive(Debug, Clone, Copy, Default)]
pub struct Network;

impl Dial for Network {
    fn connect(&self, to: SocketAddr) -> LocalBoxFuture<'static, io::Result<TcpStream>> {
        Box::pin(TcpStream::connect(to))
    }
}

/// The service that awc gets its connections from.
#[derive(Clone)]
pub(super) struct Dialer(Rc<Inner>);

struct Inner {
    guard: Guard,
    resolve: Rc<dyn Resolve>,
    dial: Rc<dyn Dial>,
    tls: TlsConnector,
}

/// A failure with its class, on its way to the trip.
type Failed = (Class, String);

impl Dialer {
    pub(super) fn new(guard: Guard, tls: &Tls, resolve: Rc<dyn Resolve>, dial: Rc<dyn Dial>) -> Self {
        Self(Rc::new(Inner { guard, resolve, dial, tls: tls.connector() }))
    }

    /// Looks where a trip would lead, and judges that.
    pub(super) async fn judge(&self, trip: &Trip) -> Result<(), (Class, String)> {
        self.0.addresses(trip).await.map(|_| ())
    }
}

impl Service<ConnectInfo<Uri>> for Dialer {
    type Response = Connection<Uri, Wire>;
    type Error = ConnectError;
    type Future = LocalBoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&self, info: ConnectInfo<Uri>) -> Self::Future {
        let inner = self.0.clone();
        Box::pin(async move {
            let trip = TRIP.try_with(Rc::clone).map_err(|_| ConnectError::Unresolved)?;
            match inner.open(&trip).await {
                Ok(wire) => Ok(Connection::new(info.request().clone(), wire)),
                Err(failed) => {
                    *trip.failure.borrow_mut() = Some(failed);
                    Err(ConnectError::Unresolved)
                }
            }
        })
    }
}

impl Inner {
    async fn open(&self, trip: &Trip) -> Result<Wire, Failed> {
        trip.dialled.set(true);
        let addresses = self.addresses(trip).await?;
        trip.stage.set(Stage::Connect);
        let tcp = self.connect(&addresses).await.map_err(|error| (Class::Connect, connect_error(&error)))?;
        // Answers are small and awaited: a segment held back costs more than it saves.
        let _ = tcp.set_nodelay(true);
        let wire = if trip.target.tls() { self.handshake(trip, tcp).await? } else { Wire::plain(tcp) };
        trip.stage.set(Stage::Answer);
        Ok(wire)
    }

    /// The addresses to try, once all that the name has were judged: one bad address among good ones refuses them all.
    async fn addresses(&self, trip: &Trip) -> Result<Vec<SocketAddr>, Failed> {
        let found = match trip.target.host() {
            Host::Ip(ip) => vec![*ip],
            Host::Name(name) => {
                trip.stage.set(Stage::Resolve);
                self.resolve.resolve(name).await.map_err(|error| (Class::Dns, error.to_string()))?
            }
        };
        for ip in &found {
            self.guard.check(*ip).map_err(|refused| blocked(trip.target.host(), &refused))?;
        }
        if found.is_empty() {
            return Err((Class::Dns, "the name has no address".to_owned()));
        }
        let address = |ip: IpAddr| SocketAddr::new(ip, trip.target.port());
        Ok(found.into_iter().take(MOST_TRIED).map(address).collect())
    }

    /// The first connection that comes about; a slow address holds up the next one only for a moment.
    async fn connect(&self, addresses: &[SocketAddr]) -> io::Result<TcpStream> {
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        let mut waiting = addresses.iter();
        let mut tries = FuturesUnordered::new();
        loop {
            match waiting.next() {
                Some(to) => tries.push(self.dial.connect(*to)),
                None if tries.is_empty() => return Err(last),
                None => {}
            }
            let stagger = tokio::time::sleep(STAGGER);
            tokio::select! {
                tried = tries.next() => match tried {
                    Some(Ok(tcp)) => return Ok(tcp),
                    Some(Err(error)) => last = error,
                    None => {}
                },
                () = stagger, if waiting.len() > 0 => {}
            }
        }
    }

    async fn handshake(&self, trip: &Trip, tcp: TcpStream) -> Result<Wire, Failed> {
        trip.stage.set(Stage::Handshake);
        let name = match trip.target.host() {
            Host::Ip(ip) => ServerName::from(*ip),
            Host::Name(name) => {
                ServerName::try_from(name.to_string()).map_err(|error| (Class::Tls, error.to_string()))?
            }
        };
        let stream = self.tls.connect(name, tcp).await.map_err(|error| (Class::Tls, error.to_string()))?;
        Ok(Wire::tls(stream))
    }
}

/// Says of a name only what kind of address it has: which one is no business of who made the endpoint.
fn blocked(host: &Host, refused: &NotPublic) -> Failed {
    let message = match host {
        Host::Ip(_) => refused.to_string(),
        Host::Name(name) => format!("{name} has an address that is not public ({})", refused.what),
    };
    (Class::Blocked, message)
}

fn connect_error(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::TimedOut => "no answer to the connection attempt".to_owned(),
        _ => format!("no connection: {error}"),
    }
}
