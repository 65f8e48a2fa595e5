//! Connections for webhooks: resolves the name, checks every address, connects to a checked one, and speaks
//! TLS with the name that was asked for.
//!
//! Owns the only way to the outside, and the record of how far a request has come. It never keeps a
//! connection: the client owns the pool.

use std::{cell::Cell, io, net::IpAddr, net::SocketAddr, rc::Rc, time::Duration};

use futures_util::{StreamExt, future::LocalBoxFuture, stream::FuturesUnordered};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::core::webhook::outcome::{Class, Stage};

use super::{
    guard::{Forbidden, Guard, Host, Target},
    resolve::Resolve,
};

mod failed;
mod tls;
mod wire;

use failed::{connect_error, tls_error};
pub use tls::Tls;
pub(super) use wire::Wire;

/// The most addresses of one name that are tried.
const MOST_TRIED: usize = 8;
/// The wait for one address before the next one is tried in parallel (RFC 8305).
const STAGGER: Duration = Duration::from_millis(250);

/// The most bytes that may come back before the head of the answer has ended, interim answers included.
pub(super) const LONGEST_HEAD: usize = 256 * 1024;

/// How far a request has come. The connection that carries the request updates this.
pub(super) struct Trip {
    pub(super) stage: Cell<Stage>,
    /// Whether any part of the request was handed to a connection: the receiver may have taken it.
    pub(super) sent: Cell<bool>,
    /// The bytes that came back on the connection in use.
    pub(super) heard: Cell<usize>,
}

impl Trip {
    pub(super) fn new() -> Self {
        Self { stage: Cell::new(Stage::Dns), sent: Cell::new(false), heard: Cell::new(0) }
    }

    /// Everything that waited to be written was handed over.
    fn flushed(&self) {
        if self.stage.get() == Stage::Write && self.sent.get() {
            self.stage.set(Stage::Wait);
        }
    }

    /// This many bytes came back. A receiver may send interim answers without end, so a head that is too long
    /// is an error.
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

/// Opens a TCP connection to a checked address. Tests replace it with a recorder.
pub trait Dial {
    /// Connects. The caller bounds the time.
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

/// Makes the connections of one client.
pub(super) struct Dialer {
    guard: Guard,
    resolve: Rc<dyn Resolve>,
    dial: Rc<dyn Dial>,
    tls: TlsConnector,
}

/// Why there is no connection: the class and the description.
type Failed = (Class, String);

/// Why a host has no address that may be dialled.
pub(super) enum NoTarget {
    /// The name has no address.
    Dns(String),
    /// Webhooks must not go to one of the addresses.
    Forbidden(Forbidden),
}

impl Dialer {
    pub(super) fn new(guard: Guard, tls: &Tls, resolve: Rc<dyn Resolve>, dial: Rc<dyn Dial>) -> Self {
        Self { guard, resolve, dial, tls: tls.connector() }
    }

    /// Checks the addresses that a request would go to.
    pub(super) async fn check(&self, target: &Target) -> Result<(), NoTarget> {
        self.addresses(target).await.map(|_| ())
    }

    /// Opens a new connection to the target, to carry this request.
    pub(super) async fn open(&self, target: &Target, trip: &Rc<Trip>) -> Result<Wire, Failed> {
        trip.stage.set(Stage::Dns);
        let addresses = self.addresses(target).await.map_err(|none| none.failed(target.host()))?;
        trip.stage.set(Stage::Connect);
        let tcp = self.connect(&addresses).await.map_err(|error| (Class::Connect, connect_error(&error)))?;
        // The answer to each request is awaited, so a delayed segment costs more than it saves.
        let _ = tcp.set_nodelay(true);
        if target.tls() {
            self.handshake(target, trip, tcp).await
        } else {
            Ok(Wire::plain(tcp, target, trip))
        }
    }

    /// The addresses to try. All addresses of the name are checked first: a single bad one refuses the name.
    async fn addresses(&self, target: &Target) -> Result<Vec<SocketAddr>, NoTarget> {
        let found = match target.host() {
            Host::Ip(ip) => vec![*ip],
            Host::Name(name) => {
                self.resolve.resolve(name).await.map_err(|error| NoTarget::Dns(error.to_string()))?
            }
        };
        found.iter().try_for_each(|ip| self.guard.check(*ip)).map_err(NoTarget::Forbidden)?;
        if found.is_empty() {
            return Err(NoTarget::Dns("the name has no address".to_owned()));
        }
        let address = |ip: IpAddr| SocketAddr::new(ip, target.port());
        Ok(found.into_iter().take(MOST_TRIED).map(address).collect())
    }

    /// The first connection that succeeds. A slow address delays the next one only by [`STAGGER`].
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

impl NoTarget {
    fn failed(self, host: &Host) -> Failed {
        match self {
            Self::Dns(why) => (Class::Dns, why),
            Self::Forbidden(forbidden) => (Class::Blocked, describe(host, &forbidden)),
        }
    }
}

/// Describes a forbidden address. For a name it says only the kind of address: the creator of a webhook must
/// not learn internal addresses.
pub(super) fn describe(host: &Host, forbidden: &Forbidden) -> String {
    match (host, forbidden) {
        (Host::Ip(_), _) => forbidden.to_string(),
        (Host::Name(name), Forbidden::NotPublic { what, .. }) => {
            format!("{name} has an address that is not public ({what})")
        }
        (Host::Name(name), Forbidden::Denied { .. }) => {
            format!("{name} has an address that webhooks may not reach (webhooks.deny_nets)")
        }
    }
}
