//! `waypost pusher create|list|update|rotate|delete`.

mod webhooks;

use http::Method;
use serde_json::{Map, Value, json};

use super::{
    Usage,
    client::{Client, Connection, encoded},
    common::Common,
    confirm::Confirm,
    given_secret::GivenSecret,
    map::number_or_none,
    output::{self, cell},
};

/// Commands for the credentials with which Pusher clients use a map. They need the admin token, or one that
/// may manage the map.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Create credentials; the secret is shown only once
    Create(Create),
    /// List the credentials of a map, without their secrets
    List(List),
    /// Change what clients of a key may do, and who may connect; key and secret stay
    Update(Update),
    /// Create credentials with the app id and the settings of a key, beside that key
    Rotate(Rotate),
    /// Delete credentials; their sockets are closed on every node
    Delete(Delete),
}

/// New credentials.
#[derive(Debug, clap::Args)]
pub(super) struct Create {
    /// Map: id or slug
    map: String,
    /// App id [default: the server makes one]; an id, a key and a secret of your own need the admin token
    #[arg(long)]
    app_id: Option<String>,
    /// Key [default: the server makes one]
    #[arg(long)]
    key: Option<String>,
    #[command(flatten)]
    secret: GivenSecret,
    /// Let clients publish client events where no channel rule decides it
    #[arg(long)]
    client_events: bool,
    /// Origins of pages that may connect, such as https://*.example.com [default: any]
    #[arg(long, value_delimiter = ',')]
    origins: Vec<String>,
    /// Most sockets of the key over the cluster [default: no limit]
    #[arg(long)]
    max_connections: Option<u32>,
    #[command(flatten)]
    common: Common,
}

/// The map whose credentials are listed.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Map: id or slug
    map: String,
    #[command(flatten)]
    common: Common,
}

/// A key and the changes of its settings. What is not given stays.
#[derive(Debug, clap::Args)]
pub(super) struct Update {
    /// Map: id or slug
    map: String,
    /// Key, as `pusher list` shows it
    key: String,
    #[command(flatten)]
    changes: Changes,
    #[command(flatten)]
    common: Common,
}

/// The changes of a key's settings.
#[derive(Debug, clap::Args)]
struct Changes {
    /// Let clients publish client events where no channel rule decides it; =false no longer lets them
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    client_events: Option<bool>,
    /// Origins of pages that may connect from now on, in place of the present ones; '*' is any
    #[arg(long, value_delimiter = ',')]
    origins: Option<Vec<String>>,
    /// Most sockets of the key over the cluster; none is no limit
    #[arg(long, value_name = "N|none", value_parser = number_or_none)]
    max_connections: Option<Value>,
}

impl Changes {
    /// The settings that were given, as the API takes them.
    fn into_json(self) -> Map<String, Value> {
        let given = [
            ("client_events", self.client_events.map(Value::from)),
            ("origins", self.origins.map(Value::from)),
            ("max_connections", self.max_connections),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

/// The key to replace.
#[derive(Debug, clap::Args)]
pub(super) struct Rotate {
    /// Map: id or slug
    map: String,
    /// Key, as `pusher list` shows it
    key: String,
    #[command(flatten)]
    common: Common,
}

/// The key to delete.
#[derive(Debug, clap::Args)]
pub(super) struct Delete {
    /// Map: id or slug
    map: String,
    /// Key, as `pusher list` shows it
    key: String,
    #[command(flatten)]
    confirm: Confirm,
    #[command(flatten)]
    connection: Connection,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Create(args) => create(args).await,
        Command::List(args) => list(args).await,
        Command::Update(args) => update(args).await,
        Command::Rotate(args) => rotate(args).await,
        Command::Delete(args) => delete(args).await,
    }
}

async fn create(args: Create) -> anyhow::Result<()> {
    // What the caller chooses needs the admin token.
    let is_chosen = args.app_id.is_some() || args.key.is_some() || args.secret.is_given();
    let mut body = json!({
        "client_events": args.client_events,
        "origins": args.origins,
        "max_connections": args.max_connections,
    });
    for (name, value) in [("app_id", args.app_id), ("key", args.key)] {
        if let Some(value) = value {
            body[name] = value.into();
        }
    }
    if let Some(secret) = args.secret.read()? {
        body["secret"] = secret.into();
    }
    let client = match is_chosen {
        true => Client::of_admin(args.common.connection),
        false => Client::new(args.common.connection),
    };
    let made = client.call(Method::POST, &path(&args.map), Some(&body)).await?;
    print(&made, args.common.json)
}

async fn list(args: List) -> anyhow::Result<()> {
    let made = Client::new(args.common.connection).call(Method::GET, &path(&args.map), None).await?;
    const COLUMNS: [(&str, &str); 5] = [
        ("APP ID", "app_id"),
        ("KEY", "key"),
        ("CLIENT EVENTS", "client_events"),
        ("ORIGINS", "origins"),
        ("CREATED", "inserted_at"),
    ];
    Ok(output::list(&made, args.common.json, &COLUMNS, &[("MOST CONNECTIONS", "max_connections")])?)
}

async fn update(args: Update) -> anyhow::Result<()> {
    let changes = args.changes.into_json();
    if changes.is_empty() {
        return Err(Usage("nothing to change: give at least one of the options".into()).into());
    }
    let client = Client::new(args.common.connection);
    let app = client.call(Method::PATCH, &one(&args.map, &args.key), Some(&changes.into())).await?;
    if !output::for_people(args.common.json) {
        return Ok(output::json(&app)?);
    }
    for field in ["app_id", "key", "client_events", "origins", "max_connections"] {
        output::line(format_args!("{field:16} {}", cell(&app, field)))?;
    }
    Ok(())
}

/// Both keys work until the old one is deleted.
async fn rotate(args: Rotate) -> anyhow::Result<()> {
    let client = Client::new(args.common.connection);
    let old = client.call(Method::GET, &one(&args.map, &args.key), None).await?;
    let mut body = json!({});
    for name in ["app_id", "client_events", "origins", "max_connections"] {
        body[name] = old[name].clone();
    }
    let made = client.call(Method::POST, &path(&args.map), Some(&body)).await?;
    print(&made, args.common.json)?;
    output::note(format_args!(
        "Both keys work. Once nobody uses the old one: waypost pusher delete {} {}",
        args.map, args.key
    ));
    let signing = webhooks::signing_with(&client, &args.map, &args.key).await;
    if let Some(told) = webhooks::after_rotation(&args.map, &cell(&made, "key"), &signing) {
        output::note(told);
    }
    Ok(())
}

/// A deletion ends the clients of the key, and nothing else says which webhooks sign with it.
async fn delete(args: Delete) -> anyhow::Result<()> {
    let Delete { map, key, confirm, connection } = args;
    let what = format!("this deletes the key {key} of the map {map}, whose clients are sent away at once");
    let asks = confirm.asks();
    if !asks {
        // Where nobody can be asked, nothing is looked for.
        confirm.ask(&what)?;
    }
    let client = Client::new(connection);
    let signing = webhooks::signing_with(&client, &map, &key).await;
    if let Some(warning) = webhooks::before_deletion(&map, &key, &signing) {
        output::note(warning);
    }
    if asks {
        confirm.ask(&what)?;
    }
    client.call(Method::DELETE, &one(&map, &key), None).await?;
    output::note(format_args!("deleted the key {key} of the map {map}"));
    Ok(())
}

/// Prints new credentials.
fn print(made: &Value, json: bool) -> anyhow::Result<()> {
    if !output::for_people(json) {
        return Ok(output::json(made)?);
    }
    for (title, field) in [("app id", "app_id"), ("key", "key"), ("secret", "secret")] {
        output::line(format_args!("{title:<8}{}", output::paint(output::STRONG, cell(made, field))))?;
    }
    for change in made["map_changes"].as_array().into_iter().flatten() {
        output::note(format_args!("Note: {}", output::printable(change.as_str().unwrap_or_default())));
    }
    output::note("Keep the secret: it is not shown again.");
    Ok(())
}

fn path(map: &str) -> String {
    format!("/api/maps/{}/pusher", encoded(map))
}

fn one(map: &str, key: &str) -> String {
    format!("{}/{}", path(map), encoded(key))
}
