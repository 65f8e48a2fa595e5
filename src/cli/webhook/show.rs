//! Prints webhooks and attempts: for people as text, and for programs as JSON.

use anyhow::Context;
use serde_json::Value;

use crate::core::json::Entries;
use crate::core::webhook::shown::ShownWebhook;

use super::super::{
    cluster::named::called_by,
    output::{self, BAD, FAINT, GOOD, NAME, STRONG, cell, counted_cell},
};

/// Longest name in a list, and the least room for a target on a narrow terminal, in characters.
const MOST_NAME: usize = 20;
const LEAST_TARGET: usize = 10;
/// Longest part of an error and of an answer that a line shows, in characters.
const MOST_ERROR: usize = 260;
const MOST_ANSWER: usize = 100;
/// What stands for a target that the node can't decrypt.
const NO_KEY: &str = "(no key)";

/// Columns of the list with `-o wide`.
const WIDE: [(&str, &str); 13] = [
    ("ID", "id"),
    ("NAME", "name"),
    ("STATE", "state"),
    ("LEFT", "queue_depth"),
    ("DEAD", "dead_letters"),
    ("LOST", "missed"),
    ("PROFILE", "profile"),
    ("EVENTS", "events"),
    ("DELIVERED", "delivered"),
    ("LAST DELIVERY", "last_delivery_at"),
    ("LAST ERROR", "last_error"),
    ("URL", "url"),
    ("FUNCTION", "target.function_name"),
];

/// Fields that `webhook show` does not list, because it shows them elsewhere or they mean nothing to people.
const NOT_LISTED: [&str; 15] = [
    "target.type",
    "target.url",
    "retry.factor",
    "retry.max_delay_ms",
    "retry.jitter",
    "headers",
    "template",
    "active",
    "state",
    "disabled_reason",
    "disabled_at",
    "given_up",
    "consecutive_failures",
    "owner_name",
    "warnings",
];

/// Prints one webhook, with its secret if the answer has it.
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
    // Fields without a value are left out.
    let shown: ShownWebhook =
        serde_json::from_value(webhook.clone()).context("the answer is not a webhook")?;
    for field in fields(&shown) {
        let text = value(webhook, &field);
        if text != "-" && !text.is_empty() {
            output::line(format_args!("{field:24} {text}"))?;
        }
    }
    let headers = webhook["headers"].as_object().into_iter().flatten();
    for (name, _) in headers {
        output::line(format_args!("{:24} {}", "header", output::printable(name)))?;
    }
    for warning in webhook["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        output::note(format!("Warning: {}", output::printable(warning)));
    }
    if webhook.get("secret").is_some() {
        output::line(format_args!("{:24} {}", "secret", output::paint(STRONG, cell(webhook, "secret"))))?;
        output::note("Keep the secret: it is not shown again.");
    }
    Ok(())
}

/// A field of a webhook as people read it.
fn value(webhook: &Value, field: &str) -> String {
    let text = cell(webhook, field);
    match (field, webhook[field].as_f64()) {
        ("queue_depth", Some(_)) => {
            let events = if text == "1" { "event" } else { "events" };
            format!("{text} {events} not looked at or not delivered yet")
        }
        ("success_rate", Some(rate)) => format!("{:.1} %", rate * 100.0),
        ("owner", _) => called_by(webhook, "owner", "owner_name"),
        ("url", _) if webhook["target"]["type"] == "http" => target(webhook),
        _ => text,
    }
}

/// The paths of the fields that are listed, as in `retry.max_attempts`, in the order of the type.
fn fields(webhook: &ShownWebhook) -> Vec<String> {
    let mut paths = Vec::new();
    // The text keeps the order of the type. A tree of values would sort the names.
    if let Ok(text) = serde_json::to_string(&ShownWebhook { secret: None, ..webhook.clone() }) {
        add_fields("", &text, &mut paths);
    }
    paths
}

fn add_fields(prefix: &str, object: &str, paths: &mut Vec<String>) {
    let Ok(Entries(entries)) = serde_json::from_str(object) else { return };
    for (name, value) in entries {
        let path = format!("{prefix}{name}");
        match value.get().starts_with('{') {
            _ if NOT_LISTED.contains(&path.as_str()) => {}
            true => add_fields(&format!("{path}."), value.get(), paths),
            false => paths.push(path),
        }
    }
}

fn state(webhook: &Value) -> String {
    let state = cell(webhook, "state");
    let style = match state.as_str() {
        "healthy" => GOOD,
        "paused" => FAINT,
        "behind" => STRONG,
        _ => BAD,
    };
    output::paint(style, state)
}

/// Prints all webhooks of a map.
pub(super) fn list(webhooks: &Value, json: bool) -> anyhow::Result<()> {
    if !output::for_people(json) {
        return Ok(output::json(webhooks)?);
    }
    if output::is_wide() {
        return Ok(output::list(webhooks, json, &WIDE, &[])?);
    }
    let rows: Vec<&Value> = webhooks.as_array().into_iter().flatten().collect();
    Ok(output::line(listed(&rows, output::width()))?)
}

/// A table of webhooks that is at most `columns` wide; without a width nothing is cut. Each line has what a
/// command needs to name the webhook, and the state of its delivery.
fn listed(webhooks: &[&Value], columns: Option<usize>) -> String {
    let most_name = columns.map_or(usize::MAX, |_| MOST_NAME);
    let row = |webhook: &&Value| {
        let fields = ["state", "queue_depth", "dead_letters", "missed"].map(|field| cell(webhook, field));
        [vec![short_id(webhook), short(&cell(webhook, "name"), most_name)], fields.to_vec()].concat()
    };
    let mut rows: Vec<Vec<String>> = webhooks.iter().map(row).collect();
    let headings = ["ID", "NAME", "STATE", "LEFT", "DEAD", "LOST", "TARGET"];
    let used = output::table(&headings, &rows).lines().map(|line| line.chars().count()).max().unwrap_or(0);
    let others = used.saturating_sub(headings[6].len());
    let room = columns.map_or(usize::MAX, |columns| columns.saturating_sub(others).max(LEAST_TARGET));
    for (row, webhook) in rows.iter_mut().zip(webhooks) {
        row.push(short(&target(webhook), room));
    }
    output::table(&headings, &rows)
}

/// A webhook's name and the beginning of its id, which is unique in the map.
pub(super) fn label(webhook: &Value) -> String {
    match cell(webhook, "name").as_str() {
        "" | "-" => short_id(webhook),
        name => format!("{name} ({})", short_id(webhook)),
    }
}

/// The beginning of an id, long enough to tell the webhooks of a map apart.
fn short_id(webhook: &Value) -> String {
    cell(webhook, "id").chars().take(8).collect()
}

/// The target of a webhook, as a text.
pub(super) fn target(webhook: &Value) -> String {
    let is_lambda = webhook["target"]["type"] == "lambda";
    let known = cell(webhook, if is_lambda { "target.function_name" } else { "url" });
    match (known.as_str(), is_lambda) {
        ("-", _) => NO_KEY.to_owned(),
        (name, true) => format!("lambda {name}"),
        (url, false) => url.to_owned(),
    }
}

/// A text cut to at most `most` characters.
fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        text.to_owned()
    } else {
        text.chars().take(most - 1).chain(['…']).collect()
    }
}

/// Whether the attempt was delivered.
pub(super) fn is_delivered(attempt: &Value) -> bool {
    attempt["class"] == "delivered"
}

/// Prints several attempts of one webhook, oldest first.
pub(super) fn attempts(attempts: &Value, json: bool) -> anyhow::Result<()> {
    attempts.as_array().into_iter().flatten().try_for_each(|one| attempt(one, None, json))
}

/// Prints one attempt as a line. `webhook` is the name of its webhook, if several are followed.
pub(super) fn attempt(attempt: &Value, webhook: Option<&str>, json: bool) -> anyhow::Result<()> {
    if !output::for_people(json) {
        return Ok(output::json(attempt)?);
    }
    let at = cell(attempt, "at");
    let mut words = vec![output::paint(FAINT, at.get(11..23).unwrap_or(&at))];
    words.extend(webhook.map(|name| output::paint(STRONG, output::printable(name))));
    words.push(output::paint(NAME, cell(attempt, "type")));
    words.push(output::paint(FAINT, cell(attempt, "message_id")));
    if output::is_wide() {
        words.push(output::paint(FAINT, format_args!("#{}", cell(attempt, "seq"))));
        words.push(output::paint(FAINT, cell(attempt, "event_id")));
    }
    words.push(outcome(attempt));
    Ok(output::line(words.join(" "))?)
}

/// How an attempt ended, how long it took and where it was made. What the receiver answered to a failed one
/// comes last, because its text is free.
fn outcome(attempt: &Value) -> String {
    let details = output::paint(FAINT, details(attempt));
    if is_delivered(attempt) {
        let end = output::paint(GOOD, format_args!("delivered {}", cell(attempt, "status")));
        return format!("{end}, {details}");
    }
    let end = format!("{}, {details}", output::paint(BAD, reason(attempt)));
    match short(cell_line(attempt, "response").trim(), MOST_ANSWER).as_str() {
        "" | "-" => end,
        answer => format!("{end}; it said: \"{answer}\""),
    }
}

/// How an attempt ended in a word, with the status of the answer if there was one: `status 401`, `timeout`.
pub(super) fn end(attempt: &Value) -> String {
    let class = cell(attempt, "class");
    if attempt["status"].is_null() { class } else { format!("{class} {}", cell(attempt, "status")) }
}

/// Why an attempt failed, or all attempts of a dead letter.
pub(in crate::cli) fn reason(failed: &Value) -> String {
    let class = cell(failed, "class");
    let status = cell(failed, "status");
    let error = cell(failed, "error");
    let mut text = end(failed);
    // The end already has the status. Attempts that an older release recorded have another word for it.
    let known = ["status", "answered"].map(|word| format!("{word} {status}"));
    let said = known.iter().find_map(|known| error.strip_prefix(known.as_str())).unwrap_or(&error);
    match said.trim_start_matches("; ") {
        "" | "-" => {}
        said => text = format!("{text}: {}", short(said, MOST_ERROR)),
    }
    match cell(failed, "sent").as_str() {
        "nothing" if failed["stage"].is_string() => text.push_str("; nothing was sent"),
        "maybe" => text.push_str("; it may have been taken"),
        _ => {}
    }
    match class.as_str() {
        "redirect" if error.contains("redirects are not followed") => text + "; give the URL where it leads",
        "redirect" => text + "; redirects are not followed: give the URL where it leads",
        _ => text,
    }
}

/// A field as a cell, with several lines joined into one.
fn cell_line(object: &Value, field: &str) -> String {
    let text = object[field].as_str().unwrap_or_default();
    output::printable(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn details(attempt: &Value) -> String {
    let mut words = vec![format!("{} ms", cell(attempt, "ms"))];
    if attempt["events"].as_u64().is_some_and(|events| events > 1) {
        words.push(counted_cell(attempt, "events", "event", "events"));
    }
    if attempt["attempt"].as_u64().is_some_and(|attempt| attempt > 1) {
        words.push(format!("attempt {}", cell(attempt, "attempt")));
    }
    words.push(format!("node {}", called_by(attempt, "node", "node_name")));
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_fits_its_terminal() {
        let hook = |name: &str| {
            json!({"id": "0190a1b2-aaaa", "name": name, "state": "disabled", "queue_depth": 100_000,
                   "dead_letters": 10_000, "missed": 7, "url": format!("https://example.com/{}", "x".repeat(200))})
        };
        let one = hook("a name that is longer than there is room for");
        let two = hook("b");
        let wide = |columns| {
            listed(&[&one, &two], Some(columns)).lines().map(|line| line.chars().count()).max().unwrap_or(0)
        };
        assert_eq!((wide(80), wide(120)), (80, 120));
        assert!(
            listed(&[&two], Some(80))
                .contains("0190a1b2  b     disabled  100000  10000  7     https://example.com/xxx")
        );
        let whole = listed(&[&one], None);
        assert!(whole.contains("there is room for") && whole.ends_with("xxx"), "nothing is cut: {whole}");
    }

    #[test]
    fn a_webhook_is_listed_in_the_order_of_its_type() {
        let lambda = json!({"type": "lambda", "function_name": "f", "region": "r", "invocation_type": "Event", "qualifier": null});
        let shown = json!({"id": "x", "target": lambda, "filter": {"expression": "true"}, "headers": {"X-A": "***"},
                           "batch": {"max": 2, "duration_ms": 0}, "secret": "s"});
        let fields = fields(&serde_json::from_value(shown).unwrap_or_default());
        let position = |name: &str| fields.iter().position(|field| field == name);
        let order = [
            "id",
            "url",
            "target.function_name",
            "profile",
            "filter.expression",
            "batch.max",
            "retry.ambiguous",
        ];
        let order =
            order.into_iter().chain(["timeout_ms", "updated_at", "secret_previous_until", "next_attempt_at"]);
        let positions: Vec<_> = order.map(position).collect();
        assert!(
            positions.is_sorted() && positions.iter().all(Option::is_some),
            "{positions:?} in {fields:?}"
        );
        for hidden in ["secret", "headers.X-A", "target.type", "state", "owner_name"] {
            assert_eq!(position(hidden), None, "{hidden}");
        }
    }

    #[test]
    fn a_target_that_is_not_known_is_told_from_others() {
        let of = |kind: &str, url: Value, name: Value| {
            let target = json!({"type": kind, "url": url, "function_name": name});
            json!({"url": url, "target": target})
        };
        assert_eq!(target(&of("http", "https://example.com/".into(), Value::Null)), "https://example.com/");
        assert_eq!(target(&of("lambda", Value::Null, "resize".into())), "lambda resize");
        let lacks_key = json!({"url": null, "target": {"type": "http"}});
        assert_eq!((target(&lacks_key), value(&lacks_key, "url")), (NO_KEY.to_owned(), NO_KEY.to_owned()));
        let lacks_key = json!({"url": null, "target": {"type": "lambda"}});
        assert_eq!((target(&lacks_key), value(&lacks_key, "url")), (NO_KEY.to_owned(), "-".to_owned()));
    }

    #[test]
    fn numbers_are_as_people_read_them() {
        let webhook = |depth: u64| json!({"queue_depth": depth, "success_rate": 5.0 / 17.0, "retrying": 1});
        assert_eq!(value(&webhook(1), "queue_depth"), "1 event not looked at or not delivered yet");
        assert_eq!(value(&webhook(0), "queue_depth"), "0 events not looked at or not delivered yet");
        assert_eq!(value(&webhook(1), "success_rate"), "29.4 %");
        assert_eq!(value(&webhook(1), "retrying"), "1");
        assert_eq!(value(&json!({"success_rate": null}), "success_rate"), "-");
        assert_eq!(value(&json!({"owner": 3, "owner_name": "berlin-2"}), "owner"), "3 (berlin-2)");
        assert_eq!(value(&json!({"owner": null, "owner_name": null}), "owner"), "-");
    }

    #[test]
    fn the_texts_of_failures() {
        for error in ["status 500", "answered 500"] {
            let answered = json!({"class": "status", "status": 500, "error": error, "ms": 10, "node": 1,
                                  "node_name": null, "response": "no\n\u{1b}[2J table "});
            assert_eq!(outcome(&answered), "status 500, 10 ms, node 1; it said: \"no \u{fffd}[2J table\"");
            assert_eq!(end(&answered), "status 500");
        }
        let taken = json!({"class": "delivered", "status": 204, "response": "x", "ms": 3, "node": 2,
                           "node_name": "berlin-2", "attempt": 2});
        assert_eq!(outcome(&taken), "delivered 204, 3 ms, attempt 2, node 2 (berlin-2)");
        let moved = json!({"class": "redirect", "status": 302, "error": "status 302", "response": ""});
        assert!(outcome(&moved).starts_with("redirect 302; redirects are not followed"));
        let error = "status 301; redirects are not followed, and this one leads to https://example.com/";
        let moved = json!({"class": "redirect", "status": 301, "error": error});
        assert_eq!(
            reason(&moved),
            "redirect 301: redirects are not followed, and this one leads to https://example.com/; \
             give the URL where it leads"
        );
        let late = json!({"class": "timeout", "status": null, "error": "no answer came", "sent": "maybe", "stage": "wait"});
        assert_eq!(reason(&late), "timeout: no answer came; it may have been taken");
        assert_eq!(end(&late), "timeout");
        let lost = json!({"class": "timeout", "status": null, "error": "no connection", "sent": "nothing", "stage": "tls"});
        assert_eq!(reason(&lost), "timeout: no connection; nothing was sent");
    }
}
