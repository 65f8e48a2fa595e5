#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use super::super::numbers::Numbers;
use super::super::shares::{Held, Shares};
use super::*;
use crate::store::News;

const RUN: IncarnationV1 = IncarnationV1 { ordinal: 4, process: 9 };
const STAMP: StampV1 = StampV1 { time_ms: 1, expiry_ms: 1, checked: true };

/// What a caller of a group has.
struct Caller {
    ticket: Arc<Ticket>,
    outcome: oneshot::Receiver<Outcome>,
}

fn group(origin: Origin, command: &'static [u8]) -> (Group, Caller) {
    let (shares, _) = Shares::new(Held { bytes: 1 << 20, groups: 100 });
    let (done, outcome) = oneshot::channel();
    let ticket = Arc::new(Ticket::default());
    let share = shares.take(Line::Flow(Flow(1)), command.len()).unwrap();
    let deadline = Instant::now() + Duration::from_secs(600);
    let commands = vec![Bytes::from_static(command)];
    (Group { commands, origin, deadline, ticket: ticket.clone(), done, share }, Caller { ticket, outcome })
}

/// A batch of two groups of this node.
fn two() -> (Batch, [Caller; 2]) {
    let (a, first) = group(Origin::Here, b"a");
    let (b, second) = group(Origin::Here, b"b");
    (Batch::new(Arc::new(Numbers::default()).take_next(), vec![a, b]), [first, second])
}

fn commands_in(request: &Bytes) -> Vec<Vec<u8>> {
    let Request::ForwardV2 { commands, .. } = wire::decode(request).unwrap() else { panic!() };
    commands.iter().map(|command| command.to_vec()).collect()
}

#[test]
fn the_groups_of_a_batch_that_was_not_stored_may_be_withdrawn() {
    let (mut batch, [first, _second]) = two();
    assert!(batch.set_out());
    let before = batch.request(RUN).unwrap();
    assert_eq!(commands_in(&before), [b"a", b"b"]);
    assert!(!first.ticket.abandon(), "it is under way");
    batch.came_back();
    assert!(first.ticket.abandon());
    assert!(batch.is_wanted() && batch.set_out());
    assert_eq!(commands_in(&batch.request(RUN).unwrap()), [b"b"]);
}

#[test]
fn a_batch_in_doubt_stays_as_it_is() {
    let (mut batch, [first, second]) = two();
    assert!(batch.set_out());
    let before = batch.request(RUN).unwrap();
    batch.doubt();
    batch.came_back();
    assert!(!second.ticket.abandon());
    drop(first);
    assert!(batch.is_wanted() && batch.set_out());
    assert_eq!(batch.request(IncarnationV1 { ordinal: 5, ..RUN }).unwrap(), before);
    drop(second);
    assert!(!batch.is_wanted(), "nobody waits any more");
}

#[test]
fn an_entry_has_the_proposals_of_all_nodes_and_each_gets_its_reply() {
    let proposal = ProposalV1 { incarnation: RUN, number: 70, open: vec![68] };
    let (foreign, mut other) = group(Origin::Node { id: 3, proposal: proposal.clone() }, b"c");
    let (own, mut caller) = group(Origin::Here, b"a");
    let mut batch = Batch::new(Arc::new(Numbers::default()).take_next(), vec![foreign, own]);
    let data = batch.entry(1, RUN, STAMP).unwrap();
    let EntryData::CommandsV2 { parts, .. } = EntryData::decode(&data.0).unwrap() else { panic!() };
    let name = ProposalV1 { incarnation: RUN, number: 1, open: vec![] };
    let part = |node, proposal, command| PartV1 { node, proposal, commands: vec![command] };
    let [a, c] = [b"a", b"c"].map(|command| serde_bytes::Bytes::new(command));
    assert_eq!(parts, [part(1, name, a), part(3, proposal, c)]);

    let reply = |index| ProposalReply::Applied { index, time_ms: 0, replies: vec![vec![7]] };
    let replied = batch.applied(vec![reply(5), reply(4)]);
    assert_eq!(replied, Some(reply(5)));
    assert!(matches!(other.outcome.try_recv(), Ok(Outcome::Done { index: 4, .. })));
    batch.done(5, 0, vec![vec![7]]);
    assert!(matches!(caller.outcome.try_recv(), Ok(Outcome::Done { index: 5, .. })));
}

#[test]
fn other_nodes_are_told_of_the_doubt_and_are_not_sent_again() {
    let origin = Origin::Node { id: 3, proposal: ProposalV1::default() };
    let (foreign, mut other) = group(origin, b"c");
    let mut batch = Batch::new(Arc::new(Numbers::default()).take_next(), vec![foreign]);
    batch.doubt();
    assert!(matches!(other.outcome.try_recv(), Ok(Outcome::Unknown)));
    assert!(batch.is_empty());
}

#[test]
fn a_superseded_batch_gets_another_name_if_it_cannot_have_been_applied() {
    let later = IncarnationV1 { ordinal: 6, ..RUN };
    let superseded = |in_doubt: bool, by| {
        let (mut batch, _callers) = two();
        let before = batch.request(RUN).unwrap();
        if in_doubt {
            batch.doubt();
        }
        (batch.superseded(by), batch.request(later).unwrap() != before)
    };
    assert_eq!(superseded(false, 5), (true, true));
    assert_eq!(superseded(true, RUN.ordinal), (true, true), "its incarnation never was in force");
    assert_eq!(superseded(true, 5), (false, false), "its incarnation may have been in force");
}

/// A batch in doubt that is applied meanwhile needs no further sending. One that got another name was not
/// applied under the one before.
#[test]
fn a_batch_learns_that_it_is_applied_here_under_its_present_name() {
    let waiters = Arc::default();
    let later = IncarnationV1 { ordinal: 6, ..RUN };
    let apply = |incarnation| {
        let proposal = ProposalV1 { incarnation, number: 1, open: vec![] };
        let reply = ProposalReply::Applied { index: 5, time_ms: 0, replies: vec![vec![1], vec![2]] };
        let mut news = News::new(&waiters);
        news.note(&PartV1 { node: 1, proposal, commands: vec![] }, reply);
        news.tell();
    };
    let (mut batch, [mut first, mut second]) = two();
    assert_eq!(batch.take_applied(), None, "it has no name yet");
    batch.request(RUN).unwrap();
    batch.await_here(1, &waiters);
    batch.doubt();
    assert!(batch.superseded(RUN.ordinal));
    batch.request(later).unwrap();
    batch.await_here(1, &waiters);
    apply(RUN);
    assert_eq!(batch.take_applied(), None);
    batch.doubt();
    batch.came_back();
    // It waits already.
    batch.await_here(1, &waiters);
    apply(later);
    let AppliedHere { index, time_ms, replies } = batch.take_applied().unwrap();
    batch.done(index, time_ms, replies);
    for (caller, reply) in [(&mut first, vec![1_u8]), (&mut second, vec![2_u8])] {
        let Ok(Outcome::Done { index: 5, replies, .. }) = caller.outcome.try_recv() else { panic!() };
        assert_eq!(replies, [reply]);
    }
}
