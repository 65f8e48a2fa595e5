//! The peer port of a node that repairs its data. It gives others what is whole of its log, and takes no part
//! in anything else: it neither votes nor counts.

use std::io;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::serve::held;
use super::{Patch, shared};
use crate::net::{Asker, Caller, Peers, Service, Shown, Standing};
use crate::types::Entry;
use crate::wire::{
    Answer, EndV1, Greeted, JoinReply, ProcessV1, Records, Request, StoredLogId, StoredPayload,
};
use crate::{FIRST_GROUP, GroupId};

/// Most bytes of entries in one answer, if there are several …
const ANSWER: usize = 1024 * 1024;
/// … and most entries.
const ANSWERED: usize = 1024;

pub(super) struct Desk {
    pub(super) peers: Arc<Peers>,
    pub(super) patch: Arc<Patch>,
    /// The run of this process: a random number.
    pub(super) incarnation: u64,
}

impl Desk {
    fn records(&self, from: u64, upto: StoredLogId) -> io::Result<Records> {
        let ids: Vec<StoredLogId> = {
            let broken = shared(&self.patch.broken);
            if broken.purged.is_some_and(|purged| from <= purged.index) {
                return Ok(Records::Purged);
            }
            match broken.id(upto.index) {
                Some(id) if id == upto && from <= upto.index => {}
                None if !broken.end_is_sure()
                    || broken.last().is_some_and(|last| last.index > upto.index) =>
                {
                    return Ok(Records::Damaged);
                }
                _ => return Ok(Records::Lacks),
            }
            if !broken.is_whole(from, upto.index) {
                return Ok(Records::Damaged);
            }
            (from..=upto.index).map_while(|index| broken.id(index)).take(ANSWERED).collect()
        };
        let mut entries: Vec<Entry> = Vec::new();
        let mut bytes = 0;
        for id in ids {
            let entry = self.patch.entry(id)?;
            bytes += StoredPayload(entry.payload.clone()).size() + 64;
            if !entries.is_empty() && bytes > ANSWER {
                break;
            }
            entries.push(entry);
        }
        held(&entries)
    }

    fn process(&self) -> ProcessV1 {
        let me = self.peers.me();
        ProcessV1 { cluster_id: me.cluster_id, id: me.node_id, incarnation: self.incarnation }
    }

    fn end(&self) -> EndV1 {
        let broken = shared(&self.patch.broken);
        // A store that was just fetched, or installed, may be ahead of the log.
        let last = broken.last().max(broken.applied).max(broken.purged);
        EndV1 { leads: false, last, is_sure: broken.end_is_sure(), applied: 0 }
    }
}

impl Service for Desk {
    type Session = ();

    fn admit(&self, caller: &Caller) -> Result<(), String> {
        let me = self.peers.me();
        let hello = &caller.hello;
        if hello.to != 0 && (hello.to != me.node_id || hello.cluster_id != me.cluster_id) {
            return Err("this is a node of another cluster, or another node".to_owned());
        }
        match self.standing(&caller.shown) {
            Standing::Member(id) | Standing::Introduced(id) if id == hello.from => Ok(()),
            Standing::Guest if hello.to == 0 => Ok(()),
            _ => Err(format!("node {} is no member that this node knows", hello.from)),
        }
    }

    fn standing(&self, shown: &Shown) -> Standing {
        match self.peers.id_of(shown.identity) {
            Some(id) => Standing::Member(id),
            None if shown.admission.is_ok() => Standing::Guest,
            None => Standing::Stranger,
        }
    }

    async fn expelled(&self, _: &Shown) {
        std::future::pending().await
    }

    fn has_group(&self, group: GroupId) -> bool {
        group == FIRST_GROUP
    }

    async fn begin(self: &Arc<Self>, _: Asker, request: Request) -> BoxFuture<'static, Answer> {
        let failed = |reason: String| Answer::FailedV1 { reason };
        let answer = match request {
            Request::RecordsV1 { from, upto } => match self.records(from, upto) {
                Ok(records) => Answer::RecordsV1(records),
                Err(error) => failed(error.to_string()),
            },
            Request::EndV1 => Answer::EndV1(self.end()),
            // A copy of the data directory must not take this node's place meanwhile.
            Request::WhoV1 => Answer::WhoV1(self.process()),
            // A newcomer must not found another cluster.
            Request::GreetV1(_) => Answer::GreetedV1(Greeted::Member),
            Request::NewIdV1 { .. } | Request::AnnounceV1(_) => {
                Answer::JoinV1(JoinReply::Elsewhere { addr: String::new() })
            }
            _ => failed("this node repairs its data".to_owned()),
        };
        Box::pin(std::future::ready(answer))
    }

    async fn in_session(self: &Arc<Self>, _: &mut (), request: Request) -> Result<Answer, Request> {
        Err(request)
    }
}
