//! `waypost map usage`.

use http::Method;

use super::path;
use crate::cli::{client::Client, common::Common, output};

/// A map, and the length of the periods to show.
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    /// Id or slug
    map: String,
    /// Length of a period
    #[arg(long, default_value = "hour", value_parser = ["hour", "day"])]
    by: String,
    #[command(flatten)]
    common: Common,
}

/// Columns of the list of periods.
const COLUMNS: [(&str, &str); 7] = [
    ("FROM", "from"),
    ("EVENTS", "events"),
    ("EVENT BYTES", "event_bytes"),
    ("DELIVERIES", "deliveries"),
    ("DELIVERY BYTES", "delivery_bytes"),
    ("ATTEMPTS", "attempts"),
    ("FAILED", "failed_attempts"),
];

pub(super) async fn run(args: Show) -> anyhow::Result<()> {
    let path = format!("{}/usage?by={}", path(&args.map), args.by);
    let usage = Client::of_admin(args.common.connection).call(Method::GET, &path, None).await?;
    Ok(output::list(&usage["periods"], args.common.json, &COLUMNS, &[])?)
}
