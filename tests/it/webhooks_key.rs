//! A node that lacks the key that encrypts webhooks says so at once, whatever it is asked about them.

use crate::support::scenario;
use crate::webhooks_support::{Hook, delivering, map, publish_keys};
use anyhow::ensure;
use serde_json::json;
use std::time::Duration;
use testkit::receiver::{Receiver, behaviour};
use testkit::wait;

/// The longest time for a node to end.
const STOP: Duration = Duration::from_secs(30);

const LACKS: &str = "does not have the key that encrypts webhooks";

#[test]
fn a_node_without_the_key_of_webhooks_says_so() {
    scenario(delivering(1), |c| {
        let map = map(c, "no-key")?;
        let receiver = Receiver::start()?;
        let url = receiver.on("/hook", behaviour::healthy());
        let hook = Hook::create(c, &map, &url, json!({}))?;
        publish_keys(c, &map, "before", 1)?;
        receiver.wait_events("/hook", 1)?;

        c.nodes[0].stop(STOP)?;
        std::fs::remove_file(c.nodes[0].data.join("webhooks.key"))?;
        c.nodes[0].start()?;
        c.wait_ready()?;
        let new = format!("/api/maps/{}/webhooks", map.id);
        // A patient client would repeat what is refused for now, which this is for ever.
        let api = c.admin(0).hasty();
        for (path, body) in [(hook.path("/test"), json!({})), (new, json!({"url": format!("{url}/2")}))] {
            wait::until("a refusal with the reason", || {
                let answer = api.post(&path, &body)?.expect(503)?.json()?;
                let told = answer["message"].as_str().is_some_and(|said| said.contains(LACKS));
                ensure!(told, "{path}: {answer}");
                Ok(Some(()))
            })?;
        }
        // Nothing waits for it, and it is not healthy all the same.
        hook.wait(c, "a state without the key", |hook| {
            let told = hook["last_error"].as_str().is_some_and(|error| error.contains(LACKS));
            told && hook["state"] == "failing" && hook["queue_depth"] == 0 && hook["url"].is_null()
        })?;
        publish_keys(c, &map, "after", 1)?;
        hook.wait(c, "the reason", |hook| {
            hook["last_error"].as_str().is_some_and(|error| error.contains(LACKS))
        })?;
        Ok(())
    });
}
