//! `waypost tail`: prints the events of a map as they are published, over SSE.
//!
//! When the stream breaks, it resumes at any node from the last known position. An event, the stream's first
//! frame and a `position` frame each have a position. When history is missing, it says so, and never skips
//! silently.

mod stored;

use std::{borrow::Cow, time::Duration};

use anyhow::Context;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    client::{Client, ClientError, Connection, encoded},
    http1::Answer,
    output, since,
    sse::{Frame, Frames},
};

/// A stream that carries nothing for this long, not even a keep-alive, is taken for broken.
const SILENCE: Duration = Duration::from_secs(90);
/// Shortest and longest pause before connecting again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// The events to print.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Map: id or slug
    map: String,
    /// Only events of these subjects, with commas; * stands for any characters [default: the map's own]. The command
    /// counts as a subscription of each subject that is named without *
    #[arg(long, value_name = "SUBJECTS")]
    subjects: Option<String>,
    /// Only events of these types, with commas [default: all]
    #[arg(long, value_name = "TYPES")]
    events: Option<String>,
    /// Only events for which this expression is true, as in 'payload.value > 1e9'
    #[arg(long, value_name = "EXPRESSION")]
    filter: Option<String>,
    /// Start behind the event with this id
    #[arg(long, value_name = "ID", conflicts_with = "since")]
    after: Option<String>,
    /// Start at this time, as in 1h (an hour ago), 30m, 2d or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = since::time)]
    since: Option<String>,
    /// End after this many events
    #[arg(long, short = 'n', value_name = "N")]
    count: Option<u64>,
    /// Print the events that are stored, from the oldest or from that start on, and end
    #[arg(long)]
    no_follow: bool,
    #[command(flatten)]
    connection: Connection,
    /// The old name of -o json
    #[arg(long, hide = true)]
    json: bool,
}

impl Args {
    /// The events of one channel.
    pub(super) fn of_channel(
        map: String,
        channel: &str,
        (since, count): (Option<String>, Option<u64>),
        (connection, json): (Connection, bool),
    ) -> Self {
        // A comma would stand between two subjects.
        let subjects = Some(channel.replace(',', "\\,"));
        let (events, filter, after, no_follow) = (None, None, None, false);
        Self { map, subjects, events, filter, after, since, count, no_follow, connection, json }
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let client = Client::new(args.connection);
    let mut tail = Tail {
        path: format!("/api/maps/{}/events", encoded(&args.map)),
        subjects: args.subjects,
        events: args.events,
        filter: args.filter,
        since: args.since,
        position: args.after,
        left: args.count,
        people: output::for_people(args.json),
    };
    if args.no_follow { tail.print_stored(&client).await } else { tail.follow(&client).await }
}

struct Tail {
    path: String,
    subjects: Option<String>,
    events: Option<String>,
    filter: Option<String>,
    since: Option<String>,
    /// The position to resume from: the id of the last event that it printed or passed. `None` until it knows
    /// one.
    position: Option<String>,
    left: Option<u64>,
    people: bool,
}

/// The members of an event that are shown to people.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(default, borrow)]
    id: Cow<'a, str>,
    /// The position; an ephemeral event has none.
    seq: Option<u64>,
    #[serde(borrow)]
    ts: Cow<'a, str>,
    /// The subject; empty for the map's own.
    #[serde(default, borrow)]
    subject: Cow<'a, str>,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

impl Event<'_> {
    /// The line for people: time, seq if there is one, with `-o wide` the id, subject if it is not the map's own,
    /// type and payload.
    fn words(&self) -> String {
        let time = output::printable(self.ts.get(11..23).unwrap_or(&self.ts));
        let mut words = vec![output::paint(output::FAINT, time)];
        words.extend(self.seq.map(|seq| output::paint(output::FAINT, format_args!("#{seq}"))));
        if output::is_wide() {
            words.push(output::paint(output::FAINT, output::printable(&self.id)));
        }
        if !self.subject.is_empty() {
            words.push(output::paint(output::STRONG, output::printable(&self.subject)));
        }
        words.push(output::paint(output::NAME, output::printable(&self.kind)));
        words.push(output::printable(self.payload.get()));
        words.join(" ")
    }
}

/// Names of the frames about the stream itself. Events may have the same names, but only events have a
/// payload.
const ABOUT: [&str; 2] = ["connected", "position"];

/// The data of such a frame.
#[derive(Deserialize)]
struct About<'a> {
    #[serde(default)]
    gap: bool,
    #[serde(borrow)]
    oldest_id: Option<&'a str>,
}

/// Why a stream ended.
enum End {
    /// As many events were printed as were asked for.
    Enough,
    /// The connection broke, or there was none. The flag says whether it had carried anything.
    Broken(bool),
}

impl Tail {
    async fn follow(&mut self, client: &Client) -> anyhow::Result<()> {
        let mut pause = PAUSES.0;
        let mut failures = 0;
        let mut ever = false;
        // The node whose stream broke, until the user was told. The user is told only when it is known what
        // follows: a stream also ends because its token was revoked, and then there is no new connection.
        let mut lost: Option<String> = None;
        while !self.done() {
            match client.read(&self.stream_path()).await {
                Ok(response) => {
                    self.tell_of_return(client.url(), lost.take().as_deref(), failures);
                    ever = true;
                    failures = 0;
                    match self.stream(response).await? {
                        End::Enough => return Ok(()),
                        End::Broken(true) => pause = PAUSES.0,
                        End::Broken(false) => {}
                    }
                    lost = Some(client.url().to_owned());
                }
                // No node has ever answered: a wrong address is more likely than a failure that passes.
                Err(error @ ClientError::Unreachable { .. }) if !ever => return Err(error.into()),
                Err(error) if error.passes() => {
                    if failures == 0 {
                        self.tell_of_failure(&error, lost.take());
                    }
                    failures += 1;
                }
                Err(error) => return Err(error.into()),
            }
            client.next_node();
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
        Ok(())
    }

    /// Says that a stream goes on at that address, after another one broke or requests failed.
    fn tell_of_return(&self, url: &str, lost: Option<&str>, failures: usize) {
        if let Some(text) = words_of_return(url, lost, failures, self.promise()) {
            output::note(output::paint_err(output::FAINT, text));
        }
    }

    /// Says of the first of several failures what is done about it.
    fn tell_of_failure(&self, error: &ClientError, lost: Option<String>) {
        let text = match lost {
            Some(lost) => format!("lost {lost}; connecting again{}", self.promise()),
            None if error.is_answer() => {
                output::note(error);
                "trying again until the request is accepted".to_owned()
            }
            None => return,
        };
        output::note(output::paint_err(output::FAINT, text));
    }

    /// What a reader may rely on. Without a position, and without a time to start at, nothing can be resumed.
    fn promise(&self) -> &'static str {
        match self.position.is_some() || self.since.is_some() {
            true => ", nothing is skipped",
            false => ": it had not begun",
        }
    }

    async fn stream(&mut self, response: Answer) -> anyhow::Result<End> {
        let mut frames = Frames::of(response, SILENCE);
        while let Some(frame) = frames.next().await {
            self.frame(&frame.context("the stream can't be read")?)?;
            if self.done() {
                return Ok(End::Enough);
            }
        }
        Ok(End::Broken(frames.has_carried()))
    }

    fn frame(&mut self, frame: &Frame) -> anyhow::Result<()> {
        let data = frame.data.as_deref().unwrap_or_default();
        match serde_json::from_str(data) {
            Ok(event) => self.print(&event, data)?,
            Err(_) if ABOUT.contains(&frame.event.as_deref().unwrap_or_default()) => {
                let about: About<'_> =
                    serde_json::from_str(data).context("the stream has a frame that is not JSON")?;
                if about.gap {
                    self.report_gap(about.oldest_id);
                }
            }
            Err(error) => return Err(error).context("an event is malformed"),
        }
        if let Some(id) = &frame.id {
            self.position = Some(id.clone());
        }
        Ok(())
    }

    fn print(&mut self, event: &Event<'_>, text: &str) -> anyhow::Result<()> {
        if self.people {
            output::line(event.words())?
        } else {
            output::json_line(text)?
        }
        self.left = self.left.map(|left| left.saturating_sub(1));
        Ok(())
    }

    fn report_gap(&self, oldest: Option<&str>) {
        let oldest = match oldest {
            Some(id) => format!("; the oldest kept event is {}", output::printable(id)),
            None => String::new(),
        };
        let text = format!("gap: the events in between are no longer kept{oldest}");
        output::note(output::paint_err(output::BAD, text));
    }

    fn done(&self) -> bool {
        self.left == Some(0)
    }

    /// The stream's path and query. It starts at the last known position, or else at the time that was asked
    /// for.
    fn stream_path(&self) -> String {
        let start = match (&self.position, &self.since) {
            (Some(id), _) => Some(("last_event_id", id)),
            (None, Some(since)) => Some(("since", since)),
            (None, None) => None,
        };
        let query: Vec<String> =
            self.chosen().chain(start).map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        format!("{}/stream?{}", self.path, query.join("&"))
    }

    /// The parameters that choose events.
    fn chosen(&self) -> impl Iterator<Item = (&'static str, &String)> {
        let given = [("subjects", &self.subjects), ("events", &self.events), ("filter", &self.filter)];
        given.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?)))
    }
}

/// What is said when a stream goes on at that address: after the one of the address `lost` broke, or after
/// requests failed. `None` if there is nothing to say.
fn words_of_return(url: &str, lost: Option<&str>, failures: usize, promise: &str) -> Option<String> {
    match lost {
        Some(lost) if lost == url => Some(format!("connected again to {url}{promise}")),
        Some(lost) => Some(format!("lost {lost}; following {url}{promise}")),
        None if failures > 0 => Some(format!("following {url}")),
        None => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_same_node_is_not_said_to_follow_itself() {
        let said = |lost, failures| words_of_return("http://a", lost, failures, ", nothing is skipped");
        let again = "connected again to http://a, nothing is skipped";
        assert_eq!(said(Some("http://a"), 0).as_deref(), Some(again));
        let other = "lost http://b; following http://a, nothing is skipped";
        assert_eq!(said(Some("http://b"), 0).as_deref(), Some(other));
        assert_eq!(said(None, 2).as_deref(), Some("following http://a"));
        assert_eq!(said(None, 0), None);
    }

    #[test]
    fn the_line_for_people_has_the_subject() {
        let words = |json: &str| {
            console::strip_ansi_codes(&serde_json::from_str::<Event<'_>>(json).unwrap().words()).into_owned()
        };
        let own = r#"{"seq":7,"ts":"2026-01-31T12:00:00.123Z","type":"x","payload":{"a":1}}"#;
        assert_eq!(words(own), r#"12:00:00.123 #7 x {"a":1}"#);
        let other =
            r#"{"seq":8,"subject":"room:1","ts":"2026-01-31T12:00:00.123Z","type":"x\u202e","payload":1}"#;
        assert_eq!(words(other), "12:00:00.123 #8 room:1 x\u{fffd} 1");
        let ephemeral = r#"{"subject":"live","ts":"2026-01-31T12:00:00.123Z","type":"x","payload":1}"#;
        assert_eq!(words(ephemeral), "12:00:00.123 live x 1");
    }
}
