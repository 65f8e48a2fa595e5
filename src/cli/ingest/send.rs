//! `waypost ingest send`: posts a body to a source as its sender would, for trying the source.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use bytes::Bytes;
use http::{
    Method,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    super::{
        Usage,
        http1::Http,
        output::{self, cell},
    },
    settings::secret,
};
use crate::core::ingest::{Authentication, signed_headers};
use crate::{clock, tls};

/// Longest wait for the answer.
const LIMIT: Duration = Duration::from_secs(30);
/// Largest answer that is read, in bytes.
const LARGEST_ANSWER: usize = 1 << 20;

/// A body for a source.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "As in: waypost ingest send https://events.example.com/webhooks/wh_… '{\"event_type\":\"test\"}' \
    --authentication hmac --secret-env SECRET"
)]
pub(in crate::cli) struct Args {
    /// Address of the source, as `ingest show` prints it
    url: String,
    /// Body
    body: String,
    /// How the source's senders prove who they are
    #[arg(long, value_name = "WAY", default_value = "hmac")]
    authentication: String,
    /// Environment variable with the secret, or with the JWT itself
    #[arg(long, value_name = "VARIABLE")]
    secret_env: Option<String>,
    /// File with the secret, or with the JWT itself; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "secret_env")]
    secret_file: Option<PathBuf>,
    /// Media type of the body
    #[arg(long, value_name = "TYPE", default_value = "application/json")]
    content_type: String,
    /// The old name of -o json
    #[arg(long, hide = true)]
    json: bool,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let named = |(name, _): &&(&str, Authentication)| *name == args.authentication;
    let Some((_, way)) = Authentication::NAMES.iter().find(named) else {
        let names: Vec<&str> = Authentication::NAMES.iter().map(|(name, _)| *name).collect();
        return Err(Usage(format!("--authentication is one of {}", names.join(", "))).into());
    };
    let secret = match secret(args.secret_env.as_deref(), args.secret_file.as_deref())? {
        Some(secret) => secret,
        None if *way == Authentication::None => String::new(),
        None => {
            return Err(Usage("--secret-env or --secret-file is needed to sign".to_owned()).into());
        }
    };
    let delivery = format!("msg_{}", Uuid::new_v4().simple());
    let request = (args.url.as_str(), args.body.as_bytes());
    let mut headers = vec![(CONTENT_TYPE, HeaderValue::from_str(&args.content_type)?)];
    for (name, value) in signed_headers(*way, &secret, request, clock::now_ms(), &delivery) {
        let value = HeaderValue::from_str(&value).context("the secret can't be sent in a header")?;
        headers.push((HeaderName::from_static(name), value));
    }
    let encrypted = args.url.starts_with("https://");
    let trusted = encrypted.then(|| tls::trusting(None).ok().map(Arc::new)).flatten();
    let http = Http::new(trusted);
    let answer = http.send(Method::POST, &args.url, headers, Bytes::from(args.body), LIMIT).await?;
    let status = answer.status();
    let body = answer.whole(LARGEST_ANSWER, LIMIT).await?;
    let body: Value = serde_json::from_slice(&body).context("the answer is not JSON")?;
    if !status.is_success() {
        let message = body["message"].as_str().unwrap_or_default();
        anyhow::bail!("{} ({})", output::printable(message), status.as_u16());
    }
    if !output::for_people(args.json) {
        return Ok(output::json(&body["data"])?);
    }
    let first = body["data"]["ids"][0].as_str().unwrap_or_default();
    let count = cell(&body["data"], "received");
    Ok(output::line(format_args!("{count} received, the first as {}", output::printable(first)))?)
}
