//! A publisher's connection, whatever its server speaks.

use std::net::SocketAddr;

use anyhow::{Result, bail};

use crate::{
    http,
    nats::{self, Acknowledges},
    wire::{NATS_SUBJECT, Requests},
};

/// One kept connection.
pub(crate) enum Line {
    Http(http::Client),
    Nats(nats::Client),
}

impl Line {
    /// Connects to the server that takes these requests.
    ///
    /// # Errors
    /// No such server listens there.
    pub(crate) async fn connect(addr: SocketAddr, requests: &Requests) -> Result<Self> {
        match requests {
            Requests::Nats { .. } => {
                let client = nats::Client::connect(addr, NATS_SUBJECT, Acknowledges::Reading).await?;
                Ok(Self::Nats(client))
            }
            _ => Ok(Self::Http(http::Client::connect(addr).await?)),
        }
    }

    /// Publishes so many events by one prepared request, and waits for the answer. To NATS the request is the
    /// payload of each.
    ///
    /// # Errors
    /// They are refused, or the connection breaks.
    pub(crate) async fn publish(&mut self, request: &[u8], events: usize) -> Result<()> {
        match self {
            Self::Nats(client) => client.publish(request, events).await,
            Self::Http(client) => {
                let status = client.exchange(request).await?;
                if !http::is_accepted(status) {
                    let answer = String::from_utf8_lossy(client.body()).into_owned();
                    bail!("a publish was answered with {status}: {answer}");
                }
                Ok(())
            }
        }
    }
}
