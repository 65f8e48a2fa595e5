//! What each node answers about the channels: their members, by both of its APIs, and the numbers of users
//! and subscriptions.

use super::state::{Present, Shared};
use crate::history::Record;
use crate::load::Site;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use testkit::http::{Api, text};

/// The answers of all nodes, by node and channel.
#[derive(Debug)]
pub(super) struct Answers(BTreeMap<(usize, String), Answer>);

/// What a node answers about a channel.
#[derive(Debug, Default)]
struct Answer {
    members: Vec<String>,
    /// The members by the signed API of the Pusher protocol.
    signed: Vec<String>,
    users: u64,
    subscriptions: u64,
}

impl Answers {
    /// Asks all nodes about all channels. An error means that a node does not know yet.
    pub(super) fn ask(site: &Site, shared: &Shared) -> Result<Self> {
        let mut answers = BTreeMap::new();
        for node in 0..site.nodes.len() {
            let api = site.api(node, &shared.map.token);
            let url = format!("http://{}", site.nodes[node]);
            let mut counts = counts(&api, shared).with_context(|| format!("node {node}"))?;
            for channel in &shared.channels {
                let path = shared.map.path(&format!("/subjects/{channel}/presence"));
                let data = api.get(&path)?.data(200)?;
                let members = names(&data, "user_id")?;
                let below = format!("channels/{channel}/users");
                let answer = shared.app.get_at(&url, &below, &[])?.expect(200)?.json()?;
                let signed = names(&answer["users"], "id")?;
                let (users, subscriptions) = counts.remove(channel).unwrap_or_default();
                answers.insert((node, channel.clone()), Answer { members, signed, users, subscriptions });
            }
            ensure!(counts.values().all(|counts| *counts == (0, 0)), "node {node} counts more: {counts:?}");
        }
        Ok(Self(answers))
    }

    /// The first answer that differs from the model.
    pub(super) fn differs(&self, model: &BTreeMap<String, Present>) -> Option<String> {
        self.0.iter().find_map(|((node, channel), answer)| {
            let (users, connections) = model.get(channel)?;
            let is_same = answer.members.iter().eq(users)
                && answer.signed.iter().eq(users)
                && (answer.users, answer.subscriptions) == (users.len() as u64, *connections);
            (!is_same).then(|| {
                format!("node {node}, {channel}: {answer:?}; {connections} connections of {users:?}")
            })
        })
    }

    /// Records the answers.
    pub(super) fn note(self, site: &Site) {
        for ((node, channel), Answer { members, signed, users, subscriptions }) in self.0 {
            for users in [members, signed] {
                site.journal.note(Record::Members { node, channel: channel.clone(), users });
            }
            site.journal.note(Record::Counts { node, channel, users, subscriptions });
        }
    }
}

/// The names in a list of members.
fn names(list: &Value, member: &str) -> Result<Vec<String>> {
    let members = list.as_array().with_context(|| format!("no list: {list}"))?;
    members.iter().map(|entry| text(entry, member)).collect()
}

/// The numbers of users and subscriptions of each channel in use, as one node counts them over all nodes.
fn counts(api: &Api, shared: &Shared) -> Result<BTreeMap<String, (u64, u64)>> {
    let path = shared.map.path("/subjects?prefix=presence-&limit=1000");
    let page = api.get(&path)?.expect(200)?.json()?;
    let silent = &page["silent_nodes"];
    ensure!(silent.is_null(), "these nodes did not answer in time: {silent}");
    ensure!(page["has_more"] == false, "more channels than a page has");
    let number =
        |entry: &Value, name: &str| entry[name].as_u64().with_context(|| format!("no {name} in {entry}"));
    let channels = page["data"].as_array().with_context(|| format!("no list: {page}"))?;
    let of = |entry: &Value| {
        anyhow::Ok((text(entry, "subject")?, (number(entry, "users")?, number(entry, "subscriptions")?)))
    };
    channels.iter().map(of).collect()
}
