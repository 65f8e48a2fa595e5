//! `waypost webhook create|update`: the settings of a webhook, as options and as JSON.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use http::Method;
use serde_json::{Map, Value, json};

use crate::core::text::counted;
use crate::core::webhook::Profile;
use crate::core::webhook::mask::MASK;

use super::{
    super::{Usage, client::Client, given_secret::GivenSecret, output},
    Common, One, base, show,
};

/// A new webhook.
#[derive(Debug, clap::Args)]
#[command(after_help = "As in: waypost webhook create demo --to https://example.com/hook --profile standard")]
pub(in crate::cli) struct Create {
    /// Map: id or slug
    map: String,
    #[command(flatten)]
    fields: Fields,
    #[command(flatten)]
    secret: GivenSecret,
    /// Deliver nothing until the webhook is enabled
    #[arg(long)]
    disabled: bool,
    #[command(flatten)]
    common: Common,
}

/// A webhook and its changes.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Update {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    fields: Fields,
}

/// The settings of a webhook.
#[derive(Debug, clap::Args)]
pub(super) struct Fields {
    /// URL to deliver to
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Name for people
    #[arg(long)]
    name: Option<String>,
    /// Event types, with commas; * stands for any characters [of a new webhook: *]
    #[arg(long, value_name = "TYPES", value_delimiter = ',')]
    events: Option<Vec<String>>,
    /// Format of bodies and signatures [of a new webhook: wanderer]
    #[arg(long, value_parser = Profile::NAMES.map(|(name, _)| name))]
    profile: Option<String>,
    /// Only events for which this expression is true, as in 'payload.value > 1e9', or none
    #[arg(long, value_name = "EXPRESSION|none", value_parser = or_none)]
    filter: Option<Setting>,
    /// Which events wait for each other: none, those of the same key, or each for the one before (strict)
    #[arg(long, value_parser = ["none", "key", "strict"])]
    ordering: Option<String>,
    /// Expression of the key for --ordering key, as in payload.system_id
    #[arg(long, value_name = "EXPRESSION")]
    ordering_key: Option<String>,
    /// Most requests in any second or any period of another length, as in 5 or 5/2s, or none
    #[arg(long, value_name = "N[/TIME]|none", value_parser = rate)]
    rate: Option<Setting>,
    /// Most events in one request, and how long the first waits for more, as in 10 or 10/500ms, or none
    #[arg(long, value_name = "N[/TIME]|none", value_parser = batch)]
    batch: Option<Setting>,
    /// Most attempts of a delivery, the first one included; an event that waits has its next one in any case
    #[arg(long, value_name = "N")]
    attempts: Option<u32>,
    /// Time before the second attempt
    #[arg(long, value_name = "TIME", value_parser = millis)]
    retry_delay: Option<u64>,
    /// Whether a request is sent again if no answer came and the receiver may have taken it
    #[arg(long, value_name = "true|false")]
    retry_ambiguous: Option<bool>,
    /// Longest time for a whole request, as in 5s
    #[arg(long, value_name = "TIME", value_parser = millis)]
    timeout: Option<u64>,
    /// Disable the webhook after it has failed for this time, as in 5d, or never
    #[arg(long, value_name = "TIME|never", value_parser = auto_disable)]
    auto_disable: Option<Setting>,
    /// Additional header, as in 'Authorization: Bearer x'; may be given several times; replaces all old ones
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// POST or PUT
    #[arg(long, value_parser = ["POST", "PUT"])]
    method: Option<String>,
    /// File with the template of the bodies, for the profile template; - is standard input
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// Media type of the bodies that the template makes
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    /// Sent as X-Pusher-Key [of a new webhook: that of the app whose secret it has, else the map's id]
    #[arg(long)]
    key: Option<String>,
    /// File with settings as the API takes them, also for functions of AWS Lambda; - is standard input.
    /// Options override it
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
}

/// A setting as the API takes it. JSON null removes it.
#[derive(Debug, Clone)]
struct Setting(Value);

pub(super) async fn create(args: Create) -> anyhow::Result<()> {
    let mut fields = args.fields.into_json()?;
    if !fields.contains_key("url") && !fields.contains_key("lambda") {
        return Err(
            Usage("a target is required: give --to URL, or --settings with url or lambda".into()).into()
        );
    }
    if let Some(secret) = args.secret.read()? {
        fields.insert("secret".into(), secret.into());
    }
    if args.disabled {
        fields.insert("active".into(), false.into());
    }
    let client = Client::new(args.common.connection);
    show::one(&client.call(Method::POST, &base(&args.map), Some(&fields.into())).await?, args.common.json)
}

pub(super) async fn update(args: Update) -> anyhow::Result<()> {
    let fields = args.fields.into_json()?;
    if fields.is_empty() {
        return Err(Usage("nothing to change: give at least one of the options".into()).into());
    }
    let names: Vec<String> = fields.keys().cloned().collect();
    let webhook = args.one.find().await?;
    // Programs get the webhook; only people are told what has changed.
    let before = match output::for_people(webhook.json) {
        true => webhook.call(Method::GET, "", None).await?,
        false => Value::Null,
    };
    let now = webhook.call(Method::PATCH, "", Some(&fields.into())).await?;
    match changed(&names, &before, &now).join(", ") {
        none if none.is_empty() => webhook.done(&now, "nothing changed: it is so already"),
        names => {
            webhook.done(&now, format_args!("changed {}", output::printable(&names)))?;
            if let Some(told) = later(&before, &now) {
                output::note(told);
            }
            Ok(())
        }
    }
}

/// What is to be known of fewer attempts than before: nothing is given up for them at once.
fn later(before: &Value, now: &Value) -> Option<String> {
    let most = |webhook: &Value| webhook["retry"]["max_attempts"].as_u64();
    let is_less = most(now)? < most(before)?;
    let waits = now["retrying"].as_u64().filter(|events| is_less && *events > 0)?;
    let events = counted(waits, "event that waits has its", "events that wait have their");
    Some(format!("{events} next attempt in any case, and may be given up after it"))
}

/// Those of the settings that differ now. A setting that is not shown, or not whole, may differ.
fn changed<'n>(names: &'n [String], before: &Value, now: &Value) -> Vec<&'n str> {
    let is_same = |name: &str| match (before.get(name), now.get(name)) {
        (Some(old), Some(new)) => old == new && !old.to_string().contains(MASK),
        _ => false,
    };
    names.iter().map(String::as_str).filter(|name| !is_same(name)).collect()
}

fn read(file: &Path) -> anyhow::Result<String> {
    let text =
        if file == Path::new("-") { io::read_to_string(io::stdin()) } else { fs::read_to_string(file) };
    text.with_context(|| format!("cannot read {}", file.display()))
}

impl Fields {
    /// The settings that were given, as the API takes them.
    pub(super) fn into_json(self) -> anyhow::Result<Map<String, Value>> {
        let mut fields = match &self.settings {
            Some(file) => match serde_json::from_str(&read(file)?) {
                Ok(Value::Object(fields)) => fields,
                _ => return Err(Usage(format!("{} is not a JSON object", file.display())).into()),
            },
            None => Map::new(),
        };
        let template = self.template.as_deref().map(read).transpose()?;
        let given = [
            ("url", self.to.map(Value::from)),
            ("name", self.name.map(Value::from)),
            ("events", self.events.map(Value::from)),
            ("profile", self.profile.map(Value::from)),
            ("filter", self.filter.map(|setting| setting.0)),
            ("ordering", self.ordering.map(Value::from)),
            ("ordering_key", self.ordering_key.map(Value::from)),
            ("rate_limit", self.rate.map(|setting| setting.0)),
            ("batch", self.batch.map(|setting| setting.0)),
            ("timeout_ms", self.timeout.map(Value::from)),
            ("auto_disable_seconds", self.auto_disable.map(|setting| setting.0)),
            ("headers", (!self.headers.is_empty()).then(|| self.headers.into_iter().collect())),
            ("method", self.method.map(Value::from)),
            ("template", template.map(Value::from)),
            ("content_type", self.content_type.map(Value::from)),
            ("key", self.key.map(Value::from)),
        ];
        put(&mut fields, given);
        let retry = [
            ("max_attempts", self.attempts.map(Value::from)),
            ("delay_ms", self.retry_delay.map(Value::from)),
            ("ambiguous", self.retry_ambiguous.map(Value::from)),
        ];
        if retry.iter().any(|(_, value)| value.is_some())
            && let Some(fields) = fields.entry("retry").or_insert_with(|| json!({})).as_object_mut()
        {
            put(fields, retry);
        }
        Ok(fields)
    }
}

fn put<const N: usize>(fields: &mut Map<String, Value>, given: [(&str, Option<Value>); N]) {
    fields.extend(given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
}

fn or_none(text: &str) -> Result<Setting, String> {
    Ok(Setting(if text == "none" { Value::Null } else { text.into() }))
}

fn rate(text: &str) -> Result<Setting, String> {
    Ok(Setting(match pair(text)? {
        None => Value::Null,
        Some((requests, None)) => requests.into(),
        Some((requests, Some(period_ms))) => json!({"requests": requests, "period_ms": period_ms}),
    }))
}

fn batch(text: &str) -> Result<Setting, String> {
    let pair = pair(text)?;
    Ok(Setting(pair.map_or(Value::Null, |(max, wait)| json!({"max": max, "duration_ms": wait.unwrap_or(0)}))))
}

fn auto_disable(text: &str) -> Result<Setting, String> {
    if text == "never" {
        return Ok(Setting(Value::Null));
    }
    Ok(Setting((millis(text)? / 1000).into()))
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("must look like NAME: VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// Parses `none`, a number, or a number and a time.
fn pair(text: &str) -> Result<Option<(u64, Option<u64>)>, String> {
    if text == "none" {
        return Ok(None);
    }
    let (number, time) = text.split_once('/').map_or((text, None), |(number, time)| (number, Some(time)));
    let number =
        number.parse().map_err(|_| "must be a number, a number and a time as in 5/2s, or none".to_owned())?;
    Ok(Some((number, time.map(millis).transpose()?)))
}

/// Parses a time such as `5s` into milliseconds.
fn millis(text: &str) -> Result<u64, String> {
    let wrong = || "must be a time, as in 500ms, 2s, 1m, 1h or 5d".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wrong()),
    };
    number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(wrong)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_has_changed() {
        let before = json!({"key": "a", "batch": null, "retry": {"max_attempts": 6}, "headers": {"X-A": "***"},
                            "url": "https://discord.com/api/webhooks/1/***", "name": "n"});
        let mut now = before.clone();
        now["name"] = "m".into();
        let names = ["batch", "headers", "key", "name", "retry", "secret", "url"].map(str::to_owned);
        // Headers and the URL of a chat are masked, and a secret is not shown at all.
        assert_eq!(changed(&names, &before, &now), ["headers", "name", "secret", "url"]);
        assert!(changed(&names[2..3], &before, &now).is_empty());
    }

    #[test]
    fn fewer_attempts_give_nothing_up_at_once() {
        let webhook =
            |most: u64, retrying: u64| json!({"retry": {"max_attempts": most}, "retrying": retrying});
        let told = later(&webhook(16, 5), &webhook(2, 5));
        assert_eq!(
            told.as_deref(),
            Some("5 events that wait have their next attempt in any case, and may be given up after it")
        );
        assert!(later(&webhook(16, 1), &webhook(2, 1)).is_some_and(|told| told.starts_with("1 event that")));
        for (before, now) in [(webhook(16, 0), webhook(2, 0)), (webhook(2, 5), webhook(16, 5))] {
            assert_eq!(later(&before, &now), None, "{now}");
        }
        assert_eq!(later(&Value::Null, &webhook(2, 5)), None, "a program is told nothing");
    }

    #[test]
    fn the_values_of_options_are_parsed() {
        assert_eq!(rate("5").unwrap().0, json!(5));
        assert_eq!(rate("5/2s").unwrap().0, json!({"requests": 5, "period_ms": 2000}));
        assert_eq!(rate("none").unwrap().0, Value::Null);
        assert_eq!(batch("10/500ms").unwrap().0, json!({"max": 10, "duration_ms": 500}));
        assert_eq!(batch("10").unwrap().0, json!({"max": 10, "duration_ms": 0}));
        assert_eq!(auto_disable("5d").unwrap().0, json!(432_000));
        assert_eq!(auto_disable("never").unwrap().0, Value::Null);
        assert_eq!(or_none("none").unwrap().0, Value::Null);
        assert_eq!(header("A:  b:c ").unwrap(), ("A".to_owned(), "b:c".to_owned()));
        for wrong in ["", "5", "s", "5x", "99999999999999999999s", "-1s"] {
            assert!(millis(wrong).is_err(), "{wrong}");
        }
        assert!(rate("many").is_err() && rate("5/").is_err() && header("x").is_err());
    }
}
