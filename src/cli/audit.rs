//! `waypost audit`: the audit log of all nodes.

use super::{
    client::{Client, encoded},
    common::Common,
    output, since,
};

/// Which lines to show, the newest first. Needs the admin token.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only lines about this map: id or slug; a deleted one by its id
    #[arg(long)]
    map: Option<String>,
    /// Only lines of this caller: admin, token, portal, unknown, or the id or the name of a token
    #[arg(long)]
    who: Option<String>,
    /// Only lines whose method and route, or whose action in words, have this text in them, as in delete,
    /// "post /api/maps" or "create webhook"
    #[arg(long, value_name = "TEXT")]
    action: Option<String>,
    /// Only lines with this result: done, unknown, or the code of an error
    #[arg(long)]
    result: Option<String>,
    /// Only lines of this time or later, as in 1h (an hour ago) or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = since::time)]
    since: Option<String>,
    /// Only lines before this time, as in 1h (an hour ago) or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = since::time)]
    until: Option<String>,
    /// Show at most this many
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100)]
    limit: usize,
    #[command(flatten)]
    common: Common,
}

/// Columns of the lines.
const COLUMNS: [(&str, &str); 8] = [
    ("TIME", "time"),
    ("NODE", "node.name"),
    ("WHO", "who"),
    ("NAME", "token_name"),
    ("ADDRESS", "address"),
    ("METHOD", "method"),
    ("PATH", "path"),
    ("RESULT", "result"),
];
/// Further columns of the wide lines.
const MORE: [(&str, &str); 7] = [
    ("TOKEN", "token"),
    ("MAP", "map"),
    ("MAP NAME", "map_name"),
    ("OF", "name"),
    ("CHANGED", "changed"),
    ("STATUS", "status"),
    ("ROUTE", "route"),
];

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let Args { map, who, action, result, since, until, limit, common } = args;
    let given = [
        ("map", map),
        ("who", who),
        ("action", action),
        ("result", result),
        ("since", since),
        ("until", until),
    ];
    let given = given.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", encoded(&value?))));
    let query = given.collect::<Vec<_>>().join("&");
    let path = if query.is_empty() { "/api/audit".to_owned() } else { format!("/api/audit?{query}") };
    let found = Client::of_admin(common.connection).gathered(&path, limit).await?;
    output::list(&found.data, common.json, &COLUMNS, &MORE)?;
    found.note_missing();
    Ok(())
}
