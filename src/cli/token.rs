//! `waypost token create|list|revoke|sign`.

mod sign;

use std::cell::Cell;

use http::Method;
use serde_json::{Value, json};

use super::{
    client::{Client, Connection, encoded},
    common::Common,
    confirm::Confirm,
    output::{self, cell},
    pick::Among,
};
use crate::core::access::{fingerprint, hash_token};

/// Commands for the tokens of a map. They need the admin token, or one that may manage the map; `sign` needs
/// none.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Create a token; it is shown only once
    Create(Create),
    /// List the tokens of a map, without the tokens themselves, and say which one this command used
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

/// What the revocation of a map's last token with the scope `manage` means.
const LAST: &str =
    "No other token of the map has the scope manage: without it only the admin token manages the map";

/// Columns of the list of tokens.
const COLUMNS: [(&str, &str); 6] = [
    ("ID", "id"),
    ("NAME", "name"),
    ("SCOPES", "scopes"),
    ("FINGERPRINT", "fingerprint"),
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
            let [id, scopes] = ["id", "scopes"].map(|field| cell(&token, field));
            output::note(format_args!("Id {id}, scopes {scopes}. Keep the token: it is not shown again."));
        }
        Command::List(args) => {
            let client = Client::new(args.common.connection);
            let tokens = client.call(Method::GET, &path(&args.map), None).await?;
            output::list(&tokens, args.common.json, &COLUMNS, &[("SUBJECTS", "subjects")])?;
            if output::for_people(args.common.json)
                && let Some(own) = client.token().and_then(|token| with_text(&tokens, token))
            {
                output::note(format_args!("This command used {own}."));
            }
        }
        Command::Revoke(args) => revoke(args).await?,
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

/// Asks before a token is revoked. The question says if nobody but the admin can manage the map then.
async fn revoke(args: Revoke) -> anyhow::Result<()> {
    let Revoke { map, id, confirm, connection } = args;
    let client = Client::new(connection);
    let is_last = Cell::new(false);
    let what = |id: &str| {
        let last = if is_last.get() { format!(". {LAST}") } else { String::new() };
        format!("this revokes the token {id} of the map {map}, whose clients are sent away at once{last}")
    };
    let find = async |text: String| {
        let all = client.call(Method::GET, &path(&map), None).await?;
        let id = match uuid::Uuid::try_parse(&text) {
            Ok(_) => text,
            Err(_) => Among { kind: "token", map: &map, list: "token list" }.find(&all, &text)?,
        };
        is_last.set(is_last_manager(&all, &id));
        anyhow::Ok(id)
    };
    let id = confirm.ask_about(id, what, find).await?;
    client.call(Method::DELETE, &format!("{}/{}", path(&map), encoded(&id)), None).await?;
    output::note(format_args!("revoked the token {id} of the map {map}"));
    if is_last.get() {
        output::note(LAST);
    }
    Ok(())
}

/// Whether no other token of the map may manage it for as long as the map lives.
fn is_last_manager(all: &Value, id: &str) -> bool {
    let manages =
        |token: &&Value| token["scopes"].as_array().is_some_and(|all| all.contains(&"manage".into()));
    let stays = |token: &&Value| token["id"] == *id || token["expires_at"].is_null();
    let mut managers = all.as_array().into_iter().flatten().filter(manages).filter(stays);
    matches!((managers.next(), managers.next()), (Some(only), None) if only["id"] == *id)
}

/// The token of a list that has this text, by its id and name.
fn with_text(all: &Value, text: &str) -> Option<String> {
    let fingerprint = fingerprint(&hash_token(text));
    let own = all.as_array()?.iter().find(|token| token["fingerprint"] == *fingerprint)?;
    Some(match cell(own, "name").as_str() {
        "" | "-" => format!("the token {}", cell(own, "id")),
        name => format!("the token {} ({name})", cell(own, "id")),
    })
}

fn path(map: &str) -> String {
    format!("/api/maps/{}/tokens", encoded(map))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_token_that_manages_the_map_is_known() {
        let token = |id: &str, scopes: &[&str], ends: Option<&str>| -> Value {
            json!({"id": id, "scopes": scopes, "expires_at": ends})
        };
        let all = json!([
            token("a", &["manage", "publish"], None),
            token("b", &["subscribe"], None),
            token("c", &["manage"], Some("2030-01-31T12:00:00Z")),
        ]);
        assert!(is_last_manager(&all, "a"), "the other one ends");
        assert!(!is_last_manager(&all, "b") && !is_last_manager(&all, "c"));
        let two = json!([token("a", &["manage"], None), token("b", &["manage"], None)]);
        assert!(!is_last_manager(&two, "a") && !is_last_manager(&json!([]), "a"));
    }

    #[test]
    fn a_known_token_is_told_by_its_fingerprint() {
        let all = json!([
            {"id": "a", "name": "x", "fingerprint": "00000000"},
            {"id": "b", "name": "", "fingerprint": fingerprint(&hash_token("wp_known"))},
        ]);
        assert_eq!(with_text(&all, "wp_known").as_deref(), Some("the token b"));
        assert_eq!(with_text(&all, "wp_other"), None);
        // As `printf %s TOKEN | sha256sum | cut -c1-8` prints it.
        assert_eq!(fingerprint(&hash_token("abc")), "ba7816bf");
    }
}
