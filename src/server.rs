//! The composition root.

use crate::config::Config;

/// Why a node ended.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {}

/// Runs a node until `stop` resolves, then drains it.
///
/// # Errors
/// When the node cannot start or go on.
pub async fn run(_config: Config, stop: impl Future<Output = ()>) -> Result<(), ServerError> {
    stop.await;
    Ok(())
}
