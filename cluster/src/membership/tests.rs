//! Tests with real nodes in one process that need more than the public handle.
#![allow(clippy::unwrap_used, clippy::panic)]

mod lead;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::ChangeMembers;
use tokio::time::{Instant, sleep};

use super::Members;
use crate::catchup::CatchUp;
use crate::disk_budget::Progress;
use crate::error::StoreError;
use crate::identity_key::PublicKey;
use crate::introduction::introduced;
use crate::machine::{ApplyContext, Load, NoHandler, StateMachine};
use crate::older::{OlderData, counted_for};
use crate::store::{Txn, View};
use crate::types::Member;
use crate::wire::{Announce, JoinReply};
use crate::{Cluster, Config, NodeId, Operation};

struct Nothing;

impl StateMachine for Nothing {
    fn load(&mut self, _: &View, _: Load) -> Result<(), StoreError> {
        Ok(())
    }
    fn apply(&mut self, _: &mut ApplyContext, _: &Bytes, _: &mut Txn<'_>) -> Result<Vec<u8>, StoreError> {
        Ok(Vec::new())
    }
    fn committed(&mut self, _: u64) {}
}

fn config(dir: &Path, join: &[&Cluster], role_learner: bool) -> Config {
    Config {
        data_dir: dir.to_owned(),
        peer_addr: "127.0.0.1:0".parse().unwrap(),
        join: join.iter().map(|node| node.peer_addr().to_owned()).collect(),
        role_learner,
        disk_reserve: 1 << 20,
        abort_on_fatal: false,
        ..Config::default()
    }
}

async fn start(dir: &Path, join: &[&Cluster], role_learner: bool) -> Cluster {
    Cluster::start(config(dir, join, role_learner), Nothing, Arc::new(NoHandler)).await.unwrap()
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < end, "not in time: {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

fn voters(node: &Cluster) -> Vec<NodeId> {
    node.status().members.iter().filter(|member| member.voter).map(|member| member.id).collect()
}

fn members(node: &Cluster) -> &Members {
    &node.node().tools.operations.members
}

fn older(node: &Cluster) -> OlderData {
    let engine = node.node().engine.clone();
    let tools = &node.node().tools;
    OlderData::new(
        engine,
        tools.housekeeping.log.clone(),
        tools.identity.layout().clone(),
        tools.fatal.clone(),
    )
}

fn says(node: &Cluster, peer_addr: &str, id: NodeId, join: bool) -> Announce {
    let member = Member { peer_addr: peer_addr.to_owned(), ..node.node().tools.identity.member().clone() };
    Announce { id, member: (&member).into(), join }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_node_takes_the_address_of_a_living_member() {
    let dir = tempfile::tempdir().unwrap();
    let first = start(&dir.path().join("1"), &[], false).await;
    let second = start(&dir.path().join("2"), &[&first], false).await;
    let third = start(&dir.path().join("3"), &[&first], false).await;
    // Before the change is complete, a majority of the voters before it is needed as well.
    let votes = |node: &&Cluster| voters(node).len() == 3 && !node.status().changing;
    until("all vote", || [&first, &second, &third].iter().all(votes)).await;
    let mut nodes = vec![first, second, third];
    until("one leads", || nodes.iter().any(|node| node.status().is_leader())).await;
    let at = nodes.iter().position(|node| node.status().is_leader()).unwrap();
    let leader = nodes.swap_remove(at);
    let lead = members(&leader);
    let victim = &nodes[0];
    let other = &nodes[1];
    let addr = victim.peer_addr();

    let newcomer = Member { peer_addr: addr.to_owned(), ..Member::default() };
    let stranger = PublicKey([9; 32]);
    let JoinReply::Refused { reason } = lead.new_id(newcomer, stranger).await else {
        panic!("an id for a taken address")
    };
    assert!(reason.contains(&format!("node {} lives at that address", victim.node_id())), "{reason}");
    let elsewhere = Member { peer_addr: "127.0.0.1:1".to_owned(), ..Member::default() };
    let JoinReply::Id { id, .. } = lead.new_id(elsewhere, stranger).await else { panic!("no id") };
    let reply = lead.announced(says(victim, addr, id, true), stranger).await;
    assert!(matches!(reply, JoinReply::Refused { .. }), "{reply:?}");
    let moved = lead.announced(says(other, addr, other.node_id(), false), identity(other)).await;
    assert!(matches!(moved, JoinReply::NotNow { .. }), "{moved:?}");
    let own = lead.announced(says(other, leader.peer_addr(), id, true), stranger).await;
    assert!(matches!(own, JoinReply::Refused { .. }), "{own:?}");
    assert_eq!(voters(&leader).len(), 3);

    // A dead node may be replaced, but not while another voter is away too: then the change could never be
    // committed.
    nodes[0].shutdown().await;
    nodes[1].shutdown().await;
    let reply = lead.announced(says(&nodes[0], nodes[0].peer_addr(), id, true), stranger).await;
    assert!(matches!(reply, JoinReply::NotNow { .. } | JoinReply::Elsewhere { .. }), "{reply:?}");
    assert_eq!(
        leader.node().engine.metrics().membership_config.membership().get_joint_config().len(),
        1,
        "a change was begun"
    );
}

fn identity(node: &Cluster) -> PublicKey {
    node.node().engine.peers().secure().identity()
}

/// The reason, if it is a refusal.
fn refused(reply: JoinReply) -> String {
    match reply {
        JoinReply::Refused { reason } => reason,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_belongs_to_one_identity_and_never_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let leader = start(&dir.path().join("1"), &[], false).await;
    let learner = start(&dir.path().join("2"), &[&leader], true).await;
    let lead = members(&leader);
    let id = learner.node_id();
    let addr = learner.peer_addr();
    until("it is a member", || leader.status().member(id).is_some()).await;
    let pinned = leader.status().member(id).unwrap().identity.clone();
    assert_eq!(pinned, Some(identity(&learner).to_string()));

    // Neither a member's id nor an id that another node got can be taken.
    let stranger = PublicKey([9; 32]);
    for join in [false, true] {
        for taken in [id, leader.node_id()] {
            let reason = refused(lead.announced(says(&learner, addr, taken, join), stranger).await);
            assert!(reason.contains("has another identity"), "{reason}");
        }
    }
    let elsewhere = Member { peer_addr: "127.0.0.1:1".to_owned(), ..Member::default() };
    let JoinReply::Id { id: other, peers, .. } = lead.new_id(elsewhere, stranger).await else {
        panic!("no id")
    };
    assert!(peers.iter().any(|known| known.identity == identity(&leader).0));
    let thief = PublicKey([8; 32]);
    let reason = refused(lead.announced(says(&learner, "127.0.0.1:1", other, true), thief).await);
    assert!(reason.contains("no node of this identity"), "{reason}");

    // A removed node does not come back under its id, whatever it says.
    leader.admin().operate(Operation::Remove(id)).await.unwrap();
    let reason = refused(lead.announced(says(&learner, addr, id, true), identity(&learner)).await);
    assert!(reason.contains("removed since"), "{reason}");
    let reason = refused(lead.announced(says(&learner, addr, id, false), identity(&learner)).await);
    assert!(reason.contains("no longer a member"), "{reason}");
    assert_eq!(leader.status().members.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_learner_does_not_delay_another() {
    let dir = tempfile::tempdir().unwrap();
    let first = start(&dir.path().join("1"), &[], false).await;
    let dead = start(&dir.path().join("2"), &[&first], true).await;
    let id = dead.node_id();
    until("it has caught up", || {
        let status = first.status();
        status.member(id).and_then(|member| member.matched) == Some(status.last_log)
    })
    .await;
    dead.shutdown().await;
    // The node would have been promoted before, so the wish for a vote is set only now.
    let mut member = dead.node().tools.identity.member().clone();
    member.wishes.voter = Some(true);
    members(&first).change(ChangeMembers::SetNodes(BTreeMap::from([(id, member)])), true).await.unwrap();
    let third = start(&dir.path().join("3"), &[&first], false).await;
    until("the other votes", || voters(&first) == [first.node_id(), third.node_id()]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_learns_that_the_leaders_disk_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let leader = start(&dir.path().join("1"), &[], false).await;
    let learner = start(&dir.path().join("2"), &[&leader], true).await;
    for _ in 0..50 {
        // The next measurement of the real disk takes this back.
        leader.node().disk.measure_with(Progress { unwritten: 1 << 50, ..Progress::default() }).unwrap();
        match learner.propose(crate::Flow::NONE, b"x".to_vec()).await {
            Err(crate::ProposeError::DiskFull) => return,
            told => assert!(!matches!(told, Err(crate::ProposeError::Overloaded)), "{told:?}"),
        }
    }
    panic!("the follower never learned that the disk is full");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_reports_what_it_counts_and_a_log_set_aside_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let leader = start(&dir.path().join("1"), &[], false).await;
    let learner = start(&dir.path().join("2"), &[&leader], true).await;
    let id = learner.node_id();
    until("it has all", || {
        let status = leader.status();
        counted_for(&leader.node().engine, id) == (status.term, status.last_log)
    })
    .await;
    assert_eq!(counted_for(&learner.node().engine, leader.node_id()), (0, 0), "the learner does not lead");
    assert_eq!(older(&learner).lack().await, None, "the learner has everything that it acknowledged");
    let joined = || learner.node().tools.identity.has_joined();
    until("it is a member", joined).await;
    learner.shutdown().await;
    older(&learner).set_log_aside().unwrap();
    drop(learner);
    let again = start(&dir.path().join("2"), &[], true).await;
    assert!(again.node_id() > id, "the node goes on under its old id");
    assert!(
        dir.path().join("2/damaged-log-1").exists() && dir.path().join("2/damaged-1/state.redb").exists()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_member_introduces_another_and_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let first = start(&dir.path().join("1"), &[], false).await;
    let second = start(&dir.path().join("2"), &[&first], false).await;
    let third = start(&dir.path().join("3"), &[&first], false).await;
    let nodes = [&first, &second, &third];
    let cluster = first.node().engine.peers().me().cluster_id;
    until("all have joined and vote", || {
        nodes.iter().all(|node| node.node().tools.identity.has_joined() && voters(node).len() == 3)
    })
    .await;
    for node in nodes {
        for other in nodes.into_iter().filter(|other| other.node_id() != node.node_id()) {
            let (id, key) = (other.node_id(), identity(other));
            let mut reply = members(node).introduction_of(id, key);
            let end = Instant::now() + Duration::from_secs(60);
            while matches!(reply, JoinReply::NotNow { .. }) && Instant::now() < end {
                // This node has not yet heard that the other's membership is committed.
                sleep(Duration::from_millis(10)).await;
                reply = members(node).introduction_of(id, key);
            }
            let JoinReply::Member { introductions } = reply else { panic!("{reply:?}") };
            let told = introduced(&introductions, &cluster, key, 0, |known| known == identity(node));
            assert_eq!(told, Some(id), "node {} introduces node {id}", node.node_id());
            let stranger = members(node).introduction_of(id, PublicKey([9; 32]));
            assert!(matches!(stranger, JoinReply::NotNow { .. }), "{stranger:?}");
            let unknown = members(node).introduction_of(77, key);
            assert!(matches!(unknown, JoinReply::NotNow { .. }), "{unknown:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_behind_a_snapshot_that_is_on_its_way_is_kept() {
    const KEPT: u64 = 10;
    let dir = tempfile::tempdir().unwrap();
    let config = Config { keep_entries: KEPT, checkpoint_entries: KEPT, ..config(dir.path(), &[], false) };
    let node = Cluster::start(config, Nothing, Arc::new(NoHandler)).await.unwrap();
    let write = async || {
        for _ in 0..10 * KEPT {
            node.propose(crate::Flow::NONE, b"x".to_vec()).await.unwrap();
        }
        let (durable, purged) = node.admin().snapshot().await.unwrap();
        assert!(durable >= 10 * KEPT, "{durable}");
        (durable, purged)
    };
    let (durable, purged) = write().await;
    assert!(purged >= durable - KEPT, "{durable} {purged}");
    let member = node.node_id() + 1;
    let catch_ups = node.node().engine.catch_ups();
    let sending = catch_ups.begin(member, durable);
    assert!(write().await.1 <= durable);
    assert_eq!(catch_ups.of(member), Some(CatchUp::Snapshot));
    drop(sending);
    let (durable, purged) = write().await;
    assert!(purged >= durable - KEPT, "{durable} {purged}");
}
