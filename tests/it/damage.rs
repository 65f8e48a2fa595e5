//! Wiped disks and flipped bits: the node reports the damage, rebuilds itself from the other nodes and holds
//! the same state. It never serves damaged data.

use crate::support::{nodes, publish_many, scenario};
use anyhow::{Result, ensure};
use serde_json::json;
use testkit::Cluster;
use testkit::checks::same_backfill;
use testkit::cluster::Map;

#[test]
fn wiped_and_damaged_nodes_rejoin_with_the_same_state() {
    scenario(nodes(3), |cluster| {
        let map = cluster.map("damage")?;
        let mut expected = 0;
        fill(cluster, &map, &mut expected)?;

        let victim = cluster.follower()?;
        cluster.nodes[victim].kill9()?;
        fill(cluster, &map, &mut expected)?;
        cluster.nodes[victim].wipe()?;
        back(cluster, victim, &map, &mut expected)?;

        for part in ["raft/", "state.redb", "identity"] {
            for victim in [cluster.follower()?, cluster.leader()?] {
                cluster.nodes[victim].kill9()?;
                println!("flipped {}", cluster.nodes[victim].flip_bit(part)?);
                fill(cluster, &map, &mut expected)?;
                back(cluster, victim, &map, &mut expected)?;
                let log = cluster.nodes[victim].log_tail(2000).to_lowercase();
                println!("reported: {}", log.contains("damaged"));
                // The store also has unused pages.
                ensure!(part == "state.redb" || log.contains("damaged"), "not reported: {log}");
            }
        }
        Ok(())
    });
}

/// Publishes a batch through a running node.
fn fill(cluster: &Cluster, map: &Map, expected: &mut usize) -> Result<()> {
    let up = cluster.leader()?;
    publish_many(cluster, up, map, "x", 200)?;
    *expected += 200;
    Ok(())
}

/// Starts the victim again; then all nodes must agree, and publishing through the victim must work.
fn back(cluster: &mut Cluster, victim: usize, map: &Map, expected: &mut usize) -> Result<()> {
    cluster.bring_back(victim)?;
    publish_many(cluster, victim, map, "y", 10)?;
    *expected += 10;
    let all = same_backfill(cluster, map)?;
    ensure!(all.len() == *expected, "{} events of {expected}", all.len());
    let gapless = all.iter().zip(1..).all(|(e, seq)| e.seq == seq);
    ensure!(gapless, "a gap in the backfill");
    let maps = |i: usize| cluster.admin(i).get("/api/maps").and_then(|a| a.data(200));
    ensure!(maps(0)? == maps(1)? && maps(1)? == maps(2)?, "the nodes have different maps");
    cluster.wait_until("health", |c| Ok((c.status(victim)?["healthy"] == json!(true)).then_some(())))
}
