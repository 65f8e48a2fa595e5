//! `waypost webhook preview`: the request that settings would make of an event. Nothing is stored or sent.

use http::Method;
use serde_json::{Map, Value};

use super::{
    super::{
        client::Client,
        output::{self, BAD, GOOD, cell},
        since,
    },
    Common, base, find,
    settings::Fields,
};

/// Fields of the event that only `-o wide` shows.
const WIDE: [&str; 3] = ["seq", "subject", "ts"];

/// The settings to try, and the event.
#[derive(Debug, clap::Args)]
#[command(after_help = "As in: waypost webhook preview demo --profile slack --filter 'payload.value > 1e9'")]
pub(in crate::cli) struct Args {
    /// Map: id or slug
    map: String,
    /// Webhook that the options change: id, beginning of the id, or name [default: a new one]
    webhook: Option<String>,
    /// Id of the event [default: the newest that the settings choose]
    #[arg(long, value_name = "ID")]
    event: Option<String>,
    /// An event that nobody has published, as in '{"type":"order_paid","payload":{"order":7}}'
    #[arg(long, value_name = "JSON", conflicts_with = "event", value_parser = object)]
    sample: Option<Value>,
    /// Number of the attempt that would make the request [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    attempt: Option<u32>,
    /// Time of that attempt, as in 1h (an hour ago) or 2026-01-31T12:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = since::time)]
    at: Option<String>,
    #[command(flatten)]
    fields: Fields,
    #[command(flatten)]
    common: Common,
}

/// Shows the request. The command fails if there would be none.
pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let Args { map, webhook, event, sample, attempt, at, fields, common } = args;
    let settings = fields.into_json()?;
    let client = Client::new(common.connection);
    let mut asked = Map::new();
    asked.insert("settings".to_owned(), settings.into());
    if let Some(webhook) = webhook {
        asked.insert("webhook".to_owned(), find(&client, &map, webhook).await?.into());
    }
    if let Some(event) = event {
        asked.insert("event".to_owned(), event.into());
    }
    if let Some(sample) = sample {
        asked.insert("sample".to_owned(), sample);
    }
    asked.extend(attempt.map(|attempt| ("attempt".to_owned(), attempt.into())));
    asked.extend(at.map(|at| ("at".to_owned(), at.into())));
    let path = format!("{}/preview", base(&map));
    let preview = client.call(Method::POST, &path, Some(&asked.into())).await?;
    match output::for_people(common.json) {
        true => show(&map, &preview)?,
        false => output::json(&preview)?,
    }
    match preview["error"].as_str() {
        Some(error) => anyhow::bail!("there would be no request: {}", output::printable(error)),
        None => Ok(()),
    }
}

/// A JSON object. What it must have, the node says.
fn object(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text) {
        Ok(object @ Value::Object(_)) => Ok(object),
        Ok(_) => Err("must be a JSON object".to_owned()),
        Err(error) => Err(format!("is not JSON: {error}")),
    }
}

/// Prints a preview for people. The body comes last: it may have many lines.
fn show(map: &str, preview: &Value) -> anyhow::Result<()> {
    let event = &preview["event"];
    if event.is_null() {
        output::note(format_args!(
            "the map {map} has no stored event: publish one, or give one with --sample"
        ));
        return Ok(());
    }
    field("event", format_args!("{} {}", cell(event, "type"), cell(event, "id")))?;
    let more = if output::is_wide() { &WIDE[..] } else { &[] };
    for name in more.iter().filter(|name| !event[**name].is_null()) {
        field(name, cell(event, name))?;
    }
    match preview["chosen"] == true {
        true => field("chosen", output::paint(GOOD, "yes"))?,
        false => field("chosen", output::paint(BAD, format_args!("no: {}", cell(preview, "why"))))?,
    }
    match &preview["request"] {
        Value::Null => Ok(()),
        request => show_request(request),
    }
}

fn show_request(request: &Value) -> anyhow::Result<()> {
    let url = if request["url"].is_null() { "to no target yet".to_owned() } else { cell(request, "url") };
    field("request", format_args!("{} {url}", cell(request, "method")))?;
    for (name, value) in request["headers"].as_object().into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        field("header", format_args!("{}: {}", output::printable(name), output::printable(value)))?;
    }
    let body = request["body"].as_str().unwrap_or_default();
    let lines: Vec<String> = body.lines().map(output::printable).collect();
    output::line(format_args!("\n{}", lines.join("\n")))?;
    if request["body_cut"] == true {
        output::note("The body is longer: this is the beginning of it.");
    }
    Ok(())
}

fn field(name: &str, value: impl std::fmt::Display) -> anyhow::Result<()> {
    Ok(output::line(format_args!("{name:24} {value}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_sample_is_an_object() {
        assert_eq!(object(r#"{"type":"a"}"#), Ok(json!({"type": "a"})));
        assert_eq!(object("[]"), Err("must be a JSON object".to_owned()));
        assert!(object("{").is_err_and(|error| error.starts_with("is not JSON: ")));
    }
}
