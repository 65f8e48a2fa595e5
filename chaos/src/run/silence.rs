//! A leader that falls silent: its process hangs, or its packets are dropped, and nothing is refused. Who
//! publishes at the other nodes must be answered by the next leader; so must those whose publishes were under
//! way.

use super::{Run, network};
use crate::history::{MAIN, Record};
use crate::load::Site;
use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use testkit::background::Background;
use testkit::cluster::ADMIN;
use testkit::http::{Answer, Api, text};

/// How many publishers each of the other nodes has.
const PUBLISHERS: usize = 2;
/// Their pause between two publishes.
const PACE: Duration = Duration::from_millis(10);
/// How long they publish before the silence.
const BEFORE: Duration = Duration::from_millis(500);
/// How long the other nodes may take to have a leader.
const LEADS: Duration = Duration::from_secs(30);
/// Longest wait for a node's status: it asks the silent node, too.
const STATUS: Duration = Duration::from_secs(10);
/// How often they are asked.
const LOOK: Duration = Duration::from_millis(50);
/// How long after that an answer may still say what was decided before.
const DECIDED: Duration = Duration::from_millis(500);

/// What a publisher was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Stored,
    Refused,
    /// It is unknown whether the event was stored, or there was no answer.
    Unknown,
}

/// One publish.
#[derive(Debug, Clone, Copy)]
struct Publish {
    asked: Instant,
    answered: Instant,
    outcome: Outcome,
}

/// The leader hangs, with its connections open, and continues.
pub fn hang_leader(run: &mut Run) -> Result<()> {
    let signal = |signal: Signal| move |run: &mut Run, leader: usize| run.signal(leader, signal);
    silent(run, "SIGSTOP", signal(Signal::STOP), signal(Signal::CONT))
}

/// The packets between the leader and the other nodes are dropped. Clients reach all nodes.
pub fn drop_leader(run: &mut Run) -> Result<()> {
    let block = |run: &mut Run, leader: usize| {
        let others = network::others(run, leader);
        run.net()?.block(others.into_iter().flat_map(|other| [(leader, other), (other, leader)]))
    };
    silent(run, "partition", block, |run, _| run.net()?.heal())
}

fn silent(
    run: &mut Run,
    fault: &str,
    fall: impl FnOnce(&mut Run, usize) -> Result<()>,
    rise: impl FnOnce(&mut Run, usize) -> Result<()>,
) -> Result<()> {
    run.settle()?;
    let leader = run.leader();
    let publishers = publishers(run, leader);
    run.rest(BEFORE)?;
    run.broken(fault, &[leader], true, "the leader");
    let begun = Instant::now();
    let led = fall(run, leader).and_then(|()| next_leader(run, leader));
    let rested = run.rest_between(1000, 6000);
    rise(run, leader)?;
    run.mended(fault, &[leader]);
    let publishes: Vec<Vec<Publish>> = publishers.into_iter().map(Background::stop).collect::<Result<_>>()?;
    match led {
        Ok(led) => {
            let silence = observed(&publishes, begun, led);
            println!("  {silence:?}");
            run.journal.note(silence);
        }
        Err(error) => run.journal.caught_up("the next leader", Err(error)),
    }
    rested
}

/// Starts publishers at all nodes but that one.
fn publishers(run: &mut Run, leader: usize) -> Vec<Background<Vec<Publish>>> {
    let round = run.dice.next();
    let nodes = network::others(run, leader);
    let all = nodes.into_iter().flat_map(|node| (0..PUBLISHERS).map(move |n| (node, n)));
    all.map(|(node, n)| {
        let site = run.load.site.clone();
        Background::start(move |stop| {
            Ok(publish_on(&site, node, &format!("silence-{round}-{node}-{n}"), stop))
        })
    })
    .collect()
}

fn publish_on(site: &Site, node: usize, name: &str, stop: &AtomicBool) -> Vec<Publish> {
    let mut publishes = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let asked = Instant::now();
        let outcome = publish(site, node, &format!("{name}-{}", publishes.len()));
        publishes.push(Publish { asked, answered: Instant::now(), outcome });
        std::thread::sleep(PACE);
    }
    publishes
}

/// Publishes once, and records it.
fn publish(site: &Site, node: usize, key: &str) -> Outcome {
    let (topic, key) = (MAIN.to_owned(), key.to_owned());
    let subject = String::new();
    site.journal.note(Record::Asked { topic: topic.clone(), key: key.clone(), subject, node });
    let body = json!({"type": "a", "payload": {"key": key, "n": 0}});
    let answer = site.api(node, &site.main.token).post_once(&site.main.events(), &key, &body);
    let outcome = match &answer {
        Ok(answer) if answer.code() != "unknown_outcome" => Outcome::Refused,
        Ok(_) | Err(_) => Outcome::Unknown,
    };
    match answer.and_then(stored) {
        Ok((id, seq)) => {
            site.journal.note(Record::Acked { topic, key, id, seq, node });
            Outcome::Stored
        }
        Err(error) => {
            site.journal.note(Record::Unknown { topic, key, node, why: format!("{error:#}") });
            outcome
        }
    }
}

fn stored(answer: Answer) -> Result<(String, u64)> {
    let data = answer.data(201)?;
    let seq = data["seq"].as_u64().with_context(|| format!("no seq in {data}"))?;
    Ok((text(&data, "id")?, seq))
}

/// Waits until another node leads. Returns when it was seen to.
fn next_leader(run: &mut Run, silent: usize) -> Result<Instant> {
    let begun = Instant::now();
    let others = network::others(run, silent);
    while begun.elapsed() < LEADS {
        let leads = |node: &usize| {
            let api = Api::new(&run.cluster.nodes[*node].url(), Some(ADMIN)).timeout(STATUS);
            let status = api.get("/api/cluster/status").and_then(|answer| answer.data(200));
            status.is_ok_and(|status| status["role"] == "leader")
        };
        if others.iter().any(leads) {
            return Ok(Instant::now());
        }
        run.rest(LOOK)?;
    }
    bail!("no other node leads after {LEADS:?}")
}

/// What publishers met from the silence on. `led` is when the next leader was seen.
fn observed(publishes: &[Vec<Publish>], begun: Instant, led: Instant) -> Record {
    let answered = |publish: &&Publish| publish.answered > begun;
    let unknown =
        |publish: &&Publish| publish.outcome == Outcome::Unknown && publish.answered > led + DECIDED;
    // For each publisher: its first acknowledgement of an event that it sent into the silence.
    let next = |of: &Vec<Publish>| {
        let stored = of.iter().find(|one| one.asked > begun && one.outcome == Outcome::Stored);
        stored.map(|one| u64::try_from((one.answered - begun).as_millis()).unwrap_or(u64::MAX))
    };
    let count = |is: &dyn Fn(&&Publish) -> bool| publishes.iter().flatten().filter(is).count() as u64;
    Record::Silence {
        answered: count(&answered),
        unknown: count(&unknown),
        next_ms: publishes
            .iter()
            .map(next)
            .collect::<Option<Vec<u64>>>()
            .and_then(|all| all.into_iter().max()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_after_the_next_leader_stands_counts_and_the_slowest_publisher_decides() {
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        let publish =
            |asked, answered, outcome| Publish { asked: at(asked), answered: at(answered), outcome };
        let publishes = [
            vec![
                publish(0, 90, Outcome::Stored),
                publish(95, 2100, Outcome::Unknown),
                publish(2110, 2150, Outcome::Stored),
            ],
            vec![publish(99, 1300, Outcome::Unknown), publish(1310, 1700, Outcome::Refused)],
        ];
        let begun = at(100);
        let met = |publishes: &[Vec<Publish>]| observed(publishes, begun, at(1500));
        let nobody = Record::Silence { answered: 4, unknown: 1, next_ms: None };
        assert_eq!(met(&publishes), nobody, "the second publisher got no acknowledgement");
        let first = Record::Silence { answered: 2, unknown: 1, next_ms: Some(2050) };
        assert_eq!(met(&publishes[..1]), first);
    }
}
