//! Webhooks and attempts as people read them; as JSON for programs.

use serde_json::Value;

use super::super::output::{self, BAD, FAINT, GOOD, NAME, STRONG, cell};

/// What `webhook show` tells: settings, then how it is doing.
const FIELDS: [&str; 44] = [
    "id",
    "map_id",
    "name",
    "url",
    "target.function_name",
    "target.region",
    "target.invocation_type",
    "target.qualifier",
    "profile",
    "method",
    "key",
    "events",
    "filter.expression",
    "filter.channel_type",
    "filter.channel_prefix",
    "ordering",
    "ordering_key",
    "rate_limit.requests",
    "rate_limit.period_ms",
    "batch.max",
    "batch.duration_ms",
    "retry.max_attempts",
    "retry.delay_ms",
    "retry.on_timeout",
    "timeout_ms",
    "auto_disable_seconds",
    "content_type",
    "origin",
    "inserted_at",
    "updated_at",
    "secret_previous_until",
    "owner",
    "queue_depth",
    "oldest_at",
    "retrying",
    "dead_letters",
    "delivered",
    "failed_attempts",
    "missed",
    "success_rate",
    "failing_since",
    "last_delivery_at",
    "last_error",
    "next_attempt_at",
];

/// One webhook; with its secret, where it has come along.
pub(super) fn one(webhook: &Value, json: bool) -> anyhow::Result<()> {
    if !output::for_people(json) {
        return Ok(output::json(webhook)?);
    }
    output::line(format_args!("{:24} {}", "state", state(webhook)))?;
    for reason in ["disabled_reason", "disabled_at"].map(|field| (field, cell(webhook, field))) {
        if reason.1 != "-" {
            output::line(format_args!("{:24} {}", reason.0, reason.1))?;
        }
    }
    // What has no value says nothing to people: only what is there.
    for (field, text) in FIELDS.map(|field| (field, cell(webhook, field))) {
        if text != "-" && !text.is_empty() {
            output::line(format_args!("{field:24} {text}"))?;
        }
    }
    let headers = webhook["headers"].as_object().into_iter().flatten();
    for (name, _) in headers {
        output::line(format_args!("{:24} {}", "header", output::printable(name)))?;
    }
    if webhook.get("secret").is_some() {
        output::line(format_args!("{:24} {}", "secret", output::paint(STRONG, cell(webhook, "secret"))))?;
        output::note("Keep the secret: it is not shown again.");
    }
    Ok(())
}

fn state(webhook: &Value) -> String {
    let state = cell(webhook, "state");
    let style = match state.as_str() {
        "healthy" => GOOD,
        "paused" => FAINT,
        _ => BAD,
    };
    output::paint(style, state)
}

/// All webhooks of a map.
pub(super) fn list(webhooks: &Value, json: bool) -> anyhow::Result<()> {
    if !output::for_people(json) {
        return Ok(output::json(webhooks)?);
    }
    let row = |webhook: &Value| {
        let mut cells =
            ["id", "name", "profile", "events", "state", "queue_depth", "dead_letters"].map(|f| cell(webhook, f));
        cells[3] = short(&cells[3], 32);
        [cells.to_vec(), vec![target(webhook)]].concat()
    };
    let rows: Vec<Vec<String>> = webhooks.as_array().into_iter().flatten().map(row).collect();
    let headings = ["ID", "NAME", "PROFILE", "EVENTS", "STATE", "BEHIND", "DEAD", "TARGET"];
    Ok(output::line(output::table(&headings, &rows))?)
}

fn target(webhook: &Value) -> String {
    match cell(webhook, "url").as_str() {
        "-" => format!("lambda {}", cell(webhook, "target.function_name")),
        url => url.to_owned(),
    }
}

/// As much of a text as fits.
fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most { text.to_owned() } else { text.chars().take(most - 1).chain(['…']).collect() }
}

/// Whether the receiver took it.
pub(super) fn is_delivered(attempt: &Value) -> bool {
    attempt["class"] == "delivered"
}

/// Several attempts of one webhook, oldest first.
pub(super) fn attempts(attempts: &Value, json: bool) -> anyhow::Result<()> {
    attempts.as_array().into_iter().flatten().try_for_each(|one| attempt(one, None, json))
}

/// One attempt as a line; `webhook` says whose it is, where there are several.
pub(super) fn attempt(attempt: &Value, webhook: Option<&str>, json: bool) -> anyhow::Result<()> {
    if !output::for_people(json) {
        return Ok(output::json(attempt)?);
    }
    let at = cell(attempt, "at");
    let mut words = vec![output::paint(FAINT, at.get(11..23).unwrap_or(&at))];
    words.extend(webhook.map(|name| output::paint(STRONG, output::printable(name))));
    words.push(output::paint(NAME, cell(attempt, "type")));
    words.push(output::paint(FAINT, cell(attempt, "message_id")));
    words.push(outcome(attempt));
    words.push(output::paint(FAINT, details(attempt)));
    Ok(output::line(words.join(" "))?)
}

fn outcome(attempt: &Value) -> String {
    let (class, status, error) = (cell(attempt, "class"), cell(attempt, "status"), cell(attempt, "error"));
    if is_delivered(attempt) {
        return output::paint(GOOD, format_args!("delivered {status}"));
    }
    let status = if status == "-" { String::new() } else { format!(" {status}") };
    let error = if error == "-" { String::new() } else { format!(": {}", short(&error, 160)) };
    output::paint(BAD, format_args!("{class}{status}{error}"))
}

fn details(attempt: &Value) -> String {
    let mut words = vec![format!("{} ms", cell(attempt, "ms"))];
    if attempt["events"].as_u64().is_some_and(|events| events > 1) {
        words.push(format!("{} events", cell(attempt, "events")));
    }
    if attempt["attempt"].as_u64().is_some_and(|attempt| attempt > 1) {
        words.push(format!("attempt {}", cell(attempt, "attempt")));
    }
    words.push(format!("node {}", cell(attempt, "node")));
    words.join(", ")
}
