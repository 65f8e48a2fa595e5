//! Events that were handed over, on their way to a client. What no client gets is given back.

use crate::core::consumer::reading::{AckId, Handed};
use crate::core::webhook::Webhook;
use std::sync::Arc;
use tokio::sync::mpsc;

/// The most reads whose events wait to be given back.
const MAX_RETURNS: usize = 1024;

/// Events of one consumer that are to be given back.
pub(super) struct Return {
    pub(super) consumer: Arc<Webhook>,
    pub(super) ids: Vec<AckId>,
}

/// The way back for events that no client gets; cheap to clone.
#[derive(Clone)]
pub(super) struct Returns(mpsc::Sender<Return>);

impl Returns {
    /// The way back, and its end.
    pub(super) fn new() -> (Self, mpsc::Receiver<Return>) {
        let (sender, receiver) = mpsc::channel(MAX_RETURNS);
        (Self(sender), receiver)
    }

    /// Events that were handed over for a client.
    pub(super) fn got(&self, consumer: &Arc<Webhook>, handed: Vec<Handed>) -> Got {
        Got { returns: self.clone(), consumer: consumer.clone(), handed }
    }
}

/// Events that were handed over for a client. If this is dropped before the client gets them, others get
/// them.
pub(in crate::edge) struct Got {
    returns: Returns,
    consumer: Arc<Webhook>,
    handed: Vec<Handed>,
}

impl Got {
    /// Whether there is no event.
    pub(in crate::edge) fn is_empty(&self) -> bool {
        self.handed.is_empty()
    }

    /// The client gets them now.
    pub(in crate::edge) fn take(mut self) -> Vec<Handed> {
        std::mem::take(&mut self.handed)
    }
}

impl Drop for Got {
    fn drop(&mut self) {
        if self.handed.is_empty() {
            return;
        }
        let ids = self.handed.iter().map(|handed| handed.ack_id).collect();
        let back = Return { consumer: self.consumer.clone(), ids };
        if self.returns.0.try_send(back).is_err() {
            tracing::debug!(consumer = %self.consumer.id, "events come again when their visibility ends");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::core::ids::{MapId, WebhookId};
    use crate::core::webhook::Plain;

    #[test]
    fn what_no_client_gets_is_given_back() {
        let ids = (WebhookId::from_bytes([1; 16]), MapId::from_bytes([2; 16]));
        let consumer = Arc::new(Plain::read_by_clients(ids.0, ids.1, "jobs").webhook);
        let ack_id = AckId { node: 1, incarnation: 2, loan: 3 };
        let handed = vec![Handed { ack_id, attempt: 1, gap: None, event: b"{}".to_vec() }];
        let (returns, mut back) = Returns::new();
        assert_eq!(returns.got(&consumer, handed.clone()).take().len(), 1);
        drop(returns.got(&consumer, Vec::new()));
        assert!(back.try_recv().is_err(), "a client has them");
        drop(returns.got(&consumer, handed));
        assert_eq!(back.try_recv().unwrap().ids, [ack_id]);
    }
}
