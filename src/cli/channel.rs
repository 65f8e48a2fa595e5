//! `waypost channel list|tail|members|publish`: the channels of a map, which are its subjects.

use serde_json::Value;

use super::{
    client::{Client, encoded},
    common::Common,
    output::{self, cell},
    publish, since, tail,
};

/// Commands for the channels of a map. They need a token that may subscribe; for `publish` one that may
/// publish.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// List the channels in use: those with subscriptions, members or stored events
    List(List),
    /// Print the events of a channel as they are published; the command is a subscriber of the channel itself
    ///
    /// While it runs, it counts as one subscription of the channel: `channel list` shows it, and where nobody else
    /// subscribes, webhooks get `channel_occupied` at its beginning and `channel_vacated` at its end.
    Tail(Tail),
    /// List the members of a presence channel; a channel without presence is refused
    Members(One),
    /// Publish one event to a channel
    Publish(Publish),
}

/// The map whose channels are listed.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Map: id or slug
    map: String,
    /// Only channels whose names begin with this, as in presence-
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    #[command(flatten)]
    common: Common,
}

/// A channel.
#[derive(Debug, clap::Args)]
pub(super) struct One {
    /// Map: id or slug
    map: String,
    /// Channel, as in presence-lobby
    channel: String,
    #[command(flatten)]
    common: Common,
}

/// A channel to follow.
#[derive(Debug, clap::Args)]
pub(super) struct Tail {
    #[command(flatten)]
    one: One,
    /// Start at this time, as in 1h (an hour ago), 30m, 2d or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = since::time)]
    since: Option<String>,
    /// End after this many events
    #[arg(long, short = 'n', value_name = "N")]
    count: Option<u64>,
}

/// An event for a channel.
#[derive(Debug, clap::Args)]
pub(super) struct Publish {
    #[command(flatten)]
    one: One,
    /// Type of the event, as in client-typing
    #[arg(value_name = "TYPE")]
    kind: String,
    /// Payload: JSON; - reads it from standard input
    payload: String,
}

/// Channels that are asked for at once.
const PAGE: usize = 1000;

pub(super) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::List(args) => {
            let prefix = args.prefix.map(|prefix| format!("?prefix={}", encoded(&prefix)));
            let path = format!("{}{}", subjects(&args.map), prefix.unwrap_or_default());
            let all = Client::new(args.common.connection).pages(&path, PAGE).await?;
            list(&all.into(), args.common.json)
        }
        Command::Tail(Tail { one: One { map, channel, common }, since, count }) => {
            let form = (common.connection, common.json);
            tail::run(tail::Args::of_channel(map, &channel, (since, count), form)).await
        }
        Command::Members(one) => {
            let path = format!("{}/{}/presence", subjects(&one.map), encoded(&one.channel));
            let client = Client::new(one.common.connection);
            let answer = client.bytes(&path).await?;
            members(&one.channel, &client.understood(&answer)?, one.common.json)
        }
        Command::Publish(Publish { one: One { map, channel, common }, kind, payload }) => {
            let form = (common.connection, common.json);
            publish::run(publish::Args::of_channel(map, channel, (kind, payload), form)).await
        }
    }
}

fn subjects(map: &str) -> String {
    format!("/api/maps/{}/subjects", encoded(map))
}

fn list(channels: &Value, json: bool) -> anyhow::Result<()> {
    if !output::for_people(json) {
        return Ok(output::json(channels)?);
    }
    let rows: Vec<Vec<String>> = channels.as_array().into_iter().flatten().map(row).collect();
    Ok(output::line(output::table(&["CHANNEL", "SUBSCRIPTIONS", "USERS", "EVENTS", "LAST SEQ"], &rows))?)
}

fn row(channel: &Value) -> Vec<String> {
    let name = match cell(channel, "subject") {
        own if own.is_empty() => output::OWN_SUBJECT.to_owned(),
        name => name,
    };
    let rest = ["subscriptions", "users", "count", "last_seq"].map(|field| cell(channel, field));
    std::iter::once(name).chain(rest).collect()
}

/// Prints the members. An empty list would hide that a channel can't have any.
fn members(channel: &str, answer: &Value, json: bool) -> anyhow::Result<()> {
    let members = &answer["data"];
    if members.as_array().is_none_or(Vec::is_empty) && answer["presence"] == false {
        anyhow::bail!(
            "the channel {} has no presence and so no members: its name does not begin with presence-, or a channel \
             rule says so; a rule with \"presence\": true would give it members",
            output::printable(channel)
        );
    }
    if !output::for_people(json) {
        return Ok(output::json(members)?);
    }
    let row = |member: &Value| {
        let info = member.get("info").map(|info| output::printable(&info.to_string()));
        vec![cell(member, "user_id"), info.unwrap_or_default()]
    };
    let rows: Vec<Vec<String>> = members.as_array().into_iter().flatten().map(row).collect();
    Ok(output::line(output::table(&["USER", "INFO"], &rows))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_row_shows_counts_and_history() {
        let occupied =
            json!({"subject": "presence-a", "subscriptions": 2, "users": 1, "count": 0, "last_seq": null});
        assert_eq!(row(&occupied), ["presence-a", "2", "1", "0", "-"]);
        let own = json!({"subject": "", "subscriptions": 0, "users": 0, "count": 5, "last_seq": 9});
        assert_eq!(row(&own), ["(the map's own)", "0", "0", "5", "9"]);
    }
}
