//! What a webhook would do with an event, under settings that need not be stored. Nothing is sent.

use super::Webhooks;
use crate::core::event::Event;
use crate::core::webhook::{Private, Target, Webhook};
use crate::delivery::webhook::evaluate::Evaluator;
use crate::delivery::webhook::sender::{Now, Sender, ShownRequest};
use crate::hub::ArchiveError;
use std::sync::Arc;
use std::time::Duration;

/// How long a template may wait for its turn, and be rendered.
const RENDERED_WITHIN: Duration = Duration::from_secs(5);
/// Stands for the target of settings that have none yet.
const NOWHERE: &str = "https://receiver.invalid/";

/// As which attempt a request is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsAttempt {
    /// Its number, from 1.
    pub number: u32,
    /// When it was made (Unix milliseconds of the cluster's time). `None` is now.
    pub at_ms: Option<u64>,
}

impl Default for AsAttempt {
    /// The first attempt, made now.
    fn default() -> Self {
        Self { number: 1, at_ms: None }
    }
}

/// Why nothing is known of what a webhook would do.
#[derive(Debug, thiserror::Error)]
pub enum PreviewError {
    /// The webhook's settings can't be used on this node.
    #[error("{0}")]
    Settings(String),
    /// The expressions were not evaluated.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

impl Webhooks {
    /// Whether a webhook with these settings would want each of the events.
    ///
    /// # Errors
    /// [`PreviewError`]: it is not known of any of them.
    pub async fn wanted(&self, webhook: &Webhook, events: &[Event]) -> Result<Vec<bool>, PreviewError> {
        let offers = evaluator(webhook)?.evaluated(&self.hub, events).await?;
        Ok(offers.iter().map(|offer| offer.wanted).collect())
    }

    /// Why a webhook with these settings would not want the event, in words; `None` if it would want it.
    ///
    /// # Errors
    /// [`PreviewError`]: it is not known.
    pub async fn why_unwanted(
        &self,
        webhook: &Webhook,
        event: &Event,
    ) -> Result<Option<String>, PreviewError> {
        Ok(evaluator(webhook)?.why_unwanted(&self.hub, event).await?)
    }

    /// The request that a webhook with these settings would make of the event at that attempt, whether or not it
    /// wants it.
    /// Nothing secret is shown. A target is not needed.
    ///
    /// # Errors
    /// Why there would be no request, in words.
    pub async fn shown_request(
        &self,
        webhook: Webhook,
        mut private: Private,
        event: &Event,
        attempt: AsAttempt,
    ) -> Result<ShownRequest, String> {
        let has_target = private.has_target();
        if !has_target {
            private.target = Target::Http(NOWHERE.to_owned());
        }
        let guard = self.outside.guard();
        let sender = Sender::new(Arc::new(webhook), private, guard, &self.account, self.templates.clone())
            .map_err(|error| error.to_string())?;
        let now = Now::of(&self.hub);
        let then = Now { time_ms: attempt.at_ms.unwrap_or(now.time_ms), ..now };
        let shown = sender.shown(event, attempt.number, then, RENDERED_WITHIN).await?;
        let url = shown.url.filter(|_| has_target);
        Ok(ShownRequest { url, ..shown })
    }
}

fn evaluator(webhook: &Webhook) -> Result<Arc<Evaluator>, PreviewError> {
    Evaluator::new(webhook).map(Arc::new).map_err(|error| PreviewError::Settings(error.to_string()))
}
