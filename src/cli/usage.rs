//! Wrong usage that only shows when a command runs.

/// A combination of arguments that the parser alone cannot refuse: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);
