//! Many callers at once, contacts that change, and barriers that reach no leader.
#![allow(clippy::unwrap_used)]

use super::*;
use futures_util::FutureExt;
use futures_util::future::join_all;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::Semaphore;
use tokio::task::yield_now;

/// Longer than a test takes.
const LONG: Duration = Duration::from_secs(3600);
const NO_LIMIT: Limits = Limits { within: LONG, again: LONG, pause: LONG };

/// Whether barriers reach a leader.
#[derive(Clone, Copy, PartialEq)]
enum Leader {
    Answers,
    Silent,
}

/// A node whose contact a test sets. Its barriers end when the test lets them.
struct Node {
    barriers: Barriers<u32>,
    contact: Arc<Mutex<Option<u32>>>,
    leader: Arc<Mutex<Leader>>,
    began: Arc<AtomicU32>,
    ends: Arc<Semaphore>,
}

impl Node {
    fn new(contact: Option<u32>, leader: Leader, limits: Limits) -> Self {
        Self {
            barriers: Barriers::new(limits),
            contact: Arc::new(Mutex::new(contact)),
            leader: Arc::new(Mutex::new(leader)),
            began: Arc::default(),
            ends: Arc::new(Semaphore::new(0)),
        }
    }

    fn set(&self, contact: Option<u32>) {
        *self.contact.lock().unwrap() = contact;
    }

    /// How many barriers have begun.
    fn began(&self) -> u32 {
        self.began.load(Ordering::Relaxed)
    }

    async fn ensure(&self) {
        let (began, ends, leader) = (self.began.clone(), self.ends.clone(), self.leader.clone());
        let barrier = move || {
            began.fetch_add(1, Ordering::Relaxed);
            let (ends, leader) = (ends.clone(), leader.clone());
            async move {
                ends.acquire().await.unwrap().forget();
                *leader.lock().unwrap() == Leader::Answers
            }
        };
        let contact = self.contact.clone();
        self.barriers.ensure(move || *contact.lock().unwrap(), barrier).await;
    }

    /// Callers that have come and wait.
    fn callers(&self, count: usize) -> Vec<Pin<Box<impl Future<Output = ()>>>> {
        let mut callers: Vec<_> = (0..count).map(|_| Box::pin(self.ensure())).collect();
        for caller in &mut callers {
            assert!(caller.as_mut().now_or_never().is_none(), "it waits");
        }
        callers
    }
}

#[tokio::test]
async fn a_thousand_callers_of_a_contact_share_one_barrier() {
    let node = Node::new(Some(1), Leader::Answers, NO_LIMIT);
    let mut callers = node.callers(1000);
    assert_eq!(node.began(), 1);
    // The one for which the barrier began gives up.
    drop(callers.remove(0));
    node.ends.add_permits(1);
    join_all(callers).await;
    node.ensure().await;
    assert_eq!(node.began(), 1);
}

#[tokio::test]
async fn a_new_contact_begins_a_barrier_of_its_own() {
    let node = Node::new(Some(1), Leader::Answers, NO_LIMIT);
    let before = node.callers(10);
    node.set(Some(2));
    let after = node.callers(10);
    assert_eq!(node.began(), 2);
    node.ends.add_permits(2);
    join_all(before.into_iter().chain(after)).await;
    node.ensure().await;
    assert_eq!(node.began(), 2, "the node has caught up in this contact");
    node.set(Some(1));
    let again = node.callers(1);
    assert_eq!(node.began(), 3, "the barrier of another contact does not count");
    node.ends.add_permits(1);
    join_all(again).await;
}

#[tokio::test]
async fn without_contact_a_barrier_that_began_before_does_not_count() {
    let node = Node::new(None, Leader::Answers, NO_LIMIT);
    let first = node.callers(1);
    let later = node.callers(100);
    assert_eq!(node.began(), 1);
    node.ends.add_permits(1);
    join_all(first).await;
    let mut later = pin!(join_all(later));
    let next = async {
        while node.began() < 2 {
            assert!(later.as_mut().now_or_never().is_none(), "the first one began too early");
            yield_now().await;
        }
    };
    timeout(Duration::from_secs(60), next).await.unwrap();
    for _ in 0..100 {
        assert!(later.as_mut().now_or_never().is_none());
        yield_now().await;
    }
    assert_eq!(node.began(), 2, "all that wait share the next one");
    node.ends.add_permits(1);
    later.await;
    assert_eq!(node.began(), 2);
}

#[tokio::test]
async fn a_barrier_of_the_contact_that_comes_covers_who_came_without_one() {
    let node = Node::new(None, Leader::Answers, NO_LIMIT);
    let without = node.callers(10);
    node.set(Some(1));
    let with = node.callers(10);
    assert_eq!(node.began(), 2);
    node.ends.add_permits(2);
    join_all(without.into_iter().chain(with)).await;
    assert_eq!(node.began(), 2);
}

#[tokio::test]
async fn a_barrier_that_reaches_no_leader_lets_all_go_and_the_next_waits_for_the_pause() {
    for contact in [Some(1), None] {
        let node = Node::new(contact, Leader::Silent, NO_LIMIT);
        let callers = node.callers(100);
        assert_eq!(node.began(), 1);
        node.ends.add_permits(1);
        join_all(callers).await;
        node.ensure().await;
        assert_eq!(node.began(), 1, "another one would be in vain");
        node.set(Some(2));
        let _waits = node.callers(1);
        assert_eq!(node.began(), 2, "in another contact it may succeed");
    }
    let node = Node::new(Some(1), Leader::Silent, Limits { pause: Duration::ZERO, ..NO_LIMIT });
    node.ends.add_permits(1);
    node.ensure().await;
    let _waits = node.callers(1);
    assert_eq!(node.began(), 2, "the pause is over");
}

async fn wait_until(is_so: impl Fn() -> bool) {
    let look = async {
        while !is_so() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(60), look).await.unwrap();
}

#[tokio::test]
async fn a_node_that_is_cut_off_looks_for_a_leader_by_itself_and_nobody_waits() {
    let node = Node::new(None, Leader::Silent, Limits { again: Duration::ZERO, ..NO_LIMIT });
    node.ends.add_permits(1);
    node.ensure().await;
    for began in 2..5 {
        wait_until(|| node.began() == began).await;
        assert!(node.ensure().now_or_never().is_some(), "nobody waits for it");
        node.ends.add_permits(1);
    }
    wait_until(|| node.began() == 5).await;
    *node.leader.lock().unwrap() = Leader::Answers;
    node.ends.add_permits(1);
    wait_until(|| !node.barriers.state().is_looking).await;
    let _waits = node.callers(1);
}

#[tokio::test]
async fn nobody_waits_longer_than_the_limit() {
    for contact in [Some(1), None] {
        let limits = Limits { within: Duration::from_millis(50), ..NO_LIMIT };
        let node = Node::new(contact, Leader::Answers, limits);
        let callers = (0..100).map(|_| node.ensure());
        timeout(Duration::from_secs(60), join_all(callers)).await.unwrap();
    }
}
