//! A map with an app, the receivers of the guides and their webhooks, and the facts that they have to get.

use super::facts::{Fact, read};
use crate::pusher_support::App;
use crate::receivers::fleet::{REGION, SECRET};
use crate::receivers::process::Receiver;
use crate::webhooks_support::{Hook, map};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use testkit::cluster::Map;
use testkit::{Cluster, wait};

/// A receiver, and the profile that it understands.
#[derive(Debug)]
struct Guide {
    script: &'static str,
    /// The path; for an AWS function, the invocation type.
    path: &'static str,
    profile: &'static str,
}

const fn guide(script: &'static str, path: &'static str, profile: &'static str) -> Guide {
    Guide { script, path, profile }
}

/// The handlers and verifiers that the guides print, and npm `pusher`.
const GUIDES: [Guide; 7] = [
    guide("sockudo_express.cjs", "/webhooks/sockudo", "pusher"),
    guide("broadcasting.cjs", "/webhooks/broadcasting", "broadcasting"),
    guide("sockudo_verify.cjs", "/webhooks/sockudo", "pusher"),
    guide("receivers.py", "/sockudo_verify", "pusher"),
    guide("receivers.py", "/sockudo_lambda", "pusher"),
    guide("lambda_standin.py", "RequestResponse", "pusher"),
    guide("verifiers.cjs", "/pusher", "pusher"),
];
/// The place of the Express handler in the list.
const EXPRESS: usize = 0;
/// The place of the receiver of the profile `broadcasting`.
const BROADCASTING: usize = 1;

/// The kinds of facts that the guide of each profile names.
const PUSHER: [&str; 9] = [
    "channel_occupied",
    "channel_vacated",
    "member_added",
    "member_removed",
    "client_event",
    "cache_miss",
    "subscription_count",
    "connection_established",
    "connection_terminated",
];
const EVENTS: [&str; 8] = [
    "connection",
    "disconnection",
    "subscribe",
    "unsubscribe",
    "broadcast",
    "presence_join",
    "presence_leave",
    "client_event",
];

pub(super) struct World<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) map: Map,
    pub(super) app: App,
    processes: Vec<Receiver>,
    expected: Vec<Fact>,
}

/// A map whose app has the secret of the receivers.
pub(super) fn app(c: &Cluster, slug: &str) -> Result<(Map, App)> {
    let map = map(c, slug)?;
    let app = App::with(c, &map, &json!({"secret": SECRET, "client_events": true}))?;
    let rules = json!([
        {"match": "presence-game-room", "client_events": true},
        {"match": "*", "durability": "ephemeral"},
    ]);
    c.set_rules(&map, &rules)?;
    Ok((map, app))
}

impl<'a> World<'a> {
    /// Starts the receivers, and creates a webhook for each. `functions` is the stand-in for AWS functions.
    pub(super) fn start(cluster: &'a Cluster, functions: Receiver) -> Result<Self> {
        let env = [("WEBHOOK_SECRET", SECRET), ("PUSHER_SECRET", SECRET)];
        let mut processes = vec![functions];
        for Guide { script, .. } in &GUIDES {
            if !processes.iter().any(|process| process.name == *script) {
                processes.push(if script.ends_with(".py") {
                    Receiver::python(script, &[], &env)?
                } else {
                    Receiver::node(script, &env)?
                });
            }
        }
        let (map, app) = app(cluster, "facts")?;
        let world = Self { cluster, map, app, processes, expected: Vec::new() };
        for n in 0..GUIDES.len() {
            Hook::make(cluster, &world.map, &world.settings(n)?)?;
        }
        // From now on every node knows which facts are wanted.
        cluster.wait_same_applied()?;
        Ok(world)
    }

    fn process(&self, n: usize) -> Result<&Receiver> {
        let found = self.processes.iter().find(|process| process.name == GUIDES[n].script);
        found.with_context(|| format!("no {}", GUIDES[n].script))
    }

    /// What requests for that receiver have in their target.
    fn tag(n: usize) -> String {
        format!("facts-{n}")
    }

    fn settings(&self, n: usize) -> Result<Value> {
        let Guide { script, path, profile } = &GUIDES[n];
        let tag = Self::tag(n);
        let events = if *profile == "pusher" { json!(PUSHER) } else { json!(EVENTS) };
        let key = &self.app.key;
        let mut settings = json!({"profile": profile, "events": events, "key": key, "secret": SECRET});
        if *script == "lambda_standin.py" {
            let function = format!("sockudo-{tag}");
            settings["lambda"] =
                json!({"function_name": function, "region": REGION, "invocation_type": path});
        } else {
            let base = &self.process(n)?.base;
            settings["url"] = json!(format!("{base}{path}?key={key}&secret={SECRET}&tag={tag}"));
        }
        Ok(settings)
    }

    /// The bodies that a receiver got. It has verified all of them.
    fn bodies(&self, n: usize) -> Result<Vec<String>> {
        let seen = self.process(n)?.seen(&Self::tag(n));
        let refused = seen.iter().find(|seen| !seen.verified);
        ensure!(refused.is_none(), "{:?} refused {refused:?}", GUIDES[n]);
        Ok(seen.into_iter().map(|seen| seen.body).collect())
    }

    /// The bodies that the Express handler got.
    pub(super) fn pusher_bodies(&self) -> Result<Vec<String>> {
        self.bodies(EXPRESS)
    }

    /// The bodies that the receiver of the profile `broadcasting` got.
    pub(super) fn broadcasting_bodies(&self) -> Result<Vec<String>> {
        self.bodies(BROADCASTING)
    }

    /// The facts that a receiver got, each once.
    fn told(&self, n: usize) -> Result<Vec<Value>> {
        let mut told = BTreeMap::new();
        for body in self.bodies(n)? {
            told.extend(read(&body).with_context(|| body.clone())?);
        }
        Ok(told.into_values().collect())
    }

    /// These facts are to be told. Waits until every receiver has got all facts so far, and no other.
    pub(super) fn expect(&mut self, facts: impl IntoIterator<Item = Fact>) -> Result<()> {
        self.expected.extend(facts);
        for (n, guide) in GUIDES.iter().enumerate() {
            wait::until(&format!("the facts at {guide:?}"), || {
                let mut told = self.told(n)?;
                for expected in self.expected.iter().filter_map(|fact| fact.shown_by(guide.profile)) {
                    match told.iter().position(|told| told == expected) {
                        Some(place) => drop(told.swap_remove(place)),
                        None => bail!("{expected} is missing; beside what is expected there are {told:?}"),
                    }
                }
                ensure!(told.is_empty(), "nobody expects {told:?}");
                Ok(Some(()))
            })?;
        }
        Ok(())
    }

    /// Waits for the socket of a client that has just connected. Its own protocol does not tell the id.
    pub(super) fn newcomer(&self) -> Result<String> {
        wait::until("the connection to be told", || {
            let mut told = self.told(EXPRESS)?.into_iter();
            let is_new = |fact: &Value| fact["name"] == "connection_established" && !self.is_expected(fact);
            let found = told.find(is_new);
            Ok(found.and_then(|fact| fact["socket_id"].as_str().map(str::to_owned)))
        })
    }

    fn is_expected(&self, fact: &Value) -> bool {
        self.expected.iter().any(|known| known.shown_by("pusher") == Some(fact))
    }
}
