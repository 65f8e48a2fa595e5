//! Users of presence channels, who come and go at all nodes, and what the nodes and a receiver of webhooks
//! say of them.
//!
//! - `client` is one client, which speaks one of two protocols by its `connection`;
//! - `state` has what clients are to do, and where each stands;
//! - `receiver` receives the facts about channels; `answers` asks the nodes.
//!
//! While things are broken everybody comes and goes. Then each client keeps one connection or none, and all
//! is recorded. Then some break off and return elsewhere at once, and all is recorded again.

mod answers;
mod client;
mod connection;
mod receiver;
mod state;

use super::Site;
use crate::history::Record;
use answers::Answers;
use anyhow::{Result, anyhow, ensure};
use client::Client;
use receiver::Facts;
use serde_json::json;
use state::{Phase, Shared};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use testkit::cluster::{Cluster, unlimited};
use testkit::pusher::App;
use testkit::wait;

/// For how long a user stays a member after the last connection broke: the server's default.
const GRACE: Duration = Duration::from_secs(3);
/// How long the cluster has after everybody has settled: the grace period, and time to notice what ended.
const HEALING: Duration = Duration::from_secs(10);
/// How many clients return by another connection.
const RETURNING: usize = 12;
/// How many users share a channel; there is one more channel, for some of all users.
const IN_A_ROOM: usize = 4;
/// One user of so many is in the channel of all, too.
const IN_THE_HALL: usize = 5;
/// One user of so many has a second client, which speaks the other protocol.
const WITH_TWO: usize = 6;
/// The stack of a client's thread.
const STACK: usize = 512 << 10;

/// The users of a run, with all that watches them.
#[derive(Debug)]
pub struct Presence {
    shared: Arc<Shared>,
    facts: Facts,
    threads: Vec<JoinHandle<()>>,
}

impl Presence {
    /// Creates the map and its webhook, which is received at `hub`, and starts the clients of so many users.
    pub fn start(cluster: &Cluster, site: &Arc<Site>, hub: IpAddr, users: usize) -> Result<Self> {
        let map = cluster.map_with("presence", json!({"limits": unlimited()}))?;
        let app = App::with(cluster, &map, &json!({}))?;
        let facts = Facts::receive(cluster, &map, hub)?;
        let clients = clients(users);
        let channels: BTreeSet<String> =
            clients.iter().flat_map(|client| client.channels.iter().cloned()).collect();
        let shared = Arc::new(Shared::new(map, app, channels));
        let mut presence = Self { shared, facts, threads: Vec::new() };
        for client in clients {
            presence.shared.begin(&client.name, &client.user);
            let (site, shared) = (site.clone(), presence.shared.clone());
            let thread = std::thread::Builder::new().name(client.name.clone()).stack_size(STACK);
            presence.threads.push(thread.spawn(move || client::run(&site, &shared, &client))?);
        }
        Ok(presence)
    }

    /// Lets everybody settle, and records what clients, nodes and the receiver know; then has some return by
    /// another connection, and records all again. An error means that the run itself failed.
    pub fn finish(mut self, site: &Site, cluster: &mut Cluster) -> Result<()> {
        let journal = &site.journal;
        journal.caught_up("the nodes of the users", cluster.wait_ready());
        self.shared.set_phase(Phase::Settle);
        self.settle(site)?;
        let mut dice = site.dice("returning");
        let mut present = self.shared.present();
        let returning =
            (0..RETURNING.min(present.len())).map(|_| present.swap_remove(dice.below(present.len())));
        self.shared.ask_to_return(returning.collect());
        let returned =
            wait::until("clients to return", || Ok((!self.shared.some_are_to_return()).then_some(())));
        journal.caught_up("the clients that return", returned);
        self.settle(site)?;
        self.shared.set_phase(Phase::Over);
        let mut threads = self.threads.drain(..);
        threads.try_for_each(|thread| thread.join().map_err(|_| anyhow!("a client's thread panicked")))
    }

    /// Waits until everybody has settled and the cluster had its time to heal, and records who is there.
    fn settle(&self, site: &Site) -> Result<()> {
        let settled = wait::until("all clients to settle", || {
            let unsettled = self.shared.unsettled();
            ensure!(unsettled.is_empty(), "not settled: {unsettled:?}");
            Ok(Some(()))
        });
        site.journal.caught_up("the users", settled);
        std::thread::sleep(HEALING);
        // The answers that are recorded are those of the last time that all nodes were asked.
        let mut last = None;
        let agreed = wait::until("nodes, clients and the receiver to agree", || {
            let answers = Answers::ask(site, &self.shared)?;
            let model = self.shared.model();
            let others =
                answers.differs(&model).or(self.shared.differs(&model)).or(self.facts.differs(&model));
            last = Some(answers);
            ensure!(others.is_none(), "{}", others.unwrap_or_default());
            Ok(Some(()))
        });
        match (last, agreed) {
            (Some(answers), agreed) => {
                if let Err(error) = agreed {
                    println!("  {error:#}");
                }
                answers.note(site);
            }
            (None, agreed) => site.journal.caught_up("the nodes' answers about channels", agreed),
        }
        self.facts.note(site);
        site.journal.note(Record::Settled);
        Ok(())
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.shared.set_phase(Phase::Over);
    }
}

/// The clients of that many users.
fn clients(users: usize) -> Vec<Client> {
    let first = (0..users).map(|user| client(user, users, false));
    let second = (0..users).step_by(WITH_TWO).map(|user| client(user, users, true));
    first.chain(second).collect()
}

fn client(user: usize, users: usize, is_second: bool) -> Client {
    let mut channels = vec![format!("presence-room-{}", user / IN_A_ROOM)];
    if user.is_multiple_of(IN_THE_HALL) {
        channels.push("presence-hall".to_owned());
    }
    let number = if is_second { users + user } else { user };
    Client {
        name: format!("user-client-{number}"),
        user: format!("user-{user}"),
        is_pusher: user.is_multiple_of(2) != is_second,
        channels,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_share_channels_and_speak_both_protocols() {
        let all = clients(60);
        assert_eq!(all.len(), 70);
        let names: BTreeSet<&str> = all.iter().map(|client| client.name.as_str()).collect();
        assert_eq!(names.len(), 70);
        let of = |channel: &str, is_pusher| {
            let there = |client: &&Client| client.channels.iter().any(|name| name == channel);
            all.iter().filter(there).filter(|client| client.is_pusher == is_pusher).count()
        };
        // Users 0 to 3, and the second client of user 0.
        assert_eq!((of("presence-room-0", true), of("presence-room-0", false)), (2, 3));
        assert!(of("presence-hall", true) >= 6 && of("presence-hall", false) >= 6);
        let second = all.iter().filter(|client| client.user == "user-6").map(|client| client.is_pusher);
        assert_eq!(second.collect::<Vec<_>>(), [true, false]);
    }
}
