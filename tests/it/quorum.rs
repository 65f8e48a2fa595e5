//! Without a majority publishing is refused clearly and soon, and reading goes on; with a majority again
//! everything works.

use crate::support::{nodes, publish, publish_many, scenario};
use anyhow::ensure;
use serde_json::json;
use std::time::Instant;
use testkit::checks::same_backfill;
use testkit::clients::Js;
use testkit::http::Api;
use testkit::phoenix::Socket;

#[test]
fn reading_works_without_a_majority() {
    scenario(nodes(3), |cluster| {
        let map = cluster.map("quorum")?;
        let sent = publish_many(cluster, 0, &map, "x", 10)?;
        cluster.wait_same_applied()?;
        let mut socket = cluster.joined(2, &map, json!({}))?;
        cluster.nodes[0].kill9()?;
        cluster.nodes[1].kill9()?;

        for turn in 0..3 {
            let start = Instant::now();
            let body = json!({"type": "x", "payload": turn});
            let refused = cluster.api(2, &map).hasty().post(&map.events(), &body)?;
            println!("refused after {:?}: {}", start.elapsed(), refused.text());
            let refused = refused.expect(503)?;
            ensure!(!refused.code().is_empty() && refused.header("retry-after").is_some());
        }
        let page = cluster.api(2, &map).get(&map.events())?.expect(200)?.json()?;
        ensure!(page["data"].as_array().map(Vec::len) == Some(10), "{page}");
        socket.alive()?;
        let first = sent[0]["id"].clone();
        let mut late = Socket::connect(cluster.nodes[2].http, &map.token)?;
        let reply = late.join_ok(&map.topic(), json!({"last_event_id": first}))?;
        ensure!(reply["backfill"] == 9, "{reply}");
        late.events(9)?;
        let stream = Js::sse(&cluster.urls_from(2), &map, json!({"last_event_id": first}), &["x"])?;
        stream.wait_seq(10)?;
        let open = Api::new(&cluster.nodes[2].url(), None);
        open.get("/healthz")?.expect(200)?;
        cluster.wait_until("the node to report that it isn't ready", |_| {
            Ok((open.get("/readyz")?.status == 503).then_some(()))
        })?;
        ensure!(cluster.status(2)?["healthy"] == false, "{}", cluster.status(2)?);

        cluster.nodes[0].start()?;
        cluster.bring_back(1)?;
        let last = publish(cluster, 0, &map, "y", json!({}))?;
        // A refused publish may have been stored after all, but never twice.
        let all = same_backfill(cluster, &map)?;
        ensure!((11..=14).contains(&all.len()), "{} events", all.len());
        ensure!(last["seq"] == all.len(), "{last}");
        socket.events(all.len() - 10)?;
        Ok(())
    });
}
