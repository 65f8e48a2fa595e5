//! 12: members, counts and facts are what the living connections make them.
//!
//! The model is who holds a connection to a channel, as the clients recorded it. Facts and news must take
//! turns at any time. Everything else is compared with the model once all is settled.

use super::Verdict;
use crate::history::{History, Record};
use checker::channels::{Channels, Fact};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// A client's connection to a channel.
#[derive(Debug)]
struct Place<'a> {
    user: &'a str,
    /// Who is there, as the client was told.
    members: BTreeSet<&'a str>,
}

/// A client that broke off and returned.
#[derive(Debug)]
struct Return<'a> {
    client: &'a str,
    user: &'a str,
    took_ms: u64,
    is_in_time: bool,
}

/// What the records say so far.
#[derive(Debug, Default)]
struct Seen<'a> {
    /// The connections: client and channel.
    places: BTreeMap<(&'a str, &'a str), Place<'a>>,
    /// The facts by id, which is their order: name, channel, user.
    facts: BTreeMap<&'a str, (&'a str, &'a str, &'a str)>,
    returns: Vec<Return<'a>>,
    /// The users of whom there was news since everything was settled last, and the client that was told;
    /// `None` if it was the receiver of webhooks.
    news: Vec<(&'a str, Option<&'a str>)>,
    told: u64,
    compared: u64,
}

/// 12: once all is settled, members and counts are exactly what the living connections make them, wherever
/// one asks; facts and news take turns; who returns in time neither leaves nor joins.
pub(super) fn exact(history: &History) -> Verdict {
    let mut verdict = Verdict::new(12);
    let mut seen = Seen::default();
    for record in history.records() {
        seen.take(record, &mut verdict);
    }
    seen.facts_take_turns(&mut verdict);
    let Seen { facts, told, compared, .. } = &seen;
    if verdict.checked > 0 {
        verdict.figure =
            format!("{} facts, {told} news to clients, {compared} answers of nodes compared", facts.len());
    }
    verdict
}

impl<'a> Seen<'a> {
    fn take(&mut self, record: &'a Record, verdict: &mut Verdict) {
        match record {
            Record::Entered { client, user, channel, members, count, node } => {
                let shown: BTreeSet<&str> = members.iter().map(String::as_str).collect();
                verdict.check(shown.len() == members.len() && *count == members.len() as u64, || {
                    format!("{client} was shown {count} members of {channel} at node {node}: {members:?}")
                });
                self.places.insert((client, channel), Place { user, members: shown });
            }
            Record::Told { client, channel, user, there } => {
                self.tell(client, channel, (user, *there), verdict)
            }
            Record::Exited { client, channel } => {
                self.places.remove(&(client.as_str(), channel.as_str()));
            }
            Record::Fact { id, fact, channel, user } => {
                let is_new = self.facts.insert(id, (fact, channel, user)).is_none();
                if is_new {
                    self.news.push((user, None));
                }
            }
            Record::Returned { client, user, broke_ms, back_ms, grace_ms } => {
                let took_ms = back_ms.saturating_sub(*broke_ms);
                self.returns.push(Return { client, user, took_ms, is_in_time: took_ms < *grace_ms });
            }
            Record::Members { node, channel, users } => self.listed(*node, channel, users, verdict),
            Record::Counts { node, channel, users, subscriptions } => {
                self.counted(*node, channel, (*users, *subscriptions), verdict);
            }
            Record::Settled => {
                self.clients_agree(verdict);
                self.facts_agree(verdict);
                self.returns_made_no_news(verdict);
            }
            _ => {}
        }
    }

    /// A client is told of each change of the members that it knows, once.
    fn tell(
        &mut self,
        client: &'a str,
        channel: &'a str,
        (user, there): (&'a str, bool),
        verdict: &mut Verdict,
    ) {
        self.told += 1;
        self.news.push((user, Some(client)));
        let changes = self.places.get_mut(&(client, channel)).is_some_and(|place| match there {
            true => place.members.insert(user),
            false => place.members.remove(user),
        });
        verdict.check(changes, || {
            let what = if there { "is there" } else { "is gone" };
            format!("{client} was told that {user} {what} on {channel}, which changes nothing that it knew")
        });
    }

    /// The users whose connections a channel has, and the number of these connections.
    fn model(&self, channel: &str) -> (BTreeSet<&'a str>, u64) {
        let of_channel = self.places.iter().filter(|((_, of), _)| *of == channel);
        let users: Vec<&str> = of_channel.map(|(_, place)| place.user).collect();
        (users.iter().copied().collect(), users.len() as u64)
    }

    fn listed(&mut self, node: usize, channel: &str, users: &'a [String], verdict: &mut Verdict) {
        self.compared += 1;
        let (model, _) = self.model(channel);
        let shown: BTreeSet<&str> = users.iter().map(String::as_str).collect();
        verdict.check(shown.len() == users.len(), || format!("node {node} lists one twice: {users:?}"));
        verdict.check(shown == model, || {
            let ghosts: Vec<_> = shown.difference(&model).collect();
            let missing: Vec<_> = model.difference(&shown).collect();
            format!("node {node}, {channel}: {ghosts:?} have no connection, {missing:?} are missing")
        });
    }

    fn counted(&mut self, node: usize, channel: &str, counts: (u64, u64), verdict: &mut Verdict) {
        self.compared += 1;
        let (users, connections) = self.model(channel);
        let model = (users.len() as u64, connections);
        verdict.check(counts == model, || {
            format!("node {node}, {channel}: {counts:?} users and subscriptions; there are {model:?}")
        });
    }

    /// Every client knows the members of its channels.
    fn clients_agree(&self, verdict: &mut Verdict) {
        for ((client, channel), place) in &self.places {
            let (model, _) = self.model(channel);
            verdict.check(place.members == model, || {
                format!("{client} knows {:?} on {channel}; there are {model:?}", place.members)
            });
        }
    }

    /// The facts that the receiver got end in what the living connections make.
    fn facts_agree(&self, verdict: &mut Verdict) {
        let mut channels = Channels::new();
        for (fact, channel, user) in self.facts.values() {
            if let Some(fact) = Fact::named(fact, user) {
                // Whether the facts take turns is checked elsewhere.
                let _ = channels.entry(channel).or_default().apply(fact);
            }
        }
        let named: BTreeSet<&str> = self.places.keys().map(|(_, channel)| *channel).collect();
        for channel in named {
            channels.entry(channel).or_default();
        }
        for (channel, told) in channels {
            let (model, connections) = self.model(channel);
            verdict.check(told.members == model && told.is_occupied == (connections > 0), || {
                let word = if told.is_occupied { "occupied" } else { "vacated" };
                format!(
                    "the receiver was told that {channel} is {word} by {:?}; there are {model:?}",
                    told.members
                )
            });
        }
    }

    /// Nobody was told of a user who broke off and was back in time.
    fn returns_made_no_news(&mut self, verdict: &mut Verdict) {
        let late: HashSet<&str> =
            self.returns.iter().filter(|one| !one.is_in_time).map(|one| one.user).collect();
        for Return { client, user, took_ms, .. } in
            self.returns.drain(..).filter(|one| !late.contains(one.user))
        {
            let news = self.news.iter().find(|(of, _)| *of == user);
            verdict.check(news.is_none(), || {
                let told = news.and_then(|(_, told)| *told).unwrap_or("the receiver of webhooks");
                format!("{told} was told of {user}, whose client {client} was back after {took_ms} ms")
            });
        }
        self.news.clear();
    }

    /// In the order of their ids, facts take turns.
    fn facts_take_turns(&self, verdict: &mut Verdict) {
        let mut channels = Channels::new();
        for (id, (fact, channel, user)) in &self.facts {
            let Some(fact) = Fact::named(fact, user) else { continue };
            let applied = channels.entry(channel).or_default().apply(fact);
            verdict
                .check(applied.is_ok(), || format!("{channel}, {id}: {}", applied.err().unwrap_or_default()));
        }
    }
}
