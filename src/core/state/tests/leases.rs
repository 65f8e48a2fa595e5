//! Leases: each batch is applied once, and sums are exactly what the living incarnations hold.

use super::*;
use crate::core::command::{Counted, Denied};
use crate::core::lease::{Connections, Incarnation, LeaseBatch, LeaseChange};
use std::collections::BTreeMap;

pub(super) fn batch(
    node: NodeId,
    incarnation: Incarnation,
    number: u64,
    whole: bool,
    changes: Vec<LeaseChange>,
) -> Command {
    Command::Lease(LeaseBatch { node, incarnation, number, whole, changes })
}

/// The node begins an incarnation as a node that delivers.
pub(super) fn delivers(node: NodeId, incarnation: Incarnation) -> Command {
    batch(node, incarnation, 1, true, vec![LeaseChange::Deliver])
}

fn of(map: u8, token: u8, count: u32) -> Connections {
    Connections { map: map_id(map), token: (token > 0).then(|| token_id(token)), count }
}

fn take(map: u8, token: u8, count: u32) -> LeaseChange {
    LeaseChange::Take(of(map, token, count))
}

fn give(map: u8, token: u8, count: u32) -> LeaseChange {
    LeaseChange::Give(of(map, token, count))
}

fn hold(map: u8, token: u8, count: u32) -> LeaseChange {
    LeaseChange::Hold(of(map, token, count))
}

const DONE: Reply = Reply::Leased(Vec::new());

fn limited(n: u8, connections: u32) -> Command {
    create(n, None, Limits { connections: Some(connections), ..NO_LIMITS }, KEEP_ALL)
}

fn count(node: &Node, map: u8) -> u32 {
    node.state.directory.connections(map_id(map))
}

fn count_by(node: &Node, token: u8) -> u32 {
    node.state.directory.connections_by(token_id(token))
}

#[test]
fn connections_are_counted_over_nodes_and_end_with_them() {
    let mut node = Node::new();
    node.one(10, limited(1, 3));
    assert_eq!(node.one(20, batch(1, 11, 1, true, vec![take(1, 1, 1)])), DONE);
    assert_eq!(node.one(20, batch(2, 12, 1, true, vec![take(1, 1, 1), take(1, 0, 1)])), DONE);
    assert_eq!((count(&node, 1), count_by(&node, 1)), (3, 2));
    let denied = |index, granted, why| Reply::Leased(vec![Denied { index, granted, why }]);
    let full = node.one(20, batch(3, 13, 1, true, vec![take(1, 1, 1)]));
    assert_eq!(full, denied(0, 0, Refusal::Limit(Counted::Connections, 3)));
    // As many as the limit permits.
    assert_eq!(node.one(20, batch(2, 12, 2, false, vec![give(1, 1, 1)])), DONE);
    assert_eq!(
        node.one(20, batch(3, 13, 2, false, vec![take(1, 1, 5)])),
        denied(0, 1, Refusal::Limit(Counted::Connections, 3))
    );
    assert_eq!(node.one(20, batch(3, 13, 3, false, vec![take(9, 1, 1)])), denied(0, 0, Refusal::UnknownMap));
    // A node cannot give back what another node holds.
    assert_eq!(node.one(20, batch(3, 13, 4, false, vec![give(1, 1, 9)])), DONE);
    assert_eq!((count(&node, 1), count_by(&node, 1)), (2, 1));
    // An incarnation that is not the present one changes nothing.
    assert_eq!(node.one(20, batch(2, 77, 9, false, vec![give(1, 0, 1)])), Reply::Refused(Refusal::Stale(0)));
    node.state.take_changes();
    node.one(20, Command::NodeGone(2));
    assert_eq!((count(&node, 1), node.state.take_changes()), (1, vec![Change::NodeGone(2)]));
    assert_eq!(node.one(20, batch(2, 12, 3, false, vec![give(1, 0, 1)])), Reply::Refused(Refusal::Stale(0)));
    // Existing connections are counted whatever the limit is.
    assert_eq!(node.one(20, batch(2, 99, 1, true, vec![hold(1, 0, 7)])), DONE);
    assert_eq!(count(&node, 1), 8);
    // A map without a limit has no count.
    let connections = Some(None);
    let limits = LimitsPatch { connections, ..Default::default() };
    let map = map_id(1);
    let retention = Default::default();
    node.one(20, Command::UpdateMap(UpdateMap { map, by: None, slug: None, name: None, limits, retention }));
    assert_eq!((count(&node, 1), count_by(&node, 1)), (0, 0));
    assert_eq!(node.one(20, batch(2, 99, 2, false, vec![take(1, 1, 1), hold(1, 1, 1)])), DONE);
    assert_eq!((count(&node, 1), count_by(&node, 1)), (0, 0));
}

#[test]
fn a_repeated_batch_applies_once_and_gets_the_same_reply() {
    let mut node = Node::new();
    node.one(10, limited(1, 2));
    let first = batch(1, 11, 1, true, vec![take(1, 1, 3)]);
    let answer = node.one(20, first.clone());
    assert_eq!(
        answer,
        Reply::Leased(vec![Denied { index: 0, granted: 2, why: Refusal::Limit(Counted::Connections, 2) }])
    );
    assert_eq!((node.one(21, first.clone()), count(&node, 1)), (answer, 2));
    assert_eq!(node.one(22, batch(1, 11, 3, false, vec![give(1, 1, 1)])), DONE);
    // A batch that a later one overtook is not applied.
    assert_eq!((node.one(23, batch(1, 11, 2, false, vec![take(1, 1, 1)])), count(&node, 1)), (DONE, 1));
    assert_eq!((node.one(23, first), count(&node, 1)), (DONE, 1));
}

#[test]
fn a_restart_keeps_the_candidacy_and_nothing_else() {
    let mut node = Node::new();
    node.one(10, limited(1, 9));
    node.one(11, batch(1, 11, 1, true, vec![LeaseChange::Deliver, take(1, 1, 2)]));
    let owner = |node: &Node| node.state.webhooks().owners().nodes.get(&1).copied();
    assert_eq!((owner(&node), count(&node, 1)), (Some(11), 2));
    node.one(12, batch(1, 22, 1, true, vec![]));
    assert_eq!((owner(&node), count(&node, 1)), (Some(11), 0), "its webhooks wait for it");
    node.one(13, batch(1, 22, 2, false, vec![LeaseChange::Deliver]));
    assert_eq!(owner(&node), Some(22));
    node.one(14, batch(1, 22, 3, false, vec![LeaseChange::Rest]));
    assert_eq!(owner(&node), None);
    node.one(15, batch(1, 33, 1, true, vec![LeaseChange::Deliver]));
    node.one(16, Command::NodeGone(1));
    assert_eq!(owner(&node), None);
}

/// What one process of a node knows.
#[derive(Clone, Default)]
struct Process {
    incarnation: Incarnation,
    number: u64,
    held: BTreeMap<(u8, u8), u32>,
    sent: Vec<Command>,
}

impl Process {
    /// Proposes a batch and applies the reply, as a node does.
    fn send(
        &mut self,
        cluster: &mut Node,
        id: NodeId,
        whole: bool,
        changes: Vec<LeaseChange>,
    ) -> Vec<Denied> {
        self.number += 1;
        let command = batch(id, self.incarnation, self.number, whole, changes);
        self.sent.push(command.clone());
        match cluster.one(20, command) {
            Reply::Leased(denied) => denied,
            Reply::Refused(Refusal::Stale(_)) => {
                self.begin(cluster, id);
                vec![Denied { index: 0, granted: 0, why: Refusal::Stale(0) }]
            }
            other => panic!("{other:?}"),
        }
    }

    /// A new incarnation states what it holds.
    fn begin(&mut self, cluster: &mut Node, id: NodeId) {
        self.incarnation += 10;
        self.number = 0;
        let held = self.held.iter().map(|((map, token), count)| hold(*map, *token, *count)).collect();
        assert_eq!(self.send(cluster, id, true, held), []);
    }
}

/// What each node holds, by map and token.
type Known = BTreeMap<NodeId, BTreeMap<(u8, u8), u32>>;

/// Checks the sums and the stored records, also after a restart.
fn check_sums(cluster: &mut Node, known: &Known) -> Result<(), TestCaseError> {
    for map in [1, 2] {
        let sum: u32 =
            known.values().flatten().filter(|((of, _), _)| *of == map).map(|(_, count)| count).sum();
        prop_assert_eq!(count(cluster, map), sum);
    }
    for token in [1, 2] {
        let sum: u32 =
            known.values().flatten().filter(|((_, of), _)| *of == token).map(|(_, count)| count).sum();
        prop_assert_eq!(count_by(cluster, token), sum);
    }
    let stored = cluster.store.0.keys().filter(|key| key[0] == keys::CONNECTIONS).count();
    prop_assert_eq!(stored, known.values().map(BTreeMap::len).sum::<usize>(), "no record is left over");
    let steady = count(cluster, 1);
    let store = cluster.store.clone();
    cluster.state = State::load(&store).unwrap();
    prop_assert_eq!(count(cluster, 1), steady, "and a restart changes nothing");
    Ok(())
}

proptest! {
    #[test]
    fn sums_are_exactly_what_living_incarnations_hold(
        acts in prop::collection::vec((0u8..9, 1u64..4, 1u8..3, 0u8..3, 1u32..4, any::<prop::sample::Index>()), 1..60)
    ) {
        let mut cluster = Node::new();
        cluster.one(1, limited(1, 5));
        cluster.one(1, limited(2, 1000));
        let mut processes: BTreeMap<NodeId, Process> = BTreeMap::new();
        // What the cluster should know of each node.
        let mut known = Known::new();
        for (act, id, map, token, n, which) in acts {
            let process = processes.entry(id).or_insert_with(|| Process { incarnation: id, ..Process::default() });
            if process.number == 0 {
                process.begin(&mut cluster, id);
                known.insert(id, process.held.clone());
            }
            match act {
                0..=2 => {
                    let before = count(&cluster, map);
                    let denied = process.send(&mut cluster, id, false, vec![take(map, token, n)]);
                    let granted = denied.first().map_or(n, |denied| denied.granted);
                    prop_assert!(denied.iter().all(|denied| denied.why != Refusal::Limit(Counted::Connections, 5) || before + granted >= 5));
                    if granted > 0 {
                        *process.held.entry((map, token)).or_default() += granted;
                    }
                    known.insert(id, process.held.clone());
                }
                3 => {
                    let held = process.held.get(&(map, token)).copied().unwrap_or(0).min(n);
                    if held > 0 {
                        *process.held.get_mut(&(map, token)).unwrap() -= held;
                        process.held.retain(|_, count| *count > 0);
                        process.send(&mut cluster, id, false, vec![give(map, token, held)]);
                        known.insert(id, process.held.clone());
                    }
                }
                // The node states again what it holds.
                4 => {
                    let held = process.held.iter().map(|((map, token), count)| hold(*map, *token, *count)).collect();
                    process.send(&mut cluster, id, true, held);
                    known.insert(id, process.held.clone());
                }
                // The node's process is a new one, which holds nothing.
                5 => {
                    process.held.clear();
                    process.begin(&mut cluster, id);
                    known.insert(id, process.held.clone());
                }
                6 => {
                    cluster.one(20, Command::NodeGone(id));
                    known.remove(&id);
                }
                // A batch arrives again, however old. Unless it begins an incarnation, it changes nothing.
                _ => {
                    let again = which.get(&process.sent).clone();
                    let Command::Lease(sent) = &again else { panic!() };
                    let present = known.contains_key(&id) && sent.incarnation == process.incarnation;
                    if present || !sent.whole {
                        cluster.one(20, again);
                    }
                }
            }
            check_sums(&mut cluster, &known)?;
        }
    }
}

/// Random batches, for the properties of the whole state.
pub(super) fn command() -> impl Strategy<Value = Command> {
    let change = prop_oneof![
        4 => (1u8..5, 0u8..3, 1u32..3).prop_map(|(map, token, count)| take(map, token, count)),
        2 => (1u8..5, 0u8..3, 1u32..3).prop_map(|(map, token, count)| hold(map, token, count)),
        3 => (1u8..5, 0u8..3, 1u32..3).prop_map(|(map, token, count)| give(map, token, count)),
        2 => Just(LeaseChange::Deliver),
        1 => Just(LeaseChange::Rest),
    ];
    (1u64..3, 1u64..3, 1u64..9, any::<bool>(), prop::collection::vec(change, 0..4)).prop_map(
        |(node, incarnation, number, whole, changes)| batch(node, incarnation, number, whole, changes),
    )
}
