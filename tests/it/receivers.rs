//! Deliveries at independent receivers: the receivers of the guides that the profiles come from, unchanged,
//! and public verifier libraries. The payloads are any JSON that a publisher may send.

pub(crate) mod fleet;
mod payloads;
pub(crate) mod process;

use crate::support::{nodes, scenario};
use anyhow::{Context, Result, ensure};
use fleet::{Fleet, Hook, KEY, Published, SECRET, VERIFIERS, Verifier, delivering};
use payloads::{Payload, payloads};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use testkit::wait;
use waypost::core::event::{Event, MapText, NewEvent};
use waypost::core::ids::{EventId, MapId};
use waypost::core::webhook::Profile;
use waypost::delivery::webhook::render::{Rendered, Rendering, Secrets, render};

/// The number of payloads that every receiver gets.
const PAYLOADS: usize = 300;
/// Event types that some receivers act on, and others.
const KINDS: &[&str] =
    &["signature_added", "client_event", "vote.received", "broadcast", "add_system", "map_kill"];
const OTHER: &str = "a secret that somebody typed";
const GAME: &str = r#"{"session":{"id":3},"game":{"title":"Quiplash 3","min_players":3,"max_players":8}}"#;

type Step = (&'static str, fn(&Fleet<'_>) -> Result<()>);

const STEPS: &[Step] = &[
    ("any payload is verified", any_payload),
    ("a rotation loses nothing", a_rotation),
    ("deliveries with another secret are not verified", another_secret),
    ("a forged byte is refused", one_byte),
    ("Discord messages are those of the guide's transformer", discord_messages),
];

#[test]
fn receivers_verify_what_a_node_delivers() {
    let functions = fleet::functions().unwrap();
    scenario(delivering(nodes(1), &functions), |cluster| {
        let fleet = Fleet::start(cluster, functions)?;
        let only = std::env::var("WAYPOST_TEST_CHECK").ok();
        let steps =
            STEPS.iter().filter(|(name, _)| only.as_ref().is_none_or(|only| name.contains(only.as_str())));
        for (name, step) in steps {
            let began = std::time::Instant::now();
            step(&fleet).context(*name)?;
            println!("  ok: {name} ({:.1?})", began.elapsed());
        }
        Ok(())
    });
}

/// Makes a payload that receivers act on.
fn example(normal: &str) -> Payload {
    Payload { text: normal.into(), normal: normal.into() }
}

fn any_payload(fleet: &Fleet<'_>) -> Result<()> {
    let map = fleet.map("any-payload")?;
    let hooks: Vec<Hook> =
        VERIFIERS.iter().map(|verifier| fleet.hook(&map, verifier, SECRET, 16)).collect::<Result<_>>()?;
    let mut events = Published::default();
    events.publish(fleet.cluster, &map, KINDS, &payloads(PAYLOADS))?;
    events.publish(fleet.cluster, &map, &["game.added"], &[example(GAME)])?;
    let member = example(r#"{"channel":"presence-map","user_id":"7"}"#);
    events.publish(fleet.cluster, &map, &["member_added"], &[member])?;
    for hook in &hooks {
        let seen = fleet.verified(hook, &events)?;
        let refused = seen.iter().find(|seen| !seen.verified);
        ensure!(refused.is_none(), "{hook:?} refused {refused:?}");
        let batches = seen.iter().any(|seen| seen.id.contains('-'));
        ensure!(batches == hook.verifier.batch.is_some(), "{hook:?}: {batches}");
        tested(fleet, hook, 3)?;
    }
    Ok(())
}

/// Test deliveries are verified too.
fn tested(fleet: &Fleet<'_>, hook: &Hook, count: usize) -> Result<()> {
    for payload in payloads(count) {
        let body = format!(r#"{{"type":"client_event","payload":{}}}"#, payload.text);
        let attempt = fleet.post(hook, "/test", &body)?;
        ensure!(attempt["class"] == "delivered", "{hook:?} {attempt}");
        wait::until("the test to be seen", || {
            let mut seen = fleet.seen(hook)?.into_iter();
            Ok(seen.find(|seen| seen.verified && attempt["message_id"] == seen.id.as_str()))
        })?;
    }
    Ok(())
}

/// During the overlap, receivers with the old secret and receivers with the new one both verify.
fn a_rotation(fleet: &Fleet<'_>) -> Result<()> {
    let map = fleet.map("rotation")?;
    let to = |secret: &str| json!({"secret": secret}).to_string();
    let old = VERIFIERS
        .iter()
        .filter(|verifier| verifier.reports())
        .map(|verifier| fleet.hook(&map, verifier, SECRET, 5));
    let new = VERIFIERS.iter().map(|verifier| fleet.hook(&map, verifier, OTHER, 5));
    let old = old.collect::<Result<Vec<_>>>()?;
    let new = new.collect::<Result<Vec<_>>>()?;
    for hook in &new {
        ensure!(fleet.post(hook, "/rotate-secret", &to(SECRET))?["secret"] == SECRET);
    }
    let mut events = Published::default();
    events.publish(fleet.cluster, &map, KINDS, &payloads(40))?;
    for hook in &old {
        let rotated = fleet.post(hook, "/rotate-secret", &to(OTHER))?;
        ensure!(rotated["secret_previous_until"].is_string(), "{rotated}");
    }
    events.publish(fleet.cluster, &map, KINDS, &payloads(40))?;
    for hook in old.iter().chain(&new) {
        fleet.verified(hook, &events)?;
        tested(fleet, hook, 1)?;
        let settled = |hook: &Value| hook["queue_depth"] == 0 && hook["delivered"] == events.ids.len();
        wait::until("the deliveries to be reported", || Ok(settled(&fleet.get(hook, "")?).then_some(())))
            .with_context(|| format!("{:?}", fleet.get(hook, "")))?;
        let now = fleet.get(hook, "")?;
        ensure!(now["dead_letters"] == 0 && now["given_up"] == 0, "{hook:?}: {now}");
    }
    for hook in &new {
        let refused = fleet.seen(hook)?.into_iter().find(|seen| !seen.verified);
        ensure!(refused.is_none(), "{hook:?}, with the new secret, refused {refused:?}");
    }
    Ok(())
}

/// Receivers verify neither a secret that was never theirs nor the old one after a rotation without overlap.
fn another_secret(fleet: &Fleet<'_>) -> Result<()> {
    let map = fleet.map("another-secret")?;
    let mut hooks = Vec::new();
    for verifier in VERIFIERS {
        hooks.push(fleet.hook(&map, verifier, OTHER, 1)?);
        let over = fleet.hook(&map, verifier, SECRET, 1)?;
        fleet.post(&over, "/rotate-secret", &json!({"secret": OTHER, "overlap_seconds": 0}).to_string())?;
        hooks.push(over);
    }
    let mut events = Published::default();
    events.publish(fleet.cluster, &map, KINDS, &payloads(10))?;
    for hook in &hooks {
        let member = if hook.verifier.reports() { "dead_letters" } else { "delivered" };
        let ended = |shown: &Value| shown[member] == events.ids.len();
        wait::until("all events to be refused", || Ok(ended(&fleet.get(hook, "")?).then_some(())))
            .with_context(|| format!("{hook:?} {:?}", fleet.get(hook, "")))?;
        let seen = wait::until("its receiver to see a request", || {
            Ok(Some(fleet.seen(hook)?).filter(|seen| !seen.is_empty()))
        })?;
        ensure!(seen.iter().all(|seen| !seen.verified), "{hook:?} verified another secret: {seen:?}");
    }
    Ok(())
}

/// The receivers do check: a forged body is refused.
fn one_byte(fleet: &Fleet<'_>) -> Result<()> {
    let batch: Vec<Event> =
        (0..).zip(payloads(20)).map(|(n, payload)| event(n, "other", &payload.normal)).collect();
    for verifier in VERIFIERS.iter().filter(|verifier| verifier.is_http()) {
        let events = if verifier.profile.batches() { &batch[..] } else { &batch[..1] };
        let rendered = made(verifier.profile, events)?;
        ensure!(verifies(fleet, verifier, &rendered)?, "{verifier:?}");
        let mut forged = rendered.clone();
        let mut bytes = forged.body.to_vec();
        // The first digit is part of what every profile signs.
        let at = bytes.iter().position(u8::is_ascii_digit).context("no digit in a body")?;
        bytes[at] = if bytes[at] == b'1' { b'2' } else { b'1' };
        forged.body = bytes.into();
        ensure!(
            !verifies(fleet, verifier, &forged)?,
            "{verifier:?} accepted a forged body: {:?}",
            forged.body
        );
    }
    Ok(())
}

fn event(position: u32, kind: &str, payload: &str) -> Event {
    let id = EventId::new(waypost::clock::now_ms(), 7, position);
    let event = NewEvent::new(Default::default(), kind, payload);
    Event::from_stored(u64::from(position) + 1, Event::to_stored(id, &event).into()).unwrap()
}

fn made(profile: Profile, events: &[Event]) -> Result<Rendered> {
    let map = MapText::from("550e8400-e29b-41d4-a716-446655440000".parse::<MapId>()?);
    let secrets = Secrets::new(SECRET.into());
    let rendering =
        Rendering { profile, map: &map, topic: "events", key: KEY, template: None, secrets: &secrets };
    Ok(render(&rendering, events, None, 1, waypost::clock::now_ms())?)
}

fn verifies(fleet: &Fleet<'_>, verifier: &Verifier, rendered: &Rendered) -> Result<bool> {
    let headers = rendered.headers.iter().map(|(name, value)| Ok((name.as_str(), value.to_str()?)));
    let headers: Vec<(&str, &str)> = headers.collect::<Result<_>>()?;
    fleet.process(verifier)?.verifies(&verifier.target("by-hand"), &headers, &rendered.body)
}

/// The guide's examples, through its own transformer and through the `discord` profile, give the same embeds,
/// except for the fields that Waypost adds, and for numbers, which Discord wants as text.
fn discord_messages(fleet: &Fleet<'_>) -> Result<()> {
    let examples = [
        (
            "add_system",
            r#"{"solar_system_id":31000001,"name":"J123456","type":"wormhole","class":"C3","statics":["C3","HS"]}"#,
        ),
        (
            "map_kill",
            r#"{"killmail_id":12345678,"system_name":"J123456","victim":{"name":"Pilot Name","ship":"Stratios","corporation":"Corp Name"},"value":250000000}"#,
        ),
        (
            "map_kill",
            r#"{"killmail_id":2,"system_name":"Jita","victim":{"name":"A","ship":"Rifter"},"value":1250000}"#,
        ),
        ("connection_added", r#"{"from_name":"J123456","to_name":"Jita","type":"wormhole"}"#),
        ("connection_added", r#"{"from_name":"J1","to_name":"J2","mass_status":"Critical"}"#),
    ];
    let map = fleet.map("discord-messages")?;
    for verifier in VERIFIERS.iter().filter(|verifier| verifier.posts_to_discord()) {
        fleet.hook(&map, verifier, SECRET, 16)?;
    }
    // One message per event, without waiting.
    let ours = json!({"url": fleet.chat_url(), "profile": "discord", "batch": null, "rate_limit": null});
    fleet.cluster.api(0, &map).post(&format!("/api/maps/{}/webhooks", map.id), &ours)?.data(201)?;
    let mut events = Published::default();
    let mut seen = BTreeSet::new();
    for (kind, payload) in examples {
        events.publish(fleet.cluster, &map, &[kind], &[example(payload)])?;
        let fresh = |message: &Value| !seen.contains(&description(message)) && message["embeds"].is_array();
        let ours = fleet.message("ours", fresh)?;
        let said = description(&ours);
        let theirs = fleet.message("theirs", |message| description(message) == said)?;
        same_embed(&ours["embeds"][0], &theirs["embeds"][0])
            .with_context(|| format!("{ours} and {theirs}"))?;
        seen.insert(said);
    }
    events.publish(fleet.cluster, &map, &["game.added"], &[example(GAME)])?;
    let game = fleet.message("ours", |message| description(message).contains("Quiplash"))?;
    fleet.message("theirs", |message| message["content"] == description(&game))?;
    Ok(())
}

fn description(message: &Value) -> String {
    message["embeds"][0]["description"].as_str().unwrap_or_default().to_owned()
}

fn same_embed(ours: &Value, theirs: &Value) -> Result<()> {
    for member in ["title", "description", "color", "url", "timestamp"] {
        ensure!(ours[member] == theirs[member], "{member} differs");
    }
    for field in theirs["fields"].as_array().context("no fields")? {
        let text = field["value"].as_str().map_or_else(|| field["value"].to_string(), str::to_owned);
        let same = |other: &&Value| other["name"] == field["name"] && other["inline"] == field["inline"];
        let found = ours["fields"]
            .as_array()
            .and_then(|fields| fields.iter().find(same))
            .context("a field is gone")?;
        ensure!(found["value"] == text, "{field} is {found}");
    }
    Ok(())
}
