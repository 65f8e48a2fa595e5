//! A client of presence channels: it comes, stays for a while, leaves in one of several ways, and comes again
//! at another node. At the end it keeps one connection, or none.

use super::GRACE;
use super::connection::{Connection, Entered, Heard, News};
use super::state::{Phase, Shared};
use crate::history::Record;
use crate::load::Site;
use anyhow::Result;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use testkit::dice::Dice;

/// The shortest and the longest stay.
const STAY: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(6));
/// The shortest and the longest time between two stays.
const AWAY: (Duration, Duration) = (Duration::ZERO, Duration::from_secs(6));
/// The same for a client that comes back at once.
const BACK: (Duration, Duration) = (Duration::ZERO, Duration::from_millis(200));
/// The longest time of one wait.
const LOOK: Duration = Duration::from_millis(150);
/// The pause before a connection that is kept is tried again.
const AGAIN: Duration = Duration::from_millis(100);
/// How often a client asks for a sign of life while it stays.
const ALIVE: Duration = Duration::from_secs(10);
/// How many of a thousand clients keep a connection at the end.
const KEEPING: u32 = 600;
/// How many of a thousand pauses are short.
const SHORT: u32 = 400;

/// A client: who it is, and where it is a member.
#[derive(Debug, Clone)]
pub(super) struct Client {
    /// Its name.
    pub(super) name: String,
    /// Its user. Two clients can have one user.
    pub(super) user: String,
    /// Whether it speaks the Pusher protocol, and not Phoenix.
    pub(super) is_pusher: bool,
    /// Its channels; at least one.
    pub(super) channels: Vec<String>,
}

/// Runs a client until clients must end.
pub(super) fn run(site: &Site, shared: &Shared, client: &Client) {
    let dice = site.dice(&client.name);
    let mut life = Life { site, shared, client, dice, node: 0, connection: None, broke_ms: None };
    while life.churns() {
        life.stay_away();
        // Whatever ends a stay, the client comes again.
        if life.churns() && life.visit().is_err() {
            life.break_off();
        }
    }
    if life.dice.thousandth(KEEPING) {
        life.keep();
    } else {
        life.end();
    }
}

/// What a client has from one connection to the next.
struct Life<'a> {
    site: &'a Site,
    shared: &'a Shared,
    client: &'a Client,
    dice: Dice,
    /// The node of its last connection.
    node: usize,
    connection: Option<Connection<'a>>,
    /// When it broke off to return by another connection.
    broke_ms: Option<u64>,
}

impl Life<'_> {
    fn churns(&self) -> bool {
        self.shared.phase() == Phase::Churn
    }

    fn stay_away(&mut self) {
        let (least, most) = if self.dice.thousandth(SHORT) { BACK } else { AWAY };
        let until = Instant::now() + self.dice.between(least, most);
        while self.churns() && Instant::now() < until {
            std::thread::sleep(until.saturating_duration_since(Instant::now()).min(LOOK));
        }
    }

    /// One stay. Its connection stays open if clients are to settle meanwhile.
    fn visit(&mut self) -> Result<()> {
        self.open()?;
        self.read_for(STAY)?;
        match self.dice.below(3) {
            // Everything ends without a word.
            0 => {}
            1 => self.leave_all()?,
            _ => {
                let channel = self.client.channels[self.dice.below(self.client.channels.len())].clone();
                self.leave(&channel)?;
                self.read_for(BACK)?;
                self.enter(&channel)?;
                self.read_for(STAY)?;
            }
        }
        if self.churns() {
            self.break_off();
        }
        Ok(())
    }

    /// Reads for a random time, or until clients are to settle.
    fn read_for(&mut self, (least, most): (Duration, Duration)) -> Result<()> {
        let until = Instant::now() + self.dice.between(least, most);
        while self.churns() && Instant::now() < until {
            self.look()?;
        }
        Ok(())
    }

    /// Connects to another node than the last time, and enters all channels.
    fn open(&mut self) -> Result<()> {
        let nodes = self.site.nodes.len();
        self.node = (self.node + 1 + self.dice.below(nodes.saturating_sub(1))) % nodes;
        let node = self.site.nodes[self.node];
        self.connection = Some(Connection::open(self.shared, node, self.client.is_pusher)?);
        self.enter_all()
    }

    fn enter_all(&mut self) -> Result<()> {
        let client = self.client;
        for channel in &client.channels {
            if !self.shared.is_in(&client.name, channel) {
                self.enter(channel)?;
            }
        }
        Ok(())
    }

    fn enter(&mut self, channel: &str) -> Result<()> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let Entered { channel, members, count } = connection.enter(channel, &self.client.user)?;
        let known: BTreeSet<String> = members.iter().cloned().collect();
        let client = self.client.name.clone();
        self.shared.enter(&client, &channel, known);
        let user = self.client.user.clone();
        let node = self.node;
        self.site.journal.note(Record::Entered { client, user, channel, node, members, count });
        Ok(())
    }

    fn leave(&mut self, channel: &str) -> Result<()> {
        self.exited(channel);
        self.connection.as_mut().map_or(Ok(()), |connection| connection.leave(channel))
    }

    fn leave_all(&mut self) -> Result<()> {
        let client = self.client;
        client.channels.iter().try_for_each(|channel| self.leave(channel))?;
        // What was sent has arrived, or else the connection would only break off.
        self.connection.as_mut().map_or(Ok(()), Connection::check)
    }

    /// The connection ends, if there is one.
    fn break_off(&mut self) {
        let client = self.client;
        client.channels.iter().for_each(|channel| self.exited(channel));
        self.connection = None;
    }

    fn exited(&self, channel: &str) {
        let client = &self.client.name;
        if self.shared.exit(client, channel) {
            self.site.journal.note(Record::Exited { client: client.clone(), channel: channel.to_owned() });
        }
    }

    /// Waits a little for news.
    fn look(&mut self) -> Result<()> {
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let Some(Heard::News(news)) = connection.next(LOOK)? else { return Ok(()) };
        let client = self.client.name.clone();
        let News { channel, user, there } = news;
        // News of a channel that it has left were under way.
        if self.shared.is_in(&client, &channel) {
            self.shared.tell(&client, &channel, &user, there);
            self.site.journal.note(Record::Told { client, channel, user, there });
        }
        Ok(())
    }

    /// Leaves for good, in one of two ways.
    fn end(&mut self) {
        if self.dice.thousandth(500) {
            // If it fails, the connection only breaks off.
            let _ = self.leave_all();
        }
        self.break_off();
        self.shared.settle(&self.client.name, true);
    }

    /// Keeps a connection until clients must end, and opens another one when it is lost.
    fn keep(&mut self) {
        while self.shared.phase() != Phase::Over {
            if self.stand().and_then(|()| self.hold()).is_err() {
                self.shared.settle(&self.client.name, false);
                self.break_off();
                std::thread::sleep(AGAIN);
            }
        }
    }

    /// Has a connection that works, and is in all channels by it.
    fn stand(&mut self) -> Result<()> {
        if self.connection.is_none() {
            self.open()?;
        }
        self.enter_all()?;
        self.check()?;
        if let Some(broke_ms) = self.broke_ms.take() {
            let (client, user) = (self.client.name.clone(), self.client.user.clone());
            let back_ms = self.site.journal.now_ms();
            let grace_ms = GRACE.as_millis() as u64;
            self.site.journal.note(Record::Returned { client, user, broke_ms, back_ms, grace_ms });
            self.shared.returned(&self.client.name);
        }
        self.shared.settle(&self.client.name, true);
        Ok(())
    }

    fn check(&mut self) -> Result<()> {
        self.connection.as_mut().map_or(Ok(()), Connection::check)
    }

    /// Reads until clients must end, or until this one is to return by another connection.
    fn hold(&mut self) -> Result<()> {
        let mut asked = Instant::now();
        while self.shared.phase() != Phase::Over {
            if self.broke_ms.is_none() && self.shared.is_to_return(&self.client.name) {
                self.broke_ms = Some(self.site.journal.now_ms());
                self.break_off();
                return Ok(());
            }
            self.look()?;
            if asked.elapsed() >= ALIVE {
                self.check()?;
                asked = Instant::now();
            }
        }
        Ok(())
    }
}
