//! Admission at the peer port, and how this node identifies itself.
//!
//! This module covers everything before the first request: TLS, or proofs of the shared key, or neither, up
//! to the caller's hello. If two peers use different kinds of security, both sides report that in plain
//! words. It does not decide who is a member: the node does.

pub(crate) mod frame_tag;
mod tls;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::os::{TcpStream, random};

use super::HANDSHAKE_BYTES;
use super::stream::{self, Reader, Writer};
use crate::certificate::{Certificate, Renewed};
use crate::clock;
use crate::config::Security;
use crate::error::StartError;
use crate::status::PeerSecurity;
use crate::wire::frame::{self, Kind};
use crate::wire::{self, Hello, KeyHello, KeyNonce, KeyProof, Welcome};
use frame_tag::{SharedKey, proves};
use tls::OfPeer;

/// A peer that does not admit this node is reported at most once in this time (milliseconds).
const REPORT_MS: u64 = 10_000;
/// Most characters that are taken from another node's reason.
const MOST_OF_REASON: usize = 300;
/// First byte of every connection that begins with TLS.
const TLS_BEGINS: u8 = 22;

/// How this node and its peers authenticate each other.
pub(crate) struct Secure {
    kind: Means,
    reported: AtomicU64,
}

/// The configured authentication, with its key or certificate loaded.
enum Means {
    None,
    Key(SharedKey),
    Tls(Arc<Renewed<OfPeer>>),
}

impl Secure {
    /// Reads keys and certificates.
    pub(crate) fn new(security: &Security) -> Result<Self, StartError> {
        let kind = match security {
            Security::None => Means::None,
            Security::Key(key) => Means::Key(SharedKey::new(key)),
            Security::Tls(files) => {
                let read = Renewed::load(files.clone());
                Means::Tls(Arc::new(
                    read.map_err(|why| StartError::Config(format!("peer certificates: {why}")))?,
                ))
            }
        };
        Ok(Self { kind, reported: AtomicU64::new(0) })
    }

    pub(crate) fn mode(&self) -> PeerSecurity {
        match self.kind {
            Means::None => PeerSecurity::None,
            Means::Key(_) => PeerSecurity::Key,
            Means::Tls(_) => PeerSecurity::Tls,
        }
    }

    /// When this node's certificate expires (seconds since 1970).
    pub(crate) fn certificate_until(&self) -> Option<u64> {
        match &self.kind {
            Means::Tls(certificates) => certificates.current().until(),
            Means::None | Means::Key(_) => None,
        }
    }

    /// Takes changed certificates, as long as the node runs.
    pub(crate) async fn keep_fresh(&self) {
        if let Means::Tls(certificates) = &self.kind {
            certificates.keep_fresh().await;
        }
    }

    /// The calling side: identifies itself, and waits until it is admitted.
    pub(super) async fn call(&self, socket: TcpStream, hello: &Hello) -> io::Result<(Reader, Writer)> {
        match &self.kind {
            Means::None => welcomed(stream::plain(socket), hello).await,
            Means::Tls(certificates) => {
                let ends = stream::tls(certificates.current().connect(socket).await?);
                // Only now it is known whether the other side accepts this node's certificate.
                welcomed(ends, hello).await.map_err(tls::explained)
            }
            Means::Key(key) => call_with_key(key, stream::plain(socket), hello).await,
        }
    }

    /// The answering side: identifies the caller. Returns the connection before the welcome is sent.
    pub(super) async fn answer(&self, socket: TcpStream) -> io::Result<(Reader, Writer, Hello)> {
        if let Means::Tls(certificates) = &self.kind
            && begins_tls(&socket).await?
        {
            let (mut read, write) = stream::tls(certificates.current().accept(socket).await?);
            let (head, body) = read.frame(HANDSHAKE_BYTES).await?;
            return if head.kind == Kind::Hello {
                Ok((read, write, wire::decode(&body)?))
            } else {
                Err(no_hello())
            };
        }
        let (mut read, write) = stream::plain(socket);
        if read.first_byte().await? == Some(TLS_BEGINS) {
            return Err(turn_away(read, write, "speaks TLS", self.speaks()).await);
        }
        let (head, body) = read.frame(HANDSHAKE_BYTES).await?;
        match (&self.kind, head.kind) {
            (Means::None, Kind::Hello) => Ok((read, write, wire::decode(&body)?)),
            (Means::Key(key), Kind::KeyHello) => {
                answer_with_key(key, (read, write), wire::decode(&body)?).await
            }
            (_, Kind::Hello) => {
                Err(turn_away(read, write, "has neither certificate nor key", self.speaks()).await)
            }
            (_, Kind::KeyHello) => Err(turn_away(read, write, "speaks with a key", self.speaks()).await),
            _ => Err(no_hello()),
        }
    }

    fn speaks(&self) -> &'static str {
        match self.kind {
            Means::None => "has neither certificate nor key",
            Means::Key(_) => "speaks with a key",
            Means::Tls(_) => "speaks TLS",
        }
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

/// Whether the error means that the other side is gone, for any reason: nodes stop and die.
pub(super) fn hung_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

/// Whether at least `pause` milliseconds have passed since this last returned true.
pub(super) fn is_time(last: &AtomicU64, pause: u64) -> bool {
    let (now, before) = (clock::now_ms(), last.load(Ordering::Relaxed));
    let over = now.saturating_sub(before) >= pause;
    over && last.compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

async fn begins_tls(socket: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    Ok(socket.peek(&mut first).await? == 1 && first[0] == TLS_BEGINS)
}

fn no_hello() -> io::Error {
    io::Error::other("the first frame is not a hello")
}

/// Reports to a caller with another kind of security why it is not admitted.
async fn turn_away(read: Reader, write: Writer, caller: &str, own: &str) -> io::Error {
    let reason = format!("this node {own}, the caller {caller}: all nodes need the same kind of security");
    refuse(read, write, &reason).await;
    io::Error::other(format!(
        "the caller {caller}, this node {own}: all nodes need the same kind of security"
    ))
}

async fn refuse(read: Reader, write: Writer, reason: &str) {
    let welcome = wire::encode(&Welcome::RefusedV1 { reason: reason.to_owned() });
    if let Ok(frame) = welcome.and_then(|body| frame::encode(Kind::Welcome, frame::NODE, 0, &body)) {
        stream::part(read, write, &frame).await;
    }
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

/// Waits for the welcome.
async fn let_in(read: &mut Reader) -> io::Result<()> {
    let (head, body) = read.frame(HANDSHAKE_BYTES).await?;
    match wire::decode(&body)? {
        Welcome::OkV1 if head.kind == Kind::Welcome => Ok(()),
        _ => Err(refused(head.kind, &body)),
    }
}

async fn welcomed((mut read, mut write): (Reader, Writer), hello: &Hello) -> io::Result<(Reader, Writer)> {
    send(&mut write, Kind::Hello, hello).await?;
    let_in(&mut read).await?;
    Ok((read, write))
}

fn nonce() -> io::Result<[u8; 32]> {
    let mut nonce = [0; 32];
    random(&mut nonce)?;
    Ok(nonce)
}

async fn call_with_key(
    key: &SharedKey,
    (mut read, mut write): (Reader, Writer),
    hello: &Hello,
) -> io::Result<(Reader, Writer)> {
    let hello = KeyHello { nonce: nonce()?, hello: hello.clone() };
    send(&mut write, Kind::KeyHello, &hello).await?;
    let (head, body) = read.frame(HANDSHAKE_BYTES).await?;
    if head.kind != Kind::KeyNonce {
        return Err(refused(head.kind, &body));
    }
    let KeyNonce { nonce } = wire::decode(&body)?;
    let agreed = key.agree(&hello, &nonce)?;
    send(&mut write, Kind::KeyProof, &KeyProof { proof: agreed.caller_proof }).await?;
    let (head, body) = read.frame(HANDSHAKE_BYTES).await?;
    if head.kind != Kind::KeyProof {
        return Err(refused(head.kind, &body));
    }
    let KeyProof { proof } = wire::decode(&body)?;
    if !proves(&agreed.called_proof, &proof) {
        return Err(io::Error::other("the peer has another key"));
    }
    read.tagged(agreed.called_tag());
    write.tagged(agreed.caller_tag());
    let_in(&mut read).await?;
    Ok((read, write))
}

async fn answer_with_key(
    key: &SharedKey,
    (mut read, mut write): (Reader, Writer),
    hello: KeyHello,
) -> io::Result<(Reader, Writer, Hello)> {
    let nonce = nonce()?;
    send(&mut write, Kind::KeyNonce, &KeyNonce { nonce }).await?;
    let (head, body) = read.frame(HANDSHAKE_BYTES).await?;
    if head.kind != Kind::KeyProof {
        return Err(io::Error::other("no proof of the key"));
    }
    let KeyProof { proof } = wire::decode(&body)?;
    let agreed = key.agree(&hello, &nonce)?;
    if !proves(&agreed.caller_proof, &proof) {
        refuse(read, write, "the caller has another key").await;
        return Err(io::Error::other("the caller has another key"));
    }
    send(&mut write, Kind::KeyProof, &KeyProof { proof: agreed.called_proof }).await?;
    read.tagged(agreed.caller_tag());
    write.tagged(agreed.called_tag());
    Ok((read, write, hello.hello))
}

#[cfg(all(test, not(feature = "sim")))]
mod tests;
