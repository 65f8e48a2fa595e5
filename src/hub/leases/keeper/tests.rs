#![allow(clippy::unwrap_used)]

use super::*;
use crate::core::command::{Command, LimitsPatch, RetentionPatch, UpdateMap};
use crate::hub::leases::Connection;
use crate::hub::{Hub, stage};

/// A keeper that proposes nothing; the hub's own keeper does that.
fn keeper(hub: &Hub) -> Keeper {
    let (wishes, _) = mpsc::unbounded_channel();
    let (cluster, bridge) = hub.cluster_and_bridge();
    Keeper::new(cluster, bridge, Arc::new(Book::new(wishes)), Arc::default())
}

#[actix_web::test]
async fn a_candidacy_that_the_cluster_knows_counts_although_the_answer_was_lost() {
    let folder = tempfile::tempdir().unwrap();
    let hub = stage::hub(folder.path()).await;
    let mut keeper = keeper(&hub);
    keeper.look_at_candidacy();
    assert!(!keeper.was_candidate);
    hub.leases().deliver_here();
    while keeper.known_as().is_none() || keeper.known_as() != Some(hub.leases().incarnation()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // The proposal took effect under this keeper's incarnation, and the answer was lost.
    keeper.standing.incarnation.store(hub.leases().incarnation(), Ordering::Release);
    keeper.look_at_candidacy();
    assert!(keeper.was_candidate);
    hub.shutdown().await;
}

#[actix_web::test]
async fn a_pending_candidacy_is_not_work_and_is_not_settled() {
    let folder = tempfile::tempdir().unwrap();
    let hub = stage::hub(folder.path()).await;
    let mut keeper = keeper(&hub);
    keeper.doubt = false;
    keeper.standing.able.store(true, Ordering::Release);
    assert_eq!(keeper.candidacy_change(), Some(LeaseChange::Deliver));
    // The change was reported, and this node is far from having applied it.
    keeper.told = Some((LeaseChange::Deliver, u64::MAX));
    let (settled, mut is_settled) = oneshot::channel();
    keeper.note(Wish::Candidacy(Some(settled)));
    keeper.look_at_candidacy();
    keeper.answer_candidacy();
    assert!(!keeper.has_work() && is_settled.try_recv().is_err());
    keeper.standing.resting.store(true, Ordering::Release);
    assert_eq!(keeper.candidacy_change(), Some(LeaseChange::Rest), "the other nodes see a candidate");
    keeper.told = Some((LeaseChange::Rest, u64::MAX));
    keeper.look_at_candidacy();
    keeper.answer_candidacy();
    assert_eq!((&keeper.told, is_settled.try_recv()), (&None, Ok(())), "this node does not see one either");
    // A change that was applied without effect is tried again.
    keeper.standing.resting.store(false, Ordering::Release);
    keeper.told = Some((LeaseChange::Deliver, 0));
    keeper.look_at_candidacy();
    assert_eq!(keeper.candidacy_change(), Some(LeaseChange::Deliver));
    hub.shutdown().await;
}

#[actix_web::test]
async fn another_incarnation_follows_a_snapshot_so_that_what_is_held_is_stated_again() {
    let folder = tempfile::tempdir().unwrap();
    let hub = stage::hub(folder.path()).await;
    let mut keeper = keeper(&hub);
    let (node, incarnation) = (keeper.cluster.node_id(), keeper.incarnation());
    keeper.hear(&LeaseNews::Begun(node, incarnation));
    assert_eq!(keeper.incarnation(), incarnation);
    // The node counted as gone, and a statement of the same incarnation arrived after that. The snapshot
    // shows the incarnation as the present one, with nothing of presence.
    keeper.doubt = false;
    keeper.hear(&LeaseNews::Skipped);
    assert_ne!(keeper.incarnation(), incarnation);
    assert!(keeper.doubt && !keeper.has_begun);
    hub.shutdown().await;
}

/// A map whose limit is `most` connections.
async fn limited(hub: &Hub, most: u32) -> MapId {
    let map = stage::create(hub, 1, "m").await;
    let limits = LimitsPatch { connections: Some(Some(most)), ..LimitsPatch::default() };
    let retention = RetentionPatch::default();
    let update = UpdateMap { map, by: None, slug: None, name: None, limits, retention };
    hub.log().propose(&Command::UpdateMap(update)).await.unwrap();
    map
}

#[actix_web::test]
async fn a_client_does_not_wait_for_a_batch_without_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let hub = stage::hub(folder.path()).await;
    let map = limited(&hub, 2).await;
    let mut keeper = keeper(&hub);
    keeper.doubt = false;
    let (wish, mut wishes) = mpsc::unbounded_channel();
    let answers: Vec<_> = (0..3)
        .map(|_| {
            let (taker, answer) = oneshot::channel();
            wish.send(Wish::Take((map, None), taker)).unwrap();
            answer
        })
        .collect();
    let all = futures_util::future::join_all(answers);
    let all = tokio::select! {
        _ = keeper.answer_to(std::future::pending(), &mut wishes) => Vec::new(),
        all = all => all,
    };
    let taken: Vec<Result<Connection, u32>> = all.into_iter().map(Result::unwrap).collect();
    assert!(matches!(&taken[..], [Ok(_), Ok(_), Err(2)]), "{taken:?}");
    assert!(keeper.doubt && keeper.over.contains(&map), "the cluster does not count them yet");
    hub.shutdown().await;
}

#[actix_web::test]
async fn clients_of_a_batch_that_failed_come_before_later_ones() {
    let folder = tempfile::tempdir().unwrap();
    let hub = stage::hub(folder.path()).await;
    let map = limited(&hub, 1).await;
    let mut keeper = keeper(&hub);
    let of = (map, None);
    let (first, first_answer) = oneshot::channel();
    let (later, later_answer) = oneshot::channel();
    keeper.note(Wish::Take(of, later));
    keeper.ask_again(vec![Asked { index: 0, of, takers: vec![first] }]);
    keeper.is_unanswered = true;
    keeper.serve_if_cut_off();
    assert!(!keeper.waiting.has_clients());
    let _first = first_answer.await.unwrap().unwrap();
    assert_eq!(later_answer.await.unwrap().err(), Some(1));
    hub.shutdown().await;
}
