//! One connection to the database, from which the active relay reads rows and where it marks them.

use std::future::poll_fn;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Row};
use tokio_postgres_rustls::MakeRustlsConnect;
use uuid::Uuid;

use super::super::events::{self, Events, MOST_BYTES, Refused};
use super::super::table::Table;
use crate::cli::client::ClientError;
use crate::cli::output;
use crate::cli::publish::Sender;
use crate::tls::{self, BadTls};

/// How long the relay waits for a notification before it looks at the table all the same.
const LOOK: Duration = Duration::from_secs(30);

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum SessionError {
    /// The database refused something, or the connection broke.
    #[error("the database: {}", words(.0))]
    Database(#[from] tokio_postgres::Error),
    /// The certificates to trust can't be read.
    #[error(transparent)]
    Tls(#[from] BadTls),
    /// The cluster refuses a row.
    #[error(
        "row {id} is refused: {error}\nhint: mend or delete the row, or set such rows aside with --set-aside"
    )]
    Row {
        /// The row.
        id: Uuid,
        /// Why.
        error: ClientError,
    },
    /// The cluster refuses the request, whatever its rows are.
    #[error(transparent)]
    Request(ClientError),
}

/// What the database says, where the library's own text says only that it said something.
fn words(error: &tokio_postgres::Error) -> String {
    let hint = match error.code().map(|code| code.code()) {
        Some("42P01" | "42703") => "\nhint: `waypost relay schema` prints the SQL that makes the table",
        _ => "",
    };
    match error.as_db_error() {
        Some(said) => format!("{}{hint}", said.message()),
        None => match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}

/// The rows of one request, in order, under the request's key.
pub(super) struct Request {
    key: Uuid,
    rows: Vec<Waiting>,
}

/// A row to be published.
struct Waiting {
    id: Uuid,
    kind: String,
    subject: String,
    payload: String,
}

impl Waiting {
    fn of(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            id: row.try_get(0)?,
            kind: row.try_get(1)?,
            subject: row.try_get(2)?,
            payload: row.try_get(3)?,
        })
    }
}

/// A connection to the database.
pub(super) struct Session {
    client: Client,
    table: Table,
    /// The table has new rows, or the connection has ended.
    news: Arc<Notify>,
    /// The request that is stored and not yet marked so.
    stored: Option<Uuid>,
    /// Whether the request that an earlier session may have sent has been looked for.
    has_looked_back: bool,
}

impl Session {
    /// Connects, and listens for new rows.
    pub(super) async fn open(
        config: &Config,
        ca: Option<&Path>,
        table: &Table,
    ) -> Result<Self, SessionError> {
        let encryption = MakeRustlsConnect::new(tls::trusting(ca)?);
        let (client, connection) = config.connect(encryption).await?;
        let news = Arc::new(Notify::new());
        actix_rt::spawn(carry(connection, news.clone()));
        // Waiting for the lock takes as long as another relay is active.
        client.batch_execute("SET statement_timeout = 0; SET lock_timeout = 0").await?;
        client.batch_execute(&format!("LISTEN {}", table.channel())).await?;
        Ok(Self { client, table: table.clone(), news, stored: None, has_looked_back: false })
    }

    /// Waits until no other relay of the table is active.
    pub(super) async fn become_active(&self) -> Result<(), SessionError> {
        let table = self.table.name();
        if !self.client.query_one(&self.table.try_lock(), &[]).await?.try_get::<_, bool>(0)? {
            output::note(format_args!("another relay of {table} is active; standing by"));
            self.client.query_one(&self.table.lock(), &[]).await?;
        }
        output::note(format_args!("relaying {table}"));
        Ok(())
    }

    /// The next request, noted in the database before anything of it is sent; `None` if no row waits.
    pub(super) async fn next_request(&mut self, limit: u16) -> Result<Option<Request>, SessionError> {
        if !self.has_looked_back {
            let rows = self.client.query(&self.table.under_way(), &[]).await?;
            if let Some(first) = rows.first() {
                let key = first.try_get(4)?;
                let rows = rows.iter().map(Waiting::of).collect::<Result<_, _>>()?;
                return Ok(Some(Request { key, rows }));
            }
            self.has_looked_back = true;
        }
        let change = self.client.transaction().await?;
        if let Some(stored) = self.stored {
            change.execute(&self.table.mark(), &[&stored]).await?;
        }
        let bounds = (i64::from(limit), i64::try_from(MOST_BYTES).unwrap_or(i64::MAX));
        let rows = change.query(&self.table.waiting(), &[&bounds.0, &bounds.1]).await?;
        let rows = rows.iter().map(Waiting::of).collect::<Result<Vec<_>, _>>()?;
        let key = Uuid::new_v4();
        if !rows.is_empty() {
            let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
            change.execute(&self.table.claim(), &[&key, &ids]).await?;
        }
        change.commit().await?;
        self.stored = None;
        Ok(Some(Request { key, rows }).filter(|request| !request.rows.is_empty()))
    }

    /// Publishes a request. Returns how many rows the next one may have, if not as many as usual.
    pub(super) async fn publish(
        &mut self,
        sender: &Sender,
        request: Request,
        set_aside: bool,
    ) -> Result<Option<u16>, SessionError> {
        let Request { key, rows } = request;
        let mut batch = Events::new();
        rows.iter().for_each(|row| batch.add(&row.kind, &row.subject, &row.payload));
        match events::publish(sender, batch, key.to_string()).await {
            Ok(()) => {
                self.stored = Some(key);
                // What an earlier session sent is stored: its mark needs no further look back.
                self.has_looked_back = true;
                Ok(None)
            }
            Err(Refused::TooLarge) => {
                self.client.execute(&self.table.release(), &[&key]).await?;
                Ok(u16::try_from(rows.len() / 2).ok())
            }
            Err(Refused::Event(index, error)) => {
                let id = rows.get(index).map_or(key, |row| row.id);
                self.refused(key, id, error, set_aside).await.map(|()| None)
            }
            Err(Refused::Other(error)) => Err(SessionError::Request(error)),
        }
    }

    /// A row was refused, and nothing of its request was stored: the other rows go in another request.
    async fn refused(
        &mut self,
        key: Uuid,
        id: Uuid,
        error: ClientError,
        set_aside: bool,
    ) -> Result<(), SessionError> {
        let change = self.client.transaction().await?;
        change.execute(&self.table.release(), &[&key]).await?;
        if set_aside {
            output::note(format_args!("row {id} is set aside: {error}"));
            change.execute(&self.table.set_aside(), &[&id, &error.to_string()]).await?;
        }
        change.commit().await?;
        if set_aside { Ok(()) } else { Err(SessionError::Row { id, error }) }
    }

    /// Waits for new rows.
    pub(super) async fn wait(&self) {
        let _ = timeout(LOOK, self.news.notified()).await;
    }
}

/// Drives the connection, and tells of notifications, until it ends.
async fn carry<S, T>(mut connection: Connection<S, T>, news: Arc<Notify>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    // An error ends the connection, and with it every call of its client.
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
        if matches!(message, AsyncMessage::Notification(_)) {
            news.notify_one();
        }
    }
    news.notify_one();
}
