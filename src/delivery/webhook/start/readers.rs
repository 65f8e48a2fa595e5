//! Reading a consumer whose owner is this node.

use super::{Job, Webhooks};
use crate::core::consumer::desk::MAX_READERS;
use crate::core::consumer::reading::{Answers, Handed, Wish};
use crate::core::ids::WebhookId;
use crate::delivery::webhook::actor::{Pull, Said, TooManyReaders};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// Why a reader was not served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ReadError {
    /// This node does not run the consumer, or no longer does.
    #[error("this node does not run the consumer")]
    Elsewhere,
    /// As many readers wait for the consumer as may.
    #[error("{0} readers wait for the consumer, as many as may")]
    TooManyReaders(u32),
}

impl Webhooks {
    /// Reads events of a consumer that this node runs. Waits for the first one as long as the reader does.
    ///
    /// # Errors
    /// [`ReadError`]: the reader has got nothing.
    pub async fn read(&self, consumer: WebhookId, wish: Wish) -> Result<Vec<Handed>, ReadError> {
        let (answer, answered) = oneshot::channel();
        self.give(consumer, Job::Pull(consumer, Pull { wish, answer })).await?;
        match answered.await {
            Ok(Ok(handed)) => Ok(handed),
            Ok(Err(TooManyReaders)) => Err(ReadError::TooManyReaders(MAX_READERS as u32)),
            Err(_) => Err(ReadError::Elsewhere),
        }
    }

    /// Passes on what a reader did with events of a consumer that this node runs. Returns the loans that are
    /// not known, once a majority of the cluster has all others.
    ///
    /// # Errors
    /// [`ReadError::Elsewhere`]: this node does not run the consumer any more. What was said may have counted.
    pub async fn answer(&self, consumer: WebhookId, answers: Answers) -> Result<Vec<u64>, ReadError> {
        let (answer, answered) = oneshot::channel();
        self.give(consumer, Job::Said(consumer, Said { answers, answer })).await?;
        answered.await.map_err(|_| ReadError::Elsewhere)
    }

    /// Gives the job to the thread that runs the consumer.
    async fn give(&self, consumer: WebhookId, job: Job) -> Result<(), ReadError> {
        let place = usize::from(consumer.as_bytes()[15]) % self.shards.len().max(1);
        let shard = self.shards.get(place).ok_or(ReadError::Elsewhere)?;
        shard.send(job).await.map_err(|_| ReadError::Elsewhere)
    }
}
