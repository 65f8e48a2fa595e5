//! The load of a run: publishers, clients that resume, webhooks, and writers of settings. Each records what
//! it did and saw.
//!
//! - [`publish`] publishes and never gives up on an event;
//! - [`phoenix`], [`longpoll`] and [`sse`] are clients that come and go; [`polls`] are clients that use a
//!   proxy;
//! - `stay` is what clients remember from one connection to the next;
//! - [`hooks`] are the webhooks and their receiver;
//! - [`hostile`] is a tenant that tries to hurt the others;
//! - [`presence`] has users of presence channels, who come and go;
//! - [`workers`] are the readers of a consumer, who share its events;
//! - [`channels`] defines the map with many subjects: its subjects, its readers, and what is removed from it;
//! - [`settings`] creates, uses and revokes tokens, and writes a setting that counts up;
//! - [`finish`] waits for everybody and asks the nodes what they hold.
//!
//! The load never checks, never breaks anything, and never waits without a limit.

pub mod channels;
pub mod finish;
pub mod hooks;
pub mod hostile;
pub mod longpoll;
pub mod phoenix;
pub mod polls;
pub mod presence;
pub mod publish;
pub mod settings;
pub mod sse;
mod stay;
pub mod workers;

use crate::history::{CHANNELS, Event, Journal, MAIN, Record, SHORT, selects};
use anyhow::{Result, anyhow};
use hooks::Hooks;
use presence::Presence;
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use testkit::cluster::{ADMIN, Cluster, Map, unlimited};
use testkit::dice::Dice;
use testkit::http::Api;
use workers::Workers;

/// How many events the short topic keeps.
const SHORT_EVENTS: u64 = 40;

/// What all publishers, clients and writers of a run share.
#[derive(Debug)]
pub struct Site {
    /// The addresses of the nodes for clients. Nodes that are added later are not in this list.
    pub nodes: Vec<SocketAddr>,
    /// The address of the proxy before the nodes, if there is one.
    pub proxy: Option<SocketAddr>,
    /// The map whose whole history is kept.
    pub main: Map,
    /// The map with short retention.
    pub short: Map,
    /// The map with many subjects.
    pub channels: Map,
    /// The map whose tokens are created and revoked.
    pub desk: Map,
    /// The record of all observations.
    pub journal: Journal,
    /// Set when publishers and writers must end.
    pub quiet: AtomicBool,
    /// Set while publishers must pause.
    pub paused: AtomicBool,
    /// Set when clients must end.
    pub over: AtomicBool,
    seed: u64,
}

impl Site {
    /// The map of a topic.
    pub fn map(&self, topic: &str) -> &Map {
        match topic {
            SHORT => &self.short,
            CHANNELS => &self.channels,
            _ => &self.main,
        }
    }

    /// A node's API with that token.
    pub fn api(&self, node: usize, token: &str) -> Api {
        Api::new(&format!("http://{}", self.nodes[node]), Some(token)).timeout(Duration::from_secs(7))
    }

    /// A node's API with the admin token.
    pub fn admin(&self, node: usize) -> Api {
        self.api(node, ADMIN)
    }

    /// A source of random choices for one participant.
    pub fn dice(&self, who: &str) -> Dice {
        let salt = who.bytes().fold(7, |salt: u64, byte| salt.wrapping_mul(31).wrapping_add(byte.into()));
        Dice::new(self.seed, salt)
    }

    fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }
}

/// How much load there is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// How many publishers the main topic has.
    pub publishers: usize,
    /// The pause of a publisher between two publishes.
    pub pace: Duration,
    /// How many readers of each kind the main topic has.
    pub readers: usize,
    /// Whether events are kept for the default time only.
    pub ages: bool,
    /// How many users of presence channels there are.
    pub users: usize,
    /// Whether a consumer has readers.
    pub workers: bool,
}

/// How many users come and go, and how many in a long run.
const USERS: usize = 60;
const MORE_USERS: usize = 300;
/// How long a long run breaks things.
const LONG: Duration = Duration::from_secs(180);

impl Size {
    /// Users of presence channels come and go, and there is little other load, so that two cores are enough.
    pub fn with_users(time: Duration) -> Self {
        let users = if time < LONG { USERS } else { MORE_USERS };
        Self { publishers: 1, pace: Duration::from_millis(100), readers: 1, users, ..Self::default() }
    }

    /// Readers share the events of a consumer, and there is little other load.
    pub fn with_workers() -> Self {
        Self { publishers: 1, pace: Duration::from_millis(20), readers: 1, workers: true, ..Self::default() }
    }
}

impl Default for Size {
    fn default() -> Self {
        Self {
            publishers: 4,
            pace: Duration::from_millis(15),
            readers: 2,
            ages: false,
            users: 0,
            workers: false,
        }
    }
}

/// A client: what it reads, and how far it has come.
#[derive(Debug)]
pub struct Reader {
    /// Its name.
    pub name: String,
    /// The topic that it reads.
    pub topic: &'static str,
    /// The subjects and patterns that it wants; the map's own subject when empty.
    pub subjects: Vec<String>,
    /// The types that it wants; all types when empty.
    pub kinds: Vec<String>,
    /// The last position that it saw.
    pub seq: AtomicU64,
}

impl Reader {
    fn new(name: &str, topic: &'static str, subjects: &[&str], kinds: &[&str]) -> Self {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let seq = AtomicU64::new(0);
        Self { name: name.to_owned(), topic, subjects: owned(subjects), kinds: owned(kinds), seq }
    }

    /// The parameters of a join: after the last position, or from the start of the history; the answer has
    /// positions.
    fn join(&self, last: Option<&str>) -> Value {
        let mut params = match last {
            Some(id) => json!({"last_event_id": id, "positions": true}),
            None => json!({"since": "2000-01-01T00:00:00Z", "positions": true}),
        };
        if !self.subjects.is_empty() {
            params["subjects"] = json!(self.subjects);
        }
        if !self.kinds.is_empty() {
            params["events"] = json!(self.kinds);
        }
        params
    }

    fn wants(&self, event: &Event) -> bool {
        let kinds = &self.kinds;
        selects(&self.subjects, &event.subject) && (kinds.is_empty() || kinds.contains(&event.kind))
    }
}

/// All participants of a run.
#[derive(Debug)]
pub struct Load {
    /// What they share.
    pub site: Arc<Site>,
    /// The readers.
    pub readers: Vec<Arc<Reader>>,
    /// The webhooks.
    pub hooks: Hooks,
    /// The users of presence channels, if there are any and until they have ended.
    pub presence: Option<Presence>,
    /// The readers of a consumer, if there are any and until they have ended.
    pub workers: Option<Workers>,
    writing: Vec<JoinHandle<()>>,
    reading: Vec<JoinHandle<()>>,
}

impl Load {
    /// Creates the maps and starts all participants. Webhooks are received at `hub`; some clients use the
    /// proxy, if there is one.
    pub fn start(
        cluster: &Cluster,
        hub: IpAddr,
        proxy: Option<SocketAddr>,
        journal: &Journal,
        seed: u64,
        size: Size,
    ) -> Result<Self> {
        let map = |slug: &str, events: u64| {
            let mut retention = json!({"events": events, "bytes": null});
            if !size.ages {
                retention["age_seconds"] = Value::Null;
            }
            cluster.map_with(slug, json!({"limits": unlimited(), "retention": retention}))
        };
        let site = Arc::new(Site {
            nodes: cluster.nodes.iter().map(|node| node.http).collect(),
            proxy,
            main: map("main", 10_000_000)?,
            short: map("short", SHORT_EVENTS)?,
            channels: map("channels", 10_000_000)?,
            desk: map("desk", 1000)?,
            journal: journal.clone(),
            quiet: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            over: AtomicBool::new(false),
            seed,
        });
        journal.note(Record::Keeps {
            topic: SHORT.to_owned(),
            subjects: "*".to_owned(),
            events: SHORT_EVENTS,
        });
        let hooks = Hooks::make(cluster, &site, hub)?;
        let (writing, reading) = (Vec::new(), Vec::new());
        let mut load =
            Self { site, readers: Vec::new(), hooks, presence: None, workers: None, writing, reading };
        if size.workers {
            load.workers = Some(Workers::start(cluster, &load.site)?);
        }
        load.start_readers(size.readers)?;
        for n in 0..size.publishers {
            load.write(format!("pub{n}"), move |site, name| {
                publish::run(site, name, MAIN, &[""], size.pace)
            })?;
        }
        load.write("brief".to_owned(), move |site, name| {
            publish::run(site, name, SHORT, &[""], size.pace / 2)
        })?;
        channels::start(&mut load, size.pace)?;
        load.write("tokens".to_owned(), settings::tokens)?;
        settings::registers(&mut load)?;
        let watched = load.hooks.ids();
        load.write("watch".to_owned(), move |site, _| hooks::watch(site, &watched))?;
        if size.users > 0 {
            load.presence = Some(Presence::start(cluster, &load.site, hub, size.users)?);
        }
        Ok(load)
    }

    fn start_readers(&mut self, each: usize) -> Result<()> {
        for n in 0..each {
            let kinds: &[&str] = if n == 0 { &[] } else { &["b"] };
            let own = |what: &str| Reader::new(&format!("{what}{n}"), MAIN, &[], kinds);
            self.read(own("phoenix"), phoenix::run)?;
            self.read(own("longpoll"), longpoll::run)?;
            if self.site.proxy.is_some() {
                self.read(own("polls"), polls::run)?;
            }
            self.read(own("sse"), sse::run)?;
        }
        self.read(Reader::new("brief-phoenix", SHORT, &[], &[]), phoenix::run)?;
        self.read(Reader::new("brief-sse", SHORT, &[], &[]), sse::run)
    }

    fn read(&mut self, reader: Reader, run: fn(&Site, &Reader)) -> Result<()> {
        self.site.journal.note(Record::Client {
            client: reader.name.clone(),
            topic: reader.topic.to_owned(),
            subjects: reader.subjects.clone(),
            kinds: reader.kinds.clone(),
        });
        let reader = Arc::new(reader);
        self.readers.push(reader.clone());
        let site = self.site.clone();
        let thread = std::thread::Builder::new().name(reader.name.clone());
        self.reading.push(thread.spawn(move || run(&site, &reader))?);
        Ok(())
    }

    pub(crate) fn write(
        &mut self,
        name: String,
        run: impl FnOnce(&Site, &str) + Send + 'static,
    ) -> Result<()> {
        let site = self.site.clone();
        let thread = std::thread::Builder::new().name(name.clone()).spawn(move || run(&site, &name))?;
        self.writing.push(thread);
        Ok(())
    }

    /// Ends publishers and writers; each finishes the request that it has begun.
    pub fn end_writing(&mut self) -> Result<()> {
        self.site.quiet.store(true, Ordering::Relaxed);
        join(&mut self.writing)
    }

    /// Ends clients.
    pub fn end_reading(&mut self) -> Result<()> {
        self.site.over.store(true, Ordering::Relaxed);
        join(&mut self.reading)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.site.quiet.store(true, Ordering::Relaxed);
        self.site.over.store(true, Ordering::Relaxed);
    }
}

fn join(threads: &mut Vec<JoinHandle<()>>) -> Result<()> {
    threads
        .drain(..)
        .try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread of the load panicked")))
}
