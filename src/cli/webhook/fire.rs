//! `waypost webhook fire`: sends an event to the webhooks of a map by hand.

use serde_json::{Value, value::RawValue};

use super::{
    super::{
        Usage,
        client::{ANSWER, Body, Client},
        output::{self, cell},
    },
    Common, base,
};

/// The event to send.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "As in: waypost webhook fire demo broadcast '{\"channel\":\"orders\",\"event\":\"OrderCreated\",\"data\":{\"id\":1}}'"
)]
pub(in crate::cli) struct Args {
    /// Map: id or slug
    map: String,
    /// Type of the event, as in broadcast or member_added
    event: String,
    /// Data: a JSON object; its channel says which channel the event is about [default: {}]
    #[arg(value_name = "JSON")]
    data: Option<String>,
    #[command(flatten)]
    common: Common,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let data = args.data.as_deref().unwrap_or("{}");
    // The data is sent as it was written: the server checks it, and has better messages.
    let raw: Box<RawValue> =
        serde_json::from_str(data).map_err(|error| Usage(format!("the data is not JSON: {error}")))?;
    let text = format!("{{\"event\":{},\"data\":{raw}}}", Value::from(args.event));
    let body = Body { mime: "application/json", bytes: text.into(), key: None };
    let client = Client::new(args.common.connection);
    let path = format!("{}/fire", base(&args.map));
    let fired = client.call_here(http::Method::POST, &path, body, ANSWER).await?;
    if !output::for_people(args.common.json) {
        return Ok(output::json(&fired)?);
    }
    Ok(output::line(format_args!("fired as {} (seq {})", cell(&fired, "id"), cell(&fired, "seq")))?)
}
