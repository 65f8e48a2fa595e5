//! All receivers, the webhooks that deliver to them, and checks of what arrived.

use super::payloads::Payload;
use super::process::{Receiver, Seen};
use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use testkit::cluster::Map;
use testkit::http::text;
use testkit::receiver::{Request, behaviour};
use testkit::{Cluster, Options, wait};
use waypost::core::webhook::Profile;

/// The secret of every receiver, in a form that every library accepts.
pub(crate) const SECRET: &str = "whsec_d2F5cG9zdCBzaWducyB3aGF0IGl0IHNlbmRz";
pub(super) const KEY: &str = "app-key";
/// The region of the functions.
pub(crate) const REGION: &str = "eu-west-1";
const AWS: [&str; 3] = ["AKIDEXAMPLE", "a/secret+key", REGION];

/// A receiver that verifies, and the profile it understands.
#[derive(Debug)]
pub(super) struct Verifier {
    process: &'static str,
    /// The path; for an AWS function, the invocation type.
    path: &'static str,
    pub(super) profile: Profile,
    /// The most events per request.
    pub(super) batch: Option<u32>,
}

const fn verifier(
    process: &'static str,
    path: &'static str,
    profile: Profile,
    batch: Option<u32>,
) -> Verifier {
    Verifier { process, path, profile, batch }
}

/// The guides' receivers, unchanged, and public libraries.
pub(super) const VERIFIERS: &[Verifier] = &[
    verifier("wanderer_handler.cjs", "/webhook", Profile::Wanderer, None),
    verifier("wanderer_handler.cjs", "/webhook", Profile::Wanderer, Some(7)),
    verifier("wanderer_discord.cjs", "/webhook", Profile::Wanderer, None),
    verifier("game_picker.cjs", "/webhooks/jackbox", Profile::Envelope, None),
    verifier("broadcasting.cjs", "/webhooks/broadcasting", Profile::Broadcasting, None),
    verifier("sockudo_express.cjs", "/webhooks/sockudo", Profile::Pusher, None),
    verifier("sockudo_express.cjs", "/webhooks/sockudo", Profile::Pusher, Some(20)),
    verifier("sockudo_verify.cjs", "/webhooks/sockudo", Profile::Pusher, None),
    verifier("sockudo_verify.cjs", "/webhooks/sockudo", Profile::Pusher, Some(20)),
    verifier("receivers.py", "/sockudo_verify", Profile::Pusher, None),
    verifier("receivers.py", "/sockudo_verify", Profile::Pusher, Some(20)),
    verifier("receivers.py", "/sockudo_lambda", Profile::Pusher, None),
    verifier("receivers.py", "/sockudo_lambda", Profile::Pusher, Some(20)),
    verifier("lambda_standin.py", "RequestResponse", Profile::Pusher, None),
    verifier("lambda_standin.py", "Event", Profile::Pusher, Some(20)),
    verifier("verifiers.cjs", "/pusher", Profile::Pusher, None),
    verifier("verifiers.cjs", "/pusher", Profile::Pusher, Some(20)),
    verifier("verifiers.cjs", "/standardwebhooks", Profile::Standard, None),
    verifier("verifiers.cjs", "/standardwebhooks", Profile::Envelope, None),
    verifier("verifiers.cjs", "/svix", Profile::Standard, Some(20)),
    verifier("verifiers.cjs", "/svix", Profile::Broadcasting, None),
    verifier("receivers.py", "/standardwebhooks", Profile::Standard, None),
    verifier("receivers.py", "/standardwebhooks", Profile::Wanderer, Some(20)),
    verifier("receivers.py", "/svix", Profile::Standard, Some(20)),
    verifier("receivers.py", "/svix", Profile::Pusher, None),
];

impl Verifier {
    /// Whether it is an HTTP receiver, not an AWS function.
    pub(super) fn is_http(&self) -> bool {
        self.process != "lambda_standin.py"
    }

    /// Whether the sender learns if the receiver verified; a queued function does not report it.
    pub(super) fn reports(&self) -> bool {
        self.path != "Event"
    }

    /// Whether it posts to Discord itself.
    pub(super) fn posts_to_discord(&self) -> bool {
        ["wanderer_discord.cjs", "game_picker.cjs"].contains(&self.process)
    }

    /// Returns the target of requests; the receiver reports `tag` with each request.
    pub(super) fn target(&self, tag: &str) -> String {
        let secret: String = SECRET.bytes().map(|byte| format!("%{byte:02x}")).collect();
        format!("{}?key={KEY}&secret={secret}&tag={tag}", self.path)
    }
}

/// The receivers, and a node that delivers to them.
pub(super) struct Fleet<'a> {
    pub(super) cluster: &'a Cluster,
    /// A chat that accepts every message.
    discord: testkit::receiver::Receiver,
    processes: Vec<Receiver>,
    tags: Cell<usize>,
}

/// A webhook that delivers to a receiver.
#[derive(Debug)]
pub(super) struct Hook {
    pub(super) verifier: &'static Verifier,
    tag: String,
    path: String,
    map: Map,
}

/// Starts the stand-in for AWS functions.
pub(crate) fn functions() -> Result<Receiver> {
    Receiver::python("lambda_standin.py", &AWS, &[("PUSHER_SECRET", SECRET)])
}

/// Options for a node that may deliver to the receivers.
pub(crate) fn delivering(options: Options, functions: &Receiver) -> Options {
    let options = options
        .set("WAYPOST_WEBHOOKS_ALLOW_NETS", "127.0.0.0/8")
        .set("WAYPOST_WEBHOOKS_AWS_FUNCTIONS", "sockudo-*")
        .set("WAYPOST_WEBHOOKS_AWS_ENDPOINT", &functions.base);
    options
        .set("WAYPOST_WEBHOOKS_AWS_ACCESS_KEY_ID", AWS[0])
        .set("WAYPOST_WEBHOOKS_AWS_SECRET_ACCESS_KEY", AWS[1])
}

/// The path of a channel in the chat.
fn channel(name: &str) -> String {
    format!("/api/webhooks/{name}/token")
}

impl<'a> Fleet<'a> {
    pub(super) fn start(cluster: &'a Cluster, functions: Receiver) -> Result<Self> {
        let discord = testkit::receiver::Receiver::start()?;
        discord.on(&channel("ours"), behaviour::healthy());
        let names: BTreeSet<&str> =
            VERIFIERS.iter().filter(|verifier| verifier.is_http()).map(|verifier| verifier.process).collect();
        let theirs = discord.on(&channel("theirs"), behaviour::healthy());
        let env = [("WEBHOOK_SECRET", SECRET), ("PUSHER_SECRET", SECRET), ("DISCORD_WEBHOOK_URL", &theirs)];
        let start = |name: &str| match name {
            name if name.ends_with(".py") => Receiver::python(name, &[], &env),
            name => Receiver::node(name, &env),
        };
        let processes: Result<Vec<Receiver>> = std::thread::scope(|scope| {
            let starting: Vec<_> = names.iter().map(|name| scope.spawn(|| start(name))).collect();
            starting.into_iter().map(|thread| thread.join().unwrap_or_else(|_| bail!("panicked"))).collect()
        });
        let mut processes = processes?;
        processes.push(functions);
        Ok(Self { cluster, discord, processes, tags: Cell::new(0) })
    }

    /// Returns the address of our channel in the chat.
    pub(super) fn chat_url(&self) -> String {
        self.discord.url(&channel("ours"))
    }

    /// Waits for a message in that channel of the chat for which `like` holds.
    pub(super) fn message(&self, name: &str, like: impl Fn(&Value) -> bool) -> Result<Value> {
        let found = |requests: &[Request]| requests.iter().map(Request::json).find(&like);
        let what = format!("a message in {name}");
        let requests = self.discord.wait(&channel(name), &what, |requests| found(requests).is_some())?;
        found(&requests).context(what)
    }

    pub(super) fn process(&self, verifier: &Verifier) -> Result<&Receiver> {
        let found = self.processes.iter().find(|process| process.name == verifier.process);
        found.with_context(|| format!("no {}", verifier.process))
    }

    /// Creates a map without limits.
    pub(super) fn map(&self, slug: &str) -> Result<Map> {
        let none = json!({"connections": null, "requests_per_minute": null, "webhooks": null});
        self.cluster.map_with(slug, json!({"limits": none}))
    }

    /// Creates a webhook with the settings that its receiver needs.
    pub(super) fn hook(
        &self,
        map: &Map,
        verifier: &'static Verifier,
        secret: &str,
        attempts: u32,
    ) -> Result<Hook> {
        let tag = format!("hook-{:03}", self.tags.replace(self.tags.get() + 1));
        let retry = json!({"max_attempts": attempts, "delay_ms": 200, "max_delay_ms": 1000});
        let mut body =
            json!({"profile": verifier.profile.name(), "secret": secret, "key": KEY, "retry": retry});
        if verifier.is_http() {
            let base = &self.process(verifier)?.base;
            body["url"] = json!(format!("{base}{}", verifier.target(&tag)));
        } else {
            let name = format!("sockudo-{tag}");
            body["lambda"] = json!({"function_name": name, "region": REGION,
                                    "invocation_type": verifier.path, "qualifier": "live"});
        }
        if let Some(max) = verifier.batch {
            body["batch"] = json!({"max": max, "duration_ms": 100});
        }
        let webhooks = format!("/api/maps/{}/webhooks", map.id);
        let made = self.cluster.api(0, map).post(&webhooks, &body)?.data(201)?;
        Ok(Hook { verifier, tag, path: format!("{webhooks}/{}", text(&made, "id")?), map: map.clone() })
    }

    /// Reads the webhook, or a resource below it.
    pub(super) fn get(&self, hook: &Hook, of: &str) -> Result<Value> {
        self.cluster.api(0, &hook.map).get(&format!("{}{of}", hook.path))?.data(200)
    }

    /// Posts to a resource below the webhook and returns the answer's `data`.
    pub(super) fn post(&self, hook: &Hook, of: &str, body: &str) -> Result<Value> {
        self.cluster.api(0, &hook.map).send(&format!("{}{of}", hook.path), body.as_bytes())?.data(200)
    }

    /// Returns the webhook's requests that its receiver has seen.
    pub(super) fn seen(&self, hook: &Hook) -> Result<Vec<Seen>> {
        Ok(self.process(hook.verifier)?.seen(&hook.tag))
    }

    /// Waits until the receiver has verified all these events, and checks the requests.
    pub(super) fn verified(&self, hook: &Hook, events: &Published) -> Result<Vec<Seen>> {
        let process = self.process(hook.verifier)?;
        let missing = || {
            let mut ids: BTreeSet<&str> = events.ids.iter().map(String::as_str).collect();
            let seen = process.verified(&hook.tag);
            for id in seen.iter().flat_map(|id| events.of(id)) {
                ids.remove(id.as_str());
            }
            ids.len()
        };
        let all = wait::until("all events to be verified", || Ok((missing() == 0).then_some(())));
        all.map_err(|error| {
            let attempts = self.get(hook, "/attempts").unwrap_or_default();
            anyhow!("{hook:?}: {error:#}: {} are missing; attempts {attempts}", missing())
        })?;
        let seen = self.seen(hook)?;
        for seen in seen.iter().filter(|seen| seen.verified) {
            events.check(seen, hook.verifier).with_context(|| format!("{hook:?} {seen:?}"))?;
        }
        Ok(seen)
    }
}

/// Events that a node has acknowledged, in the order of the log.
#[derive(Default)]
pub(super) struct Published {
    pub(super) ids: Vec<String>,
    payloads: BTreeMap<String, String>,
}

impl Published {
    /// Publishes payloads in batches, each as a client wrote it.
    pub(super) fn publish(
        &mut self,
        c: &Cluster,
        map: &Map,
        kinds: &[&str],
        payloads: &[Payload],
    ) -> Result<()> {
        for chunk in payloads.chunks(50) {
            let numbered = chunk.iter().enumerate();
            let events = numbered.map(|(n, payload)| {
                format!(
                    r#"{{"type":"{}","payload":{}}}"#,
                    kinds[(self.ids.len() + n) % kinds.len()],
                    payload.text
                )
            });
            let body = format!(r#"{{"events":[{}]}}"#, events.collect::<Vec<_>>().join(","));
            let stored = c.api(0, map).send(&map.events(), body.as_bytes())?.data(201)?;
            let ids = stored.as_array().into_iter().flatten().map(|event| text(event, "id"));
            let ids = ids.collect::<Result<Vec<_>>>()?;
            ensure!(ids.len() == chunk.len(), "{} events of {}", ids.len(), chunk.len());
            self.payloads.extend(ids.iter().cloned().zip(chunk.iter().map(|payload| payload.normal.clone())));
            self.ids.extend(ids);
        }
        Ok(())
    }

    /// Returns the events of a delivery. Its id names one event, or the first event and the number of events.
    fn of(&self, delivery: &str) -> &[String] {
        let mut parts = delivery.split('-');
        let first = parts.next().unwrap_or_default();
        let count = parts.next().unwrap_or("1");
        let from = self.ids.binary_search_by(|id| id.as_str().cmp(first)).ok();
        let range = from.zip(count.parse::<usize>().ok()).map(|(from, count)| from..from + count);
        range.and_then(|range| self.ids.get(range)).unwrap_or_default()
    }

    /// Checks that a delivery has the events that its id names, with their payloads as the log has them.
    fn check(&self, seen: &Seen, verifier: &Verifier) -> Result<()> {
        let ids = self.of(&seen.id);
        ensure!(!ids.is_empty() && ids.len() <= verifier.batch.unwrap_or(1) as usize, "{} events", ids.len());
        if verifier.profile == Profile::Pusher {
            let body: Value = serde_json::from_str(&seen.body)?;
            let events = body["events"].as_array().context("no list of events")?;
            ensure!(
                events.len() == ids.len() && body["time_ms"].is_u64(),
                "{} of {}",
                events.len(),
                ids.len()
            );
            return events.iter().zip(ids).try_for_each(|(event, id)| self.check_pusher(event, id));
        }
        let missing =
            ids.iter().find(|id| !self.payloads.get(*id).is_some_and(|payload| seen.body.contains(payload)));
        missing.map_or(Ok(()), |id| bail!("the payload of {id} is not in the body"))
    }

    fn check_pusher(&self, event: &Value, id: &str) -> Result<()> {
        ensure!(event["event_id"] == id, "{event} instead of {id}");
        let payload = self.payloads.get(id).map(String::as_str);
        // The members of an object about a channel or a member stand beside the name, not in a text.
        let about_channel = ["client_event", "member_added"].iter().any(|kind| event["name"] == *kind);
        let apart = about_channel && payload.is_some_and(|payload| payload.starts_with('{'));
        ensure!(apart || event["data"].as_str() == payload, "the data of {id} differ");
        Ok(())
    }
}
