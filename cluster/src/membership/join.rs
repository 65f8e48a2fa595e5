//! How an empty data directory becomes a node: it starts a cluster of its own, asks a cluster for an id, or
//! founds a cluster together with other newcomers. The node becomes a member once it runs and announces
//! itself.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::sleep;

use super::desk::Desk;
use super::founding::Step;
use super::waiting::{Heard, Reported, reason};
use crate::config::WaitHook;
use crate::error::StartError;
use crate::identity::{Layout, fresh_cluster_id, shown};
use crate::net::{Lane, LinkError, Listener, Secure, Shown, ask_at, dial};
use crate::os;
use crate::types::Member;
use crate::wire::{Answer, Greeted, Hello, IdentityV1, JoinReply, NewcomerV1, Request};

/// Longest that the request for an id may take.
const ASK: Duration = Duration::from_secs(10);
/// Longest that a greeting may take.
const GREET: Duration = Duration::from_secs(3);
/// The first pause between two rounds of greetings; the pause doubles up to [`LONGEST_PAUSE`].
const PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between two rounds of greetings.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Most addresses that a newcomer greets.
const MOST_ADDRS: usize = 64;

/// The identity of the first node of a new cluster.
pub(crate) fn alone() -> io::Result<IdentityV1> {
    let cluster_id = fresh_cluster_id()?;
    tracing::info!(cluster = shown(&cluster_id), "a new cluster");
    Ok(IdentityV1 { cluster_id, node_id: 1, ..IdentityV1::default() })
}

/// A node with an empty data directory that looks for a cluster.
pub(crate) struct Newcomer<'a> {
    pub(crate) secure: &'a Arc<Secure>,
    pub(crate) listener: &'a Listener,
    pub(crate) layout: &'a Layout,
    pub(crate) member: &'a Member,
    /// The names (`host:port`) that it greets.
    pub(crate) join: &'a [String],
    /// How many newcomers found a cluster together; 0 = this one founds none.
    pub(crate) expect: u32,
    /// Whether its data directory belonged to a cluster.
    pub(crate) belonged: bool,
    pub(crate) on_waiting: Option<&'a WaitHook>,
}

impl Newcomer<'_> {
    /// Greets the other nodes until a member gives an id, or until this newcomer is to found the cluster.
    /// Meanwhile it answers the greetings of others at the peer port.
    pub(crate) async fn look(&self) -> Result<IdentityV1, StartError> {
        let mut own = match self.layout.read_newcomer()? {
            Some(own) => own,
            None => NewcomerV1 { id: fresh_id()?, ..NewcomerV1::default() },
        };
        own.addr.clone_from(&self.member.peer_addr);
        own.expect = self.expect;
        self.layout.write_newcomer(&own)?;
        let desk = Arc::new(Desk::new(own, self.layout.clone()));
        let answering = self.listener.clone().run(self.secure.clone(), desk.clone());
        tokio::select! {
            identity = self.rounds(&desk) => identity,
            () = answering => Err(io::Error::other("the peer port was closed").into()),
        }
    }

    async fn rounds(&self, desk: &Desk) -> Result<IdentityV1, StartError> {
        let mut reported = Reported::default();
        let mut pause = PAUSE;
        loop {
            let began = desk.own();
            let heard = self.greet_all(&began).await;
            for (addr, _) in heard.iter().filter(|(_, heard)| heard.may_give_an_id()) {
                if let Some(identity) = ask_following(self.secure, addr, self.member).await? {
                    return Ok(identity);
                }
            }
            let newcomers: Vec<NewcomerV1> =
                heard.iter().filter_map(|(_, heard)| heard.newcomer().cloned()).collect();
            let has_cluster = heard.iter().any(|(_, heard)| heard.may_give_an_id());
            let step = match has_cluster {
                true => Step::Wait,
                false => desk.after_round(&began, &newcomers)?,
            };
            match step {
                Step::Found => {
                    tracing::info!(with = newcomers.len(), "all have agreed: this node founds the cluster");
                    return Ok(alone()?);
                }
                Step::Changed => pause = PAUSE,
                Step::Wait => {
                    reported.report(reason(&desk.own(), &heard, self.belonged), self.on_waiting);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
            sleep(pause).await;
        }
    }

    /// Greets every address of every name, all at the same time.
    async fn greet_all(&self, own: &NewcomerV1) -> Vec<(String, Heard)> {
        let found = join_all(self.join.iter().map(|name| dial::addresses(name))).await;
        let mut unknown = Vec::new();
        let mut addrs = BTreeSet::new();
        for (name, found) in self.join.iter().zip(found) {
            match found {
                Ok(found) => addrs.extend(found.iter().map(ToString::to_string)),
                Err(error) => unknown.push((name.clone(), Heard::Nothing(error.to_string()))),
            }
        }
        let addrs: Vec<String> = addrs.into_iter().take(MOST_ADDRS).collect();
        let heard = join_all(addrs.iter().map(|addr| self.greet(addr, own))).await;
        addrs.into_iter().zip(heard).chain(unknown).collect()
    }

    async fn greet(&self, addr: &str, own: &NewcomerV1) -> Heard {
        let request = Request::GreetV1(own.clone());
        match ask(self.secure, addr, self.member, &request, GREET).await {
            Ok(Answer::GreetedV1(Greeted::Member)) => Heard::Member,
            Ok(Answer::GreetedV1(Greeted::Newcomer(other))) if other.id == own.id => Heard::Itself,
            Ok(Answer::GreetedV1(Greeted::Newcomer(other))) => Heard::Newcomer(other),
            Ok(_) => Heard::Nothing("an answer that does not match the greeting".to_owned()),
            // An older release closes the connection, because it does not know greetings.
            Err(LinkError::Lost) => Heard::OlderRelease,
            Err(error) => Heard::Nothing(error.to_string()),
        }
    }
}

/// Asks at `addr` for an id, and at the leader's address if `addr` is not the leader.
async fn ask_following(
    secure: &Secure,
    addr: &str,
    member: &Member,
) -> Result<Option<IdentityV1>, StartError> {
    let request = Request::NewIdV1 { member: member.into() };
    let mut addr = addr.to_owned();
    for _ in 0..3 {
        let answer = match ask(secure, &addr, member, &request, ASK).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::info!(addr, %error, "cannot reach this member");
                return Ok(None);
            }
        };
        match answer {
            Answer::JoinV1(JoinReply::Id { cluster_id, id, peers }) => {
                tracing::info!(cluster = shown(&cluster_id), id, "got a node id");
                return Ok(Some(IdentityV1 { cluster_id, node_id: id, peers, ..IdentityV1::default() }));
            }
            Answer::JoinV1(JoinReply::Elsewhere { addr: leader }) if !leader.is_empty() => addr = leader,
            Answer::JoinV1(JoinReply::Refused { reason }) => {
                return Err(StartError::Refused(reason));
            }
            _ => return Ok(None),
        }
    }
    Ok(None)
}

/// Sends a request of a newcomer to whatever node is at `addr`. A node that lacks the key of this newcomer's
/// cluster, or a certificate of its authorities, is not believed.
async fn ask(
    secure: &Secure,
    addr: &str,
    member: &Member,
    request: &Request,
    limit: Duration,
) -> Result<Answer, LinkError> {
    let from_addr = member.peer_addr.clone();
    let lane = Lane::Work.number();
    let hello = Hello { cluster_id: [0; 16], from: 0, to: 0, from_addr, lane };
    ask_at(secure, addr, &hello, |shown: &Shown| shown.admission.is_ok(), request, limit).await
}

fn fresh_id() -> io::Result<[u8; 16]> {
    let mut id = [0; 16];
    os::random(&mut id)?;
    Ok(id)
}
