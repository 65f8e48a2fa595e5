//! Asks a node from outside whether it would admit a newcomer, and changes nothing there.
//!
//! It is the handshake with which a newcomer begins, and no more: each side proves its identity and shows what
//! admits a newcomer (see [`crate::net`]). No request follows, so the node allocates no id, notes nobody and writes
//! nothing. The identity is a new one, so nobody takes the caller for a member, and what it shows is worth nothing
//! on another connection.

use std::time::Duration;

use crate::config::Security;
use crate::error::StartError;
use crate::identity_key::IdentityKey;
use crate::net::{Lane, LinkError, Secure, Shown, shake_at};
use crate::wire::Hello;

/// Why it is not known that a node admits a newcomer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// No node answered, which says nothing about the newcomer.
    #[error("{0}")]
    NoAnswer(String),
    /// One of the two does not accept the other: why.
    #[error("{0}")]
    NotAdmitted(String),
}

/// A newcomer that only wants to know whether it would be admitted.
pub struct Probe(Secure);

impl Probe {
    /// A newcomer with these keys, or with this certificate.
    ///
    /// # Errors
    /// If they cannot be used.
    pub fn new(security: &Security) -> Result<Self, StartError> {
        Ok(Self(Secure::new(security, IdentityKey::random()?)?))
    }

    /// Asks the node at `addr` (`host:port`), for at most `limit`. It must show what admits a newcomer, too.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub async fn ask(&self, addr: &str, limit: Duration) -> Result<(), ProbeError> {
        // As a newcomer, but without an address: nobody is to call back.
        let lane = Lane::Work.number();
        let hello = Hello { cluster_id: [0; 16], from: 0, to: 0, from_addr: String::new(), lane };
        match shake_at(&self.0, addr, &hello, |shown: &Shown| shown.admission.is_ok(), limit).await {
            Ok(()) => Ok(()),
            Err(LinkError::NotAdmitted(why)) => Err(ProbeError::NotAdmitted(why)),
            Err(other) => Err(ProbeError::NoAnswer(other.to_string())),
        }
    }
}
