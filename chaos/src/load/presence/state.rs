//! What the clients of presence channels and their run share: what clients are to do, and where each stands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use testkit::cluster::Map;
use testkit::pusher::App;

/// What clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// They come and go.
    Churn,
    /// Each keeps a connection, or none.
    Settle,
    /// They end.
    Over,
}

/// Where a client stands.
#[derive(Debug, Default, Clone)]
struct Standing {
    user: String,
    /// The members of each channel in which it is, as it was told.
    channels: BTreeMap<String, BTreeSet<String>>,
    /// It has the connection that it keeps, or none.
    is_settled: bool,
}

/// Who is there on a channel: users, and the number of their connections.
pub(super) type Present = (BTreeSet<String>, u64);

/// What the clients share.
#[derive(Debug)]
pub(super) struct Shared {
    /// The map of their channels.
    pub(super) map: Map,
    /// The map's credentials.
    pub(super) app: App,
    /// All their channels.
    pub(super) channels: BTreeSet<String>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    clients: BTreeMap<String, Standing>,
    /// The clients that are to return by another connection.
    returning: BTreeSet<String>,
}

impl Shared {
    pub(super) fn new(map: Map, app: App, channels: BTreeSet<String>) -> Self {
        let state = State { phase: Phase::Churn, clients: BTreeMap::new(), returning: BTreeSet::new() };
        Self { map, app, channels, state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The Phoenix topic of a channel.
    pub(super) fn topic(&self, channel: &str) -> String {
        format!("{}:{channel}", self.map.topic())
    }

    /// The channel of a Phoenix topic; empty if it is the topic of none.
    pub(super) fn channel<'t>(&self, topic: &'t str) -> &'t str {
        topic.strip_prefix(&self.map.topic()).and_then(|rest| rest.strip_prefix(':')).unwrap_or_default()
    }

    /// What clients do now.
    pub(super) fn phase(&self) -> Phase {
        self.lock().phase
    }

    /// From now on clients do this.
    pub(super) fn set_phase(&self, phase: Phase) {
        self.lock().phase = phase;
    }

    /// A client takes part, as that user.
    pub(super) fn begin(&self, client: &str, user: &str) {
        let standing = Standing { user: user.to_owned(), ..Standing::default() };
        self.lock().clients.insert(client.to_owned(), standing);
    }

    /// The client is a member of the channel, and was shown these members.
    pub(super) fn enter(&self, client: &str, channel: &str, members: BTreeSet<String>) {
        if let Some(standing) = self.lock().clients.get_mut(client) {
            standing.channels.insert(channel.to_owned(), members);
        }
    }

    /// The client was told of a user.
    pub(super) fn tell(&self, client: &str, channel: &str, user: &str, there: bool) {
        let mut state = self.lock();
        let standing = state.clients.get_mut(client);
        let Some(members) = standing.and_then(|standing| standing.channels.get_mut(channel)) else { return };
        if there {
            members.insert(user.to_owned());
        } else {
            members.remove(user);
        }
    }

    /// The client is no member of the channel any more. Returns whether it was one.
    pub(super) fn exit(&self, client: &str, channel: &str) -> bool {
        let mut state = self.lock();
        state.clients.get_mut(client).is_some_and(|standing| standing.channels.remove(channel).is_some())
    }

    /// Whether the client is a member of the channel.
    pub(super) fn is_in(&self, client: &str, channel: &str) -> bool {
        self.lock().clients.get(client).is_some_and(|standing| standing.channels.contains_key(channel))
    }

    /// The client has the connection that it keeps, or none, or is without it again.
    pub(super) fn settle(&self, client: &str, is_settled: bool) {
        if let Some(standing) = self.lock().clients.get_mut(client) {
            standing.is_settled = is_settled;
        }
    }

    /// The clients that are not settled.
    pub(super) fn unsettled(&self) -> Vec<String> {
        let state = self.lock();
        let of = state.clients.iter().filter(|(_, standing)| !standing.is_settled);
        of.map(|(client, _)| client.clone()).collect()
    }

    /// The clients that are there.
    pub(super) fn present(&self) -> Vec<String> {
        let state = self.lock();
        let of = state.clients.iter().filter(|(_, standing)| !standing.channels.is_empty());
        of.map(|(client, _)| client.clone()).collect()
    }

    /// These clients are to return by another connection.
    pub(super) fn ask_to_return(&self, clients: BTreeSet<String>) {
        self.lock().returning = clients;
    }

    /// Whether the client is to return and has not done so.
    pub(super) fn is_to_return(&self, client: &str) -> bool {
        self.lock().returning.contains(client)
    }

    /// The client has returned.
    pub(super) fn returned(&self, client: &str) {
        self.lock().returning.remove(client);
    }

    /// Whether clients are still to return.
    pub(super) fn some_are_to_return(&self) -> bool {
        !self.lock().returning.is_empty()
    }

    /// Who is there on each channel, by the clients' connections.
    pub(super) fn model(&self) -> BTreeMap<String, Present> {
        let mut model: BTreeMap<String, Present> =
            self.channels.iter().map(|channel| (channel.clone(), Present::default())).collect();
        for standing in self.lock().clients.values() {
            for channel in standing.channels.keys() {
                let (users, connections) = model.entry(channel.clone()).or_default();
                users.insert(standing.user.clone());
                *connections += 1;
            }
        }
        model
    }

    /// The first client that knows other members of a channel than these.
    pub(super) fn differs(&self, model: &BTreeMap<String, Present>) -> Option<String> {
        let state = self.lock();
        let known = state.clients.iter().flat_map(|(client, standing)| {
            standing.channels.iter().map(move |(channel, members)| (client, channel, members))
        });
        let mut others = known
            .filter(|(_, channel, members)| model.get(*channel).is_none_or(|(users, _)| users != *members));
        others.next().map(|(client, channel, members)| format!("{client} knows {members:?} on {channel}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_model_is_what_the_connections_make() {
        let map = Map { id: "m".into(), slug: "m".into(), token: String::new() };
        let shared = Shared::new(map, App::default(), set(&["presence-a", "presence-b"]));
        for (client, user) in [("c1", "ann"), ("c2", "ann"), ("c3", "bob")] {
            shared.begin(client, user);
        }
        shared.enter("c1", "presence-a", set(&["ann"]));
        shared.enter("c2", "presence-a", set(&["ann"]));
        let model = shared.model();
        assert_eq!(model.get("presence-a"), Some(&(set(&["ann"]), 2)));
        assert_eq!(model.get("presence-b"), Some(&Present::default()), "a channel that nobody is in");
        assert_eq!(shared.differs(&model), None);
        shared.enter("c3", "presence-a", set(&["ann", "bob"]));
        shared.tell("c1", "presence-a", "bob", true);
        assert!(shared.differs(&shared.model()).is_some_and(|other| other.starts_with("c2 ")));
        shared.tell("c2", "presence-a", "bob", true);
        assert_eq!(shared.differs(&shared.model()), None);
        assert!(shared.exit("c3", "presence-a") && !shared.exit("c3", "presence-a"));
        assert!(shared.differs(&shared.model()).is_some());
        assert_eq!((shared.unsettled().len(), shared.present().len()), (3, 2));
    }

    #[test]
    fn a_topic_names_a_channel() {
        let map = Map { id: "m".into(), slug: "m".into(), token: String::new() };
        let shared = Shared::new(map, App::default(), BTreeSet::new());
        assert_eq!(shared.topic("presence-a"), "events:map:m:presence-a");
        assert_eq!(shared.channel("events:map:m:presence-a"), "presence-a");
        assert_eq!(shared.channel("phoenix"), "");
    }
}
