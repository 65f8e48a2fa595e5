//! A source that is ready to take requests: with its secrets in the clear, and with its mapping and schema parsed.

use crate::core::ingest::{Keys, Reader, Schema, Source};
use std::sync::Arc;

/// A source that is ready to take requests.
pub(super) struct OpenSource {
    /// The record that it comes from.
    pub(super) source: Arc<Source>,
    /// Its secrets.
    pub(super) keys: Keys,
    /// What its bodies become.
    pub(super) reader: Reader,
    /// What its payloads must be.
    pub(super) schema: Option<Schema>,
}
