//! Subscriptions that begin, and the other nodes' confirmations.
#![allow(clippy::unwrap_used)]

use super::*;
use futures_util::FutureExt;
use tokio::sync::oneshot::Receiver;
use tokio::sync::oneshot::error::TryRecvError;

/// The incarnation of the other nodes.
const OTHERS: u64 = 9;

fn begins(state: &mut State) -> (u64, Receiver<()>) {
    let version = state.exchange.begin();
    (version, state.waiting.add(version))
}

/// A node confirms a version. Returns the versions of the subscriptions that are live then.
fn confirms(state: &mut State, node: NodeId, version: u64) -> Vec<u64> {
    let answer = Confirmation { incarnation: OTHERS, known: Some(version), flushed: true };
    state.exchange.confirmed(node, version, Some(answer));
    settles(state)
}

fn settles(state: &mut State) -> Vec<u64> {
    let confirmed = state.settle();
    let versions = confirmed.iter().map(|(version, _)| *version).collect();
    tell_live(confirmed);
    versions
}

/// Takes a batch of that node. Returns the lowest version of the events that are not refused.
fn takes_from(state: &mut State, node: NodeId, number: u64) -> u64 {
    let own = state.exchange.incarnation();
    state.exchange.receive(node, OTHERS, own, number).unwrap()
}

#[test]
fn a_subscription_is_live_when_every_node_has_confirmed_its_version() {
    let ephemeral = Ephemeral::new(1 << 20, Arc::default());
    let mut state = ephemeral.lock();
    state.exchange.set_members(&[2, 3]);
    let (first, mut is_first_live) = begins(&mut state);
    let (second, mut is_second_live) = begins(&mut state);
    assert!(confirms(&mut state, 2, second).is_empty(), "the other node has not confirmed");
    assert_eq!(is_first_live.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(confirms(&mut state, 3, first), [first]);
    assert_eq!(is_first_live.try_recv(), Ok(()));
    assert_eq!(is_second_live.try_recv(), Err(TryRecvError::Empty), "its version is not confirmed");
    assert_eq!(takes_from(&mut state, 2, 1), first);
    // Nobody waits for a node that does not answer, or that is gone.
    state.exchange.confirmed(3, 0, None);
    assert_eq!(settles(&mut state), [second]);
    assert_eq!(is_second_live.try_recv(), Ok(()));
    assert_eq!(takes_from(&mut state, 2, 2), second);
    confirms(&mut state, 3, second);
    let (third, _is_third_live) = begins(&mut state);
    assert!(confirms(&mut state, 2, third).is_empty());
    state.exchange.set_members(&[2]);
    assert_eq!(settles(&mut state), [third]);
}

#[test]
fn whoever_gave_up_makes_nothing_live() {
    let ephemeral = Ephemeral::new(1 << 20, Arc::default());
    let mut state = ephemeral.lock();
    state.exchange.set_members(&[2]);
    let (first, _is_live) = begins(&mut state);
    let (second, is_live) = begins(&mut state);
    drop(is_live);
    assert_eq!(confirms(&mut state, 2, second), [first]);
    assert_eq!(takes_from(&mut state, 2, 1), first);
}

#[actix_web::test]
async fn a_node_of_its_own_waits_for_nobody() {
    let ephemeral = Ephemeral::new(1 << 20, Arc::default());
    assert_eq!(ephemeral.begin().now_or_never(), Some(()));
}
