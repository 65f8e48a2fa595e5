//! `waypost token create|list|revoke|sign`.

mod sign;

use http::Method;
use serde_json::json;

use super::{
    client::{Client, Connection, encoded},
    common::Common,
    confirm::Confirm,
    output::{self, cell},
    pick::Among,
};

/// Commands for the tokens of a map. They need the admin token, or one that may manage the map; `sign` needs
/// none.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Create a token; it is shown only once
    Create(Create),
    /// List the tokens of a map, without the tokens themselves
    List(List),
    /// Revoke a token; its sockets are closed on every node
    Revoke(Revoke),
    /// Sign a client token (JWT) with the key of an issuer, for development; asks no node
    Sign(Box<sign::Args>),
}

/// A new token.
#[derive(Debug, clap::Args)]
pub(super) struct Create {
    /// Map: id or slug
    map: String,
    /// Name for people
    #[arg(long)]
    name: Option<String>,
    /// What the token may do: subscribe, publish, presence (be a member as any user), manage
    #[arg(long, value_delimiter = ',', default_value = "subscribe")]
    #[arg(value_parser = ["subscribe", "publish", "presence", "manage"])]
    scopes: Vec<String>,
    /// When the token ends, as in 2030-01-31T12:00:00Z
    #[arg(long)]
    expires_at: Option<String>,
    /// Patterns of the subjects that may be read and published to; without it, all
    #[arg(long, value_delimiter = ',')]
    subjects: Option<Vec<String>>,
    #[command(flatten)]
    common: Common,
}

/// The map whose tokens are listed.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Map: id or slug
    map: String,
    #[command(flatten)]
    common: Common,
}

/// The token to revoke.
#[derive(Debug, clap::Args)]
pub(super) struct Revoke {
    /// Map: id or slug
    map: String,
    /// Id of the token, as `token list` shows it, or the beginning of it
    id: String,
    #[command(flatten)]
    confirm: Confirm,
    #[command(flatten)]
    connection: Connection,
}

/// Columns of the list of tokens.
const COLUMNS: [(&str, &str); 5] = [
    ("ID", "id"),
    ("NAME", "name"),
    ("SCOPES", "scopes"),
    ("CREATED", "inserted_at"),
    ("ENDS", "expires_at"),
];

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Create(args) => {
            let mut body = json!({"scopes": args.scopes});
            if let Some(name) = args.name {
                body["name"] = name.into();
            }
            if let Some(expires_at) = args.expires_at {
                body["expires_at"] = expires_at.into();
            }
            if let Some(subjects) = args.subjects {
                body["subjects"] = subjects.into();
            }
            let client = Client::new(args.common.connection);
            let token = client.call(Method::POST, &path(&args.map), Some(&body)).await?;
            if !output::for_people(args.common.json) {
                return Ok(output::json(&token)?);
            }
            output::line(output::paint(output::STRONG, cell(&token, "token")))?;
            output::note(format_args!("Id {}. Keep the token: it is not shown again.", cell(&token, "id")));
        }
        Command::List(args) => {
            let tokens =
                Client::new(args.common.connection).call(Method::GET, &path(&args.map), None).await?;
            output::list(&tokens, args.common.json, &COLUMNS, &[("SUBJECTS", "subjects")])?;
        }
        Command::Revoke(args) => {
            let Revoke { map, id, confirm, connection } = args;
            let what = |id: &str| {
                format!("this revokes the token {id} of the map {map}, whose clients are sent away at once")
            };
            let client = Client::new(connection);
            let id = confirm.ask_about(id, what, async |id| find(&client, &map, id).await).await?;
            let path = format!("{}/{}", path(&map), encoded(&id));
            client.call(Method::DELETE, &path, None).await?;
            output::note(format_args!("revoked the token {id} of the map {map}"));
        }
        Command::Sign(args) => {
            let token = sign::token(&args)?;
            if output::for_people(false) {
                output::line(token)?;
            } else {
                output::json(&json!({"token": token}))?;
            }
        }
    }
    Ok(())
}

/// The id of the token with that id, or that beginning of an id.
async fn find(client: &Client, map: &str, text: String) -> anyhow::Result<String> {
    if uuid::Uuid::try_parse(&text).is_ok() {
        return Ok(text);
    }
    let all = client.call(Method::GET, &path(map), None).await?;
    Ok(Among { kind: "token", map, list: "token list" }.find(&all, &text)?)
}

fn path(map: &str) -> String {
    format!("/api/maps/{}/tokens", encoded(map))
}
