//! Finds the node that hands out a consumer's events, and asks it: directly, or over the peers.
//!
//! Reads and answers have lanes of their own between two nodes. A map has a quarter of each.

use super::Consumers;
use super::bounds::{READS, SAYS, too_many};
use super::got::{Got, Return};
use crate::core::consumer::reading::{AckId, Answers, Handed, Wish};
use crate::core::ids::{NodeId, WebhookId};
use crate::core::limits::LimitName;
use crate::core::webhook::Webhook;
use crate::delivery::webhook::ReadError;
use crate::edge::context::Edge;
use crate::edge::error::ApiError;
use crate::edge::webhooks::no_consumer;
use crate::hub::{Lane, PeerError, PeerRequest};
use crate::metric;
use actix_web::web::Data;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

/// How long a reader waits for the consumer to have an owner, whatever it asks for.
const OWNER_WAIT: Duration = Duration::from_secs(2);
/// The pause before the owner is looked up again. Each is twice as long as the one before, up to the longest:
/// while a consumer moves, all its readers ask.
const OWNER_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_OWNER_PAUSE: Duration = Duration::from_millis(400);
/// How much longer than the reader another node may take.
const MARGIN: Duration = Duration::from_secs(5);
/// How long a report to the cluster may take.
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// Asks the owner for events.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct ReadHere {
    consumer: WebhookId,
    wish: Wish,
}

impl PeerRequest for ReadHere {
    type Answer = Result<Vec<Handed>, ReadError>;
    const KIND: u16 = 110;
    const LANE: Lane = Lane::large(READS, 0);
}

/// Tells the owner what a reader has done.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct SayHere {
    consumer: WebhookId,
    answers: Answers,
}

impl PeerRequest for SayHere {
    type Answer = Result<Vec<u64>, ReadError>;
    const KIND: u16 = 111;
    const LANE: Lane = Lane::large(SAYS, 0);
}

/// Answers requests that other nodes pass on to this one.
pub(super) fn serve(edge: &Data<Edge>) {
    let weak = Arc::downgrade(edge);
    edge.hub.peers().serve_here(move |_, ReadHere { consumer, wish }| {
        let edge = weak.upgrade();
        async move {
            match edge {
                Some(edge) => edge.webhooks.read(consumer, wish).await,
                None => Err(ReadError::Elsewhere),
            }
        }
    });
    let weak = Arc::downgrade(edge);
    edge.hub.peers().serve_here(move |_, SayHere { consumer, answers }| {
        let edge = weak.upgrade();
        async move {
            match edge {
                Some(edge) => edge.webhooks.answer(consumer, answers).await,
                None => Err(ReadError::Elsewhere),
            }
        }
    });
}

/// Gives events back that no client gets, as long as the node runs. Where that fails, they come again when
/// their visibility ends.
pub(super) fn take_back(edge: &Data<Edge>, consumers: &Data<Consumers>, mut back: mpsc::Receiver<Return>) {
    let edge = Arc::downgrade(edge);
    let consumers = Arc::downgrade(consumers);
    actix_rt::spawn(async move {
        while let Some(Return { consumer, ids }) = back.recv().await {
            let (Some(edge), Some(consumers)) = (edge.upgrade(), consumers.upgrade()) else { return };
            actix_rt::spawn(async move {
                if let Err(error) = say(&edge, &consumers, &consumer, &ids, Word::Returned).await {
                    tracing::debug!(consumer = %consumer.id, %error, "events can't be given back");
                }
            });
        }
    });
}

/// Reads events of a consumer, wherever its owner is. Where the owner changes meanwhile, the next one is asked.
pub(super) async fn read(
    edge: &Edge,
    consumers: &Consumers,
    consumer: &Arc<Webhook>,
    mut wish: Wish,
) -> Result<Got, ApiError> {
    let began = Instant::now();
    let until = began + Duration::from_millis(wish.wait_ms);
    let patience = until.max(began + OWNER_WAIT);
    let mut pause = OWNER_PAUSE;
    loop {
        match ask(edge, consumers, consumer, wish).await {
            Ok(got) => return Ok(got),
            Err(ReadError::TooManyReaders(limit)) => return Err(too_many(limit as usize)),
            Err(ReadError::Elsewhere) => {}
        }
        let now = Instant::now();
        if now >= patience {
            return Err(ApiError::unavailable("no node hands out the consumer's events at the moment"));
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_OWNER_PAUSE);
        check_exists(edge, consumer)?;
        wish.wait_ms = u64::try_from(until.saturating_duration_since(now).as_millis()).unwrap_or(0);
    }
}

/// 404 if the consumer was deleted.
fn check_exists(edge: &Edge, consumer: &Webhook) -> Result<(), ApiError> {
    let directory = edge.hub.webhooks().directory();
    let known = directory.get(consumer.id).is_some_and(|known| known.born == consumer.born);
    if known { Ok(()) } else { Err(no_consumer()) }
}

async fn ask(
    edge: &Edge,
    consumers: &Consumers,
    consumer: &Arc<Webhook>,
    wish: Wish,
) -> Result<Got, ReadError> {
    let owner = edge.hub.webhooks().directory().owners().owner_of(consumer.id);
    let owner = owner.ok_or(ReadError::Elsewhere)?;
    let within = Duration::from_millis(wish.wait_ms) + MARGIN;
    if owner == edge.hub.node_id() {
        let read = edge.webhooks.read(consumer.id, wish);
        let handed = timeout(within, read).await.unwrap_or(Err(ReadError::Elsewhere))?;
        return Ok(consumers.returns.got(consumer, handed));
    }
    let Some(share) = consumers.bounds.pass_read(consumer.map) else {
        return Err(ReadError::TooManyReaders(READS as u32));
    };
    metrics::counter!(metric::CONSUMER_RELAYED).increment(1);
    let (peers, returns, of) = (edge.hub.peers().clone(), consumers.returns.clone(), consumer.clone());
    let (answer, answered) = oneshot::channel();
    // The owner does not learn that a reader of another node has gone. So its answer is waited for in any
    // case, and counts as under way for as long: what nobody takes is given back.
    actix_rt::spawn(async move {
        let request = ReadHere { consumer: of.id, wish };
        let told = peers.ask(owner, &request, within).await;
        drop(share);
        let told = told.map(|told| told.map(|handed| returns.got(&of, handed)));
        drop(answer.send(told));
    });
    match answered.await {
        Ok(Ok(told)) => told,
        Ok(Err(PeerError::Busy | PeerError::NotAsked)) => Err(ReadError::TooManyReaders(READS as u32)),
        Ok(Err(error)) => {
            let node = edge.hub.peers().called(owner);
            tracing::debug!(node, %error, "a reader's request can't be passed on");
            Err(ReadError::Elsewhere)
        }
        Err(_) => Err(ReadError::Elsewhere),
    }
}

/// What a reader says of each event.
#[derive(Clone, Copy, Debug)]
pub(super) enum Word {
    Acknowledged,
    /// To be handed over again: after so many milliseconds, or as the schedule says.
    Refused(Option<u64>),
    /// Kept for so many milliseconds from now on.
    Extended(u64),
    /// Handed over to nobody after all.
    Returned,
}

/// Passes on to the owners what a reader says of these events. Returns the ids that are not known: an owner
/// knows those that it handed over and that have not been settled since. All others are stored in a majority
/// of the cluster.
pub(super) async fn say(
    edge: &Edge,
    consumers: &Consumers,
    consumer: &Webhook,
    ids: &[AckId],
    word: Word,
) -> Result<Vec<AckId>, ApiError> {
    let are_current = || {
        let directory = edge.hub.webhooks().directory();
        let nodes = &directory.owners().nodes;
        ids.iter().all(|id| nodes.get(&id.node) == Some(&id.incarnation))
    };
    // An owner may have begun a moment ago.
    if !are_current() && edge.hub.log().barrier().await.is_err() {
        return Err(uncertain());
    }
    let mut unknown = Vec::new();
    let mut of_owners: BTreeMap<(NodeId, u64), Answers> = BTreeMap::new();
    {
        let directory = edge.hub.webhooks().directory();
        let nodes = &directory.owners().nodes;
        for id in ids {
            // An id of a process that delivers nothing any more costs no request.
            if nodes.get(&id.node) == Some(&id.incarnation) {
                let answers = of_owners.entry((id.node, id.incarnation)).or_default();
                add(answers, id.loan, word);
            } else {
                unknown.push(*id);
            }
        }
    }
    for ((node, incarnation), answers) in of_owners {
        let answers = Answers { incarnation, ..answers };
        let loans = tell(edge, consumers, consumer, node, answers).await?;
        unknown.extend(loans.into_iter().map(|loan| AckId { node, incarnation, loan }));
    }
    Ok(unknown)
}

fn add(answers: &mut Answers, loan: u64, word: Word) {
    match word {
        Word::Acknowledged => answers.acknowledged.push(loan),
        Word::Refused(after_ms) => answers.refused.push((loan, after_ms)),
        Word::Extended(ms) => answers.extended.push((loan, ms)),
        Word::Returned => answers.returned.push(loan),
    }
}

async fn tell(
    edge: &Edge,
    consumers: &Consumers,
    consumer: &Webhook,
    node: NodeId,
    answers: Answers,
) -> Result<Vec<u64>, ApiError> {
    if node == edge.hub.node_id() {
        let answered = timeout(ANSWER_TIME, edge.webhooks.answer(consumer.id, answers)).await;
        return answered.unwrap_or(Err(ReadError::Elsewhere)).map_err(|_| uncertain());
    }
    let busy = || {
        ApiError::unavailable("too many requests are under way to the node that runs the consumer")
            .of_limit(LimitName::Fixed, SAYS as u64)
    };
    let Some(_share) = consumers.bounds.pass_said(consumer.map) else { return Err(busy()) };
    metrics::counter!(metric::CONSUMER_RELAYED).increment(1);
    let request = SayHere { consumer: consumer.id, answers };
    match edge.hub.peers().ask(node, &request, ANSWER_TIME).await {
        Ok(told) => told.map_err(|_| uncertain()),
        Err(PeerError::Busy | PeerError::NotAsked) => Err(busy()),
        Err(error) => {
            let node = edge.hub.peers().called(node);
            tracing::debug!(node, %error, "what a reader says can't be passed on");
            Err(uncertain())
        }
    }
}

/// 503: nobody knows whether the cluster has it.
fn uncertain() -> ApiError {
    ApiError::unavailable("the node that runs the consumer did not answer, so the request may count or not")
        .hint(
            "send it again; the ids that are unknown then are settled, or their events are handed over again",
        )
}
