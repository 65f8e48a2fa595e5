//! Concurrent changes and restarts lose nothing, and no secret is stored or logged in the clear.

use super::*;

#[test]
fn concurrent_changes_through_all_nodes_do_not_undo_each_other() {
    scenario(local(3), |c| {
        let map = c.map("at-once")?;
        let (path, _) = create(c, &map, &paused("at-once"))?;
        let fields: [(&str, Value); 3] =
            [("name", json!("Named")), ("timeout_ms", json!(777)), ("rate_limit", json!(5))];
        std::thread::scope(|scope| -> Result<()> {
            let mut running = Vec::new();
            for (node, (field, value)) in fields.iter().enumerate() {
                let api = c.api(node, &map);
                let path = &path;
                running
                    .push(scope.spawn(move || api.patch(path, &json!({*field: value}))?.data(200).map(drop)));
            }
            running
                .into_iter()
                .try_for_each(|thread| thread.join().unwrap_or_else(|_| anyhow::bail!("panicked")))
        })?;
        for node in 0..3 {
            let seen = c.api(node, &map).get(&path)?.data(200)?;
            ensure!(seen["name"] == "Named" && seen["timeout_ms"] == 777, "{seen}");
            ensure!(seen["rate_limit"]["requests"] == 5 && seen["url"] == url("at-once"), "{seen}");
        }
        Ok(())
    });
}

#[test]
fn a_restart_keeps_webhooks_and_no_secret_is_in_the_clear() {
    scenario(local(1).set("WAYPOST_LOG", "debug"), |c| {
        let map = c.map("restart")?;
        let mut hidden = vec![SECRET.to_owned(), TOKEN.to_owned(), "hidden-header-value".to_owned()];
        let chat = json!({"url": url(&format!("hook/{TOKEN}")), "profile": "discord", "name": "a name in the clear"});
        create(c, &map, &chat)?;
        let mut body = paused("restart");
        body["headers"] = json!({"Authorization": "Bearer hidden-header-value"});
        let (path, _) = create(c, &map, &body)?;
        let rotated = c.api(0, &map).post(&format!("{path}/rotate-secret"), &json!({}))?.data(200)?;
        hidden.push(text(&rotated, "secret")?);
        // The log has nothing of a refused body either.
        c.api(0, &map)
            .post(&hooks(&map), &json!({"url": url(TOKEN), "secret": SECRET, "timeout_ms": 1}))?
            .expect(400)?;
        publish(c, 0, &map, "x", json!({}))?;
        let before = c.api(0, &map).get(&hooks(&map))?.data(200)?;
        ensure!(c.nodes[0].stop(LIMIT)?.code() == Some(0));
        let everything = bytes_below(&c.nodes[0].data)?;
        ensure!(holds(&everything, "a name in the clear"), "the search finds nothing");
        let log = std::fs::read(&c.nodes[0].log)?;
        for secret in &hidden {
            ensure!(!holds(&everything, secret), "{secret} is in the data directory");
            ensure!(!holds(&log, secret), "{secret} is in the log");
        }
        c.start(0)?;
        let after = c.api(0, &map).get(&hooks(&map))?.data(200)?;
        for n in 0..2 {
            for field in ["id", "url", "name", "headers", "profile", "inserted_at", "active"] {
                ensure!(before[n][field] == after[n][field], "{field}: {before} became {after}");
            }
            // A single node does not count the time during which it was down.
            let old = |shown: &serde_json::Value| shown[n]["secret_previous_until"].is_string();
            ensure!(old(&before) == old(&after), "{before} became {after}");
        }
        Ok(())
    });
}

fn bytes_below(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        bytes.extend(if path.is_dir() { bytes_below(&path)? } else { std::fs::read(&path)? });
    }
    Ok(bytes)
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
