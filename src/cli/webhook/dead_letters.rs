//! `waypost webhook dead-letters list|retry|purge`.

use http::Method;
use serde_json::{Value, json};

use super::{
    super::{
        Usage,
        client::{ClientError, encoded},
        confirm::Confirm,
        output::{self, cell, counted_cell},
        since,
    },
    One, Webhook, replay, show,
};

/// Most dead letters in one answer of the API.
const PAGE: usize = 1000;

/// Commands for dead letters, which are events that were given up.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// List them, oldest first
    List(List),
    /// Deliver one, all, or those since a time again
    Retry(Retry),
    /// Remove one, or all
    Purge(Purge),
}

/// The dead letters to list.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    one: One,
    /// Only those after this seq
    #[arg(long, value_name = "SEQ")]
    after: Option<u64>,
    /// Only those that were given up at this time or later, as in 1h (an hour ago) or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = since::time)]
    since: Option<String>,
    /// Most dead letters that are listed
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

/// The dead letters to deliver again.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Retry {
    #[command(flatten)]
    one: One,
    /// Id of the event [default: all]
    event: Option<String>,
    /// Only events from this time on, as in 1h (an hour ago) or 2026-01-31T12:00:00Z, or from the event with this id
    #[arg(long, value_name = "TIME|ID", value_parser = since::time_or_id, conflicts_with = "event")]
    since: Option<String>,
    /// Wait until all have been tried
    #[arg(long)]
    wait: bool,
}

/// The dead letters to remove.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Purge {
    #[command(flatten)]
    one: One,
    /// Id of the event [default: all]
    event: Option<String>,
    #[command(flatten)]
    confirm: Confirm,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List(args) => list(args).await,
        Command::Retry(args) => retry(args).await,
        Command::Purge(args) => purge(args).await,
    }
}

async fn list(args: List) -> anyhow::Result<()> {
    let webhook = args.one.find().await?;
    let people = output::for_people(webhook.json);
    let mut left = args.limit;
    let mut after = args.after;
    let mut rows = Vec::new();
    while left > 0 {
        let dead_letters = page(&webhook, after, left.min(PAGE)).await?;
        // A page may be short because of its bytes. Only an empty page is the last.
        let Some(last) = dead_letters.last() else { break };
        after = last["seq"].as_u64();
        let is_listed =
            |dead_letter: &&Value| since::is_since(dead_letter, "given_up_at", args.since.as_deref());
        for dead_letter in dead_letters.iter().filter(is_listed) {
            left = left.saturating_sub(1);
            if people {
                rows.push(row(dead_letter));
            } else {
                output::json(dead_letter)?;
            }
        }
    }
    if !people {
        return Ok(());
    }
    output::line(output::table(&["SEQ", "EVENT", "TYPE", "ATTEMPTS", "GIVEN UP", "WHY"], &rows))?;
    if let (0, Some(after)) = (left, after) {
        output::note(format_args!("there may be more: --after {after}"));
    }
    Ok(())
}

async fn page(webhook: &Webhook, after: Option<u64>, limit: usize) -> Result<Vec<Value>, ClientError> {
    let after = after.map_or_else(String::new, |after| format!("&after={after}"));
    match webhook.call(Method::GET, &format!("/dead-letters?limit={limit}{after}"), None).await? {
        Value::Array(dead_letters) => Ok(dead_letters),
        _ => Ok(Vec::new()),
    }
}

fn row(dead_letter: &Value) -> Vec<String> {
    let mut cells =
        ["seq", "id", "type", "attempts", "given_up_at"].map(|field| cell(dead_letter, field)).to_vec();
    let gone = if dead_letter["event"].is_null() { " (the event is no longer kept)" } else { "" };
    cells.push(show::reason(dead_letter) + gone);
    cells
}

async fn retry(args: Retry) -> anyhow::Result<()> {
    if args.wait && args.event.is_some() {
        return Err(Usage(replay::NOT_SINGLE.into()).into());
    }
    let webhook = args.one.find().await?;
    if let Some(event) = args.event {
        let dead_letter =
            webhook.call(Method::POST, &format!("/dead-letters/{}/retry", encoded(&event)), None).await?;
        if !output::for_people(webhook.json) {
            return Ok(output::json(&dead_letter)?);
        }
        return Ok(output::line(format_args!("{event} is tried again"))?);
    }
    if let Some(told) = replay::nothing_to_do(&webhook).await? {
        return Ok(output::line(told)?);
    }
    let body = args.since.map_or_else(|| json!({}), |since| json!({"since": since}));
    let begun = webhook.call(Method::POST, "/dead-letters/retry", Some(&body)).await?;
    replay::follow(&webhook, begun, args.wait).await
}

async fn purge(args: Purge) -> anyhow::Result<()> {
    let Some(event) = args.event else {
        let what = |webhook: &str| format!("this removes all dead letters of {webhook}, for ever");
        let webhook = args.one.find_and_ask(args.confirm, what).await?;
        let answer = webhook.call(Method::DELETE, "/dead-letters", None).await?;
        let removed = counted_cell(&answer, "removed", "dead letter", "dead letters");
        output::note(format_args!("removed {removed}"));
        return Ok(());
    };
    let webhook = args.one.find().await?;
    webhook.call(Method::DELETE, &format!("/dead-letters/{}", encoded(&event)), None).await?;
    output::note(format_args!("removed {event}"));
    Ok(())
}
