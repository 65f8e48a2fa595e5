//! `waypost webhook …`: creates, changes, watches and repairs the webhooks of a map.
//!
//! Each command is one or more requests of the API. The nodes make the deliveries.

mod dead_letters;
mod fire;
mod preview;
mod replay;
mod rotate;
mod settings;
mod show;
mod tail;

use std::fmt::Display;

use http::Method;
use serde_json::{Value, json, value::RawValue};

use super::{
    Usage,
    client::{ANSWER, Body, Client, ClientError, encoded},
    common::Common,
    confirm::Confirm,
    output::{self, cell},
    since,
};

pub(super) use replay::no_dead_letters;
pub(super) use show::reason;

/// Commands for the webhooks of a map. They need the admin token, or one that may manage the map.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the webhooks of a map, newest first. LEFT: events that are not checked or not delivered yet
    List(List),
    /// Show one webhook, and the state of its delivery
    Show(One),
    /// Create a webhook; its secret is shown only once
    Create(Box<settings::Create>),
    /// Change settings of a webhook; a setting that is not given stays as it is
    Update(Box<settings::Update>),
    /// Show the request that settings would make of an event; nothing is stored or sent
    Preview(Box<preview::Args>),
    /// Delete a webhook with its dead letters
    Delete(Delete),
    /// Deliver again to a webhook that was paused or disabled; waiting retries are tried at once
    Enable(Enable),
    /// Deliver nothing to a webhook until it is enabled; events are kept as long as the map keeps them
    Disable(One),
    /// Send a test event now, also to a disabled webhook, and show the result
    Test(Test),
    /// Send an event to the webhooks of a map that want it, and to nobody else
    Fire(fire::Args),
    /// Deliver events again
    Replay(replay::Start),
    /// List the last replays, or cancel one
    Replays(replay::List),
    /// Make a new secret, which is shown only once; the old one signs too for a while. With a secret that you give,
    /// waiting retries are tried at once: give it to the receiver first
    Rotate(rotate::Args),
    /// List, retry and remove dead letters: events that were given up
    #[command(subcommand)]
    DeadLetters(dead_letters::Command),
    /// Show the last attempts of a webhook
    Attempts(Attempts),
    /// Print attempts as they are made, of one webhook or of all webhooks of a map
    Tail(tail::Args),
}

/// The map whose webhooks are listed.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Map: id or slug
    map: String,
    #[command(flatten)]
    common: Common,
}

/// An existing webhook.
#[derive(Debug, clap::Args)]
pub(super) struct One {
    /// Map: id or slug
    map: String,
    /// Webhook: id, beginning of the id, or name
    webhook: String,
    #[command(flatten)]
    common: Common,
}

/// A webhook to delete.
#[derive(Debug, clap::Args)]
pub(super) struct Delete {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    confirm: Confirm,
}

/// A webhook to enable, and the position at which its delivery goes on.
#[derive(Debug, clap::Args)]
pub(super) struct Enable {
    #[command(flatten)]
    one: One,
    /// Go on where it stopped, or with the events that are published from now on
    #[arg(long, value_parser = ["resume", "skip"], default_value = "resume")]
    from: String,
    /// Go on at this time, as in 1h (an hour ago) or 2026-01-31T12:00:00Z, or at the event with this id
    #[arg(long, value_name = "TIME|ID", value_parser = since::time_or_id, conflicts_with = "from")]
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

/// The attempts to show.
#[derive(Debug, clap::Args)]
pub(super) struct Attempts {
    #[command(flatten)]
    one: One,
    /// Only attempts of this time or later, as in 1h (an hour ago) or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = since::time)]
    since: Option<String>,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List(args) => {
            let client = Client::new(args.common.connection);
            let webhooks = client.call(Method::GET, &base(&args.map), None).await?;
            show::list(&webhooks, args.common.json)
        }
        Command::Show(one) => {
            let webhook = one.find().await?;
            show::one(&webhook.call(Method::GET, "", None).await?, webhook.json)
        }
        Command::Create(args) => settings::create(*args).await,
        Command::Update(args) => settings::update(*args).await,
        Command::Preview(args) => preview::run(*args).await,
        Command::Delete(args) => delete(args).await,
        Command::Enable(args) => enable(args).await,
        Command::Disable(one) => disable(one).await,
        Command::Test(args) => test(args).await,
        Command::Fire(args) => fire::run(args).await,
        Command::Replay(args) => replay::start(args).await,
        Command::Replays(args) => replay::list(args).await,
        Command::Rotate(args) => rotate::run(args).await,
        Command::DeadLetters(command) => dead_letters::run(command).await,
        Command::Attempts(args) => {
            let webhook = args.one.find().await?;
            let mut attempts = webhook.call(Method::GET, "/attempts", None).await?;
            since::keep(&mut attempts, "at", args.since.as_deref());
            show::attempts(&attempts, webhook.json)
        }
        Command::Tail(args) => tail::run(args).await,
    }
}

async fn delete(args: Delete) -> anyhow::Result<()> {
    let what = |webhook: &str| format!("this deletes {webhook} with its dead letters, for ever");
    let webhook = args.one.find_and_ask(args.confirm, what).await?;
    webhook.call(Method::DELETE, "", None).await?;
    output::note(format_args!("deleted the webhook {}", webhook.id));
    Ok(())
}

async fn enable(args: Enable) -> anyhow::Result<()> {
    let (body, did) = match args.since {
        Some(since) => (json!({"from": "since", "since": since}), format!("goes on at {since}")),
        None if args.from == "skip" => {
            (json!({"from": "skip"}), "goes on with the events that are published from now on".to_owned())
        }
        None => (json!({"from": args.from}), "goes on where it stopped".to_owned()),
    };
    let webhook = args.one.find().await?;
    let enabled = webhook.call(Method::POST, "/enable", Some(&body)).await?;
    webhook.done(&enabled, did)
}

async fn disable(one: One) -> anyhow::Result<()> {
    let webhook = one.find().await?;
    let disabled = webhook.call(Method::POST, "/disable", None).await?;
    webhook.done(&disabled, format_args!("paused until `waypost webhook enable {}`", webhook.called))
}

/// Sends a test event. The command fails if the test was not delivered.
async fn test(args: Test) -> anyhow::Result<()> {
    let mut fields = Vec::new();
    if let Some(kind) = args.kind {
        fields.push(format!("\"type\":{}", Value::from(kind)));
    }
    if let Some(payload) = args.payload {
        // The payload is sent as it was written: the server checks numbers and depth, and has better
        // messages.
        let raw: Box<RawValue> = serde_json::from_str(&payload)
            .map_err(|error| Usage(format!("the payload is not JSON: {error}")))?;
        fields.push(format!("\"payload\":{raw}"));
    }
    let webhook = args.one.find().await?;
    let body =
        Body { mime: "application/json", bytes: format!("{{{}}}", fields.join(",")).into(), key: None };
    let path = format!("{}/test", webhook.path);
    let attempt = webhook.client.call_here(Method::POST, &path, body, ANSWER).await?;
    show::attempt(&attempt, None, webhook.json)?;
    match show::is_delivered(&attempt) {
        true => Ok(()),
        false => anyhow::bail!("the test was not delivered ({})", show::end(&attempt)),
    }
}

/// The path of a map's webhooks.
pub(super) fn base(map: &str) -> String {
    format!("/api/maps/{}/webhooks", encoded(map))
}

/// A webhook that was found, and the client for requests about it.
struct Webhook {
    client: Client,
    id: String,
    /// Map and webhook as the command line has them, for messages.
    called: String,
    path: String,
    json: bool,
}

impl Webhook {
    fn new(client: Client, map: &str, id: String, called: String, json: bool) -> Self {
        let path = format!("{}/{}", base(map), encoded(&id));
        Self { client, id, called, path, json }
    }

    /// Sends a request. `rest` is its path below that of the webhook.
    async fn call(&self, method: Method, rest: &str, body: Option<&Value>) -> Result<Value, ClientError> {
        let answer = self.client.call(method, &format!("{}{rest}", self.path), body).await;
        answer.map_err(|error| hinted(error, &self.called))
    }

    /// Prints what a command did in one line; for programs, the webhook as it is now.
    fn done(&self, webhook: &Value, did: impl Display) -> anyhow::Result<()> {
        if output::for_people(self.json) {
            Ok(output::line(format_args!("{}: {did}", show::label(webhook)))?)
        } else {
            Ok(output::json(webhook)?)
        }
    }
}

/// Adds a hint with the command that helps, if there is one.
fn hinted(mut error: ClientError, called: &str) -> ClientError {
    if let ClientError::Refused { code, hint, .. } = &mut error
        && code == "webhook_inactive"
    {
        *hint = Some(format!("only an active webhook delivers again: `waypost webhook enable {called}`"));
    }
    error
}

impl One {
    async fn find(self) -> anyhow::Result<Webhook> {
        let Self { map, webhook, common } = self;
        let client = Client::new(common.connection);
        let called = format!("{map} {webhook}");
        let id = find(&client, &map, webhook).await?;
        Ok(Webhook::new(client, &map, id, called, common.json))
    }

    /// Finds the webhook, and asks before something is done to it that can't be undone. `what` says what that is:
    /// it gets the webhook as in `the webhook x of the map demo`.
    async fn find_and_ask(self, confirm: Confirm, what: impl Fn(&str) -> String) -> anyhow::Result<Webhook> {
        let Self { map, webhook, common } = self;
        let client = Client::new(common.connection);
        let question = |id: &str| {
            let whole = if id == webhook { String::new() } else { format!(" ({id})") };
            what(&format!("the webhook {webhook}{whole} of the map {map}"))
        };
        let text = webhook.clone();
        let id = confirm.ask_about(text, question, async |text| find(&client, &map, text).await).await?;
        let called = format!("{map} {webhook}");
        Ok(Webhook::new(client, &map, id, called, common.json))
    }
}

/// The id of the webhook with that id, beginning of an id, or name.
async fn find(client: &Client, map: &str, text: String) -> anyhow::Result<String> {
    if uuid::Uuid::try_parse(&text).is_ok() {
        return Ok(text);
    }
    let all = client.call(Method::GET, &base(map), None).await?;
    let found = matching(&all, &text);
    match found.as_slice() {
        [webhook] => Ok(cell(webhook, "id")),
        [] => anyhow::bail!(
            "the map {map} has no webhook {text}; `waypost webhook list {map}` shows which there are"
        ),
        several => anyhow::bail!("{}", choice(&text, several)),
    }
}

/// The webhooks with that name; if there is none, those whose id begins with the text.
fn matching<'a>(all: &'a Value, text: &str) -> Vec<&'a Value> {
    let those = |is: &dyn Fn(&Value) -> bool| -> Vec<&'a Value> {
        all.as_array().into_iter().flatten().filter(|webhook| is(webhook)).collect()
    };
    let named = those(&|webhook| webhook["name"] == *text);
    if named.is_empty() && !text.is_empty() {
        those(&|webhook| cell(webhook, "id").starts_with(text))
    } else {
        named
    }
}

/// The message that several webhooks match, with a list of them. Names are not unique; ids are.
fn choice(text: &str, several: &[&Value]) -> String {
    let row = |webhook: &&Value| vec![cell(webhook, "id"), cell(webhook, "name"), show::target(webhook)];
    let rows: Vec<_> = several.iter().map(row).collect();
    let table = output::table(&["ID", "NAME", "TARGET"], &rows);
    format!("{text} may be any of {}; say which by its id, or the beginning of it:\n{table}", several.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_are_found_by_name_and_by_the_beginning_of_an_id() {
        let all =
            json!([{"id": "ab1", "name": "chat"}, {"id": "ab2", "name": "ab1"}, {"id": "cd3", "name": ""}]);
        let ids = |text| matching(&all, text).into_iter().map(|found| cell(found, "id")).collect::<Vec<_>>();
        assert_eq!(ids("chat"), ["ab1"]);
        assert_eq!(ids("ab1"), ["ab2"]);
        assert_eq!(ids("ab"), ["ab1", "ab2"]);
        assert_eq!(ids("c"), ["cd3"]);
        assert!(ids("").len() == 1 && ids("x").is_empty());
    }

    #[test]
    fn several_matching_webhooks_are_listed() {
        let [one, two] =
            ["1", "2"].map(|id| json!({"id": id, "name": "ord", "url": format!("http://r/{id}")}));
        let told = choice("ord", &[&one, &two]);
        assert!(
            told.contains("by its id") && told.contains("1   ord   http://r/1\n2   ord   http://r/2"),
            "{told}"
        );
    }
}
