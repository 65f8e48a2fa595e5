//! The arguments that all commands with an answer to show have in common.

use super::client::Connection;

/// The nodes, and the form of the output.
#[derive(Debug, clap::Args)]
pub(super) struct Common {
    #[command(flatten)]
    pub(super) connection: Connection,
    /// The old name of -o json
    #[arg(long, hide = true)]
    pub(super) json: bool,
}
