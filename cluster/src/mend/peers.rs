//! What a node that repairs its data asks its peers.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;

use super::serve::blocking;
use crate::error::StoreError;
use crate::net::{Lane, Peers};
use crate::store::{Incoming, Received, chunk_crc};
use crate::types::Entry;
use crate::wire::{Answer, EndV1, Records, Request, StoredLogId, StoredPayload, WireEntry};
use crate::{FIRST_GROUP, NodeId};

/// Longest that one request may take.
const ASK: Duration = Duration::from_secs(10);
/// Most bytes of entries that are fetched at a time, and held in memory. Whoever lacks more gets the state.
const MOST: usize = 64 * 1024 * 1024;

/// What came of asking a peer for entries.
#[derive(Debug)]
pub(super) enum Fetched {
    /// All that were asked for.
    Entries(Vec<Entry>),
    /// Its log does not hold the last of them.
    Lacks,
    /// It has the state instead, or they are too many.
    StateInstead,
    /// No answer, or its log is damaged there too.
    Nothing,
}

/// The members that this node knows.
pub(super) struct Others {
    peers: Arc<Peers>,
    ids: Vec<NodeId>,
}

impl Others {
    pub(super) fn new(peers: Arc<Peers>) -> Self {
        let ids = peers.known().into_iter().map(|known| known.id).collect();
        Self { peers, ids }
    }

    /// How many they are.
    pub(super) fn count(&self) -> usize {
        self.ids.len()
    }

    async fn ask(&self, id: NodeId, request: &Request) -> Option<Answer> {
        match self.peers.link(id, Lane::Bulk).ask(FIRST_GROUP, request, ASK).await {
            Ok(answer) => Some(answer),
            Err(error) => {
                tracing::debug!(id, %error, "no answer from a member");
                None
            }
        }
    }

    /// Where the log of each of them ends; of those that answer.
    pub(super) async fn ends(&self) -> Vec<(NodeId, EndV1)> {
        let request = Request::EndV1;
        let asked = join_all(self.ids.iter().map(|id| self.ask(*id, &request))).await;
        let end = |(id, answer): (&NodeId, Option<Answer>)| match answer? {
            Answer::EndV1(end) => Some((*id, end)),
            _ => None,
        };
        self.ids.iter().zip(asked).filter_map(end).collect()
    }

    /// The entries from `from` to `upto` of a log that holds `upto`.
    pub(super) async fn entries(&self, id: NodeId, from: u64, upto: StoredLogId) -> Fetched {
        let mut entries = Vec::new();
        let mut bytes = 0;
        let mut next = from;
        while next <= upto.index {
            let sent = match self.ask(id, &Request::RecordsV1 { from: next, upto }).await {
                Some(Answer::RecordsV1(Records::Held(sent))) if !sent.is_empty() => sent,
                Some(Answer::RecordsV1(Records::Lacks)) => return Fetched::Lacks,
                Some(Answer::RecordsV1(Records::Purged)) => return Fetched::StateInstead,
                _ => return Fetched::Nothing,
            };
            for wire in sent {
                bytes += wire.content.len();
                let Some(entry) = entry(wire, next, upto) else { return Fetched::Nothing };
                entries.push(entry);
                next += 1;
            }
            if bytes > MOST {
                return Fetched::StateInstead;
            }
        }
        match entries.last() {
            Some(last) if StoredLogId::from(&last.log_id) == upto => Fetched::Entries(entries),
            _ => Fetched::Nothing,
        }
    }

    /// The applied state of that peer, complete and durable in a file in `dir`.
    pub(super) async fn state(&self, id: NodeId, dir: &Path) -> Result<Received, StoreError> {
        let odd = || StoreError::Io("an answer that does not match the request".to_owned());
        let mut incoming: Option<Box<Incoming>> = None;
        let mut after = None;
        let mut chunks = 0;
        let mut count = 0;
        loop {
            let request = Request::StateV1 { after };
            let answer = self.ask(id, &request).await.ok_or_else(odd)?;
            let Answer::StateV1 { state, crc, pairs, is_last } = answer else { return Err(odd()) };
            if crc != chunk_crc(&pairs) {
                return Err(StoreError::corrupt("a chunk of a state is damaged"));
            }
            after = pairs.last().map(|pair| pair.key.clone());
            count += pairs.len() as u64;
            let dir = dir.to_owned();
            let filled = incoming.take();
            let number = chunks;
            let filled = blocking(move || {
                let mut filled = match filled {
                    Some(filled) => filled,
                    None => Box::new(Incoming::begin(&dir, state)?),
                };
                if !pairs.is_empty() {
                    filled.chunk(number, crc, &pairs)?;
                }
                Ok(filled)
            })
            .await?;
            chunks += u64::from(after.is_some());
            if is_last || after.is_none() {
                return blocking(move || filled.finish(chunks, count)).await;
            }
            incoming = Some(filled);
        }
    }
}

/// An entry that was sent, if it is the one that is due.
fn entry(wire: WireEntry, index: u64, upto: StoredLogId) -> Option<Entry> {
    let is_due = wire.id.index == index && index <= upto.index && wire.id <= upto;
    let payload = StoredPayload::from_parts(wire.kind, wire.content).ok()?;
    is_due.then(|| Entry { log_id: wire.id.into(), payload: payload.0 })
}
