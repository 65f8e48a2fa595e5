//! The handshake at the peer port: each side proves its identity, and shows what admits a newcomer.
//!
//! Every connection is TLS 1.3. Inside it, the caller sends a greeting and the other side a welcome. Each has
//! the sender's identity with a signature over the exporter of the TLS connection, so an identity cannot be
//! used without its private half, and nothing that is shown on one connection is valid on another. Each also
//! has a proof of the cluster's key, if there is one, and the introductions of its sender.
//!
//! This module finds out what a peer has shown. It does not decide what the peer may do: the node does, by
//! its membership (see [`crate::roster`]).

#[cfg(not(feature = "sim"))]
mod certificates;
mod shared_key;
#[cfg_attr(feature = "sim", path = "../../sim/tls.rs")]
mod tls;

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use bytes::Bytes;

use crate::NodeId;
use crate::clock;
use crate::config::Security;
use crate::error::StartError;
use crate::identity_key::{IdentityKey, PublicKey};
use crate::introduction::Statement;
use crate::os::TcpStream;
use crate::status::PeerSecurity;
use crate::wire::frame::{self, Kind};
use crate::wire::{self, Greeting, Hello, IntroductionV1, ShownV1, Welcome};

use super::HANDSHAKE_BYTES;
use super::caller::{Caller, NotAdmitted, Shown};
use super::stream::{self, Reader, Writer};
use shared_key::SharedKey;
use tls::{Channel, Tls};

/// A peer that does not admit this node is reported at most once in this time (milliseconds).
const REPORT_MS: u64 = 10_000;
/// Most characters that are taken from another node's reason.
const MOST_OF_REASON: usize = 300;
/// Most proofs that are looked at: a key, and the one before it.
const MOST_PROOFS: usize = 2;

/// The side of a connection that shows something.
#[derive(Clone, Copy)]
enum Side {
    Caller,
    Called,
}

impl Side {
    /// What this side signs and proves. Only the length of the hello varies, so it comes last.
    fn message(self, exporter: &[u8; 32], identity: &[u8; 32], hello: &Hello) -> io::Result<Vec<u8>> {
        let side: &[u8] = match self {
            Self::Caller => b"waypost peer: caller",
            Self::Called => b"waypost peer: called",
        };
        Ok([side, exporter.as_slice(), identity.as_slice(), wire::encode(hello)?.as_slice()].concat())
    }
}

/// How this node and its peers recognize each other.
pub(crate) struct Secure {
    tls: Tls,
    /// The keys that admit newcomers. This node shows proofs of all of them.
    keys: Vec<SharedKey>,
    mode: PeerSecurity,
    identity: IdentityKey,
    /// `None` until this node has joined: it shows none, and introduces nobody.
    introductions: RwLock<Option<Vec<IntroductionV1>>>,
    /// What callers get that speak no TLS.
    told_without_tls: Bytes,
    reported: AtomicU64,
}

/// A caller that has shown what it is, and waits to be admitted.
pub(super) struct Answering {
    pub(super) read: Reader,
    pub(super) write: Writer,
    pub(super) caller: Caller,
    exporter: [u8; 32],
    /// The key that the caller has proved, by its index among this node's keys.
    proved: Option<usize>,
}

impl Secure {
    /// Reads keys and certificates.
    pub(crate) fn new(security: &Security, identity: IdentityKey) -> Result<Self, StartError> {
        Ok(Self {
            tls: Tls::new(security, &identity)?,
            keys: security.keys.iter().map(|text| SharedKey::new(text)).collect(),
            mode: mode(security),
            identity,
            introductions: RwLock::default(),
            told_without_tls: Bytes::new(),
            reported: AtomicU64::new(0),
        })
    }

    /// Tells this to callers that speak no TLS.
    pub(crate) fn telling(self, without_tls: Bytes) -> Self {
        Self { told_without_tls: without_tls, ..self }
    }

    pub(crate) fn mode(&self) -> PeerSecurity {
        self.mode
    }

    /// The identity of this node.
    pub(crate) fn identity(&self) -> PublicKey {
        self.identity.public()
    }

    /// Shows these introductions from now on.
    pub(crate) fn introduce_with(&self, introductions: Vec<IntroductionV1>) {
        *self.introductions.write().unwrap_or_else(PoisonError::into_inner) = Some(introductions);
    }

    /// Whether this node can introduce others: it founded the cluster, or members have introduced it.
    pub(crate) fn is_introduced(&self) -> bool {
        self.introductions.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn own_introductions(&self) -> Option<Vec<IntroductionV1>> {
        self.introductions.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Introduces another node, which is a member as of that index of the log. `None` if this node has not
    /// been introduced itself: whoever was away would not believe it.
    pub(crate) fn introduce(
        &self,
        cluster: &[u8; 16],
        position: u64,
        id: NodeId,
        identity: PublicKey,
    ) -> Option<Vec<IntroductionV1>> {
        let own = self.own_introductions()?;
        Some(Statement { cluster, position, id, identity }.sign(&self.identity, &own))
    }

    /// When this node's certificate expires (seconds since 1970).
    pub(crate) fn certificate_until(&self) -> Option<u64> {
        self.tls.certificate_until()
    }

    /// Takes changed certificates, as long as the node runs.
    pub(crate) async fn keep_fresh(&self) {
        self.tls.keep_fresh().await;
    }

    /// Takes changed certificates now.
    pub(crate) async fn renew(&self) {
        self.tls.renew().await;
    }

    /// The calling side: shows itself, waits until it is admitted, and returns what the other side has shown.
    pub(super) async fn call(&self, socket: TcpStream, hello: &Hello) -> io::Result<(Reader, Writer, Shown)> {
        let channel = self.tls.connect(socket).await?;
        // Only now it is known whether the other side accepts this node's certificate.
        self.greet(channel, hello).await.map_err(tls::explained)
    }

    async fn greet(&self, channel: Channel, hello: &Hello) -> io::Result<(Reader, Writer, Shown)> {
        let Channel { mut read, mut write, exporter, certified } = channel;
        let shown = self.show(Side::Caller, &exporter, hello, &self.keys)?;
        send(&mut write, Kind::Hello, &Greeting { hello: hello.clone(), shown }).await?;
        let (head, body) = read.frame(HANDSHAKE_BYTES).await?;
        match wire::decode(&body)? {
            Welcome::OkV1(shown) if head.kind == Kind::Welcome => {
                let (shown, _) = self.check(Side::Called, (&exporter, hello), shown, certified)?;
                Ok((read, write, shown))
            }
            _ => Err(refused(head.kind, &body)),
        }
    }

    /// The answering side: finds out what the caller shows.
    pub(super) async fn answer(&self, socket: TcpStream) -> io::Result<Answering> {
        let Channel { mut read, write, exporter, certified } =
            self.tls.accept(socket, &self.told_without_tls).await?;
        let (head, body) = read.frame(HANDSHAKE_BYTES).await?;
        if head.kind != Kind::Hello {
            return Err(io::Error::other("the first frame is not a greeting"));
        }
        let Greeting { hello, shown } = wire::decode(&body)?;
        let (shown, proved) = self.check(Side::Caller, (&exporter, &hello), shown, certified)?;
        Ok(Answering { read, write, caller: Caller { hello, shown }, exporter, proved })
    }

    /// Admits the caller, and shows it what this node is.
    pub(super) async fn welcome(&self, answering: &mut Answering) -> io::Result<()> {
        // Only a key that the caller has too is proved to it.
        let keys = answering.proved.and_then(|at| self.keys.get(at)).map_or(&[][..], std::slice::from_ref);
        let shown = self.show(Side::Called, &answering.exporter, &answering.caller.hello, keys)?;
        send(&mut answering.write, Kind::Welcome, &Welcome::OkV1(shown)).await
    }

    /// What this node shows of itself on a connection.
    fn show(
        &self,
        side: Side,
        exporter: &[u8; 32],
        hello: &Hello,
        keys: &[SharedKey],
    ) -> io::Result<ShownV1> {
        let identity = self.identity.public().0;
        let message = side.message(exporter, &identity, hello)?;
        Ok(ShownV1 {
            identity,
            signature: self.identity.sign(&message).into(),
            proofs: keys.iter().map(|key| key.prove(&message)).collect(),
            introductions: self.own_introductions().unwrap_or_default(),
        })
    }

    /// Checks what a peer shows. Also returns which of this node's keys it has.
    fn check(
        &self,
        side: Side,
        (exporter, hello): (&[u8; 32], &Hello),
        shown: ShownV1,
        certified: bool,
    ) -> io::Result<(Shown, Option<usize>)> {
        let identity = PublicKey(shown.identity);
        let message = side.message(exporter, &shown.identity, hello)?;
        if !identity.signed(&message, &shown.signature) {
            return Err(io::Error::other("the peer does not prove its identity"));
        }
        let mut proofs = shown.proofs.iter().take(MOST_PROOFS);
        let proved = proofs.find_map(|proof| self.keys.iter().position(|key| key.proved(&message, proof)));
        let admission = match self.mode {
            PeerSecurity::None => Ok(()),
            _ if certified || proved.is_some() => Ok(()),
            PeerSecurity::Tls => Err(NotAdmitted::NoCertificate),
            _ if shown.proofs.is_empty() => Err(NotAdmitted::NoKey),
            _ => Err(NotAdmitted::AnotherKey),
        };
        Ok((Shown { identity, introductions: shown.introductions, admission }, proved))
    }

    /// Logs that a peer does not admit this node, at a limited rate.
    pub(super) fn report(&self, addr: &str, error: &io::Error) {
        if hung_up(error) {
            tracing::debug!(addr, %error, "a peer hung up");
        } else if is_time(&self.reported, REPORT_MS) {
            tracing::warn!(addr, %error, "a peer and this node don't get together");
        }
    }
}

/// What admits a newcomer, as it is shown.
fn mode(security: &Security) -> PeerSecurity {
    match (security.tls.is_some(), security.keys.is_empty()) {
        (false, true) => PeerSecurity::None,
        (false, false) => PeerSecurity::Key,
        (true, true) => PeerSecurity::Tls,
        (true, false) => PeerSecurity::KeyOrTls,
    }
}

impl Answering {
    /// Turns the caller away, with the reason.
    pub(super) async fn refuse(self, reason: &str) {
        let welcome = wire::encode(&Welcome::RefusedV1 { reason: reason.to_owned() });
        if let Ok(frame) = welcome.and_then(|body| frame::encode(Kind::Welcome, frame::NODE, 0, &body)) {
            stream::part(self.read, self.write, &frame).await;
        }
    }
}

/// Whether the error means that the other side is gone, for any reason: nodes stop and die.
pub(super) fn hung_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

/// Whether at least `pause` milliseconds have passed since this last returned true.
pub(super) fn is_time(last: &AtomicU64, pause: u64) -> bool {
    let now = clock::now_ms();
    let before = last.load(Ordering::Relaxed);
    let over = now.saturating_sub(before) >= pause;
    over && last.compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

async fn send<T: serde::Serialize>(write: &mut Writer, kind: Kind, value: &T) -> io::Result<()> {
    write.frame(&frame::encode(kind, frame::NODE, 0, &wire::encode(value)?)?).await?;
    write.flush().await
}

/// The error for a refusal, or for a frame that is not one. The text may come from any sender, and is written
/// to the log.
fn refused(kind: Kind, body: &[u8]) -> io::Error {
    match wire::decode(body) {
        Ok(Welcome::RefusedV1 { reason }) if kind == Kind::Welcome => {
            let words = reason.chars().take(MOST_OF_REASON).map(|c| if c.is_control() { ' ' } else { c });
            io::Error::other(format!("refused: {}", words.collect::<String>()))
        }
        _ => io::Error::other("an unexpected frame in the handshake"),
    }
}

#[cfg(all(test, not(feature = "sim")))]
mod tests;
