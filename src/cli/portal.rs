//! `waypost portal link`.

use http::Method;
use serde_json::json;

use super::{
    client::{Client, encoded},
    common::Common,
    output::{self, cell},
};

/// Commands for the portal: the pages of a map's webhooks and consumers for the users of a tenant. They need
/// the admin token, or one that may manage the map.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Make a link to the portal; it ends at its time, or when the token is revoked that made it
    Link(Link),
}

/// A new link.
#[derive(Debug, clap::Args)]
pub(super) struct Link {
    /// Map: id or slug
    map: String,
    /// How long it lives, in minutes; at most a week
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=10_080))]
    minutes: u64,
    /// What it opens
    #[arg(long = "scope", value_delimiter = ',', default_value = "webhooks:read")]
    #[arg(value_parser = ["webhooks:read", "webhooks:write", "consumers:read", "consumers:write"])]
    scopes: Vec<String>,
    /// Origins of pages that may show it in a frame, such as https://app.example.com [default: none]
    #[arg(long = "origin", value_name = "ORIGIN", value_delimiter = ',')]
    origins: Vec<String>,
    /// The colour of buttons and links, such as #336699
    #[arg(long, value_name = "COLOUR")]
    accent: Option<String>,
    /// The colour of the background
    #[arg(long, value_name = "COLOUR")]
    background: Option<String>,
    /// The colour of the text
    #[arg(long, value_name = "COLOUR")]
    text: Option<String>,
    /// Show dark pages
    #[arg(long)]
    dark: bool,
    #[command(flatten)]
    common: Common,
}

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Link(args) => link(args).await,
    }
}

async fn link(args: Link) -> anyhow::Result<()> {
    let mut body = json!({"minutes": args.minutes, "scopes": args.scopes, "origins": args.origins});
    for (name, colour) in [("accent", args.accent), ("background", args.background), ("text", args.text)] {
        if let Some(colour) = colour {
            body["theme"][name] = colour.into();
        }
    }
    if args.dark {
        body["theme"]["dark"] = true.into();
    }
    let path = format!("/api/maps/{}/portal-links", encoded(&args.map));
    let made = Client::new(args.common.connection).call(Method::POST, &path, Some(&body)).await?;
    if !output::for_people(args.common.json) {
        return Ok(output::json(&made)?);
    }
    output::line(output::paint(output::STRONG, cell(&made, "url")))?;
    let until = cell(&made, "expires_at");
    output::note(format_args!("It opens {} of the map {} until {until}.", args.scopes.join(", "), args.map));
    Ok(())
}
