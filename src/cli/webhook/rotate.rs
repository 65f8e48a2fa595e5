//! `waypost webhook rotate`: gives a webhook another secret.

use http::Method;
use serde_json::{Value, json};

use super::{
    super::{
        given_secret::GivenSecret,
        output::{self, cell},
    },
    One,
};
use crate::core::text::counted;

/// A new secret.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    one: One,
    #[command(flatten)]
    secret: GivenSecret,
    /// Time for which the old secret signs too [default: a day, unless configured otherwise]
    #[arg(long, value_name = "SECONDS")]
    overlap_seconds: Option<u64>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let mut body = json!({});
    let given = args.secret.read()?;
    let is_given = given.is_some();
    if let Some(secret) = given {
        body["secret"] = secret.into();
    }
    if let Some(seconds) = args.overlap_seconds {
        body["overlap_seconds"] = seconds.into();
    }
    let webhook = args.one.find().await?;
    let mut rotated = webhook.call(Method::POST, "/rotate-secret", Some(&body)).await?;
    // Whoever gave the secret has it, and need not have it in a terminal or a log.
    if is_given && let Some(members) = rotated.as_object_mut() {
        members.remove("secret");
    }
    if !output::for_people(webhook.json) {
        return Ok(output::json(&rotated)?);
    }
    let keep = if is_given {
        "The secret that you gave signs now."
    } else {
        output::line(output::paint(output::STRONG, cell(&rotated, "secret")))?;
        "Keep the secret: it is not shown again."
    };
    let until = cell(&rotated, "secret_previous_until");
    let old = match until.as_str() {
        "-" => "No other one signs any more".to_owned(),
        _ => format!("The old one signs too until {until}"),
    };
    output::note(format_args!("{old}. {keep}"));
    if let Some(waits) = waits(&rotated, is_given, &webhook.called) {
        output::note(waits);
    }
    Ok(())
}

/// What becomes of the deliveries that wait, after a new secret. `None` if there are none, or if the webhook
/// delivers nothing now.
fn waits(rotated: &Value, is_given: bool, called: &str) -> Option<String> {
    let events = rotated["retrying"].as_u64().filter(|events| *events > 0 && rotated["active"] == true)?;
    let told = if is_given {
        counted(events, "event that waits is tried now", "events that wait are tried now")
    } else {
        let wait = counted(events, "event waits", "events wait");
        format!(
            "{wait} for another attempt. Give the receiver the secret; then `waypost webhook enable {called}` \
             begins at once"
        )
    };
    Some(format!("{told}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_secret_is_told_with_what_becomes_of_waiting_events() {
        let rotated = |retrying: u64| json!({"retrying": retrying, "active": true});
        assert_eq!(waits(&rotated(0), false, "demo hook"), None);
        assert_eq!(waits(&json!({"retrying": 1, "active": false}), true, "demo hook"), None);
        assert_eq!(
            waits(&rotated(1), true, "demo hook").as_deref(),
            Some("1 event that waits is tried now.")
        );
        let told = waits(&rotated(5), false, "demo hook").unwrap_or_default();
        assert!(told.starts_with("5 events wait for another attempt. Give the receiver"), "{told}");
        assert!(told.ends_with("`waypost webhook enable demo hook` begins at once."), "{told}");
    }
}
