//! `waypost relay`: publishes what an application wrote beside its own data, in order, each event once.
//!
//! An application writes events into a table of its database, in the transaction that they belong to, or into
//! a file. The relay publishes them. It notes which events the next request has before it sends it, and sends
//! the same request under the same idempotency key until it is answered. So an event is stored once, whoever
//! dies meanwhile, as long as the relay comes back while the map remembers the key.

mod events;
mod file;
mod postgres;
mod table;

use clap::Subcommand;

use super::output;
use table::Table;

/// Where events come from.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Publish the rows of a table in PostgreSQL, in the order in which their transactions committed
    Postgres(postgres::Args),
    /// Print the SQL that makes the table
    Schema {
        /// Name of the table; a schema may stand before it
        #[arg(long, default_value = table::DEFAULT_TABLE)]
        table: Table,
    },
    /// Publish the lines of a file that grows (NDJSON)
    File(file::Args),
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Postgres(args) => postgres::run(args).await,
        Command::Schema { table } => Ok(output::line(table.schema())?),
        Command::File(args) => file::run(args).await,
    }
}
