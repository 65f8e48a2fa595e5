//! `waypost relay file`: publishes the lines of a file that grows.
//!
//! A file beside it, its *mark*, says how far it is published and which bytes the request under way has. It is
//! on disk before anything of the request is sent. When the file was replaced by a new one, the old one is
//! read to its end first.

mod mark;
mod source;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::time::sleep;
use uuid::Uuid;

use self::mark::{Mark, UnderWay};
use self::source::{Chunk, Source};
use super::events::{self, Events, Refused};
use crate::cli::client::{ClientError, Connection};
use crate::cli::output;
use crate::cli::publish::{Patience, Sender};

/// How often the relay looks whether the file has grown.
const LOOK: Duration = Duration::from_millis(200);

/// The file and the map.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Map: id or slug
    map: String,
    /// The file: lines like {"type":"add_system","payload":{…}}; "subject" may stand there, too
    file: PathBuf,
    /// Where the relay notes how far it is [default: FILE.relayed]
    #[arg(long, value_name = "PATH")]
    mark: Option<PathBuf>,
    /// Most lines in one request
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=1000))]
    batch: u16,
    /// Append a line that is refused to FILE.refused, and go on [default: stop]
    #[arg(long)]
    set_aside: bool,
    /// End when all whole lines are published
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    connection: Connection,
}

pub(in crate::cli) async fn run(args: Args) -> anyhow::Result<()> {
    let mark = args.mark.clone().unwrap_or_else(|| beside(&args.file, "relayed"));
    let mut relay = Relay {
        mark: Mark::read(&mark).with_context(|| format!("{} can't be read", mark.display()))?,
        path: mark,
        sender: Sender::new(&args.map, args.connection.clone(), Patience::Endless),
        limit: args.batch,
        args,
    };
    let mut source = Source::open(&relay.args.file, relay.mark.as_ref())?;
    loop {
        if relay.step(&mut source).await? {
            continue;
        }
        match source.next(&relay.args.file)? {
            Some(next) => {
                relay.mark = None;
                source = next;
            }
            None if relay.args.once => return Ok(()),
            None => sleep(LOOK).await,
        }
    }
}

/// The path of a file beside that one.
fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{suffix}"));
    name.into()
}

struct Relay {
    args: Args,
    /// Where the mark is.
    path: PathBuf,
    /// How far the file is published; `None` at its beginning.
    mark: Option<Mark>,
    sender: Sender,
    /// Most lines of the next request.
    limit: u16,
}

impl Relay {
    /// Publishes the next lines. Returns whether there were some.
    async fn step(&mut self, source: &mut Source) -> anyhow::Result<bool> {
        let mut mark = self.mark.take().unwrap_or_else(|| Mark::begin(source.identity()));
        let chunk = match &mark.under_way {
            Some(under_way) => source.exactly(mark.offset, under_way.bytes)?,
            None => source.lines(mark.offset, usize::from(self.limit))?,
        };
        if chunk.lines.is_empty() {
            self.mark = Some(mark);
            return Ok(false);
        }
        if let Some(index) = chunk.lines.iter().position(|line| !is_event(line)) {
            if index == 0 {
                self.refuse(&chunk, 0, "it is not a JSON object")?;
                mark.pass(chunk.bytes_of(0));
                self.keep(mark)?;
                return Ok(true);
            }
            // What stands before it is published first.
            self.mark = Some(mark);
            self.limit = u16::try_from(index).unwrap_or(self.limit);
            return Ok(true);
        }
        let key = mark.under_way.as_ref().map_or_else(Uuid::new_v4, |under_way| under_way.key);
        if mark.under_way.is_none() {
            mark.under_way = Some(UnderWay { key, bytes: chunk.bytes() });
            mark.write(&self.path).with_context(|| format!("{} can't be written", self.path.display()))?;
        }
        self.publish(mark, &chunk, key).await?;
        Ok(true)
    }

    async fn publish(&mut self, mut mark: Mark, chunk: &Chunk, key: Uuid) -> anyhow::Result<()> {
        let mut batch = Events::new();
        chunk.lines.iter().for_each(|line| batch.add_text(line));
        match events::publish(&self.sender, batch, key.to_string()).await {
            Ok(()) => {
                mark.pass(chunk.bytes());
                self.limit = self.args.batch;
            }
            Err(Refused::TooLarge) => {
                mark.under_way = None;
                self.limit = u16::try_from(chunk.lines.len() / 2).unwrap_or(1).max(1);
            }
            Err(Refused::Event(0, error)) => {
                self.refuse(chunk, 0, &error.to_string())?;
                mark.pass(chunk.bytes_of(0));
            }
            Err(Refused::Event(index, _)) => {
                // What stands before it is published first, in a request of its own.
                mark.under_way = None;
                self.limit = u16::try_from(index).unwrap_or(1);
            }
            Err(Refused::Other(error)) => return Err(stopped(error)),
        }
        self.keep(mark)
    }

    /// Notes how far the file is published.
    fn keep(&mut self, mark: Mark) -> anyhow::Result<()> {
        mark.write(&self.path).with_context(|| format!("{} can't be written", self.path.display()))?;
        self.mark = Some(mark);
        Ok(())
    }

    /// A line is refused: it is set aside, or the relay stops.
    fn refuse(&self, chunk: &Chunk, index: usize, why: &str) -> anyhow::Result<()> {
        let at = chunk.offset_of(index);
        let file = self.args.file.display();
        if !self.args.set_aside {
            return Err(anyhow!(
                "the line at byte {at} of {file} is refused: {why}\nhint: set such lines aside with --set-aside"
            ));
        }
        output::note(format_args!("the line at byte {at} of {file} is set aside: {why}"));
        let path = beside(&self.args.file, "refused");
        let mut refused = std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
        let line = chunk.lines.get(index).map_or("", |line| line);
        writeln!(refused, "{line}")?;
        Ok(refused.sync_all()?)
    }
}

/// Whether the line may be put into a batch: it is one JSON object.
fn is_event(line: &str) -> bool {
    line.trim_start().starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(line).is_ok()
}

fn stopped(error: ClientError) -> anyhow::Error {
    anyhow::Error::from(error).context("the relay stopped")
}
