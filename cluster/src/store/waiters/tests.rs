use futures_util::FutureExt;

use super::*;
use crate::wire::IncarnationV1;

const NODE: NodeId = 3;

fn proposal(ordinal: u64, process: u64, number: u64) -> ProposalV1 {
    ProposalV1 { incarnation: IncarnationV1 { ordinal, process }, number, open: vec![] }
}

fn reply(index: u64) -> ProposalReply {
    ProposalReply::Applied { index, time_ms: 2 * index, replies: vec![vec![7]] }
}

/// What is told of a proposal with that reply.
fn told(index: u64) -> Option<AppliedHere> {
    Some(AppliedHere { index, time_ms: 2 * index, replies: vec![vec![7]] })
}

fn note(waiters: &Arc<Waiters>, node: NodeId, proposal: &ProposalV1, reply: ProposalReply) -> News {
    let mut news = News::new(waiters);
    news.note(&PartV1 { node, proposal: proposal.clone(), commands: vec![] }, reply);
    news
}

#[test]
fn only_the_wait_for_that_very_proposal_ends() {
    let waiters = Arc::default();
    let mut waiter = Waiters::wait_for(&waiters, NODE, &proposal(4, 9, 70));
    let mut other = Waiters::wait_for(&waiters, NODE, &proposal(4, 9, 71));
    for (node, ordinal, process, number) in
        [(NODE + 1, 4, 9, 70), (NODE, 5, 9, 70), (NODE, 4, 8, 70), (NODE, 4, 9, 72)]
    {
        note(&waiters, node, &proposal(ordinal, process, number), reply(1)).tell();
    }
    assert_eq!((waiter.get(), other.get()), (None, None));
    note(&waiters, NODE, &proposal(4, 9, 70), reply(2)).tell();
    assert_eq!((waiter.get(), other.get()), (told(2), None));
}

#[test]
fn nothing_is_told_before_readers_see_it() {
    let waiters = Arc::default();
    let mut waiter = Waiters::wait_for(&waiters, NODE, &proposal(1, 1, 1));
    let news = note(&waiters, NODE, &proposal(1, 1, 1), reply(1));
    assert_eq!(waiter.get(), None);
    assert_eq!(waiter.applied().now_or_never(), None, "it may be cancelled");
    news.tell();
    assert_eq!(waiter.applied().now_or_never(), told(1));
    assert_eq!((waiter.applied().now_or_never(), waiter.get()), (None, None), "it is told once");
}

#[test]
fn only_that_a_proposal_is_applied_is_told() {
    let waiters = Arc::default();
    let mut waiter = Waiters::wait_for(&waiters, NODE, &proposal(1, 1, 1));
    let others = [ProposalReply::Forgotten, ProposalReply::Superseded { ordinal: 1 }, ProposalReply::Refused];
    for other in others {
        note(&waiters, NODE, &proposal(1, 1, 1), other).tell();
        assert_eq!(waiter.get(), None);
    }
    note(&waiters, NODE, &proposal(1, 1, 1), reply(5)).tell();
    assert_eq!(waiter.get(), told(5), "another sending was applied");
}

#[test]
fn a_wait_that_was_given_up_leaves_nothing() {
    let waiters: Arc<Waiters> = Arc::default();
    drop(waiters.wait_for(NODE, &proposal(1, 1, 1)));
    assert!(waiters.all().is_empty());
    assert!(note(&waiters, NODE, &proposal(1, 1, 1), reply(1)).ready.is_empty());
    let waiter = waiters.wait_for(NODE, &proposal(1, 1, 2));
    let news = note(&waiters, NODE, &proposal(1, 1, 2), reply(2));
    drop(waiter);
    news.tell();
    assert!(waiters.all().is_empty());
}

#[test]
fn a_thread_that_ends_tells_nothing() {
    let waiters = Arc::default();
    let mut waiter = Waiters::wait_for(&waiters, NODE, &proposal(1, 1, 1));
    drop(note(&waiters, NODE, &proposal(1, 1, 1), reply(1)));
    assert_eq!(waiter.applied().now_or_never(), None);
    assert_eq!((waiter.applied().now_or_never(), waiter.get()), (None, None));
}
