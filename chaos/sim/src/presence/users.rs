//! Users who come and go on all hosts, the leader's care for nodes that are gone, and the check at the end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use machine::core::access::{Limits, Retention, Scopes};
use machine::core::command::{Command, CreateMap, NewToken, Reply};
use machine::core::history::{Bounds, History};
use machine::core::ids::{TokenId, WebhookId};
use machine::core::lease::Member;
use machine::core::lifecycle::LifecycleKind;
use machine::core::state::keys;
use machine::core::store::ReadStore;
use machine::core::subject::Subject;
use machine::core::webhook::{Defaults, Origin, Plain, Profile, PutWebhook};
use simulated::StoreError;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::local::propose;
use super::model::{Model, Told, Who};
use super::replica::{ViewStore, loaded};
use super::{GRACE_MS, map};
use crate::hosts::Hosts;

/// How many users there are.
const USERS: u64 = 5;
/// The channels that they join.
const SUBJECTS: [&str; 2] = ["presence-a", "presence-b"];
/// How often the leader looks for nodes that are gone and for grace periods that are over.
const ROUND: Duration = Duration::from_millis(150);
/// A node that is silent for this long is gone (ms).
const GONE_AFTER_MS: u64 = 600;
/// The longest (virtual) time after healing until every node shows who is there.
const SETTLE: Duration = Duration::from_secs(10);

/// Creates the map, and a webhook that wants to know everything.
pub(crate) async fn prepare(hosts: &Hosts) {
    let token = NewToken {
        id: TokenId::from_bytes([1; 16]),
        name: String::new(),
        hash: [1; 32],
        scopes: Scopes::ALL,
        expires_ms: None,
        subjects: None,
    };
    let create = Command::CreateMap(CreateMap {
        id: map(),
        slug: None,
        name: "presence".to_owned(),
        limits: Limits::NONE,
        retention: Retention {
            events: None,
            age_seconds: None,
            bytes: None,
            webhook_backlog: Default::default(),
        },
        token,
        max_maps: 1,
    });
    let defaults =
        Defaults { timeout_ms: 1000, retry_attempts: None, retry_delay_ms: None, auto_disable_seconds: None };
    let id = WebhookId::from_bytes([1; 16]);
    let webhook = Plain::new(id, map(), Origin::Api, Profile::Pusher, &defaults).webhook;
    let put =
        Command::PutWebhook(Box::new(PutWebhook { by: None, webhook, revision: None, start_seq: None }));
    for command in [create, put] {
        // A repetition is refused, because it is there.
        while !matches!(
            lead(hosts, &command).await,
            Some(Reply::Map(_) | Reply::Webhook(_) | Reply::Refused(_))
        ) {
            sleep(ROUND).await;
        }
    }
}

/// Proposes a command at the leader.
async fn lead(hosts: &Hosts, command: &Command) -> Option<Reply> {
    let node = hosts.node(hosts.leader()?)?;
    propose(&node, command).await.ok().map(|(reply, _)| reply)
}

/// Starts the users, who end when `stop` is set, and the leader's care, which ends with the run.
pub(crate) fn start(hosts: &Arc<Hosts>, stop: &Arc<AtomicBool>, clients: &mut JoinSet<()>) {
    for user in 0..USERS {
        clients.spawn(come_and_go(hosts.clone(), stop.clone(), format!("user-{user}")));
    }
    tokio::spawn(care(hosts.clone()));
}

async fn come_and_go(hosts: Arc<Hosts>, stop: Arc<AtomicBool>, name: String) {
    let below = |n: usize| hosts.world.below(n as u64) as usize;
    while !stop.load(Ordering::Relaxed) {
        let local = hosts.local(below(hosts.plan.nodes));
        let Ok(subject) = Subject::parse(SUBJECTS[below(SUBJECTS.len())]) else { return };
        if let Some(local) = local {
            let member = Member { map: map(), subject: subject.clone(), name: name.as_str().into() };
            {
                let mut held = local.held();
                held.join(&member);
                held.occupy(&subject);
            }
            sleep(Duration::from_millis(below(900) as u64)).await;
            // Some are still there at the end.
            if stop.load(Ordering::Relaxed) && below(2) == 0 {
                return;
            }
            let mut held = local.held();
            held.leave(&member, if below(2) == 0 { 0 } else { GRACE_MS });
            held.vacate(&subject);
        }
        sleep(Duration::from_millis(1 + below(400) as u64)).await;
    }
}

/// Takes back what nodes hold that are gone, and ends grace periods, as the server's leader does.
async fn care(hosts: Arc<Hosts>) {
    let mut gone = BTreeSet::new();
    loop {
        sleep(ROUND).await;
        let Some(node) = hosts.leader().and_then(|host| hosts.node(host)) else { continue };
        let status = node.status();
        let holding = holders(&node);
        for member in status.members.iter().filter(|member| member.id != status.node_id) {
            let is_silent = !member.reachable && member.heard_ms.is_none_or(|ms| ms >= GONE_AFTER_MS);
            if !is_silent {
                gone.remove(&member.id);
            } else if (!gone.contains(&member.id) || holding.contains(&member.id))
                && propose(&node, &Command::NodeGone(member.id)).await.is_ok()
            {
                gone.insert(member.id);
            }
        }
        for id in holding.into_iter().filter(|id| status.member(*id).is_none()) {
            let _ = propose(&node, &Command::NodeGone(id)).await;
        }
        let _ = propose(&node, &Command::EndGraces).await;
    }
}

/// The nodes that hold something.
fn holders(node: &simulated::Cluster) -> Vec<u64> {
    let mut found = Vec::new();
    let (from, to) = keys::all(keys::HOLDERS);
    if let Ok(view) = node.reader().view() {
        let scanned = ViewStore(&view).scan(&from, &to, &mut |key, _| {
            found.extend(keys::node_of(key));
            true
        });
        if scanned.is_err() {
            found.clear();
        }
    }
    found
}

/// Checks after healing that every node shows what the living processes hold, and that what was told is what the
/// commands make.
pub(crate) async fn check(hosts: &Arc<Hosts>) {
    let held = |hosts: &Hosts| -> BTreeSet<Who> {
        let locals = (0..hosts.plan.nodes).filter_map(|host| hosts.local(host));
        let members = locals.flat_map(|local| local.held().members.keys().cloned().collect::<Vec<_>>());
        members.map(|member| (member.subject.to_string(), member.name.to_string())).collect()
    };
    let expected = held(hosts);
    let agree = |hosts: &Hosts| {
        let model = Model::after(&hosts.commands.all());
        let agrees = |host: usize| {
            hosts.local(host).is_some_and(|local| local.is_quiet())
                && shown(hosts, host).is_ok_and(|(members, told)| members == expected && told == model.told)
        };
        model.members() == expected && (0..hosts.plan.nodes).all(agrees)
    };
    if hosts.until(SETTLE, agree).await {
        return;
    }
    let model = Model::after(&hosts.commands.all());
    for host in 0..hosts.plan.nodes {
        match shown(hosts, host) {
            Ok((members, told)) => hosts.world.violation(format!(
                "invariant 12: the processes hold {expected:?}; the commands make {:?} and tell {:?}; \
                 host {host} shows {members:?} and tells {told:?}",
                model.members(),
                model.told
            )),
            Err(error) => hosts.world.violation(format!("invariant 11: host {host} cannot be read: {error}")),
        }
    }
}

/// The members that a host shows, and what was told of each channel.
fn shown(hosts: &Hosts, host: usize) -> Result<(BTreeSet<Who>, Told), StoreError> {
    let Some(node) = hosts.node(host) else { return Ok(Default::default()) };
    let view = node.reader().view()?;
    let state = loaded(&view)?;
    let members =
        state.all_members().map(|(_, subject, present)| (subject.to_string(), present.name.to_string()));
    let members = members.collect();
    let mut told = Told::new();
    let Some(topic) = state.access().map(map()).map(|map| map.topic) else { return Ok((members, told)) };
    let read = History::open(&ViewStore(&view), topic)
        .and_then(|history| history.read(0, Bounds { events: 100_000, bytes: 64 << 20 }));
    let page = read.map_err(|error| StoreError::Corrupt(error.to_string()))?;
    for event in page.events {
        let Some(channel) = event.subject.channel() else { continue };
        let kind =
            LifecycleKind::from_name(&event.kind).filter(|kind| *kind != LifecycleKind::SubscriptionCount);
        let payload: serde_json::Value = serde_json::from_slice(&event.payload).unwrap_or_default();
        let user = payload["user_id"].as_str().unwrap_or_default().to_owned();
        if let Some(kind) = kind {
            told.entry(channel.to_owned()).or_default().push((kind.name(), user));
        }
    }
    Ok((members, told))
}
