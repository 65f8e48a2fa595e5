//! Power cuts: all nodes are killed at once under load and started again.

use crate::support::{nodes, scenario};
use anyhow::Result;
use serde_json::json;
use std::time::Duration;
use testkit::checks::{check_acks, check_clients, check_stream, same_backfill};
use testkit::clients::Js;
use testkit::publisher::Publisher;

#[test]
fn no_acknowledged_event_is_lost_when_all_nodes_die_at_once() {
    scenario(nodes(3), |cluster| {
        let map = cluster.map("power")?;
        let client = Js::phoenix(&cluster.urls_from(0), &map, json!({}))?;
        client.wait_joined()?;
        let publishers: Vec<Publisher> = (0..6)
            .map(|i| {
                let name = format!("p{i}");
                Publisher::start(cluster.urls_from(i), &map, &name, &["x"], Duration::ZERO)
            })
            .collect();
        client.wait_seq(1)?;
        for _ in 0..2 {
            publishers.iter().try_for_each(|p| p.wait_more(30))?;
            cluster.restart_all()?;
        }
        publishers.iter().try_for_each(|p| p.wait_more(10))?;
        let acks = publishers.into_iter().map(Publisher::stop).collect::<Result<Vec<_>>>()?;
        check_acks(&acks)?;
        let acks: Vec<_> = acks.into_iter().flatten().collect();
        let all = check_clients(cluster, &map, &acks, &[client])?;
        println!("{} events, {} acknowledged", all.len(), acks.len());
        Ok(())
    });
}

#[test]
fn a_node_without_a_checkpoint_keeps_the_log_that_it_needs() {
    // The nodes die too soon for a checkpoint, and their log is longer than what is kept behind one.
    let options = nodes(3).set("WAYPOST_RAFT_KEEP_ENTRIES", 20);
    scenario(options, |cluster| {
        let map = cluster.map("short-lives")?;
        let mut acks = Vec::new();
        for life in 0..3 {
            let name = format!("life{life}-");
            let publisher =
                Publisher::start(cluster.urls_from(0), &map, &name, &["x"], Duration::from_millis(5));
            publisher.wait_more(60)?;
            // Long enough for the log to be purged, if it were purged.
            std::thread::sleep(Duration::from_millis(1500));
            acks.extend(publisher.stop()?);
            cluster.restart_all()?;
        }
        check_stream("backfill", 0, &same_backfill(cluster, &map)?, &acks)
    });
}
