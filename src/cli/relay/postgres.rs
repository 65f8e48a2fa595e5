//! `waypost relay postgres`: publishes the rows of a table in the order in which their transactions committed.
//!
//! One relay of a table is active: it holds an advisory lock of its session, and the others wait for it. The
//! next request and its rows are noted in the same transaction that marks the rows of the request before it.
//! So what a relay has sent is known to whoever comes after it, and is repeated under the same key.

mod session;

use std::time::Duration;

use anyhow::Context;
use tokio::time::sleep;
use tokio_postgres::Config;
use tokio_postgres::error::SqlState;

use self::session::{Session, SessionError};
use super::table::{DEFAULT_TABLE, Table};
use crate::cli::Usage;
use crate::cli::client::Connection;
use crate::cli::output;
use crate::cli::publish::{Patience, Sender};

/// Shortest and longest pause before connecting to the database again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));
/// How long a connection may be silent before the operating system checks it: a lock whose holder's machine
/// died is free after that.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// The table and the map.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Map: id or slug
    map: String,
    /// Where the database is, as in postgres://user:password@host/database, or in the words of libpq
    #[arg(long, env = "WAYPOST_RELAY_DSN", hide_env_values = true)]
    dsn: String,
    /// The table that `waypost relay schema` makes
    #[arg(long, default_value = DEFAULT_TABLE)]
    table: Table,
    /// Most rows in one request
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=1000))]
    batch: u16,
    /// Set a row aside that the server refuses, with the reason in its column `refused` [default: stop]
    #[arg(long)]
    set_aside: bool,
    /// End when no row waits
    #[arg(long)]
    once: bool,
    /// File of certificates (PEM) to trust for the database, in addition to those of the system
    #[arg(long, value_name = "FILE")]
    dsn_ca: Option<std::path::PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

pub(in crate::cli) async fn run(args: Args) -> anyhow::Result<()> {
    let mut config: Config =
        args.dsn.parse().map_err(|error| Usage(format!("--dsn can't be read: {error}")))?;
    config.application_name("waypost relay").keepalives_idle(KEEPALIVE).connect_timeout(KEEPALIVE);
    let sender = Sender::new(&args.map, args.connection.clone(), Patience::Endless);
    let mut pause = PAUSES.0;
    loop {
        let error = match relay(&args, &config, &sender, &mut pause).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if !passes(&error) {
            return Err(error).context(format!("the relay of {} stopped", args.table.name()));
        }
        output::note(format_args!("{}; connecting again", anyhow::Error::from(error)));
        sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Relays over one connection to the database, until no row waits and that is the end.
async fn relay(
    args: &Args,
    config: &Config,
    sender: &Sender,
    pause: &mut Duration,
) -> Result<(), SessionError> {
    let mut session = Session::open(config, args.dsn_ca.as_deref(), &args.table).await?;
    session.become_active().await?;
    *pause = PAUSES.0;
    let mut limit = args.batch;
    loop {
        let Some(request) = session.next_request(limit).await? else {
            if args.once {
                return Ok(());
            }
            session.wait().await;
            continue;
        };
        limit = session.publish(sender, request, args.set_aside).await?.unwrap_or(args.batch).max(1);
    }
}

/// Whether it may be otherwise after connecting again.
fn passes(error: &SessionError) -> bool {
    let SessionError::Database(error) = error else { return false };
    // A server that starts or stops says so in class 57; it refuses rights, names and syntax for good.
    let is_final = |code: &SqlState| matches!(code.code().get(..2), Some("28" | "3D" | "42" | "0A" | "22"));
    !error.code().is_some_and(is_final)
}
