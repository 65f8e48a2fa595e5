//! `waypost webhook …`: the webhooks of a map, made, changed, watched and mended.
//!
//! Owns the words of the command line and which request each stands for. Never delivers anything itself: that is the
//! nodes'.

mod letters;
mod replay;
mod settings;
mod show;
mod tail;

use awc::http::Method;
use serde_json::{Value, json, value::RawValue};

use super::{
    Usage,
    client::{Body, Client, ClientError, Connection, encoded},
    output::{self, cell},
};

/// What to do with the webhooks of a map; needs the admin token or one that may manage the map.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the webhooks of a map, newest first
    List(List),
    /// Show one webhook, and how it is doing
    Show(One),
    /// Create a webhook; its secret is shown this once
    Create(Box<settings::Create>),
    /// Change settings of a webhook; what is not given stays as it is
    Update(Box<settings::Update>),
    /// Delete a webhook with its dead letters
    Delete(Delete),
    /// Deliver to a webhook that was stopped or disabled
    Enable(Enable),
    /// Deliver no more until it is enabled; events are kept as long as the map keeps them
    Disable(One),
    /// Send a test event now, to a disabled webhook too, and show what came of it
    Test(Test),
    /// Deliver events again
    Replay(replay::Start),
    /// List the last replays, or cancel one
    Replays(replay::List),
    /// Make a new secret, shown this once; the old one signs too for a while
    Rotate(Rotate),
    /// Events that were given up
    #[command(subcommand)]
    DeadLetters(letters::Command),
    /// Show the last attempts of a webhook
    Attempts(One),
    /// Print attempts as they are made: of one webhook, or of all of a map
    Tail(tail::Args),
}

/// Where and how.
#[derive(Debug, clap::Args)]
struct Common {
    #[command(flatten)]
    connection: Connection,
    /// Print JSON on a terminal too
    #[arg(long)]
    json: bool,
}

/// Whose webhooks.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Map: id or slug
    map: String,
    #[command(flatten)]
    common: Common,
}

/// Which webhook.
#[derive(Debug, clap::Args)]
pub(super) struct One {
    /// Map: id or slug
    map: String,
    /// Webhook: id, the beginning of it, or name
    webhook: String,
    #[command(flatten)]
    common: Common,
}

/// A webhook to delete.
#[derive(Debug, clap::Args)]
pub(super) struct Delete {
    #[command(flatten)]
    one: One,
    /// Yes, delete it: there is no way back
    #[arg(long)]
    yes: bool,
}

/// A webhook to go on with, and where.
#[derive(Debug, clap::Args)]
pub(super) struct Enable {
    #[command(flatten)]
    one: One,
    /// Go on where it stopped, or with what comes from now on
    #[arg(long, value_parser = ["resume", "skip"], default_value = "resume")]
    from: String,
    /// Go on at this time, as in 2026-01-31T12:00:00Z, or at the event with this id
    #[arg(long, value_name = "TIME|ID", conflicts_with = "from")]
    since: Option<String>,
}

/// A test event.
#[derive(Debug, clap::Args)]
pub(super) struct Test {
    #[command(flatten)]
    one: One,
    /// Type of the event [default: webhook.test]
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// Payload: JSON
    #[arg(long, value_name = "JSON")]
    payload: Option<String>,
}

/// A new secret.
#[derive(Debug, clap::Args)]
pub(super) struct Rotate {
    #[command(flatten)]
    one: One,
    /// Read the new secret from a file, - is standard input [default: one is made]
    #[arg(long, value_name = "FILE")]
    secret_file: Option<std::path::PathBuf>,
    /// How long the old secret signs too [default: a day, unless configured otherwise]
    #[arg(long, value_name = "SECONDS")]
    overlap_seconds: Option<u64>,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List(args) => {
            let client = Client::new(args.common.connection);
            let webhooks = ask(&client, Method::GET, &base(&args.map), None).await?;
            show::list(&webhooks, args.common.json)
        }
        Command::Show(one) => {
            let webhook = one.find().await?;
            show::one(&webhook.call(Method::GET, "", None).await?, webhook.json)
        }
        Command::Create(args) => settings::create(*args).await,
        Command::Update(args) => settings::update(*args).await,
        Command::Delete(args) => delete(args).await,
        Command::Enable(args) => enable(args).await,
        Command::Disable(one) => {
            let webhook = one.find().await?;
            show::one(&webhook.call(Method::POST, "/disable", None).await?, webhook.json)
        }
        Command::Test(args) => test(args).await,
        Command::Replay(args) => replay::start(args).await,
        Command::Replays(args) => replay::list(args).await,
        Command::Rotate(args) => rotate(args).await,
        Command::DeadLetters(command) => letters::run(command).await,
        Command::Attempts(one) => {
            let webhook = one.find().await?;
            show::attempts(&webhook.call(Method::GET, "/attempts", None).await?, webhook.json)
        }
        Command::Tail(args) => tail::run(args).await,
    }
}

async fn delete(args: Delete) -> anyhow::Result<()> {
    if !args.yes {
        let text = "this deletes the webhook with its dead letters, for ever; add --yes if you mean it";
        return Err(Usage(text.into()).into());
    }
    let webhook = args.one.find().await?;
    webhook.call(Method::DELETE, "", None).await?;
    output::note(format_args!("deleted {}", webhook.id));
    Ok(())
}

async fn enable(args: Enable) -> anyhow::Result<()> {
    let body = match args.since {
        Some(since) => json!({"from": "since", "since": since}),
        None => json!({"from": args.from}),
    };
    let webhook = args.one.find().await?;
    show::one(&webhook.call(Method::POST, "/enable", Some(&body)).await?, webhook.json)
}

/// A test that failed is a failure of the command too.
async fn test(args: Test) -> anyhow::Result<()> {
    let mut fields = Vec::new();
    if let Some(kind) = args.kind {
        fields.push(format!("\"type\":{}", Value::from(kind)));
    }
    if let Some(payload) = args.payload {
        // Sent as it was written: the server decides about numbers and depth, and has the better words.
        let raw: Box<RawValue> =
            serde_json::from_str(&payload).map_err(|error| Usage(format!("the payload is not JSON: {error}")))?;
        fields.push(format!("\"payload\":{raw}"));
    }
    let webhook = args.one.find().await?;
    let body = Body { mime: "application/json", bytes: format!("{{{}}}", fields.join(",")).into(), key: None };
    let path = format!("{}/test", webhook.path);
    let attempt = webhook.client.call_here(Method::POST, &path, body).await.map_err(hinted)?;
    show::attempt(&attempt, None, webhook.json)?;
    match show::is_delivered(&attempt) {
        true => Ok(()),
        false => anyhow::bail!("the test was not delivered ({})", cell(&attempt, "class")),
    }
}

async fn rotate(args: Rotate) -> anyhow::Result<()> {
    let mut body = json!({});
    if let Some(file) = args.secret_file {
        body["secret"] = settings::read_secret(&file)?.into();
    }
    if let Some(seconds) = args.overlap_seconds {
        body["overlap_seconds"] = seconds.into();
    }
    let webhook = args.one.find().await?;
    let rotated = webhook.call(Method::POST, "/rotate-secret", Some(&body)).await?;
    if !output::for_people(webhook.json) {
        return Ok(output::json(&rotated)?);
    }
    output::line(output::paint(output::STRONG, cell(&rotated, "secret")))?;
    let until = cell(&rotated, "secret_previous_until");
    let old = if until == "-" {
        "The old one signs no more".to_owned()
    } else {
        format!("The old one signs too until {until}")
    };
    output::note(format_args!("{old}. Keep the secret: it is not shown again."));
    Ok(())
}

/// Where the webhooks of a map are.
fn base(map: &str) -> String {
    format!("/api/maps/{}/webhooks", encoded(map))
}

async fn ask(client: &Client, method: Method, path: &str, body: Option<&Value>) -> Result<Value, ClientError> {
    client.call(method, path, body).await.map_err(hinted)
}

/// With a hint where only who runs the nodes can help.
fn hinted(mut error: ClientError) -> ClientError {
    if let ClientError::Refused { message, hint: hint @ None, .. } = &mut error
        && message.contains("allow-list")
    {
        let text = "webhooks.allow_nets of the nodes opens private networks, as in \
                    WAYPOST_WEBHOOKS_ALLOW_NETS=10.0.0.0/8; `waypost dev` opens loopback";
        *hint = Some(text.to_owned());
    }
    error
}

/// A webhook that was found, and who speaks of it.
struct Webhook {
    client: Client,
    id: String,
    path: String,
    json: bool,
}

impl Webhook {
    /// One request; `rest` is its path below the webhook's.
    async fn call(&self, method: Method, rest: &str, body: Option<&Value>) -> Result<Value, ClientError> {
        ask(&self.client, method, &format!("{}{rest}", self.path), body).await
    }
}

impl One {
    async fn find(self) -> anyhow::Result<Webhook> {
        let client = Client::new(self.common.connection);
        let id = find(&client, &self.map, self.webhook).await?;
        let path = format!("{}/{}", base(&self.map), encoded(&id));
        Ok(Webhook { client, id, path, json: self.common.json })
    }
}

/// The id of the webhook that people call so.
async fn find(client: &Client, map: &str, text: String) -> anyhow::Result<String> {
    if uuid::Uuid::try_parse(&text).is_ok() {
        return Ok(text);
    }
    let all = ask(client, Method::GET, &base(map), None).await?;
    let ids = matching(&all, &text);
    match ids.as_slice() {
        [id] => Ok(id.clone()),
        [] => anyhow::bail!("the map {map} has no webhook {text}; `waypost webhook list {map}` shows which there are"),
        several => anyhow::bail!("{text} may be any of {}", several.join(", ")),
    }
}

/// Ids of those with that name; without one, of those whose id begins so.
fn matching(all: &Value, text: &str) -> Vec<String> {
    let ids = |is: &dyn Fn(&Value) -> bool| -> Vec<String> {
        all.as_array().into_iter().flatten().filter(|webhook| is(webhook)).map(|webhook| cell(webhook, "id")).collect()
    };
    let named = ids(&|webhook| webhook["name"] == *text);
    if named.is_empty() && !text.is_empty() { ids(&|webhook| cell(webhook, "id").starts_with(text)) } else { named }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_are_found_by_name_and_by_the_beginning_of_an_id() {
        let all = json!([{"id": "ab1", "name": "chat"}, {"id": "ab2", "name": "ab1"}, {"id": "cd3", "name": ""}]);
        assert_eq!(matching(&all, "chat"), ["ab1"]);
        assert_eq!(matching(&all, "ab1"), ["ab2"]);
        assert_eq!(matching(&all, "ab"), ["ab1", "ab2"]);
        assert_eq!(matching(&all, "c"), ["cd3"]);
        assert!(matching(&all, "").len() == 1 && matching(&all, "x").is_empty());
    }
}
