//! The receiver of a webhook of the profile `pusher`: the facts about channels and their members.

use super::state::Present;
use crate::history::Record;
use crate::load::Site;
use anyhow::{Context, Result};
use checker::channels::{Channel, Channels, Fact};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;
use testkit::cluster::{Cluster, Map};
use testkit::receiver::{Receiver, Request, behaviour};

const PATH: &str = "/channels";
/// The facts that the webhook wants.
const WANTED: [&str; 4] = ["channel_occupied", "channel_vacated", "member_added", "member_removed"];

/// The webhook's receiver.
#[derive(Debug)]
pub(super) struct Facts {
    receiver: Receiver,
}

/// What the receiver was told: name, channel and user, by the id of the fact.
type Told = BTreeMap<String, (String, String, String)>;

impl Facts {
    /// Creates the webhook; its receiver listens at `hub`.
    pub(super) fn receive(cluster: &Cluster, map: &Map, hub: IpAddr) -> Result<Self> {
        let receiver = Receiver::start_at(hub)?;
        let url = receiver.on(PATH, behaviour::healthy());
        let retry =
            json!({"max_attempts": 20, "delay_ms": 200, "factor": 1.5, "max_delay_ms": 3000, "jitter": 0});
        let body = json!({
            "url": url,
            "name": "channels",
            "profile": "pusher",
            "ordering": "strict",
            "events": WANTED,
            "retry": retry,
            "timeout_ms": 5000,
        });
        let made = cluster.api(0, map).create(&map.path("/webhooks"), &body)?;
        made.context("an attempt whose answer was lost made the webhook")?;
        Ok(Self { receiver })
    }

    /// Records all facts that came, also those that were recorded before.
    pub(super) fn note(&self, site: &Site) {
        for request in self.receiver.accepted(PATH) {
            for (id, (fact, channel, user)) in facts_of(&request) {
                site.journal.note(Record::Fact { id, fact, channel, user });
            }
        }
    }

    /// The first channel of which the facts say something else than the model.
    pub(super) fn differs(&self, model: &BTreeMap<String, Present>) -> Option<String> {
        let told: Told = self.receiver.accepted(PATH).iter().flat_map(facts_of).collect();
        let mut channels = Channels::new();
        for (fact, channel, user) in told.values() {
            if let Some(fact) = Fact::named(fact, user) {
                // Whether the facts take turns is checked in the history.
                let _ = channels.entry(channel).or_default().apply(fact);
            }
        }
        let none = Channel::default();
        model.iter().find_map(|(channel, (users, connections))| {
            let told = channels.get(channel.as_str()).unwrap_or(&none);
            let is_same = told.is_occupied == (*connections > 0) && told.members.iter().eq(users);
            (!is_same).then(|| format!("the receiver was told of {channel}: {told:?}; there are {users:?}"))
        })
    }
}

/// The facts in a request, each with its id.
fn facts_of(request: &Request) -> Vec<(String, (String, String, String))> {
    let text = |event: &Value, member: &str| event[member].as_str().unwrap_or_default().to_owned();
    let body = request.json();
    let events = body["events"].as_array().into_iter().flatten();
    events
        .map(|event| {
            let fact = (text(event, "name"), text(event, "channel"), text(event, "user_id"));
            (text(event, "event_id"), fact)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_found_in_a_request() {
        let body = r#"{"time_ms":1,"events":[
            {"name":"channel_occupied","channel":"presence-a","event_id":"1","time_ms":1},
            {"name":"member_added","channel":"presence-a","user_id":"u","data":"{}","event_id":"2"}]}"#;
        let facts = facts_of(&Request::carried(&json!({}), body));
        let fact = |id: &str, name: &str, user: &str| {
            (id.to_owned(), (name.to_owned(), "presence-a".to_owned(), user.to_owned()))
        };
        assert_eq!(facts, [fact("1", "channel_occupied", ""), fact("2", "member_added", "u")]);
    }
}
