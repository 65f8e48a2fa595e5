//! Wrong usage that is only found when a command runs.

/// Arguments that are wrong in a way that the parser cannot find. The exit code is 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Usage(pub(super) String);
