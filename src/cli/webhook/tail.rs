//! `waypost webhook tail`: prints attempts as they are made.
//!
//! It asks for new attempts about once a second. A webhook remembers few attempts, so some may be missed.
//! Their number is reported; none is skipped silently. Tests are not shown, because they have no number.

use std::{collections::BTreeMap, time::Duration};

use http::Method;
use serde_json::Value;
use tokio::time::sleep;

use super::{
    super::{
        client::{Client, ClientError, encoded},
        output::{self, cell},
        since,
    },
    Common, base, find, show,
};
use crate::core::text::counted;

/// Shortest and longest pause between two rounds of requests.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// The attempts to print.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Map: id or slug
    map: String,
    /// Webhook: id, beginning of the id, or name [default: all]
    webhook: Option<String>,
    /// Begin with the attempts since this time that are remembered, as in 1h (an hour ago) or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = since::time)]
    since: Option<String>,
    /// Only attempts that failed
    #[arg(long)]
    failed: bool,
    /// End after this many attempts
    #[arg(long, short = 'n', value_name = "N")]
    count: Option<u64>,
    #[command(flatten)]
    common: Common,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let client = Client::new(args.common.connection);
    let only = match args.webhook {
        Some(webhook) => Some(find(&client, &args.map, webhook).await?),
        None => None,
    };
    let mut tail = Tail {
        path: base(&args.map),
        client,
        seen: BTreeMap::new(),
        several: only.is_none(),
        only,
        failed: args.failed,
        left: args.count,
        json: args.common.json,
        pause: PAUSES.0,
    };
    let earlier = tail.start(args.since.as_deref()).await?;
    let what = counted(tail.seen.len(), "webhook", "webhooks");
    output::note(output::paint_err(output::FAINT, format_args!("following {what} of {}", args.map)));
    earlier.iter().try_for_each(|attempt| tail.print(attempt))?;
    tail.follow().await
}

struct Tail {
    client: Client,
    path: String,
    only: Option<String>,
    several: bool,
    /// The webhooks that are followed, by id.
    seen: BTreeMap<String, Seen>,
    failed: bool,
    left: Option<u64>,
    json: bool,
    pause: Duration,
}

/// What was seen of one webhook.
#[derive(Default)]
struct Seen {
    name: String,
    /// Number of the last attempt that was seen.
    last: u64,
    /// The sum of its counters. While it does not change, there are no new attempts to ask for.
    counted: u64,
}

impl Tail {
    /// Reads the number of each webhook's last attempt; later attempts are shown. Returns those that are remembered
    /// since that time, ordered by time: none without one.
    async fn start(&mut self, since: Option<&str>) -> anyhow::Result<Vec<Value>> {
        let mut earlier = Vec::new();
        for (id, name, counted) in self.look().await? {
            let attempts = self.attempts(&id, 0).await?;
            let last = attempts.iter().map(number).max().unwrap_or(0);
            if since.is_some() {
                let wanted = attempts.into_iter().filter(|attempt| since::is_since(attempt, "at", since));
                earlier.extend(wanted.map(|attempt| of_webhook(attempt, &id)));
            }
            self.seen.insert(id, Seen { name, last, counted });
        }
        earlier.sort_by_cached_key(|attempt| cell(attempt, "at"));
        Ok(earlier)
    }

    async fn follow(&mut self) -> anyhow::Result<()> {
        let mut lost = false;
        while self.left != Some(0) {
            sleep(self.pause).await;
            match self.round().await {
                Ok(attempts) => {
                    if lost {
                        output::note(output::paint_err(
                            output::FAINT,
                            format_args!("following {}", self.client.url()),
                        ));
                    }
                    lost = false;
                    attempts.iter().try_for_each(|attempt| self.print(attempt))?;
                }
                Err(ClientError::Refused { status: 429, retry_after, .. }) => {
                    self.slow_down(retry_after.unwrap_or(0)).await;
                }
                Err(error) if error.passes() => {
                    if !lost {
                        output::note(&error);
                        output::note(output::paint_err(
                            output::FAINT,
                            "trying again; missed attempts are reported",
                        ));
                    }
                    lost = true;
                    self.client.next_node();
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Makes the pause longer, because the token may not make so many requests.
    async fn slow_down(&mut self, seconds: u64) {
        self.pause = (self.pause * 2).min(PAUSES.1);
        let every = self.pause.as_secs();
        let text = format!("too many requests for this token: asking every {every} s from now on");
        output::note(output::paint_err(output::FAINT, text));
        sleep(Duration::from_secs(seconds)).await;
    }

    /// The attempts of all webhooks since the last round, ordered by time.
    async fn round(&mut self) -> Result<Vec<Value>, ClientError> {
        let mut fresh = Vec::new();
        let webhooks = self.look().await?;
        self.seen.retain(|id, _| webhooks.iter().any(|(known, ..)| known == id));
        for (id, name, counted) in webhooks {
            let seen = self.seen.entry(id.clone()).or_default();
            seen.name = name;
            if self.several && seen.counted == counted {
                continue;
            }
            let last = seen.last;
            let attempts = self.attempts(&id, last).await?;
            let Some(seen) = self.seen.get_mut(&id) else { continue };
            seen.counted = counted;
            seen.take(&id, attempts, self.several, &mut fresh);
        }
        fresh.sort_by_cached_key(|attempt| cell(attempt, "at"));
        Ok(fresh)
    }

    /// Id, name and sum of counters of the webhooks that are followed. A single webhook is not read, because
    /// its attempts are asked for in any case.
    async fn look(&self) -> Result<Vec<(String, String, u64)>, ClientError> {
        if let Some(id) = &self.only {
            return Ok(vec![(id.clone(), String::new(), 0)]);
        }
        let webhooks = self.client.call(Method::GET, &self.path, None).await?;
        let count = |webhook: &Value, field: &str| webhook[field].as_u64().unwrap_or(0);
        let row = |webhook: &Value| {
            let id = cell(webhook, "id");
            let name = Some(cell(webhook, "name")).filter(|name| !name.is_empty() && name != "-");
            let name = name.unwrap_or_else(|| id.chars().take(8).collect());
            (id, name, count(webhook, "delivered") + count(webhook, "failed_attempts"))
        };
        Ok(webhooks.as_array().into_iter().flatten().map(row).collect())
    }

    async fn attempts(&self, id: &str, after: u64) -> Result<Vec<Value>, ClientError> {
        let path = format!("{}/{}/attempts?after={after}", self.path, encoded(id));
        match self.client.call(Method::GET, &path, None).await {
            Ok(Value::Array(attempts)) => Ok(attempts),
            Ok(_) => Ok(Vec::new()),
            // One of several webhooks was deleted since the list was read.
            Err(ClientError::Refused { status: 404, .. }) if self.several => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn print(&mut self, attempt: &Value) -> anyhow::Result<()> {
        if self.left == Some(0) || (self.failed && show::is_delivered(attempt)) {
            return Ok(());
        }
        let name =
            attempt["webhook_id"].as_str().and_then(|id| self.seen.get(id)).map(|seen| seen.name.as_str());
        show::attempt(attempt, name.filter(|_| self.several), self.json)?;
        self.left = self.left.map(|left| left.saturating_sub(1));
        Ok(())
    }
}

impl Seen {
    /// Adds the new ones of `attempts` to `fresh`, oldest first. Reports how many were missed.
    fn take(&mut self, id: &str, attempts: Vec<Value>, several: bool, fresh: &mut Vec<Value>) {
        let newest = attempts.iter().map(number).max().unwrap_or(0);
        let known = self.last;
        let new: Vec<Value> = attempts.into_iter().filter(|attempt| number(attempt) > known).collect();
        let missed = newest.saturating_sub(known).saturating_sub(new.len() as u64);
        if missed > 0 {
            let of = if several { format!(" of {}", output::printable(&self.name)) } else { String::new() };
            let missed = counted(missed, "attempt", "attempts");
            let text = format!("missed {missed}{of}: there were more than a webhook remembers");
            output::note(output::paint_err(output::BAD, text));
        }
        self.last = self.last.max(newest);
        fresh.extend(new.into_iter().map(|attempt| of_webhook(attempt, id)));
    }
}

/// The attempt with the id of its webhook.
fn of_webhook(mut attempt: Value, id: &str) -> Value {
    attempt["webhook_id"] = id.into();
    attempt
}

fn number(attempt: &Value) -> u64 {
    attempt["number"].as_u64().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn attempts_are_shown_once_and_in_order() {
        let attempts =
            |numbers: &[u64]| numbers.iter().map(|number| json!({"number": number})).collect::<Vec<_>>();
        let mut seen = Seen { last: 3, ..Seen::default() };
        let mut fresh = Vec::new();
        seen.take("a", attempts(&[2, 3, 4, 5]), true, &mut fresh);
        seen.take("a", attempts(&[5]), true, &mut fresh);
        seen.take("a", attempts(&[9]), true, &mut fresh);
        assert_eq!(fresh.iter().map(number).collect::<Vec<_>>(), [4, 5, 9]);
        assert_eq!((seen.last, &fresh[0]["webhook_id"]), (9, &json!("a")));
    }
}
