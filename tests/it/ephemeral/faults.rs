//! Ephemeral events while clients move and a node is suspended, cut off or killed.

use super::clients::{Client, Publisher, wait_flowing, wait_flowing_at, wait_seen};
use super::{BATCH_BYTES, LINK_BYTES, SUBJECTS, cluster, map, peer};
use crate::network::Network;
use crate::support::{prepared, scale};
use anyhow::{Context, Result, anyhow, ensure};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use testkit::Cluster;
use testkit::cluster::Map;

/// Bytes published while a node is suspended: far more than may wait for it.
const FLOOD_BYTES: usize = 48 << 20;
/// The subjects of one batch of a publisher while clients move.
const MOVING_SUBJECTS: usize = 10;
/// The most that a node's memory may grow meanwhile.
const FLOOD_MEMORY: u64 = 24 << 20;

/// `WAYPOST_EPHEMERAL_SUBSCRIBERS` sets the number of subscribers.
#[test]
fn subscribers_see_each_event_once_and_in_order_whatever_happens_to_nodes() {
    // The clients send nothing after they joined, and on a busy machine the test takes long.
    let options = cluster().set("WAYPOST_SESSION_IDLE_TIMEOUT_SECONDS", 3600);
    prepared(&options, |c| {
        let network = Network::of(c)?;
        c.launch()?;
        check_through_faults(c, &network)
    });
}

fn check_through_faults(c: &mut Cluster, network: &Network) -> Result<()> {
    let map = map(c, "ephemeral")?;
    let count = scale("WAYPOST_EPHEMERAL_SUBSCRIBERS", 300) as usize;
    let clients = (0..count).map(|n| Client::join(c, &map, node_of(n), n % SUBJECTS));
    let mut clients = clients.collect::<Result<Vec<_>>>()?;
    println!("  {count} clients joined");
    let mut publishers: Vec<Publisher> =
        (0..3).map(|node| Publisher::new(&format!("p{node}"), node)).collect();
    // After this all nodes know of all subscribers, also nodes that were too busy to confirm in time: no
    // event is lost.
    wait_flowing(c, &map, &mut clients, &mut publishers)?;
    wait_seen(&mut clients, &publishers.iter().collect::<Vec<_>>())?;
    let before: Vec<usize> = clients.iter().map(|client| client.seen).collect();
    for _ in 0..3 {
        for publisher in &mut publishers {
            publisher.publish(c, &map, 0..SUBJECTS, 0)?;
        }
    }
    wait_seen(&mut clients, &publishers.iter().collect::<Vec<_>>())?;
    let seen = clients.iter().zip(before).map(|(client, before)| client.seen - before);
    ensure!(seen.min() == Some(9), "an event was lost");
    sent_only_where_wanted(c, &map, &mut publishers, &mut clients)?;
    moving(c, &map, &mut clients)?;
    println!("  clients moved");
    wait_flowing(c, &map, &mut clients, &mut publishers)?;
    paused(c, &map, &mut clients, &mut publishers)?;
    println!("  a node was suspended");
    cut_off(c, network, &map, &mut clients, &mut publishers)?;
    println!("  a node was cut off");
    killed(c, &map, &mut clients, &mut publishers)?;
    println!("  a node was killed");
    sent_only_where_wanted(c, &map, &mut publishers, &mut clients)?;
    clients.iter_mut().try_for_each(Client::read)
}

/// Returns the node at which a client starts. The clients of every fourth subject are all at one node, those
/// of the other subjects at all nodes.
fn node_of(client: usize) -> usize {
    let subject = client % SUBJECTS;
    if subject % 4 == 3 { subject / 4 % 3 } else { client % 3 }
}

/// Events go to the nodes with subscribers of the subject, and to no other.
fn sent_only_where_wanted(
    c: &Cluster,
    map: &Map,
    publishers: &mut [Publisher],
    clients: &mut [Client],
) -> Result<()> {
    wait_seen(clients, &publishers.iter().collect::<Vec<_>>())?;
    // A node tells the others a moment later that a subscription ended.
    for node in [1, 2] {
        let at = clients.iter().filter(|client| client.node == node).map(|client| client.subject);
        let wanted = at.collect::<BTreeSet<_>>().len() as u64;
        let label = peer(c, node)?;
        c.wait_until("a node to want exactly its clients' subjects", |_| {
            let known = c.metric(0, "waypost_ephemeral_peer_interest", &label)?;
            ensure!(known == wanted, "{known} instead of {wanted}");
            Ok(Some(()))
        })?;
    }
    let sent = |to: usize| c.metric(0, "waypost_ephemeral_sent_events_total", &peer(c, to)?);
    for subject in [100, 103, 107] {
        let wanting: BTreeSet<usize> =
            clients.iter().filter(|client| client.subject == subject).map(|client| client.node).collect();
        let before = [sent(1)?, sent(2)?];
        for _ in 0..20 {
            publishers[0].publish(c, map, std::iter::once(subject), 0)?;
        }
        // An event of a subject without subscribers goes nowhere.
        let unread = json!({"type": "x", "subject": "live-unread", "payload": 1});
        c.api(0, map).post(&map.events(), &unread)?.expect(202)?;
        let expected = [1, 2].map(|node| if wanting.contains(&node) { 20 } else { 0 });
        c.wait_until("the events to be sent", |_| {
            let now = [sent(1)? - before[0], sent(2)? - before[1]];
            ensure!(now[0] <= expected[0] && now[1] <= expected[1], "{now:?} instead of {expected:?}");
            Ok((now == expected).then_some(()))
        })?;
    }
    Ok(())
}

/// Returns n so that every nth client moves: a quarter of them, and not more than about a hundred.
fn every(clients: usize) -> usize {
    (clients / 75).max(4)
}

/// Clients move from node to node while publishers publish.
fn moving(c: &Cluster, map: &Map, clients: &mut [Client]) -> Result<()> {
    let over = AtomicBool::new(false);
    let every = every(clients.len());
    std::thread::scope(|scope| {
        let publishing: Vec<_> = (0..3)
            .map(|node| {
                let over = &over;
                scope.spawn(move || -> Result<()> {
                    let mut publisher = Publisher::new(&format!("moving{node}"), node);
                    for first in (0..SUBJECTS).step_by(MOVING_SUBJECTS).cycle() {
                        if over.load(Ordering::Relaxed) {
                            break;
                        }
                        publisher.publish(c, map, first..first + MOVING_SUBJECTS, 0)?;
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    Ok(())
                })
            })
            .collect();
        let moved = (0..2).try_for_each(|round| {
            for client in clients.iter_mut().step_by(every) {
                client.go_to(c, map, (client.node + 1 + round) % 3)?;
            }
            clients.iter_mut().try_for_each(Client::read)
        });
        over.store(true, Ordering::Relaxed);
        for publisher in publishing {
            publisher.join().map_err(|_| anyhow!("a publisher panicked"))??;
        }
        moved
    })
}

/// A node is suspended: the bytes that wait for it are bounded, and after it resumes its clients see nothing
/// twice.
fn paused(c: &Cluster, map: &Map, clients: &mut [Client], publishers: &mut [Publisher]) -> Result<()> {
    let stopped = 2;
    let stopped_peer = peer(c, stopped)?;
    // A subject whose subscribers are all at this node.
    let its_subject = clients.iter().map(|client| client.subject).find(|subject| {
        clients.iter().filter(|client| client.subject == *subject).all(|client| client.node == stopped)
    });
    let its_subject = its_subject.context("no subject has all its subscribers there")?;
    let dropped = || c.metric(0, "waypost_ephemeral_dropped_events_total", "overflow");
    let before = dropped()?;
    let memory = c.nodes[0].rss()?;
    c.nodes[stopped].sigstop()?;
    let mut most = 0;
    let flooded = (0..FLOOD_BYTES / (75 * 20_000)).try_for_each(|_| {
        // Sends more than may wait, quickly: a node that is silent for long is no longer sent anything.
        publishers[0].publish(c, map, std::iter::repeat_n(its_subject, 75), 20_000)?;
        most = most.max(c.metric(0, "waypost_ephemeral_waiting_bytes", &stopped_peer)?);
        clients.iter_mut().filter(|client| client.node != stopped).try_for_each(Client::read)
    });
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(100));
        most = most.max(c.metric(0, "waypost_ephemeral_waiting_bytes", &stopped_peer)?);
    }
    let grown = c.nodes[0].rss()?.saturating_sub(memory);
    c.nodes[stopped].sigcont()?;
    flooded?;
    println!("  at most {most} bytes waited for a suspended node; memory grew by {grown}");
    ensure!(dropped()? > before, "nothing was dropped, so the flood was too small");
    ensure!(most <= LINK_BYTES + BATCH_BYTES, "{most} bytes waited");
    ensure!(grown < FLOOD_MEMORY, "memory grew by {grown} bytes");
    wait_node_ready(c, stopped)?;
    wait_flowing(c, map, clients, publishers)
}

fn wait_node_ready(c: &Cluster, node: usize) -> Result<()> {
    c.wait_until("the node to be ready", |c| {
        c.admin(node).get("/readyz")?.expect(200)?;
        Ok(Some(()))
    })
}

/// A node is cut off from the others, first for a moment, so that bytes under way arrive late, then until the
/// others have given it up. Meanwhile the others go on and some of its clients move to them; at the end these
/// clients return.
fn cut_off(
    c: &Cluster,
    network: &Network,
    map: &Map,
    clients: &mut [Client],
    publishers: &mut [Publisher],
) -> Result<()> {
    let away = 0;
    let others = [1, 2];
    let elsewhere = |node| node != away;
    network.cut(away);
    let flowed = wait_flowing_at(c, map, clients, &mut publishers[1..], elsewhere);
    let own = publishers[away].publish(c, map, 0..SUBJECTS, 0);
    network.heal();
    flowed.and(own)?;
    wait_flowing(c, map, clients, publishers)?;

    network.cut(away);
    let moved = while_given_up(c, map, clients, publishers, (away, others));
    network.heal();
    let moved = moved?;
    wait_node_ready(c, away)?;
    for client in moved {
        clients[client].go_to(c, map, away)?;
    }
    wait_flowing(c, map, clients, publishers)
}

/// Waits until the others send the cut-off node nothing any more. Returns which of its clients moved to them.
fn while_given_up(
    c: &Cluster,
    map: &Map,
    clients: &mut [Client],
    publishers: &mut [Publisher],
    (away, others): (usize, [usize; 2]),
) -> Result<Vec<usize>> {
    let label = peer(c, away)?;
    // The node still takes events for its own clients.
    wait_flowing_at(c, map, clients, &mut publishers[..=away], |node| node == away)?;
    let there: Vec<usize> =
        (0..clients.len()).filter(|n| clients[*n].node == away).step_by(every(clients.len())).collect();
    for (n, client) in there.iter().enumerate() {
        clients[*client].go_to(c, map, others[n % 2])?;
    }
    let mut most = 0;
    c.wait_until("the others to give up the cut-off node", |c| {
        for node in others {
            publishers[node].publish(c, map, 0..SUBJECTS, 100)?;
        }
        clients.iter_mut().try_for_each(Client::read)?;
        let mut wanted = 0;
        for node in others {
            let waiting = c.metric(node, "waypost_ephemeral_waiting_bytes", &label)?;
            most = most.max(waiting);
            wanted += waiting + c.metric(node, "waypost_ephemeral_peer_interest", &label)?;
        }
        Ok((wanted == 0).then_some(()))
    })?;
    println!("  at most {most} bytes waited for a node that was cut off");
    ensure!(most <= LINK_BYTES + BATCH_BYTES, "{most} bytes waited");
    wait_flowing_at(c, map, clients, &mut publishers[1..], |node| node != away)?;
    Ok(there)
}

/// A node is killed: its clients move elsewhere; when it is back, some clients move to it.
fn killed(c: &mut Cluster, map: &Map, clients: &mut [Client], publishers: &mut [Publisher]) -> Result<()> {
    let count = clients.len();
    c.nodes[1].kill9()?;
    publishers[0].publish(c, map, 0..SUBJECTS, 0)?;
    let mut there: Vec<&mut Client> = clients.iter_mut().filter(|client| client.node == 1).collect();
    for (n, client) in there.iter_mut().enumerate() {
        client.go_to(c, map, if n % 2 == 0 { 0 } else { 2 })?;
    }
    let (first, rest) = publishers.split_at_mut(1);
    wait_flowing(c, map, clients, first)?;
    wait_flowing(c, map, clients, &mut rest[1..])?;
    c.bring_back(1)?;
    for client in clients.iter_mut().step_by(every(count)) {
        client.go_to(c, map, 1)?;
    }
    wait_flowing(c, map, clients, publishers)
}
