//! Connections for webhooks: resolve, check every address, connect to a checked one, speak TLS with the name that was
//! asked for.
//!
//! Owns the only way out, and what is known of how far a request has come. Never keeps a connection: the pool is the
//! client's.

use std::{cell::Cell, io, net::IpAddr, net::SocketAddr, rc::Rc, time::Duration};

use futures_util::{StreamExt, future::LocalBoxFuture, stream::FuturesUnordered};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{self, pki_types::ServerName};

use crate::core::webhook::outcome::{Class, Stage};

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

/// Most that may come back before the head of the answer has ended, interim answers included, in bytes.
pub(super) const LONGEST_HEAD: usize = 256 * 1024;

/// How far a request has come. The connection that carries it keeps this true.
pub(super) struct Trip {
    pub(super) stage: Cell<Stage>,
    /// Something of it was handed to a connection: the receiver may have taken it.
    pub(super) sent: Cell<bool>,
    /// Bytes that came back on the connection in use.
    pub(super) heard: Cell<usize>,
}

impl Trip {
    pub(super) fn new() -> Self {
        Self { stage: Cell::new(Stage::Dns), sent: Cell::new(false), heard: Cell::new(0) }
    }

    /// All that waited to be written was handed over.
    fn flushed(&self) {
        if self.stage.get() == Stage::Write && self.sent.get() {
            self.stage.set(Stage::Wait);
        }
    }

    /// So many bytes came back. Interim answers may come without end: a head that is too long is an error.
    fn hear(&self, bytes: usize) -> io::Result<()> {
        self.heard.set(self.heard.get() + bytes);
        if matches!(self.stage.get(), Stage::Write | Stage::Wait) {
            self.stage.set(Stage::Head);
        }
        if self.stage.get() == Stage::Head && self.heard.get() > LONGEST_HEAD {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the answer's head does not end"));
        }
        Ok(())
    }
}

/// Opens a TCP connection to an address that was checked. Tests put a recorder in its place.
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

/// Makes connections.
pub(super) struct Dialer {
    guard: Guard,
    resolve: Rc<dyn Resolve>,
    dial: Rc<dyn Dial>,
    tls: TlsConnector,
}

/// Why there is no connection.
type Failed = (Class, String);

impl Dialer {
    pub(super) fn new(guard: Guard, tls: &Tls, resolve: Rc<dyn Resolve>, dial: Rc<dyn Dial>) -> Self {
        Self { guard, resolve, dial, tls: tls.connector() }
    }

    /// Looks where a request would go, and checks that.
    pub(super) async fn check(&self, target: &Target) -> Result<(), Failed> {
        self.addresses(target).await.map(|_| ())
    }

    /// A new connection to the target, to carry this request.
    pub(super) async fn open(&self, target: &Target, trip: &Rc<Trip>) -> Result<Wire, Failed> {
        trip.stage.set(Stage::Dns);
        let addresses = self.addresses(target).await?;
        trip.stage.set(Stage::Connect);
        let tcp = self.connect(&addresses).await.map_err(|error| (Class::Connect, connect_error(&error)))?;
        // Answers are small and awaited: a segment held back costs more than it saves.
        let _ = tcp.set_nodelay(true);
        if target.tls() {
            self.handshake(target, trip, tcp).await
        } else {
            Ok(Wire::plain(tcp, target, trip))
        }
    }

    /// The addresses to try, once all that the name has were checked: one bad address among good ones refuses them all.
    async fn addresses(&self, target: &Target) -> Result<Vec<SocketAddr>, Failed> {
        let found = match target.host() {
            Host::Ip(ip) => vec![*ip],
            Host::Name(name) => {
                self.resolve.resolve(name).await.map_err(|error| (Class::Dns, error.to_string()))?
            }
        };
        for ip in &found {
            self.guard.check(*ip).map_err(|refused| blocked(target.host(), &refused))?;
        }
        if found.is_empty() {
            return Err((Class::Dns, "the name has no address".to_owned()));
        }
        let address = |ip: IpAddr| SocketAddr::new(ip, target.port());
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

    async fn handshake(&self, target: &Target, trip: &Rc<Trip>, tcp: TcpStream) -> Result<Wire, Failed> {
        trip.stage.set(Stage::Tls);
        let name = match target.host() {
            Host::Ip(ip) => ServerName::from(*ip),
            Host::Name(name) => {
                ServerName::try_from(name.to_string()).map_err(|error| (Class::Tls, error.to_string()))?
            }
        };
        let stream = self.tls.connect(name, tcp).await.map_err(|error| (Class::Tls, tls_error(&error)))?;
        Ok(Wire::tls(stream, target, trip))
    }
}

/// Says of a name only what kind of address it has: which one is no business of who made the webhook.
fn blocked(host: &Host, refused: &NotPublic) -> Failed {
    let message = match host {
        Host::Ip(_) => refused.to_string(),
        Host::Name(name) => format!("{name} has an address that is not public ({})", refused.what),
    };
    (Class::Blocked, message)
}

fn tls_error(error: &io::Error) -> String {
    match error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
        // What came back is no message of TLS.
        Some(rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType)) => {
            format!("{error}; does the receiver speak plain HTTP?")
        }
        _ => error.to_string(),
    }
}

fn connect_error(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::TimedOut => "no answer to the connection attempt".to_owned(),
        _ => format!("no connection: {error}"),
    }
}
