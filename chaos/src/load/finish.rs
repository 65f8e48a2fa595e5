//! The end of a run: publishers end, everybody catches up or is recorded as behind, and each node lists what
//! it holds.

use super::{Load, Site, hooks};
use crate::history::{CHANNELS, Event, MAIN, Record, SHORT};
use anyhow::{Context, Result, ensure};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use testkit::checks::held;
use testkit::cluster::{Cluster, Map};
use testkit::http::Api;
use testkit::wait;

/// How long all readers together may take to catch up, and then all webhooks.
const LIMIT: Duration = Duration::from_secs(60);
/// The least time for each, also when an earlier one used up the limit.
const LEAST: Duration = Duration::from_secs(1);

/// The topics that nodes list at the end.
const TOPICS: [&str; 3] = [MAIN, SHORT, CHANNELS];

/// Ends the load; a client or webhook that does not catch up is recorded. An error means that the run itself
/// failed.
pub fn finish(load: &mut Load, cluster: &mut Cluster) -> Result<()> {
    let site = load.site.clone();
    let journal = site.journal.clone();
    let note = |whom: &str, done: Result<()>| journal.caught_up(whom, done);
    note("the cluster", cluster.wait_ready());
    load.end_writing()?;
    note("the nodes", cluster.wait_same_applied().map(drop));
    // A node that does not answer is recorded below.
    let heads = TOPICS.map(|topic| (topic, stored(&site.admin(0), site.map(topic)).unwrap_or_default()));
    let until = Instant::now() + LIMIT;
    for reader in &load.readers {
        let events =
            heads.iter().find(|(topic, _)| *topic == reader.topic).map_or(&[][..], |(_, events)| events);
        let head = events.iter().rfind(|event| reader.wants(event)).map_or(0, |event| event.seq);
        let done = wait::until_for(left(until), "its last event", || {
            let seq = reader.seq.load(Ordering::Relaxed);
            ensure!(seq >= head, "at {seq} of {head}");
            Ok(Some(()))
        });
        note(&reader.name, done);
    }
    webhooks(load, &heads, note)?;
    if let Some(workers) = load.workers.take() {
        workers.finish(&site)?;
    }
    load.end_reading()?;
    load.hooks.note(&site);
    match listed(cluster, &site) {
        Ok(lists) => lists.into_iter().for_each(|(node, topic, events)| list(&site, node, topic, events)),
        Err(error) => note("the lists of the nodes", Err(error)),
    }
    Ok(())
}

fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now()).max(LEAST)
}

/// The events of each topic, as the nodes list them.
type Heads = [(&'static str, Vec<Event>); TOPICS.len()];

fn webhooks(load: &Load, heads: &Heads, note: impl Fn(&str, Result<()>)) -> Result<()> {
    let until = Instant::now() + LIMIT;
    for hook in load.hooks.ids().iter().filter(|hook| !hook.dead) {
        let events =
            heads.iter().find(|(topic, _)| *topic == hook.topic).map_or(&[][..], |(_, events)| events);
        let stored = hook.wanted(events);
        let done = wait::until_for(left(until), "all events and the same progress on all nodes", || {
            let accepted = load.hooks.accepted();
            let own = accepted.iter().find(|(name, _)| *name == hook.name).context("no such webhook")?.1;
            ensure!(own >= stored, "{own} of {stored} accepted");
            let nodes = 0..load.site.nodes.len();
            let answers = nodes.map(|node| hooks::ask(&load.site, node, hook)).collect::<Result<Vec<_>>>()?;
            ensure!(
                answers.iter().all(|answer| *answer == answers[0] && answer.1 == 0),
                "delivered and queued: {answers:?}"
            );
            Ok(Some(()))
        });
        note(&format!("webhook {}", hook.name), done);
    }
    Ok(())
}

/// What a node holds of a topic.
type List = (usize, &'static str, Vec<Event>);

/// What each node holds of each topic, at one index of the log: retention goes on, and a command that removes
/// events between two lists would make them differ.
fn listed(cluster: &Cluster, site: &Site) -> Result<Vec<List>> {
    wait::until("all nodes to list what they hold at one index", || {
        let before = cluster.wait_same_applied()?;
        let mut lists = Vec::new();
        for node in 0..site.nodes.len() {
            for topic in TOPICS {
                let events = stored(&site.admin(node), site.map(topic));
                lists.push((node, topic, events.with_context(|| format!("node {node}, {topic}"))?));
            }
        }
        Ok((cluster.wait_same_applied()? == before).then_some(lists))
    })
}

fn list(site: &Site, node: usize, topic: &str, events: Vec<Event>) {
    let count = events.len() as u64;
    for event in events {
        site.journal.note(Record::Stored { node, topic: topic.to_owned(), event });
    }
    site.journal.note(Record::Listed { node, topic: topic.to_owned(), events: count });
}

/// All events that a node holds of a map.
pub fn stored(api: &Api, map: &Map) -> Result<Vec<Event>> {
    held(&api.clone().timeout(Duration::from_secs(20)), map)
}
