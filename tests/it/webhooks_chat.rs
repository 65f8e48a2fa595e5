//! Chat services with their documented limits: a burst of events arrives completely, within the rate, and
//! mentions nobody.

use crate::support::scenario;
use crate::webhooks_support::{Hook, any, delivering, map};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use testkit::Cluster;
use testkit::cluster::Map;
use testkit::receiver::Receiver;
use testkit::receiver::discord::Discord;
use testkit::receiver::slack::Slack;

/// The number of events in a burst.
const BURST: usize = 200;
/// Tolerated refusals: of messages beyond the allowance, or of messages that arrived closer together than
/// they were sent.
const FEW: usize = 10;
/// Text that must come through as plain text only.
const HOSTILE: &str =
    "@everyone @here <@123> <@&5> <!channel> <!here|x> [x](javascript:alert(1)) ``` `a` <https://x|y>";

#[test]
fn a_burst_reaches_discord_and_slack_completely() {
    scenario(delivering(3), |cluster| {
        let map = map(cluster, "chat")?;
        let receiver = Receiver::start()?;
        let discord = Discord::default();
        let slack = Slack::default();
        let url = receiver.on("/api/webhooks/12345/token-of-discord", discord.behaviour());
        let to_discord = Hook::create(cluster, &map, &url, json!({"profile": "discord"}))?;
        let url = receiver.on("/services/T0/B0/token-of-slack", slack.behaviour());
        let to_slack = Hook::create(cluster, &map, &url, json!({"profile": "slack"}))?;
        burst(cluster, &map)?;
        for hook in [&to_discord, &to_slack] {
            let shown = hook.wait_settled(cluster)?;
            ensure!(shown["dead_letters"] == 0 && shown["delivered"] == BURST, "{shown}");
            ensure!(!shown.to_string().contains("token-of"), "the URL is shown: {shown}");
        }
        for (chat, messages, faults, refusals) in [
            ("discord", discord.messages(), discord.faults(), discord.refusals()),
            ("slack", slack.messages(), slack.faults(), slack.refusals()),
        ] {
            println!("{chat}: {} messages, {refusals} refusals", messages.len());
            ensure!(faults.is_empty(), "{chat}: {faults:?}");
            ensure!(refusals <= FEW, "{chat} refused {refusals} times");
            ensure!(
                messages.len() <= BURST / 4,
                "{chat}: {} messages, so too few were coalesced",
                messages.len()
            );
            all_visible(chat, &messages)?;
        }
        ended(cluster, &map, &to_discord, || discord.delete())?;
        ended(cluster, &map, &to_slack, || slack.end(410))
    });
}

/// Publishes events of all types, each with a name that the test finds again, some with hostile text.
fn burst(c: &Cluster, map: &Map) -> Result<()> {
    let events: Vec<Value> = (0..BURST).map(event).collect();
    for events in events.chunks(40) {
        any(c, map)?.post(&map.events(), &json!({"events": events}))?.expect(201)?;
    }
    Ok(())
}

fn event(i: usize) -> Value {
    let name = format!("mark{i:03}x");
    let (kind, payload) = match i % 6 {
        0 => (
            "add_system",
            json!({"solar_system_id": 31_000_001, "name": name, "type": "wormhole", "class": "C3"}),
        ),
        1 => {
            let victim = json!({"name": name, "ship": "Stratios", "corporation": HOSTILE});
            (
                "map_kill",
                json!({"killmail_id": 5, "system_name": "J123456", "victim": victim, "value": 2.5e8}),
            )
        }
        2 => (
            "connection_added",
            json!({"from_name": name, "to_name": "J2", "type": HOSTILE, "mass_status": ""}),
        ),
        3 => ("signature_added", json!({"eve_id": name, "name": HOSTILE, "group": null})),
        4 => ("rally_point_added", json!({"name": name, "message": HOSTILE.repeat(30)})),
        _ => ("my.own-type", json!({"name": name, "empty": "", "nested": {"a": [1, HOSTILE]}, "float": 0.1})),
    };
    json!({"type": kind, "payload": payload})
}

fn all_visible(chat: &str, messages: &[Value]) -> Result<()> {
    let text = json!(messages).to_string();
    let missing: Vec<usize> = (0..BURST).filter(|i| !text.contains(&format!("mark{i:03}x"))).collect();
    ensure!(missing.is_empty(), "{chat}: {} events are missing: {missing:?}", missing.len());
    Ok(())
}

/// When the chat is deleted, the webhook is disabled at once.
fn ended(c: &Cluster, map: &Map, hook: &Hook, end: impl Fn()) -> Result<()> {
    end();
    any(c, map)?.post(&map.events(), &event(0))?.expect(201)?;
    let shown =
        hook.wait(c, "the webhook of the deleted chat to be disabled", |hook| hook["state"] == "disabled")?;
    ensure!(shown["failed_attempts"].as_u64() <= Some(FEW as u64 + 1), "{shown}");
    Ok(())
}
